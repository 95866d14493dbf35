"""GCPAuth with bearer tokens: when they are refreshed, where they are sent, and where never."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import pytest
import requests

from astro_cloud.auth.gcp import GCPAuth
from astro_cloud.exceptions import CredentialsError
from tests.auth.gcp_stand_ins import KEYS, Tokens, prepared
from tests.auth.recording_server import Answer, Received, recording_server
from tests.forks import forks


def test_a_token_is_sent_and_the_url_left_alone() -> None:
    """The JSON API's encoded slashes survive; the project is the argument's, else the credentials'."""
    url = "https://storage.googleapis.com/storage/v1/b/bucket/o/a%2Fb?alt=media"
    request = GCPAuth(credentials=Tokens("t0", "quota")).sign(prepared(url))
    assert (request.url, request.headers["Authorization"]) == (url, "Bearer t0")
    assert request.headers["x-goog-user-project"] == "quota"
    GCPAuth("payer", credentials=Tokens("t1", "quota")).sign(request)
    assert (request.headers["Authorization"], request.headers["x-goog-user-project"]) == (
        "Bearer t1",
        "payer",
    )
    assert "x-goog-user-project" not in GCPAuth(credentials=Tokens("t")).sign(prepared()).headers


def test_threads_refresh_once() -> None:
    """64 threads that meet an expired token lead to one refresh, and send the new token."""
    tokens = Tokens()
    auth, together, sent = GCPAuth(credentials=tokens), threading.Barrier(64), set[str]()

    def sign() -> None:
        together.wait(10)
        sent.add(auth.sign(prepared()).headers["Authorization"])

    threads = [threading.Thread(target=sign) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sent, tokens.refreshed) == ({"Bearer token-1"}, 1)


@pytest.mark.parametrize("host", ["storage.googleapis.com", "localhost.evil.example", "10.0.0.1", "0.0.0.0"])
def test_a_token_never_travels_in_the_clear(host: str) -> None:
    """Over http:// to another machine nothing is sent, and no token is fetched; a signature may go."""
    tokens = Tokens()
    with pytest.raises(CredentialsError, match="https://"):
        requests.get(f"http://{host}/b/k", auth=GCPAuth(credentials=tokens))
    assert tokens.refreshed == 0
    assert "Authorization" in GCPAuth(**KEYS).sign(prepared(f"http://{host}/b/k")).headers


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"])
def test_loopback_is_no_other_machine(host: str) -> None:
    """Emulators on this machine get tokens over http://."""
    request = GCPAuth(credentials=Tokens("t")).sign(prepared(f"http://{host}:4443/b/k"))
    assert request.headers["Authorization"] == "Bearer t"


def test_a_refused_token_is_refreshed_and_the_request_sent_again() -> None:
    """After a 401 one more request goes out, with a fresh token; a second 401 is the answer."""

    def judge(request: Received) -> Answer:
        known = request.headers["Authorization"] == "Bearer token-1"
        return Answer(body=b"data") if known and request.path == "/b/k" else Answer(401)

    tokens = Tokens("revoked")
    auth = GCPAuth(credentials=tokens)
    with recording_server(judge) as server:
        assert requests.get(f"{server.url}/b/k", auth=auth).content == b"data"
        assert requests.get(f"{server.url}/b/k", auth=auth).content == b"data"
        assert (len(server.requests), tokens.refreshed) == (3, 1)
        assert requests.get(f"{server.url}/b/never", auth=auth).status_code == 401
        assert (len(server.requests), tokens.refreshed) == (5, 2)


def test_a_token_that_cannot_be_renewed_leaves_the_answer() -> None:
    """A 401 for a token that nobody can refresh is the caller's to see."""

    class Fixed(Tokens):
        def refresh(self, request: Any) -> None:
            raise RuntimeError("hush-hush")

    auth = GCPAuth(credentials=Fixed("fixed"))
    with recording_server(lambda request: Answer(401)) as server:
        assert requests.get(f"{server.url}/b/k", auth=auth).status_code == 401
        assert requests.get(f"{server.url}/b/k", auth=auth).status_code == 401
        assert len(server.requests) == 2
    with pytest.raises(CredentialsError, match="RuntimeError") as caught:
        GCPAuth(credentials=Fixed()).sign(prepared())
    assert "hush" not in str(caught.value) + repr(caught.value.__cause__)


def test_a_token_that_cannot_be_sent_is_not_shown() -> None:
    """A line end in a token is an error of ours, as is no token at all after a refresh."""

    class Empty(Tokens):
        def refresh(self, request: Any) -> None:
            self.refreshed += 1

    with pytest.raises(CredentialsError, match="the token of the Google credentials") as caught:
        GCPAuth(credentials=Tokens("hush-hush\n")).sign(prepared())
    assert "hush" not in str(caught.value)
    with pytest.raises(CredentialsError, match="no token"):
        GCPAuth(credentials=Empty()).sign(prepared())


@pytest.mark.parametrize("options", [{"credentials": Tokens("secret-token")}, KEYS])
def test_a_redirect_to_a_stranger_carries_nothing_of_ours(options: dict[str, Any]) -> None:
    """Neither token nor signature nor project reaches another origin."""
    with recording_server() as stranger, recording_server() as home:
        home.answers.append(Answer(302, {"Location": f"{stranger.url}/x"}))
        requests.get(f"{home.url}/b/k", auth=GCPAuth("payer", **options))
    assert "Authorization" in home.requests[0].headers
    names = [name.lower() for name in stranger.requests[0].headers]
    assert not [name for name in names if name.startswith(("authorization", "x-goog-"))]


@forks
def test_a_forked_process_signs_on() -> None:
    """A child is not held up by a refresh that was under way in its parent."""
    auth = GCPAuth(credentials=Tokens("t"))
    with auth._lock:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                signal.alarm(10)
                status = 0 if auth.sign(prepared()).headers["Authorization"] == "Bearer t" else 2
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0


class Unscoped(Tokens):
    """A service account's credentials, as a file gives them."""

    requires_scopes = True

    def with_scopes(self, scopes: list[str]) -> Tokens:
        scoped = Tokens()
        scoped.scopes = scopes
        return scoped


def test_credentials_without_a_scope_get_one() -> None:
    """Without, Google would give a token that opens nothing."""
    auth = GCPAuth(credentials=Unscoped())
    assert auth._given.scopes == ["https://www.googleapis.com/auth/devstorage.read_only"]
