"""Cubes as astrocut makes them, and its cutouts of them, to hold ours against; made once a run.

astrocut is no part of the environment of the tests: it runs as a program of its own, from the cache folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from tests import corpora
from tests.fits import astrocut_program
from tests.fits.tess_images import wcs_cards, write_images

#: Of the cubes, by name: how many images they have, and which of those have no WCS.
CUBES: dict[str, tuple[int, set[int]]] = {
    "whole": (16, set()),
    "odd": (7, {3, 4}),
    "wrapped": (9, {0, 1, *range(4, 9)}),
    "one": (1, set()),
}


@dataclass(frozen=True)
class Position:
    """Where to cut: a place in pixels of the cube's WCS (x, y), 0-based, and the cutout's sides."""

    cube: str
    x: float
    y: float
    columns: int
    rows: int


#: Cutouts by name. No edge of one lies where rounding decides.
POSITIONS = {
    "inside": Position("whole", 30.2, 20.3, 7, 5),
    "even": Position("whole", 12.4, 33.9, 6, 8),
    "one pixel": Position("whole", 40.1, 9.8, 1, 1),
    "long": Position("whole", 33.3, 11.2, 40, 3),
    "on the first column": Position("whole", 0.3, 24.1, 5, 5),
    "on the last row": Position("whole", 50.3, 46.9, 5, 6),
    "over the corner": Position("whole", 62.8, 46.3, 9, 8),
    "over the first corner": Position("whole", -0.4, 0.2, 8, 9),
    "centre off the cube": Position("whole", 66.2, 24.7, 10, 4),
    "larger than the cube": Position("whole", 31.8, 23.7, 80, 60),
    "odd": Position("odd", 30.2, 20.3, 4, 7),
    "wrapped": Position("wrapped", 21.7, 27.6, 5, 5),
    "one image": Position("one", 44.4, 17.9, 5, 4),
}


@dataclass(frozen=True)
class Judged:
    """What astrocut made of one position.

    Attributes
    ----------
    ra, dec : float
        What was asked for, in degrees.
    flux, error : ndarray of float32
        (FFIs, rows, columns), NaN off the cube.
    rows, columns : (int, int)
        Of the cube: the first, and the one behind the last; may be off it.
    sky : ndarray of float64
        RA and Dec in degrees, (2, rows, columns).
    sky_of_cutout : ndarray of float64
        The same by the WCS of the cutout, whose header has 12 digits.
    ffi : str
        FFI_FILE of the row whose WCS that is.
    """

    ra: float
    dec: float
    flux: Any
    error: Any
    rows: tuple[int, int]
    columns: tuple[int, int]
    sky: Any
    sky_of_cutout: Any
    ffi: str


@dataclass(frozen=True)
class AstrocutCubes:
    """Paths of the cubes, and astrocut's cutouts of them, each by its name."""

    paths: dict[str, Path]
    cutouts: dict[str, Judged]


def make_cubes(folder: Path) -> AstrocutCubes:
    """Have astrocut make everything, in one process."""
    paths = {name: folder / f"{name}.fits" for name in CUBES}
    images = {
        str(paths[name]): write_images(folder / name, count, without_wcs=without)
        for name, (count, without) in CUBES.items()
    }
    places = {name: _sky(position) for name, position in POSITIONS.items()}
    cutouts = {name: folder / f"cutout-{number}.npz" for number, name in enumerate(POSITIONS)}
    wanted = {
        str(cutouts[name]): {
            "cube": str(paths[position.cube]),
            "ra": places[name][0],
            "dec": places[name][1],
            "columns": position.columns,
            "rows": position.rows,
        }
        for name, position in POSITIONS.items()
    }
    _run({"cubes": images, "cutouts": wanted})
    return AstrocutCubes(paths, {name: _judged(path, *places[name]) for name, path in cutouts.items()})


def _sky(position: Position) -> tuple[float, float]:
    """Return where a place is on the sky, by the first image's WCS."""
    header = fits.Header()
    header.update(wcs_cards(0))
    ra, dec = WCS(header).all_pix2world(position.x, position.y, 0)
    return float(ra), float(dec)


def _run(job: dict[str, Any]) -> None:
    """Have a process with astrocut on its path do a job."""
    if not corpora.ASTROCUT.is_dir():
        raise FileNotFoundError(corpora.absent(corpora.ASTROCUT))
    environ = os.environ | {"PYTHONPATH": str(corpora.ASTROCUT)}
    command = [sys.executable, astrocut_program.__file__]
    done = subprocess.run(command, input=json.dumps(job), env=environ, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"astrocut could not make the cubes:\n{done.stderr}")


def _judged(path: Path, ra: float, dec: float) -> Judged:
    with np.load(path) as made:
        rows, columns = (tuple(map(int, made[name])) for name in ("rows", "columns"))
        arrays = {name: made[name] for name in ("flux", "error", "sky", "sky_of_cutout")}
        return Judged(ra, dec, rows=rows, columns=columns, ffi=str(made["ffi"]), **arrays)
