"""A client that knows every offset: what waiting and moving bytes take, with nothing of FITS, WCS or signing.

It is the floor of `cutouts`. It sends the requests of one step after the answers of the step before, as
whoever has to read a header to know where the pixels are; each thread has one connection of `http.client`.
"""

from __future__ import annotations

import http.client
import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self
from urllib.parse import urlsplit

Span = Sequence[int]


class BareClient:
    """Reads byte ranges of public objects of one host.

    Parameters
    ----------
    connections : int
        Threads, each with a connection.
    keep : callable
        What is kept of each body of a last step, which is gone with the next.
    """

    def __init__(self, connections: int, keep: Callable[[memoryview], Any]) -> None:
        self.pool = ThreadPoolExecutor(connections)
        self.keep = keep
        self.own = threading.local()
        self.opened: list[http.client.HTTPConnection] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.pool.shutdown()
        for connection in self.opened:
            connection.close()

    def files(self, files: Sequence[Any]) -> list[list[Any]]:
        """Return what is kept of each file, which has a thread to itself: one request after the other."""
        return list(self.pool.map(self.file, files))

    def file(self, file: Any) -> list[Any]:
        """Read a file in this thread."""
        *before, last = file["steps"]
        for span in itertools.chain.from_iterable(before):
            self.read(file["http"], span)
        return [self.keep(self.read(file["http"], span)) for span in last]

    def spread(self, file: Any) -> list[Any]:
        """Return what is kept of one file, the requests of each step over all connections."""
        url, (*before, last) = file["http"], file["steps"]
        for step in before:
            list(self.pool.map(lambda span: self.read(url, span), step))
        return list(self.pool.map(lambda span: self.keep(self.read(url, span)), last))

    def read(self, url: str, span: Span) -> memoryview:
        """Return bytes [start, stop), in a buffer that the next read of this thread writes over."""
        place, size = urlsplit(url), span[1] - span[0]
        if not hasattr(self.own, "connection"):
            self.own.connection, self.own.buffer = http.client.HTTPConnection(place.netloc), bytearray()
            self.opened.append(self.own.connection)
        if len(self.own.buffer) < size:
            self.own.buffer = bytearray(size)
        connection, body = self.own.connection, memoryview(self.own.buffer)[:size]
        connection.request("GET", place.path, headers={"Range": f"bytes={span[0]}-{span[1] - 1}"})
        answer, at = connection.getresponse(), 0
        while at < size and (count := answer.readinto(body[at:])):
            at += count
        if answer.status != 206 or at < size or answer.read():
            raise OSError(f"{url}: {answer.status}, {at} bytes of {span}")
        return body
