"""The dask door: images of FITS files in object stores as dask arrays, whose chunks are planned sections.

Needs the extra ``dask``. It computes nothing: chunks are read by `astro_cloud.fits.lazy_image`, each by
itself, in whatever process they are wanted.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from astro_cloud.fits.index import Index
from astro_cloud.fits.lazy_image import LazyImage
from astro_cloud.fits.section_words import HDUKey
from astro_cloud.storage import Client, Location

if TYPE_CHECKING:
    from dask.array import Array
    from requests.auth import AuthBase

__all__ = ["to_dask"]


def to_dask(
    location: str | os.PathLike[str] | Location,
    hdu: HDUKey | None = None,
    chunks: Any = "auto",
    *,
    index: Index | str | os.PathLike[str] | bool | None = None,
    auth: AuthBase | None = None,
    client: Client | None = None,
    request_payer: bool = False,
) -> Array:
    """Make a dask array of an image, reading only headers: 1 round trip for the first, none with an index.

    Every task reads the version that was seen here, in whatever process it runs, and tasks of a process
    share connections. The same image of the same version in the same chunks has the same name.

    Parameters
    ----------
    location : str, path or Location
        ``s3://bucket/key``, or any other form of `Location.parse`; a local file too, if all processes
        see it.
    hdu : int, str, or (str, int), optional
        Number, name, or name and version; by default the first HDU with an image.
    chunks : optional
        As dask takes it, in NumPy order. ``"auto"``, or a size such as ``"16MiB"`` in its place, is whole
        rows of pixels as they lie in the file, or whole tiles of a compressed image, of at most that many
        bytes a chunk; ``"auto"`` is dask's setting ``array.chunk-size``.
    index : Index, path or True, optional
        Where the headers are kept, as `astro_cloud.fits.open` takes it.
    auth : requests auth, optional
        Signs the requests; by default chosen for the location, in each process.
    client : Client, optional
        Reads the bytes, and is left open. In other processes a copy of it does; by default each has one
        for all such arrays.
    request_payer : bool
        Offer to pay for the requests, at a requester-pays bucket.

    Returns
    -------
    dask.array.Array
        In the machine's byte order; of the type and values of the HDU's ``data`` in astropy.

    Raises
    ------
    ImportError
        If dask is not installed.
    HDUNotFoundError
        If there is no such HDU.
    FITSError
        If it holds no image, or its header makes no sense.
    StorageError
        If the object cannot be read, or its server tells neither ETag nor date, by which versions
        are told apart.
    ValueError
        If `chunks` do not fit the image.
    ObjectChangedError, AccessDeniedError, CorruptFITSError
        When computing; each names location and HDU.

    Examples
    --------
    >>> from astro_cloud.dask import to_dask
    >>> brightest = to_dask("s3://bucket/image.fits", "SCI").max().compute()
    """
    try:
        import dask.array
        from dask.base import tokenize
    except ImportError as error:
        raise ImportError("to_dask needs dask: pip install 'astro-cloud[dask]'") from error
    import numpy as np

    image = LazyImage.of(location, hdu, index=index, auth=auth, client=client, request_payer=request_payer)
    spelt = _chunks(image, chunks)
    version = image.version
    seen = (version.etag, version.weak_etag, version.total, version.last_modified)
    token = tokenize(image.location.fingerprint, seen, image.index, image.dtype.str, spelt)
    from_array: Any = dask.array.from_array
    made: Array = from_array(
        image,
        spelt,
        name=f"fits-image-{token}",
        asarray=True,
        inline_array=True,
        meta=np.empty((0,) * image.ndim, image.dtype),
    )
    return made


def _chunks(image: LazyImage, chunks: Any) -> tuple[tuple[int, ...], ...]:
    """Return the sizes of chunks along each axis."""
    from dask import config
    from dask.array.core import normalize_chunks
    from dask.utils import parse_bytes

    if isinstance(chunks, str):
        size = parse_bytes(config.get("array.chunk-size") if chunks == "auto" else chunks)
        if size <= 0:
            raise ValueError(f"chunks={chunks!r}: chunks have a size above 0, as '16MiB'")
        chunks = image.block_shape(size)
    tiles = image.grain if max(image.grain) > 1 else None
    normalize: Any = normalize_chunks
    sizes: tuple[tuple[int, ...], ...]
    try:
        sizes = normalize(chunks, image.shape, dtype=image.dtype, previous_chunks=tiles)
    except ZeroDivisionError:
        raise ValueError(f"chunks={chunks!r}: chunks have at least one pixel along each axis") from None
    return sizes
