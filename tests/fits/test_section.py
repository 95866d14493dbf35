"""Which bytes a section is: against NumPy's and astropy's indexing, and what is read for it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from itertools import pairwise, product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from astro_cloud import fits as cloud_fits
from astro_cloud.fits.section import extent, read_box, select
from astro_cloud.fits.steps import run
from tests.fits.sources import primary

BITPIX = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
NEAR = 4096
MIB = 1 << 20

#: What astropy takes for an index, of an axis of any length.
ITEMS = ("int", "numpy", "slice", "ints", "mask", "list")

pytestmark = pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")


class Pixels:
    """An image whose pixels are made when they are read, in an object of any size; remembers what was asked.

    Each pixel is the number it has in the file, as far as its type goes.
    """

    def __init__(self, dtype: str, offset: int = 0) -> None:
        self.dtype = np.dtype(dtype)
        self.offset = offset
        self.ranges = 0
        self.bytes = 0
        self.trips: list[int] = []
        self.asked: list[tuple[int, int]] = []

    def read(
        self, ranges: Sequence[tuple[int, int]], buffers: Sequence[memoryview] | None
    ) -> list[memoryview]:
        assert buffers is not None
        size = self.dtype.itemsize
        self.trips.append(len(ranges))
        for (start, stop), buffer in zip(ranges, buffers, strict=True):
            assert len(buffer) == stop - start > 0
            first, count = (start - self.offset) // size, (stop - start) // size
            np.frombuffer(buffer, self.dtype)[:] = np.arange(first, first + count).astype(self.dtype)
            self.bytes += stop - start
            if len(self.asked) < 100_000:
                self.asked.append((start, stop))
        return list(buffers)


def read_section(pixels: Pixels, key: Any, shape: tuple[int, ...]) -> Any:
    """Read what a key selects."""
    selection = select(key, shape)
    box = read_box(selection.positions, shape, pixels.dtype, pixels.offset)
    return selection.result(run(box, pixels.read))


@st.composite
def shapes(draw: st.DrawFn, most: int = 5) -> tuple[int, ...]:
    """Make a shape of up to so many axes, some of one pixel, of few pixels in all."""
    axes = draw(st.integers(1, most))
    return tuple(draw(st.integers(1, {1: 300, 2: 40, 3: 12}.get(axes, 6))) for _ in range(axes))


@st.composite
def items(draw: st.DrawFn, size: int) -> Any:
    """Make an index into an axis; an array's may be in any order, and the same twice."""
    kind = draw(st.sampled_from(ITEMS))
    index = st.integers(-size, size - 1)
    if kind == "int":
        return draw(index)
    if kind == "numpy":
        return draw(st.sampled_from([np.int64, np.int32]))(draw(index))
    if kind == "slice":
        bound = st.none() | st.integers(-size - 2, size + 2)
        step = draw(st.none() | st.integers(-4, 4).filter(bool))
        return slice(draw(bound), draw(bound), step)
    if kind == "mask":
        mask = np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)))
        return mask if draw(st.booleans()) else mask.tolist()
    chosen = draw(st.lists(index, min_size=1, max_size=6))
    return chosen if kind == "list" else np.array(chosen, draw(st.sampled_from(["i8", "i4"])))


@st.composite
def keys(draw: st.DrawFn, shape: tuple[int, ...]) -> Any:
    """Make a key of all kinds of indices: one for each axis, or fewer, with an Ellipsis anywhere."""
    key = [draw(items(size)) for size in shape]
    if draw(st.booleans()):
        first = draw(st.integers(0, len(key)))
        last = draw(st.integers(first, len(key)))
        key[first:last] = [...]
    else:
        key = key[: draw(st.integers(0, len(key)))]
    return key[0] if len(key) == 1 and draw(st.booleans()) else tuple(key)


def orthogonal(image: np.ndarray[Any, Any], key: Any) -> Any:
    """Let NumPy take each axis by its own index, with `np.ix_`; an integer takes its axis away."""
    every = list(key) if isinstance(key, tuple) else [key]
    at = next((at for at, item in enumerate(every) if item is ...), len(every))
    rest = every[at + 1 :]
    every = [*every[:at], *[slice(None)] * (image.ndim - at - len(rest)), *rest]
    positions = [np.arange(size)[item] for item, size in zip(every, image.shape, strict=True)]
    box = image[np.ix_(*[np.atleast_1d(where) for where in positions])]
    return box.reshape([len(where) for where in positions if where.ndim])


