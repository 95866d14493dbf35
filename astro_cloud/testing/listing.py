"""ListObjectsV2: keys and parameters in, one page of XML out. Pure, but for asking each entry's facts."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote
from xml.sax.saxutils import escape

from astro_cloud.testing.refusal import document, element, refuse

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
MAX_KEYS = 1000
"""Most entries of a page, whatever ``max-keys`` says."""


@dataclass(frozen=True, slots=True)
class ListParameters:
    """The parameters of one ListObjectsV2 request, decoded.

    Parameters
    ----------
    prefix, delimiter : str
        Empty for none.
    after : str
        Only keys that sort after this are listed.
    skip : str
        Keys with this prefix were listed as a common prefix before.
    max_keys : int
        0 to `MAX_KEYS`.
    url_encoded : bool
        Whether keys are percent-encoded in the XML.
    """

    prefix: str
    delimiter: str
    after: str
    skip: str
    max_keys: int
    url_encoded: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Keys and common prefixes in order, and the token for the next page (empty if this is the last)."""

    keys: tuple[str, ...]
    common_prefixes: tuple[str, ...]
    next_token: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What a listing tells of an object: bytes, ETag, last change in seconds since 1970 UTC."""

    size: int
    etag: str
    modified: float


def list_parameters(query: Mapping[str, str]) -> ListParameters:
    """Read the parameters.

    Raises
    ------
    Refused
        400 ``InvalidArgument`` for a ``max-keys``, ``encoding-type`` or token that is none.
    """
    max_keys = query.get("max-keys", str(MAX_KEYS))
    if not (max_keys.isascii() and max_keys.isdigit()):
        raise refuse(400, "InvalidArgument", "Provided max-keys not an integer or within integer range")
    if query.get("encoding-type", "url") != "url":
        raise refuse(400, "InvalidArgument", "Invalid Encoding Method specified in Request")
    after, skip = query.get("start-after", ""), ""
    if "continuation-token" in query:
        kind, after = _token_parts(query["continuation-token"])
        skip = after if kind == "prefix" else ""
    return ListParameters(
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        after=after,
        skip=skip,
        max_keys=min(int(max_keys), MAX_KEYS),
        url_encoded="encoding-type" in query,
    )


def page_of(keys: Iterable[str], parameters: ListParameters) -> Page:
    """Return one page of keys that are sorted already."""
    found: list[str] = []
    prefixes: list[str] = []
    token = ""
    for key in keys:
        if not key.startswith(parameters.prefix) or key <= parameters.after:
            continue
        if parameters.skip and key.startswith(parameters.skip):
            continue
        prefix = _common_prefix(key, parameters)
        if prefix and prefixes and prefixes[-1] == prefix:
            continue
        if len(found) + len(prefixes) >= parameters.max_keys:
            return Page(tuple(found), tuple(prefixes), token)
        if prefix:
            prefixes.append(prefix)
            token = _token("prefix", prefix)
        else:
            found.append(key)
            token = _token("key", key)
    return Page(tuple(found), tuple(prefixes), "")


def listing_xml(
    bucket: str, query: Mapping[str, str], page: Page, facts: Callable[[str], Facts | None]
) -> bytes:
    """Return the answer's body; ``facts`` is asked for each key, and says None for one that is gone."""
    encode = encoder(query)
    parts = [element("Name", bucket), element("Prefix", encode(query.get("prefix", "")))]
    parts += [element(name, encode(query[tag])) for name, tag in _ECHOED if tag in query]
    parts.append(element("KeyCount", str(len(page.keys) + len(page.common_prefixes))))
    parts.append(element("MaxKeys", query.get("max-keys", str(MAX_KEYS))))
    parts.append(element("IsTruncated", "true" if page.next_token else "false"))
    if "encoding-type" in query:
        parts.append(element("EncodingType", "url"))
    if "continuation-token" in query:
        parts.append(element("ContinuationToken", query["continuation-token"]))
    if page.next_token:
        parts.append(element("NextContinuationToken", page.next_token))
    parts += [_contents(encode(key), known) for key in page.keys if (known := facts(key)) is not None]
    parts += [
        f"<CommonPrefixes>{element('Prefix', encode(prefix))}</CommonPrefixes>"
        for prefix in page.common_prefixes
    ]
    return document("ListBucketResult", "".join(parts), NAMESPACE)


def buckets_xml(buckets: Iterable[str]) -> bytes:
    """Return the body of a ListBuckets answer."""
    inner = "".join(f"<Bucket>{element('Name', bucket)}</Bucket>" for bucket in buckets)
    return document("ListAllMyBucketsResult", f"<Buckets>{inner}</Buckets>", NAMESPACE)


def location_xml(region: str) -> bytes:
    """Return the body of a GetBucketLocation answer; us-east-1 is told by an empty element."""
    return document("LocationConstraint", "" if region == "us-east-1" else escape(region), NAMESPACE)


def encoder(query: Mapping[str, str]) -> Callable[[str], str]:
    """Return what a listing writes keys with: percent-encoded where ``encoding-type`` asks for it."""
    return _url_encoded if "encoding-type" in query else str


def timestamp(seconds: float) -> str:
    """Return seconds since 1970 UTC as S3's XML has them."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


_ECHOED = (("Delimiter", "delimiter"), ("StartAfter", "start-after"))


def _contents(key: str, facts: Facts) -> str:
    inner = (
        element("Key", key)
        + element("LastModified", timestamp(facts.modified))
        + element("ETag", facts.etag)
        + element("Size", str(facts.size))
        + element("StorageClass", "STANDARD")
    )
    return f"<Contents>{inner}</Contents>"


def _url_encoded(text: str) -> str:
    return quote(text, safe="/")


def _common_prefix(key: str, parameters: ListParameters) -> str:
    if not parameters.delimiter:
        return ""
    end = key.find(parameters.delimiter, len(parameters.prefix))
    return key[: end + len(parameters.delimiter)] if end >= 0 else ""


def _token(kind: str, text: str) -> str:
    return base64.urlsafe_b64encode(f"{kind} {text}".encode()).decode()


def _token_parts(token: str) -> tuple[str, str]:
    try:
        kind, space, text = base64.b64decode(token, altchars=b"-_", validate=True).decode().partition(" ")
    except (binascii.Error, ValueError):
        kind, space, text = "", "", ""
    if not space or kind not in ("key", "prefix"):
        raise refuse(400, "InvalidArgument", "The continuation token provided is incorrect")
    return kind, text
