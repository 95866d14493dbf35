"""ImageFile: an open file of which images are wanted, each made of as few cards as its pixels depend on.

Where thousands of files are looked at, most of the time would go into headers that nobody reads. All else is
astropy's list of HDUs, over the same file, which is made when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from types import TracebackType
from typing import Any, Self

from astropy.io import fits

from astro_cloud.fits.hdu_file import HDUFile
from astro_cloud.fits.hdulist import HDUList, list_of
from astro_cloud.fits.header import FITSHeader
from astro_cloud.fits.image_section import check_image, find_hdu, find_image
from astro_cloud.fits.planned import image_of
from astro_cloud.fits.section_words import HDUKey

__all__ = ["ImageFile"]


class ImageFile:
    """The images of a file; for one thread.

    Parameters
    ----------
    file : HDUFile
        Is closed with it.
    """

    def __init__(self, file: HDUFile) -> None:
        self.file = file
        self._images: dict[int, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if "hdus" in vars(self):
            self.hdus.close()
        self.file.close()

    @property
    def name(self) -> str:
        """The object, secrets masked."""
        return self.file.name

    @cached_property
    def hdus(self) -> HDUList:
        """All HDUs, as astropy makes them."""
        return list_of(self.file)

    def images(self) -> Iterator[tuple[int, Any]]:
        """Yield the HDUs that hold an image, with their numbers, as far as somebody looks.

        Raises
        ------
        HDUNotFoundError
            In the end, if there were none.
        """
        index = 0
        while (header := self.file.header(index)) is not None:
            if _holds_image(header):
                yield index, self._image(header)
            index += 1
        if not self._images:
            find_image(self.hdus)

    def find(self, key: HDUKey) -> tuple[int, Any]:
        """Find an HDU, and its number.

        Raises
        ------
        HDUNotFoundError
            If there is none.
        """
        if isinstance(key, int) and key >= 0:
            header = self.file.header(key)
            if header is not None and _holds_image(header):
                return key, self._image(header)
        index, hdu = find_hdu(self.hdus, key)
        return hdu.reads.header.index if index < 0 else index, hdu

    def find_image(self, key: HDUKey) -> tuple[int, Any]:
        """Find an HDU that holds an image, and its number.

        Raises
        ------
        HDUNotFoundError
            If there is none.
        FITSError
            If it holds no image.
        """
        index, hdu = self.find(key)
        check_image(hdu, index, key, self.name)
        return index, hdu

    def _image(self, header: FITSHeader) -> Any:
        """Return an image of few cards; if astropy reads its shape otherwise than we do, its own error."""
        if header.index not in self._images:
            hdu = image_of(self.file, header, {"uint": fits.conf.enable_uint})
            same = tuple(hdu.shape) == header.shape
            self._images[header.index] = hdu if same else self.hdus[header.index]
        return self._images[header.index]


def _holds_image(header: FITSHeader) -> bool:
    structure = header.structure
    is_image = structure.compressed is not None or structure.kind in ("PRIMARY", "IMAGE")
    return is_image and bool(header.shape)
