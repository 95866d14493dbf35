"""Servers with one object or none, and clients that never wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from astro_cloud.storage import Client, Settings
from astro_cloud.testing import ObjectServer
from tests.storage.reading import BUCKET, DATA, KEY, MakeClient, auth_of


@pytest.fixture
def waits() -> list[float]:
    """The seconds that clients of `make_client` were told to wait, in order: the longest allowed each."""
    return []


@pytest.fixture
def make_client(waits: list[float]) -> Iterator[MakeClient]:
    """Make clients that never wait, and read nothing in vain; of a server, with its keys, or `auth`."""
    with ExitStack() as stack:

        def make(server: ObjectServer | None = None, **options: Any) -> Client:
            own = {name: options.pop(name) for name in ("session", "auth") if name in options}
            if server is not None:
                own.setdefault("auth", auth_of(server))
                options.setdefault("endpoint_url", server.url)
            quick = {"sleep": waits.append, "jitter": lambda low, high: high, "max_gap": 0}
            client = Client(settings=Settings(**(quick | options)), **own)
            return stack.enter_context(client)

        yield make


@pytest.fixture
def sky(object_server: ObjectServer) -> ObjectServer:
    """A server with `DATA` in a private bucket."""
    object_server.put(BUCKET, KEY, DATA)
    return object_server


@pytest.fixture
def other_sky(tmp_path: Path) -> Iterator[ObjectServer]:
    """Another server, so another origin, with the same object in a public bucket."""
    root = tmp_path / "other_server"
    root.mkdir()
    with ObjectServer(root, public=[BUCKET]) as server:
        server.put(BUCKET, KEY, DATA)
        yield server


@pytest.fixture
def attic(object_server: ObjectServer) -> ObjectServer:
    """A server with an empty bucket, that takes small parts."""
    object_server.min_part_size = 1
    (object_server.root / BUCKET).mkdir()
    return object_server


@pytest.fixture
def client(sky: ObjectServer, make_client: MakeClient) -> Client:
    """A client of `sky` with its keys."""
    return make_client(sky)
