"""Where on the sky the pixels of an image are: its celestial WCS, with the tables of distortion it names.

Belongs here: what is asked of astropy's WCS, and where astropy is to be led. No bytes, and no cutting.

References: FITS Standard 4.0, section 8; Greisen & Calabretta 2002, A&A 395, 1061; Greisen et al. 2006,
A&A 446, 747 (-TAB); Calabretta et al. 2004, draft paper IV (distortions by tables).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import ICRS, BaseCoordinateFrame, SkyCoord
from astropy.io import fits
from astropy.wcs import WCS, DistortionLookupTable, NoConvergence
from astropy.wcs.utils import proj_plane_pixel_scales, wcs_to_celestial_frame

from astro_cloud.exceptions import AstroCloudError, FITSError
from astro_cloud.fits.header import FITSHeader
from astro_cloud.fits.image_file import ImageFile
from astro_cloud.fits.tess_cube import KeywordTable, is_cube, may_be_cube

__all__ = [
    "Celestial",
    "celestial_of",
    "header_of_coordinates",
    "image_axes",
    "moved_tables",
    "shift_tables",
    "tables_there",
]

_MOST_HELD = 1 << 23
"""Bytes of tables that are read at once, and kept until astropy asks for them."""

_OF_COORDINATES = re.compile(
    rb" *(NAXIS|WCS|C(RPIX|RVAL|ROTA|RDER|RL[NT]|DELT|D|TYPE|UNIT|NAME|SYER|ZPHS|PERI|NPIX)|P(C|V|S|ROJP)"
    rb"|L(ON|AT)POLE|R(AD|EST|SUN)|VEL|VSOURCE|ZSOURCE|EQUINOX|EPOCH|SPECSYS|SSYS|OBSGEO|OBSORB|DATE|MJD"
    rb"|[BJ]EPOCH|T(START|STOP|ELAPSE|IM|REF)|XPOSURE|EXPOSURE|PLEPHEM|DSUN|HGL|C[PQ](DIS|ERR)|D[PQ]|DVERR"
    rb"|[AB]P?_|C_RADIUS|BL(ON|AT)|BDIS|WAT|AMD|PPO|[XY]PIXELSZ|PLT|PLATEID|D2IM|AXISCORR|NPOL|END *$)"
)
"""Cards that WCSLIB, or astropy's WCS, may look at; a few of the others do no harm."""
_ORDER = re.compile(r"[AB]P?_ORDER")
_LARGEST_ORDER = 99
"""Of a SIP polynomial, of which astropy looks for each of order^2 terms; two digits a term need no more."""
_NUMBERS = re.compile(r"(CRPIX|CRVAL|CDELT)(?P<place>\d+)|CROTA\d+|(PC|PV)\d+_\d+|CD(?P<row>\d+)_\d+")

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Celestial:
    """The celestial coordinates of the pixels of an image.

    Attributes
    ----------
    wcs : WCS
        Of two axes, its pixel axes in the image's order.
    axes : tuple of int
        The axes of the image that they are, in NumPy order: (y, x).
    tables : list of (str, int)
        The HDUs, by EXTNAME and EXTVER, with tables that they need.
    cards : Header or None
        The keywords of the WCS, where the image's header has none: those of an FFI in a TESS cube.
    """

    wcs: WCS
    axes: tuple[int, int]
    tables: list[tuple[str, int]] = field(default_factory=list)
    cards: fits.Header | None = None

    @cached_property
    def frame(self) -> BaseCoordinateFrame:
        """The frame of the coordinates.

        Raises
        ------
        ValueError
            If astropy knows none that is called so.
        """
        return wcs_to_celestial_frame(self.wcs)

    @cached_property
    def scales(self) -> tuple[u.Quantity, u.Quantity]:
        """The angles that a pixel at CRPIX is high and wide, along (y, x).

        Raises
        ------
        ValueError
            If the coordinates are in a table: that of a pixel is then another everywhere.
        """
        if any(kind.endswith("-TAB") for kind in self.wcs.wcs.ctype):
            raise ValueError("its coordinates are in a table, which has no scale: give the size in pixels")
        x, y = proj_plane_pixel_scales(self.wcs)
        unit_x, unit_y = self.wcs.wcs.cunit
        return y * unit_y, x * unit_x

    def pixels(self, positions: SkyCoord) -> Array:
        """Return where positions are, as (x, y) counted from 0; NaN for those that have no pixel.

        Parameters
        ----------
        positions : SkyCoord of shape (n,)
            In any frame.

        Returns
        -------
        ndarray of float, shape (n, 2)

        Raises
        ------
        ValueError
            If the frame of the image is not known, or cannot be reached from that of the positions.
        """
        # Step by step as astropy's skycoord_to_pixel: a bit more or less is another pixel, at an edge of one.
        if not (isinstance(self.frame, ICRS) and isinstance(positions.frame, ICRS)):
            positions = positions.transform_to(self.frame)
        sphere = positions.data if hasattr(positions.data, "lon") else positions.spherical
        world = np.empty((positions.size, 2))
        for index, angle in ((self.wcs.wcs.lng, sphere.lon), (self.wcs.wcs.lat, sphere.lat)):
            world[:, index] = angle.to_value(self.wcs.wcs.cunit[index])
        pixels = np.full(world.shape, np.nan)
        seen = np.isfinite(self.wcs.wcs_world2pix(world, 0)).all(axis=1)  # of others astropy warns
        try:
            pixels[seen] = self.wcs.all_world2pix(world[seen], 0)
        except NoConvergence as failure:
            pixels[seen] = _solved(failure, world[seen])
        return pixels


