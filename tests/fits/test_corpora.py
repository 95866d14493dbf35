"""Real files over HTTP, held against astropy and fitsio reading the same files from disk."""

import gzip
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import fitsio
import pytest
import uncompresspy
from astropy.io import fits

from astro_cloud.exceptions import CorruptFITSError, NotFITSError
from astro_cloud.fits import load_headers
from tests import corpora
from tests.fits.served import Served, served_files

FAST = list(corpora.fits_files())
SLOW = list(corpora.package_fits_files())
FILES = [
    *(pytest.param(path, id=corpora.place(path)) for path in FAST),
    *(pytest.param(path, id=corpora.place(path), marks=pytest.mark.slow) for path in SLOW),
]

#: One has its mandatory keywords out of order, which hurts nobody; the other is no FITS file at all.
REFUSED_BY_CFITSIO = {"verify.fits", "idcompspec.fits"}


def read_by_cfitsio(path: Path) -> bool:
    """Tell whether CFITSIO reads the file as it is on the wire."""
    return path.name not in REFUSED_BY_CFITSIO and not corpora.compressed_whole(path)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """All files in one bucket, and a client to read them."""
    with served_files(tmp_path_factory.mktemp("corpora"), [*FAST, *SLOW]) as served:
        yield served


def test_the_corpora_are_there() -> None:
    """astropy's wheel carries 57 FITS files; fitsio's source distribution carries some too."""
    assert len(list(corpora.astropy_fits_files())) >= 57
    assert len(list(corpora.fitsio_fits_files())) >= 5


def test_the_packages_are_there() -> None:
    """Each package's wheel carries the FITS files that were counted in it when it was pinned."""
    found = Counter(path.relative_to(corpora.PACKAGES).parts[0] for path in corpora.package_fits_files())
    assert found == {
        "astroquery": 21,
        "astroscrappy": 1,
        "ccdproc": 4,
        "glue-astronomy": 3,
        "healpy": 13,
        "lightkurve": 8,
        "photutils": 15,
        "pyvo": 2,
        "radio-beam": 4,
        "regions": 3,
        "reproject": 17,
        "sncosmo": 4,
        "specreduce": 1,
        "spectral-cube": 1,
        "sunpy": 17,
    }


@pytest.mark.parametrize("path", FILES)
@pytest.mark.filterwarnings("ignore::astro_cloud.exceptions.AstroCloudWarning")
@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
def test_headers_equal_astropys(path: Path, served: Served) -> None:
    """Every HDU is where astropy says it is, card for card; what astropy refuses is an error of ours."""
    client, url = served.client, served.urls[path]
    expected, refused = by_astropy(path)
    if refused:
        with pytest.raises((NotFITSError, CorruptFITSError)) as caught:
            list(load_headers(url, client=client))
        assert caught.value.location == url
        assert None not in (caught.value.hdu, caught.value.offset)
        return
    found = list(load_headers(url, client=client))
    assert [(h.offset, h.data_offset, h.data_length) for h in found] == expected
    for header in found:
        assert cards(header.fits) == cards(by_astropy_at(path, header.offset))


@pytest.mark.parametrize("path", [file for file in FILES if read_by_cfitsio(*file.values)])
@pytest.mark.filterwarnings("ignore::astro_cloud.exceptions.AstroCloudWarning")
def test_offsets_equal_cfitsios(path: Path, served: Served) -> None:
    """Header and data offsets are those CFITSIO finds, in every file it reads."""
    with fitsio.FITS(str(path)) as file:
        offsets = [hdu.get_offsets() for hdu in file]
    found = list(load_headers(served.urls[path], client=served.client))
    assert [(h.offset, h.data_offset) for h in found] == [
        (o["header_start"], o["data_start"]) for o in offsets
    ]


def by_astropy(path: Path) -> tuple[list[tuple[int, int, int]], bool]:
    """Let astropy say where the HDUs of a file are, and whether it refuses the file."""
    keys = ("hdrLoc", "datLoc", "datSpan")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with fits.open(path, disable_image_compression=True, memmap=False) as hdus:
                if not_conforming(path):
                    return [(0, len(hdus[0].header.tostring()), 0)], False
                return [tuple(hdu.fileinfo()[key] for key in keys) for hdu in hdus], False
        except OSError:
            return [], True


def by_astropy_at(path: Path, offset: int) -> fits.Header:
    """Let astropy read one header from disk, as it stands in the file."""
    with decompressed(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file.seek(offset)
        return fits.Header.fromfile(file)


def decompressed(path: Path) -> IO[bytes]:
    """Open a file, or what is inside one that is compressed whole."""
    if not corpora.compressed_whole(path):
        return path.open("rb")
    opener: Any = uncompresspy.open if path.suffix == ".Z" else gzip.open
    return opener(path)


def not_conforming(path: Path) -> bool:
    """Tell whether the file says SIMPLE = F; astropy gives such an HDU no place."""
    return path.read_bytes()[:30].split() == [b"SIMPLE", b"=", b"F"]


def cards(header: fits.Header) -> list[str]:
    """All card images of a header."""
    return [card.image for card in header.cards]
