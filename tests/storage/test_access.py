"""Who is let in: requester pays, keys that are wrong or missing, public data, regions, clocks."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from astro_cloud.auth.providers import Anonymous
from astro_cloud.exceptions import (
    AccessDeniedError,
    CredentialsError,
    ObjectChangedError,
    RequesterPaysError,
)
from astro_cloud.storage import Client
from astro_cloud.testing import Fault, ObjectServer
from tests.storage.reading import BUCKET, DATA, LOCATION, MakeClient, answering, auth_of, harmless

RANGES = [(start, start + 9) for start in range(0, 80, 10)]
PARTS = [DATA[start:stop] for start, stop in RANGES]


def read(client: Client, location: str = LOCATION, **options: Any) -> bytes:
    return client.read_ranges(location, RANGES[:1], **options)[0]


def enter(server: ObjectServer, monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    """Put the server's credentials and endpoint into the environment, or what is given in their place."""
    for name, value in (server.environ | changes).items():
        monkeypatch.setenv(name, value)


def signed(server: ObjectServer) -> list[bool]:
    """Tell of each request, in order, whether it carried a signature."""
    return ["authorization" in record.headers for record in server.requests]


def test_who_pays_is_let_in(sky: ObjectServer, client: Client) -> None:
    """`request_payer=True` opens a requester-pays bucket, with any auth and on every read."""
    sky.requester_pays.add(BUCKET)
    pinned = client.pin(LOCATION, request_payer=True)
    assert [pinned.read_ranges(RANGES[:1]), pinned.read_ranges(RANGES[1:2])] == [PARTS[:1], PARTS[1:2]]


