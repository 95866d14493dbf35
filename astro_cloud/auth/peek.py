"""Look at the beginning of an answer's body, and leave the answer as if nobody had looked.

An error says why in its first kilobytes; what comes behind them may be long, and is not ours to read.
"""

from __future__ import annotations

import io
from contextlib import suppress

from requests import RequestException, Response
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse

from astro_cloud.auth.refusal import ERROR_BODY_LIMIT

__all__ = ["beginning", "release"]


def beginning(response: Response) -> bytes:
    """Return up to `ERROR_BODY_LIMIT` bytes of a body, decoded as its Content-Encoding says.

    Afterwards ``content``, ``iter_content()`` and ``raw`` give the whole body, from its first byte.
    Empty where it cannot be read: whoever reads it next sees why.
    """
    encoding = response.headers.get("Content-Encoding", "")
    undecoded = HTTPResponse(
        io.BytesIO(_peeked(response)), {"Content-Encoding": encoding}, preload_content=False
    )
    try:
        return undecoded.read(ERROR_BODY_LIMIT, decode_content=True)
    except HTTPError:
        return b""


def release(response: Response) -> None:
    """Give a response's connection back: read the body if it is no longer than an error's, else close."""
    if len(_peeked(response)) < ERROR_BODY_LIMIT:
        with suppress(RequestException):
            response.content  # noqa: B018 - to ask for it reads it
    response.close()


def _peeked(response: Response) -> bytes:
    """Return the first bytes of a body as they came in."""
    if isinstance(response.raw, _Peekable):
        return response.raw.peek()
    if not isinstance(response.raw, HTTPResponse) or isinstance(response._content, bytes):
        return response.content or b""
    response.raw = _Peekable(response.raw, response.request.method)
    return response.raw.peek()


class _Peekable(HTTPResponse):
    """An answer that stands before the one it reads from, so that bytes can be read twice."""

    def __init__(self, raw: HTTPResponse, method: str | None) -> None:
        self._ahead = _Wire(raw)
        super().__init__(
            self._ahead,
            raw.headers,
            raw.status,
            raw.version,
            reason=raw.reason,
            preload_content=False,
            decode_content=raw.decode_content,
            original_response=raw._original_response,
            msg=raw.msg,
            retries=raw.retries,
            request_method=method,  # a HEAD's Content-Length announces no body
            request_url=raw.geturl(),
        )

    def peek(self) -> bytes:
        return self._ahead.peek()


class _Wire(io.RawIOBase):
    """A body as it comes in, not decoded; what was looked at comes first, then what stopped the look."""

    def __init__(self, raw: HTTPResponse) -> None:
        self._raw = raw
        # urllib3 before 2.1 has no read1; its read loses what came in before a timeout
        self._read = getattr(raw, "read1", raw.read)
        self._held: bytes | None = None
        self._error: HTTPError | None = None

    def readable(self) -> bool:
        return True

    def peek(self) -> bytes:
        """Return up to `ERROR_BODY_LIMIT` bytes that nobody has read; empty once it is closed."""
        if self._held is None:
            held = bytearray()
            try:
                while len(held) < ERROR_BODY_LIMIT and (
                    data := self._read(ERROR_BODY_LIMIT - len(held), decode_content=False)
                ):
                    held += data
            except HTTPError as error:
                self._error = error
            self._held = bytes(held)
        return b"" if self.closed else self._held

    # io has any buffer come in; what is read into here has a length.
    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        held = self._held or b""
        data, self._held = held[: len(buffer)], held[len(buffer) :]
        if not data:
            if self._error is not None:
                raise self._error
            data = self._raw.read(len(buffer), decode_content=False) or b""
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
            self._raw.release_conn()
        super().close()
