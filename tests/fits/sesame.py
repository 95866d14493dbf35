"""A loopback HTTP server that stands for Sesame, which knows where named objects are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from astropy.coordinates.name_resolve import sesame_url

M31 = b"# M31\t#Q1\n#=S=Simbad (via url):    1\n%C.0 AGN\n%J 10.6847083 +41.26875 = 00 42 44.33\n#====Done\n"
UNKNOWN = b"# nope\t#Q1234\n#! *** Nothing found *** \n#====Done\n"
NONSENSE = b"\xff\xfe<html>Please log in</html>"


class _Sesame(ThreadingHTTPServer):
    """Answers names, and keeps those it was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.answer = {"M31": M31, "nonsense": NONSENSE}
        self.release = threading.Event()

    @property
    def url(self) -> str:
        """Where it is, as astropy writes it."""
        return f"http://127.0.0.1:{self.server_port}/sesame/"


class _Handler(BaseHTTPRequestHandler):
    server: _Sesame

    def do_GET(self) -> None:
        name = unquote(self.path.partition("?")[2])
        self.server.asked.append(name)
        if name == "silent":
            self.server.release.wait(60)
        if name == "broken":
            self.send_error(500)
            return
        body = self.server.answer.get(name, UNKNOWN)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@contextmanager
def sesame() -> Iterator[_Sesame]:
    """Run one that astropy asks."""
    with _Sesame() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            with sesame_url.set([server.url]):
                yield server
        finally:
            server.release.set()
            server.shutdown()
            thread.join()
