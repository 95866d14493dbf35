"""The files that `cutouts` reads: laid out as products are, with a WCS, and pixels where somebody looks.

The cube is that of `image_files` with what a reader by sky position asks of it besides: the rows of
its table. All random numbers come from one seed.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from tests.benchmarks.image_files import (
    BLOCK,
    Unit,
    image,
    noise,
    primary,
    table,
    write_tess,
    write_units,
)

MOSAIC_SHAPE, DETECTOR_SHAPE = (4200, 4203), (4096, 2048)
SCALE, TESS_SCALE = 0.05, 21.0
"""Arcseconds a pixel."""
SIP = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 8.5e-6, "A_1_1": -5.2e-6, "A_0_2": 2.5e-7}
SIP |= {"B_2_0": 3.4e-7, "B_1_1": -7.6e-6, "B_0_2": 4.9e-6}
Pixel = tuple[float, float]
"""A position as `Cutout2D` has it: x, y, from 0."""


def wcs_cards(
    sky: tuple[float, float], pixel: Pixel, scale: float, *, distorted: bool = False
) -> dict[str, Any]:
    """Make the cards of a gnomonic projection that is turned by 30 degrees.

    Parameters
    ----------
    sky : tuple of float
        Right ascension and declination of the reference pixel, degrees.
    pixel : tuple of float
        The reference pixel, x and y from 0.
    scale : float
        Arcseconds a pixel.
    distorted : bool
        With SIP polynomials, which are worth some pixels at the edge.
    """
    step, turn = scale / 3600, np.radians(30)
    kind = "-SIP" if distorted else ""
    cards = {"WCSAXES": 2, "CTYPE1": f"RA---TAN{kind}", "CTYPE2": f"DEC--TAN{kind}", "CUNIT1": "deg"}
    cards |= {"CUNIT2": "deg", "RADESYS": "ICRS", "CRVAL1": sky[0], "CRVAL2": sky[1]}
    cards |= {"CRPIX1": pixel[0] + 1, "CRPIX2": pixel[1] + 1}
    cards |= {"CD1_1": -step * np.cos(turn), "CD1_2": step * np.sin(turn)}
    cards |= {"CD2_1": step * np.sin(turn), "CD2_2": step * np.cos(turn)}
    return cards | (SIP if distorted else {})


def with_wcs(unit: Unit, cards: dict[str, Any]) -> Unit:
    """Add the cards of a WCS to an HDU's header."""
    header, size = unit
    header.update(cards)
    return header, size


# The cube


def write_cube(path: Path) -> None:
    """Write the 45 GB cube with the pixels that are read, and a table whose every row has a WCS."""
    write_tess(path)
    with fits.open(path) as hdul:
        first, rows, place = hdul[0].header, hdul[2].columns.dtype, hdul[2].fileinfo()["datLoc"]
        count = hdul[2].header["NAXIS2"]
    first.update({"DATE-OBS": "2020-02-19T19:30:00", "DATE-END": "2020-03-17T23:30:00", "FFIINDEX": 11600})
    head = first.tostring().encode("ascii")
    assert len(head) == BLOCK
    with path.open("r+b") as file:
        file.write(head)
    told = np.memmap(path, rows.newbyteorder(">"), "r+", place, (count,))
    cards = wcs_cards((184.2, 61.1), (1044.0, 1000.0), TESS_SCALE, distorted=True)
    for name, value in cards.items():
        told[name] = value
    told["TSTART"] = 1899.3 + np.arange(count) / 48
    told["TSTOP"] = told["TSTART"] + 1 / 48
    told["FFI_FILE"] = [f"tess2020{number:010}-s0022-4-4_ffic.fits" for number in range(count)]


def cube_wcs(path: Path) -> WCS:
    """Return the WCS of the cube, from the row that half of the images come before."""
    with fits.open(path, memmap=False) as hdul:
        row = hdul[2].data[len(hdul[2].data) // 2]
        names = wcs_cards((0, 0), (0, 0), 1, distorted=True)
        return WCS(fits.Header({name: row[name] for name in names}))


# Images


def mosaic() -> Iterator[Unit]:
    """Drizzled, of the Hubble Space Telescope: 5 HDUs, headers of 680 and some hundred cards."""
    cards = wcs_cards((150.11, 2.21), (2101.5, 2100.0), SCALE)
    yield primary(680)
    yield with_wcs(image("SCI", 1, -32, MOSAIC_SHAPE, 260), cards)
    yield with_wcs(image("WHT", 1, -32, MOSAIC_SHAPE, 190), cards)
    yield with_wcs(image("CTX", 1, 32, MOSAIC_SHAPE, 170), cards)
    yield table("HDRTAB", 4, 240)


@functools.cache
def exposure_units() -> tuple[Unit, ...]:
    """Return the HDUs of `exposure`, which differ in two cards a header."""
    cards = wcs_cards((0, 0), (1023.5, 2047.5), SCALE, distorted=True)
    images = (("SCI", 180), ("ERR", 60), ("DQ", 60))
    made = (with_wcs(image(name, 1, 16, DETECTOR_SHAPE, length), cards) for name, length in images)
    return primary(200), *made


def exposure(number: int) -> Iterator[Unit]:
    """Of one detector: PRIMARY and SCI, ERR, DQ, 16-bit integers with SIP; each number is another place."""
    first, *images = exposure_units()
    yield first
    for unit in images:
        yield with_wcs(unit, {"CRVAL1": 10.0 + number % 20, "CRVAL2": -5.0 + number // 20})


def write_images(path: Path, units: Iterator[Unit], sections: list[tuple[slice, slice]], level: int) -> None:
    """Write HDUs, and noise above a level into sections of the first extension."""
    write_units(path, units)
    with fits.open(path, "update") as hdul:
        pixels, random = hdul[1].data, noise()
        for section in sections:
            pixels[section] = random.normal(level, 10, pixels[section].shape)
