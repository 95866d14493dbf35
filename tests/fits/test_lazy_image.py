"""`LazyImage`: the pixels that astropy reads, from the version that was seen, wherever a copy of it is."""

from __future__ import annotations

import gzip
import math
import pickle
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from astro_cloud.exceptions import (
    AccessDeniedError,
    AstroCloudWarning,
    CorruptFITSError,
    FITSError,
    HDUNotFoundError,
    ObjectChangedError,
    StorageError,
)
from astro_cloud.fits import lazy_image, save_index
from astro_cloud.fits.lazy_image import LazyImage
from astro_cloud.storage import Client, shared
from astro_cloud.testing import ObjectServer
from tests.fits import made
from tests.fits.conftest import Put
from tests.fits.made import from_memory, noise
from tests.fits.random_keys import keys
from tests.fits.test_index import BARE
from tests.forks import forks, in_child


@pytest.fixture(autouse=True)
def own_client() -> Iterator[None]:
    """Let nothing that images share outlive the test."""
    yield
    lazy_image._opened.cache_clear()
    shared._HERE.forget()


def integers(dtype: str, shape: tuple[int, ...] = (50, 70)) -> np.ndarray[Any, Any]:
    """Return random pixels over all that a type of integers can be."""
    limits = np.iinfo(dtype)
    return np.random.default_rng(3).integers(limits.min, limits.max, shape, dtype, endpoint=True)


def scaled(dtype: str = "i2", **cards: float) -> Any:
    """Make an image whose header says how its integers are to be read."""
    hdu = fits.ImageHDU(integers(dtype))
    hdu.header.update(cards)
    return hdu


def odd_floats() -> np.ndarray[Any, Any]:
    """Return floats of every bit pattern, signalling NaN among them, which no arithmetic may touch."""
    return integers("u4").view("f4")


@cache
def kinds() -> bytes:
    """Return a file of images of every kind, the first in the primary HDU."""
    deep = noise((2, 3, 5, 7, 9), 4)
    tiles: dict[str, Any] = {"compression_type": "RICE_1"}
    hdus = [
        fits.PrimaryHDU(integers("u2")),
        *(fits.ImageHDU(integers(dtype)) for dtype in ("u1", "i1", "i2", "i4", "u4", "i8", "u8")),
        fits.ImageHDU(odd_floats()),
        fits.ImageHDU(noise((50, 70)).astype("f8")),
        fits.ImageHDU(deep),
        fits.ImageHDU(noise((30,))),
        fits.ImageHDU(np.zeros((0, 5), "f4")),
        scaled(BSCALE=0.5, BZERO=3, BLANK=-5),
        scaled("i4", BLANK=7),
        scaled("u1", BZERO=-128),
        made.rice(),
        made.gzip_2(),
        fits.CompImageHDU(integers("u2", (300, 200)), tile_shape=(64, 32), **tiles),
        fits.CompImageHDU(integers("i2", (3, 60, 50)).astype("i4"), tile_shape=(1, 32, 50), **tiles),
    ]
    return made.written(*hdus)


KINDS = 20


def test_the_pixels_are_astropys(put: Put) -> None:
    """Of each kind of image, all pixels have the type and the bits of astropy's `.data`; a copy's too."""
    url = put(kinds())
    with from_memory(kinds()) as theirs:
        assert len(theirs) == KINDS
        for number, hdu in enumerate(theirs):
            image = LazyImage.of(url, number)
            expected = hdu.data.astype(hdu.data.dtype.newbyteorder("="))
            for one in (image, pickle.loads(pickle.dumps(image))):
                found = one[...]
                assert (found.dtype, found.shape) == (expected.dtype, expected.shape), number
                assert found.dtype.isnative
                assert found.tobytes() == expected.tobytes(), number
            assert (image.shape, image.dtype, image.ndim) == (expected.shape, expected.dtype, expected.ndim)


