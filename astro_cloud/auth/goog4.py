"""Google's V4 signatures as pure functions: what they say in place of Amazon's words.

The canonical terms and the arithmetic are `sigv4`'s.

Reference: Google Cloud Storage, "Signatures" and "Canonical requests".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from astro_cloud.auth import endpoints, sigv4

__all__ = ["HMAC", "RSA", "Signer", "hmac_signer", "presigned", "scope", "signature", "signed_host"]

HMAC = sigv4.Dialect("GOOG4-HMAC-SHA256", "GOOG4", "goog4_request", "X-Goog-")
RSA = HMAC._replace(algorithm="GOOG4-RSA-SHA256")
_SCOPE = ("auto", "storage")
"""Google wants a location in the scope, and reads any."""


class Signer(NamedTuple):
    """Who signs, by which algorithm, and how: string to sign and date in, hexadecimal signature out."""

    dialect: sigv4.Dialect
    identity: str
    sign: Callable[[str, str], str]


def hmac_signer(access_key: str, secret_key: str) -> Signer:
    """Sign with an HMAC key: GOOG4-HMAC-SHA256."""

    def sign(string_to_sign: str, date: str) -> str:
        return sigv4.signature(sigv4.signing_key(secret_key, date[:8], *_SCOPE, HMAC), string_to_sign)

    return Signer(HMAC, access_key, sign)


def scope(date: str) -> str:
    """Name what a signature is good for: a day (`date` as ``YYYYMMDDTHHMMSSZ``)."""
    return sigv4.credential_scope(date, *_SCOPE, HMAC)


def signature(signer: Signer, date: str, canonical_request: str) -> str:
    """Sign a canonical request; `date` as ``YYYYMMDDTHHMMSSZ``."""
    text = sigv4.string_to_sign(date, scope(date), canonical_request, signer.dialect)
    return signer.sign(text, date)


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
    query = sigv4.presigned_query(
        parts.query,
        f"{signer.identity}/{scope(date)}",
        date=date,
        expires=expires,
        signed_headers=signed_headers,
        added={"userProject": user_project} if user_project is not None else {},
        dialect=signer.dialect,
    )
    payload_hash = given.get("x-goog-content-sha256", sigv4.UNSIGNED_PAYLOAD)
    canonical_request = sigv4.canonical_request(method, path, query, block, signed_headers, payload_hash)
    query = f"{query}&X-Goog-Signature={signature(signer, date, canonical_request)}"
    return parts._replace(path=path, query=query, fragment="").geturl()


def signed_host(url: str) -> str:
    """Spell the host as Google's conformance cases have it: without its port."""
    return re.sub(r":\d+$", "", endpoints.netloc_of(url))
