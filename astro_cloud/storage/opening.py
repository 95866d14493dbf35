"""open: a location, wherever it is, as a file."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from astro_cloud.storage.client import Client
from astro_cloud.storage.local import LocalObject
from astro_cloud.storage.location import Location
from astro_cloud.storage.remote_file import CACHE_SIZE, RemoteFile

if TYPE_CHECKING:
    from requests.auth import AuthBase

__all__ = ["open"]


def open(
    location: str | os.PathLike[str] | Location,
    *,
    auth: AuthBase | None = None,
    client: Client | None = None,
    request_payer: bool = False,
    cache_size: int = CACHE_SIZE,
) -> RemoteFile:
    """Open an object, or a local file, for any library that reads binary files.

    The first 64 KiB are read at once, in one request: so a missing object, or one that may not be read,
    shows here, and the size is known.

    Parameters
    ----------
    location : str, path or Location
        ``s3://bucket/key``, or any other form of `Location.parse`, or the path of a local file.
    auth : requests auth, optional
        Signs the requests; by default chosen for the location.
    client : Client, optional
        Reads the bytes, and is left open. By default one is made, and closed with the file.
    request_payer : bool
        Offer to pay for the requests, at a requester-pays bucket.
    cache_size : int
        Bytes kept at most, what is fetched ahead included. Of a local file none are: the system does.

    Raises
    ------
    InvalidLocationError
        If `location` names no object.
    ObjectNotFoundError, AccessDeniedError, StorageError, CredentialsError
        If it cannot be read.

    Examples
    --------
    >>> with open("s3://bucket/cube.fits") as file, fits.open(file) as hdul:
    ...     pixels = hdul[1].section[100:200, 300:400]
    """
    place = Location.parse(location, client.settings if client is not None else None)
    with ExitStack() as stack:
        closes: Client | LocalObject | None = None
        if client is None:
            client = closes = stack.enter_context(Client())
        source = client.pin(place, auth=auth, request_payer=request_payer)
        if isinstance(source, LocalObject):
            cache_size, closes = 0, source
        file = stack.enter_context(RemoteFile(source, cache_size=cache_size, closes=closes))
        file.pread(0, 1)
        stack.pop_all()
    return file
