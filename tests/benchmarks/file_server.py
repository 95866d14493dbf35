"""A server for benchmarks: the files of a folder as the objects of one bucket, sent by the kernel.

    python -m tests.benchmarks.file_server FOLDER --latency 30 --bandwidth 80

Prints its port. It checks no signature. HEAD, GET with and without Range, and ListObjectsV2 are answered
as S3 does: the ETag is the MD5, and whoever asks for checksums is told the CRC64NVME of the whole object,
but not with a range. Each answer begins after the latency and comes at the bandwidth; both hold for each
connection, which has a thread of its own. ``GET /_files`` tells size and CRC64NVME of all, as JSON.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import json
import os
import re
import socket
import socketserver
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from awscrt.checksums import crc64nvme

from astro_cloud.testing.listing import Facts, list_parameters, listing_xml, page_of
from tests.benchmarks.clients import BUCKET

SLICE = 1 << 18
PIECE = 1 << 24
MODIFIED = 1_761_955_200
RANGE = re.compile(r"bytes=(\d+)-(\d*)")
NO_SUCH_KEY = b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"


class Stored(NamedTuple):
    """A file and what is told of it; its CRC64NVME as S3 writes it."""

    path: Path
    size: int
    etag: str
    crc: str


def stored(path: Path) -> Stored:
    """Read a file for its checksums, which puts it into the system's cache too."""
    md5, crc = hashlib.md5(usedforsecurity=False), 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            md5.update(piece)
            crc = crc64nvme(piece, crc)
    return Stored(path, path.stat().st_size, f'"{md5.hexdigest()}"', spelled(crc))


def spelled(crc: int) -> str:
    """Write a CRC64NVME as S3 does."""
    return base64.b64encode(crc.to_bytes(8, "big")).decode()


class Server(socketserver.ThreadingTCPServer):
    """Serves the files of one folder."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.latency = options.latency / 1e3
        self.bandwidth = options.bandwidth * 1e6
        paths = sorted(path for path in options.folder.rglob("*") if path.is_file())
        self.files = {path.relative_to(options.folder).as_posix(): stored(path) for path in paths}

    def listing(self, query: Mapping[str, str]) -> bytes:
        """Return one page of ListObjectsV2."""

        def facts(key: str) -> Facts:
            return Facts(self.files[key].size, self.files[key].etag, MODIFIED)

        return listing_xml(BUCKET, query, page_of(sorted(self.files), list_parameters(query)), facts)

    def summary(self) -> bytes:
        """Return what `/_files` tells."""
        return json.dumps({key: [file.size, file.crc] for key, file in self.files.items()}).encode()


class Connection(socketserver.StreamRequestHandler):
    """Answers one request after the other."""

    disable_nagle_algorithm = True
    server: Server

    def handle(self) -> None:
        """Answer until the client has no more."""
        with contextlib.suppress(ConnectionError):
            while line := self.rfile.readline():
                method, target, _ = line.decode("latin-1").split(" ")
                headers = dict(self.header_lines())
                time.sleep(self.server.latency)
                self.answer(method, target, headers)
                if headers.get("connection", "").lower() == "close":
                    return

    def header_lines(self) -> list[tuple[str, str]]:
        """Read the headers, names in lower case."""
        found = []
        while line := self.rfile.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            found.append((name.lower(), value.strip()))
        return found

    def answer(self, method: str, target: str, headers: Mapping[str, str]) -> None:
        """Answer one request."""
        path, _, query = target.partition("?")
        bucket, _, key = unquote(path).removeprefix("/").partition("/")
        file = self.server.files.get(key)
        if bucket == "_files":
            self.send("200 OK", self.server.summary())
        elif not key:
            parameters = dict(parse_qsl(query, keep_blank_values=True))
            self.send("200 OK", b"" if method == "HEAD" else self.server.listing(parameters))
        elif file is None:
            self.send("404 Not Found", b"" if method == "HEAD" else NO_SUCH_KEY)
        else:
            self.send_file(method, file, headers)

    def send(self, status: str, body: bytes) -> None:
        """Send an answer that is not an object."""
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
        self.request.sendall(head.encode() + body)

    def send_file(self, method: str, file: Stored, headers: Mapping[str, str]) -> None:
        """Send a file, a range of it, or what is told of it."""
        match = RANGE.fullmatch(headers.get("range", ""))
        start, stop = int(match[1]) if match else 0, file.size
        if match and match[2]:
            stop = min(int(match[2]) + 1, file.size)
        lines = [f"HTTP/1.1 {'206 Partial Content' if match else '200 OK'}"]
        if match:
            lines.append(f"Content-Range: bytes {start}-{stop - 1}/{file.size}")
        elif headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
            lines += [f"x-amz-checksum-crc64nvme: {file.crc}", "x-amz-checksum-type: FULL_OBJECT"]
        lines += [
            "Content-Type: application/octet-stream",
            "Accept-Ranges: bytes",
            f"ETag: {file.etag}",
            "Last-Modified: Sat, 01 Nov 2025 00:00:00 GMT",
            f"Content-Length: {stop - start}",
        ]
        more = 0 if method == "HEAD" else socket.MSG_MORE
        self.request.send("\r\n".join([*lines, "", ""]).encode(), more)
        if method != "HEAD":
            with file.path.open("rb") as body:
                self.send_bytes(body.fileno(), start, stop)

    def send_bytes(self, body: int, start: int, stop: int) -> None:
        """Send bytes [start, stop): each slice when its last byte would have come."""
        bandwidth, due = self.server.bandwidth, time.monotonic()
        while start < stop:
            length = min(SLICE, stop - start) if bandwidth else stop - start
            if bandwidth:
                now = time.monotonic()
                due = max(due, now - 0.02) + length / bandwidth  # who reads late may catch up a little
                time.sleep(max(0.0, due - now))
            start += os.sendfile(self.request.fileno(), body, start, length)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--latency", type=float, default=0.0, help="ms before the first byte of an answer")
    parser.add_argument("--bandwidth", type=float, default=0.0, help="MB/s of each connection; 0: no bound")
    with Server(parser.parse_args()) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()
