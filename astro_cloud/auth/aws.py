"""AWSAuth: sign any `requests` call with AWS Signature Version 4.

The door of the LOW tier for S3 and everything that speaks its protocol. The arithmetic lives in
`sigv4`, the search for credentials in `aws_credentials`; here a `requests.PreparedRequest` is taken
apart and put together.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import urlsplit

from requests import PreparedRequest
from requests.auth import AuthBase

from astro_cloud.auth import endpoints, sigv4
from astro_cloud.auth.aws_credentials import CredentialsLike, KeyRing, Keys
from astro_cloud.auth.clock import ServerClocks
from astro_cloud.auth.payload import SignedChunks, announce_chunks, is_hash
from astro_cloud.auth.payload import payload_hash as hash_of
from astro_cloud.auth.redirects import follow, has_signed_url
from astro_cloud.auth.refusal import RENEWABLE_CODES, Refusal
from astro_cloud.auth.spelling import Spelled, spelled
from astro_cloud.exceptions import CredentialsError

__all__ = ["AWSAuth"]


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
    ``allow_redirects`` says. A redirect that `requests` follows to anybody else, to a URL that is signed,
    or with another method (a 303 to a POST, by a GET), is sent on without signature, token or any other
    ``x-amz-*`` header. Where a body that cannot
    be sent twice is redirected, `requests.exceptions.UnrewindableBodyError` is raised, its ``response``
    the server's answer.

    A URL that carries a signature already, with all that belongs to one, is sent as it is, without another.
    A region that was learnt is where requests for that bucket go from then on.

    A body is hashed where it is bytes or a seekable file, which stays where it is. One that can be read
    only once, and whose length is known, is signed in chunks while it is sent, unless the header
    ``x-amz-content-sha256`` gives its SHA-256 (64 hexadecimal digits). Set that header to
    ``UNSIGNED-PAYLOAD`` to leave any body out of the signature.

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
        if access_key is None and session_token:
            raise CredentialsError("session_token goes with access_key and secret_key")
        if sum(given is not None for given in (access_key, credentials, profile)) > 1:
            raise CredentialsError("give one of access_key and secret_key, credentials, or profile")
        if region is not None and not endpoints.is_region(region):
            raise ValueError(f"{region!r} is not the name of a region, such as 'us-east-1'")
        if access_key is not None and secret_key is not None:
            credentials = Keys(access_key, secret_key, session_token or None)
        self.request_payer = request_payer
        self.profile = profile
        self.region = region
        self.service = service
        self._ring = KeyRing(credentials, profile)
        self._clocks = ServerClocks(clock)
        self._regions: dict[str, str] = {}

    def __repr__(self) -> str:
        shown = {"request_payer": self.request_payer, "profile": self.profile, "region": self.region}
        return f"AWSAuth({', '.join(f'{name}={value!r}' for name, value in shown.items() if value)})"

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign `request`, and follow its answers; called by `requests` once per call of its user."""
        return follow(self.sign(request), self, _is_signed)

    def has_credentials(self) -> bool:
        """Tell whether a request could be signed; searches for credentials the first time."""
        return self._ring.holds_any()

    def sign(self, request: PreparedRequest) -> PreparedRequest:
        """Sign a prepared request in place, replacing an earlier signature, and return it."""
        if has_signed_url(request):
            return request
        keys = self._ring.keys()
        where = self._where(request.url or "")
        amz_date = _amz_date(self._clocks.now(where.host).replace(microsecond=0))
        request.url = where.url
        payload_hash = self._set_headers(request, amz_date, keys.token)

        signed = sigv4.headers_to_sign(request.headers.lower_items(), where.host, "x-amz-")
        block, signed_headers = sigv4.canonical_headers(signed)
        canonical_request = sigv4.canonical_request(
            request.method or "GET", where.path, where.query, block, signed_headers, payload_hash
        )
        region = self._region_of(where)
        scope = sigv4.credential_scope(amz_date, region, self.service)
        key = sigv4.signing_key(keys.secret_key, amz_date[:8], region, self.service)
        signature = sigv4.signature(key, sigv4.string_to_sign(amz_date, scope, canonical_request))
        request.headers["Authorization"] = sigv4.authorization(
            keys.access_key, scope, signed_headers, signature
        )
        if payload_hash == sigv4.STREAMING_PAYLOAD:
            length = int(request.headers["x-amz-decoded-content-length"])
            chunks = SignedChunks(
                request.body, length, key=key, amz_date=amz_date, scope=scope, seed=signature
            )
            request.body = chunks  # type: ignore[assignment]  # requests sends any iterable
        return request

    def presign(self, url: str, expires: int = 3600, *, method: str = "GET") -> str:
        """Sign a URL, so that anything that reads URLs can read it without these credentials.

        Parameters
        ----------
        url : str
            Of an object. Its region must be right, as nobody will be there to learn another.
        expires : int
            Seconds from now for which it is good, 1 to 604,800 (7 days); credentials with a session
            token end it earlier if they expire before.
        method : str
            The one method it is good for.

        Returns
        -------
        str
            The URL with its signature: whoever has it can use it. Offers to pay if this auth does.

        Raises
        ------
        ValueError
            If `expires` is out of bounds, or the URL is signed already.
        CredentialsError
            If no credentials are found.
        """
        if endpoints.is_presigned(url):
            raise ValueError("this URL is signed already")
        keys = self._ring.keys()
        where = self._where(url)
        amz_date = _amz_date(self._clocks.now(where.host).replace(microsecond=0))
        region = self._region_of(where)
        scope = sigv4.credential_scope(amz_date, region, self.service)
        added = {} if keys.token is None else {"X-Amz-Security-Token": keys.token}
        if self.request_payer:
            added["x-amz-request-payer"] = "requester"
        block, signed_headers = sigv4.canonical_headers([("host", where.host)])
        query = sigv4.presigned_query(
            urlsplit(where.url).query,
            f"{keys.access_key}/{scope}",
            date=amz_date,
            expires=expires,
            signed_headers=signed_headers,
            added=added,
        )
        payload_hash = sigv4.UNSIGNED_PAYLOAD if self.service == "s3" else sigv4.EMPTY_PAYLOAD_HASH
        canonical_request = sigv4.canonical_request(
            method, where.path, query, block, signed_headers, payload_hash
        )
        key = sigv4.signing_key(keys.secret_key, amz_date[:8], region, self.service)
        signature = sigv4.signature(key, sigv4.string_to_sign(amz_date, scope, canonical_request))
        return urlsplit(where.url)._replace(query=f"{query}&X-Amz-Signature={signature}").geturl()

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
        if not access_key:
            return None
        host = endpoints.netloc_of(request.url or "")
        if self._clocks.learn(host, refusal, request.headers.get("x-amz-date", "")):
            return "clock"
        if refusal.code in RENEWABLE_CODES and self._ring.renew(access_key):
            return "credentials"
        if refusal.region and refusal.region != region:
            self._regions[spelled(request.url or "", self.service).bucket] = refusal.region
            return "region"
        if _may_be_expired(request, refusal) and self._ring.renew(access_key, sure=refusal.status == 400):
            return "credentials"
        return None

    def _where(self, url: str) -> Spelled:
        """Respell a URL, leading to its bucket's region if that was learnt."""
        where = spelled(url, self.service)
        region = self._regions.get(where.bucket)
        if region is None or region == where.region:
            return where
        return spelled(endpoints.regional_url(url, region), self.service)

    def _region_of(self, where: Spelled) -> str:
        region = (
            self._regions.get(where.bucket)
            or where.region
            or self.region
            or os.environ.get("AWS_REGION")
            or os.environ.get("AWS_DEFAULT_REGION")
            or self._ring.region
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
        given = headers.get("x-amz-content-sha256")
        payload_hash = given if given == sigv4.UNSIGNED_PAYLOAD else hash_of(request.body)
        if payload_hash is None and is_hash(given):
            payload_hash = given
        if payload_hash is None:
            if self.service != "s3":
                raise TypeError(
                    f"{self.service} takes no body that cannot be read twice: give bytes or a file"
                )
            announce_chunks(request)
            payload_hash = sigv4.STREAMING_PAYLOAD
        if self.service == "s3":
            headers["x-amz-content-sha256"] = payload_hash
        return payload_hash


@lru_cache(maxsize=4)
def _amz_date(second: datetime) -> str:
    return second.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _is_signed(request: PreparedRequest) -> bool:
    return bool(_credential_of(request)[0])


def _may_be_expired(request: PreparedRequest, refusal: Refusal) -> bool:
    """Tell whether a refusal without a code, as a HEAD's is, may be about the session token.

    S3 says so with 400, which it says of little else; 403 is often of a missing permission.
    """
    return not refusal.code and refusal.status in (400, 403) and "x-amz-security-token" in request.headers


def _credential_of(request: PreparedRequest) -> tuple[str, str, str]:
    """Read access key, day and region out of a signed request; empty if it is not signed."""
    value = request.headers.get("Authorization", "")
    match = re.search(r"Credential=(.+)/(\d{8})/([^/]*)/", value)
    return (match[1], match[2], match[3]) if match else ("", "", "")
