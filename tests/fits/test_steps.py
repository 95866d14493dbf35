"""Jobs that read step by step: what several want at once is one read, and the failure of one is its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_cloud.fits.steps import Ask, Steps, run, run_together

DATA = bytes(range(256)) * 8


class Reader:
    """Reads from bytes at hand, and counts how often."""

    def __init__(self) -> None:
        self.reads: list[int] = []

    def __call__(self, ranges: Sequence[tuple[int, int]], buffers: Sequence[memoryview] | None) -> list[Any]:
        self.reads.append(len(ranges))
        parts: list[Any] = [DATA[start:stop] for start, stop in ranges]
        if buffers is None:
            return parts
        for part, buffer in zip(parts, buffers, strict=True):
            buffer[:] = part
        return list(buffers)


def chain(starts: Sequence[int], *, into: bool = False) -> Steps[list[bytes]]:
    """Read a byte at each start, and the byte behind it, one after the other."""
    found = []
    for start in starts:
        ranges = [(start, start + 1), (start + 1, start + 2)]
        buffers = [memoryview(bytearray(1)) for _ in ranges] if into else None
        found += [bytes(part) for part in (yield Ask(ranges, buffers))]
    return found


def expected(starts: Sequence[int]) -> list[bytes]:
    return [DATA[at : at + 1] for start in starts for at in (start, start + 1)]


@given(st.lists(st.tuples(st.lists(st.integers(0, 2000), max_size=5), st.booleans()), max_size=8))
def test_jobs_side_by_side_are_jobs_one_by_one(jobs: list[tuple[list[int], bool]]) -> None:
    """Each gets its own bytes, in buffers or not; there are as many reads as the longest has steps."""
    reader = Reader()
    found = run_together([chain(starts, into=into) for starts, into in jobs], reader)
    assert found == [expected(starts) for starts, _ in jobs]
    assert len(reader.reads) == max((len(starts) for starts, _ in jobs), default=0)
    assert found == [run(chain(starts, into=into), reader) for starts, into in jobs]


def broken(after: int) -> Steps[None]:
    """Fail after some steps."""
    for start in range(after):
        yield Ask([(start, start + 1)])
    raise KeyError("broken")


def test_the_failure_of_a_job_is_its_own() -> None:
    """The others end; it is returned in its place, and raised where it is alone."""
    found = run_together([chain([1, 2, 3]), broken(0), broken(2), chain([9])], Reader())
    assert [type(one) for one in found] == [list, KeyError, KeyError, list]
    assert found[0] == expected([1, 2, 3])
    with pytest.raises(KeyError, match="broken"):
        run(broken(1), Reader())


def test_the_failure_of_a_read_is_that_of_all_who_waited() -> None:
    """Whoever had ended before has what it had; the jobs are closed."""
    closed = []

    def watched() -> Steps[None]:
        try:
            yield Ask([(0, 1)])
            yield Ask([(1, 2)])
        finally:
            closed.append(True)

    reads = 0

    def fails(ranges: Sequence[tuple[int, int]], buffers: Any) -> list[Any]:
        nonlocal reads
        reads += 1
        if reads == 2:
            raise OSError("gone")
        return [b"x" for _ in ranges]

    found = run_together([chain([1]), watched(), watched()], fails)
    assert found[0] == [b"x", b"x"]
    assert [type(one) for one in found[1:]] == [OSError, OSError]
    assert closed == [True, True]


def test_an_interrupt_is_nobodys_result() -> None:
    """What is no Exception ends them all."""

    def interrupted(ranges: Any, buffers: Any) -> list[Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_together([chain([1])], interrupted)


def test_very_many_ranges_are_read_in_several_reads() -> None:
    """No read is of more than 65,536 ranges, unless one job wants more; all get theirs."""

    def many(count: int) -> Steps[int]:
        return len((yield Ask([(0, 1)] * count)))

    reader = Reader()
    assert run_together([many(40_000), many(40_000), many(70_000), many(3)], reader) == [
        40_000,
        40_000,
        70_000,
        3,
    ]
    assert reader.reads == [40_000, 40_000, 70_000, 3]
