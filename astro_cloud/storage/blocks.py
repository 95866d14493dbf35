"""Uploads in blocks, as Azure has them. What a block holds is part of its name.

Blocks that no blob is made of cannot be taken back: Azure forgets them after a week.

Reference: Azure Storage REST API, "Put Block", "Put Block List", "Get Block List".
"""

from __future__ import annotations

import base64
from functools import partial
from urllib.parse import quote

from astro_cloud.exceptions import ObjectNotFoundError
from astro_cloud.storage.object_info import ObjectInfo
from astro_cloud.storage.stop import Stop
from astro_cloud.storage.upload_body import Piece
from astro_cloud.storage.upload_order import Order
from astro_cloud.storage.upload_progress import UploadProgress
from astro_cloud.storage.upload_write import Call
from astro_cloud.storage.xml_records import RecordReader

__all__ = ["Blocks"]


class Blocks:
    """One upload in blocks; they may be sent from several threads.

    Parameters
    ----------
    order : Order
        What is stored, and how.
    """

    is_shared = False

    def __init__(self, order: Order) -> None:
        self._order = order
        self._there: dict[str, int] = {}
        self._blocks: dict[int, tuple[str, int]] = {}

    def begin(self, stop: Stop) -> None:
        """Find what an earlier call sent; there is nothing else to begin."""
        self._order.refuse_existing(stop)
        if self._order.resume:
            self._there = dict(self._listed(self._order, "uncommitted", stop))

    def send(self, piece: Piece, progress: UploadProgress, stop: Stop) -> None:
        """Send a block, unless the store has it."""
        block = _name(piece)
        if self._there.get(block) == piece.size:
            progress.reached(piece.start, piece.size)
        else:
            self._put(block, piece, progress, stop)
        self._blocks[piece.number] = (block, piece.size)

    def complete(self, md5: bytes | None) -> ObjectInfo:
        """Make the blob of the blocks; `md5`, of the whole, is kept with it."""
        order = self._order
        headers = {"Content-Type": "application/xml", **order.dialect(), **order.condition()}
        if order.content_type:
            headers["x-ms-blob-content-type"] = order.content_type
        if md5 is not None:
            headers["x-ms-blob-content-md5"] = base64.b64encode(md5).decode()
        size = sum(size for _, size in self._blocks.values())
        call = Call(
            "PUT", "comp=blocklist", headers, partial(_block_list, self._names()), may_exist=order.overwrite
        )
        return order.once(
            call, lambda reply: order.info(reply.head.headers, size), partial(self._found, size)
        )

    def abort(self, stop: Stop) -> None:
        """Leave the blocks to Azure, which forgets them after a week."""

    def _names(self) -> list[str]:
        return [self._blocks[number][0] for number in sorted(self._blocks)]

    def _put(self, block: str, piece: Piece, progress: UploadProgress, stop: Stop) -> None:
        order = self._order
        call = Call(
            "PUT",
            f"blockid={quote(block, safe='')}&comp=block",
            {**order.dialect(), **order.checks.headers(piece)},
            partial(piece.body, progress.reached),
            absent="no such container",
        )
        order.write(call).run(stop)

    def _listed(self, order: Order, kind: str, stop: Stop | None = None) -> list[tuple[str, int]]:
        """Return name and size of each block, committed or uncommitted."""
        call = Call("GET", f"blocklisttype={kind}&comp=blocklist", order.dialect(), absent="no such blob")
        try:
            reply = order.ask(call, stop)
        except ObjectNotFoundError:
            return []
        return order.understood(_blocks, reply.body)

    def _found(self, size: int, order: Order) -> ObjectInfo | None:
        """Describe the blob that is there, if it is made of these very blocks."""
        if [name for name, _ in self._listed(order, "committed")] != self._names():
            return None
        head = order.existing()
        return order.info(head.headers, size) if head is not None else None


def _name(piece: Piece) -> str:
    """Name a block by its place and content; names of a blob's blocks are all as long."""
    return base64.b64encode(piece.number.to_bytes(4, "big") + piece.digest("MD5")).decode()


def _blocks(body: bytes) -> list[tuple[str, int]]:
    reader = RecordReader("BlockList", frozenset({"Block"}))
    reader.feed(body, last=True)
    return [(block["Name"], int(block["Size"])) for _, block in reader.records]


def _block_list(names: list[str]) -> bytes:
    listed = "".join(f"<Latest>{name}</Latest>" for name in names)
    return f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'.encode()