@pytest.mark.parametrize("number", range(KINDS))
def test_any_index_is_numpys(put: Put, number: int) -> None:
    """A key takes what NumPy takes with it of `.data`: steps, negative ones, integers, an array."""
    image, random = LazyImage.of(put(kinds()), number), Random(number)
    with from_memory(kinds()) as theirs:
        expected = theirs[number].data
        for key in keys(image.shape, random, arrays=True):
            arrays = [item for item in (key if isinstance(key, tuple) else (key,)) if np.iterable(item)]
            taken = outcome(expected, key)
            found = outcome(image, key)
            if len(arrays) > 1 or isinstance(taken, str):
                assert isinstance(found, str), key
            else:
                assert not isinstance(found, str), (key, found)
                assert found.shape == np.shape(taken), key
                assert np.array_equal(found, taken, equal_nan=image.dtype.kind == "f"), key


@pytest.mark.parametrize(
    "key", [(0, ..., [2, 0]), ([1, 0, 1], ..., 0), (1, [0, 2], 3), (0, slice(1), [2, -1], 0)]
)
def test_integers_beside_an_array(put: Put, key: Any) -> None:
    """NumPy puts the array's axis first where a slice is between them; so it is here."""
    image = LazyImage.of(put(kinds()), 10)
    with from_memory(kinds()) as theirs:
        assert np.array_equal(image[key], theirs[10].data[key])


def outcome(image: Any, key: Any) -> Any:
    """Return what a key takes, or the name of the error."""
    if isinstance(key, tuple) and any(item is None for item in key):
        return "no axis is added here"
    try:
        return image[key]
    except (IndexError, TypeError, ValueError) as error:
        return type(error).__name__


# Where it is read


def test_making_it_reads_only_headers(far: ObjectServer, survey: str) -> None:
    """One round trip, as opening the file; its pixels are then one more, of their bytes alone."""
    image = LazyImage.of(survey, "SCI")
    assert far.requests.round_trips == 1
    far.clear()
    assert image[300, 200] == made.image("SCI").data[300, 200]
    assert [record.body_bytes for record in far.requests] == [4]


def test_with_an_index_nothing_is_read(night: ObjectServer, survey: str, tmp_path: Path) -> None:
    """And the pixels are read from the version of the index."""
    index = save_index(survey, tmp_path / "index.json")
    night.clear()
    image = LazyImage.of(survey, ("SCI", 2), index=index)
    assert len(night.requests) == 0
    assert np.array_equal(image[5:9], made.image("SCI", 2).data[5:9])
    assert {record.headers.get("if-match") for record in night.requests} == {index.version.etag}
    night.put("night", "file.fits", made.survey().replace(b"ERR", b"VAR"))
    with pytest.raises(ObjectChangedError, match="its index"):
        LazyImage.of(survey, "SCI", index=index)[0]


def test_a_local_file(survey_path: Path) -> None:
    """It is read as an object is, and held to the version that was seen."""
    image = LazyImage.of(survey_path, "GZIP")
    copy = pickle.loads(pickle.dumps(image))
    assert np.array_equal(copy[40:60, 3], made.gzip_2().data[40:60, 3])
    survey_path.write_bytes(made.survey())
    lazy_image._opened.cache_clear()
    with pytest.raises(ObjectChangedError, match="HDU 6"):
        copy[0]


def test_a_file_that_is_compressed_whole(put: Put) -> None:
    """Its cost is told when the image is made; pixels are right."""
    url = put(gzip.compress(made.written(made.image("SCI")), 1))
    with pytest.warns(AstroCloudWarning, match="compressed whole"):
        image = LazyImage.of(url, "SCI")
    assert np.array_equal(pickle.loads(pickle.dumps(image))[...], made.image("SCI").data)


# What it is when pickled


def long_header(hdu: Any) -> Any:
    """Give an image a header of 80 kB."""
    for number in range(1000):
        hdu.header.set(f"KEY{number}", "a word or two of no use to pixels", after=-1)
    hdu.header.add_history("HISTORY has a word on BZERO = 5 and on everything else")
    return hdu


