"""An upload by one request."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from astro_cloud.storage.checksum import Checksum, stored_checksums
from astro_cloud.storage.object_info import ObjectInfo
from astro_cloud.storage.upload_body import Piece
from astro_cloud.storage.upload_order import Order
from astro_cloud.storage.upload_progress import UploadProgress
from astro_cloud.storage.upload_write import Call

__all__ = ["put_whole"]


def put_whole(order: Order, piece: Piece, progress: UploadProgress) -> ObjectInfo:
    """Store an object by one request."""
    if not order.is_conditional:
        order.refuse_existing()
    headers = {
        **order.dialect(),
        **order.checks.headers(piece),
        **order.condition(),
        **({"x-ms-blob-type": "BlockBlob"} if order.is_azure else {}),
        **({"Content-Type": order.content_type} if order.content_type else {}),
    }
    call = Call(
        "PUT",
        headers=headers,
        body=partial(piece.body, progress.reached),
        may_exist=order.overwrite,
    )
    return order.once(
        call, lambda reply: order.info(reply.head.headers, piece.size), lambda asking: _found(asking, piece)
    )


def _found(order: Order, piece: Piece) -> ObjectInfo | None:
    """Describe the object that is there, if it holds these very bytes."""
    head = order.existing()
    if head is None or head.length != piece.size:
        return None
    stored = stored_checksums(head.headers, whole=True, etag_is_md5=True)
    return order.info(head.headers, piece.size) if _agrees(stored, piece) else None


def _agrees(stored: Sequence[Checksum], piece: Piece) -> bool:
    return any(piece.digest(checksum.algorithm) == checksum.digest for checksum in stored)
