"""Requests through a `requests` session: its adapters, hooks, cookies and proxies."""

from __future__ import annotations

import io
from collections.abc import Mapping
from types import FunctionType, ModuleType
from typing import Any, TypeGuard, cast

import requests
import urllib3
from requests import PreparedRequest, Session
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.cookies import extract_cookies_to_jar
from requests.utils import select_proxy

from astro_cloud.storage.answers import Answer
from astro_cloud.storage.engine import OpenAnswer
from astro_cloud.storage.settings import Settings
from astro_cloud.storage.stop import Stop

__all__ = ["SessionEngine"]

_SENDING = (
    "send",
    "build_response",
    "add_headers",
    "request_url",
    "cert_verify",
    "get_connection_with_tls_context",
)
"""What takes part when an adapter sends."""


class SessionEngine:
    """Sends what a session prepared for one origin, through that session.

    Where neither session nor adapter do anything about sending that `requests` itself would not, the
    adapter's pool of connections is asked directly: it is all the same to the server, and less work.

    Parameters
    ----------
    origin : str
        Scheme, host and port of all it sends to.
    session : requests.Session
        Never closed here.
    options : mapping
        What `Session.merge_environment_settings` returns for the origin.
    settings : Settings
        For the timeouts.
    """

    def __init__(self, origin: str, session: Session, options: Mapping[str, Any], settings: Settings) -> None:
        self._session = session
        self._options = options
        self._timeout = (settings.connect_timeout, settings.read_timeout)
        self._pool_timeout = urllib3.Timeout(connect=self._timeout[0], read=self._timeout[1])
        self._is_proxied = bool(select_proxy(origin, options["proxies"]))
        self._pools: dict[HTTPAdapter, urllib3.HTTPConnectionPool] = {}

    def send(self, request: PreparedRequest, stop: Stop | None = None) -> OpenAnswer:
        """Send; a connection in use is the session's own, so `stop` is heeded between reads."""
        adapter = self._session.get_adapter(request.url or "")
        needs_session = self._is_proxied or request.hooks["response"] or request.body is not None
        if not needs_session and _is_plain(adapter, self._session):
            return self._through_pool(request, adapter, stop)
        return self._through_session(request, stop)

    def close(self) -> None:
        """Leave the session to its owner."""

    def _through_session(self, request: PreparedRequest, stop: Stop | None) -> OpenAnswer:
        try:
            response = self._session.send(
                request, timeout=self._timeout, allow_redirects=False, **self._options
            )
        except requests.HTTPError as error:  # a hook that raises for bad statuses: they are judged later
            if error.response is None:
                raise
            response = error.response
        except requests.RequestException:
            raise
        except ValueError as error:  # it prepares a redirect to what is no URL, though none is followed
            raise requests.RequestException(str(error)) from None
        # a hook of the session may have read the body already
        body = io.BytesIO(response.content) if getattr(response, "_content_consumed", False) else None
        return _SessionAnswer(response.status_code, response.headers, response.url, response.raw, body, stop)

    def _through_pool(self, request: PreparedRequest, adapter: HTTPAdapter, stop: Stop | None) -> OpenAnswer:
        try:
            raw = self._urlopen(request, adapter)
        except urllib3.exceptions.ClosedPoolError:  # the adapter closed it since, and has others now
            self._pools.clear()
            raw = self._urlopen(request, adapter)
        except urllib3.exceptions.MaxRetryError as error:
            raise error.reason or error from None
        except urllib3.exceptions.ProtocolError as error:
            raise requests.ConnectionError(error) from None
        if "Set-Cookie" in raw.headers:
            extract_cookies_to_jar(self._session.cookies, request, raw)  # type: ignore[no-untyped-call]  # by requests
        return _SessionAnswer(raw.status, raw.headers, request.url or "", raw, None, stop)

    def _urlopen(self, request: PreparedRequest, adapter: HTTPAdapter) -> urllib3.BaseHTTPResponse:
        """Ask as `HTTPAdapter.send` does."""
        pool = self._pools.get(adapter)
        if pool is None:
            verify, cert = self._options["verify"], self._options["cert"]
            found = adapter.get_connection_with_tls_context(request, verify, cert=cert)
            adapter.cert_verify(found, request.url, verify, cert)  # type: ignore[no-untyped-call]  # by requests
            pool = self._pools[adapter] = cast(urllib3.HTTPConnectionPool, found)
        return pool.urlopen(
            request.method or "GET",
            request.path_url,
            headers=dict(request.headers.items()),
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            decode_content=False,
            retries=adapter.max_retries,
            timeout=self._pool_timeout,
        )


class _SessionAnswer(OpenAnswer):
    """An answer of urllib3's, `raw`, or the `body` of one that was read."""

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        url: str,
        raw: urllib3.BaseHTTPResponse,
        body: io.BytesIO | None,
        stop: Stop | None,
    ) -> None:
        self._status = status
        self._headers = headers
        self._url = url
        self._raw = raw
        self._body = body
        self._stop = stop

    def head(self) -> Answer:
        body = b"" if self._status in (200, 206) else self.start_of_error()
        return Answer(self._status, self._headers, self._url, body)

    def read(self, size: int) -> bytes:
        if self._stop is not None:
            self._stop.check()
        if self._body is not None:
            return self._body.read(size)
        return self._raw.read(size, decode_content=False)

    def readinto(self, view: memoryview) -> int:
        chunk = self.read(min(len(view), 1 << 16))
        view[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        self._raw.close()  # closes the connection, unless the body was read to its end
        self._raw.release_conn()


def _is_plain(adapter: BaseAdapter, session: Session) -> TypeGuard[HTTPAdapter]:
    """Tell whether sending is what `requests` wrote, in no part of it overridden or patched."""
    if not isinstance(adapter, HTTPAdapter) or "send" in vars(session):
        return False
    if not _is_written_in(requests.sessions, type(session).send):
        return False
    kind, own = type(adapter), vars(adapter)
    for name in _SENDING:  # for each request: what watches or fakes requests comes and goes
        if name in own or not _is_written_in(requests.adapters, getattr(kind, name)):
            return False
    return True


def _is_written_in(module: ModuleType, function: object) -> bool:
    return type(function) is FunctionType and function.__globals__ is module.__dict__
