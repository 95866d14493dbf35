"""S3's additional checksums: verified where they are sent, kept, and told to those who ask."""

from __future__ import annotations

import base64
import hashlib
import zlib

import pytest

from astro_cloud.testing import ObjectServer
from astro_cloud.testing.checksums import checksum_of, hasher

from .conftest import Wire
from .uploading import TARGET, complete, create, upload_part

DATA = b"123456789"
CHECK = {
    "crc32": "cbf43926",
    "crc32c": "e3069283",
    "crc64nvme": "ae8b14860a799888",
    "sha1": hashlib.sha1(DATA).hexdigest(),
    "sha256": hashlib.sha256(DATA).hexdigest(),
}
"""The check values of the catalogue of CRCs, for the nine digits."""
VALUES = {name: base64.b64encode(bytes.fromhex(digest)).decode() for name, digest in CHECK.items()}
ASK = {"x-amz-checksum-mode": "ENABLED"}
PARTS = [b"12345", b"6789"]


@pytest.fixture(autouse=True)
def _bucket(object_server: ObjectServer) -> None:
    object_server.min_part_size = 1
    object_server.put("bucket", "key", DATA)


@pytest.mark.parametrize("name", CHECK)
def test_a_sum_is_that_of_its_standard(name: str) -> None:
    """In one piece or in two."""
    running = hasher(name)
    for part in PARTS:
        running.update(part)
    assert running.digest().hex() == CHECK[name]
    assert checksum_of(name, DATA).value == VALUES[name]


@pytest.mark.parametrize("name", VALUES)
def test_a_put_is_held_against_its_checksum(wire: Wire, name: str) -> None:
    """A wrong one writes nothing; a right one is told with the object to those who ask."""
    header = f"x-amz-checksum-{name}"
    wrong = wire.ask("PUT", TARGET, {header: VALUES[name]}, b"else")
    assert (wrong.status, wrong.code) == (400, "BadDigest")
    assert wire.ask("GET", TARGET).status == 404
    right = wire.ask("PUT", TARGET, {header: VALUES[name]}, DATA)
    assert (right.status, right.headers[header]) == (200, VALUES[name])
    for method in ("GET", "HEAD"):
        reply = wire.ask(method, TARGET, ASK)
        assert reply.headers[header] == VALUES[name]
        assert reply.headers["x-amz-checksum-type"] == "FULL_OBJECT"
        assert wire.ask(method, TARGET).headers[header] is None
    assert wire.ask("GET", TARGET, {**ASK, "Range": "bytes=0-8"}).headers[header] is None


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-crc32": VALUES["crc32"], "x-amz-checksum-sha1": VALUES["sha1"]},
        {"x-amz-checksum-crc32": VALUES["sha1"]},
        {"x-amz-checksum-crc32": "?"},
    ],
)
def test_a_checksum_that_is_none_is_refused(wire: Wire, headers: dict[str, str]) -> None:
    """And so are two."""
    reply = wire.ask("PUT", TARGET, headers, DATA)
    assert (reply.status, reply.code) == (400, "InvalidRequest")


def test_an_object_put_by_hand_has_the_checksum_asked_for(wire: Wire) -> None:
    """None if none; none any more once its file has changed, or the object was put anew."""
    header = "x-amz-checksum-crc64nvme"
    assert wire.ask("HEAD", "/bucket/key", ASK).headers[header] is None
    wire.server.put("bucket", "key", DATA, checksum="crc64nvme")
    assert wire.ask("HEAD", "/bucket/key", ASK).headers[header] == VALUES["crc64nvme"]
    wire.server.path("bucket", "key").write_bytes(b"by hand")
    assert wire.ask("HEAD", "/bucket/key", ASK).headers[header] is None
    wire.server.put("bucket", "key", DATA)
    assert wire.ask("HEAD", "/bucket/key", ASK).headers[header] is None
    with pytest.raises(ValueError, match="no checksum algorithm: 'md4'"):
        wire.server.put("bucket", "key", DATA, checksum="md4")


@pytest.mark.parametrize("name", ["crc32", "crc32c", "crc64nvme"])
def test_parts_with_the_checksum_of_the_whole(wire: Wire, name: str) -> None:
    """A part's need not be sent; the whole's is verified at the end, and told."""
    kind = {"x-amz-checksum-type": "FULL_OBJECT"}
    upload_id = create(wire, {"x-amz-checksum-algorithm": name.upper(), **kind})
    part = {f"x-amz-checksum-{name}": checksum_of(name, PARTS[0]).value}
    parts = [(1, upload_part(wire, upload_id, 1, PARTS[0], part))]
    parts.append((2, upload_part(wire, upload_id, 2, PARTS[1])))
    assert parts[1][1].headers[f"x-amz-checksum-{name}"] == checksum_of(name, PARTS[1]).value
    listed = wire.ask("GET", f"{TARGET}?uploadId={upload_id}")
    assert listed.all(f"Checksum{name.upper()}") == [checksum_of(name, part).value for part in PARTS]
    assert (listed.xml("ChecksumAlgorithm"), listed.xml("ChecksumType")) == (name.upper(), "FULL_OBJECT")
    wrong = complete(wire, upload_id, parts, {f"x-amz-checksum-{name}": checksum_of(name, b"").value, **kind})
    assert (wrong.status, wrong.code) == (400, "BadDigest")
    assert wire.ask("GET", TARGET).status == 404
    right = complete(wire, upload_id, parts, {f"x-amz-checksum-{name}": VALUES[name], **kind})
    assert (right.status, right.xml(f"Checksum{name.upper()}")) == (200, VALUES[name])
    told = wire.ask("HEAD", TARGET, ASK).headers
    assert (told[f"x-amz-checksum-{name}"], told["x-amz-checksum-type"]) == (VALUES[name], "FULL_OBJECT")


