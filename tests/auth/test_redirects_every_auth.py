"""What every auth does about an answer that leads elsewhere; servers record what reaches them."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import requests
from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from astro_cloud.auth import AWSAuth, AzureAuth, GCPAuth
from astro_cloud.auth.redirects import target_of
from tests.auth.azure_stand_ins import EVERY_WAY, KEY, SAS, Credential
from tests.auth.azure_stand_ins import auth as azure
from tests.auth.gcp_stand_ins import KEYS, Tokens
from tests.auth.recording_server import Answer, Received, RecordingServer, recording_server

SECRET = "wJalr-secret-key"
AWS = {"access_key": "AKID", "secret_key": SECRET, "session_token": "very-secret-token"}
AUTHS: dict[str, Any] = {
    "aws": lambda: AWSAuth(**AWS),
    "gcp-hmac": lambda: GCPAuth(**KEYS),
    "gcp-bearer": lambda: GCPAuth("payer", credentials=Tokens("t")),
    **{f"azure-{name}": make for name, make in EVERY_WAY.items()},
}
every_auth = pytest.mark.parametrize("make", AUTHS.values(), ids=AUTHS)
OURS = ("authorization", "x-amz-", "x-goog-", "x-ms-")
SIGNED = [
    "X-Amz-Signature=ab&X-Amz-Credential=c",
    "X-Goog-Signature=ab&X-Goog-Credential=c",
    "Signature=ab&Expires=1&AWSAccessKeyId=c",
    "sig=ab&sv=2023-11-03",
]


def ours(received: Received) -> list[str]:
    """List what of a request is of an auth's making."""
    return [name for name in received.headers if name.lower().startswith(OURS)]


def redirects(*locations: str, status: int = 307) -> list[Answer]:
    """Make one answer for each location."""
    return [Answer(status, {"Location": location}) for location in locations]


def echoing(elsewhere: Callable[[], str], location: str) -> Callable[[Received], Answer]:
    """Redirect to a location that is made of the request's own target."""

    def echo(request: Received) -> Answer:
        quoted = requests.utils.quote(request.path, safe="")
        thrice = requests.utils.quote(requests.utils.quote(quoted, safe=""), safe="")
        query = request.path.partition("?")[2]
        target = location.format(elsewhere(), request.path, quoted=quoted, thrice=thrice, query=query)
        return Answer(302, {"Location": target})

    return echo


def answering(session: requests.Session, answers: list[Answer]) -> list[PreparedRequest]:
    """Have a session's https:// requests answered from a list, as no test reaches Amazon; list them."""
    sent: list[PreparedRequest] = []

    class Adapter(HTTPAdapter):
        def send(self, request: PreparedRequest, *args: Any, **options: Any) -> requests.Response:
            sent.append(request)
            status, headers, body = answers.pop(0)
            raw = HTTPResponse(io.BytesIO(body), headers, status, preload_content=False)
            answer = self.build_response(request, raw)
            answer.connection = self
            return answer

    session.mount("https://", Adapter())
    return sent


def is_authorized_anew(request: Received, server: RecordingServer, make: Any) -> bool:
    """Tell whether a request shows what a new one for its path would show; servers elsewhere verify it."""
    expected = make().sign(requests.Request("GET", server.url + request.path).prepare())
    kind = expected.headers.get("Authorization", "").partition(" ")[0]
    return request.headers.get("Authorization", "").startswith(kind) and expected.url.endswith(request.path)


@every_auth
@pytest.mark.parametrize("query", SIGNED)
def test_a_signed_target_gets_no_other_signature(make: Any, query: str) -> None:
    """A redirect at home to a URL that is signed is followed by requests, without anything of ours."""
    with recording_server() as home:
        home.answers += redirects(f"/c/t?{query}")
        requests.get(f"{home.url}/c/k", headers={"Range": "bytes=0-9"}, auth=make())
        assert home.requests[1].path == f"/c/t?{query}"
        assert ours(home.requests[1]) == []
        assert home.requests[1].headers["Range"] == "bytes=0-9"


