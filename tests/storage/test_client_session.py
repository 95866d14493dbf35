"""A client's session, its own or somebody else's: adapters, hooks, auth, proxies, certificates."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from astro_cloud.exceptions import ObjectNotFoundError, StorageError
from astro_cloud.testing import Fault, ObjectServer
from tests.servers.caddy import RunningWebServer
from tests.storage.reading import BUCKET, DATA, KEY, LOCATION, MakeClient, answering, auth_of

RANGES = [(0, 10), (20, 30), (40, 50)]
PARTS = [DATA[start:stop] for start, stop in RANGES]


class Recording(HTTPAdapter):
    """An adapter that keeps what it was called with."""

    def __init__(self) -> None:
        super().__init__()
        self.options: list[dict[str, Any]] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        self.options.append(options)
        return super().send(request, *args, **options)


def test_an_injected_session_is_used_and_never_closed(
    sky: ObjectServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests go through its adapters, hooks, headers and cookies; closing it is its owner's business."""
    closed: list[bool] = []
    seen: list[int] = []

    def hook(response: requests.Response, **options: Any) -> None:
        seen.append(response.status_code)

    session, adapter = requests.Session(), Recording()
    monkeypatch.setattr(session, "close", lambda: closed.append(True))
    session.mount("http://", adapter)
    session.hooks["response"].append(hook)
    session.headers["X-Observatory"] = "ours"
    session.cookies.set("visit", "1")
    sky.inject(Fault.unavailable())
    with make_client(sky, session=session) as client:
        assert client.read_ranges(LOCATION, RANGES[:1]) == PARTS[:1]
    assert seen == [503, 206]
    assert len(adapter.options) == 2
    assert all(options["stream"] and options["timeout"] == (5.0, 30.0) for options in adapter.options)
    for record in sky.requests:
        assert (record.headers["x-observatory"], record.headers["cookie"]) == ("ours", "visit=1")
    assert closed == []


def test_the_auth_of_an_injected_session_signs_each_request(
    sky: ObjectServer, make_client: MakeClient
) -> None:
    """`session.auth` is called for every attempt, not once for the object."""
    session = requests.Session()
    signer, calls = auth_of(sky), []

    def auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
        calls.append(request.headers["Range"])
        return signer(request)

    session.auth = auth
    sky.inject(Fault.unavailable(), times=2)
    client = make_client(session=session, endpoint_url=sky.url)
    assert client.read_ranges(LOCATION, RANGES[:1]) == PARTS[:1]
    assert calls == ["bytes=0-9"] * 3


@pytest.mark.parametrize("injected", [False, True], ids=["own session", "injected session"])
def test_an_auth_may_hook_the_answer(sky: ObjectServer, make_client: MakeClient, injected: bool) -> None:
    """An auth that hooks answers, as requests' HTTPDigestAuth does, is called with each."""
    signer, seen = auth_of(sky), []

    def auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.hooks["response"].append(lambda response, **options: seen.append(response.status_code))
        return signer(request)

    session = {"session": requests.Session()} if injected else {}
    client = make_client(sky, auth=auth, **session)
    assert client.read_ranges(LOCATION, RANGES[:1]) == PARTS[:1]
    assert seen == [206]


def test_a_hook_may_raise_for_the_status(sky: ObjectServer, make_client: MakeClient) -> None:
    """A session that raises for each bad status, as many do, has its answers judged like any other."""
    session = requests.Session()
    session.hooks["response"].append(lambda response, **options: response.raise_for_status())
    client = make_client(sky, session=session)
    sky.inject(Fault.unavailable())
    assert client.read_ranges(LOCATION, RANGES[:1]) == PARTS[:1]
    with pytest.raises(ObjectNotFoundError):
        client.read_ranges(f"s3://{BUCKET}/m32.fits", RANGES[:1])


def test_a_hook_may_read_the_body(sky: ObjectServer, make_client: MakeClient) -> None:
    """What a hook of the session has read already is not lost."""
    lengths: list[int] = []
    session = requests.Session()
    session.hooks["response"].append(lambda response, **options: lengths.append(len(response.content)))
    client = make_client(sky, session=session, attempts=2)
    sky.inject(answering(503, b"later"))
    assert client.read_ranges(LOCATION, RANGES[:1]) == PARTS[:1]
    assert lengths == [5, 10]


def test_proxies_come_from_the_environment(
    sky: ObjectServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that the environment names is asked for the object, but not for hosts it excepts."""
    sky.public.add(BUCKET)
    monkeypatch.setenv("HTTP_PROXY", sky.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    client = make_client()
    assert client.read_ranges(f"http://archive.example/{BUCKET}/{KEY}", RANGES[:1]) == PARTS[:1]
    assert client.read_ranges(sky.url_for(BUCKET, KEY), RANGES[:1]) == PARTS[:1]
    targets = [record.target for record in sky.requests]
    assert targets == [f"http://archive.example/{BUCKET}/{KEY}", f"/{BUCKET}/{KEY}"]


def test_a_proxy_that_is_not_there_is_told(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the proxy that the error blames, not the archive."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with pytest.raises(OSError, match="proxy could not be reached"):
        make_client(attempts=1).read_ranges("http://archive.example/m31.fits", RANGES)


@pytest.mark.parametrize("session", [None, requests.Session], ids=["own session", "injected session"])
def test_a_private_authority_is_named_by_the_environment(
    web_server_over_tls: RunningWebServer,
    make_client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    session: Callable[[], requests.Session] | None,
) -> None:
    """REQUESTS_CA_BUNDLE holds, as requests has it: a file or a folder; without it, the server is refused."""
    url = web_server_over_tls.put("m31.fits", DATA)
    authority = web_server_over_tls.certificate.authority
    with ExitStack() as stack:
        own = {"session": stack.enter_context(session())} if session else {}
        with pytest.raises(StorageError, match="REQUESTS_CA_BUNDLE"):
            make_client(**own).read_ranges(url, RANGES)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
        client = make_client(**own)
        assert client.read_ranges(url, RANGES) == PARTS
        assert client.read_ranges(url, [(0, len(DATA))]) == [DATA]
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.parent / "nowhere.pem"))
        with pytest.raises(OSError, match=r"no CA certificates at .*nowhere\.pem"):
            make_client(**own).read_ranges(url, RANGES)
