"""Our signatures against AWS's own figures: its signing test suite, and its documentation's examples."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from astro_cloud.auth import sigv4
from astro_cloud.auth.aws import AWSAuth
from tests import corpora

ACCESS_KEY = "AKIDEXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
MOMENT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
AMZ_DATE = "20150830T123600Z"
REGION, SERVICE = "us-east-1", "service"

#: Cases that a `requests` request through AWSAuth cannot say: these headers are none that it signs,
NOT_SIGNED = ("my-header1", "my-header2")
#: this one adds the session token after signing, and these two put what no HTTP client puts on the wire
#: (a path that is not encoded), for which the suite has the path encoded once, not twice.
NOT_SENT = {"post-sts-header-after", "get-utf8", "get-space"}


@dataclass(frozen=True)
class Case:
    """A case of the suite: the request, and AWS's word on every stage of its signature."""

    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes
    canonical_request: str
    string_to_sign: str
    authorization: str

    @property
    def signed_headers(self) -> list[tuple[str, str]]:
        """Those headers of the signed request that the case has in its signature."""
        names = self.authorization.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        return [(name, value) for name, value in self.headers if name.lower() in names]


def read_case(folder: Path) -> Case:
    """Read a case's files; the headers are those of the signed request, so with a token if it has one."""

    def stage(suffix: str) -> str:
        return (folder / f"{folder.name}.{suffix}").read_text(encoding="utf-8").replace("\r\n", "\n")

    head, _, body = stage("sreq").partition("\n\n")
    first, *lines = head.replace("\n ", " ").splitlines()
    method, _, target = first.rpartition(" ")[0].partition(" ")
    path, _, query = target.partition("?")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return Case(
        method=method,
        path=path,
        query=query,
        headers=[(name, value) for name, value in headers if name != "Authorization"],
        body=body.encode(),
        canonical_request=stage("creq"),
        string_to_sign=stage("sts"),
        authorization=stage("authz"),
    )


def case_folders() -> list[Path]:
    """Return the folders of all cases; none where the suite was not fetched."""
    return sorted(file.parent for file in corpora.AWS4_TESTSUITE.rglob("*.req"))


def speakable(folder: Path) -> bool:
    """Tell whether requests and AWSAuth can say the case."""
    signed = {name.lower() for name, _ in read_case(folder).signed_headers}
    return folder.name not in NOT_SENT and signed.isdisjoint(NOT_SIGNED)


def over(folders: list[Path]) -> Callable[..., pytest.MarkDecorator]:
    return pytest.mark.parametrize("folder", folders, ids=[folder.name for folder in folders])


def test_the_suite_is_whole(aws4_testsuite: Path) -> None:
    """All 34 header cases that AWS published are judged, and 25 of them through requests."""
    folders = case_folders()
    assert len(folders) == 34
    assert sum(map(speakable, folders)) == 25


@over(case_folders())
def test_every_stage_is_as_aws_has_it(folder: Path) -> None:
    """Canonical request, string to sign and Authorization equal the suite's, character for character."""
    case = read_case(folder)
    block, signed_headers = sigv4.canonical_headers(case.signed_headers)
    canonical_request = sigv4.canonical_request(
        case.method,
        sigv4.canonical_uri(case.path, normalize=True),
        sigv4.canonical_query_string(case.query),
        block,
        signed_headers,
        hashlib.sha256(case.body).hexdigest(),
    )
    assert canonical_request == case.canonical_request
    scope = sigv4.credential_scope(AMZ_DATE, REGION, SERVICE)
    string_to_sign = sigv4.string_to_sign(AMZ_DATE, scope, canonical_request)
    assert string_to_sign == case.string_to_sign
    key = sigv4.signing_key(SECRET_KEY, AMZ_DATE[:8], REGION, SERVICE)
    signature = sigv4.signature(key, string_to_sign)
    assert sigv4.authorization(ACCESS_KEY, scope, signed_headers, signature) == case.authorization


@over([folder for folder in case_folders() if speakable(folder)])
def test_a_requests_request_carries_the_suites_authorization(folder: Path) -> None:
    """AWSAuth, given a case as a request of `requests`, writes the Authorization that AWS has for it."""
    case = read_case(folder)
    headers = {name.lower(): value for name, value in case.headers}
    auth = AWSAuth(
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        session_token=headers.pop("x-amz-security-token", None),
        region=REGION,
        service=SERVICE,
        clock=lambda: MOMENT,
    )
    url = f"https://{headers.pop('host')}{case.path}" + (f"?{case.query}" if case.query else "")
    del headers["x-amz-date"]
    request = requests.Request(case.method, url, headers=headers, data=case.body, auth=auth).prepare()
    assert request.headers["Authorization"] == case.authorization
    assert request.headers["X-Amz-Date"] == AMZ_DATE


