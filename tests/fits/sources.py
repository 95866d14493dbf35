"""Bytes as the FITS tier asks for them, and hand-made headers no library would write."""

from __future__ import annotations

from collections.abc import Sequence

from astro_cloud.fits.layout import BLOCK, CARD


class Plain:
    """A `ByteSource` over bytes that counts its round trips and remembers the ranges.

    `trips` are the ranges of each.
    """

    def __init__(self, data: bytes, *, size_known: bool = True) -> None:
        self.data = data
        self.name = "plain.fits"
        self.trips: list[list[tuple[int, int]]] = []
        self._size_known = size_known

    @property
    def asked(self) -> list[tuple[int, int]]:
        return [piece for trip in self.trips for piece in trip]

    @property
    def size(self) -> int | None:
        return len(self.data) if self._size_known and self.trips else None

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        self.trips.append(list(ranges))
        return [self.data[start:stop] for start, stop in ranges]


class Sparse:
    """A `ByteSource` of any size that is zeros but for the pieces given."""

    def __init__(self, size: int, pieces: dict[int, bytes]) -> None:
        self.name = "sparse.fits"
        self.size = size
        self.asked: list[tuple[int, int]] = []
        self._pieces = pieces

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        self.asked.extend(ranges)
        return [self._read(start, min(stop, self.size)) for start, stop in ranges]

    def _read(self, start: int, stop: int) -> bytes:
        data = bytearray(max(0, stop - start))
        for offset, piece in self._pieces.items():
            begin, end = max(start, offset), min(stop, offset + len(piece))
            if begin < end:
                data[begin - start : end - start] = piece[begin - offset : end - offset]
        return bytes(data)


def header(*cards: str | bytes, end: bool = True) -> bytes:
    """Join card images, each filled up to 80 bytes, into whole blocks."""
    images = [card if isinstance(card, bytes) else card.encode("latin-1") for card in cards]
    text = b"".join(image.ljust(CARD) for image in (*images, *([b"END"] if end else [])))
    return text.ljust(-(-len(text) // BLOCK) * BLOCK)


def primary(*cards: str | bytes, naxis: tuple[int, ...] = (), bitpix: int = 8, end: bool = True) -> bytes:
    """Make a primary header."""
    axes = [f"{f'NAXIS{number}':<8}= {length:>20}" for number, length in enumerate(naxis, 1)]
    return header(
        "SIMPLE  =                    T", f"BITPIX  = {bitpix:>20}", f"NAXIS   = {len(naxis):>20}",
        *axes, *cards, end=end,
    )  # fmt: skip


def extension(
    kind: str,
    *cards: str | bytes,
    naxis: tuple[int, ...] = (),
    bitpix: int = 8,
    pcount: int = 0,
    gcount: int = 1,
) -> bytes:
    """Make the header of an extension."""
    axes = [f"{f'NAXIS{number}':<8}= {length:>20}" for number, length in enumerate(naxis, 1)]
    return header(
        f"XTENSION= '{kind:<8}'", f"BITPIX  = {bitpix:>20}", f"NAXIS   = {len(naxis):>20}", *axes,
        f"PCOUNT  = {pcount:>20}", f"GCOUNT  = {gcount:>20}", *cards,
    )  # fmt: skip
