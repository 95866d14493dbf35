"""Answers that are not what was asked for: used where they provably hold the bytes, else refused."""

from __future__ import annotations

import os

import pytest

from astro_cloud.exceptions import RangeNotSupportedError, StorageError
from astro_cloud.storage import Client
from astro_cloud.testing import Answer, Ending, Fault, ObjectServer
from tests.storage.reading import BUCKET, DATA, KEY, LOCATION, answering

WRONG = {
    "further on": {"start": 1},
    "further back": {"start": -1},
    "longer": {"length": 1},
    "shorter": {"length": -1},
    "beyond the end": {"total": -90_000},
}


def read(client: Client, start: int, stop: int) -> bytes:
    return client.read_ranges(LOCATION, [(start, stop)])[0]


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG)
def test_a_wrong_content_range_is_never_data(
    sky: ObjectServer, client: Client, changes: dict[str, int]
) -> None:
    """Bytes under a Content-Range that is not the one asked for are an error that shows it."""
    sky.inject(Fault.wrong_content_range(**changes), times=None)
    with pytest.raises(StorageError, match="Content-Range"):
        read(client, 50_000, 50_100)
    assert len(sky.requests) == 1


@pytest.mark.parametrize("fault", [Fault.ok_with_content_range(), Fault.unknown_total()])
def test_what_holds_the_bytes_is_data(sky: ObjectServer, client: Client, fault: Fault) -> None:
    """A 200 with the right Content-Range, as rclone sends it, is data; so is one of unknown total."""
    sky.inject(fault, times=None)
    assert read(client, 50_000, 50_100) == DATA[50_000:50_100]


def test_a_range_cut_short_under_an_unknown_total_is_never_short_data(
    sky: ObjectServer, client: Client
) -> None:
    """Fewer bytes than asked for are the object's end only if the server says where that is."""
    sky.inject(Fault.unknown_total(), times=None)
    try:
        data = read(client, 99_000, 101_000)
    except StorageError:
        return
    assert data == DATA[99_000:]
    assert len(sky.requests) > 1, "the end was taken on trust"


@pytest.mark.parametrize("shrinks", [True, False], ids=["then less", "then the end"])
def test_bytes_that_were_promised_and_never_came_are_not_made_up(
    sky: ObjectServer, client: Client, shrinks: bool
) -> None:
    """Where later answers promise less than one that was cut, what is missing is no run of zeros."""

    def sent(start: int, promised: int, arriving: int) -> Fault:
        headers = (("Content-Range", f"bytes {start}-{start + promised - 1}/*"),)
        ending = Ending.KEEP if arriving == promised else Ending.CLOSE
        body = DATA[start : start + promised]
        answer = Answer(206, headers, body, stop_after=arriving, ending=ending)
        return Fault(f"sent({start}, {promised}, {arriving})", lambda request, serve: answer)

    sky.inject(sent(0, 50, 50))
    sky.inject(sent(50, 50, 10))
    if shrinks:
        sky.inject(sent(60, 20, 20))
    sky.inject(answering(416), times=None)
    try:
        data = read(client, 0, 1000)
    except StorageError:
        return
    assert data == (DATA[:80] if shrinks else DATA[:60])


def test_a_small_object_sent_whole_is_sliced(sky: ObjectServer, client: Client) -> None:
    """A server without ranges is no obstacle to reading a small object."""
    sky.inject(Fault.whole_body(), times=None)
    pinned = client.pin(LOCATION)
    assert pinned.read_ranges([(0, 10), (50_000, 50_100)]) == [DATA[:10], DATA[50_000:50_100]]
    assert pinned.read_ranges([(99_990, 200_000)]) == [DATA[-10:]]
    assert pinned.size == len(DATA)


def test_bytes_that_were_received_and_dropped_are_counted(sky: ObjectServer, client: Client) -> None:
    """Usage counts the bytes received, for they are paid for: of a whole body those before the range too."""
    sky.inject(Fault.whole_body())
    read(client, 50_000, 50_100)
    assert client.usage.bytes >= 50_100


def test_a_large_object_sent_whole_is_not_read(sky: ObjectServer, client: Client) -> None:
    """The connection is closed after at most what the buffers on the way hold."""
    sky.put(BUCKET, KEY, b"")
    os.truncate(sky.path(BUCKET, KEY), 1 << 32)
    sky.inject(Fault.whole_body(), times=None)
    with pytest.raises(RangeNotSupportedError, match="cannot be read in parts") as caught:
        read(client, 0, 2880)
    assert (caught.value.status, caught.value.location) == (200, LOCATION)
    (record,) = sky.wait_for_requests(1)
    assert record.body_bytes < 1 << 25
    assert record.aborted


@pytest.mark.parametrize("fault", [Fault.gzip(), Fault.labelled_gzip()])
def test_encoded_content_is_an_error(sky: ObjectServer, client: Client, fault: Fault) -> None:
    """Positions in compressed bytes are not positions in the file: an error that says so, not data."""
    sky.inject(fault, times=None)
    with pytest.raises(StorageError, match="Content-Encoding 'gzip'"):
        read(client, 0, 100)
    assert len(sky.requests) == 1


@pytest.mark.parametrize(
    ("start", "stop"), [(99_999, 100_001), (100_000, 100_001), (200_000, 300_000), (0, 10**12)]
)
@pytest.mark.parametrize("bare", [False, True])
def test_a_range_is_cut_at_the_end_as_a_file_is(
    sky: ObjectServer, client: Client, start: int, stop: int, bare: bool
) -> None:
    """Reading past the end gives what there is, or nothing, whether or not a 416 says the size."""
    if bare:
        sky.inject(Fault.bare_416(), times=None)
    assert read(client, start, stop) == DATA[start:stop]
    assert len(sky.requests) == 1


def test_an_empty_object_is_empty(sky: ObjectServer, client: Client) -> None:
    """An object of no bytes is read as such, and its size is known to be 0."""
    sky.put(BUCKET, KEY, b"")
    sky.inject(Fault.bare_416(), times=None)
    pinned = client.pin(LOCATION)
    assert pinned.read_ranges([(0, 2880)]) == [b""]
    assert pinned.size == 0


def test_every_request_asks_for_the_bytes_as_they_are(sky: ObjectServer, client: Client) -> None:
    """Reads are ranged GETs with ``Accept-Encoding: identity``; no HEAD is ever sent."""
    sky.inject(Fault.unavailable())
    pinned = client.pin(LOCATION)
    pinned.read_ranges([(0, 10)])
    pinned.read_ranges([(10, 20), (200_000, 200_001)])
    assert {record.method for record in sky.requests} == {"GET"}
    assert {record.headers["accept-encoding"] for record in sky.requests} == {"identity"}
    assert all(record.range for record in sky.requests)


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (10, 5), (-1, 5)])
def test_a_range_that_is_none_is_a_value_error(
    sky: ObjectServer, client: Client, start: int, stop: int
) -> None:
    """Ranges are checked before anything is sent."""
    with pytest.raises(ValueError, match="must hold"):
        client.read_ranges(LOCATION, [(0, 10), (start, stop)])
    assert sky.requests == []
