"""Sections of tile-compressed images: against astropy and fitsio, and which bytes are read for them."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from random import Random
from typing import Any

import fitsio
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astro_cloud import fits as cloud_fits
from astro_cloud.fits.tiles import TileTable, ascending
from tests.fits.damage import places, tiled, with_card, written
from tests.fits.random_keys import BASIC
from tests.fits.test_section import same

ALGORITHMS = ["RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1", "NOCOMPRESS"]
QUANTIZED = ["RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1"]
DITHERS = {"none": -1, "1": 1, "2": 2}

pytestmark = pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")


@st.composite
def tilings(draw: st.DrawFn) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    """Make an algorithm, the shape of an image of one to four axes, and that of its tiles."""
    algorithm = draw(st.sampled_from(ALGORITHMS))
    if algorithm == "HCOMPRESS_1":  # planes, of 4 pixels a side at least, at the image's edges too
        front = draw(st.lists(st.integers(1, 3), max_size=2))
        sides = [(draw(st.integers(4, 9)), draw(st.integers(1, 4))) for _ in range(2)]
        plane = [side * count for side, count in sides]
        return algorithm, (*front, *plane), (*[1] * len(front), *[side for side, _ in sides])
    axes = draw(st.integers(1, 4))
    shape = tuple(draw(st.integers(1, {1: 200, 2: 30, 3: 12, 4: 6}[axes])) for _ in range(axes))
    return algorithm, shape, tuple(draw(st.integers(1, length)) for length in shape)


def assert_astropys(path: Path, count: int = 6, **options: Any) -> None:
    """Hold sections by random keys, and the data, against astropy's, to the bit."""
    with cloud_fits.open(path, **options) as ours, fits.open(path, memmap=False, **options) as theirs:
        shape = theirs[1].shape
        whole = theirs[1].data
        random = Random(zlib.crc32(repr((shape, theirs[1].tile_shape)).encode()))
        for _ in range(count):
            key = tuple(random.choice(BASIC[:-1])(random, size, max(size // 2, 1)) for size in shape)
            found, expected = ours[1].section[key], whole[key]
            assert np.array_equal(
                np.asarray(found), np.asarray(expected), equal_nan=np.dtype(whole.dtype).kind == "f"
            ), key
            assert np.shape(found) == np.shape(expected), key
        ones = (slice(0, 2), *[slice(None)] * (len(shape) - 1))
        assert same(ours[1].section[ones], theirs[1].section[ones])
        assert same(ours[1].data, theirs[1].data)


@given(tilings(), st.sampled_from(["u1", "i2", "i4"]))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sections_of_integers_are_astropys(tmp_path: Path, tiling: Any, dtype: str) -> None:
    """Any shape in any tiles, by each algorithm: sections are astropy's, and fitsio's."""
    algorithm, shape, tile = tiling
    image = (np.arange(np.prod(shape)) * 31 % 200).astype(dtype).reshape(shape)
    path = tmp_path / "tiled.fits"
    hdu = fits.CompImageHDU(image, compression_type=algorithm, tile_shape=tile)
    path.write_bytes(written(fits.HDUList([fits.PrimaryHDU(), hdu])))
    assert_astropys(path)
    with cloud_fits.open(path) as hdus:
        assert np.array_equal(hdus[1].section[...], image)
        if algorithm != "NOCOMPRESS" and len(shape) < 4:  # what fitsio reads
            with fitsio.FITS(str(path)) as theirs:
                assert np.array_equal(hdus[1].section[...], theirs[1].read().reshape(shape))


@pytest.mark.parametrize("nan", [False, True])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("dither", DITHERS)
@pytest.mark.parametrize("algorithm", QUANTIZED)
def test_sections_of_quantized_images_are_astropys(
    tmp_path: Path, algorithm: str, dither: str, dtype: str, nan: bool
) -> None:
    """Both dithers and none, NaN, and tiles of one value, which are kept without loss: to the bit."""
    image = np.random.default_rng(1).normal(10, 3, (3, 40, 33)).astype(dtype)
    image[1, :10] = 5.5
    image[0, 20:22, 5:9] = 0
    if nan:
        image[2, 3:25, 7:9] = np.nan
    hdu = fits.CompImageHDU(
        image,
        compression_type=algorithm,
        tile_shape=(1, 10, 11),
        quantize_method=DITHERS[dither],
        dither_seed=7,
    )
    path = tmp_path / "tiled.fits"
    path.write_bytes(written(fits.HDUList([fits.PrimaryHDU(), hdu])))
    assert_astropys(path, 12)


@pytest.mark.parametrize("algorithm", ALGORITHMS[:3])
@pytest.mark.parametrize("cards", [{}, {"BSCALE": 0.5, "BZERO": 3}, {"BZERO": 32768}])
@pytest.mark.parametrize("uint", [True, False])
@pytest.mark.parametrize("raw", [True, False])
def test_values_are_scaled_as_astropy_scales_them(
    tmp_path: Path, algorithm: str, cards: dict[str, float], uint: bool, raw: bool
) -> None:
    """BSCALE, BZERO, `uint` and `do_not_scale_image_data` give astropy's values and types."""
    image = (np.arange(1200) % 300).astype("i2").reshape(30, 40)
    data = written(
        fits.HDUList(
            [fits.PrimaryHDU(), fits.CompImageHDU(image, compression_type=algorithm, tile_shape=(7, 9))]
        )
    )
    for keyword, value in cards.items():
        data = with_card(data, places(data)[1][0], keyword, value)
    path = tmp_path / "tiled.fits"
    path.write_bytes(data)
    assert_astropys(path, uint=uint, do_not_scale_image_data=raw)


@pytest.mark.parametrize("algorithm", ["RICE_1", "GZIP_1"])
def test_rows_of_64_bits_and_a_gap_before_the_heap(tmp_path: Path, algorithm: str) -> None:
    """Q descriptors, and THEAP behind the rows' end, lead to the same pixels."""
    data = tiled(algorithm)
    header, begin, end = places(data)[1]
    rows, heap = data[begin : begin + 96], data[begin + 96 : end]
    wide = np.frombuffer(rows, ">i4").astype(">i8").tobytes()
    for table, size in ((rows, 8), (wide, 16)):
        body = table + b"\7" * 50 + heap
        damaged = data[:begin] + body + bytes(-len(body) % 2880)
        damaged = with_card(damaged, header, "NAXIS1", size)
        damaged = with_card(damaged, header, "THEAP", len(table) + 50)
        damaged = with_card(damaged, header, "PCOUNT", len(heap) + 50)
        path = tmp_path / "tiled.fits"
        path.write_bytes(with_card(damaged, header, "TFORM1", f"1{'P' if size == 8 else 'Q'}B(999)"))
        (tmp_path / "original.fits").write_bytes(data)
        with cloud_fits.open(path) as ours, fits.open(tmp_path / "original.fits") as theirs:
            assert same(ours[1].section[5:25, 10:50], theirs[1].section[5:25, 10:50])


def test_only_the_tiles_that_are_touched_are_read() -> None:
    """Of a table the rows of touched tiles, and of its heap those tiles, each once."""
    data = tiled(shape=(100, 100), tile=(10, 10))
    _, begin, end = places(data)[1]
    with fits.open(io.BytesIO(data), disable_image_compression=True) as hdus:
        table = TileTable(hdus[1].header, (100, 100), (10, 10), end - begin)
    index = [ascending(item, 100)[0] for item in (slice(15, 35), slice(99, 90, -2))]
    tiles = table.touched(index)
    assert tiles.rows.tolist() == [19, 29, 39]
    assert table.row_runs(tiles.rows) == [(152, 160), (232, 240), (312, 320)]
    rows = b"".join(data[begin + a : begin + b] for a, b in table.row_runs(tiles.rows))
    numbers = np.frombuffer(rows, ">i4").reshape(-1, 2)
    assert table.heap_runs(tiles, rows) == [
        (800 + start, 800 + start + size) for size, start in numbers.tolist()
    ]


@given(st.integers(0, 50), st.data())
def test_a_slice_spelt_upwards_takes_the_same_pixels(length: int, data: st.DataObject) -> None:
    """A slice spelt upwards takes what it took, in rising order."""
    bound = st.none() | st.integers(-60, 60)
    item = slice(data.draw(bound), data.draw(bound), data.draw(st.none() | st.integers(-9, 9).filter(bool)))
    spelt, falls = ascending(item, length)
    taken = list(range(length))[spelt]
    assert (taken[::-1] if falls else taken) == list(range(length))[item]
