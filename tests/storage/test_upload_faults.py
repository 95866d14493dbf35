"""The fault table in the middle of an upload, over both engines: it is survived, or it is told.

What is on the server afterwards is read from its disk: all of the bytes, or no object and no part.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from astro_cloud.auth.aws import AWSAuth
from astro_cloud.exceptions import (
    AccessDeniedError,
    ChecksumError,
    ObjectExistsError,
    StorageError,
    TransferTimeoutError,
)
from astro_cloud.testing import AccessKey, Answer, Fault, ObjectServer
from tests.storage.reading import BUCKET, MakeClient, answering
from tests.storage.test_fault_table import SessionWithSend

KEY = "new.fits"
LOCATION = f"s3://{BUCKET}/{KEY}"
PART = 1 << 18
DATA = random.Random(33).randbytes(5 * PART + 999)
WHOLE = DATA[: 2 * PART]


@pytest.fixture(params=["own connections", "session with a send"])
def engine(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What a client is made with to send by each way a request with a body can take."""
    return {} if request.param == "own connections" else {"session": SessionWithSend()}


PASSES = {
    "reset before an answer": Fault.reset(None),
    "reset in a request": Fault.reset_request(1000),
    "reset late in a request": Fault.reset_request(200_000),
    "cut before a body": Fault.cut_request(0),
    "cut in a request": Fault.cut_request(100_000),
    "429": Fault.unavailable(429, "TooManyRequests"),
    "429 with Retry-After": Fault.unavailable(429, "TooManyRequests", retry_after=1),
    "500": Fault.unavailable(500, "InternalError"),
    "500 with Retry-After": Fault.unavailable(500, "InternalError", retry_after=1),
    "502": Fault.unavailable(502, "BadGateway"),
    "503": Fault.unavailable(503, "SlowDown"),
    "503 with Retry-After": Fault.unavailable(503, "SlowDown", retry_after=1),
    "503 before the body": Fault.early_refusal(503, "SlowDown"),
    "504": Fault.unavailable(504, "GatewayTimeout"),
    "400 RequestTimeout": Fault.unavailable(400, "RequestTimeout"),
    "400 BadDigest": Fault.unavailable(400, "BadDigest"),
    "409 in a race": Fault.unavailable(409, "OperationAborted"),
    "silence before an answer": Fault.never_answers(),
    "silence in a request": Fault.stall_request(1000),
}


def patience(fault: Fault) -> float:
    """Return a read timeout: short only where it is what is tested, as machines stand still at times."""
    return 0.25 if fault.kind.startswith(("never", "stall")) else 30


def stored(server: ObjectServer) -> bytes:
    return server.path(BUCKET, KEY).read_bytes()


def assert_nothing(server: ObjectServer) -> None:
    assert not server.path(BUCKET, KEY).exists()
    assert server.uploads == []


@pytest.mark.parametrize("fault", PASSES.values(), ids=PASSES)
def test_a_whole_upload_survives(
    attic: ObjectServer, make_client: MakeClient, engine: dict[str, Any], fault: Fault
) -> None:
    """Sent again, it is there once and whole."""
    client = make_client(attic, attempts=9, read_timeout=patience(fault), **engine)
    attic.inject(fault, times=2, method="PUT")
    assert client.upload(WHOLE, LOCATION, part_size=PART).size == len(WHOLE)
    assert stored(attic) == WHOLE


@pytest.mark.parametrize("fault", PASSES.values(), ids=PASSES)
@pytest.mark.parametrize("step", ["uploads", "partNumber", "uploadId"])
def test_every_step_of_parts_survives(
    attic: ObjectServer, make_client: MakeClient, fault: Fault, step: str
) -> None:
    """Begin, part and end: each can fail twice, wherever it strikes, and the object is made of all parts."""
    client = make_client(attic, attempts=9, read_timeout=patience(fault))
    attic.inject(fault, times=2, query=step, method="PUT" if step == "partNumber" else "POST")
    told: list[tuple[int, int | None]] = []
    info = client.upload(DATA, LOCATION, part_size=PART, progress=lambda *now: told.append(now))
    assert stored(attic) == DATA
    assert info.size == len(DATA)
    if step != "uploads" or not fault.kind.startswith("reset(None"):  # a beginning whose answer was lost
        assert attic.uploads == []
    assert told == sorted(told)
    assert told[-1] == (len(DATA), len(DATA))
    assert len(set(told)) == len(told)


FAILS: dict[str, tuple[Fault, type[Exception], str]] = {
    "403": (Fault.unavailable(403, "AccessDenied"), AccessDeniedError, "lack permission to write"),
    "403 before the body": (Fault.early_refusal(403, "AccessDenied"), AccessDeniedError, "403"),
    "404": (answering(404), StorageError, "404"),
    "501": (Fault.unavailable(501, "NotImplemented"), StorageError, "NotImplemented"),
    "303": (answering(303, Location="/elsewhere"), StorageError, "303"),
    "always reset": (Fault.reset_request(1000), StorageError, "connection"),
    "always silent": (Fault.never_answers(), TransferTimeoutError, "nothing for"),
    "always busy": (Fault.unavailable(503, "SlowDown"), StorageError, "SlowDown"),
    "always damaged": (Fault.unavailable(400, "BadDigest"), ChecksumError, "not those that were sent"),
    "too long a wait": (Fault.unavailable(503, retry_after=9999), StorageError, "503"),
    "a loop": (Fault.redirect(f"/{BUCKET}/{KEY}"), StorageError, "more than 5"),
    "another service": (
        Fault.redirect("http://127.0.0.1:9/sky/new.fits"),
        StorageError,
        "another service",
    ),
}


