"""Checksums of objects: computed piece by piece, and read out of what a store says. Pure.

CRCs of pieces that lie side by side can be joined, so a file that arrives in parts, in any order, is
checked while it arrives. The others need its bytes from first to last.

Reference: Amazon S3 User Guide, "Checking object integrity"; RFC 3309 (CRC32C); RFC 1321 (MD5).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "Checksum",
    "RunningCRC",
    "hasher",
    "is_combinable",
    "parse_checksum",
    "stored_checksums",
]

Algorithm = Literal["CRC64NVME", "CRC32C", "CRC32", "SHA256", "SHA1", "MD5"]

ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
"""The cheapest first, but for MD5, which is taken where nothing else is there."""

_CRC_BYTES: Mapping[str, int] = {"CRC64NVME": 8, "CRC32C": 4, "CRC32": 4}
_DIGEST_BYTES: Mapping[str, int] = {**_CRC_BYTES, "SHA256": 32, "SHA1": 20, "MD5": 16}
_MD5_ETAG = re.compile(r'"?([0-9a-fA-F]{32})"?')


class Checksum(NamedTuple):
    """A digest and what made it.

    Attributes
    ----------
    algorithm : str
        One of `ALGORITHMS`.
    digest : bytes
        Big-endian, as stores spell it.
    source : str
        The header that said so, or "" if it was computed here.
    """

    algorithm: Algorithm
    digest: bytes
    source: str = ""

    @property
    def base64(self) -> str:
        """The digest as S3, Google and Azure write it in headers."""
        return base64.b64encode(self.digest).decode()

    def __str__(self) -> str:
        return f"{self.algorithm} {self.digest.hex()}"


def is_combinable(algorithm: Algorithm) -> bool:
    """Tell whether checksums of pieces give that of the whole."""
    return algorithm in _CRC_BYTES


class RunningCRC:
    """A CRC of bytes that come one piece after the other; another's, of what follows, can be joined.

    Parameters
    ----------
    algorithm : str
        One for which `is_combinable` holds.
    value, length : int
        To go on from: the CRC of so many bytes.

    Attributes
    ----------
    value : int
        Of the bytes so far.
    length : int
        How many they are.
    """

    __slots__ = ("_combine", "_crc", "algorithm", "length", "value")

    def __init__(self, algorithm: Algorithm, value: int = 0, length: int = 0) -> None:
        self.algorithm = algorithm
        self.value = value
        self.length = length
        self._crc, self._combine = _crc_functions(algorithm)

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes."""
        self.value = self._crc(data, self.value)
        self.length += len(data)

    def join(self, value: int, length: int) -> None:
        """Take the next `length` bytes, of which `value` is the CRC."""
        self.value = self._combine(self.value, value, length)
        self.length += length

    def digest(self) -> bytes:
        """Return the CRC, big-endian."""
        return self.value.to_bytes(_CRC_BYTES[self.algorithm], "big")


class _Hasher(NamedTuple):
    update: Callable[[bytes | bytearray | memoryview], None]
    digest: Callable[[], bytes]


def hasher(algorithm: Algorithm) -> _Hasher:
    """Return something with ``update(data)`` and ``digest()`` for bytes in their order."""
    if is_combinable(algorithm):
        crc = RunningCRC(algorithm)
        return _Hasher(crc.update, crc.digest)
    made = hashlib.new(algorithm, usedforsecurity=False)
    return _Hasher(made.update, made.digest)


def parse_checksum(text: str) -> Checksum | Algorithm:
    """Read what a user asks to be checked.

    Parameters
    ----------
    text : str
        An algorithm, ``"sha256"``; or one with the digest that is expected, in hexadecimal digits,
        ``"md5:9e107d9d372bb6826bd81d3542a419d6"``. Case does not matter.

    Raises
    ------
    ValueError
        If it is neither.
    """
    name, colon, value = text.partition(":")
    algorithm = next((known for known in ALGORITHMS if known == name.strip().upper()), None)
    if algorithm is None:
        raise ValueError(f"no checksum is called {name!r}: they are {', '.join(ALGORITHMS)}")
    if not colon:
        return algorithm
    digits = 2 * _DIGEST_BYTES[algorithm]
    if not re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", value.strip()):
        raise ValueError(f"{value!r} is not the {digits} hexadecimal digits of a {algorithm}")
    return Checksum(algorithm, bytes.fromhex(value.strip()))


