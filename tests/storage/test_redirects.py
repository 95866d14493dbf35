"""Redirects: followed with the signature at home, without any secret abroad."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from astro_cloud.auth import Anonymous, AzureAuth
from astro_cloud.exceptions import AccessDeniedError, StorageError
from astro_cloud.storage import Client
from astro_cloud.testing import Fault, ObjectServer
from tests.auth.azure_stand_ins import SAS
from tests.auth.recording_server import Answer, Received, recording_server
from tests.storage.reading import BUCKET, DATA, KEY, LOCATION, MakeClient, answering, auth_of

SECRETS = {
    "Cookie": "session=s3cret",
    "Proxy-Authorization": "Basic s3cret",
    "X-Amz-Meta-Key": "s3cret",
    "X-Goog-User-Project": "s3cret",
    "X-MS-Version": "s3cret",
}


def read(client: Client, location: str = LOCATION, **options: Any) -> bytes:
    return client.read_ranges(location, [(100, 200)], **options)[0]


def session_with_secrets(**headers: str) -> requests.Session:
    session = requests.Session()
    session.headers.update(SECRETS | headers)
    return session


def assert_stripped(server: ObjectServer) -> None:
    """Nothing that identifies the reader came to the server."""
    for record in server.requests:
        names = set(record.headers)
        assert not names & {"authorization", "cookie", "proxy-authorization"}
        assert not [name for name in names if name.startswith(("x-amz-", "x-goog-", "x-ms-"))]
        assert record.headers["accept-encoding"] == "identity"
        assert record.range == "bytes=100-199"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_at_the_same_origin_the_signature_goes_along(sky: ObjectServer, client: Client, status: int) -> None:
    """A redirect within one server is signed anew for the path it leads to."""
    sky.put(BUCKET, "moved.fits", DATA)
    sky.inject(Fault.redirect(f"/{BUCKET}/moved.fits", status))
    assert read(client) == DATA[100:200]
    first, second = sky.requests
    assert (second.key, second.method) == ("moved.fits", "GET")
    assert first.headers["authorization"] != second.headers["authorization"]


def test_the_offer_to_pay_goes_along_at_the_same_origin(sky: ObjectServer, client: Client) -> None:
    """Requester pays holds for where the same server sends its readers."""
    sky.requester_pays.add(BUCKET)
    sky.inject(Fault.redirect(f"{sky.url}/{BUCKET}/{KEY}"))
    assert read(client, request_payer=True) == DATA[100:200]


def test_a_redirect_in_utf_8_is_understood(
    sky: ObjectServer, client: Client, make_client: MakeClient
) -> None:
    """A Location that is not ASCII is taken as UTF-8, as requests and browsers take it."""
    sky.put(BUCKET, "café.fits", DATA)
    sky.public.add(BUCKET)
    for reader in (client, make_client(sky, auth=Anonymous())):
        sky.inject(Fault.redirect(f"/{BUCKET}/café.fits"))
        assert read(reader) == DATA[100:200]


def test_another_origin_gets_no_secret(
    sky: ObjectServer, other_sky: ObjectServer, make_client: MakeClient
) -> None:
    """Signature, offer to pay, and the session's own secret headers stay behind."""
    sky.inject(Fault.redirect(other_sky.url_for(BUCKET, KEY)))
    client = make_client(sky, session=session_with_secrets())
    assert read(client, request_payer=True) == DATA[100:200]
    assert "authorization" in sky.requests[0].headers
    assert len(other_sky.requests) == 1
    assert_stripped(other_sky)


def test_a_second_redirect_abroad_gets_no_secret_either(
    sky: ObjectServer, other_sky: ObjectServer, make_client: MakeClient
) -> None:
    """What was left behind at the first origin is not taken up again within the second."""
    sky.inject(Fault.redirect(other_sky.url_for(BUCKET, KEY)))
    other_sky.inject(Fault.redirect(f"/{BUCKET}/{KEY}"))
    client = make_client(sky, session=session_with_secrets(Authorization="Bearer s3cret"))
    assert read(client) == DATA[100:200]
    assert len(other_sky.requests) == 2
    assert_stripped(other_sky)


