"""Judge the answer to a request before a byte of it is used. Pure: headers in, a verdict out.

The table of the design: what is data, what is tried again, what is followed, what has changed, what
is refused. The client acts on verdicts and knows no status codes.

Reference: RFC 9110, sections 13 (conditional requests), 14 (range requests), 15 (status codes).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin

from astro_cloud.auth.refusal import Refusal
from astro_cloud.exceptions import (
    AstroCloudError,
    ChecksumError,
    ObjectChangedError,
    ObjectExistsError,
    ObjectNotFoundError,
    RangeNotSupportedError,
    StorageError,
)
from astro_cloud.storage.byterange import ByteRange, parse_content_range, parse_unsatisfied_range

__all__ = [
    "WHOLE_OBJECT_LIMIT",
    "Again",
    "Answer",
    "Data",
    "EndOfObject",
    "Fail",
    "Failure",
    "Redirect",
    "Refused",
    "Verdict",
    "Version",
    "changed",
    "failure_of",
    "failure_of_write",
    "judge",
    "version_of",
]

WHOLE_OBJECT_LIMIT = 1 << 20
"""Bytes: an object up to this size may be sent whole in place of a range, and is cut here."""

_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_SLOW_DOWN_CODES = frozenset({"SlowDown", "Throttling", "ServerBusy"})
_AGAIN_CODES = _SLOW_DOWN_CODES | {"RequestTimeout", "InternalError", "ServiceUnavailable"}
_CONFLICT_CODES = frozenset({"ConditionalRequestConflict", "OperationAborted"})
_DAMAGED_CODES = frozenset({"BadDigest", "Md5Mismatch", "XAmzContentSHA256Mismatch"})
_EXISTS_CODES = frozenset({"BlobAlreadyExists"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REFUSED = frozenset({400, 401, 403})
_REFUSED_CODES = frozenset({"PublicAccessNotPermitted"})
_ABSENT = {
    "NoSuchBucket": "no such bucket",
    "ContainerNotFound": "no such container",
    "ResourceNotFound": "no such object, or it is not public: so Azure answers who shows no credentials",
}
_RANGE_UNKNOWN = "without saying which bytes it sends (no Content-Range)"


@dataclass(frozen=True, slots=True)
class Version:
    """What tells one version of an object from the next.

    Attributes
    ----------
    etag : str or None
        Strong entity tag with its quotes; None where the server gives none, or a weak one.
    total : int or None
        Size in bytes.
    last_modified : str or None
        As the server spells it.
    weak_etag : str or None
        What the server gives in place of a strong one: good for comparing, not for If-Match.
    """

    etag: str | None = None
    total: int | None = None
    last_modified: str | None = None
    weak_etag: str | None = None

    def completed_by(self, other: Version) -> Version:
        """Return this version with what it lacks taken from another answer of the same version."""
        return Version(
            self.etag or other.etag,
            other.total if self.total is None else self.total,
            self.last_modified or other.last_modified,
            self.weak_etag or other.weak_etag,
        )

    def is_like(self, other: Version) -> bool:
        """Tell whether an ETag or a date shows two answers to be of one version, whatever their sizes."""
        pairs = (
            (self.etag, other.etag),
            (self.weak_etag, other.weak_etag),
            (self.last_modified, other.last_modified),
        )
        told = [mine == theirs for mine, theirs in pairs if mine and theirs]
        return bool(told) and told[0]

    def differs_from(self, other: Version) -> str | None:
        """Say how two answers cannot be of one version, or return None."""
        if self.etag and other.etag and self.etag != other.etag:
            return f"its ETag changed from {other.etag} to {self.etag}"
        if self.weak_etag and other.weak_etag and self.weak_etag != other.weak_etag:
            return f"its ETag changed from {other.weak_etag} to {self.weak_etag}"
        if self.total is not None and other.total is not None and self.total != other.total:
            return f"its size changed from {other.total} to {self.total} bytes"
        if (self.etag and other.etag) or not (self.last_modified and other.last_modified):
            return None
        if self.last_modified != other.last_modified:
            return f"it was modified: {self.last_modified}, before {other.last_modified}"
        return None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer's head; and the first bytes of its body where the status is no success."""

    status: int
    headers: Mapping[str, str]
    url: str
    error_body: bytes = b""

    @property
    def length(self) -> int | None:
        """Content-Length in bytes; None where there is none, or none that makes sense."""
        value = self.headers.get("Content-Length", "")
        return int(value) if value.isascii() and value.isdigit() else None

    @property
    def content_coding(self) -> str | None:
        """Content-Encoding, lower case; None where the bytes are the object's own."""
        coding = self.headers.get("Content-Encoding", "").lower()
        return coding if coding not in ("", "identity", "aws-chunked") else None


