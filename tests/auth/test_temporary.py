"""Credentials that are given out for a time, by a machine's or a container's endpoint."""

import logging
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from astro_cloud.auth import AWSAuth
from astro_cloud.testing import AccessKey, ObjectServer
from tests.auth.credential_server import Issue, credential_server

BEARER = "container-secret"


@pytest.fixture
def sky(object_server: ObjectServer) -> ObjectServer:
    """A server that knows no keys yet, with one object."""
    object_server.credentials.clear()
    object_server.put("sky", "m31", b"here")
    return object_server


def issuing(server: ObjectServer, seconds: float) -> Issue:
    """Give out a new key each time, that the object server takes from then on."""

    def issue(number: int) -> tuple[str, str, str, float]:
        key = AccessKey(f"AKID{number}", f"secret/{number}", session_token=f"token+{number}")
        server.credentials[key.access_key] = key
        return key.access_key, key.secret_key, key.session_token or "", seconds

    return issue


def in_container(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Set what ECS and EKS set in a container."""
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{url}/v1/credentials")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", BEARER)


def test_on_a_machine_of_amazons(sky: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The instance's role signs, fetched by IMDSv2, with a session token, once."""
    with credential_server(issuing(sky, 6 * 3600)) as endpoint:
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint.url)
        auth = AWSAuth()
        for _ in range(3):
            assert requests.get(sky.url_for("sky", "m31"), auth=auth).content == b"here"
        assert endpoint.issued == 1
        assert endpoint.paths[:2] == ["GET /", "PUT /latest/api/token"], "is it there? then botocore asks"


def test_nothing_that_is_fetched_is_logged(
    sky: ObjectServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG botocore logs the answers that credentials come in, but not while we ask for them."""
    caplog.set_level(logging.DEBUG)
    with credential_server(issuing(sky, 60)) as endpoint:
        in_container(monkeypatch, endpoint.url)
        assert requests.get(sky.url_for("sky", "m31"), auth=AWSAuth()).content == b"here"
        assert endpoint.issued
    for secret in ("secret/", "token+", BEARER):
        assert secret not in caplog.text


def test_in_a_container(sky: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The container's endpoint is asked with the container's token, and the metadata server is not."""
    with credential_server(issuing(sky, 6 * 3600)) as endpoint:
        in_container(monkeypatch, endpoint.url)
        assert requests.get(sky.url_for("sky", "m31"), auth=AWSAuth()).content == b"here"
        assert endpoint.paths == ["GET /v1/credentials"]


def test_before_they_expire_they_are_renewed(sky: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys about to expire are exchanged before they are used; the old ones may be gone by then."""
    with credential_server(issuing(sky, 60)) as endpoint:
        in_container(monkeypatch, endpoint.url)
        auth = AWSAuth()
        for number in range(3):
            assert requests.get(sky.url_for("sky", "m31"), auth=auth).content == b"here"
            sky.credentials.pop(f"AKID{number}")
        assert endpoint.issued > 3


def test_64_threads_while_keys_change(sky: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many threads sign while keys are renewed, none signs with half of one and half of another."""
    with credential_server(issuing(sky, 60)) as endpoint, ThreadPoolExecutor(64) as pool:
        in_container(monkeypatch, endpoint.url)
        auth = AWSAuth()
        answers = list(pool.map(lambda _: requests.get(sky.url_for("sky", "m31"), auth=auth), range(256)))
        assert {answer.status_code for answer in answers} == {200}
        assert endpoint.issued > 1


def test_64_threads_search_once(sky: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that meet an auth without credentials wait for one search."""
    with credential_server(issuing(sky, 6 * 3600)) as endpoint, ThreadPoolExecutor(64) as pool:
        in_container(monkeypatch, endpoint.url)
        auth = AWSAuth()
        answers = list(pool.map(lambda _: requests.get(sky.url_for("sky", "m31"), auth=auth), range(64)))
        assert {answer.status_code for answer in answers} == {200}
        assert endpoint.issued == 1


def test_keys_taken_back_are_exchanged(sky: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that the server calls expired before their time are looked for again, once."""
    with credential_server(issuing(sky, 6 * 3600)) as endpoint:
        in_container(monkeypatch, endpoint.url)
        auth = AWSAuth()
        assert requests.get(sky.url_for("sky", "m31"), auth=auth).content == b"here"
        sky.credentials["AKID0"] = AccessKey("AKID0", "secret/0", session_token="token+0", expired=True)
        assert requests.get(sky.url_for("sky", "m31"), auth=auth).content == b"here"
        assert endpoint.issued == 2


def test_a_pickle_finds_its_own(sky: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is pickled is how to find credentials: a copy asks again, and carries none."""
    with credential_server(issuing(sky, 6 * 3600)) as endpoint:
        in_container(monkeypatch, endpoint.url)
        auth = AWSAuth()
        assert auth.has_credentials()
        pickled = pickle.dumps(auth)
        assert b"secret/0" not in pickled
        assert b"token+0" not in pickled
        copy = pickle.loads(pickled)
        assert requests.get(sky.url_for("sky", "m31"), auth=copy).content == b"here"
        assert endpoint.issued == 2
