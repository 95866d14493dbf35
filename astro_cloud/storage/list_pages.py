"""A page of a listing: the query that asks for it, the XML that answers, for each protocol. Pure.

Google Cloud Storage is asked by its XML API, which has S3's ListObjectsV2: of its two APIs the one that
takes every credential (none, HMAC keys, bearer tokens).

Reference: Amazon S3 API Reference, "ListObjectsV2"; Google Cloud Storage, XML API, "List objects"; Azure
Storage REST API, "List Blobs".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote, unquote, unquote_plus

from astro_cloud.auth import sharedkey
from astro_cloud.auth.endpoints import Provider
from astro_cloud.storage.validators import entity_tag, http_date, iso_date
from astro_cloud.storage.xml_records import RecordReader

__all__ = ["Ask", "Entry", "ListProtocol", "Page", "protocol_of"]


@dataclass(frozen=True, slots=True)
class Ask:
    """What a listing is to hold.

    Attributes
    ----------
    prefix : str
        Decoded; all keys begin with it.
    delimiter : str or None
        Keys that hold it behind `prefix` are told by what they begin with.
    page_size : int or None
        Entries of a page at most; None for the server's own bound.
    """

    prefix: str = ""
    delimiter: str | None = None
    page_size: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """What a page says of an object; attributes as `ObjectInfo` has them."""

    key: str
    size: int
    etag: str | None = None
    last_modified: datetime | None = None
    version: str | None = None
    content_type: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Objects and common prefixes, and what to ask the next page with; None if this is the last."""

    entries: Sequence[Entry]
    prefixes: Sequence[str]
    token: str | None


@dataclass(frozen=True, slots=True)
class ListProtocol:
    """How a store is asked for a page of keys, and how it answers.

    Attributes
    ----------
    query : callable
        Given an `Ask` and a token or None, returns the query of the request, percent-encoded.
    reader : callable
        Makes a reader for the answer's body.
    page : callable
        Makes a `Page` of what was read; raises ValueError if that is none.
    headers : mapping
        Sent with the request, where an auth sets no others.
    """

    query: Callable[[Ask, str | None], str]
    reader: Callable[[], RecordReader]
    page: Callable[[RecordReader], Page]
    headers: Mapping[str, str] = field(default_factory=dict)


def protocol_of(provider: Provider) -> ListProtocol:
    """Return what a provider's stores speak."""
    return _AZURE if provider == "azure" else _S3


def _s3_query(ask: Ask, token: str | None) -> str:
    return _query(
        {
            "continuation-token": token,
            "delimiter": ask.delimiter,
            "encoding-type": "url",
            "list-type": "2",
            "max-keys": _text(ask.page_size),
            "prefix": ask.prefix,
        }
    )


def _s3_reader() -> RecordReader:
    return RecordReader("ListBucketResult", frozenset({"Contents", "CommonPrefixes"}))


def _s3_page(read: RecordReader) -> Page:
    # In a key encoded so, both `+` and `%20` are a space. A server that does not know encoding-type
    # says nothing of it, and its keys stand as they are.
    decode = _decoded_plus if read.fields.get("EncodingType", "").lower() == "url" else str
    token = read.fields.get("NextContinuationToken") or None
    if read.fields.get("IsTruncated", "").strip().lower() != "true":
        token = None
    elif token is None:
        raise ValueError("it is not the last page, and does not say how to go on (NextContinuationToken)")
    return Page(
        [_s3_entry(found, decode) for kind, found in read.records if kind == "Contents"],
        [decode(_needed(found, "Prefix")) for kind, found in read.records if kind == "CommonPrefixes"],
        token,
    )


def _s3_entry(found: Mapping[str, str], decode: Callable[[str], str]) -> Entry:
    return Entry(
        decode(_needed(found, "Key")),
        _size(_needed(found, "Size")),
        entity_tag(found.get("ETag")),
        iso_date(found.get("LastModified")),
        found.get("Generation") or None,  # Google's
    )


def _azure_query(ask: Ask, token: str | None) -> str:
    return _query(
        {
            "comp": "list",
            "delimiter": ask.delimiter,
            "marker": token,
            "maxresults": _text(ask.page_size),
            "prefix": ask.prefix,
            "restype": "container",
        }
    )


def _azure_reader() -> RecordReader:
    return RecordReader("EnumerationResults", frozenset({"Blob", "BlobPrefix"}))


def _azure_page(read: RecordReader) -> Page:
    return Page(
        [_azure_entry(found) for kind, found in read.records if kind == "Blob" and not _is_folder(found)],
        [_azure_name(found) for kind, found in read.records if kind == "BlobPrefix"],
        read.fields.get("NextMarker") or None,
    )


def _azure_entry(found: Mapping[str, str]) -> Entry:
    return Entry(
        _azure_name(found),
        _size(_needed(found, "Properties/Content-Length")),
        entity_tag(found.get("Properties/Etag")),
        http_date(found.get("Properties/Last-Modified")),
        found.get("VersionId") or None,
        found.get("Properties/Content-Type") or None,
    )


def _is_folder(found: Mapping[str, str]) -> bool:
    """Tell a folder of an account with a hierarchical namespace, which lists them among the blobs."""
    return found.get("Properties/ResourceType") == "directory"


def _azure_name(found: Mapping[str, str]) -> str:
    name = _needed(found, "Name")
    return unquote(name, errors="strict") if found.get("Name@Encoded", "").lower() == "true" else name


def _query(parameters: Mapping[str, str | None]) -> str:
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items() if value)


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _decoded_plus(text: str) -> str:
    return unquote_plus(text, errors="strict")


def _needed(found: Mapping[str, str], name: str) -> str:
    text = found.get(name)
    if not text:
        raise ValueError(f"an entry has no {name}")
    return text


def _size(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise ValueError(f"an entry's size is {text[:100]!r}")
    return int(text)


_S3 = ListProtocol(_s3_query, _s3_reader, _s3_page)
_AZURE = ListProtocol(_azure_query, _azure_reader, _azure_page, {"x-ms-version": sharedkey.VERSION})
