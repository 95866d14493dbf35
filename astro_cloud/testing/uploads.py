"""Multipart uploads that are not finished: their parts as files, kept until completed or aborted.

Knows no HTTP. They live as long as the server runs: nothing of them is read back from disk.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from astro_cloud.testing.checksums import Checksum, Scheme


class UnfinishedUpload(NamedTuple):
    """Names an upload, as ``ObjectServer.uploads`` lists it."""

    bucket: str
    key: str
    upload_id: str


@dataclass(frozen=True, slots=True)
class Part:
    """One part.

    Parameters
    ----------
    number : int
        1 to 10000.
    path : str
        The file that holds it.
    size : int
        Bytes.
    md5 : bytes
        Digest of its content.
    checksum : Checksum or None
        If the upload has an algorithm.
    modified : float
        When it came, seconds since 1970 UTC.
    """

    number: int
    path: str
    size: int
    md5: bytes
    checksum: Checksum | None
    modified: float

    @property
    def etag(self) -> str:
        """With its quotation marks."""
        return f'"{self.md5.hex()}"'


@dataclass(slots=True, eq=False)
class Upload:
    """One upload and its parts by number; take its lock to change it, or to rely on it.

    Parameters
    ----------
    name : UnfinishedUpload
        Bucket, key and upload id.
    scheme : Scheme or None
        The checksums it is to have.
    initiated : float
        Seconds since 1970 UTC.
    """

    name: UnfinishedUpload
    scheme: Scheme | None
    initiated: float
    parts: dict[int, Part] = field(default_factory=dict)
    ended: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def sorted_parts(self) -> list[Part]:
        """Return the parts by number."""
        with self.lock:
            return [self.parts[number] for number in sorted(self.parts)]

    def keep(self, part: Part) -> bool:
        """Take a part, and drop an earlier one of its number; False if the upload has ended meanwhile."""
        with self.lock:
            if not self.ended:
                replaced = self.parts.get(part.number)
                self.parts[part.number] = part
                _remove(() if replaced is None else (replaced,))
            return not self.ended


class UploadEnded(Exception):
    """The upload was completed or aborted by another request."""


class Uploads:
    """The uploads of one server, by their ids."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._uploads: dict[UnfinishedUpload, Upload] = {}

    def create(self, bucket: str, key: str, *, scheme: Scheme | None, initiated: float) -> Upload:
        """Begin an upload. Ids sort in the order they were given out."""
        upload_id = f"{next(self._numbers):08x}{secrets.token_hex(12)}"
        upload = Upload(UnfinishedUpload(bucket, key, upload_id), scheme, initiated)
        with self._lock:
            self._uploads[upload.name] = upload
        return upload

    def get(self, bucket: str, key: str, upload_id: str) -> Upload | None:
        """Return an upload, or None."""
        return self._uploads.get(UnfinishedUpload(bucket, key, upload_id))

    def names(self) -> list[UnfinishedUpload]:
        """Return the uploads' names by bucket, key and age."""
        with self._lock:
            return sorted(self._uploads)

    @contextlib.contextmanager
    def ending(self, upload: Upload) -> Iterator[dict[int, Part]]:
        """Give the parts, no more to come; when the block ends well, upload and parts are gone.

        Raises
        ------
        UploadEnded
            If that happened before.
        """
        with upload.lock:
            if upload.ended:
                raise UploadEnded
            yield upload.parts
            upload.ended = True
            with self._lock:
                del self._uploads[upload.name]
            _remove(upload.parts.values())

    def clear(self) -> None:
        """Abort all."""
        for name in self.names():
            upload = self._uploads.get(name)
            if upload is not None:
                with contextlib.suppress(UploadEnded), self.ending(upload):
                    pass


def _remove(parts: Iterable[Part]) -> None:
    for part in parts:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part.path)
