"""The judge of signatures, judged by AWS's published examples, AWS's signing test suite and botocore."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from astro_cloud.testing import AccessKey, Headers
from astro_cloud.testing.sigv4_verifier import Verdict, verify

from .conftest import Pairs, Wire

DOCS_KEY = AccessKey("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
DOCS_NOW = datetime(2013, 5, 24, tzinfo=UTC).timestamp()
SUITE_KEY = AccessKey("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SUITE_NOW = datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp()

# Method, target, headers beside the usual ones, body, signature: Amazon S3 API Reference,
# "Signature Calculations for the Authorization Header: Transferring Payload in a Single Chunk".
DOCS_EXAMPLES = [
    (
        "GET",
        "/test.txt",
        [("Range", "bytes=0-9")],
        b"",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    (
        "PUT",
        "/test$file.text",
        [("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
        b"Welcome to Amazon S3.",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    ("GET", "/?lifecycle", [], b"", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    (
        "GET",
        "/?max-keys=2&prefix=J",
        [],
        b"",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
]


def docs_verdict(
    method: str, target: str, extra: Pairs, body: bytes, signature: str, now: float = DOCS_NOW
) -> Verdict:
    digest = hashlib.sha256(body).hexdigest()
    headers = [
        ("Host", "examplebucket.s3.amazonaws.com"),
        ("x-amz-content-sha256", digest),
        ("x-amz-date", "20130524T000000Z"),
        *extra,
    ]
    names = ";".join(sorted(name.lower() for name, _ in headers))
    headers.append(
        (
            "Authorization",
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
            f"SignedHeaders={names},Signature={signature}",
        )
    )
    credentials = {DOCS_KEY.access_key: DOCS_KEY}
    return verify(
        method,
        target,
        Headers(headers),
        body_sha256=digest,
        credentials=credentials,
        now=now,
        region="us-east-1",
    )


@pytest.mark.parametrize(("method", "target", "extra", "body", "signature"), DOCS_EXAMPLES)
def test_signatures_in_the_aws_documentation_are_good(
    method: str, target: str, extra: Pairs, body: bytes, signature: str
) -> None:
    """The figures AWS publishes are accepted, and refused with one digit changed."""
    verdict = docs_verdict(method, target, extra, body, signature)
    assert (verdict.refusal, verdict.access_key) == (None, DOCS_KEY.access_key)
    other = "0" if signature[-1] != "0" else "1"
    refusal = docs_verdict(method, target, extra, body, signature[:-1] + other).refusal
    assert refusal is not None
    assert (refusal.status, refusal.code) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize(("seconds", "good"), [(-901, False), (-900, True), (900, True), (901, False)])
def test_a_date_may_lie_fifteen_minutes_from_the_clock(seconds: float, good: bool) -> None:
    """Neither late nor early by more."""
    refusal = docs_verdict(*DOCS_EXAMPLES[0], now=DOCS_NOW + seconds).refusal
    assert (None if refusal is None else refusal.code) == (None if good else "RequestTimeTooSkewed")


def suite_request(case: Path) -> tuple[str, str, Pairs, bytes, str]:
    """A case of the suite: method, target, headers, body, Authorization."""
    head, _, body = case.with_suffix(".req").read_text("utf-8-sig").partition("\n\n")
    line, *lines = head.splitlines()
    method, rest = line.split(" ", 1)
    headers: Pairs = []
    for text in lines:
        if text[0] in " \t":  # obs-fold, which RFC 9112 has replaced by spaces
            headers[-1] = (headers[-1][0], f"{headers[-1][1]} {text.strip()}")
        else:
            name, _, value = text.partition(":")
            headers.append((name, value))
    signed = dict(
        row.split(":", 1) for row in case.with_suffix(".creq").read_text().splitlines() if ":" in row
    )
    if "x-amz-security-token" in signed and "x-amz-security-token" not in (
        name.lower() for name, _ in headers
    ):
        headers.append(("X-Amz-Security-Token", signed["x-amz-security-token"]))
    target = rest.rsplit(" ", 1)[0]
    return method, target, headers, body.encode(), case.with_suffix(".authz").read_text().strip()


def suite_verdict(
    method: str,
    target: str,
    headers: Pairs,
    body: bytes,
    authorization: str,
    secret: str = SUITE_KEY.secret_key,
) -> Verdict:
    received = Headers([*headers, ("Authorization", authorization)])
    key = AccessKey(SUITE_KEY.access_key, secret, received.get("x-amz-security-token"))
    return verify(
        method,
        target,
        received,
        body_sha256=hashlib.sha256(body).hexdigest(),
        credentials={key.access_key: key},
        now=SUITE_NOW,
        region="us-east-1",
        service="service",
    )


def test_the_aws_signing_suite_is_accepted_and_refused_when_tampered_with(aws4_testsuite: Path) -> None:
    """Each case's every stage is the suite's, and each change to what was signed is noticed."""
    cases = sorted(path.with_suffix("") for path in aws4_testsuite.rglob("*.req"))
    assert len(cases) >= 30
    for case in cases:
        method, target, headers, body, authorization = suite_request(case)
        verdict = suite_verdict(method, target, headers, body, authorization)
        assert verdict.refusal is None, case.name
        assert verdict.canonical_request == case.with_suffix(".creq").read_text().strip(), case.name
        assert verdict.string_to_sign == case.with_suffix(".sts").read_text().strip(), case.name
        later = [(name, value.replace("123600Z", "123601Z")) for name, value in headers]
        tampered = [
            suite_verdict("HEAD", target, headers, body, authorization),
            suite_verdict(method, f"/x{target}", headers, body, authorization),
            suite_verdict(
                method, f"{target}{'&' if '?' in target else '?'}x=y", headers, body, authorization
            ),
            suite_verdict(method, target, later, body, authorization),
            suite_verdict(method, target, headers, body + b"x", authorization),
            suite_verdict(method, target, [*headers, ("Host", "other")], body, authorization),
            suite_verdict(method, target, headers, body, authorization, secret="wrong"),
        ]
        assert {verdict.refusal and verdict.refusal.code for verdict in tampered} == {
            "SignatureDoesNotMatch"
        }, case.name


Change = Callable[[Pairs], Pairs]


def replaced(name: str, value: str) -> Change:
    return lambda headers: [(n, value if n.lower() == name else v) for n, v in headers]


def without(name: str) -> Change:
    return lambda headers: [(n, v) for n, v in headers if n.lower() != name]


def with_header(name: str, value: str) -> Change:
    return lambda headers: [*headers, (name, value)]


def reauthorized(old: str, new: str) -> Change:
    return lambda headers: [(n, v.replace(old, new) if n == "Authorization" else v) for n, v in headers]


def redated(headers: Pairs) -> Pairs:
    """The credential scope's date is not that of x-amz-date."""
    return [(name, re.sub(r"/[0-9]{8}/", "/20010101/", value)) for name, value in headers]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        (replaced("range", "bytes=0-1"), 403, "SignatureDoesNotMatch"),
        (without("range"), 403, "SignatureDoesNotMatch"),
        (with_header("Range", "bytes=5-6"), 403, "SignatureDoesNotMatch"),
        (replaced("host", "example.org"), 403, "SignatureDoesNotMatch"),
        (replaced("x-amz-content-sha256", "UNSIGNED-PAYLOAD"), 403, "SignatureDoesNotMatch"),
        (replaced("x-amz-content-sha256", "0" * 63), 400, "InvalidArgument"),
        (replaced("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"), 501, "NotImplemented"),
        (
            replaced("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
            403,
            "SignatureDoesNotMatch",
        ),
        (without("x-amz-content-sha256"), 403, "SignatureDoesNotMatch"),
        (replaced("x-amz-date", "20010101T000000Z"), 403, "RequestTimeTooSkewed"),
        (replaced("x-amz-date", "yesterday"), 403, "AccessDenied"),
        (replaced("x-amz-date", "20019901T000000Z"), 403, "AccessDenied"),
        (without("x-amz-date"), 403, "AccessDenied"),
        (with_header("x-amz-request-payer", "requester"), 403, "AccessDenied"),
        (with_header("x-amz-security-token", "made up"), 400, "InvalidToken"),
        (with_header("x-unsigned", "is fine"), 206, None),
        (replaced("authorization", "Bearer abc"), 400, "InvalidArgument"),
        (replaced("authorization", "AWS key:signature"), 400, "InvalidRequest"),
        (replaced("authorization", "AWS4-HMAC-SHA256 nonsense"), 400, "AuthorizationHeaderMalformed"),
        (with_header("Authorization", "AWS4-HMAC-SHA256 x"), 400, "InvalidArgument"),
        (reauthorized("host;", ""), 403, "AccessDenied"),
        (reauthorized("host;", "Host;"), 400, "AuthorizationHeaderMalformed"),
        (reauthorized("/s3/", "/ec2/"), 400, "AuthorizationHeaderMalformed"),
        (redated, 400, "AuthorizationHeaderMalformed"),
        (reauthorized("aws4_request", "aws5_request"), 400, "AuthorizationHeaderMalformed"),
        (reauthorized("Credential=", "Credential=x"), 403, "InvalidAccessKeyId"),
        (reauthorized("Signature=", "Signature=é"), 403, "SignatureDoesNotMatch"),
        (reauthorized("Signature=", "Signature=0, Signature="), 400, "AuthorizationHeaderMalformed"),
        (reauthorized("Signature=", "signature="), 400, "AuthorizationHeaderMalformed"),
    ],
)
def test_what_botocore_signed_is_refused_once_it_is_changed(
    wire: Wire, change: Change, status: int, code: str | None
) -> None:
    """A header changed, dropped, doubled or added on the way is noticed, with S3's code for it."""
    wire.server.put("bucket", "key", b"0123456789")
    headers = wire.signed("GET", "/bucket/key", {"Range": "bytes=0-4"})
    reply = wire.send("GET", "/bucket/key", [(n, v.encode().decode("latin-1")) for n, v in change(headers)])
    assert (reply.status, reply.code if code else None) == (status, code)


