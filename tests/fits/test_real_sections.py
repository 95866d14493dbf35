"""Sections of every image in the corpora, over HTTP, held against astropy reading the same file from disk."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from astro_cloud import fits as cloud_fits
from astro_cloud.exceptions import NotFITSError
from astro_cloud.storage import Client
from tests import corpora
from tests.fits.random_keys import PIXELS, Key, empty_shape, keys
from tests.fits.served import Served, served_files

FAST = list(corpora.fits_files())
SLOW = list(corpora.package_fits_files())
#: Neither astropy nor CFITSIO finds a FITS file in it.
REFUSED = {"idcompspec.fits"}

# Real headers break rules; astropy says so of the local file and of ours, and we do.
pytestmark = [
    pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning"),
    pytest.mark.filterwarnings("ignore::astro_cloud.exceptions.AstroCloudWarning"),
]


def parameters() -> Iterator[Any]:
    """Yield the files that are FITS on the wire; those of other packages than astropy and fitsio are slow."""
    for path in [*FAST, *SLOW]:
        if path.name not in REFUSED and not corpora.compressed_whole(path):
            marks = [pytest.mark.slow] if path in SLOW else []
            yield pytest.param(path, id=corpora.place(path), marks=marks)


PLAIN = list(parameters())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """All files in one bucket, and a client to read them."""
    with served_files(tmp_path_factory.mktemp("sections"), [*FAST, *SLOW]) as served:
        yield served


def opened(url: str, client: Client, **options: Any) -> fits.HDUList:
    """Open a file that is served."""
    return cloud_fits.open(url, client=client, **options)


@pytest.mark.parametrize("path", PLAIN)
def test_sections_equal_astropys(path: Path, served: Served) -> None:
    """What is cut out of an image is what astropy cuts out of it, to the bit; what it refuses is refused.

    But for no pixels: there astropy reads to the end of the file, raises, or forgets shape and type, as the
    key has it; ours is the empty array that NumPy returns.
    """
    for ours, theirs, options in read_by_both(path, served):
        for number in images(theirs):
            for key in keys_into(theirs[number], path, number):
                found = outcome(section, ours[number], key)
                nothing = empty_shape(key, theirs[number].shape)
                if nothing is not None and type(theirs[number]) in (fits.PrimaryHDU, fits.ImageHDU):
                    assert is_empty(found, nothing), (options, number, key)
                    continue
                expected = outcome(section, theirs[number], key)
                assert agree(found, expected), (options, number, key)


@pytest.mark.parametrize("path", PLAIN)
def test_headers_and_data_equal_astropys(path: Path, served: Served) -> None:
    """The list of HDUs, each header and each image are astropy's, before and after the images are read."""
    for ours, theirs, options in read_by_both(path, served):
        assert len(ours) == len(theirs)
        assert ours.info(output=False) == theirs.info(output=False)
        assert all(isinstance(our, type(their)) for our, their in zip(ours, theirs, strict=True))
        assert cards(ours) == cards(theirs)
        for number in images(theirs):
            if prod(theirs[number].shape) <= PIXELS:
                expected = outcome(getattr, theirs[number], "data")
                assert agree(outcome(getattr, ours[number], "data"), expected), (options, number)
        assert cards(ours) == cards(theirs)


@pytest.mark.parametrize("path", [path for path in FAST if path.name in REFUSED], ids=corpora.place)
def test_what_astropy_refuses_is_refused(path: Path, served: Served) -> None:
    """A file that is none for astropy is an error here too."""
    with pytest.raises(OSError, match="No SIMPLE card"):
        fits.open(path)
    with pytest.raises(NotFITSError):
        opened(served.urls[path], served.client)


def test_the_files_compressed_whole_are_known() -> None:
    """Files that no section of is read here, because they are compressed as one stream."""
    compressed = [path for path in [*FAST, *SLOW] if corpora.compressed_whole(path)]
    assert sorted(path.name for path in compressed) == [
        "NGC0925.bima.mmom0.fits.gz",
        "bayestar.fits.gz",
        "dist_lookup.fits.gz",
        "dss.14.29.56-62.41.05.fits.gz",
        "go1520120601.fits.gz",
        "gzip_fits_test.file",
        "gzip_test.fit.gz",
        "gzip_test.fits.gz",
        "gzip_test.fts.gz",
        "heliographic_phase_map.fits.gz",
        "hsi_obssumm_20120601_018_truncated.fits.gz",
        "ktwo201907706-c01-first-cadence.fits.gz",
        "lyra_20150101-000000_lev3_std_truncated.fits.gz",
        "lzw.fits.Z",
        "m33_beams_bintable.fits.gz",
        "m83.moment0.fits.gz",
        "ngc0925_na.fits.gz",
        "single_product_retrieval_2.fits.gz",
        "tess25155310-s01-first-cadences.fits.gz",
        "testfile.fits.Z",
        "thumbnail-image.fit.gz",
    ]


def read_by_both(path: Path, served: Served) -> Iterator[tuple[fits.HDUList, fits.HDUList, dict[str, bool]]]:
    """Open a file here and by astropy from disk, in each way that makes a difference to it."""
    with fits.open(path, memmap=False) as hdus:
        found = {keyword for hdu in hdus for keyword in hdu.header}
        tiled = any(isinstance(hdu, fits.CompImageHDU) for hdu in hdus)
    scaled = bool(found & {"BSCALE", "BZERO"})
    ways = {
        "do_not_scale_image_data": (scaled, True),
        "uint": (scaled, False),
        "ignore_blank": ("BLANK" in found, True),
        "disable_image_compression": (tiled, True),
    }
    for options in [{}, *({name: value} for name, (differs, value) in ways.items() if differs)]:
        with (
            opened(served.urls[path], served.client, **options) as ours,
            fits.open(path, memmap=False, **options) as theirs,
        ):
            yield ours, theirs, options


def images(hdus: fits.HDUList) -> list[int]:
    """Number the HDUs that have sections."""
    return [number for number, hdu in enumerate(hdus) if hasattr(hdu, "section")]


def keys_into(hdu: Any, path: Path, number: int) -> list[Key]:
    """Make keys into an image: the same ones whenever the tests run."""
    random = Random(zlib.crc32(f"{path.name} {number}".encode()))
    return keys(hdu.shape, random, arrays=not isinstance(hdu, fits.CompImageHDU))


def section(hdu: Any, key: Key) -> object:
    """Cut a section out of an image."""
    return hdu.section[key]


def outcome(reading: Callable[..., object], *arguments: object) -> Exception | tuple[object, ...]:
    """Return all that can be told apart of what is read, or what is raised."""
    try:
        value = reading(*arguments)
    except Warning:
        raise
    except Exception as error:
        return error
    array = np.asarray(value)
    return type(value), array.dtype.str, array.dtype.descr, array.shape, array.tobytes()


def is_empty(outcome: object, shape: tuple[int, ...]) -> bool:
    """Tell whether what was read is an array of a shape that has no pixels."""
    return isinstance(outcome, tuple) and outcome[0] is np.ndarray and outcome[3] == shape


def agree(ours: object, theirs: object) -> bool:
    """Tell whether two outcomes are the same; of an error the class matters, not the words.

    Where an HDU has no image, astropy trips over a variable of its own: there any error will do.
    """
    if isinstance(theirs, UnboundLocalError):
        return isinstance(ours, Exception)
    return isinstance(ours, type(theirs)) if isinstance(theirs, Exception) else ours == theirs


def cards(hdus: fits.HDUList) -> list[list[str]]:
    """All card images of all headers."""
    return [[card.image for card in hdu.header.cards] for hdu in hdus]
