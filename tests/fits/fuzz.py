"""Reading files that are damaged at random, here and by astropy, and what must not come of it.

Run as a program with a file, a number of mutations and a folder to write them to: prints what is wrong.
"""

from __future__ import annotations

import resource
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from astropy.io import fits

from astro_cloud import fits as cloud_fits
from astro_cloud.exceptions import AstroCloudError, AstroCloudWarning
from tests.fits.damage import mutated, places

MEMORY = 3 << 30
MOST_PIXELS = 1 << 22


def run(data: bytes, seeds: Iterable[int], folder: Path) -> list[str]:
    """Return what is wrong with what is read of a file's mutations."""
    regions, path, wrong = places(data), folder / "mutated.fits", []
    for seed in seeds:
        path.write_bytes(mutated(data, regions, Random(seed)))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            wrong += [f"{seed}: {what}" for what in differences(path, said)]
    return wrong


def differences(path: Path, said: list[warnings.WarningMessage]) -> list[str]:
    """Return where a file is read otherwise than astropy reads it, and is no error or warning of ours either.

    Bytes that are no HDU end the list, with a warning; astropy may make an HDU of them.
    """
    ours = outcome(lambda: cloud_fits.open(path))
    if isinstance(ours, Exception):
        if is_ours(ours):
            return []  # astropy may well count to 2**60
        theirs = outcome(lambda: fits.open(path, memmap=False).close())
        return [] if type(ours) is type(theirs) else [f"open: {ours!r}, astropy {theirs!r}"]
    with ours as hdus:
        wrong = []
        for number in range(40):
            hdu = outcome(lambda number=number: hdus[number])
            if isinstance(hdu, Exception):
                if is_ours(hdu) or any(one.category is AstroCloudWarning for one in said):
                    return wrong
                theirs = outcome(lambda number=number: by_astropy(path, number, lambda hdu: None))
                return (
                    wrong
                    if isinstance(theirs, Exception)
                    else [*wrong, f"HDU {number}: {hdu!r}, astropy {theirs!r}"]
                )
            wrong += [f"HDU {number}: {what}" for what in _of_hdu(hdu, number, path)]
        return wrong


def _of_hdu(hdu: Any, number: int, path: Path) -> Iterable[str]:
    shape = outcome(lambda: tuple(map(int, hdu.shape))) if hasattr(type(hdu), "section") else ()
    small = not isinstance(shape, Exception) and np.prod([float(n) for n in shape]) < MOST_PIXELS
    # astropy's decoder reads on behind a tile that is too short, whatever lies there in memory
    unbounded = getattr(hdu, "compression_type", "") == "HCOMPRESS_1"
    readings: list[Callable[[Any], Any]] = [lambda hdu: hdu.header.tostring()]
    if not isinstance(shape, Exception) and shape:
        random = Random(number)
        ones = tuple(random.randrange(max(size, 1)) for size in shape)
        few = tuple(slice(one, one + 9, 2) for one in ones)
        readings += [lambda hdu, key=key: hdu.section[key] for key in (ones, few)]
    if small:
        readings.append(lambda hdu: hdu.data)
    for at, reading in enumerate(readings):
        mine = outcome(lambda reading=reading: plain(reading(hdu)))
        if is_ours(mine) or isinstance(mine, IndexError):
            continue
        theirs = outcome(lambda reading=reading: by_astropy(path, number, reading))
        if isinstance(mine, Exception):
            if not isinstance(theirs, Exception):
                yield f"reading {at}: {mine!r}, astropy {theirs!r}"
        elif not (isinstance(theirs, Exception) or mine == theirs or mine[2:] == (0,) or unbounded):
            yield f"reading {at}: {str(mine)[:80]} is not astropy's {str(theirs)[:80]}"


def by_astropy(path: Path, number: int, reading: Callable[[Any], Any]) -> Any:
    """Let astropy read the same of the same bytes."""
    with fits.open(path, memmap=False) as hdus:
        return plain(reading(hdus[number]))


def plain(value: Any) -> Any:
    """Return what can be compared of a value."""
    if value is None or isinstance(value, str):
        return value
    array = np.asarray(value)
    if array.dtype.hasobject or array.dtype.names:
        return array.dtype.str, array.shape
    return array.dtype.str, array.tobytes(), array.size


def outcome(reading: Callable[[], Any]) -> Any:
    """Return what is read, or the exception that is raised."""
    try:
        return reading()
    except Exception as error:
        return error


def is_ours(error: Any) -> bool:
    """Tell whether something is an error of ours."""
    return isinstance(error, AstroCloudError)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for line in run(Path(sys.argv[1]).read_bytes(), range(int(sys.argv[2])), Path(sys.argv[3])):
        print(line)
