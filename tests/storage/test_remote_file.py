"""RemoteFile beside `io.BytesIO`, over an object in memory: what it reads, and what it asks for."""

from __future__ import annotations

import gc
import io
import itertools
import os
import pickle
import random
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from astro_cloud.exceptions import StorageError
from astro_cloud.storage import RemoteFile
from astro_cloud.storage.block_cache import BLOCK
from tests.forks import forks
from tests.storage.file_machine import TEXT, FileMachine
from tests.storage.memory_object import MemoryObject

DATA = random.Random(9).randbytes(3_000_000)


class MemoryFileMachine(FileMachine):
    """Over an object in memory, which may fail, and may not tell its size."""

    def make_file(self, cache_size: int, data: st.DataObject) -> RemoteFile:
        source = MemoryObject(TEXT, tells_size=data.draw(st.booleans(), "tells_size"))
        return RemoteFile(source, cache_size=cache_size)

    @rule(size=st.integers(1, 5000))
    def read_through_a_failure(self, size: int) -> None:
        self.file._source.failures = 1
        try:
            data = self.file.read(size)
        except StorageError:
            data = self.file.read(size)
        self.file._source.failures = 0
        assert data == self.model.read(size)


MemoryFileMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestAsBytesIO = MemoryFileMachine.TestCase


def make_file(data: bytes = DATA, **options: int) -> tuple[RemoteFile, MemoryObject]:
    source = MemoryObject(data)
    return RemoteFile(source, **options), source


def test_it_is_a_binary_file_that_can_be_read_and_sought() -> None:
    """What `io` asks of a file before it uses it; making one reads nothing."""
    file, source = make_file()
    assert isinstance(file, io.RawIOBase)
    assert (file.readable(), file.seekable(), file.writable(), file.isatty()) == (True, True, False, False)
    assert (file.name, file.mode, file.location, file.version) == ("memory", "rb", "memory", None)
    assert repr(file) == "<RemoteFile memory>"
    assert source.asked == []
    with pytest.raises(io.UnsupportedOperation):
        file.fileno()
    with pytest.raises(io.UnsupportedOperation):
        file.truncate(5)


def test_a_closed_file_says_so() -> None:
    """Everything raises ValueError as `io` does; closing twice is harmless, and forgets what was read."""
    file, _ = make_file()
    with file:
        file.read(10)
    file.close()
    assert file.closed
    assert repr(file) == "<RemoteFile memory (closed)>"
    for use in (
        file.read, file.read1, file.readall, file.readline, file.tell, file.readable, file.seekable,
        file.writable, lambda: file.readinto(bytearray(5)), lambda: file.readinto1(bytearray(5)),
        lambda: file.seek(0), lambda: file.pread(0, 1),
        lambda: file.prefetch([(0, 1)]), lambda: file.size, lambda: pickle.dumps(file), file.__enter__,
        lambda: next(file),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="closed file"):
            use()


def test_closing_ends_the_reads_of_other_threads() -> None:
    """A read that is on its way when another thread closes the file is an error, never too few bytes."""
    file, source = make_file()
    source.held.clear()
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(file.pread, 0, 10)
        while not source.asked:
            threading.Event().wait(0.001)
        file.close()
        source.held.set()
        with pytest.raises(ValueError, match="closed file"):
            reading.result()


def test_a_read_that_ends_while_the_file_is_being_closed_is_no_short_one() -> None:
    """The file counts as closed before anything is forgotten."""
    file, source = make_file()
    forget = file._cache.close
    source.held.clear()
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(file.pread, 0, 10)
        while not source.asked:
            threading.Event().wait(0.001)

        def close() -> None:
            forget()
            source.held.set()
            reading.exception(20)

        file._cache.close = close
        file.close()
        with pytest.raises(ValueError, match="closed file"):
            reading.result()


def test_wrong_arguments_are_refused() -> None:
    """As `io.BytesIO` refuses them, and nothing is asked for."""
    file, source = make_file()
    with pytest.raises(ValueError, match="negative seek value -1"):
        file.seek(-1)
    with pytest.raises(ValueError, match="invalid whence"):
        file.seek(0, 5)
    with pytest.raises(TypeError):
        file.seek(1.5)
    with pytest.raises(TypeError):
        file.read("5")
    with pytest.raises(TypeError):
        file.readinto(b"read only")
    with pytest.raises(ValueError, match="negative"):
        file.pread(-1, 5)
    with pytest.raises(ValueError, match="negative"):
        file.pread(5, -1)
    with pytest.raises(ValueError, match="start < stop"):
        file.prefetch([(0, 5), (7, 7)])
    with pytest.raises(ValueError, match="at least 0"):
        make_file(cache_size=-1)
    gc.collect()  # a file that was never made is collected without a word
    assert source.asked == []


