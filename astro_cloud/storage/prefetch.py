"""What a reader will want next, learnt from the reads it made. Pure: reads in, ranges to fetch out.

Two habits are known: reading on (a run), and reads of one length a constant stride apart (a series), as
the rows of an image section are. Whatever is neither is left alone. Nothing here fetches anything, nor
knows what has been fetched already.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Foresight", "Prefetcher"]

_DENSE = 4096
"""Bytes left out between two reads, up to which the second is taken for reading on."""
_HABITS = 8
"""Runs and series followed at once, as of several threads or several parts of a file."""
_LAGS = 3
"""A series may take turns with up to two others: an image, its errors, its flags."""
_MOST_READS = 1024
"""Reads of a series fetched ahead, at most."""
_EAGEREST, _LEAST_EAGER = 2.0, 0.25


class Foresight(NamedTuple):
    """What a read says about those to come.

    Attributes
    ----------
    alone : bool
        The read is one of a series, so that what lies around it is not wanted soon.
    ranges : tuple of (int, int)
        Bytes [start, stop) to fetch ahead, soonest wanted first. They may lie past the object's end.
    """

    alone: bool = False
    ranges: tuple[tuple[int, int], ...] = ()


class Prefetcher:
    """Learns from the reads of one file which bytes to fetch ahead.

    It looks ahead twice as far as a habit has lasted, in windows each twice as long as the one before.
    Less far once a habit ended with as much fetched in vain as had been read, down to a quarter of
    what was read; farther again when what was fetched gets used.

    Parameters
    ----------
    limit : int
        Bytes that one habit has fetched ahead, at most.
    block : int
        Bytes: what a small read fetches along with it, aligned; reading on is worth fetching ahead
        from that much on.
    """

    def __init__(self, *, limit: int, block: int) -> None:
        self._limit = limit
        self._block = block
        self._eagerness = _EAGEREST
        self._habits: deque[_Run | _Series] = deque()
        self._strays: deque[tuple[int, int]] = deque(maxlen=2 * _LAGS)

    def saw(self, start: int, stop: int) -> Foresight:
        """Take note of a read of bytes [start, stop), and say what to fetch ahead; start < stop."""
        habit = self._continued(start, stop) or self._begun(start, stop) or self._moved(start, stop)
        if habit is None:
            self._strays.append((start, stop))
            return Foresight()
        had_some = habit.ahead > 0
        ranges = habit.look_ahead(self._eagerness, self._limit, self._block)
        if ranges and had_some:
            self._eagerness = min(_EAGEREST, 2 * self._eagerness)
        return Foresight(isinstance(habit, _Series), ranges)

    def _continued(self, start: int, stop: int) -> _Run | _Series | None:
        for habit in reversed(self._habits):
            if habit.goes_on(start, stop):
                habit.take(start, stop)
                if habit is not self._habits[-1]:
                    self._habits.remove(habit)
                    self._habits.append(habit)
                return habit
        return None

    def _moved(self, start: int, stop: int) -> _Series | None:
        """Take a read as long as those of a series for its next part: the same rows, a plane further."""
        for habit in reversed(self._habits):
            if isinstance(habit, _Series) and habit.count > 2 and habit.length == stop - start:
                self._end(habit)
                moved = _Series(start, habit.length, habit.stride, count=1, expected=habit.count)
                self._habits.append(moved)
                return moved
        return None

    def _begun(self, start: int, stop: int) -> _Run | _Series | None:
        """Find a habit in reads that belonged to none so far."""
        habit = self._run_to(start, stop) or self._series_to(start, stop)
        if habit is not None:
            self._habits.append(habit)
            if len(self._habits) > _HABITS:
                self._end(self._habits[0])
        return habit

    def _run_to(self, start: int, stop: int) -> _Run | None:
        for index in range(len(self._strays) - 1, -1, -1):
            begin, reached = self._strays[index]
            if 0 <= start - reached <= _DENSE:
                del self._strays[index]
                small = stop - start < self._block
                return _Run(begin, stop, -(-stop // self._block) * self._block if small else stop)
        return None

    def _series_to(self, start: int, stop: int) -> _Series | None:
        """Find two reads as long as this one, the same distance before it and each other."""
        strays, length = self._strays, stop - start
        for lag in range(1, len(strays) // 2 + 1):
            (last, last_stop), (first, first_stop) = strays[-lag], strays[-2 * lag]
            stride = start - last
            if stride and stride == last - first and length == last_stop - last == first_stop - first:
                del strays[-lag], strays[1 - 2 * lag]
                return _Series(start, length, stride, count=3)
        return None

    def _end(self, habit: _Run | _Series) -> None:
        self._habits.remove(habit)
        if habit.ahead >= habit.read:
            self._eagerness = max(_LEAST_EAGER, self._eagerness / 2)


def _enough(ahead: int, wanted: int, grown: bool) -> bool:
    """Tell whether to wait with the next window: until half of a full-grown one is left, a quarter of others.

    So each window that grows is twice the one before, and one that cannot grow is asked for in time.
    """
    return ahead > (wanted // 2 if grown else wanted // 4)


@dataclass(slots=True, eq=False)
class _Run:
    """Bytes [begin, stop) were read on and on; what lies before `frontier` is fetched.

    Before `given` it came along with what was read, and was no guess.
    """

    begin: int
    stop: int
    given: int
    frontier: int = 0

    def __post_init__(self) -> None:
        self.frontier = self.given

    @property
    def read(self) -> int:
        return self.stop - self.begin

    @property
    def ahead(self) -> int:
        return max(0, self.frontier - max(self.stop, self.given))

    def goes_on(self, start: int, stop: int) -> bool:
        return 0 <= start - self.stop <= _DENSE

    def take(self, start: int, stop: int) -> None:
        self.stop = stop

    def look_ahead(self, eagerness: float, limit: int, block: int) -> tuple[tuple[int, int], ...]:
        wanted = min(int(eagerness * self.read), limit)
        begin, end = max(self.frontier, self.stop), (self.stop + wanted) // block * block
        if wanted < block or begin >= end or _enough(begin - self.stop, wanted, wanted == limit):
            return ()
        self.frontier = end
        return ((begin, end),)


@dataclass(slots=True, eq=False)
class _Series:
    """`count` reads of `length` bytes, `stride` apart, the last at `start`; `fetched` more are ahead.

    `expected` is how many there were the last time, at another place.
    """

    start: int
    length: int
    stride: int
    count: int
    expected: int = 0
    fetched: int = 0

    @property
    def read(self) -> int:
        return self.count * self.length

    @property
    def ahead(self) -> int:
        return self.fetched * self.length

    def goes_on(self, start: int, stop: int) -> bool:
        return start == self.start + self.stride and stop - start == self.length

    def take(self, start: int, stop: int) -> None:
        self.start = start
        self.count += 1
        self.fetched = max(0, self.fetched - 1)

    def look_ahead(self, eagerness: float, limit: int, block: int) -> tuple[tuple[int, int], ...]:
        rest = self.expected - self.count
        wanted = int(min(1.0, eagerness) * rest if rest >= 0 else eagerness * self.count)
        most = min(limit // self.length, _MOST_READS)
        wanted = min(wanted, most)
        if self.fetched >= wanted or _enough(self.fetched, wanted, wanted == most):
            return ()
        starts = [self.start + self.stride * number for number in range(self.fetched + 1, wanted + 1)]
        self.fetched = wanted
        return tuple((start, start + self.length) for start in starts if start >= 0)
