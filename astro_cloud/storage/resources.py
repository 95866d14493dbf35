"""What all reads of one client share: settings, connections, threads and counts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from requests import Session

from astro_cloud.forking import restart_after_fork
from astro_cloud.storage.settings import Settings
from astro_cloud.storage.transport import Transport
from astro_cloud.storage.usage import Usage

__all__ = ["Resources"]

_T = TypeVar("_T")


class Resources:
    """Settings, transport, usage, and threads that are made when first needed.

    `in_flight` is held while a request is on its way. A pickle, and a forked process, make connections
    and threads of their own.
    """

    def __init__(self, settings: Settings, session: Session | None) -> None:
        self.settings = settings
        self.usage = Usage()
        self.transport = Transport(session, connections=settings.concurrency)
        self._start()

    def _start(self) -> None:
        """Have no threads, and nothing in flight."""
        restart_after_fork(self, Resources._start)
        self.in_flight = threading.BoundedSemaphore(self.settings.concurrency)
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"settings": self.settings, "usage": self.usage, "transport": self.transport}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    def run_all(self, calls: Sequence[Callable[[], _T]]) -> list[_T]:
        """Run calls, as many at once as settings allow; results in order.

        The first failure is raised, and calls not yet begun are dropped.
        """
        if len(calls) == 1:
            return [calls[0]()]
        futures = [self._threads().submit(call) for call in calls]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()

    def _threads(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self.settings.concurrency, "astro-cloud")
            return self._executor

    def close(self) -> None:
        """End the threads, once they have no more to do, and the connections; made anew if needed."""
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False)
        self.transport.close()