@pytest.mark.parametrize(("fault", "error", "says"), FAILS.values(), ids=FAILS)
@pytest.mark.parametrize("step", ["whole", "partNumber=3"])
def test_what_does_not_pass_is_told_and_leaves_nothing(
    attic: ObjectServer,
    make_client: MakeClient,
    engine: dict[str, Any],
    fault: Fault,
    error: type[StorageError],
    says: str,
    step: str,
) -> None:
    """The error names the object, there is none, and no part of it; it can then be uploaded as if new."""
    client = make_client(attic, attempts=2, read_timeout=patience(fault), **engine)
    attic.inject(fault, times=None, method="PUT", query=None if step == "whole" else step)
    with pytest.raises(error, match=says) as caught:
        client.upload(WHOLE if step == "whole" else DATA, LOCATION, part_size=PART)
    assert caught.value.location == LOCATION
    assert_nothing(attic)
    attic.clear_faults()
    make_client(attic, **engine).upload(DATA, LOCATION, part_size=PART)
    assert stored(attic) == DATA


def test_a_refused_connection_is_told(make_client: MakeClient, attic: ObjectServer) -> None:
    """Nobody listens: an error after so many attempts, and nothing else."""
    client = make_client(attic, endpoint_url="http://127.0.0.1:9", attempts=2)
    with pytest.raises(StorageError, match="no connection"):
        client.upload(DATA, LOCATION, part_size=PART)


@pytest.mark.parametrize("code", ["InternalError", "SlowDown", "ServiceUnavailable"])
def test_an_end_that_is_200_and_an_error_is_tried_again(
    attic: ObjectServer, make_client: MakeClient, code: str
) -> None:
    """The body of a 200 is read before it is believed."""
    attic.inject(Fault.ok_with_error(code), times=2, method="POST", query="uploadId")
    make_client(attic).upload(DATA, LOCATION, part_size=PART)
    assert stored(attic) == DATA


def test_an_end_that_is_200_and_a_refusal_is_told(attic: ObjectServer, make_client: MakeClient) -> None:
    """What does not pass is an error, and the parts are gone."""
    attic.inject(Fault.ok_with_error("InvalidPart"), times=None, method="POST", query="uploadId")
    with pytest.raises(StorageError, match="InvalidPart"):
        make_client(attic).upload(DATA, LOCATION, part_size=PART)
    assert_nothing(attic)


@pytest.mark.parametrize("data", [WHOLE, DATA], ids=["whole", "in parts"])
def test_a_lost_answer_is_not_somebody_elses_object(
    attic: ObjectServer, make_client: MakeClient, engine: dict[str, Any], data: bytes
) -> None:
    """What is sent again and not to overwrite meets its own object, and knows it."""
    last = {"method": "PUT"} if data is WHOLE else {"method": "POST", "query": "uploadId"}
    attic.inject(Fault.reset(None), **last)
    info = make_client(attic, **engine).upload(data, LOCATION, part_size=PART, overwrite=False)
    assert stored(attic) == data
    assert info.size == len(data)
    assert attic.uploads == []


def retrying() -> requests.Session:
    """A session that sends again by itself what was not answered."""
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=Retry(total=3, allowed_methods=None, backoff_factor=0)))
    return session


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("data", [WHOLE, DATA], ids=["whole", "in parts"])
def test_what_a_session_sent_again_is_not_somebody_elses_object(
    attic: ObjectServer, make_client: MakeClient, data: bytes, overwrite: bool
) -> None:
    """Attempts that are made below us count as ours."""
    last = {"method": "PUT"} if data is WHOLE else {"method": "POST", "query": "uploadId"}
    attic.inject(Fault.reset(None), **last)
    client = make_client(attic, session=retrying())
    info = client.upload(data, LOCATION, part_size=PART, overwrite=overwrite)
    assert info.size == len(data)
    assert stored(attic) == data
    assert attic.uploads == []


@pytest.mark.parametrize("attempts", [1, 3])
@pytest.mark.parametrize("data", [WHOLE, DATA], ids=["whole", "in parts"])
def test_what_was_stored_before_the_last_attempt_failed_is_seen(
    attic: ObjectServer, make_client: MakeClient, data: bytes, attempts: int
) -> None:
    """A lost answer, and then nothing but refusals for now: the object is there, and that is the result."""
    last = {"method": "PUT"} if data is WHOLE else {"method": "POST", "query": "uploadId"}
    attic.inject(Fault.reset(None), **last)
    attic.inject(Fault.unavailable(), times=None, **last)
    info = make_client(attic, attempts=attempts).upload(data, LOCATION, part_size=PART)
    assert info.size == len(data)
    assert stored(attic) == data


