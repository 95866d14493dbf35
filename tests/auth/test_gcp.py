"""GCPAuth: tokens, GOOG4 signatures and presigned URLs; Google's conformance cases and curl judge."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import io
import json
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import requests
from google.oauth2 import service_account
from hypothesis import given
from hypothesis import strategies as st
from requests import PreparedRequest

from astro_cloud.auth import goog4
from astro_cloud.auth.gcp import GCPAuth
from astro_cloud.auth.refusal import Refusal
from astro_cloud.exceptions import CredentialsError
from tests import corpora

URL = "https://storage.googleapis.com/test-bucket/m31.fits"
KEYS = {"access_key": "GOOG1EXAMPLEACCESSKEY", "secret_key": "bGoa+V7g/yqDXvKRqq+JTFn4uQZbPiQJo4pf9RzJ"}
NOON = datetime.datetime(2026, 5, 17, 12, tzinfo=datetime.UTC)
PLACE = corpora.GCS_V4

#: Cases that cannot be passed, and why; not in every edition of the file.
WRONG_CASES = {
    "Universe domain with virtual hosted style": "its canonical request has the bucket in path and host"
}

#: Cases whose URL google-cloud-storage changed to what its own test makes, which is not the canonical path.
UNENCODED_CASES = dict.fromkeys(
    ("Slashes in object name should not be URL encoded", "Forward Slashes should not be stripped"),
    "its URL has & where its canonical request has %26",
)


def prepared(url: str = URL, method: str = "GET", **options: Any) -> PreparedRequest:
    """Prepare a request without an auth."""
    return requests.Request(method, url, **options).prepare()


class Tokens:
    """Credentials with google-auth's protocol that count how often they are refreshed."""

    def __init__(self, token: str | None = None, quota_project_id: str | None = None) -> None:
        self.token = token
        self.valid = token is not None
        self.quota_project_id = quota_project_id
        self.refreshed = 0

    def refresh(self, request: Any) -> None:
        """Make the next token, not at once, so that other threads come meanwhile."""
        self.valid, self.token = False, None
        threading.Event().wait(0.05)
        self.refreshed += 1
        self.token, self.valid = f"token-{self.refreshed}", True


class Remote(Tokens):
    """Credentials that sign over a network, which is down."""

    signer_email = "me@example"

    def sign_bytes(self, message: bytes) -> bytes:
        """Fail, saying too much."""
        raise OSError("hush-hush")


Answer = Callable[[BaseHTTPRequestHandler], tuple[int, dict[str, str], bytes]]


@contextmanager
def serving(answer: Answer) -> Iterator[tuple[str, list[BaseHTTPRequestHandler]]]:
    """Run a loopback HTTP server; give its host:port, and the requests it got."""
    got: list[BaseHTTPRequestHandler] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            got.append(self)
            status, headers, body = answer(self)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}", got
        finally:
            server.shutdown()
            thread.join()


# Google's conformance cases


def cases() -> list[Any]:
    """Read the cases; none where they were not fetched."""
    file = PLACE / "url_signer_v4_test_data.json"
    if not file.is_file():
        return []
    found = json.loads(file.read_text(encoding="utf-8-sig"))["signingV4Tests"]
    return [pytest.param(case, id=case["description"]) for case in found]


def staged_cases() -> list[Any]:
    """Leave out google-cloud-storage's own cases, which have no stages; their URLs are judged as all are."""
    return [case for case in cases() if "expectedStringToSign" in case.values[0]]


@pytest.fixture(scope="module")
def account() -> dict[str, str]:
    """The service account, key and all, that Google made for its test cases."""
    file = PLACE / "url_signer_v4_test_account.json"
    if not file.is_file():
        pytest.fail(corpora.absent(PLACE))
    info: dict[str, str] = json.loads(file.read_text())
    return info


@pytest.fixture(scope="module")
def service(account: dict[str, str]) -> Any:
    """google-auth's credentials of that account."""
    return service_account.Credentials.from_service_account_info(account)


