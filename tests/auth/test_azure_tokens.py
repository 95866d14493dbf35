"""AzureAuth with bearer tokens: how often a credential is asked for one, and what is said when it fails."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
import threading
import types
from datetime import datetime

import pytest
import requests
from requests.adapters import HTTPAdapter

from astro_cloud.auth.azure import AzureAuth
from astro_cloud.auth.refusal import Refusal
from astro_cloud.exceptions import CredentialsError
from tests.auth.azure_stand_ins import (
    NOON,
    SAS,
    SIGNATURE,
    TOKEN,
    AccessToken,
    Credential,
    at_noon,
    auth,
    prepared,
)
from tests.auth.recording_server import Answer, recording_server
from tests.forks import forks
from tests.servers.process import free_ports


def test_a_bearer_token_is_sent() -> None:
    """A credential is asked for Azure Storage's scope, and its token sent with version and date."""
    credential = Credential()
    request = AzureAuth(credential=credential, clock=at_noon).sign(prepared())
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert request.headers["x-ms-version"] == "2023-11-03"
    assert request.headers["x-ms-date"] == "Sun, 17 May 2026 12:00:00 GMT"
    assert credential.asked == ["https://storage.azure.com/.default"]


@pytest.mark.parametrize(("seconds", "asked"), [(3600, 1), (301, 1), (299, 2)])
def test_a_token_is_kept_until_shortly_before_its_end(seconds: int, asked: int) -> None:
    """A token is asked for anew from 5 minutes before it expires."""
    credential = Credential(seconds=seconds)
    bearer = AzureAuth(credential=credential, clock=at_noon)
    bearer.sign(prepared())
    bearer.sign(prepared())
    assert len(credential.asked) == asked


def test_threads_refresh_a_token_once() -> None:
    """Of 64 threads that all saw a token near its end, one fetches the next, and all send that."""
    now, looked, results = [NOON], [0], list[str]()
    somebody_looked = threading.Condition()

    def clock() -> datetime:
        with somebody_looked:
            looked[0] += 1
            somebody_looked.notify_all()
        return now[0]

    class Slow(Credential):
        def get_token(self, *scopes: str) -> AccessToken:
            with somebody_looked:  # for the date, and at the token
                assert somebody_looked.wait_for(lambda: looked[0] >= 2 * 64 or not self.asked, timeout=10)
            return super().get_token(*scopes)._replace(expires_on=int(now[0].timestamp()) + 3600)

    credential = Slow("first", "second", "third")
    bearer = AzureAuth(credential=credential, clock=clock)
    bearer.sign(prepared())
    now[0], looked[0] = NOON.replace(minute=58), 0
    threads = [
        threading.Thread(target=lambda: results.append(bearer.sign(prepared()).headers["Authorization"]))
        for _ in range(64)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == ["Bearer second"] * 64
    assert len(credential.asked) == 2


def test_a_refused_token_is_forgotten_once() -> None:
    """A 401 drops the token it was for; a token renewed meanwhile stays, and other refusals teach nothing."""
    credential = Credential("first", "second", "third")
    bearer = AzureAuth(credential=credential, clock=at_noon)
    old = bearer.sign(prepared())
    assert bearer.learn(old, Refusal(403)) is None
    assert bearer.learn(old, Refusal(401)) == "credentials"
    assert bearer.sign(prepared()).headers["Authorization"] == "Bearer second"
    assert bearer.learn(old, Refusal(401)) == "credentials"
    assert bearer.sign(prepared()).headers["Authorization"] == "Bearer second"
    assert auth().learn(old, Refusal(401)) is None


def test_a_refused_token_is_asked_for_anew_in_any_requests_code() -> None:
    """A 401 to a bearer token is answered with a fresh one, once; a 401 to a key is the caller's."""
    with recording_server() as home:
        home.answers += [Answer(401), Answer(401)]
        bearer = AzureAuth(credential=Credential("first", "second"), clock=at_noon)
        assert requests.get(f"{home.url}/c/b", auth=bearer).status_code == 401
        sent = [request.headers["Authorization"] for request in home.requests]
        assert sent == ["Bearer first", "Bearer second"]
        home.answers.append(Answer(401))
        assert requests.get(f"{home.url}/c/b", auth=auth()).status_code == 401
        assert len(home.requests) == 3


def test_a_credential_that_fails_is_an_error_of_ours() -> None:
    """What a credential raises is told by its kind, and what a stranger's says is not repeated."""

    class Broken:
        def get_token(self, *scopes: str) -> AccessToken:
            raise RuntimeError(TOKEN)

    with pytest.raises(CredentialsError, match="RuntimeError") as caught:
        AzureAuth(credential=Broken()).sign(prepared())
    assert TOKEN not in str(caught.value)
    with pytest.raises(CredentialsError, match="line end") as caught:
        AzureAuth(credential=Credential(TOKEN + "\n")).sign(prepared())
    assert TOKEN not in str(caught.value)


def test_the_default_credential_is_azure_identitys(monkeypatch: pytest.MonkeyPatch) -> None:
    """``"default"`` makes one DefaultAzureCredential, and without azure-identity names the extra."""
    bearer = AzureAuth(credential="default", clock=at_noon)
    assert bearer.has_credentials()
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    with pytest.raises(ImportError, match=r"pip install 'astro-cloud\[azure\]'"):
        bearer.sign(prepared())
    made: list[Credential] = []
    module = types.ModuleType("azure.identity")
    module.DefaultAzureCredential = lambda: made.append(Credential(seconds=0)) or made[-1]
    monkeypatch.setitem(sys.modules, "azure", types.ModuleType("azure"))
    monkeypatch.setitem(sys.modules, "azure.identity", module)
    for signer in (bearer, bearer, pickle.loads(pickle.dumps(bearer))):
        assert signer.sign(prepared()).headers["Authorization"] == f"Bearer {TOKEN}"
    assert [len(credential.asked) for credential in made] == [2, 1]


@forks
def test_a_forked_process_gets_a_token_of_its_own() -> None:
    """A lock that was held at the moment of the fork does not stop the child."""
    bearer = AzureAuth(credential=Credential(), clock=at_noon)
    assert bearer._tokens is not None
    with bearer._tokens._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(5)
            signed = bearer.sign(prepared()).headers["Authorization"] == f"Bearer {TOKEN}"
            os._exit(0 if signed else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_sas_is_not_logged_where_a_request_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """urllib3 logs the URL that it tries again, and a SAS is no part of what it logs."""
    with requests.Session() as session, caplog.at_level(logging.DEBUG):
        session.mount("http://", HTTPAdapter(max_retries=1))
        with pytest.raises(requests.ConnectionError):
            session.get(f"http://127.0.0.1:{free_ports(1)[0]}/c/b", auth=AzureAuth(sas_token=SAS))
    assert "Incremented Retry" in caplog.text
    assert SIGNATURE not in caplog.text
