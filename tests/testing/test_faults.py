"""Each fault does to an answer what it says, and nothing else."""

from __future__ import annotations

import gzip
import http.client
import socket
from dataclasses import replace

import pytest

from astro_cloud.testing import Answer, Fault, ObjectServer

from .conftest import Reply, Wire

DATA = bytes(range(256)) * 1000


@pytest.fixture(autouse=True)
def _objects(object_server: ObjectServer) -> None:
    object_server.put("bucket", "key", DATA)
    object_server.put("bucket", "other", b"other")


def ask(wire: Wire, fault: Fault, asked: str | None = "bytes=100-199") -> Reply:
    wire.server.inject(fault)
    return wire.ask("GET", "/bucket/key", {"Range": asked} if asked else {})


@pytest.mark.parametrize(
    ("fault", "status", "code", "retry_after"),
    [
        (Fault.unavailable(), 503, "SlowDown", None),
        (Fault.unavailable(retry_after=2), 503, "SlowDown", "2"),
        (Fault.unavailable(429, "TooManyRequests"), 429, "TooManyRequests", None),
        (Fault.unavailable(500, "InternalError"), 500, "InternalError", None),
        (Fault.unavailable(400, "RequestTimeout"), 400, "RequestTimeout", None),
    ],
)
def test_unavailable_is_an_error_once(
    wire: Wire, fault: Fault, status: int, code: str, retry_after: str | None
) -> None:
    """In S3's XML; the request after it is served on the same connection."""
    reply = ask(wire, fault)
    assert (reply.status, reply.code, reply.headers["Retry-After"]) == (status, code, retry_after)
    assert wire.ask("GET", "/bucket/key").body == DATA
    assert wire.server.requests.connections == 1


def test_unavailable_keeps_a_request_from_being_carried_out(wire: Wire) -> None:
    """Nothing is written."""
    wire.server.inject(Fault.unavailable(), method="PUT")
    assert wire.ask("PUT", "/bucket/key", body=b"new").status == 503
    assert wire.server.path("bucket", "key").read_bytes() == DATA


@pytest.mark.parametrize("after", [0, 1, 1000, 100_000])
def test_a_cut_body_ends_early(wire: Wire, after: int) -> None:
    """The headers promise more than comes, and do not tell that the connection will be closed."""
    wire.server.inject(Fault.cut(after))
    with pytest.raises(http.client.IncompleteRead) as short:
        wire.ask("GET", "/bucket/key")
    assert short.value.partial == DATA[:after]
    (record,) = wire.server.requests
    assert (record.body_bytes, record.aborted, record.status) == (after, True, 200)
    wire.connection.close()
    assert wire.ask("GET", "/bucket/key").body == DATA


@pytest.mark.parametrize("after", [None, 0, 1000])
def test_a_reset_is_an_error_of_the_connection(wire: Wire, after: int | None) -> None:
    """Not an orderly end, before or after the headers."""
    wire.server.inject(Fault.reset(after))
    with pytest.raises(ConnectionResetError):
        wire.ask("GET", "/bucket/key")
    (record,) = wire.server.requests
    assert (record.body_bytes, record.aborted) == (after or 0, True)
    assert record.status == (None if after is None else 200)


def test_one_that_never_answers_hangs_until_the_client_leaves(wire: Wire) -> None:
    """The record then says that there was no answer."""
    wire.server.inject(Fault.never_answers())
    host, port = wire.netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        sock.sendall(f"GET /bucket/key HTTP/1.1\r\nHost: {wire.netloc}\r\n\r\n".encode())
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(1)
        assert wire.server.requests == []
    (record,) = wire.server.wait_for_requests(1)
    assert (record.status, record.t_first_byte, record.aborted) == (None, None, True)


def test_a_stall_falls_silent_in_the_middle(wire: Wire) -> None:
    """The bytes before it arrive; closing the server ends it."""
    wire.server.inject(Fault.stall(1000))
    headers = wire.signed("GET", "/bucket/key")
    wire.connection.request("GET", "/bucket/key", headers=dict(headers))
    response = wire.connection.getresponse()
    assert response.read(1000) == DATA[:1000]
    assert wire.server.requests == []
    wire.server.close()
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        response.read()
    assert [record.body_bytes for record in wire.server.requests] == [1000]


def test_whole_body_for_a_range(wire: Wire) -> None:
    """200, no Content-Range, every byte."""
    reply = ask(wire, Fault.whole_body())
    assert (reply.status, reply.body, reply.headers["Content-Range"]) == (200, DATA, None)


def test_ok_with_content_range(wire: Wire) -> None:
    """rclone's answer: 200, the right bytes and their place."""
    reply = ask(wire, Fault.ok_with_content_range())
    assert (reply.status, reply.body, reply.headers["Content-Range"]) == (
        200,
        DATA[100:200],
        "bytes 100-199/256000",
    )


