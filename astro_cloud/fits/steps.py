"""Jobs that read step by step, side by side: what several want next is read at once. Pure.

A job is a generator: it yields the ranges it wants next, is sent their bytes, and returns what it made of
them. How many jobs there are changes how many requests are made, and not how often somebody waits.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

__all__ = ["Ask", "Steps", "run", "run_together"]

_MOST_RANGES = 1 << 16
"""Ranges asked for at once, unless one job asks for more."""

T = TypeVar("T")


class Ask(NamedTuple):
    """Byte ranges [start, stop) that a job wants next, and what they are read into, if it has that."""

    ranges: Sequence[tuple[int, int]]
    buffers: Sequence[memoryview] | None = None


Steps = Generator[Ask, list[Any], T]
ReadRanges = Callable[[Sequence[tuple[int, int]], Sequence[memoryview] | None], list[Any]]


class _Job:
    """A job on its way.

    Attributes
    ----------
    ask : Ask or None
        What it waits for; None when it has ended.
    result : object
        What it returned, or the error it raised.
    """

    def __init__(self, steps: Steps[Any]) -> None:
        self._steps = steps
        self.ask: Ask | None = None
        self.result: Any = None
        self._go_on(lambda: next(steps))

    def send(self, parts: list[Any]) -> None:
        """Give it what it waited for."""
        self._go_on(lambda: self._steps.send(parts))

    def fail(self, error: Exception) -> None:
        """Have it end with an error of somebody else."""
        self._steps.close()
        self.ask, self.result = None, error

    def _go_on(self, step: Callable[[], Ask]) -> None:
        try:
            self.ask = step()
        except StopIteration as done:
            self.ask, self.result = None, done.value
        except Exception as error:
            self.ask, self.result = None, error


def run(steps: Steps[T], read: ReadRanges) -> T:
    """Run one job; raises what it raises, or what reading does."""
    (result,) = run_together([steps], read)
    if isinstance(result, Exception):
        raise result
    return result


def run_together(jobs: Sequence[Steps[T]], read: ReadRanges) -> list[T | Exception]:
    """Run jobs to their ends, each step of all of them in one read.

    Parameters
    ----------
    jobs : sequence of generator
        None that was begun.
    read : callable
        Called with byte ranges, and None or a buffer for each; returns their bytes, as `RemoteFile` does.

    Returns
    -------
    list
        For each job what it returned, or the error it raised: the failure of one is not that of others.
        An error of reading is that of all jobs that waited for that read.
    """
    running = [_Job(steps) for steps in jobs]
    while waiting := [job for job in running if job.ask is not None]:
        some = _as_many_as_fit(waiting)
        try:
            parts = list(_read_all([job.ask for job in some if job.ask is not None], read))
        except Exception as error:
            for job in some:
                job.fail(error)
        else:
            for job, own in zip(some, parts, strict=True):
                job.send(own)
    return [job.result for job in running]


def _as_many_as_fit(waiting: list[_Job]) -> list[_Job]:
    count = 0
    for at, job in enumerate(waiting):
        count += len(job.ask.ranges) if job.ask is not None else 0
        if count > _MOST_RANGES and at:
            return waiting[:at]
    return waiting


def _read_all(asks: Sequence[Ask], read: ReadRanges) -> Iterator[list[Any]]:
    """Read what several jobs want, and return for each of them its own."""
    ranges = [span for ask in asks for span in ask.ranges]
    buffers: list[memoryview] | None = None
    if any(ask.buffers is not None for ask in asks):
        buffers = [buffer for ask in asks for buffer in _buffers_of(ask)]
    parts = iter(read(ranges, buffers) if ranges else [])
    for ask in asks:
        own = [next(parts) for _ in ask.ranges]
        yield own if ask.buffers is not None or buffers is None else list(map(bytes, own))


def _buffers_of(ask: Ask) -> Sequence[memoryview]:
    if ask.buffers is not None:
        return ask.buffers
    return [memoryview(bytearray(stop - start)) for start, stop in ask.ranges]
