"""Small full-frame images (FFIs) of the TESS mission, with the keywords of real ones, for making cubes of."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

ROWS, COLUMNS = 48, 64
#: Degrees a pixel.
SCALE = 21 / 3600
CENTRE = (256.25, 71.875)
_WORDS: dict[str, tuple[Any, str]] = {
    "EXTVER": (1, "extension version number (not format version)"),
    "INHERIT": (True, "inherit the primary header"),
    "SIMDATA": (False, "file is based on simulated data"),
    "TELESCOP": ("TESS", "telescope"),
    "INSTRUME": ("TESS Photometer", "detector type"),
    "CAMERA": (4, "Camera number"),
    "CCD": (4, "CCD chip number"),
    "EXPOSURE": (0.0143, "[d] time on source"),
    "TIMEREF": ("SOLARSYSTEM", "barycentric correction applied to times"),
    "BJDREFI": (2457000, "integer part of BTJD reference date"),
    "BJDREFF": (0.0, "fraction of the day in BTJD reference date"),
    "TIMEUNIT": ("d", "time unit for TIME, TSTART and TSTOP"),
    "TELAPSE": (0.0208, "[d] TSTOP - TSTART"),
    "INT_TIME": (1.98, "[s] photon accumulation time per frame"),
    "NUM_FRM": (900, "number of frames per time stamp"),
    "DQUALITY": (0, "data quality flags"),
    "BUNIT": ("electrons/s", "physical units of image data"),
    "RADESYS": ("ICRS", "reference frame of celestial coordinates"),
    "EQUINOX": (2000.0, "equinox of celestial coordinate system"),
    "GAINA": (5.25, "[electrons/count] CCD output A gain"),
    "BACKAPP": (False, "background is subtracted"),
}


def sip(order: int = 4) -> dict[str, float]:
    """Make the coefficients of a distortion, and of nearly its inverse, each of another size."""
    powers = [(i, j) for i in range(order + 1) for j in range(order + 1 - i) if i + j > 1]
    found: dict[str, float] = {}
    for number, name in enumerate(("A", "B")):
        found |= {f"{name}_ORDER": order, f"{name}P_ORDER": order, f"{name}_DMAX": 0.25}
        for i, j in powers:
            size = (-1) ** (i + number) * (1 + i / 7 + number / 3) * 2e-5 * 3e-4 ** (i + j - 2)
            found |= {f"{name}_{i}_{j}": size, f"{name}P_{i}_{j}": -size}
    return found


def wcs_cards(number: int) -> dict[str, Any]:
    """Return the WCS of one image: the spacecraft jitters, so that none has that of another."""
    turn = np.deg2rad(33.3)
    return {
        "WCSAXES": (2, "Number of WCS axes"),
        "CTYPE1": ("RA---TAN-SIP", "Gnomonic projection + SIP distortions"),
        "CTYPE2": ("DEC--TAN-SIP", "Gnomonic projection + SIP distortions"),
        "CUNIT1": ("deg", "Unit of the first axis"),
        "CUNIT2": ("deg", "Unit of the second axis"),
        "CRVAL1": (CENTRE[0] + number * 1e-5, "RA at CRPIX1, CRPIX2"),
        "CRVAL2": (CENTRE[1] - number / 3 * 1e-5, "DEC at CRPIX1, CRPIX2"),
        "CRPIX1": (31.5, "X reference pixel"),
        "CRPIX2": (22.25, "Y reference pixel"),
        "CD1_1": (-SCALE * np.cos(turn), "Transformation matrix"),
        "CD1_2": (SCALE * np.sin(turn), "Transformation matrix"),
        "CD2_1": (SCALE * np.sin(turn), "Transformation matrix"),
        "CD2_2": (SCALE * np.cos(turn), "Transformation matrix"),
        **sip(),
    }


def write_images(folder: Path, count: int, *, without_wcs: Collection[int] = ()) -> list[str]:
    """Write images of consecutive times; return their paths, the last image first."""
    folder.mkdir()
    return [str(_write(folder, number, number not in without_wcs)) for number in reversed(range(count))]


def _write(folder: Path, number: int, with_wcs: bool) -> Path:
    path = folder / f"tess{2020049080000 + number}-s0022-4-4-0174-s_ffic.fits"
    flux = np.random.default_rng(number).normal(120, 30, (ROWS, COLUMNS)).astype("f4")
    primary = fits.PrimaryHDU()
    _describe(primary.header, number)
    image, error = fits.ImageHDU(flux), fits.ImageHDU(np.sqrt(np.abs(flux)))
    for hdu, name in ((image, "cal"), (error, "uncert")):
        hdu.header["EXTNAME"] = (f"CAMERA.CCD 4.4 {name}", "name of extension")
        hdu.header.update(_WORDS)
        _describe(hdu.header, number)
        if with_wcs:
            hdu.header.update(wcs_cards(number))
    fits.HDUList([primary, image, error]).writeto(path, checksum=True)
    return path


def _describe(header: fits.Header, number: int) -> None:
    """Say when an image was taken, in the keywords that a cube's primary header takes over."""
    header["TSTART"] = (1900.25 + number / 48, "observation start time in BTJD")
    header["TSTOP"] = (1900.25 + (number + 1) / 48, "observation stop time in BTJD")
    header["DATE-OBS"] = (f"2020-02-20T{number:02}:00:00.000Z", "TSTART as UTC calendar date")
    header["DATE-END"] = (f"2020-02-20T{number:02}:30:00.000Z", "TSTOP as UTC calendar date")
    header["BARYCORR"] = (4.5e-3 + number * 1e-7, "[d] barycentric time correction")
    header["FFIINDEX"] = (10700 + number, "number of FFI cadence interval")