#: All but AzureAuth with a SAS, which takes the place of another (`test_azure_every_way`).
WITHOUT_SAS = {name: make for name, make in AUTHS.items() if name != "azure-sas"}


@pytest.mark.parametrize("make", WITHOUT_SAS.values(), ids=WITHOUT_SAS)
@pytest.mark.parametrize("query", SIGNED)
def test_a_signed_url_is_sent_as_it_is(make: Any, query: str) -> None:
    """A URL that carries a signature is given no other one, and keeps the headers that belong to it."""
    url = f"https://archive.example/c/b?{query}"
    request = requests.Request("PUT", url, headers={"x-ms-blob-type": "BlockBlob"}).prepare()
    signed = make().sign(request.copy())
    assert (signed.url, dict(signed.headers)) == (request.url, dict(request.headers))
    signed.headers["Authorization"] = "Basic old"
    assert "Authorization" not in make().sign(signed).headers


def test_a_signed_url_needs_no_credentials() -> None:
    """An auth that would find no credentials sends a URL that carries its signature."""
    for make in (AWSAuth, GCPAuth, AzureAuth):
        request = requests.Request("GET", f"https://survey.blob.core.windows.net/c/b{SAS}", auth=make())
        assert "Authorization" not in request.prepare().headers


@every_auth
@pytest.mark.parametrize(
    ("method", "status"),
    [*(("GET", status) for status in (301, 302, 303, 307, 308)), ("HEAD", 303), ("PUT", 307), ("POST", 308)],
)
@pytest.mark.parametrize("follow", [True, False])
def test_at_home_a_redirect_is_signed_anew(make: Any, method: str, status: int, follow: bool) -> None:
    """The same service gets the same method and body, signed for the target, whatever the caller said."""
    body = b"x" if method in ("PUT", "POST") else None
    with recording_server() as home:
        home.answers += redirects("/c/t", status=status)
        url = f"{home.url}/c/k"
        answer = requests.request(method, url, data=body, auth=make(), allow_redirects=follow)
        first, second = home.requests
        assert (answer.status_code, answer.request.method, answer.request.body) == (200, method, body)
        assert is_authorized_anew(second, home, make)
        if "AWS4" in (header := first.headers.get("Authorization", "")) or "SharedKey" in header:
            assert header != second.headers["Authorization"]


@every_auth
@pytest.mark.parametrize("status", [301, 302, 303])
def test_what_changes_the_method_is_requests_to_follow(make: Any, status: int) -> None:
    """A POST is not repeated: its caller gets the answer, or by a GET with nothing of ours what is there."""
    for follow, methods in ((False, ["POST"]), (True, ["POST", "GET"])):
        with recording_server() as home:
            home.answers += redirects("/c/t", status=status)
            url = f"{home.url}/c/k"
            answer = requests.post(url, data=b"x", auth=make(), allow_redirects=follow)
            assert [received.method for received in home.requests] == methods
            assert answer.status_code == (200 if follow else status)
            assert [ours(received) for received in home.requests[1:]] == [[]] * follow


@pytest.mark.parametrize(("status", "again"), [(301, True), (302, True), (303, False), (307, True)])
def test_a_provider_that_redirects_means_the_same_method(status: int, again: bool) -> None:
    """S3 sends a DELETE or PUT to the region of its bucket, by an old 301 too; a 303 it cannot mean so."""
    answers = [Answer(status, {"Location": "https://b.s3.eu-west-1.amazonaws.com/k"}), Answer(204)]
    with requests.Session() as session:
        sent = answering(session, answers)
        session.delete("https://b.s3.us-east-1.amazonaws.com/k", auth=AWSAuth(**AWS), allow_redirects=False)
    assert [request.method for request in sent] == ["DELETE"] * (1 + again)
    assert all("Authorization" in request.headers for request in sent)


@every_auth
def test_every_hop_is_signed_for_itself(make: Any) -> None:
    """Of many redirects at home none carries the signature of another."""
    with recording_server() as home:
        home.answers += redirects(*(f"/c/{hop}" for hop in range(7)))
        answer = requests.get(f"{home.url}/c/k", auth=make())
        assert answer.status_code == 200
        assert len(answer.history) == 7
        assert all(is_authorized_anew(request, home, make) for request in home.requests)
        sent = [request.headers.get("Authorization", "") for request in home.requests]
        if sent[0].startswith(("AWS4", "GOOG4", "SharedKey")):
            assert len(set(sent)) == 8


