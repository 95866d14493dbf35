"""Pinned reads: many byte ranges of one version of one object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from astro_cloud.storage.answers import Version
from astro_cloud.storage.assembly import Assembly, checked_buffers, checked_ranges, first_part
from astro_cloud.storage.byterange import ByteRange
from astro_cloud.storage.location import Location
from astro_cloud.storage.pin import Pin
from astro_cloud.storage.plan import FREE_GAP, PART
from astro_cloud.storage.range_read import Fill, RangeRead
from astro_cloud.storage.resources import Resources
from astro_cloud.storage.usage import Usage
from astro_cloud.storage.workers import Batch

__all__ = ["PinnedObject", "Reading"]


class PinnedObject:
    """Reads byte ranges of one object, all of the same version.

    Made by `Client.pin`. The first answer's ETag, size and date are kept; every later read must be of
    that version.

    Attributes
    ----------
    resources : Resources
        What it is read with.
    pin : Pin
        Where it is and which version, for reads of other kinds.
    """

    def __init__(self, resources: Resources, pin: Pin) -> None:
        self.resources = resources
        self.pin = pin

    def __repr__(self) -> str:
        return f"<PinnedObject {self.name}>"

    @property
    def location(self) -> Location:
        """What is read."""
        return self.pin.location

    @property
    def name(self) -> str:
        """The location as the user wrote it, for messages."""
        return self.pin.name

    @property
    def version(self) -> Version | None:
        """What tells the version that is read from others; None before the first read."""
        return self.pin.version

    @property
    def size(self) -> int | None:
        """Size of the object in bytes; None before the first read, or if the server never said."""
        return self.pin.size

    def hold_to(self, version: Version) -> None:
        """Hold every read to a version known from before; the first answer must show that it is the same."""
        self.pin.hold_to(version)

    @property
    def gap(self) -> int:
        """Bytes that are worth reading in vain to save a request, as learnt so far; 16 KiB to 8 MiB."""
        return min(max(self.pin.route.target.pace.gap, FREE_GAP), self.resources.settings.max_gap)

    def read_ranges(self, ranges: Sequence[tuple[int, int]], into: Sequence[Any] | None = None) -> list[Any]:
        """Read byte ranges [start, stop), all at once, in the order given.

        Ranges that touch or overlap, or nearly touch, are read by one request; others too where that
        is faster, if they would have to wait for a connection; a long range is read in parts over
        several connections. Each is cut at the object's end, as a file is; it is empty if it begins
        there or later.

        Parameters
        ----------
        ranges : sequence of (int, int)
            Start and stop in bytes from the object's start.
        into : sequence of writable buffers, optional
            One for each range and as long as it, contiguous, which the bytes are read into. After an
            error, what is in them means nothing.

        Returns
        -------
        list of bytes
            Or of memoryview: what was read into each buffer.

        Raises
        ------
        ObjectChangedError
            If the object was overwritten since the first read.
        StorageError
            If a range cannot be read; see `astro_cloud.exceptions`.
        ValueError
            Unless 0 <= start < stop for every range; or if a buffer is not as long as its range.
        """
        wanted = checked_ranges(ranges)
        if len(wanted) == 1 and into is None and wanted[0].stop - wanted[0].start <= 2 * PART:
            return [self._read_one(*wanted[0])]
        views = checked_buffers(into, wanted) if into is not None else None
        first = first_part(wanted) if self.size is None else None
        if first is not None:
            self._read([first])
        assembly = self._assembly(wanted, views, first)
        if len(assembly.reads) == 1:
            self._read(assembly.reads[0])
            return assembly.results()
        reading = self._begin(assembly)
        reading.waited_for = True
        return reading.result()

    def begin(self, ranges: Sequence[tuple[int, int]], *, waste: int | None = None) -> Reading:
        """Begin to read byte ranges in the background.

        Takes what `read_ranges` takes, but for buffers; what that returns or raises, `Reading.result`
        does.

        Parameters
        ----------
        ranges : sequence of (int, int)
            Start and stop in bytes from the object's start.
        waste : int, optional
            Bytes that may be read in vain between them, at most; by default as many as are wanted, or
            4 MiB if that is more.
        """
        return self._begin(self._assembly(checked_ranges(ranges), None, None, waste))

    def _read_one(self, start: int, stop: int) -> bytes:
        """Read what one request brings, with nothing to plan."""
        size = self.size
        fill = Fill(start, stop if size is None else min(stop, size))
        if fill.start < fill.stop:
            self._read([fill])
        return fill.data

    def _assembly(
        self,
        ranges: Sequence[ByteRange],
        into: Sequence[memoryview] | None,
        first: Fill | None,
        waste: int | None = None,
    ) -> Assembly:
        connections = self.resources.gate.limit
        return Assembly(
            ranges, into, size=self.size, connections=connections, gap=self.gap, waste=waste, first=first
        )

    def _read(self, fills: Sequence[Fill]) -> None:
        read = RangeRead(self.resources, self.pin, fills)
        try:
            read.run()
        finally:
            self.resources.usage.add(round_trips=read.requests)

    def _begin(self, assembly: Assembly) -> Reading:
        reads = [RangeRead(self.resources, self.pin, fills) for fills in assembly.reads]
        batch = self.resources.workers.begin([read.run for read in reads])
        return Reading(batch, assembly, reads, self.resources.usage)


class Reading:
    """Byte ranges that are being read in the background; made by `PinnedObject.begin`.

    Attributes
    ----------
    waited_for : bool
        Whether its round trips count: somebody had nothing to do but wait for them.
    """

    def __init__(
        self, batch: Batch[None], assembly: Assembly, reads: Sequence[RangeRead], usage: Usage
    ) -> None:
        self._batch = batch
        self._assembly = assembly
        self._reads = reads
        self._usage = usage
        self._counted = False
        self.waited_for = False

    def done(self) -> bool:
        """Tell whether `result` would return, or raise, at once."""
        return self._batch.done()

    def result(self) -> list[Any]:
        """Wait until all has come, and return it as `PinnedObject.read_ranges` does.

        Raises
        ------
        Stopped
            If the reading was given up, or began in the process that this one was forked from.
        """
        self.waited_for = self.waited_for or not self._batch.done()
        try:
            self._batch.result()
        finally:
            if self.waited_for and not self._counted:
                self._counted = True
                self._usage.add(round_trips=max((read.requests for read in self._reads), default=0))
        return self._assembly.results()

    def cancel(self) -> None:
        """Give the reading up; its threads leave within the second."""
        self._batch.cancel()
