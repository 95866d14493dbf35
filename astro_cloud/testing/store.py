"""Objects as files under one folder: find, open, write, remove, enumerate. Knows no HTTP.

A bucket is a folder directly under the root. Files are opened for each request and read by position, so
a sparse file of any size costs nothing, and files may be put there by hand while the server runs.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from astro_cloud.testing.checksums import Checksum
from astro_cloud.testing.file_names import FOLDER, OBJECT, TEMPORARY, candidates, is_reserved, piece_of

MAX_MD5 = 8 * 1024 * 1024
"""Bytes up to which the ETag of a file found there is the MD5 of its content; a larger one's is not."""


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
    checksum : Checksum or None
        If it was written with one.
    """

    file: BinaryIO
    size: int
    etag: str
    modified: float
    checksum: Checksum | None = None

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


@dataclass(slots=True)
class Draft:
    """An object while it is written.

    Parameters
    ----------
    file : BinaryIO
        Open for writing.
    etag : str
        With its quotation marks; if empty it is made from the file.
    checksum : Checksum or None
        To keep with it.
    """

    file: BinaryIO
    etag: str = ""
    checksum: Checksum | None = None


class Store:
    """The objects under a folder. ETags and checksums objects were written with are kept in memory only.

    Parameters
    ----------
    root : path
        Its sub-folders are the buckets.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self._root = os.fspath(self.root)
        self._lock = threading.Lock()
        self._etags: dict[tuple[int, ...], str] = {}
        self._checksums: dict[tuple[int, ...], Checksum] = {}

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
        identity = _identity(status)
        etag = self._etag(file.fileno(), identity, status.st_size)
        return StoredObject(file, status.st_size, etag, status.st_mtime, self._checksums.get(identity))

    def put(self, bucket: str, key: str, data: bytes, checksum: Checksum | None = None) -> None:
        """Write an object, and its bucket if there is none; ``checksum`` is kept with it."""
        self.create_bucket(bucket)
        with self.writing(bucket, key) as draft:
            draft.file.write(data)
            draft.checksum = checksum

    @contextlib.contextmanager
    def writing(self, bucket: str, key: str, *, check: Callable[[], None] | None = None) -> Iterator[Draft]:
        """Give a draft to write; when the block ends well it is the object, else it is gone.

        ``check`` is called when the object is about to be replaced, by one thread at a time, and may raise.
        """
        with self.temporary(bucket) as file:
            draft = Draft(file)
            yield draft
            file.close()
            with self._lock:
                if check is not None:
                    check()
                self._label(draft)
                target = self.path(bucket, key)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(file.name, target)

    @contextlib.contextmanager
    def temporary(self, bucket: str) -> Iterator[BinaryIO]:
        """Give a file to write, under a name that is no key; if the block fails it is gone."""
        path = f"{self._folder(bucket)}/{TEMPORARY}{secrets.token_hex(8)}"
        try:
            with open(path, "xb") as file:
                yield file
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            raise

    def _label(self, draft: Draft) -> None:
        """Keep what is known of a draft, before anybody can open it: inodes are used again."""
        identity = _identity(os.stat(draft.file.name))
        self._etags.pop(identity, None)
        self._checksums.pop(identity, None)
        if draft.etag:
            self._etags[identity] = draft.etag
        if draft.checksum is not None:
            self._checksums[identity] = draft.checksum

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

    def _etag(self, descriptor: int, identity: tuple[int, ...], size: int) -> str:
        etag = self._etags.get(identity)
        if etag is not None:
            return etag
        if size > MAX_MD5:
            return f'"{_md5(repr(identity).encode())}-1"'
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
