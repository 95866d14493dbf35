"""The judge's table, row by row: what each answer to a ranged GET is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from requests.structures import CaseInsensitiveDict

from astro_cloud.exceptions import (
    AstroCloudError,
    ObjectChangedError,
    ObjectNotFoundError,
    RangeNotSupportedError,
    StorageError,
)
from astro_cloud.storage.answers import (
    WHOLE_OBJECT_LIMIT,
    Again,
    Answer,
    Data,
    EndOfObject,
    Fail,
    Redirect,
    Refused,
    Version,
    judge,
)
from astro_cloud.storage.byterange import ByteRange

URL = "https://archive.example/sky/m31.fits"
NAME = "s3://sky/m31.fits"
ETAG, OTHER = '"a1b2"', '"c3d4"'
MONDAY, TUESDAY = "Mon, 01 Jan 2024 00:00:00 GMT", "Tue, 02 Jan 2024 00:00:00 GMT"


def gist(status: int, headers: dict[str, str], body: bytes = b"", **options: Any) -> Any:
    """Judge an answer to bytes [100, 200); an error is told by its class."""
    answer = Answer(status, CaseInsensitiveDict(headers), URL, body)
    asked = options.pop("asked", ByteRange(100, 200))
    verdict = judge(answer, asked, NAME, **options)
    match verdict:
        case Fail(error):
            return type(error)
        case Again(error, retry_after):
            return "again", retry_after
        case Refused(refusal):
            return "refused", refusal.code, refusal.region
        case _:
            return verdict


def s3(code: str, extra: str = "") -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code>{extra}</Error>".encode()


def data(start: int, stop: int, *, skip: int = 0, **version: Any) -> Data:
    return Data(start, stop, skip, Version(**version))


RIGHT = {"Content-Range": "bytes 100-199/1000", "ETag": ETAG, "Content-Length": "100"}

DATA_ROWS: dict[str, tuple[int, dict[str, str], Any]] = {
    "exactly what was asked": (206, RIGHT, data(100, 200, etag=ETAG, total=1000)),
    "rclone: 200 with the right range": (200, RIGHT, data(100, 200, etag=ETAG, total=1000)),
    "length not announced": (206, {"Content-Range": "bytes 100-199/1000"}, data(100, 200, total=1000)),
    "cut at the object's end": (206, {"Content-Range": "bytes 100-149/150"}, data(100, 150, total=150)),
    "unknown total": (206, {"Content-Range": "bytes 100-199/*"}, data(100, 200)),
    "a weak ETag is only compared": (
        206,
        RIGHT | {"ETag": f"W/{ETAG}"},
        data(100, 200, total=1000, weak_etag=f"W/{ETAG}"),
    ),
    "an encoding that is none": (
        206,
        RIGHT | {"Content-Encoding": ""},
        data(100, 200, etag=ETAG, total=1000),
    ),
    "Azurite: an empty range at the end": (
        206,
        {"Content-Range": "bytes 100-99/100", "ETag": ETAG},
        EndOfObject(Version(ETAG, 100)),
    ),
    "an empty ETag is none": (206, RIGHT | {"ETag": '""'}, data(100, 200, total=1000)),
    "Last-Modified is kept": (
        206,
        RIGHT | {"Last-Modified": MONDAY},
        data(100, 200, etag=ETAG, total=1000, last_modified=MONDAY),
    ),
    "Content-Encoding identity": (
        206,
        RIGHT | {"Content-Encoding": "identity"},
        data(100, 200, etag=ETAG, total=1000),
    ),
    "whole small object": (200, {"Content-Length": "1000"}, data(100, 200, skip=100, total=1000)),
    "whole small object, cut at its end": (
        200,
        {"Content-Length": "150"},
        data(100, 150, skip=100, total=150),
    ),
    "whole object of just the limit": (
        200,
        {"Content-Length": str(WHOLE_OBJECT_LIMIT)},
        data(100, 200, skip=100, total=WHOLE_OBJECT_LIMIT),
    ),
    "whole object that ends before the range": (
        200,
        {"Content-Length": "100", "ETag": ETAG},
        EndOfObject(Version(ETAG, 100)),
    ),
    "whole empty object": (200, {"Content-Length": "0"}, EndOfObject(Version(total=0))),
}

REFUSED_SUCCESS_ROWS: dict[str, tuple[int, dict[str, str], type[AstroCloudError]]] = {
    "an empty range before the end": (206, {"Content-Range": "bytes 100-99/1000"}, StorageError),
    "starts later": (206, {"Content-Range": "bytes 101-199/1000"}, StorageError),
    "starts earlier": (206, {"Content-Range": "bytes 0-199/1000"}, StorageError),
    "ends later": (206, {"Content-Range": "bytes 100-200/1000"}, StorageError),
    "ends earlier, and not at the object's end": (206, {"Content-Range": "bytes 100-149/1000"}, StorageError),
    "the same under 200": (200, {"Content-Range": "bytes 0-99/1000"}, StorageError),
    "malformed": (206, {"Content-Range": "bytes 100-199"}, StorageError),
    "impossible": (206, {"Content-Range": "bytes 100-199/150"}, StorageError),
    "announces fewer bytes": (206, RIGHT | {"Content-Length": "99"}, StorageError),
    "announces more bytes": (206, RIGHT | {"Content-Length": "1000"}, StorageError),
    "206 without Content-Range": (206, {"Content-Length": "100"}, StorageError),
    "multipart/byteranges": (206, {"Content-Type": "multipart/byteranges; boundary=x"}, StorageError),
    "gzip": (206, RIGHT | {"Content-Encoding": "gzip"}, RangeNotSupportedError),
    "gzip of the whole": (200, {"Content-Encoding": "GZIP", "Content-Length": "90"}, RangeNotSupportedError),
    "whole large object": (
        200,
        {"Content-Length": str(WHOLE_OBJECT_LIMIT + 1)},
        RangeNotSupportedError,
    ),
    "whole object of unknown length": (200, {"Transfer-Encoding": "chunked"}, RangeNotSupportedError),
    "whole object of nonsense length": (200, {"Content-Length": "many"}, RangeNotSupportedError),
}

FAILURE_ROWS: dict[str, tuple[int, dict[str, str], bytes, Any]] = {
    "416 with the size": (416, {"Content-Range": "bytes */100"}, b"", EndOfObject(Version(total=100))),
    "416 without": (416, {}, s3("InvalidRange"), EndOfObject(Version())),
    "412": (412, {}, s3("PreconditionFailed"), ObjectChangedError),
    "408": (408, {}, b"", ("again", None)),
    "429": (429, {"Retry-After": "3"}, b"", ("again", 3.0)),
    "500": (500, {}, s3("InternalError"), ("again", None)),
    "502": (502, {}, b"<html>bad gateway</html>", ("again", None)),
    "503": (503, {"Retry-After": "0"}, s3("SlowDown"), ("again", 0.0)),
    "503, wait unreadable": (503, {"Retry-After": "soon"}, b"", ("again", None)),
    "503, wait negative": (503, {"Retry-After": "-5"}, b"", ("again", None)),
    "503, date past": (503, {"Retry-After": MONDAY}, b"", ("again", 0.0)),
    "504": (504, {}, b"", ("again", None)),
    "S3's 400 RequestTimeout": (400, {}, s3("RequestTimeout"), ("again", None)),
    "S3's SlowDown under another status": (400, {}, s3("SlowDown"), ("again", None)),
    "302 absolute": (302, {"Location": "https://b.example/k"}, b"", Redirect("https://b.example/k")),
    "301 relative": (301, {"Location": "/sky/m32"}, b"", Redirect("https://archive.example/sky/m32")),
    "303 beside": (303, {"Location": "m32"}, b"", Redirect("https://archive.example/sky/m32")),
    "307 of the scheme only": (307, {"Location": "//b.example/k"}, b"", Redirect("https://b.example/k")),
    "308": (308, {"Location": "?v=2"}, b"", Redirect(f"{URL}?v=2")),
    "301 that names a region": (
        301,
        {"x-amz-bucket-region": "eu-west-1"},
        s3("PermanentRedirect"),
        ("refused", "PermanentRedirect", "eu-west-1"),
    ),
    "307 that names a region": (
        307,
        {},
        s3("TemporaryRedirect", "<Region>eu-west-1</Region>"),
        ("refused", "TemporaryRedirect", "eu-west-1"),
    ),
    "400 that names a region": (
        400,
        {},
        s3("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"),
        ("refused", "AuthorizationHeaderMalformed", "eu-west-1"),
    ),
    "400 expired token": (400, {}, s3("ExpiredToken"), ("refused", "ExpiredToken", None)),
    "401": (401, {}, b"", ("refused", "", None)),
    "403": (403, {}, s3("AccessDenied"), ("refused", "AccessDenied", None)),
    "403 skewed": (403, {}, s3("RequestTimeTooSkewed"), ("refused", "RequestTimeTooSkewed", None)),
    "404": (404, {}, s3("NoSuchKey"), ObjectNotFoundError),
    "404 of a bucket": (404, {}, s3("NoSuchBucket"), ObjectNotFoundError),
    "301 to nowhere": (301, {}, b"", StorageError),
    "redirect to no URL": (302, {"Location": "http://[bad/k"}, b"", StorageError),
    "204": (204, {}, b"", StorageError),
    "304": (304, {}, b"", StorageError),
    "405": (405, {}, s3("MethodNotAllowed"), StorageError),
    "501": (501, {}, b"", StorageError),
}

PINNED = Version(ETAG, 1000, MONDAY)
WEAKLY = Version(None, 1000, MONDAY)
NO_SIZE = {"ETag": ETAG, "Content-Range": "bytes 100-199/*"}

PIN_ROWS: dict[str, tuple[Version, int, dict[str, str], Any]] = {
    "the same": (PINNED, 206, RIGHT, data(100, 200, etag=ETAG, total=1000)),
    "the same ETag, modified": (
        PINNED,
        206,
        RIGHT | {"Last-Modified": TUESDAY},
        data(100, 200, etag=ETAG, total=1000, last_modified=TUESDAY),
    ),
    "another ETag": (PINNED, 206, RIGHT | {"ETag": OTHER}, ObjectChangedError),
    "another weak ETag": (
        Version(None, 1000, weak_etag='W/"1"'),
        206,
        RIGHT | {"ETag": 'W/"2"'},
        ObjectChangedError,
    ),
    "the same weak ETag": (
        Version(None, 1000, weak_etag='W/"1"'),
        206,
        RIGHT | {"ETag": 'W/"1"'},
        data(100, 200, total=1000, weak_etag='W/"1"'),
    ),
    "another size": (PINNED, 206, RIGHT | {"Content-Range": "bytes 100-199/999"}, ObjectChangedError),
    "size no longer said": (PINNED, 206, NO_SIZE, data(100, 200, etag=ETAG)),
    "no ETag, the same date": (
        WEAKLY,
        206,
        RIGHT | {"Last-Modified": MONDAY},
        data(100, 200, etag=ETAG, total=1000, last_modified=MONDAY),
    ),
    "no ETag, another date": (WEAKLY, 206, RIGHT | {"Last-Modified": TUESDAY}, ObjectChangedError),
    "weak ETag, another date": (
        PINNED,
        206,
        RIGHT | {"ETag": f"W/{ETAG}", "Last-Modified": TUESDAY},
        ObjectChangedError,
    ),
    "whole object of another size": (PINNED, 200, {"Content-Length": "999"}, ObjectChangedError),
    "416 within its own size": (PINNED, 416, {"Content-Range": "bytes */1000"}, StorageError),
    "416 within the pinned size": (PINNED, 416, {}, ObjectChangedError),
    "416 of another size": (PINNED, 416, {"Content-Range": "bytes */100"}, ObjectChangedError),
}


@pytest.mark.parametrize(("status", "headers", "expected"), DATA_ROWS.values(), ids=DATA_ROWS)
def test_a_body_that_provably_holds_the_bytes_is_data(
    status: int, headers: dict[str, str], expected: Any
) -> None:
    """The bytes asked for, or those up to the object's end, are data, whatever the status calls them."""
    assert gist(status, headers) == expected