def url_of(case: dict[str, Any]) -> str:
    """Spell the URL a case is about, without a signature."""
    path = "/" + quote(case.get("object", ""), safe="/-._~")
    style = case.get("urlStyle")
    if style == "BUCKET_BOUND_HOSTNAME":
        host = case["bucketBoundHostname"]
    elif style == "VIRTUAL_HOSTED_STYLE":
        host = f"{case['bucket']}.storage.googleapis.com"
    else:
        host, path = "storage.googleapis.com", f"/{case['bucket']}" + (path if "object" in case else "")
    pairs = (f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in parameters(case).items())
    return f"{case['scheme']}://{host}{path}?{'&'.join(pairs)}".rstrip("?")


def parameters(case: dict[str, Any]) -> dict[str, str]:
    """Return the query parameters a case has before it is signed."""
    found: dict[str, str] = case.get("queryParameters", {})
    return found


def moment(case: dict[str, Any]) -> datetime.datetime:
    """Read the time of a case, which has one of two spellings."""
    return datetime.datetime.fromisoformat(case["timestamp"])


def test_the_conformance_cases_are_whole(account: dict[str, str]) -> None:
    """All 22 cases of the edition that is fetched are judged, 20 of them stage by stage."""
    assert (len(cases()), len(staged_cases())) == (22, 20)


@pytest.mark.parametrize("case", staged_cases())
def test_every_stage_is_as_google_has_it(case: dict[str, Any], account: dict[str, str]) -> None:
    """The signature covers Google's canonical request and string to sign, character for character."""
    if case["description"] in WRONG_CASES:
        pytest.skip(WRONG_CASES[case["description"]])  # what is published is wrong: see there
    # google-cloud-storage renamed the account everywhere but in the strings to sign
    named = {**account, "client_email": account["client_email"].replace("@test-", "@dummy-")}
    canonical_request = case["expectedCanonicalRequest"].replace("%40test-", "%40dummy-")
    expected = case["expectedStringToSign"]
    assert expected.endswith(hashlib.sha256(canonical_request.encode()).hexdigest()), "it agrees with itself"
    service = service_account.Credentials.from_service_account_info(named)
    auth = GCPAuth(credentials=service, clock=lambda: moment(case))
    url = auth.presign(url_of(case), case["expiration"], method=case["method"], headers=case.get("headers"))
    assert canonical_request.startswith(f"{case['method']}\n{urlsplit(url).path}\n")
    assert url.partition("X-Goog-Signature=")[2] == service.sign_bytes(expected.encode()).hex()


@pytest.mark.parametrize("case", cases())
def test_the_urls_are_googles(case: dict[str, Any], service: Any) -> None:
    """With the time spelt as google-cloud-storage's own test spells it, the URL is its to the letter."""
    for reasons in (WRONG_CASES, UNENCODED_CASES):
        if case["description"] in reasons:
            pytest.skip(reasons[case["description"]])  # what is published is wrong: see there
    url = goog4.presigned(
        GCPAuth(credentials=service)._signer(),
        case["timestamp"],
        url_of(case),
        expires=case["expiration"],
        method=case["method"],
        headers=case.get("headers", {}).items(),
        user_project=None,
    )
    assert url == case["expectedUrl"]


# HMAC keys


def goog4_signature(date: str, canonical_request: str) -> str:
    """Sign as Google documents it, in terms of hmac alone."""
    key = ("GOOG4" + KEYS["secret_key"]).encode()
    for term in (date[:8], "auto", "storage", "goog4_request"):
        key = hmac.new(key, term.encode(), hashlib.sha256).digest()
    digest = hashlib.sha256(canonical_request.encode()).hexdigest()
    text = f"GOOG4-HMAC-SHA256\n{date}\n{date[:8]}/auto/storage/goog4_request\n{digest}"
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("target", "signature"),
    [
        ("/test-bucket/m31.fits", "8b1ea0995d732ccdfc25737e1fd7692af44308ac91b7e2cd04225f26540cc82b"),
        (
            "/test-bucket/two%20words/a%2Bb.fits?generation=7&prefix=a%20b%2Fc",
            "922abcdd2879e977edea4f84d78852c2179f80a042ae7a7e46579df0aacd8e7c",
        ),
    ],
)
def test_curl_computed_the_same_signature(target: str, signature: str) -> None:
    """What `curl --aws-sigv4 goog:goog:auto:storage` (7.88.1) sent for a request is what we send."""
    then = datetime.datetime(2026, 11, 21, 11, 37, 7, tzinfo=datetime.UTC)
    request = prepared("https://storage.googleapis.com" + target, headers={"Range": "bytes=0-2879"})
    GCPAuth("payer", **KEYS, clock=lambda: then).sign(request)
    assert request.headers["Authorization"] == (
        "GOOG4-HMAC-SHA256 Credential=GOOG1EXAMPLEACCESSKEY/20261121/auto/storage/goog4_request, "
        "SignedHeaders=host;range;x-goog-content-sha256;x-goog-date;x-goog-user-project, "
        f"Signature={signature}"
    )


