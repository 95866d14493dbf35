"""The retry loop: what passes is tried again, signed anew, and goes on where it was cut."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

import pytest

from astro_cloud.exceptions import (
    IncompleteReadError,
    InvalidLocationError,
    ObjectNotFoundError,
    StorageError,
    TransferTimeoutError,
)
from astro_cloud.storage import Client
from astro_cloud.testing import Fault, ObjectServer
from tests.storage.reading import BUCKET, DATA, LOCATION, MakeClient, auth_of, ranges_asked

RANGE = (1000, 51_000)
WANTED = DATA[1000:51_000]

PASSING = {
    "SlowDown": (503, "SlowDown"),
    "ServiceUnavailable": (503, "ServiceUnavailable"),
    "TooManyRequests": (429, "TooManyRequests"),
    "InternalError": (500, "InternalError"),
    "BadGateway": (502, "BadGateway"),
    "GatewayTimeout": (504, "GatewayTimeout"),
    "408": (408, "RequestTimeout"),
    "400 RequestTimeout": (400, "RequestTimeout"),
}


def read(client: Client, location: str = LOCATION) -> bytes:
    return client.read_ranges(location, [RANGE])[0]


@pytest.mark.parametrize(("status", "code"), PASSING.values(), ids=PASSING)
def test_a_failure_that_may_pass_is_tried_again(
    sky: ObjectServer, client: Client, waits: list[float], status: int, code: str
) -> None:
    """Each passing failure costs one more request after the first backoff, and no data."""
    sky.inject(Fault.unavailable(status, code))
    assert read(client) == WANTED
    assert [record.status for record in sky.requests] == [status, 206]
    assert waits == [client.settings.backoff]


def test_the_wait_doubles_up_to_its_limit(
    sky: ObjectServer, make_client: MakeClient, waits: list[float]
) -> None:
    """Backoff is exponential with full jitter: from 0 to twice the bound before, up to the limit."""
    bounds: list[tuple[float, float]] = []

    def jitter(low: float, high: float) -> float:
        bounds.append((low, high))
        return high / 2

    client = make_client(sky, attempts=5, backoff=1.0, backoff_limit=3.0, jitter=jitter)
    sky.inject(Fault.unavailable(), times=4)
    assert read(client) == WANTED
    assert bounds == [(0, 1), (0, 2), (0, 3), (0, 3)]
    assert waits == [0.5, 1, 1.5, 1.5]


def test_the_server_says_how_long_to_wait(sky: ObjectServer, client: Client, waits: list[float]) -> None:
    """Retry-After is waited for exactly, in place of the backoff."""
    sky.inject(Fault.unavailable(503, retry_after=7))
    assert read(client) == WANTED
    assert waits == [7.0]


def test_the_server_says_until_when_to_wait(sky: ObjectServer, client: Client, waits: list[float]) -> None:
    """Retry-After may be a date."""
    sky.inject(Fault.unavailable(503, retry_after=formatdate(time.time() + 60, usegmt=True)))
    assert read(client) == WANTED
    assert 50 < waits[0] <= 60


def test_a_wait_too_long_is_an_error_at_once(sky: ObjectServer, client: Client, waits: list[float]) -> None:
    """Who would have to wait longer than the settings allow is told, and not kept waiting."""
    sky.inject(Fault.unavailable(503, retry_after=3600), times=None)
    with pytest.raises(StorageError, match="503"):
        read(client)
    assert waits == []
    assert len(sky.requests) == 1


def test_retries_come_to_an_end(sky: ObjectServer, make_client: MakeClient, waits: list[float]) -> None:
    """After as many attempts as the settings allow, the last failure is raised with its status."""
    client = make_client(sky, attempts=4)
    sky.inject(Fault.unavailable(503, "SlowDown", message="Please reduce your request rate."), times=None)
    with pytest.raises(StorageError) as caught:
        read(client)
    assert (caught.value.status, caught.value.location) == (503, LOCATION)
    assert "SlowDown: Please reduce your request rate." in str(caught.value)
    assert len(sky.requests) == 4
    assert waits == [0.2, 0.4, 0.8]


def test_every_attempt_is_signed_anew(sky: ObjectServer, make_client: MakeClient) -> None:
    """A repeated request carries the time of its repetition, not a stale signature."""
    seconds = iter(range(60))
    now = datetime.now(UTC).replace(second=0)
    client = make_client(sky, auth=auth_of(sky, clock=lambda: now.replace(second=next(seconds))))
    sky.inject(Fault.unavailable(), times=2)
    assert read(client) == WANTED
    assert len({record.headers["x-amz-date"] for record in sky.requests}) == 3
    assert len({record.headers["authorization"] for record in sky.requests}) == 3


@pytest.mark.parametrize("after", [0, 1, 12_345, 49_999])
def test_a_cut_body_goes_on_from_the_byte_it_reached(sky: ObjectServer, client: Client, after: int) -> None:
    """Bytes that came are not asked for again."""
    sky.inject(Fault.cut(after))
    assert read(client) == WANTED
    assert ranges_asked(sky) == ["bytes=1000-50999", f"bytes={1000 + after}-50999"]
    assert client.usage.bytes == len(WANTED)


def test_a_body_cut_twice_goes_on_twice(sky: ObjectServer, client: Client) -> None:
    """What each attempt brought is kept."""
    sky.inject(Fault.cut(20_000), times=2)
    assert read(client) == WANTED
    assert ranges_asked(sky) == ["bytes=1000-50999", "bytes=21000-50999", "bytes=41000-50999"]


def test_a_body_that_is_always_cut_is_incomplete(sky: ObjectServer, make_client: MakeClient) -> None:
    """Where no byte more ever comes, the error says so."""
    sky.inject(Fault.cut(0), times=None)
    with pytest.raises(IncompleteReadError, match=LOCATION):
        read(make_client(sky, attempts=3))
    assert len(sky.requests) == 3


@pytest.mark.parametrize("after", [None, 0, 10_000])
def test_a_reset_connection_is_opened_again(sky: ObjectServer, client: Client, after: int | None) -> None:
    """A reset, before the answer or in the midst of it, costs another request and no data."""
    sky.inject(Fault.reset(after))
    assert read(client) == WANTED
    assert sky.requests.connections == 2


def test_a_server_that_falls_silent_is_asked_again(sky: ObjectServer, make_client: MakeClient) -> None:
    """A body that stops coming is given up after the read timeout, and read anew."""
    sky.inject(Fault.stall(10_000))
    assert read(make_client(sky, read_timeout=0.2)) == WANTED


def test_a_server_that_never_answers_is_a_timeout(
    sky: ObjectServer, make_client: MakeClient, waits: list[float]
) -> None:
    """Silence is a TimeoutError that says how long was waited, after as many attempts as allowed."""
    sky.inject(Fault.never_answers(), times=None)
    with pytest.raises(TransferTimeoutError, match=r"nothing for 0\.1 s") as caught:
        read(make_client(sky, read_timeout=0.1, attempts=2))
    assert isinstance(caught.value, TimeoutError)
    assert len(sky.wait_for_requests(2)) == 2
    assert len(waits) == 1


def test_a_refused_connection_is_tried_again_and_told(make_client: MakeClient, waits: list[float]) -> None:
    """Where nobody listens, the error says that there is no connection, and to what."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/sky/m31.fits"
        with pytest.raises(StorageError, match="no connection") as caught:
            read(make_client(attempts=3), url)
    assert caught.value.location == url
    assert caught.value.status is None
    assert len(waits) == 2


