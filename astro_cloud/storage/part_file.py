"""The file a download writes to until it is whole, and the journal of what has arrived for good.

Both lie beside the target and are named after it. A lock on the part file, which ends with its process,
keeps two downloads from writing to one target. The journal never claims bytes that a loss of power
could take: they are synced before.
"""

from __future__ import annotations

import errno
import hashlib
import os
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from astro_cloud.exceptions import StorageError
from astro_cloud.forking import restart_after_fork
from astro_cloud.storage.destination import writing_error
from astro_cloud.storage.journal import Journal, Span, parse_journal

try:
    import fcntl
except ImportError:  # Windows, where a file is neither locked nor written by position
    fcntl = None  # type: ignore[assignment]

__all__ = ["PartFile", "is_part_name"]

_PART = ".astro-part"
_JOURNAL = ".astro-part.journal"
_NEW = "~"
_LONGEST_NAME = 255 - len(_NEW)
_STEP = 1 << 20
_RESERVED = 1 << 16
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_LOCKS = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL})


def is_part_name(name: str) -> bool:
    """Tell whether a file of this name could be taken for a part or a journal."""
    return name.endswith((_PART, _JOURNAL, _JOURNAL + _NEW))


class PartFile:
    """A part file that is open and locked.

    What an earlier download left is untouched until something is written.

    Parameters
    ----------
    target : Path
        What it will be.

    Attributes
    ----------
    path : Path
        Where the part is.
    earlier : Journal or None
        What an earlier download wrote down of it.

    Raises
    ------
    StorageError
        If it cannot be written, or another download is writing it.
    """

    def __init__(self, target: Path) -> None:
        if fcntl is None:
            raise StorageError(f"{target}: files are downloaded on POSIX systems; give one that is open")
        self.target = target
        self.path = _beside(target, _PART)
        self._journal_path = _beside(target, _JOURNAL)
        self._journal: _Descriptor | None = None
        self._journal_identity: tuple[int, int] | None = None
        self._is_stale = False
        self._part = self._locked()
        self.earlier = self._read_journal()
        restart_after_fork(self, PartFile._disown)

    @property
    def is_open(self) -> bool:
        """False once it is finished, discarded or left."""
        return self._part.number >= 0

    @property
    def is_recorded(self) -> bool:
        """Tell whether a journal says what has arrived, so that a later download can go on."""
        return self._journal is not None or (not self._is_stale and self.earlier is not None)

    def start_over(self) -> None:
        """Forget what has arrived, as soon as something else does."""
        self._is_stale = True

    def resize(self, size: int) -> None:
        """Make the part as long as the object is."""
        with self._writing():
            os.ftruncate(self._part.number, size)

    def write(self, data: memoryview, position: int) -> None:
        """Write bytes where they belong.

        Raises
        ------
        StorageError
            If there is no space left, or the file system fails.
        """
        with self._writing():
            while data:
                written = os.pwrite(self._part.number, data, position)
                data = data[written:]
                position += written

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes [start, stop) that were written."""
        while start < stop:
            with self._telling():
                data = os.pread(self._part.number, min(_STEP, stop - start), start)
            if not data:
                raise StorageError(f"{self.path}: was cut while it was written", location=str(self.path))
            yield data
            start += len(data)

    def sync(self) -> None:
        """Have the system keep what was written, whatever happens."""
        with self._telling():
            _sync(self._part.number)

    def begin_journal(self, journal: Journal) -> None:
        """Begin to write down what arrives; there will be room for that on a disk that is full, too."""
        text = journal.head + journal.lines(journal.spans)
        new = self._journal_path.with_name(f"{self._journal_path.name}{_NEW}")
        with self._writing():
            self._journal = _Descriptor(self, os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666))
            try:
                os.write(self._journal.number, text)
                _reserve(self._journal.number, len(text))
                _sync(self._journal.number)
                os.replace(new, self._journal_path)  # what an earlier one claims is never lost
            except BaseException:
                new.unlink(missing_ok=True)
                self._close_journal()
                raise
            self._journal_identity = _identity(os.fstat(self._journal.number))
            self._sync_folder()

    def record(self, spans: Iterable[Span]) -> None:
        """Write down that some bytes, which were synced, have arrived."""
        if self._journal is not None:
            with self._telling():
                os.write(self._journal.number, Journal.lines(spans))
                _sync(self._journal.number)

    def finish(self, modified: datetime | None) -> None:
        """Give the part its name; it has its object's date, so that the two can be told to be alike."""
        with self._writing():
            _sync(self._part.number)
            if modified is not None:
                with suppress(OSError):  # not every file system takes one
                    os.utime(self._part.number, (modified.timestamp(), modified.timestamp()))
            os.replace(self.path, self.target)
            self._sync_folder()
            self._unlink_journal()
        self.close()

    def discard(self) -> None:
        """Remove part and journal."""
        try:
            with self._telling():
                self._unlink_journal()
                self.path.unlink(missing_ok=True)
        finally:
            self.close()

    def leave(self) -> None:
        """Leave part and journal to the next download; a part of which nothing is written down is removed."""
        if not self.is_open:
            return
        if self.is_recorded or self.earlier is not None:  # of an earlier one, too, nothing took its place
            self.close()
        else:
            self.discard()

    def close(self) -> None:
        """Close what is open; harmless if it is closed."""
        self._close_journal()
        if self.is_open:
            with suppress(OSError):  # a process that was forked meanwhile has the same lock
                fcntl.flock(self._part.number, fcntl.LOCK_UN)
            self._part.close()

    def _disown(self) -> None:
        """In a forked process: the files are the other's."""
        self._close_journal()
        self._part.close()

    def _close_journal(self) -> None:
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.close()

    def _locked(self) -> _Descriptor:
        """Open the part and lock it; what was opened may just have been given its name by another."""
        while True:
            with self._telling():
                opened = _Descriptor(self, os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666))
                try:
                    _lock(opened.number)
                    if _is_at(opened.number, self.path):
                        return opened
                except BlockingIOError:
                    opened.close()
                    name = str(self.target)
                    message = f"{name}: another download is writing this file"
                    raise StorageError(message, location=name) from None
                except BaseException:
                    opened.close()
                    raise
            opened.close()

    def _read_journal(self) -> Journal | None:
        """Read the journal, if it is of this part: one of a part that is gone tells nothing."""
        try:
            self._journal_identity = _identity(os.stat(self._journal_path))
            text = self._journal_path.read_bytes()
        except OSError:
            return None
        journal = parse_journal(text)
        size = os.fstat(self._part.number).st_size
        return journal if journal is not None and journal.version.total == size else None

    def _unlink_journal(self) -> None:
        """Remove the journal, unless another download has put its own there meanwhile."""
        with suppress(FileNotFoundError):
            if _identity(os.stat(self._journal_path)) == self._journal_identity:
                self._journal_path.unlink()

    def _sync_folder(self) -> None:
        with suppress(OSError):  # not every file system can, nor may everybody
            folder = os.open(self.target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Clear away what an earlier download left, if that is to be."""
        with self._telling():
            if self._is_stale:
                self._is_stale = False
                self.earlier = None
                self._close_journal()
                self._unlink_journal()
                os.ftruncate(self._part.number, 0)
            yield

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Turn what the file system says into an error that names the target."""
        try:
            yield
        except StorageError:
            raise
        except OSError as error:
            told = writing_error(error, str(self.target))
            if error.errno in _FULL and self.is_recorded:
                told = StorageError(
                    f"{told}. What has arrived is kept in {self.path}: make room, and the next download goes "
                    "on from there",
                    location=told.location,
                )
            raise told from error


class _Descriptor:
    """An open file, closed with whoever owns it; its number is -1 then."""

    def __init__(self, owner: object, number: int) -> None:
        self.number = number
        self._finalizer = weakref.finalize(owner, os.close, number)

    def close(self) -> None:
        self.number = -1
        self._finalizer()


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno not in _NO_LOCKS:  # else nobody watches over this file
            raise


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _reserve(descriptor: int, start: int) -> None:
    """Reserve room, where the file system can."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, start, _RESERVED)
        except OSError as error:
            if error.errno in _FULL:
                raise


def _sync(descriptor: int) -> None:
    getattr(os, "fdatasync", os.fsync)(descriptor)


def _beside(target: Path, suffix: str) -> Path:
    name = target.name + suffix
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:32] + suffix
    return target.with_name(name)