def _solved(failure: NoConvergence, world: Array) -> Array:
    """Return the pixels that were found where others were not."""
    pixels = np.array(failure.best_solution, float)
    for lost in (failure.divergent, failure.slow_conv):
        if lost is not None:
            pixels[lost] = np.nan
    pixels[~np.isfinite(world).all(axis=1)] = np.nan
    return pixels


def celestial_of(hdu: Any, index: int, file: ImageFile) -> Celestial | None:
    """Return the celestial coordinates of an image, or None if its header gives it none.

    Tables of distortion, and of coordinates (-TAB), are read where the header names them, all at once; of a
    TESS cube, one row of its table.

    Raises
    ------
    FITSError
        If the header's coordinates make no sense, or a table is not there.
    """
    name = file.name
    if (table := _table_of_cube(hdu, file)) is not None:
        wcs, cards = KeywordTable(hdu.reads.header, table, name).wcs(file.file.read_ranges)
        return Celestial(wcs, (0, 1), cards=cards)
    try:
        header = header_of_coordinates(hdu)
        tables = tables_named(header)
        _fetch([file.hdus[key] for key in tables])
        _check_numbers(header)
        wcs = WCS(header, fobj=file.hdus if tables else None)
        wcs.wcs.set()
        plane = _plane(wcs, len(hdu.shape))
    except AstroCloudError:
        raise
    except Exception as error:  # a card may hold anything, and WCSLIB has its own errors for it
        why = str(error).strip().splitlines()
        message = (
            f"{name}: the world coordinates of HDU {index} cannot be used: {why[-1] if why else error!r}"
        )
        raise FITSError(message, location=name, hdu=index) from error
    return plane and replace(plane, tables=tables)


def header_of_coordinates(hdu: Any) -> fits.Header:
    """Return what of an image's header its coordinates depend on: of hundreds of cards, each costs time."""
    if isinstance(hdu, fits.CompImageHDU):
        return hdu.header
    kept = hdu.reads.header.cards(_OF_COORDINATES)
    return fits.Header.fromstring(kept.decode("ascii", "replace").replace("\ufffd", "?"))


def image_axes(hdu: Any, file: ImageFile) -> tuple[int, int]:
    """Return the axes (y, x) of an image that has no coordinates: the last two, of a TESS cube the first."""
    count = len(hdu.shape)
    return (count - 2, count - 1) if _table_of_cube(hdu, file) is None else (0, 1)


def _table_of_cube(hdu: Any, file: ImageFile) -> FITSHeader | None:
    """Return the header of the table of a TESS cube; None if this is something else."""
    image = hdu.reads.header
    table = file.file.header(image.index + 1) if may_be_cube(image) else None
    return table if table is not None and is_cube(image, table) else None


def _check_numbers(header: fits.Header) -> None:
    """Raise a ValueError for what WCSLIB would let pass: it takes 0 for what is no number.

    And a row of CD that is all zeros it takes for one of the identity.
    """
    rows: dict[str, list[float]] = {}
    for card in header.cards:
        if _ORDER.fullmatch(card.keyword) and not (
            isinstance(card.value, int) and card.value <= _LARGEST_ORDER
        ):
            raise ValueError(f"{card.keyword} = {card.value!r} is no order of a distortion")
        match = _NUMBERS.fullmatch(card.keyword)
        if match is None:
            continue
        if isinstance(card.value, fits.card.Undefined):
            if match["place"] and int(match["place"]) <= header.get("NAXIS", 2):
                raise ValueError(f"{card.keyword} has no value")
            continue
        if not isinstance(card.value, (int, float)):
            raise ValueError(f"{card.keyword} = {card.value!r} is no number")
        if match["row"]:
            rows.setdefault(match["row"], []).append(card.value)
    for row, values in rows.items():
        if not any(values):
            raise ValueError(f"the matrix CD is singular: CD{row}_j are all 0")


