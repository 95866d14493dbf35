"""Ctrl-C in the middle of an upload: soon no thread is left here, and no part there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from astro_cloud.testing import Answer, Fault, ObjectServer
from tests.storage.programs import SOON, interrupt, interrupts

pytestmark = interrupts

WRITER = """
import io, sys, threading, time
from astro_cloud.storage import Client, Settings

settings = Settings(read_timeout=600, connect_timeout=600, backoff=600, backoff_limit=600,
                    retry_after_limit=600, jitter=lambda low, high: high, endpoint_url=sys.argv[1])
client = Client(settings=settings)

class Slow(io.RawIOBase):
    left = 600_000

    def readable(self):
        return True

    def readinto(self, buffer):
        if self.left < 300_000:
            time.sleep(600)
        came = min(len(buffer), self.left)
        self.left -= came
        return came

source = Slow() if sys.argv[2] == "stream" else bytes(int(sys.argv[2]))
try:
    client.upload(source, "s3://sky/new.fits", part_size=1 << 16)
except KeyboardInterrupt:
    began = time.monotonic()
    print("interrupted", flush=True)
    while threading.active_count() > 1 and time.monotonic() < began + 60:
        time.sleep(0.01)
    print([thread.name for thread in threading.enumerate()])
"""


def interrupted(server: ObjectServer, source: str, ready: Callable[[], bool]) -> tuple[str, float]:
    """Interrupt a process that uploads to a server; return what it said and the seconds it took to end."""
    return interrupt(WRITER, server.url, source, ready=ready, environ=server.environ)


class Seen:
    """A fault that notes that it befell somebody, before it does what another does."""

    def __init__(self, fault: Fault) -> None:
        self.count = 0
        self._lock = threading.Lock()
        self._fault = fault

    def fault(self) -> Fault:
        def apply(request: Any, serve: Callable[[], Answer]) -> Answer:
            with self._lock:
                self.count += 1
            return self._fault.apply(request, serve)

        return Fault("seen", apply)


@pytest.mark.parametrize(
    "fault",
    [
        Fault.never_answers(),
        Fault.stall_request(1000),
        Fault.unavailable(500, "InternalError"),
        Fault.unavailable(503, "SlowDown", retry_after=500),
    ],
    ids=["silence", "silence in a request", "a wait", "a wait that is asked for"],
)
def test_while_a_server_makes_us_wait(attic: ObjectServer, fault: Fault) -> None:
    """Whatever it is that parts wait for; the parts that came are gone."""
    seen = Seen(fault)
    attic.inject(seen.fault(), times=None, method="PUT")
    answer, seconds = interrupted(attic, "1000000", lambda: seen.count > 0)
    assert answer == "interrupted\n['MainThread']\n"
    assert seconds < SOON
    assert attic.uploads == []


def test_while_a_whole_object_waits(attic: ObjectServer) -> None:
    """One request is left as many are."""
    seen = Seen(Fault.stall_request(1000))
    attic.inject(seen.fault(), times=None, method="PUT")
    answer, seconds = interrupted(attic, "100000", lambda: seen.count > 0)
    assert answer == "interrupted\n['MainThread']\n"
    assert seconds < SOON


def test_while_bytes_go(attic: ObjectServer) -> None:
    """Bodies on their way are left."""
    attic.bandwidth = 200_000
    answer, seconds = interrupted(attic, "10000000", lambda: len(attic.uploads) == 1)
    assert answer == "interrupted\n['MainThread']\n"
    assert seconds < SOON
    assert attic.uploads == []


def test_while_a_stream_gives_nothing(attic: ObjectServer) -> None:
    """A source that stands still is left, too."""
    answer, seconds = interrupted(attic, "stream", lambda: len(attic.requests) >= 4)
    assert answer == "interrupted\n['MainThread']\n"
    assert seconds < SOON
    assert attic.uploads == []


def test_where_not_even_the_abort_is_answered(attic: ObjectServer) -> None:
    """Nobody waits for long."""
    seen = Seen(Fault.never_answers())
    attic.inject(seen.fault(), times=None, method="PUT")
    attic.inject(Fault.never_answers(), times=None, method="DELETE")
    answer, seconds = interrupted(attic, "1000000", lambda: seen.count > 0)
    assert answer == "interrupted\n['MainThread']\n"
    assert seconds < SOON
