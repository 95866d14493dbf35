"""AWSAuth: sign any `requests` call with AWS Signature Version 4.

The door of the LOW tier for S3 and everything that speaks its protocol. The arithmetic lives in
`sigv4`, the search for credentials in `aws_credentials`; here a `requests.PreparedRequest` is taken
apart and put together.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import urlsplit

from requests import PreparedRequest
from requests.auth import AuthBase

from astro_cloud.auth import endpoints, sigv4
from astro_cloud.auth.aws_credentials import (
    PLACES_SEARCHED,
    CredentialsLike,
    Found,
    find_credentials,
    frozen,
)
from astro_cloud.auth.redirects import guard_redirects
from astro_cloud.auth.refusal import EXPIRED_CODES, Refusal
from astro_cloud.exceptions import CredentialsError
from astro_cloud.forking import restart_after_fork

__all__ = ["AWSAuth"]

_SIGNED_NAMES = frozenset({"host", "content-type", "content-md5", "date", "range"})
_SIGNED_PREFIXES = ("x-amz-", "if-")
_HASH_CHUNK = 1 << 20


class _Keys(NamedTuple):
    access_key: str
    secret_key: str
    token: str | None

    def get_frozen_credentials(self) -> _Keys:
        return self

    def __repr__(self) -> str:
        return "_Keys(hidden)"


def _utcnow() -> datetime:
    return datetime.now(UTC)


class AWSAuth(AuthBase):
    """Sign requests for Amazon S3, or any server that checks AWS Signature Version 4.

    Use it wherever `requests` takes ``auth=``: ``requests.get(url, auth=AWSAuth())``, or
    ``session.auth = AWSAuth()``. One object serves any number of threads and URLs.

    Parameters
    ----------
    request_payer : bool
        Offer to pay for requests to requester-pays buckets (``x-amz-request-payer: requester``).
    access_key, secret_key, session_token : str, optional
        Explicit keys. They travel in a pickle of this object.
    credentials : object, optional
        Anything with botocore's ``get_frozen_credentials()``, asked again for every request.
    profile : str, optional
        Named profile of the shared AWS files.
    region : str, optional
        Used where the URL does not name the region; then follow ``AWS_REGION``, ``AWS_DEFAULT_REGION``,
        the region of the profile that credentials were found in, and ``us-east-1``.
    service : str
        The service's name in the credential scope.
    clock : callable
        Returns the current time as an aware `datetime`.

    Raises
    ------
    CredentialsError
        When a request is signed and no credentials are found; lists the places searched. Without
        `credentials` or keys, botocore's chain is searched once, at the first request, and
        credentials that expire are refreshed by botocore.

    Notes
    -----
    The URL of the request is respelled so that what is signed is what is sent: a space in a query
    becomes ``%20`` (`requests` writes ``+``), dot segments of a key become ``%2E``. `requests`
    itself resolves dot segments of a URL it is given as text before any auth runs: write ``/b/../k``
    as ``/b/%2E%2E/k``, or let `astro_cloud.storage.Location` write it.

    A redirect that `requests` follows to another origin is sent on without signature, token or any
    other ``x-amz-*`` header; one to the same origin keeps the signature it had.

    Signed are ``Host``, ``Content-Type``, ``Content-MD5``, ``Date``, ``Range``, every ``If-*`` and
    every ``x-amz-*`` header; others may be changed by proxies on the way.

    References
    ----------
    AWS Identity and Access Management User Guide, "Create a signed AWS API request".
    """

    def __init__(
        self,
        request_payer: bool = False,
        *,
        access_key: str | None = None,
        secret_key: str | None = None,
        session_token: str | None = None,
        credentials: CredentialsLike | None = None,
        profile: str | None = None,
        region: str | None = None,
        service: str = "s3",
        clock: Callable[[], datetime] = _utcnow,
    ) -> None:
        if (access_key is None) != (secret_key is None):
            raise CredentialsError("give access_key and secret_key together, or neither")
        if access_key is None and session_token is not None:
            raise CredentialsError("session_token goes with access_key and secret_key")
        if access_key is not None and credentials is not None:
            raise CredentialsError("give either keys or credentials")
        if region is not None and not endpoints.is_region(region):
            raise ValueError(f"{region!r} is not the name of a region, such as 'us-east-1'")
        if access_key is not None and secret_key is not None:
            credentials = _Keys(access_key, secret_key, session_token)
        self.request_payer = request_payer
        self.profile = profile
        self.region = region
        self.service = service
        self._given = credentials
        self._clock = clock
        self._clock_offset = timedelta()
        self._regions: dict[str, str] = {}
        self._start()

    def _start(self) -> None:
        """Forget credentials that were found, so that a copy or a forked process finds its own."""
        restart_after_fork(self, AWSAuth._start)
        self._lock = threading.Lock()
        self._found: Found | None = None

    def __repr__(self) -> str:
        shown = {"request_payer": self.request_payer, "profile": self.profile, "region": self.region}
        return f"AWSAuth({', '.join(f'{name}={value!r}' for name, value in shown.items() if value)})"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_lock", "_found")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign `request`, and guard its redirects; called by `requests` once per call of its user."""
        return guard_redirects(self.sign(request))

    def has_credentials(self) -> bool:
        """Tell whether a request could be signed; searches for credentials the first time."""
        return self._given is not None or self._search(again=False).credentials is not None

    def sign(self, request: PreparedRequest) -> PreparedRequest:
        """Sign a prepared request in place, replacing an earlier signature, and return it."""
        keys = frozen(self._credentials())
        amz_date = (self._clock() + self._clock_offset).strftime("%Y%m%dT%H%M%SZ")
        payload_hash = self._set_headers(request, amz_date, keys.token)
        path, query = self._set_url(request)

        block, signed_headers = sigv4.canonical_headers(_headers_to_sign(request))
        canonical_request = sigv4.canonical_request(
            request.method or "GET", path, query, block, signed_headers, payload_hash
        )
        region = self._region_of(request.url or "")
        scope = sigv4.credential_scope(amz_date, region, self.service)
        key = sigv4.signing_key(keys.secret_key, amz_date[:8], region, self.service)
        signature = sigv4.signature(key, sigv4.string_to_sign(amz_date, scope, canonical_request))
        request.headers["Authorization"] = sigv4.authorization(
            keys.access_key, scope, signed_headers, signature
        )
        return request

    def learn(self, request: PreparedRequest, refusal: Refusal) -> str | None:
        """Take from a refusal what lets the same request succeed.

        Parameters
        ----------
        request : PreparedRequest
            The one that was refused, as it was signed.
        refusal : Refusal
            The answer.

        Returns
        -------
        str or None
            What is known now that was not when the request was signed: ``"clock"`` (the server's),
            ``"credentials"`` (fresh ones) or ``"region"`` (of the bucket), so that signing and
            sending once more is worthwhile. None if there is nothing to learn.
        """
        access_key, _, region = _credential_of(request)
        server_time = _parsed_date(refusal.date)
        if refusal.code == "RequestTimeTooSkewed" and server_time is not None:
            self._clock_offset = server_time - self._clock()
            return "clock"
        if refusal.code in EXPIRED_CODES and self._given is None:
            self._forget(access_key)
            return "credentials"
        if refusal.region and refusal.region != region:
            self._regions[_bucket_of(request.url or "")] = refusal.region
            return "region"
        return None

    def _credentials(self) -> CredentialsLike:
        if self._given is not None:
            return self._given
        credentials = self._search(again=True).credentials
        if credentials is None:
            raise CredentialsError(f"no AWS credentials found; searched: {PLACES_SEARCHED}")
        return credentials

    def _search(self, *, again: bool) -> Found:
        """Find credentials once; a search that found none is repeated if `again`."""
        found = self._found
        if found is None or (again and found.credentials is None):
            with self._lock:
                if self._found is found:
                    self._found = find_credentials(self.profile)
                found = self._found
        return found or Found(None, None)

    def _forget(self, access_key: str) -> None:
        """Drop the credentials that a request was signed with, unless they were renewed meanwhile."""
        with self._lock:
            found = self._found
            current = found.credentials if found is not None else None
            if current is None or frozen(current).access_key == access_key:
                self._found = None

    def _region_of(self, url: str) -> str:
        learnt = self._regions.get(_bucket_of(url)) if self._regions else None
        if learnt is not None:
            return learnt
        endpoint = endpoints.endpoint_of(endpoints.host_of(url))
        region = (
            (endpoint.region if endpoint is not None else None)
            or self.region
            or os.environ.get("AWS_REGION")
            or os.environ.get("AWS_DEFAULT_REGION")
            or (self._found.region if self._found is not None else None)
            or endpoints.DEFAULT_REGION
        )
        if not endpoints.is_region(region):
            raise CredentialsError(f"{region!r}, from the environment or the profile, is no region's name")
        return region

    def _set_headers(self, request: PreparedRequest, amz_date: str, token: str | None) -> str:
        """Write what belongs to this signature into the request's headers; return the payload's hash."""
        headers = request.headers
        headers["x-amz-date"] = amz_date
        if token is not None:
            headers["x-amz-security-token"] = token
        else:
            headers.pop("x-amz-security-token", None)
        if self.request_payer:
            headers["x-amz-request-payer"] = "requester"
        payload_hash = headers.get("x-amz-content-sha256")
        if payload_hash != sigv4.UNSIGNED_PAYLOAD:
            payload_hash = _payload_hash(request.body)
        if self.service == "s3":
            headers["x-amz-content-sha256"] = payload_hash
        return payload_hash

    def _set_url(self, request: PreparedRequest) -> tuple[str, str]:
        """Respell the request's URL as it is signed; return its canonical path and query."""
        parts = urlsplit(request.url or "")
        path = parts.path or "/"
        if self.service == "s3":
            path = sigv4.wire_path(path)
        query = sigv4.wire_query(parts.query)
        if (path, query) != (parts.path, parts.query):
            request.url = parts._replace(path=path, query=query, fragment="").geturl()
        return (
            sigv4.canonical_uri(path, normalize=self.service != "s3"),
            sigv4.canonical_query_string(query) if query else "",
        )


