"""The cache of a file: what it asks for, what it keeps, what it forgets, and never more than its size."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_cloud.exceptions import StorageError
from astro_cloud.storage.block_cache import BLOCK, BlockCache
from tests.storage.memory_object import MemoryObject

DATA = random.Random(5).randbytes(40 * BLOCK + 1234)


def read(cache: BlockCache, start: int, stop: int, **options: bool) -> bytes:
    return b"".join(cache.read(start, stop, **options))


@contextmanager
def in_thread(call: Callable[[], bytes]) -> Iterator[Future[bytes]]:
    """Run a call in another thread; wait for it at the end."""
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(call)


def until(condition: Callable[[], bool]) -> None:
    """Wait, without a bound of its own, for what another thread does."""
    while not condition():
        threading.Event().wait(0.001)


def test_a_small_read_fetches_its_block_once() -> None:
    """A hundred bytes bring the aligned 64 KiB about them; the rest of these costs nothing."""
    source = MemoryObject(DATA)
    cache = BlockCache(source, 1 << 20)
    assert read(cache, BLOCK + 10, BLOCK + 110) == DATA[BLOCK + 10 : BLOCK + 110]
    assert read(cache, BLOCK, 2 * BLOCK) == DATA[BLOCK : 2 * BLOCK]
    assert source.ranges == [(BLOCK, 2 * BLOCK)]
    assert cache.held == BLOCK


def test_a_read_across_blocks_asks_at_once_for_what_is_missing() -> None:
    """Of three blocks the middle one is there: one call asks for the other two."""
    source = MemoryObject(DATA)
    cache = BlockCache(source, 4 << 20)
    read(cache, BLOCK, BLOCK + 1)
    assert read(cache, 100, 3 * BLOCK - 100) == DATA[100 : 3 * BLOCK - 100]
    assert source.asked[1:] == [[(100, BLOCK), (2 * BLOCK, 3 * BLOCK - 100)]]


def test_a_long_read_fetches_exactly_itself() -> None:
    """A block's length and more is worth a request, and needs nothing around it."""
    source = MemoryObject(DATA)
    cache = BlockCache(source, 1 << 20)
    assert read(cache, 77, 77 + BLOCK) == DATA[77 : 77 + BLOCK]
    assert source.ranges == [(77, 77 + BLOCK)]


def test_a_read_alone_fetches_exactly_itself() -> None:
    """One of a series leaves its surroundings where they are."""
    source = MemoryObject(DATA)
    cache = BlockCache(source, 1 << 20)
    assert read(cache, 77, 97, alone=True) == DATA[77:97]
    assert source.ranges == [(77, 97)]


def test_nothing_is_asked_for_beyond_the_end() -> None:
    """The last block is short, and what lies behind it costs nothing once the size is known."""
    source = MemoryObject(DATA)
    cache = BlockCache(source, 1 << 20)
    read(cache, 0, 1)
    assert read(cache, 40 * BLOCK + 1000, 41 * BLOCK) == DATA[40 * BLOCK + 1000 :]
    assert read(cache, 50 * BLOCK, 51 * BLOCK) == b""
    assert source.ranges[1:] == [(40 * BLOCK, len(DATA))]


def test_an_object_that_never_tells_its_size_has_an_end() -> None:
    """A short answer is the end, and is remembered; so is an empty one."""
    source = MemoryObject(DATA, tells_size=False)
    cache = BlockCache(source, 1 << 20)
    assert read(cache, 60 * BLOCK, 60 * BLOCK + 5) == b""
    assert cache.end == 60 * BLOCK
    assert read(cache, 40 * BLOCK, 41 * BLOCK) == DATA[40 * BLOCK :]
    assert cache.end == len(DATA)
    assert read(cache, len(DATA), len(DATA) + 1) == b""
    assert len(source.ranges) == 2


def test_what_was_not_used_for_longest_makes_room() -> None:
    """Of four blocks that fit, the one that was read again stays when a fifth comes."""
    source = MemoryObject(DATA)
    cache = BlockCache(source, 4 * BLOCK)
    for block in (0, 1, 2, 3, 0, 4):
        read(cache, block * BLOCK, block * BLOCK + 1)
    assert cache.held == 4 * BLOCK
    source.asked.clear()
    for block in (0, 2, 3, 4, 1):
        read(cache, block * BLOCK, block * BLOCK + 1)
    assert source.ranges == [(BLOCK, 2 * BLOCK)]


@given(
    st.lists(
        st.tuples(st.integers(0, 12 * 4096), st.integers(1, 6000), st.booleans(), st.booleans()), max_size=40
    ),
    st.sampled_from([0, 600, 4096, 16384, 100_000]),
)
def test_it_never_holds_more_than_its_size(reads: list[tuple[int, int, bool, bool]], size: int) -> None:
    """Whatever is read or fetched ahead, the bytes are right, and held ones stay within the bound."""
    source = MemoryObject(DATA[: 10 * 4096])
    cache = BlockCache(source, size)
    for start, length, ahead, alone in reads:
        if ahead:
            cache.fetch_ahead([(start, start + length), (start + 9000, start + 9000 + length)])
        else:
            assert read(cache, start, start + length, alone=alone) == source.data[start : start + length]
        assert 0 <= cache.held_ahead <= cache.held <= size


