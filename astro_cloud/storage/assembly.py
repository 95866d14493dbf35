"""What many ranges become: the reads that bring them, where the bytes go, what each range gets."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Sequence
from typing import Any

from astro_cloud.storage.byterange import ByteRange, format_range
from astro_cloud.storage.plan import PART, Segment, plan_reads, segments_of
from astro_cloud.storage.range_read import Fill

__all__ = ["Assembly", "checked_buffers", "checked_ranges", "first_part"]


def checked_ranges(ranges: Sequence[tuple[int, int]]) -> list[ByteRange]:
    """Return the ranges; raise ValueError unless 0 <= start < stop for each."""
    for start, stop in ranges:
        format_range(start, stop)
    # numpy's integers would overflow
    return [ByteRange(operator.index(start), operator.index(stop)) for start, stop in ranges]


def checked_buffers(into: Sequence[Any], ranges: Sequence[ByteRange]) -> list[memoryview]:
    """Return views of the buffers; raise ValueError unless there is a writable one as long as each range."""
    if len(into) != len(ranges):
        raise ValueError(f"{len(ranges)} ranges, but {len(into)} buffers to read them into")
    views = []
    for buffer, (start, stop) in zip(into, ranges, strict=True):
        view = memoryview(buffer)
        if view.readonly or not view.c_contiguous or view.nbytes != stop - start:
            raise ValueError(
                f"bytes [{start}, {stop}) want a contiguous, writable buffer of {stop - start} bytes, "
                f"and are given one of {view.nbytes}" + (" that is read-only" if view.readonly else "")
            )
        views.append(view.cast("B"))
    return views


def first_part(ranges: Sequence[ByteRange]) -> Fill | None:
    """Return the beginning of a range that is worth reading in parts, if there is one.

    Where the object's size is not known it is read first, as it tells how many parts there are.
    """
    for segment in segments_of(ranges):
        if segment.stop - segment.start > 2 * PART:
            return Fill(segment.start, segment.start + PART)
    return None


class Assembly:
    """Ranges of an object, put together from what its reads bring.

    Bytes go straight to where they are wanted: into the buffer that was given, or into one that holds
    the parts of a long segment. They are copied where ranges overlap, and where a long one is returned
    as bytes.

    Parameters
    ----------
    ranges : sequence of ByteRange
        What is wanted.
    into : sequence of memoryview, optional
        Of bytes: one for each range and as long.
    size : int or None
        Of the object, if known: nothing behind its end is asked for. Otherwise every segment is read
        by one request.
    connections, gap : int
        As `plan.plan_reads` has them.
    first : Fill, optional
        What `first_part` gave, filled: it is not read again.

    Attributes
    ----------
    reads : list of list of Fill
        For each request to make, what it is to fill.
    """

    def __init__(
        self,
        ranges: Sequence[ByteRange],
        into: Sequence[memoryview] | None,
        *,
        size: int | None,
        connections: int,
        gap: int,
        first: Fill | None = None,
    ) -> None:
        self._ranges = ranges
        self._into = into
        end = max((stop for _, stop in ranges), default=0) if size is None else size
        segments = segments_of([ByteRange(start, min(stop, end)) for start, stop in ranges])
        self._places = [_Place(segment) for segment in segments]
        for place in self._places:
            if first is not None and first.start == place.segment.start:
                place.begin_with(first)
        plan = plan_reads(
            [place.missing for place in self._places],
            connections=connections,
            gap=gap,
            part=None if size is None else PART,
        )
        pieces = Counter(piece.segment for read in plan for piece in read.pieces)
        for position, place in enumerate(self._places):
            if into is not None and len(place.segment.wanted_by) == 1:
                place.use(into[place.segment.wanted_by[0]])
            elif size is not None and (pieces[position] > 1 or place.fills):
                place.use(memoryview(bytearray(place.segment.stop - place.segment.start)))
        self.reads = [
            [self._places[piece.segment].fill(piece.start, piece.stop) for piece in read.pieces]
            for read in plan
        ]

    def results(self) -> list[Any]:
        """Return what each range got, once the reads are done."""
        empty: Any = b""
        results = [
            empty if self._into is None else self._into[index][:0] for index in range(len(self._ranges))
        ]
        for place in self._places:
            content = place.content()
            for index in place.segment.wanted_by:
                start, stop = self._ranges[index]
                data = content[start - place.segment.start : stop - place.segment.start]
                if self._into is None:
                    results[index] = bytes(data)
                    continue
                results[index] = self._into[index][: len(data)]
                if len(place.segment.wanted_by) > 1:
                    results[index][:] = data
        return results


class _Place:
    """Where the bytes of a segment go: into one buffer, or, where one read brings them, as they come."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.missing = segment
        self.fills: list[Fill] = []
        self._view: memoryview | None = None

    def begin_with(self, first: Fill) -> None:
        self.fills.append(first)
        self.missing = Segment(self.segment.start + first.got, self.segment.stop)

    def use(self, view: memoryview) -> None:
        self._view = view
        for fill in self.fills:
            view[: fill.got] = fill.data

    def fill(self, start: int, stop: int) -> Fill:
        begin = self.segment.start
        view = self._view[start - begin : stop - begin] if self._view is not None else None
        fill = Fill(start, stop, view)
        self.fills.append(fill)
        return fill

    def content(self) -> memoryview | bytes:
        if self._view is not None:
            return self._view[: sum(fill.got for fill in self.fills)]
        fills = self.fills
        return fills[0].data if len(fills) == 1 else b"".join(fill.data for fill in fills)
