"""What reading cost: requests, round trips, bytes; and dollars at list price."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

from astro_cloud.forking import restart_after_fork

__all__ = ["S3_LIST_PRICES", "ListPrices", "Spent", "Usage"]


class ListPrices(NamedTuple):
    """A provider's list price, in US dollars.

    Attributes
    ----------
    provider, region, date : str
        Whose, where, and the day the figures were valid (ISO 8601).
    per_1000_gets : float
        For 1,000 GET requests.
    per_gb_out : float
        For 10**9 bytes sent out to the internet. Reading from a machine in the same region is free.
    """

    provider: str
    region: str
    date: str
    per_1000_gets: float
    per_gb_out: float

    def cost(self, requests: int, bytes_out: int) -> float:
        """Return the price in US dollars of some GET requests and the bytes they brought."""
        return requests / 1_000 * self.per_1000_gets + bytes_out / 1e9 * self.per_gb_out


S3_LIST_PRICES = ListPrices("Amazon S3 Standard", "us-east-1", "2025-01-01", 0.0004, 0.09)


class Spent(NamedTuple):
    """What some reading cost.

    Attributes
    ----------
    requests : int
        Requests sent, repeated ones and redirects included.
    round_trips : int
        Waits for a server that could not overlap: the steps of reading, one after the other.
    bytes : int
        Bytes of objects received.
    """

    requests: int = 0
    round_trips: int = 0
    bytes: int = 0


class Usage:
    """Counts what a client spent; safe to use from many threads."""

    def __init__(self) -> None:
        self._spent = Spent()
        self._start()

    def _start(self) -> None:
        """Let no other thread be counting."""
        restart_after_fork(self, Usage._start)
        self._lock = threading.Lock()

    @property
    def requests(self) -> int:
        """Requests sent, repeated ones and redirects included."""
        return self._spent.requests

    @property
    def round_trips(self) -> int:
        """Waits for a server that could not overlap: the steps of reading, one after the other."""
        return self._spent.round_trips

    @property
    def bytes(self) -> int:
        """Bytes of objects received."""
        return self._spent.bytes

    def add(self, *, requests: int = 0, round_trips: int = 0, bytes: int = 0) -> None:
        """Add to the counts."""
        with self._lock:
            spent = self._spent
            self._spent = Spent(spent[0] + requests, spent[1] + round_trips, spent[2] + bytes)

    def since(self, before: Spent | None = None) -> Spent:
        """Return the counts now, less those of an earlier call."""
        now = self._spent
        return Spent(*(new - old for new, old in zip(now, before or Spent(), strict=True)))

    def __repr__(self) -> str:
        return f"Usage(requests={self.requests}, round_trips={self.round_trips}, bytes={self.bytes})"

    def __getstate__(self) -> dict[str, Any]:
        return {"_spent": self._spent}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._spent = state["_spent"]
        self._start()