@every_auth
@pytest.mark.parametrize("follow", [True, False])
def test_a_circle_ends_as_it_does_in_requests(make: Any, follow: bool) -> None:
    """After 30 redirects at home there are no more, and the error is requests' own."""
    with recording_server(lambda request: Answer(307, {"Location": "/c/k"})) as home:
        with pytest.raises(requests.TooManyRedirects) as caught:
            requests.get(f"{home.url}/c/k", auth=make(), allow_redirects=follow)
        assert caught.value.response.status_code == 307
        assert caught.value.response.raw.closed, "the connection is free"
        assert len(home.requests) == 31


@every_auth
@pytest.mark.parametrize("port", ["99999", "99999999999"])
@pytest.mark.parametrize("follow", [True, False])
def test_an_impossible_port_is_requests_business(make: Any, port: str, follow: bool) -> None:
    """A target that is no URL fails as it does without an auth, and only where it is followed."""

    def outcome(auth: Any) -> Any:
        with recording_server() as home:
            home.answers += redirects(f"http://127.0.0.1:{port}/x")
            try:
                return requests.get(f"{home.url}/c/k", auth=auth, allow_redirects=follow).status_code
            except Exception as error:
                return type(error)

    assert outcome(make()) == outcome(None)


@every_auth
def test_a_location_may_be_raw_utf8(make: Any) -> None:
    """A Location with UTF-8 in it leads to the key it spells, as in requests."""
    with recording_server() as home:
        home.answers += redirects("/c/é b".encode().decode("latin-1"))
        requests.get(f"{home.url}/c/k", auth=make())
        assert home.requests[1].path.partition("?")[0] == "/c/%C3%A9%20b"


def test_what_a_location_means() -> None:
    """Relative to the URL it came from, its bytes UTF-8 if they can be; Latin-1 stays what it says."""
    url = "https://h/b/k?x#f"
    assert target_of(url, "../t") == "https://h/t"
    assert target_of(url, "//o:1/é".encode().decode("latin-1")) == "https://o:1/%C3%A9"
    assert target_of(url, "/caf\xe9") == "https://h/caf%C3%A9"
    assert target_of(url, "/a%2Fb%20c?sig=%2B") == "https://h/a%2Fb%20c?sig=%2B"
    with pytest.raises(ValueError, match="IPv6"):
        target_of(url, "http://[::1/x")


@every_auth
def test_a_request_can_be_sent_twice(make: Any) -> None:
    """A redirect to a stranger takes nothing off the request its owner holds, only off what follows."""
    with recording_server() as stranger, recording_server() as home, requests.Session() as session:
        request = session.prepare_request(requests.Request("GET", f"{home.url}/c/k", auth=make()))
        for _ in range(2):
            home.answers += redirects(f"{stranger.url}/x")
            assert session.send(request).status_code == 200
        first, second = home.requests
        assert (first.path, first.headers.items()) == (second.path, second.headers.items())
        assert len(stranger.requests) == 2
        assert [ours(received) for received in stranger.requests] == [[], []]
        home.answers += redirects("/c/t")
        session.send(request)
        assert is_authorized_anew(home.requests[-1], home, make)


def test_another_class_of_request_is_stripped_too() -> None:
    """A subclass of PreparedRequest stays what it is, and has nothing of ours when it goes to a stranger."""

    class Theirs(PreparedRequest):
        pass

    with recording_server() as stranger, recording_server() as home, requests.Session() as session:
        home.answers += redirects(f"{stranger.url}/x")
        request = Theirs()
        request.prepare("GET", f"{home.url}/c/k", auth=AWSAuth(**AWS))
        session.send(request)
        assert type(request) is Theirs
        assert ours(stranger.requests[0]) == []