@pytest.mark.parametrize("cache_size", [0, 32 << 20])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.uint64])
def test_integers_of_numpy_are_integers(kind: type[np.integer], cache_size: int) -> None:
    """Offsets out of a table's columns: however few bits they have, no sum of them overflows."""
    largest = min(int(np.iinfo(kind).max), len(DATA) - 300)
    file, source = make_file(cache_size=cache_size)
    file.prefetch([(kind(largest - 100), kind(largest)), (kind(largest - 27), kind(largest - 7))])
    for start in range(largest - 100, largest + 1, 20):
        assert file.pread(kind(start), kind(100)) == DATA[start : start + 100]
    assert file.pread(0, 100) == DATA[:100]
    assert {type(bound) for wanted in source.ranges for bound in wanted} == {int}


def test_offsets_beyond_two_gigabytes_may_be_of_32_bits() -> None:
    """A read from just before 2**31 on ends behind it, as heaps of large tables have them."""

    class Giant(MemoryObject):
        @property
        def size(self) -> int:
            return 1 << 32

        def read_ranges(self, ranges: Sequence[tuple[int, int]], into: Sequence[Any] | None = None) -> Any:
            return [bytes(stop - start) for start, stop in ranges]

    with RemoteFile(Giant(b"")) as file:
        assert file.pread(np.int32(2**31 - 50), 100) == bytes(100)


def test_what_is_no_integer_is_refused() -> None:
    """And leaves no trace: the reads that follow are right."""
    file, source = make_file()
    for arguments in ((1.5, 10), (0, 10.0), ("0", 1), (np.float64(3), 1)):
        with pytest.raises(TypeError):
            file.pread(*arguments)
        with pytest.raises(TypeError):
            file.prefetch([(0, 5), arguments])
    assert source.asked == []
    assert file.pread(100, 50) == DATA[100:150]


def test_small_steps_cost_one_request_a_window() -> None:
    """A reader of two bytes at a time pays for blocks, not for steps."""
    file, source = make_file()
    assert b"".join(file.read(2) for _ in range(50_000)) == DATA[:100_000]
    assert source.now == 2
    assert len(source.asked) <= 4


def test_reading_on_overlaps_its_waits() -> None:
    """Three megabytes in steps of 2880 bytes: the window doubles, so few waits are seen."""
    file, source = make_file()
    assert b"".join(iter(lambda: file.read(2880), b"")) == DATA
    assert source.now <= 9
    ranges = sorted(source.ranges)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(ranges))


def test_rows_of_a_section_are_fetched_ahead() -> None:
    """A thousand rows come in eleven round trips, and no byte of them is asked for that was not a row's."""
    file, source = make_file(random.Random(1).randbytes(40_000_000))
    for row in range(1000):
        start = 5760 + row * 40_000
        assert file.pread(start, 800) == source.data[start : start + 800]
    assert source.now <= 11
    assert sum(stop - start for start, stop in source.ranges) <= 1000 * 800 + 4 * BLOCK