@pytest.mark.parametrize(
    ("fault", "content_range"),
    [
        (Fault.wrong_content_range(start=5), "bytes 105-204/256000"),
        (Fault.wrong_content_range(length=-1), "bytes 100-198/256000"),
        (Fault.wrong_content_range(total=-56000), "bytes 100-199/200000"),
        (Fault.unknown_total(), "bytes 100-199/*"),
    ],
)
def test_a_wrong_content_range_comes_with_the_right_bytes(
    wire: Wire, fault: Fault, content_range: str
) -> None:
    """Only the header is wrong."""
    reply = ask(wire, fault)
    assert (reply.status, reply.body, reply.headers["Content-Range"]) == (206, DATA[100:200], content_range)
    assert ask(wire, fault, None).headers["Content-Range"] is None


def test_etags_can_change_and_be_absent(wire: Wire) -> None:
    """For that answer only; a condition is judged by the true one."""
    true = wire.ask("GET", "/bucket/key").headers["ETag"]
    wire.server.inject(Fault.changed_etag('"new"'))
    wire.server.inject(Fault.no_etag())
    replies = [wire.ask("GET", "/bucket/key", {"If-Match": true}) for _ in range(3)]
    assert [reply.headers["ETag"] for reply in replies] == ['"new"', None, true]
    assert {reply.body for reply in replies} == {DATA}


def test_gzip_in_place_of_the_bytes(wire: Wire) -> None:
    """nginx's way: 200, the whole object compressed, a weak ETag."""
    reply = ask(wire, Fault.gzip())
    assert (reply.status, reply.headers["Content-Encoding"]) == (200, "gzip")
    assert gzip.decompress(reply.body) == DATA
    assert reply.headers["ETag"].startswith('W/"')
    assert reply.headers["Content-Range"] is None


def test_gzip_as_a_label(wire: Wire) -> None:
    """S3's way: the stored bytes, called gzip."""
    reply = ask(wire, Fault.labelled_gzip())
    assert (reply.status, reply.body, reply.headers["Content-Encoding"]) == (206, DATA[100:200], "gzip")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_leads_elsewhere(wire: Wire, status: int) -> None:
    """With the Location given."""
    reply = ask(wire, Fault.redirect("http://127.0.0.1:1/else", status))
    assert (reply.status, reply.headers["Location"]) == (status, "http://127.0.0.1:1/else")


def test_a_416_may_lack_its_content_range(wire: Wire) -> None:
    """As of Ceph, Swift and rclone."""
    reply = ask(wire, Fault.bare_416(), "bytes=256000-")
    assert (reply.status, reply.headers["Content-Range"]) == (416, None)
    assert ask(wire, Fault.bare_416()).headers["Content-Range"] == "bytes 100-199/256000"


@pytest.mark.parametrize(
    "fault",
    [
        Fault.whole_body(),
        Fault.no_etag(),
        Fault.gzip(),
        Fault.wrong_content_range(start=1),
        Fault.unknown_total(),
    ],
)
def test_a_fault_of_objects_leaves_refusals_alone(wire: Wire, fault: Fault) -> None:
    """A 403 or 404 has no bytes to go wrong, and a signature is still judged."""
    wire.server.inject(fault, times=2)
    assert wire.send("GET", "/bucket/key").status == 403
    assert wire.ask("GET", "/bucket/absent").status == 404


def test_faults_befall_the_requests_they_fit_in_order(wire: Wire) -> None:
    """By key and method, as often as was said; None is always."""
    server = wire.server
    server.inject(Fault.unavailable(500, "A"), times=2, key="key")
    server.inject(Fault.unavailable(502, "B"), times=None, method="HEAD")
    server.inject(Fault.unavailable(504, "C"))
    statuses = [
        wire.ask(method, f"/bucket/{key}").status
        for method, key in [
            ("GET", "other"),
            ("GET", "key"),
            ("HEAD", "other"),
            ("HEAD", "key"),
            ("GET", "key"),
            ("HEAD", "key"),
        ]
    ]
    assert statuses == [504, 500, 502, 500, 200, 502]
    server.clear_faults()
    assert wire.ask("HEAD", "/bucket/key").status == 200
    with pytest.raises(ValueError, match="times"):
        server.inject(Fault.no_etag(), times=0)


def test_a_fault_can_be_written_by_hand(wire: Wire) -> None:
    """It is a name and a function from the request and its serving to the answer."""
    teapot = Fault("teapot", lambda request, serve: replace(serve(), status=418))
    other = Fault("other", lambda request, serve: (serve(), Answer(200, body=b"else"))[1])
    broken = Fault("broken", lambda request, serve: Answer(1 // 0))
    assert [ask(wire, teapot).status, ask(wire, other).body] == [418, b"else"]
    reply = ask(wire, broken)
    assert (reply.status, "ZeroDivisionError" in (reply.xml("Message") or "")) == (500, True)
    assert repr(teapot) == "Fault(kind='teapot')"