def test_s3_wants_the_payload_hash_header(wire: Wire) -> None:
    """Without it S3 answers 400, whatever else was signed."""
    headers = reauthorized("x-amz-content-sha256;", "")(wire.signed("GET", "/bucket/key"))
    reply = wire.send("GET", "/bucket/key", without("x-amz-content-sha256")(headers))
    assert (reply.status, reply.code) == (400, "InvalidRequest")


@pytest.mark.parametrize(
    ("method", "target"), [("HEAD", "/bucket/key"), ("GET", "/bucket/kez"), ("GET", "/bucket/key?x=1")]
)
def test_a_tampered_request_line_is_refused(wire: Wire, method: str, target: str) -> None:
    """Method, path and query are all signed."""
    wire.server.put("bucket", "key", b"0123456789")
    assert wire.send(method, target, wire.signed("GET", "/bucket/key")).status == 403


def test_a_tampered_body_is_refused_and_not_stored(wire: Wire) -> None:
    """The body must have the hash that was signed; the object before stays."""
    wire.server.put("bucket", "key", b"old")
    headers = wire.signed("PUT", "/bucket/key", body=b"good")
    reply = wire.send("PUT", "/bucket/key", headers, b"evil")
    assert (reply.status, reply.code) == (400, "XAmzContentSHA256Mismatch")
    assert wire.server.path("bucket", "key").read_bytes() == b"old"


