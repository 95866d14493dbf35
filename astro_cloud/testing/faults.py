"""What can go wrong, as values: each `Fault` stands between a request and its answer.

A fault is given the request and a function that carries it out, and returns the answer to send. One that does
not call that function keeps the request from being carried out. A new fault is one more constructor here.
"""

from __future__ import annotations

import gzip
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from astro_cloud.testing.answer import Answer, Ending, FileSlice, refusal_answer
from astro_cloud.testing.http_request import Request
from astro_cloud.testing.refusal import Refusal

MAX_CHANGED = 64 * 1024 * 1024
"""Most bytes that `Fault.gzip` and `Fault.corrupted` change, which they do in memory."""

Serve = Callable[[], Answer]
Apply = Callable[[Request, Serve], Answer]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong with an answer; made by the constructors below.

    Parameters
    ----------
    kind : str
        For people.
    apply : callable
        Given the request and a function without arguments that carries it out; returns the answer to send.
    """

    kind: str
    apply: Apply = field(repr=False)

    @classmethod
    def unavailable(
        cls,
        status: int = 503,
        code: str = "SlowDown",
        *,
        message: str = "",
        retry_after: float | str | None = None,
    ) -> Fault:
        """Answer an S3 error without carrying the request out.

        Parameters
        ----------
        status : int
            400 to 599.
        code : str
            S3's error code: ``SlowDown``, ``InternalError``, ``RequestTimeout`` (with status 400) ...
        message : str
            For people; the code if empty.
        retry_after : float or str, optional
            The Retry-After header: seconds, or an HTTP date.
        """
        refusal = _s3_error(status, code, message, retry_after)
        return cls(f"unavailable({status}, {code!r})", lambda request, serve: _refusal(request, refusal))

    @classmethod
    def cut(cls, after: int) -> Fault:
        """Close the connection after this many bytes of the body; the headers promise all of it."""
        return cls(
            f"cut({after})", lambda request, serve: replace(serve(), stop_after=after, ending=Ending.CLOSE)
        )

    @classmethod
    def reset(cls, after: int | None = 0) -> Fault:
        """Reset the connection (RST) after this many bytes of the body; None: before the status line.

        The request is carried out: after a PUT with ``Fault.reset(None)`` the object is there, and only the
        answer that would say so is lost.
        """
        stop, head = after or 0, after is not None
        return cls(
            f"reset({after})",
            lambda request, serve: replace(serve(), stop_after=stop, send_head=head, ending=Ending.RESET),
        )

    @classmethod
    def stall(cls, after: int) -> Fault:
        """Fall silent after this many bytes of the body, the connection open."""
        return cls(
            f"stall({after})", lambda request, serve: replace(serve(), stop_after=after, ending=Ending.HANG)
        )

    @classmethod
    def never_answers(cls) -> Fault:
        """Read the request and say nothing until the client leaves or the server closes."""
        silence = Answer(0, send_head=False, stop_after=0, ending=Ending.HANG)
        return cls("never_answers()", lambda request, serve: silence)

    @classmethod
    def early_refusal(
        cls,
        status: int = 503,
        code: str = "SlowDown",
        *,
        message: str = "",
        retry_after: float | str | None = None,
    ) -> Fault:
        """Answer an S3 error before any of the request's body is read, then close the connection.

        Its parameters are those of `unavailable`, which reads the body first. A client that goes on sending
        for half a second more gets a reset.
        """
        refusal = _s3_error(status, code, message, retry_after)

        def apply(request: Request, serve: Serve) -> Answer:
            answer = _header(_refusal(request, refusal), "Connection", "close")
            return replace(answer, read_up_to=0, ending=Ending.CLOSE)

        return cls(f"early_refusal({status}, {code!r})", apply)

    @classmethod
    def reset_request(cls, after: int) -> Fault:
        """Reset the connection (RST) once so many bytes of the request's body were read; nothing is done."""
        return cls(f"reset_request({after})", _unread(after, Ending.RESET))

    @classmethod
    def cut_request(cls, after: int) -> Fault:
        """Close the connection once so many bytes of the request's body were read; nothing is done."""
        return cls(f"cut_request({after})", _unread(after, Ending.CLOSE))

    @classmethod
    def stall_request(cls, after: int) -> Fault:
        """Read no further than this many bytes of the request's body, the connection open; nothing is done.

        What a client sends after them fills the buffers between, then its sending blocks. The log has the
        request at once; the connection ends when the server closes.
        """
        return cls(f"stall_request({after})", _unread(after, Ending.DEAF))

    @classmethod
    def ok_with_error(cls, code: str = "InternalError", *, message: str = "") -> Fault:
        """Answer 200 with an S3 error in the body and do nothing, as S3 may when an upload is completed."""
        refusal = _s3_error(200, code, message, None)
        return cls(f"ok_with_error({code!r})", lambda request, serve: _refusal(request, refusal))

    @classmethod
    def corrupted(cls, at: int = 0) -> Fault:
        """Send one byte of the object wrong, the one ``at`` bytes from its beginning, if it is asked for."""
        return cls(f"corrupted({at})", _on_object(lambda answer: _corrupted(answer, at)))

    @classmethod
    def whole_body(cls) -> Fault:
        """Answer a range with 200 and the whole object, as a server without ranges does."""
        return cls("whole_body()", _on_part(_whole))

    @classmethod
    def ok_with_content_range(cls) -> Fault:
        """Answer a range with the right bytes and Content-Range, but status 200, as rclone does."""
        return cls("ok_with_content_range()", _on_part(lambda answer: replace(answer, status=200)))

    @classmethod
    def wrong_content_range(cls, *, start: int = 0, length: int = 0, total: int = 0) -> Fault:
        """Send the bytes asked for with a wrong Content-Range.

        Parameters
        ----------
        start : int
            Bytes by which the range is said to lie further on.
        length : int
            Bytes by which it is said to be longer.
        total : int
            Bytes by which the object is said to be larger.
        """

        def change(answer: Answer) -> Answer:
            first, stop, size = _extent(answer)
            return _content_range(answer, f"{first + start}-{stop - 1 + start + length}", str(size + total))

        return cls(f"wrong_content_range(start={start}, length={length}, total={total})", _on_part(change))

    @classmethod
    def unknown_total(cls) -> Fault:
        """Send a Content-Range with ``*`` for the object's size."""

        def change(answer: Answer) -> Answer:
            first, stop, _ = _extent(answer)
            return _content_range(answer, f"{first}-{stop - 1}", "*")

        return cls("unknown_total()", _on_part(change))

    @classmethod
    def bare_416(cls) -> Fault:
        """Send a 416 without Content-Range, as Ceph, Swift and rclone do; other answers stay as they are."""

        def apply(request: Request, serve: Serve) -> Answer:
            answer = serve()
            return _header(answer, "Content-Range", None) if answer.status == 416 else answer

        return cls("bare_416()", apply)

    @classmethod
    def changed_etag(cls, etag: str = '"00000000000000000000000000000000"') -> Fault:
        """Send another ETag, with its quotation marks; preconditions are judged by the true one."""
        return cls(f"changed_etag({etag!r})", _on_object(lambda answer: _header(answer, "ETag", etag)))

    @classmethod
    def no_etag(cls) -> Fault:
        """Send no ETag."""
        return cls("no_etag()", _on_object(lambda answer: _header(answer, "ETag", None)))

    @classmethod
    def gzip(cls) -> Fault:
        """Answer 200 with the whole object compressed, its ETag weak, as nginx does unless told not to."""
        return cls("gzip()", _on_object(_gzipped))

    @classmethod
    def labelled_gzip(cls) -> Fault:
        """Send the bytes asked for with ``Content-Encoding: gzip``, as S3 does for objects stored so."""
        label = _on_object(lambda answer: _header(answer, "Content-Encoding", "gzip"))
        return cls("labelled_gzip()", label)

    @classmethod
    def redirect(cls, location: str, status: int = 307) -> Fault:
        """Send the client elsewhere without carrying the request out.

        Parameters
        ----------
        location : str
            The Location header: a URL, or a path on this server.
        status : int
            301, 302, 303, 307 or 308.
        """
        code = "PermanentRedirect" if status in (301, 308) else "TemporaryRedirect"
        refusal = Refusal(
            status, code, "Please re-send this request elsewhere.", (), (("Location", location),)
        )
        return cls(f"redirect({location!r}, {status})", lambda request, serve: _refusal(request, refusal))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which requests a fault befalls; None is any.

    Parameters
    ----------
    key, method : str or None
        The request's.
    query : str or None
        ``"name"`` of a parameter it has, or ``"name=value"``, decoded.
    """

    key: str | None = None
    method: str | None = None
    query: str | None = None

    def fits(self, request: Request) -> bool:
        """Tell whether a request is one of them."""
        if self.key not in (None, request.key) or self.method not in (None, request.method):
            return False
        if self.query is None:
            return True
        name, equals, value = self.query.partition("=")
        return name in request.query and (not equals or request.query[name] == value)


class FaultQueue:
    """Faults waiting for requests; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[_Injection] = deque()

    def inject(self, fault: Fault, times: int | None, wanted: Wanted) -> None:
        """Append a fault for the next ``times`` requests (None: all) that are ``wanted``."""
        if times is not None and times < 1:
            raise ValueError(f"times must be at least 1, or None: {times}")
        with self._lock:
            self._waiting.append(_Injection(fault, times, wanted))

    def take(self, request: Request) -> Fault | None:
        """Return the first fault that fits a request, used up once more; None if none does."""
        with self._lock:
            for injection in self._waiting:
                if injection.wanted.fits(request):
                    if injection.times is not None:
                        injection.times -= 1
                        if not injection.times:
                            self._waiting.remove(injection)
                    return injection.fault
        return None

    def clear(self) -> None:
        """Drop all faults."""
        with self._lock:
            self._waiting.clear()


