"""Positions: where cutouts are wanted, on the sky or in pixels, one or many; and how large."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord, UnitSphericalRepresentation

if TYPE_CHECKING:
    from astro_cloud.fits.celestial import Celestial

__all__ = ["Positions", "pixel_size", "sides_of"]

Array = np.ndarray[Any, Any]
Side = Any
"""How long a cutout is along an axis: pixels (int), or an angle (Quantity)."""

_LARGEST = 1 << 53
"""Pixels along a side: no image has as many, and NumPy counts so far."""


@dataclass(frozen=True)
class Positions:
    """Positions of one kind.

    Attributes
    ----------
    sky : SkyCoord of shape (n,), or None
        In one frame.
    pixel : ndarray of shape (n, 2), or None
        As (x, y), counted from 0.
    single : bool
        Somebody gave one, and not a list of one.
    """

    sky: Any
    pixel: Array | None
    single: bool

    @classmethod
    def of(cls, given: Any) -> Positions:
        """Understand a SkyCoord, a pair of pixels (x, y), or several of one kind.

        Raises
        ------
        TypeError
            If it is something else, or of both kinds.
        ValueError
            If one is not finite.
        """
        if isinstance(given, SkyCoord):
            if given.ndim > 1:
                raise ValueError(f"positions of shape {given.shape}: give a list, or .ravel() them")
            return cls(given.reshape(given.size), None, single=given.isscalar)._checked()
        if _is_pair(given):
            return cls(None, np.array([given], float), single=True)._checked()
        if isinstance(given, (str, bytes)) or not np.iterable(given):
            raise TypeError(_WHAT.format(given))
        items = list(given)
        if all(isinstance(item, SkyCoord) and item.isscalar for item in items) and items:
            return cls(_joined(items), None, single=False)._checked()
        if all(map(_is_pair, items)):
            return cls(None, np.array(items, float).reshape(len(items), 2), single=False)._checked()
        strange = [item for item in items if not (isinstance(item, SkyCoord) or _is_pair(item))]
        raise TypeError(_WHAT.format(strange[0] if strange else given))

    def __len__(self) -> int:
        return len(self.pixel) if self.pixel is not None else int(self.sky.size)

    def take(self, indices: Sequence[int]) -> Positions:
        """Return some of them."""
        picked = np.asarray(indices, int)
        if self.pixel is not None:
            return Positions(None, self.pixel[picked], single=False)
        return Positions(self.sky[picked], None, single=False)

    def shown(self, index: int) -> str:
        """Write one of them for a message."""
        if self.pixel is not None:
            x, y = self.pixel[index].tolist()
            return f"pixel (x={x:g}, y={y:g})"
        where = self.sky[index]
        return f"{where.to_string('decimal', precision=6)} ({where.frame.name})"

    def _checked(self) -> Positions:
        if self.pixel is not None:
            good = np.isfinite(self.pixel).all(axis=1)
        else:
            sphere = self.sky.spherical
            good = np.isfinite(sphere.lon.value) & np.isfinite(sphere.lat.value)
        if not good.all():
            number = int(np.argmin(good))
            raise ValueError(f"position {number} is not finite: {self.shown(number)}")
        return self


_WHAT = "{!r} is no position: give a SkyCoord, or pixels (x, y), or a list of either"


def _is_pair(item: Any) -> bool:
    """Tell whether it is (x, y)."""
    if isinstance(item, (str, bytes, SkyCoord)) or not np.iterable(item):
        return False
    values = list(item)
    return len(values) == 2 and all(map(_is_number, values))


def _is_number(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, Real)


def _joined(items: list[SkyCoord]) -> SkyCoord:
    """Make one SkyCoord of several; in ICRS, if their frames differ."""
    if (quickly := _joined_quickly(items)) is not None:
        return quickly
    try:
        return SkyCoord(items)
    except (ValueError, TypeError):
        pass
    try:
        return SkyCoord([SkyCoord(item.icrs.ra, item.icrs.dec) for item in items])
    except Exception as error:  # of a frame that lacks a place or a time astropy raises anything
        raise ValueError(f"the positions are in frames that cannot be told in one: {error}") from error


def _joined_quickly(items: list[SkyCoord]) -> SkyCoord | None:
    """Join directions in one frame that has no attributes, such as ICRS: astropy takes 0.5 ms for each."""
    kinds = {(type(one.frame), type(one.data), one.data.lon.unit) for one in items if _is_direction(one)}
    if len(kinds) != 1 or not all(map(_is_direction, items)):
        return None
    ((frame, _, unit),) = kinds
    lon = np.array([one.data.lon.value for one in items])
    lat = np.array([one.data.lat.to_value(unit) for one in items])
    return SkyCoord(UnitSphericalRepresentation(lon * unit, lat * unit), frame=frame())


def _is_direction(item: SkyCoord) -> bool:
    data = item.data
    plain = type(data) is UnitSphericalRepresentation and not data.differentials
    return plain and not item.frame.frame_attributes


def sides_of(size: Any) -> tuple[Side, Side]:
    """Understand a size: one for both axes, or (ny, nx).

    Parameters
    ----------
    size : int, Quantity, or a sequence of two of them
        Pixels, or angles on the sky.

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If it is not above 0, or not finite.
    """
    if isinstance(size, u.Quantity) and not size.isscalar:
        size = list(size.ravel())
    sides = list(size) if np.iterable(size) and not isinstance(size, (str, bytes, u.Quantity)) else [size]
    if len(sides) == 1:
        sides *= 2
    if len(sides) != 2:
        raise ValueError(f"size={size!r}: a size is one number, or two: (ny, nx)")
    height, width = map(_side, sides)
    return height, width


def _side(side: Any) -> Side:
    if isinstance(side, u.Quantity):
        if side.unit != u.pixel and side.unit.physical_type != "angle":
            raise TypeError(f"a size of {side}: it is in pixels, or an angle")
    elif not _is_number(side):
        raise TypeError(f"a size of {side!r}: it is a number of pixels, or an angle as an astropy Quantity")
    value = side.value if isinstance(side, u.Quantity) else side
    if not 0 < value < math.inf:
        raise ValueError(f"a size of {side}: it must be above 0, and finite")
    if isinstance(side, u.Quantity) and side.unit != u.pixel:
        return side
    if value > _LARGEST:
        raise ValueError(f"a size of {side}: no image has as many pixels")
    return round(float(value))


def pixel_size(sides: tuple[Side, Side], celestial: Celestial | None) -> tuple[int, int]:
    """Return a size in pixels, (ny, nx), rounded.

    An angle along an axis is divided by the size of a pixel along that axis. `Cutout2D` takes that along the
    other, which gives another size where pixels are not square (astropy's issue 11362).

    Raises
    ------
    ValueError
        If it is an angle, and there are no coordinates; or less than a pixel.
    """
    found = []
    for axis, side in enumerate(sides):
        if not isinstance(side, u.Quantity):
            count = int(side)
        elif celestial is None:
            raise ValueError(
                f"it has no celestial coordinates, by which {side} is so many pixels: give those"
            )
        else:
            pixels = float((side / celestial.scales[axis]).decompose().value)
            if pixels > _LARGEST:
                raise ValueError(f"{side} is more pixels than any image has")
            count = round(pixels)
        if count < 1:
            raise ValueError(f"{side} is less than half a pixel")
        found.append(count)
    return found[0], found[1]
