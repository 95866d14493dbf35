"""Headers of a FITS file with their offsets, reading nothing else: `load_headers`, `FITSHeader`.

A file's HDUs form a chain: each header says how long its data unit is, and the next begins behind it.
`walk` follows the chain over any `ByteSource`; a header that was read along with the one before it
costs no further read.
"""

from __future__ import annotations

import enum
import os
import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from astro_cloud.auth import CloudService
from astro_cloud.exceptions import AstroCloudWarning, CorruptFITSError, NotFITSError
from astro_cloud.fits.header import FITSHeader
from astro_cloud.fits.layout import BLOCK, CARD, MalformedHeaderError, find_end, padded, read_structure
from astro_cloud.fits.source import ByteSource
from astro_cloud.storage import Client, Location

if TYPE_CHECKING:
    from requests.auth import AuthBase

__all__ = ["HEADER_LIMIT", "WINDOW", "PaymentSolution", "load_headers", "walk"]

WINDOW = 22 * BLOCK
"""Bytes read where a header begins: 792 cards, just under 64 KiB."""
HEADER_LIMIT = 64 << 20
"""Bytes: a header without END up to here is an error."""
_GROWTH = 8
"""A header longer than its window is rare: one big read more is cheaper than several round trips."""
_REMEMBERED = 4
"""Extension headers whose lengths say how much to read for the next."""

_LOOKS_LIKE = (
    (b"version https://git-lfs", "a git-LFS pointer: fetch the file itself with git lfs pull"),
    (b"\x1f\x8b", "gzip-compressed: download it and decompress it first"),
    (b"BZh", "bzip2-compressed: download it and decompress it first"),
    (b"\xfd7zXZ", "xz-compressed: download it and decompress it first"),
    (b"<?xml", "an XML document: is this the address of a listing or of an error page?"),
    (b"<!doctype", "an HTML page: is this the address of the file itself?"),
    (b"<html", "an HTML page: is this the address of the file itself?"),
)


class PaymentSolution(enum.Enum):
    """Who pays for a request."""

    AWSRequestPayer = "aws-request-payer"


def load_headers(
    url: str | os.PathLike[str] | Location,
    service: CloudService | None = None,
    payment_solution: PaymentSolution | None = None,
    *,
    auth: AuthBase | None = None,
    client: Client | None = None,
    request_payer: bool = False,
) -> Iterator[FITSHeader]:
    """Read the headers of a FITS file in an object store, and nothing else of it.

    Parameters
    ----------
    url : str, path or Location
        ``s3://bucket/key``, or any other form of `Location.parse`; a local file too.
    service : CloudService, optional
        The provider, where the location does not tell.
    payment_solution : PaymentSolution, optional
        ``PaymentSolution.AWSRequestPayer`` is the same as ``request_payer=True``.
    auth : requests auth, optional
        Signs the requests; by default chosen for the location.
    client : Client, optional
        Reads the bytes, and is left open. By default one is made for this file.
    request_payer : bool
        Offer to pay for the requests, at a requester-pays bucket.

    Yields
    ------
    FITSHeader
        In the file's order, each as soon as it is known.

    Raises
    ------
    InvalidLocationError
        At once, if `url` names no object. All other errors come while iterating.
    NotFITSError, CorruptFITSError
        If the object is not FITS, or damaged; names the location, HDU and byte offset. Headers before
        the damage have been yielded by then.
    StorageError, CredentialsError
        If it cannot be read.

    Warns
    -----
    AstroCloudWarning
        If there are bytes behind the last HDU, its padding is missing, a header holds bytes that are
        not ASCII, or the file calls itself non-conforming.

    Notes
    -----
    A read takes 22 blocks (just under 64 KiB) from where a header begins, so a round trip is spent
    only where a data unit separates two headers, and one more for a header longer than that.

    Examples
    --------
    >>> for header in load_headers("s3://bucket/cube.fits"):
    ...     print(header.name, header.data_offset, header.data_length)
    """
    settings = client.settings if client is not None else None
    location = Location.parse(url, settings)
    paying = request_payer or payment_solution is PaymentSolution.AWSRequestPayer
    return _load(location, client, auth=auth, service=service, request_payer=paying)


def _load(location: Location, client: Client | None, **access: Any) -> Iterator[FITSHeader]:
    with ExitStack() as stack:
        if client is None:
            client = stack.enter_context(Client())
        yield from walk(client.pin(location, **access))


def walk(source: ByteSource) -> Iterator[FITSHeader]:
    """Follow the chain of HDUs of a file; yields, raises and warns as `load_headers`."""
    held = _Held(source)
    index, offset = 0, 0
    while True:
        held.begin(offset)
        if index == 0:
            _check_magic(held, source.name)
        elif not _extension_begins(held, index):
            return
        header = _read_header(held, index)
        yield header
        offset, index = header.end, index + 1
        if _is_last(header, source):
            return


