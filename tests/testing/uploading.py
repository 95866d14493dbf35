"""The steps of a multipart upload over a `Wire`, each giving the reply it got."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape

from .conftest import Reply, Wire

TARGET = "/bucket/big"


def create(wire: Wire, headers: dict[str, str] | None = None, target: str = TARGET) -> str:
    """Begin an upload and return its id."""
    reply = wire.ask("POST", f"{target}?uploads=", headers)
    assert reply.status == 200, reply.body
    return reply.xml("UploadId") or ""


def upload_part(
    wire: Wire, upload_id: str, number: int, data: bytes, headers: dict[str, str] | None = None
) -> Reply:
    return wire.ask("PUT", f"{TARGET}?partNumber={number}&uploadId={upload_id}", headers, data)


def complete(
    wire: Wire, upload_id: str, parts: Iterable[tuple[int, Reply]], headers: dict[str, str] | None = None
) -> Reply:
    """Complete with the ETag and checksum each part's reply told."""
    body = f"<CompleteMultipartUpload>{''.join(map(_part, parts))}</CompleteMultipartUpload>"
    return wire.ask("POST", f"{TARGET}?uploadId={upload_id}", headers, body.encode())


def _part(part: tuple[int, Reply]) -> str:
    number, reply = part
    prefix = "x-amz-checksum-"
    sums = [(name[len(prefix) :].upper(), text) for name, text in reply.headers.items() if prefix in name]
    checksums = "".join(f"<Checksum{name}>{text}</Checksum{name}>" for name, text in sums)
    etag = escape(reply.headers["ETag"] or "")
    return f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag>{checksums}</Part>"