@pytest.mark.parametrize("kind", ["signer", "password", "callable"])
@pytest.mark.parametrize("hops", [1, 2])
def test_a_sessions_auth_does_not_go_abroad(
    sky: ObjectServer, other_sky: ObjectServer, make_client: MakeClient, kind: str, hops: int
) -> None:
    """`session.auth` is for the host that was asked, not for the one it leads to."""

    def token(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = "Bearer s3cret"
        return request

    session = requests.Session()
    auths: dict[str, Any] = {"signer": auth_of(sky), "password": ("hubble", "s3cret"), "callable": token}
    session.auth = auths[kind]
    sky.inject(Fault.redirect(other_sky.url_for(BUCKET, KEY)))
    if hops == 2:
        other_sky.inject(Fault.redirect(f"/{BUCKET}/{KEY}"))
    client = make_client(session=session)
    assert read(client, sky.url_for(BUCKET, KEY)) == DATA[100:200]
    assert len(other_sky.requests) == hops
    assert_stripped(other_sky)


def test_a_stranger_that_sends_us_home_gets_no_signature_for_it(
    sky: ObjectServer, other_sky: ObjectServer, client: Client
) -> None:
    """Once led abroad, a read is not signed again, not even where it began."""
    sky.inject(Fault.redirect(other_sky.url_for(BUCKET, KEY)))
    other_sky.inject(Fault.redirect(sky.url_for(BUCKET, "private.fits")))
    with pytest.raises(AccessDeniedError):
        read(client)
    assert ["authorization" in record.headers for record in sky.requests] == [True, False]


@pytest.mark.parametrize("query", ["X-Goog-Credential=a&X-Goog-Signature=b%2Fc", "sv=1&sig=b%2Fc"])
def test_a_presigned_target_is_not_signed_again(sky: ObjectServer, client: Client, query: str) -> None:
    """A redirect to a URL that is signed already is followed as it is, also on the same server."""
    sky.put("open", KEY, DATA)
    sky.public.add("open")
    sky.inject(Fault.redirect(f"/open/{KEY}?{query}"))
    assert read(client, request_payer=True) == DATA[100:200]
    assert sky.requests[1].target == f"/open/{KEY}?{query}"
    assert "authorization" not in sky.requests[1].headers
    assert "x-amz-request-payer" not in sky.requests[1].headers


def test_a_circle_ends(sky: ObjectServer, client: Client) -> None:
    """At most five redirects are followed."""
    sky.inject(Fault.redirect(f"/{BUCKET}/{KEY}"), times=None)
    with pytest.raises(StorageError, match="more than 5") as caught:
        read(client)
    assert caught.value.location == LOCATION
    assert len(sky.requests) == 6


def test_five_redirects_are_followed(sky: ObjectServer, client: Client) -> None:
    """The fifth redirect may lead to the object."""
    sky.inject(Fault.redirect(f"/{BUCKET}/{KEY}"), times=5)
    assert read(client) == DATA[100:200]
    assert (client.usage.requests, client.usage.round_trips) == (6, 6)


@pytest.mark.parametrize(
    "target",
    [
        "ftp://archive.example/m31.fits",
        "file:///etc/passwd",
        "https:///m31.fits",
        "https://*.example/m31.fits",
        "http://[bad/m31.fits",
        "http://archive.example:port/m31.fits",
    ],
)
@pytest.mark.parametrize("injected", [False, True], ids=["own session", "injected session"])
def test_a_redirect_to_what_is_no_http_url_is_an_error(
    sky: ObjectServer, make_client: MakeClient, target: str, injected: bool
) -> None:
    """Where a redirect cannot be followed, the error is ours, names the object, and is no ValueError."""
    session = {"session": requests.Session()} if injected else {}
    sky.inject(Fault.redirect(target))
    with pytest.raises(StorageError, match=LOCATION) as caught:
        read(make_client(sky, **session))
    assert not isinstance(caught.value, ValueError)


def test_a_target_is_remembered(sky: ObjectServer, other_sky: ObjectServer, client: Client) -> None:
    """Later reads of the object go where the first was led, without asking the way again."""
    sky.inject(Fault.redirect(other_sky.url_for(BUCKET, KEY)))
    pinned = client.pin(LOCATION)
    for start in (0, 10, 20):
        assert pinned.read_ranges([(start, start + 10)]) == [DATA[start : start + 10]]
    assert (len(sky.requests), len(other_sky.requests)) == (1, 3)


def test_a_target_that_refuses_is_asked_for_again_at_the_origin(
    sky: ObjectServer, other_sky: ObjectServer, client: Client
) -> None:
    """Where a remembered target has expired, the origin says the new one."""
    sky.inject(Fault.redirect(other_sky.url_for(BUCKET, KEY)))
    pinned = client.pin(LOCATION)
    pinned.read_ranges([(0, 10)])
    other_sky.public.clear()
    assert pinned.read_ranges([(10, 20)]) == [DATA[10:20]]
    assert pinned.read_ranges([(20, 30)]) == [DATA[20:30]]
    assert [record.status for record in other_sky.requests] == [206, 403]
    assert [record.status for record in sky.requests] == [307, 206, 206]


@pytest.mark.parametrize(
    "fault", [Fault.reset(None), Fault.unavailable(), answering(410), Fault.changed_etag()]
)
def test_a_target_that_fails_is_left(
    sky: ObjectServer, other_sky: ObjectServer, client: Client, fault: Fault
) -> None:
    """However a remembered target fails, the origin is asked the way again, at once."""
    sky.inject(Fault.redirect(other_sky.url_for(BUCKET, KEY)))
    pinned = client.pin(LOCATION)
    pinned.read_ranges([(0, 10)])
    other_sky.inject(fault, times=None)
    assert pinned.read_ranges([(10, 20)]) == [DATA[10:20]]
    assert len(sky.requests) == 2


def test_what_a_session_adds_to_urls_stays_behind(
    sky: ObjectServer, other_sky: ObjectServer, make_client: MakeClient
) -> None:
    """Parameters of a session may be a token: they are not for the stranger a redirect leads to."""
    sky.public.add(BUCKET)
    sky.inject(Fault.redirect(other_sky.url_for(BUCKET, KEY)))
    session = requests.Session()
    session.params = {"token": "s3cret"}
    assert read(make_client(sky, session=session, auth=Anonymous())) == DATA[100:200]
    assert ["s3cret" in record.target for record in (*sky.requests, *other_sky.requests)] == [True, False]


def test_a_target_that_refuses_at_once_is_an_error(
    sky: ObjectServer, other_sky: ObjectServer, client: Client
) -> None:
    """A redirect to where nobody is let in is AccessDeniedError, not a circle."""
    other_sky.public.clear()
    sky.inject(Fault.redirect(other_sky.url_for(BUCKET, KEY)), times=None)
    with pytest.raises(AccessDeniedError):
        read(client)
    assert (len(sky.requests), len(other_sky.requests)) == (1, 1)


@pytest.mark.parametrize(("where", "asked"), [("?a=1&{query}", ["/x?a=1"]), ("/{query}", [])])
def test_an_echoed_sas_does_not_reach_a_stranger(
    where: str, asked: list[str], make_client: MakeClient
) -> None:
    """What a server makes of a URL with our SAS is read without it, or not at all."""

    def echo(request: Received) -> Answer:
        query = request.path.partition("?")[2].rpartition("&")[2]
        return Answer(302, {"Location": f"{stranger.url}/x{where.format(query=query)}"})

    with recording_server(lambda request: Answer(403)) as stranger, recording_server(echo) as home:
        client = make_client(auth=AzureAuth(sas_token=SAS))
        with pytest.raises(StorageError, match="403" if asked else "made of one of ours"):
            read(client, f"{home.url}/c/b")
        assert "sig=" in home.requests[0].path
        assert [request.path for request in stranger.requests] == asked
