"""Where requests go, and over what: prepares them, and knows which engine sends them.

A request is prepared once per object and copied for each read, since preparing costs more than
sending.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from requests import PreparedRequest, Request, Session
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from requests.utils import get_netrc_auth, select_proxy

from astro_cloud.auth.masking import masked
from astro_cloud.auth.providers import Anonymous
from astro_cloud.exceptions import InvalidLocationError, StorageError
from astro_cloud.forking import restart_after_fork
from astro_cloud.storage.connection_engine import ConnectionEngine
from astro_cloud.storage.engine import Engine, OpenAnswer
from astro_cloud.storage.pace import Pace
from astro_cloud.storage.session_engine import SessionEngine
from astro_cloud.storage.settings import Settings
from astro_cloud.storage.stop import Stop

__all__ = ["Target", "Transport"]

_CREDENTIAL_HEADERS = ("authorization", "cookie", "proxy-authorization")
_CREDENTIAL_PREFIXES = ("x-amz-", "x-ms-", "x-goog-")


@dataclass(frozen=True, slots=True)
class Target:
    """Where an object is read.

    Attributes
    ----------
    template : PreparedRequest
        Prepared once; a copy is sent for each read.
    auth : callable or None
        Signs each copy.
    foreign : bool
        A stranger's URL, reached by a redirect: no credentials of ours may go there.
    pace : Pace
        Of the origin.
    """

    template: PreparedRequest
    auth: AuthBase | Callable[[PreparedRequest], PreparedRequest] | None
    foreign: bool
    pace: Pace = field(default_factory=Pace)

    @property
    def url(self) -> str:
        """The URL of the template."""
        return self.template.url or ""

    @property
    def signs(self) -> bool:
        """Tell whether requests carry somebody's credentials."""
        return not isinstance(self.auth, Anonymous | None)

    @property
    def pays(self) -> bool:
        """Tell whether requests offer to pay for themselves."""
        return "x-amz-request-payer" in self.template.headers or getattr(self.auth, "request_payer", False)

    def request(self) -> PreparedRequest:
        """Return a copy of the template, to be signed."""
        template = self.template
        request = PreparedRequest()
        request.__dict__.update(template.__dict__)
        request.headers = template.headers.copy()
        # what an auth registers on one copy is not for the next
        request.hooks = {event: list(hooks) for event, hooks in template.hooks.items()}
        return request

    def sign(self, request: PreparedRequest) -> PreparedRequest:
        """Sign a copy; ours register no hook doing so, and what others call `sign` is theirs."""
        auth = self.auth
        if auth is None:
            return request
        sign: Callable[[PreparedRequest], PreparedRequest]
        sign = getattr(auth, "sign", auth) if hasattr(auth, "learn") else auth
        return sign(request)


class Transport:
    """A pooled `requests` session, ours or the user's, and the settings of its environment.

    Parameters
    ----------
    settings : Settings
        Timeouts, and connections kept per host.
    session : requests.Session, optional
        An injected session goes through its own adapters, hooks and cookies, and is never closed.
    """

    def __init__(self, settings: Settings, session: Session | None = None) -> None:
        self._settings = settings
        self._injected = session
        self._start()

    def _start(self) -> None:
        """Have no session of our own, and know nothing of the environment."""
        restart_after_fork(self, Transport._start)
        self._lock = threading.RLock()
        self._own: Session | None = None
        self._environment: dict[str, Mapping[str, Any]] = {}
        self._paces: dict[str, Pace] = {}
        self._engines: dict[str, Engine] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"_settings": self._settings, "_injected": self._injected}

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
                own = self._own = self._own or _new_session(self._settings.concurrency)
        return own

    @property
    def is_injected(self) -> bool:
        """Tell whether the session is the user's, whose adapters may send a request more than once."""
        return self._injected is not None

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
        params: Mapping[Any, None] = {}
        preparing: AuthBase | None = Anonymous() if auth is not None else None
        if foreign:
            merged.update(dict.fromkeys(filter(_holds_credentials, self.session.headers)))
            preparing = self._netrc(url)
            added = self.session.params
            params = dict.fromkeys(added) if isinstance(added, Mapping) else {}  # None takes it back
        request = Request("GET", url, headers=merged, params=params, auth=preparing)
        try:
            template = self.session.prepare_request(request)
        except (requests.RequestException, ValueError) as error:
            raise InvalidLocationError(masked(f"{url} is not a URL that can be read: {error}")) from None
        if exact and not self.session.params:
            template.url = url
        pace = self._paces.setdefault(_origin(template.url or ""), Pace())
        return Target(template, auth, foreign, pace)

    def _netrc(self, url: str) -> AuthBase:
        """Give what the user keeps for this very host, as `requests` does behind a redirect."""
        pair = get_netrc_auth(url) if self.session.trust_env else None
        return HTTPBasicAuth(*pair) if pair else Anonymous()

    def send(self, request: PreparedRequest, stop: Stop | None = None) -> OpenAnswer:
        """Send a prepared request; its redirects are not followed.

        Raises
        ------
        Exception
            One of `foreign_errors.FOREIGN_ERRORS`.
        """
        origin = _origin(request.url or "")
        engine = self._engines.get(origin)
        if engine is None:
            with self._lock:
                engine = self._engines.get(origin) or self._new_engine(origin)
                self._engines[origin] = engine
        if request.hooks["response"] and self._injected is None:
            engine = self._through_session(origin)
        return engine.send(request, stop)

    def _new_engine(self, origin: str) -> Engine:
        options = self._options(origin)
        if self._injected is not None or select_proxy(origin, options["proxies"]) or options["cert"]:
            return self._through_session(origin)
        return ConnectionEngine(origin, options["verify"], self._settings)

    def _through_session(self, origin: str) -> Engine:
        return SessionEngine(origin, self.session, self._options(origin), self._settings)

    def _options(self, origin: str) -> Mapping[str, Any]:
        """Proxies, CA bundle and client certificate for an origin, read from the environment once."""
        options = self._environment.get(origin)
        if options is None:
            options = self.session.merge_environment_settings(origin, {}, True, None, None)
            bundle = options["verify"]
            if origin.startswith("https:") and isinstance(bundle, str) and not os.path.exists(bundle):
                raise StorageError(
                    f"{masked(origin)}: there are no CA certificates at {bundle} (REQUESTS_CA_BUNDLE)"
                )
            self._environment[origin] = options
        return options

    def close(self) -> None:
        """Close our own session and connections; an injected session is its owner's."""
        with self._lock:
            own, self._own = self._own, None
            engines, self._engines = self._engines, {}
        for engine in engines.values():
            engine.close()
        if own is not None:
            own.close()


def _origin(url: str) -> str:
    """Return scheme, host and port; cheaply, since it is asked for each request."""
    return url[: url.find("/", 8)] if url.count("/") > 2 else url


def _new_session(connections: int) -> Session:
    session = Session()
    adapter = HTTPAdapter(pool_connections=8, pool_maxsize=connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _holds_credentials(name: str) -> bool:
    lower = name.lower()
    return lower in _CREDENTIAL_HEADERS or lower.startswith(_CREDENTIAL_PREFIXES)
