"""AWS Signature Version 4, and Google's V4 after it, as pure functions, one per term of the documentation.

Text in, text out: nothing here reads a clock, a credential store or a socket. What is signed and in
which order is decided by the callers (`astro_cloud.auth.aws`); this module only spells the terms:
canonical_request, string_to_sign, credential_scope, signing_key, signature.

Reference: AWS Identity and Access Management User Guide, "Create a signed AWS API request"; Google Cloud
Storage, "Signatures".
"""

from __future__ import annotations

import hashlib
import hmac
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes, urlencode

__all__ = [
    "AWS4",
    "EMPTY_PAYLOAD_HASH",
    "LONGEST_PRESIGNED",
    "STREAMING_PAYLOAD",
    "UNSIGNED_PAYLOAD",
    "Dialect",
    "authorization",
    "canonical_headers",
    "canonical_query_string",
    "canonical_request",
    "canonical_uri",
    "chunk_string_to_sign",
    "credential_scope",
    "headers_to_sign",
    "presigned_query",
    "signature",
    "signing_key",
    "string_to_sign",
    "wire_path",
    "wire_query",
]


class Dialect(NamedTuple):
    """The words in which providers differ who sign alike.

    Attributes
    ----------
    algorithm : str
        Names the signature: ``"AWS4-HMAC-SHA256"``.
    secret_prefix, terminator : str
        Begin and end the derivation of the signing key; the terminator ends the scope, too.
    parameter_prefix : str
        Begins the names of a presigned URL's parameters.
    """

    algorithm: str
    secret_prefix: str
    terminator: str
    parameter_prefix: str


AWS4 = Dialect("AWS4-HMAC-SHA256", "AWS4", "aws4_request", "X-Amz-")
LONGEST_PRESIGNED = 7 * 24 * 3600
"""Seconds for which a URL can be signed."""
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
STREAMING_PAYLOAD = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
EMPTY_PAYLOAD_HASH = hashlib.sha256(b"").hexdigest()

_SIGNED_NAMES = frozenset({"host", "content-type", "content-md5", "date", "range"})
_UNRESERVED = "-._~"
_WHITE_SPACE = re.compile(r"[ \t]+")
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
        name, value = name.lower(), _trimmed(value)
        values[name] = f"{values[name]},{value}" if name in values else value
    names = sorted(values)
    return "".join(f"{name}:{values[name]}\n" for name in names), ";".join(names)


def _trimmed(value: str) -> str:
    """Collapse spaces and tabs; not what is a byte of UTF-8 read as Latin-1 (``\\xa0``, ``\\x85``)."""
    value = value.strip(" \t")
    return _WHITE_SPACE.sub(" ", value) if "  " in value or "\t" in value else value


def canonical_request(
    method: str, uri: str, query: str, headers_block: str, signed_headers: str, payload_hash: str
) -> str:
    """Join the canonical terms of a request, one per line."""
    return f"{method}\n{uri}\n{query}\n{headers_block}\n{signed_headers}\n{payload_hash}"


def credential_scope(date: str, region: str, service: str, dialect: Dialect = AWS4) -> str:
    """Name what a signing key is good for: one day, region and service."""
    return f"{date[:8]}/{region}/{service}/{dialect.terminator}"


def string_to_sign(date: str, scope: str, canonical_request: str, dialect: Dialect = AWS4) -> str:
    """Join algorithm, time (``YYYYMMDDTHHMMSSZ``), scope and the canonical request's SHA-256."""
    digest = hashlib.sha256(canonical_request.encode("latin-1")).hexdigest()  # as HTTP sends header values
    return f"{dialect.algorithm}\n{date}\n{scope}\n{digest}"


def chunk_string_to_sign(amz_date: str, scope: str, previous_signature: str, data: bytes) -> str:
    """Join what the signature of one chunk of a streamed body covers (of none, for the last)."""
    digest = hashlib.sha256(data).hexdigest()
    terms = (f"{AWS4.algorithm}-PAYLOAD", amz_date, scope, previous_signature, EMPTY_PAYLOAD_HASH, digest)
    return "\n".join(terms)


@lru_cache(maxsize=64)
def signing_key(secret_key: str, day: str, region: str, service: str, dialect: Dialect = AWS4) -> bytes:
    """Derive the key of one day (``YYYYMMDD``), region and service; kept, as it serves many requests."""
    key = (dialect.secret_prefix + secret_key).encode()
    for term in (day, region, service, dialect.terminator):
        key = hmac.digest(key, term.encode(), "sha256")
    return key


def signature(key: bytes, string_to_sign: str) -> str:
    """Sign: HMAC-SHA256 as 64 lower-case hexadecimal digits."""
    return hmac.digest(key, string_to_sign.encode(), "sha256").hex()


def authorization(
    access_key: str, scope: str, signed_headers: str, signature: str, dialect: Dialect = AWS4
) -> str:
    """Spell the value of the ``Authorization`` header."""
    credential = f"{access_key}/{scope}"
    return (
        f"{dialect.algorithm} Credential={credential}, SignedHeaders={signed_headers}, Signature={signature}"
    )


def presigned_query(
    query: str,
    credential: str,
    *,
    date: str,
    expires: int,
    signed_headers: str,
    added: Mapping[str, str],
    dialect: Dialect = AWS4,
) -> str:
    """Spell the query of a presigned URL as it is signed, and sent with its signature behind it.

    Parameters
    ----------
    query : str
        Of the URL, as it goes over the wire; what stands there under a name written here is replaced.
    credential : str
        Whose signature, and its scope: ``access_key/scope``.
    date : str
        When it is signed, ``YYYYMMDDTHHMMSSZ``.
    expires : int
        Seconds for which it is good, 1 to `LONGEST_PRESIGNED`.
    signed_headers : str
        As `canonical_headers` returns them.
    added : mapping
        More parameters, not yet encoded.

    Raises
    ------
    ValueError
        If `expires` is out of bounds, or no whole number.
    """
    if not isinstance(expires, int) or not 1 <= expires <= LONGEST_PRESIGNED:
        raise ValueError(f"a URL can be signed for 1 to {LONGEST_PRESIGNED} seconds (7 days), not {expires}")
    terms = {
        "Algorithm": dialect.algorithm,
        "Credential": credential,
        "Date": date,
        "Expires": str(expires),
        "SignedHeaders": signed_headers,
    }
    parameters = {dialect.parameter_prefix + name: value for name, value in terms.items()} | dict(added)
    kept = (part for part in query.split("&") if part.partition("=")[0] not in parameters)
    return canonical_query_string("&".join([*kept, urlencode(parameters, quote_via=quote)]))