@given(st.data(), shapes(), st.sampled_from(sorted(BITPIX.values())))
@settings(max_examples=400)
def test_a_section_is_what_numpys_orthogonal_indexing_takes(
    data: st.DataObject, shape: tuple[int, ...], dtype: str
) -> None:
    """The values and the shape are those of `np.ix_`; the bytes read lie in the image, none twice, few.

    An integer on an axis of one pixel may leave that axis, as it does for astropy.
    """
    key = data.draw(keys(shape))
    image = np.arange(prod(shape)).astype(dtype).reshape(shape)
    pixels = Pixels(dtype, offset=5760)
    found = read_section(pixels, key, shape)
    expected = orthogonal(image, key)
    if 1 in shape:
        found, expected = np.squeeze(found), np.squeeze(expected)
    assert np.shape(found) == expected.shape
    assert np.array_equal(found, expected)
    asked = sorted(pixels.asked)
    assert all(start >= 5760 and stop <= 5760 + image.nbytes for start, stop in asked)
    assert all(before[1] <= after[0] for before, after in pairwise(asked))
    assert is_tight(asked, image, key)


def is_tight(asked: list[tuple[int, int]], image: np.ndarray[Any, Any], key: Any) -> bool:
    """Tell whether each range begins and ends with a wanted pixel, and holds no long gap between two."""
    size = image.itemsize
    numbers = np.arange(image.size).reshape(image.shape)
    wanted = np.unique(orthogonal(numbers, key).reshape(-1))
    if not len(wanted):
        return not asked
    for start, stop in asked:
        first, last = (start - 5760) // size, (stop - 5760) // size - 1
        inside = wanted[(wanted >= first) & (wanted <= last)]
        gaps = (np.diff(inside) - 1) * size
        if not len(inside) or (inside[0], inside[-1]) != (first, last) or (gaps >= NEAR).any():
            return False
    return bool(sum(stop - start for start, stop in asked) >= len(wanted) * size)


