"""A loopback HTTP server that answers as a test says, and keeps what it was sent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple


class Received(NamedTuple):
    """A request as it came in: its target with the query, its headers by names in any case."""

    method: str
    path: str
    headers: Message


class Answer(NamedTuple):
    """What is said to a request; Content-Length is added."""

    status: int = 200
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""


class RecordingServer:
    """Where the server is, what it got, and what it says next.

    Attributes
    ----------
    host : str
        Address and port.
    requests : list of Received
        What it got, in order.
    answers : list of Answer
        What it says first, one for each request.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self.requests: list[Received] = []
        self.answers: list[Answer] = []

    @property
    def url(self) -> str:
        """Without a path."""
        return f"http://{self.host}"


def _ok(received: Received) -> Answer:
    return Answer()


@contextmanager
def recording_server(answer: Callable[[Received], Answer] = _ok) -> Iterator[RecordingServer]:
    """Serve until the context ends: first what is in `answers`, then what `answer` makes of a request."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            received = Received(self.command, self.path, self.headers)
            server.requests.append(received)
            status, headers, body = server.answers.pop(0) if server.answers else answer(received)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_POST = do_PUT = do_GET

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server = RecordingServer(f"127.0.0.1:{http.server_port}")
        thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
