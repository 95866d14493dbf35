"""What all reads of one object share: where it is, which version it is, what signs for it."""

from __future__ import annotations

import threading
from typing import Any

from astro_cloud.auth import endpoints
from astro_cloud.forking import restart_after_fork
from astro_cloud.storage.answers import Version, changed
from astro_cloud.storage.location import Location
from astro_cloud.storage.transport import Target, Transport

__all__ = ["Pin"]

_IDENTITY = {"Accept-Encoding": "identity"}
_PAYER = {"x-amz-request-payer": "requester"}


class Pin:
    """The version of an object that reads are held to, and the request they are made from.

    Attributes
    ----------
    location : Location
        What is read.
    inferred : bool
        The auth was chosen here, so that a refusal may be asked again without it.
    version : Version or None
        None before the first answer.
    origin, target : Target
        Where the location says the object is, and where an answer last came from.
    """

    def __init__(
        self, transport: Transport, location: Location, auth: Any, *, inferred: bool, request_payer: bool
    ) -> None:
        self.location = location
        self.inferred = inferred
        self.version: Version | None = None
        self._transport = transport
        self.origin = transport.target(
            location.url,
            auth=auth,
            headers=_IDENTITY | (_PAYER if request_payer else {}),
            exact=location.provider is not None,
            foreign=False,
        )
        self.target = self.origin
        self._start()

    def _start(self) -> None:
        """Let no other thread be comparing."""
        restart_after_fork(self, Pin._start)
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The location as the user wrote it, for messages."""
        return self.location.text

    def accept(self, version: Version, target: Target | None = None) -> None:
        """Pin the version that an answer is of, and remember where it came from.

        Raises
        ------
        ObjectChangedError
            If another answer, maybe of another thread, was of another version.
        """
        with self._lock:
            known = self.version
            change = version.differs_from(known) if known is not None else None
            if change:
                raise changed(self.name, change)
            self.version = known.completed_by(version) if known is not None else version
            self.target = target or self.target

    def redirected(self, target: Target, url: str) -> Target:
        """Prepare the target a redirect leads to: signed at the same service, else stripped."""
        if endpoints.same_service(target.url, url) and not endpoints.is_presigned(url):
            return self.moved(target, url)
        return self._transport.target(url, auth=None, headers=_IDENTITY, exact=False, foreign=True)

    def moved(self, target: Target, url: str, auth: Any = None) -> Target:
        """Prepare the same request at another URL of the same service, or with another auth."""
        payer = {name: value for name, value in _PAYER.items() if name in target.template.headers}
        return self._transport.target(
            url,
            auth=auth or target.auth,
            headers=_IDENTITY | payer,
            exact=self.location.provider is not None,
            foreign=target.foreign,
        )
