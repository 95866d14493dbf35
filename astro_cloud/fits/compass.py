"""Where north and east are in an image, and how large its pixels are, by its world coordinates. Pure.

All is found from where neighbouring pixels are on the sky, as vectors: so it holds for any rotation, parity
and projection, across longitude 0 and beside a pole. Nothing here draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["Compass", "compass_of", "names_of", "round_angle", "scale_words"]

Array = np.ndarray[Any, Any]

_UNITS = (("°", 1.0), ("′", 60.0), ("″", 3600.0), (" mas", 3.6e6), (" µas", 3.6e9))
_ROUND = {
    "°": (1, 2, 5, 10, 20, 30, 60),
    "′": (1, 2, 5, 10, 20, 30),
    "″": (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30),
    " mas": (1, 2, 5, 10, 20, 50),
    " µas": (1, 2, 5, 10, 20, 50, 100, 200, 500),
}
_SYSTEMS = {
    "RA": ("RA", "Dec"),
    "GLON": ("Galactic longitude", "Galactic latitude"),
    "ELON": ("Ecliptic longitude", "Ecliptic latitude"),
    "SLON": ("Supergalactic longitude", "Supergalactic latitude"),
}


@dataclass(frozen=True, slots=True)
class Compass:
    """Directions and scales at the centre of an image.

    Attributes
    ----------
    longitude, latitude : float
        Of the centre, in degrees, in the system of the world coordinates.
    north, east : tuple of float, or None
        Steps (x, y) in pixels, of length 1, along which latitude and longitude grow; None at a pole.
    scale : tuple of float
        Degrees a pixel, along x and along y.
    turn : float
        By how many degrees north at a corner differs at most from north at the centre; 180 where a corner
        is not on the sky.
    """

    longitude: float
    latitude: float
    north: tuple[float, float] | None
    east: tuple[float, float] | None
    scale: tuple[float, float]
    turn: float


def compass_of(wcs: WCS, shape: tuple[int, ...]) -> Compass | None:
    """Find the directions at the centre of an image.

    Parameters
    ----------
    wcs : WCS
        Of two axes, both celestial.
    shape : tuple of int
        (ny, nx) of the image, in pixels.

    Returns
    -------
    Compass or None
        None where the coordinates of the centre cannot be computed, as outside of the sky.
    """
    ny, nx = shape
    x, y = (nx - 1) / 2, (ny - 1) / 2
    longitude, latitude = _sky(wcs, np.array([x]), np.array([y]))
    along = _steps(wcs, x, y)
    if along is None or not np.all(np.isfinite((*longitude, *latitude))):
        return None
    scale = (float(np.linalg.norm(along[0])), float(np.linalg.norm(along[1])))
    if 90 - abs(latitude[0]) < max(scale) / 2:
        return Compass(float(longitude[0]), float(latitude[0]), None, None, scale, 180.0)
    found = _directions(wcs, x, y)
    if found is None:
        return None
    north, east = found
    corners = [_directions(wcs, cx, cy) for cx in (0, nx - 1) for cy in (0, ny - 1)]
    turn = max(180.0 if corner is None else _between(north, corner[0]) for corner in corners)
    return Compass(float(longitude[0]), float(latitude[0]), north, east, scale, turn)


def _sky(wcs: WCS, x: Array, y: Array) -> tuple[Array, Array]:
    """Return longitudes and latitudes of pixels, in degrees; NaN where there are none."""
    world = wcs.all_pix2world(x, y, 0)
    return np.asarray(world[wcs.wcs.lng], float), np.asarray(world[wcs.wcs.lat], float)


def _steps(wcs: WCS, x: float, y: float) -> Array | None:
    """Return by how much the place on the sky moves with x, and with y: two vectors, in degrees a pixel."""
    longitudes, latitudes = np.radians(
        _sky(wcs, np.array([x - 0.5, x + 0.5, x, x]), np.array([y, y, y - 0.5, y + 0.5]))
    )
    places = np.stack(
        [np.cos(latitudes) * np.cos(longitudes), np.cos(latitudes) * np.sin(longitudes), np.sin(latitudes)],
        axis=-1,
    )
    steps: Array = np.degrees(np.stack([places[1] - places[0], places[3] - places[2]]))
    return steps if np.isfinite(steps).all() else None


def _directions(wcs: WCS, x: float, y: float) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Return the steps in pixels, of length 1, to the north and to the east of a pixel."""
    steps = _steps(wcs, x, y)
    longitude, latitude = (float(np.radians(value[0])) for value in _sky(wcs, np.array([x]), np.array([y])))
    if steps is None or not math.isfinite(longitude + latitude):
        return None
    east = np.array([-math.sin(longitude), math.cos(longitude), 0])
    north = np.array(
        [
            -math.sin(latitude) * math.cos(longitude),
            -math.sin(latitude) * math.sin(longitude),
            math.cos(latitude),
        ]
    )
    try:
        pixels = np.linalg.inv(np.stack([steps @ east, steps @ north]))
    except np.linalg.LinAlgError:
        return None
    return _unit(pixels[:, 1]), _unit(pixels[:, 0])


def _unit(step: Array) -> tuple[float, float]:
    length = math.hypot(*step)
    return float(step[0] / length), float(step[1] / length)


def _between(one: tuple[float, float], other: tuple[float, float]) -> float:
    cosine = one[0] * other[0] + one[1] * other[1]
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


def names_of(wcs: WCS) -> tuple[str, str]:
    """Return what longitude and latitude are called in the system of celestial coordinates."""
    system = str(wcs.wcs.lngtyp).strip()
    longitude, latitude = _SYSTEMS.get(system, (system, str(wcs.wcs.lattyp).strip()))
    if system != "RA":
        return longitude, latitude
    frame = str(wcs.wcs.radesys).strip() or "ICRS"
    return f"{longitude} ({frame})", f"{latitude} ({frame})"


def round_angle(degrees: float) -> tuple[float, str]:
    """Return the round angle nearest to one, in degrees and in words, such as ``30″``.

    Raises
    ------
    ValueError
        If it is not positive and finite.
    """
    if not (degrees > 0 and math.isfinite(degrees)):
        raise ValueError(f"{degrees} degrees is no length of a scale bar")
    rounds = [(value / factor, f"{value:g}{sign}") for sign, factor in _UNITS for value in _ROUND[sign]]
    return min(rounds, key=lambda one: abs(math.log(one[0] / degrees)))


def scale_words(scale: tuple[float, float]) -> str:
    """Write how large pixels are, from degrees a pixel along x and along y."""
    x, y = map(_angle_words, scale)
    return f"{x}/pixel" if x == y else f"{x} × {y} a pixel"


def _angle_words(degrees: float) -> str:
    """Write an angle in the unit in which it is a number of at least 0.01, with four digits."""
    for sign, factor in (("°", 1.0), ("′", 60.0), ("″", 3600.0)):
        if degrees * factor > (0.01 if sign == "″" else 1) * 0.9999:
            return f"{degrees * factor:.4g}{sign}"
    return f"{degrees * 3.6e6:.4g} mas"