@given(
    key=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30),
    query=st.dictionaries(st.text("ab %+&=~é", min_size=1), st.text("ab %+&=~é/?"), max_size=3),
    method=st.sampled_from(["GET", "HEAD", "PUT", "DELETE"]),
    project=st.sampled_from([None, "payer-1"]),
)
def test_what_is_sent_is_what_is_signed(
    key: str, query: dict[str, str], method: str, project: str | None
) -> None:
    """For any key and query, the signature is over path, query, headers and body as they go out."""
    body = b"some bytes" if method == "PUT" else None
    url = "https://storage.googleapis.com/test-bucket/" + quote(key, safe="/")
    request = prepared(url, method, params=query, data=body, headers={"If-Match": '"7"'})
    GCPAuth(project, **KEYS, clock=lambda: NOON).sign(request)
    path, _, sent_query = request.path_url.partition("?")
    pairs = [part.partition("=")[::2] for part in sent_query.split("&") if part]
    names = sorted(name for name in request.headers.lower_items() if name[0].startswith(("x-goog-", "if-")))
    lines = sorted([("host", "storage.googleapis.com"), *names])
    canonical_request = "\n".join(
        [
            method,
            path,
            "&".join(f"{name}={value}" for name, value in sorted(pairs)),
            *(f"{name}:{value}" for name, value in lines),
            "",
            ";".join(name for name, _ in lines),
            hashlib.sha256(body or b"").hexdigest(),
        ]
    )
    expected = goog4_signature("20260517T120000Z", canonical_request)
    assert request.headers["Authorization"].endswith(f"Signature={expected}")
    assert request.headers.get("x-goog-user-project") == project


def test_hmac_presigned_urls() -> None:
    """A presigned URL is signed in its query, host alone, the payload left out; the project is in it."""
    url = GCPAuth("payer", **KEYS, clock=lambda: NOON).presign(URL + "?generation=7", 60)
    target, _, signature = url.partition("&X-Goog-Signature=")
    query = urlsplit(target).query
    canonical_request = (
        f"GET\n/test-bucket/m31.fits\n{query}\nhost:storage.googleapis.com\n\nhost\nUNSIGNED-PAYLOAD"
    )
    assert signature == goog4_signature("20260517T120000Z", canonical_request)
    assert query.split("&") == sorted(query.split("&"))
    assert parse_qs(query)["userProject"] == ["payer"]
    assert parse_qs(query)["X-Goog-Credential"] == [
        "GOOG1EXAMPLEACCESSKEY/20260517/auto/storage/goog4_request"
    ]


def test_signing_again_replaces_the_signature() -> None:
    """A request signed twice carries one signature, of the second time."""
    clock = iter([NOON, NOON + datetime.timedelta(days=1)])
    auth, request = GCPAuth(**KEYS, clock=lambda: next(clock)), prepared(params={"a": "b c"})
    first = auth.sign(request).headers["Authorization"]
    assert "20260518/auto" in auth.sign(request).headers["Authorization"]
    fresh = GCPAuth(**KEYS, clock=lambda: NOON).sign(prepared(params={"a": "b c"}))
    assert fresh.headers["Authorization"] == first


