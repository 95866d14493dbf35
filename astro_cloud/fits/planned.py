"""astropy's HDUs, with reads that are planned: found by position, all at once, for any number of threads.

An HDU that astropy made of a header is given the class here that stands for its own (`plan`); the names are
the same. What they share is the plan alone: no position in a file, and no table that was read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from astropy.io import fits
from astropy.utils.shapes import simplify_basic_index

from astro_cloud.exceptions import AstroCloudError, CorruptFITSError
from astro_cloud.fits.hdu_file import HDUFile
from astro_cloud.fits.header import FITSHeader
from astro_cloud.fits.layout import padded
from astro_cloud.fits.section import as_slice, extent, read_box, select
from astro_cloud.fits.steps import Ask, Steps, run
from astro_cloud.fits.tiles import MalformedTableError, TileTable, ascending

__all__ = ["OF_PIXELS", "image_of", "plan"]

_ROWS_AT_ONCE = 1 << 16
"""Bytes of a table that a small read of it takes: 64 KiB cost 0.8 ms at 80 MB/s, a request 30 ms."""

Array = np.ndarray[Any, Any]
T = TypeVar("T")


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
            self.run(_one(Ask([(offset, offset + values.nbytes)], [view])))
        return values

    def run(self, steps: Steps[T]) -> T:
        """Run a job that reads these data, alone."""
        return run(self.whole(steps), self.file.read_ranges)

    def whole(self, steps: Steps[T]) -> Steps[T]:
        """Do as a job does, and see that what it reads is there, all of it."""
        parts: list[Any] | None = None
        while True:
            try:
                ask = next(steps) if parts is None else steps.send(parts)
            except StopIteration as done:
                result: T = done.value
                return result
            self.file.check(ask.ranges, self.header)
            parts = yield ask
            for (start, stop), part in zip(ask.ranges, parts, strict=True):
                if len(part) < stop - start:
                    self.file.check(ask.ranges, self.header)
                    raise self.corrupt(f"the object ends at byte {start + len(part)}", start + len(part))

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

    def section(self, table: TileTable, index: tuple[int | slice, ...]) -> Steps[Any]:
        """Read the tiles that a basic index touches, and let astropy decode them."""
        base = self.header.data_offset
        tiles = table.touched(index)
        runs = [(base + start, base + stop) for start, stop in table.row_runs(tiles.rows)]
        rows = b"".join((yield from self._rows(runs, table)))
        try:
            runs = table.heap_runs(tiles, rows)
        except MalformedTableError as error:
            raise self.corrupt(str(error), base + error.offset) from error
        there = [(base + start, base + stop) for start, stop in runs]
        parts = (yield Ask(there)) if there else []
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

    def _rows(self, runs: list[tuple[int, int]], table: TileTable) -> Steps[list[bytes]]:
        """Read rows of the table, and keep them: the next section may want them, or their neighbours."""
        start, stop = runs[0][0], runs[-1][1]
        if stop - start > _ROWS_AT_ONCE:
            parts = yield Ask(runs)
            for (begin, _), part in zip(runs, parts, strict=True):
                self.file.keep(begin, part)
            return parts
        self.file.check(runs, self.header)
        end = self.header.data_offset + table.row_size * table.row_count
        if self.file.is_held(start, stop):
            (around,) = yield Ask([(start, stop)])
        else:
            (around,) = yield Ask([(start, min(start + _ROWS_AT_ONCE, end))])
            self.file.keep(start, around)
        return [around[begin - start : stop - start] for begin, stop in runs]


def _one(ask: Ask) -> Steps[list[Any]]:
    """Be the job that asks for one thing."""
    return (yield ask)


class _Planned:
    """An HDU whose data are read by its `reads`, if astropy read it from a file of ours."""

    reads: Reads | None = None

    @property
    def _is_as_read(self) -> bool:
        """Whether nobody replaced its pixels by others of another shape."""
        if self.reads is None:
            return False
        return tuple(self.shape) == self.reads.header.structure.axes[::-1]  # type: ignore[attr-defined]  # of the HDU it is mixed into

    def _get_raw_data(self, shape: Any, code: Any, offset: int) -> Any:
        if self.reads is None:
            return super()._get_raw_data(shape, code, offset)  # type: ignore[misc]  # as above
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
        return self.hdu.reads.run(self.steps(key))

    def steps(self, key: Any) -> Steps[Any]:
        """Read a section as a job of `astro_cloud.fits.steps`."""
        reads = self.hdu.reads
        structure = reads.header.structure
        shape = structure.axes[::-1]
        if not shape:
            raise IndexError(f"HDU {reads.header.index} of {reads.file.name} holds no image")
        selection = select(key, shape)
        return selection.result((yield from self._box(selection.positions)))

    def box(self, positions: Sequence[range | Array]) -> Array:
        """Read the pixels at some positions along each axis, of which each is one of the result."""
        boxed: Array = self.hdu.reads.run(self._box(positions))
        return boxed

    def _box(self, positions: Sequence[range | Array]) -> Steps[Any]:
        reads = self.hdu.reads
        shape = reads.header.structure.axes[::-1]
        dtype = np.dtype(reads.header.dtype).newbyteorder(">")
        offset = reads.header.data_offset
        first, last = extent(positions, shape, dtype.itemsize)
        reads.file.check([(offset + first, offset + last)] if last else [], reads.header)
        values = yield from read_box(positions, shape, dtype, offset, reads.file.near)
        return self.hdu._scale_data(values)


class TileSection(fits.CompImageSection):
    """A section of a tile-compressed image: the rows of the tiles it touches are read, then those tiles."""

    def __init__(self, hdu: Any) -> None:
        self.hdu = hdu
        self._data_shape = hdu.shape  # astropy counts tiles here, whose sides may be nonsense

    def __getitem__(self, index: Any) -> Any:
        return self.hdu.reads.run(self.steps(index))

    def steps(self, index: Any) -> Steps[Any]:
        """Read a section as a job of `astro_cloud.fits.steps`."""
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
        values = yield from reads.section(table, tuple(item for item, _ in pairs))
        falling = [falls for item, falls in pairs if isinstance(item, slice)]
        if not any(falling):
            return values
        return values[tuple(slice(None, None, -1 if falls else None) for falls in falling)]

    def box(self, positions: Sequence[range]) -> Any:
        """Read the pixels at some positions along each axis, of which each is one of the result."""
        return self[tuple(map(as_slice, positions))]

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


OF_PIXELS = re.compile(
    rb" *(SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|[PG]COUNT|GROUPS|BSCALE|BZERO|BLANK|EXT(NAME|VER)"
    rb"|THEAP|TFIELDS|T(TYPE|FORM|SCAL|ZERO|NULL|DIM)\d+|Z[A-Z]\w*) *=|END *\Z",
    re.IGNORECASE,
)
"""Cards that an image's pixels and name depend on, of hundreds or thousands; astropy scales by none that
begins with HIERARCH."""


def image_of(file: HDUFile, header: FITSHeader, options: dict[str, Any]) -> Any:
    """Make the HDU of an image without reading its file, or its other headers.

    Parameters
    ----------
    file : HDUFile
        What the image lies in.
    header : FITSHeader
        Of the image: what `OF_PIXELS` takes of it is enough.
    options : dict
        As `plan` takes them.

    Returns
    -------
    PrimaryHDU, ImageHDU or CompImageHDU
        Of a plain image, with no other cards.
    """
    compressed = header.structure.compressed is not None
    raw = header.raw if compressed else header.cards(OF_PIXELS)
    text = raw.decode("ascii", "replace").replace("\ufffd", "?").ljust(padded(len(raw))).encode("ascii")
    if compressed:
        hdu = fits.CompImageHDU(bintable=fits.BinTableHDU.fromstring(text, **options), **options)
    else:
        kind = fits.PrimaryHDU if header.kind == "PRIMARY" else fits.ImageHDU
        hdu = kind.fromstring(text, **options)
    plan(hdu, file, header, options)
    return hdu
