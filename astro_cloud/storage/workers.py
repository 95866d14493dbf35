"""Background threads, and batches of calls for them to run.

The threads are daemons and end when they have had nothing to do for a while, so a program ends when
it likes; a batch can be given up at any moment, and its connections with it.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import Generic, TypeVar

from astro_cloud.forking import restart_after_fork
from astro_cloud.storage.stop import Stop, Stopped

__all__ = ["Batch", "Workers"]

_IDLE = 0.5
_FAREWELL = 1.0

_T = TypeVar("_T")


class Batch(Generic[_T]):
    """Calls that run in the background; the first failure ends them all.

    In a process forked while they ran, nobody runs them any more: there, it is a batch given up.
    """

    def __init__(self, calls: Sequence[Callable[[Stop], _T]]) -> None:
        self._calls = calls
        self._results: list[_T | None] = [None] * len(calls)
        self._next = count()
        self._left = len(calls)
        self._active = 0
        self._error: BaseException | None = None
        self._stop = Stop()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._process = os.getpid()
        if not calls:
            self._over.set()

    def work(self) -> None:
        """Run calls that nobody has begun, until there are none."""
        with self._lock:
            if self._over.is_set():
                return
            self._active += 1
        try:
            while (index := next(self._next)) < len(self._calls) and self._error is None:
                self._results[index] = self._calls[index](self._stop)
                with self._lock:
                    self._left -= 1
        except BaseException as error:
            self._fail(error)
        with self._lock:
            self._active -= 1
            self._end_if_over()

    def done(self) -> bool:
        """Tell whether nothing of it runs any more, or ever will."""
        return self._over.is_set() or self._orphaned

    def result(self) -> list[_T]:
        """Wait for the end, and return the results in order.

        Raises
        ------
        Stopped
            If it was given up.
        Exception
            The first failure.
        """
        if self._orphaned:
            raise Stopped
        try:
            self._over.wait()
        except BaseException:
            self.cancel()
            raise
        if self._error is not None:
            raise self._error
        return self._results  # type: ignore[return-value]  # none is missing now

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end, but no longer than `seconds`; tell whether it has come."""
        return self._orphaned or self._over.wait(seconds)

    def cancel(self) -> None:
        """Give it up; when this returns nothing of it runs any more, or will within the second."""
        if self._orphaned or self._over.is_set():
            return
        self.abandon()
        self._over.wait(_FAREWELL)

    def abandon(self) -> None:
        """Give it up, and wait for nothing."""
        self._fail(Stopped())

    @property
    def _orphaned(self) -> bool:
        return self._process != os.getpid()

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            if self._error is None:
                self._error = error
            self._end_if_over()
        self._stop.set()

    def _end_if_over(self) -> None:
        if not self._active and (not self._left or self._error is not None):
            self._over.set()


class Workers:
    """Threads that are started when there is work for them, and no more than `limit`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._start()

    def _start(self) -> None:
        """Have no threads and nothing to do."""
        restart_after_fork(self, Workers._start)
        # Who enters by the lock itself cannot be interrupted with it in hand, as one can in a Condition's.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._jobs: deque[Callable[[], None]] = deque()
        self._threads = 0
        self._idle = 0
        self._closed = False

    def begin(self, calls: Sequence[Callable[[Stop], _T]]) -> Batch[_T]:
        """Run calls in the background, as many at once as there may be threads."""
        batch = Batch(calls)
        jobs = min(len(calls), self._limit)
        try:
            with self._lock:
                self._closed = False
                self._jobs.extend([batch.work] * jobs)
                new = min(len(self._jobs) - self._idle, self._limit - self._threads)
                for _ in range(new):
                    self._add_thread()
                self._changed.notify(jobs)
        except BaseException:  # an interrupt, or no thread at all
            batch.abandon()
            raise
        return batch

    def _add_thread(self) -> None:
        self._threads += 1
        try:
            threading.Thread(target=self._serve, name="astro-cloud", daemon=True).start()
        except RuntimeError:  # the system allows no more: those there are do the work
            self._threads -= 1
            if not self._threads:
                raise

    def close(self) -> None:
        """End the threads, once they have no more to do; new ones are started if needed."""
        with self._lock:
            self._closed = True
            self._changed.notify_all()

    def _serve(self) -> None:
        while (job := self._job()) is not None:
            job()
            del job  # an idle thread keeps no results alive

    def _job(self) -> Callable[[], None] | None:
        with self._lock:
            self._idle += 1
            try:
                self._changed.wait_for(lambda: self._jobs or self._closed, _IDLE)
            finally:
                self._idle -= 1
            if self._jobs:
                return self._jobs.popleft()
            self._threads -= 1
            return None
