"""What Range and If-... headers ask of an object. Pure: RFC 9110 sections 13 and 14, as S3 has them."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

from astro_cloud.testing.http_request import Headers

_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)", re.IGNORECASE)


class Unsatisfiable(Exception):
    """The range lies past the end of the object: answer 416."""


def requested_range(value: str | None, size: int) -> tuple[int, int] | None:
    """Return what to send as [start, stop) in bytes, or None for the whole object with status 200.

    Like S3, this ignores a list of ranges and anything that is not a range.

    Raises
    ------
    Unsatisfiable
        If no byte of the object, of ``size`` bytes, is in the range.
    """
    match = _RANGE.fullmatch(value.strip()) if value else None
    if match is None or match[0].endswith("=-"):
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(size - int(last), 0), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= stop:
        raise Unsatisfiable
    return start, stop


def precondition_status(headers: Headers, etag: str, modified: float, *, reading: bool = True) -> int | None:
    """Return 412 or 304 where the request's conditions say so, else None.

    Parameters
    ----------
    headers : Headers
        Of the request.
    etag : str
        The object's, with its quotation marks; empty if there is no object.
    modified : float
        The object's time of last change, seconds since 1970 UTC.
    reading : bool
        True for GET and HEAD, for which a false If-None-Match is 304; otherwise 412.
    """
    if (wanted := headers.get("if-match")) is not None:
        if not _matches(wanted, etag, weak=False):
            return 412
    elif (since := _date(headers.get("if-unmodified-since"))) is not None and int(modified) > since:
        return 412
    if (unwanted := headers.get("if-none-match")) is not None:
        if _matches(unwanted, etag, weak=True):
            return 304 if reading else 412
    elif (
        reading and (since := _date(headers.get("if-modified-since"))) is not None and int(modified) <= since
    ):
        return 304
    return None


def _matches(listed: str, etag: str, *, weak: bool) -> bool:
    if not etag:
        return False
    for tag in (tag.strip() for tag in listed.split(",")):
        if weak:
            tag = tag.removeprefix("W/")
        if tag == "*" or tag.strip('"') == etag.strip('"'):  # S3 takes a tag without quotation marks too
            return True
    return False


def _date(value: str | None) -> float | None:
    """Return an HTTP date in seconds since 1970 UTC; None for no date, or one that cannot be read."""
    try:
        return parsedate_to_datetime(value).replace(tzinfo=UTC).timestamp() if value else None
    except ValueError:
        return None
