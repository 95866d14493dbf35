"""Many ranges against slices of the same bytes: into buffers or not, in parts, with and without a size."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astro_cloud.auth.providers import Anonymous
from astro_cloud.storage import Client, Settings, assembly, pinned, plan
from astro_cloud.storage.pinned import PinnedObject
from astro_cloud.testing import Fault, ObjectServer
from tests.storage.reading import BUCKET, DATA, KEY, LOCATION, MakeClient, ranges_asked

PART = 4000
END = len(DATA)

#: Ranges near each other, that touch, overlap and repeat, at the end and beyond it, and long ones.
RANGES = st.lists(
    st.builds(
        lambda start, length: (start, start + length),
        st.one_of(st.integers(0, 60), st.integers(0, END + 100), st.integers(END - 20, END + 20)),
        st.one_of(st.integers(1, 30), st.integers(1, 3 * PART), st.just(10), st.just(2 * END)),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def small_parts() -> Iterator[None]:
    """Have ranges of more than 8,000 bytes read in parts."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (assembly, pinned, plan):
            patch.setattr(module, "PART", PART)
        # The default was bound before.
        patch.setitem(plan.plan_reads.__kwdefaults__, "part", PART)
        yield


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectServer]:
    """One server for all the examples."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as root,
        ObjectServer(Path(root), public=[BUCKET]) as server,
    ):
        server.put(BUCKET, KEY, DATA)
        server.put(BUCKET, "empty", b"")
        yield server


@pytest.fixture(scope="module")
def reader(small_parts: None, server: ObjectServer) -> Iterator[Client]:
    """A client of that server."""
    quick = Settings(endpoint_url=server.url, sleep=lambda seconds: None, max_gap=200)
    with Client(auth=Anonymous(), settings=quick) as client:
        yield client


def slices(ranges: Sequence[tuple[int, int]], data: bytes = DATA) -> list[bytes]:
    return [data[start:stop] for start, stop in ranges]


def buffers_for(ranges: Sequence[tuple[int, int]]) -> list[Any]:
    """Make a buffer of some kind for each range, filled with what is no data."""
    buffers: list[Any] = []
    for index, (start, stop) in enumerate(ranges):
        length = stop - start
        kinds = [
            bytearray(b"\xee" * length),
            np.full(length, 0xEE, np.uint8),
            memoryview(bytearray(b"\xee" * (length + 7)))[3 : 3 + length],
            np.full(length // 4, 7, ">f4") if length % 4 == 0 else bytearray(length),
            np.full((length // 6, 3), 7, ">i2") if length % 6 == 0 else bytearray(length),
            np.zeros(length // 5, [("a", ">i4"), ("b", "u1")]) if length % 5 == 0 else bytearray(length),
        ]
        buffers.append(kinds[index % len(kinds)])
    return buffers


def pin(client: Client, *, key: str = KEY, known: bool) -> PinnedObject:
    pinned = client.pin(f"s3://{BUCKET}/{key}")
    if known:
        pinned.read_ranges([(0, 1)])
    return pinned


@settings(max_examples=50)
@given(ranges=RANGES, known=st.booleans())
def test_ranges_are_slices(reader: Client, ranges: list[tuple[int, int]], known: bool) -> None:
    """Each range gets what slicing the bytes gives, whether or not the size was known before."""
    assert pin(reader, known=known).read_ranges(ranges) == slices(ranges)


@settings(max_examples=50)
@given(ranges=RANGES, known=st.booleans())
def test_ranges_into_buffers_are_slices(reader: Client, ranges: list[tuple[int, int]], known: bool) -> None:
    """The views returned are the beginnings of the buffers given; what lies behind them is as it was."""
    buffers = buffers_for(ranges)
    before = [bytes(memoryview(buffer)) for buffer in buffers]
    views = pin(reader, known=known).read_ranges(ranges, buffers)
    assert [bytes(view) for view in views] == slices(ranges)
    for buffer, old, data in zip(buffers, before, slices(ranges), strict=True):
        assert bytes(memoryview(buffer)) == data + old[len(data) :]


@settings(max_examples=50)
@given(ranges=RANGES)
def test_ranges_of_a_server_that_never_tells_the_size(
    reader: Client, server: ObjectServer, ranges: list[tuple[int, int]]
) -> None:
    """Where every Content-Range ends in ``*``, all bytes are there all the same."""
    server.inject(Fault.unknown_total(), times=None)
    try:
        pinned = reader.pin(LOCATION)
        assert pinned.read_ranges(ranges) == slices(ranges)
        buffers = buffers_for(ranges)
        assert [bytes(view) for view in pinned.read_ranges(ranges, buffers)] == slices(ranges)
    finally:
        server.clear_faults()


@settings(max_examples=50)
@given(ranges=RANGES, faults=st.lists(st.integers(0, 5000), max_size=6), into=st.booleans())
def test_ranges_are_slices_through_faults(
    reader: Client, server: ObjectServer, ranges: list[tuple[int, int]], faults: list[int], into: bool
) -> None:
    """Bodies that are cut anywhere, in data or in a gap, change nothing."""
    for after in faults:
        server.inject(Fault.cut(after) if after % 2 else Fault.reset(after))
    try:
        pinned = reader.pin(LOCATION)
        for attempt in range(3):
            try:
                got = pinned.read_ranges(ranges, buffers_for(ranges)) if into else pinned.read_ranges(ranges)
                break
            except OSError:  # all the faults may have befallen one range
                assert attempt < 2
        assert [bytes(data) for data in got] == slices(ranges)
    finally:
        server.clear_faults()


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("into", [False, True])
def test_an_empty_object_has_no_bytes(reader: Client, known: bool, into: bool) -> None:
    """Every range of it is empty, near, far and long ones."""
    ranges = [(0, 10), (5, 8), (1 << 40, (1 << 40) + 7), (0, 5 * PART)]
    pinned = pin(reader, key="empty", known=known)
    got = pinned.read_ranges(ranges, buffers_for(ranges)) if into else pinned.read_ranges(ranges)
    assert [bytes(data) for data in got] == [b""] * 4
    assert pinned.size == 0


@pytest.mark.parametrize("into", [False, True])
def test_a_long_range_comes_in_parts(
    small_parts: None, sky: ObjectServer, make_client: MakeClient, into: bool
) -> None:
    """Of an object whose size is not known, the first part is read first, and never again."""
    client = make_client(sky)
    buffers = {"into": [bytearray(40_000)]} if into else {}
    assert client.read_ranges(LOCATION, [(1000, 41_000)], **buffers) == [DATA[1000:41_000]]
    asked = [header.removeprefix("bytes=").split("-") for header in ranges_asked(sky) if header]
    bounds = sorted((int(first), int(last) + 1) for first, last in asked)
    assert ranges_asked(sky)[0] == "bytes=1000-4999"
    assert len(bounds) == 1 + 9
    assert (bounds[0][0], bounds[-1][1]) == (1000, 41_000)
    assert all(before[1] == after[0] for before, after in pairwise(bounds))
    assert client.usage.round_trips == 2


def test_the_first_part_tells_how_many_there_are(
    small_parts: None, sky: ObjectServer, make_client: MakeClient
) -> None:
    """A range far longer than the object costs no request behind its end."""
    client = make_client(sky)
    assert client.read_ranges(LOCATION, [(END - 100, 1 << 50), (END - 50, END)]) == [DATA[-100:], DATA[-50:]]
    assert client.usage.requests == 1


def test_five_tebibytes_may_be_asked_for(sky: ObjectServer, make_client: MakeClient) -> None:
    """Reading to the end of what might be the largest object takes what there is, and no memory else."""
    pinned = make_client(sky).pin(LOCATION)
    assert pinned.read_ranges([(0, 5 << 40)]) == [DATA]
    assert pinned.read_ranges([(0, 5 << 40), (5 << 40, 6 << 40)]) == [DATA, b""]


def test_no_memory_is_taken_for_what_may_not_be_there(
    small_parts: None, sky: ObjectServer, make_client: MakeClient
) -> None:
    """Where the server never tells the size, nothing is as long as what was asked for."""
    sky.inject(Fault.unknown_total(), times=None)
    ranges = [(10, 5 << 40), (END - 10, 6 << 40)]
    assert make_client(sky).read_ranges(LOCATION, ranges) == [DATA[10:], DATA[-10:]]


def read_only() -> memoryview:
    array = np.zeros(10, np.uint8)
    array.flags.writeable = False
    return memoryview(array)


WRONG = {
    "read-only": [bytes(10)],
    "read-only array": [read_only()],
    "too short": [bytearray(9)],
    "too long": [bytearray(11)],
    "as many items, but more bytes": [np.zeros(10, "f4")],
    "every other byte": [memoryview(bytearray(20))[::2]],
    "a column": [np.zeros((10, 2), np.uint8)[:, 0]],
    "Fortran order": [np.zeros((5, 2), np.uint8, order="F")],
    "backwards": [np.zeros(10, np.uint8)[::-1]],
    "none": [],
    "one too many": [bytearray(10), bytearray(10)],
}


@pytest.mark.parametrize("into", WRONG.values(), ids=WRONG)
def test_a_buffer_that_does_not_fit_is_a_value_error(
    sky: ObjectServer, client: Client, into: list[Any]
) -> None:
    """Buffers are checked before anything is sent."""
    with pytest.raises(ValueError, match="buffer"):
        client.read_ranges(LOCATION, [(0, 10)], into)
    assert len(sky.requests) == 0


def test_an_image_is_read_into_its_array(sky: ObjectServer, client: Client) -> None:
    """Rows of a big-endian image, FITS's, go straight to where they belong."""
    image = np.zeros((5, 20), ">i2")
    ranges = [(start, start + 40) for start in range(0, 5000, 1000)]
    client.read_ranges(LOCATION, ranges, list(image))
    assert image.tobytes() == b"".join(slices(ranges))


@pytest.mark.parametrize("kind", [np.int32, np.uint64, np.int64])
def test_offsets_may_be_numpys(small_parts: None, reader: Client, kind: Any) -> None:
    """Integers of numpy are integers, and their arithmetic overflows nowhere."""
    ranges = [(kind(5), kind(50_005)), (kind(7), kind(2**31 - 1))]
    assert reader.read_ranges(LOCATION, ranges) == [DATA[5:50_005], DATA[7:]]


def test_offsets_are_integers(sky: ObjectServer, client: Client) -> None:
    """A float is no position, and is not sent."""
    with pytest.raises(TypeError, match="integer"):
        client.read_ranges(LOCATION, [(0.0, 10.0)])
    assert len(sky.requests) == 0


def test_what_is_begun_comes_later(sky: ObjectServer, client: Client) -> None:
    """`begin` returns at once; the result is the same each time it is asked for, and counts once."""
    ranges = [(0, 10), (50_000, 50_010), (99_990, 200_000)]
    reading = client.pin(LOCATION).begin(ranges)
    assert reading.result() == reading.result() == slices(ranges)
    assert reading.done()
    assert client.usage.round_trips == 1
