"""How many requests may be on their way at once: fewer while a server asks to slow down."""

from __future__ import annotations

import threading
from collections import deque

from astro_cloud.forking import restart_after_fork
from astro_cloud.storage.stop import Stop

__all__ = ["Gate"]

_POLL = 0.1


class Gate:
    """Lets a number of requests through at once, and adapts it as TCP adapts its window.

    A server that asks to slow down halves the number, once for all the requests that were on their
    way then; answers make it grow again, by one for as many answers as it is. Who waits longest goes next.

    Parameters
    ----------
    most : int
        Never more than this many.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._start()

    def _start(self) -> None:
        """Be open, with nobody inside."""
        restart_after_fork(self, Gate._start)
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._limit = float(self._most)
        self._inside = 0
        self._slowed = 0

    @property
    def limit(self) -> int:
        """How many may be on their way now."""
        return int(self._limit)

    def enter(self, stop: Stop | None = None) -> int:
        """Wait until one more may go; return what `slow_down` is to be told.

        Raises
        ------
        Stopped
            If the work is given up meanwhile.
        """
        with self._lock:
            if not self._waiting and self._inside < self.limit:
                self._inside += 1
                return self._slowed
            turn = threading.Event()
            self._waiting.append(turn)
        try:
            arrived = False
            while not arrived:
                arrived = turn.wait(None if stop is None else _POLL)
                if stop is not None:
                    stop.check()
        except BaseException:
            self._renounce(turn)
            raise
        return self._slowed

    def leave(self) -> None:
        """Let the next one in."""
        with self._lock:
            self._inside -= 1
            self._admit()

    def slow_down(self, entered: int) -> None:
        """Halve the number, unless it was since that request went in."""
        with self._lock:
            if entered == self._slowed:
                self._slowed += 1
                self._limit = max(1.0, self._limit / 2)

    def speed_up(self) -> None:
        """Take note of an answer that came without complaint."""
        if self._limit < self._most:
            with self._lock:
                self._limit = min(float(self._most), self._limit + 1 / self._limit)
                self._admit()

    def _admit(self) -> None:
        """Let those in for whom there is room, in the order they came."""
        while self._waiting and self._inside < self.limit:
            self._inside += 1
            self._waiting.popleft().set()

    def _renounce(self, turn: threading.Event) -> None:
        """Give up a turn, which may have come meanwhile and is another's then."""
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
            else:
                self._inside -= 1
                self._admit()
