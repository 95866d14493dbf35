"""AWS Signature Version 4 as pure functions, one per term of the AWS documentation.

Text in, text out: nothing here reads a clock, a credential store or a socket. What is signed and in
which order is decided by the callers (`astro_cloud.auth.aws`); this module only spells the terms:
canonical_request, string_to_sign, credential_scope, signing_key, signature.

Reference: AWS Identity and Access Management User Guide, "Create a signed AWS API request".
"""

from __future__ import annotations

import hashlib
import hmac
import posixpath
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

__all__ = [
    "ALGORITHM",
    "EMPTY_PAYLOAD_HASH",
    "STREAMING_PAYLOAD",
    "UNSIGNED_PAYLOAD",
    "authorization",
    "canonical_headers",
    "canonical_query_string",
    "canonical_request",
    "canonical_uri",
    "chunk_string_to_sign",
    "credential_scope",
    "headers_to_sign",
    "signature",
    "signing_key",
    "string_to_sign",
    "wire_path",
    "wire_query",
]

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
STREAMING_PAYLOAD = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
EMPTY_PAYLOAD_HASH = hashlib.sha256(b"").hexdigest()

_SIGNED_NAMES = frozenset({"host", "content-type", "content-md5", "date", "range"})
_UNRESERVED = "-._~"
_DOT_SEGMENT = re.compile(r"(?<=/)\.{1,2}(?=/|$)")


@lru_cache(maxsize=256)
def canonical_uri(path: str, *, normalize: bool = False) -> str:
    """Spell the path of a request as the signature wants it.

    Parameters
    ----------
    path : str
        Absolute path as it goes over the wire, percent-encoded or not.
    normalize : bool
        False for S3, whose keys are taken literally: decoded, then encoded once. True for every other
        service: empty and dot segments are removed (RFC 3986, section 5.2.4) and the wire form is
        encoded once more.

    Returns
    -------
    str
        Never empty; begins with ``/``.
    """
    if normalize:
        return quote(_without_dot_segments(path), safe="/" + _UNRESERVED)
    return quote(unquote_to_bytes(path), safe="/" + _UNRESERVED) or "/"


def _without_dot_segments(path: str) -> str:
    normal = posixpath.normpath("/" + path.lstrip("/"))
    is_folder = path.endswith(("/", "/.", "/..")) and normal != "/"
    return normal + "/" if is_folder else normal


def canonical_query_string(query: str) -> str:
    """Spell a query string as the signature wants it: decoded, encoded, sorted by name, then value.

    Parameters
    ----------
    query : str
        As it goes over the wire, without ``?``. A ``+`` stands for a space, as servers read it.
    """
    return "&".join(f"{name}={value}" for name, value in sorted(_parameters(query)))


def _parameters(query: str) -> list[tuple[str, str]]:
    pairs = (part.partition("=") for part in query.split("&") if part)
    return [(_reencoded(name), _reencoded(value)) for name, _, value in pairs]


def _reencoded(text: str) -> str:
    return quote(unquote_to_bytes(text.replace("+", " ")), safe=_UNRESERVED)


@lru_cache(maxsize=256)
def wire_path(path: str) -> str:
    """Spell an S3 path so that no client, proxy or server on the way reads another key out of it.

    Like `canonical_uri`, with dot segments and a leading double slash (which HTTP libraries collapse,
    silently naming another object) kept apart by percent-encoding.
    """
    path = _DOT_SEGMENT.sub(lambda dots: "%2E" * len(dots[0]), canonical_uri(path))
    return "/%2F" + path[2:] if path.startswith("//") else path


def wire_query(query: str) -> str:
    """Spell a query in its order as `canonical_query_string` encodes it, so that a space is ``%20``."""
    pairs = (part.partition("=") for part in query.split("&") if part)
    return "&".join(_reencoded(name) + equals + _reencoded(value) for name, equals, value in pairs)


def headers_to_sign(
    headers: Iterable[tuple[str, str | bytes]], host: str, prefix: str
) -> Iterator[tuple[str, str]]:
    """Choose the headers that no proxy changes, and that change what a request asks for.

    Parameters
    ----------
    headers : iterable of (name, value)
        Names in lower case.
    host : str
        As it will be sent, if `headers` name none.
    prefix : str
        Of the provider's own headers, all of which are signed: ``"x-amz-"``.
    """
    host_given = False
    for name, value in headers:
        if name in _SIGNED_NAMES or name.startswith((prefix, "if-")):
            host_given = host_given or name == "host"
            yield name, value if isinstance(value, str) else value.decode("latin-1")
    if not host_given:
        yield "host", host


def canonical_headers(headers: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """Spell the headers that are signed.

    Parameters
    ----------
    headers : iterable of (name, value)
        Those to sign; repeated names are joined by commas in their order.

    Returns
    -------
    block : str
        One ``name:value`` line per name, sorted, each ended by a newline.
    signed_headers : str
        The names, lower case, sorted, joined by semicolons.
    """
    values: dict[str, str] = {}
    for name, value in headers:
        name, value = name.lower(), " ".join(value.split())
        values[name] = f"{values[name]},{value}" if name in values else value
    names = sorted(values)
    return "".join(f"{name}:{values[name]}\n" for name in names), ";".join(names)


def canonical_request(
    method: str, uri: str, query: str, headers_block: str, signed_headers: str, payload_hash: str
) -> str:
    """Join the canonical terms of a request, one per line."""
    return f"{method}\n{uri}\n{query}\n{headers_block}\n{signed_headers}\n{payload_hash}"


def credential_scope(amz_date: str, region: str, service: str) -> str:
    """Name what a signing key is good for: one day, region and service."""
    return f"{amz_date[:8]}/{region}/{service}/aws4_request"


def string_to_sign(amz_date: str, scope: str, canonical_request: str) -> str:
    """Join algorithm, time (``YYYYMMDDTHHMMSSZ``), scope and the canonical request's SHA-256."""
    digest = hashlib.sha256(canonical_request.encode()).hexdigest()
    return f"{ALGORITHM}\n{amz_date}\n{scope}\n{digest}"


def chunk_string_to_sign(amz_date: str, scope: str, previous_signature: str, data: bytes) -> str:
    """Join what the signature of one chunk of a streamed body covers (of none, for the last)."""
    digest = hashlib.sha256(data).hexdigest()
    return f"{ALGORITHM}-PAYLOAD\n{amz_date}\n{scope}\n{previous_signature}\n{EMPTY_PAYLOAD_HASH}\n{digest}"


@lru_cache(maxsize=64)
def signing_key(secret_key: str, date: str, region: str, service: str) -> bytes:
    """Derive the key of one day (``YYYYMMDD``), region and service; kept, as it serves many requests."""
    key = b"AWS4" + secret_key.encode()
    for term in (date, region, service, "aws4_request"):
        key = hmac.digest(key, term.encode(), "sha256")
    return key


def signature(key: bytes, string_to_sign: str) -> str:
    """Sign: HMAC-SHA256 as 64 lower-case hexadecimal digits."""
    return hmac.digest(key, string_to_sign.encode(), "sha256").hex()


def authorization(access_key: str, scope: str, signed_headers: str, signature: str) -> str:
    """Spell the value of the ``Authorization`` header."""
    return (
        f"{ALGORITHM} Credential={access_key}/{scope}, SignedHeaders={signed_headers}, Signature={signature}"
    )
