"""Ctrl-C in the middle of an upload: soon no thread is left here, and no part there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from astro_cloud.testing import Answer, Fault, ObjectServer
from tests.storage.reading import BUCKET

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")

SOON = 5.0
"""Seconds: it takes about one, where the machine has nothing else to do."""

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


@pytest.fixture
def attic(object_server: ObjectServer) -> ObjectServer:
    """A server with an empty bucket, that takes small parts."""
    object_server.min_part_size = 1
    (object_server.root / BUCKET).mkdir()
    return object_server


def interrupt(server: ObjectServer, source: str, ready: Callable[[], bool]) -> tuple[str, float]:
    """Return what a process said that was interrupted once `ready`, and how many seconds it took to end."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, server.url, source],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, **server.environ},
    )
    with process:
        try:
            deadline = time.monotonic() + 60
            while not ready():
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.005)
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            said, wrong = process.communicate(timeout=60)
            seconds = time.monotonic() - began
        finally:
            process.kill()
    assert wrong == ""
    assert process.returncode == 0
    return said, seconds


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
    answer, seconds = interrupt(attic, "1000000", lambda: seen.count > 0)
    assert answer == "interrupted\n['MainThread']\n"
    assert seconds < SOON
    assert attic.uploads == []


def test_while_a_whole_object_waits(attic: ObjectServer) -> None:
    """One request is left as many are."""
    seen = Seen(Fault.stall_request(1000))
    attic.inject(seen.fault(), times=None, method="PUT")
    answer, seconds = interrupt(attic, "100000", lambda: seen.count > 0)
    assert answer == "interrupted\n['MainThread']\n"
    assert seconds < SOON


def test_while_bytes_go(attic: ObjectServer) -> None:
    """Bodies on their way are left."""
    attic.bandwidth = 200_000
    answer, seconds = interrupt(attic, "10000000", lambda: len(attic.uploads) == 1)
    assert answer == "interrupted\n['MainThread']\n"
    assert seconds < SOON
    assert attic.uploads == []


def test_while_a_stream_gives_nothing(attic: ObjectServer) -> None:
    """A source that stands still is left, too."""
    answer, seconds = interrupt(attic, "stream", lambda: len(attic.requests) >= 4)
    assert answer == "interrupted\n['MainThread']\n"
    assert seconds < SOON
    assert attic.uploads == []


def test_where_not_even_the_abort_is_answered(attic: ObjectServer) -> None:
    """Nobody waits for long."""
    seen = Seen(Fault.never_answers())
    attic.inject(seen.fault(), times=None, method="PUT")
    attic.inject(Fault.never_answers(), times=None, method="DELETE")
    answer, seconds = interrupt(attic, "1000000", lambda: seen.count > 0)
    assert answer == "interrupted\n['MainThread']\n"
    assert seconds < SOON
