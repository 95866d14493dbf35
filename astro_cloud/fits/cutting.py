"""cutout: the pixels around positions, found through an image's world coordinates, all read at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import nddata
from astropy.io import fits
from astropy.nddata import Cutout2D

from astro_cloud.exceptions import FITSError
from astro_cloud.fits.aiming import Aim, Image, aim, told
from astro_cloud.fits.celestial import moved_tables, shift_tables, tables_there
from astro_cloud.fits.cutout_image import Cutout, Taken
from astro_cloud.fits.hdulist import open_file
from astro_cloud.fits.image_file import ImageFile
from astro_cloud.fits.image_section import ImageSection, provenance
from astro_cloud.fits.index import Index
from astro_cloud.fits.overlap import NoOverlapError, PartialOverlapError
from astro_cloud.fits.positions import Positions, Side, pixel_size, sides_of
from astro_cloud.fits.section import filled
from astro_cloud.fits.section_header import header_of_section
from astro_cloud.fits.section_words import HDUKey
from astro_cloud.fits.steps import run_together
from astro_cloud.storage import Client, Location

if TYPE_CHECKING:
    from requests.auth import AuthBase

__all__ = ["Wish", "cut", "cutout"]

_MODES = ("trim", "partial", "strict")
_MOST_PIXELS = 1 << 40
"""Of a cutout that is filled up: more are no array of anybody's."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Wish:
    """How cutouts are wanted; the same for all positions of a call.

    Attributes
    ----------
    sides : (int or Quantity, int or Quantity)
        Height and width.
    hdu : int, str, (str, int) or None
        The HDU; None for the first image that contains a position.
    mode : {"trim", "partial", "strict"}
        What is done at an edge.
    fill_value : float
        What pixels beyond an edge are, with "partial".
    planes : tuple
        Keys into the axes that are not celestial; none for all of them.
    also : tuple
        HDUs to be cut alike.
    """

    sides: tuple[Side, Side]
    hdu: HDUKey | None = None
    mode: str = "trim"
    fill_value: float = np.nan
    planes: tuple[Any, ...] = ()
    also: tuple[HDUKey, ...] = ()

    @classmethod
    def of(cls, size: Any, *, hdu: Any, mode: str, planes: Any, also: Any, **options: Any) -> Wish:
        """Understand what a user gives.

        Raises
        ------
        ValueError, TypeError
            If it makes no sense.
        """
        if mode not in _MODES:
            raise ValueError(f"mode={mode!r}: it is one of {', '.join(map(repr, _MODES))}")
        keys = () if planes is None else planes if isinstance(planes, tuple) else (planes,)
        for key in keys:
            if not (key is Ellipsis or isinstance(key, slice) or _is_integer(key)):
                raise TypeError(
                    f"planes={planes!r}: give integers and slices, one for each axis that is not celestial"
                )
            if isinstance(key, slice):
                key.indices(1)  # raises for what is no slice of an axis
        others = (also,) if _is_hdu_key(also) else tuple(also)
        for key in (*others, *([hdu] if hdu is not None else [])):
            if not _is_hdu_key(key):
                raise TypeError(f"{key!r} is no HDU: give a number, a name, or (name, version)")
        return cls(sides_of(size), hdu=hdu, mode=mode, planes=keys, also=others, **options)

    @property
    def told(self) -> str:
        """How large they are, in messages."""
        return " x ".join(map(str, self.sides))


def _is_hdu_key(key: object) -> bool:
    if isinstance(key, tuple):
        return len(key) == 2 and isinstance(key[0], str) and _is_integer(key[1])
    return isinstance(key, str) or _is_integer(key)


