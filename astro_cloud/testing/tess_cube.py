"""A sparse FITS file of 45 GB, shaped like the image cubes of the TESS mission.

PRIMARY without data; an IMAGE of float32, NAXISn = 2 (flux, error), 1282 (full-frame images), 2136
(columns), 2078 (rows); a BINTABLE with a row an image and a column a keyword of its header. The
headers are whole, the data are a hole in the file: zeros that take no room on disk. But for one row
of the table: that of the image in the middle of the time has its keywords, and with them the world
coordinates of the cube, where astrocut looks for them.
"""

from __future__ import annotations

import math
import os
import struct
from typing import Any

__all__ = ["write_tess_cube"]

_BLOCK = 2880
_PLANES, _IMAGES, _COLUMNS, _ROWS = 2, 1282, 2136, 2078
_SIP = [f"{p}_{i}_{j}" for p in ("A", "B", "AP", "BP") for i in range(5) for j in range(5 - i) if i + j > 0]
_TEXTS = {
    "TELESCOP": 4, "INSTRUME": 21, "ORIGIN": 11, "DATE": 10, "PROCVER": 18, "FILEVER": 3,
    "TIMVERSN": 8, "RADESYS": 4, "CTYPE1": 12, "CTYPE2": 12, "CUNIT1": 3, "CUNIT2": 3, "DATE-OBS": 24,
    "DATE-END": 24, "BTC_PIX1": 8, "BTC_PIX2": 8, "IMAGTYPE": 8, "BUNIT": 10, "FFI_FILE": 38,
}  # fmt: skip
_INTEGERS = (
    "CAMERA", "CCD", "FFIINDEX", "DQUALITY", "WCSAXES", "A_ORDER", "B_ORDER", "AP_ORDER", "BP_ORDER",
    "SCCONFIG", "NREADOUT", "NUM_FRM", "SCIPIXS", "GAINA", "CRMITEN", "CRBLKSZ", "NSTARS",
)  # fmt: skip
_FLOATS = (
    "EXPOSURE", "TIERRELA", "TIMEPIXR", "TSTART", "TSTOP", "TELAPSE", "LIVETIME", "DEADC", "INT_TIME",
    "BJDREFI", "BJDREFF", "READTIME", "FRAMETIM", "EQUINOX", "CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2",
    "CD1_1", "CD1_2", "CD2_1", "CD2_2", "RA_NOM", "DEC_NOM", "ROLL_NOM", "BARYCORR", "MEANBLCA",
    "MEANBLCB", "MEANBLCC", "MEANBLCD", "RMSA", "RMSB", "RMSC", "RMSD", "A_DMAX", "B_DMAX", "FXDOFF",
)  # fmt: skip
_SCALE, _TURN = 21 / 3600, math.radians(38.0)
_WORLD: dict[str, str | int | float] = {
    "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "CUNIT1": "deg", "CUNIT2": "deg", "WCSAXES": 2,
    "CRPIX1": 1045.0, "CRPIX2": 1001.0, "CRVAL1": 266.0, "CRVAL2": 69.0,
    "CD1_1": -_SCALE * math.cos(_TURN), "CD1_2": _SCALE * math.sin(_TURN),
    "CD2_1": _SCALE * math.sin(_TURN), "CD2_2": _SCALE * math.cos(_TURN),
    "A_ORDER": 4, "B_ORDER": 4, "AP_ORDER": 4, "BP_ORDER": 4,
    "A_2_0": 2.1e-5, "A_1_1": 1.6e-5, "A_0_2": 3.2e-6, "A_3_0": 1.1e-9, "A_1_2": 9.0e-10, "A_4_0": 4.0e-14,
    "B_2_0": 3.1e-6, "B_1_1": 1.9e-5, "B_0_2": 2.2e-5, "B_2_1": 8.0e-10, "B_0_3": 1.2e-9, "B_0_4": 5.0e-14,
    "AP_2_0": -2.1e-5, "AP_1_1": -1.6e-5, "AP_0_2": -3.2e-6,
    "BP_2_0": -3.1e-6, "BP_1_1": -1.9e-5, "BP_0_2": -2.2e-5,
}  # fmt: skip
"""The Cat's Eye Nebula, NGC 6543 at 17h58m33.4s +66d37m59.5s, is in it."""
_MIDDLE: dict[str, str | int | float] = {
    **_WORLD, "TELESCOP": "TESS", "INSTRUME": "TESS Photometer", "RADESYS": "ICRS", "EQUINOX": 2000.0,
    "CAMERA": 4, "CCD": 4, "FFIINDEX": 11341, "DATE-OBS": "2020-03-03T17:00:00.000Z", "TSTART": 1912.2083,
    "DATE-END": "2020-03-03T17:30:00.000Z", "TSTOP": 1912.2292, "TELAPSE": 0.0208, "BARYCORR": 0.0045,
    "BJDREFI": 2457000.0, "EXPOSURE": 0.0165, "INT_TIME": 1.98, "NUM_FRM": 900, "IMAGTYPE": "cal",
    "BUNIT": "electrons/", "FFI_FILE": "tess2020063165922-s0022-4-4-0174-s.fit",
}  # fmt: skip


