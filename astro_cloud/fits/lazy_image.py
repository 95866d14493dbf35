"""LazyImage: an image of one version of an object, whose pixels are read when they are asked for, anywhere.

It holds no open file, and what it pickles to is small: where the image is, of which version, and the few
cards that its pixels depend on. Every process opens it once for all its copies, without reading anything.
"""

from __future__ import annotations

import copy
import math
import os
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from astro_cloud.exceptions import AstroCloudError, FITSError, ObjectChangedError, StorageError
from astro_cloud.fits.hdu_file import HDUFile
from astro_cloud.fits.hdulist import open as open_fits
from astro_cloud.fits.header import FITSHeader
from astro_cloud.fits.image_section import ImageSection, find_image
from astro_cloud.fits.index import Index
from astro_cloud.fits.inflated import Inflated
from astro_cloud.fits.layout import padded, read_structure
from astro_cloud.fits.planned import OF_PIXELS, TileReads, image_of
from astro_cloud.fits.section import filled, select
from astro_cloud.fits.section_words import HDUKey
from astro_cloud.storage import Client, Location
from astro_cloud.storage.answers import Version
from astro_cloud.storage.shared import Shared, shared_client

if TYPE_CHECKING:
    from requests.auth import AuthBase

__all__ = ["LazyImage"]