@every_auth
def test_two_signatures_make_one_hook(make: Any) -> None:
    """An auth called twice, or another one called later, sees each answer once."""
    with recording_server(lambda request: Answer(307, {"Location": "/c/t"})) as home:
        request = requests.Request("GET", f"{home.url}/c/k", hooks={"response": print}).prepare()
        make()(AWSAuth(**AWS)(make()(request)))
        assert len(request.hooks["response"]) == 2
        assert print in request.hooks["response"]
        copied = request.copy()
        AWSAuth(**AWS)(copied)
        assert request.hooks["response"] != copied.hooks["response"], "a copy's hook is its own"


@every_auth
def test_a_pickled_answer_holds_no_secret_key(make: Any) -> None:
    """What travels with an answer is what was sent, and not what it was signed with."""
    with recording_server() as home:
        answer = requests.get(f"{home.url}/c/k", auth=make())
        for data in (pickle.dumps(answer), pickle.dumps(answer.request)):
            for secret in (SECRET, KEYS["secret_key"], KEY, "a key of the tests"):
                assert secret.encode() not in data


@pytest.mark.parametrize("travel", [lambda request: pickle.loads(pickle.dumps(request)), copy.deepcopy])
@every_auth
def test_a_request_that_travelled_is_stripped_all_the_same(make: Any, travel: Any) -> None:
    """Behind a pickle nothing is signed again, and a stranger still gets nothing of ours."""
    with recording_server() as stranger, recording_server() as home, requests.Session() as session:
        request = travel(requests.Request("GET", f"{home.url}/c/k", auth=make()).prepare())
        home.answers += redirects("/c/t", f"{stranger.url}/x")
        session.send(request)
        assert ours(home.requests[0]) or "sig=" in home.requests[0].path
        assert ours(home.requests[1]) == ours(stranger.requests[0]) == []


@pytest.mark.parametrize(
    "location",
    ["{}{}", "{}/login?next=http%3A%2F%2Fh{quoted}", "{}/login?next={thrice}", "{}/x?a=1&{query}&b=2",
     "{}/x?a=1;{query}"],
)  # fmt: skip
@pytest.mark.parametrize("follow", [True, False])
def test_an_echoed_sas_does_not_reach_a_stranger(location: str, follow: bool) -> None:
    """A server that repeats the target elsewhere (`https://other$request_uri`) gives no SAS away."""
    echo = echoing(lambda: stranger.url, location)

    with recording_server() as stranger, recording_server(echo) as home:
        url = f"{home.url}/c/k?comp=metadata"
        answer = requests.get(url, auth=EVERY_WAY["sas"](), allow_redirects=follow)
        assert "sig=" in home.requests[0].path
        told = [request.path for request in stranger.requests] or [answer.next.url]
        assert "AbC" not in told[0]
        if "next" not in location and ";" not in location:
            assert "comp=metadata" in told[0]


@pytest.mark.parametrize(
    "location", ["{}/go/{quoted}", "{}/go/{thrice}", "{}/x;{query}", "{}/x#{query}", "http://{query}@h/"]
)
@pytest.mark.parametrize("follow", [True, False])
def test_an_echoed_sas_outside_of_a_query_leads_nowhere(location: str, follow: bool) -> None:
    """Where the signature cannot be taken out of the target, the redirect is the answer, without a target."""
    with recording_server() as stranger, recording_server(echoing(lambda: stranger.url, location)) as home:
        answer = requests.get(f"{home.url}/c/k", auth=EVERY_WAY["sas"](), allow_redirects=follow)
        assert (answer.status_code, answer.next, stranger.requests) == (302, None, [])
        assert "Location" not in answer.headers


def test_a_target_encoded_without_end_is_not_trusted() -> None:
    """What is still encoded after ten rounds may hold anything, and is taken for what it hides."""
    with recording_server() as stranger, recording_server() as home:
        path = "%" + "25" * 12 + "41"
        home.answers += redirects(f"{stranger.url}/{path}", f"{stranger.url}/?a=%41%2541")
        auth = EVERY_WAY["sas"]()
        assert requests.get(f"{home.url}/c/k", auth=auth).status_code == 307
        assert requests.get(f"{home.url}/c/k", auth=auth).status_code == 200
        assert [received.path for received in stranger.requests] == ["/?a=%41%2541".replace("%41%", "A%")]


