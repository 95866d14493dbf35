"""One answer as a value: what is sent and how the sending ends. Faults change it, ``connection`` sends it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from astro_cloud.testing.refusal import Refusal
from astro_cloud.testing.store import StoredObject


class Ending(enum.Enum):
    """What happens to the connection after an answer."""

    KEEP = "kept for the next request, if the client wishes"
    CLOSE = "closed"
    RESET = "reset: the client gets ECONNRESET"
    HANG = "left open in silence until the client leaves or the server closes"
    DEAF = "left open until the server closes, and nothing more is read from it"


@dataclass(frozen=True, slots=True)
class FileSlice:
    """Bytes [start, stop) of an object, as a body."""

    stored: StoredObject
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back.

    Parameters
    ----------
    status : int
        HTTP status.
    headers : tuple of (str, str)
        Without Content-Length, Connection, Date and the request id, which the sending adds.
    body : bytes or FileSlice
        Its length is sent as Content-Length; a HEAD sends no more of it than that.
    stored : StoredObject or None
        The object asked for, if the answer is about one.
    part : (int, int) or None
        The range of ``stored`` that is sent, as [start, stop) in bytes; None for the whole.
    send_head : bool
        False if not even the status line is sent.
    stop_after : int or None
        Bytes of the body after which the sending ends as ``ending`` says; None for all.
    ending : Ending
        What happens then.
    read_up_to : int or None
        Bytes of the request's body that are read before any of this; None for all. With fewer than all, the
        ending must be another than KEEP.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | FileSlice = b""
    stored: StoredObject | None = None
    part: tuple[int, int] | None = None
    send_head: bool = True
    stop_after: int | None = None
    ending: Ending = Ending.KEEP
    read_up_to: int | None = None

    def header(self, name: str) -> str | None:
        """Return a header's value, or None."""
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)

    def with_header(self, name: str, value: str | None) -> tuple[tuple[str, str], ...]:
        """Return the headers with one set anew in its place, added, or (None) taken out."""
        headers = [(known, value if known.lower() == name.lower() else old) for known, old in self.headers]
        if name.lower() not in (known.lower() for known, _ in headers):
            headers.append((name, value))
        return tuple((known, text) for known, text in headers if text is not None)


def refusal_answer(refusal: Refusal, path: str, request_id: str) -> Answer:
    """Return the answer that carries an S3 error."""
    headers = (("Content-Type", "application/xml"), *refusal.headers)
    return Answer(refusal.status, headers, refusal.xml(path, request_id))


def head_bytes(answer: Answer, common: str, *, keep_alive: bool) -> bytes:
    """Return the status line and headers, with the empty line that ends them.

    Parameters
    ----------
    answer : Answer
        Its body's length becomes Content-Length, where the status has one.
    common : str
        Header lines every answer of the server carries, each ended by CR LF.
    keep_alive : bool
        If false, ``Connection: close`` is added.
    """
    lines = [f"HTTP/1.1 {answer.status} {_reason(answer.status)}\r\n{common}"]
    lines += [f"{name}: {value}\r\n" for name, value in answer.headers]
    if answer.status not in (204, 304):
        lines.append(f"Content-Length: {len(answer.body)}\r\n")
    if not keep_alive and answer.header("Connection") is None:
        lines.append("Connection: close\r\n")
    lines.append("\r\n")
    return "".join(lines).encode("utf-8", "surrogateescape")


@lru_cache(maxsize=1024)
def http_date(seconds: int) -> str:
    """Return seconds since 1970 UTC as an HTTP date."""
    return formatdate(seconds, usegmt=True)


def _reason(status: int) -> str:
    return _REASONS.get(status, "Unknown")


_REASONS = {status.value: status.phrase for status in HTTPStatus}
