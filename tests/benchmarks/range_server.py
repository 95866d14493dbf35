"""A server for benchmarks: byte ranges of one FITS image, cheap enough not to be what is measured.

    python -m tests.benchmarks.range_server --latency 30

Prints its port. It checks no signature; each answer's first byte comes after the latency, and the others
at the bandwidth. The image has
64-bit pixels, and each is the offset of its first byte in the file. A part of the answers can be faulty,
in turn: reset, cut short, 503, or a reset after half of the body. ``GET /_counts`` tells the requests and
bytes since it was asked last, as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re

import numpy as np

WIDTH, HEIGHT = 4096, 36000
VALUES = {"SIMPLE": "T", "BITPIX": 64, "NAXIS": 2, "NAXIS1": WIDTH, "NAXIS2": HEIGHT}
CARDS = [f"{keyword:8}= {value:>20}" for keyword, value in VALUES.items()]
HEADER = "".join(card.ljust(80) for card in [*CARDS, "END"]).ljust(2880).encode()
SLICE = 1 << 18
SIZE = -(-(len(HEADER) + WIDTH * HEIGHT * 8) // 2880) * 2880
RANGE = re.compile(rb"\r\nrange: bytes=(\d+)-(\d+)", re.IGNORECASE)
FAULTS = ("reset", "cut", "unavailable", "half")


def content(start: int, stop: int) -> bytes:
    """Return bytes [start, stop) of the file."""
    if start < len(HEADER):
        return HEADER[start:stop] + (content(len(HEADER), stop) if stop > len(HEADER) else b"")
    first, last = start // 8, -(-stop // 8)
    words = np.arange(first * 8, last * 8, 8, dtype=">u8").tobytes()
    return words[start - first * 8 : stop - first * 8]


class Connection(asyncio.Protocol):
    """Answers GET and HEAD, one request after the other."""

    def __init__(self, options: argparse.Namespace, counts: list[int]) -> None:
        self.options = options
        self.counts = counts
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
        if head.startswith(b"GET /_counts"):
            said = json.dumps({"requests": self.counts[0], "bytes": self.counts[1]}).encode()
            self.counts[:] = 0, 0
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))
            return
        self.counts[0] += 1
        faulty = self.options.faulty and self.counts[0] % round(100 / self.options.faulty) == 0
        fault = FAULTS[self.counts[0] // 7 % len(FAULTS)] if faulty else ""
        if fault == "reset":
            self.transport.abort()
            return
        if fault == "unavailable":
            self.transport.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
            return
        match = RANGE.search(head)
        start, stop = (int(match[1]), min(int(match[2]) + 1, SIZE)) if match else (0, SIZE)
        length = stop - start
        status = b"206 Partial Content" if match else b"200 OK"
        content_range = b"Content-Range: bytes %d-%d/%d\r\n" % (start, stop - 1, SIZE) if match else b""
        self.transport.write(
            b"HTTP/1.1 %s\r\nContent-Type: application/octet-stream\r\n"
            b'Accept-Ranges: bytes\r\nETag: "0123456789abcdef0123456789abcdef"\r\n'
            b"Last-Modified: Sat, 01 Nov 2025 00:00:00 GMT\r\n"
            b"%sContent-Length: %d\r\n\r\n" % (status, content_range, length)
        )
        if head.startswith(b"HEAD"):
            return
        self.counts[1] += length
        if fault:
            self.transport.write(content(start, start + length // 2))
            self.transport.close() if fault == "cut" else self.transport.abort()
            return
        self.send(start, stop)

    def send(self, start: int, stop: int) -> None:
        """Send bytes [start, stop) at the bandwidth of the connection."""
        bandwidth = self.options.bandwidth * 1e6
        until = min(start + SLICE, stop) if bandwidth else stop
        self.transport.write(content(start, until))
        if until < stop and not self.transport.is_closing():
            loop = asyncio.get_running_loop()
            loop.call_later((until - start) / bandwidth, self.send, until, stop)


async def serve(options: argparse.Namespace) -> None:
    """Serve for ever."""
    counts = [0, 0]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(options, counts), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--latency", type=float, default=0.0, help="ms before the first byte of an answer")
    parser.add_argument("--bandwidth", type=float, default=0.0, help="MB/s of each connection; 0: no bound")
    parser.add_argument("--faulty", type=float, default=0.0, help="per cent of the answers")
    asyncio.run(serve(parser.parse_args()))
