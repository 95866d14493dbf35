"""RemoteFile over a server: `astro_cloud.open`, faults, changes, threads, forks, and what it costs."""

from __future__ import annotations

import io
import itertools
import os
import pickle
import random
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

import astro_cloud
from astro_cloud.exceptions import (
    AccessDeniedError,
    InvalidLocationError,
    ObjectChangedError,
    ObjectNotFoundError,
    StorageError,
)
from astro_cloud.storage import Client, RemoteFile, Settings
from astro_cloud.storage.block_cache import BLOCK
from astro_cloud.testing import Fault, ObjectServer
from tests.forks import forks
from tests.storage.file_machine import TEXT, FileMachine
from tests.storage.reading import BUCKET, DATA, KEY, LOCATION, MakeClient, auth_of, harmless, ranges_asked

LARGE = random.Random(12).randbytes(3_000_000)


@pytest.fixture
def plain_client(sky: ObjectServer) -> Iterator[Client]:
    """A client that can be pickled, as its settings hold no function of a test."""
    with Client(auth=auth_of(sky), settings=Settings(endpoint_url=sky.url)) as client:
        yield client


@pytest.fixture
def large(sky: ObjectServer) -> str:
    """The location of an object of 3 MB."""
    sky.put(BUCKET, "large", LARGE)
    return f"s3://{BUCKET}/large"


def test_open_costs_one_request(sky: ObjectServer, client: Client) -> None:
    """One ranged GET brings the first block, the size and the version; reading the header is free then."""
    with astro_cloud.open(LOCATION, client=client) as file:
        assert ranges_asked(sky) == ["bytes=0-65535"]
        assert [record.method for record in sky.requests] == ["GET"]
        assert (file.name, file.size) == (LOCATION, len(DATA))
        assert file.version is not None
        assert str(file.location) == LOCATION
        assert file.read(2880) == DATA[:2880]
        assert file.seek(-100, os.SEEK_END) == len(DATA) - 100
        assert file.read() == DATA[-100:]
    assert ranges_asked(sky) == ["bytes=0-65535", "bytes=65536-99999"]


