"""PUT and DELETE, and bodies that must not upset the connection."""

from __future__ import annotations

import base64
import hashlib
import socket

import pytest

from astro_cloud.testing import Fault, ObjectServer

from .conftest import Wire


@pytest.fixture(autouse=True)
def _bucket(object_server: ObjectServer) -> None:
    object_server.put("bucket", "key", b"old")


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_a_put_object_is_read_back(wire: Wire, size: int) -> None:
    """Its ETag is the MD5 of the body, in the answer to the PUT and to the GET."""
    data = bytes(size)
    written = wire.ask("PUT", "/bucket/new", body=data)
    assert (written.status, written.headers["ETag"]) == (200, f'"{hashlib.md5(data).hexdigest()}"')
    read = wire.ask("GET", "/bucket/new")
    assert (read.body, read.headers["ETag"]) == (data, written.headers["ETag"])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-None-Match": "*"}, 412),
        ({"If-Match": '"other"'}, 412),
        ({"If-Match": f'"{hashlib.md5(b"old").hexdigest()}"'}, 200),
        ({"Content-MD5": base64.b64encode(hashlib.md5(b"new").digest()).decode()}, 200),
        ({"Content-MD5": base64.b64encode(hashlib.md5(b"else").digest()).decode()}, 400),
        ({"x-amz-copy-source": "/bucket/key"}, 501),
    ],
)
def test_a_put_under_a_condition(wire: Wire, headers: dict[str, str], status: int) -> None:
    """It replaces the object only where the condition holds and the body is whole."""
    assert wire.ask("PUT", "/bucket/key", headers, b"new").status == status
    assert wire.server.path("bucket", "key").read_bytes() == (b"new" if status == 200 else b"old")


def test_an_unread_body_does_not_upset_the_connection(wire: Wire) -> None:
    """After a refusal, a fault or a method without body, the next request on the connection is understood."""
    body = b"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n" * 100_000
    wire.server.inject(Fault.unavailable(), method="PUT", key="key")
    assert wire.ask("PUT", "/bucket/key", body=body).status == 503
    assert wire.send("PUT", "/bucket/key", None, body).status == 403
    assert wire.ask("PUT", "/absent/key", body=body).status == 404
    assert wire.ask("GET", "/bucket/key", body=body).status == 200
    assert wire.ask("GET", "/bucket/key").body == b"old"
    assert [record.status for record in wire.server.requests] == [503, 403, 404, 200, 200]
    assert wire.server.requests.connections == 1


def test_a_client_that_waits_for_100_continue_is_told_to_go_on(wire: Wire) -> None:
    """It sends the body only then."""
    headers = wire.signed("PUT", "/bucket/key", body=b"new")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    head = f"PUT /bucket/key HTTP/1.1\r\n{lines}Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    host, port = wire.netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        sock.sendall(head.encode())
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"new")
        assert sock.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
    assert wire.server.path("bucket", "key").read_bytes() == b"new"


def test_a_client_that_leaves_in_the_middle_of_a_body_writes_nothing(wire: Wire) -> None:
    """The object before stays, and the log says that the request was aborted."""
    headers = wire.signed("PUT", "/bucket/key", body=b"new")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    host, port = wire.netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        sock.sendall(f"PUT /bucket/key HTTP/1.1\r\n{lines}Content-Length: 3\r\n\r\nne".encode())
    (record,) = wire.server.wait_for_requests(1)
    assert (record.aborted, record.status) == (True, None)
    assert [path.name for path in (wire.server.root / "bucket").iterdir()] == ["key"]
    assert wire.server.path("bucket", "key").read_bytes() == b"old"


def test_a_put_without_a_length_is_refused(wire: Wire) -> None:
    """411, as S3 answers."""
    wire.connection.putrequest("PUT", "/bucket/key", skip_host=True, skip_accept_encoding=True)
    for name, value in wire.signed("PUT", "/bucket/key"):
        wire.connection.putheader(name, value)
    wire.connection.endheaders()
    response = wire.connection.getresponse()
    assert (response.status, b"MissingContentLength" in response.read()) == (411, True)


def test_a_bucket_is_made_once_and_again(wire: Wire) -> None:
    """Its name in the answer's header is encoded, so that no name can break the answer."""
    for _ in range(2):
        reply = wire.ask("PUT", "/a%0D%0Ab%20c")
        assert (reply.status, reply.headers["Location"]) == (200, "/a%0D%0Ab%20c")


def test_a_delete_is_harmless_twice(wire: Wire) -> None:
    """204 each time; the bucket stays."""
    assert [wire.ask("DELETE", "/bucket/key").status for _ in range(2)] == [204, 204]
    assert wire.ask("HEAD", "/bucket").status == 200
    assert wire.ask("DELETE", "/bucket").status == 501
