"""AzureAuth alone: what it signs, sends, finds, keeps and hides.

The strings to sign and signatures are azure-storage-blob 12.31.1's, but for ``Range``, which that one
never sends; `test_azurite` has a server judge it.
"""

from __future__ import annotations

import base64
import os
import pickle
import signal
import sys
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from requests import PreparedRequest

from astro_cloud.auth import sharedkey
from astro_cloud.auth.azure import AzureAuth
from astro_cloud.auth.refusal import Refusal
from astro_cloud.exceptions import CredentialsError

KEY = base64.b64encode(b"a key of the tests, of no account").decode()
OTHER_KEY = base64.b64encode(b"another key of the tests").decode()
URL = "https://survey.blob.core.windows.net/images/m31.fits"
NOON = datetime(2026, 5, 17, 12, tzinfo=UTC)
DATE = "x-ms-date:Sun, 17 May 2026 12:00:00 GMT\n"
VERSION = "x-ms-version:2023-11-03\n"
SIGNATURE = "AbC%2Bd%2F%3D"
SAS = f"?sv=2023-11-03&sr=c&sp=r&se=2099-01-01T00%3A00%3A00Z&sig={SIGNATURE}"
TOKEN = "eyJ0-very-secret-token"


class AccessToken(NamedTuple):
    """What azure-core's credentials return."""

    token: str
    expires_on: int


class Credential:
    """A credential that counts how often it is asked, and by which scope."""

    def __init__(self, *tokens: str, seconds: int = 3600) -> None:
        self.tokens = tokens or (TOKEN,)
        self.seconds = seconds
        self.asked: list[str] = []

    def get_token(self, *scopes: str) -> AccessToken:
        """Return the next token, the last one again and again."""
        self.asked.extend(scopes)
        token = self.tokens[min(len(self.asked), len(self.tokens)) - 1]
        return AccessToken(token, int(NOON.timestamp()) + self.seconds)


def at_noon() -> datetime:
    """Stand still at noon; a function of a module, so that it can be pickled."""
    return NOON


def auth(**options: Any) -> AzureAuth:
    """The first account's auth, at noon."""
    return AzureAuth(**{"account": "survey", "key": KEY, "clock": at_noon, **options})


def prepared(url: str = URL, method: str = "GET", **options: Any) -> PreparedRequest:
    """Prepare a request without an auth."""
    return requests.Request(method, url, **options).prepare()


EVERY_WAY = {
    "key": lambda: auth(),
    "sas": lambda: AzureAuth(sas_token=SAS),
    "bearer": lambda: AzureAuth(credential=Credential(), clock=at_noon),
}
every_way = pytest.mark.parametrize("make", EVERY_WAY.values(), ids=EVERY_WAY)


@pytest.mark.parametrize(
    ("method", "url", "headers", "body", "string_to_sign", "signature"),
    [
        pytest.param(
            "GET",
            "https://survey.blob.core.windows.net/images/night%201/m31.fits",
            {"x-ms-range": "bytes=0-2879"},
            None,
            "GET"
            + "\n" * 12
            + DATE
            + "x-ms-range:bytes=0-2879\n"
            + VERSION
            + "/survey/images/night%201/m31.fits",
            "L1Zqf/B9uAxhRMnn+8/NtX8AiIeaJSo5K8ROLuWgMpc=",
            id="x-ms-range",
        ),
        pytest.param(
            "PUT",
            "https://survey.blob.core.windows.net/images/empty",
            {"x-ms-blob-type": "BlockBlob", "x-ms-meta-a_": "1", "x-ms-meta-a1": "2"},
            b"",
            "PUT"
            + "\n" * 12
            + "x-ms-blob-type:BlockBlob\n"
            + DATE
            + "x-ms-meta-a_:1\nx-ms-meta-a1:2\n"
            + VERSION
            + "/survey/images/empty",
            "dpEymcHp6KPLiQvZYj6e6LgLGLPTbZj2IOZa+yoLeVg=",
            id="empty-body",
        ),
        pytest.param(
            "PUT",
            "http://127.0.0.1:10000/survey/images/full",
            {
                "Content-Type": "application/fits",
                "Content-MD5": "abc=",
                "x-ms-blob-type": "BlockBlob",
                "If-None-Match": "*",
            },
            b"eleven byte",
            "PUT\n\n\n11\nabc=\napplication/fits\n\n\n\n*\n\n\nx-ms-blob-type:BlockBlob\n"
            + DATE
            + VERSION
            + "/survey/survey/images/full",
            "EpipDxeJpNN0qdc0+K6epYEWeQ5ZzRrHzqEsWgKUhHU=",
            id="path-style",
        ),
        pytest.param(
            "HEAD",
            URL,
            {"If-Match": '"0x8D"', "If-Modified-Since": "Sat, 16 May 2026 12:00:00 GMT"},
            None,
            'HEAD\n\n\n\n\n\n\nSat, 16 May 2026 12:00:00 GMT\n"0x8D"\n\n\n\n'
            + DATE
            + VERSION
            + "/survey/images/m31.fits",
            "Byxu0Ykh6HlY1tY0m5t7MCd7xrjAQoGrhqfRSvfx2EM=",
            id="conditions",
        ),
    ],
)
def test_shared_key_is_what_azures_own_signer_makes(
    method: str, url: str, headers: dict[str, str], body: bytes | None, string_to_sign: str, signature: str
) -> None:
    """String to sign and signature of a request are those of azure-storage-blob."""
    request = auth().sign(prepared(url, method, headers=headers, data=body))
    sent = {name.lower(): value for name, value in request.headers.items()}
    path = request.path_url
    assert sharedkey.string_to_sign(method, path, "", sent, "survey") == string_to_sign
    assert request.headers["Authorization"] == f"SharedKey survey:{signature}"