class _Held:
    """The bytes of a source from where a header begins to where they were read."""

    def __init__(self, source: ByteSource) -> None:
        self.source = source
        self.start = 0
        self.data = b""
        self.ended = False
        self._lengths: deque[int] = deque(maxlen=_REMEMBERED)

    def begin(self, offset: int) -> None:
        """Let a header begin at `offset`: drop what is before it, read if nothing is there."""
        kept = self.data[offset - self.start :]
        self.start, self.data = offset, kept
        if len(kept) < BLOCK and not self.ended:
            self.more()

    def more(self) -> None:
        """Read on: a window at first; many times what is held once that was not enough."""
        held = len(self.data)
        length = self._window if held < self._window else _GROWTH * held
        begin, length = self.start + held, min(length, HEADER_LIMIT - held)
        data = self.source.read_ranges([(begin, begin + length)])[0]
        self.ended = len(data) < length
        self.data += data

    @property
    def _window(self) -> int:
        longest = max(self._lengths, default=0)
        return WINDOW if longest <= WINDOW else 2 * longest

    def expect(self, length: int) -> None:
        """Let the next windows hold extension headers of this length, as files repeat themselves."""
        self._lengths.append(length)


def _read_header(held: _Held, index: int) -> FITSHeader:
    """Read on until the header that begins with what is held is whole; take it apart."""
    searched = 0
    while (length := find_end(held.data, 0, searched)) is None:
        searched = max(0, len(held.data) - CARD)
        if held.ended:
            raise _corrupt(held, index, "the object ends before the header's END card", len(held.data))
        if len(held.data) >= HEADER_LIMIT:
            raise _corrupt(held, index, f"no END card within {HEADER_LIMIT >> 20} MiB", len(held.data))
        held.more()
    raw = held.data[:length]
    if index:
        held.expect(padded(length))
    try:
        structure = read_structure(raw, primary=index == 0)
    except MalformedHeaderError as error:
        raise _corrupt(held, index, str(error), error.offset) from error
    if not structure.conforming:
        _warn(f"{held.source.name}: SIMPLE = F: the file itself says that it may not follow the standard")
    if not raw.isascii():
        _warn(
            f"{held.source.name}: the header of HDU {index} holds bytes that are not ASCII; "
            "header.raw keeps them, header.fits shows them as ?"
        )
    return FITSHeader(index=index, offset=held.start, raw=raw, structure=structure)


def _check_magic(held: _Held, name: str) -> None:
    data = held.data
    if data.startswith(b"SIMPLE  ="):
        return
    beginning = data[:64].lstrip().lower()
    guess = next((says for magic, says in _LOOKS_LIKE if beginning.startswith(magic.lower())), None)
    if not data:
        guess = "empty: it holds no bytes at all"
    says = f"it is {guess}" if guess else f"it begins with {data[:16]!r}"
    raise NotFITSError(f"{name} is not a FITS file ({says})", location=name, hdu=0, offset=0)


def _extension_begins(held: _Held, index: int) -> bool:
    """Tell whether the bytes behind an HDU are the next one; warn about anything else."""
    if held.data.startswith(b"XTENSION"):
        return True
    if held.data.startswith(b"SIMPLE  ="):
        raise _corrupt(held, index, "a second file begins here: SIMPLE, where XTENSION is due", 0)
    if held.data:
        _warn(
            f"{held.source.name}: the bytes from {held.start} on, behind HDU {index - 1}, "
            "are not another HDU and were left out"
        )
    return False


def _is_last(header: FITSHeader, source: ByteSource) -> bool:
    size = source.size
    if size is None or header.end < size:
        return False
    data_size = header.structure.data_size
    unpadded_end = header.data_offset + data_size if data_size else header.offset + len(header.raw)
    if unpadded_end > size:
        raise CorruptFITSError(
            f"{source.name}: HDU {header.index} is cut short: its data unit ends at byte {unpadded_end}, "
            f"the object at byte {size}",
            location=source.name,
            hdu=header.index,
            offset=size,
        )
    if header.end > size:
        _warn(f"{source.name}: the padding of the last HDU, {header.index}, is missing")
    return True


def _corrupt(held: _Held, index: int, what: str, offset: int) -> CorruptFITSError:
    name, place = held.source.name, held.start + offset
    message = f"{name}: HDU {index} is damaged at byte {place}: {what}"
    return CorruptFITSError(message, location=name, hdu=index, offset=place)


def _warn(message: str) -> None:
    warnings.warn(message, AstroCloudWarning, stacklevel=5)  # whoever iterates over load_headers
