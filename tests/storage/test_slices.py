"""Slices of an object: what Python's would be, in as few round trips as their bounds allow."""

from __future__ import annotations

import pytest

from astro_cloud.exceptions import ObjectNotFoundError
from astro_cloud.storage import Client
from astro_cloud.storage.slices import Bounds, SlicesReading, read_slice
from astro_cloud.testing import Fault, ObjectServer
from tests.storage.reading import BUCKET, DATA, KEY, LOCATION

EVERY = [
    (None, None),
    (0, 10),
    (5, 5),
    (10, 5),
    (-10, None),
    (-20, -10),
    (70_000, None),
    (None, -1),
    (0, 1 << 40),
]


@pytest.mark.parametrize("bounds", EVERY)
def test_one_slice(sky: ObjectServer, client: Client, bounds: Bounds) -> None:
    """It is Python's slice, also of nothing, and of an object whose size the server does not tell."""
    assert read_slice(client.pin(LOCATION), bounds) == DATA[slice(*bounds)]
    sky.inject(Fault.unknown_total(), times=None)
    assert read_slice(client.pin(LOCATION), bounds) == DATA[slice(*bounds)]
    sky.put(BUCKET, KEY, b"")
    assert read_slice(client.pin(LOCATION), bounds) == b""


def test_many_slices(sky: ObjectServer, client: Client) -> None:
    """They come in their order; what the object's beginning holds is not asked for again."""
    assert SlicesReading(client.pin(LOCATION), EVERY).result() == [DATA[slice(*bounds)] for bounds in EVERY]
    sky.clear()
    assert SlicesReading(client.pin(LOCATION), [(5, 9), (7, None)][:1]).result() == [DATA[5:9]]
    assert SlicesReading(client.pin(LOCATION), [(3, 1), (0, 65_536)]).result() == [b"", DATA[:65_536]]
    assert len(sky.requests) == 2


def test_a_failure_shows_when_it_is_waited_for(sky: ObjectServer, client: Client) -> None:
    """As with `PinnedObject.begin`."""
    reading = SlicesReading(client.pin(f"s3://{BUCKET}/none"), [(-5, None)])
    with pytest.raises(ObjectNotFoundError):
        reading.result()


def test_what_is_left_is_begun_before_it_is_waited_for(sky: ObjectServer, client: Client) -> None:
    """So that of many objects the beginnings, and then the rests, are on their way together."""
    reading = SlicesReading(client.pin(LOCATION), [(10, None), (-3, None)])
    reading.go_on()
    sky.wait_for_requests(2)
    sky.inject(Fault.never_answers(), times=None)
    assert reading.result() == [DATA[10:], DATA[-3:]]