def _plane(wcs: WCS, axes: int) -> Celestial | None:
    """Take the celestial axes out of a WCS, if it has them and the image has them too."""
    first, second = sorted((wcs.wcs.lng, wcs.wcs.lat))
    if first < 0 or second >= axes:
        return None
    if wcs.naxis > 2:
        wcs = wcs.sub([first + 1, second + 1])
        wcs.wcs.set()
    (a, b), (c, d) = wcs.pixel_scale_matrix
    if a * d == b * c:
        raise ValueError("the matrix of the coordinates is singular")
    return Celestial(wcs, (axes - 1 - second, axes - 1 - first))


def tables_named(header: fits.Header) -> list[tuple[str, int]]:
    """Return the HDUs, by EXTNAME and EXTVER, whose tables the coordinates of a header need.

    Those of its primary coordinates only, as `astropy.wcs.WCS` reads them.
    """
    found: dict[tuple[str, int], None] = {}
    for keyword, record, name in (("D2IMDIS", "D2IM", "D2IMARR"), ("CPDIS", "DP", "WCSDVARR")):
        for axis in range(1, header.get("NAXIS", 2) + 1):
            if str(header.get(f"{keyword}{axis}", "")).strip().lower() == "lookup":
                found[name, int(header.get(f"{record}{axis}.EXTVER", 1))] = None
    if "AXISCORR" in header:
        found["D2IMARR", 1] = None
    for axis in _tabular_axes(header):
        table = str(header.get(f"PS{axis}_0", "")).strip()
        if table:
            found[table, int(header.get(f"PV{axis}_1", 1))] = None
    return list(found)


def tables_there(hdu: Any, file: ImageFile) -> list[tuple[str, int]] | None:
    """Return the tables that the coordinates of an image need, as `tables_named`; None if one is not there.

    Raises
    ------
    AstroCloudError
        If the file cannot be read.
    """
    try:
        names = tables_named(header_of_coordinates(hdu))
        if any(file.hdus[name].data is None for name in names):
            return None
    except AstroCloudError:
        raise
    except Exception:  # there is none, or a card holds anything
        return None
    return names


def _tabular_axes(header: fits.Header) -> Iterator[int]:
    for keyword in header:
        match = re.fullmatch(r"CTYPE(\d+)", keyword)
        if match and str(header[keyword]).rstrip().endswith("-TAB"):
            yield int(match[1])


def _fetch(tables: list[Any]) -> None:
    """Have the data of several HDUs here before astropy asks for one after the other."""
    spans = [(one.reads.header.data_offset, one.reads.header.end) for one in tables]
    if len(spans) < 2 or sum(stop - start for start, stop in spans) > _MOST_HELD:
        return
    file = tables[0].reads.file
    for (start, _), part in zip(spans, file.read_ranges(spans), strict=True):
        file.keep(start, part)


def shift_tables(wcs: WCS, origin: tuple[int, int]) -> None:
    """Have a WCS that was cut out look its distortions up where they were; Cutout2D forgets to.

    Parameters
    ----------
    wcs : WCS
        Changed in its place.
    origin : tuple of int
        The pixel (x, y) of the image, counted from 0, that is the first of the cutout.
    """
    for name in ("cpdis1", "cpdis2", "det2im1", "det2im2"):
        table = getattr(wcs, name)
        if table is not None:
            there = tuple(value - first for value, first in zip(table.crval, origin, strict=True))
            setattr(wcs, name, DistortionLookupTable(table.data, table.crpix, there, table.cdelt))


def moved_tables(file: ImageFile, names: Iterable[tuple[str, int]], origin: tuple[int, int]) -> list[Any]:
    """Return copies of HDUs with tables, for a cutout's own file.

    Parameters
    ----------
    file : ImageFile
        The file of the image.
    names : iterable of (str, int)
        EXTNAME and EXTVER of each.
    origin : tuple of int
        As `shift_tables` has it.
    """
    copies = []
    for name in names:
        table = file.hdus[name]
        header = table.header.copy()
        if not table.is_image:
            copies.append(fits.BinTableHDU(np.array(table.data), header))
            continue
        for axis, first in enumerate(origin, 1):
            header[f"CRVAL{axis}"] = header.get(f"CRVAL{axis}", 0.0) - first
        copies.append(fits.ImageHDU(np.array(table.data), header))
    return copies
