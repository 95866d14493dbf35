"""Ctrl-C: KeyboardInterrupt where the user waits, and soon no thread is left, whatever they waited for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from astro_cloud.testing import ObjectServer
from tests.storage.programs import SOON, interrupt, interrupts
from tests.storage.raw_server import RawServer, raw_server, said
from tests.storage.reading import BUCKET, KEY

pytestmark = interrupts

READER = """
import sys, threading, time
import requests
from astro_cloud.auth.providers import Anonymous
from astro_cloud.storage import Client, Settings

url, count, length, session = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
settings = Settings(
    read_timeout=600, connect_timeout=600, retry_after_limit=600, backoff=600, backoff_limit=600,
    jitter=lambda low, high: high,
)
client = Client(auth=Anonymous(), settings=settings, session=requests.Session() if session else None)
try:
    client.read_ranges(url, [(start, start + length) for start in range(0, count << 20, 1 << 20)])
except KeyboardInterrupt:
    print("interrupted", flush=True)
    deadline = time.monotonic() + 60
    while threading.active_count() > 1 and time.monotonic() < deadline and not session:
        time.sleep(0.01)
    print([thread.name for thread in threading.enumerate()])
"""


def interrupted(
    url: str, count: int, ready: Callable[[], bool], *, length: int = 100, session: str = ""
) -> tuple[str, float]:
    """Interrupt a process that reads so many ranges; return what it said and the seconds it took to end."""
    return interrupt(READER, url, str(count), str(length), session, ready=ready)


def asked(server: RawServer) -> int:
    return sum(len(heads) for heads in server.heads)


@pytest.mark.parametrize(
    ("count", "beginning"),
    [(1, b""), (1, b"HTTP/1.1 206 Partial"), (16, b"")],
    ids=["one range", "one range, in a head", "many ranges"],
)
def test_while_a_server_says_nothing(count: int, beginning: bytes) -> None:
    """Connections that wait for an answer are shut down."""
    with raw_server([beginning], hold=True) as server:
        answer, seconds = interrupted(server.url, count, lambda: asked(server) == count)
    assert answer == "interrupted\n['MainThread']\n"
    assert seconds < SOON


def test_while_there_is_no_handshake() -> None:
    """The same before there is a TLS connection."""
    with raw_server([], hold=True) as server:
        url = server.url.replace("http:", "https:")
        answer, seconds = interrupted(url, 16, lambda: len(server.heads) == 16)
    assert answer == "interrupted\n['MainThread']\n"
    assert seconds < SOON


@pytest.mark.parametrize(
    ("count", "header"), [(1, "Retry-After: 500"), (16, "X-None: 1")], ids=["one range", "many ranges"]
)
def test_while_waiting_to_try_again(count: int, header: str) -> None:
    """A wait of minutes is not waited out."""
    busy = said("HTTP/1.1 500 Busy", "Content-Length: 0", header)
    with raw_server([busy] * 16, hold=True) as server:
        answer, seconds = interrupted(server.url, count, lambda: asked(server) == count)
    assert answer == "interrupted\n['MainThread']\n"
    assert seconds < SOON


def test_while_a_slow_server_is_slowing_us_down() -> None:
    """Who waits for a turn, as the server wants fewer at once, leaves too."""
    busy = said("HTTP/1.1 503 Slow Down", "Content-Length: 0")
    with raw_server([busy] * 16, [b""], hold=True) as server:
        answer, seconds = interrupted(server.url, 16, lambda: asked(server) >= 2)
    assert answer == "interrupted\n['MainThread']\n"
    assert seconds < SOON


def test_while_bytes_come(object_server: ObjectServer) -> None:
    """Bodies on their way are left."""
    object_server.put(BUCKET, KEY, bytes(20 << 20))
    object_server.public.add(BUCKET)
    object_server.bandwidth = 100_000
    accepted = object_server._running._connections
    url = object_server.url_for(BUCKET, KEY)
    answer, seconds = interrupted(url, 16, lambda: len(accepted) == 16, length=1 << 19)
    assert answer == "interrupted\n['MainThread']\n"
    assert seconds < SOON


def test_through_a_session_the_process_ends() -> None:
    """Connections of a session are its own: threads that wait on them end with the process, which does."""
    with raw_server([b""], hold=True) as server:
        answer, seconds = interrupted(server.url, 4, lambda: asked(server) == 4, session="session")
    assert answer.startswith("interrupted\n")
    assert seconds < SOON
