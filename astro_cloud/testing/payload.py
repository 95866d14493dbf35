"""A request's body on its way to a file: what was promised of it is checked as it comes in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

from astro_cloud.testing.access import Grant
from astro_cloud.testing.checksums import Checksum, declared, encoded, hasher
from astro_cloud.testing.http_request import Headers
from astro_cloud.testing.refusal import refuse


@dataclass(frozen=True, slots=True)
class Received:
    """A body that came whole: its bytes, MD5 digest, and the checksum asked for."""

    size: int
    md5: bytes
    checksum: Checksum | None

    @property
    def etag(self) -> str:
        """The ETag of an object, or a part, with this content; with its quotation marks."""
        return f'"{self.md5.hex()}"'


def receive(
    body: Iterable[bytes], file: BinaryIO, *, headers: Headers, grant: Grant, algorithm: str = ""
) -> Received:
    """Write a body to a file.

    Parameters
    ----------
    body : iterable of bytes
        Consumed.
    file : BinaryIO
        Open for writing.
    headers : Headers
        Of the request: Content-MD5 and ``x-amz-checksum-...`` are held against the body.
    grant : Grant
        Knows the SHA-256 that was signed.
    algorithm : str
        The checksum to compute where the headers declare none; empty for none.

    Raises
    ------
    Refused
        400 ``BadDigest``, ``XAmzContentSHA256Mismatch``, or ``InvalidRequest`` for a checksum that is none.
    """
    promised = declared(headers)
    algorithm = promised.algorithm if promised else algorithm
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    hashers = [sha256, md5, *([running := hasher(algorithm)] if algorithm else [])]
    size = 0
    for chunk in body:
        size += len(chunk)
        file.write(chunk)
        for each in hashers:
            each.update(chunk)
    grant.check_body(sha256.hexdigest())
    _check_md5(headers.get("content-md5"), md5.digest())
    checksum = Checksum(algorithm, encoded(running.digest())) if algorithm else None
    check_checksum(promised, checksum)
    return Received(size, md5.digest(), checksum)


def collect(body: Iterable[bytes], grant: Grant) -> bytes:
    """Return a whole body, checked against the signed SHA-256."""
    data = b"".join(body)
    grant.check_body(hashlib.sha256(data).hexdigest())
    return data


def drain(body: Iterable[bytes], grant: Grant) -> None:
    """Read a body nobody asked for, and check it against the signed SHA-256."""
    sha256 = hashlib.sha256()
    for chunk in body:
        sha256.update(chunk)
    grant.check_body(sha256.hexdigest())


def check_checksum(promised: Checksum | None, computed: Checksum | None) -> None:
    """Raise `Refused`, 400 ``BadDigest``, if a promise was made and not kept."""
    if promised is not None and (computed is None or promised.value != computed.value):
        name = promised.algorithm
        raise refuse(400, "BadDigest", f"The {name} you specified did not match the calculated checksum.")


def _check_md5(promised: str | None, digest: bytes) -> None:
    if promised is not None and promised != encoded(digest):
        raise refuse(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")