@pytest.mark.parametrize(
    ("status", "headers", "expected"), REFUSED_SUCCESS_ROWS.values(), ids=REFUSED_SUCCESS_ROWS
)
def test_any_other_body_is_an_error(
    status: int, headers: dict[str, str], expected: type[AstroCloudError]
) -> None:
    """A success that does not prove to hold the bytes asked for is never data."""
    assert gist(status, headers) is expected


@pytest.mark.parametrize(("status", "headers", "body", "expected"), FAILURE_ROWS.values(), ids=FAILURE_ROWS)
def test_every_failure_has_its_verdict(
    status: int, headers: dict[str, str], body: bytes, expected: Any
) -> None:
    """Each status of the table leads where the table says; what is not in it is a StorageError."""
    assert gist(status, headers, body) == expected


@pytest.mark.parametrize(("pinned", "status", "headers", "expected"), PIN_ROWS.values(), ids=PIN_ROWS)
def test_a_later_answer_must_be_of_the_pinned_version(
    pinned: Version, status: int, headers: dict[str, str], expected: Any
) -> None:
    """ETags decide; where one is missing or weak, size and date do."""
    assert gist(status, headers, pinned=pinned) == expected


@pytest.mark.parametrize("headers", [{"Content-Range": "bytes */1000"}, {}], ids=["with the size", "bare"])
def test_a_416_past_the_pinned_end_is_the_end(headers: dict[str, str]) -> None:
    """A range that begins where the object is known to end is empty, and no change."""
    assert isinstance(gist(416, headers, asked=ByteRange(1000, 1100), pinned=PINNED), EndOfObject)