def test_two_threads_fetch_the_same_block_once() -> None:
    """Whoever asks for what is on its way waits for that."""
    source = MemoryObject(DATA)
    cache = BlockCache(source, 1 << 20)
    source.held.clear()
    with in_thread(lambda: read(cache, 0, 10)) as first, in_thread(lambda: read(cache, 5, 20)) as second:
        until(lambda: len(source.asked) == 1)
        source.held.set()
        assert (first.result(), second.result()) == (DATA[:10], DATA[5:20])
    assert source.ranges == [(0, BLOCK)]


def test_a_failure_is_raised_and_forgotten() -> None:
    """A fetch that failed raises in each thread that waited for it; whoever comes later asks anew."""
    source = MemoryObject(DATA)
    cache = BlockCache(source, 1 << 20)
    source.failures = 1
    source.held.clear()
    with in_thread(lambda: read(cache, 0, 10)) as first:
        until(lambda: len(source.asked) == 1)
        with in_thread(lambda: read(cache, 5, 20)) as second:
            until(lambda: second.running())
            source.held.set()
            with pytest.raises(StorageError):
                first.result()
    assert isinstance(second.exception(), StorageError) or second.result() == DATA[5:20]
    assert read(cache, 0, 10) == DATA[:10]
    assert cache.held == BLOCK


class Interrupted(MemoryObject):
    """The first `interrupts` reads that a thread makes itself meet Ctrl-C, once they may arrive."""

    interrupts = 1

    def read_ranges(self, ranges: Sequence[tuple[int, int]], into: Sequence[Any] | None = None) -> list[Any]:
        self.interrupts -= 1
        if self.interrupts < 0:
            return super().read_ranges(ranges, into)
        self.asked.append(list(ranges))
        assert self.held.wait(20)
        raise KeyboardInterrupt


def test_what_is_interrupted_takes_no_room() -> None:
    """Ctrl-C in read after read: nothing stays on its way that nobody brings, and the cache serves on."""
    source = Interrupted(DATA)
    source.interrupts = 5
    cache = BlockCache(source, 8 * BLOCK)
    for place in range(5):
        with pytest.raises(KeyboardInterrupt):
            read(cache, 5 * place * BLOCK, (5 * place + 2) * BLOCK)
        assert (cache.held, cache.held_ahead) == (0, 0)
    assert [read(cache, 0, 10) for _ in range(3)] == [DATA[:10]] * 3
    assert source.direct == 1
    assert cache.held == BLOCK


def test_an_interrupt_before_the_turn_of_a_read_gives_its_room_back() -> None:
    """What another thread brings is waited for first, and kept; what was still to be read is not."""
    source = Interrupted(DATA)
    source.interrupts = 0
    cache = BlockCache(source, 8 * BLOCK)
    cache.fetch_ahead([(0, BLOCK)])
    (batch,) = cache._flying
    result, interrupts = batch.reading.result, iter([KeyboardInterrupt()])

    def interrupted() -> Sequence[bytes]:
        for interrupt in interrupts:
            raise interrupt
        return result()

    batch.reading.result = interrupted
    with pytest.raises(KeyboardInterrupt):
        read(cache, 0, 3 * BLOCK)
    assert cache.held == BLOCK
    assert read(cache, 0, 3 * BLOCK) == DATA[: 3 * BLOCK]
    assert source.ranges == [(0, BLOCK), (BLOCK, 2 * BLOCK), (2 * BLOCK, 3 * BLOCK)]


def test_a_failure_elsewhere_gives_back_the_room_of_what_was_not_begun() -> None:
    """Of two parts, another thread's fails: this one's own, which nobody will read any more, is dropped."""
    source = MemoryObject(DATA)
    cache = BlockCache(source, 8 * BLOCK)
    source.failures = 1
    source.held.clear()
    with in_thread(lambda: read(cache, 0, 10)) as first:
        until(lambda: len(source.asked) == 1)
        with in_thread(lambda: read(cache, 5, 3 * BLOCK)) as second:
            until(lambda: cache.held > BLOCK)
            source.held.set()
            assert isinstance(first.exception(), StorageError)
            assert isinstance(second.exception(), StorageError)
    assert cache.held == 0


def test_who_waits_for_what_is_interrupted_reads_it() -> None:
    """The interrupt is one thread's: the others get their bytes, and the room counts once."""
    source = Interrupted(DATA)
    cache = BlockCache(source, 8 * BLOCK)
    source.held.clear()
    with ThreadPoolExecutor(5) as threads:
        interrupted = threads.submit(read, cache, 0, 10)
        until(lambda: len(source.asked) == 1)
        parts = [threads.submit(read, cache, at, at + 10) for at in (5, 50, 500, 5000)]
        until(lambda: all(part.running() for part in parts))
        source.held.set()
        assert isinstance(interrupted.exception(), KeyboardInterrupt)
        assert [part.result() for part in parts] == [DATA[at : at + 10] for at in (5, 50, 500, 5000)]
    assert cache.held == BLOCK
    assert source.direct == 1


