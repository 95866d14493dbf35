"""Checksums: computed piece by piece, and read out of headers."""

from __future__ import annotations

import base64
import hashlib
import zlib

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_cloud.storage.checksum import (
    ALGORITHMS,
    Algorithm,
    Checksum,
    RunningCRC,
    hasher,
    is_combinable,
    parse_checksum,
    stored_checksums,
)

CRCS = [algorithm for algorithm in ALGORITHMS if is_combinable(algorithm)]


def _digest(algorithm: Algorithm, data: bytes) -> bytes:
    """Compute with what is not ours: zlib, google-crc32c, hashlib; the CRC64 bit by bit."""
    if algorithm == "CRC32":
        return zlib.crc32(data).to_bytes(4, "big")
    if algorithm == "CRC32C":
        return google_crc32c.value(data).to_bytes(4, "big")
    if algorithm == "CRC64NVME":
        return _crc64_nvme(data).to_bytes(8, "big")
    return hashlib.new(algorithm, data).digest()


def _crc64_nvme(data: bytes) -> int:
    """NVM Express Command Set Specification: polynomial AD93D23594C93659, reflected."""
    crc = (1 << 64) - 1
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x9A6C9329AC4BC9B5 if crc & 1 else 0)
    return crc ^ (1 << 64) - 1


def test_the_check_values() -> None:
    """The catalogue's check values of CRCs: those of "123456789"."""
    values = {"CRC64NVME": "ae8b14860a799888", "CRC32C": "e3069283", "CRC32": "cbf43926"}
    for algorithm in CRCS:
        made = hasher(algorithm)
        made.update(b"123456789")
        assert made.digest().hex() == values[algorithm]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@given(pieces=st.lists(st.binary(max_size=50), max_size=6))
def test_in_pieces_as_in_one(algorithm: Algorithm, pieces: list[bytes]) -> None:
    """However the bytes come, the digest is the one that others compute."""
    made = hasher(algorithm)
    for piece in pieces:
        made.update(memoryview(piece))
    assert made.digest() == _digest(algorithm, b"".join(pieces))


@pytest.mark.parametrize("algorithm", CRCS)
@given(pieces=st.lists(st.binary(max_size=50), max_size=6))
def test_pieces_can_be_joined(algorithm: Algorithm, pieces: list[bytes]) -> None:
    """CRCs of pieces, each computed alone, give that of the whole."""
    whole = RunningCRC(algorithm)
    for piece in pieces:
        part = RunningCRC(algorithm)
        part.update(piece)
        whole.join(part.value, part.length)
    assert whole.digest() == _digest(algorithm, b"".join(pieces))
    assert whole.length == sum(map(len, pieces))


def test_a_piece_can_be_gone_on_with() -> None:
    """Value and length are all there is to know of the bytes so far."""
    first = RunningCRC("CRC32C")
    first.update(b"12345")
    second = RunningCRC("CRC32C", first.value, first.length)
    second.update(b"6789")
    assert second.digest() == _digest("CRC32C", b"123456789")


def test_a_join_of_terabytes() -> None:
    """Lengths beyond 32 bits are taken for what they are: in whichever order three pieces are joined."""
    doubled = RunningCRC("CRC64NVME")
    doubled.update(bytes(1 << 20))
    for _ in range(22):  # 4 TiB
        doubled.join(doubled.value, doubled.length)
    assert doubled.length == 1 << 42
    left, right = RunningCRC("CRC64NVME"), RunningCRC("CRC64NVME")
    left.update(b"left")
    right.update(b"right")
    one = RunningCRC("CRC64NVME", left.value, left.length)
    one.join(doubled.value, doubled.length)
    one.join(right.value, right.length)
    tail = RunningCRC("CRC64NVME", doubled.value, doubled.length)
    tail.join(right.value, right.length)
    other = RunningCRC("CRC64NVME", left.value, left.length)
    other.join(tail.value, tail.length)
    assert one.value == other.value


DATA = b"the bytes of an object"


def _base64(algorithm: Algorithm) -> str:
    return base64.b64encode(_digest(algorithm, DATA)).decode()