def test_a_range_cut_at_the_pinned_end_needs_no_total() -> None:
    """A shorter body under an unknown total is data where the pinned size proves that it ends there."""
    headers = {"Content-Range": "bytes 100-149/*", "ETag": ETAG}
    assert gist(206, headers, pinned=Version(ETAG, 150)) == data(100, 150, etag=ETAG)


def test_a_retry_after_date_is_a_wait_from_now() -> None:
    """Retry-After may be a date (RFC 9110, section 10.2.3); the wait is what is left until then."""
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    kind, seconds = gist(503, {"Retry-After": then})
    assert kind == "again"
    assert 50 < seconds <= 60


@pytest.mark.parametrize(
    ("status", "headers", "says"),
    [
        (206, {"Content-Range": "bytes 0-99/1000"}, "bytes 0-99/1000"),
        (206, RIGHT | {"Content-Encoding": "gzip"}, "gzip"),
        (200, {}, "cannot be read in parts"),
        (412, {}, "Read it again"),
        (404, {}, "404"),
        (503, {}, "503"),
    ],
)
def test_every_error_names_the_object_and_the_status(status: int, headers: dict[str, str], says: str) -> None:
    """An error's message begins with the location, says what was wrong, and carries the status."""
    answer = Answer(status, CaseInsensitiveDict(headers), URL)
    verdict = judge(answer, ByteRange(100, 200), NAME)
    assert isinstance(verdict, Fail | Again)
    assert isinstance(verdict.error, StorageError)
    assert str(verdict.error).startswith(f"{NAME}: ")
    assert says in str(verdict.error)
    assert (verdict.error.location, verdict.error.status) == (NAME, status)
