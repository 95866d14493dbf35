"""A request on its way out over a connection: its head, its body, and a server that answers before the end.

What a head is, is pure. The rest writes to a socket that others open, keep and read the answer from.

Reference: RFC 9112 (HTTP/1.1).
"""

from __future__ import annotations

import re
import socket
import ssl
import sys
from collections.abc import Iterator
from string import punctuation
from typing import Any
from urllib.parse import quote

import requests
from requests import PreparedRequest
from urllib3.util import wait_for_read

try:
    import fcntl
    import termios

    _UNSENT: int | None = termios.TIOCOUTQ
except ImportError:  # Windows
    _UNSENT = None

__all__ = ["head_of", "send_request", "wait_while_sending"]

_NOT_OF_A_TARGET = re.compile(r"[^!-~]")
_CHUNK = 1 << 18
_INTERIM_START = b"HTTP/1.1 1"


def head_of(request: PreparedRequest, host: str) -> bytes:
    """Write the head of a request (RFC 9112, sections 3 and 5); one with a body says its length.

    Raises
    ------
    requests.exceptions.InvalidHeader
        If a field would be more than one line, or is not Latin-1.
    """
    target = request.path_url
    if _NOT_OF_A_TARGET.search(target):  # a redirect may lead to what nobody encoded
        target = quote(target, safe=punctuation)
    lines = [f"{request.method} {target} HTTP/1.1"]
    if "Host" not in request.headers:
        lines.append(f"Host: {host}")
    lines += [f"{_text(name)}: {_text(value)}" for name, value in request.headers.items()]
    try:
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    except UnicodeEncodeError as error:
        raise requests.exceptions.InvalidHeader(f"a header is not Latin-1: {error.reason}") from None
    if not head.count(b"\n") == head.count(b"\r") == len(lines) + 1:
        raise requests.exceptions.InvalidHeader("a header holds a line break")
    return head


def send_request(wire: socket.socket, head: bytes, body: Any) -> OSError | None:
    """Send a request, or as much as the server wants: it may answer sooner (RFC 9112, section 9.5).

    Returns
    -------
    OSError or None
        Why not all of it was sent; there may be an answer nevertheless.
    """
    try:
        wire.sendall(head)
    except OSError as error:
        return error
    for chunk in _chunks(body):
        if _is_answered(wire):
            return ConnectionResetError("the server did not wait for the whole body")
        try:
            left = memoryview(chunk)
            while left:  # not sendall, whose timeout is for all of it
                left = left[wire.send(left) :]
        except OSError as error:
            return error
    return None


def _is_answered(wire: socket.socket) -> bool:
    """Tell whether there is a final answer already, or an end; over TLS nobody can see that."""
    if isinstance(wire, ssl.SSLSocket) or not wait_for_read(wire, timeout=0.0):
        return False
    start = wire.recv(len(_INTERIM_START), socket.MSG_PEEK)
    return not start.startswith(_INTERIM_START)


def wait_while_sending(wire: socket.socket, timeout: float) -> None:
    """Wait for an answer as long as the system still has bytes of ours to send, and sends them."""
    left = _unsent(wire)
    while left and not wait_for_read(wire, timeout=timeout):
        before, left = left, _unsent(wire)
        if left >= before:
            return


def _unsent(wire: socket.socket) -> int:
    """Return the bytes that the other side has not taken yet; 0 where the system does not tell."""
    if _UNSENT is None:
        return 0
    try:
        return int.from_bytes(fcntl.ioctl(wire.fileno(), _UNSENT, bytes(4)), sys.byteorder)
    except OSError:
        return 0


def _chunks(body: Any) -> Iterator[bytes | memoryview]:
    """Cut a body, which is a file or bytes."""
    if body is None:
        return
    if hasattr(body, "read"):
        yield from iter(lambda: body.read(_CHUNK), b"")
        return
    whole = memoryview(body.encode() if isinstance(body, str) else body)
    for start in range(0, len(whole), _CHUNK):
        yield whole[start : start + _CHUNK]


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
