"""Who may read: signatures, tokens, public buckets, requester pays."""

from __future__ import annotations

import pytest

from astro_cloud.testing import AccessKey, ObjectServer

from .conftest import Wire


@pytest.fixture(autouse=True)
def _objects(object_server: ObjectServer) -> None:
    for bucket in ("private", "open", "paid"):
        object_server.put(bucket, "key", b"0123456789")
    object_server.public.add("open")
    object_server.requester_pays.add("paid")


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/open/key", 200),
        ("HEAD", "/open/key", 200),
        ("GET", "/open?list-type=2", 200),
        ("PUT", "/open/new", 403),
        ("DELETE", "/open/key", 403),
        ("GET", "/private/key", 403),
        ("GET", "/private/absent", 403),
        ("GET", "/absent/key", 403),
        ("GET", "/paid/key", 403),
        ("GET", "/", 403),
        ("PUT", "/new", 403),
    ],
)
def test_without_a_signature_only_public_buckets_are_read(
    wire: Wire, method: str, target: str, status: int
) -> None:
    """Reading, not writing; and a refusal does not tell what exists."""
    reply = wire.send(method, target)
    assert reply.status == status
    assert status == 200 or method == "HEAD" or reply.code == "AccessDenied"
    assert wire.server.path("open", "key").exists()


def test_a_requester_pays_bucket_wants_the_header_signed(wire: Wire) -> None:
    """Without it a plain AccessDenied, as S3 answers; with it the answer says that it was charged."""
    plain = wire.ask("GET", "/paid/key")
    assert (plain.status, plain.code, plain.headers["x-amz-request-charged"]) == (403, "AccessDenied", None)
    assert wire.ask("GET", "/paid/key", {"x-amz-request-payer": "me"}).status == 403
    paid = wire.ask("GET", "/paid/key", {"x-amz-request-payer": "requester", "Range": "bytes=0-1"})
    assert (paid.status, paid.headers["x-amz-request-charged"]) == (206, "requester")
    assert wire.ask("GET", "/paid?list-type=2").status == 403
    assert wire.ask("HEAD", "/paid/key").status == 403
    anonymous = [("Host", wire.netloc), ("x-amz-request-payer", "requester")]
    assert wire.send("GET", "/paid/key", anonymous).status == 403
    assert (
        wire.ask("GET", "/private/key", {"x-amz-request-payer": "requester"}).headers["x-amz-request-charged"]
        is None
    )


def test_a_public_bucket_that_is_requester_pays_wants_a_signature(wire: Wire) -> None:
    """Somebody has to pay."""
    wire.server.public.add("paid")
    assert wire.send("GET", "/paid/key").status == 403


@pytest.mark.parametrize(
    ("configured", "sent", "status", "code"),
    [
        ("token", "token", 200, None),
        ("token", None, 403, "AccessDenied"),
        ("token", "other", 400, "InvalidToken"),
        (None, "token", 400, "InvalidToken"),
    ],
)
def test_a_session_token_must_be_the_one_configured(
    wire: Wire, configured: str | None, sent: str | None, status: int, code: str | None
) -> None:
    """Each request with temporary keys carries their token."""
    wire.server.credentials["AKIATEMP"] = AccessKey("AKIATEMP", "secret", configured)
    reply = wire.ask("GET", "/private/key", key=AccessKey("AKIATEMP", "secret", sent))
    assert (reply.status, reply.code if code else None) == (status, code)


def test_an_expired_token_is_told_as_such(wire: Wire) -> None:
    """A client can tell that it must fetch new credentials."""
    expired = AccessKey("AKIATEMP", "secret", "token", expired=True)
    wire.server.credentials["AKIATEMP"] = expired
    reply = wire.ask("GET", "/private/key", key=expired)
    assert (reply.status, reply.code) == (400, "ExpiredToken")


def test_a_clock_can_be_given(tmp_path: object, wire: Wire) -> None:
    """A server whose clock is wrong refuses good requests, and its Date header says what it thinks."""
    with ObjectServer(wire.server.root, clock=lambda: 0.0, credentials=wire.server.credentials) as server:
        other = Wire(server)
        reply = other.ask("GET", "/private/key")
        other.close()
    assert (reply.status, reply.code) == (403, "RequestTimeTooSkewed")
    assert reply.headers["Date"] == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert reply.xml("ServerTime") == "1970-01-01T00:00:00Z"


def test_a_repr_shows_no_secret(object_server: ObjectServer) -> None:
    """Neither of a key nor of the server."""
    key = AccessKey("AKIATEMP", "the-secret", "the-token")
    assert "the-" not in repr(key)
    assert object_server.secret_key not in repr(object_server) + repr(object_server.credentials)
