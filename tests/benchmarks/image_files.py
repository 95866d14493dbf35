"""The files that `images` reads: laid out as real products are, with holes where nobody looks.

A file whose headers are read holds headers and nothing else. One whose pixels are read has its image
behind a small primary header. All random numbers come from one seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from astro_cloud.testing.tess_cube import write_tess_cube

BLOCK = 2880
SIDE = 3000
PLANES, PLANE_SIDE, PLANES_READ = 3681, 300, slice(1000, 1040)
TESS_SHAPE, TESS_READ = (2078, 2136, 1282, 2), slice(1000, 1030)
Unit = tuple[fits.Header, int]
"""A header, and how many bytes of data it speaks of, without padding."""


# Headers


def noise() -> np.random.Generator:
    """Return the random numbers of a file, from their beginning."""
    return np.random.default_rng(20261101)


def header(cards: dict[str, Any], length: int = 0) -> fits.Header:
    """Make a header of so many cards, or more, in a mix as pipelines write it."""
    made = fits.Header()
    for keyword, value in cards.items():
        made[keyword] = value
    for number in range(length - len(made)):
        kind = number % 9
        if kind == 0:
            made.add_comment(f" / parameters of step {number // 9}")
        elif kind == 8:
            made.add_history(f"step {number // 9} was done with the reference files of its epoch")
        elif kind % 3 == 0:
            made[f"REF{number:05}"] = (f"crds$reference_{number:05}.fits", "reference file")
        elif kind % 3 == 1:
            made[f"VAL{number:05}"] = (round(number * 0.7311, 6), "[electron] of the calibration")
        else:
            made[f"FLG{number:05}"] = (kind == 2, "whether the step was done")
    return made


def primary(length: int) -> Unit:
    """Make a primary HDU without data."""
    cards = {"SIMPLE": True, "BITPIX": 8, "NAXIS": 0, "EXTEND": True, "ORIGIN": "a benchmark"}
    return header(cards, length), 0


def image(name: str, version: int, bitpix: int, shape: tuple[int, ...], length: int) -> Unit:
    """Make an image HDU; its shape is in NumPy's order."""
    axes = {f"NAXIS{number}": size for number, size in enumerate(reversed(shape), 1)}
    cards = {"XTENSION": "IMAGE", "BITPIX": bitpix, "NAXIS": len(shape), **axes, "PCOUNT": 0, "GCOUNT": 1}
    cards |= {"EXTNAME": name, "EXTVER": version}
    return header(cards, length), abs(bitpix) // 8 * int(np.prod(shape))


def table(name: str, rows: int, columns: int, length: int = 0, *, width: int = 1) -> Unit:
    """Make a table HDU; each of its columns holds doubles, so many a row."""
    row = 8 * width * columns
    cards = {"XTENSION": "BINTABLE", "BITPIX": 8, "NAXIS": 2, "NAXIS1": row, "NAXIS2": rows}
    cards |= {"PCOUNT": 0, "GCOUNT": 1, "TFIELDS": columns}
    for number in range(1, columns + 1):
        cards |= {f"TTYPE{number}": f"COLUMN{number}", f"TFORM{number}": f"{width}D"}
    return header({**cards, "EXTNAME": name}, length), row * rows


def compressed(name: str, shape: tuple[int, int], heap: int, length: int) -> Unit:
    """Make an HDU of 32-bit integers, compressed with RICE a row a tile into a heap of so many bytes."""
    rows, columns = shape
    cards = {"XTENSION": "BINTABLE", "BITPIX": 8, "NAXIS": 2, "NAXIS1": 8, "NAXIS2": rows}
    cards |= {"PCOUNT": heap, "GCOUNT": 1, "TFIELDS": 1, "TTYPE1": "COMPRESSED_DATA"}
    cards |= {"TFORM1": f"1PB({2 * columns})", "ZIMAGE": True, "ZTENSION": "IMAGE", "ZBITPIX": 32}
    cards |= {"ZNAXIS": 2, "ZNAXIS1": columns, "ZNAXIS2": rows, "ZPCOUNT": 0, "ZGCOUNT": 1}
    cards |= {"ZTILE1": columns, "ZTILE2": 1, "ZCMPTYPE": "RICE_1", "ZNAME1": "BLOCKSIZE", "ZVAL1": 32}
    return header({**cards, "ZNAME2": "BYTEPIX", "ZVAL2": 4, "EXTNAME": name}, length), 8 * rows + heap


# Files of headers


def hst_drz() -> Iterator[Unit]:
    """Drizzled, of the Hubble Space Telescope: 5 HDUs, the primary's header of 680 cards."""
    shape = (4200, 4203)
    yield primary(680)
    yield image("SCI", 1, -32, shape, 260)
    yield image("WHT", 1, -32, shape, 190)
    yield image("CTX", 1, 32, shape, 170)
    yield table("HDRTAB", 4, 240)


def hst_flt() -> Iterator[Unit]:
    """Flat-fielded, of the Hubble Space Telescope: 16 HDUs, SCI ERR DQ twice, then small ones."""
    shape = (2048, 4096)
    yield primary(320)
    for version in (1, 2):
        yield image("SCI", version, -32, shape, 270)
        yield image("ERR", version, -32, shape, 75)
        yield image("DQ", version, 16, shape, 75)
    for version in (1, 2, 3, 4):
        yield image("D2IMARR", version, -32, (1, 4096 if version % 2 else 2048), 16)
    for version in (1, 2, 3, 4):
        yield image("WCSDVARR", version, -32, (32, 64), 16)
    yield table("WCSCORR", 14, 26, 120)