def test_a_sas_that_was_rotated_is_known_by_the_request_that_carries_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A new SAS in the environment changes nothing about the old one: no stranger gets it."""

    def rotate(request: Received) -> Answer:
        monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", "sv=1&sig=new")
        return Answer(302, {"Location": f"{stranger.url}/x?{request.path.partition('?')[2]}"})

    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", SAS)
    with recording_server() as stranger, recording_server(rotate) as home:
        auth = AzureAuth()
        requests.get(f"{home.url}/c/k", headers={"x-ms-encryption-key": "CPK"}, auth=auth)
        assert "AbC" in home.requests[0].path
        assert "sig=" not in stranger.requests[0].path
        assert ours(stranger.requests[0]) == []
        assert "sig=new" in auth.sign(requests.Request("GET", f"{home.url}/c/k").prepare()).url


@pytest.mark.parametrize("make", WITHOUT_SAS.values(), ids=WITHOUT_SAS)
@pytest.mark.parametrize("query", SIGNED)
def test_a_signed_url_takes_no_headers_of_a_provider_to_a_stranger(make: Any, query: str) -> None:
    """A customer's key beside a signed URL is for that URL's host; the same host gets it again."""
    name = "x-amz-server-side-encryption-customer-key"
    with recording_server() as stranger, recording_server() as home:
        home.answers += redirects(f"/c/t?{query}", f"{stranger.url}/x")
        requests.get(f"{home.url}/c/k?{query}", headers={name: "key"}, auth=make())
        assert [received.headers[name] for received in home.requests] == ["key", "key"]
        assert ours(stranger.requests[0]) == []


def test_an_echoed_sas_is_replaced_at_home() -> None:
    """The same at home is a redirect like any other: signed anew, the SAS there once."""
    with recording_server() as home:
        home.answers += redirects(f"/c/t{SAS}&comp=metadata")
        requests.get(f"{home.url}/c/k", auth=EVERY_WAY["sas"]())
        assert home.requests[1].path.count("sig=") == home.requests[1].path.count("sv=") == 1
        assert "x-ms-version" in home.requests[1].headers


def test_cookies_stay_with_their_host() -> None:
    """A request that is sent again at home takes the jar's cookies for its URL, as requests has it."""
    with recording_server() as home, requests.Session() as session:
        session.cookies.set("for", "k", path="/c/k")
        home.answers += redirects("/c/t")
        session.get(f"{home.url}/c/k", auth=AWSAuth(**AWS))
        assert home.requests[0].headers["Cookie"] == "for=k"
        assert "Cookie" not in home.requests[1].headers


@every_auth
def test_a_cookie_that_opens_a_door_is_taken_along(make: Any) -> None:
    """A server that sets a cookie and redirects to itself gets it, from a session or without one."""

    def gate(request: Received) -> Answer:
        if "open=1" in request.headers.get("Cookie", ""):
            return Answer()
        return Answer(302, {"Location": "/c/k", "Set-Cookie": "open=1; Path=/"})

    with recording_server(gate) as home, requests.Session() as session:
        assert requests.get(f"{home.url}/c/k", auth=make()).status_code == 200
        assert session.get(f"{home.url}/c/k", auth=make()).status_code == 200
        assert session.cookies["open"] == "1"
        assert len(home.requests) == 4


def test_the_answer_says_how_long_it_took() -> None:
    """`elapsed` is of the request that was answered, also where it was sent again."""
    with recording_server() as home:
        home.answers += redirects("/c/t")
        answer = requests.get(f"{home.url}/c/k", auth=AWSAuth(**AWS))
        assert answer.elapsed.total_seconds() > 0
        assert answer.history[0].elapsed.total_seconds() > 0


def test_a_token_that_cannot_be_renewed_leaves_the_refusal() -> None:
    """A bearer credential that gives the refused token again costs one more request, and no error."""
    with recording_server(lambda request: Answer(401)) as home:
        bearer = azure(account=None, key=None, credential=Credential())
        assert requests.get(f"{home.url}/c/k", auth=bearer).status_code == 401
        assert len(home.requests) == 2
