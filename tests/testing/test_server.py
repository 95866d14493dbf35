"""The life of a server, its connections, its pace, its log and the doors to it."""

from __future__ import annotations

import io
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import pytest

import astro_cloud.testing
from astro_cloud.testing import AccessKey, Fault, Headers, ObjectServer, RequestLog, RequestRecord
from astro_cloud.testing.__main__ import main
from astro_cloud.testing.request_log import Recorder

from .conftest import Wire

pytest_plugins = ["pytester"]


def raw(server: ObjectServer, data: bytes) -> bytes:
    """What comes back over a connection of its own until the server closes it."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        sock.sendall(data)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def test_a_server_that_does_not_run_touches_nothing(tmp_path: Path) -> None:
    """The constructor opens no socket and asks nothing of the disk; the URL is known while it runs."""
    server = ObjectServer(tmp_path / "absent")
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.url
    with pytest.raises(NotADirectoryError), server:
        pass
    server.close()


def test_close_ends_threads_and_sockets(tmp_path: Path) -> None:
    """Idle, hanging and streaming connections all end; closing twice is harmless; the log stays."""
    server = ObjectServer(tmp_path, public=["bucket"])
    server.put("bucket", "key", bytes(10_000_000))
    before = threading.active_count()
    with server:
        server.inject(Fault.never_answers(), key="silent")
        address = ("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
        sockets = [socket.create_connection(address, timeout=5) for _ in range(3)]
        sockets[0].sendall(b"GET /bucket/silent HTTP/1.1\r\nHost: x\r\n\r\n")
        sockets[1].sendall(b"GET /bucket/key HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sockets[1].recv(1) == b"H"
        with pytest.raises(RuntimeError, match="running already"):
            server.__enter__()
    server.close()
    assert threading.active_count() == before
    for sock in sockets:
        sock.close()
    assert len(server.requests) == 2
    with pytest.raises(ConnectionError), socket.create_connection(address, timeout=5):
        pass
    with server:
        assert server.url.startswith("http://127.0.0.1:")


def test_a_connection_is_kept_for_many_requests(wire: Wire) -> None:
    """Until the client wishes otherwise."""
    wire.server.public.add("bucket")
    wire.server.put("bucket", "key", b"data")
    for _ in range(5):
        assert wire.send("GET", "/bucket/key").headers["Connection"] is None
    assert wire.server.requests.connections == 1
    assert (
        wire.send("GET", "/bucket/key", [("Host", "x"), ("Connection", "close")]).headers["Connection"]
        == "close"
    )
    answer = raw(wire.server, b"GET /bucket/key HTTP/1.0\r\n\r\n")
    assert answer.endswith(b"Connection: close\r\n\r\ndata")


def test_requests_sent_at_once_are_answered_in_order(wire: Wire) -> None:
    """Pipelined, with empty lines between them, and a scheme and host in the target."""
    wire.server.public.add("bucket")
    for key in "ab":
        wire.server.put("bucket", key, key.encode() * 3)
    answer = raw(
        wire.server,
        b"\r\nGET /bucket/a HTTP/1.1\r\nHost: x\r\n\r\n\r\n"
        b"GET http://x/bucket/b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    assert answer.index(b"aaa") < answer.index(b"bbb")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"nonsense\r\n", 400),
        (b"GET /with space HTTP/1.1\r\nHost: x\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: x\r\n", 400),
        (b"G@T / HTTP/1.1\r\nHost: x\r\n", 400),
        (b"GET / HTTP/1.1\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nname : value\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nname\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\na: b\r\n folded\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n", 400),
        (b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n", 501),
        (b"GET / HTTP/1.1\r\nHost: x\r\nlong: " + b"x" * 70_000 + b"\r\n", 431),
    ],
)
def test_a_head_that_cannot_be_understood_ends_the_connection(
    object_server: ObjectServer, head: bytes, status: int
) -> None:
    """With a reason; what follows on the connection is not taken for a request."""
    answer = raw(object_server, head + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.count(b"\r\nDate: ") == 1
    assert [record.status for record in object_server.requests] == [status]


def test_latency_comes_before_the_first_byte(wire: Wire) -> None:
    """More on the first request of a connection; both can be set while the server runs."""
    wire.server.latency, wire.server.connect_latency = 0.01, 0.03
    for _ in range(2):
        wire.send("GET", "/bucket/key")
    waits = [
        record.t_first_byte - record.t_received for record in wire.server.requests if record.t_first_byte
    ]
    assert waits[0] >= 0.04
    assert waits[1] >= 0.01


def test_bandwidth_paces_a_body(wire: Wire) -> None:
    """N bytes take N / bandwidth seconds at least."""
    wire.server.public.add("bucket")
    wire.server.put("bucket", "key", bytes(300_000))
    wire.server.bandwidth = 10e6
    assert len(wire.send("GET", "/bucket/key").body) == 300_000
    (record,) = wire.server.requests
    assert record.t_first_byte is not None
    assert record.t_end - record.t_first_byte >= 0.03


def test_the_log_has_what_was_asked_and_sent(wire: Wire) -> None:
    """As soon as the client has the answer, every time."""
    wire.server.put("bucket", "a b", b"0123456789")
    for count in range(1, 51):
        wire.ask("GET", "/bucket/a%20b", {"Range": "bytes=0-4"})
        assert len(wire.server.requests) == count
    record = wire.server.requests[0]
    assert (record.method, record.target, record.path) == ("GET", "/bucket/a%20b", "/bucket/a b")
    assert (record.bucket, record.key, record.range) == ("bucket", "a b", "bytes=0-4")
    assert (record.status, record.body_bytes, record.aborted, record.connection) == (206, 5, False, 1)
    assert record.headers["HOST"] == record.headers["host"] == wire.netloc
    assert record.t_first_byte is not None
    assert record.t_received <= record.t_first_byte <= record.t_end
    log = wire.server.requests
    assert (log.body_bytes, log.connections, log.round_trips, len(log.where(key="a b"))) == (250, 1, 50, 50)
    assert log.where(method="PUT") == log.where(bucket="c") == []
    wire.server.clear()
    assert wire.server.requests == []
    with pytest.raises(TimeoutError):
        wire.server.wait_for_requests(1, timeout=0.0)


def test_the_log_waits_for_an_answer_that_is_just_leaving() -> None:
    """A client that has its answer finds it in the log, though the record comes a moment later."""
    recorder = Recorder()
    recorder.announce()
    asked = threading.Event()
    found: list[RequestLog] = []

    def look() -> None:
        asked.set()
        found.append(recorder.records())

    thread = threading.Thread(target=look)
    thread.start()
    assert asked.wait(5)
    recorder.add(record(0, 1), announced=True)
    thread.join()
    assert found == [[record(0, 1)]]


def test_the_log_is_in_the_order_the_answers_ended() -> None:
    """Though the thread of an earlier one, on another connection, comes to write its record later."""
    recorder = Recorder()
    earlier, later, latest = record(0, 1), record(1, 2), record(1, 3)
    recorder.announce()
    recorder.add(latest, announced=False)
    recorder.add(later, announced=False)
    recorder.add(earlier, announced=True)
    assert recorder.records() == recorder.wait_for(3, timeout=0.0) == [earlier, later, latest]


def test_a_client_that_leaves_is_in_the_log(object_server: ObjectServer) -> None:
    """With the bytes it was sent, fewer than the body has."""
    object_server.public.add("bucket")
    object_server.put("bucket", "key", bytes(50_000_000))
    with socket.create_connection(("127.0.0.1", int(object_server.url.rsplit(":", 1)[1])), timeout=5) as sock:
        sock.sendall(b"GET /bucket/key HTTP/1.1\r\nHost: x\r\n\r\n")
        sock.recv(1000)
    (record,) = object_server.wait_for_requests(1)
    assert record.aborted
    assert 0 < record.body_bytes < 50_000_000


def record(t_received: float, t_end: float) -> RequestRecord:
    return RequestRecord(1, "GET", "/", "/", "", "", Headers(), 200, 0, t_received, t_received, t_end, False)


@pytest.mark.parametrize(
    ("spans", "chain"),
    [
        ([], 0),
        ([(0, 1)], 1),
        ([(0, 1), (1, 2), (2, 3)], 3),
        ([(0, 1), (0, 1), (0, 1)], 1),
        ([(0, 10), (0, 1), (2, 3), (4, 5)], 3),
        ([(0, 2), (1, 3), (2, 4)], 2),
    ],
)
def test_round_trips_are_the_longest_chain(spans: list[tuple[float, float]], chain: int) -> None:
    """Requests that overlap count once."""
    assert RequestLog(record(*span) for span in spans).round_trips == chain


def test_requests_side_by_side_are_one_round_trip(object_server: ObjectServer) -> None:
    """None is answered before all have come."""
    barrier = threading.Barrier(5)
    object_server.inject(Fault("together", lambda request, serve: (barrier.wait(5), serve())[1]), times=5)
    in_threads(object_server, 5, lambda wire, number: wire.send("GET", "/bucket/key"))
    assert (len(object_server.requests), object_server.requests.round_trips) == (5, 1)


def test_many_connections_at_once_are_served_each_its_own(object_server: ObjectServer) -> None:
    """No bytes of one reach another, and each request is in the log once."""
    object_server.public.add("bucket")
    for number in range(8):
        object_server.put("bucket", str(number), bytes([number]) * 100_000)
    wrong: list[int] = []

    def read(wire: Wire, number: int) -> None:
        for _ in range(25):
            if wire.send("GET", f"/bucket/{number}").body != bytes([number]) * 100_000:
                wrong.append(number)

    in_threads(object_server, 8, read)
    log = object_server.requests
    assert (wrong, len(log), log.connections, log.body_bytes) == ([], 200, 8, 20_000_000)


def in_threads(server: ObjectServer, count: int, work: Callable[[Wire, int], object]) -> None:
    """Do the work in so many threads, each with a connection of its own."""
    wires = [Wire(server) for _ in range(count)]
    threads = [threading.Thread(target=work, args=(wire, number)) for number, wire in enumerate(wires)]
    for thread in threads:
        thread.start()
    for thread, wire in zip(threads, wires, strict=True):
        thread.join()
        wire.close()


def test_a_repr_of_the_log_hides_signatures_and_tokens(wire: Wire) -> None:
    """The values are whole; what is printed is not."""
    key = AccessKey("AKIATEMP", "secret", "the-token")
    wire.server.credentials["AKIATEMP"] = key
    wire.ask("GET", "/bucket/key", key=key)
    wire.send("GET", "/bucket/key?X-Amz-Signature=abcdef&X-Amz-Security-Token=the-token")
    wire.send("GET", "/bucket/key", [("Host", "x"), ("Authorization", "Bearer the-token")])
    log = wire.server.requests
    signature = log[0].headers["Authorization"].rpartition("=")[2]
    assert len(signature) == 64
    assert log[0].headers["x-amz-security-token"] == "the-token"
    for secret in (signature, "the-token", "abcdef"):
        assert secret not in repr(log)
    assert "Signature=***" in repr(log[0])


def test_the_environment_leads_an_s3_tool_here(object_server: ObjectServer) -> None:
    """botocore, told nothing else, reads an object."""
    code = (
        "import botocore.session as b;"
        "print(b.get_session().create_client('s3').get_object(Bucket='bucket', Key='a b')['Body'].read())"
    )
    object_server.put("bucket", "a b", b"data")
    run = subprocess.run(
        [sys.executable, "-c", code], env=object_server.environ, capture_output=True, text=True, check=True
    )
    assert run.stdout == "b'data'\n"
    (record,) = object_server.requests
    assert (record.status, record.target) == (200, "/bucket/a%20b")


def test_credentials_are_a_list_a_mapping_or_made_up(tmp_path: Path) -> None:
    """Made up, they differ from server to server."""
    key = AccessKey("AKIATEMP", "secret", "token")
    assert ObjectServer(tmp_path, credentials=[key]).credentials == {"AKIATEMP": key}
    with ObjectServer(tmp_path, credentials={"AKIATEMP": key}) as server:
        assert (server.access_key, server.secret_key) == ("AKIATEMP", "secret")
        assert server.environ["AWS_SESSION_TOKEN"] == "token"
    assert ObjectServer(tmp_path).secret_key != ObjectServer(tmp_path).secret_key


def test_url_for_percent_encodes(object_server: ObjectServer) -> None:
    """Each key by the canonical form of SigV4."""
    assert object_server.url_for("bucket") == f"{object_server.url}/bucket"
    assert (
        object_server.url_for("bucket", "a b/ü+%?#~")
        == f"{object_server.url}/bucket/a%20b/%C3%BC%2B%25%3F%23~"
    )


def test_the_command_prints_how_to_reach_it(tmp_path: Path) -> None:
    """The URL and the lines a shell takes."""
    stop = threading.Event()
    stop.set()
    printed = io.StringIO()
    with redirect_stdout(printed):
        main(
            [
                str(tmp_path),
                "--latency",
                "0.1",
                "--bandwidth",
                "1e6",
                "--public",
                "a",
                "--requester-pays",
                "b",
            ],
            stop,
        )
    lines = printed.getvalue().splitlines()
    assert lines[0].startswith("# http://127.0.0.1:")
    assert [line.split("=")[0] for line in lines[1:4]] == [
        "export AWS_ACCESS_KEY_ID",
        "export AWS_SECRET_ACCESS_KEY",
        "export AWS_DEFAULT_REGION",
    ]


def test_the_plugin_gives_a_server_to_a_test(pytester: pytest.Pytester) -> None:
    """The fixture comes with the installed package, and costs no import where it is not used."""
    pytester.makepyfile(
        """
        import sys

        def test_unused():
            assert "astro_cloud.testing.server" not in sys.modules

        def test_used(object_server):
            object_server.put("bucket", "key", b"data")
            assert object_server.url.startswith("http://127.0.0.1:")
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_the_public_names_are_sorted_and_there() -> None:
    """What ``astro_cloud.testing`` offers."""
    names = astro_cloud.testing.__all__
    assert names == sorted(names)
    assert all(hasattr(astro_cloud.testing, name) for name in names)
