"""The fault table, row by row, over both engines: what passes costs no byte, what does not is told.

What each row says in detail (waits, counts, messages) the tests of `test_client_*`, of redirects and of
learning hold; here many ranges at once meet each fault, several times, wherever it strikes.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
import requests

from astro_cloud.auth.aws import AWSAuth
from astro_cloud.exceptions import (
    AccessDeniedError,
    IncompleteReadError,
    ObjectChangedError,
    RangeNotSupportedError,
    StorageError,
    TransferTimeoutError,
)
from astro_cloud.storage import Client
from astro_cloud.testing import AccessKey, Answer, Fault, ObjectServer
from tests.forks import forks
from tests.storage.reading import BUCKET, DATA, KEY, LOCATION, MakeClient, answering, harmless, ranges_asked

RANGES = [(start, start + 900) for start in range(0, 100_000, 5000)]
PARTS = [DATA[start:stop] for start, stop in RANGES]


class SessionWithSend(requests.Session):
    """A session that has its own way of sending, which is requests'."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        return super().send(request, **options)


@pytest.fixture(params=["own connections", "pool of a session", "session with a send"])
def engine(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What a client is made with to read by each way a request can take."""
    if request.param == "own connections":
        return {}
    return {"session": requests.Session() if request.param == "pool of a session" else SessionWithSend()}


PASSES = {
    "reset before an answer": Fault.reset(None),
    "reset before a body": Fault.reset(0),
    "reset in a body": Fault.reset(450),
    "cut before a body": Fault.cut(0),
    "cut in a body": Fault.cut(450),
    "429": Fault.unavailable(429, "TooManyRequests"),
    "429 with Retry-After": Fault.unavailable(429, "TooManyRequests", retry_after=1),
    "500": Fault.unavailable(500, "InternalError"),
    "500 with Retry-After": Fault.unavailable(500, "InternalError", retry_after=1),
    "502": Fault.unavailable(502, "BadGateway"),
    "502 with Retry-After": Fault.unavailable(502, "BadGateway", retry_after=1),
    "503": Fault.unavailable(503, "SlowDown"),
    "503 with Retry-After": Fault.unavailable(503, "SlowDown", retry_after=1),
    "504": Fault.unavailable(504, "GatewayTimeout"),
    "504 with Retry-After": Fault.unavailable(504, "GatewayTimeout", retry_after=1),
    "silence before an answer": Fault.never_answers(),
    "silence before a body": Fault.stall(0),
    "silence in a body": Fault.stall(450),
    "200 with all of a small object": Fault.whole_body(),
    "200 with the range": Fault.ok_with_content_range(),
    "an unknown size": Fault.unknown_total(),
    "no ETag": Fault.no_etag(),
}


def patience(fault: Fault) -> float:
    """Return a read timeout: short only where it is what is tested, as machines stand still at times."""
    return 0.2 if fault.kind.startswith(("never", "stall")) else 30


@pytest.mark.parametrize("fault", PASSES.values(), ids=PASSES)
def test_what_passes_costs_no_byte(
    sky: ObjectServer, make_client: MakeClient, engine: dict[str, Any], fault: Fault
) -> None:
    """Struck among many ranges, and again on the way, all are right."""
    client = make_client(sky, attempts=9, read_timeout=patience(fault), **engine)
    pinned = client.pin(LOCATION)
    sky.inject(fault, times=2)
    sky.inject(harmless(), times=6)
    sky.inject(fault, times=2)
    assert pinned.read_ranges(RANGES) == PARTS
    sky.inject(fault, times=2)
    assert pinned.read_ranges([(0, 100_000)], [bytearray(100_000)]) == [DATA]


@pytest.mark.parametrize("after", [1, 30_000, 65_536, 99_999])
def test_a_reset_body_goes_on_near_the_byte_it_reached(
    sky: ObjectServer, make_client: MakeClient, after: int
) -> None:
    """A reset may take back what was on its way; what was read before is not asked for again."""
    sky.inject(Fault.reset(after))
    assert make_client(sky).read_ranges(LOCATION, [(0, 100_000)]) == [DATA]
    first, second = ranges_asked(sky)
    assert first == "bytes=0-99999"
    assert 0 <= int((second or "")[6:].split("-")[0]) <= after


FAILS: dict[str, tuple[Fault, type[StorageError], str]] = {
    "a range further on": (Fault.wrong_content_range(start=1), StorageError, "Content-Range"),
    "a range too long": (Fault.wrong_content_range(length=1), StorageError, "Content-Range"),
    "a range too short": (Fault.wrong_content_range(length=-1), StorageError, "Content-Range"),
    "another size": (Fault.wrong_content_range(total=1), ObjectChangedError, "size changed"),
    "another ETag": (Fault.changed_etag(), ObjectChangedError, "ETag changed"),
    "412": (answering(412), ObjectChangedError, "no longer"),
    "gzip": (Fault.gzip(), StorageError, "gzip"),
    "a label of gzip": (Fault.labelled_gzip(), StorageError, "gzip"),
    "403": (Fault.unavailable(403, "AccessDenied"), AccessDeniedError, "403"),
    "always cut": (Fault.cut(0), IncompleteReadError, "whole body"),
    "always silent": (Fault.stall(0), TransferTimeoutError, "nothing for"),
    "always busy": (Fault.unavailable(503, "SlowDown"), StorageError, "SlowDown"),
    "always redirected": (Fault.redirect(f"/{BUCKET}/{KEY}"), StorageError, "more than 5"),
}


@pytest.mark.parametrize(("fault", "error", "says"), FAILS.values(), ids=FAILS)
def test_what_does_not_pass_is_told(
    sky: ObjectServer,
    make_client: MakeClient,
    engine: dict[str, Any],
    fault: Fault,
    error: type[StorageError],
    says: str,
) -> None:
    """The error names the object and says what happened; and once the server is well, the client reads on."""
    client = make_client(sky, attempts=3, read_timeout=patience(fault), **engine)
    pinned = client.pin(LOCATION)
    assert pinned.read_ranges(RANGES[:1]) == PARTS[:1]
    sky.inject(fault, times=None)
    with pytest.raises(error, match=says) as caught:
        pinned.read_ranges(RANGES)
    assert caught.value.location == LOCATION
    sky.clear_faults()
    assert client.read_ranges(LOCATION, RANGES) == PARTS


def test_a_large_object_sent_whole_is_told(
    sky: ObjectServer, make_client: MakeClient, engine: dict[str, Any]
) -> None:
    """A server without ranges is no place to read parts of more than a MiB."""
    sky.put(BUCKET, KEY, DATA * 11)
    sky.inject(Fault.whole_body(), times=None)
    with pytest.raises(RangeNotSupportedError):
        make_client(sky, **engine).read_ranges(LOCATION, RANGES)


# Servers that take no If-Match


def refusing_if_match(status: int) -> Fault:
    """Answer whoever sends If-Match so, as servers do that know no conditions on a GET."""

    def apply(request: Any, serve: Callable[[], Answer]) -> Answer:
        if "if-match" not in request.headers:
            return serve()
        return Fault.unavailable(status, "NotImplemented", message="A header you provided").apply(
            request, serve
        )

    return Fault(f"refusing If-Match with {status}", apply)


@pytest.mark.parametrize("status", [400, 500, 501])
def test_who_takes_no_if_match_is_asked_without(
    sky: ObjectServer, make_client: MakeClient, engine: dict[str, Any], status: int
) -> None:
    """It is found out once for an object, and then no request carries it."""
    sky.inject(refusing_if_match(status), times=None)
    pinned = make_client(sky, **engine).pin(LOCATION)
    for wanted, data in zip(RANGES[:3], PARTS[:3], strict=True):
        assert pinned.read_ranges([wanted]) == [data]
    refused = [record.status for record in sky.requests].count(status)
    assert refused == (2 if status == 500 else 1)  # a 500 may pass by itself
    asked = len(sky.requests)
    assert pinned.read_ranges(RANGES) == PARTS
    assert len(sky.requests) == asked + len(RANGES)


@pytest.mark.parametrize("status", [400, 500, 501])
def test_versions_are_compared_without_if_match(sky: ObjectServer, client: Client, status: int) -> None:
    """Who takes no If-Match may not mix two versions all the same."""
    sky.inject(refusing_if_match(status), times=None)
    pinned = client.pin(LOCATION)
    assert pinned.read_ranges(RANGES[:2]) == PARTS[:2]
    assert pinned.read_ranges(RANGES[2:4]) == PARTS[2:4]
    sky.put(BUCKET, KEY, DATA[::-1])
    with pytest.raises(ObjectChangedError, match="ETag changed"):
        pinned.read_ranges(RANGES[4:6])


@pytest.mark.parametrize("status", [400, 501])
def test_an_error_that_has_nothing_to_do_with_if_match_is_raised(
    sky: ObjectServer, client: Client, status: int
) -> None:
    """Asked once more without it, the server says the same; later reads carry it again."""
    pinned = client.pin(LOCATION)
    pinned.read_ranges(RANGES[:1])
    sky.inject(Fault.unavailable(status, "InvalidRequest"), times=2)
    with pytest.raises(StorageError, match="InvalidRequest"):
        pinned.read_ranges(RANGES[1:2])
    assert pinned.read_ranges(RANGES[2:3]) == PARTS[2:3]
    assert ["if-match" in record.headers for record in sky.requests] == [False, True, False, True]


def test_one_error_of_the_servers_own_costs_no_if_match(sky: ObjectServer, client: Client) -> None:
    """A 500 that passes is not taken for a refusal."""
    pinned = client.pin(LOCATION)
    pinned.read_ranges(RANGES[:1])
    sky.inject(Fault.unavailable(500, "InternalError"))
    assert pinned.read_ranges(RANGES[1:2]) == PARTS[1:2]
    assert ["if-match" in record.headers for record in sky.requests] == [False, True, True]


# Redirects


@pytest.mark.parametrize("query", ["", "?X-Amz-Signature=abc&X-Amz-Expires=60"], ids=["plain", "presigned"])
def test_a_thousand_ranges_cost_one_hop(
    sky: ObjectServer, other_sky: ObjectServer, make_client: MakeClient, query: str
) -> None:
    """The way is asked once for an object, however many ranges are read, in however many calls."""
    if query:
        other_sky.inject(Fault("deaf to signatures", unsigned(other_sky)), times=None)
    sky.inject(Fault.redirect(other_sky.url_for(BUCKET, KEY) + query), times=None)
    pinned = make_client(sky).pin(LOCATION)
    assert pinned.read_ranges([(0, 10)]) == [DATA[:10]]
    ranges = [(start, start + 50) for start in range(0, 100_000, 400)]
    for _ in range(4):
        assert pinned.read_ranges(ranges) == [DATA[start:stop] for start, stop in ranges]
    assert len(sky.requests) == 1
    assert len(other_sky.requests) == 1001
    assert not any("authorization" in record.headers for record in other_sky.requests)


def unsigned(server: ObjectServer) -> Callable[[Any, Callable[[], Answer]], Answer]:
    """Serve a range of the object to a URL that somebody else signed."""

    def apply(request: Any, serve: Callable[[], Answer]) -> Answer:
        assert "X-Amz-Signature=abc" in request.target
        first, last = (int(part) for part in request.headers["range"].removeprefix("bytes=").split("-"))
        extent = f"bytes {first}-{last}/{len(DATA)}"
        return Answer(206, (("Content-Range", extent), ("ETag", '"m31"')), DATA[first : last + 1])

    return apply


# Credentials


@pytest.mark.parametrize("at", [1, 10])
def test_credentials_that_expire_half_way_are_renewed(
    sky: ObjectServer,
    make_client: MakeClient,
    engine: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    at: int,
) -> None:
    """Ranges on their way when the keys expire are asked for again with new ones, found once more."""
    for name, value in sky.environ.items():
        monkeypatch.setenv(name, value)
    old = sky.access_key
    new = AccessKey("AKIANEW", "secret")
    sky.credentials["AKIANEW"] = new

    def expire(request: Any, serve: Callable[[], Answer]) -> Answer:
        sky.credentials[old] = AccessKey(old, sky.credentials[old].secret_key, expired=True)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", new.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", new.secret_key)
        return serve()

    client = make_client(sky, auth=AWSAuth(region=sky.region), concurrency=4, **engine)
    sky.inject(harmless(), times=at)
    sky.inject(Fault("the keys expire", expire))
    assert client.read_ranges(LOCATION, RANGES) == PARTS
    assert 1 <= sum(record.status == 400 for record in sky.requests) <= 4


# Numbers


def test_ten_thousand_ranges_in_one_call(sky: ObjectServer, make_client: MakeClient) -> None:
    """Near ones are few requests, and each gets its bytes."""
    ranges = [(start, start + 5) for start in range(0, 100_000, 10)]
    client = make_client(sky, max_gap=1 << 23)
    assert client.read_ranges(LOCATION, ranges) == [DATA[start:stop] for start, stop in ranges]
    assert client.read_ranges(LOCATION, ranges[::-1]) == [DATA[start:stop] for start, stop in ranges[::-1]]
    assert client.usage.requests == 2


def test_offsets_beyond_32_bits(sky: ObjectServer, make_client: MakeClient) -> None:
    """Of an object of 10 GiB, the bytes are right around 2^32 and at the end."""
    path = sky.path(BUCKET, "cube.fits")
    places = [(1 << 31) - 500, (1 << 32) - 500, (10 << 30) - 1000]
    with path.open("wb") as file:
        file.truncate(10 << 30)
        for place in places:
            file.seek(place)
            file.write(DATA[:1000])
    pinned = make_client(sky).pin(f"s3://{BUCKET}/cube.fits")
    ranges = [(place - 5, place + 1000) for place in places] + [(10 << 30, 11 << 30)]
    for _ in range(2):
        expected = [bytes(5) + DATA[:1000]] * 3 + [b""]
        assert pinned.read_ranges(ranges) == expected
    assert pinned.read_ranges([((1 << 32) - 500, 1 << 32)], [bytearray(500)]) == [DATA[:500]]
    assert pinned.size == 10 << 30


@forks
def test_a_fork_between_ranges_that_are_being_read(sky: ObjectServer, make_client: MakeClient) -> None:
    """A child reads with a pinned object whose parent is reading many ranges just then."""
    sky.latency = 0.02
    pinned = make_client(sky, concurrency=2).pin(LOCATION)
    assert pinned.read_ranges(RANGES[:1]) == PARTS[:1]
    reading = pinned.begin(RANGES)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(20)
            status = 0 if reading.done() and pinned.read_ranges(RANGES) == PARTS else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert reading.result() == PARTS
