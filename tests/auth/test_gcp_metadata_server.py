"""GCPAuth and the metadata server of Google's cloud: what asking costs elsewhere, and what it gives there."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit

import pytest

from astro_cloud.auth.gcp import GCPAuth
from tests.auth.gcp_stand_ins import URL
from tests.auth.recording_server import Answer, Received, recording_server


def test_the_metadata_server_gets_one_short_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Off-cloud, one connect of at most 0.3 s is all that is spent, and nothing is logged or warned of."""
    monkeypatch.delenv("NO_GCE_CHECK")
    asked: list[Any] = []

    def refuse(address: Any, timeout: float, *_: Any) -> None:
        asked.append((address, timeout))
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", refuse)
    assert not GCPAuth().has_credentials()
    assert asked == [(("169.254.169.254", 80), 0.3)]


@pytest.mark.parametrize("headers", [{}, {"Metadata-Flavor": "Other"}])
def test_another_clouds_metadata_server_is_not_googles(
    headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Amazon's and Azure's answer at the same address; no token is asked of them."""
    monkeypatch.delenv("NO_GCE_CHECK")
    with recording_server(lambda request: Answer(200, headers)) as server:
        monkeypatch.setenv("GCE_METADATA_IP", server.host)
        assert not GCPAuth().has_credentials()
        assert [request.path for request in server.requests] == ["/"]


@pytest.mark.parametrize("address", ["127.0.0.1:silent", "127.0.0.1:x", "[::1", "no host"])
def test_a_silent_or_misspelt_metadata_server_is_none(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes the connection and says nothing holds up for half a second."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("GCE_METADATA_IP", address.replace("silent", str(server.getsockname()[1])))
        assert not GCPAuth().has_credentials()


def test_credentials_of_the_metadata_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine in Google's cloud, its service account is used, with our scope."""
    monkeypatch.delenv("NO_GCE_CHECK")

    def metadata(request: Received) -> Answer:
        path = urlsplit(request.path).path
        told: Any = ""
        if path.endswith("/token"):
            told = {"access_token": "from-metadata", "expires_in": 3600}
        elif path.endswith("/default/"):
            told = {"email": "me@example", "scopes": [], "aliases": []}
        headers = {"Metadata-Flavor": "Google", "Content-Type": "application/json"}
        return Answer(200, headers, json.dumps(told).encode())

    program = (
        "import requests; from astro_cloud.auth.gcp import GCPAuth\n"
        f"request = GCPAuth().sign(requests.Request('GET', {URL!r}).prepare())\n"
        "print(request.headers['Authorization'])"
    )
    with recording_server(metadata) as server:
        # google-auth reads these when it is imported
        environment = {**os.environ, "GCE_METADATA_IP": server.host, "GCE_METADATA_HOST": server.host}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True
        )
    assert (done.stdout, done.stderr) == ("Bearer from-metadata\n", "")
    assert "scopes=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fdevstorage.read_only" in server.requests[-1].path
