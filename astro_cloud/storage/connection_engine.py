"""Requests over connections of our own, kept open, with nothing in between.

A session's adapter spends three times as long on a small read as the read itself takes, and half of what
`http.client` takes goes into writing and parsing heads. So requests are written by `sending` and heads of
answers read here; their bodies, whole and chunked, are still `http.client`'s. Proxies, and requests that
hooks listen to, are left to a session.

Reference: RFC 9112 (HTTP/1.1).
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
import threading
import weakref
from collections import deque
from contextlib import suppress
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import urlsplit

import requests
from requests import PreparedRequest
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.util import wait_for_read

from astro_cloud.forking import restart_after_fork
from astro_cloud.storage.answers import Answer
from astro_cloud.storage.engine import OpenAnswer
from astro_cloud.storage.sending import head_of, send_request, wait_while_sending
from astro_cloud.storage.settings import Settings
from astro_cloud.storage.stop import Stop

__all__ = ["ConnectionEngine"]

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5]\d\d)(?: [^\r\n]*)?\r?\n")
_LONGEST_LINE = 1 << 16
_STEP = 1 << 16
_MOST_FIELDS = 100
_MOST_INTERIM = 10
_MOMENT = 0.05


class ConnectionEngine:
    """Sends requests to one origin.

    Parameters
    ----------
    url : str
        Any URL of the origin.
    verify : bool or str
        Whom to trust over https, as `requests` has it: a bundle of CA certificates, or a folder of
        them; True for those of `certifi`.
    settings : Settings
        For the timeouts, and how many connections to keep.
    """

    def __init__(self, url: str, verify: bool | str, settings: Settings) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        secure = parts.scheme == "https"
        default = 443 if secure else 80
        self._port = parts.port if parts.port is not None else default
        self._host_field = f"[{self._host}]" if ":" in self._host else self._host
        if self._port != default:
            self._host_field += f":{self._port}"
        self._verify = verify if secure else None
        self._settings = settings
        self._context: ssl.SSLContext | None = None
        self._start()

    def _start(self) -> None:
        """Have no connection; those of the process that forked are still its own."""
        restart_after_fork(self, ConnectionEngine._start)
        self._idle: deque[socket.socket] = deque()
        self._lock = threading.Lock()
        weakref.finalize(self, _close_all, self._idle)

    def send(self, request: PreparedRequest, stop: Stop | None = None) -> OpenAnswer:
        """Send over the connection used last, if there is one; the read timeout is for each wait.

        A body is bytes or a file, which is sent from where it stands to its end.
        """
        head = head_of(request, self._host_field)
        wire = self._kept() or self._new(stop)
        try:
            if stop is not None:
                stop.watch(wire)
            cut = send_request(wire, head, request.body)
            if request.body is not None and cut is None:
                wait_while_sending(wire, self._settings.read_timeout)
            response = self._answer(wire, request.method, cut)
        except BaseException:
            if stop is not None:
                stop.forget(wire)
            wire.close()
            raise
        return _ConnectionAnswer(self, wire, response, request.url or "", stop)

    def _answer(self, wire: socket.socket, method: str | None, cut: OSError | None) -> _Response:
        """Read the head of an answer; of one to a request that was `cut`, only if it is there already."""
        response = _Response(wire, method=method)
        if isinstance(cut, TimeoutError):
            wire.settimeout(_MOMENT)
        try:
            response.begin()
        except BaseException as error:
            response.close()
            if cut is not None and isinstance(error, OSError | http.client.HTTPException):
                raise cut from None
            raise
        if cut is not None:
            response.will_close = True
            wire.settimeout(self._settings.read_timeout)
        return response

    @property
    def read_timeout(self) -> float:
        """Seconds that an answer may be silent."""
        return self._settings.read_timeout

    def keep(self, wire: socket.socket) -> None:
        """Take a connection back, whose answer was read to its end."""
        if len(self._idle) < self._settings.concurrency:
            self._idle.append(wire)
        else:
            wire.close()

    def close(self) -> None:
        """Close the connections that nobody uses."""
        _close_all(self._idle)

    def _kept(self) -> socket.socket | None:
        while True:
            try:
                wire = self._idle.pop()
            except IndexError:
                return None
            if not _is_dropped(wire):
                return wire
            wire.close()

    def _new(self, stop: Stop | None) -> socket.socket:
        context = self._trusting(self._verify) if self._verify is not None else None
        wire: socket.socket | None = None
        try:
            wire = socket.create_connection((self._host, self._port), self._settings.connect_timeout)
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is not None:
                wire = context.wrap_socket(wire, server_hostname=self._host, do_handshake_on_connect=False)
                if stop is not None:
                    stop.watch(wire)
                wire.do_handshake()
            wire.settimeout(self._settings.read_timeout)
        except BaseException as error:
            if wire is not None:
                if stop is not None:
                    stop.forget(wire)
                wire.close()
            if (foreign := _of_connecting(error)) is None:
                raise
            raise foreign from None
        return wire

    def _trusting(self, verify: bool | str) -> ssl.SSLContext:
        with self._lock:  # certificates take long to load: once, not once for each thread
            if self._context is None:
                try:
                    self._context = _context(verify)
                except OSError as error:
                    raise requests.exceptions.SSLError(error) from None
            return self._context


class _Fields(dict[str, str]):
    """Header fields: their names are kept in lower case, and asked for in any."""

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())


class _Response(http.client.HTTPResponse):
    """Reads its head without `email`'s parser, and passes over all interim answers, not just 100."""

    def begin(self) -> None:
        """Read the head of the final answer (RFC 9112, sections 4 to 6)."""
        for _ in range(_MOST_INTERIM + 1):
            minor, self.status = self._status_line()
            fields = self._fields()
            if self.status >= 200 or self.status == HTTPStatus.SWITCHING_PROTOCOLS:
                break
        else:
            raise http.client.HTTPException(f"more than {_MOST_INTERIM} interim answers")
        self.headers = self.msg = fields  # type: ignore[assignment]  # not `email`'s
        self.version = 10 + minor
        self.chunked = fields.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        self.length = None if self.chunked else _length(fields)
        if self._has_no_body():
            self.length = 0
        connection = fields.get("connection", "").lower()
        self.will_close = (
            (self.length is None and not self.chunked)
            or self.status == HTTPStatus.SWITCHING_PROTOCOLS
            or ("close" in connection if minor else "keep-alive" not in connection)
        )

    def take_into(self, view: memoryview) -> int:
        """Read what has come into a buffer, without waiting for more: so no fault takes it back."""
        if self.chunked or not view or self.fp is None:
            return self.readinto(view[:_STEP])
        if self.length is not None:
            view = view[: self.length]
        came = self.fp.readinto1(view)
        if self.length is not None:
            self.length -= came
        if not came or self.length == 0:
            self._close_conn()  # type: ignore[attr-defined]  # its types leave out what is private
        return came

    def _has_no_body(self) -> bool:
        empty = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED, HTTPStatus.SWITCHING_PROTOCOLS)
        return self.status in empty or self._method == "HEAD"  # type: ignore[attr-defined]  # private

    def _status_line(self) -> tuple[int, int]:
        line = self._line()
        if not line:
            raise http.client.RemoteDisconnected("the connection was closed without an answer")
        match = _STATUS_LINE.fullmatch(line)
        if match is None:
            raise http.client.BadStatusLine(repr(line[:80]))
        return int(match[1]), int(match[2])

    def _fields(self) -> _Fields:
        fields = _Fields()
        for _ in range(_MOST_FIELDS + 1):
            line = self._line()
            if line in (b"\r\n", b"\n"):
                return fields
            name, colon, value = line.decode("latin-1").partition(":")
            if not line.endswith(b"\n"):
                raise http.client.RemoteDisconnected("the connection was closed in the head of an answer")
            if not colon or not name or name[0] in " \t":
                raise http.client.HTTPException(f"malformed header field {line[:80]!r}")
            name, value = name.lower(), value.strip()
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        raise http.client.HTTPException(f"more than {_MOST_FIELDS} header fields")

    def _line(self) -> bytes:
        line: bytes = self.fp.readline(_LONGEST_LINE + 1)
        if len(line) > _LONGEST_LINE:
            raise http.client.LineTooLong("header")
        return line


