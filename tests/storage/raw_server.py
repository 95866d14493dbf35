"""A server that says what a test wrote, byte for byte: what no well-behaved library would send."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

Handler = Callable[[bytes], bytes]
Script = Sequence[bytes | Handler]


class RawServer:
    """Speaks to each connection in turn what its script says, one entry for each request.

    An entry is what is said, or a function that makes it of the request's head.

    After the last entry a connection is closed, or, where the server holds them, left open in silence.

    Attributes
    ----------
    heads : list of list of bytes
        For each connection, the heads of the requests it brought.
    left : threading.Event
        Set once a client has left a connection that was held.
    """

    def __init__(
        self, scripts: Sequence[Script], hold: bool, context: ssl.SSLContext | None, host: str
    ) -> None:
        self.heads: list[list[bytes]] = []
        self.left = threading.Event()
        self._scripts = scripts
        self._hold = hold
        self._context = context
        self._host = host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Of an object."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'http' if self._context is None else 'https'}://{host}:{self.port}/m31.fits"

    def close(self) -> None:
        """End all connections and threads."""
        for wire in (self._listener, *self._open):
            with suppress(OSError):
                socket.socket.shutdown(wire, socket.SHUT_RDWR)  # TLS says no farewell
        self._listener.close()
        for thread in list(self._threads):
            thread.join(5)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                wire = self._listener.accept()[0]
                script = self._scripts[min(len(self.heads), len(self._scripts) - 1)]
                heads: list[bytes] = []
                self.heads.append(heads)
                thread = threading.Thread(target=self._serve, args=(wire, script, heads), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, wire: socket.socket, script: Script, heads: list[bytes]) -> None:
        if self._context is not None:
            wire = self._context.wrap_socket(wire, server_side=True, do_handshake_on_connect=False)
        self._open.add(wire)
        with suppress(OSError), wire:
            for said in script:
                if not (head := _head(wire)):
                    break
                heads.append(head)
                wire.sendall(said(head) if callable(said) else said)
            while self._hold and wire.recv(4096):
                pass
        if self._hold:
            self.left.set()


def _head(stream: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        came = stream.recv(65536)
        if not came:
            return b""
        head += came
    return head


@contextmanager
def raw_server(
    *scripts: Script,
    hold: bool = False,
    context: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
) -> Iterator[RawServer]:
    """Serve a script to each connection, the last one to all that are left."""
    server = RawServer(scripts, hold, context, host)
    try:
        yield server
    finally:
        server.close()


def part(data: bytes, start: int, stop: int, *more: str, sent: bytes | None = None) -> bytes:
    """Return a 206 with bytes [start, stop) of `data`, or with `sent` in their place."""
    body = data[start:stop] if sent is None else sent
    lines = [f"Content-Range: bytes {start}-{stop - 1}/{len(data)}", *more]
    if not any(line.lower().startswith(("transfer-encoding", "content-length")) for line in more):
        lines.append(f"Content-Length: {stop - start}")
    return said("HTTP/1.1 206 Partial Content", *lines) + body


def said(*lines: str) -> bytes:
    """Return the head of an answer."""
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")


def chunked(*chunks: bytes) -> bytes:
    """Return a body in chunks, with its end."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
