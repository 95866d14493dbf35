"""The grid of an image whose edge is not on the sky: its lines are labelled where they are seen, within it.

An all-sky map, a hemisphere or a planet's disk has no places at its edge where axes could be labelled.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from astro_cloud.fits.picture_marks import edged
from astro_cloud.fits.picture_text import text_style, width_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["edge_is_on_sky", "label_grid"]

_SIZE = 8.0
_HALF_LINE = 7
_LEAST_ON_SKY = 0.75
_SAMPLES = 181
_AT_CENTRE = 72
"""Pixels around the centre in which its directions are marked."""
_AT_CORNER = 36
"""Pixels at the bottom in which the scale bar is, at the left."""
_POLAR = 60.0

Array = np.ndarray[Any, Any]
Box = tuple[float, float, float, float]


def edge_is_on_sky(wcs: Any, shape: tuple[int, int]) -> bool:
    """Tell if most of an image's edge has coordinates, by which the axes can be labelled."""
    across, up = np.linspace(-0.5, shape[1] - 0.5, 33), np.linspace(-0.5, shape[0] - 0.5, 33)
    x = np.concatenate([across, across, np.full(33, across[0]), np.full(33, across[-1])])
    y = np.concatenate([np.full(33, up[0]), np.full(33, up[-1]), up, up])
    places = np.isfinite(wcs.all_pix2world(x, y, 0)).all(axis=0)
    return bool(places.mean() >= _LEAST_ON_SKY)


def label_grid(axes: Axes, size: tuple[int, int], shape: tuple[int, int], ticks: tuple[int, int]) -> None:
    """Draw a grid of coordinates, each line with its label where there is room.

    Parameters
    ----------
    axes : WCSAxes
        Of an image whose coordinates are two, both celestial.
    size : tuple of int
        How large the image is drawn, across and up, in pixels.
    shape : tuple of int
        (ny, nx) of the image.
    ticks : tuple of int
        About how many lines there are to be, of longitude and of latitude.
    """
    wcs: Any = axes.wcs  # type: ignore[attr-defined]
    sides = int(wcs.wcs.lng), int(wcs.wcs.lat)
    helpers: Any = [axes.coords[side] for side in sides]  # type: ignore[attr-defined]
    seen = _Seen.of(wcs, sides, shape)
    taken = [_centre_box(size), (0.0, 0.0, size[0] / 2, float(_AT_CORNER))]
    for number, (helper, count) in enumerate(zip(helpers, ticks, strict=True)):
        helper.set_ticks(number=count)
        values, texts = _lines(helper, seen.ranges[number], circle=number == 0)
        helper.set_ticks(values=values)
        helper.set_ticks_visible(False)
        helper.set_ticklabel_visible(False)
        helper.set_axislabel("")
        helper.grid(color="white", alpha=0.35, linewidth=0.6)
        for value, text in zip(values.to_value("deg"), texts, strict=True):
            room = width_of(text, _SIZE) / 2 + 2, _HALF_LINE
            for x, y in seen.places(number, float(value), size):
                box = (x - room[0], y - room[1], x + room[0], y + room[1])
                if _is_free(box, size, taken):
                    taken.append(box)
                    _write(axes, size, (x, y), text)
                    break


@dataclass(frozen=True, slots=True)
class _Seen:
    """The part of the sky that an image has.

    Attributes
    ----------
    wcs : WCS
    sides : tuple of int
        The axes of longitude and latitude.
    shape : tuple of int
        (ny, nx).
    ranges : tuple of (float, float)
        Of longitude and latitude, in degrees, longitudes around the middle one.
    middle : tuple of float
        Where lines are labelled if they can be: the longitude for those of latitude, and the latitude.
    """

    wcs: Any
    sides: tuple[int, int]
    shape: tuple[int, int]
    ranges: tuple[tuple[float, float], tuple[float, float]]
    middle: tuple[float, float]

    @classmethod
    def of(cls, wcs: Any, sides: tuple[int, int], shape: tuple[int, int]) -> _Seen:
        x, y = np.meshgrid(np.linspace(0, shape[1] - 1, 61), np.linspace(0, shape[0] - 1, 61))
        world = wcs.all_pix2world(x.ravel(), y.ravel(), 0)
        longitudes, latitudes = world[sides[0]], world[sides[1]]
        good = np.isfinite(longitudes) & np.isfinite(latitudes)
        near = np.argmin(np.where(good, np.hypot(x - shape[1] / 2, y - shape[0] / 2).ravel(), np.inf))
        longitude, latitude = float(longitudes[near]), float(latitudes[near])
        around = (longitudes[good] - longitude + 180) % 360 - 180 + longitude
        low, high = float(latitudes[good].min()), float(latitudes[good].max())
        if abs(latitude) > _POLAR:
            latitude = (90.0 + low) / 2 if latitude > 0 else (high - 90.0) / 2
        ranges = ((float(around.min()), float(around.max())), (low, high))
        return cls(wcs, sides, shape, ranges, (longitude, latitude))

    def places(self, number: int, value: float, size: tuple[int, int]) -> Iterator[tuple[float, float]]:
        """Yield where a line is on the screen, in pixels, the best place for its label first."""
        low, high = self.ranges[1 - number]
        along = np.linspace(low, high, _SAMPLES)
        along = along[np.argsort(np.abs(along - self.middle[1 - number]), kind="stable")]
        world = [np.full(_SAMPLES, value), along]
        sky = world if number == 0 else world[::-1]
        x, y = self.wcs.wcs_world2pix(*(sky if self.sides[0] == 0 else sky[::-1]), 0)
        back = self.wcs.all_pix2world(x, y, 0)
        there = np.cos(np.radians(back[self.sides[0]] - sky[0])) * np.cos(np.radians(sky[1]))
        for one, other, cosine, latitude, found in zip(x, y, there, sky[1], back[self.sides[1]], strict=True):
            is_same = abs(cosine - math.cos(math.radians(latitude))) < 1e-3 and abs(found - latitude) < 1
            if is_same:  # and not a place on the far side
                yield (one + 0.5) / self.shape[1] * size[0], (other + 0.5) / self.shape[0] * size[1]


def _lines(helper: Any, limits: tuple[float, float], *, circle: bool) -> tuple[Any, list[str]]:
    """Return the round values within limits, and how they are written."""
    from astropy import units

    values, spacing = helper.locator(*limits)
    values = units.Quantity(values, units.deg, copy=True)
    if circle:
        values = units.Quantity(np.unique(np.round(values.value % 360, 9) % 360), units.deg)
    return values, list(helper.formatter(values, spacing))


def _centre_box(size: tuple[int, int]) -> Box:
    x, y = size[0] / 2, size[1] / 2
    return x - _AT_CENTRE, y - _AT_CENTRE, x + _AT_CENTRE, y + _AT_CENTRE


def _is_free(box: Box, size: tuple[int, int], taken: list[Box]) -> bool:
    inside = box[0] > 4 and box[1] > 4 and box[2] < size[0] - 4 and box[3] < size[1] - 4
    return inside and not any(
        box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3] for other in taken
    )


def _write(axes: Axes, size: tuple[int, int], place: tuple[float, float], words: str) -> None:
    said = axes.text(
        place[0] / size[0], place[1] / size[1], words, transform=axes.transAxes, color="white",
        path_effects=edged(2.6), zorder=8, ha="center", va="center_baseline", **text_style(_SIZE),
    )  # fmt: skip
    said.set_gid("grid label")
