"""What is drawn upon the pixels of a picture: north and east, a scale bar, a place that is meant.

Everything is white with a dark edge, legible on any image, and placed in pixels from the image's corners.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from astro_cloud.fits.compass import Compass, round_angle
from astro_cloud.fits.picture_text import text_style, width_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Pair", "are_apart", "edged", "mark_compass", "mark_position", "mark_scale"]

_MARGIN = 12
_SIZE = 10.0
_HEAD = 6
"""Pixels from the head of an arrow to its letter."""
_APART = math.cos(math.radians(25))

Pair = tuple[float, float]


def edged(width: float) -> list[Any]:
    """Return the dark edge, of so many points, that makes white legible on any image."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground="#202020")]


def mark_compass(
    axes: Axes,
    size: tuple[int, int],
    shape: tuple[int, int],
    compass: Compass,
    letters: tuple[str, str],
    *,
    centred: bool,
) -> None:
    """Draw arrows to the north and to the east, in the upper right corner or from the centre.

    Parameters
    ----------
    axes : Axes
    size : tuple of int
        How large the image is drawn, across and up, in pixels.
    shape : tuple of int
        (ny, nx) of the image.
    compass : Compass
    letters : tuple of str
        For north and east.
    centred : bool
        Draw them from where they hold; elsewhere they do not.
    """
    if compass.north is None or compass.east is None:
        return
    length = max(24.0, min(48.0, 0.1 * min(size)))
    arrows = [
        (*_drawn(step, size, shape), letter, width_of(letter, _SIZE) / 2)
        for step, letter in zip((compass.north, compass.east), letters, strict=True)
    ]
    x, y = (size[0] / 2, size[1] / 2) if centred else _tail(size, length, arrows)
    for dx, dy, letter, half in arrows:
        _arrow(axes, size, (x, y), (x + length * dx, y + length * dy), f"arrow {letter}")
        away = length + _HEAD + max(half * abs(dx), 7 * abs(dy))
        _write(axes, size, x + away * dx, y + away * dy, letter, ha="center", va="center_baseline")


def are_apart(north: Pair, east: Pair, size: tuple[int, int], shape: tuple[int, int]) -> bool:
    """Tell if two steps (x, y) in pixels, which may be drawn oblong, are seen to have two directions."""
    one, other = _drawn(north, size, shape), _drawn(east, size, shape)
    return abs(one[0] * other[0] + one[1] * other[1]) < _APART


def _drawn(step: Pair, size: tuple[int, int], shape: tuple[int, int]) -> Pair:
    """Return a step in pixels of the image as one, of length 1, on the screen."""
    x, y = step[0] * size[0] / shape[1], step[1] * size[1] / shape[0]
    return x / math.hypot(x, y), y / math.hypot(x, y)


def _tail(size: tuple[int, int], length: float, arrows: list[tuple[float, float, str, float]]) -> Pair:
    """Return where arrows begin for all of them, and their letters, to be in the upper right corner."""
    right = max([0.0, *((length + _HEAD + half) * dx + half for dx, _, _, half in arrows)])
    top = max([0.0, *((length + _HEAD + 7) * dy + 7 for _, dy, _, _ in arrows)])
    return size[0] - _MARGIN - right, size[1] - _MARGIN - top


def _arrow(axes: Axes, size: tuple[int, int], tail: Pair, head: Pair, name: str) -> None:
    from matplotlib.patches import FancyArrowPatch

    ends = [(x / size[0], y / size[1]) for x, y in (tail, head)]
    arrow = FancyArrowPatch(
        ends[0], ends[1], transform=axes.transAxes, arrowstyle="-|>", mutation_scale=10, shrinkA=0, shrinkB=0,
        color="white", linewidth=1.4, path_effects=edged(3), zorder=10,
    )  # fmt: skip
    arrow.set_gid(name)
    axes.add_patch(arrow)


def mark_scale(axes: Axes, size: tuple[int, int], degrees: float) -> None:
    """Draw a bar of a round angle in the lower left corner, about a fifth of the image's width.

    Parameters
    ----------
    axes : Axes
    size : tuple of int
        How large the image is drawn, across and up, in pixels.
    degrees : float
        The width of the image.
    """
    from matplotlib.lines import Line2D

    length, words = round_angle(degrees / 5)
    across = length / degrees * size[0]
    if not 4 <= across <= size[0] - 2 * _MARGIN:  # no round angle is near
        return
    ends = [_MARGIN / size[0], (_MARGIN + across) / size[0]]
    bar = Line2D(
        ends, [_MARGIN / size[1]] * 2, transform=axes.transAxes, color="white", linewidth=2.2,
        solid_capstyle="butt", path_effects=edged(4.2), zorder=10,
    )  # fmt: skip
    bar.set_gid("scale bar")
    axes.add_line(bar)
    middle = _MARGIN + max(across, width_of(words, _SIZE)) / 2
    _write(axes, size, middle, _MARGIN + 5, words, ha="center", va="bottom")


def mark_position(axes: Axes, size: tuple[int, int], shape: tuple[int, int], pixel: Pair | None) -> None:
    """Draw a cross, open in the middle, around a pixel (x, y); none if that is not in the image."""
    from matplotlib.lines import Line2D

    if pixel is None or not all(map(math.isfinite, pixel)):
        return
    x, y = ((where + 0.5) / length for where, length in zip(pixel, shape[::-1], strict=True))
    if not (0 <= x <= 1 and 0 <= y <= 1):
        return
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        arm = Line2D(
            [x + 9 * dx / size[0], x + 19 * dx / size[0]], [y + 9 * dy / size[1], y + 19 * dy / size[1]],
            transform=axes.transAxes, color="#ffd84d", linewidth=1.4, path_effects=edged(3), zorder=9,
        )  # fmt: skip
        arm.set_gid("position")
        axes.add_line(arm)


def _write(axes: Axes, size: tuple[int, int], x: float, y: float, words: str, **style: Any) -> None:
    axes.text(
        x / size[0], y / size[1], words, transform=axes.transAxes, color="white", path_effects=edged(2.6),
        zorder=11, **text_style(_SIZE, **style),
    )  # fmt: skip
