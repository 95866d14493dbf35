"""Which requests to make for many byte ranges: near ones together, long ones in parts. Pure.

A segment is what ranges that overlap cover together, so that no byte is asked for twice. Segments
that touch, or nearly, are read by one request; a long one is read by several at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from astro_cloud.storage.byterange import ByteRange

__all__ = ["FREE_GAP", "PART", "Piece", "Read", "Segment", "plan_reads", "segments_of"]

FREE_GAP = 1 << 14
"""Bytes: so much a server sends before it waits for a first acknowledgement (RFC 6928)."""
PART = 1 << 23
"""Bytes: a range is read in parts if it is longer than two of these."""
_WASTE = 1 << 22


@dataclass(slots=True)
class Segment:
    """Bytes [start, stop) that are wanted, and the positions of the ranges that want some of them."""

    start: int
    stop: int
    wanted_by: list[int] = field(default_factory=list)


class Piece(NamedTuple):
    """Bytes [start, stop) of the object, which belong to the segment at position `segment`."""

    segment: int
    start: int
    stop: int


class Read(NamedTuple):
    """One request: pieces in their order; between them may lie bytes that nobody wants."""

    pieces: tuple[Piece, ...]

    @property
    def start(self) -> int:
        """Where it begins."""
        return self.pieces[0].start

    @property
    def stop(self) -> int:
        """Where it ends."""
        return self.pieces[-1].stop


def segments_of(ranges: Sequence[ByteRange]) -> list[Segment]:
    """Join ranges that overlap; in the order of their bytes. Empty ones belong to none."""
    segments: list[Segment] = []
    for index in sorted(range(len(ranges)), key=ranges.__getitem__):
        start, stop = ranges[index]
        if start >= stop:
            continue
        if segments and start < segments[-1].stop:
            segments[-1].stop = max(segments[-1].stop, stop)
        else:
            segments.append(Segment(start, stop))
        segments[-1].wanted_by.append(index)
    return segments


def plan_reads(
    segments: Sequence[Segment], *, connections: int, gap: int, part: int | None = PART
) -> list[Read]:
    """Decide which requests bring some segments soonest.

    Parameters
    ----------
    segments : sequence of Segment
        In the order of their bytes, none overlapping; nothing is read for empty ones.
    connections : int
        Requests that can be on their way at once.
    gap : int
        Bytes that take as long to read as a request takes. Segments as near as that are read
        together where requests would have to queue; at most 16 KiB apart, they are anyway. What is
        read in vain stays below what is wanted or 4 MiB, whichever is more.
    part : int or None
        Bytes; longer reads than two of these are made in parts of about this size. None: never.

    Returns
    -------
    list of Read
        In the order of their bytes.
    """
    joined = _joints(segments, connections, gap)
    longest = 2 * part if part is not None else sys.maxsize
    reads: list[list[Piece]] = []
    for index, segment in enumerate(segments):
        for start, stop in _parts(segment, part):
            piece = Piece(index, start, stop)
            joins = start == segment.start and index in joined
            if joins and reads and stop - reads[-1][0].start <= longest:
                reads[-1].append(piece)
            else:
                reads.append([piece])
    return [Read(tuple(pieces)) for pieces in reads]


def _joints(segments: Sequence[Segment], connections: int, gap: int) -> set[int]:
    """Return the positions of the segments to be read together with the one before."""
    gaps = sorted(
        (after.start - before.stop, index) for index, (before, after) in enumerate(pairwise(segments), 1)
    )
    useful = sum(segment.stop - segment.start for segment in segments)
    waste = max(useful, _WASTE)
    joined: set[int] = set()
    for width, index in gaps:
        queued = len(segments) - len(joined) > connections
        if width > waste or width > (gap if queued else min(gap, FREE_GAP)):
            break
        waste -= width
        joined.add(index)
    return joined


def _parts(segment: Segment, part: int | None) -> list[tuple[int, int]]:
    length = segment.stop - segment.start
    if length <= 0:
        return []
    if part is None or length <= 2 * part:
        return [(segment.start, segment.stop)]
    count = -(-length // part)
    bounds = [segment.start + length * index // count for index in range(count + 1)]
    return list(pairwise(bounds))
