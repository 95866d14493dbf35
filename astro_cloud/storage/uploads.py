"""An upload from its beginning to its end: whole or in parts; given up, it leaves nothing."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol, Self

from astro_cloud.exceptions import AstroCloudError, ChecksumError, ObjectExistsError, StorageError
from astro_cloud.storage.blocks import Blocks
from astro_cloud.storage.checksum import Algorithm, Checksum, hasher, parse_checksum
from astro_cloud.storage.multipart import Multipart
from astro_cloud.storage.object_info import ObjectInfo
from astro_cloud.storage.progress import Progress
from astro_cloud.storage.stop import Stop, Stopped
from astro_cloud.storage.upload_body import Piece
from astro_cloud.storage.upload_fleet import Fleet
from astro_cloud.storage.upload_order import Order
from astro_cloud.storage.upload_parts import PART, check_part_size, limits_of, part_sizes, whole_limit
from astro_cloud.storage.upload_progress import UploadProgress
from astro_cloud.storage.upload_source import Source
from astro_cloud.storage.upload_whole import put_whole

__all__ = ["Wanted", "carry_out"]

_BUDGET = 64 << 20
_ABORT_WITHIN = 10.0
_INTERRUPTED_WITHIN = 0.8
_MOMENT = 0.5
_POLL = 0.1


class Assembled(Protocol):
    """An upload in parts, at one kind of store."""

    @property
    def is_shared(self) -> bool:
        """Tell whether other calls may send parts of it, or end it."""

    def begin(self, stop: Stop) -> None:
        """Begin, or find what an earlier call left."""

    def send(self, piece: Piece, progress: UploadProgress, stop: Stop) -> None:
        """Send a part, unless the store has it; called by several threads."""

    def complete(self, md5: bytes | None) -> ObjectInfo:
        """Make the object; `md5` of the whole, where it was computed."""

    def abort(self, stop: Stop) -> None:
        """Have the store forget the parts."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How an upload is to be made.

    Attributes
    ----------
    algorithm : str or None
        Of the checksum to send.
    expected : Checksum or None
        What the bytes must have.
    part_size : int
        Bytes of a part, if no more are needed.
    workers : int
        Parts at once.
    """

    algorithm: Algorithm | None
    expected: Checksum | None
    part_size: int
    workers: int

    @classmethod
    def of(cls, checksum: str | None, part_size: int | None, workers: int | None, concurrency: int) -> Self:
        """Understand what a user asks for; raises ValueError where that makes no sense."""
        wanted = parse_checksum(checksum) if checksum is not None else None
        if workers is not None and workers < 1:
            raise ValueError("workers must be at least 1")
        expected = wanted if isinstance(wanted, Checksum) else None
        return cls(
            None if isinstance(wanted, Checksum) else wanted,
            expected,
            PART if part_size is None else part_size,
            min(workers or concurrency, concurrency),
        )


def carry_out(order: Order, source: Source, wanted: Wanted, shown: Progress) -> ObjectInfo:
    """Upload a source as an order says.

    Raises
    ------
    ChecksumError
        If the bytes do not have the checksum that is expected; nothing is stored.
    """
    check_part_size(wanted.part_size, order.location.url)
    piece = source.small(_whole_limit(order, source, wanted.part_size))
    progress = UploadProgress(shown, source.total)
    if piece is not None:
        whole = _Whole(order, wanted.expected)
        whole.take(piece)
        whole.check()
        info = put_whole(order, piece, progress)
    else:
        info = _in_parts(order, source, wanted, progress)
    progress.complete(info.size)
    source.leave()
    return info


def _whole_limit(order: Order, source: Source, part_size: int) -> int:
    """Return up to how many bytes go by one request."""
    limits = limits_of(order.location.provider)
    if order.location.provider is None:
        return limits.whole if not source.is_held else _BUDGET
    if order.location.provider == "gcp" and not order.overwrite and not source.is_held:
        return limits.whole  # Google completes an upload in parts without a condition
    return min(whole_limit(part_size), limits.whole)


def _in_parts(order: Order, source: Source, wanted: Wanted, progress: UploadProgress) -> ObjectInfo:
    """Upload in parts; where those of an earlier call turn out to be of no use, once more without them."""
    _refuse_parts(order)
    store: Assembled = Blocks(order) if order.is_azure else Multipart(order)
    try:
        return _assemble(store, order, source, wanted, progress)
    except StorageError as error:
        if not store.is_shared or source.is_held or not _is_of_no_use(error):
            raise
    _abort(order, store, _ABORT_WITHIN)
    return _assemble(Multipart(order, anew=True), order, source, wanted, progress)


def _is_of_no_use(error: StorageError) -> bool:
    """Tell whether the store refused what an upload holds, or has it no more."""
    return error.status in (400, 404) and not isinstance(error, ChecksumError)


def _assemble(
    store: Assembled, order: Order, source: Source, wanted: Wanted, progress: UploadProgress
) -> ObjectInfo:
    sizes = part_sizes(source.total, wanted.part_size, limits_of(order.location.provider))
    fleet = Fleet(order.resources.workers, wanted.workers, _BUDGET if source.is_held else None, order.stop)
    whole = _Whole(order, wanted.expected)
    try:
        _begin(order, store)
        for piece in source.pieces(fleet.paced(sizes)):
            fleet.launch(partial(_send, store, piece, progress))
            whole.take(piece)
            del piece  # before the next is read
        fleet.wait()
        source.check()
        whole.check()
        return store.complete(whole.md5)
    except BaseException as error:
        fleet.recall()
        if not order.resume or _is_final(error):
            _abort(order, store, _INTERRUPTED_WITHIN if _is_interrupt(error) else _ABORT_WITHIN)
        raise


def _is_final(error: BaseException) -> bool:
    """Tell whether the same upload fails again: another object stays, or the whole is not what it must be."""
    is_of_whole = isinstance(error, ChecksumError) and error.status is None
    return is_of_whole or isinstance(error, ObjectExistsError)


def _is_interrupt(error: BaseException) -> bool:
    return isinstance(error, Stopped) or not isinstance(error, Exception)


def _refuse_parts(order: Order) -> None:
    provider, name = order.location.provider, order.route.name
    if provider is None:
        raise StorageError(
            f"{name}: a signed URL takes an upload by one request, of 5 GiB at most, and of {_BUDGET >> 20} "
            "MiB where the length is not known before: write s3://bucket/key, with credentials",
            location=name,
        )
    if provider == "gcp" and not order.overwrite:
        raise StorageError(
            f"{name}: Google makes an object of parts without asking whether there is one, so a stream "
            "cannot be uploaded there with overwrite=False: give a file",
            location=name,
        )


def _begin(order: Order, store: Assembled) -> None:
    """Begin; where that is interrupted, wait a moment: what has begun can be ended once its name is known."""
    batch = order.resources.workers.begin([store.begin])
    try:
        while not batch.wait(_POLL if order.stop is not None else None):
            if order.stop is not None:
                order.stop.check()
    except BaseException:
        batch.wait(_MOMENT)
        batch.cancel()
        raise
    batch.result()


def _send(store: Assembled, piece: Piece, progress: UploadProgress, stop: Stop) -> None:
    store.send(piece, progress, stop)


class _Whole:
    """Checksums of all the bytes, computed while their pieces are sent.

    Azure is told the MD5, as it computes none of blobs of blocks.
    """

    def __init__(self, order: Order, expected: Checksum | None) -> None:
        self._name = order.route.name
        self._expected = expected
        self._running = hasher(expected.algorithm) if expected is not None else None
        self._md5 = hasher("MD5") if order.is_azure else None

    @property
    def md5(self) -> bytes | None:
        """The MD5 of the pieces so far, for Azure."""
        return self._md5.digest() if self._md5 is not None else None

    def take(self, piece: Piece) -> None:
        """Take the next piece."""
        takers = [each.update for each in (self._running, self._md5) if each is not None]
        if takers:
            piece.feed(*takers)

    def check(self) -> None:
        """Raise `ChecksumError` if the bytes are not those that are expected."""
        if self._running is None or self._expected is None:
            return
        found = Checksum(self._expected.algorithm, self._running.digest())
        if found.digest != self._expected.digest:
            message = f"{self._name}: not stored: the bytes to upload have {found}, not {self._expected}"
            raise ChecksumError(message, location=self._name)


def _abort(order: Order, store: Assembled, seconds: float) -> None:
    """Have the parts forgotten, if the server is there; what went wrong before is what counts."""
    with suppress(AstroCloudError, RuntimeError):
        batch = order.resources.workers.begin([store.abort])
        batch.wait(seconds)
        batch.cancel()