def test_a_query_is_signed_decoded_lower_case_and_sorted() -> None:
    """Names of parameters are lower case before they are sorted, values of one name are joined sorted."""
    resource = sharedkey.canonicalized_resource(
        "/images", "restype=container&comp=list&prefix=a%20b&Marker=x%2By&include=b&include=a", "survey"
    )
    assert resource == "/survey/images\ncomp:list\ninclude:a,b\nmarker:x+y\nprefix:a b\nrestype:container"


def test_range_and_x_ms_range_are_both_signed() -> None:
    """``Range`` has its own line, ``x-ms-range`` is among the headers of the service."""
    headers = {"range": "bytes=0-9", "x-ms-range": "bytes=0-99", "user-agent": "nobody's business"}
    text = sharedkey.string_to_sign("GET", "/c/b", "", headers, "a")
    assert text == "GET" + "\n" * 11 + "bytes=0-9\nx-ms-range:bytes=0-99\n/a/c/b"


def test_a_sas_is_what_azures_own_signer_makes() -> None:
    """The parameters of a presigned URL are those of azure-storage-blob's ``generate_blob_sas``."""
    url = auth().presign("https://survey.blob.core.windows.net/images/night 1/Schärpe%2B1.fits#x")
    address, _, query = url.partition("?")
    assert address == "https://survey.blob.core.windows.net/images/night%201/Sch%C3%A4rpe%2B1.fits"
    expected = "se=2026-05-17T13%3A00%3A00Z&sp=r&spr=https&sv=2023-11-03&sr=b&sig="
    expected += "L3U2jRDZoxoKZ4TKMlYoutOHMoFopVH5Gs9UmFcAjrQ%3D"
    assert sorted(query.split("&")) == sorted(expected.split("&"))
    assert (
        sharedkey.sas_string_to_sign(
            "/blob/survey/images/night 1/Schärpe+1.fits", "2026-05-17T13:00:00Z", "https"
        )
        == "r\n\n2026-05-17T13:00:00Z\n/blob/survey/images/night 1/Schärpe+1.fits\n\n\nhttps\n2023-11-03\nb"
        + "\n" * 7
    )


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


def test_a_version_of_the_callers_stays() -> None:
    """``x-ms-version`` is set where the request has none."""
    assert auth().sign(prepared()).headers["x-ms-version"] == "2023-11-03"
    newer = prepared(headers={"x-ms-version": "2024-08-04"})
    assert auth().sign(newer).headers["x-ms-version"] == "2024-08-04"


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
    module.DefaultAzureCredential = lambda: made.append(Credential(seconds=0)) or made[-1]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "azure", types.ModuleType("azure"))
    monkeypatch.setitem(sys.modules, "azure.identity", module)
    for signer in (bearer, bearer, pickle.loads(pickle.dumps(bearer))):
        assert signer.sign(prepared()).headers["Authorization"] == f"Bearer {TOKEN}"
    assert [len(credential.asked) for credential in made] == [2, 1]


CONNECTION = (
    f"DefaultEndpointsProtocol=https;AccountName=first;AccountKey={KEY};EndpointSuffix=core.windows.net"
)


