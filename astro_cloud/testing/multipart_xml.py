"""The XML of multipart uploads: the list of parts that completes one in, the answers out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from astro_cloud.testing.checksums import Checksum
from astro_cloud.testing.listing import NAMESPACE, encoder, timestamp
from astro_cloud.testing.refusal import document, element, refuse
from astro_cloud.testing.uploads import Part, UnfinishedUpload, Upload

MAX_ENTRIES = 1000
"""Most entries of a page, whatever ``max-parts`` or ``max-uploads`` says."""


@dataclass(frozen=True, slots=True)
class NamedPart:
    """A part as a CompleteMultipartUpload names it; the ETag without quotation marks."""

    number: int
    etag: str
    checksums: Mapping[str, str]


def named_parts(body: bytes) -> list[NamedPart]:
    """Read the body of a CompleteMultipartUpload.

    Raises
    ------
    Refused
        400 ``MalformedXML`` if it names no parts.
    """
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - on the loopback, from those who test
        parts = [_named_part(part) for part in root.iterfind("{*}Part")]
    except (ElementTree.ParseError, ValueError):
        parts = []
    if not parts:
        message = "The XML you provided was not well-formed or did not validate against our published schema"
        raise refuse(400, "MalformedXML", message)
    return parts


def created_xml(name: UnfinishedUpload) -> bytes:
    """Return the body of a CreateMultipartUpload's answer."""
    return document("InitiateMultipartUploadResult", _names(name, "UploadId"), NAMESPACE)


def completed_xml(name: UnfinishedUpload, *, location: str, etag: str, checksum: Checksum | None) -> bytes:
    """Return the body of a CompleteMultipartUpload's answer."""
    inner = element("Location", location) + _names(name) + element("ETag", etag)
    if checksum is not None:
        inner += _checksum(checksum) + element("ChecksumType", checksum.kind)
    return document("CompleteMultipartUploadResult", inner, NAMESPACE)


def parts_xml(upload: Upload, query: Mapping[str, str]) -> bytes:
    """Return the body of a ListParts' answer: the page that ``part-number-marker`` and ``max-parts`` ask for.

    Raises
    ------
    Refused
        400 ``InvalidArgument`` for one of them that is no number.
    """
    marker, limit = _number(query, "part-number-marker", 0), _limit(query, "max-parts")
    left = [part for part in upload.sorted_parts() if part.number > marker]
    page = left[:limit]
    parts = [_names(upload.name, "UploadId"), element("StorageClass", "STANDARD")]
    parts.append(element("PartNumberMarker", str(marker)))
    parts.append(element("NextPartNumberMarker", str(page[-1].number if page else 0)))
    parts += [element("MaxParts", str(limit)), element("IsTruncated", _truth(len(left) > limit))]
    if upload.scheme is not None:
        parts.append(element("ChecksumAlgorithm", upload.scheme.algorithm))
        parts.append(element("ChecksumType", upload.scheme.kind))
    return document("ListPartsResult", "".join(parts + [_part(part) for part in page]), NAMESPACE)


def uploads_xml(bucket: str, uploads: Sequence[Upload], query: Mapping[str, str]) -> bytes:
    """Return the body of a ListMultipartUploads' answer: one page of a bucket's uploads, which are sorted.

    Raises
    ------
    Refused
        400 ``InvalidArgument`` for a ``max-uploads`` that is no number.
    """
    encode, limit = encoder(query), _limit(query, "max-uploads")
    key_marker, id_marker = query.get("key-marker", ""), query.get("upload-id-marker", "")
    left = [upload for upload in uploads if _follows(upload.name, key_marker, id_marker)]
    left = [upload for upload in left if upload.name.key.startswith(query.get("prefix", ""))]
    page = left[:limit]
    parts = [element("Bucket", bucket), element("KeyMarker", encode(key_marker))]
    parts += [element("UploadIdMarker", id_marker), element("Prefix", encode(query.get("prefix", "")))]
    if len(left) > limit and page:
        parts.append(element("NextKeyMarker", encode(page[-1].name.key)))
        parts.append(element("NextUploadIdMarker", page[-1].name.upload_id))
    parts += [element("MaxUploads", str(limit)), element("IsTruncated", _truth(len(left) > limit))]
    if "encoding-type" in query:
        parts.append(element("EncodingType", "url"))
    parts += [_upload(upload, encode(upload.name.key)) for upload in page]
    return document("ListMultipartUploadsResult", "".join(parts), NAMESPACE)


def _named_part(part: ElementTree.Element) -> NamedPart:
    texts = {child.tag.rpartition("}")[2]: (child.text or "").strip() for child in part}
    prefix = "Checksum"
    checksums = {name.removeprefix(prefix): text for name, text in texts.items() if name.startswith(prefix)}
    return NamedPart(int(texts.get("PartNumber", "")), texts.get("ETag", "").strip('"'), checksums)


def _names(name: UnfinishedUpload, *more: str) -> str:
    inner = element("Bucket", name.bucket) + element("Key", name.key)
    return inner + "".join(element(tag, name.upload_id) for tag in more)


def _part(part: Part) -> str:
    inner = element("PartNumber", str(part.number)) + element("LastModified", timestamp(part.modified))
    inner += element("ETag", part.etag) + element("Size", str(part.size))
    return f"<Part>{inner}{_checksum(part.checksum)}</Part>"


def _upload(upload: Upload, key: str) -> str:
    inner = element("Key", key) + element("UploadId", upload.name.upload_id)
    inner += element("StorageClass", "STANDARD") + element("Initiated", timestamp(upload.initiated))
    if upload.scheme is not None:
        inner += element("ChecksumAlgorithm", upload.scheme.algorithm)
        inner += element("ChecksumType", upload.scheme.kind)
    return f"<Upload>{inner}</Upload>"


def _checksum(checksum: Checksum | None) -> str:
    return "" if checksum is None else element(f"Checksum{checksum.algorithm}", checksum.value)


def _follows(name: UnfinishedUpload, key_marker: str, id_marker: str) -> bool:
    """Tell whether an upload comes after the markers; an upload id's counts with a key's only."""
    if name.key == key_marker and id_marker:
        return name.upload_id > id_marker
    return not key_marker or name.key > key_marker


def _limit(query: Mapping[str, str], name: str) -> int:
    return min(_number(query, name, MAX_ENTRIES), MAX_ENTRIES)


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, "") or str(default)
    if not (text.isascii() and text.isdigit()):
        raise refuse(400, "InvalidArgument", f"Provided {name} not an integer or within integer range")
    return int(text)


def _truth(value: bool) -> str:
    return "true" if value else "false"
