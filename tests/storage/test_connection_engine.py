"""Connections of our own against servers that say anything: kept, closed, cut, silent, odd or wrong."""

from __future__ import annotations

import gc
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

import pytest
import requests

from astro_cloud.exceptions import IncompleteReadError, StorageError, TransferTimeoutError
from astro_cloud.storage import Client, Settings, connection_engine
from astro_cloud.storage.connection_engine import ConnectionEngine
from astro_cloud.storage.stop import Stop, Stopped
from tests.servers.tls import Certificate
from tests.storage.raw_server import RawServer, chunked, part, raw_server, said
from tests.storage.reading import MakeClient

DATA = bytes(range(256)) * 40
FIRST, SECOND = part(DATA, 0, 100), part(DATA, 200, 300)


def ask(url: str, method: str = "GET", **headers: str) -> requests.PreparedRequest:
    return requests.Request(method, url, headers=headers).prepare()


def engine_of(server: RawServer, **settings: Any) -> ConnectionEngine:
    return ConnectionEngine(server.url, True, Settings(**settings))


def read(engine: ConnectionEngine, url: str) -> bytes:
    """Send one request, and read the answer to its end."""
    with engine.send(ask(url)) as answer:
        body = b""
        while chunk := answer.read(1 << 16):
            body += chunk
        return body


