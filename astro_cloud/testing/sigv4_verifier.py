"""Judge a Signature Version 4 ``Authorization`` header from what came over the wire.

Pure: no sockets, no files, no clock. Written from AWS's documentation ("Create a signed AWS API request" and
"Authenticating requests: using the Authorization header" of the S3 API), in its words, and sharing nothing
with code that signs, so that it can tell such code that it is wrong.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote

from astro_cloud.testing.access_key import AccessKey
from astro_cloud.testing.http_request import Headers, percent_decoded, query_pairs, split_target
from astro_cloud.testing.refusal import Refusal, Refused, refuse
from astro_cloud.testing.signed_chunks import STREAMING_PAYLOAD, ChunkSeed

ALGORITHM = "AWS4-HMAC-SHA256"
MAX_SKEW = 15 * 60
"""Seconds a request's date may lie before or after the server's clock."""

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()

_HEX64 = re.compile(r"[0-9a-f]{64}")
_AMZ_DATE = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")
_SPACES = re.compile(r" {2,}")


@dataclass(frozen=True, slots=True)
class Authorization:
    """The parts of an ``Authorization`` header."""

    access_key: str
    date: str
    region: str
    service: str
    terminator: str
    signed_headers: tuple[str, ...]
    signature: str

    @property
    def credential_scope(self) -> str:
        """``date/region/service/aws4_request``."""
        return f"{self.date}/{self.region}/{self.service}/{self.terminator}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found.

    Parameters
    ----------
    access_key : str or None
        Who sent the request; None if it is anonymous.
    payload_hash : str or None
        What the signature says of the body: 64 hex digits, ``UNSIGNED-PAYLOAD`` or `STREAMING_PAYLOAD`.
    refusal : Refusal or None
        The answer that is due instead of the one asked for; None if the signature is good, or absent.
    canonical_request, string_to_sign : str
        The stages of the server's own calculation, empty if it did not come to that.
    chunk_seed : ChunkSeed or None
        What the signatures of the body's chunks start from, if it is signed so.
    """

    access_key: str | None = None
    payload_hash: str | None = None
    refusal: Refusal | None = None
    canonical_request: str = ""
    string_to_sign: str = ""
    chunk_seed: ChunkSeed | None = None


def verify(
    method: str,
    target: str,
    headers: Headers,
    *,
    body_sha256: str | None,
    credentials: Mapping[str, AccessKey],
    now: float,
    region: str,
    service: str = "s3",
) -> Verdict:
    """Judge one request.

    Parameters
    ----------
    method, target, headers
        As received; the target undecoded.
    body_sha256 : str or None
        64 lower-case hex digits; None if the body is still unread: then the caller compares it with the
        verdict's ``payload_hash`` afterwards (see `check_payload`). Required for a service other than S3.
    credentials : mapping of str to AccessKey
        By access key.
    now : float
        The server's clock, seconds since 1970 UTC.
    region, service : str
        What the credential scope must name. For a service other than ``"s3"`` the canonical URI is
        normalised and encoded twice, and ``x-amz-content-sha256`` is not asked for.
    """
    if any(name.lower() == b"x-amz-signature" for name, _ in query_pairs(split_target(target)[1])):
        return Verdict(refusal=Refusal(400, "InvalidRequest", "This server does not judge presigned URLs."))
    if "authorization" not in headers:
        return Verdict()
    try:
        authorization = parse_authorization(headers)
        key = _known_key(authorization, credentials, region, service)
        amz_date = _date(headers, authorization, now)
        _check_token(headers, key)
        _check_signed_headers(headers, authorization)
        payload_hash = _payload_hash(headers, body_sha256, service)
    except Refused as refused:
        return Verdict(refusal=refused.refusal)
    canonical = canonical_request(
        method,
        target,
        headers,
        signed_headers=authorization.signed_headers,
        payload_hash=payload_hash,
        service=service,
    )
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    string_to_sign = f"{ALGORITHM}\n{amz_date}\n{authorization.credential_scope}\n{digest}"
    signature = _signature(key.secret_key, authorization, string_to_sign)
    refusal: Refusal | None = None
    if not hmac.compare_digest(
        signature.encode(), authorization.signature.encode("utf-8", "surrogateescape")
    ):
        refusal = _mismatch(key.access_key, string_to_sign, canonical)
    elif body_sha256 is not None:
        refusal = check_payload(payload_hash, body_sha256)
    seed = _chunk_seed(key, authorization, amz_date) if payload_hash == STREAMING_PAYLOAD else None
    return Verdict(key.access_key, payload_hash, refusal, canonical, string_to_sign, seed)


