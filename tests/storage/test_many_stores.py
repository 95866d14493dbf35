"""What holds over every store there is: a folder that goes there comes back, and nothing goes twice."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from astro_cloud import download_many, upload_many
from astro_cloud.storage import Client, Settings
from tests.servers import stores
from tests.servers.stores import Store
from tests.storage.downloads import LONG
from tests.storage.reading import DATA

FILES = {
    "1.fits": DATA,
    "empty": b"",
    "long.fits": LONG,
    "deep/é +[1].fits": DATA[:7],
    "deep/er/100%.txt": b"x",
}

# rclone is left out: after an upload in parts it can keep a listing waiting, and change dates.
MAKERS: dict[str, Callable[..., Store]] = {
    "object_server": stores.of_object_server,
    "swift_server": stores.of_s3,
    "ceph_server": stores.of_s3,
    "azurite_server": stores.of_azurite,
}


@pytest.fixture(params=MAKERS)
def store(request: pytest.FixtureRequest) -> Store:
    """Each store."""
    return MAKERS[request.param](request.getfixturevalue(request.param), "many")


@pytest.fixture
def client(store: Store) -> Iterator[Client]:
    """A client that reads and writes there."""
    with Client(auth=store.auth, settings=Settings(**store.settings)) as client:
        yield client


def test_there_and_back(store: Store, client: Client, tmp_path: Path) -> None:
    """Byte for byte, checked where the store keeps a checksum; the second time nothing goes."""
    store.put("many/before", b"")
    there, here, back = store.location("many/"), tmp_path / "here", tmp_path / "back"
    for name, data in FILES.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(data)
        os.utime(here / name, (1e9, 1e9))
    assert len(upload_many(here, there, client=client).uploaded) == len(FILES)
    assert len(upload_many(here, there, client=client).skipped) == len(FILES)
    done = download_many(there, back, client=client)
    assert len(done.downloaded) == len(FILES) + 1
    (back / "before").unlink()
    assert {
        path.relative_to(back).as_posix(): path.read_bytes() for path in back.rglob("*") if path.is_file()
    } == FILES
    assert len(upload_many(back, there, client=client).skipped) == len(FILES)
    assert len(download_many(there, back, client=client).downloaded) == 1
