"""astropy's HDUs, with reads that are planned: found by position, all at once, for any number of threads.

An HDU that astropy made of a header is given the class here that stands for its own (`plan`); the names are
the same. What they share is the plan alone: no position in a file, and no table that was read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.shapes import simplify_basic_index

from astro_cloud.exceptions import AstroCloudError, CorruptFITSError
from astro_cloud.fits.hdu_file import HDUFile
from astro_cloud.fits.header import FITSHeader
from astro_cloud.fits.section import extent, read_box, select
from astro_cloud.fits.tiles import MalformedTableError, TileTable, ascending

__all__ = ["plan"]

_ROWS_AT_ONCE = 1 << 16
"""Bytes of a table that a small read of it takes: 64 KiB cost 0.8 ms at 80 MB/s, a request 30 ms."""

Array = np.ndarray[Any, Any]


class Reads:
    """How the data of one HDU are read.

    Parameters
    ----------
    file : HDUFile
        What they lie in.
    header : FITSHeader
        Where.
    options : dict
        What the file was opened with, of what concerns values.
    """

    def __init__(self, file: HDUFile, header: FITSHeader, options: dict[str, Any]) -> None:
        self.file = file
        self.header = header
        self.options = options

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int) -> Array:
        """Read an array as it lies there."""
        self.file.check([(offset, offset + math.prod(shape) * dtype.itemsize)], self.header)
        values = np.empty(shape, dtype)
        if values.size:
            view = values.reshape(-1).view(np.uint8).data
            self.into([(offset, offset + values.nbytes)], [view])
        return values

    def into(self, ranges: Sequence[tuple[int, int]], buffers: Sequence[memoryview]) -> None:
        """Fill buffers with byte ranges, all at once."""
        self.file.check(ranges, self.header)
        for (start, stop), part in zip(ranges, self.file.read_ranges(ranges, buffers), strict=True):
            if len(part) < stop - start:
                self.file.check(ranges, self.header)
                raise self.corrupt(f"the object ends at byte {start + len(part)}", start + len(part))

    def pieces(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read byte ranges, all at once, and all of them."""
        self.file.check(ranges, self.header)
        parts: list[bytes] = self.file.read_ranges(ranges)
        for (start, stop), part in zip(ranges, parts, strict=True):
            if len(part) < stop - start:
                raise self.corrupt(f"the object ends at byte {start + len(part)}", start + len(part))
        return parts

    def corrupt(self, what: str, offset: int) -> CorruptFITSError:
        """Make the error for data that make no sense, at a byte of the object."""
        name, hdu = self.file.name, self.header.index
        message = f"{name}: the data of HDU {hdu} are damaged at byte {offset}: {what}"
        return CorruptFITSError(message, location=name, hdu=hdu, offset=offset)


class TileReads(Reads):
    """How the tiles of a compressed image are read: their rows of the table, then they themselves."""

    def table_of(self, image: fits.CompImageHDU) -> TileTable:
        """Return the table of an image, as its header has it; the image is asked for its tiles' shape."""
        if self._table is None:
            structure = self.header.structure
            axes = structure.compressed.axes[::-1] if structure.compressed else ()
            try:
                tile_shape = tuple(map(int, image.tile_shape))
                self._table = table = TileTable(self._cards, axes, tile_shape, structure.data_size)
            except Exception as error:  # a card may hold anything
                offset = self.header.data_offset + getattr(error, "offset", 0)
                raise self.corrupt(f"{error}", offset) from error
            base = self.header.data_offset
            self.file.check([(base, base + table.heap)], self.header)
        return self._table

    _table: TileTable | None = None

    @cached_property
    def _cards(self) -> fits.Header:
        return self.header.fits

    def section(self, table: TileTable, index: tuple[int | slice, ...]) -> Any:
        """Read the tiles that a basic index touches, and let astropy decode them."""
        base = self.header.data_offset
        tiles = table.touched(index)
        rows = b"".join(self._rows([(base + a, base + b) for a, b in table.row_runs(tiles.rows)], table))
        try:
            runs = table.heap_runs(tiles, rows)
        except MalformedTableError as error:
            raise self.corrupt(str(error), base + error.offset) from error
        there = [(base + start, base + stop) for start, stop in runs]
        parts = self.pieces(there) if there else []
        try:
            table.check_streams(tiles, rows, runs, parts)
        except MalformedTableError as error:
            raise self.corrupt(str(error), base + error.offset) from error
        try:
            small = table.file_of(tiles, rows, runs, parts)
            image = fits.CompImageHDU(bintable=fits.BinTableHDU.fromstring(small), **self.options)
            return image.section[table.local(index, tiles)]
        except AstroCloudError:
            raise
        except Exception as error:  # whatever a decoder makes of damaged bytes
            what = f"its tiles cannot be decompressed: {type(error).__name__}: {error}"
            raise self.corrupt(what, there[0][0] if there else base) from error

    def _rows(self, runs: list[tuple[int, int]], table: TileTable) -> list[bytes]:
        """Read rows of the table, and keep them: the next section may want them, or their neighbours."""
        start, stop = runs[0][0], runs[-1][1]
        if stop - start > _ROWS_AT_ONCE:
            parts = self.pieces(runs)
            for (begin, _), part in zip(runs, parts, strict=True):
                self.file.keep(begin, part)
            return parts
        self.file.check(runs, self.header)
        end = self.header.data_offset + table.row_size * table.row_count
        if self.file.is_held(start, stop):
            (around,) = self.pieces([(start, stop)])
        else:
            (around,) = self.pieces([(start, min(start + _ROWS_AT_ONCE, end))])
            self.file.keep(start, around)
        return [around[begin - start : stop - start] for begin, stop in runs]


