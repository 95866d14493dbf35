"""Keys rotated on Ceph while threads read with them, found by botocore at a loopback endpoint.

The gateway without STS says InvalidAccessKeyId of a key that is gone, as AWS does.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import pytest
import requests

from astro_cloud.auth import AWSAuth
from tests.auth.credential_server import CredentialServer, credential_server
from tests.servers import ceph
from tests.servers.process import RunningServer
from tests.servers.signed import Request, ask, send, signed

THREADS = 8
CONTENT = b"SIMPLE  ="
HOURS = 6 * 3600.0


class Lease(NamedTuple):
    """Keys as an endpoint gives them out, for so many seconds."""

    access_key: str
    secret_key: str
    seconds: float


class Owner:
    """A user of Ceph with a bucket of its own, whose keys this test rotates."""

    def __init__(self, server: RunningServer, name: str) -> None:
        self.server = server
        self.name = name
        self.url = f"{server.url}/{name}/m31.fits"
        self.keys = self._keys(0)
        ceph.add_user(server, name, self.keys)
        ask(server, "PUT", f"/{name}", keys=self.keys)
        ask(server, "PUT", f"/{name}/m31.fits", CONTENT, keys=self.keys)

    def add_key(self) -> tuple[str, str]:
        """Give the user a second key, which becomes its key."""
        self.keys = self._keys(1)
        ceph.add_key(self.server, self.name, self.keys)
        return self.keys

    def refusal_of(self, keys: tuple[str, str]) -> bytes:
        """Read with keys that are gone, signed by botocore; return the body of the refusal."""
        answer = send(self.server, signed(self.server, Request("GET", f"/{self.name}/m31.fits"), keys=keys))
        assert answer.status == 403
        return answer.body

    def _keys(self, number: int) -> tuple[str, str]:
        return f"{self.name}{number}".upper().replace("-", ""), f"secret/{number}"


class Read(NamedTuple):
    """One answer: the key that its request was signed with, status and content."""

    access_key: str
    status: int
    content: bytes


class Run:
    """Threads that read one object with one auth, each over a connection of its own, until told to end."""

    def __init__(self, url: str, auth: AWSAuth) -> None:
        self.reads: list[Read] = []
        self._counts: Counter[tuple[int, str]] = Counter()
        self._url = url
        self._auth = auth
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._held = False
        self._asking = 0
        self._threads: list[Future[None]] = []

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Read until the context ends; raise what a thread raised."""
        with ThreadPoolExecutor(THREADS) as pool:
            self._threads += [pool.submit(self._read) for _ in range(THREADS)]
            try:
                yield
            finally:
                self._ended.set()
        for thread in self._threads:
            thread.result()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have no request under way until the context ends; the threads, connections and auth stay."""
        with self._changed:
            self._held = True
            assert self._changed.wait_for(lambda: self._asking == 0, timeout=60)
        try:
            yield
        finally:
            with self._changed:
                self._held = False
                self._changed.notify_all()

    def until_each_thread_read(self, times: int, *, access_key: str | None = None) -> None:
        """Wait until from now on every thread was answered so often (with this key)."""
        before = self._counts.copy()

        def done() -> bool:
            since: Counter[int] = Counter()
            for (thread, key), count in (self._counts - before).items():
                since[thread] += count if access_key in (None, key) else 0
            enough = len(since) == THREADS and min(since.values()) >= times
            return enough or any(thread.done() for thread in self._threads)

        with self._changed:
            assert self._changed.wait_for(done, timeout=60)

    def _read(self) -> None:
        try:
            with requests.Session() as session:
                while not self._ended.is_set():
                    with self._changed:
                        self._changed.wait_for(lambda: not self._held)
                        self._asking += 1
                    try:
                        self._note(session.get(self._url, auth=self._auth))
                    finally:
                        self._asking_no_more()
        finally:
            with self._changed:
                self._changed.notify_all()

    def _asking_no_more(self) -> None:
        with self._changed:
            self._asking -= 1
            self._changed.notify_all()

    def _note(self, answer: requests.Response) -> None:
        with self._changed:
            key = answer.request.headers["Authorization"].partition("Credential=")[2].partition("/")[0]
            self.reads.append(Read(key, answer.status_code, answer.content))
            self._counts[threading.get_ident(), key] += 1
            self._changed.notify_all()


def in_container(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Set what ECS and EKS set in a container."""
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{url}/v1/credentials")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container-secret")