def test_random_reads_cost_their_blocks() -> None:
    """Fifty reads far apart are fifty requests, each for the block it lies in."""
    file, source = make_file(bytes(200 << 20), cache_size=8 << 20)
    chance = random.Random(3)
    places = chance.sample(range((200 << 20) // BLOCK), 50)
    for place in places:
        file.pread(place * BLOCK + chance.randrange(BLOCK - 100), 100)
    assert source.ranges == [(place * BLOCK, (place + 1) * BLOCK) for place in places]


def test_prefetched_ranges_come_in_one_round_trip() -> None:
    """Ten ranges, some touching, are on their way at once; reading them asks for nothing more."""
    file, source = make_file()
    ranges = [(start, start + 5000) for start in range(0, 2_900_000, 300_000)]
    file.prefetch([*ranges, (5000, 6000)])
    assert [file.pread(start, stop - start) for start, stop in ranges] == [
        DATA[start:stop] for start, stop in ranges
    ]
    assert file.pread(4000, 2000) == DATA[4000:6000]
    assert (source.now, len(source.asked)) == (1, 1)


def test_prefetch_is_bounded_by_the_cache() -> None:
    """What is too much is left out from the end on, and the bytes are right all the same."""
    file, source = make_file(cache_size=1 << 20)
    file.prefetch([(0, 3_000_000)])
    assert sum(stop - start for start, stop in source.ranges) <= 1 << 20
    assert file.pread(0, 200_000) == DATA[:200_000]
    assert len(source.asked) == 1
    assert file.read() == DATA


def test_long_reads_go_straight_to_the_caller() -> None:
    """A read of more than a quarter of the cache is one range, into the caller's buffer, and is not kept."""
    file, source = make_file(cache_size=1 << 20)
    buffer = bytearray(2_000_000)
    assert file.readinto(buffer) == 2_000_000
    assert buffer == DATA[:2_000_000]
    assert file.pread(500_000, 1_000_000) == DATA[500_000:1_500_000]
    assert source.ranges == [(0, 2_000_000), (500_000, 1_500_000)]
    assert file._cache.held == 0


def test_the_end_is_found_without_being_told() -> None:
    """SEEK_END learns the size with the first block; or, where no server tells, by asking who is there."""
    file, source = make_file()
    assert file.seek(-3, os.SEEK_END) == len(DATA) - 3
    assert source.ranges == [(0, BLOCK)]
    mute = MemoryObject(DATA, tells_size=False)
    assert RemoteFile(mute).seek(0, os.SEEK_END) == len(DATA)
    assert mute.now <= 8
    empty = MemoryObject(b"", tells_size=False)
    assert RemoteFile(empty).seek(0, os.SEEK_END) == 0
    assert RemoteFile(empty).read() == b""


@pytest.mark.parametrize("cache_size", [0, 1 << 20, 32 << 20])
def test_an_object_of_unknown_size_is_read_to_its_end(cache_size: int) -> None:
    """The server never says how much there is: a read ends where the bytes do."""
    file = RemoteFile(MemoryObject(DATA, tells_size=False), cache_size=cache_size)
    file.seek(100)
    assert file.read() == DATA[100:]
    assert file.read() == b""
    assert file.pread(2_000_000, 10**12) == DATA[2_000_000:]


def test_a_failed_read_leaves_the_position() -> None:
    """An error moves nothing: the same read can be tried again."""
    file, source = make_file()
    file.seek(BLOCK - 5)
    source.failures = 1
    with pytest.raises(StorageError) as caught:
        file.read(10)
    assert not isinstance(caught.value, ValueError | EOFError)
    assert file.tell() == BLOCK - 5
    assert file.read(10) == DATA[BLOCK - 5 : BLOCK + 5]


def test_a_pickle_holds_the_place_and_no_bytes() -> None:
    """The copy reads on from the same position, with the same bound, and starts with nothing in hand."""
    file, source = make_file(cache_size=2 << 20)
    file.seek(1000)
    file.read(1_000_000)
    pickled = pickle.dumps(file)
    assert len(pickled) < len(pickle.dumps(source)) + 1000
    copy = pickle.loads(pickled)
    assert copy.tell() == 1_001_000
    assert copy.version == "1"
    assert (copy._cache.held, copy._cache.size) == (0, 2 << 20)
    assert copy.read(10) == DATA[1_001_000:1_001_010]


def test_threads_read_by_position() -> None:
    """Thirty-two threads read anywhere, through a cache that is far too small, and get their own bytes."""
    file, _ = make_file(cache_size=1 << 20)

    def reads(seed: int) -> bool:
        chance = random.Random(seed)
        wanted = [(chance.randrange(len(DATA)), chance.choice([1, 100, 70_000])) for _ in range(40)]
        return all(file.pread(start, length) == DATA[start : start + length] for start, length in wanted)

    with ThreadPoolExecutor(32) as threads:
        assert all(threads.map(reads, range(32)))
    assert file._cache.held <= 1 << 20
    assert file.tell() == 0


def test_threads_share_a_position_and_lose_nothing() -> None:
    """Reads of several threads from one position take turns: together they are the object."""
    file, _ = make_file()
    with ThreadPoolExecutor(8) as threads:
        parts = list(threads.map(lambda _: file.read(1000), range(3000)))
    assert sorted(parts) == sorted(DATA[at : at + 1000] for at in range(0, len(DATA), 1000))


@forks
def test_a_forked_process_reads_on() -> None:
    """A child is not kept by what another thread holds, or waits for, at the moment of the fork."""
    file, source = make_file()
    file.seek(10)
    file.read(100)
    source.held.clear()
    reader = threading.Thread(target=file.pread, args=(1_000_000, 10))
    reader.start()
    while len(source.asked) < 2:
        threading.Event().wait(0.001)
    with file._turn, file._learning, file._cache._lock:
        child = os.fork()
    if child == 0:
        status = 1
        try:
            source.held.set()
            same = file.read(50) == DATA[110:160] and file.pread(1_000_000, 10) == DATA[1_000_000:1_000_010]
            status = 0 if same and file._cache.held <= 2 * BLOCK else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    source.held.set()
    reader.join()
    assert file.read(50) == DATA[110:160]


def test_it_serves_under_a_buffer() -> None:
    """`io.BufferedReader` and `io.TextIOWrapper` stand on it as on any raw file."""
    file, source = make_file(TEXT)
    buffered = io.BufferedReader(file)
    assert buffered.readlines() == io.BytesIO(TEXT).readlines()
    buffered.seek(100)
    assert buffered.peek(5)[:5] == TEXT[100:105]
    with io.TextIOWrapper(buffered, encoding="latin-1", newline="\n") as text:
        assert text.read() == TEXT[100:].decode("latin-1")
    assert file.closed
    assert len(source.asked) == 1


def test_it_serves_as_a_buffer() -> None:
    """What looks for the methods of a buffered file finds them, and text is read without one between."""
    file, source = make_file(TEXT)
    buffer = bytearray(10)
    assert (file.read1(10), file.readinto1(buffer), buffer) == (TEXT[:10], 10, TEXT[10:20])
    assert (file.read1(), file.read1(), file.seek(0)) == (TEXT[20:], b"", 0)
    with io.TextIOWrapper(file, encoding="latin-1", newline="\n") as text:
        assert text.readlines() == io.TextIOWrapper(io.BytesIO(TEXT), "latin-1", newline="\n").readlines()
    assert len(source.asked) == 1


@pytest.mark.parametrize("cache_size", [0, 1 << 20, 32 << 20])
def test_a_line_without_end_is_read_in_long_steps(cache_size: int) -> None:
    """Zeros for a text: each step doubles, up to 1 MiB, so that many megabytes are a few dozen reads."""
    file, source = make_file(bytes(24 << 20) + b"\nnext\n", cache_size=cache_size)
    assert len(file.readline()) == (24 << 20) + 1
    assert len(source.asked) <= 14 + 24
    assert file.readline() == b"next\n"
    file.seek(5)
    assert file.readline(3 << 20) == bytes(3 << 20)
    assert file.tell() == 5 + (3 << 20)


def test_a_line_that_fails_leaves_the_position() -> None:
    """Also where its beginning was read: the same line can be read again."""
    text = b"x" * (3 * BLOCK) + b"\n"
    file, source = make_file(text)
    file.read(5)
    source.failures = 1
    file.seek(BLOCK - 128)
    with pytest.raises(StorageError):
        file.readline()
    assert file.tell() == BLOCK - 128
    assert file.readline() == text[BLOCK - 128 :]


def test_ranges_are_read_at_once_beside_the_cache() -> None:
    """Many ranges take one round trip, are not kept, and what is held of them is not asked for again."""
    file, source = make_file()
    file.pread(100, 10)
    asked = len(source.asked)
    buffers = [bytearray(1000), bytearray(50)]
    parts = file.read_ranges([(2_000_000, 2_001_000), (200, 250)], buffers)
    assert [bytes(part) for part in parts] == [DATA[2_000_000:2_001_000], DATA[200:250]] == buffers
    assert source.asked[asked:] == [[(2_000_000, 2_001_000)]]
    file.read_ranges([(2_000_000, 2_001_000)])
    assert source.asked[-1] == [(2_000_000, 2_001_000)]
    assert len(source.asked) == asked + 2


def test_bytes_that_are_known_are_kept_and_not_asked_for() -> None:
    """`keep` fills what is missing, and what is held stays as it was."""
    file, source = make_file()
    file.keep(1000, DATA[1000:5000])
    file.keep(4000, DATA[4000:9000])
    assert file.is_held(1000, 9000)
    assert not file.is_held(999, 1001)
    assert file.pread(1500, 7000) == DATA[1500:8500]
    assert file.read_ranges([(1000, 9000)]) == [DATA[1000:9000]]
    assert source.asked == []
    file.close()
    for reading in (
        lambda: file.read_ranges([(0, 1)]),
        lambda: file.keep(0, b"x"),
        lambda: file.is_held(0, 1),
    ):
        with pytest.raises(ValueError, match="closed"):
            reading()


def test_what_is_kept_makes_room_as_what_was_read_does() -> None:
    """The cache holds no more than it may, whatever it is given; bytes that do not fit are read again."""
    file, source = make_file(cache_size=1 << 20)
    for start in range(0, len(DATA), 100_000):
        file.keep(start, DATA[start : start + 100_000])
        assert file._cache.held <= 1 << 20
    assert file.is_held(2_900_000, 3_000_000)
    assert file.pread(0, 100) == DATA[:100]
    assert source.asked != []
