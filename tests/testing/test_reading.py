"""GET and HEAD of objects: ranges, conditions, errors."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from astro_cloud.testing import ObjectServer
from astro_cloud.testing.store import Store

from .conftest import Wire

DATA = bytes(range(256)) * 4
KEY = "/bucket/key"


@pytest.fixture(autouse=True)
def _objects(object_server: ObjectServer) -> None:
    object_server.put("bucket", "key", DATA)
    object_server.put("bucket", "empty", b"")


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=1000-", 1000, 1024),
        ("bytes=1000-9999", 1000, 1024),
        ("bytes=-24", 1000, 1024),
        ("bytes=-9999", 0, 1024),
        ("bytes=0-", 0, 1024),
    ],
)
def test_a_range_is_answered_206_with_its_place(wire: Wire, asked: str, start: int, stop: int) -> None:
    """The bytes, their place, the ETag and the time of change; a HEAD says the same without the bytes."""
    reply = wire.ask("GET", KEY, {"Range": asked})
    assert (reply.status, reply.body) == (206, DATA[start:stop])
    assert reply.headers["Content-Range"] == f"bytes {start}-{stop - 1}/1024"
    assert reply.headers["ETag"] == f'"{hashlib.md5(DATA).hexdigest()}"'
    assert reply.headers["Accept-Ranges"] == "bytes"
    assert reply.headers["Last-Modified"].endswith(" GMT")
    head = wire.ask("HEAD", KEY, {"Range": asked})
    assert (head.status, head.body, head.headers["Content-Length"]) == (206, b"", str(stop - start))
    assert head.headers["Content-Range"] == reply.headers["Content-Range"]


@pytest.mark.parametrize(
    "asked",
    ["bytes=0-1,4-5", "bytes=10-5", "bytes=-", "bytes=a-b", "0-10", "lines=0-1", "bytes 0-1", "bytes=--1"],
)
def test_a_list_or_what_is_no_range_is_ignored(wire: Wire, asked: str) -> None:
    """The whole object with 200, as S3 answers."""
    reply = wire.ask("GET", KEY, {"Range": asked})
    assert (reply.status, reply.body, reply.headers["Content-Range"]) == (200, DATA, None)


@pytest.mark.parametrize(
    ("key", "asked"),
    [("key", "bytes=1024-"), ("key", "bytes=-0"), ("empty", "bytes=0-0"), ("empty", "bytes=-5")],
)
def test_a_range_past_the_end_is_416(wire: Wire, key: str, asked: str) -> None:
    """With the object's size in Content-Range and in the XML."""
    size = len(DATA) if key == "key" else 0
    reply = wire.ask("GET", f"/bucket/{key}", {"Range": asked})
    assert (reply.status, reply.code) == (416, "InvalidRange")
    assert (reply.headers["Content-Range"], reply.xml("ActualObjectSize")) == (f"bytes */{size}", str(size))
    head = wire.ask("HEAD", f"/bucket/{key}", {"Range": asked})
    assert (head.status, head.body) == (416, b"")


ETAG = f'"{hashlib.md5(DATA).hexdigest()}"'
PAST, FUTURE = "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Match": ETAG}, 206),
        ({"If-Match": ETAG.strip('"')}, 206),
        ({"If-Match": f'"other", {ETAG}'}, 206),
        ({"If-Match": "*"}, 206),
        ({"If-Match": '"other"'}, 412),
        ({"If-Match": f"W/{ETAG}"}, 412),
        ({"If-None-Match": ETAG}, 304),
        ({"If-None-Match": f"W/{ETAG}"}, 304),
        ({"If-None-Match": '"other"'}, 206),
        ({"If-Unmodified-Since": PAST}, 412),
        ({"If-Unmodified-Since": FUTURE}, 206),
        ({"If-Unmodified-Since": PAST, "If-Match": ETAG}, 206),
        ({"If-Modified-Since": FUTURE}, 304),
        ({"If-Modified-Since": PAST}, 206),
        ({"If-Modified-Since": "nonsense"}, 206),
        ({"If-Range": '"other"'}, 206),
    ],
)
def test_conditions_are_judged_before_the_range(wire: Wire, headers: dict[str, str], status: int) -> None:
    """As RFC 9110 orders them; If-Range is ignored, as every S3 does."""
    reply = wire.ask("GET", KEY, {**headers, "Range": "bytes=0-9"})
    assert reply.status == status
    assert reply.body == {206: DATA[:10], 304: b""}.get(status, reply.body)
    assert status != 412 or reply.code == "PreconditionFailed"


