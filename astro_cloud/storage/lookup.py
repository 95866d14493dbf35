"""stat, exists and list_objects for one call, with a client of its own where none is given."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, overload

from astro_cloud.storage.client import Client
from astro_cloud.storage.location import Location
from astro_cloud.storage.object_info import CommonPrefix, ObjectInfo

__all__ = ["exists", "list_objects", "stat"]


def stat(
    location: str | os.PathLike[str] | Location,
    *,
    auth: Any = None,
    client: Client | None = None,
    request_payer: bool = False,
) -> ObjectInfo:
    """Ask what is known of an object without its bytes; see `Client.stat`.

    Parameters
    ----------
    location : str, path or Location
        The object, or a local file.
    auth : requests auth, optional
        Signs the request; by default chosen for the location.
    client : Client, optional
        Asks, and is left open. By default one is made, and closed again.
    request_payer : bool
        Offer to pay for the request, at a requester-pays bucket.
    """
    if client is not None:
        return client.stat(location, auth=auth, request_payer=request_payer)
    with Client() as own:
        return own.stat(location, auth=auth, request_payer=request_payer)


def exists(
    location: str | os.PathLike[str] | Location,
    *,
    auth: Any = None,
    client: Client | None = None,
    request_payer: bool = False,
) -> bool:
    """Tell whether there is an object; see `Client.exists`. Takes what `stat` takes."""
    if client is not None:
        return client.exists(location, auth=auth, request_payer=request_payer)
    with Client() as own:
        return own.exists(location, auth=auth, request_payer=request_payer)


@overload
def list_objects(
    location: str | os.PathLike[str] | Location,
    pattern: str | None = None,
    *,
    delimiter: None = None,
    page_size: int | None = None,
    auth: Any = None,
    client: Client | None = None,
    request_payer: bool = False,
) -> Iterator[ObjectInfo]: ...


@overload
def list_objects(
    location: str | os.PathLike[str] | Location,
    pattern: str | None = None,
    *,
    delimiter: str | None,
    page_size: int | None = None,
    auth: Any = None,
    client: Client | None = None,
    request_payer: bool = False,
) -> Iterator[ObjectInfo | CommonPrefix]: ...


def list_objects(
    location: str | os.PathLike[str] | Location,
    pattern: str | None = None,
    *,
    delimiter: str | None = None,
    page_size: int | None = None,
    auth: Any = None,
    client: Client | None = None,
    request_payer: bool = False,
) -> Iterator[Any]:
    """List the objects of a bucket, or the files of a folder; see `Client.list_objects`.

    Takes `auth`, `client` and `request_payer` as `stat` does. A client that is made for the call is
    closed when the generator ends or is closed.
    """
    lister = client or Client()
    found = lister.list_objects(
        location,
        pattern,
        delimiter=delimiter,
        page_size=page_size,
        auth=auth,
        request_payer=request_payer,
    )
    return found if client is not None else _closing(lister, found)


def _closing(client: Client, found: Iterator[Any]) -> Iterator[Any]:
    with client:
        yield from found