def _length(fields: _Fields) -> int | None:
    """Read Content-Length; one that is said twice must say the same (RFC 9112, section 6.3)."""
    said = {value.strip() for value in fields.get("content-length", "").split(",")}
    if said == {""}:
        return None
    length = said.pop()
    if said or not (length.isascii() and length.isdigit()):
        raise http.client.HTTPException(f"Content-Length is {fields['content-length'][:80]!r}")
    return int(length)


class _ConnectionAnswer(OpenAnswer):
    def __init__(
        self,
        engine: ConnectionEngine,
        wire: socket.socket,
        response: _Response,
        url: str,
        stop: Stop | None,
    ) -> None:
        self._engine = engine
        self._wire = wire
        self._response = response
        self._url = url
        self._stop = stop

    def head(self) -> Answer:
        response = self._response
        body = b"" if response.status in (200, 206) else self.start_of_error()
        headers = cast(_Fields, response.headers)  # `begin` put them there
        return Answer(response.status, headers, self._url, body)

    def read(self, size: int) -> bytes:
        return self._response.read1(size)[:size]  # a chunk of a negative length is read unbounded

    def readinto(self, view: memoryview) -> int:
        return self._response.take_into(view)

    def close(self) -> None:
        """Keep the connection if nothing of the answer is left on it."""
        if self._stop is not None:
            self._stop.forget(self._wire)
        response = self._response
        whole = self._is_whole()
        response.close()
        if whole and not response.will_close:
            self._engine.keep(self._wire)
        else:
            self._wire.close()

    def _is_whole(self) -> bool:
        response = self._response
        if response.chunked and not response.isclosed():  # what ends the chunks came with the last of them
            self._wire.settimeout(_MOMENT)
            with suppress(OSError, http.client.HTTPException):
                response.read1(1)
            self._wire.settimeout(self._engine.read_timeout)
        return response.isclosed() if response.length is None else response.length == 0


def _close_all(wires: deque[socket.socket]) -> None:
    with suppress(IndexError):
        while True:
            wires.pop().close()


def _is_dropped(wire: socket.socket) -> bool:
    """Tell whether the server closed a connection that waits for nothing, or said what nobody asked."""
    return wait_for_read(wire, timeout=0.0)


def _of_connecting(error: BaseException) -> requests.RequestException | None:
    """Return what says that there was no connection yet; None for what is no error of connecting."""
    if isinstance(error, TimeoutError):
        return requests.ConnectTimeout(error)
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return requests.exceptions.SSLError(error)
    if isinstance(error, UnicodeError):
        return requests.exceptions.InvalidURL(error)
    return requests.ConnectionError(error) if isinstance(error, OSError) else None


def _context(verify: bool | str) -> ssl.SSLContext:
    trusted = DEFAULT_CA_BUNDLE_PATH if verify is True else str(verify)
    folder = os.path.isdir(trusted)
    context = ssl.create_default_context(
        cafile=None if folder else trusted, capath=trusted if folder else None
    )
    context.set_alpn_protocols(["http/1.1"])
    return context