@pytest.mark.parametrize(
    ("make", "most"),
    [(lambda: scaled(BSCALE=0.5, BZERO=3, BLANK=-5), 3000), (lambda: made.rice(), 5500)],
    ids=["plain", "tiles"],
)
def test_its_pickle_is_small(put: Put, make: Any, most: int) -> None:
    """Of a long header it holds the cards that pixels depend on."""
    data = made.written(long_header(make()))
    image = LazyImage.of(put(data), 1)
    assert len(pickle.dumps(image)) < most
    with from_memory(data) as theirs:
        assert np.array_equal(pickle.loads(pickle.dumps(image))[...], theirs[1].data, equal_nan=True)


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
def test_cards_in_odd_spelling(put: Put) -> None:
    """Lower case and HIERARCH count, or do not, as to astropy."""
    data = made.written(scaled(BSCALE=0.5, BZERO=3))
    data = data.replace(b"BSCALE  =", b"bscale  =")
    at = data.index(b"BZERO   =")
    card = b"HIERARCH BZERO = 7".ljust(80)
    data = data[:at] + card + data[at + 80 :]
    image = LazyImage.of(put(data), 1)
    with from_memory(data) as theirs:
        assert np.array_equal(image[...], theirs[1].data)


def test_copies_share_connections(night: ObjectServer, survey: str) -> None:
    """Each copy in a process reads over the connections of all; and the rows of tiles are read once."""
    image = LazyImage.of(survey, "GZIP")
    data, before = pickle.dumps(image), {record.connection for record in night.requests}
    night.clear()
    for row in range(0, 400, 50):
        assert np.array_equal(pickle.loads(data)[row, :50], made.gzip_2().data[row, :50])
    assert {record.connection for record in night.requests} <= before
    assert len(night.requests) == 1 + 8