class _Planned:
    """An HDU whose data are read by its `reads`, if astropy read it from a file of ours."""

    reads: Reads | None = None

    @property
    def _is_as_read(self) -> bool:
        """Whether nobody replaced its pixels by others of another shape."""
        if self.reads is None:
            return False
        return tuple(self.shape) == self.reads.header.structure.axes[::-1]  # type: ignore[attr-defined]

    def _get_raw_data(self, shape: Any, code: Any, offset: int) -> Any:
        if self.reads is None:
            return super()._get_raw_data(shape, code, offset)  # type: ignore[misc]
        shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        return self.reads.array(tuple(map(int, shape)), np.dtype(code), int(offset))


class Section(fits.Section):
    """A section of a plain image: its runs of bytes are found first, and read all at once.

    It takes what astropy's does and returns what that returns, but for what selects nothing: that has the
    shape and type it would have in NumPy.
    """

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.hdu.shape)

    def __getitem__(self, key: Any) -> Any:
        reads = self.hdu.reads
        structure = reads.header.structure
        shape = structure.axes[::-1]
        if not shape:
            raise IndexError(f"HDU {reads.header.index} of {reads.file.name} holds no image")
        selection = select(key, shape)
        dtype = np.dtype(reads.header.dtype).newbyteorder(">")
        offset = reads.header.data_offset
        first, last = extent(selection.positions, shape, dtype.itemsize)
        reads.file.check([(offset + first, offset + last)] if last else [], reads.header)
        values = read_box(selection.positions, shape, dtype, offset, reads.into)
        return selection.result(self.hdu._scale_data(values))


class TileSection(fits.CompImageSection):
    """A section of a tile-compressed image: the rows of the tiles it touches are read, then those tiles."""

    def __init__(self, hdu: Any) -> None:
        self.hdu = hdu
        self._data_shape = hdu.shape  # astropy counts tiles here, whose sides may be nonsense

    def __getitem__(self, index: Any) -> Any:
        reads: TileReads = self.hdu.reads
        table = reads.table_of(self.hdu)
        spelt = tuple(map(_without_nothing, simplify_basic_index(index, shape=self.shape)))
        if 0 in table.shape:  # an image of no pixels has no tiles
            return self._scaled(np.empty(table.shape, reads.header.dtype)[spelt])
        pairs = [ascending(item, length) for item, length in zip(spelt, self.shape, strict=True)]
        lengths = [
            len(range(item.start, item.stop, item.step)) for item, _ in pairs if isinstance(item, slice)
        ]
        if 0 in lengths:
            return self._scaled(np.empty(lengths, reads.header.dtype))
        values = reads.section(table, tuple(item for item, _ in pairs))
        falling = [falls for item, falls in pairs if isinstance(item, slice)]
        if not any(falling):
            return values
        return values[tuple(slice(None, None, -1 if falls else None) for falls in falling)]

    def _scaled(self, nothing: Array) -> Array:
        """Give an array of no pixels the type that pixels have."""
        scaled: Array = nothing if self.hdu._do_not_scale_image_data else self.hdu._scale_data(nothing)
        return scaled


def _without_nothing(item: int | slice) -> int | slice:
    """Spell a slice that begins before the axis, and goes down, so that nobody counts it from the end."""
    return slice(0, 0, 1) if isinstance(item, slice) and item.start < 0 else item


class PrimaryHDU(_Planned, fits.PrimaryHDU):
    """A primary HDU with planned reads."""

    @property
    def section(self) -> fits.Section:
        """Pixels of the image, read all at once; see `astropy.io.fits.PrimaryHDU.section`."""
        return Section(self) if self._is_as_read else super().section


class ImageHDU(_Planned, fits.ImageHDU):
    """An image extension with planned reads."""

    @property
    def section(self) -> fits.Section:
        """Pixels of the image, read all at once; see `astropy.io.fits.ImageHDU.section`."""
        return Section(self) if self._is_as_read else super().section


class CompImageHDU(_Planned, fits.CompImageHDU):
    """A tile-compressed image with planned reads."""

    @property
    def section(self) -> fits.CompImageSection:
        """Pixels of the image, of the tiles they lie in; see `astropy.io.fits.CompImageHDU.section`."""
        return super().section if self.reads is None else TileSection(self)


class GroupsHDU(_Planned, fits.GroupsHDU):
    """Random groups with planned reads."""


class BinTableHDU(_Planned, fits.BinTableHDU):
    """A binary table with planned reads."""


class TableHDU(_Planned, fits.TableHDU):
    """An ASCII table with planned reads."""


_PLANNED = {
    getattr(fits, kind.__name__): kind
    for kind in (PrimaryHDU, ImageHDU, CompImageHDU, GroupsHDU, BinTableHDU, TableHDU)
}


def plan(hdu: Any, file: HDUFile, header: FITSHeader, options: dict[str, Any]) -> None:
    """Let an HDU that astropy just made have its data read as planned.

    Parameters
    ----------
    hdu : HDU
        Any of astropy's.
    file : HDUFile
        What astropy read it from.
    header : FITSHeader
        Its header, as it is in the file.
    options : dict
        What astropy makes compressed images with: `uint` and `do_not_scale_image_data`, where given.
    """
    _ = hdu.header  # parsed now, while one thread has the HDU: astropy parses it when it is first touched
    kind = _PLANNED.get(type(hdu))
    if kind is None:
        return
    if kind is CompImageHDU:
        plan(hdu._bintable, file, header, options)
    hdu.__class__ = kind
    hdu.reads = (TileReads if kind is CompImageHDU else Reads)(file, header, options)