def test_a_name_that_does_not_resolve_is_told(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that does not exist is called that, and not a timeout or a broken body."""

    def unknown(*args: Any, **options: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(StorageError, match="host name cannot be resolved"):
        read(make_client(attempts=2), "http://archive.invalid/m31.fits")


@pytest.mark.parametrize(
    ("location", "says"), [(f"s3://{BUCKET}/m32.fits", "object"), ("s3://abyss/m31.fits", "bucket")]
)
def test_what_is_not_there_is_not_found(sky: ObjectServer, client: Client, location: str, says: str) -> None:
    """A 404 is a FileNotFoundError that says whether object or bucket is missing, and is not tried again."""
    with pytest.raises(ObjectNotFoundError, match=f"no such {says}") as caught:
        read(client, location)
    assert isinstance(caught.value, FileNotFoundError)
    assert (caught.value.status, caught.value.location) == (404, location)
    assert len(sky.requests) == 1


@pytest.mark.parametrize("url", ["http://*.example/m31.fits", "https://a..b.example/m31.fits"])
def test_a_url_that_requests_refuses_is_an_invalid_location(make_client: MakeClient, url: str) -> None:
    """A host no library can ask for is our error, not a foreign one."""
    with pytest.raises(InvalidLocationError):
        read(make_client(), url)


@pytest.mark.parametrize("endpoint", ["localhost:9000", "ftp://archive.example", "http://host:port"])
def test_an_endpoint_that_is_no_url_is_an_invalid_location(make_client: MakeClient, endpoint: str) -> None:
    """An endpoint without scheme, as people write them, is our error, not a foreign one."""
    with pytest.raises(InvalidLocationError):
        read(make_client(endpoint_url=endpoint))
