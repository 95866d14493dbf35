"""FITS files as astropy writes them, and what their readers asked a server for."""

from __future__ import annotations

import io
import re
import tempfile
import warnings
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

import astro_cloud.fits
from astro_cloud.testing.request_log import RequestLog

#: What is tested; without the types that astropy does not have.
opened: Any = astro_cloud.fits.open
SIDE = 400
#: What one read takes where a header begins.
WINDOW = 63_360
#: Of the galaxy in the examples, in degrees: 10h01m41.13s 02d25m20.58s.
GALAXY = (150.421375, 2.422383)


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray[Any, Any]:
    """Return pixels of float32, a level of 1000 with noise; the same for the same seed."""
    return np.random.default_rng(seed).normal(1000, 10, shape).astype("f4")


def image(name: str, version: int = 1, *, shape: tuple[int, ...] = (SIDE, SIDE), dtype: str = "f4") -> Any:
    """Make an image extension, of pixels that no other of another name or version has."""
    seed = sum(map(ord, name)) * 100 + version
    return fits.ImageHDU(noise(shape, seed).astype(dtype), name=name, ver=version)


def rice(name: str = "RICE", **options: Any) -> Any:
    """Make an image of floats, quantized with dither, that is compressed with RICE a row a tile."""
    options = {"tile_shape": (1, SIDE), "quantize_method": 1, "dither_seed": 7} | options
    return fits.CompImageHDU(noise((SIDE, SIDE), 71), name=name, compression_type="RICE_1", **options)


def gzip_2(name: str = "GZIP") -> Any:
    """Make an image of floats that is compressed without loss, in tiles of 50 x 50."""
    options: dict[str, Any] = {"compression_type": "GZIP_2", "tile_shape": (50, 50), "quantize_level": 0}
    return fits.CompImageHDU(noise((SIDE, SIDE), 72), name=name, **options)


def catalogue(name: str = "CAT", rows: int = 500) -> Any:
    """Make a binary table with a column of numbers, one of text and one of variable length."""
    lists = np.array([np.arange(row % 5, dtype="f4") for row in range(rows)], dtype=object)
    columns = [
        fits.Column("RA", "D", array=np.linspace(0, 360, rows)),
        fits.Column("NAME", "8A", array=[f"star{row}" for row in range(rows)]),
        fits.Column("FLUX", "PE()", array=lists),
    ]
    return fits.BinTableHDU.from_columns(columns, name=name)


def stars(name: str = "STARS") -> Any:
    """Make an ASCII table."""
    columns = [fits.Column("MAG", "F8.3", array=np.linspace(1, 9, 20), ascii=True)]
    return fits.TableHDU.from_columns(columns, name=name)


def written(*hdus: Any) -> bytes:
    """Return HDUs as a file; without a primary HDU, one with nothing in it is put first."""
    first = () if hdus and isinstance(hdus[0], (fits.PrimaryHDU, fits.GroupsHDU)) else (fits.PrimaryHDU(),)
    with warnings.catch_warnings(action="ignore"), tempfile.TemporaryDirectory() as folder:
        fits.HDUList([*first, *hdus]).writeto(path := Path(folder, "file.fits"))
        return path.read_bytes()


@cache
def survey() -> bytes:
    """Return a file of eight HDUs of every kind, 2.9 MB; its shapes repeat."""
    return written(
        image("SCI"), image("ERR"), image("SCI", 2), image("DQ", dtype="u2"), rice(), gzip_2(), catalogue()
    )


@cache
def drc() -> bytes:
    """Return a drizzled image of Hubble's cameras to its shape: PRIMARY, SCI with a WCS, WHT, CTX.

    The galaxy of the examples lies 600 pixels from the corner, at 0.05 arcseconds a pixel.
    """
    shape = (1200, 1000)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = GALAXY, (601.0, 501.0)
    wcs.wcs.cd = np.array([[-1, 0], [0, 1]]) * 0.05 / 3600
    primary = fits.PrimaryHDU()
    primary.header["TELESCOP"], primary.header["ROOTNAME"] = "HST", "j8pu0y010"
    science = image("SCI", shape=shape)
    science.header.update(wcs.to_header())
    return written(primary, science, image("WHT", shape=shape), image("CTX", shape=shape, dtype="i4"))


def offsets(data: bytes) -> list[int]:
    """Return where the headers of a file are, by astropy."""
    with from_memory(data) as hdus:
        return [hdus.fileinfo(number)["hdrLoc"] for number in range(len(hdus))]


def from_memory(data: bytes, **options: Any) -> Any:
    """Have astropy open a file that is at hand."""
    return fits.open(io.BytesIO(data), **options)


def intervals(log: RequestLog) -> list[tuple[int, int]]:
    """Return the byte ranges [start, stop) that were asked for, in the order of their bytes."""
    found = [re.fullmatch(r"bytes=(\d+)-(\d+)", record.range or "") for record in log]
    return sorted((int(match[1]), int(match[2]) + 1) for match in found if match)


def asked_twice(log: RequestLog) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the ranges that overlap: bytes that were asked for more than once."""
    return [(one, two) for one, two in pairwise(intervals(log)) if two[0] < one[1]]
