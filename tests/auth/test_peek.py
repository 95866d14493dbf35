"""Errors are looked into, and then read by whoever asked, as if nobody had looked."""

from __future__ import annotations

import gzip
import io
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from astro_cloud.auth import AWSAuth
from astro_cloud.auth.peek import beginning
from astro_cloud.auth.refusal import ERROR_BODY_LIMIT
from tests.auth.recording_server import Answer, RecordingServer, recording_server

LONG = b"<Error><Code>AccessDenied</Code></Error>" + bytes(range(256)) * 1024
READERS: dict[str, Callable[[Response], bytes]] = {
    "content": lambda answer: answer.content,
    "text": lambda answer: answer.text.encode("latin-1"),
    "iter_content": lambda answer: b"".join(answer.iter_content(1000)),
    "raw.read": lambda answer: answer.raw.read(decode_content=True),
    "raw.read(n)": lambda answer: b"".join(iter(lambda: answer.raw.read(70_000, decode_content=True), b"")),
    "raw.stream": lambda answer: b"".join(answer.raw.stream(1000, decode_content=True)),
}
every_reader = pytest.mark.parametrize("read", READERS.values(), ids=READERS)


def auth() -> AWSAuth:
    """An auth that looks into errors."""
    return AWSAuth(access_key="AKID", secret_key="s")


def ask(server: RecordingServer, **options: Any) -> Response:
    """Ask for what is refused."""
    return requests.get(f"{server.url}/b/k", auth=auth(), **options)


@every_reader
@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize("body", [LONG, LONG[:1000], LONG[:ERROR_BODY_LIMIT], b""], ids=len)
def test_a_refusal_can_be_read_in_any_way(read: Any, status: int, body: bytes) -> None:
    """Whole, in pieces and raw, of any length, a refusal's body is all there."""
    with recording_server(
        lambda request: Answer(status, {"Content-Type": "a/b; charset=latin-1"}, body)
    ) as s:
        assert read(ask(s, stream=True)) == body
        assert ask(s).content == body


@every_reader
def test_a_compressed_refusal_is_understood(read: Any) -> None:
    """A code that came compressed is learnt from, and the body decoded once."""
    told = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>"
    headers = {"Content-Encoding": "gzip", "Content-Type": "a/b; charset=latin-1"}
    with recording_server(lambda request: Answer(400, headers, gzip.compress(told))) as server:
        assert read(ask(server, stream=True)) == told
        assert len(server.requests) == 2


def test_raw_bytes_stay_raw() -> None:
    """`raw`, not told to decode, gives the bytes of the wire, as it does without an auth."""
    sent = gzip.compress(LONG)
    with recording_server(lambda request: Answer(403, {"Content-Encoding": "gzip"}, sent)) as server:
        plain = requests.get(server.url, stream=True).raw
        signed = ask(server, stream=True).raw
        assert signed.read(decode_content=False) == plain.read(decode_content=False) == sent
        for raw in (plain, signed):
            del raw.headers["Date"]  # the second may have changed
        assert (signed.status, signed.reason, signed.headers) == (plain.status, plain.reason, plain.headers)


def test_a_long_refusal_stays_where_it_is() -> None:
    """Of a body of many megabytes, no more than the beginning is read before the caller reads."""

    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            taken.append(len(buffer))
            return len(buffer)

        read1 = io.RawIOBase.read

    taken: list[int] = []
    answer = _answered(Endless(), 1 << 40)
    tracemalloc.start()
    assert len(beginning(answer)) == ERROR_BODY_LIMIT
    assert len(beginning(answer)) == ERROR_BODY_LIMIT, "looking twice reads once"
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert sum(taken) == ERROR_BODY_LIMIT
    assert len(answer.raw.read(1 << 20)) == 1 << 20
    answer.close()
    assert answer.raw.closed


def test_a_refusal_that_breaks_off_fails_as_it_would() -> None:
    """The look survives a body that is cut short; whoever reads it gets requests' own error."""
    answer = _answered(io.BytesIO(b"<Error><Code>"), 100)
    beginning(answer)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        answer.content  # noqa: B018 - to ask for it reads it


def test_a_broken_encoding_teaches_nothing() -> None:
    """A body that is not compressed as it says is no error of ours."""
    with recording_server(lambda request: Answer(403, {"Content-Encoding": "gzip"}, b"no gzip")) as server:
        answer = ask(server, stream=True)
        assert answer.status_code == 403
        with pytest.raises(requests.exceptions.ContentDecodingError):
            answer.content  # noqa: B018 - to ask for it reads it


