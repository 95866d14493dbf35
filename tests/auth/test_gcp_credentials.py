"""Where GCPAuth finds credentials, in which order, how often it looks, and what it says of what is broken."""

from __future__ import annotations

import json
import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from astro_cloud.auth.gcp import GCPAuth
from astro_cloud.exceptions import CredentialsError
from tests.auth.gcp_stand_ins import KEYS, URL, Remote, Tokens, prepared
from tests.auth.gcs_v4_cases import account
from tests.auth.recording_server import Answer, RecordingServer, recording_server


@pytest.fixture
def token_server() -> Iterator[RecordingServer]:
    """What Google's token endpoint does for a service account."""
    body = json.dumps({"access_token": "very-secret-token", "expires_in": 3600}).encode()
    with recording_server(lambda request: Answer(200, {"Content-Type": "application/json"}, body)) as server:
        yield server


@pytest.mark.parametrize("place", ["variable", "gcloud", "home"])
def test_credentials_of_a_file(
    place: str,
    token_server: RecordingServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A service account's file is found in each place; its key and token show nowhere, nor travel."""
    folder = Path(os.environ["HOME"], ".config", "gcloud") if place == "home" else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "application_default_credentials.json"
    file.write_text(json.dumps({**account(), "token_uri": f"{token_server.url}/token"}))
    if place == "variable":
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    elif place == "gcloud":
        monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    auth = GCPAuth(scope="read_write")
    with caplog.at_level(logging.DEBUG, "astro_cloud"):
        assert auth.has_credentials()
        for _ in range(2):
            assert auth.sign(prepared()).headers["Authorization"] == "Bearer very-secret-token"
    assert len(token_server.requests) == 1
    assert "X-Goog-Algorithm=GOOG4-RSA-SHA256" in auth.presign(URL)
    pickled = pickle.dumps(auth)
    assert b"very-secret" not in pickled
    assert b"PRIVATE KEY" not in pickled
    assert "very-secret" not in repr(auth) + str(vars(auth)) + caplog.text
    assert pickle.loads(pickled).sign(prepared()).headers["Authorization"] == "Bearer very-secret-token"


def test_no_credentials_names_every_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Finding nothing is an error that lists where was looked, in order."""
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    auth = GCPAuth()
    assert not auth.has_credentials()
    with pytest.raises(CredentialsError) as caught:
        requests.get(URL, auth=auth)
    places = ("GOOGLE_APPLICATION_CREDENTIALS", "gcloud", "metadata server", "access_key=")
    positions = [str(caught.value).index(place) for place in places]
    assert positions == sorted(positions)


def test_a_search_that_found_nothing_is_repeated_for_a_request(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """has_credentials asks once; signing looks again, as somebody may have logged in since."""
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    auth = GCPAuth()
    assert not auth.has_credentials()
    (tmp_path / "application_default_credentials.json").write_text(json.dumps(account()))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    assert not auth.has_credentials()
    assert "X-Goog-Signature" in auth.presign(URL)
    assert auth.has_credentials()


def test_threads_search_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 threads that find no credentials wait for one search of the metadata server, not for 64."""
    together, asked, refused = threading.Barrier(64), list[int](), list[CredentialsError]()

    def silent() -> bool:
        asked.append(1)
        threading.Event().wait(0.1)
        return False

    monkeypatch.setattr("astro_cloud.auth.gcp_credentials._metadata_server_answers", silent)
    auth = GCPAuth()

    def sign() -> None:
        together.wait(10)
        try:
            auth.sign(prepared())
        except CredentialsError as error:
            refused.append(error)

    threads = [threading.Thread(target=sign) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(refused), len(asked)) == (64, 1)


@pytest.mark.parametrize(
    "content", ["", "very-secret", '{"type": "very-secret"}', '{"type": "service_account"}']
)
def test_a_broken_file_is_an_error_of_ours(
    content: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file that cannot be used is told of, rather than passed over, as is one that is not there."""
    file = tmp_path / "key.json"
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    for _ in range(2):
        with pytest.raises(CredentialsError, match="Google credentials cannot be read") as caught:
            GCPAuth().has_credentials()
        assert caught.value.__cause__ is None
        file.write_text(content)


def test_without_google_auth(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Errors name the extra; HMAC keys need none; public data is read without a probe."""
    for name in ("google.auth", "google.auth.transport.requests", "google"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(
        "astro_cloud.auth.gcp_credentials._metadata_server_answers",
        lambda: pytest.fail("nobody asked for it"),
    )
    assert not GCPAuth().has_credentials()
    for auth in (GCPAuth(), GCPAuth(credentials=Tokens())):
        with pytest.raises(ImportError, match=r"pip install 'astro-cloud\[gcp\]'"):
            auth.sign(prepared())
    assert "Authorization" in GCPAuth(**KEYS).sign(prepared()).headers
    assert "X-Goog-Signature" in GCPAuth(**KEYS).presign(URL)
    with pytest.raises(CredentialsError, match="cannot sign: OSError"):
        GCPAuth(credentials=Remote()).presign(URL)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    with pytest.raises(ImportError, match=r"astro-cloud\[gcp\]"):
        GCPAuth().has_credentials()


def test_importing_costs_no_google_auth() -> None:
    """google-auth is imported when it is needed, not before."""
    program = "import sys, astro_cloud.auth.gcp; print('google' in sys.modules, 'google.auth' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split()[1] == "False"
