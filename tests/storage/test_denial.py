"""The sentence that says why a server refused, and what to do about it."""

from __future__ import annotations

import pytest

from astro_cloud.auth.refusal import Refusal
from astro_cloud.exceptions import AccessDeniedError, RequesterPaysError, StorageError
from astro_cloud.storage.denial import explain

NAME = "s3://sky/m31.fits"


def explained(
    refusal: Refusal, *, at_s3: bool = True, signed: bool = True, paying: bool = False
) -> StorageError:
    error = explain(refusal, NAME, at_s3=at_s3, signed=signed, paying=paying)
    assert str(error).startswith(f"{NAME}: ")
    assert (error.location, error.status) == (NAME, refusal.status)
    return error


@pytest.mark.parametrize("code", ["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"])
def test_each_code_of_expiry_is_called_expired(code: str) -> None:
    """What the auth takes for expired, the error calls so."""
    assert "expired" in str(explained(Refusal(400, code)))


@pytest.mark.parametrize(
    "code", ["AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraint"]
)
@pytest.mark.parametrize(
    ("region", "says"), [("eu-west-1", "it is in eu-west-1"), (None, "does not say which")]
)
def test_a_wrong_region_is_named(code: str, region: str | None, says: str) -> None:
    """The error names the region, where the server did, and the argument that sets it."""
    error = explained(Refusal(400, code, region=region))
    assert says in str(error)
    assert "region=" in str(error)


def test_the_servers_words_are_kept_where_ours_are_fewer() -> None:
    """What the server says beyond "Access Denied" is passed on."""
    assert "no such tenant" in str(explained(Refusal(403, "AccountProblem", "no such tenant")))
    assert "It says" not in str(explained(Refusal(403, "AccessDenied", "Access Denied")))


@pytest.mark.parametrize("code", ["AccessDenied", ""])
def test_a_signed_403_may_be_about_paying(code: str) -> None:
    """Requester pays is the likely reason only for a signed request that did not offer to pay."""
    assert type(explained(Refusal(403, code))) is RequesterPaysError
    assert type(explained(Refusal(403, code), paying=True)) is AccessDeniedError
    assert type(explained(Refusal(403, code), signed=False)) is AccessDeniedError
    assert type(explained(Refusal(403, code), at_s3=False)) is AccessDeniedError


def test_a_401_is_not_about_paying() -> None:
    """S3 answers 403 where a requester must pay; a 401 wants another identity."""
    assert type(explained(Refusal(401))) is AccessDeniedError


def test_only_401_and_403_are_denials() -> None:
    """A 400 is a StorageError, and says what it is taken for."""
    error = explained(Refusal(400, "InvalidArgument", "bad header"))
    assert type(error) is StorageError
    assert "malformed" in str(error)
    assert "bad header" in str(error)
