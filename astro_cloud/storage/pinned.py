"""Pinned reads: many byte ranges of one version of one object."""

from __future__ import annotations

from collections.abc import Sequence

from astro_cloud.storage.answers import Version
from astro_cloud.storage.byterange import ByteRange
from astro_cloud.storage.location import Location
from astro_cloud.storage.pin import Pin
from astro_cloud.storage.range_read import RangeRead
from astro_cloud.storage.resources import Resources

__all__ = ["PinnedObject"]


class PinnedObject:
    """Reads byte ranges of one object, all of the same version.

    Made by `Client.pin`. The first answer's ETag, size and date are kept; every later read must be of
    that version.
    """

    def __init__(self, resources: Resources, pin: Pin) -> None:
        self._resources = resources
        self._pin = pin

    def __repr__(self) -> str:
        return f"<PinnedObject {self.name}>"

    @property
    def location(self) -> Location:
        """What is read."""
        return self._pin.location

    @property
    def name(self) -> str:
        """The location as the user wrote it, for messages."""
        return self._pin.name

    @property
    def version(self) -> Version | None:
        """What tells the version that is read from others; None before the first read."""
        return self._pin.version

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
        reads = [RangeRead(self._resources, self._pin, ByteRange(start, stop)) for start, stop in ranges]
        try:
            return self._resources.run_all([read.run for read in reads])
        finally:
            trips = max((read.requests for read in reads), default=0)
            self._resources.usage.add(round_trips=trips)