def on_instance(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Let IMDSv2 be asked, and be here."""
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)


Found = Callable[[pytest.MonkeyPatch, str], None]


@contextmanager
def giving_out(leases: list[Lease]) -> Iterator[tuple[CredentialServer, list[str]]]:
    """Give out the last of the leases whenever asked; with the access keys that were given out, in order."""
    given: list[str] = []

    def issue(number: int) -> tuple[str, str, str, float]:
        access_key, secret_key, seconds = leases[-1]
        given.append(access_key)
        # Every endpoint gives a token along; this gateway takes it as signed, and does not read it.
        return access_key, secret_key, "token", seconds

    with credential_server(issue) as endpoint:
        yield endpoint, given


def test_keys_are_renewed_before_they_expire(
    ceph_without_sts: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys about to expire are exchanged in the middle of a run: the old ones can go, every answer is 200.

    In a container: keys that an instance is given late, botocore takes for a sign of an outage, and uses
    for 17 minutes or more whatever they say.
    """
    owner = Owner(ceph_without_sts, "renewed")
    old = owner.keys
    leases = [Lease(*old, 60)]
    with giving_out(leases) as (endpoint, given):
        in_container(monkeypatch, endpoint.url)
        run = Run(owner.url, AWSAuth())
        with run.going_on():
            run.until_each_thread_read(2)
            new = owner.add_key()
            leases.append(Lease(*new, HOURS))
            run.until_each_thread_read(1, access_key=new[0])
            ceph.remove_key(owner.server, owner.name, old[0])
            run.until_each_thread_read(3)
    assert {(read.status, read.content) for read in run.reads} == {(200, CONTENT)}
    assert {read.access_key for read in run.reads} == {old[0], new[0]}
    assert given.count(new[0]) == 1
    assert b"<Code>InvalidAccessKeyId<" in owner.refusal_of(old)


@pytest.mark.parametrize("found", [in_container, on_instance])
def test_keys_that_are_gone_are_exchanged(
    ceph_without_sts: RunningServer, monkeypatch: pytest.MonkeyPatch, found: Found
) -> None:
    """Keys taken away hours before their time are looked for again, so that every answer is 200."""
    owner = Owner(ceph_without_sts, f"gone-{found.__name__.replace('_', '-')}")
    old = owner.keys
    leases = [Lease(*old, HOURS)]
    with giving_out(leases) as (endpoint, given):
        found(monkeypatch, endpoint.url)
        run = Run(owner.url, AWSAuth())
        with run.going_on():
            run.until_each_thread_read(2)
            new = owner.add_key()
            leases.append(Lease(*new, HOURS))
            with run.held():  # a read while a key goes has Ceph 16 say AccessDenied of it from then on
                ceph.remove_key(owner.server, owner.name, old[0])
            run.until_each_thread_read(3)
    assert {(read.status, read.content) for read in run.reads} == {(200, CONTENT)}
    assert given == [old[0], new[0]]
    assert b"<Code>InvalidAccessKeyId<" in owner.refusal_of(old)


def test_explicit_keys_that_are_gone_are_refused(ceph_without_sts: RunningServer) -> None:
    """Of keys that were given nobody knows others: the refusal is the answer, after one request."""
    owner = Owner(ceph_without_sts, "explicit")
    old = owner.keys
    auth = AWSAuth(access_key=old[0], secret_key=old[1])
    assert requests.get(owner.url, auth=auth).content == CONTENT
    owner.add_key()
    ceph.remove_key(owner.server, owner.name, old[0])
    answer = requests.get(owner.url, auth=auth)
    assert (answer.status_code, answer.history) == (403, [])
    assert "InvalidAccessKeyId" in answer.text
