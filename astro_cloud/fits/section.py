"""Which bytes a section of an image is, and how they become the array that was asked for. Pure.

A key means what it means to `astropy.io.fits.Section`: integers, slices with any step, one Ellipsis, and
arrays of integers or booleans, each for its own axis (not paired, as NumPy pairs them). Axes are in NumPy
order. Reference: FITS Standard 4.0, sections 3.3.2 (images are contiguous, the first axis varies fastest)
and 5 (big-endian values).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from astro_cloud.fits.steps import Ask, Steps

__all__ = ["Selection", "as_slice", "extent", "filled", "read_box", "select"]

_NEAR = 4096
"""Bytes between two pixels up to which both are read together, however many: less than a request costs."""
_FEW = 1000
"""Rows that are read one by one, near as they may be, where nobody says how near they are read together."""
_A_FEW = 16
"""Rows that are read one by one in any case: there is a connection for each."""
_WASTE = 1 << 22
"""Bytes between rows that may be read in vain, or as many as are wanted."""
_BLOCK, _LONG = 1 << 18, 1 << 24
"""Bytes that are asked for as one range, so that connections can share a run; up to so many: longer ones are
read in parts anyway."""
_MOST_RANGES = 1 << 16
"""Ranges asked for at once."""
_MOST_IN_VAIN = 1 << 26
"""Bytes held at once, where most of them are wanted by nobody."""

Array = np.ndarray[Any, Any]
Run = tuple[int, int]


@dataclass(frozen=True)
class Selection:
    """What a key selects.

    Attributes
    ----------
    positions : tuple of range or ndarray
        Along each axis: a range, or an array of integers in any order.
    shape : tuple of int
        Of the result.
    joined : bool
        It is put together from several reads, or is empty: its values are in the machine's byte order.
    as_numbers : bool
        It is put together from Python's numbers, which are 64 bits wide.
    scalar : bool
        It is one Python number.
    """

    positions: tuple[range | Array, ...]
    shape: tuple[int, ...]
    joined: bool = False
    as_numbers: bool = False
    scalar: bool = False

    def result(self, values: Array) -> Any:
        """Give values, in the order of `positions`, the shape and type that astropy gives them."""
        if self.scalar:
            return values.item()
        values = values.reshape(self.shape)
        if self.as_numbers:
            values = _as_numbers(values)
        return values.astype(values.dtype.newbyteorder("="), copy=False) if self.joined else values


def _as_numbers(values: Array) -> Array:
    """Make values as wide as Python's numbers are; integers of 64 bits without a sign only where they fit."""
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):  # a signalling NaN is quiet then, as Python makes it
            return values.astype(np.float64)
    fits = values.dtype != np.uint64 or not values.size or values.max() <= np.iinfo(np.int64).max
    return values.astype(np.int64) if fits else values


def select(key: Any, shape: tuple[int, ...]) -> Selection:
    """Read a key as astropy's sections do.

    Parameters
    ----------
    key : int, slice, Ellipsis, array of int or bool, or a tuple of them
        One for each axis at most.
    shape : tuple of int
        Of the image, in pixels.

    Raises
    ------
    IndexError
        If there are too many indices, one is out of range, or is none of those.
    """
    keys = key if isinstance(key, tuple) else (key,)
    scalar = len(keys) == len(shape) and all(_is_int(item) for item in keys)
    keys = filled(keys, len(shape))
    positions = tuple(_positions(item, axis) for item, axis in zip(keys, shape, strict=True))
    if all(_is_int(item) for item in keys):
        return Selection(positions, (), scalar=scalar)
    return _laid_out(keys, positions, shape)


