"""One client's connection: read a request, have it answered, send the answer at the pace that was set.

Everything that touches a socket or waits is here and in ``server``.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Iterable
from typing import Protocol

from astro_cloud.testing.answer import Answer, Ending, FileSlice, head_bytes, http_date, refusal_answer
from astro_cloud.testing.http_request import MAX_HEAD, BadRequest, Headers, Request, parse_request
from astro_cloud.testing.refusal import Refusal
from astro_cloud.testing.request_body import RequestBody
from astro_cloud.testing.request_log import Recorder, RequestRecord

PACED_STEP = 64 * 1024
"""Bytes sent at once where a bandwidth is set."""

_STEP = 1024 * 1024
_JOINED = 64 * 1024
_LINGER = 0.5
_ZEROS = memoryview(bytes(_STEP))
_RESET = struct.pack("ii", 1, 0)
_MORE = getattr(socket, "MSG_MORE", 0)


class Host(Protocol):
    """What a connection asks of its server."""

    latency: float
    connect_latency: float
    bandwidth: float | None
    closing: threading.Event
    recorder: Recorder

    def answer(self, request: Request, body: Iterable[bytes], request_id: str) -> Answer:
        """Return the answer to a request."""

    def now(self) -> float:
        """Return the server's clock, seconds since 1970 UTC."""


class ClientLeft(Exception):
    """The connection ended before the request or the answer did."""


class Connection:
    """Serves one accepted socket until it ends.

    Parameters
    ----------
    sock : socket
        Closed at the end of `run`.
    number : int
        For the log.
    host : Host
        The server.
    """

    def __init__(self, sock: socket.socket, number: int, host: Host) -> None:
        self.sock = sock
        self.number = number
        self.host = host
        self._buffer = bytearray()
        self._requests = 0

    def run(self) -> None:
        """Answer requests one after another."""
        try:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while self._serve_one():
                pass
        except (ClientLeft, OSError):
            pass
        finally:
            self.sock.close()

    def _serve_one(self) -> bool:
        """Answer one request; return whether another may follow on this connection."""
        request: Request | BadRequest
        try:
            request = self._read_request()
        except BadRequest as error:
            request = error
        exchange = _Exchange(self, request)
        self._requests += 1
        try:
            ending = exchange.run(first=self._requests == 1)
        finally:
            exchange.record()
        if ending is Ending.RESET:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        elif ending is Ending.CLOSE:
            self._close_gently()
        elif ending is Ending.DEAF:
            self.host.closing.wait()
        return ending is Ending.KEEP

    def _read_request(self) -> Request:
        end = -1
        while end < 0 and len(self._buffer) <= MAX_HEAD:
            while self._buffer.startswith(b"\r\n"):  # RFC 9112, 2.2: empty lines before a request are nothing
                del self._buffer[:2]
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                self._buffer += self._receive(65536)
        if not 0 <= end <= MAX_HEAD:
            raise BadRequest(431, "RequestHeaderSectionTooLarge", "Your request header section is too large.")
        head = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        return parse_request(head)

    def body(self, request: Request) -> RequestBody:
        """Return a request's body; what is not consumed must be drained before the next request."""
        return RequestBody(
            request.content_length,
            buffer=self._buffer,
            receive=self._receive,
            invite=self._continue if request.expects_continue else None,
        )

    def _continue(self) -> None:
        try:
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        except OSError:
            raise ClientLeft from None

    def _receive(self, size: int) -> bytes:
        try:
            data = self.sock.recv(size)
        except OSError:
            raise ClientLeft from None
        if not data:
            raise ClientLeft
        return data

    def pause(self, until: float) -> None:
        """Wait until a moment of ``time.monotonic()``; `ClientLeft` if the server closes meanwhile."""
        left = until - time.monotonic()
        if left > 0 and self.host.closing.wait(left):
            raise ClientLeft

    def wait_for_end(self) -> None:
        """Wait until the client leaves or the server closes."""
        while self.sock.recv(65536):
            pass

    def _close_gently(self) -> None:
        """Close so that a client still sending gets the answer, not a reset."""
        self.sock.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + _LINGER
        while (left := deadline - time.monotonic()) > 0:
            self.sock.settimeout(left)
            if not self.sock.recv(65536):
                return


