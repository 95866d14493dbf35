"""Uploads in parts that an earlier call left: which there are of a key, and which parts they have."""

from __future__ import annotations

from functools import partial

from astro_cloud.exceptions import ObjectNotFoundError, StorageError
from astro_cloud.storage import s3_uploads
from astro_cloud.storage.s3_uploads import GONE, Listed, Part
from astro_cloud.storage.stop import Stop
from astro_cloud.storage.upload_checks import Checks
from astro_cloud.storage.upload_order import Order
from astro_cloud.storage.upload_write import Call

__all__ = ["youngest"]

_NO_LISTING = frozenset({400, 401, 403, 405, 501})


def youngest(order: Order, stop: Stop) -> tuple[str, dict[int, Part]]:
    """Find the youngest upload of the key whose parts are checked as ours are.

    Returns
    -------
    name : str
        Its ID; empty if there is none, or the server does not tell.
    parts : dict
        The parts it has, by number.
    """
    for _, upload in sorted(_uploads(order, stop), reverse=True):
        parts = _parts_of(upload, order, stop)
        if parts is not None:
            return upload, parts
    return "", {}


def _uploads(order: Order, stop: Stop) -> list[tuple[str, str]]:
    """Return when each upload of the key began, and its ID."""
    found: list[tuple[str, str]] = []
    key, route = order.location.key or "", order.route_to(order.location.bucket_url)
    marker: tuple[str, str] | None = None
    try:
        while True:
            reply = order.ask(Call("GET", s3_uploads.uploads_query(key, marker)), stop, route)
            page, marker = order.understood(partial(s3_uploads.listed_uploads, key=key), reply.body)
            found += page
            if marker is None:
                return found
    except StorageError as error:
        if error.status not in _NO_LISTING:
            raise
        return []


def _parts_of(upload: str, order: Order, stop: Stop) -> dict[int, Part] | None:
    """Return the parts of an upload; None if it is gone, or its parts are checked otherwise."""
    parts: dict[int, Part] = {}
    marker: str | None = None
    while True:
        call = Call("GET", s3_uploads.parts_query(upload, marker), absent=GONE)
        try:
            page = order.understood(s3_uploads.listed_parts, order.ask(call, stop).body)
        except ObjectNotFoundError:
            return None
        if not _is_checked_alike(page, order.checks):
            return None
        parts.update((part.number, part) for part in page.parts)
        marker = page.marker
        if marker is None:
            return parts


def _is_checked_alike(page: Listed, checks: Checks) -> bool:
    """Tell whether an upload was begun for the checksums that are sent; not all servers tell their kind."""
    return page.algorithm == (checks.amazon or "") and page.kind in ("", checks.kind)
