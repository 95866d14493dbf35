"""Which tiles of a compressed image a section needs, where they are, and a small file of just those. Pure.

The image lies in a binary table, a tile a row: the row says where in the heap the tile is. Out of the rows
and tiles that a section touches, `TileTable.file_of` makes an HDU of a smaller image, for astropy to decode:
the box of those tiles; or, where the noise that was added to a tile depends on its row, a band of the image
whose rows follow each other in the table, so that each tile is as far from the first as it was.

Reference: FITS Standard 4.0, sections 7.3 (rows, descriptors, heap) and 10.1 (tile-compressed images).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from astro_cloud.fits.columns import ELEMENT_BYTES, read_format
from astro_cloud.fits.layout import CARD, padded
from astro_cloud.fits.tile_bytes import most_pixels, wrong_settings, wrong_stream

if TYPE_CHECKING:
    from astropy.io.fits import Header

__all__ = ["Descriptor", "MalformedTableError", "TileTable", "Tiles", "ascending"]

_LONGEST_AXIS = (1 << 31) - 1
"""Pixels along an axis that astropy and CFITSIO take, of an image or of a tile."""
_POINTED = re.compile(r"\s*1?[PQ]([A-Z])")
_TILE_COLUMNS = ("COMPRESSED_DATA", "GZIP_COMPRESSED_DATA", "UNCOMPRESSED_DATA")
_STANDS_FOR = {"GZIP_COMPRESSED_DATA": "GZIP_1", "UNCOMPRESSED_DATA": "NOCOMPRESS"}
_KEPT = re.compile(
    r"Z(IMAGE|CMPTYPE|BITPIX|NAXIS\d*|TILE\d+|NAME\d+|VAL\d+|QUANTIZ|DITHER0|BLANK|SCALE|ZERO)"
    r"|TFIELDS|T(TYPE|FORM|SCAL|ZERO|NULL)\d+|BSCALE|BZERO|BLANK"
)

Array = np.ndarray[Any, Any]
Run = tuple[int, int]


class MalformedTableError(ValueError):
    """A compressed image whose table makes no sense.

    Parameters
    ----------
    message : str
        What is wrong.
    offset : int
        Bytes from the start of the data unit to the row, or 0.
    """

    def __init__(self, message: str = "", offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset

    def __reduce__(self) -> tuple[type[MalformedTableError], tuple[str, int]]:
        return type(self), (str(self), self.offset)


@dataclass(frozen=True)
class Descriptor:
    """A column whose cells say how many elements of how many bytes there are, and where in the heap."""

    name: str
    start: int
    dtype: np.dtype[Any]
    itemsize: int


@dataclass(frozen=True)
class Tiles:
    """The tiles that a section touches.

    Attributes
    ----------
    spans : tuple of (int, int)
        Along each axis the first, and the one behind the last.
    rows : ndarray of int64
        Their rows of the table, ascending.
    """

    spans: tuple[Run, ...]
    rows: Array

    @property
    def band(self) -> tuple[Run, ...]:
        """The spans up to the first axis of which more than one tile is touched."""
        wide = next((axis for axis, (first, stop) in enumerate(self.spans) if stop - first > 1), None)
        return self.spans if wide is None else self.spans[: wide + 1]


class TileTable:
    """The table that holds a tile-compressed image.

    Parameters
    ----------
    header : Header
        Of the binary table, as it is in the file.
    shape, tile_shape : tuple of int
        Of the image and of a tile, in pixels, in NumPy order.
    data_size : int
        Bytes of the data unit, heap included.

    Raises
    ------
    MalformedTableError
        If the columns, or the numbers of rows and tiles, do not fit together.
    """

    def __init__(
        self, header: Header, shape: tuple[int, ...], tile_shape: tuple[int, ...], data_size: int
    ) -> None:
        self.shape = shape
        self.tile_shape = tile_shape
        self.row_size, self.row_count = _number(header, "NAXIS1"), _number(header, "NAXIS2")
        self.heap = _number(header, "THEAP", self.row_size * self.row_count)
        self.heap_size = data_size - self.heap
        self.columns, self._width = _descriptors(header)
        self.algorithm = str(header.get("ZCMPTYPE", "")).strip()
        self._header = header
        self._check()
        self.grid = tuple(-(-length // tile) for length, tile in zip(shape, tile_shape, strict=True))
        if math.prod(self.grid) > self.row_count:
            raise MalformedTableError(
                f"an image of {math.prod(self.grid)} tiles in a table of {self.row_count} rows"
            )

    def _check(self) -> None:
        if not self.columns:
            raise MalformedTableError("the table has no column COMPRESSED_DATA of variable length")
        if len(self.tile_shape) != len(self.shape) or not self.shape:
            raise MalformedTableError(f"tiles of {self.tile_shape} pixels in an image of {self.shape}")
        if min(self.tile_shape) < 1 or max(*self.tile_shape, *self.shape) > _LONGEST_AXIS:
            raise MalformedTableError(f"tiles of {self.tile_shape} pixels in an image of {self.shape}")
        if wrong := wrong_settings(self.algorithm, self._header):
            raise MalformedTableError(wrong)
        if self.heap < self.row_size * self.row_count or self.heap_size < 0:
            raise MalformedTableError(
                f"THEAP = {self.heap} is not behind {self.row_count} rows of {self.row_size} bytes, "
                "or PCOUNT is too small"
            )
        if self._width != self.row_size:
            raise MalformedTableError(f"columns of {self._width} bytes in rows of NAXIS1 = {self.row_size}")

    def touched(self, index: Sequence[int | slice]) -> Tiles:
        """Return the tiles that an index touches: integers, and slices as `ascending` returns them."""
        spans = [_span(item, tile) for item, tile in zip(index, self.tile_shape, strict=True)]
        rows = np.zeros(1, np.int64)
        for (first, stop), count in zip(spans, self.grid, strict=True):
            rows = (rows[:, None] * count + np.arange(first, stop)).reshape(-1)
        return Tiles(tuple(spans), rows)

    def row_runs(self, rows: Array) -> list[Run]:
        """Return where some rows are, in bytes from the start of the data unit: those in a row in one run."""
        breaks = np.flatnonzero(np.diff(rows) > 1) + 1
        return [
            (int(part[0]) * self.row_size, (int(part[-1]) + 1) * self.row_size)
            for part in np.split(rows, breaks)
        ]

    def heap_runs(self, tiles: Tiles, rows: bytes) -> list[Run]:
        """Return where the touched tiles are, in bytes from the start of the data unit, each once.

        Parameters
        ----------
        tiles : Tiles
            What is touched.
        rows : bytes
            The rows of those tiles.

        Raises
        ------
        MalformedTableError
            If one is not in the heap.
        """
        runs: dict[int, int] = {}
        for column, lengths, offsets in self._cells(rows):
            ends = offsets + lengths * column.itemsize  # which may be more than 63 bits hold
            most = (self.heap_size - offsets) // column.itemsize
            wrong = np.flatnonzero((lengths < 0) | (offsets < 0) | (lengths > most))
            if len(wrong):
                row, at = int(tiles.rows[wrong[0]]), wrong[0]
                raise MalformedTableError(
                    f"{column.name} of row {row} points at {lengths[at]} elements of {column.itemsize} bytes "
                    f"at byte {offsets[at]} of a heap of {self.heap_size} bytes",
                    row * self.row_size + column.start,
                )
            there = lengths > 0
            starts, stops = (offsets[there] + self.heap).tolist(), (ends[there] + self.heap).tolist()
            for start, stop in zip(starts, stops, strict=True):
                runs[start] = max(stop, runs.get(start, 0))
        if sum(stop - start for start, stop in runs.items()) > self.heap_size:
            raise MalformedTableError(f"tiles overlap in a heap of {self.heap_size} bytes")
        self._check_room(tiles, rows)
        return list(runs.items())

    def _check_room(self, tiles: Tiles, rows: bytes) -> None:
        """See that each tile has bytes enough for its pixels: room is made for as many as the header says."""
        pixels, most = self._pixels(tiles), np.zeros(len(tiles.rows))
        for column, lengths, _ in self._cells(rows):
            algorithm = _STANDS_FOR.get(column.name, self.algorithm)
            sizes = (lengths * column.itemsize).astype(np.float64)
            fit = most_pixels(algorithm, sizes, self._header)
            most = np.where(most > 0, most, fit)
        wrong = np.flatnonzero(pixels > most)
        if len(wrong):
            row = int(tiles.rows[wrong[0]])
            raise MalformedTableError(
                f"a tile of {pixels[wrong[0]]:.0f} pixels is more than the bytes of row {row} can hold",
                row * self.row_size,
            )

    def _pixels(self, tiles: Tiles) -> Array:
        """Return the pixels of each touched tile, as floating point: a header may say any number."""
        pixels = np.ones(len(tiles.rows))
        for where, length, tile in zip(
            np.unravel_index(tiles.rows, self.grid), self.shape, self.tile_shape, strict=True
        ):
            pixels *= np.minimum(tile, length - where * tile)
        return pixels

    def check_streams(self, tiles: Tiles, rows: bytes, runs: Sequence[Run], parts: Sequence[bytes]) -> None:
        """See that what the touched tiles say of themselves can be, which a decoder in C would believe.

        Parameters
        ----------
        tiles, rows, runs, parts
            As for `file_of`.

        Raises
        ------
        MalformedTableError
            If one cannot be of as many pixels as it should be.
        """
        if self.algorithm not in ("HCOMPRESS_1", "PLIO_1"):
            return
        held = {start: part for (start, _), part in zip(runs, parts, strict=True)}
        pixels = self._pixels(tiles).astype(np.int64).tolist()
        for column, lengths, offsets in self._cells(rows):
            if column.name not in _STANDS_FOR:
                sizes = (lengths * column.itemsize).tolist()
                for count, size, offset in zip(pixels, sizes, offsets.tolist(), strict=True):
                    data = held.get(offset + self.heap, b"")[:size]
                    if size and (wrong := wrong_stream(self.algorithm, data, count)):
                        raise MalformedTableError(f"a tile: {wrong}", offset + self.heap)

    def file_of(self, tiles: Tiles, rows: bytes, runs: Sequence[Run], parts: Sequence[bytes]) -> bytes:
        """Make an HDU of the touched tiles.

        Parameters
        ----------
        tiles : Tiles
            What is touched.
        rows : bytes
            The rows of those tiles.
        runs : sequence of (int, int)
            What `heap_runs` returned.
        parts : sequence of bytes
            The bytes of each run.
        """
        begins = itertools.accumulate(map(len, parts), initial=0)
        places = {start: begin for (start, _), begin in zip(runs, begins, strict=False)}
        moved = np.frombuffer(rows, np.uint8).reshape(-1, self.row_size).copy()
        for column, lengths, offsets in self._cells(rows):
            new = [places.get(offset + self.heap, 0) for offset in offsets.tolist()]
            cells = np.stack([lengths, np.array(new, np.int64)], axis=1).astype(column.dtype)
            moved[:, column.start : column.start + 2 * column.dtype.itemsize] = cells.view(np.uint8)
        begin, table = 0, moved
        if self._is_dithered:
            begin, stop = self._band_of_rows(tiles)
            table = np.zeros((stop - begin, self.row_size), np.uint8)
            table[tiles.rows - begin] = moved
        heap = b"".join(parts)
        header = self._small_header(tiles, len(table), len(heap), begin)
        return b"".join([header, table.data, heap])

    @cached_property
    def _is_dithered(self) -> bool:
        """Whether what a tile's pixels are depends on where in the table its row is (section 10.2.1)."""
        return "DITHER" in str(self._header.get("ZQUANTIZ", "")).replace("NO_DITHER", "")

    def _kept_spans(self, tiles: Tiles) -> tuple[Run, ...]:
        """Return what the small image is of, in tiles, along the axes of which it is not the whole."""
        return tiles.band if self._is_dithered else tiles.spans

    def local(self, index: Sequence[int | slice], tiles: Tiles) -> tuple[int | slice, ...]:
        """Return an index of the image as one of the small image."""
        spans = self._kept_spans(tiles)
        ends = [first * tile for (first, _), tile in zip(spans, self.tile_shape, strict=False)]
        moved = [_moved(item, base) for item, base in zip(index, ends, strict=False)]
        return (*moved, *index[len(moved) :])

    def _band_of_rows(self, tiles: Tiles) -> Run:
        """Return the rows of the table from the band's first tile to its last."""
        begin = sum(first * math.prod(self.grid[axis + 1 :]) for axis, (first, _) in enumerate(tiles.band))
        first, stop = tiles.band[-1]
        return begin, begin + (stop - first) * math.prod(self.grid[len(tiles.band) :])

    def _cells(self, rows: bytes) -> list[tuple[Descriptor, Array, Array]]:
        """Return the lengths (in elements) and offsets (in bytes) in each descriptor column of some rows."""
        table = np.frombuffer(rows, np.uint8).reshape(-1, self.row_size)
        found = []
        for column in self.columns:
            cells = table[:, column.start : column.start + 2 * column.dtype.itemsize]
            numbers = np.ascontiguousarray(cells).view(column.dtype).astype(np.int64)
            found.append((column, numbers[:, 0], numbers[:, 1]))
        return found

    def _small_header(self, tiles: Tiles, row_count: int, heap_size: int, begin: int) -> bytes:
        numbers = {
            "BITPIX": 8, "NAXIS": 2, "NAXIS1": self.row_size, "NAXIS2": row_count, "PCOUNT": heap_size,
            "GCOUNT": 1,
        }  # fmt: skip
        for axis, (first, stop) in enumerate(self._kept_spans(tiles)):
            tile, length = self.tile_shape[axis], self.shape[axis]
            numbers[f"ZNAXIS{len(self.shape) - axis}"] = min(length, stop * tile) - first * tile
        if (
            self._is_dithered and "ZDITHER0" in self._header
        ):  # section 10.2.1: a tile's noise is that of its row, counted from here
            numbers["ZDITHER0"] = self._header["ZDITHER0"] + begin
        counted = [f"{keyword:8}= {number:>20}" for keyword, number in numbers.items()]
        kept = [image for keyword, image in self._kept if keyword not in numbers]
        text = "".join(card.ljust(CARD) for card in ["XTENSION= 'BINTABLE'", *counted, *kept, "END"])
        return text.ljust(padded(len(text))).encode("ascii")

    @cached_property
    def _kept(self) -> list[tuple[str, str]]:
        """The cards that say how tiles are to be decoded."""
        return [(card.keyword, card.image) for card in self._header.cards if _KEPT.fullmatch(card.keyword)]