def test_a_server_that_is_gone_is_not_asked_for_long(attic: ObjectServer, make_client: MakeClient) -> None:
    """Whether an object is there in spite of all failures is asked once."""
    attic.inject(Fault.reset_request(10), times=None, method="PUT")
    attic.inject(Fault.reset(None), times=None, method="HEAD")
    with pytest.raises(StorageError, match="connection"):
        make_client(attic, attempts=4).upload(WHOLE, LOCATION)
    assert len(attic.requests.where(method="HEAD")) == 1


@pytest.mark.parametrize("data", [WHOLE, DATA], ids=["whole", "in parts"])
def test_another_object_in_the_way_is_told_after_a_fault(
    attic: ObjectServer, make_client: MakeClient, data: bytes
) -> None:
    """Somebody else was quicker: their object is as large, and stays."""
    other = data[::-1]

    def overtake(request: Any, serve: Callable[[], Answer]) -> Answer:
        attic.put(BUCKET, KEY, other)
        return Fault.unavailable(500, "InternalError").apply(request, serve)

    last = {"method": "PUT"} if data is WHOLE else {"method": "POST", "query": "uploadId"}
    attic.inject(Fault("overtaken", overtake), **last)
    with pytest.raises(ObjectExistsError):
        make_client(attic).upload(data, LOCATION, part_size=PART, overwrite=False)
    assert stored(attic) == other
    assert attic.uploads == []


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_within_the_service_is_followed(
    attic: ObjectServer, make_client: MakeClient, engine: dict[str, Any], status: int
) -> None:
    """Method and body stay, and the request is signed for where it goes."""
    attic.inject(Fault.redirect(f"{attic.url}/{BUCKET}/{KEY}?partNumber=2", status), query="partNumber=2")
    attic.inject(Fault.redirect(f"/{BUCKET}/{KEY}", status), method="POST", query="uploads")
    make_client(attic, **engine).upload(DATA, LOCATION, part_size=PART)
    assert stored(attic) == DATA


def test_a_query_that_a_redirect_repeats_is_not_remembered(
    attic: ObjectServer, make_client: MakeClient, engine: dict[str, Any]
) -> None:
    """What is asked of the object next has a query of its own, or none."""
    client = make_client(attic, concurrency=1, **engine)
    attic.inject(Fault.redirect(f"{attic.url}/{BUCKET}/{KEY}?partNumber=6"), query="partNumber=6")
    client.upload(DATA, LOCATION, part_size=PART, overwrite=False)
    assert stored(attic) == DATA
    assert {urlsplit(record.target).query for record in attic.requests.where(method="HEAD")} == {""}


def test_credentials_that_expire_half_way_are_renewed(
    attic: ObjectServer, make_client: MakeClient, engine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts on their way when the keys expire are sent again with new ones."""
    for name, value in attic.environ.items():
        monkeypatch.setenv(name, value)
    old, new = attic.access_key, AccessKey("AKIANEW", "secret")
    attic.credentials["AKIANEW"] = new

    def expire(request: Any, serve: Callable[[], Answer]) -> Answer:
        attic.credentials[old] = AccessKey(old, attic.credentials[old].secret_key, expired=True)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", new.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", new.secret_key)
        return serve()

    attic.inject(Fault("the keys expire", expire), query="partNumber=2")
    client = make_client(attic, auth=AWSAuth(region=attic.region), concurrency=2, **engine)
    client.upload(DATA, LOCATION, part_size=PART)
    assert stored(attic) == DATA


def test_nothing_is_sent_unsigned_after_a_refusal(
    attic: ObjectServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A public object is read without a signature; nothing is ever written so."""
    for name, value in attic.environ.items():
        monkeypatch.setenv(name, value)
    attic.inject(Fault.unavailable(403, "AccessDenied"), times=None)
    with pytest.raises(AccessDeniedError):
        make_client(endpoint_url=attic.url).upload(WHOLE, LOCATION)
    assert len(attic.requests) == 1


def test_a_failed_abort_does_not_hide_what_failed(attic: ObjectServer, make_client: MakeClient) -> None:
    """The first error counts."""
    attic.inject(Fault.unavailable(403, "AccessDenied"), method="PUT")
    attic.inject(Fault.unavailable(501, "NotImplemented"), times=None, method="DELETE")
    with pytest.raises(AccessDeniedError):
        make_client(attic).upload(DATA, LOCATION, part_size=PART)
    assert len(attic.uploads) == 1


def test_a_session_sees_each_attempt_whole(attic: ObjectServer, make_client: MakeClient) -> None:
    """A plain session sends bodies, too."""
    attic.inject(Fault.reset_request(1000), query="partNumber=1")
    make_client(attic, session=requests.Session()).upload(DATA, LOCATION, part_size=PART)
    assert stored(attic) == DATA