def _laid_out(
    keys: tuple[Any, ...], positions: tuple[range | Array, ...], shape: tuple[int, ...]
) -> Selection:
    """Find the result's shape as astropy does.

    It takes the first axis that is no integer; if that and all behind it are one run of bytes, they are read
    at once, an integer on an axis of one pixel with them; if not, it takes one position after the other.
    """
    picked = [axis for axis, item in enumerate(keys) if not _is_int(item)]
    dims: list[int] = []
    for axis in picked:
        tail = range(axis + 1, len(shape))
        if _is_run(positions[axis]) and all(_is_all(positions[at], shape[at]) for at in tail):
            pieces = math.prod(dims)
            dims += [len(positions[axis]), *(len(positions[at]) for at in tail)]
            if 0 not in dims:
                return Selection(positions, tuple(dims), joined=pieces > 1)
            break
        dims.append(len(positions[axis]))
    lengths = tuple(len(positions[axis]) for axis in picked)
    return Selection(positions, lengths, joined=True, as_numbers=0 not in lengths)


def filled(keys: tuple[Any, ...], axes: int) -> tuple[Any, ...]:
    """Put whole axes where the Ellipsis is, or at the end.

    Raises
    ------
    IndexError
        If there are more indices than axes.
    """
    dots = [at for at, item in enumerate(keys) if item is Ellipsis]
    if len(keys) - len(dots) > axes or len(dots) > 1:
        raise IndexError(f"too many indices for an image of {axes} axes")
    at = dots[0] if dots else len(keys)
    rest = keys[at + 1 :]
    return (*keys[:at], *[slice(None)] * (axes - at - len(rest)), *rest)


def _positions(item: Any, axis: int) -> range | Array:
    if _is_int(item):
        index = int(item) + axis if item < 0 else int(item)
        if not 0 <= index < axis:
            raise IndexError(f"index {item} is out of range for an axis of {axis} pixels")
        return range(index, index + 1)
    if isinstance(item, slice):
        return range(*item.indices(axis))
    if np.iterable(item) and not isinstance(item, (str, bytes, tuple)):
        return _listed(np.asarray(item), axis)
    raise IndexError(f"{item!r} is not an integer, a slice, an Ellipsis or an array of integers or booleans")


def _listed(item: Array, axis: int) -> Array:
    """Return the positions that an array takes, as NumPy does; without making those it does not take."""
    if item.ndim == 1 and item.dtype == bool and len(item) == axis:
        return np.flatnonzero(item)
    if item.ndim == 1 and (item.dtype.kind in "iu" or not item.size) and item.dtype != bool:
        wanted = item.astype(np.int64)
        if ((wanted >= -axis) & (wanted < axis)).all() and (item.dtype != np.uint64 or (wanted >= 0).all()):
            return np.where(wanted < 0, wanted + axis, wanted)
        raise IndexError(f"an index of {item} is out of range for an axis of {axis} pixels")
    raise IndexError(
        f"an array of {item.dtype} and shape {item.shape} is no index into an axis of {axis} pixels"
    )


def _is_int(item: Any) -> bool:
    return isinstance(item, (int, np.integer))


def _is_run(positions: range | Array) -> bool:
    return isinstance(positions, range) and positions.step == 1


def _is_all(positions: range | Array, axis: int) -> bool:
    return _is_run(positions) and len(positions) == axis


def as_slice(where: range) -> slice:
    """Write positions as a slice; one that runs down to pixel 0 has no end that could be written."""
    if not where:
        return slice(0, 0)
    return slice(where.start, where.stop if where.stop >= 0 else None, where.step)


