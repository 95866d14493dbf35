"""Objects as files under one folder: find, open, write, remove, enumerate. Knows no HTTP.

A bucket is a folder directly under the root. Files are opened for each request and read by position, so
a sparse file of any size costs nothing, and files may be put there by hand while the server runs.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from astro_cloud.testing.file_names import FOLDER, OBJECT, TEMPORARY, candidates, is_reserved, piece_of

MAX_MD5 = 8 * 1024 * 1024
"""Bytes up to which an ETag is the MD5 of the content; a larger file's is made of its stat."""


_SEEK_DATA: int | None = getattr(os, "SEEK_DATA", None)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object opened for reading; `close` it.

    Parameters
    ----------
    file : BinaryIO
        Unbuffered; read it by position only.
    size : int
        Bytes.
    etag : str
        Strong, with its quotation marks.
    modified : float
        Seconds since 1970 UTC.
    """

    file: BinaryIO
    size: int
    etag: str
    modified: float

    def close(self) -> None:
        """Close the file; harmless if it is closed."""
        self.file.close()

    def is_hole(self, start: int, stop: int) -> bool:
        """Return whether [start, stop) is known to be a hole of a sparse file: zeros, not to be read."""
        if _SEEK_DATA is None or stop > self.size:
            return False
        try:
            return os.lseek(self.file.fileno(), start, _SEEK_DATA) >= stop
        except OSError as error:
            return error.errno == errno.ENXIO  # no data after start

    def read(self, start: int, length: int) -> bytes:
        """Return bytes by position; fewer than asked for if the file was cut meanwhile."""
        return os.pread(self.file.fileno(), length, start)


class Store:
    """The objects under a folder.

    Parameters
    ----------
    root : path
        Its sub-folders are the buckets.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self._root = os.fspath(self.root)
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._etags: dict[tuple[int, ...], str] = {}

    def _folder(self, bucket: str) -> str:
        return f"{self._root}/{bucket}"

    def buckets(self) -> list[str]:
        """Return the buckets' names, sorted."""
        return sorted(name for name in os.listdir(self.root) if self.has_bucket(name))

    def has_bucket(self, bucket: str) -> bool:
        """Return whether there is such a bucket."""
        return is_bucket_name(bucket) and os.path.isdir(self._folder(bucket))

    def create_bucket(self, bucket: str) -> None:
        """Make a bucket; harmless if there is one."""
        if not is_bucket_name(bucket):
            raise ValueError(f"not a bucket name: {bucket!r}")
        (self.root / bucket).mkdir(parents=True, exist_ok=True)

    def path(self, bucket: str, key: str) -> Path:
        """Return where an object is, or would be written."""
        folder = self._folder(bucket)
        pieces = key.split("/")
        return Path(_find(folder, pieces) or _place(folder, pieces))

    def open(self, bucket: str, key: str) -> StoredObject:
        """Open an object.

        Raises
        ------
        FileNotFoundError
            If there is no such object.
        """
        path = _find(self._folder(bucket), key.split("/"))
        if path is None:
            raise FileNotFoundError(key)
        file = open(path, "rb", buffering=0)  # noqa: SIM115 - its reader closes it
        status = os.fstat(file.fileno())
        return StoredObject(file, status.st_size, self._etag(file.fileno(), status), status.st_mtime)

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Write an object, and its bucket if there is none."""
        self.create_bucket(bucket)
        with self.writing(bucket, key) as file:
            file.write(data)

    @contextlib.contextmanager
    def writing(self, bucket: str, key: str) -> Iterator[BinaryIO]:
        """Give a file to write; when the block ends well it is the object, else it is gone."""
        with self._lock:
            target = self.path(bucket, key)
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.parent / f"{TEMPORARY}{os.getpid()}-{next(self._numbers)}"
            file = open(temporary, "xb")  # noqa: SIM115 - closed below
        try:
            with file:
                yield file
            with self._lock:
                target = self.path(bucket, key)  # another key may have taken the place meanwhile
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(temporary, target)
                self._etags.pop(_identity(os.stat(target)), None)  # inodes are used again
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object and the folders it leaves empty; harmless if there is none."""
        folder = self._folder(bucket)
        with self._lock:
            path = _find(folder, key.split("/"))
            if path is None:
                return
            os.unlink(path)
            with contextlib.suppress(OSError):  # the first folder that is not empty ends it
                while (path := os.path.dirname(path)) != folder:
                    os.rmdir(path)

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Return the keys that begin with a prefix, in UTF-8 binary order."""
        return sorted(set(_keys(self._folder(bucket), "", "", prefix)))

    def _etag(self, descriptor: int, status: os.stat_result) -> str:
        identity = _identity(status)
        if status.st_size > MAX_MD5:
            return f'"{_md5(repr(identity).encode())}-1"'
        etag = self._etags.get(identity)
        if etag is None:
            etag = self._etags[identity] = f'"{_md5(os.pread(descriptor, MAX_MD5, 0))}"'
        return etag


def is_bucket_name(name: str) -> bool:
    """Return whether a name can be a bucket's: one ordinary file name."""
    return "/" not in name and "\0" not in name and candidates(name, FOLDER)[0] == name and is_utf8(name)


def is_utf8(text: str) -> bool:
    """Return whether text is free of lone surrogates, which stand for bytes that are not UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _find(folder: str, pieces: list[str]) -> str | None:
    """Return the file that holds an object, or None."""
    if len(pieces) == 1:
        for name in candidates(pieces[0], OBJECT):
            if os.path.isfile(path := f"{folder}/{name}"):
                return path
        return None
    for name in candidates(pieces[0], FOLDER):
        if os.path.isdir(path := f"{folder}/{name}") and (found := _find(path, pieces[1:])):
            return found
    return None


def _place(folder: str, pieces: list[str]) -> str:
    """Return the first free path for a new object."""
    for piece in pieces[:-1]:
        names = candidates(piece, FOLDER)
        folder = (
            f"{folder}/{next((name for name in names if not os.path.isfile(f'{folder}/{name}')), names[-1])}"
        )
    names = candidates(pieces[-1], OBJECT)
    return f"{folder}/{next((name for name in names if not os.path.isdir(f'{folder}/{name}')), names[-1])}"


def _keys(folder: str, key: str, part: str, prefix: str) -> Iterator[str]:
    """Yield the keys under a folder; ``part`` is what was read of a long name so far."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:  # removed since it was seen
        return
    for entry in entries:
        mark = FOLDER if entry.is_dir() else OBJECT
        piece = part + entry.name
        if part or is_reserved(entry.name):
            if entry.is_dir() and entry.name.startswith("%+"):
                yield from _keys(entry.path, key, f"{piece}/", prefix)
                continue
            known = piece_of(piece)
            if known is None or known[1] != mark:
                continue
            piece = known[0]
        if not is_utf8(piece):
            continue
        if mark == OBJECT:
            if (key + piece).startswith(prefix):
                yield key + piece
        elif f"{key}{piece}/".startswith(prefix) or prefix.startswith(f"{key}{piece}/"):
            yield from _keys(entry.path, f"{key}{piece}/", "", prefix)
