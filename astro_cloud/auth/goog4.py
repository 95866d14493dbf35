"""Google's V4 signatures as pure functions: what differs from Amazon's Signature Version 4.

The canonical terms are `sigv4`'s; algorithm, scope and key derivation are Google's own.

Reference: Google Cloud Storage, "Signatures" and "Canonical requests".
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from astro_cloud.auth import endpoints, sigv4

__all__ = [
    "HMAC",
    "RSA",
    "Signer",
    "credential_scope",
    "hmac_signer",
    "presigned",
    "signed_host",
    "signing_key",
    "string_to_sign_of",
]

HMAC = "GOOG4-HMAC-SHA256"
RSA = "GOOG4-RSA-SHA256"


class Signer(NamedTuple):
    """Who signs, by which algorithm, and how: string to sign and date in, hexadecimal signature out."""

    algorithm: str
    identity: str
    sign: Callable[[str, str], str]


def hmac_signer(access_key: str, secret_key: str) -> Signer:
    """Sign with an HMAC key: GOOG4-HMAC-SHA256."""

    def sign(string_to_sign: str, date: str) -> str:
        return hmac.digest(signing_key(secret_key, date[:8]), string_to_sign.encode(), "sha256").hex()

    return Signer(HMAC, access_key, sign)


def presigned(
    signer: Signer,
    date: str,
    url: str,
    *,
    expires: int,
    method: str,
    headers: Iterable[tuple[str, str]],
    user_project: str | None,
) -> str:
    """Sign a URL in its query ("Canonical requests" and "Signatures"); `date` as ``YYYYMMDDTHHMMSSZ``."""
    parts = urlsplit(url)
    path = sigv4.wire_path(parts.path or "/")
    given = {name.lower(): value for name, value in headers}
    given.setdefault("host", signed_host(url))
    block, signed_headers = sigv4.canonical_headers(given.items())
    added = {
        "X-Goog-Algorithm": signer.algorithm,
        "X-Goog-Credential": f"{signer.identity}/{credential_scope(date)}",
        "X-Goog-Date": date,
        "X-Goog-Expires": str(expires),
        "X-Goog-SignedHeaders": signed_headers,
    }
    if user_project is not None:
        added["userProject"] = user_project
    kept = (part for part in parts.query.split("&") if part.partition("=")[0] not in added)
    spelled = (f"{name}={quote(value, safe='')}" for name, value in added.items())
    query = sigv4.canonical_query_string("&".join([*kept, *spelled]))
    payload_hash = given.get("x-goog-content-sha256", sigv4.UNSIGNED_PAYLOAD)
    canonical_request = sigv4.canonical_request(method, path, query, block, signed_headers, payload_hash)
    signature = signer.sign(string_to_sign_of(signer.algorithm, date, canonical_request), date)
    return parts._replace(path=path, query=f"{query}&X-Goog-Signature={signature}", fragment="").geturl()


def signed_host(url: str) -> str:
    """Spell the host as Google's conformance cases have it: without its port."""
    return re.sub(r":\d+$", "", endpoints.netloc_of(url))


def credential_scope(date: str) -> str:
    """Name what a signature is good for; Google wants a location there and reads any."""
    return f"{date[:8]}/auto/storage/goog4_request"


def string_to_sign_of(algorithm: str, date: str, canonical_request: str) -> str:
    """Join algorithm, time (``YYYYMMDDTHHMMSSZ``), scope and the canonical request's SHA-256."""
    digest = hashlib.sha256(canonical_request.encode()).hexdigest()
    return f"{algorithm}\n{date}\n{credential_scope(date)}\n{digest}"


@lru_cache(maxsize=16)
def signing_key(secret_key: str, day: str) -> bytes:
    """Derive an HMAC key's signing key of one day (``YYYYMMDD``)."""
    key = b"GOOG4" + secret_key.encode()
    for term in (day, "auto", "storage", "goog4_request"):
        key = hmac.digest(key, term.encode(), "sha256")
    return key
