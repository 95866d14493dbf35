"""What all reads of one client share: its settings, its connections, its threads, its counts."""

from __future__ import annotations

from typing import Any

from requests import Session

from astro_cloud.storage.gate import Gate
from astro_cloud.storage.settings import Settings
from astro_cloud.storage.transport import Transport
from astro_cloud.storage.usage import Usage
from astro_cloud.storage.workers import Workers

__all__ = ["Resources"]


class Resources:
    """Settings, transport, usage, and threads that are made when first needed.

    `gate` bounds the requests on their way. A pickle, and a forked process, make connections and
    threads of their own.
    """

    def __init__(self, settings: Settings, session: Session | None) -> None:
        self.settings = settings
        self.usage = Usage()
        self.transport = Transport(settings, session)
        self._start()

    def _start(self) -> None:
        """Have no threads, and nothing in flight."""
        self.gate = Gate(self.settings.concurrency)
        self.workers = Workers(self.settings.concurrency)

    def __getstate__(self) -> dict[str, Any]:
        return {"settings": self.settings, "usage": self.usage, "transport": self.transport}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    def close(self) -> None:
        """End the threads, once they have no more to do, and the connections; made anew if needed."""
        self.workers.close()
        self.transport.close()
