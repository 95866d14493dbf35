"""Client: owns the connections, the settings and the counts; reads, asks, lists and uploads by them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, overload

from requests import Session
from requests.auth import AuthBase, HTTPBasicAuth

from astro_cloud.auth import endpoints
from astro_cloud.auth.aws import AWSAuth
from astro_cloud.auth.providers import Anonymous, CloudService, auth_for
from astro_cloud.exceptions import InvalidLocationError, ObjectNotFoundError
from astro_cloud.storage.listing import Listing, list_bucket
from astro_cloud.storage.local import LocalObject
from astro_cloud.storage.local_listing import list_folder, stat_file
from astro_cloud.storage.local_names import base_name
from astro_cloud.storage.location import Location
from astro_cloud.storage.object_info import CommonPrefix, ObjectInfo
from astro_cloud.storage.pin import Pin
from astro_cloud.storage.pinned import PinnedObject
from astro_cloud.storage.resources import Resources
from astro_cloud.storage.route import Route
from astro_cloud.storage.settings import Settings
from astro_cloud.storage.stat_read import StatRead
from astro_cloud.storage.usage import Usage

if TYPE_CHECKING:
    from astro_cloud.storage.progress import ProgressOption
    from astro_cloud.storage.stop import Stop
    from astro_cloud.storage.uploads import Wanted

__all__ = ["Client"]


class Client:
    """Reads byte ranges of objects and stores new ones over pooled connections, through faults.

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
    def resources(self) -> Resources:
        """What all its requests share, for the modules beside this one."""
        return self._resources

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

    def upload(
        self,
        source: Any,
        location: str | os.PathLike[str] | Location,
        *,
        progress: ProgressOption = None,
        workers: int | None = None,
        overwrite: bool = True,
        resume: bool = False,
        checksum: str | None = None,
        content_type: str | None = None,
        part_size: int | None = None,
        auth: Any = None,
        request_payer: bool = False,
    ) -> ObjectInfo:
        """Store a file, bytes, or what a stream gives, as an object.

        Up to twice `part_size` is sent by one request, more in parts, several at once. An upload that fails
        or is interrupted leaves no part behind (Azure forgets them after a week), unless it may be resumed.

        Parameters
        ----------
        source : path, bytes-like or binary file
            A file is read from where it stands to its end, and not closed; it need not be seekable, nor tell
            its length. Of what is no file of the system, at most 64 MiB are held, or two parts.
        location : str or Location
            An object of a bucket or container; or a URL that is signed for PUT.
        progress : bool or callable, optional
            True for a bar on standard error, if that is a terminal; or a function that is called with the
            bytes sent and all there are (None where that is not known), by one thread at a time; the first
            number never decreases.
        workers : int, optional
            Parts on their way at once; by default, and at most, the `concurrency` of the settings.
        overwrite : bool
            False: keep an object that is there.
        resume : bool
            Go on with what an earlier call left that failed, with parts that hold the same bytes; and if
            this one fails, keep what it sent for the next. With a `content_type`, on Azure alone: elsewhere
            it is told when an upload begins, and nobody can see what an earlier call told.
        checksum : str, optional
            What is sent to be checked on arrival, as ``"sha256"``: by default what the store keeps, or
            MD5. With a digest, ``"md5:9e10..."``: what the bytes must have to be stored at all.
        content_type : str, optional
            The media type to store with it.
        part_size : int, optional
            Bytes of a part, 8 MiB by default; they are more where the store allows no more parts.
        auth, request_payer
            As `pin` takes them.

        Returns
        -------
        ObjectInfo
            What the store says of the new object.

        Raises
        ------
        ObjectExistsError
            If there is one, and `overwrite` is False.
        ObjectChangedError
            If a file changed while it was uploaded.
        ChecksumError
            If the bytes arrive damaged, time and again, or do not have the checksum given.
        InvalidLocationError
            If nothing can be uploaded there: local files, and web servers.
        AccessDeniedError, StorageError
            If it cannot be stored.
        ValueError
            If the store knows no such checksum, or takes no such parts.
        """
        options: dict[str, Any] = {"overwrite": overwrite, "resume": resume, "content_type": content_type}
        access: dict[str, Any] = {"auth": auth, "request_payer": request_payer}
        from astro_cloud.storage.uploads import Wanted  # a program that only reads loads none of it

        wanted = Wanted.of(checksum, part_size, workers, self.settings.concurrency)
        return self._upload(source, location, wanted, progress, **access, **options)

    def _upload(
        self,
        source: Any,
        location: str | os.PathLike[str] | Location,
        wanted: Wanted,
        progress: ProgressOption,
        *,
        auth: Any = None,
        request_payer: bool = False,
        stop: Stop | None = None,
        **options: Any,
    ) -> ObjectInfo:
        """Upload as `upload` does, until `stop` is set; takes the options of `Order.of`."""
        from astro_cloud.storage.progress import progress_of
        from astro_cloud.storage.upload_order import Order
        from astro_cloud.storage.upload_source import opened
        from astro_cloud.storage.uploads import carry_out

        location = Location.parse(location, self.settings)
        order = Order.of(
            self._resources,
            location,
            lambda url: self._route(location, auth, request_payer, url=url, writes=True),
            algorithm=wanted.algorithm,
            stop=stop,
            **options,
        )
        with opened(source) as content, progress_of(progress, base_name(location)) as shown:
            return carry_out(order, content, wanted, shown)

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
        writes: bool = False,
    ) -> Route:
        presigned = endpoints.is_presigned(location.url)  # S3 takes no other signature, nor unsigned headers
        chosen = self._chosen(auth)
        return Route(
            self._resources.transport,
            location,
            Anonymous()
            if presigned
            else chosen or _that_writes(self._inferred(location, service, request_payer, self._aws), writes),
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


def _that_writes(auth: Any, writes: bool) -> Any:
    """Have Google's credentials ask for the permission to write, where it is needed."""
    if not writes or getattr(auth, "scope", None) != "read_only":
        return auth
    from astro_cloud.auth.gcp import GCPAuth

    return GCPAuth(auth.user_project, scope="read_write")


def _at_a_server(location: Location) -> Location:
    if location.path is not None:
        raise InvalidLocationError(f"{location}: a local file, for which nobody needs to sign")
    return location
