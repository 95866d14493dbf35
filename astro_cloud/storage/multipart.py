"""Uploads in parts, as S3 has them, and the stores that speak its language."""

from __future__ import annotations

import base64
from functools import partial
from urllib.parse import quote

from astro_cloud.exceptions import ChecksumError
from astro_cloud.storage import s3_uploads
from astro_cloud.storage.checksum import Checksum, RunningCRC, stored_checksums
from astro_cloud.storage.object_info import ObjectInfo
from astro_cloud.storage.s3_uploads import GONE, Part
from astro_cloud.storage.stop import Stop
from astro_cloud.storage.unfinished import youngest
from astro_cloud.storage.upload_body import Piece
from astro_cloud.storage.upload_order import Order
from astro_cloud.storage.upload_progress import UploadProgress
from astro_cloud.storage.upload_write import Call, Reply

__all__ = ["Multipart"]


class Multipart:
    """One upload in parts; they may be sent from several threads.

    Parameters
    ----------
    order : Order
        What is stored, and how.
    anew : bool
        Begin anew, whatever an earlier call left.

    """

    def __init__(self, order: Order, *, anew: bool = False) -> None:
        self._order = order
        self._anew = anew
        self._id = ""
        self._there: dict[int, Part] = {}
        self._parts: dict[int, Part] = {}
        self._crcs: dict[int, bytes] = {}

    @property
    def is_shared(self) -> bool:
        """Tell whether other calls may send parts of this upload, or end it."""
        return bool(self._id) and self._order.resume and not self._anew

    def begin(self, stop: Stop) -> None:
        """Begin, or find what an earlier call began."""
        order = self._order
        order.refuse_existing(stop)
        if order.resume and not self._anew:
            self._id, self._there = youngest(order, stop)
        if not self._id:
            self._id = self._create(stop)

    def send(self, piece: Piece, progress: UploadProgress, stop: Stop) -> None:
        """Send a part, unless the store has it."""
        part = self._kept(piece)
        if part is None:
            part = self._put(piece, progress, stop)
        else:
            progress.reached(piece.start, piece.size)
        if self._order.checks.joined is not None:
            self._crcs[piece.number] = piece.digest(self._order.checks.joined)
        self._parts[piece.number] = part

    def complete(self, md5: bytes | None) -> ObjectInfo:
        """Make the object of the parts."""
        order = self._order
        if not order.is_conditional:
            order.refuse_existing()
        call = Call(
            "POST",
            self._query(),
            {"Content-Type": "application/xml", **self._whole_headers(), **order.condition()},
            partial(s3_uploads.completion, self._sorted()),
            absent=GONE,
            may_exist=order.overwrite,
            may_hold_error=True,
        )
        return order.once(call, self._stored, self._found)

    def abort(self, stop: Stop) -> None:
        """Have the store forget the parts."""
        if self._id:
            self._order.write(Call("DELETE", self._query(), absent=GONE)).run(stop)

    def _query(self) -> str:
        return f"uploadId={quote(self._id, safe='')}"

    def _sorted(self) -> list[Part]:
        return [self._parts[number] for number in sorted(self._parts)]

    @property
    def _size(self) -> int:
        return sum(part.size for part in self._parts.values())

    def _create(self, stop: Stop) -> str:
        order, checks = self._order, self._order.checks
        headers = {"Content-Type": order.content_type} if order.content_type else {}
        if checks.amazon is not None:
            headers["x-amz-checksum-algorithm"] = checks.amazon
            headers["x-amz-checksum-type"] = checks.kind
        reply = order.ask(Call("POST", "uploads=", headers), stop)
        return order.understood(s3_uploads.upload_id, reply.body)

    # Parts

    def _kept(self, piece: Piece) -> Part | None:
        """Return the part that the store has already, if it holds these very bytes."""
        part = self._there.get(piece.number)
        if part is None or part.size != piece.size:
            return None
        if self._order.checks.amazon not in (None, *part.checksums):  # which could not be named in the end
            return None
        same = any(_base64(piece.digest(name)) == value for name, value in part.checksums.items())
        if not same and not s3_uploads.is_md5(part.etag, piece.digest("MD5")):
            return None
        return self._part(piece, part.etag)

    def _put(self, piece: Piece, progress: UploadProgress, stop: Stop) -> Part:
        order = self._order
        call = Call(
            "PUT",
            f"partNumber={piece.number}&{self._query()}",
            order.checks.headers(piece),
            partial(piece.body, progress.reached),
            absent=GONE,
        )
        head = order.write(call).run(stop).head
        etag = head.headers.get("ETag")
        if not etag:
            raise order.malformed("a part has no ETag")
        return self._part(piece, etag)

    def _part(self, piece: Piece, etag: str) -> Part:
        amazon = self._order.checks.amazon
        checksums = {} if amazon is None else {amazon: _base64(piece.digest(amazon))}
        return Part(piece.number, piece.size, etag, checksums)

    # The whole

    def _joined(self) -> Checksum | None:
        algorithm = self._order.checks.joined
        if algorithm is None:
            return None
        crc = RunningCRC(algorithm)
        for part in self._sorted():
            crc.join(int.from_bytes(self._crcs[part.number], "big"), part.size)
        return Checksum(algorithm, crc.digest())

    def _whole_headers(self) -> dict[str, str]:
        joined = self._joined()
        if joined is None or self._order.checks.amazon is None:
            return {}
        return {
            f"x-amz-checksum-{joined.algorithm.lower()}": joined.base64,
            "x-amz-checksum-type": "FULL_OBJECT",
            "x-amz-mp-object-size": str(self._size),
        }

    def _stored(self, reply: Reply) -> ObjectInfo:
        etag = self._order.understood(s3_uploads.read_etag, reply.body)
        self._hold(stored_checksums(reply.head.headers, whole=False, etag_is_md5=False))
        info = self._order.info(reply.head.headers, self._size, etag)
        return info if info.etag is not None else self._found(self._order) or info

    def _hold(self, stored: list[Checksum]) -> None:
        """Compare what the store computed of the whole with what was sent."""
        joined = self._joined()
        other = [each for each in stored if joined and each.algorithm == joined.algorithm]
        if joined is not None and any(each.digest != joined.digest for each in other):
            name = self._order.route.name
            raise ChecksumError(f"{name}: the store has {other[0]}, sent was {joined}", location=name)

    def _found(self, order: Order) -> ObjectInfo | None:
        """Describe the object that is there, if it is made of these very parts."""
        head = order.existing()
        if head is None or head.length != self._size:
            return None
        joined = self._joined()
        stored = stored_checksums(head.headers, whole=True, etag_is_md5=False)
        same = joined is not None and any(known[:2] == joined[:2] for known in stored)
        expected = s3_uploads.etag_of_parts(self._sorted())
        if not same and (expected is None or head.headers.get("ETag", "").strip('"') != expected.strip('"')):
            return None
        return order.info(head.headers, self._size)


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
