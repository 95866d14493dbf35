"""A machine that does the same to a `RemoteFile` and to `io.BytesIO`, and wants the same of both."""

from __future__ import annotations

import io
import os
import pickle
import random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from astro_cloud.storage import RemoteFile

#: Lines of many lengths; no long part occurs twice.
TEXT = b"".join(
    random.Random(number).randbytes(random.Random(number).randrange(300)).replace(b"\n", b"") + b"\n"
    for number in range(150)
)
OFFSETS = st.one_of(
    st.integers(0, len(TEXT) + 3000), st.sampled_from([0, 4096, 65536, len(TEXT), len(TEXT) - 1])
)
LENGTHS = st.one_of(st.integers(0, 300), st.integers(0, len(TEXT) * 2))
CACHE_SIZES = st.sampled_from([0, 700, 4096, 10_000, 1 << 16, 1 << 20, 32 << 20])


class FileMachine(RuleBasedStateMachine):
    """Compares a file, which `make_file` makes, with its model."""

    def make_file(self, cache_size: int, data: st.DataObject) -> RemoteFile:
        """Make the file; what it reads from is what the machines of the test modules differ in."""
        raise NotImplementedError  # this class runs no tests; each of those that do makes its own

    @initialize(cache_size=CACHE_SIZES, data=st.data())
    def opened(self, cache_size: int, data: st.DataObject) -> None:
        self.cache_size = cache_size
        self.file = self.make_file(cache_size, data)
        self.model = io.BytesIO(TEXT)

    @rule(size=st.one_of(LENGTHS, st.sampled_from([None, -1])))
    def read(self, size: int | None) -> None:
        assert self.file.read(size) == self.model.read(size)

    @rule()
    def readall(self) -> None:
        assert self.file.readall() == self.model.read()

    @rule(length=LENGTHS, kind=st.sampled_from(["B", "i"]))
    def readinto(self, length: int, kind: str) -> None:
        ours, theirs = bytearray(b"?" * length * 4), bytearray(b"?" * length * 4)
        assert self.file.readinto(memoryview(ours).cast(kind)) == self.model.readinto(theirs)
        assert ours == theirs

    @rule(size=st.one_of(LENGTHS, st.sampled_from([None, -1])))
    def read1(self, size: int | None) -> None:
        assert self.file.read1(size) == self.model.read1(size)

    @rule(length=LENGTHS, kind=st.sampled_from(["B", "i"]))
    def readinto1(self, length: int, kind: str) -> None:
        ours, theirs = bytearray(b"?" * length * 4), bytearray(b"?" * length * 4)
        assert self.file.readinto1(memoryview(ours).cast(kind)) == self.model.readinto1(theirs)
        assert ours == theirs

    @rule(size=st.one_of(st.integers(-1, 400), st.none()))
    def readline(self, size: int | None) -> None:
        assert self.file.readline(size) == self.model.readline(size)

    @rule()
    def readlines(self) -> None:
        assert self.file.readlines() == self.model.readlines()

    @rule(lines=st.integers(1, 5))
    def iterate(self, lines: int) -> None:
        for _ in range(lines):
            assert next(self.file, None) == next(self.model, None)

    @rule(offset=OFFSETS)
    def seek(self, offset: int) -> None:
        assert self.file.seek(offset) == self.model.seek(offset)

    @rule(
        offset=st.integers(-2 * len(TEXT), 2 * len(TEXT)), whence=st.sampled_from([os.SEEK_CUR, os.SEEK_END])
    )
    def seek_from(self, offset: int, whence: int) -> None:
        assert self.file.seek(offset, whence) == self.model.seek(offset, whence)

    @rule(offset=OFFSETS, length=LENGTHS)
    def pread(self, offset: int, length: int) -> None:
        assert self.file.pread(offset, length) == TEXT[offset : offset + length]

    @rule(start=OFFSETS, length=st.integers(1, 200), stride=st.integers(-9000, 9000), count=st.integers(1, 9))
    def pread_rows(self, start: int, length: int, stride: int, count: int) -> None:
        for row in (start + stride * number for number in range(count)):
            if row >= 0:
                assert self.file.pread(row, length) == TEXT[row : row + length]

    @rule(ranges=st.lists(st.tuples(OFFSETS, st.integers(1, 9000)), max_size=4))
    def prefetch(self, ranges: list[tuple[int, int]]) -> None:
        self.file.prefetch((start, start + length) for start, length in ranges)

    @rule(
        ranges=st.lists(st.tuples(OFFSETS, st.integers(1, 9000)), min_size=1, max_size=4), into=st.booleans()
    )
    def read_ranges(self, ranges: list[tuple[int, int]], into: bool) -> None:
        wanted = [(start, start + length) for start, length in ranges]
        buffers = [bytearray(length) for _, length in ranges] if into else None
        parts = [bytes(part) for part in self.file.read_ranges(wanted, buffers)]
        assert parts == [TEXT[start:stop] for start, stop in wanted]
        if buffers is not None:
            filled = zip(buffers, parts, strict=True)
            assert all(buffer.startswith(part) for buffer, part in filled)

    @rule(start=st.integers(0, len(TEXT) - 1), length=st.integers(1, 70_000))
    def keep(self, start: int, length: int) -> None:
        """What is read stays right, there and by all rules to come, whatever was held or on its way.

        Whether the bytes are held cannot be asked here: `keep` fills only gaps, and where a `prefetch` has
        some of the bytes on their way, `is_held` is false until a read waited for them. That bytes in a gap
        are held, and not asked for, is shown in `test_remote_file`.
        """
        data = TEXT[start : start + length]
        self.file.keep(start, data)
        assert self.file.pread(start, len(data)) == data

    @rule()
    def pickled(self) -> None:
        with self.file:
            self.file = pickle.loads(pickle.dumps(self.file))

    @rule()
    def size(self) -> None:
        assert self.file.size == len(TEXT)

    @invariant()
    def same_position(self) -> None:
        if hasattr(self, "file"):
            assert self.file.tell() == self.model.tell()
            assert self.file._cache.held <= self.cache_size

    def teardown(self) -> None:
        if hasattr(self, "file"):
            self.file.close()
