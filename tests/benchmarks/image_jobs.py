"""The jobs of `images`: what is read of which file, the right answer, and the fewest bytes it takes."""

from __future__ import annotations

import itertools
import operator
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from tests.benchmarks.image_files import PLANES_READ, TESS_READ

SHARE, CHAINED = 0.6, 0.85
SQUARE = (slice(2250, 2450), slice(1250, 1450))
"""Behind the 5 MiB that some peers have read with the headers, even in the smallest file; across tiles."""
TESS_SECTION = (TESS_READ, TESS_READ, slice(0, 1282), slice(0, 2))


@dataclass(frozen=True)
class Job:
    """One row of the table: the headers of all HDUs, or a section of the image in HDU 1.

    Parameters
    ----------
    name, title : str
        For the command line, and for people.
    file : str
        A key of `image_files`.
    trips : int
        Round trips that ours may take at most.
    section : tuple of slice
        In NumPy's order, start and stop of each axis; empty for headers.
    share : float
        Of the best peer's time, what ours may take at most.
    """

    name: str
    title: str
    file: str
    trips: int
    section: tuple[slice, ...] = ()
    share: float = SHARE

    @property
    def bounds(self) -> list[list[int]]:
        """The section, as JSON has it."""
        return [[axis.start, axis.stop] for axis in self.section]


LITTLE = slice(140, 150)
JOBS = (
    Job("hst_drz", "headers of 5 HDUs, 680-card primary (HST drz)", "hst_drz.fits", 5),
    Job("hst_flt", "headers of 16 HDUs, SCI ERR DQ repeated (HST flt)", "hst_flt.fits", 6),
    Job("decam", "headers of 63 compressed HDUs, irregular (DECam)", "decam.fits.fz", 63, share=CHAINED),
    Job("jwst_cal", "headers of 9 HDUs (JWST cal)", "jwst_cal.fits", 5),
    Job("float", "200 x 200 of 3000 x 3000 float", "float.fits", 2, SQUARE),
    Job("unsigned", "the same, unsigned 16-bit", "unsigned.fits", 2, SQUARE),
    Job("rice", "the same, RICE, row tiles", "rice.fits", 3, SQUARE),
    Job("gzip", "the same, GZIP_2, 100 x 100 tiles", "gzip.fits", 3, SQUARE),
    Job("cube", "40 planes x 10 x 10 of a cube", "cube.fits", 2, (PLANES_READ, LITTLE, LITTLE)),
    Job("tess", "30 x 30 x all times of a 45 GB cube", "tess_cube.fits", 2, TESS_SECTION),
)
"""Round trips may be one a header, or 2 + log2 of their number where HDUs repeat a shape; for a section one
more than for the headers before it, two more where tiles are compressed."""


def answer(path: Path, job: Job) -> int:
    """Return what a contender must find, as astropy reads it from disk: the number of HDUs, or a checksum."""
    with fits.open(path, memmap=False) as hdul:
        return checksum(hdul[1].section[job.section]) if job.section else len(hdul)


def checksum(pixels: Any) -> int:
    """Return the CRC-32 of an array's type, shape and values, in whatever byte order they are."""
    values = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">"))
    kind = f"{values.dtype.kind}{values.dtype.itemsize} {values.shape}"
    return zlib.crc32(values.tobytes(), zlib.crc32(kind.encode()))


def ideal(path: Path, job: Job) -> int:
    """Return the fewest bytes that hold the answer: headers with their padding, and what data it takes."""
    with fits.open(path, disable_image_compression=True) as hdul:
        places = [hdu.fileinfo() for hdu in hdul]
        headers = sum(place["datLoc"] - place["hdrLoc"] for place in places)
        if not job.section:
            return headers
        needed = sum(stop - start for start, stop in runs(hdul[1], job.section))
        return places[1]["datLoc"] + needed


def runs(hdu: Any, section: tuple[slice, ...]) -> list[tuple[int, int]]:
    """Return the byte ranges of a file that a section lies in, half-open; of tiles with their descriptors."""
    found = tiles(hdu, section) if "ZIMAGE" in hdu.header else rows(hdu, section)
    return list(found)


def rows(hdu: Any, section: tuple[slice, ...]) -> Iterator[tuple[int, int]]:
    """List the runs of pixels that lie side by side."""
    inner = len(section)
    length = abs(hdu.header["BITPIX"]) // 8
    strides = [length * int(np.prod(hdu.shape[axis + 1 :])) for axis in range(inner)]
    while inner > 1 and section[inner - 1] == slice(0, hdu.shape[inner - 1]):
        inner -= 1
    *outer, axis = section[:inner]
    start = hdu.fileinfo()["datLoc"]
    for index in itertools.product(*(range(each.start, each.stop) for each in outer)):
        offset = start + sum(map(operator.mul, (*index, axis.start), strides))
        yield offset, offset + (axis.stop - axis.start) * strides[inner - 1]


def tiles(hdu: Any, section: tuple[slice, ...]) -> Iterator[tuple[int, int]]:
    """List the rows of descriptors and the bytes in the heap of the tiles that are touched."""
    header, start = hdu.header, hdu.fileinfo()["datLoc"]
    axes = range(len(section), 0, -1)
    sizes = [header[f"ZTILE{axis}"] for axis in axes]
    counts = [-(-header[f"ZNAXIS{axis}"] // size) for axis, size in zip(axes, sizes, strict=True)]
    touched = [
        range(axis.start // size, -(-axis.stop // size)) for axis, size in zip(section, sizes, strict=True)
    ]
    row, heap = header["NAXIS1"], start + header.get("THEAP", header["NAXIS1"] * header["NAXIS2"])
    kind = hdu.columns.dtype.newbyteorder(">")
    table = np.memmap(hdu.fileinfo()["file"].name, kind, "r", start, header["NAXIS2"])
    descriptors = [
        name for name, form in zip(hdu.columns.names, hdu.columns.formats, strict=True) if form[1] in "PQ"
    ]
    for index in itertools.product(*touched):
        number = int(np.ravel_multi_index(index, counts))
        yield start + row * number, start + row * (number + 1)
        for name in descriptors:
            length, offset = table[number][name]
            if length:
                yield heap + int(offset), heap + int(offset) + int(length)
