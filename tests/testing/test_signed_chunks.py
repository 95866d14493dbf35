"""Bodies signed chunk by chunk, against AWS's published example and over the wire."""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_cloud.testing import ObjectServer
from astro_cloud.testing.refusal import Refused
from astro_cloud.testing.signed_chunks import STREAMING_PAYLOAD, ChunkSeed, content_of

from .conftest import Reply, Wire
from .uploading import TARGET, complete, create

SCOPE = "20130524/us-east-1/s3/aws4_request"


def signing_key(secret: str, scope: str) -> bytes:
    key = b"AWS4" + secret.encode()
    for step in scope.split("/"):
        key = hmac.digest(key, step.encode(), "sha256")
    return key


EXAMPLE = ChunkSeed(
    signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", SCOPE),
    "20130524T000000Z",
    SCOPE,
    "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
)
SIGNATURES = (
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
)
SIZES = (65_536, 1024, 0)
BODY = b"".join(
    f"{size:x};chunk-signature={signature}\r\n".encode() + b"a" * size + b"\r\n"
    for size, signature in zip(SIZES, SIGNATURES, strict=True)
)


def cut(body: bytes, at: list[int]) -> Iterator[bytes]:
    edges = [0, *sorted(at), len(body)]
    for start, stop in itertools.pairwise(edges):
        if body[start:stop]:
            yield body[start:stop]


@given(st.lists(st.integers(0, len(BODY)), max_size=10))
def test_the_published_example_is_read(at: list[int]) -> None:
    """However it is cut on its way."""
    assert b"".join(content_of(cut(BODY, at), EXAMPLE, 66_560)) == b"a" * 66_560


@pytest.mark.parametrize(
    ("body", "length", "code"),
    [
        (BODY.replace(b"aaaa", b"abaa", 1), 66_560, "SignatureDoesNotMatch"),
        (BODY.replace(SIGNATURES[2].encode(), SIGNATURES[1].encode()), 66_560, "SignatureDoesNotMatch"),
        (BODY, 66_559, "IncompleteBody"),
        (BODY, 66_561, "IncompleteBody"),
        (BODY[:-1], 66_560, "IncompleteBody"),
        (BODY[:-90], 66_560, "IncompleteBody"),
        (BODY[:66_000], 66_560, "IncompleteBody"),
        (BODY + b"x", 66_560, "IncompleteBody"),
        (b"a" * 66_560, 66_560, "IncompleteBody"),
        (b"", 0, "IncompleteBody"),
        (b"fffffff" + BODY[5:], 66_560, "IncompleteBody"),
    ],
)
def test_a_body_that_is_not_what_was_signed(body: bytes, length: int, code: str) -> None:
    """It is refused before it ends."""
    with pytest.raises(Refused) as refused:
        b"".join(content_of(iter([body]), EXAMPLE, length))
    assert refused.value.refusal.code == code


def ask_in_chunks(wire: Wire, target: str, data: bytes, **headers: str) -> Reply:
    """Send bytes in chunks of 1000, the request signed by botocore and the chunks here."""
    announced = {
        "x-amz-decoded-content-length": str(len(data)),
        "Content-Encoding": "aws-chunked",
        **headers,
    }
    signed = wire.signed("PUT", target, announced, payload_hash=STREAMING_PAYLOAD)
    told = dict(signed)
    scope, _, signature = told["Authorization"].partition("Credential=")[2].partition(",")
    seed = ChunkSeed(
        signing_key(wire.server.secret_key, scope.partition("/")[2]),
        told["X-Amz-Date"],
        scope.partition("/")[2],
        signature.partition("Signature=")[2],
    )
    body, previous = b"", seed.signature
    for start in range(0, len(data) + 1000, 1000):
        chunk = data[start : start + 1000]
        previous = seed.next_signature(previous, chunk)
        body += f"{len(chunk):x};chunk-signature={previous}\r\n".encode() + chunk + b"\r\n"
    return wire.send("PUT", target, signed, body)


def test_an_object_may_come_in_signed_chunks(wire: Wire) -> None:
    """What is stored, and what its ETag is of, is the content."""
    wire.server.put("bucket", "key", b"old")
    data = bytes(range(250)) * 20
    reply = ask_in_chunks(wire, "/bucket/key", data)
    assert (reply.status, reply.headers["ETag"]) == (200, f'"{hashlib.md5(data).hexdigest()}"')
    assert wire.ask("GET", "/bucket/key").body == data
    assert wire.server.requests[0].received > len(data)


def test_a_part_may_come_in_signed_chunks(wire: Wire) -> None:
    """As an object may."""
    wire.server.put("bucket", "key", b"old")
    upload_id = create(wire)
    part = ask_in_chunks(wire, f"{TARGET}?partNumber=1&uploadId={upload_id}", b"x" * 3000)
    assert complete(wire, upload_id, [(1, part)]).status == 200
    assert wire.ask("GET", TARGET).body == b"x" * 3000


def test_a_body_in_chunks_tells_the_length_of_its_content(object_server: ObjectServer, wire: Wire) -> None:
    """411 otherwise; a wrong one writes nothing."""
    object_server.put("bucket", "key", b"old")
    reply = ask_in_chunks(wire, "/bucket/key", b"new", **{"x-amz-decoded-content-length": "four"})
    assert (reply.status, reply.code) == (411, "MissingContentLength")
    reply = ask_in_chunks(wire, "/bucket/key", b"new", **{"x-amz-decoded-content-length": "4"})
    assert (reply.status, reply.code) == (400, "IncompleteBody")
    assert wire.ask("GET", "/bucket/key").body == b"old"