def extent(positions: Sequence[range | Array], shape: Sequence[int], itemsize: int) -> Run:
    """Return the bytes from the first pixel at some positions to behind the last, from the image's start.

    Known before anything is made for them: a header may lie about how many there are.
    """
    if not all(len(where) for where in positions):
        return 0, 0
    ends = [_ends(where) for where in positions]
    strides = [itemsize * math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    first = sum(stride * least for stride, (least, _) in zip(strides, ends, strict=True))
    last = sum(stride * most for stride, (_, most) in zip(strides, ends, strict=True))
    return first, last + itemsize


def _ends(where: range | Array) -> Run:
    if isinstance(where, range):
        least, most = sorted((where[0], where[-1]))
        return least, most
    return int(where.min()), int(where.max())


def read_box(
    positions: Sequence[range | Array],
    shape: Sequence[int],
    dtype: np.dtype[Any],
    offset: int,
    near: int = 0,
) -> Steps[Array]:
    """Read the pixels at some positions along each axis, as a job of `steps`.

    Parameters
    ----------
    positions : sequence of range or ndarray
        For each axis, in any order, within the image.
    shape : sequence of int
        Of the image, in pixels.
    dtype : dtype
        Of a pixel as it is stored.
    offset : int
        Bytes from the object's start to the first pixel.
    near : int
        Bytes between two ranges up to which whoever reads them reads both together: rows so near are asked
        for as one range, whole, which is less work for everybody.

    Returns
    -------
    ndarray
        As many pixels along each axis as positions, in their order.
    """
    lengths = tuple(len(where) for where in positions)
    if not math.prod(lengths):
        return np.empty(lengths, dtype)
    plan = _Plan(positions, shape, dtype.itemsize, near)
    if pieces := plan.pieces(math.prod(lengths) * dtype.itemsize):
        axis = next(axis for axis, length in enumerate(lengths) if length > 1)
        parts = []
        for some in _split(positions[axis], pieces):
            rest = [*positions[:axis], some, *positions[axis + 1 :]]
            parts.append((yield from read_box(rest, shape, dtype, offset, near)))
        return np.concatenate(parts, axis=axis)
    box = np.empty(plan.shape, dtype)
    yield Ask(*plan.ranges(offset, box.reshape(-1).view(np.uint8).data))
    for axis, order in plan.orders:
        if isinstance(order, slice):
            box = np.ascontiguousarray(box[(slice(None),) * axis + (order,)])
        else:
            box = box.take(order, axis=axis)
    return box


class _Plan:
    """Which runs of bytes hold the pixels at some positions along each axis.

    Axes behind `inner` are read whole, so that a run is of neighbours along `inner`; those before it are
    rows, each with the same runs. Many rows whose runs are nearly neighbours are read in one, whole.

    Attributes
    ----------
    shape : tuple of int
        Of what is read, in pixels.
    orders : list of (int, ndarray or slice)
        Axes along which the pixels that are wanted are yet to be taken out, or put in order: which.
    """

    def __init__(
        self, positions: Sequence[range | Array], shape: Sequence[int], itemsize: int, near: int
    ) -> None:
        self._image = shape
        self._itemsize = itemsize
        inner = max(
            (axis for axis, where in enumerate(positions) if not _is_all(where, shape[axis])), default=0
        )
        covers = [_Cover(where, 1) for where in positions]
        covers[inner] = _Cover(positions[inner], self._near(inner))
        while inner and self._is_better_whole(covers[inner], inner, positions, near):
            covers[inner] = _Cover.whole(positions[inner], shape[inner])
            inner -= 1
            covers[inner] = _Cover(positions[inner], self._near(inner))
        self._inner, self._covers = inner, covers
        self.shape = tuple(cover.count for cover in covers)
        self.orders = [(axis, cover.order) for axis, cover in enumerate(covers) if cover.order is not None]

    def _stride(self, axis: int) -> int:
        """Bytes from one pixel along an axis to the next."""
        return self._itemsize * math.prod(self._image[axis + 1 :])

    def _near(self, axis: int) -> int:
        return max(1, _NEAR // self._stride(axis))

    def _is_better_whole(
        self, cover: _Cover, axis: int, positions: Sequence[range | Array], near: int
    ) -> bool:
        """Tell whether rows are so near, and so many, that they had better be read whole, in one run."""
        rows, apart = math.prod(map(len, positions[:axis])), self._apart(cover, axis, positions[axis - 1])
        if rows > _FEW and apart <= _NEAR:
            return True
        wanted = rows * cover.count * self._stride(axis)
        in_vain = rows * self._image[axis] * self._stride(axis) - wanted
        return rows > _A_FEW and apart <= near and in_vain <= max(wanted, _WASTE)

    def _apart(self, cover: _Cover, axis: int, rows: range | Array) -> float:
        """Return the bytes between a row's last run and the next row's first, where they are fewest."""
        if len(rows) < 2:
            return math.inf
        (first, _), (_, last) = cover.runs[0], cover.runs[-1]
        if isinstance(rows, range):
            apart = abs(rows.step)
        else:
            apart = int(np.diff(np.unique(rows)).min(initial=self._image[axis - 1]))
        return (apart * self._image[axis] - (last - first)) * self._stride(axis)

    def pieces(self, wanted: int) -> int:
        """Return in how many pieces to read it, where one would hold much that nobody wants; 0 for one."""
        rows = math.prod(self.shape[: self._inner])
        count = -(-rows * len(self._covers[self._inner].runs) // _MOST_RANGES)
        held = self._itemsize * math.prod(self.shape)
        if held > max(_MOST_IN_VAIN, 2 * wanted):
            count = max(count, -(-held // _MOST_IN_VAIN))
        return count if count > 1 and wanted > self._itemsize else 0

    def ranges(self, offset: int, view: memoryview) -> tuple[list[Run], list[memoryview]]:
        """Return the byte ranges to read, and where in the view each goes."""
        starts = np.full(1, offset, np.int64)
        for axis, cover in enumerate(self._covers[: self._inner]):
            starts = (starts[:, None] + cover.read[None, :] * self._stride(axis)).reshape(-1)
        stride = self._stride(self._inner)
        runs = [
            part
            for start, stop in self._covers[self._inner].runs
            for part in _in_blocks(start * stride, stop * stride)
        ]
        ranges = [(row + start, row + stop) for row in starts.tolist() for start, stop in runs]
        ends = np.cumsum([stop - start for start, stop in ranges]).tolist()
        return ranges, [view[start:stop] for start, stop in pairwise([0, *ends])]


class _Cover:
    """What is read along an axis for some positions: runs in ascending order.

    Attributes
    ----------
    runs : list of (int, int)
        Positions that are read, as [start, stop).
    order : ndarray, slice or None
        Where among them each wanted position is; None if they are those, in their order.
    """

    def __init__(self, wanted: range | Array, near: int) -> None:
        if _is_run(wanted):
            self.runs: list[Run] = [(wanted[0], wanted[-1] + 1)]
            self.order: Array | slice | None = None
            return
        sought = np.asarray(wanted, np.int64)
        self.runs = list(_runs(np.unique(sought), near))
        read = self.read
        same = len(read) == len(sought) and bool((read == sought).all())
        self.order = None if same else np.searchsorted(read, sought)

    @classmethod
    def whole(cls, wanted: range | Array, length: int) -> _Cover:
        """Read all of an axis."""
        cover = cls(range(length), 1)
        if isinstance(wanted, range) and wanted.step == 1:
            cover.order = None if len(wanted) == length else slice(wanted.start, wanted.stop)
        else:
            cover.order = np.asarray(wanted, np.int64)
        return cover

    @property
    def read(self) -> Array:
        """The positions that are read."""
        return np.concatenate([np.arange(start, stop) for start, stop in self.runs])

    @property
    def count(self) -> int:
        """How many they are."""
        return sum(stop - start for start, stop in self.runs)


def _runs(ascending: Array, near: int) -> Iterator[Run]:
    """Yield stretches of positions, those at most `near` apart in one."""
    breaks = np.flatnonzero(np.diff(ascending) > near)
    firsts, lasts = [0, *(breaks + 1).tolist()], [*breaks.tolist(), len(ascending) - 1]
    for first, last in zip(firsts, lasts, strict=True):
        yield int(ascending[first]), int(ascending[last]) + 1


def _in_blocks(start: int, stop: int) -> Iterator[Run]:
    """Cut a run where another connection may read on."""
    if stop - start > _LONG:
        yield start, stop
        return
    for begin in range(start, stop, _BLOCK):
        yield begin, min(stop, begin + _BLOCK)


def _split(positions: range | Array, pieces: int) -> list[range | Array]:
    """Cut positions into so many pieces, but none smaller than one position."""
    size = max(1, len(positions) // pieces)
    return [positions[start : start + size] for start in range(0, len(positions), size)]