def test_many_threads(night: ObjectServer, survey: str) -> None:
    """Copies that arrive in many threads at once read what is theirs."""
    data = pickle.dumps(LazyImage.of(survey, "SCI"))
    expected, wrong = made.image("SCI").data, []

    def read(number: int) -> None:
        image = pickle.loads(data)
        wrong.extend(row for row in range(number, 400, 8) if not np.array_equal(image[row], expected[row]))

    threads = [threading.Thread(target=read, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert night.requests.connections <= 8


@forks
def test_after_a_fork(night: ObjectServer, survey: str) -> None:
    """A process that was forked reads on, over connections of its own."""
    image = LazyImage.of(survey, "SCI")
    pixels = made.image("SCI").data
    assert image[3, 3] == pixels[3, 3]
    assert in_child(lambda: np.array_equal(image[300:310], pixels[300:310]))
    assert np.array_equal(image[310:320], pixels[310:320])
    assert night.requests.connections == 2


# Blocks


def image_of(shape: tuple[int, ...], tile: tuple[int, ...] | None = None, dtype: str = "f4") -> LazyImage:
    """Make an image that is nowhere, to be asked for its blocks."""
    image = LazyImage.__new__(LazyImage)
    facts = {"shape": shape, "dtype": np.dtype(dtype), "grain": tile or (1,) * len(shape)}
    image.__dict__.update(facts)
    return image


@pytest.mark.parametrize(
    ("shape", "tile", "size", "expected"),
    [
        ((100, 1000), None, 40_000, (10, 1000)),
        ((101, 1000), None, 400_000, (51, 1000)),
        ((100, 1000), None, 399, (1, 91)),
        ((100, 1000), None, 1 << 30, (100, 1000)),
        ((2078, 2136, 1282, 2), None, 128 << 20, (6, 2136, 1282, 2)),
        ((2078, 2136, 1282, 2), None, 1 << 20, (1, 102, 1282, 2)),
        ((400, 400), (1, 400), 16_000, (10, 400)),
        ((400, 400), (50, 50), 80_000, (50, 400)),
        ((400, 400), (50, 50), 10_000, (50, 50)),
        ((400, 400), (50, 50), 100, (50, 50)),
        ((400, 410), (64, 64), 300_000, (128, 410)),
        ((3, 400, 400), (2, 200, 200), 700_000, (2, 200, 400)),
        ((0, 5), None, 100, (1, 5)),
        ((7,), None, 8, (2,)),
    ],
)
def test_blocks_end_on_rows_and_tiles(
    shape: tuple[int, ...], tile: tuple[int, ...] | None, size: int, expected: tuple[int, ...]
) -> None:
    """As much as there is room for, the last axes first, in parts that are about as large as each other."""
    assert image_of(shape, tile).block_shape(size) == expected


def test_blocks_are_never_larger() -> None:
    """Whatever the image: whole tiles, and no more bytes than allowed but for one tile."""
    random = Random(5)
    for _ in range(300):
        shape = tuple(random.randint(1, 300) for _ in range(random.randint(1, 4)))
        tile = tuple(random.randint(1, length) for length in shape)
        size = random.randint(1, 1 << 20)
        block = image_of(shape, tile).block_shape(size)
        assert all(b == n or b % t == 0 for b, n, t in zip(block, shape, tile, strict=True))
        assert block == tile or 4 * math.prod(block) <= size


# What goes wrong


def test_errors_name_the_hdu(night: ObjectServer, survey: str) -> None:
    """What a server says of an object is told with the HDU, and stays the error it was, with its facts."""
    image = LazyImage.of(survey, "ERR")
    night.public.clear()
    with pytest.raises(AccessDeniedError, match=r"\(HDU 2\)") as denied:
        image[0]
    assert (denied.value.location, denied.value.status) == (survey, 403)
    night.public.add("night")
    night.put("night", "file.fits", made.survey().replace(b"ERR", b"VAR"))
    with pytest.raises(ObjectChangedError, match=r"\(HDU 2\): make the array anew") as changed:
        image[0]
    assert str(pickle.loads(pickle.dumps(changed.value))) == str(changed.value)


def test_damaged_tiles(put: Put) -> None:
    """They are CorruptFITSError with HDU and byte; their neighbours are pixels."""
    data = bytearray(made.written(made.gzip_2()))
    with from_memory(bytes(data), disable_image_compression=True) as hdus:
        at = hdus.fileinfo(1)["datLoc"] + hdus[1].header["NAXIS1"] * 64
    data[at : at + 40] = bytes(40)
    image = LazyImage.of(put(bytes(data)), 1)
    with pytest.raises(CorruptFITSError, match="decompressed") as error:
        image[0, 0]
    assert (error.value.hdu, error.value.offset) == (1, at)
    assert np.array_equal(image[60:], made.gzip_2().data[60:])


@pytest.mark.filterwarnings("ignore:File may have been truncated")
def test_a_file_that_is_cut_short(put: Put) -> None:
    """What is there is read; what is not is an error, and not zeros."""
    data = made.written(made.image("SCI"))[:-100_000]
    image = LazyImage.of(put(data), 1)
    assert np.array_equal(image[:200], made.image("SCI").data[:200])
    with pytest.raises(CorruptFITSError, match="HDU 1"):
        image[-1]


def test_what_is_no_image(survey: str) -> None:
    """A table, and an HDU that is not there, are told at once."""
    with pytest.raises(FITSError, match="a table, no image"):
        LazyImage.of(survey, "CAT")
    with pytest.raises(HDUNotFoundError, match="has no HDU VAR"):
        LazyImage.of(survey, "VAR")


def test_a_header_of_no_use(put: Put) -> None:
    """A scale that is no number is an error when the image is made, with the HDU."""
    data = made.written(scaled(BSCALE=0.5)).replace(
        b"BSCALE  =                  0.5", b"BSCALE  = 'half'".ljust(30)
    )
    with pytest.raises(FITSError, match="HDU 1"):
        LazyImage.of(put(data), 1)


def test_a_server_that_tells_no_version(night: ObjectServer, survey: str) -> None:
    """Where nothing tells versions apart, nobody could be held to one: it is refused."""
    night.inject(BARE, times=None)
    with pytest.raises(StorageError, match="no ETag and no date"):
        LazyImage.of(survey, "SCI")


def test_its_repr(survey: str) -> None:
    """It says what it is an image of, and nothing that signs."""
    with Client() as client:
        shown = repr(LazyImage.of(f"{survey}?token=word", "SCI", client=client))
    assert survey in shown
    assert "word" not in shown
