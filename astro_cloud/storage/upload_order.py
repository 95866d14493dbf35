"""What is to be stored where, on which terms; and the questions about it that every store answers alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Self, TypeVar

from astro_cloud.auth import sharedkey
from astro_cloud.auth.aws import AWSAuth
from astro_cloud.auth.endpoints import endpoint_of, host_of, is_presigned
from astro_cloud.exceptions import (
    AccessDeniedError,
    InvalidLocationError,
    ObjectExistsError,
    ObjectNotFoundError,
    StorageError,
)
from astro_cloud.storage.answers import Answer
from astro_cloud.storage.checksum import Algorithm
from astro_cloud.storage.location import Location
from astro_cloud.storage.object_info import ObjectInfo
from astro_cloud.storage.resources import Resources
from astro_cloud.storage.route import Route
from astro_cloud.storage.s3_uploads import GONE
from astro_cloud.storage.stop import Stop
from astro_cloud.storage.upload_checks import Checks, checks_for
from astro_cloud.storage.upload_write import Call, Reply, Write
from astro_cloud.storage.validators import entity_tag, http_date

__all__ = ["Order"]

_VERSION_HEADERS = ("x-amz-version-id", "x-goog-generation", "x-ms-version-id")
_AMAZON_STATES = {"x-amz-checksum-mode": "ENABLED"}

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Order:
    """One upload, as its user asked for it.

    Attributes
    ----------
    resources : Resources
    route_to : callable
        Makes the way to a URL of the location's bucket.
    route : Route
        The way to the object.
    checks : Checks
        What is sent of checksums.
    overwrite : bool
        False if an object that is there is to stay.
    resume : bool
        Go on with what an earlier call left, and leave what this one cannot end.
    content_type : str or None
    stop : Stop or None
        Has it all given up, where whoever asks brings none.
    is_hasty : bool
        Nothing is tried twice, as time and again it was in vain.
    """

    resources: Resources
    route_to: Callable[[str], Route]
    route: Route
    checks: Checks
    overwrite: bool = True
    resume: bool = False
    content_type: str | None = None
    stop: Stop | None = None
    is_hasty: bool = False

    @classmethod
    def of(
        cls,
        resources: Resources,
        location: Location,
        route_to: Callable[[str], Route],
        *,
        algorithm: Algorithm | None,
        overwrite: bool = True,
        resume: bool = False,
        content_type: str | None = None,
        stop: Stop | None = None,
    ) -> Self:
        """Make the order for a location.

        Raises
        ------
        InvalidLocationError
            If nothing can be uploaded there.
        ValueError
            If its store does not know the checksum.
        """
        _refuse(location)
        route = route_to(location.url)
        speaks_amazon = isinstance(route.origin.auth, AWSAuth)
        checks = checks_for(location.provider, location.url, algorithm, speaks_amazon=speaks_amazon)
        order = cls(resources, route_to, route, checks, overwrite, resume, content_type, stop)
        return order if order._can_go_on else replace(order, resume=False)

    @property
    def location(self) -> Location:
        """Of the object."""
        return self.route.location

    @property
    def is_azure(self) -> bool:
        """Tell whether the store speaks Azure's language."""
        return self.location.provider == "azure" or _is_shared_by_azure(self.location.url)

    @property
    def _can_go_on(self) -> bool:
        """Tell whether an earlier call's parts serve: only Azure is told the media type in the end."""
        return self.content_type is None or self.is_azure

    @property
    def is_amazon(self) -> bool:
        """Tell whether the store is Amazon's own."""
        endpoint = endpoint_of(host_of(self.location.url))
        return endpoint is not None and endpoint.provider == "aws"

    @property
    def is_conditional(self) -> bool:
        """Tell whether the store is known to heed a condition; rclone does not, nor Ceph of parts."""
        return self.is_amazon or self.location.provider in ("gcp", "azure", None)

    def write(self, call: Call, route: Route | None = None) -> Write:
        """Prepare a request to the object, or along another route."""
        return Write(self.resources, route or self.route, call, is_last=self.is_hasty)

    def ask(self, call: Call, stop: Stop | None = None, route: Route | None = None) -> Reply:
        """Carry a call out."""
        write = self.write(call, route)
        try:
            return write.run(stop or self.stop)
        finally:
            self.resources.usage.add(round_trips=write.requests)

    def once(self, call: Call, stored: Callable[[Reply], _T], found: Callable[[Order], _T | None]) -> _T:
        """Carry out what makes the object; where an answer was lost, see whether it did.

        Parameters
        ----------
        call : Call
        stored : callable
            Makes the result of the answer.
        found : callable
            Makes it of the object that is there, if that is this one; else returns None. Takes the order to
            ask by.
        """
        write = self.write(call)
        try:
            reply = write.run(self.stop)
        except StorageError as error:
            own = self._looked_for(found, error) if self._may_have_acted(call, write, error) else None
            if own is None:
                raise
            return own
        finally:
            self.resources.usage.add(round_trips=write.requests)
        return stored(reply)

    def _may_have_acted(self, call: Call, write: Write, error: StorageError) -> bool:
        """Tell whether the object may be there in spite of an error."""
        if write.may_have_acted:
            return True
        if isinstance(error, ObjectNotFoundError):  # the upload is gone: somebody ended it, perhaps we
            return call.absent == GONE
        return isinstance(error, ObjectExistsError) and self.resources.transport.is_injected

    def _looked_for(self, found: Callable[[Order], _T | None], after: StorageError) -> _T | None:
        is_answered = isinstance(after, ObjectExistsError | ObjectNotFoundError)
        try:
            return found(self if is_answered else replace(self, is_hasty=True))
        except StorageError:  # what was answered before says more
            return None

    def condition(self) -> Mapping[str, str]:
        """Return the header that keeps the object that is there, if that is asked for."""
        if self.overwrite:
            return {}
        if self.location.provider == "gcp":
            return {"x-goog-if-generation-match": "0"}
        return {"If-None-Match": "*"}

    def dialect(self) -> Mapping[str, str]:
        """Return what Azure wants with each request."""
        return {"x-ms-version": sharedkey.VERSION} if self.location.provider == "azure" else {}

    def existing(self, stop: Stop | None = None) -> Answer | None:
        """Ask for the object that is there."""
        headers = {**self.dialect(), **(_AMAZON_STATES if self.is_amazon else {})}
        try:
            return self.ask(Call("HEAD", headers=headers, absent="no such object"), stop).head
        except ObjectNotFoundError:
            return None

    def refuse_existing(self, stop: Stop | None = None) -> None:
        """Raise `ObjectExistsError` if there is an object that is to stay.

        Who may write and not read is not asked where the store heeds a condition.
        """
        if self.overwrite:
            return
        try:
            exists = self.existing(stop) is not None
        except AccessDeniedError:
            if not self.is_conditional:
                raise
            return
        if exists:
            name = self.route.name
            message = f"{name}: there is an object already, and it was not to be overwritten"
            raise ObjectExistsError(message, location=name)

    def info(self, headers: Mapping[str, str], size: int, etag: str | None = None) -> ObjectInfo:
        """Describe the object out of the answer of the store."""
        return ObjectInfo(
            self.location,
            size,
            entity_tag(etag or headers.get("ETag")),
            http_date(headers.get("Last-Modified")),
            next((headers[name] for name in _VERSION_HEADERS if headers.get(name)), None),
            self.content_type,
        )

    def understood(self, read: Callable[[bytes], _T], body: bytes) -> _T:
        """Read the body of an answer; raise `StorageError` if it is not what it should be."""
        try:
            return read(body)
        except (ValueError, KeyError) as error:
            raise self.malformed(error) from None

    def malformed(self, what: object) -> StorageError:
        """Make the error for an answer that is none."""
        name = self.route.name
        return StorageError(f"{name}: the server's answer to an upload makes no sense: {what}", location=name)


def _refuse(location: Location) -> None:
    if location.path is not None:
        raise InvalidLocationError(f"{location}: a local file: copy what belongs there, as with shutil.copy")
    if location.version is not None:
        raise InvalidLocationError(f"{location}: names one version of an object, which nobody can write")
    if location.provider is None and not is_presigned(location.url):
        raise InvalidLocationError(
            f"{location}: a web server takes no uploads: write s3://bucket/key, or a URL signed for PUT"
        )


def _is_shared_by_azure(url: str) -> bool:
    """Tell a URL with a shared access signature."""
    names = {part.partition("=")[0].lower() for part in url.partition("?")[2].split("&")}
    return is_presigned(url) and {"sig", "sv"} <= names
