"""What is said to stores, and what they say, without any: parts, checksums, XML."""

from __future__ import annotations

import base64
import hashlib
from itertools import islice
from typing import Any

import anycrc
import pytest

from astro_cloud.auth.endpoints import Provider
from astro_cloud.storage import s3_uploads
from astro_cloud.storage.checksum import Algorithm
from astro_cloud.storage.progress import Progress
from astro_cloud.storage.s3_uploads import Part
from astro_cloud.storage.upload_body import MemoryContent, Piece
from astro_cloud.storage.upload_checks import checks_for
from astro_cloud.storage.upload_parts import PART, limits_of, part_sizes
from astro_cloud.storage.upload_progress import UploadProgress

MiB, GiB, TiB = 1 << 20, 1 << 30, 1 << 40
DATA = bytes(range(256)) * 5
AMAZON = "https://sky.s3.eu-west-1.amazonaws.com/x"
PROVIDERS: list[Provider] = ["aws", "spaces", "gcp", "azure"]

# Parts


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("total", [1, PART, PART + 1, 80_000 * MiB, 80_000 * MiB + 1, GiB * 777 + 5, 5 * TiB])
def test_parts_are_within_what_stores_allow(provider: Provider, total: int) -> None:
    """They are the whole, no more than there may be, and none but the last is smaller than the others."""
    limits = limits_of(provider)
    sizes = list(part_sizes(total, PART, limits))
    assert sum(sizes) == total
    assert len(sizes) <= limits.most
    assert set(sizes[:-1]) <= {sizes[0]}
    assert limits.smallest <= sizes[0] <= limits.largest or len(sizes) == 1