def test_who_pays_by_the_environment_is_let_in(
    sky: ObjectServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`request_payer=True` works with credentials that were found, too."""
    enter(sky, monkeypatch)
    sky.requester_pays.add(BUCKET)
    assert read(make_client(), request_payer=True) == PARTS[0]


def test_a_presigned_url_is_not_given_more_to_sign(sky: ObjectServer, make_client: MakeClient) -> None:
    """S3 refuses a presigned request with an x-amz header that was not signed, so none is added."""
    sky.public.add(BUCKET)
    client = make_client(endpoint_url=sky.url)
    read(client, sky.url_for(BUCKET, "m31.fits") + "?sv=1&sig=1", request_payer=True)
    assert "x-amz-request-payer" not in sky.requests[0].headers


@pytest.mark.parametrize("found", [False, True], ids=["auth given", "auth found"])
def test_who_does_not_pay_is_told_how(
    sky: ObjectServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, found: bool
) -> None:
    """A signed 403 that did not offer to pay is RequesterPaysError, and names the argument."""
    enter(sky, monkeypatch)
    sky.requester_pays.add(BUCKET)
    client = make_client() if found else make_client(sky)
    with pytest.raises(RequesterPaysError, match="request_payer=True") as caught:
        read(client)
    assert isinstance(caught.value, PermissionError)
    assert (caught.value.status, caught.value.location) == (403, LOCATION)


def test_paying_needs_somebody_to_charge(make_client: MakeClient) -> None:
    """Without credentials, `request_payer=True` is an error that names the places searched."""
    with pytest.raises(CredentialsError, match="AWS_ACCESS_KEY_ID"):
        read(make_client(), request_payer=True)


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"secret_key": "wrong"}, "secret key"), ({"access_key": "AKIAUNKNOWN"}, "access key")],
)
def test_wrong_keys_are_told_apart(
    sky: ObjectServer, make_client: MakeClient, changes: dict[str, str], says: str
) -> None:
    """A wrong secret and an unknown access key are AccessDeniedErrors of different advice."""
    with pytest.raises(AccessDeniedError, match=says) as caught:
        read(make_client(sky, auth=auth_of(sky, **changes)))
    assert not isinstance(caught.value, RequesterPaysError)
    assert len(sky.requests) == 1


def test_no_credentials_says_where_they_were_looked_for(sky: ObjectServer, make_client: MakeClient) -> None:
    """A private object read anonymously is AccessDeniedError with the places searched, after one request."""
    with pytest.raises(AccessDeniedError) as caught:
        read(make_client(endpoint_url=sky.url))
    assert "AWS_ACCESS_KEY_ID" in str(caught.value)
    assert "~/.aws/credentials" in str(caught.value)
    assert not isinstance(caught.value, RequesterPaysError)
    assert signed(sky) == [False]


def test_public_data_needs_no_credentials(sky: ObjectServer, make_client: MakeClient) -> None:
    """Where there are none, nothing is signed."""
    sky.public.add(BUCKET)
    assert read(make_client(endpoint_url=sky.url)) == PARTS[0]
    assert signed(sky) == [False]


def test_public_data_is_read_in_spite_of_denied_credentials(
    sky: ObjectServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials that are refused are left away, once; from then on reads are anonymous."""
    enter(sky, monkeypatch, AWS_ACCESS_KEY_ID="AKIAUNKNOWN")
    sky.public.add(BUCKET)
    pinned = make_client().pin(LOCATION)
    assert pinned.read_ranges(RANGES[:1]) == PARTS[:1]
    assert pinned.read_ranges(RANGES[1:2]) == PARTS[1:2]
    assert signed(sky) == [True, False, False]


def test_private_data_is_not_asked_for_anonymously_twice(
    sky: ObjectServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When both ways are refused, the error is about the credentials."""
    enter(sky, monkeypatch, AWS_ACCESS_KEY_ID="AKIAUNKNOWN")
    with pytest.raises(AccessDeniedError, match="access key"):
        read(make_client())
    assert signed(sky) == [True, False]


def test_an_auth_that_was_given_is_not_left_away(sky: ObjectServer, make_client: MakeClient) -> None:
    """Who names an auth wants that one: its 403 is not answered with an anonymous request."""
    sky.public.add(BUCKET)
    with pytest.raises(AccessDeniedError):
        read(make_client(sky, auth=auth_of(sky, access_key="AKIAUNKNOWN")))
    assert signed(sky) == [True]


def test_an_early_denial_does_not_hide_a_later_failure(
    sky: ObjectServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the anonymous way has worked, what goes wrong on it is what is raised."""
    enter(sky, monkeypatch, AWS_ACCESS_KEY_ID="AKIAUNKNOWN")
    sky.public.add(BUCKET)
    sky.inject(harmless())
    sky.inject(Fault.cut(5))
    sky.inject(answering(412))
    with pytest.raises(ObjectChangedError):
        read(make_client())


def test_a_strangers_refusal_is_not_answered_with_a_signature(
    sky: ObjectServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that is nobody's endpoint gets no credentials of the environment, whatever it answers."""
    enter(sky, monkeypatch, AWS_ENDPOINT_URL="http://127.0.0.1:1")
    with pytest.raises(AccessDeniedError, match="auth=") as caught:
        read(make_client(), sky.url_for(BUCKET, "m31.fits"))
    assert not isinstance(caught.value, RequesterPaysError)
    assert signed(sky) == [False]
    assert not [name for name in sky.requests[0].headers if name.startswith("x-amz-")]


def test_paying_a_stranger_is_refused(
    sky: ObjectServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`request_payer=True` for a host that is not known to be S3 is an error before anything is sent."""
    enter(sky, monkeypatch, AWS_ENDPOINT_URL="http://127.0.0.1:1")
    with pytest.raises(CredentialsError, match="not known to be an S3 endpoint"):
        read(make_client(), sky.url_for(BUCKET, "m31.fits"), request_payer=True)
    assert sky.requests == []


def test_a_password_that_is_refused_is_not_about_paying(sky: ObjectServer, make_client: MakeClient) -> None:
    """The 403 of a plain host to somebody else's auth says nothing of requester pays."""
    sky.inject(answering(403, b"no"))
    client = make_client(auth=requests.auth.HTTPBasicAuth("hubble", "wrong"))
    with pytest.raises(AccessDeniedError) as caught:
        read(client, sky.url_for(BUCKET, "m31.fits"))
    assert not isinstance(caught.value, RequesterPaysError)
    assert "request_payer" not in str(caught.value)


def test_a_pair_is_an_auth(sky: ObjectServer, make_client: MakeClient) -> None:
    """A tuple of name and password is an auth, as it is for requests."""
    sky.inject(answering(404))
    with pytest.raises(FileNotFoundError):
        read(make_client(auth=("hubble", "pa55word")), sky.url_for(BUCKET, "m31.fits"))
    assert sky.requests[0].headers["authorization"].startswith("Basic ")


def test_anonymous_is_an_auth(
    sky: ObjectServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`Anonymous` keeps credentials that exist from being sent."""
    enter(sky, monkeypatch)
    sky.public.add(BUCKET)
    assert read(make_client(auth=Anonymous())) == PARTS[0]
    assert signed(sky) == [False]