def check_payload(payload_hash: str, body_sha256: str) -> Refusal | None:
    """Return the refusal of a body whose SHA-256 is not the one that was signed, or None.

    One signed in chunks is judged while they are read, by `signed_chunks`.
    """
    if payload_hash in (UNSIGNED_PAYLOAD, STREAMING_PAYLOAD) or hmac.compare_digest(
        payload_hash, body_sha256
    ):
        return None
    return Refusal(
        400,
        "XAmzContentSHA256Mismatch",
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
        (("ClientComputedContentSHA256", payload_hash), ("S3ComputedContentSHA256", body_sha256)),
    )


def parse_authorization(headers: Headers) -> Authorization:
    """Read the ``Authorization`` header.

    Raises
    ------
    Refused
        400 if there are several, the scheme is another, or a part is missing or malformed.
    """
    lines = headers.all("authorization")
    algorithm, _, rest = lines[0].partition(" ")
    if len(lines) > 1 or not algorithm.startswith("AWS"):
        raise refuse(400, "InvalidArgument", "Unsupported Authorization Type")
    if algorithm != ALGORITHM:
        raise refuse(400, "InvalidRequest", f"The authorization mechanism is not supported. Use {ALGORITHM}.")
    assignments = [_assignment(part) for part in rest.split(",")]
    parts = dict(assignments)
    if len(assignments) != 3 or set(parts) != {"Credential", "SignedHeaders", "Signature"}:
        raise _malformed("it has not exactly a Credential, SignedHeaders and a Signature")
    credential = parts["Credential"].rsplit("/", 4)
    if len(credential) != 5 or not all(credential):
        raise _malformed("the Credential is not access-key/date/region/service/aws4_request")
    signed_headers = parts["SignedHeaders"].split(";")
    if signed_headers != sorted({name.lower() for name in signed_headers}):
        raise _malformed("SignedHeaders are not in lower case, sorted, each once")
    access_key, date, region, service, terminator = credential
    return Authorization(
        access_key, date, region, service, terminator, tuple(signed_headers), parts["Signature"]
    )


def canonical_request(
    method: str,
    target: str,
    headers: Headers,
    *,
    signed_headers: tuple[str, ...],
    payload_hash: str,
    service: str = "s3",
) -> str:
    """Return the canonical request of what was received."""
    path, query = split_target(target)
    values: dict[str, list[str]] = {}
    for name, value in headers.raw:
        values.setdefault(name.lower(), []).append(_SPACES.sub(" ", value.strip()))
    canonical_headers = "".join(f"{name}:{','.join(values.get(name, ()))}\n" for name in signed_headers)
    uri = canonical_uri(path, service)
    return "\n".join(
        (
            method,
            uri,
            canonical_query_string(query),
            canonical_headers,
            ";".join(signed_headers),
            payload_hash,
        )
    )


def canonical_uri(path: str, service: str = "s3") -> str:
    """Return the canonical URI of a raw path.

    S3: the decoded path, encoded once, not normalised. Other services: the path as sent (encoded once by
    its sender), normalised by RFC 3986 section 6, encoded once more.
    """
    if service == "s3":
        return quote(percent_decoded(path), safe="/") or "/"
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    trailing = "/" if kept and path.endswith(("/", "/.", "/..")) else ""
    return quote(f"/{'/'.join(kept)}{trailing}".encode("utf-8", "surrogateescape"), safe="/")


def canonical_query_string(query: str) -> str:
    """Return a raw query decoded, encoded anew, sorted by encoded name, then encoded value."""
    pairs = sorted((quote(name, safe=""), quote(value, safe="")) for name, value in query_pairs(query))
    return "&".join(f"{name}={value}" for name, value in pairs)


def _assignment(part: str) -> tuple[str, str]:
    name, _, value = part.strip().partition("=")
    return name, value


def _malformed(why: str) -> Refused:
    return refuse(400, "AuthorizationHeaderMalformed", f"The authorization header is malformed: {why}.")