def test_an_overwritten_object_has_another_etag(tmp_path: Path) -> None:
    """Even with the same size, the same time of change and an inode used before."""
    store = Store(tmp_path)
    for number in range(10):
        data = bytes([number]) * 1024
        store.create_bucket("bucket")
        with store.writing("bucket", "key") as draft:
            draft.file.write(data)
            draft.file.flush()
            os.utime(draft.file.fileno(), (0, 0))
        stored = store.open("bucket", "key")
        stored.close()
        assert stored.etag == f'"{hashlib.md5(data).hexdigest()}"'


def test_a_sparse_file_of_45_gb_is_read_anywhere(wire: Wire) -> None:
    """Zeros in its holes, data where it has some; its ETag looks like that of a multipart upload."""
    path = wire.server.path("bucket", "huge")
    with path.open("wb") as file:
        file.truncate(45_000_000_000)
        os.pwrite(file.fileno(), b"here", 44_000_000_000)
    reply = wire.ask("GET", "/bucket/huge", {"Range": "bytes=43999999998-44000000005"})
    assert (reply.status, reply.body) == (206, b"\0\0here\0\0")
    assert reply.headers["Content-Range"] == "bytes 43999999998-44000000005/45000000000"
    assert reply.headers["ETag"].endswith('-1"')
    assert len(reply.headers["ETag"]) == 36
    body = wire.ask("GET", "/bucket/huge", {"Range": "bytes=43990000000-44009999999"}).body
    assert (len(body), body.count(0), body.find(b"here")) == (20_000_000, 19_999_996, 10_000_000)


def test_a_large_body_arrives_whole(wire: Wire) -> None:
    """Larger than any buffer on the way."""
    data = os.urandom(5_000_003)
    wire.server.put("bucket", "large", data)
    assert wire.ask("GET", "/bucket/large").body == data
    assert wire.ask("GET", "/bucket/large", {"Range": "bytes=1-4000001"}).body == data[1:4000002]


@pytest.mark.parametrize(
    ("method", "target", "status", "code"),
    [
        ("GET", "/bucket/absent", 404, "NoSuchKey"),
        ("GET", "/bucket/key/below", 404, "NoSuchKey"),
        ("GET", "/absent/key", 404, "NoSuchBucket"),
        ("GET", "/absent?list-type=2", 404, "NoSuchBucket"),
        ("PUT", "/absent/key", 404, "NoSuchBucket"),
        ("GET", "/bucket/key?versionId=1", 501, "NotImplemented"),
        ("GET", "/bucket/key?acl", 501, "NotImplemented"),
        ("GET", "/bucket", 501, "NotImplemented"),
        ("PATCH", "/bucket/key", 405, "MethodNotAllowed"),
        ("POST", "/", 405, "MethodNotAllowed"),
        ("PUT", "/.", 400, "InvalidBucketName"),
    ],
)
def test_what_is_not_there_is_refused_as_s3_does(
    wire: Wire, method: str, target: str, status: int, code: str
) -> None:
    """In S3's XML, with a request id."""
    signed = target if "=" in target else target + "=" if "?" in target else target
    reply = wire.send(method, target, wire.signed(method, signed), b"")
    assert (reply.status, reply.code) == (status, code)
    assert reply.xml("RequestId") == reply.headers["x-amz-request-id"]


def test_a_heads_error_has_no_body(wire: Wire) -> None:
    """And the connection goes on."""
    reply = wire.ask("HEAD", "/bucket/absent")
    assert (reply.status, reply.body) == (404, b"")
    assert wire.ask("GET", KEY).body == DATA
    assert wire.server.requests.connections == 1


def test_buckets_can_be_asked_for(wire: Wire) -> None:
    """HEAD of a bucket tells its region; the root lists the buckets; ?location answers."""
    wire.server.region = "eu-west-1"
    head = wire.ask("HEAD", "/bucket")
    assert (head.status, head.headers["x-amz-bucket-region"]) == (200, "eu-west-1")
    assert wire.ask("GET", "/").all("}Name") == ["bucket"]
    location = wire.send("GET", "/bucket?location", wire.signed("GET", "/bucket?location="))
    assert location.xml("LocationConstraint") == "eu-west-1"


def test_a_file_cut_while_it_is_sent_ends_the_connection(wire: Wire) -> None:
    """A length that was promised and cannot be kept is never filled with something else."""
    wire.server.put("bucket", "shrinking", bytes(200_000))
    stored = wire.server._store.open("bucket", "shrinking")
    os.truncate(wire.server.path("bucket", "shrinking"), 10)
    assert not stored.is_hole(0, 200_000)
    assert stored.read(0, 200_000) == bytes(10)
    stored.close()
