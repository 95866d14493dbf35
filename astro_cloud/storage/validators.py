"""ETag and Last-Modified as values: what HTTP calls the validators of an object. Pure.

Reference: RFC 9110, sections 5.6.7 and 8.8.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["entity_tag", "http_date", "iso_date"]


def entity_tag(text: str | None) -> str | None:
    """Spell an ETag as If-Match has it, with quotes, which Azure's listings leave out; None for none.

    rclone's is empty.
    """
    bare = (text or "").strip()
    if bare in ("", '""'):
        return None
    return bare if bare.startswith(('"', 'W/"')) else f'"{bare}"'


def http_date(text: str | None) -> datetime | None:
    """Read a date of HTTP, in UTC; None for none, and for what is no date."""
    with suppress(TypeError, ValueError):
        return _aware(parsedate_to_datetime(text or ""))
    return None


def iso_date(text: str | None) -> datetime | None:
    """Read a date of ISO 8601, as S3 lists it, in UTC; None for none, and for what is no date."""
    with suppress(ValueError):
        return _aware(datetime.fromisoformat((text or "").strip()))
    return None


def _aware(date: datetime) -> datetime:
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
