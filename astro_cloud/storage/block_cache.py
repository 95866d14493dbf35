"""A bounded store of an object's bytes: what was read, what is on its way, what was fetched ahead.

It holds spans, stretches [start, stop) that never overlap: aligned blocks around small reads, and
exactly what was wanted where that is longer, or fetched ahead. It decides nothing about the future;
`prefetch` does.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Protocol

from astro_cloud.exceptions import AstroCloudError
from astro_cloud.forking import restart_after_fork
from astro_cloud.storage.spans import Span, Spans, charge_of
from astro_cloud.storage.stop import Stopped

__all__ = ["BLOCK", "BlockCache", "ObjectReader", "Reading"]

BLOCK = 1 << 16
"""Bytes fetched for a small read, aligned. 64 KiB take 0.8 ms at 80 MB/s, a request 30 ms and more, and
headers, directories and B-trees are read in small steps near each other."""
_PIECE = 1 << 20


class Reading(Protocol):
    """Byte ranges on their way."""

    def done(self) -> bool:
        """Tell whether `result` would return, or raise, at once."""

    def result(self) -> Sequence[bytes]:
        """Wait for the bytes of each range, or raise what kept them from coming."""

    def cancel(self) -> None:
        """Give them up."""


class ObjectReader(Protocol):
    """One version of an object, read by position; a `PinnedObject` or a `LocalObject`."""

    @property
    def name(self) -> str:
        """What errors call the object."""

    @property
    def location(self) -> Any:
        """What is read."""

    @property
    def version(self) -> Any:
        """What tells the version that is read from others; None before the first read."""

    @property
    def size(self) -> int | None:
        """Bytes of the object; None before the first read, or if the server never says."""

    def read_ranges(self, ranges: Sequence[tuple[int, int]], into: Sequence[Any] | None = None) -> list[Any]:
        """Read ranges [start, stop) at once, each cut at the object's end; into buffers, if given."""

    def begin(self, ranges: Sequence[tuple[int, int]], *, waste: int | None = None) -> Reading:
        """Begin to read ranges in the background; `waste` bytes may be read in vain between them."""


