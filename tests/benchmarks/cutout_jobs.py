"""The jobs of `cutouts`: what is cut out of which files, the right pixels, and the fewest bytes they take."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS

from tests.benchmarks.cutout_files import Pixel, cube_wcs, exposure, mosaic, write_cube, write_images
from tests.benchmarks.image_files import TESS_READ
from tests.benchmarks.image_jobs import TESS_SECTION, checksum, rows

CONNECTIONS = 16
"""Of the bare client, and workers of all who have them."""
Range = tuple[int, int]
Steps = list[list[Range]]
"""Byte ranges of one file, those of each step known only after the step before; the pixels come last."""


@dataclass(frozen=True)
class Job:
    """One table.

    Parameters
    ----------
    name, title : str
        For the command line, and for people.
    size, unit : float, str
        Of each cutout, both ways, in ``pix`` or ``arcsec``.
    kind : str
        NumPy's type of the pixels.
    pixels : tuple
        Where in each file, x and y from 0.
    files : int
        How many.
    """

    name: str
    title: str
    size: float
    unit: str
    kind: str
    pixels: tuple[Pixel, ...]
    files: int = 1

    @property
    def whole_size(self) -> Any:
        """The size as users give it: pixels as an int, angles as a Quantity."""
        return size_of(self.size, self.unit)

    def key(self, number: int) -> str:
        """Return the key of a file."""
        return f"{self.name}_{number:03}.fits"


TESS_PIXEL = (TESS_READ.start + 14.7, TESS_READ.start + 14.7)
SPREAD = tuple((200.7 + 397 * (number * 2 % 5), 404.7 + 820 * number) for number in range(5))
"""Their rows are so far apart that reading over what is between two costs more than a request."""
JOBS = (
    Job("tess", "30 x 30 x all times of a 45 GB cube", 30, "pix", ">f4", (TESS_PIXEL,)),
    Job(
        "hst", '5" of a mosaic of 4203 x 4200, headers of 680 cards', 5, "arcsec", ">f4", ((2500.7, 3100.7),)
    ),
    Job("many", '5" at 5 places of each of 200 files, 2048 x 4096, SIP', 5, "arcsec", ">i2", SPREAD, 200),
)
"""No position is half way between two pixels, where readers round differently."""


def size_of(size: float, unit: str) -> Any:
    """Return a size as users give it."""
    return int(size) if unit == "pix" else size * units.Unit(unit)


# What is where


@dataclass(frozen=True)
class Target:
    """What is cut out of one file.

    Parameters
    ----------
    skies : tuple
        Right ascension and declination of each position, degrees.
    sections : tuple of tuple of slice
        The pixels of each in HDU 1, in NumPy's order.
    steps : list
        What the bare client reads.
    found : int
        The checksum of the cutouts.
    """

    skies: tuple[tuple[float, float], ...]
    sections: tuple[tuple[slice, ...], ...]
    steps: Steps
    found: int

    @property
    def size(self) -> int:
        """Bytes that the bare client reads."""
        return sum(stop - start for step in self.steps for start, stop in step)


def write_target(path: Path, job: Job, number: int = 0) -> Target:
    """Write a file of a job; returns what is cut out of it, as astropy finds it on disk."""
    if job.name == "tess":
        write_cube(path)
        return cube_target(path, job)
    hdus = mosaic() if job.name == "hst" else exposure(number)
    write_images(path, hdus, [near(pixel) for pixel in job.pixels], level=1000 + 50 * number)
    return image_target(path, job, split=CONNECTIONS if job.name == "hst" else 1)


def near(pixel: Pixel, reach: int = 60) -> tuple[slice, slice]:
    """Return the pixels that a cutout may show."""
    x, y = map(round, pixel)
    return slice(y - reach, y + reach), slice(x - reach, x + reach)


def skies_of(wcs: WCS, job: Job) -> tuple[tuple[float, float], ...]:
    """Return where a job's pixels are in the sky, degrees."""
    return tuple(tuple(map(float, wcs.all_pix2world([pixel], 0)[0])) for pixel in job.pixels)


def cube_target(path: Path, job: Job) -> Target:
    """Say what is cut out of the cube: headers, the table's header with its row, then the runs."""
    with fits.open(path, memmap=False) as hdul:
        section = hdul[1].section[TESS_SECTION]
        data = list(rows(hdul[1], TESS_SECTION))
        start, table = hdul[1].fileinfo()["datLoc"], hdul[2].fileinfo()
        width = hdul[2].header["NAXIS1"]
        row = table["datLoc"] + width * (hdul[2].header["NAXIS2"] // 2)
    steps = [[(0, start)], [(table["hdrLoc"], table["datLoc"]), (row, row + width)], data]
    return Target(skies_of(cube_wcs(path), job), (TESS_SECTION,), steps, checksums_of_file([section]))


def image_target(path: Path, job: Job, split: int) -> Target:
    """Say what is cut out of an image: the headers before it, then the rows from first to last pixel.

    The rows of a cutout are read in so many requests, all of one step.
    """
    with fits.open(path) as hdul:
        wcs, start = WCS(hdul[1].header), hdul[1].fileinfo()["datLoc"]
        skies = skies_of(wcs, job)
        cut = [Cutout2D(hdul[1].data, where, job.whole_size, wcs) for where in positions(skies)]
        sections = tuple(each.slices_original for each in cut)
        found = checksums_of_file(each.data for each in cut)
        ranges = [span for section in sections for span in spans(list(rows(hdul[1], section)), split)]
    return Target(skies, sections, [[(0, start)], ranges], found)


def spans(runs: Sequence[Range], count: int) -> list[Range]:
    """Join runs that follow each other into so many ranges that leave nothing out between them."""
    edges = [len(runs) * number // count for number in range(count)]
    starts = [runs[edge][0] for edge in edges]
    return list(zip(starts, [*starts[1:], runs[-1][1]], strict=True))


def positions(skies: Iterable[Sequence[float]]) -> list[Any]:
    """Return positions in the sky as astropy has them."""
    from astropy.coordinates import SkyCoord

    return [SkyCoord(*sky, unit="deg") for sky in skies]


def checksums(found: Iterable[Iterable[Any]]) -> int:
    """Return one checksum of the cutouts of all files, in their order."""
    return combined(checksums_of_file(cuts) for cuts in found)


def checksums_of_file(cuts: Iterable[Any]) -> int:
    """Return one checksum of the cutouts of one file."""
    return combined(checksum(np.asarray(cut)) for cut in cuts)


def combined(each: Iterable[int]) -> int:
    """Return one checksum of many."""
    return zlib.crc32(b"".join(one.to_bytes(4, "big") for one in each))
