"""A section of one image of an open file: its pixels, and the FITS file they make by themselves."""

from __future__ import annotations

import gzip
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from astro_cloud.exceptions import FITSError, HDUNotFoundError
from astro_cloud.fits.hdulist import HDUList
from astro_cloud.fits.header import FITSHeader
from astro_cloud.fits.section import as_slice, select
from astro_cloud.fits.section_header import header_of_section
from astro_cloud.fits.section_words import HDUKey, SectionKey
from astro_cloud.fits.steps import Steps, run
from astro_cloud.storage.whole_file import written_whole

__all__ = [
    "ImageSection",
    "add_history",
    "check_image",
    "find_hdu",
    "find_image",
    "holds_image",
    "provenance",
]

Array = np.ndarray[Any, Any]


def find_image(hdus: HDUList, key: HDUKey | None = None) -> tuple[int, Any]:
    """Find an HDU that holds an image, and its number; without a key the first.

    Raises
    ------
    HDUNotFoundError
        If there is no such HDU.
    FITSError
        If it holds no image.
    """
    name = hdus.filename()
    if key is None:
        for index, hdu in enumerate(hdus):
            if holds_image(hdu):
                return index, hdu
        raise HDUNotFoundError(f"{name}: none of its {len(hdus)} HDUs holds an image", location=name)
    index, hdu = find_hdu(hdus, key)
    check_image(hdu, index, key, name)
    return index, hdu


def find_hdu(hdus: HDUList, key: HDUKey) -> tuple[int, Any]:
    """Find an HDU, and its number.

    Raises
    ------
    HDUNotFoundError
        If there is none.
    """
    name = hdus.filename()
    try:
        index = int(key) if isinstance(key, (int, np.integer)) else hdus.index_of(key)
        if index < 0:
            index += len(hdus)
        if index < 0:
            raise IndexError
        return index, hdus[index]
    except (IndexError, KeyError):
        there = ", ".join(f"{n} ({hdu.name},{hdu.ver})" if hdu.name else f"{n}" for n, hdu in enumerate(hdus))
        raise HDUNotFoundError(f"{name} has no HDU {_shown(key)}: there are {there}", location=name) from None


def check_image(hdu: Any, index: int, key: HDUKey, name: str) -> None:
    """Raise a FITSError unless an HDU of a file, found by a key, holds an image."""
    if not holds_image(hdu):
        kind = "no image" if hdu.is_image else "a table, no image"
        raise FITSError(f"{name}: HDU {_shown(key)} holds {kind}", location=name, hdu=index)


def holds_image(hdu: Any) -> bool:
    """Tell whether an HDU is an image with pixels."""
    return bool(hdu.is_image and hdu.shape and not isinstance(hdu, fits.GroupsHDU))


def _shown(key: HDUKey) -> str:
    return f"{key[0]},{key[1]}" if isinstance(key, tuple) else str(key)


