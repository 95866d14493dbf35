"""A client's life: pickled, forked, closed, counted."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from astro_cloud.storage import S3_LIST_PRICES, Client, Location, Settings, Usage
from astro_cloud.testing import Answer, Fault, ObjectServer
from tests.forks import forks
from tests.storage.reading import DATA, LOCATION, MakeClient, answering, auth_of

RANGES = [(0, 10), (20, 30), (40, 50)]
PARTS = [DATA[start:stop] for start, stop in RANGES]


def again(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))


def test_a_client_reads_on_after_pickling(sky: ObjectServer) -> None:
    """A client in use can be pickled, and its copy reads; the pickle holds no socket, lock or thread."""
    with Client(auth=auth_of(sky), settings=Settings(endpoint_url=sky.url, max_gap=0)) as client:
        assert client.read_ranges(LOCATION, RANGES) == PARTS
        pickled = pickle.dumps(client)
        assert not [
            word for word in (b"socket", b"HTTPAdapter", b"ThreadPool", b"_thread") if word in pickled
        ]
        with pickle.loads(pickled) as copy:
            assert copy.read_ranges(LOCATION, RANGES) == PARTS
            assert copy.usage.requests == 2 * len(RANGES)
        assert client.usage.requests == len(RANGES)


def test_settings_are_equal_after_pickling() -> None:
    """Settings are a value: their pickle is equal to them, and no larger than they are."""
    settings = Settings(endpoint_url="https://s3.archive.example", attempts=3)
    assert again(settings) == settings
    assert len(pickle.dumps(settings)) < 1000


def test_workers_do_not_wait_in_step() -> None:
    """Two workers that unpickle the same settings wait for different times, or they come back together."""
    pickled = pickle.dumps(Settings())
    first, second = pickle.loads(pickled), pickle.loads(pickled)
    assert [first.wait_before(5, None) for _ in range(3)] != [second.wait_before(5, None) for _ in range(3)]


@pytest.mark.parametrize("text", ["s3://sky/a b", "https://hubble:pa55word@archive.example/a?sig=1"])
def test_locations_are_equal_after_pickling(text: str) -> None:
    """A location's pickle leads to the same URL, and shows as little."""
    location = Location.parse(text)
    assert again(location) == location
    assert (str(again(location)), again(location).url) == (str(location), location.url)


def test_usage_counts_on_after_pickling() -> None:
    """Counts survive pickling, and go on from there."""
    usage = Usage()
    usage.add(requests=3, round_trips=2, bytes=100)
    copy = again(usage)
    copy.add(requests=1, round_trips=1, bytes=10)
    assert repr(copy) == "Usage(requests=4, round_trips=3, bytes=110)"
    assert repr(usage) == "Usage(requests=3, round_trips=2, bytes=100)"


def test_a_price_is_reckoned_from_counts() -> None:
    """A thousand requests and a gigabyte cost what the list says of each."""
    expected = S3_LIST_PRICES.per_1000_gets + S3_LIST_PRICES.per_gb_out
    assert S3_LIST_PRICES.cost(1000, 10**9) == pytest.approx(expected)


def test_settings_that_could_read_nothing_are_refused() -> None:
    """Settings are checked when they are made, also as changes of others."""
    with pytest.raises(ValueError, match="at least 1"):
        Settings(attempts=0)
    with pytest.raises(ValueError, match="at least 1"):
        replace(Settings(), concurrency=0)


@forks
def test_a_forked_process_reads_on(sky: ObjectServer, make_client: MakeClient) -> None:
    """A child reads with its parent's client and pinned object, over connections of its own."""
    client = make_client(sky)
    pinned = client.pin(LOCATION)
    assert pinned.read_ranges(RANGES) == PARTS
    before = {record.connection for record in sky.requests}
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(20)
            same = pinned.read_ranges(RANGES) == client.read_ranges(LOCATION, RANGES) == PARTS
            client.close()
            status = 0 if same else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    childs = {record.connection for record in sky.wait_for_requests(9)[3:]}
    assert not childs & before
    assert pinned.read_ranges(RANGES[:1]) == PARTS[:1]
    assert sky.requests[-1].connection in before


@forks
def test_a_fork_in_the_midst_of_a_read_reads_on(sky: ObjectServer, make_client: MakeClient) -> None:
    """What a thread holds while the process forks (its turn, its connection) the child does not miss."""
    arrived, go_on = threading.Event(), threading.Event()

    def late(request: object, serve: Callable[[], Answer]) -> Answer:
        arrived.set()
        go_on.wait(10)
        return serve()

    client = make_client(sky, concurrency=1)
    sky.inject(Fault("late", late))
    with ThreadPoolExecutor(1) as thread:
        reading = thread.submit(client.read_ranges, LOCATION, RANGES[:1])
        assert arrived.wait(10)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                signal.alarm(5)
                status = 0 if client.read_ranges(LOCATION, RANGES) == PARTS else 2
            finally:
                os._exit(status)
        ended = os.waitpid(child, 0)[1]
        go_on.set()
        assert reading.result() == PARTS[:1]
    assert ended == 0


def test_a_closed_client_reads_again(sky: ObjectServer, client: Client) -> None:
    """Closing frees connections and threads; the next read opens new ones."""
    for _ in range(2):
        assert client.read_ranges(LOCATION, RANGES) == PARTS
        client.close()
        client.close()
    assert sky.requests.connections >= 2


def test_usage_counts_exactly(sky: ObjectServer, client: Client) -> None:
    """Requests with repetitions, round trips as the longest chain of a step, bytes as received."""
    sky.inject(Fault.unavailable(), times=2)
    client.read_ranges(LOCATION, RANGES[:1])
    before = client.usage.since()
    assert repr(client.usage) == "Usage(requests=3, round_trips=3, bytes=10)"
    client.read_ranges(LOCATION, RANGES)
    assert repr(client.usage) == "Usage(requests=6, round_trips=4, bytes=40)"
    assert client.usage.since(before) == (3, 1, 30)
    sky.inject(answering(404))
    with pytest.raises(FileNotFoundError):
        client.read_ranges(LOCATION, RANGES[:1])
    assert repr(client.usage) == "Usage(requests=7, round_trips=5, bytes=40)"
    assert len(sky.requests) == 7
