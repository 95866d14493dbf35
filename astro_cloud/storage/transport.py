"""One request out, one answer back: the seam under the client.

Knows `requests` sessions, adapters and what they raise; knows no ranges, no retries, no verdicts. A
request is prepared once per object and copied for each read, since preparing costs more than sending.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

import requests
import urllib3.exceptions
from requests import PreparedRequest, Request, Response, Session
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from requests.hooks import dispatch_hook
from requests.utils import get_netrc_auth

from astro_cloud.auth.masking import masked
from astro_cloud.auth.providers import Anonymous
from astro_cloud.auth.refusal import ERROR_BODY_LIMIT
from astro_cloud.exceptions import (
    AstroCloudError,
    IncompleteReadError,
    InvalidLocationError,
    StorageError,
    TransferTimeoutError,
)
from astro_cloud.forking import restart_after_fork
from astro_cloud.storage.answers import Again, Answer, Fail
from astro_cloud.storage.settings import Settings

__all__ = ["FOREIGN_ERRORS", "OpenAnswer", "Target", "Transport", "translate"]

_CREDENTIAL_HEADERS = ("authorization", "cookie", "proxy-authorization")
_CREDENTIAL_PREFIXES = ("x-amz-", "x-ms-", "x-goog-")

FOREIGN_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
"""What `Transport.send` and reading an answer's body may raise; `translate` understands all of it."""


class _Rule(NamedTuple):
    kinds: tuple[type[Exception], ...]
    error: type[AstroCloudError]
    says: str
    passes: bool


_RULES = (
    _Rule(
        (requests.exceptions.SSLError, urllib3.exceptions.SSLError),
        StorageError,
        "the server's certificate or TLS connection was not accepted (a private CA is named by "
        "REQUESTS_CA_BUNDLE)",
        False,
    ),
    _Rule((requests.exceptions.ProxyError,), StorageError, "the proxy could not be reached", True),
    _Rule(
        (requests.exceptions.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError),
        TransferTimeoutError,
        "no connection within {settings.connect_timeout:g} s",
        True,
    ),
    _Rule(
        (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError, TimeoutError),
        TransferTimeoutError,
        "the server sent nothing for {settings.read_timeout:g} s",
        True,
    ),
    _Rule(
        (
            requests.exceptions.InvalidURL,
            requests.exceptions.InvalidSchema,
            requests.exceptions.MissingSchema,
            urllib3.exceptions.LocationParseError,
        ),
        InvalidLocationError,
        "this is not a URL that can be read",
        False,
    ),
    _Rule((requests.exceptions.ConnectionError,), StorageError, "no connection", True),
    _Rule(
        (
            requests.exceptions.ChunkedEncodingError,
            urllib3.exceptions.ProtocolError,
            urllib3.exceptions.IncompleteRead,
            ConnectionError,
        ),
        IncompleteReadError,
        "the connection closed before the whole body had arrived",
        True,
    ),
    _Rule(
        (requests.RequestException, urllib3.exceptions.HTTPError), StorageError, "the request failed", False
    ),
    _Rule((OSError,), IncompleteReadError, "the connection broke", True),
)


def translate(error: Exception, location: str, settings: Settings) -> Again | Fail:
    """Turn what the libraries below raise into a verdict, by one table, most specific first.

    The cause is kept as its text, with signatures masked: foreign errors carry the request they
    failed on, credentials and all.
    """
    rule = next(rule for rule in _RULES if isinstance(error, rule.kinds))
    says = rule.says.format(settings=settings)
    if _is_name_resolution(error):
        says = "the host name cannot be resolved: is it spelt right, is there a network?"
    ours = rule.error(f"{location}: {says}")
    ours.__cause__ = ConnectionError(masked(f"{type(error).__name__}: {error}"))
    if not isinstance(ours, StorageError):
        return Fail(ours)
    ours.location = location
    return Again(ours) if rule.passes else Fail(ours)


def _is_name_resolution(error: BaseException) -> bool:
    reason = error.args[0] if error.args else None
    cause = getattr(reason, "reason", None)
    return isinstance(cause, urllib3.exceptions.NameResolutionError)


class Target(NamedTuple):
    """Where an object is read.

    Attributes
    ----------
    template : PreparedRequest
        Prepared once; a copy is sent for each read.
    auth : callable or None
        Signs each copy.
    foreign : bool
        A stranger's URL, reached by a redirect: no credentials of ours may go there.
    """

    template: PreparedRequest
    auth: AuthBase | Callable[[PreparedRequest], PreparedRequest] | None
    foreign: bool

    @property
    def url(self) -> str:
        """The URL of the template."""
        return self.template.url or ""


class OpenAnswer:
    """An answer whose body is still on the wire; a context manager that frees its connection."""

    def __init__(self, response: Response) -> None:
        self._response = response
        # a hook of the session may have read the body already
        consumed = getattr(response, "_content_consumed", False)
        self._body = io.BytesIO(response.content) if consumed else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._response.close()

    def head(self) -> Answer:
        """Return status and headers; for anything but a success also the start of the body."""
        response = self._response
        body = b""
        if response.status_code not in (200, 206):
            body = self.read(ERROR_BODY_LIMIT)
        return Answer(response.status_code, response.headers, response.url, body)

    def read(self, size: int) -> bytes:
        """Read the next bytes of the body, at most `size`; none at its end.

        Raises
        ------
        Exception
            One of `FOREIGN_ERRORS`.
        """
        if self._body is not None:
            return self._body.read(size)
        data: bytes = self._response.raw.read(size, decode_content=False)
        return data


