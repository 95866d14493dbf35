"""Cutout: pixels around a position, with their world coordinates; a FITS file and a picture by themselves."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.nddata import Cutout2D

from astro_cloud.exceptions import FITSError, ObjectExistsError
from astro_cloud.fits.header import FITSHeader
from astro_cloud.fits.image_section import add_history, hdu_words, write_hdus
from astro_cloud.fits.section_header import header_of_section
from astro_cloud.storage.destination import check_target, target_of
from astro_cloud.storage.whole_file import written_whole

__all__ = ["Cutout", "Taken"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Taken:
    """What is taken of one HDU.

    Attributes
    ----------
    header : FITSHeader
        As it is in the file.
    shown : Header or None
        As astropy shows it, where that is another: that of the image in a table of tiles.
    positions : tuple of range
        The pixels along each axis of the image, in NumPy order; beyond its edges, too.
    data : ndarray or None
        As many pixels as positions; None of an HDU that has none.
    source : tuple of str
        Where that is from, for its HISTORY.
    has_tables : bool
        The tables that its coordinates name can go along.
    """

    header: FITSHeader
    shown: fits.Header | None
    positions: tuple[range, ...]
    data: Any
    source: tuple[str, ...]
    has_tables: bool = False

    @property
    def keeps_tables(self) -> bool:
        """Whether tables, moved along, lead to its coordinates: of pixels taken at steps they would not."""
        return self.has_tables and all(len(where) < 2 or where.step == 1 for where in self.positions)

    @cached_property
    def described(self) -> tuple[fits.Header, list[str]]:
        """The header of what is taken, and what could not be kept of it."""
        whole = self.header.fits if self.shown is None else self.shown
        if self.data is None:
            return whole.copy(), []
        header, notes = header_of_section(whole, self.positions, with_tables=self.keeps_tables)
        try:
            header.get("EXTNAME")
        except fits.VerifyError:
            header.remove("EXTNAME", remove_all=True)
            notes.append("removed EXTNAME: it cannot be read")
        if self.data.dtype.kind == "f":
            header.remove("BLANK", ignore_missing=True, remove_all=True)
        add_history(header, [*self.source, *notes])
        return header, notes

    def as_hdu(self, data: Array | None, *, primary: bool) -> Any:
        """Make an HDU of it, with its pixels or those that somebody made of them."""
        kind = fits.PrimaryHDU if primary else fits.ImageHDU
        return kind(data, self.described[0].copy())


class Cutout(Cutout2D):
    """A part of an image in an object store: an `astropy.nddata.Cutout2D`, with its header.

    Attributes
    ----------
    data : ndarray
        Its pixels, in the machine's byte order, of shape (ny, nx). Those of a cube have the axes of the
        image, of which the celestial ones are cut.
    wcs : WCS or None
        The celestial coordinates of its pixels, of two axes. Those of all axes are in `header`.
    location : str
        The object, secrets masked.
    hdu, name, version : int, str, int
        Number, EXTNAME and EXTVER of the HDU.

    All other attributes of `Cutout2D` are those of the two celestial axes.
    """

    def __init__(
        self,
        plane: Cutout2D,
        taken: Taken,
        shape: tuple[int, ...],
        *,
        location: str,
        others: Sequence[Taken] = (),
        tables: Sequence[Any] = (),
    ) -> None:
        self.__dict__.update(plane.__dict__)
        self.data: Array = taken.data.reshape(shape)
        self.shape = shape
        self.location = location
        self.hdu, self.name, self.version = taken.header.index, taken.header.name, taken.header.version
        self._taken = taken
        self._others = tuple(others)
        self._tables = tuple(tables)

    def __repr__(self) -> str:
        where = f"{hdu_words(self._taken.header)} of {self.location}"
        return f"<Cutout {self.data.shape} {self.data.dtype} of {where}>"

    @property
    def header(self) -> fits.Header:
        """The header of the image, with all world coordinates moved to the cutout, and where it is from."""
        return self._taken.described[0]

    @property
    def notes(self) -> list[str]:
        """What of the headers could not be kept, and why."""
        return [note for one in (self._taken, *self._others) for note in one.described[1]]

    def to_hdus(self) -> fits.HDUList:
        """Make a FITS file of the cutout.

        Returns
        -------
        HDUList
            Of `data` as it is now. The cutout is the primary HDU, unless others are taken along: then they
            are in the order that they have in the object. Tables that the coordinates need are at the end; of
            a TESS cube, whose own header has none, an image "APERTURE" whose header has them.

        Raises
        ------
        ValueError
            If somebody gave it data of another shape.
        """
        if np.shape(self.data) != self.shape:
            raise ValueError(f"data of the shape {np.shape(self.data)} in a cutout of {self.shape}")
        own = np.asarray(self.data).reshape(self._taken.data.shape)
        if not self._others:
            return fits.HDUList([self._taken.as_hdu(own, primary=True), *self._tables])
        parts = sorted((self._taken, *self._others), key=lambda one: one.header.index)
        hdus = [
            one.as_hdu(own if one is self._taken else one.data, primary=one.header.index == 0)
            for one in parts
        ]
        if parts[0].header.index:
            hdus.insert(0, fits.PrimaryHDU())
        return fits.HDUList([*hdus, *self._tables])

    def write(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the cutout to a FITS file, which appears whole or not at all.

        Its header is that of the image, its world coordinates moved, and its HISTORY says what it was cut
        out of: the object, its ETag, the HDU and the section.

        Parameters
        ----------
        path : str or path
            The file; compressed by gzip if its name ends in ``.gz``.
        overwrite : bool
            Replace a file that is there.

        Returns
        -------
        Path

        Raises
        ------
        ObjectExistsError
            If there is a file, and `overwrite` is False.
        StorageError
            If it cannot be written.
        """
        target = _free(path, overwrite=overwrite)
        write_hdus(self.to_hdus(), target)
        return target

    def picture(
        self, path: str | os.PathLike[str], *, stretch: str = "asinh", overwrite: bool = False
    ) -> Path:
        """Write a picture of the cutout, with axes on the sky, to a PNG file; needs the extra ``plot``.

        Parameters
        ----------
        path : str or path
            The file, which appears whole or not at all.
        stretch : {"asinh", "linear", "log", "sinh", "sqrt", "squared"}
            How values become shades, between astropy's zscale limits.
        overwrite : bool
            Replace a file that is there.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        FITSError
            If it is of more than one plane.
        ObjectExistsError, StorageError
            As `write` does.
        """
        from astro_cloud.fits.picture import cutout_png

        target = _free(path, overwrite=overwrite)
        png = cutout_png(self, stretch=stretch)
        with written_whole(target) as file:
            file.write(png)
        return target

    def _repr_png_(self) -> bytes | None:
        """Show the cutout as a picture in a notebook: of one plane, and where matplotlib is installed."""
        from astro_cloud.fits.picture import cutout_png

        try:
            return cutout_png(self)
        except (ImportError, FITSError):
            return None


def _free(path: str | os.PathLike[str], *, overwrite: bool) -> Path:
    """Return the file to be written, if it may be.

    Raises
    ------
    ObjectExistsError
        If there is one, and it is not to be replaced.
    StorageError
        If there is no folder for it.
    """
    if "://" in os.fspath(path):
        raise ValueError(f"{path}: a cutout is written to a local file; astro_cloud.upload stores that")
    target = target_of(path)
    check_target(target)
    if target.exists() and not overwrite:
        message = f"{target}: there is a file of this name; overwrite=True replaces it"
        raise ObjectExistsError(message, location=str(target))
    return target
