"""Requests about an object as a whole: all its bytes by one GET, or its checksums by one HEAD."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from requests import PreparedRequest

from astro_cloud.auth import endpoints
from astro_cloud.exceptions import IncompleteReadError, StorageError
from astro_cloud.storage.answers import Answer, Fail, Version, failure_of, version_of
from astro_cloud.storage.checksum import Checksum, stored_checksums
from astro_cloud.storage.engine import OpenAnswer
from astro_cloud.storage.exchange import Done, Exchange, Outcome
from astro_cloud.storage.resources import Resources
from astro_cloud.storage.route import Route

__all__ = ["ChecksumRead", "Stream", "Whole", "WholeRead"]

_CHUNK = 1 << 20

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Whole:
    """What an answer about a whole object said.

    Attributes
    ----------
    version : Version
        Its total is known once all has been read.
    checksums : tuple of Checksum
        As `stored_checksums` orders them.
    content_coding : str or None
        How the bytes that are stored are compressed.
    is_delimited : bool
        The answer said where it ends.
    """

    version: Version
    checksums: tuple[Checksum, ...]
    content_coding: str | None = None
    is_delimited: bool = True


def cut_short(name: str, came: int | None, size: int | None) -> IncompleteReadError:
    """Make the error for a body whose end nothing marked, and which ends before the object does."""
    message = f"{name}: the connection closed after {came} of {size} bytes, as if they were all"
    return IncompleteReadError(message, location=name)


class Stream(Protocol):
    """Takes a whole object, in the order of its bytes."""

    def restart(self) -> None:
        """Forget what came: it will come again from the start."""

    def take(self, answer: OpenAnswer, size: int) -> int:
        """Take up to `size` bytes of the body; return how many came, 0 at its end."""


class _WholeExchange(Exchange[_T]):
    """Asks for what S3 keeps of an object's checksums beside the answer."""

    _method: Literal["GET", "HEAD"]

    def _compose(self, request: PreparedRequest) -> None:
        request.method = self._method
        target = self._target
        # a signature in the URL covers every x-amz-* header
        if self._route.location.provider in ("aws", "spaces") and not (
            target.foreign or endpoints.is_presigned(target.url)
        ):
            request.headers["x-amz-checksum-mode"] = "ENABLED"

    def _whole(self, answer: Answer, size: int | None) -> Whole:
        endpoint = endpoints.endpoint_of(endpoints.host_of(self._target.url))
        found = stored_checksums(
            answer.headers, whole=True, etag_is_md5=endpoint is not None and endpoint.provider == "aws"
        )
        chunked = "chunked" in answer.headers.get("Transfer-Encoding", "").lower()
        delimited = chunked or answer.length is not None
        return Whole(version_of(answer, size), tuple(found), answer.content_coding, delimited)

    def _use(self, answer: OpenAnswer) -> Outcome[_T]:
        head = answer.head()
        if head.status != 200:
            return failure_of(head, self._route.name, now=self._resources.settings.clock())
        return self._use_success(answer, head)

    @abstractmethod
    def _use_success(self, answer: OpenAnswer, head: Answer) -> Outcome[_T]:
        """Use an answer 200."""


class ChecksumRead(_WholeExchange[Whole]):
    """Asks which checksums a store keeps of an object, by HEAD."""

    _method = "HEAD"

    def _use_success(self, answer: OpenAnswer, head: Answer) -> Outcome[Whole]:
        self._accepted()
        return Done(self._whole(head, head.length))


class WholeRead(_WholeExchange[Whole]):
    """Reads an object from its first byte to its last by one request; from the start again after a fault.

    Parameters
    ----------
    stream : Stream
        Takes the bytes, as they are stored.
    """

    _method = "GET"

    def __init__(self, resources: Resources, route: Route, stream: Stream) -> None:
        super().__init__(resources, route)
        self._stream = stream

    def _use_success(self, answer: OpenAnswer, head: Answer) -> Outcome[Whole]:
        if "Content-Range" in head.headers:
            name = self._route.name
            message = f"{name}: the server answers a request for the whole object with a part of it"
            return Fail(StorageError(message, location=name, status=head.status))
        self._stream.restart()
        received = 0
        try:
            while came := self._stream.take(answer, _CHUNK):
                received += came
                if head.length is not None and received == head.length:
                    break
        finally:
            self._resources.usage.add(bytes=received)
        if head.length is not None and received != head.length:
            raise ConnectionResetError("the body is shorter than announced")
        self._accepted()
        return Done(self._whole(head, received))