def test_bodies_are_hashed_or_declared_unsigned() -> None:
    """A file is hashed and stays where it stands; what can be read only once is not read."""
    body = io.BytesIO(b"xxfile")
    body.seek(2)
    auth = GCPAuth(**KEYS)
    request = auth.sign(prepared(method="PUT", data=body))
    assert request.headers["x-goog-content-sha256"] == hashlib.sha256(b"file").hexdigest()
    assert body.tell() == 2
    once = iter([b"a"])
    request = auth.sign(prepared(method="PUT", data=once))
    assert request.headers["x-goog-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert list(once) == [b"a"]


def test_the_clock_is_learnt() -> None:
    """A signature that is too old for the server teaches its time; other refusals teach nothing."""
    auth = GCPAuth(**KEYS, clock=lambda: NOON)
    request = auth.sign(prepared())
    assert auth.learn(request, Refusal(403, "AccessDenied", date="Sun, 17 May 2026 15:00:00 GMT")) is None
    skewed = Refusal(403, "RequestTimeTooSkewed", date="Sun, 17 May 2026 15:00:00 GMT")
    assert auth.learn(prepared(), skewed) is None
    assert auth.learn(request, skewed) == "clock"
    assert auth.sign(request).headers["x-goog-date"] == "20260517T150000Z"


# Bearer tokens


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

    def judge(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        known = request.headers["Authorization"] == "Bearer token-1"
        return (200, {}, b"data") if known and request.path == "/b/k" else (401, {}, b"")

    tokens = Tokens("revoked")
    auth = GCPAuth(credentials=tokens)
    with serving(judge) as (host, got):
        assert requests.get(f"http://{host}/b/k", auth=auth).content == b"data"
        assert requests.get(f"http://{host}/b/k", auth=auth).content == b"data"
        assert (len(got), tokens.refreshed) == (3, 1)
        assert requests.get(f"http://{host}/b/never", auth=auth).status_code == 401
        assert (len(got), tokens.refreshed) == (5, 2)


def test_a_token_that_cannot_be_renewed_leaves_the_answer() -> None:
    """A 401 for a token that nobody can refresh is the caller's to see."""

    class Fixed(Tokens):
        def refresh(self, request: Any) -> None:
            raise RuntimeError("hush-hush")

    auth = GCPAuth(credentials=Fixed("fixed"))
    with serving(lambda request: (401, {}, b"")) as (host, got):
        assert requests.get(f"http://{host}/b/k", auth=auth).status_code == 401
        assert requests.get(f"http://{host}/b/k", auth=auth).status_code == 401
        assert len(got) == 2
    with pytest.raises(CredentialsError, match="RuntimeError") as caught:
        GCPAuth(credentials=Fixed()).sign(prepared())
    assert "hush" not in str(caught.value) + repr(caught.value.__cause__)


@pytest.mark.parametrize("options", [{"credentials": Tokens("secret-token")}, KEYS])
def test_a_redirect_to_a_stranger_carries_nothing_of_ours(options: dict[str, Any]) -> None:
    """Neither token nor signature nor project reaches another origin."""
    with serving(lambda request: (200, {}, b"")) as (stranger, got):
        there = f"http://{stranger}/x"
        with serving(lambda request: (302, {"Location": there}, b"")) as (host, first):
            requests.get(f"http://{host}/b/k", auth=GCPAuth("payer", **options))
    assert "Authorization" in first[0].headers
    assert not [name for name in got[0].headers if name.lower().startswith(("authorization", "x-goog-"))]


# Where credentials are found


@pytest.fixture
def token_server() -> Iterator[tuple[str, list[BaseHTTPRequestHandler]]]:
    """What Google's token endpoint does for a service account."""
    body = json.dumps({"access_token": "very-secret-token", "expires_in": 3600}).encode()
    with serving(lambda request: (200, {"Content-Type": "application/json"}, body)) as running:
        yield running


@pytest.mark.parametrize("place", ["variable", "gcloud", "home"])
def test_credentials_of_a_file(
    place: str,
    account: dict[str, str],
    token_server: tuple[str, list[BaseHTTPRequestHandler]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A service account's file is found in each place; its key and token show nowhere, nor travel."""
    folder = Path(os.environ["HOME"], ".config", "gcloud") if place == "home" else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "application_default_credentials.json"
    file.write_text(json.dumps({**account, "token_uri": f"http://{token_server[0]}/token"}))
    if place == "variable":
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    elif place == "gcloud":
        monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    auth = GCPAuth(scope="read_write")
    with caplog.at_level(logging.DEBUG, "astro_cloud"):
        assert auth.has_credentials()
        for _ in range(2):
            assert auth.sign(prepared()).headers["Authorization"] == "Bearer very-secret-token"
    assert len(token_server[1]) == 1
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
    account: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """has_credentials asks once; signing looks again, as somebody may have logged in since."""
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    auth = GCPAuth()
    assert not auth.has_credentials()
    (tmp_path / "application_default_credentials.json").write_text(json.dumps(account))
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
    with serving(lambda request: (200, headers, b"")) as (host, got):
        monkeypatch.setenv("GCE_METADATA_IP", host)
        assert not GCPAuth().has_credentials()
        assert [request.path for request in got] == ["/"]


@pytest.mark.parametrize("address", ["127.0.0.1:silent", "127.0.0.1:x", "[::1", "no host"])
def test_a_silent_or_misspelt_metadata_server_is_none(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes the connection and says nothing holds up for half a second."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("GCE_METADATA_IP", address.replace("silent", str(server.getsockname()[1])))
        assert not GCPAuth().has_credentials()


def test_credentials_of_the_metadata_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine in Google's cloud, its service account is used, with our scope."""
    monkeypatch.delenv("NO_GCE_CHECK")

    def metadata(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        path = urlsplit(request.path).path
        told: Any = ""
        if path.endswith("/token"):
            told = {"access_token": "from-metadata", "expires_in": 3600}
        elif path.endswith("/default/"):
            told = {"email": "me@example", "scopes": [], "aliases": []}
        headers = {"Metadata-Flavor": "Google", "Content-Type": "application/json"}
        return 200, headers, json.dumps(told).encode()

    program = (
        "import requests; from astro_cloud.auth.gcp import GCPAuth\n"
        f"request = GCPAuth().sign(requests.Request('GET', {URL!r}).prepare())\n"
        "print(request.headers['Authorization'])"
    )
    with serving(metadata) as (host, got):
        # google-auth reads these when it is imported
        environment = {**os.environ, "GCE_METADATA_IP": host, "GCE_METADATA_HOST": host}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True
        )
    assert (done.stdout, done.stderr) == ("Bearer from-metadata\n", "")
    assert "scopes=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fdevstorage.read_only" in got[-1].path


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


# What must not happen


def test_presigning_that_cannot_work() -> None:
    """A token signs nothing; a URL is signed once, for up to seven days."""
    with pytest.raises(CredentialsError, match="service account's key, or an HMAC key"):
        GCPAuth(credentials=Tokens("t")).presign(URL)
    for expires in (0, -1, 604_801):
        with pytest.raises(ValueError, match="1 to 604800"):
            GCPAuth(**KEYS).presign(URL, expires)
    with pytest.raises(ValueError, match="signed already"):
        GCPAuth(**KEYS).presign(GCPAuth(**KEYS).presign(URL))


def test_a_signer_that_fails_is_an_error_of_ours() -> None:
    """Credentials that sign over the network fail as CredentialsError, without what they printed."""
    with pytest.raises(CredentialsError, match="cannot sign: OSError") as caught:
        GCPAuth(credentials=Remote()).presign(URL)
    assert "hush" not in str(caught.value) + repr(caught.value.__cause__)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"access_key": "A"}, CredentialsError),
        ({"secret_key": "S"}, CredentialsError),
        ({**KEYS, "credentials": Tokens("t")}, CredentialsError),
        ({"access_key": "hush\n", "secret_key": "S"}, CredentialsError),
        ({"scope": "full_control"}, ValueError),
        ({"user_project": "two words\r\n"}, ValueError),
    ],
)
def test_arguments_that_make_no_sense(options: dict[str, Any], error: type[Exception]) -> None:
    """No argument is ignored without a word, and no key is repeated."""
    with pytest.raises(error) as caught:
        GCPAuth(**options)
    assert "hush" not in str(caught.value)


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


def test_explicit_keys_travel_unseen() -> None:
    """Explicit keys are in the pickle, and in no repr; a token that was refused is in neither."""
    auth = GCPAuth("payer", **KEYS, scope="read_write", clock=datetime.datetime.now)
    assert repr(auth) == "GCPAuth(user_project='payer', scope='read_write')"
    assert KEYS["secret_key"] not in str(vars(auth))
    copy = pickle.loads(pickle.dumps(auth))
    assert "GOOG1EXAMPLE" in copy.sign(prepared()).headers["Authorization"]
    bearer = GCPAuth(credentials=Tokens("t"))
    request = bearer.sign(prepared())
    request.headers["Authorization"] = "Bearer refused-token"
    assert bearer.learn(request, Refusal(401)) == "credentials"
    assert b"refused-token" not in pickle.dumps(bearer)
    assert pickle.loads(pickle.dumps(bearer)).has_credentials()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
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
