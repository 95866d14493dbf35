"""Whether the bytes of a tile can be what its algorithm makes of so many pixels. Pure.

Asked before astropy's decoders run: those in C make room for as many pixels as a header says, and trust what
a tile says about itself; a damaged one ends the process, or gives what happened to lie in memory.

Reference: FITS Standard 4.0, section 10.4 (the algorithms).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from astropy.io.fits import Header

__all__ = ["most_pixels", "wrong_settings", "wrong_stream"]

_MOST_COUNTED = (1 << 29) - 1
"""Pixels that the decoders in C count the bytes of, 4 a pixel, in 31 bits."""
_GZIP = 1032
"""Bytes that one byte of a deflate stream can stand for."""
_PLIO = 4096
"""Pixels that a word of a pixel list can stand for: its longest run, and one."""
_LARGEST_BLOCK = 1024

Array = np.ndarray[Any, Any]


def most_pixels(algorithm: str, sizes: Array, header: Header) -> Array:
    """Return how many pixels fit into tiles of some bytes at most, so that no more room need be made.

    Parameters
    ----------
    algorithm : str
        ZCMPTYPE; ``"GZIP_1"`` and ``"NOCOMPRESS"`` for the columns that stand in for it.
    sizes : ndarray of float64
        Bytes of each tile.
    header : Header
        Of the table.
    """
    if algorithm.startswith("GZIP"):
        return sizes * _GZIP
    if algorithm == "NOCOMPRESS":
        return sizes
    if algorithm.startswith("RICE"):  # a block of equal pixels takes 3 bits at least
        block = min(max(_setting(header, "BLOCKSIZE", 32), 1), _LARGEST_BLOCK)
        return np.asarray(np.minimum(sizes * (8 * block // 3 + 1), _MOST_COUNTED))
    if algorithm == "PLIO_1":
        return np.asarray(np.minimum(sizes // 2 * _PLIO, _MOST_COUNTED))
    return np.where(sizes > 0, _MOST_COUNTED // 2, 0)  # HCOMPRESS: 8 bytes a pixel, any number of zeros


def wrong_settings(algorithm: str, header: Header) -> str | None:
    """Return what is wrong with the settings that a decoder in C would believe; None if nothing is."""
    if algorithm.startswith("RICE"):
        if (width := _setting(header, "BYTEPIX", 4)) not in (1, 2, 4):
            return f"BYTEPIX = {width} is not 1, 2 or 4"
        if (block := _setting(header, "BLOCKSIZE", 32)) < 1:
            return f"BLOCKSIZE = {block} is not positive"
    return None


def wrong_stream(algorithm: str, data: bytes, pixels: int) -> str | None:
    """Return what a tile says of itself that cannot be; None if nothing is found.

    Parameters
    ----------
    algorithm : str
        ZCMPTYPE.
    data : bytes
        The compressed tile.
    pixels : int
        Of the tile.
    """
    if algorithm == "HCOMPRESS_1":
        magic, *sides = struct.unpack(">H2i", data[:10].ljust(10, b"\0"))
        if magic != 0xDD99 or min(sides) < 1 or sides[0] * sides[1] != pixels:
            return f"it is no HCOMPRESS_1 stream of {pixels} pixels"
    if algorithm == "PLIO_1":
        _, header, old, low, high = struct.unpack(">5h", data[:10].ljust(10, b"\0"))
        first, last = (4, old) if old > 0 else (header + 1, (high << 15) + low)  # words, from 1 on
        if first < 1 or last < 1 or last > len(data) // 2:
            return f"it is no PLIO_1 list of {len(data) // 2} words"
    return None


def _setting(header: Header, name: str, default: int) -> int:
    """Return a setting of the algorithm, as ZNAMEn and ZVALn have it (section 10.1.2)."""
    for number in range(1, 1000):
        found = header.get(f"ZNAME{number}")
        if found is None:
            break
        if str(found).upper() == name:
            return int(header[f"ZVAL{number}"])
    return default
