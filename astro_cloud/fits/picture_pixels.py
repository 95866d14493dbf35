"""Which pixels of an image are drawn in its picture, and how bright: no more than a screen shows.

Drawing knows nothing of what is here, nor the other way around: in comes any array, out come at most
some thousand by some thousand floats, and the limits between which they are stretched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from astro_cloud.exceptions import FITSError

if TYPE_CHECKING:
    from astropy.visualization import ImageNormalize

__all__ = ["INTERVALS", "MOST_DRAWN", "STRETCHES", "Drawn", "drawn", "norm_of", "two_axes"]

Array = np.ndarray[Any, Any]

MOST_DRAWN = 1400
"""Pixels along an axis that are drawn at most; more are averaged."""
_MOST_READ = 4 * MOST_DRAWN
"""Pixels along an axis that are averaged at most, so that time is bounded too; of more, every n-th."""
_ROWS = 1 << 21
"""Pixels that are turned into floats at once."""
_LARGEST = 1e100
"""Squares and differences of values up to here are finite."""

STRETCHES = {
    "asinh": "AsinhStretch", "linear": "LinearStretch", "log": "LogStretch", "sinh": "SinhStretch",
    "sqrt": "SqrtStretch", "squared": "SquaredStretch",
}  # fmt: skip
"""Stretches by their short names, and astropy's names for them."""
INTERVALS = ("zscale", "minmax")


@dataclass(frozen=True, slots=True)
class Drawn:
    """The pixels that are drawn, each for a block of the image's.

    Attributes
    ----------
    values : ndarray
        Floats of the shape (ny, nx), NaN where no pixel of a block is finite.
    block : tuple of int
        How many pixels of the image a block has along y and x; those at the end may have fewer.
    shape : tuple of int
        (ny, nx) of the image.
    """

    values: Array
    block: tuple[int, int]
    shape: tuple[int, int]


def two_axes(data: Any, shape: tuple[int, ...] | None = None) -> Array:
    """Return an image of two axes: further axes of length 1 are dropped, the first of them first.

    Parameters
    ----------
    data : array-like
        Numbers or bools; pixels masked are none.
    shape : tuple of int, optional
        (ny, nx) of the image, where its world coordinates know it.

    Raises
    ------
    FITSError
        If there are no pixels, fewer axes, or more; or if it holds no real numbers.
    """
    array = data if isinstance(data, np.ma.MaskedArray) else np.asarray(data)
    if array.dtype.kind not in "biuf":
        raise FITSError(f"an image of {array.dtype} has no picture: its pixels are no real numbers")
    whole = array.shape
    if shape is not None and _without_ones(shape) == _without_ones(whole):
        array = array.reshape(shape)
    while array.ndim > 2 and 1 in array.shape:
        array = array.reshape(_less(array.shape, array.shape.index(1)))
    if array.ndim > 2:
        raise FITSError(
            f"a picture has two axes, this has the shape {whole}: choose planes, one along each other axis"
        )
    if array.ndim < 2 or not array.size:
        raise FITSError(f"a picture has two axes with pixels, this has the shape {whole}")
    return array


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(length for length in shape if length != 1)


def _less(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def drawn(image: Array) -> Drawn:
    """Reduce an image to what is drawn of it: means of blocks of its finite pixels.

    Along an axis of more than four times `MOST_DRAWN` pixels the means are of every n-th.
    """
    ny, nx = image.shape
    step = tuple(-(-length // _MOST_READ) for length in image.shape)
    read = image[:: step[0], :: step[1]]
    block = tuple(-(-length // MOST_DRAWN) for length in read.shape)
    values = _means(read, block[0], block[1])
    return Drawn(values, (step[0] * block[0], step[1] * block[1]), (ny, nx))


def _means(image: Array, by: int, bx: int) -> Array:
    """Average blocks, some rows of blocks at a time."""
    ny, nx = image.shape
    columns = np.arange(0, nx, bx)
    means = np.empty((-(-ny // by), len(columns)))
    rows = max(1, _ROWS // (nx * by))
    for first in range(0, len(means), rows):
        part = _floats(image[first * by : (first + rows) * by])
        edges = np.arange(0, len(part), by)
        good = np.isfinite(part)
        if by == bx == 1:
            means[first : first + rows] = np.where(good, part, np.nan)
            continue
        if good.all():  # as in most images: there is nothing to count
            number = np.outer(np.diff(edges, append=len(part)), np.diff(columns, append=nx))
        else:
            number = np.add.reduceat(np.add.reduceat(good.astype(np.int32), edges, 0), columns, 1)
            part = np.where(good, part, 0)
        sums = np.add.reduceat(np.add.reduceat(part, edges, 0), columns, 1)
        empty = number == 0
        means[first : first + rows] = np.where(empty, np.nan, sums / np.where(empty, 1, number))
    return means


def _floats(part: Array) -> Array:
    """Turn pixels into floats that can be computed with; those masked into NaN."""
    masked = np.ma.getmaskarray(part) if isinstance(part, np.ma.MaskedArray) else None
    values = np.array(np.ma.getdata(part), dtype=np.float64)
    infinite = np.isinf(values)
    np.clip(values, -_LARGEST, _LARGEST, out=values)
    values[infinite] = np.nan
    if masked is not None:
        values[masked] = np.nan
    return values


def norm_of(values: Array, stretch: str, interval: str | float) -> ImageNormalize:
    """Make astropy's norm for pixels: between which values, and along which curve.

    Parameters
    ----------
    values : ndarray
        Floats, NaN among them.
    stretch : str
        One of `STRETCHES`.
    interval : str or float
        One of `INTERVALS`, or how many percent of the pixels are to lie within, above 0 and at most 100.

    Returns
    -------
    ImageNormalize
        Its `vmin` is less than its `vmax`, whatever the pixels are.

    Raises
    ------
    ValueError
        If there is no such stretch or interval.
    """
    from astropy import visualization

    if stretch not in STRETCHES:
        raise ValueError(f"there is no stretch {stretch!r}: take one of {', '.join(STRETCHES)}")
    low, high = _limits(values[np.isfinite(values)], interval)
    curve = getattr(visualization, STRETCHES[stretch])()
    return visualization.ImageNormalize(vmin=low, vmax=high, stretch=curve, clip=False, invalid=None)


def _limits(finite: Array, interval: str | float) -> tuple[float, float]:
    from astropy.visualization import PercentileInterval, ZScaleInterval

    if isinstance(interval, str) and interval not in INTERVALS:
        raise ValueError(f"there is no interval {interval!r}: take {', '.join(INTERVALS)} or percents")
    if not isinstance(interval, str) and not 0 < interval <= 100:
        raise ValueError(f"an interval of {interval} percent: take more than 0 and at most 100")
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    if interval != "minmax" and low < high:
        chosen = ZScaleInterval() if interval == "zscale" else PercentileInterval(interval)
        found = tuple(map(float, chosen.get_limits(finite)))
        if found[0] < found[1]:  # or most of the pixels are alike, and would be all that is seen
            low, high = found
    return _apart(low, high)


def _apart(low: float, high: float) -> tuple[float, float]:
    """Move limits apart that are one value, or too near for floats between them."""
    least = max(abs(low), abs(high)) * 1e-9
    if high - low > least and high - low > 1e-290:
        return low, high
    half = max(abs(low), abs(high)) * 0.05 or 0.5
    return low - half, high + half