def test_open_makes_a_client_of_its_own(sky: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials and endpoint come from the environment; the client ends with the file."""
    for name, value in sky.environ.items():
        monkeypatch.setenv(name, value)
    closed: list[Client] = []
    close = Client.close
    monkeypatch.setattr(Client, "close", lambda self: (closed.append(self), close(self)))
    with astro_cloud.open(LOCATION) as file:
        assert file.read() == DATA
        assert closed == []
    assert len(closed) == 1


def test_open_leaves_a_given_client_open(sky: ObjectServer, client: Client) -> None:
    """The file is closed, the client reads on."""
    astro_cloud.open(LOCATION, client=client).close()
    assert client.read_ranges(LOCATION, [(0, 5)]) == [DATA[:5]]
    assert sky.requests.connections == 1


def test_open_fails_at_once(sky: ObjectServer, client: Client, make_client: MakeClient) -> None:
    """A missing object, a refusal and text that names no object are errors of `open`."""
    with pytest.raises(ObjectNotFoundError) as missing:
        astro_cloud.open(f"s3://{BUCKET}/none", client=client)
    assert isinstance(missing.value, FileNotFoundError)
    with pytest.raises(AccessDeniedError):
        astro_cloud.open(sky.url_for(BUCKET, KEY), client=make_client())
    with pytest.raises(InvalidLocationError):
        astro_cloud.open("s3://", client=client)


def test_open_offers_to_pay(sky: ObjectServer, client: Client) -> None:
    """`request_payer` and `auth` reach the requests."""
    sky.requester_pays.add(BUCKET)
    with pytest.raises(AccessDeniedError, match="request_payer=True"):
        astro_cloud.open(LOCATION, client=client)
    with astro_cloud.open(LOCATION, client=client, request_payer=True) as file:
        assert file.read(5) == DATA[:5]


def test_an_empty_object(sky: ObjectServer, client: Client) -> None:
    """No bytes are no error."""
    sky.put(BUCKET, "empty", b"")
    with astro_cloud.open(f"s3://{BUCKET}/empty", client=client) as file:
        assert (file.size, file.read(), file.readline(), file.seek(0, 2)) == (0, b"", b"", 0)


class ServerFileMachine(FileMachine):
    """Over a server that does not always say how large the object is."""

    open_file: Callable[[int], RemoteFile]
    server: ObjectServer

    def make_file(self, cache_size: int, data: st.DataObject) -> RemoteFile:
        self.server.clear_faults()
        if data.draw(st.booleans(), "unknown_total"):
            self.server.inject(Fault.unknown_total(), times=None)
        return type(self).open_file(cache_size)


def test_it_behaves_as_bytes_io(sky: ObjectServer, plain_client: Client) -> None:
    """The machine that compares both, over HTTP."""
    sky.put(BUCKET, "text", TEXT)

    def open_file(cache_size: int) -> RemoteFile:
        return astro_cloud.open(f"s3://{BUCKET}/text", client=plain_client, cache_size=cache_size)

    ServerFileMachine.open_file, ServerFileMachine.server = staticmethod(open_file), sky
    run_state_machine_as_test(
        ServerFileMachine, settings=settings(max_examples=20, stateful_step_count=20, database=None)
    )


@pytest.mark.parametrize(
    "fault",
    [
        Fault.cut(10_000),
        Fault.reset(500),
        Fault.reset(None),
        Fault.unavailable(),
        Fault.ok_with_content_range(),
    ],
    ids=lambda fault: fault.kind,
)
def test_faults_are_read_through(sky: ObjectServer, client: Client, large: str, fault: Fault) -> None:
    """Whatever befalls every third request: the bytes are right, whichever way they are read."""
    with astro_cloud.open(large, client=client, cache_size=1 << 20) as file:
        for _ in range(8):
            sky.inject(fault, times=1)
            for _ in range(2):
                sky.inject(harmless(), times=1)
        assert b"".join(iter(lambda: file.read(50_000), b"")) == LARGE
        buffer = bytearray(2_000_000)
        file.seek(5)
        assert file.readinto(buffer) == len(buffer)
        assert buffer == LARGE[5:2_000_005]


def test_an_error_is_no_end(sky: ObjectServer, client: Client, large: str) -> None:
    """Faults without end are an error that nothing takes for the end of a file; then it reads on."""
    with astro_cloud.open(large, client=client) as file:
        sky.inject(Fault.cut(0), times=None)
        with pytest.raises(StorageError) as caught:
            file.pread(1_000_000, 10)
        assert not isinstance(caught.value, EOFError | ValueError)
        sky.clear_faults()
        assert file.pread(1_000_000, 10) == LARGE[1_000_000:1_000_010]


def test_what_fails_ahead_is_no_error(sky: ObjectServer, client: Client, large: str) -> None:
    """Prefetching fails in silence, and the read that wants the bytes asks again."""
    with astro_cloud.open(large, client=client) as file:
        sky.inject(Fault.unavailable(501, "NotImplemented"), times=1)
        file.prefetch([(1_000_000, 1_050_000)])
        sky.wait_for_requests(2)
        assert file.pread(1_000_000, 50_000) == LARGE[1_000_000:1_050_000]


def test_an_overwritten_object_is_refused(sky: ObjectServer, plain_client: Client, large: str) -> None:
    """What is in hand is of the version first read; what is not is never mixed with it. So in a pickle."""
    with astro_cloud.open(large, client=plain_client) as file:
        pickled = pickle.dumps(file)
        sky.put(BUCKET, "large", bytes(3_000_000))
        assert file.read(100) == LARGE[:100]
        with pytest.raises(ObjectChangedError):
            file.pread(1_000_000, 10)
        with pickle.loads(pickled) as copy, pytest.raises(ObjectChangedError):
            copy.read(10)


def test_a_pickle_reads_on_with_its_own_client(sky: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that made its client takes it along; the copy outlives the original."""
    for name, value in sky.environ.items():
        monkeypatch.setenv(name, value)
    with astro_cloud.open(LOCATION) as file:
        file.seek(70_000)
        pickled = pickle.dumps(file)
    assert DATA[:20] not in pickled
    with pickle.loads(pickled) as copy:
        assert copy.read(10) == DATA[70_000:70_010]
        assert copy.size == len(DATA)


def test_rows_are_fetched_ahead(sky: ObjectServer, client: Client) -> None:
    """A section through unmodified astropy: right pixels, and no row asked for twice."""
    pixels = np.random.default_rng(1).integers(0, 255, (400, 20_000), dtype=np.uint8)
    stream = io.BytesIO()
    fits.PrimaryHDU(pixels).writeto(stream)
    sky.put(BUCKET, "image", stream.getvalue())
    with astro_cloud.open(f"s3://{BUCKET}/image", client=client) as file, fits.open(file) as hdul:
        assert np.array_equal(hdul[0].section[50:350, 9000:9400], pixels[50:350, 9000:9400])
    spans = sorted(tuple(map(int, asked[6:].split("-"))) for asked in ranges_asked(sky) if asked)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(spans))