@pytest.mark.parametrize("name", ["crc32", "crc32c", "sha1", "sha256"])
def test_parts_with_a_composite_checksum(wire: Wire, name: str) -> None:
    """The checksum of the parts' digests, and how many they are; each must be sent, twice."""
    header = f"x-amz-checksum-{name}"
    upload_id = create(wire, {"x-amz-checksum-algorithm": name.upper()})
    sums = [checksum_of(name, part).value for part in PARTS]
    parts = [
        (number, upload_part(wire, upload_id, number, part, {header: value}))
        for number, (part, value) in enumerate(zip(PARTS, sums, strict=True), 1)
    ]
    missing = upload_part(wire, upload_id, 3, b"more")
    assert (missing.status, missing.code) == (400, "InvalidRequest")
    body = f"<C><Part><PartNumber>1</PartNumber><ETag>{parts[0][1].headers['ETag']}</ETag></Part></C>"
    bare = wire.ask("POST", f"{TARGET}?uploadId={upload_id}", body=body.encode())
    assert (bare.status, bare.code) == (400, "InvalidRequest")
    assert complete(wire, upload_id, parts).status == 200
    whole = checksum_of(name, b"".join(map(base64.b64decode, sums))).value
    told = wire.ask("HEAD", TARGET, ASK).headers
    assert (told[header], told["x-amz-checksum-type"]) == (f"{whole}-2", "COMPOSITE")


def test_a_part_is_held_against_its_checksum(wire: Wire) -> None:
    """BadDigest, and the part is not there; of another algorithm than the upload's it is not even read."""
    upload_id = create(wire, {"x-amz-checksum-algorithm": "CRC32"})
    wrong = upload_part(wire, upload_id, 1, b"else", {"x-amz-checksum-crc32": VALUES["crc32"]})
    assert (wrong.status, wrong.code) == (400, "BadDigest")
    wrong = upload_part(wire, upload_id, 1, DATA, {"Content-MD5": base64.b64encode(bytes(16)).decode()})
    assert wrong.status == 400
    other = upload_part(wire, upload_id, 1, DATA, {"x-amz-checksum-sha1": VALUES["sha1"]})
    assert (other.status, other.code) == (400, "InvalidRequest")
    assert wire.ask("GET", f"{TARGET}?uploadId={upload_id}").all("Part") == []
    assert len(list((wire.server.root / "bucket").iterdir())) == 1


def test_an_upload_without_an_algorithm_verifies_and_forgets(wire: Wire) -> None:
    """botocore sends a part's CRC32 unasked; a completion that names it does not find the part."""
    upload_id = create(wire)
    header = {"x-amz-checksum-crc32": VALUES["crc32"]}
    assert upload_part(wire, upload_id, 1, b"else", header).code == "BadDigest"
    part = upload_part(wire, upload_id, 1, DATA, header)
    assert (part.status, part.headers["x-amz-checksum-crc32"]) == (200, VALUES["crc32"])
    assert wire.ask("GET", f"{TARGET}?uploadId={upload_id}").all("ChecksumCRC32") == []
    assert complete(wire, upload_id, [(1, part)]).code == "InvalidPart"
    del part.headers["x-amz-checksum-crc32"]
    assert complete(wire, upload_id, [(1, part)]).status == 200
    assert wire.ask("HEAD", TARGET, ASK).headers["x-amz-checksum-type"] is None


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x-amz-checksum-type": "COMPOSITE"}, "BadDigest"),
        ({"x-amz-checksum-sha1": VALUES["sha1"]}, "InvalidRequest"),
    ],
)
def test_a_completion_of_another_sort_than_its_upload(wire: Wire, headers: dict[str, str], code: str) -> None:
    """The type and the algorithm are those it was created with."""
    upload_id = create(wire, {"x-amz-checksum-algorithm": "CRC64NVME"})
    reply = complete(wire, upload_id, [(1, upload_part(wire, upload_id, 1, DATA))], headers)
    assert (reply.status, reply.code) == (400, code)


@pytest.mark.parametrize(
    ("algorithm", "kind"), [("CRC64NVME", "COMPOSITE"), ("SHA256", "FULL_OBJECT"), ("SHA1", "FULL_OBJECT")]
)
def test_not_every_algorithm_has_every_type(wire: Wire, algorithm: str, kind: str) -> None:
    """A hash of pieces gives none of the whole; S3 wants CRC64NVME for the whole only."""
    headers = {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": kind}
    reply = wire.ask("POST", f"{TARGET}?uploads=", headers)
    assert (reply.status, reply.code) == (400, "InvalidRequest")


def test_a_composite_may_be_promised_with_or_without_its_number(wire: Wire) -> None:
    """And is verified."""
    digest = zlib.crc32(DATA).to_bytes(4, "big")
    whole = checksum_of("crc32", digest).value
    for promised, status in [(whole, 200), (f"{whole}-1", 200), (VALUES["crc32"], 400)]:
        upload_id = create(wire, {"x-amz-checksum-algorithm": "CRC32"})
        part = upload_part(wire, upload_id, 1, DATA, {"x-amz-checksum-crc32": VALUES["crc32"]})
        assert complete(wire, upload_id, [(1, part)], {"x-amz-checksum-crc32": promised}).status == status
