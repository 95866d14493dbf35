"""Where requests for a location go: its own URL, and where redirects led from there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from astro_cloud.auth import endpoints
from astro_cloud.storage.location import Location
from astro_cloud.storage.transport import Target, Transport

__all__ = ["Route"]

_IDENTITY = {"Accept-Encoding": "identity"}
_PAYER = {"x-amz-request-payer": "requester"}


class Route:
    """The way to a location, and what signs on it.

    Attributes
    ----------
    location : Location
        What is asked for.
    inferred : bool
        The auth was chosen here, so that a refusal may be asked again without it.
    origin, target : Target
        Where the location says it is, and where an answer last came from.
    """

    def __init__(
        self,
        transport: Transport,
        location: Location,
        auth: Any,
        *,
        url: str | None = None,
        inferred: bool,
        request_payer: bool,
    ) -> None:
        self.location = location
        self.inferred = inferred
        self._transport = transport
        self._given = {"auth": auth, "url": url, "request_payer": request_payer}
        self.origin = self._target(
            url or location.url, auth, _IDENTITY | (_PAYER if request_payer else {}), foreign=False
        )
        self.target = self.origin

    def __getstate__(self) -> dict[str, Any]:
        """Keep what was given, and not what was prepared of it: that may hold credentials found here."""
        return {
            "transport": self._transport,
            "location": self.location,
            "inferred": self.inferred,
            **self._given,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        Route.__init__(self, **state)

    @property
    def name(self) -> str:
        """The location as the user wrote it, for messages."""
        return self.location.text

    def redirected(self, target: Target, url: str) -> Target:
        """Prepare the target a redirect leads to: signed at the same service, else stripped."""
        if endpoints.same_service(target.url, url) and not endpoints.is_presigned(url):
            return self.moved(target, url)
        return self._transport.target(url, auth=None, headers=_IDENTITY, exact=False, foreign=True)

    def moved(self, target: Target, url: str, auth: Any = None) -> Target:
        """Prepare the same request at another URL of the same service, or with another auth."""
        payer = {name: value for name, value in _PAYER.items() if name in target.template.headers}
        return self._target(url, auth or target.auth, _IDENTITY | payer, foreign=target.foreign)

    def _target(self, url: str, auth: Any, headers: Mapping[str, str], *, foreign: bool) -> Target:
        exact = self.location.provider is not None
        return self._transport.target(url, auth=auth, headers=headers, exact=exact, foreign=foreign)