@dataclass(frozen=True, slots=True)
class Data:
    """The body holds bytes [start, stop) after `skip` others; the object is of `version`.

    They are all bytes asked for, or all up to the object's end; but where the server does not say its
    size (``version.total`` is None), fewer bytes than asked for may be less than there are.
    """

    start: int
    stop: int
    skip: int
    version: Version


@dataclass(frozen=True, slots=True)
class EndOfObject:
    """The range begins at or after the object's end; `version.total` where the server gave it."""

    version: Version


@dataclass(frozen=True, slots=True)
class Again:
    """The failure may pass; `retry_after` in seconds where the server asked for a wait.

    `slow_down` where it asked for fewer requests.
    """

    error: StorageError
    retry_after: float | None = None
    slow_down: bool = False


@dataclass(frozen=True, slots=True)
class Redirect:
    """The object is at `url`."""

    url: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The server wants another signature, another region, or no such request at all."""

    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Fail:
    """Nothing to be done about it."""

    error: AstroCloudError


Failure = Again | Redirect | Refused | Fail
"""What an answer can be that holds nothing of what was asked for."""
Verdict = Data | EndOfObject | Failure
"""What the answer to a ranged GET can be."""


def judge(
    answer: Answer,
    asked: ByteRange,
    location: str,
    pinned: Version | None = None,
    *,
    now: datetime | None = None,
) -> Verdict:
    """Decide what an answer to a ranged GET is.

    Parameters
    ----------
    answer : Answer
        Its head, and the beginning of an error's body.
    asked : ByteRange
        The bytes the request asked for.
    location : str
        For messages.
    pinned : Version, optional
        The version that earlier reads of the object were of.
    now : datetime, optional
        Aware; from which a date in Retry-After is counted. By default the clock's.

    Returns
    -------
    Verdict
        `Data` only if the body provably holds bytes from the first one asked for on.
    """
    if answer.status in (200, 206):
        return _judge_success(answer, asked, location, pinned)
    if answer.status == 416:
        return _judge_end(answer, asked, location, pinned)
    return failure_of(answer, location, now=now)


def failure_of(
    answer: Answer, location: str, *, now: datetime | None = None, absent: str = "no such object"
) -> Failure:
    """Decide what an answer to any request is that was not answered with success.

    Takes `answer`, `location` and `now` as `judge` does; `absent` is what a 404 means that does not say it.
    """
    status, headers = answer.status, answer.headers
    refusal = Refusal.of(status, headers, answer.error_body)
    if status == 412:
        return _changed(answer, location, "its ETag is no longer the one first read")
    if status in _REDIRECTS and headers.get("Location"):
        return _redirect(answer, location)
    if status in _AGAIN or refusal.code in _AGAIN_CODES:
        error = StorageError(_said(location, refusal), location=location, status=status)
        wait = _retry_after(headers.get("Retry-After"), now or datetime.now(UTC))
        return Again(error, wait, slow_down=status in (429, 503) or refusal.code in _SLOW_DOWN_CODES)
    if status in _REFUSED or refusal.code in _REFUSED_CODES or (status in _REDIRECTS and refusal.region):
        return Refused(refusal)
    if status == 404:
        what = _ABSENT.get(refusal.code, absent)
        return Fail(ObjectNotFoundError(f"{location}: {what} (404)", location=location, status=status))
    return Fail(StorageError(_said(location, refusal), location=location, status=status))


def failure_of_write(
    answer: Answer,
    location: str,
    *,
    now: datetime | None = None,
    absent: str = "no such bucket",
    may_exist: bool = True,
) -> Failure:
    """Decide what an answer to a request is that was to write, and was not answered with success.

    Takes what `failure_of` takes; `may_exist` is False where the request was not to overwrite an object.
    """
    code = Refusal.of(answer.status, answer.headers, answer.error_body).code
    if code in _DAMAGED_CODES:
        message = f"{location}: the bytes that arrived are not those that were sent ({answer.status} {code})"
        return Again(ChecksumError(message, location=location, status=answer.status))
    if code in _CONFLICT_CODES:
        message = f"{location}: somebody else writes it, too ({answer.status} {code})"
        return Again(StorageError(message, location=location, status=answer.status))
    if not may_exist and (answer.status == 412 or code in _EXISTS_CODES):
        message = f"{location}: there is an object already, and it was not to be overwritten"
        return Fail(ObjectExistsError(message, location=location, status=answer.status))
    if answer.status == 303:
        return _fail(answer, location, "answers an upload by sending us to read something else (303)")
    return failure_of(answer, location, now=now, absent=absent)


def _judge_success(answer: Answer, asked: ByteRange, location: str, pinned: Version | None) -> Verdict:
    encoding = answer.content_coding
    if encoding is not None:
        return Fail(
            RangeNotSupportedError(
                f"{location}: the server answers with Content-Encoding {encoding!r}, so positions in it are "
                "not positions in the file: download the object whole and decompress it, or store it without "
                "that header",
                location=location,
                status=answer.status,
            )
        )
    try:
        sent = _range_sent(answer, asked)
    except ValueError as error:
        return _fail(answer, location, str(error))
    if sent is None:
        return Fail(
            RangeNotSupportedError(
                f"{location}: the server answers a byte range with the whole object, of more than "
                f"{WHOLE_OBJECT_LIMIT >> 20} MiB or unknown length: it cannot be read in parts",
                location=location,
                status=answer.status,
            )
        )
    change = pinned and sent.version.differs_from(pinned)
    return _changed(answer, location, change) if change else sent


def _range_sent(answer: Answer, asked: ByteRange) -> Data | EndOfObject | None:
    """Read the headers for the bytes that were sent; None for a whole object that is too long.

    Raises
    ------
    ValueError
        If they are not the bytes asked for.
    """
    length = answer.length
    value = answer.headers.get("Content-Range")
    if value is None:
        if answer.status == 206:
            raise ValueError(f"answers 206 {_RANGE_UNKNOWN}")
        return _out_of_whole(answer, asked, length)
    sent = parse_content_range(value)
    if sent.start == sent.stop == sent.total == asked.start:
        return EndOfObject(version_of(answer, sent.total))  # so Azurite answers where the object ends
    ends_early = sent.stop < asked.stop and sent.total not in (sent.stop, None)
    if sent.start != asked.start or sent.stop > asked.stop or ends_early:
        raise ValueError(f"answers bytes [{asked.start}, {asked.stop}) with Content-Range {value!r}")
    if length is not None and length != sent.stop - sent.start:
        raise ValueError(f"announces {length} bytes under Content-Range {value!r}")
    return Data(sent.start, sent.stop, 0, version_of(answer, sent.total))


def _out_of_whole(answer: Answer, asked: ByteRange, length: int | None) -> Data | EndOfObject | None:
    if length is None or length > WHOLE_OBJECT_LIMIT:
        return None
    version = version_of(answer, length)
    if asked.start >= length:
        return EndOfObject(version)
    return Data(asked.start, min(asked.stop, length), asked.start, version)


def _judge_end(answer: Answer, asked: ByteRange, location: str, pinned: Version | None) -> Verdict:
    version = Version(total=parse_unsatisfied_range(answer.headers.get("Content-Range")))
    change = pinned and version.differs_from(pinned)
    if not change and pinned and pinned.total is not None and asked.start < pinned.total:
        if version.total is not None:
            return _fail(answer, location, f"answers 416 for byte {asked.start} of {version.total}")
        change = f"it ends before byte {asked.start}, and had {pinned.total} bytes"
    return _changed(answer, location, change) if change else EndOfObject(version)


def _redirect(answer: Answer, location: str) -> Failure:
    target = answer.headers["Location"]
    with suppress(UnicodeError):  # bytes that are not ASCII arrive read as Latin-1, and are UTF-8
        target = target.encode("latin-1").decode()
    try:
        return Redirect(urljoin(answer.url, target))
    except ValueError:
        return _fail(answer, location, "redirects to what is not a URL")


def _said(location: str, refusal: Refusal) -> str:
    return f"{location}: the server answered {refusal}" + (f": {refusal.message}" if refusal.message else "")


def changed(location: str, how: str, status: int | None = None) -> ObjectChangedError:
    """Make the error for an object that is not the version first read any more."""
    return ObjectChangedError(
        f"{location}: the object was overwritten while it was read: {how}. Read it again from the start",
        location=location,
        status=status,
    )


def _changed(answer: Answer, location: str, how: str) -> Fail:
    return Fail(changed(location, how, answer.status))


def _fail(answer: Answer, location: str, what: str) -> Fail:
    return Fail(StorageError(f"{location}: the server {what}", location=location, status=answer.status))


def version_of(answer: Answer, total: int | None) -> Version:
    """Read what tells an object's version out of an answer's headers."""
    etag = answer.headers.get("ETag", "").strip()
    weak = etag if etag.startswith("W/") else None
    strong = etag if len(etag) > 2 and weak is None else None
    return Version(strong, total, answer.headers.get("Last-Modified"), weak)


def _retry_after(value: str | None, now: datetime) -> float | None:
    """Read a Retry-After header (RFC 9110, section 10.2.3): seconds, or a date."""
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (TypeError, ValueError):
        return None
