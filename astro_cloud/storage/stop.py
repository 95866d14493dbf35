"""Stop: what has requests that are on their way given up at once."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any

from astro_cloud.forking import restart_after_fork

__all__ = ["Stop", "Stopped"]


class Stopped(Exception):
    """The work was given up by whoever wanted it; never seen by a user."""


class Stop:
    """Given to work that another thread may give up: its waits end, and so do its connections."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        """Be set by nobody and watch nothing."""
        restart_after_fork(self, Stop._start)
        self._event = threading.Event()
        self._sockets: set[Any] = set()

    def check(self) -> None:
        """Raise `Stopped` once the work was given up."""
        if self._event.is_set():
            raise Stopped

    def watch(self, connection: socket.socket) -> None:
        """Have a connection shut down when the work is given up."""
        self._sockets.add(connection)
        self.check()

    def forget(self, connection: socket.socket) -> None:
        """Leave a connection alone again."""
        self._sockets.discard(connection)

    def wait(self, seconds: float) -> None:
        """Wait, but no longer than until the work is given up."""
        self._event.wait(seconds)
        self.check()

    def set(self) -> None:
        """Give the work up."""
        self._event.set()
        for connection in list(self._sockets):
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
