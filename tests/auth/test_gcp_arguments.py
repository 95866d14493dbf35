"""What GCPAuth refuses to be given or to do, and what of its arguments shows and travels."""

from __future__ import annotations

import datetime
import pickle
from typing import Any

import pytest

from astro_cloud.auth.gcp import GCPAuth
from astro_cloud.auth.refusal import Refusal
from astro_cloud.exceptions import CredentialsError
from tests.auth.gcp_stand_ins import KEYS, URL, Remote, Tokens, prepared


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"access_key": "A"}, CredentialsError),
        ({"secret_key": "S"}, CredentialsError),
        ({**KEYS, "credentials": Tokens("t")}, CredentialsError),
        ({"access_key": "hush\n", "secret_key": "S"}, CredentialsError),
        ({"scope": "full_control"}, ValueError),
        ({"user_project": "two words\r\n"}, ValueError),
    ],
)
def test_arguments_that_make_no_sense(options: dict[str, Any], error: type[Exception]) -> None:
    """No argument is ignored without a word, and no key is repeated."""
    with pytest.raises(error) as caught:
        GCPAuth(**options)
    assert "hush" not in str(caught.value)


def test_presigning_that_cannot_work() -> None:
    """A token signs nothing; a URL is signed once, for up to seven days."""
    with pytest.raises(CredentialsError, match="service account's key, or an HMAC key"):
        GCPAuth(credentials=Tokens("t")).presign(URL)
    for expires in (0, -1, 604_801):
        with pytest.raises(ValueError, match="1 to 604800"):
            GCPAuth(**KEYS).presign(URL, expires)
    with pytest.raises(ValueError, match="signed already"):
        GCPAuth(**KEYS).presign(GCPAuth(**KEYS).presign(URL))


def test_a_signer_that_fails_is_an_error_of_ours() -> None:
    """Credentials that sign over the network fail as CredentialsError, without what they printed."""
    with pytest.raises(CredentialsError, match="cannot sign: OSError") as caught:
        GCPAuth(credentials=Remote()).presign(URL)
    assert "hush" not in str(caught.value) + repr(caught.value.__cause__)


def test_explicit_keys_travel_unseen() -> None:
    """Explicit keys are in the pickle, and in no repr; a token that was refused is in neither."""
    auth = GCPAuth("payer", **KEYS, scope="read_write", clock=datetime.datetime.now)
    assert repr(auth) == "GCPAuth(user_project='payer', scope='read_write')"
    assert KEYS["secret_key"] not in str(vars(auth))
    copy = pickle.loads(pickle.dumps(auth))
    assert "GOOG1EXAMPLE" in copy.sign(prepared()).headers["Authorization"]
    bearer = GCPAuth(credentials=Tokens("t"))
    request = bearer.sign(prepared())
    request.headers["Authorization"] = "Bearer refused-token"
    assert bearer.learn(request, Refusal(401)) == "credentials"
    assert b"refused-token" not in pickle.dumps(bearer)
    assert pickle.loads(pickle.dumps(bearer)).has_credentials()