_OPEN_AT_ONCE = 16
"""Images that a process keeps open, each with the rows of its table of tiles; opening costs no request."""
_CACHE_SIZE = 4 << 20
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class LazyImage:
    """An image HDU, indexed as an array is; each index is one section, read from the version that was seen.

    Made by `of`. Any number of threads and processes may read.

    Attributes
    ----------
    location : Location
        The object.
    version : Version
        The version that reads are held to.
    index : int
        Number of the HDU.
    shape : tuple of int
        In pixels, in NumPy order.
    dtype : dtype
        Of the pixels as astropy scales them, in the machine's byte order.
    grain : tuple of int
        Pixels along each axis that are read at once if one is: a tile's sides, or 1 each.
    """

    location: Location
    version: Version
    index: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    grain: tuple[int, ...]
    _kind: str
    _cards: bytes = field(repr=False)
    _data_offset: int = field(repr=False)
    _uint: bool = field(repr=False)
    _compression: str | None = field(repr=False)
    _client: Shared[Client] = field(repr=False)
    _auth: Shared[Any] | None = field(repr=False)
    _request_payer: bool = field(repr=False)

    @classmethod
    def of(
        cls,
        location: str | os.PathLike[str] | Location,
        hdu: HDUKey | None = None,
        *,
        index: Index | str | os.PathLike[str] | bool | None = None,
        auth: AuthBase | None = None,
        client: Client | None = None,
        request_payer: bool = False,
    ) -> LazyImage:
        """Read the headers of a file up to that of an image.

        Parameters
        ----------
        location, index, auth, client, request_payer
            As `astro_cloud.fits.open` takes them. Without a client, all that have none share one a process.
        hdu : int, str, or (str, int), optional
            Number, name, or name and version; by default the first HDU with an image.

        Raises
        ------
        HDUNotFoundError
            If there is no such HDU.
        FITSError
            If it holds no image, or its header makes no sense.
        StorageError
            If the object cannot be read, or its server tells neither ETag nor date, by which
            versions are told apart.
        """
        shared = shared_client() if client is None else Shared.of(client)
        access: dict[str, Any] = {"auth": auth, "request_payer": request_payer}
        with open_fits(location, index=index, client=shared.value, **access) as hdus:
            number, image = find_image(hdus, hdu)
            file, header = image.reads.file, image.reads.header
            inside = isinstance(file.source, Inflated)
            return cls(
                location=file.location,
                version=_told(file.version, file.name),
                index=number,
                shape=tuple(map(int, image.shape)),
                dtype=_dtype(number, image),
                grain=_grain(image),
                _kind=type(image).__name__,
                _cards=header.cards(OF_PIXELS),
                _data_offset=header.data_offset,
                _uint=fits.conf.enable_uint,
                _compression=file.source.compression if inside else None,
                _client=shared,
                _auth=None if auth is None else Shared.of(auth),
                _request_payer=request_payer,
            )

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> Any:
        """Read a section.

        Parameters
        ----------
        key : int, slice, Ellipsis, an array of int or bool, or a tuple of them
            In NumPy order, as NumPy takes it, with one array at most.

        Returns
        -------
        ndarray
            In the machine's byte order.

        Raises
        ------
        ObjectChangedError
            If the object is not the version that was seen any more.
        CorruptFITSError
            If the data are damaged, or cut short.
        StorageError, CredentialsError
            If they cannot be read.
        IndexError
            If there are fewer axes, or pixels; or arrays for two axes.
        """
        wanted = select(key, self.shape).positions
        if sum(not isinstance(where, range) for where in wanted) > 1:
            raise IndexError(f"{key}: arrays are indices of one axis at a time")
        items = filled(key if isinstance(key, tuple) else (key,), self.ndim)
        try:
            values = _opened(self).section.box([_around(where) for where in wanted])
        except FITSError:
            raise
        except AstroCloudError as error:
            raise self._placed(error) from error
        values = np.asarray(values, self.dtype).reshape([len(_around(where)) for where in wanted])
        return np.asarray(values[tuple(map(_within, items, wanted))])

    def block_shape(self, size: int) -> tuple[int, ...]:
        """Return blocks that are quick to read: whole rows, as they lie in the file, or whole tiles.

        Parameters
        ----------
        size : int
            Bytes of a block at most, as an array; a single tile may be more.

        Returns
        -------
        tuple of int
            Pixels along each axis: all of the last ones, as far as there is room, then a part of one, of
            blocks about as large as each other; and a pixel, or tile, of those before it.
        """
        sides = [min(side, max(1, length)) for side, length in zip(self.grain, self.shape, strict=True)]
        room = size // self.dtype.itemsize
        for axis in reversed(range(self.ndim)):
            grains = -(-self.shape[axis] // sides[axis])
            fit = max(1, room // math.prod(sides))
            if fit < grains:
                sides[axis] *= -(-grains // -(-grains // fit))
                break
            sides[axis] = max(1, self.shape[axis])
        return tuple(sides)

    def _placed(self, error: AstroCloudError) -> AstroCloudError:
        """Return an error with the HDU in its message: of many tasks, one failed."""
        placed = copy.copy(error)
        placed.message = f"{error.message} (HDU {self.index})"
        if isinstance(error, ObjectChangedError):
            placed.message += ": make the array anew, and its index if it has one"
        return placed


def _around(where: range | Array) -> range:
    """Return all positions from the first to the last: of an array, what is between is read too."""
    if isinstance(where, range):
        return where
    return range(int(where.min()), int(where.max()) + 1) if len(where) else range(0)


def _within(item: Any, where: range | Array) -> int | slice | Array:
    """Return an item of a key as one into what was read for it: NumPy then lays out what it takes."""
    if isinstance(where, range):
        return slice(None) if isinstance(item, slice) else 0
    return where - _around(where).start


def _told(version: Version | None, name: str) -> Version:
    """Return a version by which tasks can be held to it."""
    if version is None or not (version.etag or version.weak_etag or version.last_modified):
        message = (
            f"{name}: its server tells no ETag and no date, by which later reads are held to one version"
        )
        raise StorageError(f"{message}: download it once, and name the copy", location=name)
    return version


def _dtype(number: int, image: Any) -> np.dtype[Any]:
    """Return the type of the pixels, once they are scaled."""
    try:
        return ImageSection.of(number, image, (...,)).dtype
    except AstroCloudError:
        raise
    except (TypeError, ValueError, ArithmeticError) as error:  # a header that astropy takes and cannot use
        name = image.reads.file.name
        message = f"{name}: the pixels of HDU {number} cannot be made: {error}"
        raise FITSError(message, location=name, hdu=number) from error


def _grain(image: Any) -> tuple[int, ...]:
    reads = image.reads
    if isinstance(reads, TileReads) and 0 not in image.shape:
        return reads.table_of(image).tile_shape
    return (1,) * len(image.shape)


@lru_cache(maxsize=_OPEN_AT_ONCE)
def _opened(image: LazyImage) -> Any:
    """Make the HDU again, without reading anything: of all copies in a process one."""
    auth = None if image._auth is None else image._auth.value
    source = image._client.value.pin(image.location, auth=auth, request_payer=image._request_payer)
    source.hold_to(image.version)
    inside = Inflated(source, image._compression) if image._compression is not None else source
    structure = read_structure(image._cards, primary=image._kind == "PrimaryHDU")
    # It ends where the image begins, as the header did of which these cards are.
    offset = image._data_offset - padded(len(image._cards))
    header = FITSHeader(index=image.index, offset=offset, raw=image._cards, structure=structure)
    return image_of(HDUFile(inside, cache_size=_CACHE_SIZE), header, {"uint": image._uint})
