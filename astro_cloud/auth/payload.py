"""What a signature says of a body: its hash, or, where it can be read only once, a signature a chunk.

Chunks (``aws-chunked``) are signed while they are sent; the signature of each covers the one before
it, that of the first the one of the request's headers.

Reference: Amazon S3 API Reference, "Signature calculations for the authorization header: transferring
payload in multiple chunks".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any, TypeGuard

from requests import PreparedRequest
from requests.exceptions import UnrewindableBodyError

from astro_cloud.auth import sigv4

__all__ = [
    "CHUNK",
    "SignedChunks",
    "announce_chunks",
    "encoded_length",
    "forget_chunks",
    "is_hash",
    "payload_hash",
]

_HASH_STEP = 1 << 20

CHUNK = 65_536
"""Bytes of data in each chunk but the last; S3 wants at least 8 KiB."""


def payload_hash(body: Any) -> str | None:
    """Hash a body that can be sent afterwards; None for one that can be read only once.

    Raises
    ------
    TypeError
        If it is a file of text: how it would be encoded is not known.
    """
    if not body and not hasattr(body, "read"):
        return sigv4.EMPTY_PAYLOAD_HASH
    if isinstance(body, str):
        body = body.encode()
    if isinstance(body, bytes | bytearray | memoryview):
        return hashlib.sha256(body).hexdigest()
    try:
        start = body.tell()
        body.seek(start)
    except (AttributeError, OSError):
        return None
    try:
        return _stream_hash(body)
    finally:
        body.seek(start)


def is_hash(value: str | bytes | None) -> TypeGuard[str]:
    """Tell whether a header's value is a SHA-256, as `payload_hash` writes it."""
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) is not None


def _stream_hash(stream: Any) -> str:
    digest = hashlib.sha256()
    while chunk := stream.read(_HASH_STEP):
        if isinstance(chunk, str):
            raise TypeError("this body gives text: open the file in binary mode, or give bytes")
        digest.update(chunk)
    return digest.hexdigest()


def announce_chunks(request: PreparedRequest) -> None:
    """Write the headers of a body that is signed while it is sent.

    Raises
    ------
    TypeError
        If its length is not known, or it was sent once already.
    """
    headers = request.headers
    length = headers.get("Content-Length", "")
    if not length.isdigit() or isinstance(request.body, SignedChunks):
        raise TypeError(
            f"a body of type {type(request.body).__name__} cannot be signed: it cannot be read twice, "
            "and its length is not known. Give bytes, a seekable file, or a Content-Length; or set the "
            "header 'x-amz-content-sha256: UNSIGNED-PAYLOAD'"
        )
    headers.pop("Transfer-Encoding", None)
    encodings = (headers.get("Content-Encoding"), "aws-chunked")
    headers["Content-Encoding"] = ",".join(dict.fromkeys(filter(None, encodings)))
    headers["x-amz-decoded-content-length"] = length
    headers["Content-Length"] = str(encoded_length(int(length)))


def forget_chunks(request: PreparedRequest) -> None:
    """Take off what `announce_chunks` wrote beside ``x-amz-*`` headers, where the body is not sent."""
    encodings = request.headers.get("Content-Encoding")
    if isinstance(encodings, str) and encodings.endswith("aws-chunked"):
        del request.headers["Content-Encoding"]
        if others := encodings.removesuffix("aws-chunked").removesuffix(","):
            request.headers["Content-Encoding"] = others


def encoded_length(length: int, chunk: int = CHUNK) -> int:
    """Return how many bytes `length` bytes of data become, signatures and the empty last chunk included."""
    whole, rest = divmod(length, chunk)
    return whole * _framed(chunk) + (_framed(rest) if rest else 0) + _framed(0)


def _framed(size: int) -> int:
    return len(f"{size:x};chunk-signature=") + 64 + 2 + size + 2


class SignedChunks:
    """The body of a request, cut into chunks and signed as it is read; it can be iterated once.

    A pickle of it holds neither the key nor the data, and cannot be iterated.

    Parameters
    ----------
    body : file or iterable of bytes
        Gives the data.
    length : int
        Bytes of data there must be.
    key : bytes
        The signing key.
    amz_date, scope : str
        As the request's headers were signed with.
    seed : str
        The signature of the request's headers.
    """

    def __init__(self, body: Any, length: int, *, key: bytes, amz_date: str, scope: str, seed: str) -> None:
        self._body = body
        self._length = length
        self._key = key
        self._amz_date = amz_date
        self._scope = scope
        self._signature = seed
        self._is_spent = False

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_body": None, "_key": b"", "_is_spent": True}

    def __len__(self) -> int:
        return encoded_length(self._length)

    def __repr__(self) -> str:
        return f"<SignedChunks of {self._length} bytes>"

    def __iter__(self) -> Iterator[bytes]:
        """Yield framed chunks.

        Raises
        ------
        ValueError
            If the body has more or fewer bytes than were announced.
        UnrewindableBodyError
            If it was iterated before.
        """
        if self._is_spent:
            raise UnrewindableBodyError("this body was sent already, and can be read only once")
        self._is_spent = True
        sent = 0
        for data in _cut(_pieces(self._body)):
            sent += len(data)
            if sent > self._length:
                break
            yield self._frame(data)
        if sent != self._length:
            more = "more than" if sent > self._length else f"{sent} of"
            raise ValueError(f"the body has {more} the {self._length} bytes that were announced")
        yield self._frame(b"")

    def _frame(self, data: bytes) -> bytes:
        text = sigv4.chunk_string_to_sign(self._amz_date, self._scope, self._signature, data)
        self._signature = sigv4.signature(self._key, text)
        return f"{len(data):x};chunk-signature={self._signature}\r\n".encode() + data + b"\r\n"


def _pieces(body: Any) -> Iterable[bytes]:
    read = getattr(body, "read", None)
    return iter(lambda: read(CHUNK), b"") if read is not None else body


def _cut(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Rearrange pieces of any length into chunks."""
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= CHUNK:
            yield bytes(held[:CHUNK])
            del held[:CHUNK]
    if held:
        yield bytes(held)