def ascending(item: int | slice, length: int) -> tuple[int | slice, bool]:
    """Spell an index of an axis so that a slice goes upward and ends behind the last pixel it takes.

    Returns
    -------
    int or slice
        A slice that takes nothing is ``slice(0, 0, 1)``.
    bool
        Whether the pixels are to be put in falling order.
    """
    if not isinstance(item, slice):
        return item, False
    taken = range(*item.indices(length))
    if not taken:
        return slice(0, 0, 1), False
    first, last = sorted((taken[0], taken[-1]))
    return slice(first, last + 1, abs(taken.step)), taken.step < 0


def _moved(item: int | slice, base: int) -> int | slice:
    if isinstance(item, slice):
        return slice(item.start - base, item.stop - base, item.step)
    return item - base


def _span(item: int | slice, tile: int) -> Run:
    """Return the first tile of an axis that an index touches, and the one behind the last."""
    if not isinstance(item, slice):
        return item // tile, item // tile + 1
    return item.start // tile, max(item.stop - 1, item.start) // tile + 1


def _number(header: Header, keyword: str, default: int | None = None) -> int:
    value = header.get(keyword, default)
    if isinstance(value, int):
        return value
    raise MalformedTableError(f"{keyword} = {value!r} is no integer")


def _descriptors(header: Header) -> tuple[list[Descriptor], int]:
    """Return the columns that point into the heap, for tiles; and the bytes of all columns."""
    found, start = [], 0
    for number in range(1, _number(header, "TFIELDS") + 1):
        form = str(header.get(f"TFORM{number}", ""))
        cell = read_format(form)
        if cell is None:
            raise MalformedTableError(f"TFORM{number} = {form!r} is no format of a binary table")
        name = str(header.get(f"TTYPE{number}", "")).strip().upper()
        pointed = _POINTED.match(form)
        if name in _TILE_COLUMNS and pointed and pointed[1] in ELEMENT_BYTES:
            dtype = np.dtype(">i4" if cell.code == "P" else ">i8")
            found.append(Descriptor(name, start, dtype, ELEMENT_BYTES[pointed[1]]))
        start += cell.width
    return sorted(found, key=lambda column: _TILE_COLUMNS.index(column.name)), start