@contextmanager
def secure(certificate: Certificate, *scripts: list[bytes], hold: bool = False) -> Iterator[RawServer]:
    """Serve over https; the client must trust the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    with raw_server(*scripts, hold=hold, context=context) as server:
        yield server


def test_one_connection_serves_many_reads(make_client: MakeClient) -> None:
    """A body read to its end frees its connection for the next request."""
    with raw_server([FIRST, SECOND, FIRST], hold=True) as server:
        pinned = make_client().pin(server.url)
        for start in (0, 200, 0):
            assert pinned.read_ranges([(start, start + 100)]) == [DATA[start : start + 100]]
        assert [len(heads) for heads in server.heads] == [3]


def test_a_connection_that_the_server_closed_is_not_used(make_client: MakeClient, waits: list[float]) -> None:
    """A server that closes idle connections costs no failure, and no wait."""
    with raw_server([FIRST], [SECOND]) as server:
        client = make_client()
        assert client.read_ranges(server.url, [(0, 100)]) == [DATA[:100]]
        server_closed(server)
        assert client.read_ranges(server.url, [(200, 300)]) == [DATA[200:300]]
        assert (len(server.heads), client.usage.requests, waits) == (2, 2, [])


def server_closed(server: RawServer) -> None:
    for thread in list(server._threads[1:]):
        thread.join(5)


@pytest.mark.parametrize("last", ["HTTP/1.0 206 OK", "HTTP/1.1 206 OK\r\nConnection: close"])
def test_a_connection_for_one_answer_is_not_kept(make_client: MakeClient, last: str) -> None:
    """Neither HTTP/1.0 nor ``Connection: close`` keeps one, whether or not the length was announced."""
    with raw_server([FIRST.replace(b"HTTP/1.1 206 Partial Content", last.encode())], hold=True) as server:
        client = make_client()
        for _ in range(2):
            assert client.read_ranges(server.url, [(0, 100)]) == [DATA[:100]]
        assert [len(heads) for heads in server.heads] == [1, 1]
        assert server.left.wait(5)


def test_http_1_0_may_keep_a_connection(make_client: MakeClient) -> None:
    """With ``Connection: keep-alive`` it is used again."""
    kept = FIRST.replace(b"HTTP/1.1 206 Partial Content", b"HTTP/1.0 206 OK\r\nConnection: keep-alive")
    with raw_server([kept, kept], hold=True) as server:
        client = make_client()
        for _ in range(2):
            assert client.read_ranges(server.url, [(0, 100)]) == [DATA[:100]]
        assert [len(heads) for heads in server.heads] == [2]


def test_a_body_of_unannounced_length_ends_with_its_connection(make_client: MakeClient) -> None:
    """What Content-Range promises is there when the connection closes, or is asked for again."""
    head = said("HTTP/1.0 206 OK", f"Content-Range: bytes 0-99/{len(DATA)}")
    rest = part(DATA, 40, 100)
    with raw_server([head + DATA[:40]], [rest]) as server:
        assert make_client().read_ranges(server.url, [(0, 100)]) == [DATA[:100]]
        assert b"Range: bytes=40-99\r\n" in server.heads[1][0]


@pytest.mark.parametrize("size", [1, 7, 100])
@pytest.mark.parametrize("into", [False, True], ids=["bytes", "into"])
def test_data_in_chunks(make_client: MakeClient, size: int, into: bool) -> None:
    """A chunked 206 is data, however small its chunks."""
    body = chunked(*(DATA[start : start + size] for start in range(0, 98, size)))
    length = -(-98 // size) * size
    answer = part(DATA, 0, length, "Transfer-Encoding: chunked", sent=body)
    with raw_server([answer]) as server:
        buffers = {"into": [bytearray(length)]} if into else {}
        assert make_client().read_ranges(server.url, [(0, length)], **buffers) == [DATA[:length]]


@pytest.mark.parametrize(
    "ending", [b"", b"zz\r\nwhatever", b"64\r\n", b"0\r\n\r\n"], ids=["cut", "no number", "cut again", "end"]
)
def test_chunks_that_end_early_go_on_from_the_byte_reached(make_client: MakeClient, ending: bytes) -> None:
    """Whatever breaks a chunked body off, what came of it stands."""
    broken = part(DATA, 0, 100, "Transfer-Encoding: chunked", sent=b"32\r\n" + DATA[:50] + b"\r\n" + ending)
    with raw_server([broken], [part(DATA, 50, 100)]) as server:
        assert make_client().read_ranges(server.url, [(0, 100)]) == [DATA[:100]]


def test_a_chunk_of_negative_length_brings_no_more_than_asked_for(make_client: MakeClient) -> None:
    """No more bytes are taken than were wanted, whatever a chunk calls itself."""
    answer = part(DATA, 0, 100, "Transfer-Encoding: chunked", sent=b"-5\r\n" + DATA[:300] + b"\r\n0\r\n\r\n")
    with raw_server([answer]) as server:
        client = make_client(attempts=1)
        with suppress(StorageError):
            assert client.read_ranges(server.url, [(0, 100)]) == [DATA[:100]]


def test_an_error_in_chunks_is_read_and_its_connection_kept(make_client: MakeClient) -> None:
    """What a server says of an error may come in chunks."""
    body = chunked(b"<Error><Code>Slow", b"Down</Code>", b"<Message>Please</Message></Error>")
    slow = said("HTTP/1.1 503 Slow", "Transfer-Encoding: chunked") + body
    with raw_server([slow, FIRST], hold=True) as server:
        client = make_client()
        assert client.read_ranges(server.url, [(0, 100)]) == [DATA[:100]]
        assert [len(heads) for heads in server.heads] == [2]
    with raw_server([slow]) as server, pytest.raises(StorageError, match="SlowDown: Please"):
        make_client(attempts=1).read_ranges(server.url, [(0, 100)])


def test_a_body_shorter_than_announced_goes_on(make_client: MakeClient) -> None:
    """The connection closes early: the rest is asked for, on another."""
    with raw_server([part(DATA, 0, 100, sent=DATA[:30])], [part(DATA, 30, 100)]) as server:
        assert make_client().read_ranges(server.url, [(0, 100)]) == [DATA[:100]]
        assert b"Range: bytes=30-99\r\n" in server.heads[1][0]


@pytest.mark.parametrize("more", [b"x", b"x" * 300_000, SECOND], ids=["a byte", "many bytes", "an answer"])
def test_a_body_longer_than_announced_is_cut(make_client: MakeClient, more: bytes) -> None:
    """What follows the announced length is nothing, and never the beginning of the next answer."""
    with raw_server([FIRST + more, SECOND], [SECOND], hold=True) as server:
        client = make_client()
        assert client.read_ranges(server.url, [(0, 100)]) == [DATA[:100]]
        assert client.read_ranges(server.url, [(200, 300)]) == [DATA[200:300]]


@pytest.mark.parametrize("length", ["99", "101"])
def test_a_length_that_contradicts_the_range_is_not_data(make_client: MakeClient, length: str) -> None:
    """Content-Length and Content-Range must agree."""
    with (
        raw_server([part(DATA, 0, 100, f"Content-Length: {length}")]) as server,
        pytest.raises(StorageError, match="announces"),
    ):
        make_client().read_ranges(server.url, [(0, 100)])


NOT_HTTP = {
    "garbage": b"\x00\x01\x02\x03 SSH-2.0-OpenSSH\r\n\r\n",
    "a page without a head": b"<html>it works</html>",
    "another protocol": said("HTTP/2.0 206 OK"),
    "no status": said("HTTP/1.1 abc OK"),
    "more than 100 headers": said("HTTP/1.1 206 OK", *(f"X-{n}: 1" for n in range(101))),
    "a header line too long": said("HTTP/1.1 206 OK", "X: " + "y" * 70_000),
    "a status line too long": b"HTTP/1.1 206 " + b"y" * 70_000,
    "a line that is no header": said("HTTP/1.1 206 OK", "nonsense"),
    "a folded header": said("HTTP/1.1 206 OK", "X: 1", "\tmore"),
    "two lengths": said("HTTP/1.1 206 OK", "Content-Length: 5", "Content-Length: 6"),
    "a length that is none": said("HTTP/1.1 206 OK", "Content-Length: -5"),
}


@pytest.mark.parametrize("answer", NOT_HTTP.values(), ids=NOT_HTTP)
def test_what_is_not_http_is_asked_again_and_told(make_client: MakeClient, answer: bytes) -> None:
    """It may pass; if it does not, the error says so and is ours."""
    with raw_server([answer], [FIRST]) as server:
        assert make_client().read_ranges(server.url, [(0, 100)]) == [DATA[:100]]
    with raw_server([answer]) as server:
        with pytest.raises(StorageError, match="does not answer as HTTP"):
            make_client(attempts=2).read_ranges(server.url, [(0, 100)])
        assert len(server.heads) == 2


def test_a_connection_closed_without_a_word_is_asked_again(make_client: MakeClient) -> None:
    """An answer that never begins is a broken connection."""
    with raw_server([b""], [FIRST]) as server:
        assert make_client().read_ranges(server.url, [(0, 100)]) == [DATA[:100]]
    with raw_server([b""]) as server, pytest.raises(IncompleteReadError):
        make_client(attempts=2).read_ranges(server.url, [(0, 100)])


def test_a_header_said_twice_counts_once(make_client: MakeClient) -> None:
    """Proxies repeat a length; of others that are repeated, no value is lost."""
    with raw_server([part(DATA, 0, 100, "Content-Length: 100", "Content-Length: 100")]) as server:
        assert make_client().read_ranges(server.url, [(0, 100)]) == [DATA[:100]]


@pytest.mark.parametrize("value", ["1\r\nX-Amz-Acl: public-read", "1\n", "\N{SNOWMAN}"])
def test_a_header_is_one_line(make_client: MakeClient, value: str) -> None:
    """What an auth puts into a request cannot make another header of it; nothing is sent."""

    def auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["X-From"] = value
        return request

    with raw_server([FIRST]) as server:
        with pytest.raises(StorageError, match="the request failed"):
            make_client(auth=auth).read_ranges(server.url, [(0, 100)])
        assert server.heads == []


def test_a_hundred_headers_are_read(make_client: MakeClient) -> None:
    """An object may have much metadata."""
    with raw_server([part(DATA, 0, 100, *(f"x-amz-meta-{n}: 1" for n in range(95)))]) as server:
        assert make_client().read_ranges(server.url, [(0, 100)]) == [DATA[:100]]


@pytest.mark.parametrize("status", ["100 Continue", "102 Processing", "103 Early Hints"])
@pytest.mark.parametrize("count", [1, 3])
def test_an_interim_answer_is_passed_over(make_client: MakeClient, status: str, count: int) -> None:
    """1xx answers are no answers: the final one follows on the same connection (RFC 9110, section 15.2)."""
    interim = said(f"HTTP/1.1 {status}", "Link: </style.css>; rel=preload") * count
    with raw_server([interim + FIRST, interim + SECOND], hold=True) as server:
        client = make_client()
        assert client.read_ranges(server.url, [(0, 100)]) == [DATA[:100]]
        assert client.read_ranges(server.url, [(200, 300)]) == [DATA[200:300]]
        assert client.usage.requests == 2
        assert len(server.heads) == 1


def test_interim_answers_come_to_an_end(make_client: MakeClient) -> None:
    """A server that has nothing but early hints to say is not listened to for ever."""
    hints = said("HTTP/1.1 103 Early Hints") * 1000
    with (
        raw_server([hints], hold=True) as server,
        pytest.raises(StorageError, match="does not answer as HTTP"),
    ):
        make_client(attempts=1).read_ranges(server.url, [(0, 100)])


@pytest.mark.parametrize("cut", [b"Content-Len", b"Content-Range: bytes 0-99/1", b"", b"HTTP/1.1 206"])
def test_a_head_that_is_cut_is_not_believed(make_client: MakeClient, cut: bytes) -> None:
    """The end of the connection is not the end of a head: half a number would be a size."""
    head = FIRST.partition(b"\r\n\r\n")[0]
    begun = head[: head.index(cut) + len(cut)] if cut else head
    with raw_server([begun], [FIRST]) as server:
        pinned = make_client().pin(server.url)
        assert pinned.read_ranges([(0, 100)]) == [DATA[:100]]
        assert pinned.size == len(DATA)
    with raw_server([b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */30"], [FIRST]) as server:
        assert make_client().read_ranges(server.url, [(0, 100)]) == [DATA[:100]]


def test_a_connection_is_kept_after_chunks(make_client: MakeClient) -> None:
    """What ends a chunked body is read along with it."""
    answers = [
        part(DATA, start, start + 100, "Transfer-Encoding: chunked", sent=chunked(DATA[start : start + 100]))
        for start in (0, 200)
    ]
    with raw_server(answers, hold=True) as server:
        client = make_client()
        assert client.read_ranges(server.url, [(0, 100)]) == [DATA[:100]]
        assert client.read_ranges(server.url, [(200, 300)]) == [DATA[200:300]]
        assert len(server.heads) == 1


def test_a_switch_of_protocols_is_an_error(make_client: MakeClient) -> None:
    """What follows a 101 is not HTTP: nothing is read of it, and its connection is not kept."""
    with raw_server([said("HTTP/1.1 101 Switching Protocols", "Upgrade: x")], hold=True) as server:
        with pytest.raises(StorageError, match="101"):
            make_client(attempts=1).read_ranges(server.url, [(0, 100)])
        assert server.left.wait(5)


def test_a_head_has_no_body() -> None:
    """A HEAD's Content-Length announces nothing to wait for, and its connection is kept."""
    head = said("HTTP/1.1 200 OK", "Content-Length: 10240")
    with raw_server([head, head], hold=True) as server:
        engine = engine_of(server)
        for _ in range(2):
            with engine.send(ask(server.url, "HEAD")) as answer:
                assert (answer.head().status, answer.read(10)) == (200, b"")
        assert [len(heads) for heads in server.heads] == [2]
        engine.close()


