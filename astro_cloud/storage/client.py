"""Client: owns the connections, the settings and the counts; hands out pinned objects."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from requests import Session
from requests.auth import AuthBase, HTTPBasicAuth

from astro_cloud.auth import endpoints
from astro_cloud.auth.aws import AWSAuth
from astro_cloud.auth.providers import Anonymous, CloudService, auth_for
from astro_cloud.exceptions import InvalidLocationError
from astro_cloud.storage.local import LocalObject
from astro_cloud.storage.location import Location
from astro_cloud.storage.pin import Pin
from astro_cloud.storage.pinned import PinnedObject
from astro_cloud.storage.resources import Resources
from astro_cloud.storage.route import Route
from astro_cloud.storage.settings import Settings
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
        presigned = endpoints.is_presigned(location.url)  # S3 takes no other signature, nor unsigned headers
        chosen = self._chosen(auth)
        route = Route(
            self._resources.transport,
            location,
            Anonymous()
            if presigned
            else chosen or self._inferred(location, service, request_payer, self._aws),
            inferred=chosen is None,
            request_payer=request_payer and not presigned,
        )
        return PinnedObject(self._resources, Pin(route))

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
