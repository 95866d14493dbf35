"""What goes wrong while a request's body is on its way, and after."""

from __future__ import annotations

import contextlib
import http.client
import socket

import pytest

from astro_cloud.testing import Fault, ObjectServer

from .conftest import Wire
from .uploading import TARGET, complete, create, upload_part

LARGE = bytes(64 * 1024 * 1024)
"""More than all buffers between a client and the server hold."""


@pytest.fixture(autouse=True)
def _bucket(object_server: ObjectServer) -> None:
    object_server.put("bucket", "key", b"old")


@pytest.mark.parametrize("after", [0, 1, 100_000])
@pytest.mark.parametrize("kind", ["reset_request", "cut_request"])
def test_a_connection_may_end_in_the_middle_of_a_body(wire: Wire, kind: str, after: int) -> None:
    """Without an answer; the log tells how much was read, and nothing is written."""
    wire.server.inject(getattr(Fault, kind)(after))
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        wire.ask("PUT", "/bucket/key", body=LARGE)
    (record,) = wire.server.wait_for_requests(1)
    assert (record.received, record.status, record.aborted) == (after, None, True)
    wire.connection.close()
    assert wire.ask("GET", "/bucket/key").body == b"old"


def test_a_request_without_so_much_body_ends_too(wire: Wire) -> None:
    """What there is was read."""
    wire.server.inject(Fault.cut_request(1000))
    with pytest.raises(http.client.RemoteDisconnected):
        wire.ask("PUT", "/bucket/key", body=b"new")
    assert [record.received for record in wire.server.requests] == [3]
    assert wire.server.path("bucket", "key").read_bytes() == b"old"


@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (403, "AccessDenied")])
def test_an_answer_may_come_before_the_body_is_read(wire: Wire, status: int, code: str) -> None:
    """A client that listens while it sends gets it; the connection is closed."""
    wire.server.inject(Fault.early_refusal(status, code, retry_after=1))
    headers = "".join(f"{name}: {value}\r\n" for name, value in wire.signed("PUT", TARGET, body=b""))
    host, port = wire.netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        sock.sendall(f"PUT {TARGET} HTTP/1.1\r\n{headers}Content-Length: {len(LARGE)}\r\n\r\n".encode())
        response = http.client.HTTPResponse(sock)
        response.begin()
        assert (response.status, response.headers["Retry-After"]) == (status, "1")
        assert response.headers["Connection"] == "close"
        assert code.encode() in response.read()
        assert sock.recv(1) == b""
    assert [(record.received, record.status) for record in wire.server.requests] == [(0, status)]


def test_an_early_answer_spares_a_client_that_asked_first(wire: Wire) -> None:
    """It sends no body where it is not told to go on."""
    wire.server.inject(Fault.early_refusal())
    headers = "".join(f"{name}: {value}\r\n" for name, value in wire.signed("PUT", TARGET, body=b""))
    host, port = wire.netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        sock.sendall(
            f"PUT {TARGET} HTTP/1.1\r\n{headers}Expect: 100-continue\r\nContent-Length: 9\r\n\r\n".encode()
        )
        assert sock.recv(1000).startswith(b"HTTP/1.1 503 ")


def test_a_server_may_stop_reading(wire: Wire) -> None:
    """The sending blocks, and the log tells what was read; the server closes at once all the same."""
    wire.server.inject(Fault.stall_request(1000))
    wire.connection.timeout = 0.2
    with pytest.raises(TimeoutError):
        wire.ask("PUT", "/bucket/key", body=LARGE)
    (record,) = wire.server.wait_for_requests(1)
    assert (record.received, record.status, record.aborted) == (1000, None, True)
    wire.connection.close()
    wire.connection.timeout = 5
    assert wire.ask("GET", "/bucket/key").body == b"old"
    wire.server.close()


