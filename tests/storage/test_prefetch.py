"""What the prefetcher learns from reads, by itself: reads in, ranges out."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_cloud.storage.prefetch import Prefetcher

BLOCK, LIMIT = 1 << 16, 8 << 20


def make_prefetcher(limit: int = LIMIT) -> Prefetcher:
    return Prefetcher(limit=limit, block=BLOCK)


def fetched_by(reads: list[tuple[int, int]], prefetcher: Prefetcher | None = None) -> list[tuple[int, int]]:
    """Return all ranges that reads have fetched ahead, in order."""
    prefetcher = prefetcher or make_prefetcher()
    return [wanted for read in reads for wanted in prefetcher.saw(*read).ranges]


def series(start: int, length: int, stride: int, count: int) -> list[tuple[int, int]]:
    return [(begin, begin + length) for begin in range(start, start + stride * count, stride)]


def test_reading_on_grows_its_window() -> None:
    """What follows is fetched once, without holes, in windows that grow up to the limit."""
    ahead = fetched_by([(at, at + 2880) for at in range(0, 64 << 20, 2880)])
    assert ahead[0][0] == BLOCK
    assert all(before[1] == after[0] for before, after in itertools.pairwise(ahead))
    assert all(start % BLOCK == stop % BLOCK == 0 for start, stop in ahead)
    lengths = [stop - start for start, stop in ahead]
    assert lengths[0] == BLOCK
    assert LIMIT // 4 < max(lengths) <= LIMIT
    assert len(ahead) < 32


def test_a_short_header_fetches_nothing_ahead() -> None:
    """Twelve blocks of 2880 bytes lie in the 64 KiB that came with the first: that is no run yet."""
    assert fetched_by([(at, at + 2880) for at in range(0, 8 * 2880, 2880)]) == []


def test_long_reads_one_after_the_other_are_a_run() -> None:
    """The second of two long reads that touch has twice as much as was read fetched ahead."""
    assert fetched_by([(0, 1_000_000), (1_000_000, 2_000_000)]) == [(2_000_000, 91 * BLOCK)]


def test_a_series_is_known_by_three() -> None:
    """Three reads a constant stride apart have the next fetched exactly, and twice as many each time."""
    prefetcher = make_prefetcher()
    reads = series(10_000, 800, 40_000, 1000)
    seen = [prefetcher.saw(*read) for read in reads]
    windows = [len(foresight.ranges) for foresight in seen if foresight.ranges]
    assert windows[:6] == [6, 9, 18, 36, 72, 144]
    assert len(windows) <= 9
    assert [foresight.alone for foresight in seen[:4]] == [False, False, True, True]
    ahead = [wanted for foresight in seen for wanted in foresight.ranges]
    assert ahead == series(10_000 + 3 * 40_000, 800, 40_000, len(ahead))


def test_a_series_may_go_backward() -> None:
    """Rows from the last to the first are a series too, and nothing before the start is asked for."""
    reads = list(reversed(series(0, 100, 10_000, 20)))
    assert fetched_by(reads) == reads[3:]


def test_a_series_that_moves_goes_on() -> None:
    """The same rows of the next plane: from the first of them on, all others are fetched at once."""
    prefetcher = make_prefetcher()
    fetched_by(series(0, 800, 40_000, 50), prefetcher)
    plane = series(10**9, 800, 40_000, 50)
    assert list(prefetcher.saw(*plane[0]).ranges) == plane[1:]
    assert fetched_by(plane[1:], prefetcher) == []


@pytest.mark.parametrize("places", [(0, 10**9), (0, 10**9, 3 * 10**9)])
def test_series_may_take_turns(places: tuple[int, ...]) -> None:
    """An image and its errors, row by row in turn, are a series each."""
    rows = [series(place, 800, 40_000, 100) for place in places]
    ahead = set(fetched_by([read for turn in zip(*rows, strict=True) for read in turn]))
    assert all(set(read[3:]) <= ahead for read in rows)


def test_random_reads_are_left_alone() -> None:
    """Ten thousand reads at random have nothing fetched."""
    chance = random.Random(7)
    places = [chance.randrange(10**11) for _ in range(10_000)]
    assert fetched_by([(place, place + 100) for place in places]) == []


def test_random_reads_between_do_not_disturb_a_run() -> None:
    """A reader that looks something up at each step is still seen to read on."""
    chance = random.Random(7)
    reads = []
    for at in range(0, 1 << 20, 10_000):
        place = 10**9 + chance.randrange(10**9)
        reads += [(at, at + 10_000), (place, place + 16)]
    ahead = fetched_by(reads)
    assert ahead
    assert max(start for start, _ in ahead) < 3 << 20


def test_what_was_fetched_in_vain_shrinks_the_window() -> None:
    """Runs that keep breaking off have less and less fetched ahead; one that lasts gets it back."""
    prefetcher = make_prefetcher()
    ahead = []
    for number in range(40):
        begin = number * 10**9
        reads = [(begin, begin + 200_000), (begin + 200_000, begin + 400_000)]
        ahead.append(sum(stop - start for start, stop in fetched_by(reads, prefetcher)))
    assert ahead[0] > 700_000
    assert ahead[-1] < 400_000
    long = fetched_by([(at, at + 200_000) for at in range(10**12, 10**12 + (40 << 20), 200_000)], prefetcher)
    assert max(stop - start for start, stop in long) > LIMIT // 4


@given(
    st.lists(st.tuples(st.integers(0, 300_000), st.integers(1, 3)), max_size=60),
    st.sampled_from([1000, BLOCK, LIMIT]),
)
def test_it_asks_for_no_more_than_it_may(reads: list[tuple[int, int]], limit: int) -> None:
    """Whatever is read: ranges are ranges, and those of one read come to no more than the limit."""
    prefetcher = make_prefetcher(limit)
    for start, length in reads:
        ranges = prefetcher.saw(start * 7, start * 7 + length * 400).ranges
        assert all(0 <= begin < stop for begin, stop in ranges)
        assert sum(stop - begin for begin, stop in ranges) <= limit
