"""Many ranges at once, many threads on one client: all right, and no more on their way than allowed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from astro_cloud.exceptions import StorageError
from astro_cloud.storage import Client
from astro_cloud.testing import Fault, ObjectServer
from tests.storage.reading import DATA, LOCATION, MakeClient

# Apart from each other, so that each is read by a request of its own.
RANGES = [(start, start + 1400) for start in range(0, 96_000, 1500)]
PARTS = [DATA[start:stop] for start, stop in RANGES]


def most_at_once(server: ObjectServer) -> int:
    """Return how many requests were on their way at one moment, at most."""
    moments = [(record.t_received, 1) for record in server.requests]
    moments += [(record.t_end, -1) for record in server.requests]
    now = most = 0
    for _, change in sorted(moments):
        now += change
        most = max(most, now)
    return most


@pytest.mark.parametrize("concurrency", [1, 5, 16])
def test_no_more_ranges_are_on_their_way_than_allowed(
    sky: ObjectServer, make_client: MakeClient, concurrency: int
) -> None:
    """64 ranges come back right and in order, over as many connections as settings allow."""
    sky.latency = 0.005
    client = make_client(sky, concurrency=concurrency)
    assert client.read_ranges(LOCATION, RANGES) == PARTS
    assert len(sky.requests) == len(RANGES)
    assert 1 <= most_at_once(sky) <= concurrency
    assert sky.requests.connections <= concurrency


def test_threads_share_the_limit(sky: ObjectServer, make_client: MakeClient) -> None:
    """`Settings.concurrency` bounds the requests of one client, whichever threads they come from."""
    sky.latency = 0.02
    client = make_client(sky, concurrency=2)
    with ThreadPoolExecutor(8) as threads:
        parts = list(threads.map(lambda wanted: client.read_ranges(LOCATION, [wanted])[0], RANGES[:24]))
    assert parts == PARTS[:24]
    assert most_at_once(sky) <= 2


def test_threads_share_a_client(sky: ObjectServer, make_client: MakeClient) -> None:
    """Eight threads read different ranges through one client and one pinned object, and its counts add up."""
    client = make_client(sky)
    pinned = client.pin(LOCATION)
    pinned.read_ranges(RANGES[:1])
    jobs = [RANGES[first : first + 8] for first in range(0, 64, 8)] * 2
    with ThreadPoolExecutor(8) as threads:
        parts = list(threads.map(pinned.read_ranges, jobs))
    assert [part for job in parts for part in job] == PARTS * 2
    assert client.usage.requests == len(sky.requests) == 1 + 128
    assert client.usage.bytes == sky.requests.body_bytes
    assert client.usage.round_trips == 1 + 16


def test_ranges_survive_faults_each_for_itself(sky: ObjectServer, make_client: MakeClient) -> None:
    """Faults in the midst of many ranges cost repetitions, and no range another's bytes."""
    client = make_client(sky, attempts=13)  # all the faults may befall one range
    for fault in (Fault.cut(700), Fault.unavailable(), Fault.reset(300), Fault.cut(0)):
        sky.inject(fault, times=3)
    assert client.read_ranges(LOCATION, RANGES) == PARTS
    assert len(RANGES) + 6 <= client.usage.requests <= len(RANGES) + 12  # a cut may come after the end


def test_one_failure_ends_the_others(sky: ObjectServer, make_client: MakeClient) -> None:
    """When a range fails for good, those not yet begun are dropped, and the client reads on."""
    client = make_client(sky, concurrency=2)
    sky.latency = 0.02
    sky.inject(Fault.wrong_content_range(start=1))
    with pytest.raises(StorageError, match="Content-Range"):
        client.read_ranges(LOCATION, RANGES)
    assert client.usage.requests < len(RANGES)
    assert client.read_ranges(LOCATION, RANGES[:2]) == PARTS[:2]


def test_connections_are_kept(sky: ObjectServer, client: Client) -> None:
    """One read after another goes over one connection, also after errors that were read to their end."""
    sky.inject(Fault.unavailable())
    for wanted, part in zip(RANGES[:5], PARTS[:5], strict=True):
        assert client.read_ranges(LOCATION, [wanted]) == [part]
    assert client.read_ranges(LOCATION, [(200_000, 200_001)]) == [b""]
    assert sky.requests.connections == 1


def test_no_ranges_cost_nothing(sky: ObjectServer, client: Client) -> None:
    """Asking for no range sends nothing."""
    assert client.read_ranges(LOCATION, []) == []
    assert (client.usage.requests, client.usage.round_trips) == (0, 0)


def test_no_byte_is_read_twice(client: Client) -> None:
    """Answers come in the order asked for, overlapping and repeated ranges included, out of one request."""
    wanted = [(50, 60), (0, 100), (50, 60), (55, 200_000)]
    assert client.read_ranges(LOCATION, wanted) == [DATA[start:stop] for start, stop in wanted]
    assert (client.usage.requests, client.usage.bytes) == (1, len(DATA))
