"""Cubes of the TESS mission's full-frame images (FFIs), as astrocut's CubeFactory writes them.

The one module that knows their layout; it reads through whoever calls it. In NumPy's order:

- HDU 0: the first FFI's primary header, without data.
- HDU 1: an IMAGE of float32 without EXTNAME, of the shape (rows, columns, FFIs, 2): flux and its error, FFIs
  sorted by time. All times of a pixel lie together, so a cutout is one run of bytes for each of its rows.
- HDU 2: a BINTABLE with a row for each FFI and a column for each keyword of its header, and FFI_FILE. The WCS
  of the axes (row, column) is in those rows, not in a header. What has an FFI's keywords in the table's own
  header are their comments: EXTNAME, where there is one, is ``name of extension``, and EXTVER is text.

As astrocut does, the WCS is the middle row's, or that of the first row behind it (after the last comes the
first) whose CTYPE2 is ``DEC--TAN-SIP``; cells that are NaN stand for keywords that the FFI does not have.
Cubes of one plane (NAXIS1 = 1: flux without errors, once made of TICA's FFIs) are such cubes, too.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from astro_cloud.exceptions import CorruptFITSError, FITSError
from astro_cloud.fits.columns import CellFormat, read_format
from astro_cloud.fits.header import FITSHeader
from astro_cloud.fits.layout import CARD

if TYPE_CHECKING:
    from astropy.io.fits import Header
    from astropy.wcs import WCS

__all__ = ["KeywordTable", "Read", "is_cube", "may_be_cube"]

Read = Callable[[Sequence[tuple[int, int]]], Sequence[bytes]]
"""Reads byte ranges [start, stop) of the object, all at once, each cut at the object's end at most."""

_PLANES = (1, 2)
"""Flux, and its error."""
_CTYPE1, _CTYPE2 = "RA---TAN-SIP", "DEC--TAN-SIP"
_FIRST_WINDOW, _LARGEST_WINDOW, _MOST_SEARCHED = 1 << 16, 1 << 24, 1 << 26
"""Bytes of the table that are read at once, at first and at most, and in all, to find a row with a WCS: of
1,400 bytes a row they are 48, 12,000 and 48,000 FFIs."""
_LONGEST_ROW = 1 << 20
"""Bytes that a header's values may take: of 999 keywords, with 68 characters each, they are 68,000."""
_LARGEST_ORDER = 9
"""Of a SIP polynomial (Shupe et al. 2005): astropy makes an array of any size that is said."""

_NUMBERS = {"B": ">B", "I": ">h", "J": ">i", "K": ">q", "E": ">f", "D": ">d"}
_KEYWORD = re.compile(r"(?!(COMMENT|HISTORY|CONTINUE|HIERARCH|END)$)[A-Z0-9_-]{1,8}")
_STRUCTURE = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|TFIELDS|EXTNAME|EXTVER|EXTLEVEL|INHERIT"
    r"|CHECKSUM|DATASUM|BSCALE|BZERO|BLANK"
)
"""What was true of the FFI's file alone."""
_COLUMN_CARD = re.compile(rb"(T(?:TYPE|FORM|SCAL|ZERO)\d{1,3}) *= *(?:'([^']*)'|([^/]*))")
_ORDER = re.compile(r"[AB]P?_ORDER")
_ORDERS = (("A_ORDER", "B_ORDER"), ("AP_ORDER", "BP_ORDER"))
"""Of polynomials of which astropy takes both or none: one of no order takes the other with it, in silence."""
_PLACE = re.compile(r"(CRPIX|CRVAL|CDELT)[12]|(CD|PC)[12]_[12]")
"""Where it has a column, no row that has a WCS does without it: left out it would be 0, and the WCS wrong."""
_NUMERIC = re.compile(
    r"(CRPIX|CRVAL|CDELT|CROTA)\d+|(CD|PC|PV)\d+_\d+|[AB]P?_(ORDER|\d+_\d+)|WCSAXES|L(ON|AT)POLE|EQUINOX"
)
"""Text in place of these would be passed over silently."""


def may_be_cube(image: FITSHeader) -> bool:
    """Tell by the header of HDU 1 alone whether it is worth looking at that of HDU 2."""
    structure = image.structure
    return (
        (image.index, structure.kind, structure.name, structure.bitpix) == (1, "IMAGE", "", -32)
        and len(structure.axes) == 4
        and structure.axes[0] in _PLANES
        and structure.axes[1] > 0
    )


def is_cube(image: FITSHeader, table: FITSHeader) -> bool:
    """Tell by the headers of HDUs 1 and 2 whether a file is a cube of FFIs.

    It is if HDU 2 is a table with a row for each FFI of the image, and a column FFI_FILE.
    """
    structure = table.structure
    return (
        may_be_cube(image)
        and (table.index, structure.kind) == (2, "BINTABLE")
        and len(structure.axes) == 2
        and structure.axes[1] == image.structure.axes[1]
        and "FFI_FILE" in _column_cards(table).values()
    )