def test_a_head_has_no_body() -> None:
    """A HEAD's Content-Length is not waited for."""
    with recording_server(lambda request: Answer(403, {}, LONG)) as server:
        answer = requests.head(f"{server.url}/b/k", auth=auth())
        assert (answer.content, int(answer.headers["Content-Length"])) == (b"", len(LONG))


def test_cookies_of_a_refusal_are_kept() -> None:
    """The session learns cookies from an answer that was looked into."""
    with (
        recording_server(lambda request: Answer(403, {"Set-Cookie": "a=1"}, LONG)) as s,
        requests.Session() as c,
    ):
        c.get(f"{s.url}/b/k", auth=auth())
        assert c.cookies["a"] == "1"


@pytest.mark.parametrize("chunked", [True, False])
def test_connections_are_used_again(chunked: bool) -> None:
    """A refusal that was read to its end leaves its connection to the next request, chunked or not."""
    with _keep_alive(chunked) as (url, connections), requests.Session() as session:
        for _ in range(3):
            assert session.get(f"{url}/b/k", auth=auth()).content == LONG
        with session.get(f"{url}/b/k", auth=auth(), stream=True) as answer:
            assert answer.raw.read() == LONG
        with session.get(f"{url}/b/k", auth=auth(), stream=True) as answer:
            assert b"".join(answer.iter_content(1000)) == LONG
        assert len(connections) == 1
        session.get(f"{url}/b/k", auth=auth(), stream=True).close()
        session.get(f"{url}/b/k", auth=auth())
        assert len(connections) == 2, "what was not read is not read to spare a connection"


def test_another_adapters_answer_is_read_by_requests() -> None:
    """An adapter whose answers are no urllib3 responses is served too."""

    class Adapter(BaseAdapter):
        def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
            answer = Response()
            answer.status_code, answer.raw, answer.request = 403, io.BytesIO(LONG), request
            answer.url = request.url or ""
            return answer

        def close(self) -> None:
            pass

    with requests.Session() as session:
        session.mount("http://", Adapter())
        assert session.get("http://h/b/k", auth=auth(), stream=True).content == LONG


def _answered(body: Any, length: int) -> Response:
    """Make an answer as requests does."""
    request = requests.Request("GET", "http://h/").prepare()
    raw = HTTPResponse(body, {"Content-Length": str(length)}, status=403, preload_content=False)
    return requests.adapters.HTTPAdapter().build_response(request, raw)


@contextmanager
def _keep_alive(chunked: bool) -> Iterator[tuple[str, list[Any]]]:
    """Serve refusals over connections that stay open, and list those."""
    connections: list[Any] = []
    framed = (b"%x\r\n%s\r\n" % (len(LONG), LONG)) + b"0\r\n\r\n"

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            connections.append(self.client_address)
            super().setup()

        def do_GET(self) -> None:
            self.send_response(403)
            if chunked:
                self.send_header("Transfer-Encoding", "chunked")
            else:
                self.send_header("Content-Length", str(len(LONG)))
            self.end_headers()
            with suppress(ConnectionError):
                self.wfile.write(framed if chunked else LONG)

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}", connections
        finally:
            http.shutdown()
            thread.join()


def error_of_stalling(read: Callable[[Response], Any], auth: AWSAuth | None) -> Exception:
    """Read a refusal of 100 bytes of which 10 arrive; return the error."""
    done = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(403)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"0123456789")
            self.wfile.flush()
            done.wait(10)

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{http.server_port}/b/k"
        try:
            with (
                requests.get(url, auth=auth, stream=True, timeout=0.2) as answer,
                pytest.raises(requests.RequestException) as caught,
            ):
                read(answer)
            return caught.value
        finally:
            done.set()
            http.shutdown()


def test_a_timeout_in_a_refusal_is_a_timeout() -> None:
    """Whoever reads a refusal that stalls gets what came in, and then the timeout, as without an auth."""
    for signer in (None, auth()):
        got: list[bytes] = []
        # Called within the turn.
        streamed = error_of_stalling(lambda answer: got.extend(answer.iter_content(5)), signer)  # noqa: B023
        assert got == [b"01234", b"56789"]
        for error in (streamed, error_of_stalling(lambda answer: answer.content, signer)):
            assert type(error) is requests.ConnectionError
            assert "Read timed out" in str(error)
