"""Objects that come in parts, by S3's rules."""

from __future__ import annotations

import contextlib
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from astro_cloud.testing import ObjectServer

from .conftest import Reply, Wire
from .uploading import TARGET, complete, create, upload_part

PARTS = [bytes([number]) * 1000 for number in (1, 2, 3)]
ETAG = f'"{hashlib.md5(b"".join(hashlib.md5(part).digest() for part in PARTS)).hexdigest()}-3"'


@pytest.fixture(autouse=True)
def _bucket(object_server: ObjectServer) -> None:
    object_server.min_part_size = 1000
    object_server.put("bucket", "key", b"old")


def files(server: ObjectServer) -> set[str]:
    """The names of all files under the root."""
    return {name for _, _, names in os.walk(server.root) for name in names}


def upload_all(wire: Wire, upload_id: str) -> list[tuple[int, Reply]]:
    return [(number, upload_part(wire, upload_id, number, part)) for number, part in enumerate(PARTS, 1)]


def test_parts_become_one_object(wire: Wire) -> None:
    """In the order of their numbers, with S3's ETag of parts; nothing else stays on disk."""
    upload_id = create(wire)
    parts = upload_all(wire, upload_id)[::-1]
    assert [reply.headers["ETag"] for _, reply in parts[::-1]] == [
        f'"{hashlib.md5(part).hexdigest()}"' for part in PARTS
    ]
    assert wire.ask("GET", TARGET).status == 404
    assert wire.server.uploads == [("bucket", "big", upload_id)]
    reply = complete(wire, upload_id, parts[::-1])
    assert (reply.status, reply.xml("ETag"), reply.xml("Key")) == (200, ETAG, "big")
    assert reply.xml("Location") == wire.server.url_for("bucket", "big")
    for method in ("HEAD", "GET"):
        assert wire.ask(method, TARGET).headers["ETag"] == ETAG
    assert wire.ask("GET", TARGET).body == b"".join(PARTS)
    assert wire.server.uploads == []
    assert files(wire.server) == {"big", "key"}


def test_an_upload_takes_some_of_its_parts(wire: Wire) -> None:
    """A part sent again replaces the one before; one that is not named is dropped."""
    upload_id = create(wire)
    upload_all(wire, upload_id)
    again = upload_part(wire, upload_id, 2, b"again")
    assert complete(wire, upload_id, [(2, again)]).status == 200
    assert wire.ask("GET", TARGET).body == b"again"
    assert files(wire.server) == {"big", "key"}


def test_an_aborted_upload_leaves_nothing(wire: Wire) -> None:
    """Its id is unknown from then on, to every operation."""
    upload_id = create(wire)
    parts = upload_all(wire, upload_id)
    assert wire.ask("DELETE", f"{TARGET}?uploadId={upload_id}").status == 204
    assert (files(wire.server), wire.server.uploads) == ({"key"}, [])
    replies = [
        wire.ask("DELETE", f"{TARGET}?uploadId={upload_id}"),
        wire.ask("GET", f"{TARGET}?uploadId={upload_id}"),
        upload_part(wire, upload_id, 1, b"late"),
        complete(wire, upload_id, parts),
        wire.ask("GET", "/bucket/key?uploadId=else"),
    ]
    assert {(reply.status, reply.code) for reply in replies} == {(404, "NoSuchUpload")}


def test_closing_the_server_drops_what_is_unfinished(tmp_path: Path) -> None:
    """Parts survive nothing."""
    with ObjectServer(tmp_path) as server:
        server.put("bucket", "key", b"old")
        wire = Wire(server)
        upload_part(wire, create(wire), 1, b"part")
        assert len(files(server)) == 2
        wire.close()
    assert (files(server), server.uploads) == ({"key"}, [])


def test_a_completion_is_judged_by_its_parts(wire: Wire) -> None:
    """What is refused may be tried again, rightly."""
    upload_id = create(wire)
    parts = upload_all(wire, upload_id)
    other = upload_part(wire, create(wire), 1, b"other")
    for wrong, code in [
        ([parts[1], parts[0]], "InvalidPartOrder"),
        ([parts[0], parts[0]], "InvalidPartOrder"),
        ([parts[0], (7, parts[1][1])], "InvalidPart"),
        ([(1, other)], "InvalidPart"),
        ([], "MalformedXML"),
    ]:
        reply = complete(wire, upload_id, wrong)
        assert (reply.status, reply.code) == (400, code)
    assert wire.ask("POST", f"{TARGET}?uploadId={upload_id}", body=b"<Complete").code == "MalformedXML"
    assert wire.ask("GET", TARGET).status == 404
    assert complete(wire, upload_id, parts).status == 200


