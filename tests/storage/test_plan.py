"""Which requests are made for many ranges: each wanted byte by one, few in vain, long ones in parts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_cloud.storage.byterange import ByteRange
from astro_cloud.storage.plan import FREE_GAP, Piece, Read, Segment, plan_reads, segments_of

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40

#: Ranges close to each other, and ranges far apart, beyond what 32 bits can count.
OFFSETS = st.one_of(st.integers(0, 200), st.integers(0, 200_000), st.integers(0, 5 * TIB))
LENGTHS = st.one_of(st.integers(1, 50), st.integers(1, 100_000), st.integers(1, 100 * MIB))
RANGES = st.lists(st.builds(lambda start, length: ByteRange(start, start + length), OFFSETS, LENGTHS))


def gaps_of(read: Read) -> list[int]:
    return [after.start - before.stop for before, after in pairwise(read.pieces)]


@given(ranges=RANGES)
def test_segments_are_what_ranges_cover(ranges: list[ByteRange]) -> None:
    """Segments do not overlap, lie in order, and each range lies in the one that names it, and only there."""
    segments = segments_of(ranges)
    assert all(before.stop <= after.start for before, after in pairwise(segments))
    named = [(index, segment) for segment in segments for index in segment.wanted_by]
    assert sorted(index for index, _ in named) == list(range(len(ranges)))
    for index, segment in named:
        assert segment.start <= ranges[index].start < ranges[index].stop <= segment.stop
    for segment in segments:
        covered = segment.start
        for start, stop in sorted(ranges[index] for index in segment.wanted_by):
            assert start <= covered
            covered = max(covered, stop)
        assert covered == segment.stop


def test_an_empty_range_is_of_no_segment() -> None:
    """A range that was cut at the object's end to nothing is read by nobody."""
    assert segments_of([ByteRange(7, 7), ByteRange(9, 7)]) == []
    assert segments_of([ByteRange(7, 7), ByteRange(0, 10)]) == [Segment(0, 10, [1])]


@given(
    ranges=RANGES,
    connections=st.integers(1, 64),
    gap=st.integers(0, 8 * MIB),
    part=st.one_of(st.none(), st.integers(1 * MIB, 16 * MIB)),
)
def test_every_wanted_byte_is_read_once(
    ranges: list[ByteRange], connections: int, gap: int, part: int | None
) -> None:
    """Pieces cover each segment without a hole, in order and once; reads do not overlap."""
    segments = segments_of(ranges)
    reads = plan_reads(segments, connections=connections, gap=gap, part=part)
    pieces = [piece for read in reads for piece in read.pieces]
    assert all(piece.start < piece.stop for piece in pieces)
    assert all(before.stop <= after.start for before, after in pairwise(pieces))
    for index, segment in enumerate(segments):
        own = [piece for piece in pieces if piece.segment == index]
        assert (own[0].start, own[-1].stop) == (segment.start, segment.stop)
        assert all(before.stop == after.start for before, after in pairwise(own))
    assert {piece.segment for piece in pieces} == set(range(len(segments)))


@given(ranges=RANGES, connections=st.integers(1, 64), gap=st.integers(0, 8 * MIB))
def test_little_is_read_in_vain(ranges: list[ByteRange], connections: int, gap: int) -> None:
    """No gap is wider than one worth reading, and all together are no more than is useful, or 4 MiB."""
    segments = segments_of(ranges)
    reads = plan_reads(segments, connections=connections, gap=gap)
    vain = [width for read in reads for width in gaps_of(read)]
    useful = sum(segment.stop - segment.start for segment in segments)
    assert all(width <= gap for width in vain)
    assert sum(vain) <= max(useful, 4 * MIB)
    if len(segments) <= connections:
        assert all(width <= FREE_GAP for width in vain)


@given(ranges=RANGES, gap=st.integers(0, 8 * MIB), part=st.integers(1, 16 * MIB).map(lambda size: size | MIB))
def test_no_read_is_longer_than_two_parts(ranges: list[ByteRange], gap: int, part: int) -> None:
    """Long segments come in parts of about the size, and joining makes nothing longer than two of them."""
    segments = segments_of(ranges)
    reads = plan_reads(segments, connections=4, gap=gap, part=part)
    assert all(read.stop - read.start <= 2 * part for read in reads)
    for index, segment in enumerate(segments):
        own = [piece for read in reads for piece in read.pieces if piece.segment == index]
        if segment.stop - segment.start > 2 * part:
            lengths = [piece.stop - piece.start for piece in own]
            assert part / 2 < min(lengths) <= max(lengths) <= part
        else:
            assert len(own) == 1


@given(ranges=RANGES, gap=st.integers(0, 8 * MIB))
def test_without_parts_there_is_a_read_at_most_for_each_segment(ranges: list[ByteRange], gap: int) -> None:
    """Where the object's size is not known, no segment is split."""
    segments = segments_of(ranges)
    assert len(plan_reads(segments, connections=4, gap=gap, part=None)) <= len(segments)


@pytest.mark.parametrize(
    ("connections", "gap", "count"),
    [(4, MIB, 4), (8, MIB, 8), (16, MIB, 8), (1, MIB, 1), (1, 100_000 - 1, 8)],
    ids=["queued", "a connection each", "more than enough", "one connection", "a gap too wide"],
)
def test_far_ranges_are_joined_only_where_requests_would_queue(
    connections: int, gap: int, count: int
) -> None:
    """Eight ranges 100,000 bytes apart are as many requests as connections, if gaps are worth it."""
    segments = [Segment(start, start + 1000) for start in range(0, 8 * 101_000, 101_000)]
    assert len(plan_reads(segments, connections=connections, gap=gap)) == count


@pytest.mark.parametrize(("apart", "count"), [(FREE_GAP, 1), (FREE_GAP + 1, 2)])
def test_near_ranges_are_always_joined(apart: int, count: int) -> None:
    """Up to 16 KiB are read in vain even where there are connections to spare."""
    segments = [Segment(0, 10), Segment(10 + apart, 20 + apart)]
    assert len(plan_reads(segments, connections=16, gap=MIB)) == count


def test_what_is_empty_is_not_read() -> None:
    """Segments whose bytes are there already ask for nothing, wherever they lie among the others."""
    empty = [Segment(0, 0), Segment(1, 5), Segment(6, 6), Segment(7, 9), Segment(10, 10)]
    reads = plan_reads(empty, connections=1, gap=MIB)
    assert reads == [Read((Piece(1, 1, 5), Piece(3, 7, 9)))]
    assert plan_reads([], connections=1, gap=MIB) == []


def test_five_tebibytes_are_counted_exactly() -> None:
    """The largest object of S3 is read whole in parts whose bounds are exact."""
    reads = plan_reads([Segment(0, 5 * TIB)], connections=16, gap=MIB, part=8 * GIB)
    assert len(reads) == 640
    assert all(read.stop - read.start == 8 * GIB for read in reads)
    odd = plan_reads([Segment(3 * TIB + 1, 3 * TIB + 2 * GIB)], connections=16, gap=MIB)
    assert sum(read.stop - read.start for read in odd) == 2 * GIB - 1
    assert all(before.stop == after.start for before, after in pairwise(odd))