def test_what_failed_ahead_is_asked_for_again() -> None:
    """A failure of what nobody had asked for is silent: reading it asks again, and raises only its own."""
    source = MemoryObject(DATA)
    cache = BlockCache(source, 1 << 20)
    source.failures = 1
    cache.fetch_ahead([(0, BLOCK)])
    assert read(cache, 0, 10) == DATA[:10]
    source.failures = 2
    cache.fetch_ahead([(BLOCK, 2 * BLOCK)])
    with pytest.raises(StorageError):
        read(cache, BLOCK, BLOCK + 1)
    assert cache.held == BLOCK


def test_what_failed_ahead_before_anybody_read_it_is_forgotten() -> None:
    """Once another fetch is begun, what failed ahead takes no room any more."""
    source = MemoryObject(DATA)
    cache = BlockCache(source, 1 << 20)
    source.failures = 1
    cache.fetch_ahead([(0, BLOCK), (BLOCK, 2 * BLOCK)])
    source.now += 1
    read(cache, 5 * BLOCK, 5 * BLOCK + 1)
    assert (cache.held, cache.held_ahead) == (BLOCK, 0)
    assert read(cache, 0, 10) == DATA[:10]


def test_fetched_ahead_costs_no_wait_and_no_second_request() -> None:
    """Two blocks fetched ahead come in one round trip, and reading them asks for nothing."""
    source = MemoryObject(DATA)
    cache = BlockCache(source, 1 << 20)
    cache.fetch_ahead([(0, 2 * BLOCK)])
    assert cache.held_ahead == 2 * BLOCK
    assert read(cache, BLOCK - 5, BLOCK + 5) == DATA[BLOCK - 5 : BLOCK + 5]
    assert read(cache, BLOCK - 50, BLOCK + 50) == DATA[BLOCK - 50 : BLOCK + 50]
    assert (source.now, len(source.asked)) == (1, 1)
    assert cache.held_ahead == 0


def test_ahead_of_reads_takes_half_the_cache() -> None:
    """What reads have fetched ahead drives out older guesses, not more than half of what is held."""
    source = MemoryObject(DATA)
    cache = BlockCache(source, 16 * BLOCK)
    for block in range(20):
        start = block * BLOCK
        cache.read(start, start + 1, ahead=[((block + 1) * BLOCK, (block + 12) * BLOCK)])
        assert cache.held_ahead <= 8 * BLOCK
        assert cache.held <= 16 * BLOCK


def test_guesses_that_are_driven_out_are_given_up() -> None:
    """What is still on its way, but makes room, is not waited for by anybody: its requests end."""
    source = MemoryObject(DATA)
    cache = BlockCache(source, 8 * BLOCK)
    cache.fetch_ahead([(0, 8 * BLOCK)])
    cache.fetch_ahead([(10 * BLOCK, 18 * BLOCK)])
    assert source.cancelled == 1
    assert read(cache, 0, 5) == DATA[:5]


def test_where_everything_is_on_its_way_a_read_goes_by() -> None:
    """Reads of other threads fill the cache: one more is answered without it."""
    source = MemoryObject(DATA)
    cache = BlockCache(source, 4 * BLOCK)
    source.held.clear()
    with ThreadPoolExecutor(5) as threads:
        parts = [threads.submit(read, cache, block * BLOCK, block * BLOCK + 7) for block in (0, 2, 4, 6, 8)]
        until(lambda: len(source.asked) == 5)
        source.held.set()
        assert [part.result() for part in parts] == [
            DATA[block * BLOCK : block * BLOCK + 7] for block in (0, 2, 4, 6, 8)
        ]
    assert cache.held <= 4 * BLOCK
    assert sorted(source.ranges)[-1] in [(8 * BLOCK, 8 * BLOCK + 7), (8 * BLOCK, 9 * BLOCK)]


def test_a_read_does_not_queue_behind_guesses() -> None:
    """What belongs to no habit is read by whoever wants it; what has more fetched ahead goes before that."""
    source = MemoryObject(DATA)
    cache = BlockCache(source, 4 << 20)
    cache.read(0, 10, ahead=[(BLOCK, 2 * BLOCK), (2 * BLOCK, 3 * BLOCK)])
    assert (source.direct, source.asked) == (0, [[(0, BLOCK)], [(BLOCK, 2 * BLOCK), (2 * BLOCK, 3 * BLOCK)]])
    cache.read(30 * BLOCK, 30 * BLOCK + 10)
    assert source.direct == 1


def test_closing_forgets_and_gives_up() -> None:
    """Nothing is held after closing, and what was fetched ahead is cancelled."""
    source = MemoryObject(DATA)
    cache = BlockCache(source, 1 << 20)
    read(cache, 0, 5)
    cache.fetch_ahead([(5 * BLOCK, 6 * BLOCK)])
    cache.close()
    assert (cache.held, source.cancelled) == (0, 1)


def test_a_size_that_is_none_is_refused() -> None:
    """A cache of less than nothing is a mistake."""
    with pytest.raises(ValueError, match="at least 0"):
        BlockCache(MemoryObject(DATA), -1)