@pytest.mark.parametrize("algorithm", ALGORITHMS[:-1])
def test_what_s3_says(algorithm: Algorithm) -> None:
    """A checksum of the full object, with or without its type."""
    headers = {f"x-amz-checksum-{algorithm.lower()}": _base64(algorithm)}
    expected = [Checksum(algorithm, _digest(algorithm, DATA), f"x-amz-checksum-{algorithm.lower()}")]
    assert stored_checksums(headers, whole=True, etag_is_md5=True) == expected
    typed = headers | {"x-amz-checksum-type": "FULL_OBJECT"}
    assert stored_checksums(typed, whole=False, etag_is_md5=True) == expected


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-crc32c": _base64("CRC32C"), "x-amz-checksum-type": "COMPOSITE"},
        {"x-amz-checksum-sha256": _base64("SHA256") + "-3"},
        {"x-amz-checksum-crc32c": "AAAA"},
        {"x-amz-checksum-crc32c": "not base64!"},
        {"x-goog-hash": "crc32c="},
        {"ETag": '"0123456789abcdef0123456789abcdef-3"'},
        {"ETag": 'W/"0123456789abcdef0123456789abcdef"'},
        {"ETag": '"0123456789abcdef0123456789abcdef"', "x-amz-server-side-encryption": "aws:kms"},
        {"ETag": '"0123456789abcdef0123456789abcdef"', "x-amz-server-side-encryption": "aws:kms:dsse"},
        {
            "ETag": '"0123456789abcdef0123456789abcdef"',
            "x-amz-server-side-encryption-customer-algorithm": "AES256",
        },
        {},
    ],
)
def test_what_says_nothing_of_the_object(headers: dict[str, str]) -> None:
    """Of parts, of what a key encrypted, or no digest at all: nothing to compare with."""
    assert stored_checksums(headers, whole=True, etag_is_md5=True) == []


def test_an_etag_counts_only_on_amazon() -> None:
    """Elsewhere it may be anything; encrypted with S3's own keys it is an MD5 still."""
    headers = {"ETag": f'"{hashlib.md5(DATA).hexdigest()}"', "x-amz-server-side-encryption": "AES256"}
    assert stored_checksums(headers, whole=True, etag_is_md5=False) == []
    assert stored_checksums(headers, whole=True, etag_is_md5=True) == [
        Checksum("MD5", _digest("MD5", DATA), "ETag")
    ]


def test_what_google_says() -> None:
    """Both hashes in one header, or in two that were joined."""
    headers = {"x-goog-hash": f"crc32c={_base64('CRC32C')}, md5={_base64('MD5')}"}
    found = stored_checksums(headers, whole=False, etag_is_md5=False)
    assert [checksum.algorithm for checksum in found] == ["CRC32C", "MD5"]
    assert found[1].digest == _digest("MD5", DATA)


def test_what_azure_and_web_servers_say() -> None:
    """Content-MD5 is of the body, so of the object only where that is whole."""
    content = {"Content-MD5": _base64("MD5")}
    assert stored_checksums(content, whole=False, etag_is_md5=False) == []
    assert [found.source for found in stored_checksums(content, whole=True, etag_is_md5=False)] == [
        "Content-MD5"
    ]
    blob = {"x-ms-blob-content-md5": _base64("MD5")}
    assert stored_checksums(blob, whole=False, etag_is_md5=False)[0].digest == _digest("MD5", DATA)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_a_user_asks_for(algorithm: Algorithm) -> None:
    """An algorithm alone, or with the digest an archive publishes."""
    assert parse_checksum(algorithm.lower()) == algorithm
    digest = _digest(algorithm, DATA)
    assert parse_checksum(f"{algorithm.lower()}:{digest.hex().upper()}") == Checksum(algorithm, digest)


@pytest.mark.parametrize("text", ["", "crc16", "md5:", "md5:12", "sha256:zz", "md5-0"])
def test_what_a_user_cannot_ask_for(text: str) -> None:
    """The error says what there is."""
    with pytest.raises(ValueError, match=r"MD5|hexadecimal"):
        parse_checksum(text)


def test_how_a_checksum_is_shown() -> None:
    """As archives print it."""
    assert str(Checksum("CRC32C", bytes.fromhex("e3069283"))) == "CRC32C e3069283"