@pytest.mark.parametrize(
    ("variables", "way"),
    [
        ({"CONNECTION_STRING": CONNECTION, "ACCOUNT": "second", "KEY": OTHER_KEY}, "SharedKey first:"),
        ({"CONNECTION_STRING": f"{CONNECTION};SharedAccessSignature={SAS[1:]}"}, "SharedKey first:"),
        ({"CONNECTION_STRING": f"BlobEndpoint=https://x/;SharedAccessSignature={SAS[1:]}"}, "sig"),
        ({"CONNECTION_STRING": "UseDevelopmentStorage=true"}, "SharedKey devstoreaccount1:"),
        ({"ACCOUNT": "second", "KEY": KEY, "SAS_TOKEN": SAS}, "SharedKey second:"),
        ({"ACCOUNT": "second-secondary", "KEY": KEY}, "SharedKey second:"),
        ({"ACCOUNT": "second", "SAS_TOKEN": SAS}, "sig"),
        ({"KEY": KEY, "SAS_TOKEN": SAS}, "sig"),
        ({"SAS_TOKEN": SAS}, "sig"),
    ],
)
def test_the_environment_is_read_as_az_reads_it(
    variables: dict[str, str], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection string goes first, and a key before a SAS token."""
    for name, value in variables.items():
        monkeypatch.setenv(f"AZURE_STORAGE_{name}", value)
    found = AzureAuth()
    assert found.has_credentials()
    request = found.sign(prepared())
    if way == "sig":
        assert request.url == URL + SAS
        assert "Authorization" not in request.headers
    else:
        assert request.headers["Authorization"].startswith(way)
        assert request.url == URL


@pytest.mark.parametrize("name", [None, "ACCOUNT", "KEY"])
def test_no_credentials_names_every_place(name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is found, or half a pair, the error lists the places searched."""
    if name:
        monkeypatch.setenv(f"AZURE_STORAGE_{name}", KEY)
    assert not AzureAuth().has_credentials()
    with pytest.raises(CredentialsError) as caught:
        AzureAuth().sign(prepared())
    for place in ("CONNECTION_STRING", "ACCOUNT", "KEY", "SAS_TOKEN"):
        assert f"AZURE_STORAGE_{place}" in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"ACCOUNT": "a", "KEY": "secret!"}, "AZURE_STORAGE_KEY"),
        ({"SAS_TOKEN": "sig=secret\r\n"}, "AZURE_STORAGE_SAS_TOKEN"),
        ({"SAS_TOKEN": "sv=secret"}, "AZURE_STORAGE_SAS_TOKEN"),
        ({"CONNECTION_STRING": "AccountName=a;AccountKey=secret!"}, "AccountKey of AZURE_STORAGE_CONN"),
        ({"CONNECTION_STRING": "AccountName=secret"}, "AZURE_STORAGE_CONNECTION_STRING holds neither"),
    ],
)
def test_broken_variables_are_named_and_not_shown(
    variables: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error about a variable names it, and not what it holds."""
    for name, value in variables.items():
        monkeypatch.setenv(f"AZURE_STORAGE_{name}", value)
    with pytest.raises(CredentialsError, match=says) as caught:
        AzureAuth().sign(prepared())
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"key": KEY}, "account"),
        ({"account": "a"}, "key"),
        ({"account": "a", "credential": Credential()}, "key"),
        ({"account": "a", "key": KEY, "sas_token": SAS}, "one of key, sas_token"),
        ({"account": "a", "key": "secret"}, "^key is not base64"),
        ({"account": "a", "key": ""}, "^key is not base64"),
        ({"account": "a", "key": KEY + "\n"}, "^key is not base64"),
        ({"account": "a:b", "key": KEY}, "account"),
        ({"sas_token": "sig=secret\n"}, "^sas_token"),
        ({"sas_token": ""}, "^sas_token"),
        ({"sas_token": "secret"}, "^sas_token"),
        ({"connection_string": "AccountName=a;AccountKey=secret"}, "^AccountKey of connection_string"),
        ({"connection_string": "secret"}, "^connection_string"),
        ({"credential": "secret"}, "default"),
    ],
)
def test_broken_arguments_are_named_and_not_shown(arguments: dict[str, Any], says: str) -> None:
    """The constructor refuses what cannot be right, by the argument's name and without its value."""
    with pytest.raises(CredentialsError, match=says) as caught:
        AzureAuth(**arguments)
    assert "secret" not in str(caught.value)


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


class Recorder(ThreadingHTTPServer):
    """A server that records what it receives and answers from a list: a status, and where to go."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, str | None]] = []
        self.seen: list[tuple[str, dict[str, str]]] = []
        super().__init__(("127.0.0.1", 0), Recording)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Recording(BaseHTTPRequestHandler):
    """Answers for Recorder."""

    server: Recorder

    def do_GET(self) -> None:
        self.server.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        status, target = self.server.answers.pop(0) if self.server.answers else (200, None)
        self.send_response(status)
        if target:
            self.send_header("Location", target)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def recorder() -> Iterator[Recorder]:
    """Run a Recorder."""
    with Recorder() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@every_way
def test_a_redirect_to_a_stranger_carries_nothing(make: Any) -> None:
    """Another origin gets the request without anything of ours, also when it redirects to itself."""
    with recorder() as home, recorder() as stranger:
        home.answers.append((307, f"{stranger.url}/away"))
        stranger.answers.append((307, f"{stranger.url}/on"))
        stranger.answers.append((401, None))
        requests.get(f"{home.url}/c/b", headers={"Range": "bytes=0-9"}, auth=make())
        assert [path for path, _ in stranger.seen] == ["/away", "/on"]
        for path, headers in stranger.seen:
            assert "sig" not in path
            assert headers["range"] == "bytes=0-9"
            assert not [name for name in headers if name == "authorization" or name.startswith("x-ms-")]


@every_way
def test_a_redirect_to_the_same_origin_is_signed_anew(make: Any) -> None:
    """Where the same server moved a blob, the request for it there is authorized as the first was."""
    with recorder() as home:
        home.answers.append((302, "/c/there"))
        assert requests.get(f"{home.url}/c/here", auth=make()).status_code == 200
        expected = make().sign(prepared(f"{home.url}/c/there"))
        path, headers = home.seen[1]
        assert home.url + path == expected.url
        if "SharedKey" not in headers.get("authorization", ""):
            assert headers.get("authorization") == expected.headers.get("Authorization")
        else:
            assert headers["authorization"] != home.seen[0][1]["authorization"]


def test_a_refused_token_is_asked_for_anew_in_any_requests_code() -> None:
    """A 401 to a bearer token is answered with a fresh one, once; a 401 to a key is the caller's."""
    with recorder() as home:
        home.answers += [(401, None), (401, None)]
        bearer = AzureAuth(credential=Credential("first", "second"), clock=at_noon)
        assert requests.get(f"{home.url}/c/b", auth=bearer).status_code == 401
        assert [headers["authorization"] for _, headers in home.seen] == ["Bearer first", "Bearer second"]
        home.answers.append((401, None))
        assert requests.get(f"{home.url}/c/b", auth=auth()).status_code == 401
        assert len(home.seen) == 3


def test_a_signed_url_is_left_alone() -> None:
    """A URL that carries a signature is sent with that one and without another."""
    request = auth().sign(prepared(URL + SAS, headers={"Authorization": "Basic old"}))
    assert request.url == URL + SAS
    assert "Authorization" not in request.headers


@pytest.mark.parametrize(
    ("url", "resource"),
    [
        ("https://survey.blob.core.windows.net/c/a/b", "c/a/b"),
        ("https://survey-secondary.blob.core.windows.net/c/b", "c/b"),
        ("https://survey.blob.core.windows.net/survey/b", "survey/b"),
        ("https://survey.blob.core.windows.net/root.fits", "$root/root.fits"),
        ("https://data.example.org/c/b", "c/b"),
        ("http://127.0.0.1:10000/survey/c/b", "c/b"),
        ("http://127.0.0.1:10000/survey-secondary/c/b", "c/b"),
        ("https://survey.blob.core.windows.net/c/%2E%2E/50%25", "c/../50%"),
    ],
)
def test_a_presigned_url_names_container_and_blob(url: str, resource: str) -> None:
    """Host-style and path-style URLs, and blobs of the root container, are told apart."""
    expected = sharedkey.service_sas(
        base64.b64decode(KEY),
        f"/blob/survey/{resource}",
        "2026-05-17T12:01:00Z",
        "https" if url.startswith("https") else "",
    )
    assert auth().presign(url, expires=60) == f"{url}?{expected}"
    assert auth().presign(f"{url}{SAS}", expires=60) == f"{url}?{expected}"
    assert auth().presign(f"{url}?versionid=7", expires=60) == f"{url}?versionid=7&{expected}"


@pytest.mark.parametrize("path", ["", "/", "/c/"])
def test_presigning_what_is_no_blob(path: str) -> None:
    """A URL without a blob is an error."""
    with pytest.raises(ValueError, match="names none"):
        auth().presign("https://survey.blob.core.windows.net" + path)


def test_presigning_needs_a_key_and_a_time_to_come() -> None:
    """A SAS token or a credential cannot make a SAS, and a URL cannot have expired when it is made."""
    for make in (EVERY_WAY["sas"], EVERY_WAY["bearer"]):
        with pytest.raises(CredentialsError, match="key"):
            make().presign(URL)
    with pytest.raises(ValueError, match="seconds"):
        auth().presign(URL, expires=0)


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


def test_what_was_found_does_not_travel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickle of an auth that reads the environment holds no secret, and its copy reads its own."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "survey")
    monkeypatch.setenv("AZURE_STORAGE_KEY", KEY)
    found = AzureAuth(clock=at_noon)
    request = found.sign(prepared())
    data = pickle.dumps(found)
    assert KEY.encode() not in data
    assert base64.b64decode(KEY) not in data
    monkeypatch.setenv("AZURE_STORAGE_KEY", OTHER_KEY)
    assert pickle.loads(data).sign(prepared()).headers["Authorization"] != request.headers["Authorization"]


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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
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