class Transport:
    """A pooled `requests` session, ours or the user's, and the settings of its environment.

    Parameters
    ----------
    session : requests.Session, optional
        An injected session goes through its own adapters, hooks and cookies, and is never closed.
    connections : int
        Connections kept per host, for a session of our own.
    """

    def __init__(self, session: Session | None = None, *, connections: int = 16) -> None:
        self._injected = session
        self._connections = connections
        self._start()

    def _start(self) -> None:
        """Have no session of our own, and know nothing of the environment."""
        restart_after_fork(self, Transport._start)
        self._lock = threading.Lock()
        self._own: Session | None = None
        self._environment: dict[str, Mapping[str, Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"_injected": self._injected, "_connections": self._connections}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    @property
    def session(self) -> Session:
        """The injected session, or one of our own."""
        if self._injected is not None:
            return self._injected
        own = self._own
        if own is None:
            with self._lock:
                own = self._own = self._own or _new_session(self._connections)
        return own

    @property
    def session_auth(self) -> Any:
        """The auth that an injected session carries, or None."""
        auth = self._injected.auth if self._injected is not None else None
        return HTTPBasicAuth(*auth) if isinstance(auth, tuple) else auth

    def target(
        self, url: str, *, auth: Any, headers: Mapping[str, str], exact: bool, foreign: bool
    ) -> Target:
        """Prepare the request for an object.

        Parameters
        ----------
        url : str
            Percent-encoded.
        auth : callable or None
            Signs each copy; None leaves the host to `requests` (``~/.netrc``).
        headers : mapping
            Sent with every copy.
        exact : bool
            Send the URL as it is, where `requests` would normalise its path; not if the session adds
            parameters to it.
        foreign : bool
            The URL is a stranger's, reached by a redirect: what the session sends of its own
            credentials stays behind.

        Raises
        ------
        InvalidLocationError
            If it is not a URL that can be read.
        """
        merged: dict[str, str | None] = dict(headers)
        preparing: AuthBase | None = Anonymous() if auth is not None else None
        if foreign:
            merged.update(dict.fromkeys(filter(_holds_credentials, self.session.headers)))
            preparing = self._netrc(url)
        try:
            template = self.session.prepare_request(Request("GET", url, headers=merged, auth=preparing))
        except (requests.RequestException, ValueError) as error:
            raise InvalidLocationError(masked(f"{url} is not a URL that can be read: {error}")) from None
        if exact and not self.session.params:
            template.url = url
        return Target(template, auth, foreign)

    def _netrc(self, url: str) -> AuthBase:
        """Give what the user keeps for this very host, as `requests` does behind a redirect."""
        pair = get_netrc_auth(url) if self.session.trust_env else None
        return HTTPBasicAuth(*pair) if pair else Anonymous()

    def send(self, request: PreparedRequest, timeout: tuple[float, float]) -> OpenAnswer:
        """Send a prepared request; its redirects are not followed.

        Raises
        ------
        Exception
            One of `FOREIGN_ERRORS`.
        """
        try:
            return OpenAnswer(self._send(request, timeout))
        except requests.HTTPError as error:  # a hook that raises for bad statuses: they are judged later
            if error.response is None:
                raise
            return OpenAnswer(error.response)

    def _send(self, request: PreparedRequest, timeout: tuple[float, float]) -> Response:
        session = self.session
        options = self._options(request.url or "")
        if session is self._injected:
            try:
                return session.send(request, timeout=timeout, allow_redirects=False, **options)
            except requests.RequestException:
                raise
            except ValueError as error:  # it prepares a redirect to what is no URL, though none is followed
                raise requests.RequestException(str(error)) from None
        response: Response = session.get_adapter(request.url or "").send(request, timeout=timeout, **options)
        if request.hooks["response"]:
            response = dispatch_hook("response", request.hooks, response, timeout=timeout, **options)  # type: ignore[no-untyped-call]
        return response

    def _options(self, url: str) -> Mapping[str, Any]:
        """Proxies, CA bundle and client certificate for a URL's origin, read from the environment once."""
        origin = "/".join(url.split("/", 3)[:3])
        options = self._environment.get(origin)
        if options is None:
            options = self.session.merge_environment_settings(url, {}, True, None, None)
            self._environment[origin] = options
        return options

    def close(self) -> None:
        """Close our own session; an injected one is its owner's."""
        own, self._own = self._own, None
        if own is not None:
            own.close()


def _new_session(connections: int) -> Session:
    session = Session()
    adapter = HTTPAdapter(pool_connections=8, pool_maxsize=connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _holds_credentials(name: str) -> bool:
    lower = name.lower()
    return lower in _CREDENTIAL_HEADERS or lower.startswith(_CREDENTIAL_PREFIXES)