def test_a_connection_with_unread_bytes_is_closed() -> None:
    """Who leaves an answer half read does not leave the rest to the next."""
    with raw_server([FIRST, SECOND], hold=True) as server:
        engine = engine_of(server)
        with engine.send(ask(server.url)) as answer:
            answer.read(10)
        assert server.left.wait(5)
        assert read(engine, server.url) == DATA[:100]
        assert len(server.heads) == 2
        engine.close()


def test_no_more_idle_connections_are_kept_than_may_be_used(make_client: MakeClient) -> None:
    """As many as may be on their way at once; who comes back later is closed."""
    with raw_server([FIRST], hold=True) as server, ExitStack() as stack:
        engine = engine_of(server, concurrency=2)
        answers = [stack.enter_context(engine.send(ask(server.url))) for _ in range(3)]
        for answer in answers:
            assert answer.read(100) == DATA[:100]
            answer.close()
        assert server.left.wait(5)
        assert len(engine._idle) == 2
        engine.close()


# Timeouts: each says which.


def test_a_connection_that_is_not_accepted_in_time_is_told(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who does not answer the knock is a timeout of connecting."""

    def late(*args: Any, **options: Any) -> Any:
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", late)
    with pytest.raises(TransferTimeoutError, match=r"no connection within 3 s"):
        make_client(attempts=1, connect_timeout=3).read_ranges("http://127.0.0.1:9/m31", [(0, 100)])


def test_a_handshake_that_is_not_answered_is_no_connection(make_client: MakeClient) -> None:
    """Over https there is a connection only after the handshake."""
    with raw_server([], hold=True) as server:
        url = server.url.replace("http:", "https:")
        with pytest.raises(TransferTimeoutError, match=r"no connection within 0\.05 s"):
            make_client(attempts=1, connect_timeout=0.05).read_ranges(url, [(0, 100)])


@pytest.mark.parametrize(
    "beginning",
    [b"", b"HTTP/1.1 206 Par", FIRST[:-60]],
    ids=["nothing", "half a status line", "half a body"],
)
@pytest.mark.parametrize("into", [False, True], ids=["bytes", "into"])
def test_silence_is_a_read_timeout(make_client: MakeClient, beginning: bytes, into: bool) -> None:
    """Wherever an answer stalls, the error says that nothing came, and for how long."""
    with raw_server([beginning], hold=True) as server:
        buffers = {"into": [bytearray(100)]} if into else {}
        with pytest.raises(TransferTimeoutError, match=r"sent nothing for 0\.05 s"):
            make_client(attempts=1, read_timeout=0.05).read_ranges(server.url, [(0, 100)], **buffers)
        assert server.left.wait(5)


def test_the_connect_timeout_does_not_bound_answers(make_client: MakeClient) -> None:
    """A server that computes for a while is waited for as long as the read timeout says."""
    asked = threading.Event()

    with raw_server([FIRST], hold=True) as server:
        engine = engine_of(server, connect_timeout=0.5, read_timeout=77)
        with engine.send(ask(server.url)) as answer:
            asked.set()
            assert answer._wire.gettimeout() == 77
        engine.close()


# TLS


@pytest.fixture
def trusting(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> Certificate:
    """The authority of this run's servers, trusted by the environment."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.authority))
    return certificate


def test_tls_connections_are_kept(trusting: Certificate, make_client: MakeClient) -> None:
    """Session tickets that a server sends after the handshake do not make a connection look dropped."""
    with secure(trusting, [FIRST, SECOND], hold=True) as server:
        client = make_client()
        assert client.read_ranges(server.url, [(0, 100)]) == [DATA[:100]]
        assert client.read_ranges(server.url, [(200, 300)]) == [DATA[200:300]]
        assert [len(heads) for heads in server.heads] == [2]


def test_tls_that_ends_in_the_middle_goes_on(trusting: Certificate, make_client: MakeClient) -> None:
    """A TLS connection that is cut without a farewell is a body that ended early."""
    with secure(trusting, [part(DATA, 0, 100, sent=DATA[:30])], [part(DATA, 30, 100)]) as server:
        assert make_client().read_ranges(server.url, [(0, 100)]) == [DATA[:100]]


def test_a_broken_tls_record_goes_on(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that was damaged on its way breaks the connection, and may pass."""
    with raw_server([FIRST]) as server:
        client = make_client()
        recv_into = socket.socket.recv_into
        broken = iter([True])

        def damaged(self: socket.socket, *args: Any) -> int:
            if next(broken, False):
                raise ssl.SSLError(1, "[SSL: DECRYPTION_FAILED_OR_BAD_RECORD_MAC] bad record mac")
            return recv_into(self, *args)

        monkeypatch.setattr(socket.socket, "recv_into", damaged)
        assert client.read_ranges(server.url, [(0, 100)]) == [DATA[:100]]


def test_a_handshake_that_is_cut_is_tried_again(make_client: MakeClient, waits: list[float]) -> None:
    """A server that closes amid the handshake is too busy, or behind a proxy that is; no stranger."""
    with raw_server([]) as server:
        url = server.url.replace("http:", "https:")
        with pytest.raises(StorageError, match="no connection"):
            make_client(attempts=3).read_ranges(url, [(0, 100)])
        assert len(waits) == 2


def test_a_stranger_is_not_tried_again(
    certificate: Certificate, make_client: MakeClient, waits: list[float]
) -> None:
    """A certificate that nobody vouches for stays so."""
    with secure(certificate, [FIRST]) as server, pytest.raises(StorageError, match="certificate"):
        make_client().read_ranges(server.url, [(0, 100)])
    assert waits == []


def test_certificates_that_are_none_are_told(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, waits: list[float]
) -> None:
    """A bundle that cannot be read is the user's mistake, told at once and as such."""
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("no certificates")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    with raw_server([]) as server, pytest.raises(StorageError, match="REQUESTS_CA_BUNDLE"):
        make_client().read_ranges(server.url.replace("http:", "https:"), [(0, 100)])
    assert waits == []


def test_a_bundle_that_is_not_there_is_told_without_the_password(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the host, and no password that the URL held."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/bundle.pem")
    with pytest.raises(StorageError, match=r"archive\.example") as caught:
        make_client().read_ranges("https://hubble:pa55word@archive.example/m31.fits", [(0, 100)])
    assert "pa55word" not in str(caught.value)


# Hosts and ports


@pytest.mark.parametrize(
    ("url", "address", "host"),
    [
        ("http://archive.example/a", ("archive.example", 80), "archive.example"),
        ("http://archive.example:80/a", ("archive.example", 80), "archive.example"),
        ("http://archive.example:8080/a", ("archive.example", 8080), "archive.example:8080"),
        ("https://archive.example/a", ("archive.example", 443), "archive.example"),
        ("https://archive.example:443/a", ("archive.example", 443), "archive.example"),
        ("https://archive.example:80/a", ("archive.example", 80), "archive.example:80"),
        ("http://[2001:db8::1]/a", ("2001:db8::1", 80), "[2001:db8::1]"),
        ("http://[2001:db8::1]:8080/a", ("2001:db8::1", 8080), "[2001:db8::1]:8080"),
        ("http://[fe80::abcd]/a", ("fe80::abcd", 80), "[fe80::abcd]"),
        ("https://[::1]/a", ("::1", 443), "[::1]"),
        ("http://hubble:pa55word@archive.example/a", ("archive.example", 80), "archive.example"),
    ],
)
def test_where_a_connection_goes(
    certificate: Certificate,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    address: tuple[str, int],
    host: str,
) -> None:
    """The port of the scheme is taken where none is named, and only another is named in Host."""
    asked: list[tuple[str, int]] = []
    create_connection = socket.create_connection
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    serve = partial(secure, certificate) if url.startswith("https") else raw_server
    with serve([FIRST]) as server:

        def connect(where: tuple[str, int], *args: Any, **options: Any) -> socket.socket:
            asked.append(where)
            return create_connection(("127.0.0.1", server.port), *args, **options)

        monkeypatch.setattr(socket, "create_connection", connect)
        monkeypatch.setattr(connection_engine, "_context", lambda verify: anybody)
        engine = ConnectionEngine(url, True, Settings())
        assert read(engine, url) == DATA[:100]
        engine.close()
        head = server.heads[0][0].decode()
    assert asked == [address]
    assert f"\r\nHost: {host}\r\n" in head


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


# Containers often come without it; addresses of IPv4 and names are tested everywhere.
@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
def test_ipv6(make_client: MakeClient) -> None:
    """An address of IPv6 is a host like any other."""
    with raw_server([FIRST], hold=True, host="::1") as server:
        assert make_client().read_ranges(server.url, [(0, 100)]) == [DATA[:100]]
        assert f"Host: [::1]:{server.port}".encode() in server.heads[0][0]


@pytest.mark.parametrize(
    "target", ["/sky/andromède.fits", "/sky/m 31.fits", "/sky/a%20b+c.fits?x=%2F&y=[1]", "/sky/m31\x7f.fits"]
)
def test_a_target_is_spelt_in_ascii(target: str) -> None:
    """What a redirect led to may be written in any way; what is ASCII is sent as it is."""
    with raw_server([FIRST]) as server:
        engine = engine_of(server)
        request = ask(server.url)
        request.url = server.url.replace("/m31.fits", target)
        with engine.send(request):
            pass
        sent = server.heads[0][0].split(b" ")[1].decode()
        assert sent.isascii()
        assert requests.utils.unquote(sent) == requests.utils.unquote(target)
        engine.close()


# The end


def idle(make: Callable[[], Client], server: RawServer) -> Client:
    client = make()
    assert client.read_ranges(server.url, [(0, 100)]) == [DATA[:100]]
    return client


def test_a_closed_client_has_no_connection() -> None:
    """Closing a client closes those that are kept."""
    with raw_server([FIRST], hold=True) as server:
        client = idle(Client, server)
        assert not server.left.is_set()
        client.close()
        assert server.left.wait(5)


@pytest.mark.filterwarnings("error::ResourceWarning", "error::pytest.PytestUnraisableExceptionWarning")
def test_a_forgotten_client_has_no_connection() -> None:
    """A client that nobody holds any more closes its connections itself, without a warning."""
    with raw_server([FIRST], hold=True) as server:
        client = idle(Client, server)
        del client
        gc.collect()
        assert server.left.wait(5)


@pytest.mark.parametrize("beginning", [b"", FIRST[:-60]], ids=["no answer", "half a body"])
def test_stop_ends_a_read_that_waits(beginning: bytes) -> None:
    """Who gives the work up does not wait for the read timeout."""
    with raw_server([beginning], hold=True) as server:
        stop, ended = Stop(), threading.Event()
        engine = engine_of(server, read_timeout=600)

        def work() -> None:
            try:
                with engine.send(ask(server.url), stop) as answer:
                    while answer.read(100):
                        pass
            except (OSError, Stopped):
                pass
            ended.set()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        while not (server.heads and server.heads[0]):
            assert thread.is_alive()
        stop.set()
        assert ended.wait(5)
        assert server.left.wait(5)
        assert not stop._sockets
        thread.join(5)
        engine.close()


def test_stop_ends_a_handshake_that_waits() -> None:
    """The same before there is a TLS connection."""
    with raw_server([], hold=True) as server:
        stop, caught = Stop(), []
        engine = ConnectionEngine(server.url.replace("http:", "https:"), True, Settings(connect_timeout=600))

        def work() -> None:
            try:
                engine.send(ask(server.url), stop)
            except (OSError, Stopped) as error:
                caught.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        while not stop._sockets:
            assert thread.is_alive()
        stop.set()
        thread.join(5)
        assert len(caught) == 1
        assert not stop._sockets


def test_who_comes_after_the_stop_is_stopped() -> None:
    """A request that is to be sent after the work was given up is not."""
    with raw_server([FIRST], hold=True) as server:
        stop = Stop()
        stop.set()
        engine = engine_of(server)
        with pytest.raises(Stopped):
            engine.send(ask(server.url), stop)
        assert server.left.wait(5)
        assert server.heads == [[]]
        assert not stop._sockets
