"""Why a server refused: the status, and what the provider's headers and XML say beside it. Pure.

Amazon, Google and Azure spell an error alike: ``Code`` and ``Message`` in XML.

Reference: Amazon S3 API Reference, "Error responses"; Google Cloud Storage, "HTTP status and error codes
for XML"; Azure Storage REST API, "Status and error codes".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import unescape

from astro_cloud.auth.endpoints import is_region

__all__ = ["ERROR_BODY_LIMIT", "EXPIRED_CODES", "RENEWABLE_CODES", "Refusal"]

ERROR_BODY_LIMIT = 65_536
"""How many bytes of an error's body are worth reading."""
EXPIRED_CODES = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
"""S3's codes for credentials that are no longer good."""
RENEWABLE_CODES = EXPIRED_CODES | {"InvalidAccessKeyId"}
"""Codes after which credentials that were found may be found anew: a rotated key is one nobody knows."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that carries no data.

    Attributes
    ----------
    status : int
        HTTP status code.
    code, message : str
        The provider's ``Code`` and ``Message``; empty where the answer held none (as S3's to a HEAD).
    region : str or None
        Where the bucket is, if the server said so.
    date : str or None
        The server's clock: its ``Date`` header.
    """

    status: int
    code: str = ""
    message: str = ""
    region: str | None = None
    date: str | None = None

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], body: bytes) -> Refusal:
        """Read a refusal out of an answer; `headers` must be case-insensitive."""
        text = body[:ERROR_BODY_LIMIT].decode("utf-8", "replace")
        region = headers.get("x-amz-bucket-region") or _element(text, "Region")
        return cls(
            status,
            code=_element(text, "Code") or headers.get("x-ms-error-code", ""),
            message=_element(text, "Message"),
            region=region if is_region(region) else None,
            date=headers.get("Date"),
        )

    @property
    def server_time(self) -> datetime | None:
        """The server's clock, aware; None if its ``Date`` is missing or makes no sense."""
        try:
            date = parsedate_to_datetime(self.date or "")
        except (TypeError, ValueError):
            return None
        return date if date.tzinfo is not None else date.replace(tzinfo=UTC)

    def __str__(self) -> str:
        return " ".join(filter(None, (str(self.status), self.code)))


def _element(xml: str, name: str) -> str:
    match = re.search(rf"<{name}>([^<]{{1,1000}})</{name}>", xml)
    return unescape(match[1]).strip() if match else ""
