"""One header of a FITS file: where it is, where its data are, and its cards when asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from astro_cloud.fits.layout import CARD, TABLES, Structure, padded

if TYPE_CHECKING:
    from astropy.io.fits import Header

__all__ = ["FITSHeader"]

_DTYPES = {8: "uint8", 16: "int16", 32: "int32", 64: "int64", -32: "float32", -64: "float64"}


class FITSHeader:
    """A header and the place of its HDU. All offsets and lengths in bytes.

    Unpacks as the first release's tuple did: ``offset, length, fits = header``.

    Parameters
    ----------
    index : int
        0-based number of the HDU.
    offset : int
        From the object's start to the header.
    raw : bytes
        The card images up to and with END, without padding.
    structure : Structure
        What they say about the data unit.
    """

    def __init__(self, *, index: int, offset: int, raw: bytes, structure: Structure) -> None:
        self.index = index
        self.offset = offset
        self.raw = raw
        self.structure = structure

    @property
    def length(self) -> int:
        """Bytes of the header, padding included."""
        return padded(len(self.raw))

    @property
    def data_offset(self) -> int:
        """Bytes from the object's start to the data unit."""
        return self.offset + self.length

    @property
    def data_length(self) -> int:
        """Bytes of the data unit, heap and padding included."""
        return padded(self.structure.data_size)

    @property
    def end(self) -> int:
        """Bytes from the object's start to the end of the HDU, where the next one begins."""
        return self.data_offset + self.data_length

    @property
    def name(self) -> str:
        """EXTNAME in upper case; ``"PRIMARY"`` for a primary HDU without it; may be empty."""
        return self.structure.name

    @property
    def version(self) -> int:
        """EXTVER; 1 where there is none."""
        return self.structure.version

    @property
    def kind(self) -> str:
        """``"PRIMARY"``, ``"GROUPS"``, ``"IMAGE"``, ``"TABLE"``, ``"BINTABLE"``, or another XTENSION."""
        return self.structure.kind

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the image in NumPy order (last axis varies fastest), or (rows,) of a table.

        The image inside a tile-compressed table counts as an image.
        """
        return self._shown.axes[1:2] if self.is_table else self._shown.axes[::-1]

    @property
    def is_table(self) -> bool:
        """True for a TABLE or BINTABLE that holds no tile-compressed image."""
        return self._shown.kind in TABLES

    @property
    def _shown(self) -> Structure:
        return self.structure.compressed or self.structure

    @property
    def dtype(self) -> str:
        """Name of the NumPy type that BITPIX stands for, before BSCALE and BZERO."""
        return _DTYPES[self._shown.bitpix]

    @cached_property
    def fits(self) -> Header:
        """The cards as an `astropy.io.fits.Header`, made (and astropy imported) when first touched.

        Bytes that are not ASCII, which its cards cannot hold, read as ``?``; `raw` keeps them.
        """
        from astropy.io.fits import Header

        return Header.fromstring(self.raw.decode("ascii", "replace").replace("\ufffd", "?"))

    def cards(self, wanted: re.Pattern[bytes]) -> bytes:
        """Return the card images that begin as a pattern says, each with what CONTINUE adds to it."""
        kept, keep = [], False
        for at in range(0, len(self.raw), CARD):
            card = self.raw[at : at + CARD]
            keep = (keep and card.startswith(b"CONTINUE")) or wanted.match(card) is not None
            if keep:
                kept.append(card)
        return b"".join(kept)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FITSHeader):
            return NotImplemented
        return (self.index, self.offset, self.raw) == (other.index, other.offset, other.raw)

    def __hash__(self) -> int:
        return hash((self.index, self.offset, self.raw))

    def __iter__(self) -> Iterator[Any]:
        return iter((self.offset, self.length, self.fits))

    def __getitem__(self, item: int) -> Any:
        return getattr(self, ("offset", "length", "fits")[item])

    def __len__(self) -> int:
        return 3

    def __repr__(self) -> str:
        return (
            f"<FITSHeader {self.index} {self.name or '(no name)'} {self.kind} "
            f"header [{self.offset}, {self.data_offset}) data [{self.data_offset}, {self.end})>"
        )
