"""What holds over every server there is: byte ranges of one version of an object are right."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from astro_cloud import download
from astro_cloud.exceptions import ObjectChangedError, ObjectNotFoundError
from astro_cloud.storage import Client, Settings
from tests.servers import stores
from tests.servers.stores import Store
from tests.storage.downloads import LONG

DATA = random.Random(42).randbytes(300_000)
ODD = "night 1/é+m31 [1].fits"

MAKERS: dict[str, Callable[..., Store]] = {
    "swift_server": stores.of_s3,
    "ceph_server": stores.of_s3,
    "rclone_server": stores.of_s3,
    "azurite_server": stores.of_azurite,
    "fake_gcs_server": stores.of_fake_gcs,
    "caddy_server": stores.of_web_server,
    "nginx_server": stores.of_web_server,
}


@pytest.fixture(scope="module", params=["object_server", *MAKERS])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Each server, with one object, an empty one, and one with an odd name."""
    make = MAKERS.get(request.param, stores.of_object_server)
    with stores.named_server(request, tmp_path_factory) as server:
        yield filled(make(server))


def filled(store: Store) -> Store:
    for key, content in (("m31.fits", DATA), (ODD, DATA), ("empty.fits", b"")):
        store.put(key, content)
    return store


@pytest.fixture
def client(store: Store) -> Iterator[Client]:
    """A client that reads there."""
    with Client(auth=store.auth, settings=Settings(**store.settings, max_gap=0)) as client:
        yield client


@pytest.mark.parametrize("key", ["m31.fits", ODD])
def test_many_ranges_are_right(store: Store, client: Client, key: str) -> None:
    """Ranges over the whole object and past its end, in any order, some overlapping; the size is learnt."""
    starts = random.Random(7).sample(range(len(DATA)), 40)
    wanted = [(start, start + 1 + start % 5000) for start in starts] + [(0, 1), (299_999, 300_000)]
    wanted += [(299_000, 400_000), (300_000, 300_001), (10**12, 10**12 + 1)]
    pinned = client.pin(store.location(key))
    assert pinned.read_ranges(wanted) == [DATA[start:stop] for start, stop in wanted]
    assert pinned.size == len(DATA)
    into = [bytearray(2880), bytearray(100_000)]
    parts = pinned.read_ranges([(2880, 5760), (250_000, 350_000)], into)
    assert [bytes(part) for part in parts] == [DATA[2880:5760], DATA[250_000:]]
    assert bytes(into[0]) == DATA[2880:5760]


def test_a_first_read_past_the_end_is_empty(store: Store, client: Client) -> None:
    """A read at the end, or past it, of an object nobody knows the size of yet is empty, as a file's is."""
    for start in (len(DATA), 400_000):
        assert client.read_ranges(store.location("m31.fits"), [(start, start + 10)]) == [b""]


def test_an_empty_object_is_read(store: Store, client: Client) -> None:
    """Every range of an object of no bytes is empty, and its size is known."""
    pinned = client.pin(store.location("empty.fits"))
    assert pinned.read_ranges([(0, 100), (5, 6)]) == [b"", b""]
    assert pinned.read_ranges([(0, 2880)]) == [b""]
    assert pinned.size == 0


def test_a_missing_object_is_told(store: Store, client: Client) -> None:
    """A key that is not there is ObjectNotFoundError, with the location."""
    with pytest.raises(ObjectNotFoundError, match=r"no-such\.fits"):
        client.read_ranges(store.location("no-such.fits"), [(0, 10)])


def test_an_overwritten_object_is_told(store: Store, client: Client) -> None:
    """Bytes of two versions are never mixed, whatever the server makes of If-Match."""
    store.put("changing.fits", DATA)
    pinned = client.pin(store.location("changing.fits"))
    assert pinned.read_ranges([(0, 10)]) == [DATA[:10]]
    store.put("changing.fits", DATA[::-1] + b"longer")
    with pytest.raises(ObjectChangedError):
        pinned.read_ranges([(10, 20)])


CHECKED = {"fake_gcs": "CRC32C", "azurite": "MD5"}
"""What stores keep of the objects here; others keep nothing of what was put without a checksum."""


@pytest.mark.parametrize(("key", "content"), [("m31.fits", DATA), (ODD, DATA), ("empty.fits", b"")])
def test_objects_are_downloaded(
    store: Store, client: Client, tmp_path: Path, key: str, content: bytes
) -> None:
    """To a file and to a file object: right, with the store's date, compared with what it keeps."""
    done = download(store.location(key), tmp_path / "m31.fits", client=client)
    assert (tmp_path / "m31.fits").read_bytes() == content
    kept = done.checksum.algorithm if done.checksum is not None else None
    assert kept == CHECKED.get(store.name)
    file = io.BytesIO()
    assert download(store.location(key), file, client=client).checksum == done.checksum
    assert file.getvalue() == content


def test_a_download_is_gone_on_with(store: Store, client: Client, tmp_path: Path) -> None:
    """Broken off in the middle of a long object, it is whole in the end, each byte fetched once."""
    store.put("long.fits", LONG)
    written, target = [], tmp_path / "long.fits"

    def stop(done: int, total: int | None) -> None:
        written.append(done)
        if done > len(LONG) // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(store.location("long.fits"), target, client=client, workers=2, progress=stop)
    assert not target.exists()
    done = download(store.location("long.fits"), target, client=client)
    assert target.read_bytes() == LONG
    assert done.fetched <= len(LONG) // 2