def decam() -> Iterator[Unit]:
    """Of the Dark Energy Camera: a primary and 62 compressed images, no two alike in length."""
    random = noise()
    yield primary(320)
    for number in range(62):
        heap, length = int(random.uniform(4_200_000, 6_000_000)), int(random.integers(150, 400))
        yield compressed(f"{'NS'[number % 2]}{number // 2 + 1}", (4094, 2046), heap, length)


def jwst_cal() -> Iterator[Unit]:
    """Calibrated, of the James Webb Space Telescope: 9 HDUs, seven images alike and a table of one row."""
    shape = (2048, 2048)
    yield primary(300)
    yield image("SCI", 1, -32, shape, 95)
    for name in ("ERR", "DQ", "AREA", "VAR_POISSON", "VAR_RNOISE", "VAR_FLAT"):
        yield image(name, 1, 32 if name == "DQ" else -32, shape, 14)
    yield table("ASDF", 1, 1, width=4000)


def write_units(path: Path, units: Iterator[Unit]) -> None:
    """Write headers, and holes for the data."""
    with path.open("wb") as file:
        for made, size in units:
            file.write(made.tostring().encode("ascii"))
            file.truncate(file.tell() + -(-size // BLOCK) * BLOCK)
            file.seek(0, 2)


# Files of pixels


def sky() -> np.ndarray:
    """Return an image of SIDE x SIDE float32: a level of 1000 with noise, and a slope across."""
    level = noise().normal(1000, 10, (SIDE, SIDE))
    return (level + np.arange(SIDE) / 10).astype(np.float32)


def write_image(path: Path, made: Any) -> None:
    """Write an image HDU behind a primary header of 40 cards, with 60 of its own."""
    made.header.update(header({}, 60))
    fits.HDUList([fits.PrimaryHDU(header=primary(40)[0]), made]).writeto(path)


def write_float(path: Path) -> None:
    """Write float32."""
    write_image(path, fits.ImageHDU(sky()))


def write_unsigned(path: Path) -> None:
    """Write unsigned 16-bit: FITS has them signed, with BZERO."""
    write_image(path, fits.ImageHDU(sky().astype(np.uint16)))


def write_rice(path: Path) -> None:
    """Write float32, quantized with dither, compressed with RICE a row a tile, as fpack does by default."""
    options = {"compression_type": "RICE_1", "tile_shape": (1, SIDE), "quantize_method": 1, "dither_seed": 1}
    write_image(path, fits.CompImageHDU(sky(), **options))


def write_gzip(path: Path) -> None:
    """Write float32 without loss, compressed with GZIP_2 in tiles of 100 x 100."""
    options = {"compression_type": "GZIP_2", "tile_shape": (100, 100), "quantize_level": 0}
    write_image(path, fits.CompImageHDU(sky(), **options))


def write_cube(path: Path) -> None:
    """Write a cube of 3681 planes, of which only those that are read hold numbers."""
    shape = (PLANES, PLANE_SIDE, PLANE_SIDE)
    write_units(path, iter([primary(40), image("DATA", 1, -32, shape, 60)]))
    pixels = noise().normal(1000, 10, (PLANES_READ.stop - PLANES_READ.start, PLANE_SIDE, PLANE_SIDE))
    with path.open("r+b") as file:
        file.seek(data_offset(path) + 4 * PLANES_READ.start * PLANE_SIDE**2)
        file.write(pixels.astype(">f4").tobytes())


def write_tess(path: Path) -> None:
    """Write the 45 GB cube, of which only the section that is read holds numbers."""
    write_tess_cube(path)
    _, columns, *inner = TESS_SHAPE
    pixels = noise().normal(1000, 10, (TESS_READ.stop - TESS_READ.start, *inner)).astype(">f4")
    pixel, start = pixels[0].nbytes, data_offset(path)
    with path.open("r+b") as file:
        for row in range(TESS_READ.start, TESS_READ.stop):
            file.seek(start + pixel * (row * columns + TESS_READ.start))
            file.write((pixels + row).astype(">f4").tobytes())


def data_offset(path: Path) -> int:
    """Return where the data of the first extension begin."""
    with fits.open(path) as hdul:
        offset: int = hdul[1].fileinfo()["datLoc"]
        return offset


HEADERS: dict[str, Callable[[], Iterator[Unit]]] = {
    "hst_drz.fits": hst_drz,
    "hst_flt.fits": hst_flt,
    "decam.fits.fz": decam,
    "jwst_cal.fits": jwst_cal,
}
PIXELS: dict[str, Callable[[Path], None]] = {
    "float.fits": write_float,
    "unsigned.fits": write_unsigned,
    "rice.fits": write_rice,
    "gzip.fits": write_gzip,
    "cube.fits": write_cube,
    "tess_cube.fits": write_tess,
}


def write_file(path: Path) -> None:
    """Write one of the files, by its name."""
    if path.name in HEADERS:
        write_units(path, HEADERS[path.name]())
    else:
        PIXELS[path.name](path)
