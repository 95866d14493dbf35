"""The objects of a bucket, page by page, as far as somebody looks at them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from astro_cloud.auth import endpoints
from astro_cloud.exceptions import InvalidLocationError, StorageError
from astro_cloud.storage.glob import Glob, split_glob
from astro_cloud.storage.list_pages import Ask, Entry, Page, protocol_of
from astro_cloud.storage.list_read import PageRead
from astro_cloud.storage.location import Location
from astro_cloud.storage.object_info import CommonPrefix, ObjectInfo
from astro_cloud.storage.resources import Resources
from astro_cloud.storage.route import Route
from astro_cloud.storage.settings import Settings

__all__ = ["Listing", "list_bucket", "split_location"]


@dataclass(frozen=True)
class Listing:
    """What is to be listed, and which of it is wanted.

    Attributes
    ----------
    location : Location
        A bucket, or what keys begin with; or a local file or folder.
    pattern : str or None
        Of the keys below the location; None for all that begin with it.
    delimiter : str or None
        See `Client.list_objects`.
    page_size : int or None
        See `Client.list_objects`.
    """

    location: Location
    pattern: str | None = None
    delimiter: str | None = None
    page_size: int | None = None

    @classmethod
    def of(
        cls,
        location: str | os.PathLike[str] | Location,
        pattern: str | None,
        *,
        delimiter: str | None,
        page_size: int | None,
        settings: Settings,
    ) -> Listing:
        """Understand what a user asked for; see `Client.list_objects`.

        Raises
        ------
        InvalidLocationError
            If nothing can be listed there.
        ValueError
            If pattern, delimiter or page_size cannot be.
        """
        if delimiter == "":
            raise ValueError("the delimiter is empty: leave it out")
        if page_size is not None and page_size < 1:
            raise ValueError(f"a page has at least one entry, not {page_size}")
        place = Location.parse(location, settings, prefix=True)
        if place.path is None:
            _check_bucket(place)
        folder, found = split_location(location)
        if found is not None:
            place = Location.parse(folder, settings, prefix=True)
            pattern = found if pattern is None else f"{found.removesuffix('/')}/{pattern}"
        if pattern is not None and Glob(pattern).crosses and delimiter is not None:
            raise ValueError(
                f"with a delimiter, a pattern reaches no deeper than one folder: {pattern!r} does. "
                "Leave the delimiter out"
            )
        return cls(place, pattern, delimiter, page_size)

    @property
    def folder(self) -> str:
        """What the keys that are found have before their names, up to a slash."""
        place = self.location
        if place.path is not None:
            path = place.path.as_posix()
            return f"{path}/" if place.path.is_dir() else f"{place.path.parent.as_posix()}/"
        key = place.key or ""
        if self.pattern is None:
            return key[: key.rfind("/") + 1]
        return f"{key}/" if key and not key.endswith("/") else key

    @property
    def glob(self) -> Glob | None:
        """The pattern, to match with."""
        return Glob(self.pattern) if self.pattern is not None else None


def list_bucket(
    resources: Resources, listing: Listing, route: Callable[[str], Route]
) -> Iterator[ObjectInfo | CommonPrefix]:
    """Yield what a bucket has, asking for a page when the one before is used up.

    Parameters
    ----------
    route : callable
        Given the bucket's URL, returns the way there.
    """
    choice = _Choice(listing)
    location = listing.location
    for page in _pages(resources, route(_listed_url(location)), choice.ask):
        found: list[Entry | str] = [entry for entry in page.entries if choice.takes(entry.key)]
        if listing.delimiter is not None:
            found += [prefix for prefix in page.prefixes if choice.takes_prefix(prefix)]
            found.sort(key=lambda item: item if isinstance(item, str) else item.key)
        for item in found:
            yield _described(location, item)


class _Choice:
    """What to ask a bucket for, and which of its answers are wanted."""

    def __init__(self, listing: Listing) -> None:
        self._folder = listing.folder
        self._delimiter = listing.delimiter
        self._glob = listing.glob
        prefix, delimiter = listing.location.key or "", listing.delimiter
        if self._glob is not None:
            prefix = self._folder + self._glob.literal
            if not self._glob.crosses:  # what lies deeper than the pattern need not be listed
                delimiter = delimiter or "/"
        self.ask = Ask(prefix, delimiter, listing.page_size)

    def takes(self, key: str) -> bool:
        if not key.startswith(self.ask.prefix):
            return False
        return self._glob is None or self._glob.matches(key[len(self._folder) :])

    def takes_prefix(self, prefix: str) -> bool:
        return self.takes(prefix) or (
            self._glob is not None and self.takes(prefix.removesuffix(self._delimiter or ""))
        )


def split_location(
    location: str | os.PathLike[str] | Location,
) -> tuple[str | os.PathLike[str] | Location, str | None]:
    """Take a pattern off the end of a location that is text and not a URL of HTTP or of a file."""
    if not isinstance(location, str):
        return location, None
    if location.lower().startswith(("http://", "https://", "file://")):
        return location, None
    folder, pattern = split_glob(location)
    return folder or ".", pattern


def _check_bucket(location: Location) -> None:
    text = location.text
    if location.bucket is None and endpoints.is_presigned(location.url):
        raise InvalidLocationError(
            f"{text}: a URL that is signed already lists nothing: give the bucket without the signature, and "
            "auth= (a SAS with AzureAuth(sas_token=...))"
        )
    if location.bucket is None:
        raise InvalidLocationError(
            f"{text}: a web server has no way to list its files: list s3://, gs://, az:// or a local folder; "
            "a server that speaks S3 is named by endpoint_url"
        )
    if location.version is not None:
        raise InvalidLocationError(f"{text}: a listing is not of one version: leave it out")
    for parameter in urlsplit(location.url).query.split("&"):
        if parameter and parameter.partition("=")[0] != "userProject":
            raise InvalidLocationError(
                f"{text}: a listing takes no query: write the prefix behind the bucket, and ? as %3F"
            )


def _listed_url(location: Location) -> str:
    url = location.bucket_url
    return url if urlsplit(url).path else f"{url}/"


def _pages(resources: Resources, route: Route, ask: Ask) -> Iterator[Page]:
    location = route.location
    provider = location.provider
    if provider is None:
        raise InvalidLocationError(f"{location}: has no bucket")
    protocol, charged = protocol_of(provider), urlsplit(location.url).query
    token: str | None = None
    seen: set[str] = set()
    while True:
        query = "&".join(filter(None, (protocol.query(ask, token), charged)))
        read = PageRead(resources, route, protocol, query)
        try:
            page = read.run()
        finally:
            resources.usage.add(round_trips=read.requests)
        yield page
        token = page.token
        if token is None:
            return
        if token in seen:
            name = route.name
            raise StorageError(f"{name}: the server goes round in circles: a page leads back", location=name)
        seen.add(token)


def _described(location: Location, item: Entry | str) -> ObjectInfo | CommonPrefix:
    if isinstance(item, str):
        return CommonPrefix(location.with_key(item))
    there = location.with_key(item.key)
    return ObjectInfo(there, item.size, item.etag, item.last_modified, item.version, item.content_type)
