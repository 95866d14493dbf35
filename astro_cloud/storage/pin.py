"""What all reads of one object share: where it is, which version it is, what signs for it."""

from __future__ import annotations

import threading

from astro_cloud.forking import restart_after_fork
from astro_cloud.storage.answers import Version, changed
from astro_cloud.storage.location import Location
from astro_cloud.storage.route import Route

__all__ = ["Pin"]


class Pin:
    """The version of an object that reads are held to.

    Attributes
    ----------
    route : Route
        Where it is read.
    version : Version or None
        None before the first answer.
    takes_if_match : bool
        False once the server was seen to refuse If-Match; versions are compared here all the same.
    wants_proof : bool
        The version is from an earlier program: an answer must show that it is of the same, and not only
        not show that it is of another.
    """

    def __init__(self, route: Route) -> None:
        self.route = route
        self.version: Version | None = None
        self.takes_if_match = True
        self.wants_proof = False
        self._start()

    def _start(self) -> None:
        """Let no other thread be comparing."""
        restart_after_fork(self, Pin._start)
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, object]:
        return {
            "route": self.route,
            "version": self.version,
            "takes_if_match": self.takes_if_match,
            "wants_proof": self.wants_proof,
        }

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._start()

    @property
    def location(self) -> Location:
        """What is read."""
        return self.route.location

    @property
    def name(self) -> str:
        """The location as the user wrote it, for messages."""
        return self.route.name

    @property
    def size(self) -> int | None:
        """Size of the object in bytes, once an answer told it."""
        return self.version.total if self.version is not None else None

    def hold_to(self, version: Version) -> None:
        """Hold reads to a version from an earlier program; the first answer must show that it is the same."""
        self.version, self.wants_proof = version, True

    def accept(self, version: Version) -> None:
        """Pin the version that an answer is of.

        Raises
        ------
        ObjectChangedError
            If another answer, maybe of another thread, was of another version.
        """
        known = self.version
        if known == version:
            return
        with self._lock:
            known = self.version
            change = version.differs_from(known) if known is not None else None
            if change:
                raise changed(self.name, change)
            self.version = known.completed_by(version) if known is not None else version