def test_threads_read_by_position(sky: ObjectServer, client: Client, large: str) -> None:
    """Thirty-two threads over one file and a small cache, some requests failing: each gets its own bytes."""
    for _ in range(5):
        sky.inject(Fault.cut(700), times=1)
        sky.inject(harmless(), times=10)

    def reads(seed: int) -> bool:
        chance = random.Random(seed)
        wanted = [(chance.randrange(len(LARGE)), chance.choice([1, 100, 70_000])) for _ in range(6)]
        return all(file.pread(start, length) == LARGE[start : start + length] for start, length in wanted)

    with (
        astro_cloud.open(large, client=client, cache_size=1 << 20) as file,
        ThreadPoolExecutor(32) as threads,
    ):
        assert all(threads.map(reads, range(32)))
        assert file._cache.held <= 1 << 20


@forks
def test_a_forked_process_reads_on(sky: ObjectServer, client: Client, large: str) -> None:
    """A child reads from its parent's position, with bytes on their way at the moment of the fork."""
    with astro_cloud.open(large, client=client) as file:
        file.seek(10)
        sky.latency = 0.05
        file.prefetch([(1_000_000, 1_100_000)])
        child = os.fork()
        if child == 0:
            status = 1
            try:
                signal.alarm(20)
                same = file.read(90_000) == LARGE[10:90_010]
                same = same and file.pread(1_000_000, 100_000) == LARGE[1_000_000:1_100_000]
                status = 0 if same else 2
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert file.pread(1_000_000, 100_000) == LARGE[1_000_000:1_100_000]
        assert file.read(10) == LARGE[10:20]


def test_closing_gives_up_what_was_fetched_ahead(sky: ObjectServer, make_client: MakeClient) -> None:
    """A file that is closed while the server is silent leaves no thread behind that waits for it."""
    client = make_client(sky)
    file = astro_cloud.open(LOCATION, client=client)
    sky.inject(Fault.never_answers(), times=None)
    file.prefetch([(70_000, 80_000)])
    file.close()
    sky.clear_faults()
    assert client.read_ranges(LOCATION, [(0, 5)]) == [DATA[:5]]


def test_a_sparse_giant(sky: ObjectServer, client: Client) -> None:
    """Offsets beyond 2**32 are offsets like others."""
    path: Path = sky.path(BUCKET, KEY)
    with open(path, "r+b") as giant:
        giant.truncate(50 << 30)
        giant.seek((50 << 30) - 5)
        giant.write(b"ended")
    with astro_cloud.open(LOCATION, client=client) as file:
        assert file.seek(-5, os.SEEK_END) == (50 << 30) - 5
        assert file.read() == b"ended"
        assert file.pread(40 << 30, 3) == bytes(3)
    assert len(sky.requests) == 3


def test_settings_of_a_client_are_kept(sky: ObjectServer, client: Client) -> None:
    """A location is understood as its client's settings say: here, an endpoint."""
    with astro_cloud.open(LOCATION, client=client) as file:
        assert file.location.url.startswith(sky.url)


def test_one_file_of_many_threads_is_read_once(sky: ObjectServer, client: Client, large: str) -> None:
    """Eight threads want the same block at the same moment: one request."""
    with astro_cloud.open(large, client=client) as file:
        sky.clear()
        start = threading.Barrier(8)

        def read(_: int) -> bytes:
            start.wait()
            return file.pread(10 * BLOCK + 5, 10)

        with ThreadPoolExecutor(8) as threads:
            parts: list[Any] = list(threads.map(read, range(8)))
    assert parts == [LARGE[10 * BLOCK + 5 : 10 * BLOCK + 15]] * 8
    assert len(sky.requests) == 1