class BlockCache:
    """Reads of one object that remember what they brought; for any number of threads.

    A byte that is held, or on its way, is not asked for again. What was not used for longest makes
    room. A fetch that failed leaves nothing behind.

    Parameters
    ----------
    source : ObjectReader
        Where bytes come from.
    size : int
        Bytes held at most, those on their way included, at least 0. A span counts as 512 bytes or more.

    Attributes
    ----------
    largest : int
        Bytes of the longest read that should go through it; it would drive out too much else.
    """

    def __init__(self, source: ObjectReader, size: int) -> None:
        if size < 0:
            raise ValueError(f"the size of a cache is at least 0 bytes: {size}")
        self.source = source
        self.size = size
        self.largest = size // 4
        self.block = max(1, min(BLOCK, self.largest))
        self._piece = max(self.block, min(_PIECE, size // 32))
        self._bound: int | None = None
        self._start()

    def _start(self) -> None:
        """Hold nothing: another thread may have been in the midst of changing what there was."""
        restart_after_fork(self, BlockCache._start)
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._spans: Spans[_Batch] = Spans()
        self._flying: set[_Batch] = set()
        self._given_up: list[_Batch] = []

    @property
    def held(self) -> int:
        """Bytes that are held or on their way, as they count against `size`."""
        return self._spans.held

    @property
    def held_ahead(self) -> int:
        """Those of them that were fetched ahead and not used yet."""
        return self._spans.held_ahead

    @property
    def end(self) -> int | None:
        """Where the object ends, or a place known to lie behind its end; None if neither is known."""
        size = self.source.size
        return size if size is not None else self._bound

    def read(
        self, start: int, stop: int, *, alone: bool = False, ahead: Sequence[tuple[int, int]] = ()
    ) -> list[memoryview]:
        """Return bytes [start, stop), cut at the object's end, as pieces in their order.

        Parameters
        ----------
        start, stop : int
            Bytes from the object's start, 0 <= start < stop.
        alone : bool
            Fetch nothing around them.
        ahead : sequence of (int, int)
            Ranges to fetch once these are on their way, as far as they fit in half the cache; whether
            that succeeds shows when somebody reads them.

        Raises
        ------
        StorageError
            If they cannot be read; nothing is remembered of that.
        """
        while True:
            spans: list[Span[_Batch]] | None = []
            try:
                with self._lock:
                    spans, own = self._looked_up(start, stop, alone, queued=bool(ahead))
                    if ahead:
                        self._fetch_ahead(ahead, self.size // 2)
                self._cancel_given_up()
                if spans is None:
                    data = self.source.read_ranges([(start, stop)])[0]
                    return [memoryview(data)] if data else []
                if all(self._arrived(span, own) for span in spans):
                    return list(_cut(spans, start, stop))
            except BaseException:  # Ctrl-C too
                self._leave(spans or [])
                raise
            ahead = ()

    def fetch_ahead(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Begin to fetch ranges [start, stop), the first of them, as far as all of the cache can hold."""
        with self._lock:
            self._fetch_ahead(ranges, self.size)
        self._cancel_given_up()

    def put(self, start: int, data: bytes) -> None:
        """Hold bytes of the object that came some other way, as far as there is room for them."""
        with self._lock:
            for first, last in self._spans.gaps(start, start + len(data)):
                span: Span[_Batch] = Span(first, last, data[first - start : last - start])
                if span.charge <= self.size and self._make_room(span.charge):
                    self._spans.add(span, ahead=False)
        self._cancel_given_up()

    def held_bytes(self, start: int, stop: int) -> bytes | None:
        """Return bytes [start, stop) if all of them are here; nothing is fetched."""
        with self._lock:
            spans = list(self._spans.overlapping(start, stop))
            if any(span.source is not None for span in spans) or self._spans.gaps(start, stop):
                return None
            for span in spans:
                self._spans.use(span)
        return b"".join(_cut(spans, start, stop))

    def close(self) -> None:
        """Forget everything, and give up what is fetched ahead."""
        with self._lock:
            self._given_up.extend(batch for batch in self._flying if batch.background)
            given_up = self._given_up
            self._forget()
        for batch in given_up:
            batch.reading.cancel()

    def _looked_up(
        self, start: int, stop: int, alone: bool, *, queued: bool
    ) -> tuple[list[Span[_Batch]] | None, _Batch | None]:
        """Return the spans that hold or will hold some bytes, and the batch that was begun for it.

        None in place of spans means that there is no room, as everything is on its way.
        """
        recent = self._spans.recent
        if recent is not None and recent.start <= start and stop <= recent.stop:
            return [recent], None
        end = self.end
        stop = stop if end is None else min(stop, end)
        spans = list(self._spans.overlapping(start, stop))
        for span in spans:
            self._spans.use(span)
        if not self._spans.gaps(start, stop):
            return spans, None
        first, last = (start, stop) if alone else self._around(start, stop)
        batch = self._begin(self._pieces([(first, last)]), background=False, queued=queued)
        if batch is None:
            return None, None
        spans += [span for span in batch.spans if span.start < stop and span.stop > start]
        return sorted(spans, key=lambda span: span.start), batch

    def _around(self, start: int, stop: int) -> tuple[int, int]:
        """Return the whole blocks about a small read; a large one is worth a request by itself."""
        if stop - start >= self.block:
            return start, stop
        return start // self.block * self.block, -(-stop // self.block) * self.block

    def _arrived(self, span: Span[_Batch], own: _Batch | None) -> bool:
        """Wait for a span; false if it was given up, or fetched ahead in vain: then it is to be read anew."""
        batch = span.source
        if batch is None:
            return True
        batch.wait()
        with self._lock:
            self._settle(batch)
        if batch.error is None:
            return True
        if isinstance(batch.error, Stopped):  # by another thread that waited for it, and was interrupted
            return False
        if batch is own or (not batch.background and isinstance(batch.error, AstroCloudError)):
            raise batch.error
        return False

    def _leave(self, spans: Iterable[Span[_Batch]]) -> None:
        """Give back the room of what this thread was to bring, unless another thread is about to."""
        with self._lock:
            for batch in {span.source for span in spans if span.source is not None}:
                if isinstance(batch.reading, _Direct) and batch.left():
                    self._settle(batch)
            self._settle_done()

    def _fetch_ahead(self, ranges: Iterable[tuple[int, int]], limit: int) -> None:
        pieces, charge = [], 0
        for start, stop in self._pieces(ranges):
            charge += charge_of(stop - start)
            if charge > limit:
                break
            pieces.append((start, stop))
        charge = sum(charge_of(stop - start) for start, stop in pieces)
        while self._spans.held_ahead + charge > limit and (oldest := self._spans.oldest_ahead()):
            self._drop(oldest)
        if pieces:
            with suppress(AstroCloudError):
                self._begin(pieces, background=True)

    def _begin(
        self, pieces: Iterable[tuple[int, int]], *, background: bool, queued: bool = True
    ) -> _Batch | None:
        """Have pieces fetched, if there is room for them; by whoever wants them, if they are not queued."""
        spans: list[Span[_Batch]] = [Span(start, stop) for start, stop in pieces]
        self._settle_done()
        if not self._make_room(sum(span.charge for span in spans)):
            return None
        ranges = [(span.start, span.stop) for span in spans]
        reading = self.source.begin(ranges, waste=self.size) if queued else _Direct(self.source, ranges)
        batch = _Batch(reading, spans, background)
        self._flying.add(batch)
        for span in spans:
            span.source = batch
            self._spans.add(span, ahead=background)
        return batch

    def _settle_done(self) -> None:
        for batch in [batch for batch in self._flying if batch.reading.done()]:
            batch.wait()
            self._settle(batch)

    def _settle(self, batch: _Batch) -> None:
        """Put what a batch brought where it belongs, if that was not done before."""
        if batch not in self._flying:
            return
        self._flying.remove(batch)
        parts, batch.parts = batch.parts, []
        for span, part in zip(batch.spans, parts or [b""] * len(batch.spans), strict=True):
            stop = span.start + len(part)
            if parts and stop < span.stop:
                self._bound = stop if self._bound is None else min(self._bound, stop)
            if span in self._spans and part:
                self._spans.cut(span, stop)
            elif span in self._spans:
                self._spans.drop(span)
            span.data = part
            if batch.error is None:
                span.source = None

    def _cancel_given_up(self) -> None:
        while self._given_up:
            with suppress(IndexError):
                self._given_up.pop().reading.cancel()

    def _pieces(self, ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Return what is missing of ranges, up to the object's end, in pieces that are dropped singly."""
        end = self.end
        for start, stop in ranges:
            for first, last in self._spans.gaps(start, stop if end is None else min(stop, end)):
                for begin in range(first, last, self._piece):
                    yield begin, min(begin + self._piece, last)

    def _make_room(self, charge: int) -> bool:
        while self._spans.held + charge > self.size:
            victim = self._spans.next_victim()
            if victim is None:
                return False
            self._drop(victim)
        return True

    def _drop(self, span: Span[_Batch]) -> None:
        """Forget a span; what was fetched ahead and is all forgotten need not come any more."""
        self._spans.drop(span)
        batch = span.source
        if batch is not None and batch in self._flying:
            batch.wanted -= 1
            if not batch.wanted:
                self._flying.remove(batch)
                self._given_up.append(batch)


def _cut(spans: Iterable[Span[_Batch]], start: int, stop: int) -> Iterator[memoryview]:
    """Return the bytes [start, stop) that spans hold in a row."""
    for span in spans:
        if span.start > start or not span.data:
            return
        yield memoryview(span.data)[start - span.start : stop - span.start]
        start = span.stop


class _Direct:
    """A reading that whoever wants it makes himself: it does not queue behind what is fetched ahead."""

    def __init__(self, source: ObjectReader, ranges: list[tuple[int, int]]) -> None:
        self._source = source
        self._ranges = ranges

    def done(self) -> bool:
        return False

    def result(self) -> Sequence[bytes]:
        return self._source.read_ranges(self._ranges)

    def cancel(self) -> None:
        """Do nothing: somebody wants it."""


class _Batch:
    """Spans that are fetched together; `wanted` counts those that nobody dropped."""

    def __init__(self, reading: Reading, spans: list[Span[_Batch]], background: bool) -> None:
        self.reading = reading
        self.spans = spans
        self.background = background
        self.wanted = len(spans)
        self.parts: Sequence[bytes] = []
        self.error: Exception | None = None
        self._over = False
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait until `parts`, or an `error`, are there."""
        with self._lock:
            if not self._over:
                try:
                    self.parts = self.reading.result()
                except Exception as error:
                    self.error = error
                self._over = True

    def left(self) -> bool:
        """Stop it, unless it is over; false if some thread is waiting, and so will settle it."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if not self._over:
                self.error, self._over = Stopped(), True
            return True
        finally:
            self._lock.release()
