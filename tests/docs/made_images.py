"""The images that the pages read, made here: a galaxy in a mosaic, and files of other layouts."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

__all__ = ["write_images"]

CENTRE, PIXEL, TURN = (150.4214, 2.4224), (600, 500), np.radians(25)
"""Right ascension and declination of the galaxy, degrees; its pixel (x, y), from 0; where north is."""


def write_images(folder: Path) -> None:
    """Write files under the keys at which the pages read them."""
    drizzled = folder / "hst/public/j8pu/j8pu0y010/j8pu0y010_drc.fits"
    examples = folder / "examples"
    for parent in (drizzled.parent, examples):
        parent.mkdir(parents=True)
    random = np.random.default_rng(7)
    pixels = (random.normal(size=(1000, 1200)) + galaxy()).astype("f4")
    cards = sky().to_header()
    cards["BUNIT"] = "ELECTRONS/S"
    planes = {"SCI": pixels / 250, "WHT": np.full_like(pixels, 2028), "CTX": np.ones(pixels.shape, "i4")}
    extensions = [fits.ImageHDU(values, cards, name=name) for name, values in planes.items()]
    fits.HDUList([fits.PrimaryHDU(), *extensions]).writeto(drizzled)

    tiled = fits.CompImageHDU((100 * pixels).astype("i2"), cards, name="SCI", tile_shape=(100, 100))
    fits.HDUList([fits.PrimaryHDU(), tiled]).writeto(examples / "mosaic.fits.fz")

    planes = {"SCI": pixels[:256, :256], "ERR": pixels[256:512, :256], "DQ": np.ones((256, 256), "i2")}
    several = [
        fits.ImageHDU(values, name=name, ver=n) for n in range(1, 6) for name, values in planes.items()
    ]
    exposure = examples / "exposure.fits"
    fits.HDUList([fits.PrimaryHDU(), *several]).writeto(exposure)
    (examples / "exposure.fits.gz").write_bytes(gzip.compress(exposure.read_bytes(), 1))


def sky() -> WCS:
    """Return where the pixels are: 0.05 arcseconds each."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.05 / 3600, 0.05 / 3600]
    wcs.wcs.crval, wcs.wcs.crpix = CENTRE, [PIXEL[0] + 1, PIXEL[1] + 1]
    wcs.wcs.pc = [[np.cos(TURN), -np.sin(TURN)], [np.sin(TURN), np.cos(TURN)]]
    return wcs


def galaxy(shape: tuple[int, int] = (1000, 1200)) -> Any:
    """Draw a spiral galaxy and some stars, in units of the noise."""
    y, x = np.mgrid[: shape[0], : shape[1]] - np.array(PIXEL)[::-1, None, None]
    major, minor = x * np.cos(0.6) + y * np.sin(0.6), (y * np.cos(0.6) - x * np.sin(0.6)) / 0.65
    radius, angle = np.hypot(major, minor), np.arctan2(minor, major)
    arms = (0.5 + 0.5 * np.cos(2 * (angle - 2.4 * np.log(radius / 9 + 0.3)))) ** 2
    drawn = 22 * np.exp(-radius / 19) * (0.12 + arms) + 40 * np.exp(-((radius / 4.5) ** 1.2))
    for right, up, light in ((31, -27, 30), (-38, 22, 20), (-17, -41, 12), (160, 90, 80), (-300, -200, 90)):
        drawn += light * np.exp(-((x - right) ** 2 + (y - up) ** 2) / 3)
    return drawn
