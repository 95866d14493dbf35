"""GCPAuth: authorise `requests` calls to Google Cloud Storage.

Two ways, as Google has them: an OAuth 2.0 bearer token, which google-auth finds and refreshes, or a V4
signature over the request, made with an HMAC key. Presigned URLs are V4 signatures too, made with an HMAC key
or with a service account's RSA key.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from requests import PreparedRequest
from requests.auth import AuthBase

from astro_cloud.auth import endpoints, goog4, sigv4
from astro_cloud.auth.clock import ServerClocks
from astro_cloud.auth.gcp_credentials import (
    EXTRA,
    PLACES_SEARCHED,
    GoogleCredentials,
    find_credentials,
    google_auth_is_installed,
    refresh,
    scoped,
    told,
)
from astro_cloud.auth.payload import is_hash
from astro_cloud.auth.payload import payload_hash as hash_of
from astro_cloud.auth.plain_http import refuse_plain_http
from astro_cloud.auth.redirects import follow, has_signed_url
from astro_cloud.auth.refusal import Refusal
from astro_cloud.auth.spelling import spelled
from astro_cloud.exceptions import CredentialsError
from astro_cloud.forking import restart_after_fork

__all__ = ["GCPAuth"]

_SCOPES = {
    "read_only": "https://www.googleapis.com/auth/devstorage.read_only",
    "read_write": "https://www.googleapis.com/auth/devstorage.read_write",
}
_VISIBLE = re.compile(r"[!-~]+").fullmatch


class _Keys(NamedTuple):
    access_key: str
    secret_key: str

    def __repr__(self) -> str:
        return "_Keys(hidden)"


def _utcnow() -> datetime:
    return datetime.now(UTC)


class GCPAuth(AuthBase):
    """Authorise requests to Google Cloud Storage.

    Use it wherever `requests` takes ``auth=``: ``requests.get(url, auth=GCPAuth())``. One object serves any
    number of threads and URLs.

    Parameters
    ----------
    user_project : str, optional
        The project that pays, for requester-pays buckets: sent as ``x-goog-user-project``, and in presigned
        URLs as ``userProject=``. By default the quota project of the credentials, if they name one.
    access_key, secret_key : str, optional
        An HMAC key. Requests are then signed with GOOG4-HMAC-SHA256, which the XML API understands
        (``https://storage.googleapis.com/bucket/key``), and google-auth is not needed. They travel in a
        pickle of this object.
    credentials : object, optional
        Anything with google-auth's credentials protocol: ``valid``, ``token`` and ``refresh(request)``. They
        travel in a pickle of this object. By default google-auth's application default credentials are
        searched once, at the first request; they do not travel.
    scope : {"read_only", "read_write"}
        What credentials are asked to permit that were found, or given without a scope.
    clock : callable
        Returns the current time as an aware `datetime`; dates signatures.

    Raises
    ------
    CredentialsError
        When a request is authorised and no credentials are found (lists the places searched) or they cannot
        be refreshed; when a bearer token would travel over ``http://`` to another machine, or to a proxy
        of the environment.
    ImportError
        When google-auth is needed and not installed; names the extra.

    Notes
    -----
    A token is refreshed a few minutes before it expires, by one thread while the others wait.

    With an HMAC key the URL is respelled so that what is signed is what is sent, as `AWSAuth` does. Signed
    are ``Host``, ``Content-Type``, ``Content-MD5``, ``Date``, ``Range``, every ``If-*`` and every
    ``x-goog-*`` header, and the body, if it is bytes or a seekable file; one that can be read only once is
    declared ``UNSIGNED-PAYLOAD``, unless ``x-goog-content-sha256`` gives its SHA-256.

    Where Google redirects to itself, the server refuses a token (401) or says that the clock is wrong, the
    request is sent again, authorised anew, whatever ``allow_redirects`` says. A redirect that `requests`
    follows to anybody else, to a URL that is signed, or with another method (a 303 to a POST, by a GET), is
    sent on without token, signature or any other ``x-goog-*`` header. Where a body that cannot be
    sent twice is redirected, `requests.exceptions.UnrewindableBodyError` is raised, its ``response`` the
    server's answer.

    A URL that carries a signature already is sent as it is, without another.

    References
    ----------
    Google Cloud Storage documentation, "Signatures", "Canonical requests" and "Requester Pays".
    """

    def __init__(
        self,
        user_project: str | None = None,
        *,
        access_key: str | None = None,
        secret_key: str | None = None,
        credentials: GoogleCredentials | None = None,
        scope: Literal["read_only", "read_write"] = "read_only",
        clock: Callable[[], datetime] = _utcnow,
    ) -> None:
        if (access_key is None) != (secret_key is None):
            raise CredentialsError("give access_key and secret_key together, or neither")
        if access_key is not None and credentials is not None:
            raise CredentialsError("give either keys or credentials")
        if access_key is not None and not _VISIBLE(access_key):
            raise CredentialsError(_odd("access key"))
        if user_project is not None and not _VISIBLE(user_project):
            raise ValueError(f"{user_project!r} is not the name of a project")
        if scope not in _SCOPES:
            raise ValueError(f"scope is one of {', '.join(map(repr, _SCOPES))}, not {scope!r}")
        self.user_project = user_project
        self.scope = scope
        self._keys: _Keys | None = None
        if access_key is not None and secret_key is not None:
            self._keys = _Keys(access_key, secret_key)
        self._given = scoped(credentials, _SCOPES[scope]) if credentials is not None else None
        self._clocks = ServerClocks(clock)
        self._start()

    def _start(self) -> None:
        """Forget credentials that were found, so that a copy or a forked process finds its own."""
        restart_after_fork(self, GCPAuth._start)
        self._lock = threading.Lock()
        self._found: GoogleCredentials | None = None
        self._searches = 0
        self._refused_token: str | None = None

    def __repr__(self) -> str:
        shown = [f"user_project={self.user_project!r}"] if self.user_project is not None else []
        shown += [f"scope={self.scope!r}"] if self.scope != "read_only" else []
        return f"GCPAuth({', '.join(shown)})"

    def __getstate__(self) -> dict[str, Any]:
        own = ("_lock", "_found", "_searches", "_refused_token")
        return {name: value for name, value in self.__dict__.items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Authorise `request`, and follow its answers; called by `requests` once per call of its user."""
        return follow(self.sign(request), self, _is_signed)

    def has_credentials(self) -> bool:
        """Tell whether a request could be authorised; searches for credentials the first time.

        Without google-auth, no credentials of a metadata server are found.

        Raises
        ------
        CredentialsError
            If a file of credentials is there and cannot be used.
        ImportError
            If a file of credentials is there and google-auth is not installed.
        """
        return self._keys is not None or self._given is not None or self._search(again=False) is not None

    def sign(self, request: PreparedRequest) -> PreparedRequest:
        """Authorise a prepared request in place, replacing an earlier signature or token, and return it."""
        if has_signed_url(request):
            return request
        if self._keys is None:
            return self._bear(request)
        date, signer = self._goog_date(request.url or ""), self._signer()
        where = spelled(request.url or "", "s3")
        request.url = where.url
        payload_hash = self._set_headers(request, date)
        signed = sigv4.headers_to_sign(request.headers.lower_items(), goog4.signed_host(where.url), "x-goog-")
        block, signed_headers = sigv4.canonical_headers(signed)
        canonical_request = sigv4.canonical_request(
            request.method or "GET",
            urlsplit(where.url).path,
            where.query,
            block,
            signed_headers,
            payload_hash,
        )
        request.headers["Authorization"] = sigv4.authorization(
            signer.identity,
            goog4.scope(date),
            signed_headers,
            goog4.signature(signer, date, canonical_request),
            signer.dialect,
        )
        return request

    def presign(
        self,
        url: str,
        expires: int = 3600,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Make a URL that lets whoever has it do one thing, without credentials, until it expires.

        Parameters
        ----------
        url : str
            Of an object or bucket on the XML API, such as ``https://storage.googleapis.com/bucket/key``.
        expires : int
            Seconds from now, 1 to 604800 (7 days).
        method : str
            The HTTP method it is good for.
        headers : mapping, optional
            Headers that must be sent with it, as they are here.

        Raises
        ------
        CredentialsError
            If there are no credentials, or they cannot sign: a service account's key can, or an HMAC key;
            the login of a person and the metadata server's token cannot.
        ValueError
            If `expires` is out of bounds, or the URL is signed already.
        """
        if endpoints.is_presigned(url):
            raise ValueError("this URL is signed already")
        return goog4.presigned(
            self._signer(),
            self._goog_date(url),
            url,
            expires=expires,
            method=method,
            headers=(headers or {}).items(),
            user_project=self.user_project,
        )

    def learn(self, request: PreparedRequest, refusal: Refusal) -> str | None:
        """Take from a refusal what lets the same request succeed.

        Parameters
        ----------
        request : PreparedRequest
            The one that was refused, as it was authorised.
        refusal : Refusal
            The answer.

        Returns
        -------
        str or None
            ``"clock"`` (the server's is known now) or ``"credentials"`` (the token that was refused will not
            be sent again) if signing and sending once more is worthwhile, else None.
        """
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if self._keys is not None:
            host = endpoints.netloc_of(request.url or "")
            skewed = kind == goog4.HMAC.algorithm and self._clocks.learn(
                host, refusal, request.headers.get("x-goog-date", "")
            )
            return "clock" if skewed else None
        if refusal.status != 401 or kind != "Bearer":
            return None
        self._refused_token = token
        return "credentials"

    def _bear(self, request: PreparedRequest) -> PreparedRequest:
        url = request.url or ""
        refuse_plain_http(url, "a bearer token is")
        credentials = self._credentials()
        request.headers["Authorization"] = f"Bearer {self._token(credentials)}"
        project = self.user_project or getattr(credentials, "quota_project_id", None)
        if project:
            request.headers["x-goog-user-project"] = project
        return request

    def _token(self, credentials: GoogleCredentials) -> str:
        """Return the token, refreshed if need be by whichever thread comes first."""
        with self._lock:
            if not credentials.valid or credentials.token == self._refused_token:
                self._refused_token = None  # also where it cannot be refreshed: there is no other
                refresh(credentials)
            token = credentials.token
        if token is None:
            raise CredentialsError("the Google credentials hold no token after they were refreshed")
        if not _VISIBLE(token):
            raise CredentialsError(_odd("token"))
        return token

    def _credentials(self) -> GoogleCredentials:
        credentials = self._given if self._given is not None else self._search(again=True)
        if credentials is None:
            if not google_auth_is_installed():
                raise ImportError(EXTRA)
            raise CredentialsError(f"no Google credentials found; searched: {PLACES_SEARCHED}")
        return credentials

    def _search(self, *, again: bool) -> GoogleCredentials | None:
        """Find credentials once; a search that found none is repeated if `again`."""
        searches, found = self._searches, self._found
        if found is None and (again or searches == 0):
            with self._lock:
                if self._searches == searches:  # else another thread searched while this one waited
                    self._found = find_credentials(_SCOPES[self.scope])
                    self._searches += 1
                found = self._found
        return found

    def _signer(self) -> goog4.Signer:
        if self._keys is None:
            return _rsa_signer(self._credentials())
        return goog4.hmac_signer(*self._keys)

    def _goog_date(self, url: str) -> str:
        now = self._clocks.now(endpoints.netloc_of(url))
        return now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")

    def _set_headers(self, request: PreparedRequest, date: str) -> str:
        """Write what belongs to this signature into the request's headers; return the payload's hash."""
        headers = request.headers
        headers["x-goog-date"] = date
        if self.user_project is not None:
            headers["x-goog-user-project"] = self.user_project
        given = headers.get("x-goog-content-sha256")
        payload_hash = given if given == sigv4.UNSIGNED_PAYLOAD else hash_of(request.body)
        if payload_hash is None:
            payload_hash = given if is_hash(given) else sigv4.UNSIGNED_PAYLOAD
        headers["x-goog-content-sha256"] = payload_hash
        return payload_hash


def _is_signed(request: PreparedRequest) -> bool:
    kind = request.headers.get("Authorization", "").partition(" ")[0]
    return kind in ("Bearer", goog4.HMAC.algorithm)


def _rsa_signer(credentials: Any) -> goog4.Signer:
    identity = getattr(credentials, "signer_email", None)
    sign_bytes = getattr(credentials, "sign_bytes", None)
    if not identity or sign_bytes is None:
        raise CredentialsError(
            f"Google credentials of type {type(credentials).__name__} cannot presign a URL: it takes "
            "a service account's key, or an HMAC key as access_key= and secret_key="
        )

    def sign(string_to_sign: str, date: str) -> str:
        try:
            signature: bytes = sign_bytes(string_to_sign.encode())
        except Exception as error:
            raise CredentialsError(f"the Google credentials cannot sign: {told(error)}") from None
        return signature.hex()

    return goog4.Signer(goog4.RSA, identity, sign)


def _odd(what: str) -> str:
    return (
        f"the {what} of the Google credentials holds a space, a line end or a character that is not ASCII: "
        "look for one at its end"
    )
