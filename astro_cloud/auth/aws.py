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
from functools import lru_cache
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import urlsplit

from requests import PreparedRequest, Response
from requests.auth import AuthBase

from astro_cloud.auth import endpoints, sigv4
from astro_cloud.auth.aws_credentials import (
    PLACES_SEARCHED,
    CredentialsLike,
    Found,
    find_credentials,
    frozen,
)
from astro_cloud.auth.redirects import copy_to_send, follow, redirect_of
from astro_cloud.auth.refusal import EXPIRED_CODES, Refusal
from astro_cloud.exceptions import CredentialsError
from astro_cloud.forking import restart_after_fork

__all__ = ["AWSAuth"]

_SIGNED_NAMES = frozenset({"host", "content-type", "content-md5", "date", "range"})
_SIGNED_PREFIXES = ("x-amz-", "if-")
_HASH_CHUNK = 1 << 20
_REFUSED = frozenset({301, 307, 400, 401, 403})


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

    Where S3 redirects to itself (another region, another host of Amazon's), names another region, or
    says that the token expired or the clock is wrong, the request is sent again, signed anew, whatever
    ``allow_redirects`` says; not if its body cannot be rewound. A redirect that `requests` follows to
    anybody else is sent on without signature, token or any other ``x-amz-*`` header.

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
        """Sign `request`, and follow its answers; called by `requests` once per call of its user."""
        return follow(self.sign(request), self._renewed)

    def has_credentials(self) -> bool:
        """Tell whether a request could be signed; searches for credentials the first time."""
        return self._given is not None or self._search(again=False).credentials is not None

    def sign(self, request: PreparedRequest) -> PreparedRequest:
        """Sign a prepared request in place, replacing an earlier signature, and return it."""
        keys = frozen(self._credentials())
        amz_date = _amz_date((self._clock() + self._clock_offset).replace(microsecond=0))
        spelled = _spelled(request.url or "", self.service)
        request.url = spelled.url
        payload_hash = self._set_headers(request, amz_date, keys.token)

        block, signed_headers = sigv4.canonical_headers(_headers_to_sign(request, spelled.host))
        canonical_request = sigv4.canonical_request(
            request.method or "GET", spelled.path, spelled.query, block, signed_headers, payload_hash
        )
        region = self._region_of(spelled)
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
            self._regions[_spelled(request.url or "", self.service).bucket] = refusal.region
            return "region"
        return None

    def _renewed(self, response: Response, learnt: set[str]) -> PreparedRequest | None:
        """Make the request that the same service wants instead of one it did not answer."""
        request = response.request
        url = redirect_of(response)
        if not _credential_of(request)[0]:
            return None  # not ours, or sent on to a stranger
        if url is not None:
            if not endpoints.same_service(request.url or "", url) or endpoints.is_presigned(url):
                return None
        elif response.status_code in _REFUSED:
            refusal = Refusal.of(response.status_code, response.headers, response.content)
            url = endpoints.regional_url(request.url or "", refusal.region or "")
            lesson = self.learn(request, refusal) or ("region" if url != request.url else None)
            if lesson is None or lesson in learnt:
                return None
            learnt.add(lesson)
        else:
            return None
        again = copy_to_send(request)
        again.url = url
        return self.sign(again)

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

    def _region_of(self, spelled: _Spelled) -> str:
        region = (
            self._regions.get(spelled.bucket)
            or spelled.region
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


@lru_cache(maxsize=4)
def _amz_date(second: datetime) -> str:
    return second.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


class _Spelled(NamedTuple):
    """A URL as it is sent and signed, and what it says of where it leads.

    Attributes
    ----------
    url : str
        As it goes over the wire, so that what is signed is what is sent.
    path, query : str
        Canonical.
    host : str
        As the Host header will be.
    region : str or None
        Named by the host.
    bucket : str
        The host, and the first segment of the path unless the host names the bucket: what a learnt
        region holds for.
    """

    url: str
    path: str
    query: str
    host: str
    region: str | None
    bucket: str


@lru_cache(maxsize=256)
def _spelled(url: str, service: str) -> _Spelled:
    parts = urlsplit(url)
    path, query = parts.path or "/", sigv4.wire_query(parts.query)
    if service == "s3":
        path = sigv4.wire_path(path)
    endpoint = endpoints.endpoint_of(endpoints.host_of(url))
    bucket = parts.netloc
    if endpoint is None or endpoint.style == "path":
        bucket += "/" + path[1:].partition("/")[0]
    return _Spelled(
        url=parts._replace(path=path, query=query, fragment="").geturl(),
        path=sigv4.canonical_uri(path, normalize=service != "s3"),
        query=sigv4.canonical_query_string(query),
        host=endpoints.netloc_of(url),
        region=endpoint.region if endpoint is not None else None,
        bucket=bucket,
    )


def _parsed_date(value: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(value or "")
    except (TypeError, ValueError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def _credential_of(request: PreparedRequest) -> tuple[str, str, str]:
    """Read access key, day and region out of a signed request; empty if it is not signed."""
    value = request.headers.get("Authorization", "")
    match = re.search(r"Credential=(.+)/(\d{8})/([^/]*)/", value)
    return (match[1], match[2], match[3]) if match else ("", "", "")


def _headers_to_sign(request: PreparedRequest, host: str) -> Iterator[tuple[str, str]]:
    host_given = False
    for name, value in request.headers.lower_items():
        if name in _SIGNED_NAMES or name.startswith(_SIGNED_PREFIXES):
            host_given = host_given or name == "host"
            yield name, value if isinstance(value, str) else value.decode("latin-1")
    if not host_given:
        yield "host", host


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
