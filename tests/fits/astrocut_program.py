"""Cubes and cutouts made by astrocut, in a process of its own; `astrocut_cubes.py` runs this.

Reads a job from its standard input, as JSON: ``cubes`` are lists of images by the path of the cube to write,
``cutouts`` are keywords (cube, ra, dec, columns, rows) by the path of the file to write.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits


def main() -> None:
    warnings.simplefilter("ignore")
    job = json.load(sys.stdin)
    from astrocut import CubeFactory

    for path, images in job["cubes"].items():
        CubeFactory().make_cube(images, path, sector=22, verbose=False)
    for path, cutout in job["cutouts"].items():
        np.savez(path, **_cut(**cutout))


def _cut(cube: str, ra: float, dec: float, columns: int, rows: int) -> dict[str, Any]:
    """Cut, and return the pixels, where they are in the cube, and where they are on the sky.

    astrocut fits a linear WCS to each cutout in the end: what it fits it to is made again. Its sizes are
    documented as (ny, nx), and taken as (nx, ny). Its `ceil` is how Cutout2D rounds.
    """
    from astrocut import TessCubeCutout

    place = SkyCoord(ra, dec, unit="deg")
    (made,) = TessCubeCutout(cube, place, (columns, rows), limit_rounding_method="ceil").cutouts
    (x_start, x_stop), (y_start, y_stop) = made.cutout_lims
    y, x = np.mgrid[y_start:y_stop, x_start:x_stop]
    full = made._get_full_cutout_wcs(made.cube_wcs, fits.getheader(cube, 2))
    return {
        "flux": made.data,
        "error": made.uncertainty,
        "columns": (x_start, x_stop),
        "rows": (y_start, y_stop),
        "sky": np.array(made.cube_wcs.all_pix2world(x, y, 0)),
        "sky_of_cutout": np.array(full.all_pix2world(x - x_start, y - y_start, 0)),
        "ffi": made._parent._img_kwds["WCS_FFI"][0],
    }


if __name__ == "__main__":
    main()
