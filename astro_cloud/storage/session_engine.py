"""Requests through a `requests` session: its adapters, hooks, cookies and proxies."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import requests
from requests import PreparedRequest, Response, Session

from astro_cloud.storage.answers import Answer
from astro_cloud.storage.engine import OpenAnswer
from astro_cloud.storage.settings import Settings
from astro_cloud.storage.stop import Stop

__all__ = ["SessionEngine"]


class SessionEngine:
    """Sends what a session prepared, through that session.

    Parameters
    ----------
    session : requests.Session
        Never closed here.
    environment : callable
        Given a URL, returns what `Session.merge_environment_settings` would.
    settings : Settings
        For the timeouts.
    """

    def __init__(
        self, session: Session, environment: Callable[[str], Mapping[str, Any]], settings: Settings
    ) -> None:
        self._session = session
        self._environment = environment
        self._timeout = (settings.connect_timeout, settings.read_timeout)

    def send(self, request: PreparedRequest, stop: Stop | None = None) -> OpenAnswer:
        """Send; a connection in use is the session's own, so `stop` is heeded between reads."""
        options = self._environment(request.url or "")
        try:
            response = self._session.send(request, timeout=self._timeout, allow_redirects=False, **options)
        except requests.HTTPError as error:  # a hook that raises for bad statuses: they are judged later
            if error.response is None:
                raise
            response = error.response
        except requests.RequestException:
            raise
        except ValueError as error:  # it prepares a redirect to what is no URL, though none is followed
            raise requests.RequestException(str(error)) from None
        return _SessionAnswer(response, stop)

    def close(self) -> None:
        """Leave the session to its owner."""


class _SessionAnswer(OpenAnswer):
    def __init__(self, response: Response, stop: Stop | None) -> None:
        self._response = response
        self._stop = stop
        # a hook of the session may have read the body already
        consumed = getattr(response, "_content_consumed", False)
        self._body = io.BytesIO(response.content) if consumed else None

    def head(self) -> Answer:
        response = self._response
        body = b"" if response.status_code in (200, 206) else self.start_of_error()
        return Answer(response.status_code, response.headers, response.url, body)

    def read(self, size: int) -> bytes:
        if self._stop is not None:
            self._stop.check()
        if self._body is not None:
            return self._body.read(size)
        data: bytes = self._response.raw.read(size, decode_content=False)
        return data

    def readinto(self, view: memoryview) -> int:
        chunk = self.read(min(len(view), 1 << 16))
        view[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        self._response.close()
