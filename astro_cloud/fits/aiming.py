"""Which image of a file a position is in, and at which of its pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from astro_cloud.exceptions import FITSError
from astro_cloud.fits.celestial import Celestial, celestial_of, image_axes
from astro_cloud.fits.image_file import ImageFile
from astro_cloud.fits.image_section import hdu_words
from astro_cloud.fits.overlap import NoOverlapError
from astro_cloud.fits.positions import Positions
from astro_cloud.fits.section_words import HDUKey

__all__ = ["Aim", "Image", "aim", "told"]

_MOST_TOLD = 8
"""HDUs of which a message says why a position is not in them."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Image:
    """An image of an open file, of two axes at least.

    Attributes
    ----------
    index : int
        Number of the HDU.
    hdu : HDU
        The image.
    axes : (int, int)
        The axes (y, x) that are cut, in NumPy order.
    celestial : Celestial or None
        Where its pixels are on the sky, if its header says so.
    problem : FITSError or None
        Why what it says cannot be used.
    """

    index: int
    hdu: Any
    axes: tuple[int, int]
    celestial: Celestial | None
    problem: FITSError | None = None

    @property
    def plane(self) -> tuple[int, int]:
        """Pixels along those."""
        y, x = self.axes
        return int(self.hdu.shape[y]), int(self.hdu.shape[x])

    @property
    def called(self) -> str:
        """How it is called in messages."""
        return hdu_words(self.hdu.reads.header)

    @property
    def size(self) -> str:
        """How large it is, in messages."""
        height, width = self.plane
        return f"{width} x {height} pixels"

    def pixels(self, places: Positions) -> Array:
        """Return where positions are in it: (x, y) from 0, shape (n, 2); NaN for those without a pixel.

        Raises
        ------
        FITSError
            If its header does not say.
        """
        if places.pixel is not None:
            return places.pixel
        if self.problem is not None:
            raise self.problem
        name = self.hdu.reads.file.name
        if self.celestial is None:
            message = f"{name}: {self.called} has no celestial coordinates: give the position in pixels"
            raise FITSError(message, location=name, hdu=self.index)
        try:
            return self.celestial.pixels(places.sky)
        except Exception as error:  # of a frame that lacks a place or a time astropy raises anything
            message = f"{name}: {self.called}: the position cannot be told in its coordinates: {error}"
            raise FITSError(message, location=name, hdu=self.index) from error

    def contains(self, pixels: Array) -> Array:
        """Tell of positions (x, y), shape (n, 2), whether they are on a pixel."""
        height, width = self.plane
        x, y = pixels.T
        on: Array = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
        return on


@dataclass(frozen=True)
class Aim:
    """The image that a position is in, and its pixel there, (x, y)."""

    image: Image
    pixel: tuple[float, float]


@dataclass(frozen=True)
class _Miss:
    """An image that was looked at: where positions would be in it, by their numbers, or why nobody knows."""

    image: Image
    pixels: dict[int, list[float]]
    problem: FITSError | None = None

    def why(self, number: int) -> str:
        """Say why a position is not in it."""
        if self.problem is not None:
            return str(self.problem).partition(": ")[2] or str(self.problem)
        where = self.pixels[number]
        if not np.isfinite(where).all():
            return f"{self.image.called} has no pixel for it"
        return f"in {self.image.called} it would be {told(where)} of {self.image.size}"


def aim(file: ImageFile, places: Positions, key: HDUKey | None) -> list[Aim | FITSError]:
    """Find for each position the image that contains it; or its place in the HDU that somebody names.

    Returns
    -------
    list
        For a position that is nowhere, or cannot be told in the coordinates of the HDU, the error.

    Raises
    ------
    HDUNotFoundError, FITSError
        If there is no such HDU, or no image.
    """
    found: dict[int, Aim | FITSError] = {}
    seen: list[_Miss] = []
    for image in _images(file, key):
        left = [number for number in range(len(places)) if number not in found]
        try:
            pixels = image.pixels(places.take(left))
        except FITSError as problem:
            seen.append(_Miss(image, {}, problem))
            continue
        on = np.isfinite(pixels).all(axis=1) if key is not None else image.contains(pixels)
        there = dict(zip(left, pixels.tolist(), strict=True))
        found |= {
            number: Aim(image, (there[number][0], there[number][1]))
            for number, is_on in zip(left, np.atleast_1d(on), strict=True)
            if is_on
        }
        seen.append(_Miss(image, there))
        if len(found) == len(places):
            break
    return [found.get(number) or _nowhere(file, places, number, seen) for number in range(len(places))]


def _images(file: ImageFile, key: HDUKey | None) -> Iterator[Image]:
    """Yield the images that may be meant, as far as somebody looks."""
    if key is not None:
        yield _image_of(file, *file.find_image(key))
        return
    for index, hdu in file.images():
        if len(hdu.shape) > 1:
            yield _image_of(file, index, hdu)


def _image_of(file: ImageFile, index: int, hdu: Any) -> Image:
    if len(hdu.shape) < 2:
        message = f"{file.name}: HDU {index} has one axis: a cutout has two, take a section"
        raise FITSError(message, location=file.name, hdu=index)
    try:
        celestial = celestial_of(hdu, index, file)
    except FITSError as problem:
        return Image(index, hdu, image_axes(hdu, file), None, problem)
    return Image(index, hdu, celestial.axes if celestial else image_axes(hdu, file), celestial)


def _nowhere(file: ImageFile, places: Positions, number: int, seen: list[_Miss]) -> FITSError:
    """Make the error for a position that is in none of the images that were looked at."""
    name, shown = file.name, places.shown(number)
    if len(seen) == 1:
        (only,) = seen
        if only.problem is not None:
            return only.problem
        message = f"{name}: {shown} is not in {only.image.called}: {only.why(number)}"
        return NoOverlapError(message, location=name, hdu=only.image.index)
    reasons = [miss.why(number) for miss in seen[:_MOST_TOLD]]
    if len(seen) > _MOST_TOLD:
        reasons.append(f"and so on in {len(seen) - _MOST_TOLD} more")
    if not reasons:
        reasons.append("its images have one axis")
    return NoOverlapError(f"{name}: no image contains {shown}: {'; '.join(reasons)}", location=name)


def told(pixel: list[float] | tuple[float, ...]) -> str:
    """Write a pixel for a message."""
    x, y = pixel
    return f"pixel (x={x:.6g}, y={y:.6g})"
