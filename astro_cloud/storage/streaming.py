"""A whole object into a file object, in the order of its bytes, read ahead over several connections."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from astro_cloud.exceptions import (
    AstroCloudError,
    IncompleteReadError,
    RangeNotSupportedError,
    StorageError,
)
from astro_cloud.storage.answers import Version
from astro_cloud.storage.checksum import Checksum, hasher
from astro_cloud.storage.local import LocalObject
from astro_cloud.storage.object_download import Downloaded
from astro_cloud.storage.progress import Progress
from astro_cloud.storage.verification import Wish, mismatch
from astro_cloud.storage.whole_read import ChecksumRead, Whole, WholeRead, cut_short
from astro_cloud.storage.workers import Batch

if TYPE_CHECKING:
    from astro_cloud.storage.engine import OpenAnswer
    from astro_cloud.storage.pinned import PinnedObject

__all__ = ["stream_to"]

_PART = 1 << 22
_AHEAD = 5


def stream_to(
    source: PinnedObject | LocalObject, file: Any, *, wish: Wish, progress: Progress, workers: int | None
) -> Downloaded:
    """Write an object's bytes to a file object, in order; up to 20 MiB are read ahead.

    Takes and returns what `download.download` does; `workers` is how many parts are read at once.
    """
    question = _Question(source, wish)
    output = _Output(file, progress, question.expected, source.name)
    expected = False
    try:
        for part in _parts(source, min(workers or _AHEAD, _AHEAD)):
            if source.size is not None and not expected:
                expected = True
                progress.expect(source.size)
            output.write(part)
    except RangeNotSupportedError:
        if output.written or isinstance(source, LocalObject):
            raise
        came = output.fill_from(WholeRead(source.resources, source.pin.route, output))
        question.check_whole(came)
        source.pin.version = came
    finally:
        question.close()
    checksum = output.checked()
    version = source.version
    etag = version.etag or version.weak_etag if version is not None else None
    return Downloaded(source.location, None, output.written, etag, checksum, output.written)


class _Question:
    """Asks a store for its checksums in the background."""

    def __init__(self, source: PinnedObject | LocalObject, wish: Wish) -> None:
        self._source = source
        self._wish = wish
        self._batch: Batch[Whole] | None = None
        if wish.asks_store and not isinstance(source, LocalObject):
            read = ChecksumRead(source.resources, source.pin.route)
            self._batch = source.resources.workers.begin([read.run])

    def expected(self) -> Checksum | None:
        """Wait for the answer; return what to compare with."""
        try:
            found = self._batch.result() if self._batch is not None else []
        except AstroCloudError as error:
            return self._wish.choose((), self._source.name, error)
        version = self._source.version  # None while it is read as a whole
        stored = [whole for whole in found if version is None or not whole.version.differs_from(version)]
        return self._wish.choose(stored[0].checksums if stored else (), self._source.name)

    def check_whole(self, came: Version) -> None:
        """Raise `IncompleteReadError` if HEAD told that the same version is longer."""
        try:
            told = self._batch.result()[0].version if self._batch is not None else came
        except AstroCloudError:
            return
        if told.is_like(came) and (came.total or 0) < (told.total or 0):
            raise cut_short(self._source.name, came.total, told.total)

    def close(self) -> None:
        """Ask no more."""
        if self._batch is not None:
            self._batch.cancel()


class _Output:
    """Writes and sums bytes in their order; also takes those of a `WholeRead`, once."""

    def __init__(
        self, file: Any, progress: Progress, expected: Callable[[], Checksum | None], name: str
    ) -> None:
        self.written = 0
        self._file = file
        self._progress = progress
        self._ask = expected
        self._failure: OSError | None = None
        self._name = name

    @cached_property
    def _expected(self) -> Checksum | None:
        return self._ask()

    @cached_property
    def _hasher(self) -> Any:
        return hasher(self._expected.algorithm) if self._expected is not None else None

    def write(self, data: bytes) -> None:
        """Write all of the next bytes."""
        if self._hasher is not None:
            self._hasher.update(data)
        left = memoryview(data)
        while left:
            written = self._file.write(left)
            if not written and (written == 0 or isinstance(self._file, io.RawIOBase)):
                raise BlockingIOError(
                    f"{self._name}: the file takes no bytes now and does not wait: make it blocking"
                )
            left = left[len(left) if written is None else written :]
        self.written += len(data)
        self._progress.add(len(data))

    def restart(self) -> None:
        """Begin at the object's start, if nothing is written yet."""
        if self.written:
            raise IncompleteReadError(
                f"{self._name}: the connection broke after {self.written} bytes were written, and the server "
                "cannot send the rest alone: download it to a file",
                location=self._name,
            )

    def take(self, answer: OpenAnswer, size: int) -> int:
        """Take up to `size` bytes of the body; return how many came, 0 at its end."""
        data = answer.read(size)
        try:
            self.write(data)
        except OSError as error:  # the file's, and not the network's
            self._failure = error
            raise StorageError(f"{self._name}: what it is written to failed") from error
        return len(data)

    def fill_from(self, read: WholeRead) -> Version:
        """Take all that a read brings; raise what the file raised."""
        try:
            return read.run().version
        except StorageError:
            if self._failure is not None:
                raise self._failure from None
            raise

    def checked(self) -> Checksum | None:
        """Return what was compared; raise `ChecksumError` if the bytes are others."""
        expected = self._expected
        if expected is None or self._hasher.digest() == expected.digest:
            return expected
        then = f"all {self.written} bytes are written already"
        raise mismatch(expected, self._hasher.digest(), self._name, then)


def _parts(source: PinnedObject | LocalObject, ahead: int) -> Iterator[bytes]:
    """Yield all bytes of an object, in parts of which some are read ahead."""
    at, size = 0, None
    while size is None:  # most servers tell it with the first part
        data = source.read_ranges([(at, at + _PART)])[0]
        yield data
        at += len(data)
        size = source.size if source.size is not None else at if len(data) < _PART else None
    waiting: deque[Any] = deque()
    try:
        while waiting or at < size:
            while at < size and len(waiting) < ahead:
                waiting.append(source.begin([(at, min(at + _PART, size))]))
                at = min(at + _PART, size)
            yield waiting.popleft().result()[0]
    finally:
        for reading in waiting:
            reading.cancel()