def _is_integer(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def cutout(
    location: str | os.PathLike[str] | Location,
    position: Any,
    size: Any,
    *,
    hdu: HDUKey | None = None,
    mode: str = "trim",
    fill_value: float = np.nan,
    planes: Any = None,
    also: Any = (),
    index: Index | str | os.PathLike[str] | bool | None = None,
    auth: AuthBase | None = None,
    client: Client | None = None,
    request_payer: bool = False,
) -> Any:
    """Cut pixels around positions out of an image, reading no others.

    Three round trips for any number of positions: the headers, which may be two, and the pixels; those of a
    tile-compressed image may be two. With an index one.

    Parameters
    ----------
    location : str, path or Location
        ``s3://bucket/key``, or any other form of `Location.parse`; a local file too.
    position : SkyCoord, (x, y), or a list of either
        On the sky, in any frame; or the pixel, counted from 0, as `astropy.nddata.Cutout2D` has it.
    size : int, Quantity, or (ny, nx) of them
        In pixels, or an angle.
    hdu : int, str, (str, int), optional
        Number, EXTNAME, or that and EXTVER. By default the first image that contains the position.
    mode : {"trim", "partial", "strict"}
        What is done where a cutout goes over the edge: it becomes smaller, is filled up with `fill_value`,
        or is an error.
    fill_value : float
        Not NaN for integers.
    planes : int, slice or a tuple of them, optional
        Of a cube, what is taken of the axes that are not celestial, in NumPy order; an integer drops its
        axis. By default all.
    also : list of HDUs
        Others of the same shape that are cut alike, to be written along: ``["ERR", "DQ"]``; or that have no
        pixels, of which the header is.
    index : Index, path or True, optional
        As `open` takes it.
    auth, client, request_payer
        As `open` takes them.

    Returns
    -------
    Cutout
        An `astropy.nddata.Cutout2D`; for a list of positions a list, in their order.

    Raises
    ------
    NoOverlapError
        If there are no such pixels: no image contains the position, or the HDU ends before.
    PartialOverlapError
        If the cutout goes over the edge, and `mode` is "strict".
    FITSError
        If the HDU has no image, or no celestial coordinates that would lead to a position on the sky.
    HDUNotFoundError
        If there is no such HDU.
    StorageError, NotFITSError, CorruptFITSError, ObjectChangedError
        As `open` does.
    ValueError, TypeError
        For a position or size that makes no sense.

    Examples
    --------
    >>> from astropy import units as u
    >>> from astropy.coordinates import SkyCoord
    >>> galaxy = cutout("s3://bucket/mosaic.fits", SkyCoord("10h01m41.13s +02d25m20.58s"), 5 * u.arcsec)
    >>> galaxy.write("galaxy.fits")
    """
    places = Positions.of(position)
    wish = Wish.of(size, hdu=hdu, mode=mode, fill_value=fill_value, planes=planes, also=also)
    if not len(places):
        return []
    with ExitStack() as stack:
        if client is None:
            client = stack.enter_context(Client())
        place = Location.parse(location, client.settings)
        file = open_file(place, client, None, index=index, auth=auth, request_payer=request_payer)
        found = cut(stack.enter_context(ImageFile(file)), places, wish)
    for one in found:
        if isinstance(one, Exception):
            raise one
    return found[0] if places.single else found


def cut(file: ImageFile, places: Positions, wish: Wish) -> list[Cutout | Exception]:
    """Cut out of an open file: for each position its cutout, or why there is none.

    Raises
    ------
    AstroCloudError
        If it concerns all positions: headers that cannot be read, an HDU that is not there.
    """
    planner = _Planner(file, places, wish)
    plans = [
        planner.plan(number, aimed) if isinstance(aimed, Aim) else aimed
        for number, aimed in enumerate(aim(file, places, wish.hdu))
    ]
    sections = [section for plan in plans if isinstance(plan, _Plan) for section in plan.sections]
    boxes = iter(_read(sections))
    return [
        _made(file, plan, [next(boxes) for _ in plan.sections], wish) if isinstance(plan, _Plan) else plan
        for plan in plans
    ]


def _read(sections: Sequence[ImageSection]) -> list[Array | Exception]:
    """Read sections of one file, all at once."""
    if not sections:
        return []
    return run_together([one.steps() for one in sections], sections[0].hdu.reads.file.read_ranges)


@dataclass(frozen=True)
class _Plan:
    """What is to be read for a position.

    Attributes
    ----------
    image : Image
        What is cut.
    plane : Cutout2D
        Where, along its two axes.
    sections : list of ImageSection
        What is read: of the image first, and of those that are cut alike.
    headers : list of (int, HDU)
        HDUs without pixels that go along.
    tables : dict
        By the number of an HDU, the tables that its coordinates need; None if one of them is not there.
    """

    image: Image
    plane: Cutout2D
    sections: list[ImageSection]
    headers: list[tuple[int, Any]]
    tables: dict[int, list[tuple[str, int]] | None]


class _Planner:
    """Finds the pixels of cutouts of one file; what they share is worked out once."""

    def __init__(self, file: ImageFile, places: Positions, wish: Wish) -> None:
        self._file = file
        self._places = places
        self._wish = wish
        self._sizes: dict[int, tuple[int, int]] = {}
        self._others: dict[int, dict[int, Any]] = {}
        self._tables: dict[int, list[tuple[str, int]] | None] = {}

    def plan(self, number: int, aimed: Aim) -> _Plan | FITSError:
        """Find the pixels of a cutout, or why there are none."""
        image, name = aimed.image, self._file.name
        place: dict[str, Any] = {"location": name, "hdu": image.index}
        try:
            plane = _cut_plane(image, aimed.pixel, self._size(image), self._wish.mode)
            section = ImageSection.of(image.index, image.hdu, _key(image, plane, self._wish.planes))
            if not all(map(len, section.positions)):
                raise nddata.NoOverlapError
        except nddata.PartialOverlapError:
            shown = self._places.shown(number)
            message = f"{name}: {image.called}: the cutout at {shown} goes over the edge of {image.size}"
            return PartialOverlapError(message, **place)
        except (nddata.NoOverlapError, OverflowError):  # or so far away that NumPy cannot count so far
            shown = self._places.shown(number)
            where = "" if self._places.pixel is not None else f", which is at {told(aimed.pixel)}"
            message = f"{name}: {image.called} of {image.size} has no pixel of the cutout at {shown}{where}"
            return NoOverlapError(message, **place)
        except (ValueError, IndexError) as error:
            return FITSError(f"{name}: {image.called}: {error}", **place)
        except MemoryError:
            message = f"{name}: {image.called}: a cutout of {self._wish.told} does not fit into memory"
            return FITSError(message, **place)
        try:
            others = self._alike(image)
        except FITSError as error:
            return error
        alike = [ImageSection.of(index, hdu, section.key) for index, hdu in others.items() if hdu.shape]
        headers = [one for one in others.items() if not one[1].shape]
        tables = {one.index: self._tables_of(image, one) for one in (section, *alike)}
        return _Plan(image, plane, [section, *alike], headers, tables)

    def _tables_of(self, image: Image, section: ImageSection) -> list[tuple[str, int]] | None:
        if section.index not in self._tables:
            known = image.celestial if section.index == image.index else None
            found = known.tables if known is not None else tables_there(section.hdu, self._file)
            self._tables[section.index] = found
        return self._tables[section.index]

    def _size(self, image: Image) -> tuple[int, int]:
        if image.index not in self._sizes:
            height, width = pixel_size(self._wish.sides, image.celestial)
            if self._wish.mode == "partial" and height * width > _MOST_PIXELS:
                raise MemoryError
            self._sizes[image.index] = height, width
        return self._sizes[image.index]

    def _alike(self, image: Image) -> dict[int, Any]:
        """Return the HDUs that are to go along, by their numbers."""
        if image.index not in self._others:
            found = dict(_found_alike(self._file, image, key) for key in self._wish.also)
            self._others[image.index] = {at: hdu for at, hdu in found.items() if at != image.index}
        return self._others[image.index]


def _cut_plane(image: Image, pixel: tuple[float, float], size: tuple[int, int], mode: str) -> Cutout2D:
    """Let Cutout2D find the pixels, of an image that takes no memory."""
    nothing = np.broadcast_to(np.False_, image.plane)
    wcs = image.celestial.wcs if image.celestial is not None else None
    plane = Cutout2D(nothing, pixel, size, wcs=wcs, mode=mode, fill_value=False)
    if wcs is not None:
        shift_tables(plane.wcs, _origin(plane))
    return plane


def _origin(plane: Cutout2D) -> tuple[int, int]:
    """Return the pixel (x, y) of the image that is the first of a cutout; it may be beyond an edge."""
    (y, x), (below, left) = plane.slices_original, plane.slices_cutout
    return x.start - left.start, y.start - below.start


def _key(image: Image, plane: Cutout2D, planes: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what is read, as a key into the image.

    Raises
    ------
    IndexError
        If `planes` are none of it.
    """
    count = len(image.hdu.shape)
    try:
        others = iter(filled(planes, count - 2))
    except IndexError:
        raise IndexError(f"planes={planes}: it has {count - 2} axes beside the celestial ones") from None
    cuts = dict(zip(image.axes, plane.slices_original, strict=True))
    return tuple(cuts.get(axis) or next(others) for axis in range(count))


def _found_alike(file: ImageFile, image: Image, key: HDUKey) -> tuple[int, Any]:
    """Find an HDU that is to go along.

    Raises
    ------
    HDUNotFoundError, FITSError
        If there is none, or it cannot be cut alike.
    """
    index, hdu = file.find(key)
    shape = getattr(hdu, "shape", None)
    if not hdu.is_image or (shape and tuple(shape) != tuple(image.hdu.shape)):
        what = f"is an image of the shape {tuple(shape)}" if hdu.is_image and shape else "is no image"
        message = (
            f"{file.name}: HDU {index} {what}: only images of the shape of {image.called}, "
            f"{tuple(image.hdu.shape)}, can be cut alike"
        )
        raise FITSError(message, location=file.name, hdu=index)
    return index, hdu


def _made(file: ImageFile, plan: _Plan, boxes: Sequence[Array | Exception], wish: Wish) -> Cutout | Exception:
    """Make a cutout of what was read."""
    taken = []
    for section, box in zip(plan.sections, boxes, strict=True):
        if isinstance(box, Exception):
            return box
        try:
            taken.append(_taken(plan, section, box, wish.fill_value))
        except (ValueError, OverflowError, TypeError) as error:
            return _cannot_fill(file.name, section.index, box.dtype, wish.fill_value, error)
        except MemoryError:
            message = f"{file.name}: a cutout of {wish.told} does not fit into memory"
            return FITSError(message, location=file.name, hdu=section.index)
    first, *others = taken
    others += [Taken(hdu.reads.header, hdu.header, (), None, ()) for _, hdu in plan.headers]
    shape = tuple(
        len(where)
        for where, key in zip(first.positions, plan.sections[0].key, strict=True)
        if isinstance(key, slice)
    )
    return Cutout(
        plan.plane,
        first,
        shape,
        location=file.name,
        others=others,
        tables=_tables(file, plan, taken),
    )


def _taken(plan: _Plan, section: ImageSection, box: Array, fill_value: float) -> Taken:
    """Put what was read where it belongs in the cutout, and say where it is from."""
    positions = list(section.positions)
    inside: list[slice] = [slice(None)] * len(positions)
    for axis, first, length, part in zip(
        plan.image.axes,
        reversed(_origin(plan.plane)),
        plan.plane.data.shape,
        plan.plane.slices_cutout,
        strict=True,
    ):
        positions[axis] = range(first, first + length)
        inside[axis] = part
    shape = tuple(map(len, positions))
    if shape != box.shape:
        whole = np.full(shape, _fitting(fill_value, box.dtype))
        whole[tuple(inside)] = box
        box = whole
    hdu = section.hdu
    words = ",".join(map(_written, section.positions))
    source = provenance(hdu, section.index, f"cutout {words}")
    shown = hdu.header if isinstance(hdu, fits.CompImageHDU) else None
    has_tables = plan.tables[section.index] is not None
    return Taken(hdu.reads.header, shown, tuple(positions), box, tuple(source), has_tables)


def _fitting(value: Any, dtype: np.dtype[Any]) -> Any:
    """Return a value as pixels have it.

    Raises
    ------
    ValueError, TypeError, OverflowError
        If they cannot have it: NumPy would cut off what is too much, in silence.
    """
    if np.ndim(value):
        raise ValueError("it is not one number")
    fitting = dtype.type(value.item() if isinstance(value, np.generic) else value)
    if dtype.kind != "f" and fitting != value:
        raise ValueError("it is no whole number")
    return fitting


def _written(where: range) -> str:
    step = "" if where.step == 1 else f":{where.step}"
    return f"{where.start}:{where.stop}{step}"


def _cannot_fill(name: str, index: int, dtype: np.dtype[Any], value: float, error: Exception) -> FITSError:
    message = (
        f"{name}: HDU {index}: pixels of {dtype} beyond the edge cannot be {value} ({error}): choose "
        'another fill_value, or mode="trim"'
    )
    return FITSError(message, location=name, hdu=index)


def _tables(file: ImageFile, plan: _Plan, taken: Sequence[Taken]) -> list[Any]:
    """Return what the coordinates of what is cut need beside its header, moved along."""
    celestial = plan.image.celestial
    if celestial is not None and celestial.cards is not None:
        return [_aperture(celestial.cards, plan.plane)]
    kept = [plan.tables[one.header.index] or [] for one in taken if one.keeps_tables]
    return moved_tables(
        file, list(dict.fromkeys(name for names in kept for name in names)), _origin(plan.plane)
    )


def _aperture(cards: fits.Header, plane: Cutout2D) -> fits.ImageHDU:
    """Make an image whose header has the coordinates of a cutout; 1 where it has pixels, as TESS's files."""
    where = [
        range(first, first + count) for first, count in zip(_origin(plane)[::-1], plane.shape, strict=True)
    ]
    header, _ = header_of_section(cards, where)
    pixels = np.zeros(plane.shape, np.int32)
    pixels[plane.slices_cutout] = 1
    return fits.ImageHDU(pixels, header, name="APERTURE")
