"""Requests over connections of our own: `http.client`, kept open, with nothing in between.

A session's adapter spends three times as long on a small read as the read itself takes. Proxies, and
requests that hooks listen to, are left to it.
"""

from __future__ import annotations

import http
import http.client
import os
import socket
import ssl
import threading
import weakref
from collections import deque
from contextlib import suppress
from string import punctuation
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from requests import PreparedRequest
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.util import wait_for_read

from astro_cloud.forking import restart_after_fork
from astro_cloud.storage.answers import Answer
from astro_cloud.storage.engine import OpenAnswer
from astro_cloud.storage.settings import Settings
from astro_cloud.storage.stop import Stop

__all__ = ["ConnectionEngine"]


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
        # Never None: `http.client` would look for a port in an IPv6 address.
        self._port = parts.port if parts.port is not None else 443 if secure else 80
        self._verify = verify if secure else None
        self._settings = settings
        self._context: ssl.SSLContext | None = None
        self._start()

    def _start(self) -> None:
        """Have no connection; those of the process that forked are still its own."""
        restart_after_fork(self, ConnectionEngine._start)
        self._idle: deque[http.client.HTTPConnection] = deque()
        self._lock = threading.Lock()
        weakref.finalize(self, _close_all, self._idle)

    def send(self, request: PreparedRequest, stop: Stop | None = None) -> OpenAnswer:
        """Send over the connection used last, if there is one; the read timeout is for each wait."""
        connection = self._kept() or self._new(stop)
        wire: Any = connection.sock  # it leaves its connection to an answer that ends with it
        try:
            if stop is not None:
                stop.watch(wire)
            _put(connection, request)
            answer = _ConnectionAnswer(self, connection, wire, request.url or "", stop)
        except BaseException:
            if stop is not None:
                stop.forget(wire)
            connection.close()
            raise
        return answer

    def keep(self, connection: http.client.HTTPConnection) -> None:
        """Take a connection back, whose answer was read to its end."""
        if len(self._idle) < self._settings.concurrency:
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close the connections that nobody uses."""
        _close_all(self._idle)

    def _kept(self) -> http.client.HTTPConnection | None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if not _is_dropped(connection.sock):
                return connection
            connection.close()

    def _new(self, stop: Stop | None) -> http.client.HTTPConnection:
        kind = http.client.HTTPConnection if self._verify is None else http.client.HTTPSConnection
        connection = kind(self._host, self._port, timeout=self._settings.connect_timeout)
        connection.response_class = _Response
        try:
            self._open(connection, stop)
        except BaseException as error:
            if stop is not None:
                stop.forget(connection.sock)
            connection.close()
            if (foreign := _of_connecting(error)) is None:
                raise
            raise foreign from None
        return connection

    def _open(self, connection: http.client.HTTPConnection, stop: Stop | None) -> None:
        context = self._trusting(self._verify) if self._verify is not None else None
        http.client.HTTPConnection.connect(connection)
        if context is not None:
            connection.sock = wire = context.wrap_socket(
                connection.sock, server_hostname=self._host, do_handshake_on_connect=False
            )
            if stop is not None:
                stop.watch(wire)
            wire.do_handshake()
        connection.sock.settimeout(self._settings.read_timeout)

    def _trusting(self, verify: bool | str) -> ssl.SSLContext:
        with self._lock:  # certificates take long to load: once, not once for each thread
            if self._context is None:
                self._context = _context(verify)
            return self._context


class _Response(http.client.HTTPResponse):
    def begin(self) -> None:
        """Read the head of the final answer; `http.client` passes over 100 (Continue) alone."""
        super().begin()
        while self.status < 200 and self.status != http.HTTPStatus.SWITCHING_PROTOCOLS:
            self.headers = None  # type: ignore[assignment]
            super().begin()
        self.will_close |= self.status == http.HTTPStatus.SWITCHING_PROTOCOLS


class _ConnectionAnswer(OpenAnswer):
    def __init__(
        self,
        engine: ConnectionEngine,
        connection: http.client.HTTPConnection,
        wire: socket.socket,
        url: str,
        stop: Stop | None,
    ) -> None:
        self._engine = engine
        self._connection = connection
        self._wire = wire
        self._url = url
        self._stop = stop
        self._response = connection.getresponse()

    def head(self) -> Answer:
        response = self._response
        body = b"" if response.status in (200, 206) else self.start_of_error()
        return Answer(response.status, response.headers, self._url, body)  # type: ignore[arg-type]

    def read(self, size: int) -> bytes:
        return self._response.read1(size)[:size]  # a chunk of a negative length is read unbounded

    def readinto(self, view: memoryview) -> int:
        # In steps: what came before a fault in the middle of one is asked for again.
        return self._response.readinto(view[: 1 << 16])

    def close(self) -> None:
        """Keep the connection if nothing of the answer is left on it."""
        if self._stop is not None:
            self._stop.forget(self._wire)
        response, connection = self._response, self._connection
        whole = response.isclosed() if response.length is None else response.length == 0
        response.close()
        if whole and not response.will_close:
            self._engine.keep(connection)
        else:
            connection.close()


def _close_all(connections: deque[http.client.HTTPConnection]) -> None:
    with suppress(IndexError):
        while True:
            connections.pop().close()


def _put(connection: http.client.HTTPConnection, request: PreparedRequest) -> None:
    headers = request.headers
    target = quote(request.path_url, safe=punctuation)  # a redirect may lead to what is not ASCII
    connection.putrequest(
        request.method or "GET", target, skip_host="Host" in headers, skip_accept_encoding=True
    )
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()


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