def _parsed_date(value: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(value or "")
    except (TypeError, ValueError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def _bucket_of(url: str) -> str:
    """Name the bucket that a learnt region holds for: the host, and the path's first segment."""
    parts = urlsplit(url)
    endpoint = endpoints.endpoint_of(endpoints.host_of(url))
    if endpoint is not None and endpoint.style == "virtual-host":
        return parts.netloc
    return parts.netloc + "/" + parts.path[1:].partition("/")[0]


def _credential_of(request: PreparedRequest) -> tuple[str, str, str]:
    """Read access key, day and region out of a signed request; empty if it is not signed."""
    value = request.headers.get("Authorization", "")
    match = re.search(r"Credential=(.+)/(\d{8})/([^/]*)/", value)
    return (match[1], match[2], match[3]) if match else ("", "", "")


def _headers_to_sign(request: PreparedRequest) -> Iterator[tuple[str, str]]:
    host_given = False
    for name, value in request.headers.items():
        lower = name.lower()
        if lower in _SIGNED_NAMES or lower.startswith(_SIGNED_PREFIXES):
            host_given = host_given or lower == "host"
            yield lower, _text(value)
    if not host_given:
        yield "host", endpoints.netloc_of(request.url or "")


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _payload_hash(body: Any) -> str:
    if not body:
        return sigv4.EMPTY_PAYLOAD_HASH
    if isinstance(body, str):
        body = body.encode()
    if isinstance(body, bytes | bytearray | memoryview):
        return hashlib.sha256(body).hexdigest()
    try:
        start = body.tell()
    except (AttributeError, OSError):
        raise TypeError(
            f"a body of type {type(body).__name__} cannot be signed: it cannot be read twice. "
            "Give bytes or a seekable file, or set the header 'x-amz-content-sha256: UNSIGNED-PAYLOAD'"
        ) from None
    try:
        return _stream_hash(body)
    finally:
        body.seek(start)


def _stream_hash(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := stream.read(_HASH_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