@dataclass(frozen=True)
class ImageSection:
    """A section of an image; its pixels are read when they are first asked for.

    Attributes
    ----------
    index : int
        Number of the HDU.
    hdu : HDU
        An image HDU of a file opened here.
    key : tuple of int, slice and Ellipsis
        In NumPy order.
    positions : tuple of range
        The pixels along each axis, 0-based, in NumPy order.
    shape : tuple of int
        As NumPy has it: an axis with an integer is none.
    """

    index: int
    hdu: Any
    key: SectionKey
    positions: tuple[range, ...]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, index: int, hdu: Any, key: SectionKey) -> ImageSection:
        """Understand a key into an image.

        Raises
        ------
        IndexError
            If the image has fewer axes, or pixels.
        """
        selection = select(key, hdu.shape)
        positions = tuple(where for where in selection.positions if isinstance(where, range))
        shape = np.broadcast_to(np.False_, hdu.shape)[key].shape
        return cls(index, hdu, key, positions, shape)

    @cached_property
    def box(self) -> Array:
        """The pixels, scaled as astropy does, in the machine's byte order; each axis of the image is one.

        Their type is that of the whole image; of pixels taken at steps astropy makes Python's numbers.
        """
        return run(self.steps(), self.hdu.reads.file.read_ranges)

    def steps(self) -> Steps[Array]:
        """Read the pixels of `box` as a job of `astro_cloud.fits.steps`, beside others of the same file."""
        key = tuple(map(as_slice, self.positions))
        values = np.asarray((yield from self.hdu.reads.whole(self.hdu.section.steps(key))))
        values = values.reshape([len(where) for where in self.positions])
        return values.astype(self.dtype, copy=False)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels, once they are scaled."""
        nothing = self.hdu.section[(slice(0, 0),) * len(self.positions)]
        dtype: np.dtype[Any] = nothing.dtype
        return dtype.newbyteorder("=")

    @property
    def values(self) -> Array:
        """The pixels, in the shape that NumPy gives them."""
        return self.box.reshape(self.shape)

    def as_fits(self, words: str) -> tuple[fits.PrimaryHDU, list[str]]:
        """Make an HDU of the section, with the image's header, by which its pixels are where they were.

        Parameters
        ----------
        words : str
            What the section was called, for its HISTORY.

        Returns
        -------
        hdu : PrimaryHDU
        notes : list of str
            What of the header had to be taken out; it is in the HISTORY too.

        Raises
        ------
        FITSError
            If there are no pixels.
        """
        if not math.prod(self.box.shape):
            file = self.hdu.reads.file
            raise FITSError(f"{file.name}: {words} of HDU {self.index} holds no pixels", location=file.name)
        header, notes = header_of_section(self.hdu.header, self.positions)
        if self.box.dtype.kind == "f":
            header.remove("BLANK", ignore_missing=True, remove_all=True)
        add_history(header, [*provenance(self.hdu, self.index, f"section {words}"), *notes])
        return fits.PrimaryHDU(self.box, header), notes


def hdu_words(header: FITSHeader) -> str:
    """Name an HDU in messages: ``HDU 1 (SCI,1)``; nothing in a name may reach a terminal as it is."""
    called = f" ({ascii(header.name)[1:-1]},{header.version})" if header.name else ""
    return f"HDU {header.index}{called}"


def provenance(hdu: Any, index: int, words: str) -> Sequence[str]:
    """Say of what pixels were taken: where from, which HDU, which version.

    Parameters
    ----------
    hdu : HDU
        An image HDU of a file opened here.
    index : int
        Its number.
    words : str
        What was taken, as ``section 10:13,20:22``.
    """
    file = hdu.reads.file
    name = file.name
    if name.startswith(("http://", "https://")):
        name = name.partition("?")[0]  # what follows may be a secret that is spelt like no other
    lines = [f"{words} (NumPy order, from 0) of {hdu_words(hdu.reads.header)} of", name]
    version = file.version
    if file.location.path is None and version is not None and (etag := version.etag or version.weak_etag):
        lines.append(f"ETag {etag}")
    return lines


def write_hdus(hdus: Any, target: Path) -> None:
    """Write HDUs to a file, which appears whole or not at all; by gzip, if it is called ``.gz``.

    Raises
    ------
    StorageError
        If it cannot be written. (Writing to the disk itself, astropy fails otherwise where that is full.)
    """
    content = io.BytesIO()
    hdus.writeto(content, output_verify="silentfix+ignore")
    is_zipped = target.suffix.lower() == ".gz"
    with written_whole(target) as file:
        file.write(gzip.compress(content.getbuffer()) if is_zipped else content.getbuffer())


def add_history(header: fits.Header, lines: Sequence[str]) -> None:
    """Add lines to a header's HISTORY, which holds ASCII only."""
    for line in lines:
        header.add_history(_in_ascii(line))


def _in_ascii(text: str) -> str:
    return "".join(char if " " <= char <= "~" else ascii(char)[1:-1] for char in text)
