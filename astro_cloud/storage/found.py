"""What a transfer of many is of: objects or files, and the name each gets in the folder they go to."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from astro_cloud.exceptions import AstroCloudError, InvalidLocationError, ObjectNotFoundError
from astro_cloud.storage.client import Client
from astro_cloud.storage.listing import Listing
from astro_cloud.storage.local_listing import Unlisted, look_through
from astro_cloud.storage.local_names import base_name
from astro_cloud.storage.location import Location
from astro_cloud.storage.masking import shown
from astro_cloud.storage.object_info import CommonPrefix, ObjectInfo
from astro_cloud.storage.part_file import is_part_name

__all__ = ["AnyLocation", "Found", "found_at", "found_below", "found_one_by_one"]

AnyLocation = str | os.PathLike[str] | Location


@dataclass(frozen=True, slots=True)
class Found:
    """Something to transfer.

    Attributes
    ----------
    location : Location
        Of the object, or the local file.
    name : str
        Below the folder it goes to, with slashes; nobody has looked yet whether that can be.
    info : ObjectInfo or None
        What a listing said of it; None if nothing was listed.
    error : AstroCloudError or None
        Why it cannot be transferred, if that is known already.
    """

    location: Location
    name: str
    info: ObjectInfo | None = None
    error: AstroCloudError | None = None

    @classmethod
    def unusable(cls, text: str, error: AstroCloudError) -> Self:
        """Stand for what cannot be transferred: a text that is no location, or the rest of a listing."""
        text = shown(text)
        return cls(Location(text, text, identity=("", text)), "", error=error)

    @property
    def is_folder(self) -> bool:
        """Whether it only marks a folder, as consoles of stores make them: no bytes, and a slash."""
        return self.info is not None and not self.info.size and self.name[-1:] in ("", "/")


def found_at(
    client: Client, locations: AnyLocation | Iterable[AnyLocation], access: dict[str, Any]
) -> Iterator[Found]:
    """Find what users of `download_many` and `upload_many` mean: all below one, or several one by one."""
    if isinstance(locations, str | os.PathLike | Location):
        return found_below(client, locations, access)
    return found_one_by_one(client, locations)


def found_below(client: Client, location: AnyLocation, access: dict[str, Any]) -> Iterator[Found]:
    """Find what begins with a location, or matches its pattern; names go on from its last folder.

    What keeps it from being listed to the end comes last. Of a local folder, what cannot be looked at is an
    error in its place, and what interrupted downloads left there is passed over.

    Raises
    ------
    ObjectNotFoundError
        At once, if there is nothing.
    """
    listing = Listing.of(location, None, delimiter=None, page_size=None, settings=client.settings)
    if listing.location.path is not None:
        found = _files(listing)
    else:
        found = _named(listing.folder, client.list_objects(location, **access))
    first = next(found, None)
    if first is None:
        raise ObjectNotFoundError(f"{location}: there is nothing to transfer", location=str(location))
    return _to_the_end(first, found, str(location))


def found_one_by_one(client: Client, locations: Iterable[AnyLocation]) -> Iterator[Found]:
    """Find objects or files under their base names, each once, without looking whether they are there."""
    seen: set[Location] = set()
    for given in locations:
        try:
            location = Location.parse(given, client.settings)
        except InvalidLocationError as error:
            yield Found.unusable(str(given), error)
            continue
        if location not in seen:
            seen.add(location)
            yield Found(location, base_name(location))


def _named(folder: str, objects: Iterator[ObjectInfo]) -> Iterator[Found]:
    for info in objects:
        yield Found(info.location, info.key.removeprefix(folder), info)


def _files(listing: Listing) -> Iterator[Found]:
    for item in look_through(listing):
        if isinstance(item, Unlisted):
            yield Found.unusable(item.path, item.error)
        elif not isinstance(item, CommonPrefix) and not _is_left_over(item, listing):
            yield from _named(listing.folder, iter([item]))


def _is_left_over(info: ObjectInfo, listing: Listing) -> bool:
    """Tell whether a file was left by a download; one that is named alone is meant."""
    return info.location != listing.location and is_part_name(base_name(info.location))


def _to_the_end(first: Found, others: Iterator[Found], text: str) -> Iterator[Found]:
    yield first
    try:
        yield from others
    except AstroCloudError as error:
        yield Found.unusable(text, error)
