"""The seam: a prepared request out, an open answer back.

What stands behind it, a `requests` session or connections of our own, nobody above knows: another
HTTP engine would be one more module like `session_engine` and `connection_engine`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Protocol, Self

from requests import PreparedRequest

from astro_cloud.auth.refusal import ERROR_BODY_LIMIT
from astro_cloud.storage.answers import Answer
from astro_cloud.storage.stop import Stop

__all__ = ["Engine", "OpenAnswer"]


class OpenAnswer(ABC):
    """An answer whose body is still on the wire; a context manager that frees its connection."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def head(self) -> Answer:
        """Return status and headers; for anything but a success also the start of the body."""

    @abstractmethod
    def read(self, size: int) -> bytes:
        """Read the next bytes of the body, at most `size`; none at its end.

        Raises
        ------
        Exception
            One of `foreign_errors.FOREIGN_ERRORS`, as from the methods below.
        """

    @abstractmethod
    def readinto(self, view: memoryview) -> int:
        """Read the next bytes of the body to where `view` begins; return how many, 0 at its end."""

    @abstractmethod
    def close(self) -> None:
        """Keep the connection if the body was read to its end, else close it."""

    def start_of_error(self) -> bytes:
        """Read what a server says of an error, as far as it is worth it."""
        said = b""
        while len(said) < ERROR_BODY_LIMIT and (chunk := self.read(ERROR_BODY_LIMIT - len(said))):
            said += chunk
        return said


class Engine(Protocol):
    """Sends requests, from any number of threads."""

    def send(self, request: PreparedRequest, stop: Stop | None) -> OpenAnswer:
        """Send a prepared request and wait for the head of its answer; redirects are not followed.

        Where `stop` is set meanwhile, the connection is shut down, if the engine can.

        Raises
        ------
        Exception
            One of `foreign_errors.FOREIGN_ERRORS`.
        """

    def close(self) -> None:
        """Close the connections that are the engine's own; it may be used again."""