def _known_key(
    authorization: Authorization, credentials: Mapping[str, AccessKey], region: str, service: str
) -> AccessKey:
    if authorization.terminator != "aws4_request" or authorization.service != service:
        raise _malformed(f"the scope does not end in '{service}/aws4_request'")
    if authorization.region != region:
        message = (
            "The authorization header is malformed;"
            f" the region '{authorization.region}' is wrong; expecting '{region}'"
        )
        refusal = Refusal(
            400,
            "AuthorizationHeaderMalformed",
            message,
            (("Region", region),),
            (("x-amz-bucket-region", region),),
        )
        raise Refused(refusal)
    key = credentials.get(authorization.access_key)
    if key is None:
        message = "The AWS Access Key Id you provided does not exist in our records."
        raise refuse(403, "InvalidAccessKeyId", message, AWSAccessKeyId=authorization.access_key)
    return key


def _date(headers: Headers, authorization: Authorization, now: float) -> str:
    """Return ``x-amz-date`` once it was found to be well formed, near the clock and of the scope's day."""
    amz_date = headers.get("x-amz-date", "")
    try:
        match = _AMZ_DATE.fullmatch(amz_date)
        if match is None:
            raise ValueError(amz_date)
        sent = datetime(*map(int, match.groups()), tzinfo=UTC)  # type: ignore[misc, arg-type]  # six numbers
    except ValueError:
        raise refuse(403, "AccessDenied", "AWS authentication requires a valid x-amz-date header") from None
    if abs(sent.timestamp() - now) > MAX_SKEW:
        raise refuse(
            403,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
            RequestTime=amz_date,
            ServerTime=datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            MaxAllowedSkewMilliseconds=str(MAX_SKEW * 1000),
        )
    if authorization.date != amz_date[:8]:
        raise _malformed(f"the scope's date '{authorization.date}' is not that of x-amz-date")
    return amz_date


def _check_token(headers: Headers, key: AccessKey) -> None:
    if key.expired:
        raise refuse(400, "ExpiredToken", "The provided token has expired.")
    token = headers.get("x-amz-security-token")
    if key.session_token is None and token is None:
        return
    if token is None:
        raise refuse(403, "AccessDenied", "Access Denied")
    if not hmac.compare_digest(token.encode("utf-8", "surrogateescape"), (key.session_token or "").encode()):
        raise refuse(400, "InvalidToken", "The provided token is malformed or otherwise invalid.")


def _check_signed_headers(headers: Headers, authorization: Authorization) -> None:
    must = {"host"} | {name for name in headers if name.startswith("x-amz-")}
    unsigned = sorted(must.difference(authorization.signed_headers))
    if unsigned:
        message = "There were headers present in the request which were not signed"
        raise refuse(403, "AccessDenied", message, HeadersNotSigned=", ".join(unsigned))
    missing = [name for name in authorization.signed_headers if name not in headers]
    if missing:
        message = f"The request does not carry the header it signed: {', '.join(missing)}"
        raise refuse(403, "SignatureDoesNotMatch", message)


def _payload_hash(headers: Headers, body_sha256: str | None, service: str) -> str:
    if service != "s3":
        if body_sha256 is None:
            raise ValueError(f"the service {service!r} signs the body's hash: body_sha256 is needed")
        return body_sha256
    declared = headers.get("x-amz-content-sha256")
    if declared is None:
        raise refuse(400, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
    if declared.startswith("STREAMING-") and declared != STREAMING_PAYLOAD:
        raise refuse(501, "NotImplemented", f"This server does not read bodies that are {declared}.")
    if declared not in (UNSIGNED_PAYLOAD, STREAMING_PAYLOAD) and not _HEX64.fullmatch(declared):
        message = f"x-amz-content-sha256 must be {UNSIGNED_PAYLOAD} or a valid sha256 value."
        raise refuse(400, "InvalidArgument", message)
    return declared


def _chunk_seed(key: AccessKey, authorization: Authorization, amz_date: str) -> ChunkSeed:
    scope = authorization.credential_scope
    return ChunkSeed(_signing_key(key.secret_key, scope), amz_date, scope, authorization.signature)


def _signature(secret_key: str, authorization: Authorization, string_to_sign: str) -> str:
    key = _signing_key(secret_key, authorization.credential_scope)
    return hmac.digest(key, string_to_sign.encode("utf-8", "surrogateescape"), "sha256").hex()


@lru_cache(maxsize=16)
def _signing_key(secret_key: str, credential_scope: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for step in credential_scope.split("/"):
        key = hmac.digest(key, step.encode("utf-8", "surrogateescape"), "sha256")
    return key


def _mismatch(access_key: str, string_to_sign: str, canonical: str) -> Refusal:
    return Refusal(
        403,
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided."
        " Check your key and signing method.",
        (("AWSAccessKeyId", access_key), ("StringToSign", string_to_sign), ("CanonicalRequest", canonical)),
    )
