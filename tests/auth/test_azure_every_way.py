"""What holds for AzureAuth whichever way it authorizes: by key, SAS token or bearer token."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from astro_cloud.auth.azure import AzureAuth
from astro_cloud.auth.gcp import GCPAuth
from astro_cloud.exceptions import CredentialsError
from tests.auth.azure_stand_ins import (
    EVERY_WAY,
    KEY,
    OTHER_KEY,
    SAS,
    SIGNATURE,
    TOKEN,
    URL,
    auth,
    every_way,
    prepared,
)
from tests.auth.gcp_stand_ins import Tokens
from tests.auth.recording_server import Answer, recording_server


@every_way
@given(
    name=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20),
    query=st.dictionaries(st.text("ab %+&=~é", min_size=1), st.text("ab %+&=~é/?"), max_size=3),
)
def test_signing_again_changes_nothing(make: Any, name: str, query: dict[str, str]) -> None:
    """A request signed twice is the request signed once, its URL too: a SAS is added once."""
    quoted = requests.utils.quote(name, safe="/")
    request = make().sign(prepared(f"https://survey.blob.core.windows.net/c/{quoted}", params=query))
    url, headers = (
        request.url,
        {name: request.headers.get(name) for name in ("Authorization", "x-ms-version")},
    )
    make().sign(request)
    assert request.url == url
    assert {name: request.headers.get(name) for name in headers} == headers


def test_signing_anew_replaces_the_signature() -> None:
    """Another way of authorizing, or another token, leaves nothing of the one before."""
    request = auth().sign(prepared(headers={"Date": "yesterday", "Range": "bytes=0-9"}))
    assert "Date" not in request.headers
    first = request.headers["Authorization"]
    assert auth(key=OTHER_KEY).sign(request).headers["Authorization"] != first
    AzureAuth(sas_token=SAS).sign(request)
    assert "Authorization" not in request.headers
    AzureAuth(sas_token="sig=other&spr=https&sp=r").sign(request)
    assert request.url == URL + "?sig=other&spr=https&sp=r"
    AzureAuth(sas_token=SAS).sign(request)
    assert request.url == URL + SAS
    assert request.headers["Range"] == "bytes=0-9"


def test_a_signed_url_is_left_alone() -> None:
    """A URL that carries a signature is sent with that one and without another."""
    request = auth().sign(prepared(URL + SAS, headers={"Authorization": "Basic old"}))
    assert request.url == URL + SAS
    assert "Authorization" not in request.headers


@every_way
@pytest.mark.parametrize(
    "host",
    ["survey.blob.core.windows.net", "10.0.0.1", "localhost.example", "notlocalhost", "127.0.0.1.nip.io"],
)
def test_nothing_travels_over_plain_http(make: Any, host: str) -> None:
    """No way of authorizing leaves this machine unencrypted: the error comes before a connection."""
    url = f"http://{host}/images/m31.fits"
    with pytest.raises(CredentialsError, match="plain http://"):
        requests.get(url, auth=make())
    with pytest.raises(CredentialsError, match="plain http://"):
        make().presign(url)


@every_way
@pytest.mark.parametrize(
    "host", ["127.0.0.1:10000", "[::1]:10000", "localhost", "survey.blob.localhost:10000"]
)
def test_loopback_may_be_plain_http(make: Any, host: str) -> None:
    """An emulator on this machine is spoken to without TLS."""
    request = make().sign(prepared(f"http://{host}/survey/images/m31.fits"))
    assert "Authorization" in request.headers or SIGNATURE in (request.url or "")


@pytest.mark.parametrize("make", [*EVERY_WAY.values(), lambda: GCPAuth(credentials=Tokens("t"))])
def test_a_proxy_of_the_environment_is_no_part_of_this_machine(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would travel to a proxy first is not sent to loopback unencrypted, unless NO_PROXY says so."""
    with recording_server() as proxy, recording_server() as home:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        with pytest.raises(CredentialsError, match="NO_PROXY"):
            requests.get(f"{home.url}/c/b", auth=make())
        assert make().sign(prepared("https://localhost/c/b")), "TLS goes through a proxy unread"
        assert (proxy.requests, home.requests) == ([], [])
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert requests.get(f"{home.url}/c/b", auth=make()).status_code == 200
        assert (len(proxy.requests), len(home.requests)) == (0, 1)


@every_way
def test_a_redirect_to_a_stranger_carries_nothing(make: Any) -> None:
    """Another origin gets the request without anything of ours, also when it redirects to itself."""
    with recording_server() as home, recording_server() as stranger:
        home.answers.append(Answer(307, {"Location": f"{stranger.url}/away"}))
        stranger.answers.append(Answer(307, {"Location": f"{stranger.url}/on"}))
        stranger.answers.append(Answer(401))
        requests.get(f"{home.url}/c/b", headers={"Range": "bytes=0-9"}, auth=make())
        assert [received.path for received in stranger.requests] == ["/away", "/on"]
        for _, path, headers in stranger.requests:
            assert "sig" not in path
            assert headers["Range"] == "bytes=0-9"
            assert not [name for name in headers if name.lower().startswith(("authorization", "x-ms-"))]


@every_way
def test_a_redirect_to_the_same_origin_is_signed_anew(make: Any) -> None:
    """Where the same server moved a blob, the request for it there is authorized as the first was."""
    with recording_server() as home:
        home.answers.append(Answer(302, {"Location": "/c/there"}))
        assert requests.get(f"{home.url}/c/here", auth=make()).status_code == 200
        expected = make().sign(prepared(f"{home.url}/c/there"))
        first, (_, path, headers) = home.requests
        assert home.url + path == expected.url
        if "SharedKey" not in headers.get("Authorization", ""):
            assert headers.get("Authorization") == expected.headers.get("Authorization")
        else:
            assert headers["Authorization"] != first.headers["Authorization"]


def test_no_secret_shows() -> None:
    """Neither auths nor what they hold show a key, a signature or a token."""
    for make in EVERY_WAY.values():
        signer = make()
        signer.sign(prepared())
        shown = f"{signer!r} {signer} {vars(signer)!r}"
        for secret in (KEY, "a key of the tests", SIGNATURE, TOKEN):
            assert secret not in shown
    assert repr(auth()) == "AzureAuth(account='survey', key=hidden)"
    assert repr(AzureAuth(sas_token=SAS)) == "AzureAuth(sas_token=hidden)"
    assert repr(AzureAuth()) == "AzureAuth()"


@every_way
def test_what_was_given_travels(make: Any) -> None:
    """A pickle of an auth with explicit credentials signs as the auth does; a kept token stays behind."""
    signer = make()
    request = signer.sign(prepared())
    data = pickle.dumps(signer)
    copy = pickle.loads(data).sign(prepared())
    assert (copy.url, copy.headers.get("Authorization")) == (
        request.url,
        request.headers.get("Authorization"),
    )
