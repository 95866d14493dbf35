"""S3's additional checksums: what requests and uploads ask for, and the sums themselves. Pure.

Reference: Amazon S3 User Guide, "Checking object integrity in Amazon S3".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from astro_cloud.testing.http_request import Headers
from astro_cloud.testing.refusal import refuse

COMPOSITE, FULL_OBJECT = "COMPOSITE", "FULL_OBJECT"

_BYTES = {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8, "SHA1": 20, "SHA256": 32}
_TYPES = {
    "CRC32": (COMPOSITE, FULL_OBJECT),
    "CRC32C": (COMPOSITE, FULL_OBJECT),
    "CRC64NVME": (FULL_OBJECT,),
    "SHA1": (COMPOSITE,),
    "SHA256": (COMPOSITE,),
}
"""By algorithm, what a multipart upload may have; the first unless it says."""


class Hasher(Protocol):
    """What is fed bytes and gives their digest."""

    def update(self, data: bytes, /) -> None:
        """Take the bytes that follow."""

    def digest(self) -> bytes:
        """Return the digest of all bytes so far, big-endian."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """A checksum of an object or a part.

    Parameters
    ----------
    algorithm : str
        ``CRC32``, ``CRC32C``, ``CRC64NVME``, ``SHA1`` or ``SHA256``.
    value : str
        The digest in base64; of a composite, with ``-N`` for its N parts.
    kind : str
        ``FULL_OBJECT`` or ``COMPOSITE``.
    """

    algorithm: str
    value: str
    kind: str = FULL_OBJECT

    @property
    def header(self) -> tuple[str, str]:
        """Name and value of the header that tells it."""
        return f"x-amz-checksum-{self.algorithm.lower()}", self.value

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The header, and the one that tells the type."""
        return self.header, ("x-amz-checksum-type", self.kind)


@dataclass(frozen=True, slots=True)
class Scheme:
    """What a multipart upload said of checksums when it was created."""

    algorithm: str
    kind: str

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers that say it."""
        return ("x-amz-checksum-algorithm", self.algorithm), ("x-amz-checksum-type", self.kind)


def hasher(algorithm: str) -> Hasher:
    """Return an empty sum; `ValueError` if there is no such algorithm."""
    match algorithm.upper():
        case "SHA1":
            return hashlib.sha1(usedforsecurity=False)
        case "SHA256":
            return hashlib.sha256()
        case "CRC32":
            return _RunningCRC(zlib.crc32, 4)
        case "CRC32C" | "CRC64NVME" as name:
            import anycrc  # not each time the server is imported

            model = anycrc.Model({"CRC64NVME": "CRC64-NVME"}.get(name, name))
            return _RunningCRC(model.calc, _BYTES[name])
    raise ValueError(f"no checksum algorithm: {algorithm!r}, of {', '.join(_BYTES)}")


def checksum_of(algorithm: str, data: bytes) -> Checksum:
    """Return the checksum of bytes; `ValueError` if there is no such algorithm."""
    running = hasher(algorithm)
    running.update(data)
    return Checksum(algorithm.upper(), encoded(running.digest()))


def composite(algorithm: str, parts: Iterable[Checksum]) -> Checksum:
    """Return the checksum of the parts' digests, one after the other."""
    digests = [base64.b64decode(part.value) for part in parts]
    whole = checksum_of(algorithm, b"".join(digests))
    return Checksum(algorithm, f"{whole.value}-{len(digests)}", COMPOSITE)


def encoded(digest: bytes) -> str:
    """Return a digest in base64."""
    return base64.b64encode(digest).decode()


def declared(headers: Headers) -> Checksum | None:
    """Return the checksum a request says its body, or the object it completes, has; None if it says none.

    Raises
    ------
    Refused
        400 ``InvalidRequest`` for several, or one that is no such digest.
    """
    found = [Checksum(name, value) for name in _BYTES if (value := headers.get(f"x-amz-checksum-{name}"))]
    if len(found) > 1:
        message = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        raise refuse(400, "InvalidRequest", message)
    for checksum in found:
        if not _is_digest(checksum):
            raise refuse(400, "InvalidRequest", f"Value for {checksum.header[0]} header is invalid.")
    return found[0] if found else None


def declared_scheme(headers: Headers) -> Scheme | None:
    """Return what a CreateMultipartUpload asks for; None if nothing.

    Raises
    ------
    Refused
        400 ``InvalidRequest`` for an algorithm S3 has not, or a type that algorithm has not.
    """
    algorithm = headers.get("x-amz-checksum-algorithm", "").upper()
    kind = headers.get("x-amz-checksum-type", "").upper()
    if not algorithm and not kind:
        return None
    if not algorithm:
        message = "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
        raise refuse(400, "InvalidRequest", message)
    if algorithm not in _TYPES:
        message = "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
        raise refuse(400, "InvalidRequest", f"{message}[{', '.join(_TYPES)}]")
    if kind and kind not in _TYPES[algorithm]:
        message = f"The {kind} checksum type cannot be used with the {algorithm.lower()} checksum algorithm."
        raise refuse(400, "InvalidRequest", message)
    return Scheme(algorithm, kind or _TYPES[algorithm][0])


class _RunningCRC:
    def __init__(self, function: Callable[[bytes, int], int], width: int) -> None:
        self._function = function
        self._width = width
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._width, "big")


def _is_digest(checksum: Checksum) -> bool:
    digest, dash, parts = checksum.value.partition("-")
    try:
        size = len(base64.b64decode(digest, validate=True))
    except binascii.Error:
        return False
    return size == _BYTES[checksum.algorithm] and (not dash or parts.isdecimal())
