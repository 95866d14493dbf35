"""Pieces on their way: sent in the background, no more of them at once than there is room for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from astro_cloud.storage.stop import Stop, Stopped
from astro_cloud.storage.workers import Batch, Workers

__all__ = ["Fleet"]

_FAREWELL = 1.0
_ALWAYS = 2
_POLL = 0.1


class Fleet:
    """Calls that are made in the background while the next ones are prepared; the first failure ends them.

    Threads are taken only for calls that are ready: where preparing one needs threads of the same
    workers, it gets them.

    Parameters
    ----------
    workers : Workers
    most : int
        Calls at once.
    budget : int or None
        Bytes at once, but for two calls that are always let through; None where they take no memory.
    stop : Stop, optional
        Ends waiting.
    """

    def __init__(self, workers: Workers, most: int, budget: int | None, stop: Stop | None = None) -> None:
        self._workers = workers
        self._most = most
        self._budget = budget
        self._stop = stop
        self._lock = threading.Lock()  # entered by itself, as in `Workers`
        self._changed = threading.Condition(self._lock)
        self._claims: list[int] = []
        self._away: list[Batch[None]] = []
        self._running = 0
        self._error: BaseException | None = None

    def paced(self, sizes: Iterable[int]) -> Iterator[int]:
        """Give out sizes in bytes, each once there is room for a call of that size; none after a failure."""
        for size in sizes:
            with self._lock:
                self._wait_for(partial(self._has_room, size))
                if self._error is not None:
                    return
                self._claims.append(size)
            yield size

    def launch(self, call: Callable[[Stop], object]) -> None:
        """Make the call that the last size was given out for."""
        calls = [call]  # what is called is let go of before there is room for the next
        del call
        with self._lock:
            claim = self._claims[-1]
            self._running += 1
            self._away = [batch for batch in self._away if not batch.done()]

        def run(stop: Stop) -> None:
            try:
                calls.pop()(stop)
            except BaseException as error:
                self._fail(error)
                raise
            finally:
                self._land(claim)

        try:
            self._away.append(self._workers.begin([run]))
        except BaseException:
            self._land(claim)
            raise

    def wait(self) -> None:
        """Wait until all calls have ended; raise what the first failure was."""
        with self._lock:
            self._wait_for(lambda: not self._running)
        if self._error is not None:
            raise self._error

    def recall(self) -> None:
        """Give all calls up; when this returns none is made any more, or will be within the second."""
        self._fail(Stopped())
        for batch in self._away:
            batch.abandon()
        deadline = time.monotonic() + _FAREWELL
        for batch in self._away:
            batch.wait(max(0.0, deadline - time.monotonic()))

    def _wait_for(self, is_true: Callable[[], bool]) -> None:
        """Wait until something is true, or a call has failed; whoever calls holds the lock."""
        while not self._changed.wait_for(
            lambda: self._error is not None or is_true(), _POLL if self._stop is not None else None
        ):
            if self._stop is not None:
                self._stop.check()

    def _has_room(self, size: int) -> bool:
        held = len(self._claims)
        if held >= self._most:
            return False
        return self._budget is None or held < _ALWAYS or sum(self._claims) + size <= self._budget

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._error = self._error or error
            self._changed.notify_all()

    def _land(self, claim: int) -> None:
        with self._lock:
            if claim in self._claims:  # a call that was interrupted as it began may land twice
                self._claims.remove(claim)
            self._running -= 1
            self._changed.notify_all()