@given(st.data(), shapes(), st.sampled_from(sorted(BITPIX)))
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_section_is_astropys(
    tmp_path: Path, data: st.DataObject, shape: tuple[int, ...], bitpix: int
) -> None:
    """Values, dtype, byte order, shape and the types of numbers are astropy's, for any key it takes."""
    values = np.random.default_rng(prod(shape)).bytes(prod(shape) * abs(bitpix) // 8)
    path = tmp_path / "image.fits"
    path.write_bytes(primary(naxis=shape[::-1], bitpix=bitpix) + values.ljust(-(-len(values) // 2880) * 2880))
    some = [data.draw(keys(shape)) for _ in range(2)]
    with cloud_fits.open(path) as ours, fits.open(path, memmap=False) as theirs:
        for key in some:
            if prod(orthogonal(np.empty(shape), key).shape):
                assert same(ours[0].section[key], theirs[0].section[key]), key


def same(ours: Any, theirs: Any) -> bool:
    """Tell whether two values are the same to the bit, and of one type."""
    if type(ours) is not type(theirs):
        return False
    a, b = np.asarray(ours), np.asarray(theirs)
    return a.dtype.str == b.dtype.str and a.shape == b.shape and a.tobytes() == b.tobytes()


SCALES: list[list[tuple[str, float]]] = [
    [],
    [("BZERO", 1 << 7)],
    [("BZERO", -(1 << 7))],
    [("BZERO", 1 << 15)],
    [("BZERO", 1 << 31)],
    [("BZERO", 1 << 63)],
    [("BZERO", 1 << 15), ("BSCALE", 2)],
    [("BSCALE", 0.125), ("BZERO", -3.5)],
    [("BLANK", 3)],
    [("BLANK", -5), ("BSCALE", 0.5)],
    [("BLANK", 7), ("BZERO", 1 << 15)],
]
OPTIONS = [
    {"uint": uint, "do_not_scale_image_data": raw, "ignore_blank": ignore}
    for uint, raw, ignore in product([True, False], repeat=3)
]


@pytest.mark.parametrize("bitpix", sorted(BITPIX))
@pytest.mark.parametrize("cards", SCALES, ids=str)
def test_values_are_scaled_as_astropy_scales_them(
    tmp_path: Path, bitpix: int, cards: list[tuple[str, float]]
) -> None:
    """BSCALE, BZERO, BLANK and what is asked about them give astropy's values and types, always."""
    below = 1000 if ("BZERO", 1 << 63) in cards else 0  # see the next test
    image = np.arange(-30 - below, 30 - below).astype(BITPIX[bitpix]).reshape(4, 5, 3)
    header = primary(*(f"{name:<8}= {value:>20}" for name, value in cards), naxis=(3, 5, 4), bitpix=bitpix)
    path = tmp_path / "image.fits"
    path.write_bytes(header + image.tobytes().ljust(2880, b"\0"))
    some = [..., 1, (1, 2, 0), (slice(None), 2), (..., slice(0, 2)), (0, [3, 0]), (slice(1, 3), ..., 1)]
    for options in OPTIONS:
        with cloud_fits.open(path, **options) as ours, fits.open(path, memmap=False, **options) as theirs:
            for key in some:
                assert same(ours[0].section[key], theirs[0].section[key]), (options, key)
            assert same(ours[0].data, theirs[0].data), options


def test_unsigned_pixels_of_64_bits_stay_exact(tmp_path: Path) -> None:
    """Where astropy's pieces are joined as floating point, which loses digits, ours are the pixels."""
    image = np.arange(-30, 30).astype(">i8").reshape(4, 5, 3)
    path = tmp_path / "image.fits"
    header = primary("BZERO   =  9223372036854775808", naxis=(3, 5, 4), bitpix=64)
    path.write_bytes(header + image.tobytes().ljust(2880, b"\0"))
    with cloud_fits.open(path) as hdus:
        found = hdus[0].section[1:3, ..., 1]
        assert found.dtype == np.uint64
        assert np.array_equal(found, hdus[0].data[1:3, ..., 1])


WRONG = [
    60, -61, (0, 0, 0), (..., ...), "SCI", 1.0, None, (0, None), [0, 60], [-61], [[0, 1]], [1.5], (0, b"a"),
    [True] * 59, np.ones((60, 50), bool), np.array(1), {1}, slice(None).indices, (0, (1, 2)),
]  # fmt: skip


@pytest.mark.parametrize("key", WRONG, ids=repr)
def test_what_is_no_index_is_an_index_error(key: Any) -> None:
    """A key out of range, of too many indices or of no kind that an image takes reads nothing."""
    pixels = Pixels("u1")
    with pytest.raises(IndexError):
        read_section(pixels, key, (60, 50))
    assert not pixels.asked


@given(st.data(), st.integers(0, 6))
@example(None, 0)
def test_an_array_of_indices_takes_what_numpy_takes(data: st.DataObject | None, size: int) -> None:
    """An array takes the positions that NumPy takes, and is refused where NumPy refuses it."""
    item: Any = []
    if data is not None:
        numbers = st.lists(st.integers(-8, 8), max_size=5)
        masks = st.lists(st.booleans(), min_size=1, max_size=7)
        item = data.draw(numbers | masks)
    try:
        expected = np.arange(size)[item]
    except IndexError:
        with pytest.raises(IndexError):
            select(item, (size,))
        return
    (positions,) = select(item, (size,)).positions
    assert list(positions) == expected.tolist()


def test_an_index_array_on_a_huge_axis_costs_what_it_takes() -> None:
    """An array of three indices into an axis of 2**40 pixels does not cost an array of 2**40."""
    pixels = Pixels(">i8")
    found = read_section(pixels, np.array([1 << 39, 3, -1]), (1 << 40,))
    assert found.tolist() == [1 << 39, 3, (1 << 40) - 1]
    assert pixels.bytes == 24


FAR = [
    ((1 << 20, 1 << 20), (slice((1 << 20) - 2, None), slice(5, 8))),
    ((1 << 45,), slice((1 << 45) - 3, None)),
    ((3, 1 << 40), (slice(None), [(1 << 40) - 1, 0])),
    ((1 << 13, 1 << 14, 1 << 15), (-1, -1, -1)),
    ((1 << 13, 1 << 14, 1 << 15), (slice(None, None, 1 << 12), 7, slice(None, 4))),
]


@pytest.mark.parametrize(("shape", "key"), FAR, ids=str)
def test_pixels_beyond_four_gigabytes_and_a_terabyte(shape: tuple[int, ...], key: Any) -> None:
    """Places in a file are no 32-bit numbers, nor floating point ones."""
    pixels = Pixels(">i8", offset=1 << 33)
    found = np.asarray(read_section(pixels, key, shape))
    strides = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    every = key if isinstance(key, tuple) else (key,)
    expected = np.zeros((), np.int64)
    for item, size, stride in zip(every, shape, strides, strict=True):
        where: Any = range(size)[item] if not isinstance(item, list) else item
        expected = np.add.outer(expected, np.array(where, np.int64) * stride)
    assert np.array_equal(found, expected)
    assert max(stop for _, stop in pixels.asked) > 1 << 32


HUGE = [
    (np.s_[::1000, ::1000], 60, 60 * 4 * 60_000),
    (np.s_[5::2, 12345], 30_000, 30_000 * 4),
    (np.s_[::-3, 12345:12347], 20_000, 20_000 * 8),
    (np.s_[:300, ::7], 300, 300 * 4 * 60_000),
    (np.s_[::100, ::-2000], 600 * 30, 600 * 30 * 4),
    (np.s_[17, ::1025], 59, 59 * 4),
    (np.s_[:100], 1, 100 * 4 * 60_000),
]


@pytest.mark.parametrize(("key", "ranges", "size"), HUGE, ids=str)
def test_memory_and_ranges_of_a_huge_image_are_those_of_the_section(key: Any, ranges: int, size: int) -> None:
    """Of 14 GB little more is held than the result; no read is of more than 65,536 ranges."""
    pixels = Pixels(">f4", offset=2880)
    tracemalloc.start()
    found = read_section(pixels, key, (60_000, 60_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(pixels.trips) <= ranges
    assert pixels.bytes <= size
    assert max(pixels.trips) <= 1 << 16
    assert peak < 4 * found.nbytes + 192 * MIB
    first = (np.arange(60_000)[key[0] if isinstance(key, tuple) else key]).reshape(-1)[0]
    last = np.arange(60_000)[key[1] if isinstance(key, tuple) else slice(None)].reshape(-1)[0]
    assert found.reshape(-1)[0] == np.float32(int(first) * 60_000 + int(last))


def test_one_row_of_very_many_pieces_is_read_in_parts() -> None:
    """Pixels far apart on one axis are as many ranges as pixels, but no read is of more than 65,536."""
    pixels = Pixels(">i8")
    found = read_section(pixels, np.s_[::1000], (200_000_000,))
    assert np.array_equal(found, np.arange(0, 200_000_000, 1000))
    assert max(pixels.trips) <= 1 << 16
    assert sum(pixels.trips) == 200_000


@given(st.data(), shapes())
def test_the_extent_is_from_the_first_to_the_last_byte_asked_for(
    data: st.DataObject, shape: tuple[int, ...]
) -> None:
    """Before anything is read it is known how far it goes."""
    pixels = Pixels(">i2")
    selection = select(data.draw(keys(shape)), shape)
    run(read_box(selection.positions, shape, pixels.dtype, 0), pixels.read)
    first = min((start for start, _ in pixels.asked), default=0)
    last = max((stop for _, stop in pixels.asked), default=0)
    assert extent(selection.positions, shape, 2) == (first, last)


def test_a_section_behind_four_gigabytes_of_a_file(tmp_path: Path) -> None:
    """A section of a local file with a hole of 8 GB is read, in little memory."""
    path = tmp_path / "hole.fits"
    header = primary(naxis=(1 << 16, 1 << 16), bitpix=16)
    with path.open("wb") as file:
        file.write(header)
        file.seek(len(header) + (1 << 33) - 4)
        file.write(b"\0\1\0\2")
        file.truncate(-(-(len(header) + (1 << 33)) // 2880) * 2880)
    tracemalloc.start()
    with cloud_fits.open(path) as hdus:
        found = hdus[0].section[-2:, -3:]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.tolist() == [[0, 0, 0], [0, 1, 2]]
    assert peak < 40 * MIB
