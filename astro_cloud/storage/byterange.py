"""Byte ranges in HTTP: the Range a request asks for, the Content-Range an answer claims. Pure.

Everywhere in Python a range is half-open, [start, stop), in bytes from the object's start; the one
place that turns it into HTTP's inclusive form is `format_range`.

Reference: RFC 9110, section 14.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["ByteRange", "ContentRange", "format_range", "parse_content_range", "parse_unsatisfied_range"]

_CONTENT_RANGE = re.compile(r"bytes[ =](\d{1,20})-(\d{1,20})/(\d{1,20}|\*)", re.IGNORECASE)
_UNSATISFIED_RANGE = re.compile(r"bytes[ =]\*/(\d{1,20})", re.IGNORECASE)


class ByteRange(NamedTuple):
    """Bytes [start, stop) of an object; 0 <= start < stop."""

    start: int
    stop: int


class ContentRange(NamedTuple):
    """Bytes [start, stop) of an object of `total` bytes (None where the server does not say)."""

    start: int
    stop: int
    total: int | None


def format_range(start: int, stop: int) -> str:
    """Spell bytes [start, stop) as the value of a Range header (RFC 9110, section 14.1.2).

    Raises
    ------
    ValueError
        Unless 0 <= start < stop: HTTP cannot express an empty range.
    """
    if not 0 <= start < stop:
        raise ValueError(f"bytes [{start}, {stop}) cannot be asked for: 0 <= start < stop must hold")
    return f"bytes={start}-{stop - 1}"


def parse_content_range(value: str) -> ContentRange:
    """Read a Content-Range header (RFC 9110, section 14.4), or an empty one at an object's end.

    Raises
    ------
    ValueError
        If it is malformed, or contradicts itself.
    """
    match = _CONTENT_RANGE.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"malformed Content-Range {value!r}")
    start, stop = int(match[1]), int(match[2]) + 1
    total = None if match[3] == "*" else int(match[3])
    if start > stop or (start == stop and stop != total) or (total is not None and stop > total):
        raise ValueError(f"impossible Content-Range {value!r}")
    return ContentRange(start, stop, total)


def parse_unsatisfied_range(value: str | None) -> int | None:
    """Read an object's size out of the Content-Range of a 416 (``bytes */size``), if it is there."""
    match = _UNSATISFIED_RANGE.fullmatch(value.strip()) if value else None
    return int(match[1]) if match else None
