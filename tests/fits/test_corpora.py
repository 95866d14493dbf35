"""Real files over HTTP, held against astropy and fitsio reading the same files from disk."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import fitsio
import pytest
from astropy.io import fits

from astro_cloud.exceptions import CorruptFITSError, NotFITSError
from astro_cloud.fits import load_headers
from astro_cloud.storage import Client
from astro_cloud.testing import ObjectServer
from tests import corpora

FILES = list(corpora.fits_files())

#: Files that are no FITS file on the wire: compressed whole.
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\x1f\x9d")
PLAIN = [path for path in FILES if not path.read_bytes()[:3].startswith(COMPRESSED)]

#: One has its mandatory keywords out of order, which hurts nobody; the other is no FITS file at all.
REFUSED_BY_CFITSIO = {"verify.fits", "idcompspec.fits"}


def place(path: Path) -> str:
    """Name a file of the corpora for a test's id."""
    return "/".join(path.parts[-4:])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ObjectServer, Client]]:
    """All files in one bucket, as links, and a client to read them."""
    root = tmp_path_factory.mktemp("corpora")
    (root / "files").mkdir()
    for number, path in enumerate(FILES):
        (root / "files" / f"{number}-{path.name}").symlink_to(path)
    with ObjectServer(root, public=["files"]) as server, Client() as client:
        yield server, client


def test_the_corpora_are_there() -> None:
    """astropy's wheel carries 57 FITS files; fitsio's source distribution carries some too."""
    assert len(list(corpora.astropy_fits_files())) >= 57
    assert len(list(corpora.fitsio_fits_files())) >= 5


@pytest.mark.parametrize("path", FILES, ids=place)
@pytest.mark.filterwarnings("ignore::astro_cloud.exceptions.AstroCloudWarning")
def test_headers_equal_astropys(path: Path, served: tuple[ObjectServer, Client]) -> None:
    """Every HDU is where astropy says it is, card for card; what astropy refuses is an error of ours."""
    server, client = served
    url = server.url_for("files", f"{FILES.index(path)}-{path.name}")
    if path not in PLAIN:
        with pytest.raises(NotFITSError, match="not a FITS file"):
            list(load_headers(url, client=client))
        return
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


@pytest.mark.parametrize("path", [path for path in PLAIN if path.name not in REFUSED_BY_CFITSIO], ids=place)
@pytest.mark.filterwarnings("ignore::astro_cloud.exceptions.AstroCloudWarning")
def test_offsets_equal_cfitsios(path: Path, served: tuple[ObjectServer, Client]) -> None:
    """Header and data offsets are those CFITSIO finds, in every file it reads."""
    server, client = served
    with fitsio.FITS(str(path)) as file:
        offsets = [hdu.get_offsets() for hdu in file]
    url = server.url_for("files", f"{FILES.index(path)}-{path.name}")
    found = list(load_headers(url, client=client))
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
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file.seek(offset)
        return fits.Header.fromfile(file)


def not_conforming(path: Path) -> bool:
    """Tell whether the file says SIMPLE = F; astropy gives such an HDU no place."""
    return path.read_bytes()[:30].split() == [b"SIMPLE", b"=", b"F"]


def cards(header: fits.Header) -> list[str]:
    """All card images of a header."""
    return [card.image for card in header.cards]