def test_an_answer_may_be_lost_after_the_work_was_done(wire: Wire) -> None:
    """The object is there, or the upload complete, though the client was told nothing."""
    wire.server.inject(Fault.reset(None))
    with pytest.raises(ConnectionResetError):
        wire.ask("PUT", "/bucket/key", body=b"new")
    assert wire.server.path("bucket", "key").read_bytes() == b"new"
    wire.connection.close()
    upload_id = create(wire)
    parts = [(1, upload_part(wire, upload_id, 1, b"part"))]
    wire.server.inject(Fault.reset(None))
    with pytest.raises(ConnectionResetError):
        complete(wire, upload_id, parts)
    wire.connection.close()
    assert complete(wire, upload_id, parts).code == "NoSuchUpload"
    assert wire.ask("GET", TARGET).body == b"part"


def test_a_completion_may_fail_with_200(wire: Wire) -> None:
    """S3 begins its answer before it knows; the upload goes on, and may be completed."""
    upload_id = create(wire)
    parts = [(1, upload_part(wire, upload_id, 1, b"part"))]
    wire.server.inject(Fault.ok_with_error(), method="POST")
    reply = complete(wire, upload_id, parts)
    assert (reply.status, reply.code) == (200, "InternalError")
    assert wire.ask("GET", TARGET).status == 404
    assert complete(wire, upload_id, parts).code is None
    assert wire.ask("GET", TARGET).body == b"part"


def test_a_fault_may_befall_one_step_of_an_upload(wire: Wire) -> None:
    """By a parameter of the query, and its value."""
    server = wire.server
    server.inject(Fault.unavailable(500, "A"), method="POST", query="uploads")
    server.inject(Fault.unavailable(502, "B"), query="partNumber=2")
    server.inject(Fault.unavailable(504, "C"), method="POST", query="uploadId")
    assert wire.ask("POST", f"{TARGET}?uploads=").status == 500
    upload_id = create(wire)
    parts = [(1, upload_part(wire, upload_id, 1, b"part"))]
    assert upload_part(wire, upload_id, 2, b"part").status == 502
    assert upload_part(wire, upload_id, 2, b"part").status == 200
    assert complete(wire, upload_id, parts).status == 504
    assert complete(wire, upload_id, parts).status == 200


def test_the_log_counts_what_was_uploaded(wire: Wire) -> None:
    """Each request's body and all together, refused ones too, as far as they were read."""
    wire.ask("PUT", "/bucket/key", body=b"new")
    wire.ask("GET", "/bucket/key")
    wire.server.inject(Fault.unavailable())
    wire.ask("PUT", "/bucket/key", body=bytes(100_000))
    assert [record.received for record in wire.server.requests] == [3, 0, 100_000]
    assert wire.server.requests.received == 100_003
    wire.server.clear()
    headers = "".join(f"{name}: {value}\r\n" for name, value in wire.signed("PUT", TARGET, body=b"data"))
    host, port = wire.netloc.split(":")
    with contextlib.closing(socket.create_connection((host, int(port)), timeout=5)) as sock:
        sock.sendall(f"PUT {TARGET} HTTP/1.1\r\n{headers}Content-Length: 4\r\n\r\nda".encode())
    assert [record.received for record in wire.server.wait_for_requests(1)] == [2]


def test_a_byte_may_be_wrong(wire: Wire) -> None:
    """Where it is asked for; all else is told as it is."""
    wire.server.put("bucket", "key", b"0123", checksum="crc32")
    true = wire.ask("GET", "/bucket/key", {"x-amz-checksum-mode": "ENABLED"})
    wire.server.inject(Fault.corrupted(2), times=3)
    wrong = wire.ask("GET", "/bucket/key", {"x-amz-checksum-mode": "ENABLED"})
    assert (wrong.status, wrong.body) == (200, b"01\xcd3")
    for name in ("ETag", "x-amz-checksum-crc32", "Content-Length"):
        assert wrong.headers[name] == true.headers[name]
    assert wire.ask("GET", "/bucket/key", {"Range": "bytes=2-3"}).body == b"\xcd3"
    assert wire.ask("GET", "/bucket/key", {"Range": "bytes=0-1"}).body == b"01"
