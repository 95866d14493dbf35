"""Credentials that are given out for a time, by a machine's or a container's endpoint."""

import datetime
import hashlib
import json
import logging
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from astro_cloud.auth import AWSAuth
from astro_cloud.testing import AccessKey, ObjectServer
from tests.auth.credential_server import Issue, credential_server
from tests.auth.recording_server import Answer, recording_server

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


def test_by_web_identity(sky: ObjectServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In Kubernetes: the token in a file is exchanged at STS for keys, which sign."""
    access_key, secret_key, token, _ = issuing(sky, 0)(0)
    end = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = (
        '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        "<AssumeRoleWithWebIdentityResult><Credentials>"
        f"<AccessKeyId>{access_key}</AccessKeyId><SecretAccessKey>{secret_key}</SecretAccessKey>"
        f"<SessionToken>{token}</SessionToken><Expiration>{end}</Expiration>"
        "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    )
    (tmp_path / "token").write_text("a-web-identity")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/reader")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with recording_server(lambda request: Answer(200, {"Content-Type": "text/xml"}, body.encode())) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        auth = AWSAuth()
        for _ in range(2):
            assert requests.get(sky.url_for("sky", "m31"), auth=auth).content == b"here"
        assert len(sts.requests) == 1


def test_by_single_sign_on(sky: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `aws sso login`: the token it left in a file is exchanged for a role's keys, which sign."""
    start = "https://survey.awsapps.com/start"
    access_key, secret_key, token, _ = issuing(sky, 0)(0)
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=6)
    role = {
        "accessKeyId": access_key, "secretAccessKey": secret_key, "sessionToken": token,
        "expiration": int(later.timestamp() * 1000),
    }  # fmt: skip
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(
        f"[profile survey]\nsso_start_url = {start}\nsso_region = us-east-1\nsso_account_id = 123456789012\n"
        "sso_role_name = reader\nregion = us-east-1\n"
    )
    cache = Path(os.environ["HOME"], ".aws", "sso", "cache")
    cache.mkdir(parents=True)
    # botocore made the folder's name of the HOME it was imported under
    monkeypatch.setattr("botocore.credentials.SSOProvider._SSO_TOKEN_CACHE_DIR", str(cache))
    login = {"accessToken": "an-sso-token", "expiresAt": later.strftime("%Y-%m-%dT%H:%M:%SZ")}
    (cache / f"{hashlib.sha1(start.encode()).hexdigest()}.json").write_text(json.dumps(login))
    body = json.dumps({"roleCredentials": role}).encode()
    with recording_server(lambda request: Answer(200, {"Content-Type": "application/json"}, body)) as sso:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", sso.url)
        auth = AWSAuth(profile="survey")
        assert requests.get(sky.url_for("sky", "m31"), auth=auth).content == b"here"
        assert sso.requests[0].headers["x-amz-sso_bearer_token"] == "an-sso-token"