def test_more_than_an_object_may_have_is_told() -> None:
    """Before anything is sent."""
    with pytest.raises(ValueError, match="more than an object"):
        part_sizes(5 * TiB + 1, PART, limits_of("aws"))


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("size", [5 * MiB, PART, 100 * MiB])
def test_parts_of_unknown_number_hold_any_object(provider: Provider, size: int) -> None:
    """They grow, so that in as many as there may be the largest object has room."""
    limits = limits_of(provider)
    sizes = list(islice(part_sizes(None, size, limits), limits.most))
    assert sizes[: limits.most // 10] == [size] * (limits.most // 10)
    assert sizes == sorted(sizes)
    assert max(sizes) <= limits.largest
    assert sum(sizes) >= min(limits.total, 5 * TiB) * (size / PART if size < PART else 1)


# Checksums


@pytest.mark.parametrize(
    ("provider", "url", "asked", "headers"),
    [
        ("aws", AMAZON, None, ["x-amz-checksum-crc64nvme"]),
        ("aws", AMAZON, "SHA256", ["x-amz-checksum-sha256"]),
        ("aws", AMAZON, "MD5", ["Content-MD5"]),
        ("aws", "https://ceph.example.org/sky/x", None, ["Content-MD5"]),
        ("aws", "https://ceph.example.org/sky/x", "CRC32C", ["x-amz-checksum-crc32c", "Content-MD5"]),
        ("spaces", "https://sky.fra1.digitaloceanspaces.com/x", None, ["Content-MD5"]),
        ("gcp", "https://storage.googleapis.com/sky/x", None, ["x-goog-hash"]),
        ("gcp", "https://storage.googleapis.com/sky/x", "MD5", ["Content-MD5"]),
        ("azure", "https://sky.blob.core.windows.net/c/x", None, ["Content-MD5"]),
        (None, "https://sky.s3.amazonaws.com/x?X-Amz-Signature=a", None, ["Content-MD5"]),
    ],
)
def test_each_store_gets_what_it_checks(
    provider: Provider | None, url: str, asked: Algorithm | None, headers: list[str]
) -> None:
    """And nothing that it may not know."""
    piece = Piece(MemoryContent(DATA), 0, len(DATA), at=0)
    sent = checks_for(provider, url, asked).headers(piece)
    assert list(sent) == headers
    digests = {
        "x-amz-checksum-crc64nvme": anycrc.Model("CRC64-NVME").calc(DATA).to_bytes(8, "big"),
        "x-amz-checksum-crc32c": anycrc.Model("CRC32C").calc(DATA).to_bytes(4, "big"),
        "x-amz-checksum-sha256": hashlib.sha256(DATA).digest(),
        "Content-MD5": hashlib.md5(DATA).digest(),
        "x-goog-hash": anycrc.Model("CRC32C").calc(DATA).to_bytes(4, "big"),
    }
    for name, value in sent.items():
        assert base64.b64decode(value.removeprefix("crc32c=")) == digests[name]


def test_google_asked_in_amazons_words_gets_none_of_its_own() -> None:
    """The two do not go together in one request."""
    checks = checks_for("gcp", "https://storage.googleapis.com/sky/x", None, speaks_amazon=True)
    assert (checks.google, checks.md5) == (False, True)


@pytest.mark.parametrize(("provider", "asked"), [("gcp", "SHA256"), ("azure", "CRC64NVME"), (None, "CRC32")])
def test_a_checksum_that_the_store_does_not_know_is_told(provider: Any, asked: Any) -> None:
    """It names those it knows."""
    with pytest.raises(ValueError, match=r"can be checked by .*MD5"):
        checks_for(provider, "https://example.org/x", asked)


# S3's XML


def test_the_name_of_an_upload() -> None:
    """As S3 says it, and as rclone does; anything else is told."""
    for root in ("InitiateMultipartUploadResult", "InitiateMultipartUpload"):
        assert s3_uploads.upload_id(f"<{root}><UploadId>a+b/&amp;c</UploadId></{root}>".encode()) == "a+b/&c"
    for wrong in (b"", b"<Error/>", b"<InitiateMultipartUploadResult/>"):
        with pytest.raises(ValueError, match="it"):
            s3_uploads.upload_id(wrong)


def test_uploads_of_one_key_are_picked_out() -> None:
    """The prefix of a key is that of other keys, too; Ceph encodes keys without saying so."""
    body = """<ListMultipartUploadsResult>{}<IsTruncated>true</IsTruncated>
        <NextKeyMarker>a+b</NextKeyMarker><NextUploadIdMarker>9</NextUploadIdMarker>
        <Upload><Key>a+b</Key><UploadId>1</UploadId><Initiated>2026-01-01T00:00:00Z</Initiated></Upload>
        <Upload><Key>a%20b</Key><UploadId>2</UploadId><Initiated>2026-01-02T00:00:00Z</Initiated></Upload>
        <Upload><Key>a+b/c</Key><UploadId>3</UploadId></Upload></ListMultipartUploadsResult>"""
    encoded = body.format("<EncodingType>url</EncodingType>").encode()
    found, marker = s3_uploads.listed_uploads(encoded, "a b")
    assert [name for _, name in found] == ["1", "2"]
    assert marker == ("a b", "9")
    assert s3_uploads.listed_uploads(body.format("").encode(), "a+b")[0][0][1] == "1"
    assert "key-marker=a%20b" in s3_uploads.uploads_query("a b", marker)


def test_parts_and_their_checksums_are_read() -> None:
    """With where the next page begins."""
    body = b"""<ListPartsResult><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>
        <IsTruncated>true</IsTruncated><NextPartNumberMarker>7</NextPartNumberMarker><Part><PartNumber>7</PartNumber><Size>5</Size>
        <ETag>"ab"</ETag><ChecksumCRC64NVME>abc=</ChecksumCRC64NVME></Part></ListPartsResult>"""
    page = s3_uploads.listed_parts(body)
    assert page.parts == [Part(7, 5, '"ab"', {"CRC64NVME": "abc="})]
    assert (page.marker, page.algorithm) == ("7", "CRC64NVME")


def test_the_etag_of_parts_is_s3s() -> None:
    """The MD5 of their MD5s; none where one is not an MD5."""
    parts = [Part(n, 5, f'"{hashlib.md5(bytes([n])).hexdigest()}"') for n in (1, 2)]
    joined = hashlib.md5(hashlib.md5(b"\1").digest() + hashlib.md5(b"\2").digest()).hexdigest()
    assert s3_uploads.etag_of_parts(parts) == f'"{joined}-2"'
    assert s3_uploads.etag_of_parts([*parts, Part(3, 5, '"encrypted"')]) is None


def test_the_list_of_parts_is_escaped() -> None:
    """An ETag is what the server made it."""
    assert b"<ETag>&lt;&amp;</ETag>" in s3_uploads.completion([Part(1, 5, "<&")])


# Progress


def test_what_is_sent_again_counts_once() -> None:
    """A piece that began anew says nothing until it is further than it was."""
    told: list[int] = []
    progress = UploadProgress(Progress(lambda done, total: told.append(done)), 30)
    for start, size in ((0, 5), (10, 10), (0, 2), (0, 5), (0, 10), (20, 10)):
        progress.reached(start, size)
    progress.complete(30)
    assert told == [0, 5, 15, 20, 30]


def test_an_empty_object_is_told_of_once() -> None:
    """There is nothing to send, but an end."""
    told: list[tuple[int, int | None]] = []
    UploadProgress(Progress(lambda *now: told.append(now)), 0).complete(0)
    assert told == [(0, 0)]
