"""Client: owns the connections, the settings and the counts; hands out pinned objects, asks and lists."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self, overload

from requests import Session
from requests.auth import AuthBase, HTTPBasicAuth

from astro_cloud.auth import endpoints
from astro_cloud.auth.aws import AWSAuth
from astro_cloud.auth.providers import Anonymous, CloudService, auth_for
from astro_cloud.exceptions import InvalidLocationError, ObjectNotFoundError
from astro_cloud.storage.listing import Listing, list_bucket
from astro_cloud.storage.local import LocalObject
from astro_cloud.storage.local_listing import list_folder, stat_file
from astro_cloud.storage.location import Location
from astro_cloud.storage.object_info import CommonPrefix, ObjectInfo
from astro_cloud.storage.pin import Pin
from astro_cloud.storage.pinned import PinnedObject
from astro_cloud.storage.resources import Resources
from astro_cloud.storage.route import Route
from astro_cloud.storage.settings import Settings
from astro_cloud.storage.stat_read import StatRead
from astro_cloud.storage.usage import Usage

__all__ = ["Client"]


class Client:
    """Reads byte ranges of objects over pooled connections, through faults.

    One client serves any number of threads, objects and hosts, can be pickled, and works on in a
    forked process. Making one does no I/O.

    Parameters
    ----------
    session : requests.Session, optional
        Requests go through its adapters, hooks, proxies and cookies; it is never closed. By default
        a pooled session of the client's own.
    auth : requests auth, optional
        Signs for every object that is not given one of its own. By default, what
        `astro_cloud.auth.auth_for` chooses for each object's URL.
    settings : Settings, optional
        Timeouts, retries, concurrency, endpoint.

    Examples
    --------
    >>> with Client() as client:
    ...     first, second = client.read_ranges("s3://bucket/key", [(0, 2880), (28800, 31680)])
    """

    def __init__(
        self, *, session: Session | None = None, auth: Any = None, settings: Settings | None = None
    ) -> None:
        self._resources = Resources(settings or Settings(), session)
        self._auth = auth
        self._aws = AWSAuth(
            profile=self.settings.profile, region=self.settings.region, clock=self.settings.clock
        )

    @property
    def settings(self) -> Settings:
        """What the client was made with."""
        return self._resources.settings

    @property
    def usage(self) -> Usage:
        """Requests, round trips and bytes so far."""
        return self._resources.usage

    def __repr__(self) -> str:
        return f"<Client {self.usage!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the client's own connections and threads; it may be used again."""
        self._resources.close()

    def pin(
        self,
        location: str | os.PathLike[str] | Location,
        *,
        auth: Any = None,
        service: CloudService | None = None,
        request_payer: bool = False,
    ) -> PinnedObject | LocalObject:
        """Prepare to read ranges of one version of an object, or of a local file, which nobody signs for.

        Parameters
        ----------
        location : str, path or Location
            The object.
        auth : requests auth, optional
            Signs for it; by default the client's, the injected session's, or the one
            `astro_cloud.auth.auth_for` chooses.
        service : CloudService, optional
            The provider, where the host name does not tell.
        request_payer : bool
            Offer to pay for requests to a requester-pays bucket.

        Raises
        ------
        InvalidLocationError
            If `location` names no object.
        CredentialsError
            If `request_payer` is asked for and there are no credentials to charge.
        """
        location = Location.parse(location, self.settings)
        if location.path is not None:
            return LocalObject(location)
        route = self._route(location, auth, request_payer, service=service)
        return PinnedObject(self._resources, Pin(route))

    def stat(
        self, location: str | os.PathLike[str] | Location, *, auth: Any = None, request_payer: bool = False
    ) -> ObjectInfo:
        """Ask what is known of an object without its bytes: one HEAD.

        Where the server does not serve HEAD, or refuses it without saying why, one byte is asked for.

        Parameters
        ----------
        location : str, path or Location
            The object, or a local file.
        auth, request_payer
            As `pin` takes them.

        Raises
        ------
        ObjectNotFoundError
            If there is none.
        AccessDeniedError
            If it may not be read; so S3 answers, too, for an object that does not exist in a bucket
            that may not be listed.
        StorageError
            If it cannot be told.
        """
        location = Location.parse(location, self.settings)
        if location.path is not None:
            return stat_file(location)
        read = StatRead(self._resources, self._route(location, auth, request_payer))
        try:
            return read.run()
        finally:
            self.usage.add(round_trips=read.requests)

    def exists(self, location: str | os.PathLike[str] | Location, **options: Any) -> bool:
        """Tell whether there is an object; takes and raises what `stat` does.

        Only what the server says does not exist is False. A refusal is not an absence: it raises.
        """
        try:
            self.stat(location, **options)
        except ObjectNotFoundError:
            return False
        return True

    @overload
    def list_objects(
        self,
        location: str | os.PathLike[str] | Location,
        pattern: str | None = None,
        *,
        delimiter: None = None,
        page_size: int | None = None,
        auth: Any = None,
        request_payer: bool = False,
    ) -> Iterator[ObjectInfo]: ...

    @overload
    def list_objects(
        self,
        location: str | os.PathLike[str] | Location,
        pattern: str | None = None,
        *,
        delimiter: str | None,
        page_size: int | None = None,
        auth: Any = None,
        request_payer: bool = False,
    ) -> Iterator[ObjectInfo | CommonPrefix]: ...

    def list_objects(
        self,
        location: str | os.PathLike[str] | Location,
        pattern: str | None = None,
        *,
        delimiter: str | None = None,
        page_size: int | None = None,
        auth: Any = None,
        request_payer: bool = False,
    ) -> Iterator[Any]:
        """List the objects of a bucket, or the files of a local folder.

        A page is asked for when the one before is used up: whoever stops early pays for no more.

        Parameters
        ----------
        location : str, path or Location
            A bucket, or what the keys begin with: ``s3://bucket/dir/``; or a local folder. Of a text that
            is no ``https://`` or ``file://`` URL, what follows the last slash before the first ``*``,
            ``?`` or ``[`` is a pattern; a `Location` is never read so.
        pattern : str, optional
            Joined to the location by a slash, as paths are, and matched by whole keys: ``*``, ``?`` and
            ``[...]`` match no slash, ``**`` does. The server is asked for keys that begin as it does.
        delimiter : str, optional
            ``"/"``: list one folder, as ``ls`` does. What holds the delimiter further on is not listed; what
            it begins with, up to the delimiter, is, as a `CommonPrefix`.
        page_size : int, optional
            Entries of a page at most; by default, and where it allows no more, the server's bound (1,000
            at S3 and Google, 5,000 at Azure).
        auth, request_payer
            As `pin` takes them.

        Returns
        -------
        iterator of ObjectInfo, or CommonPrefix where there is a delimiter
            By key in UTF-8's order, if the server keeps to it.

        Raises
        ------
        InvalidLocationError, ValueError
            At once, if nothing can be listed there, or not so.
        ObjectNotFoundError
            While listing: if there is no such bucket, or no such folder here.
        AccessDeniedError, StorageError
            While listing: if the bucket may not be listed, or what comes is not a listing.
        """
        listing = Listing.of(
            location, pattern, delimiter=delimiter, page_size=page_size, settings=self.settings
        )
        place = listing.location
        if place.path is not None:
            return list_folder(listing)
        return list_bucket(
            self._resources, listing, lambda url: self._route(place, auth, request_payer, url=url)
        )

    def _route(
        self,
        location: Location,
        auth: Any,
        request_payer: bool,
        *,
        service: CloudService | None = None,
        url: str | None = None,
    ) -> Route:
        presigned = endpoints.is_presigned(location.url)  # S3 takes no other signature, nor unsigned headers
        chosen = self._chosen(auth)
        return Route(
            self._resources.transport,
            location,
            Anonymous()
            if presigned
            else chosen or self._inferred(location, service, request_payer, self._aws),
            url=url,
            inferred=chosen is None,
            request_payer=request_payer and not presigned,
        )

    def auth_of(self, location: Location, *, auth: Any = None, request_payer: bool = False) -> Any:
        """Return what signs for a location outside of this client's own requests; None for nobody.

        Takes `auth` and `request_payer` as `pin` does; an auth that is inferred offers to pay itself.
        """
        paying = AWSAuth(
            request_payer,
            profile=self.settings.profile,
            region=self.settings.region,
            clock=self.settings.clock,
        )
        return self._chosen(auth) or self._inferred(_at_a_server(location), None, request_payer, paying)

    def _chosen(self, auth: Any) -> Any:
        """Return the auth that somebody gave: for an object, the client or its session."""
        chosen = auth or self._auth or self._resources.transport.session_auth
        return HTTPBasicAuth(*chosen) if isinstance(chosen, tuple) else chosen

    def _inferred(
        self, location: Location, service: CloudService | None, request_payer: bool, aws: AWSAuth
    ) -> AuthBase | None:
        return auth_for(
            location.url,
            service=service or self._configured_service(location),
            endpoint_url=self.settings.s3_endpoint(),
            request_payer=request_payer,
            aws=aws,
        )

    def _configured_service(self, location: Location) -> CloudService | None:
        """Name the service of a location at an endpoint the user configured, who vouches for it so."""
        if (
            location.provider in ("gcp", "azure")
            and endpoints.endpoint_of(endpoints.host_of(location.url)) is None
        ):
            return CloudService.ObjectStorage if location.provider == "gcp" else CloudService.BlobStorage
        return None

    def read_ranges(
        self,
        location: str | os.PathLike[str] | Location,
        ranges: Sequence[tuple[int, int]],
        into: Sequence[Any] | None = None,
        **options: Any,
    ) -> list[Any]:
        """Read byte ranges [start, stop) of an object, all at once, in the order given.

        Takes the keywords of `pin` too; returns and raises what `PinnedObject.read_ranges` does.
        """
        return self.pin(location, **options).read_ranges(ranges, into)


def _at_a_server(location: Location) -> Location:
    if location.path is not None:
        raise InvalidLocationError(f"{location}: a local file, for which nobody needs to sign")
    return location
