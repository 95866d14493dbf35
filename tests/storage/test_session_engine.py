"""What sends through an injected session: its adapter's pool, or the session where it has a say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from astro_cloud.exceptions import StorageError
from astro_cloud.testing import Fault, ObjectServer
from tests.storage.reading import DATA, LOCATION, MakeClient, answering

ONE = [(0, 10)]
PART = [DATA[:10]]


def _session(adapter: HTTPAdapter | None = None, kind: type[requests.Session] = requests.Session) -> Any:
    session = kind()
    session.mount("http://", adapter or HTTPAdapter())
    return session


def test_a_plain_sessions_connections_are_shared(sky: ObjectServer, make_client: MakeClient) -> None:
    """What the session's own calls opened is used, not others beside it."""
    session = _session()
    assert session.get(sky.url).status_code == 403
    client = make_client(sky, session=session)
    for _ in range(3):
        assert client.read_ranges(LOCATION, ONE) == PART
    assert len({record.connection for record in sky.requests}) == 1


def test_a_pool_that_was_closed_is_opened_again(sky: ObjectServer, make_client: MakeClient) -> None:
    """As `requests` has it, a session can be used after it was closed."""
    session = _session()
    pinned = make_client(sky, session=session).pin(LOCATION)
    assert pinned.read_ranges(ONE) == PART
    session.close()
    assert pinned.read_ranges([(10, 20)]) == [DATA[10:20]]


def test_an_adapter_mounted_later_is_used(sky: ObjectServer, make_client: MakeClient) -> None:
    """A session's adapters may change while it is used."""
    session = _session()
    pinned = make_client(sky, session=session).pin(LOCATION)
    assert pinned.read_ranges(ONE) == PART
    session.mount(sky.url, later := HTTPAdapter())
    assert pinned.read_ranges(ONE) == PART
    assert len(later.poolmanager.pools) == 1


def test_cookies_are_kept_and_sent(sky: ObjectServer, make_client: MakeClient) -> None:
    """What a server sets is in the session's jar, as after any answer."""
    session = _session()
    sky.inject(answering(503, Set_Cookie="visit=1; Path=/"))
    client = make_client(sky, session=session)
    assert client.read_ranges(LOCATION, ONE) == PART
    assert session.cookies.get_dict() == {"visit": "1"}
    assert client.read_ranges(LOCATION, ONE) == PART
    assert sky.requests[-1].headers["cookie"] == "visit=1"


def test_an_adapters_retries_are_its_own(sky: ObjectServer, make_client: MakeClient) -> None:
    """`max_retries` of the adapter comes before the client's own attempts."""
    retries = Retry(total=2, backoff_factor=0, status_forcelist=[503])
    client = make_client(sky, session=_session(HTTPAdapter(max_retries=retries)), attempts=1)
    sky.inject(Fault.unavailable(), times=2)
    assert client.read_ranges(LOCATION, ONE) == PART
    sky.inject(Fault.unavailable(), times=3)
    with pytest.raises(StorageError, match="the request failed"):
        client.read_ranges(LOCATION, ONE)


def _override(name: str) -> Callable[[type, list[str]], type]:
    """Make what derives a class with a method of its own, which notes that it was called."""

    def derive(base: type, called: list[str]) -> type:
        def method(self: Any, *args: Any, **options: Any) -> Any:
            called.append(name)
            return getattr(base, name)(self, *args, **options)

        return type("Own", (base,), {name: method})

    return derive


@pytest.mark.parametrize(
    "name",
    [
        "send",
        "build_response",
        "add_headers",
        "request_url",
        "cert_verify",
        "get_connection_with_tls_context",
    ],
)
def test_what_an_adapter_overrides_is_called(sky: ObjectServer, make_client: MakeClient, name: str) -> None:
    """Each method that takes part in sending, as often as `requests` would call it."""
    called: list[str] = []
    adapter = _override(name)(HTTPAdapter, called)()
    client = make_client(sky, session=_session(adapter))
    for _ in range(3):
        assert client.read_ranges(LOCATION, ONE) == PART
    assert called == [name] * 3


def test_what_a_session_overrides_is_called(sky: ObjectServer, make_client: MakeClient) -> None:
    """A session with a `send` of its own, as caching sessions have, gets every request."""
    called: list[str] = []
    client = make_client(sky, session=_session(kind=_override("send")(requests.Session, called)))
    assert client.read_ranges(LOCATION, ONE) == PART
    assert called == ["send"]


@pytest.mark.parametrize("patched", ["the adapter class", "the session class", "the adapter", "the session"])
def test_what_is_patched_while_it_is_used_is_called(
    sky: ObjectServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, patched: str
) -> None:
    """Tools that watch or fake `requests` replace its methods, also after a client was made."""
    session = _session()
    adapter = session.get_adapter(sky.url)
    client = make_client(sky, session=session)
    assert client.read_ranges(LOCATION, ONE) == PART
    place = {
        "the adapter class": HTTPAdapter,
        "the session class": requests.Session,
        "the adapter": adapter,
        "the session": session,
    }[patched]
    called: list[str] = []
    send = place.send

    def patch(*args: Any, **options: Any) -> Any:
        called.append(patched)
        return send(*args, **options)

    monkeypatch.setattr(place, "send", patch)
    assert client.read_ranges(LOCATION, ONE) == PART
    assert called == [patched]


def test_a_pool_that_blocks_bounds_the_connections(sky: ObjectServer, make_client: MakeClient) -> None:
    """`pool_block` holds: there are never more connections than the adapter allows."""
    session = _session(HTTPAdapter(pool_maxsize=2, pool_block=True))
    client = make_client(sky, session=session, concurrency=8)
    ranges = [(start, start + 10) for start in range(0, 80_000, 1000)]
    assert client.read_ranges(LOCATION, ranges) == [DATA[start:stop] for start, stop in ranges]
    assert len({record.connection for record in sky.requests}) <= 2
