"""Files that are damaged: by hand, one thing at a time, or at random but the same each time."""

from __future__ import annotations

import io
from random import Random

import numpy as np
from astropy.io import fits

from astro_cloud.fits.layout import BLOCK, CARD


def tiled(
    algorithm: str = "RICE_1",
    shape: tuple[int, ...] = (40, 60),
    tile: tuple[int, ...] = (10, 20),
) -> bytes:
    """Make a file of an empty primary HDU and a tile-compressed image of integers."""
    image = (np.arange(np.prod(shape)) * 37 % 1001).astype("i4").reshape(shape)
    hdu = fits.CompImageHDU(image, compression_type=algorithm, tile_shape=tile)
    return written(fits.HDUList([fits.PrimaryHDU(), hdu]))


def written(hdus: fits.HDUList) -> bytes:
    """Return what astropy writes."""
    file = io.BytesIO()
    hdus.writeto(file, output_verify="silentfix")
    return file.getvalue()


def card_at(data: bytes, keyword: str, start: int = 0) -> int:
    """Find the card of a keyword, from the block at `start` on."""
    name = keyword.ljust(8).encode()
    return next(at for at in range(start, len(data), CARD) if data[at : at + 8] == name)


def with_card(data: bytes, start: int, keyword: str, value: object) -> bytes:
    """Change a card's value, or put the card in front of END."""
    shown = f"'{value:<8}'" if isinstance(value, str) else f"{value!s:>20}"
    if isinstance(value, bool):
        shown = f"{'T' if value else 'F':>20}"
    card = f"{keyword:<8}= {shown}".ljust(CARD).encode()
    try:
        at = card_at(data[: data.index(b"END".ljust(CARD), start)], keyword, start)
    except StopIteration:
        at = data.index(b"END".ljust(CARD), start)
        card += b"END".ljust(CARD)
        if (at + len(card) - 1) // BLOCK != at // BLOCK:
            raise ValueError("no room for a card more") from None
    return data[:at] + card + data[at + len(card) :]


def with_bytes(data: bytes, at: int, new: bytes) -> bytes:
    """Put other bytes at a place."""
    return data[:at] + new + data[at + len(new) :]


def places(data: bytes) -> list[tuple[int, int, int]]:
    """Return where headers begin, where their data do, and where these end."""
    with fits.open(io.BytesIO(data), memmap=False, disable_image_compression=True) as hdus:
        return [
            (info["hdrLoc"], info["datLoc"], info["datLoc"] + hdu.size)
            for hdu in hdus
            for info in [hdu.fileinfo()]
        ]


def mutated(data: bytes, regions: list[tuple[int, int, int]], random: Random) -> bytes:
    """Damage a file at random: digits of a header, bytes of its data, or where it ends."""
    for _ in range(random.randint(1, 3)):
        header, begin, end = random.choice(regions)
        kind = random.choice(["digit", "card", "heap", "heap", "front", "cut"])
        if kind == "cut" and random.random() < 0.5:
            data = data[: random.randrange(1, len(data) + 1)]
        elif kind in ("digit", "card") and begin <= len(data):
            data = _in_header(data, header, begin, random, whole=kind == "card")
        elif end > begin:
            most = min(end, begin + 200) if kind == "front" else end
            at, new = random.randrange(begin, most), bytes(random.choices(range(256), k=random.randint(1, 3)))
            if at < len(data):
                data = with_bytes(data, at, new)[: len(data)]
    return data


_VALUES = (b"0", b"1", b"-1", b"2", b"7", b"255", b"100000", b"2147483647", b"2147483648", b"-2147483649",
           b"4611686018427387904", b"99999999999999999999", b"T", b"F", b"1.5", b"'X       '", b"",
           b"NaN")  # fmt: skip


def _in_header(data: bytes, begin: int, end: int, random: Random, *, whole: bool) -> bytes:
    cards = [at for at in range(begin, min(end, len(data)), CARD) if data[at + 8 : at + 9] == b"="]
    if not cards:
        return data
    structural = [at for at in cards if _decides(data[at : at + 8])] or cards
    at = random.choice(structural if random.random() < 0.8 else cards)
    if whole:
        return with_bytes(data, at + 10, random.choice(_VALUES).rjust(20))
    digits = [place for place in range(at + 5, at + 30) if data[place : place + 1].isdigit()] or [at + 12]
    return with_bytes(
        data, random.choice(digits), random.choice([b"0", b"1", b"3", b"9", b" ", b"-", b"\xff"])
    )


def _decides(keyword: bytes) -> bool:
    names = (b"BITPIX", b"NAXIS", b"PCOUNT", b"GCOUNT", b"TFORM", b"TTYPE", b"TFIELDS", b"THEAP", b"Z", b"B",
             b"TSCAL", b"TZERO", b"TNULL", b"TDIM", b"XTENSION", b"EXTEND", b"GROUPS")  # fmt: skip
    return keyword.startswith(names)