@dataclass(slots=True, eq=False)
class _Injection:
    fault: Fault
    times: int | None
    wanted: Wanted


def _s3_error(status: int, code: str, message: str, retry_after: float | str | None) -> Refusal:
    headers = () if retry_after is None else (("Retry-After", str(retry_after)),)
    return Refusal(status, code, message or code, (), headers)


def _unread(after: int, ending: Ending) -> Apply:
    """Return a fault's ``apply`` that reads this much of the request's body and gives no answer."""
    silence = Answer(0, send_head=False, stop_after=0, ending=ending, read_up_to=after)
    return lambda request, serve: silence


def _refusal(request: Request, refusal: Refusal) -> Answer:
    return refusal_answer(refusal, request.resource, "INJECTED")


def _on_object(change: Callable[[Answer], Answer]) -> Apply:
    """Return a fault's ``apply`` that changes answers with an object's bytes, and no other."""

    def apply(request: Request, serve: Serve) -> Answer:
        answer = serve()
        return change(answer) if answer.stored is not None else answer

    return apply


def _on_part(change: Callable[[Answer], Answer]) -> Apply:
    """Return a fault's ``apply`` that changes answers with a range of an object, and no other."""
    return _on_object(lambda answer: change(answer) if answer.part is not None else answer)


def _header(answer: Answer, name: str, value: str | None) -> Answer:
    return replace(answer, headers=answer.with_header(name, value))


