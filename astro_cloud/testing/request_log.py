"""What was asked and what was sent: a record a request, and counts over them."""

from __future__ import annotations

import threading
import time
from bisect import insort
from dataclasses import dataclass
from operator import attrgetter

from astro_cloud.testing.http_request import Headers, masked_target

_ARRIVAL = 0.2


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request and its answer. The repr hides signatures and tokens; the values are whole.

    Parameters
    ----------
    connection : int
        Number of the connection, from 1 in the order of arrival.
    method, target : str
        As sent; empty if the request line could not be read.
    path, bucket, key : str
        Percent-decoded.
    headers : Headers
        As received.
    status : int or None
        Of the answer; None if not even the status line was sent.
    body_bytes : int
        Bytes of the answer's body that were sent.
    t_received : float
        When the request's head had come in; this and the other times are ``time.monotonic()`` seconds.
    t_first_byte : float or None
        When the answer's first byte was about to be sent; None if none was.
    t_end : float
        When the last piece of the answer was about to be sent, so that a request which depends on this
        answer always comes later.
    aborted : bool
        Whether the answer ended before it was whole, by a fault or because the client left.
    received : int
        Bytes of the request's body that were read.
    """

    connection: int
    method: str
    target: str
    path: str
    bucket: str
    key: str
    headers: Headers
    status: int | None
    body_bytes: int
    t_received: float
    t_first_byte: float | None
    t_end: float
    aborted: bool
    received: int = 0

    @property
    def range(self) -> str | None:
        """The Range header as sent, or None."""
        return self.headers.get("range")

    def __repr__(self) -> str:
        asked = f"{self.method} {masked_target(self.target)}"
        aborted = ", aborted" if self.aborted else ""
        return (
            f"<RequestRecord {asked!r} on connection {self.connection}: {self.status},"
            f" {self.body_bytes} bytes{aborted}, {self.headers!r}>"
        )


class RequestLog(list[RequestRecord]):
    """Records in the order their answers ended, with counts over them."""

    @property
    def body_bytes(self) -> int:
        """Bytes of all bodies sent."""
        return sum(record.body_bytes for record in self)

    @property
    def received(self) -> int:
        """Bytes of all bodies received."""
        return sum(record.received for record in self)

    @property
    def connections(self) -> int:
        """Number of connections the requests came over."""
        return len({record.connection for record in self})

    @property
    def round_trips(self) -> int:
        """Length of the longest chain of requests one after another.

        Each came at or after the end of the one before it. Requests that overlap count once.
        """
        count, end = 0, float("-inf")
        for record in sorted(self, key=lambda record: record.t_end):
            if record.t_received >= end:
                count, end = count + 1, record.t_end
        return count

    def where(
        self, *, method: str | None = None, bucket: str | None = None, key: str | None = None
    ) -> RequestLog:
        """Return the records that have all the values given."""
        return RequestLog(
            record
            for record in self
            if (method is None or record.method == method)
            and (bucket is None or record.bucket == bucket)
            and (key is None or record.key == key)
        )


class Recorder:
    """The log while it is written, by many threads."""

    def __init__(self) -> None:
        self._records: list[RequestRecord] = []
        self._arriving = 0
        self._changed = threading.Condition()

    def announce(self) -> None:
        """Say that the last piece of an answer is about to be sent: its record follows at once."""
        with self._changed:
            self._arriving += 1

    def add(self, record: RequestRecord, *, announced: bool) -> None:
        """Put a record in its place: the thread of a later answer may have come first."""
        with self._changed:
            insort(self._records, record, key=attrgetter("t_end"))
            self._arriving -= announced
            self._changed.notify_all()

    def records(self) -> RequestLog:
        """Return the log so far, with every answer whose last byte a client may have seen."""
        with self._changed:
            self._wait_for_arrivals()
            return RequestLog(self._records)

    def clear(self) -> None:
        """Forget all records."""
        with self._changed:
            self._wait_for_arrivals()
            self._records.clear()

    def wait_for(self, count: int, timeout: float) -> RequestLog:
        """Return the log once it has ``count`` records; `TimeoutError` after ``timeout`` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._records) >= count, timeout):
                raise TimeoutError(f"{len(self._records)} of {count} requests ended within {timeout} s")
            return RequestLog(self._records)

    def _wait_for_arrivals(self) -> None:
        # A client that reads no further may keep the last piece from leaving: do not wait for it.
        deadline = time.monotonic() + _ARRIVAL
        self._changed.wait_for(lambda: not self._arriving, deadline - time.monotonic())
