"""The chain of HDUs of a file: each header says how long its data unit is, and the next HDU begins behind it.

Followed over any `ByteSource`, with as few round trips as can be: a header that was read along with the one
before it costs none, and where a file repeats itself the next headers are fetched ahead (`foresight`).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from astro_cloud.exceptions import CorruptFITSError, NotFITSError
from astro_cloud.fits.blame import warn
from astro_cloud.fits.compression import compression_of
from astro_cloud.fits.foresight import WINDOW, Lengths, foreseen
from astro_cloud.fits.header import FITSHeader
from astro_cloud.fits.layout import (
    BLOCK,
    CARD,
    MalformedHeaderError,
    Structure,
    find_end,
    padded,
    read_structure,
)
from astro_cloud.fits.source import ByteSource

__all__ = ["HEADER_LIMIT", "Chain", "CompressedWholeError"]

HEADER_LIMIT = 64 << 20
"""Bytes: a header without END up to here is an error."""
_GROWTH = 8
"""A header longer than its window is rare: one big read more is cheaper than several round trips."""
_REMEMBERED = 4
"""Extension headers whose lengths say how much to read for the next."""
_RECENT = 300
"""HDUs whose lengths say where others may be."""

_SIMPLE = re.compile(rb"SIMPLE {0,2}=")

_BITPIX = re.compile(rb"BITPIX {0,2}=")
"""What a header has among its first cards, and other bytes hardly have."""

_LOOKS_LIKE = (
    (b"version https://git-lfs", "a git-LFS pointer: fetch the file itself with git lfs pull"),
    (b"<?xml", "an XML document: is this the address of a listing or of an error page?"),
    (b"<!doctype", "an HTML page: is this the address of the file itself?"),
    (b"<html", "an HTML page: is this the address of the file itself?"),
)


class CompressedWholeError(NotFITSError):
    """The object is no FITS file, but a FITS file may be inside.

    Parameters
    ----------
    message, location, hdu, offset
        As `NotFITSError` takes them.
    compression : str
        How it is compressed.
    """

    def __init__(self, message: str = "", *, compression: str = "", **where: Any) -> None:
        super().__init__(message, **where)
        self.compression = compression


class Chain:
    """The headers of a file, one after the other.

    Parameters
    ----------
    source : ByteSource
        The file.
    predict : bool
        Fetch what are probably the next headers along with one, at most 64 KiB for each.
    takes_second_file : bool
        Where a second file begins behind the first, warn and go on, as astropy goes on; else it is an error.
    first : int
        Bytes of the first read.

    Attributes
    ----------
    last : FITSHeader or None
        The header that was read last.
    """

    def __init__(
        self,
        source: ByteSource,
        *,
        predict: bool = True,
        takes_second_file: bool = False,
        first: int = WINDOW,
    ) -> None:
        self.last: FITSHeader | None = None
        self._source = source
        self._predict = predict
        self._takes_second_file = takes_second_file
        self._held = _Held(source, first)
        self._seen: deque[Lengths] = deque(maxlen=_RECENT)

    def follow(self, header: FITSHeader) -> None:
        """Take a header that is known, as the one that comes next."""
        self.last = header
        self._seen.append(_lengths(header.length, header.structure))

    def advance(self) -> FITSHeader | None:
        """Read the next header; return None behind the last.

        Raises and warns as `load_headers`. After an error the chain is where it was.
        """
        last = self.last
        index, offset = (0, 0) if last is None else (last.index + 1, last.end)
        if last is not None and self._ends_with(last):
            return None
        self._held.begin(offset, self._foreseen)
        if index == 0:
            self._check_magic()
        elif not self._extension_begins(index):
            return None
        header = self._read_header(index)
        self.follow(header)
        return header

    def upcoming(self) -> tuple[int, int] | None:
        """Return what `advance` would have to read next, if nothing else; or None."""
        last, size = self.last, self._source.size
        if last is None or (size is not None and last.end >= size):
            return None
        return self._held.missing_from(last.end)

    def cut_short(self) -> CorruptFITSError | None:
        """Return what is wrong if the object ends in the data unit of the last header."""
        last, size = self.last, self._source.size
        if last is None or size is None or (end := _unpadded_end(last)) <= size:
            return None
        return CorruptFITSError(
            f"{self._source.name}: HDU {last.index} is cut short: its data unit ends at byte {end}, "
            f"the object at byte {size}",
            location=self._source.name,
            hdu=last.index,
            offset=size,
        )

    def _ends_with(self, last: FITSHeader) -> bool:
        size = self._source.size
        if size is None or last.end < size:
            return False
        if error := self.cut_short():
            raise error
        if last.end > size:
            warn(f"{self._source.name}: the padding of the last HDU, {last.index}, is missing")
        return True

    def _foreseen(self, known: Lengths | None = None) -> list[tuple[int, int]]:
        """Return what else to read, now that something must be read anyway."""
        if not self._predict:
            return []
        return foreseen(self._seen, self._held.start, known)

    def _read_header(self, index: int) -> FITSHeader:
        """Read on until the header that begins with what is held is whole; take it apart."""
        held, searched = self._held, 0
        while (length := find_end(held.data, 0, searched)) is None:
            searched = max(0, len(held.data) - CARD)
            if held.ended:
                what = "the object ends before the header's END card"
                raise self._corrupt(index, what, len(held.data))
            if len(held.data) >= HEADER_LIMIT:
                what = f"no END card within {HEADER_LIMIT >> 20} MiB"
                raise self._corrupt(index, what, len(held.data))
            held.more(self._foreseen_behind(index))
        raw = held.data[:length]
        if index:
            held.expect(padded(length))
        structure = self._structure(raw, index)
        return FITSHeader(index=index, offset=held.start, raw=raw, structure=structure)

    def _foreseen_behind(self, index: int) -> list[tuple[int, int]]:
        """Guess what is behind a header of which only the beginning is here: its mandatory keywords are."""
        try:
            structure = read_structure(self._held.data, primary=index == 0)
        except MalformedHeaderError:
            return []
        return self._foreseen(_lengths(len(self._held.data) // BLOCK * BLOCK, structure))

    def _structure(self, raw: bytes, index: int) -> Structure:
        name = self._source.name
        try:
            structure = read_structure(raw, primary=_SIMPLE.match(raw) is not None)
        except MalformedHeaderError as error:
            raise self._corrupt(index, str(error), error.offset) from error
        if not structure.conforming:
            warn(f"{name}: SIMPLE = F: the file itself says that it may not follow the standard")
        return structure

    def _check_magic(self) -> None:
        data, name = self._held.data, self._source.name
        if _SIMPLE.match(data):
            return
        if compression := compression_of(data):
            message = f"{name} is compressed whole ({compression})"
            raise CompressedWholeError(message, compression=compression, location=name, hdu=0, offset=0)
        beginning = data[:64].lstrip().lower()
        guess = next((says for magic, says in _LOOKS_LIKE if beginning.startswith(magic)), None)
        if not data:
            guess = "empty: it holds no bytes at all"
        says = f"it is {guess}" if guess else f"it begins with {data[:16]!r}"
        raise NotFITSError(f"{name} is not a FITS file ({says})", location=name, hdu=0, offset=0)

    def _extension_begins(self, index: int) -> bool:
        """Tell whether the bytes behind an HDU are the next one; warn about anything else."""
        held = self._held
        if held.data.startswith(b"XTENSION"):
            return True
        if _SIMPLE.match(held.data):
            error = self._corrupt(index, "a second file begins here: SIMPLE, where XTENSION is due", 0)
            if not self._takes_second_file:
                raise error
            warn(str(error))
            return True
        if _BITPIX.search(held.data[:BLOCK]):
            what = f"a header, but for its first card, which should be XTENSION: {held.data[:CARD]!r}"
            raise self._corrupt(index, what, 0)
        if held.data:
            warn(
                f"{self._source.name}: the bytes from {held.start} on, behind HDU {index - 1}, "
                "are not another HDU and were left out"
            )
        return False

    def _corrupt(self, index: int, what: str, offset: int) -> CorruptFITSError:
        name, place = self._source.name, self._held.start + offset
        message = f"{name}: HDU {index} is damaged at byte {place}: {what}"
        return CorruptFITSError(message, location=name, hdu=index, offset=place)


class _Held:
    """The bytes of a source from where a header begins on, and others that were read ahead.

    Attributes
    ----------
    start : int
        Where the header begins.
    data : bytes
        What is held from there on, without a gap.
    ended : bool
        The object ends where `data` does.
    """

    def __init__(self, source: ByteSource, first: int) -> None:
        self._first = first
        self.start = 0
        self.data = b""
        self.ended = False
        self._source = source
        self._ahead: dict[int, bytes] = {}
        self._lengths: deque[int] = deque(maxlen=_REMEMBERED)

    def begin(self, offset: int, foresee: Callable[[], Iterable[tuple[int, int]]]) -> None:
        """Let a header begin at `offset`: drop what is before it, read if nothing is there."""
        self.data = self.data[offset - self.start :] if offset >= self.start else b""
        self.start = offset
        self._join()
        if len(self.data) < BLOCK and not self.ended:
            self.more(foresee())

    def more(self, ahead: Iterable[tuple[int, int]] = ()) -> None:
        """Read on: a window at first, many times what is held once that was not enough; and windows ahead."""
        held = len(self.data)
        length = min(self._window if held < self._window else _GROWTH * held, HEADER_LIMIT - held)
        begin, size = self.start + held, self._source.size
        stop = begin + length
        beyond = [(max(start, stop), end) for start, end in ahead if end > stop]
        others = [(start, end) for start, end in self._absent(beyond) if size is None or start < size]
        data, *parts = self._source.read_ranges([(begin, stop), *others])
        self.ended = len(data) < length
        self.data += data
        self._ahead.update((start, part) for (start, _), part in zip(others, parts, strict=True) if part)
        self._join()

    def missing_from(self, offset: int) -> tuple[int, int] | None:
        """Return what `begin` would read for a header at `offset`; None for nothing."""
        held = max(0, self.start + len(self.data) - offset)
        if held >= BLOCK or self.ended or any(start <= offset + held for start in self._ahead):
            return None
        return offset + held, offset + self._window

    def _absent(self, ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Yield what of some ranges was not read ahead before."""
        held = sorted(self._ahead.items())
        for start, stop in ranges:
            for begin, part in held:
                if begin < stop and start < begin + len(part):
                    if start < begin:
                        yield start, begin
                    start = begin + len(part)
            if start < stop:
                yield start, stop

    def expect(self, length: int) -> None:
        """Let the next windows hold extension headers of this length, as files repeat themselves."""
        self._lengths.append(length)

    @property
    def _window(self) -> int:
        if not self.start:
            return self._first
        longest = max(self._lengths, default=0)
        return WINDOW if longest <= WINDOW else 2 * longest

    def _join(self) -> None:
        """Go on with what was read ahead, where `data` reaches it; drop what lies before."""
        for start in sorted(self._ahead):
            end = self.start + len(self.data)
            if start > end:
                return
            part = self._ahead.pop(start)
            self.data += part[end - start :]


def _lengths(header: int, structure: Structure) -> Lengths:
    return Lengths(header, padded(structure.data_size), structure.compressed is None)


def _unpadded_end(header: FITSHeader) -> int:
    size = header.structure.data_size
    return header.data_offset + size if size else header.offset + len(header.raw)