def _column_cards(table: FITSHeader) -> dict[str, str]:
    """Return the values of the cards that describe columns, as they are written, without quotes."""
    found: dict[str, str] = {}
    for at in range(0, len(table.raw), CARD):
        if match := _COLUMN_CARD.match(table.raw, at, at + CARD):
            value = match[3] if match[2] is None else match[2]
            found.setdefault(match[1].decode(), value.decode("latin-1").strip())
    return found


@dataclass(frozen=True, slots=True)
class _Column:
    """A column, and at which byte of a row its cells begin."""

    name: str
    cell: CellFormat
    start: int

    def value(self, row: bytes) -> str | int | float | None:
        """Return a cell's value; None for what cannot be a keyword's."""
        data = row[self.start : self.start + self.cell.width]
        if self.cell.code == "A":
            text = data.partition(b"\0")[0].rstrip(b" ")
            return text.decode("ascii") if re.fullmatch(rb"[ -~]*", text) else None
        form = _NUMBERS.get(self.cell.code)
        if form is None or self.cell.repeat != 1:
            return None
        number: int | float = struct.unpack(form, data)[0]
        return number


class KeywordTable:
    """The table of a cube: a row an FFI, a column a keyword of its header.

    Parameters
    ----------
    image, table : FITSHeader
        Of HDUs 1 and 2, for which `is_cube` is true.
    location : str
        What errors call the object.

    Attributes
    ----------
    row_size, row_count : int
        Bytes of a row, and how many there are.

    Raises
    ------
    CorruptFITSError
        If its header does not say where the keywords are.
    """

    def __init__(self, image: FITSHeader, table: FITSHeader, location: str) -> None:
        self._image, self._table, self._location = image, table, location
        self.row_size, self.row_count = table.structure.axes
        self._columns: dict[str, _Column] = {}
        for column in self._read_columns():
            self._columns.setdefault(column.name, column)
        kind = self._columns.get("CTYPE2")
        if kind is None or kind.cell.code != "A":
            raise self._corrupt("it has no column CTYPE2 of text, by which a WCS is found", table.offset)
        self._ctype2 = kind

    def row_range(self, row: int) -> tuple[int, int]:
        """Return where a row is: bytes [start, stop) of the object, of the 0-based row."""
        return self._range(row, row + 1)

    def wcs(self, read: Read) -> tuple[WCS, Header]:
        """Read the WCS that all images of the cube have.

        One round trip, of one row, if the middle row has it; each next one takes more rows, 64 KiB at first
        and 16 MiB at most, up to 64 MiB in all.

        Returns
        -------
        wcs : WCS
            Of the cube's first two axes in NumPy's order, (row, column): its pixels are (column, row).
        header : Header
            The keywords of the FFI it is from, FFI_FILE among them, without those of its file's structure.

        Raises
        ------
        CorruptFITSError
            If the table is cut short, or what a row says of its WCS makes none.
        FITSError
            If no row has a WCS.
        """
        number, row = self._find(read)
        header = self._header_of(number, row)
        return self._wcs_of(number, header), header

    def _find(self, read: Read) -> tuple[int, bytes]:
        """Return the number of the row that has the WCS, and its bytes."""
        searched = 0
        for first, stop in self._windows():
            if searched >= _MOST_SEARCHED:
                break
            rows = self._rows(read, first, stop)
            searched += len(rows)
            for number in range(first, stop):
                row = rows[(number - first) * self.row_size : (number - first + 1) * self.row_size]
                if self._ctype2.value(row) == _CTYPE2:
                    return number, row
        name, hdu, count = self._location, self._table.index, searched // self.row_size
        raise FITSError(
            f"{name}: the cube of HDU {self._image.index} has no WCS: {count} of the {self.row_count} rows "
            f"of HDU {hdu} were looked at, and none has CTYPE2 = '{_CTYPE2}'; take a section of it instead",
            location=name,
            hdu=hdu,
            offset=self._table.data_offset,
        )

    def _windows(self) -> Iterator[tuple[int, int]]:
        """Yield which rows to read, one read after the other: the middle one, those behind it, the others."""
        middle, size = self.row_count // 2, _FIRST_WINDOW
        yield middle, middle + 1
        for first, end in ((middle + 1, self.row_count), (0, middle)):
            while first < end:
                stop = min(end, first + max(1, size // self.row_size))
                yield first, stop
                first, size = stop, min(4 * size, _LARGEST_WINDOW)

    def _rows(self, read: Read, first: int, stop: int) -> bytes:
        start, end = self._range(first, stop)
        (data,) = read([(start, end)])
        if len(data) < end - start:
            raise self._corrupt(f"the object ends there, the rows at byte {end}", start + len(data))
        return data

    def _range(self, first: int, stop: int) -> tuple[int, int]:
        base = self._table.data_offset
        return base + first * self.row_size, base + stop * self.row_size

    def _header_of(self, number: int, row: bytes) -> Header:
        """Make the header that an FFI had."""
        from astropy.io.fits import Header

        header = Header()
        for name, column in self._columns.items():
            value = column.value(row)
            if wrong := _wrong(name, value):
                raise self._no_wcs(number, f"{name} is {value!r}, {wrong}", column.start)
            if value == "" or value is None or (isinstance(value, float) and not math.isfinite(value)):
                continue
            if (
                _KEYWORD.fullmatch(name)
                and not _STRUCTURE.fullmatch(name)
                and (name, value) != ("WCSAXES", 0)
            ):
                header[name] = value
        return header

    def _wcs_of(self, number: int, header: Header) -> WCS:
        from astropy.wcs import WCS

        if what := _not_a_wcs(header):
            raise self._no_wcs(number, what)
        try:
            wcs = WCS(header, relax=True, fix=False)
            wcs.wcs.fix()  # WCS would warn of what it does to dates
            wcs.array_shape = self._image.shape[:2]
        except Exception as error:  # a cell may hold anything
            said = str(error).strip().splitlines() or [type(error).__name__]
            raise self._no_wcs(number, said[-1]) from error
        (a, b), (c, d) = wcs.pixel_scale_matrix
        if a * d == b * c:
            raise self._no_wcs(number, "its matrix CD is singular")
        return wcs

    def _no_wcs(self, number: int, why: str, start: int = 0) -> CorruptFITSError:
        """Make the error for a row, at a byte of it, that says it has a WCS."""
        return self._corrupt(f"row {number} has no WCS: {why}", self.row_range(number)[0] + start)

    def _read_columns(self) -> list[_Column]:
        """Find the columns by their formats (FITS Standard 4.0, section 7.3)."""
        if not 0 < self.row_size <= _LONGEST_ROW:
            raise self._corrupt(f"rows of {self.row_size} bytes hold no header's values", self._table.offset)
        cards = _column_cards(self._table)
        columns, start = [], 0
        for number in range(1, self._table.structure.columns + 1):
            column = self._read_column(number, start, cards)
            columns.append(column)
            start += column.cell.width
        if start != self.row_size:
            what = f"columns of {start} bytes in rows of NAXIS1 = {self.row_size}"
            raise self._corrupt(what, self._table.offset)
        return columns

    def _read_column(self, number: int, start: int, cards: dict[str, str]) -> _Column:
        form = cards.get(f"TFORM{number}", "")
        cell = read_format(form)
        if cell is None:
            what = f"TFORM{number} = {form!r} is no format of a binary table"
            raise self._corrupt(what, self._table.offset)
        if f"TSCAL{number}" in cards or f"TZERO{number}" in cards:
            what = f"its column {number} is scaled, which no keyword is"
            raise self._corrupt(what, self._table.offset)
        return _Column(cards.get(f"TTYPE{number}", "").upper(), cell, start)

    def _corrupt(self, what: str, offset: int) -> CorruptFITSError:
        """Make the error for a table that makes no sense, at a byte of the object."""
        name, hdu = self._location, self._table.index
        message = f"{name}: the table of HDU {hdu} is damaged at byte {offset}: {what}"
        return CorruptFITSError(message, location=name, hdu=hdu, offset=offset)


def _not_a_wcs(header: Header) -> str:
    """Say why astropy would make another WCS of a header than is meant; empty if it would not."""
    if (kind := header.get("CTYPE1")) != _CTYPE1:
        return f"CTYPE1 is {kind!r} beside CTYPE2 = {_CTYPE2!r}"
    for name in ("CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2"):
        if name not in header:
            return f"it has no {name}"
    for axis in (1, 2):
        if not any(header.get(name) for name in (f"CD{axis}_1", f"CD{axis}_2", f"CDELT{axis}")):
            return f"CD{axis}_j are all 0"  # which WCSLIB takes for 1
    for pair in _ORDERS:
        orders = [header.get(name, 0) for name in pair]
        if (orders[0] > 1) != (orders[1] > 1):
            return f"{', '.join(pair)} are {orders}, of half a distortion"
    return ""


def _wrong(name: str, value: str | int | float | None) -> str:
    """Say why a WCS cannot have this value; empty where it can."""
    if not _NUMERIC.fullmatch(name):
        return ""
    if isinstance(value, str) or value is None:
        return "not a number"
    if math.isinf(value) or (math.isnan(value) and _PLACE.fullmatch(name)):
        return "not a finite number"
    if _ORDER.fullmatch(name) and not (math.isnan(value) or 0 <= value <= _LARGEST_ORDER):
        return f"not between 0 and {_LARGEST_ORDER}"
    if name == "WCSAXES" and value not in (0, 2):
        return "and an image has 2"
    return ""
