"""Bodies signed chunk by chunk (``aws-chunked``): what came over the wire in, the content out. Pure.

Reference: Amazon S3 API Reference, "Signature calculations for the authorization header: transferring
payload in multiple chunks".
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from astro_cloud.testing.refusal import Refused, refuse

STREAMING_PAYLOAD = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
MAX_CHUNK = 64 * 1024 * 1024
"""Most bytes of a chunk, which is held in memory until its signature was checked."""

_ALGORITHM = "AWS4-HMAC-SHA256-PAYLOAD"
_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_HEAD = re.compile(rb"([0-9a-fA-F]{1,8});chunk-signature=([0-9a-f]{64})\r\n")
_HEAD_BYTES = 8 + len(";chunk-signature=") + 64 + 2


@dataclass(frozen=True, slots=True)
class ChunkSeed:
    """What the signatures of a body's chunks start from.

    Parameters
    ----------
    key : bytes
        The signing key.
    amz_date, credential_scope : str
        Of the request.
    signature : str
        The one in its ``Authorization`` header.
    """

    key: bytes = field(repr=False)
    amz_date: str
    credential_scope: str
    signature: str

    def next_signature(self, previous: str, data: bytes) -> str:
        """Return a chunk's signature; ``previous`` is that of the one before it, or of the request."""
        digest = hashlib.sha256(data).hexdigest()
        lines = (_ALGORITHM, self.amz_date, self.credential_scope, previous, _EMPTY_SHA256, digest)
        return hmac.digest(self.key, "\n".join(lines).encode(), "sha256").hex()


def content_of(body: Iterable[bytes], seed: ChunkSeed, length: int) -> Iterator[bytes]:
    """Yield the content of a body, each chunk once its signature was found to be right.

    Parameters
    ----------
    body : iterable of bytes
        As received, cut anyhow.
    seed : ChunkSeed
        Of the request.
    length : int
        Bytes of the content, as ``x-amz-decoded-content-length`` says.

    Raises
    ------
    Refused
        403 ``SignatureDoesNotMatch``, or 400 ``IncompleteBody`` for a body that is not in such chunks, ends
        before the empty one that ends it, or has another length.
    """
    previous, got = seed.signature, 0
    for data, signature in _chunks(iter(body)):
        previous = seed.next_signature(previous, data)
        if not hmac.compare_digest(previous, signature):
            raise refuse(403, "SignatureDoesNotMatch", "The signature of a chunk does not match its content.")
        got += len(data)
        if got > length or (not data and got != length):
            raise _incomplete()
        if data:
            yield data


def _chunks(body: Iterator[bytes]) -> Iterator[tuple[bytes, str]]:
    """Yield each chunk's content and signature, the empty one at the end included."""
    buffer = bytearray()
    size = -1
    while size:
        match = _HEAD.match(bytes(_filled(buffer, body, _HEAD_BYTES)[:_HEAD_BYTES]))
        if match is None or (size := int(match[1], 16)) > MAX_CHUNK:
            raise _incomplete()
        start, stop = match.end(), match.end() + size
        if _filled(buffer, body, stop + 2)[stop : stop + 2] != b"\r\n":
            raise _incomplete()
        yield bytes(buffer[start:stop]), match[2].decode()
        del buffer[: stop + 2]
    if buffer or any(body):
        raise _incomplete()


def _filled(buffer: bytearray, body: Iterator[bytes], size: int) -> bytearray:
    """Return the buffer with at least so many bytes in it, or all that are left."""
    while len(buffer) < size and (piece := next(body, b"")):
        buffer += piece
    return buffer


def _incomplete() -> Refused:
    message = "The request body is not in signed chunks, or is not as long as its headers say."
    return refuse(400, "IncompleteBody", message)
