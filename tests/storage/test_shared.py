"""One client a process, and one auth, however many copies of it arrive."""

from __future__ import annotations

import gc
import pickle
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from astro_cloud.auth.aws import AWSAuth
from astro_cloud.storage import Client, Settings, shared
from astro_cloud.storage.shared import Shared, shared_client
from astro_cloud.testing import ObjectServer
from tests.forks import forks, in_child


@pytest.fixture(autouse=True)
def own_client() -> Iterator[None]:
    """Let the client of those that were given none not outlive the test."""
    shared._HERE.forget()
    yield
    shared._HERE.forget()


def test_a_copy_is_the_original_where_that_is() -> None:
    """Unpickled in the same process, it is the same; so is what is shared twice."""
    with Client() as client:
        one = Shared.of(client)
        assert pickle.loads(pickle.dumps(one)) is one
        assert Shared.of(client) is one
        assert one.value is client


def test_copies_elsewhere_are_one() -> None:
    """Where the original is not, the first copy stands for all, until the last of them is gone."""
    client = Client(settings=Settings(concurrency=3))
    data = pickle.dumps(Shared.of(client))
    del client
    gc.collect()
    copies = [pickle.loads(data) for _ in range(3)]
    assert len({id(copy.value) for copy in copies}) == 1
    assert copies[0].value.settings.concurrency == 3
    gone = weakref.ref(copies[0].value)
    del copies
    gc.collect()
    assert gone() is None


def test_a_copy_is_closed_when_it_is_gone(object_server: ObjectServer) -> None:
    """Its connections are nobody else's to close: none is left to a warning about it."""
    object_server.public.add("sky")
    object_server.put("sky", "key", b"bytes")
    data = pickle.dumps(Shared.of(Client()))
    gc.collect()
    copy = pickle.loads(data)
    assert copy.value.read_ranges(object_server.url_for("sky", "key"), [(0, 5)]) == [b"bytes"]
    del copy
    gc.collect()


def test_many_threads_have_one_client() -> None:
    """Copies that arrive at once are one, too."""
    data = pickle.dumps(Shared.of(Client()))
    gc.collect()
    with ThreadPoolExecutor(8) as pool:
        copies = list(pool.map(lambda _: pickle.loads(data), range(100)))
        usual = list(pool.map(lambda _: shared_client().value, range(100)))
    assert len({id(copy.value) for copy in copies}) == 1
    assert len({id(client) for client in usual}) == 1


def test_the_usual_client_is_nothing_to_pickle() -> None:
    """Each process has its own, with what credentials it finds there."""
    usual = shared_client()
    assert pickle.loads(pickle.dumps(usual)) is usual
    assert len(pickle.dumps(usual)) < 100


def test_an_auth_travels_as_it_pickles_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was given goes along; what it found does not, nor is anything shown."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAFOUNDFOUNDFOUND0")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "found/secret")
    found = AWSAuth()
    assert found.has_credentials()
    assert b"found/secret" not in pickle.dumps(Shared.of(found))
    assert "secret" not in repr(Shared.of(found))


@forks
def test_a_forked_process_has_it_too() -> None:
    """The same object, which makes connections of its own there; nobody waits for a lock."""
    usual = shared_client()
    with shared._HERE._lock:
        assert in_child(lambda: shared_client() is usual)