class _Exchange:
    """One request and the sending of its answer, with the figures of its record."""

    def __init__(self, connection: Connection, request: Request | BadRequest) -> None:
        self.connection = connection
        self.host = connection.host
        self.request = request
        self.t_received = time.monotonic()
        self.t_first_byte: float | None = None
        self.t_end = self.t_received
        self.status: int | None = None
        self.body: RequestBody | None = None
        self.body_bytes = 0
        self.whole = False
        self.announced = False

    def run(self, *, first: bool) -> Ending:
        request_id = os.urandom(8).hex().upper()
        answer = self._answer(request_id)
        try:
            latency = self.host.latency + (self.host.connect_latency if first else 0.0)
            self.connection.pause(self.t_received + latency)
            keep_alive = isinstance(self.request, Request) and self.request.keep_alive
            self._send(answer, request_id, keep_alive=keep_alive)
            if answer.ending is Ending.HANG:
                self.connection.wait_for_end()
        finally:
            if answer.stored is not None:
                answer.stored.close()
        return Ending.CLOSE if answer.ending is Ending.KEEP and not keep_alive else answer.ending

    def _answer(self, request_id: str) -> Answer:
        request = self.request
        if isinstance(request, BadRequest):
            return refusal_answer(request.refusal, request.target, request_id)
        self.body = self.connection.body(request)
        try:
            answer = self.host.answer(request, self.body, request_id)
        except ClientLeft:
            raise
        except Exception as error:  # the disk, or a fault written by hand: whoever wrote it wants to know
            answer = refusal_answer(Refusal(500, "InternalError", repr(error)), request.resource, request_id)
        self.body.drain(answer.read_up_to)
        return answer

    def _send(self, answer: Answer, request_id: str, *, keep_alive: bool) -> None:
        common = f"x-amz-request-id: {request_id}\r\nDate: {http_date(int(self.host.now()))}\r\n"
        head = head_bytes(answer, common, keep_alive=keep_alive) if answer.send_head else b""
        body = b"" if self.request.method == "HEAD" or answer.status in (204, 304) else answer.body
        stop = len(body) if answer.stop_after is None else min(answer.stop_after, len(body))
        if head:
            self.status = answer.status
            self.t_first_byte = time.monotonic()
        if len(head) and stop <= _JOINED and not self.host.bandwidth:
            piece = _read(body, 0, stop)
            self._last(answer)
            self._push(head + piece, len(head))
            if len(piece) < stop:
                raise ClientLeft
        elif head:
            if not stop:
                self._last(answer)
            self._push(head, len(head), _MORE if stop else 0)
            self._stream(answer, body, stop)
        self.whole = answer.send_head and stop == len(body) and answer.ending is not Ending.HANG

    def _stream(self, answer: Answer, body: bytes | FileSlice, stop: int) -> None:
        due = time.monotonic()
        position = 0
        while position < stop:
            bandwidth = self.host.bandwidth
            step = min(stop - position, PACED_STEP if bandwidth else _STEP)
            if bandwidth:
                due += step / bandwidth
                self.connection.pause(due)
            if position + step == stop:
                self._last(answer)
            self._push_slice(body, position, position + step)
            position += step

    def _push_slice(self, body: bytes | FileSlice, start: int, stop: int) -> None:
        if isinstance(body, bytes) or not hasattr(os, "sendfile"):
            self._push(_read(body, start, stop))
            return
        if body.stored.is_hole(body.start + start, body.start + stop):
            self._push(_ZEROS[: stop - start])
            return
        out, source = self.connection.sock.fileno(), body.stored.file.fileno()
        while start < stop:
            sent = os.sendfile(out, source, body.start + start, stop - start)
            if not sent:
                raise ClientLeft  # the file was cut: the length promised cannot be kept
            start += sent
            self.body_bytes += sent

    def _push(self, data: bytes | memoryview, head: int = 0, flags: int = 0) -> None:
        """Send bytes, of which the first ``head`` are no body."""
        view = memoryview(data)
        sent = 0
        while sent < len(data):
            sent += self.connection.sock.send(view[sent:], flags)
            if sent > head:
                self.body_bytes += sent - head
                head = sent

    def _last(self, answer: Answer) -> None:
        """Note that the last piece is about to be sent."""
        self.t_end = time.monotonic()
        if answer.ending is not Ending.HANG:
            self.announced = True
            self.host.recorder.announce()

    def record(self) -> None:
        """Write the log's record."""
        request = self.request
        known = request if isinstance(request, Request) else None
        if not self.announced:
            self.t_end = time.monotonic()
        self.host.recorder.add(
            RequestRecord(
                connection=self.connection.number,
                method=request.method,
                target=request.target,
                path=known.path if known else "",
                bucket=known.bucket if known else "",
                key=known.key if known else "",
                headers=known.headers if known else Headers(),
                status=self.status,
                received=self.body.received if self.body else 0,
                body_bytes=self.body_bytes,
                t_received=self.t_received,
                t_first_byte=self.t_first_byte,
                t_end=self.t_end,
                aborted=not self.whole,
            ),
            announced=self.announced,
        )


def _read(body: bytes | FileSlice, start: int, stop: int) -> bytes:
    """Return bytes of a body by position."""
    if isinstance(body, bytes):
        return body[start:stop]
    return body.stored.read(body.start + start, stop - start)


def close_socket(sock: socket.socket) -> None:
    """End a socket another thread may be waiting on."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