def write_tess_cube(path: str | os.PathLike[str]) -> None:
    """Write the cube to `path`: about 45.5 GB to read, some tens of kilobytes on disk.

    Raises
    ------
    OSError
        If the file system has no sparse files and no room.
    """
    headers = (_primary(), _image(), _table())
    with open(path, "wb") as file:
        for header, data_size in headers:
            file.write(header.tostring().encode("ascii"))
            data = file.tell()
            file.truncate(data + -(-data_size // _BLOCK) * _BLOCK)
            file.seek(0, os.SEEK_END)
        row = _row(_MIDDLE)
        file.seek(data + _IMAGES // 2 * len(row))
        file.write(row)


def _header(cards: dict[str, Any]) -> Any:
    from astropy.io.fits import Header

    header = Header()
    for keyword, value in cards.items():
        header[keyword] = value
    return header


def _primary() -> tuple[Any, int]:
    cards: dict[str, Any] = {
        "SIMPLE": (True, "conforms to FITS standards"), "BITPIX": 8, "NAXIS": 0,
        "EXTEND": (True, "file contains extensions"), "NEXTEND": 2, "EXTNAME": "PRIMARY", "SIMDATA": False,
        "ORIGIN": ("STScI/MAST", "institution responsible for file"), "DATE": "2020-06-10",
        "TSTART": (1899.3, "[d] start of the first image, BTJD"), "TSTOP": (1926.5, "[d] end of the last"),
        "TELESCOP": "TESS", "INSTRUME": "TESS Photometer", "DATA_REL": 30, "TIMVERSN": "OGIP/93-003",
        "SECTOR": 22, "CAMERA": 4, "CCD": 4, "RADESYS": "ICRS", "EQUINOX": 2000.0, "CRMITEN": True,
    }  # fmt: skip
    return _header(cards), 0


def _image() -> tuple[Any, int]:
    shape = (_PLANES, _IMAGES, _COLUMNS, _ROWS)
    axes = {f"NAXIS{number}": length for number, length in enumerate(shape, 1)}
    cards = {"XTENSION": "IMAGE", "BITPIX": -32, "NAXIS": 4, **axes, "PCOUNT": 0, "GCOUNT": 1}
    return _header(cards), 4 * _PLANES * _IMAGES * _COLUMNS * _ROWS


def _table() -> tuple[Any, int]:
    columns = _columns()
    row = sum(map(_width, columns.values()))
    cards: dict[str, Any] = {
        "XTENSION": "BINTABLE", "BITPIX": 8, "NAXIS": 2, "NAXIS1": row, "NAXIS2": _IMAGES,
        "PCOUNT": 0, "GCOUNT": 1, "TFIELDS": len(columns),
    }  # fmt: skip
    for number, (name, form) in enumerate(columns.items(), 1):
        cards[f"TTYPE{number}"] = name
        cards[f"TFORM{number}"] = form
    for name in columns:
        cards[name] = "keyword of the full-frame images"
    return _header(cards), row * _IMAGES


def _columns() -> dict[str, str]:
    """Return the format of each column, by its keyword."""
    columns = {name: f"{width}A" for name, width in _TEXTS.items()}
    columns |= dict.fromkeys(_INTEGERS, "J")
    return columns | dict.fromkeys((*_FLOATS, *_SIP), "D")


def _width(form: str) -> int:
    return {"J": 4, "D": 8}.get(form) or int(form[:-1])


def _row(values: dict[str, str | int | float]) -> bytes:
    """Make a row of the table; a keyword without a value is NaN, 0 or empty, as astrocut has it."""
    return b"".join(_cell(form, values.get(name)) for name, form in _columns().items())


def _cell(form: str, value: Any) -> bytes:
    if form == "J":
        return struct.pack(">i", value or 0)
    if form == "D":
        return struct.pack(">d", math.nan if value is None else value)
    return str(value or "").encode("ascii").ljust(_width(form), b"\0")
