"""A server for benchmarks: byte ranges of one sparse file, cheap enough not to be what is measured.

    python -m tests.benchmarks.range_server --size 2000000000 --latency 30

Prints its port. It checks no signature; each answer's first byte comes after the latency. A part of the
answers can be faulty, in turn: reset, cut short, 503, or late with a reset after half of the body.
"""

from __future__ import annotations

import argparse
import asyncio
import re

import numpy as np

RANGE = re.compile(rb"\r\nrange: bytes=(\d+)-(\d+)", re.IGNORECASE)
FAULTS = ("reset", "cut", "unavailable", "half")


def content(start: int, stop: int) -> bytes:
    """Return bytes [start, stop) of the file: every eight of them are their own position, big-endian."""
    first, last = start // 8, -(-stop // 8)
    words = np.arange(first * 8, last * 8, 8, dtype=">u8").tobytes()
    return words[start - first * 8 : stop - first * 8]


class Connection(asyncio.Protocol):
    """Answers GET and HEAD, one request after the other."""

    def __init__(self, options: argparse.Namespace, counter: list[int]) -> None:
        self.options = options
        self.counter = counter
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer once the head of a request is whole, after the latency."""
        self.buffer += data
        head, found, self.buffer = self.buffer.partition(b"\r\n\r\n")
        if not found:
            self.buffer = head
            return
        asyncio.get_running_loop().call_later(self.options.latency / 1e3, self.answer, head)

    def answer(self, head: bytes) -> None:
        """Send the range, or a fault."""
        size = self.options.size
        self.counter[0] += 1
        faulty = self.options.faulty and self.counter[0] % round(100 / self.options.faulty) == 0
        fault = FAULTS[self.counter[0] // 7 % len(FAULTS)] if faulty else ""
        if fault == "reset":
            self.transport.abort()
            return
        if fault == "unavailable":
            self.transport.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
            return
        match = RANGE.search(head)
        start, stop = (int(match[1]), min(int(match[2]) + 1, size)) if match else (0, size)
        length = stop - start
        self.transport.write(
            b"HTTP/1.1 206 Partial Content\r\nContent-Type: application/octet-stream\r\n"
            b'Accept-Ranges: bytes\r\nETag: "0123456789abcdef0123456789abcdef"\r\n'
            b"Last-Modified: Sat, 01 Nov 2025 00:00:00 GMT\r\n"
            b"Content-Range: bytes %d-%d/%d\r\nContent-Length: %d\r\n\r\n" % (start, stop - 1, size, length)
        )
        if head.startswith(b"HEAD"):
            return
        body = content(start, stop)
        if fault:
            self.transport.write(body[: length // 2])
            self.transport.close() if fault == "cut" else self.transport.abort()
            return
        self.transport.write(body)


async def serve(options: argparse.Namespace) -> None:
    """Serve for ever."""
    counter = [0]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(options, counter), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=2_000_000_000, help="bytes of the file")
    parser.add_argument("--latency", type=float, default=0.0, help="ms before the first byte of an answer")
    parser.add_argument("--faulty", type=float, default=0.0, help="per cent of the answers")
    asyncio.run(serve(parser.parse_args()))
