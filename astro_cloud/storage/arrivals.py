"""What has arrived of an object in its part file, summed and written down while it arrives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from astro_cloud.storage.checksum import Algorithm, RunningCRC
from astro_cloud.storage.engine import OpenAnswer
from astro_cloud.storage.journal import Journal, Span
from astro_cloud.storage.part_file import PartFile

__all__ = ["Arrivals", "Piece"]

_BUFFER = 1 << 19
_INTERVAL = 0.25


class Arrivals:
    """The bytes that are in a part file, or on their way there in pieces.

    Parameters
    ----------
    part : PartFile
        Takes them.
    bound : int
        Bytes that may have arrived and not be written down in the journal, at most: so many would
        have to come again if this process were killed.
    wrote : callable
        Called with the number of bytes, whenever some were written.

    Attributes
    ----------
    algorithm : str or None
        Of the CRC to compute of what arrives from now on.
    """

    def __init__(self, part: PartFile, bound: int, wrote: Callable[[int], object]) -> None:
        self.algorithm: Algorithm | None = None
        self.part = part
        self._bound = bound
        self._wrote = wrote
        self._lock = threading.Lock()
        self._recording = threading.Lock()
        self._begun = False
        self._last = time.monotonic()
        self.forget()

    def forget(self) -> None:
        """Have nothing."""
        self._closed: list[Span] = []
        self._open: set[Piece] = set()
        self._recorded: dict[int, int] = {}
        self._unrecorded = 0

    def resume(self, journal: Journal) -> None:
        """Have what an earlier download wrote down."""
        self._closed = list(journal.spans)

    def begin(self, journal: Journal) -> None:
        """Write down what arrives from now on; the journal holds what is written down already."""
        self._recorded = {span.start: span.stop for span in journal.spans}
        self.part.begin_journal(journal)
        self._begun = True

    def piece(self, start: int, stop: int) -> Piece:
        """Return what takes the bytes [start, stop)."""
        piece = Piece(self, start, stop)
        with self._lock:
            self._open.add(piece)
        return piece

    def keep(self, span: Span, piece: Piece | None = None) -> None:
        """Take over the span of a piece, which may be at its end."""
        with self._lock:
            if span.start < span.stop:
                self._closed.append(span)
            if piece is not None:
                self._open.discard(piece)

    def spans(self) -> list[Span]:
        """Return what has arrived, in the order of the bytes."""
        with self._lock:
            found = [*self._closed, *(piece.span for piece in self._open)]
        return sorted((span for span in found if span.start < span.stop), key=lambda span: span[:2])

    def arrived(self, count: int) -> None:
        """Take note of bytes that were written, and see whether it is time to write that down."""
        with self._lock:
            self._unrecorded += count
        self._wrote(count)
        if not self._begun:
            return
        if self._unrecorded >= self._bound:
            with self._recording:
                if self._unrecorded >= self._bound:
                    self._record()
        elif self._is_due() and self._recording.acquire(blocking=False):
            try:
                self._record()
            finally:
                self._recording.release()

    def record(self) -> None:
        """Write down all that has arrived, if the journal was begun."""
        if self._begun and self.part.is_open:
            with self._recording:
                self._record()

    def _is_due(self) -> bool:
        return self._unrecorded >= self._bound // 2 or time.monotonic() - self._last >= _INTERVAL

    def _record(self) -> None:
        with self._lock:
            self._unrecorded = 0
        new = [span for span in self.spans() if self._recorded.get(span.start) != span.stop]
        if new:
            self.part.sync()
            self.part.record(new)
            self._recorded.update((span.start, span.stop) for span in new)
        self._last = time.monotonic()


class Piece:
    """Bytes [start, stop) of an object, which a `RangeRead` brings and a part file keeps.

    Attributes
    ----------
    span : Span
        What of them is written.
    """

    def __init__(self, arrivals: Arrivals, start: int, stop: int) -> None:
        self.start = start
        self.stop = stop
        self.span = Span(start, start)
        self._arrivals = arrivals
        self._buffer = memoryview(bytearray(min(_BUFFER, stop - start)))
        self._held = 0
        self._crc: RunningCRC | None = None

    def take(self, answer: OpenAnswer, size: int) -> int:
        """Take up to `size` bytes of the body; return how many came, 0 at its end."""
        room = min(size, len(self._buffer) - self._held)
        came = answer.readinto(self._buffer[self._held : self._held + room])
        self._held += came
        if self._held == len(self._buffer) or self.span.stop + self._held == self.stop:
            self.flush()
        return came

    def flush(self) -> None:
        """Write what is held."""
        held, self._held = self._held, 0
        if held:
            self._write(self._buffer[:held])

    def close(self) -> None:
        """Write what is held; there will be no more."""
        try:
            self.flush()
        finally:
            self._arrivals.keep(self.span, self)

    def _write(self, data: memoryview) -> None:
        at = self.span.stop
        algorithm = self._arrivals.algorithm
        if self._crc is None and algorithm is not None:  # what came before it was known is summed later
            self._arrivals.keep(self.span)
            self.span = Span(at, at)
            self._crc = RunningCRC(algorithm)
        crc = self._crc
        if crc is not None:
            crc.update(data)
        self._arrivals.part.write(data, at)
        stop = at + len(data)
        start = self.span.start
        self.span = Span(start, stop) if crc is None else Span(start, stop, crc.algorithm, crc.value)
        self._arrivals.arrived(len(data))