def stored_checksums(headers: Mapping[str, str], *, whole: bool, etag_is_md5: bool) -> list[Checksum]:
    """Read the checksums of a whole object out of an answer's headers.

    Parameters
    ----------
    headers : mapping
        Asked for in any case.
    whole : bool
        The answer is to a HEAD, or its body is the whole object: what it says of its body
        (Content-MD5) holds for the object.
    etag_is_md5 : bool
        The server is Amazon's, whose ETag is an MD5 of objects that came in one piece and are not
        encrypted with keys of KMS or of a customer.

    Returns
    -------
    list of Checksum
        In the order of `ALGORITHMS`; one that is only an ETag is last, its `source` is ``ETag``.
        What S3 computed of the parts' checksums (COMPOSITE) is left out.
    """
    found: dict[Algorithm, Checksum] = {}
    if headers.get("x-amz-checksum-type", "FULL_OBJECT").upper() == "FULL_OBJECT":
        for algorithm in ALGORITHMS:
            name = f"x-amz-checksum-{algorithm.lower()}"
            _add(found, algorithm, headers.get(name), name)
    google = dict(_pairs(headers.get("x-goog-hash") or "")) if not _was_decompressed(headers) else {}
    _add(found, "CRC32C", google.get("crc32c"), "x-goog-hash")
    _add(found, "MD5", google.get("md5"), "x-goog-hash")
    _add(found, "MD5", headers.get("x-ms-blob-content-md5"), "x-ms-blob-content-md5")
    if whole:
        _add(found, "MD5", headers.get("Content-MD5"), "Content-MD5")
    if etag_is_md5 and "MD5" not in found and not _has_own_keys(headers):
        match = _MD5_ETAG.fullmatch(headers.get("ETag") or "")
        if match is not None:
            found["MD5"] = Checksum("MD5", bytes.fromhex(match[1]), "ETag")
    return sorted(found.values(), key=lambda checksum: (checksum.source == "ETag", _rank(checksum)))


def _rank(checksum: Checksum) -> int:
    return ALGORITHMS.index(checksum.algorithm)


def _add(found: dict[Algorithm, Checksum], algorithm: Algorithm, value: str | None, source: str) -> None:
    """Keep a base64 digest; what is none, or has the number of parts behind it, tells nothing."""
    try:
        digest = base64.b64decode((value or "").strip(), validate=True)
    except binascii.Error:
        return
    if len(digest) == _DIGEST_BYTES[algorithm]:
        found.setdefault(algorithm, Checksum(algorithm, digest, source))


def _pairs(value: str) -> list[tuple[str, str]]:
    parts = (part.strip().partition("=") for part in value.split(","))
    return [(name.lower(), digest) for name, _, digest in parts]


def _was_decompressed(headers: Mapping[str, str]) -> bool:
    """Tell whether Google sends other bytes than it stores, and hashes ("decompressive transcoding")."""
    return "gzip" in (headers.get("x-goog-stored-content-encoding") or "") and not headers.get(
        "Content-Encoding"
    )


def _has_own_keys(headers: Mapping[str, str]) -> bool:
    encryption = headers.get("x-amz-server-side-encryption") or ""
    customer = headers.get("x-amz-server-side-encryption-customer-algorithm")
    return bool(customer) or encryption.startswith("aws:kms")


@lru_cache
def _crc_functions(algorithm: Algorithm) -> tuple[Callable[..., int], Callable[[int, int, int], int]]:
    """Return what computes a CRC, and what joins two."""
    import anycrc  # brings in more than who reads headers needs

    model = anycrc.Model({"CRC64NVME": "CRC64-NVME"}.get(algorithm, algorithm))
    return model.calc, model.combine
