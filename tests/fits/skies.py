"""Images with coordinates, made: of any projection, rotation and scale, with distortions, in cubes."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from tests.fits import made

Array = np.ndarray[Any, Any]


def wcs_of(
    shape: tuple[int, int],
    *,
    centre: tuple[float, float] = (150.42, 2.42),
    scale: tuple[float, float] = (0.05, 0.05),
    angle: float = 0.0,
    kind: str = "TAN",
    names: tuple[str, str] = ("RA", "DEC"),
    radesys: str = "ICRS",
) -> WCS:
    """Make a WCS of an image of the shape (ny, nx): degrees, arcseconds a pixel (x, y), degrees turned."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [f"{name}{'-' * (5 - len(name))}{kind}" for name in names]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.crval = list(centre)
    wcs.wcs.crpix = [shape[1] / 2 + 0.3, shape[0] / 2 - 1.2]
    turn = np.deg2rad(angle)
    matrix = np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    wcs.wcs.cd = matrix * np.array(scale) / 3600
    wcs.wcs.radesys = radesys
    wcs.wcs.set()
    return wcs


def header_of(wcs: WCS, **cards: Any) -> fits.Header:
    """Return a WCS as a header, with CD as the missions write it."""
    header = wcs.to_header(relax=True)
    for row in (1, 2):
        header.remove(f"CDELT{row}", ignore_missing=True)
        for column in (1, 2):
            header.remove(f"PC{row}_{column}", ignore_missing=True)
            header[f"CD{row}_{column}"] = wcs.wcs.cd[row - 1, column - 1]
    header.update(cards)
    return header


def sky(
    shape: tuple[int, int], *, name: str = "SCI", dtype: str = "f4", seed: int = 0, **options: Any
) -> Any:
    """Make an image extension with coordinates."""
    pixels = made.noise(shape, seed).astype(dtype)
    return fits.ImageHDU(pixels, header_of(wcs_of(shape, **options)), name=name)


def sip(header: fits.Header, order: int = 2, strength: float = 3e-6) -> fits.Header:
    """Give a header a SIP distortion."""
    header = header.copy()
    for axis in (1, 2):
        header[f"CTYPE{axis}"] = f"{header[f'CTYPE{axis}'].ljust(8, '-')[:8]}-SIP"
    random = np.random.default_rng(1)
    for kind in "AB":
        header[f"{kind}_ORDER"] = order
        for p in range(order + 1):
            for q in range(order + 1 - p):
                if p + q > 1:
                    header[f"{kind}_{p}_{q}"] = float(random.normal() * strength)
    return header
