"""S3's multipart uploads in words: what is asked, and what the XML of an answer says. Pure.

Reference: Amazon S3 API Reference, "CreateMultipartUpload", "UploadPart", "ListMultipartUploads",
"ListParts", "CompleteMultipartUpload".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, unquote_plus
from xml.sax.saxutils import escape

from astro_cloud.storage.checksum import ALGORITHMS, Algorithm
from astro_cloud.storage.xml_records import RecordReader

__all__ = [
    "GONE",
    "Listed",
    "Part",
    "completion",
    "etag_of_parts",
    "is_md5",
    "listed_parts",
    "listed_uploads",
    "parts_query",
    "read_etag",
    "upload_id",
    "uploads_query",
]

GONE = "the upload is no more: somebody else ended it"
"""What a 404 means that is about an upload."""

_MD5_ETAG = re.compile(r'"?([0-9a-f]{32})"?')


@dataclass(frozen=True, slots=True)
class Part:
    """A part that the store has.

    Attributes
    ----------
    number : int
        From 1.
    size : int
        In bytes.
    etag : str
        As the store spells it.
    checksums : mapping
        By algorithm, in base64.
    """

    number: int
    size: int
    etag: str
    checksums: Mapping[Algorithm, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of parts; `marker` asks for the next one, and all are checked by one `algorithm`.

    `kind` is how the checksum of the whole is made, ``"FULL_OBJECT"`` or ``"COMPOSITE"``; either may be
    empty.
    """

    parts: Sequence[Part]
    marker: str | None
    algorithm: str
    kind: str = ""


def upload_id(body: bytes) -> str:
    """Read the ID of a new upload.

    Raises
    ------
    ValueError
        If there is none.
    """
    try:
        fields = _read("InitiateMultipartUploadResult", body).fields
    except ValueError:
        fields = _read("InitiateMultipartUpload", body).fields  # so rclone calls it
    if not fields.get("UploadId"):
        raise ValueError("it has no UploadId")
    return fields["UploadId"]


def uploads_query(key: str, marker: tuple[str, str] | None) -> str:
    """Ask for the uploads of keys that begin with `key`, after a marker."""
    terms = {"encoding-type": "url", "prefix": key, "uploads": ""}
    if marker is not None:
        terms["key-marker"], terms["upload-id-marker"] = marker
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in terms.items())


def listed_uploads(body: bytes, key: str) -> tuple[list[tuple[str, str]], tuple[str, str] | None]:
    """Return when each upload of `key` began, with its ID; and the marker of the next page."""
    read = _read("ListMultipartUploadsResult", body, "Upload")
    is_encoded = read.fields.get("EncodingType", "").lower() == "url"
    found = [
        (upload.get("Initiated", ""), upload.get("UploadId", ""))
        for _, upload in read.records
        # Ceph encodes keys and does not say so; that all of them begin with `key` tells them apart
        if key == unquote_plus(upload.get("Key", "")) or (key == upload.get("Key") and not is_encoded)
    ]
    if read.fields.get("IsTruncated", "").lower() != "true":
        return found, None
    marker = read.fields.get("NextKeyMarker", "")
    return found, (
        unquote_plus(marker) if is_encoded else marker,
        read.fields.get("NextUploadIdMarker", ""),
    )


def parts_query(upload: str, marker: str | None) -> str:
    """Ask for the parts of an upload, after a marker."""
    after = f"part-number-marker={quote(marker, safe='')}&" if marker is not None else ""
    return f"{after}uploadId={quote(upload, safe='')}"


def listed_parts(body: bytes) -> Listed:
    """Read a page of parts; raises ValueError if it is none."""
    read = _read("ListPartsResult", body, "Part")
    more = read.fields.get("IsTruncated", "").lower() == "true"
    parts = [_part(fields) for _, fields in read.records]
    marker = read.fields.get("NextPartNumberMarker") or None
    algorithm, kind = (read.fields.get(f"Checksum{term}", "").upper() for term in ("Algorithm", "Type"))
    return Listed(parts, marker if more else None, algorithm, kind)


def _part(fields: Mapping[str, str]) -> Part:
    checksums = {name: fields[f"Checksum{name}"] for name in ALGORITHMS if f"Checksum{name}" in fields}
    return Part(int(fields["PartNumber"]), int(fields["Size"]), fields["ETag"], checksums)


def completion(parts: Sequence[Part]) -> bytes:
    """Write the list of parts that make an object."""
    listed = "".join(
        f"<Part><PartNumber>{part.number}</PartNumber><ETag>{escape(part.etag)}</ETag>"
        + "".join(f"<Checksum{name}>{value}</Checksum{name}>" for name, value in part.checksums.items())
        + "</Part>"
        for part in parts
    )
    namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
    return f'<CompleteMultipartUpload xmlns="{namespace}">{listed}</CompleteMultipartUpload>'.encode()


def is_md5(etag: str, digest: bytes) -> bool | None:
    """Tell whether an ETag is this MD5; None where it is no MD5 at all."""
    match = _MD5_ETAG.fullmatch(etag)
    return None if match is None else bytes.fromhex(match[1]) == digest


def etag_of_parts(parts: Sequence[Part]) -> str | None:
    """Return the ETag that S3 gives an object of these parts, if their own are MD5s."""
    matches = [_MD5_ETAG.fullmatch(part.etag) for part in parts]
    digests = [bytes.fromhex(match[1]) for match in matches if match is not None]
    if len(digests) < len(parts):
        return None
    return f'"{hashlib.md5(b"".join(digests), usedforsecurity=False).hexdigest()}-{len(parts)}"'


def read_etag(body: bytes) -> str | None:
    """Read the ETag of a completed object, which Ceph leaves empty.

    Raises
    ------
    ValueError
        If the answer is something else.
    """
    return _read("CompleteMultipartUploadResult", body).fields.get("ETag") or None


def _read(root: str, body: bytes, *kinds: str) -> RecordReader:
    reader = RecordReader(root, frozenset(kinds))
    reader.feed(body, last=True)
    return reader