@dataclass(frozen=True)
class Example:
    """A request of AWS's documentation, with its figures."""

    method: str
    url: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    canonical_request_hash: str
    signed_headers: str
    signature: str


BUCKET = "https://examplebucket.s3.amazonaws.com"
#: Amazon S3 API Reference, "Signature Calculations for the Authorization Header", its four examples.
EXAMPLES = {
    "get-object": Example(
        method="GET",
        url=f"{BUCKET}/test.txt",
        path="/test.txt",
        query="",
        headers={"Range": "bytes=0-9"},
        body=b"",
        canonical_request_hash="7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972",
        signed_headers="host;range;x-amz-content-sha256;x-amz-date",
        signature="f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "put-object": Example(
        method="PUT",
        url=f"{BUCKET}/test$file.text",
        path="/test$file.text",
        query="",
        headers={"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
        body=b"Welcome to Amazon S3.",
        canonical_request_hash="9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d",
        signed_headers="date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        signature="98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "get-bucket-lifecycle": Example(
        method="GET",
        url=f"{BUCKET}/?lifecycle",
        path="/",
        query="lifecycle",
        headers={},
        body=b"",
        canonical_request_hash="9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca",
        signed_headers="host;x-amz-content-sha256;x-amz-date",
        signature="fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "list-objects": Example(
        method="GET",
        url=f"{BUCKET}/?max-keys=2&prefix=J",
        path="/",
        query="max-keys=2&prefix=J",
        headers={},
        body=b"",
        canonical_request_hash="df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7",
        signed_headers="host;x-amz-content-sha256;x-amz-date",
        signature="34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}
S3_ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
S3_SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
S3_DATE = "20130524T000000Z"
S3_SCOPE = "20130524/us-east-1/s3/aws4_request"

over_examples = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)


@over_examples
def test_every_stage_of_a_documented_example(example: Example) -> None:
    """Hash of the canonical request, string to sign and signature are those AWS documents for S3."""
    payload_hash = hashlib.sha256(example.body).hexdigest()
    added = {"Host": BUCKET.removeprefix("https://"), "X-Amz-Date": S3_DATE}
    headers = {**example.headers, **added, "X-Amz-Content-SHA256": payload_hash}
    block, signed_headers = sigv4.canonical_headers(headers.items())
    assert signed_headers == example.signed_headers
    canonical_request = sigv4.canonical_request(
        example.method,
        sigv4.canonical_uri(example.path, normalize=False),
        sigv4.canonical_query_string(example.query),
        block,
        signed_headers,
        payload_hash,
    )
    assert sigv4.credential_scope(S3_DATE, REGION, "s3") == S3_SCOPE
    string_to_sign = sigv4.string_to_sign(S3_DATE, S3_SCOPE, canonical_request)
    assert string_to_sign == f"AWS4-HMAC-SHA256\n{S3_DATE}\n{S3_SCOPE}\n{example.canonical_request_hash}"
    key = sigv4.signing_key(S3_SECRET_KEY, S3_DATE[:8], REGION, "s3")
    assert sigv4.signature(key, string_to_sign) == example.signature


@over_examples
def test_a_requests_request_carries_the_documented_authorization(example: Example) -> None:
    """AWSAuth, given a documented example as a request of `requests`, writes what AWS documents."""
    auth = AWSAuth(
        access_key=S3_ACCESS_KEY,
        secret_key=S3_SECRET_KEY,
        region=REGION,
        clock=lambda: datetime(2013, 5, 24, tzinfo=UTC),
    )
    draft = requests.Request(
        example.method, example.url, headers=example.headers, data=example.body, auth=auth
    )
    assert draft.prepare().headers["Authorization"] == (
        f"AWS4-HMAC-SHA256 Credential={S3_ACCESS_KEY}/{S3_SCOPE}, "
        f"SignedHeaders={example.signed_headers}, Signature={example.signature}"
    )


def test_the_documented_signing_key() -> None:
    """The key derived for IAM is the one AWS's General Reference prints."""
    key = sigv4.signing_key(SECRET_KEY, "20150830", REGION, "iam")
    assert key.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"


def test_only_spaces_and_tabs_are_collapsed() -> None:
    """A no-break space and NEL are bytes of letters in UTF-8, and stay."""
    block, _ = sigv4.canonical_headers([("A", " \t x \t  y\xa0 \x85 ")])
    assert block == "a:x y\xa0 \x85\n"
