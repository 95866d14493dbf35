"""Pinned reads: many byte ranges of one version of one object.

`PinnedObject` holds what all reads of an object share: where it is, which version it is, what signs
for it. Each range is read by a `RangeRead` of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from astro_cloud.auth import endpoints
from astro_cloud.exceptions import ObjectChangedError
from astro_cloud.storage.answers import Version
from astro_cloud.storage.byterange import ByteRange
from astro_cloud.storage.location import Location
from astro_cloud.storage.range_read import RangeRead
from astro_cloud.storage.transport import Target

if TYPE_CHECKING:
    from astro_cloud.storage.client import Client

__all__ = ["PinnedObject"]

_IDENTITY = {"Accept-Encoding": "identity"}
_PAYER = {"x-amz-request-payer": "requester"}


class PinnedObject:
    """Reads byte ranges of one object, all of the same version.

    Made by `Client.pin`. The first answer's ETag, size and date are kept; every later read must be of
    that version.

    Attributes
    ----------
    location : Location
        What is read.
    """

    def __init__(
        self, client: Client, location: Location, auth: Any, *, inferred: bool, request_payer: bool
    ) -> None:
        self.client = client
        self.location = location
        self.inferred = inferred
        self.version: Version | None = None
        self._lock = threading.Lock()
        self.origin = client.transport.target(
            location.url,
            auth=auth,
            headers=_IDENTITY | (_PAYER if request_payer else {}),
            exact=location.provider is not None,
            foreign=False,
        )
        self.target = self.origin

    def __repr__(self) -> str:
        return f"<PinnedObject {self.location}>"

    @property
    def name(self) -> str:
        """The location as the user wrote it, for messages."""
        return self.location.text

    @property
    def size(self) -> int | None:
        """Size of the object in bytes; None before the first read, or if the server never said."""
        return self.version.total if self.version is not None else None

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read byte ranges [start, stop), all at once, in the order given.

        Each is cut at the object's end, as a file is; it is empty if it begins there or later.

        Raises
        ------
        ObjectChangedError
            If the object was overwritten since the first read.
        StorageError
            If a range cannot be read; see `astro_cloud.exceptions`.
        ValueError
            Unless 0 <= start < stop for every range.
        """
        reads = [RangeRead(self, ByteRange(start, stop)) for start, stop in ranges]
        try:
            return self.client.run_all([read.run for read in reads])
        finally:
            self.client.usage.add(round_trips=max((read.requests for read in reads), default=0))

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
                raise ObjectChangedError(
                    f"{self.name}: the object was overwritten while it was read: {change}. "
                    "Read it again from the start",
                    location=self.name,
                )
            if known is None or (known.total is None and version.total is not None):
                self.version = version
            self.target = target or self.target

    def redirected(self, target: Target, url: str) -> Target:
        """Prepare the target a redirect leads to: signed at the same service, else stripped."""
        host, before = endpoints.host_of(url), endpoints.host_of(target.url)
        at_provider = endpoints.endpoint_of(host) is not None and endpoints.endpoint_of(before) is not None
        safe = url.startswith("https:") or not target.url.startswith("https:")
        ours = endpoints.same_origin(url, target.url) or (at_provider and safe)
        if ours and not endpoints.is_presigned(url):
            return self.moved(target, url)
        return self.client.transport.target(url, auth=None, headers=_IDENTITY, exact=False, foreign=True)

    def moved(self, target: Target, url: str, auth: Any = None) -> Target:
        """Prepare the same request at another URL of the same service, or with another auth."""
        payer = {name: value for name, value in _PAYER.items() if name in target.template.headers}
        return self.client.transport.target(
            url,
            auth=auth or target.auth,
            headers=_IDENTITY | payer,
            exact=self.location.provider is not None,
            foreign=False,
        )