def _content_range(answer: Answer, extent: str, total: str) -> Answer:
    return _header(answer, "Content-Range", f"bytes {extent}/{total}")


def _extent(answer: Answer) -> tuple[int, int, int]:
    """Return the range that is sent as start, stop, and the object's size, in bytes."""
    if answer.part is None or answer.stored is None:
        raise ValueError("the answer has no range")
    return (*answer.part, answer.stored.size)


def _whole(answer: Answer) -> Answer:
    if answer.stored is None:
        return answer
    body = FileSlice(answer.stored, 0, answer.stored.size)
    return replace(_header(answer, "Content-Range", None), status=200, body=body, part=None)


def _corrupted(answer: Answer, at: int) -> Answer:
    body = answer.body
    if not isinstance(body, FileSlice) or not body.start <= at < body.stop:
        return answer
    data = bytearray(_in_memory(body))
    data[at - body.start] ^= 0xFF
    return replace(answer, body=bytes(data))


def _in_memory(body: FileSlice) -> bytes:
    if len(body) > MAX_CHANGED:
        raise ValueError(f"the fault changes bytes in memory: {len(body)} are more than {MAX_CHANGED}")
    return body.stored.read(body.start, len(body))


def _gzipped(answer: Answer) -> Answer:
    stored = answer.stored
    if stored is None or answer.status == 304:
        return answer
    data = gzip.compress(_in_memory(FileSlice(stored, 0, stored.size)), 1)
    answer = _header(_header(_whole(answer), "Content-Encoding", "gzip"), "ETag", f"W/{stored.etag}")
    return replace(answer, body=data)
