"""An object in memory, on a clock of its own: a wait for it takes one tick, and nothing else does."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from astro_cloud.exceptions import StorageError


class MemoryObject:
    """An `ObjectReader` over bytes, which remembers what was asked for and counts round trips.

    Attributes
    ----------
    asked : list of list of (int, int)
        The ranges of each call.
    now : int
        Round trips so far: what is asked for comes one tick later, and only a wait moves the clock.
    failures : int
        Calls to come that will fail.
    held : threading.Event
        While it is clear, nothing arrives.
    direct : int
        Calls that were not begun in the background.
    cancelled : int
        Readings that were given up.
    """

    def __init__(self, data: bytes, *, tells_size: bool = True) -> None:
        self.data = data
        self.name = "memory"
        self.location = "memory"
        self.version: str | None = None
        self.asked: list[list[tuple[int, int]]] = []
        self.now = 0
        self.failures = 0
        self.direct = self.cancelled = 0
        self._tells_size = tells_size
        self._start()

    def _start(self) -> None:
        self.held = threading.Event()
        self.held.set()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("held", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    @property
    def size(self) -> int | None:
        return len(self.data) if self._tells_size and self.version is not None else None

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """All ranges asked for, in order."""
        return [wanted for call in self.asked for wanted in call]

    def read_ranges(self, ranges: Sequence[tuple[int, int]], into: Sequence[Any] | None = None) -> list[Any]:
        self.direct += 1
        parts = self.begin(ranges).result()
        if into is None:
            return parts
        for part, buffer, (start, stop) in zip(parts, into, ranges, strict=True):
            assert len(buffer) == stop - start
            buffer[: len(part)] = part
        return [buffer[: len(part)] for part, buffer in zip(parts, into, strict=True)]

    def begin(self, ranges: Sequence[tuple[int, int]], *, waste: int | None = None) -> MemoryReading:
        assert all(0 <= start < stop for start, stop in ranges)
        with self._lock:
            self.asked.append(list(ranges))
            fails = self.failures > 0
            self.failures -= fails
            return MemoryReading(self, list(ranges), fails, self.now + 1)


class MemoryReading:
    def __init__(self, source: MemoryObject, ranges: list[tuple[int, int]], fails: bool, ready: int) -> None:
        self._source, self._ranges, self._fails, self._ready = source, ranges, fails, ready

    def done(self) -> bool:
        return self._source.held.is_set() and self._ready <= self._source.now

    def result(self) -> list[bytes]:
        source = self._source
        assert source.held.wait(20), "nobody let it arrive"
        with source._lock:
            source.now = max(source.now, self._ready)
        if self._fails:
            raise StorageError("memory: failed as told", location="memory")
        source.version = "1"
        return [source.data[start:stop] for start, stop in self._ranges]

    def cancel(self) -> None:
        self._source.cancelled += 1
