"""Spans: stretches of an object's bytes that never overlap, with the order in which they make room. Pure.

What a span holds, or where its bytes are to come from, is no business of this module.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Span", "Spans", "charge_of"]

_LEAST_CHARGE = 512

_Source = TypeVar("_Source")


def charge_of(length: int) -> int:
    """Return what a span of some bytes counts as: it takes room beyond its bytes."""
    return max(length, _LEAST_CHARGE)


@dataclass(slots=True, eq=False)
class Span(Generic[_Source]):
    """Bytes [start, stop) of an object.

    Attributes
    ----------
    data : bytes
        They themselves; empty while they are on their way.
    source : optional
        Where they are to come from; None once they are here.
    """

    start: int
    stop: int
    data: bytes = b""
    source: _Source | None = None

    @property
    def charge(self) -> int:
        """Bytes it counts as."""
        return charge_of(self.stop - self.start)


class Spans(Generic[_Source]):
    """Spans by their place, and by when they were used.

    Attributes
    ----------
    held, held_ahead : int
        Bytes of all, and of those that were fetched ahead and not used yet, as they are charged.
    recent : Span or None
        The one used last, while it is here.
    """

    def __init__(self) -> None:
        self.held = self.held_ahead = 0
        self.recent: Span[_Source] | None = None
        self._starts: list[int] = []
        self._by_start: dict[int, Span[_Source]] = {}
        self._used: dict[Span[_Source], None] = {}  # least recently used first
        self._ahead: dict[Span[_Source], None] = {}  # oldest first

    def __contains__(self, span: Span[_Source]) -> bool:
        return self._by_start.get(span.start) is span

    def __iter__(self) -> Iterator[Span[_Source]]:
        return iter([self._by_start[start] for start in self._starts])

    def overlapping(self, start: int, stop: int) -> Iterator[Span[_Source]]:
        """Return the spans that hold some of [start, stop), in their order."""
        index = max(0, bisect_right(self._starts, start) - 1)
        for begin in self._starts[index : bisect_left(self._starts, stop)]:
            if self._by_start[begin].stop > start:
                yield self._by_start[begin]

    def gaps(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Return the stretches of [start, stop) that no span holds."""
        gaps = []
        for span in self.overlapping(start, stop):
            if span.start > start:
                gaps.append((start, span.start))
            start = span.stop
        return [*gaps, (start, stop)] if start < stop else gaps

    def add(self, span: Span[_Source], *, ahead: bool) -> None:
        """Add a span, where there is none: fetched ahead, or for somebody who uses it."""
        self._starts.insert(bisect_left(self._starts, span.start), span.start)
        self._by_start[span.start] = span
        self.held += span.charge
        if ahead:
            self._ahead[span] = None
            self.held_ahead += span.charge
        else:
            self._used[span] = None

    def use(self, span: Span[_Source]) -> None:
        """Let a span be the last to make room."""
        if span in self._ahead:
            del self._ahead[span]
            self.held_ahead -= span.charge
        self._used.pop(span, None)
        self._used[span] = None
        self.recent = span

    def drop(self, span: Span[_Source]) -> None:
        """Forget a span."""
        del self._by_start[span.start]
        del self._starts[bisect_left(self._starts, span.start)]
        self.held -= span.charge
        if span in self._ahead:
            self.held_ahead -= span.charge
        self._used.pop(span, None)
        self._ahead.pop(span, None)
        if span is self.recent:
            self.recent = None

    def cut(self, span: Span[_Source], stop: int) -> None:
        """Let a span that is here end earlier."""
        before = span.charge
        span.stop = stop
        self.held += span.charge - before
        if span in self._ahead:
            self.held_ahead += span.charge - before

    def oldest_ahead(self) -> Span[_Source] | None:
        """Return what was fetched ahead first, and not used yet."""
        return next(iter(self._ahead), None)

    def next_victim(self) -> Span[_Source] | None:
        """Return the span to make room next: the one not used for longest, of those that are not awaited."""
        return next((span for span in self._used if span.source is None), None) or self.oldest_ahead()