def test_an_unsigned_payload_is_accepted(wire: Wire) -> None:
    """``UNSIGNED-PAYLOAD`` in place of the hash leaves the body out of the signature, and nothing else."""
    wire.server.put("bucket", "other", b"")
    headers = wire.signed("PUT", "/bucket/key", unsigned_payload=True)
    assert dict(headers)["X-Amz-Content-SHA256"] == "UNSIGNED-PAYLOAD"
    assert wire.send("PUT", "/bucket/key", headers, b"any body").status == 200
    assert wire.server.path("bucket", "key").read_bytes() == b"any body"
    assert wire.send("PUT", "/bucket/kez", headers, b"any body").code == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    ("sent", "signed", "status"),
    [
        ("/bucket?list-type=2&prefix=a+b", "/bucket?list-type=2&prefix=a%20b", 200),
        ("/bucket?list-type=2&prefix=a+b", "/bucket?list-type=2&prefix=a+b", 403),
        ("/bucket/%7Etilde", "/bucket/~tilde", 200),
        ("/bucket/!*'()", "/bucket/%21%2A%27%28%29", 200),
        ("/bucket/!*'()", "/bucket/!*'()", 403),
        ("/bucket/%c3%bc", "/bucket/%c3%bc", 403),
        ("/bucket/%c3%bc", "/bucket/%C3%BC", 200),
        ("/bucket/%C3%BC", "/bucket/%25C3%25BC", 403),
        ("/bucket//double", "/bucket/double", 403),
        ("/bucket?prefix=b&list-type=2&prefix=a", "/bucket?list-type=2&prefix=a&prefix=b", 200),
        ("/bucket?list-type=2&start-after", "/bucket?list-type=2&start-after=", 200),
    ],
)
def test_the_canonical_form_is_made_of_what_was_meant_not_of_how_it_was_sent(
    wire: Wire, sent: str, signed: str, status: int
) -> None:
    """The verdicts on which three independent S3 servers agree."""
    for key in ("~tilde", "!*'()", "ü", "/double"):
        wire.server.put("bucket", key, b"data")
    assert wire.send("GET", sent, wire.signed("GET", signed)).status == status


def test_another_region_is_named_in_the_refusal(wire: Wire) -> None:
    """A client can learn the right region from the XML and from a header."""
    wire.server.region = "eu-central-1"
    reply = wire.ask("GET", "/bucket/key", region="us-west-2")
    assert (reply.status, reply.code) == (400, "AuthorizationHeaderMalformed")
    assert (reply.xml("Region"), reply.headers["x-amz-bucket-region"]) == ("eu-central-1", "eu-central-1")


def test_a_mismatch_shows_the_servers_canonical_request(wire: Wire) -> None:
    """As S3's does, so that a signer can be put right."""
    reply = wire.ask("GET", "/bucket/a%20b", key=AccessKey(wire.server.access_key, "wrong"))
    assert (reply.xml("CanonicalRequest") or "").startswith("GET\n/bucket/a%20b\n\nhost:127.0.0.1")
    assert (reply.xml("StringToSign") or "").startswith("AWS4-HMAC-SHA256\n")


def test_a_presigned_url_is_refused_with_a_reason(wire: Wire) -> None:
    """It is not judged yet, and so never let through, even beside a good header or in a public bucket."""
    wire.server.public.add("bucket")
    target = "/bucket/key?x-amz-signature=0"
    for headers in (None, wire.signed("GET", target)):
        reply = wire.send("GET", target, headers)
        assert (reply.status, reply.code) == (400, "InvalidRequest")
