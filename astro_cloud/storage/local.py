"""A local file, read by position as an object is: so that one call serves both."""

from __future__ import annotations

import os
import stat
import threading
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

from astro_cloud.exceptions import AccessDeniedError, ObjectNotFoundError, StorageError
from astro_cloud.forking import restart_after_fork
from astro_cloud.storage.answers import Version, changed
from astro_cloud.storage.assembly import checked_ranges
from astro_cloud.storage.location import Location

__all__ = ["LocalObject", "local_error"]

_CHUNK = 1 << 20


class LocalObject:
    """Reads byte ranges of one local file, all of the same version, as `PinnedObject` does of an object.

    The file is opened when it is first read, and held to its inode, size and time of change from then
    on. Any number of threads may read; a pickle holds the path and the version.

    Parameters
    ----------
    location : Location
        With a `path`.
    """

    def __init__(self, location: Location) -> None:
        self.location = location
        self.version: Version | None = None
        self._start()

    def _start(self) -> None:
        """Have nothing open."""
        self._finalizer: weakref.finalize[[int], LocalObject] | None = None
        self._descriptor: int | None = None
        self._let_open()

    def _let_open(self) -> None:
        """Let no other thread be opening the file; one that is open is open in a forked process too."""
        restart_after_fork(self, LocalObject._let_open)
        self._opening = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"location": self.location, "version": self.version}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    def __repr__(self) -> str:
        return f"<LocalObject {self.name}>"

    @property
    def name(self) -> str:
        """The location as the user wrote it, for messages."""
        return self.location.text

    @property
    def size(self) -> int | None:
        """Size of the file in bytes; None before the first read."""
        return self.version.total if self.version is not None else None

    def hold_to(self, version: Version) -> None:
        """Hold every read to a version that is known from before."""
        self.version = version

    def read_ranges(self, ranges: Sequence[tuple[int, int]], into: Sequence[Any] | None = None) -> list[Any]:
        """Read byte ranges [start, stop), in the order given, each cut at the file's end.

        Parameters
        ----------
        ranges : sequence of (int, int)
            Start and stop in bytes from the file's start.
        into : sequence of writable buffers, optional
            One for each range and as long as it, which the bytes are read into.

        Returns
        -------
        list of bytes
            Or of memoryview: what was read into each buffer.

        Raises
        ------
        ObjectNotFoundError
            If there is no such file.
        AccessDeniedError
            If it may not be read.
        ObjectChangedError
            If it was changed since the first read.
        StorageError
            If it is a directory, or no regular file, or the system fails to read it.
        ValueError
            Unless 0 <= start < stop for every range.
        """
        wanted = checked_ranges(ranges)
        try:
            descriptor = self._opened()
            if into is None:
                parts: list[Any] = [_read(descriptor, start, stop) for start, stop in wanted]
            else:
                parts = [
                    _read_into(descriptor, start, memoryview(buffer).cast("B")[: stop - start])
                    for (start, stop), buffer in zip(wanted, into, strict=True)
                ]
            self._hold(descriptor)
        except StorageError:
            raise
        except OSError as error:
            raise local_error(error, self.name) from error
        return parts

    def begin(self, ranges: Sequence[tuple[int, int]], *, waste: int | None = None) -> Done:
        """Read byte ranges at once: there is nothing to wait for. Takes what `read_ranges` takes."""
        try:
            return Done(self.read_ranges(ranges), None)
        except StorageError as error:
            return Done([], error)

    def close(self) -> None:
        """Close the file; it is opened anew if it is read again."""
        with self._opening:
            finalizer, self._finalizer, self._descriptor = self._finalizer, None, None
        if finalizer is not None:
            finalizer()

    def _opened(self) -> int:
        with self._opening:
            if self._descriptor is not None:
                return self._descriptor
            descriptor = os.open(self.location.path or "", _FLAGS)
            try:
                self._hold(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            self._finalizer = weakref.finalize(self, os.close, descriptor)
            self._descriptor = descriptor
            return descriptor

    def _hold(self, descriptor: int) -> None:
        """Hold what is open to the version that was read first."""
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            what = "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise StorageError(f"{self.name} is {what}: name one file", location=self.name)
        etag = f'"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"'
        version = Version(etag, status.st_size)
        if self.version is None:
            self.version = version
        elif version != self.version:
            raise changed(self.name, "the file was written to, or another took its place")


def local_error(error: OSError, name: str) -> StorageError:
    """Turn what the system says of a file into one of our errors; `name` is its location, for the message."""
    kinds = ((FileNotFoundError, ObjectNotFoundError), (NotADirectoryError, ObjectNotFoundError))
    for builtin, ours in (*kinds, (PermissionError, AccessDeniedError)):
        if isinstance(error, builtin):
            return ours(f"{name}: {_SAYS[ours]}", location=name)
    return StorageError(f"{name}: {error.strerror or error}", location=name)


class Done(NamedTuple):
    """Ranges that are read already."""

    parts: list[bytes]
    error: StorageError | None

    def done(self) -> bool:
        """Tell that it is so."""
        return True

    def result(self) -> list[bytes]:
        """Return the bytes of each range, or raise what kept them from being read."""
        if self.error is not None:
            raise self.error
        return self.parts

    def cancel(self) -> None:
        """Do nothing."""


_SAYS = {
    ObjectNotFoundError: "there is no such file",
    AccessDeniedError: "permission denied: see the permissions of the file, and of its folder",
}
_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)  # a pipe is not waited for
_SEEKING = threading.Lock()


def _read(descriptor: int, start: int, stop: int) -> bytes:
    parts = []
    while start < stop and (part := _pread(descriptor, stop - start, start)):
        parts.append(part)
        start += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _read_into(descriptor: int, start: int, view: memoryview) -> memoryview:
    filled = 0
    while filled < len(view):
        part = _pread(descriptor, min(_CHUNK, len(view) - filled), start + filled)
        if not part:
            break
        view[filled : filled + len(part)] = part
        filled += len(part)
    return view[:filled]


def _pread(descriptor: int, length: int, offset: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(descriptor, length, offset)
    with _SEEKING:  # Windows has no pread, nor forks that would copy the lock
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, length)
