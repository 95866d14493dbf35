"""Bodies of requests: bytes, or part of a file, that can be read once more for each attempt."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import Protocol

from astro_cloud.exceptions import ObjectChangedError, StorageError
from astro_cloud.storage.checksum import Algorithm, hasher

__all__ = ["Body", "Content", "FileContent", "MemoryContent", "Piece"]

_STEP = 1 << 18


class Content(Protocol):
    """Bytes that can be read in any order, by any number of threads."""

    def read_at(self, position: int, size: int) -> bytes | memoryview:
        """Read `size` bytes, all of which are there."""

    def check(self) -> None:
        """Raise if they are not what they were when the upload began."""


class MemoryContent:
    """Bytes in memory; copied only if they do not lie one after the other."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        is_flat = view.c_contiguous and view.nbytes  # an empty array cannot be cast
        self._view = view.cast("B") if is_flat else memoryview(view.tobytes())

    def read_at(self, position: int, size: int) -> memoryview:
        """Give a view of `size` bytes."""
        return self._view[position : position + size]

    def check(self) -> None:
        """Do nothing: they are the caller's."""


class FileContent:
    """A regular file, that must stay as it is.

    Parameters
    ----------
    descriptor : int
        Open for reading; closed by whoever opened it.
    name : str
        For messages.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self._name = name
        self._state = self._stat()
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """In bytes."""
        return self._state[0]

    def read_at(self, position: int, size: int) -> bytes:
        """Read `size` bytes.

        Raises
        ------
        ObjectChangedError
            If the file ends before, or was modified since the upload began.
        StorageError
            If it cannot be read.
        """
        try:
            data = self._read(position, size)
        except OSError as error:
            raise StorageError(f"{self._name} cannot be read: {error}", location=self._name) from error
        self.check()
        if len(data) < size:
            raise self._changed(f"it ends before byte {position + size}")
        return data

    def check(self) -> None:
        """Raise `ObjectChangedError` if size or time of modification are not what they were."""
        size, modified = self._stat()
        if size != self._state[0]:
            raise self._changed(f"its size changed from {self._state[0]} to {size} bytes")
        if modified != self._state[1]:
            raise self._changed("it was modified")

    def _stat(self) -> tuple[int, int]:
        found = os.fstat(self._descriptor)
        return found.st_size, found.st_mtime_ns

    def _read(self, position: int, size: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._descriptor, size, position)
        with self._lock:  # Windows reads at a place only by going there
            os.lseek(self._descriptor, position, os.SEEK_SET)
            return os.read(self._descriptor, size)

    def _changed(self, how: str) -> ObjectChangedError:
        return ObjectChangedError(
            f"{self._name} changed while it was uploaded: {how}. Nothing was stored; upload it again",
            location=self._name,
        )


class Piece:
    """Bytes [start, start + size) of some content.

    Attributes
    ----------
    number : int
        Of the part it is uploaded as, from 1.
    """

    def __init__(self, content: Content, start: int, size: int, *, at: int, number: int = 1) -> None:
        self.number = number
        self.start = start
        self.size = size
        self._content = content
        self._at = at
        self._digests: dict[Algorithm, bytes] = {}

    def body(self, sent: Callable[[int, int], object]) -> Body | bytes:
        """Return a body to send; `sent` is told its start and how much of it is on its way."""
        self._content.check()
        if not self.size:
            return b""
        return Body(self._content, self._at, self.size, lambda size: sent(self.start, size))

    def digest(self, algorithm: Algorithm) -> bytes:
        """Return a checksum, computed once."""
        self.prepare([algorithm])
        return self._digests[algorithm]

    def feed(self, *takers: Callable[[bytes | memoryview], object]) -> None:
        """Give each of `takers` the bytes from first to last."""
        for position in range(0, self.size, _STEP):
            data = self._content.read_at(self._at + position, min(_STEP, self.size - position))
            for take in takers:
                take(data)

    def prepare(self, algorithms: Iterable[Algorithm]) -> None:
        """Compute checksums that will be asked for, reading the content once."""
        hashers = {name: hasher(name) for name in algorithms if name not in self._digests}
        if not hashers:
            return
        self.feed(*(each.update for each in hashers.values()))
        self._digests.update((name, each.digest()) for name, each in hashers.items())


class Body:
    """A file of some content, for one request: what signs may read it before it is sent."""

    def __init__(self, content: Content, start: int, size: int, sent: Callable[[int], object]) -> None:
        self._content = content
        self._start = start
        self._size = size
        self._sent = sent
        self._position = 0
        self.is_sent = False

    def __len__(self) -> int:
        return self._size

    def read(self, size: int = -1) -> bytes | memoryview:
        """Read on; what is read once `is_sent` is set counts as sent."""
        left = self._size - self._position
        wanted = left if size < 0 else min(size, left)
        if self.is_sent and self._position:
            self._sent(self._position)
        if not wanted:
            return b""
        data = self._content.read_at(self._start + self._position, wanted)
        self._position += wanted
        return data

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._position

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position in bytes."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, min(self._size, origin + position))
        return self._position
