"""A sparse FITS file of 45 GB, shaped like the image cubes of the TESS mission.

PRIMARY without data; an IMAGE of float32, NAXISn = 2 (flux, error), 1282 (full-frame images), 2136
(columns), 2078 (rows); a BINTABLE with a row an image and a column a keyword of its header. The
headers are whole, the data are a hole in the file: zeros that take no room on disk.
"""

from __future__ import annotations

import os
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
            file.truncate(file.tell() + -(-data_size // _BLOCK) * _BLOCK)
            file.seek(0, os.SEEK_END)


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
    columns = [(name, f"{width}A", width) for name, width in _TEXTS.items()]
    columns += [(name, "J", 4) for name in _INTEGERS]
    columns += [(name, "D", 8) for name in (*_FLOATS, *_SIP)]
    row = sum(width for _, _, width in columns)
    cards: dict[str, Any] = {
        "XTENSION": "BINTABLE", "BITPIX": 8, "NAXIS": 2, "NAXIS1": row, "NAXIS2": _IMAGES,
        "PCOUNT": 0, "GCOUNT": 1, "TFIELDS": len(columns),
    }  # fmt: skip
    for number, (name, form, _) in enumerate(columns, 1):
        cards[f"TTYPE{number}"] = name
        cards[f"TFORM{number}"] = form
    for name, _, _ in columns:
        cards[name] = "keyword of the full-frame images"
    return _header(cards), row * _IMAGES