def test_a_part_too_small_is_told_at_the_end(wire: Wire) -> None:
    """Every part but the last must have the size the server was told; the last may be empty."""
    upload_id = create(wire)
    parts = [(1, upload_part(wire, upload_id, 1, bytes(999))), (2, upload_part(wire, upload_id, 2, b""))]
    reply = complete(wire, upload_id, parts)
    assert (reply.status, reply.code, reply.xml("MinSizeAllowed")) == (400, "EntityTooSmall", "1000")
    wire.server.min_part_size = 999
    assert complete(wire, upload_id, parts).status == 200


def test_the_least_size_is_that_of_s3(tmp_path: Path) -> None:
    """5 MiB, unless the server was made otherwise."""
    assert ObjectServer(tmp_path).min_part_size == 5 * 1024 * 1024
    assert ObjectServer(tmp_path, min_part_size=1).min_part_size == 1


@pytest.mark.parametrize(
    ("method", "query", "headers", "status", "code"),
    [
        ("PUT", "partNumber=0&uploadId={}", {}, 400, "InvalidArgument"),
        ("PUT", "partNumber=10001&uploadId={}", {}, 400, "InvalidArgument"),
        ("PUT", "partNumber=x&uploadId={}", {}, 400, "InvalidArgument"),
        ("PUT", "uploadId={}", {}, 400, "InvalidArgument"),
        ("PUT", "partNumber=1", {}, 501, "NotImplemented"),
        ("PUT", "partNumber=1&uploadId={}", {"x-amz-copy-source": "/bucket/key"}, 501, "NotImplemented"),
        ("PUT", "uploads=", {}, 405, "MethodNotAllowed"),
        ("GET", "uploads=", {}, 405, "MethodNotAllowed"),
        ("GET", "uploadId={}&max-parts=x", {}, 400, "InvalidArgument"),
        ("POST", "uploads=", {"x-amz-checksum-algorithm": "MD4"}, 400, "InvalidRequest"),
        ("POST", "uploads=", {"x-amz-checksum-type": "FULL_OBJECT"}, 400, "InvalidRequest"),
    ],
)
def test_what_a_multipart_request_may_not_ask(
    wire: Wire, method: str, query: str, headers: dict[str, str], status: int, code: str
) -> None:
    """It is refused as S3 does, and writes nothing."""
    upload_id = create(wire)
    reply = wire.ask(
        method, f"{TARGET}?{query.format(upload_id)}", headers, b"data" if "PUT" in method else b""
    )
    assert (reply.status, reply.code) == (status, code)
    assert files(wire.server) == {"key"}


def test_multipart_requests_are_signed_as_all_are(wire: Wire) -> None:
    """Nobody writes or lists them unsigned, even in a public bucket, nor for free where the reader pays."""
    wire.server.public.add("bucket")
    upload_id = create(wire)
    part = f"{TARGET}?partNumber=1&uploadId={upload_id}"
    assert wire.send("POST", f"{TARGET}?uploads=").status == 403
    assert wire.send("PUT", part, None, b"data").status == 403
    assert wire.send("DELETE", f"{TARGET}?uploadId={upload_id}").status == 403
    assert wire.send("GET", f"{TARGET}?uploadId={upload_id}").status == 403
    assert wire.send("GET", "/bucket?uploads=").status == 403
    forged = wire.send("PUT", part, wire.signed("PUT", part, body=b"signed"), b"forged")
    assert (forged.status, forged.code) == (400, "XAmzContentSHA256Mismatch")
    wire.server.requester_pays.add("bucket")
    assert wire.ask("PUT", part, body=b"data").status == 403
    paid = wire.ask("PUT", part, {"x-amz-request-payer": "requester"}, b"data")
    assert (paid.status, paid.headers["x-amz-request-charged"]) == (200, "requester")


def test_parts_are_listed_by_pages(wire: Wire) -> None:
    """In order, each with its size and ETag; the marker leads on to the next page."""
    upload_id = create(wire)
    parts = dict(upload_all(wire, upload_id))
    first = wire.ask("GET", f"{TARGET}?max-parts=2&uploadId={upload_id}")
    assert first.all("PartNumber") == ["1", "2"]
    assert (first.xml("IsTruncated"), first.xml("NextPartNumberMarker")) == ("true", "2")
    assert first.all("ETag") == [parts[1].headers["ETag"], parts[2].headers["ETag"]]
    assert (first.all("Size"), first.xml("UploadId")) == (["1000", "1000"], upload_id)
    rest = wire.ask("GET", f"{TARGET}?part-number-marker=2&uploadId={upload_id}")
    assert (rest.all("PartNumber"), rest.xml("IsTruncated")) == (["3"], "false")


