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
            response.content  # noqa: B018
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
        self._ahead = io.BufferedReader(_Wire(raw), ERROR_BODY_LIMIT)
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
        if self._ahead.closed:
            return b""
        try:
            return self._ahead.peek()
        except HTTPError:
            return b""


class _Wire(io.RawIOBase):
    """A body as it comes in, not decoded."""

    def __init__(self, raw: HTTPResponse) -> None:
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._raw.read(len(buffer), decode_content=False) or b""
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
            self._raw.release_conn()
        super().close()
