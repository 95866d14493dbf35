"""Pinned reads: bytes of two versions of an object are never mixed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable

import pytest

from astro_cloud.exceptions import ObjectChangedError
from astro_cloud.storage import Client
from astro_cloud.testing import Answer, Fault, ObjectServer
from tests.storage.reading import BUCKET, DATA, KEY, LOCATION, answering, harmless

CHANGED = DATA[::-1]


def test_the_first_etag_is_required_of_every_later_read(sky: ObjectServer, client: Client) -> None:
    """If-Match carries the first answer's ETag from the second read on."""
    pinned = client.pin(LOCATION)
    for start in (0, 10, 20):
        pinned.read_ranges([(start, start + 10)])
    etag = f'"{hashlib.md5(DATA).hexdigest()}"'
    assert [record.headers.get("if-match") for record in sky.requests] == [None, etag, etag]


def test_an_object_rewritten_between_two_reads_is_told(sky: ObjectServer, client: Client) -> None:
    """The server's 412 is ObjectChangedError, and is not tried again."""
    pinned = client.pin(LOCATION)
    pinned.read_ranges([(0, 10)])
    sky.put(BUCKET, KEY, CHANGED)
    with pytest.raises(ObjectChangedError, match="Read it again") as caught:
        pinned.read_ranges([(10, 20)])
    assert (caught.value.status, caught.value.location) == (412, LOCATION)
    assert len(sky.requests) == 2


def test_an_object_rewritten_while_a_body_is_cut_is_told(sky: ObjectServer, client: Client) -> None:
    """The rest of a body that was cut is of the same version, or an error."""

    def rewrite(request: object, serve: Callable[[], Answer]) -> Answer:
        sky.put(BUCKET, KEY, CHANGED)
        return serve()

    sky.inject(Fault.cut(5_000))
    sky.inject(Fault("rewritten meanwhile", rewrite))
    with pytest.raises(ObjectChangedError):
        client.read_ranges(LOCATION, [(0, 10_000)])


def test_a_server_deaf_to_if_match_is_found_out(sky: ObjectServer, client: Client) -> None:
    """Another ETag in an answer is ObjectChangedError, even where If-Match was ignored."""
    pinned = client.pin(LOCATION)
    pinned.read_ranges([(0, 10)])
    sky.inject(Fault.changed_etag(), times=None)
    with pytest.raises(ObjectChangedError, match="ETag changed"):
        pinned.read_ranges([(10, 20)])


def test_ranges_read_at_once_must_be_of_one_version(sky: ObjectServer, client: Client) -> None:
    """First reads in parallel carry no If-Match; their answers are compared."""
    sky.latency = 0.05
    sky.inject(harmless(), times=4)
    sky.inject(Fault.changed_etag(), times=4)
    with pytest.raises(ObjectChangedError):
        client.read_ranges(LOCATION, [(start, start + 9) for start in range(0, 80, 10)])


def test_another_total_size_is_another_version(sky: ObjectServer, client: Client) -> None:
    """A size that changes is ObjectChangedError, whatever the ETag says."""
    pinned = client.pin(LOCATION)
    pinned.read_ranges([(0, 10)])
    sky.inject(Fault.wrong_content_range(total=1))
    with pytest.raises(ObjectChangedError, match="size changed"):
        pinned.read_ranges([(10, 20)])


def test_without_etag_the_date_decides(sky: ObjectServer, client: Client) -> None:
    """Where there is no strong ETag, Last-Modified is compared."""
    sky.inject(Fault.no_etag(), times=None)
    pinned = client.pin(LOCATION)
    pinned.read_ranges([(0, 10)])
    pinned.read_ranges([(10, 20)])
    sky.put(BUCKET, KEY, CHANGED)
    os.utime(sky.path(BUCKET, KEY), (0, 0))
    with pytest.raises(ObjectChangedError, match="modified"):
        pinned.read_ranges([(20, 30)])
    assert all("if-match" not in record.headers for record in sky.requests)


def test_without_etag_the_size_decides(sky: ObjectServer, client: Client) -> None:
    """Where there is no strong ETag, the size is compared."""
    sky.inject(Fault.no_etag(), times=None)
    pinned = client.pin(LOCATION)
    pinned.read_ranges([(0, 10)])
    sky.put(BUCKET, KEY, DATA + b"more")
    with pytest.raises(ObjectChangedError, match="size changed"):
        pinned.read_ranges([(10, 20)])


@pytest.mark.parametrize("fault", [Fault.bare_416(), harmless()], ids=["bare 416", "416 with the size"])
def test_an_object_that_became_shorter_is_not_an_empty_range(
    sky: ObjectServer, client: Client, fault: Fault
) -> None:
    """A 416 for bytes that the object was known to have is ObjectChangedError, never empty data."""
    sky.inject(Fault.no_etag())
    pinned = client.pin(LOCATION)
    pinned.read_ranges([(0, 10)])
    sky.put(BUCKET, KEY, DATA[:100])
    sky.inject(fault, times=None)
    with pytest.raises(ObjectChangedError):
        pinned.read_ranges([(50_000, 50_010)])


def test_a_first_read_past_the_end_pins_nothing_but_the_size(sky: ObjectServer, client: Client) -> None:
    """After a 416, which has no ETag, the first answer with data is pinned all the same."""
    pinned = client.pin(LOCATION)
    assert pinned.read_ranges([(200_000, 200_010)]) == [b""]
    assert pinned.size == len(DATA)
    pinned.read_ranges([(0, 10)])
    sky.put(BUCKET, KEY, CHANGED)
    with pytest.raises(ObjectChangedError):
        pinned.read_ranges([(10, 20)])


def test_a_size_learnt_later_does_not_unpin(sky: ObjectServer, client: Client) -> None:
    """Where the first answer gave an ETag and no size, learning the size from a 416 keeps the ETag."""
    sky.inject(Fault.unknown_total())
    pinned = client.pin(LOCATION)
    pinned.read_ranges([(0, 10)])
    assert pinned.size is None
    sky.inject(answering(416, Content_Range=f"bytes */{len(DATA)}"))
    pinned.read_ranges([(200_000, 200_010)])
    assert pinned.size == len(DATA)
    sky.put(BUCKET, KEY, CHANGED)
    with pytest.raises(ObjectChangedError):
        pinned.read_ranges([(10, 20)])


def test_two_pins_are_two_versions(sky: ObjectServer, client: Client) -> None:
    """A new pin reads the object as it is now."""
    assert client.read_ranges(LOCATION, [(0, 10)]) == [DATA[:10]]
    sky.put(BUCKET, KEY, CHANGED)
    assert client.read_ranges(LOCATION, [(0, 10)]) == [CHANGED[:10]]