def test_uploads_are_listed_by_pages(wire: Wire) -> None:
    """By key and age, those with the prefix; both markers lead on to the next page."""
    wire.ask("PUT", "/other")
    ids = [(key, create(wire, target=f"/bucket/{key}")) for key in ("b", "a/2", "a/1", "a/1")]
    create(wire, target="/other/a")
    expected = sorted(ids)
    found: list[tuple[str, str]] = []
    markers = ""
    for _ in range(2):
        page = wire.ask("GET", f"/bucket?{markers}max-uploads=2&uploads=")
        found += zip(page.all("}Key"), page.all("}UploadId"), strict=True)
        key, upload_id = page.xml("NextKeyMarker"), page.xml("NextUploadIdMarker")
        markers = f"key-marker={key and key.replace('/', '%2F')}&upload-id-marker={upload_id}&"
    assert (found, page.xml("IsTruncated")) == (expected, "false")
    within = wire.ask("GET", "/bucket?encoding-type=url&prefix=a%2F&uploads=")
    assert (within.all("}Key"), within.xml("EncodingType")) == (["a/1", "a/1", "a/2"], "url")
    assert wire.ask("GET", "/bucket?key-marker=a%2F1&uploads=").all("}Key") == ["a/2", "b"]


@pytest.mark.parametrize(
    ("key", "headers", "status", "code"),
    [
        ("key", {"If-None-Match": "*"}, 412, "PreconditionFailed"),
        ("key", {"If-Match": '"other"'}, 412, "PreconditionFailed"),
        ("key", {"If-Match": f'"{hashlib.md5(b"old").hexdigest()}"'}, 200, None),
        ("new", {"If-None-Match": "*"}, 200, None),
        ("new", {"If-Match": '"other"'}, 404, "NoSuchKey"),
        ("key", {"x-amz-mp-object-size": "4"}, 200, None),
        ("key", {"x-amz-mp-object-size": "5"}, 400, "InvalidRequest"),
    ],
)
def test_a_completion_under_a_condition(
    wire: Wire, key: str, headers: dict[str, str], status: int, code: str | None
) -> None:
    """It writes only where the condition holds; else the upload goes on."""
    target = f"/bucket/{key}"
    upload_id = create(wire, target=target)
    etag = wire.ask("PUT", f"{target}?partNumber=1&uploadId={upload_id}", body=b"data").headers["ETag"]
    body = f"<C><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></C>".encode()
    reply = wire.ask("POST", f"{target}?uploadId={upload_id}", headers, body)
    assert (reply.status, reply.code) == (status, code)
    assert len(wire.server.uploads) == (status != 200)


def test_a_condition_holds_when_the_object_is_written(wire: Wire) -> None:
    """Of two that find no object, one writes it."""
    headers = wire.signed("PUT", "/bucket/new", {"If-None-Match": "*"}, b"new")
    first = Wire(wire.server)
    first.connection.putrequest("PUT", "/bucket/new", skip_host=True, skip_accept_encoding=True)
    for name, value in headers:
        first.connection.putheader(name, value)
    first.connection.putheader("Content-Length", "3")
    first.connection.putheader("Expect", "100-continue")
    first.connection.endheaders()
    assert first.connection.sock.recv(100).startswith(b"HTTP/1.1 100 ")
    wire.server.put("bucket", "new", b"meanwhile")
    first.connection.send(b"new")
    assert first.connection.getresponse().status == 412
    first.close()
    assert wire.ask("GET", "/bucket/new").body == b"meanwhile"


def test_a_large_object_has_the_md5_it_was_put_with(wire: Wire) -> None:
    """As on S3, whatever its size."""
    data = bytes(9 * 1024 * 1024)
    etag = f'"{hashlib.md5(data).hexdigest()}"'
    assert wire.ask("PUT", TARGET, body=data).headers["ETag"] == etag
    assert wire.ask("HEAD", TARGET).headers["ETag"] == etag


def test_parts_may_come_at_once_and_race_with_the_end(wire: Wire) -> None:
    """A part that comes too late is refused, and leaves nothing."""
    upload_id = create(wire)
    first = upload_part(wire, upload_id, 1, PARTS[0])

    def send(number: int) -> int:
        own = Wire(wire.server)
        with contextlib.closing(own):
            return upload_part(own, upload_id, number, PARTS[1]).status

    with ThreadPoolExecutor(8) as pool:
        sent = pool.map(send, range(2, 40))
        assert complete(wire, upload_id, [(1, first)]).status == 200
        assert set(sent) <= {200, 404}
    assert wire.ask("GET", TARGET).body == PARTS[0]
    assert files(wire.server) == {"big", "key"}
