"""Threads that take jobs from a queue, to which jobs may add: what whole files are transferred by."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from astro_cloud.storage.stop import Stop
from astro_cloud.storage.workers import Workers

__all__ = ["Crew", "Job"]

Job = Callable[[Stop], None]

_POLL = 0.1


class Crew:
    """Runs jobs until there are none left, and nobody who could add one.

    The first job that fails ends them all.

    Parameters
    ----------
    size : int
        Jobs that run at once, on threads of their own: a crew lasts long, and others want theirs soon.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._changed = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._source: Iterator[Job] | None = None
        self._pulling = False
        self._busy = 0

    def add(self, jobs: Sequence[Job]) -> None:
        """Have some more jobs run, before those that have waited longer."""
        with self._changed:
            self._jobs.extendleft(reversed(jobs))
            self._changed.notify_all()

    def run(self, source: Iterable[Job]) -> None:
        """Run the jobs of a source, pulled when nothing else is to be done, and those they add.

        Raises
        ------
        Exception
            The first that a job raised, or the source.
        """
        self._source = iter(source)
        workers = Workers(self.size)
        try:
            workers.begin([self._work] * self.size).result()
        finally:
            workers.close()

    def _work(self, stop: Stop) -> None:
        while (job := self._next(stop)) is not None:
            try:
                job(stop)
            finally:
                with self._changed:
                    self._busy -= 1
                    self._changed.notify_all()

    def _next(self, stop: Stop) -> Job | None:
        """Return the next job, which counts as busy from now on; None once all is done."""
        with self._changed:
            while True:
                stop.check()
                if self._jobs:
                    self._busy += 1
                    return self._jobs.popleft()
                if self._source is not None and not self._pulling:
                    self._pull()
                elif self._source is None and not self._busy:
                    return None
                else:
                    self._changed.wait(_POLL)

    def _pull(self) -> None:
        """Take one job from the source, which may have to ask a server for it."""
        source = self._source
        self._pulling = True
        self._changed.release()
        try:
            job = next(source, None) if source is not None else None
        finally:
            self._changed.acquire()
            self._pulling = False
            self._changed.notify_all()
        if job is None:
            self._source = None
        else:
            self._jobs.append(job)
