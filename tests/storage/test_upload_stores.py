"""What holds over every store there is: what is uploaded is there, byte for byte, and nothing else is."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from astro_cloud.exceptions import ChecksumError, ObjectExistsError, StorageError
from astro_cloud.storage import Client, Settings
from astro_cloud.storage.checksum import hasher
from astro_cloud.storage.upload_body import Piece
from tests.servers import rclone, stores
from tests.servers.stores import Store
from tests.servers.tls import Certificate
from tests.storage import written
from tests.storage.written import Written

MiB = 1 << 20
PART = 5 * MiB
DATA = random.Random(12).randbytes(3 * PART + 12_345)
ODD = ["a b/é+m31 [1].fits", "100% #1?.fits", "a//b", "~!*'();@&=$,", "日本/星.fits"]

MAKERS: dict[str, Callable[..., Written]] = {
    "swift_server": written.of_s3,
    "ceph_server": written.of_s3,
    "rclone_server": written.of_s3,
    "azurite_server": written.of_azurite,
}


@pytest.fixture(scope="module", params=["object_server", *MAKERS])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    """Each store, with one object."""
    make = MAKERS.get(request.param, written.of_object_server)
    with stores.named_server(request, tmp_path_factory) as server:
        place = make(server)
        place.store.put("first.fits", b"first")
        yield place


# rclone is left out of these: after an upload in parts it keeps all that follow waiting, for seconds.
in_parts = pytest.mark.parametrize(
    "place",
    ["object_server", *(name for name in MAKERS if name != "rclone_server")],
    indirect=True,
    scope="module",
)


@pytest.fixture
def store(place: Written) -> Store:
    """The store to write to."""
    return place.store


@pytest.fixture
def client(store: Store) -> Iterator[Client]:
    """A client that writes there."""
    with Client(auth=store.auth, settings=Settings(**store.settings)) as client:
        yield client


@pytest.mark.parametrize("key", ["m31.fits", *ODD])
def test_a_whole_object_is_there(place: Written, store: Store, client: Client, key: str) -> None:
    """Whatever the key holds; and what is told of it is so."""
    if store.name == "rclone" and not rclone.keeps(key):  # its keys are paths, so this one names another
        with pytest.raises(StorageError):
            client.upload(DATA[:100_000], store.location(key))
        return
    info = client.upload(DATA[:100_000], store.location(key), content_type="image/fits")
    assert place.get(key) == DATA[:100_000]
    stat = client.stat(store.location(key))
    assert (stat.size, stat.key) == (info.size, info.key)
    if store.name != "rclone":  # which forgets the ETag it gave
        assert stat.etag == info.etag
    if store.name not in ("rclone", "object_server"):  # which keep no media type
        assert stat.content_type == info.content_type == "image/fits"


@pytest.mark.parametrize("size", [0, 1])
def test_a_small_object_is_there(place: Written, store: Store, client: Client, size: int) -> None:
    """As small as can be."""
    assert client.upload(DATA[:size], store.location("small.fits")).size == size
    assert place.get("small.fits") == DATA[:size]


@in_parts
@pytest.mark.parametrize("kind", ["bytes", "stream"])
def test_an_object_in_parts_is_there(place: Written, store: Store, client: Client, kind: str) -> None:
    """A key that is not plain, in parts whose number is known or not."""
    source = DATA if kind == "bytes" else Stream(DATA)
    info = client.upload(source, store.location(ODD[0]), part_size=PART)
    assert place.get(ODD[0]) == DATA
    assert place.unfinished() == []
    stat = client.stat(store.location(ODD[0]))
    assert (stat.size, stat.etag) == (info.size, info.etag)
    assert info.size == len(DATA)


@in_parts
@pytest.mark.parametrize("data", [DATA[:100], DATA], ids=["whole", "in parts"])
def test_an_object_that_is_there_is_kept(place: Written, store: Store, client: Client, data: bytes) -> None:
    """Whatever the server makes of If-None-Match."""
    store.put("kept.fits", b"kept")
    with pytest.raises(ObjectExistsError):
        client.upload(data, store.location("kept.fits"), part_size=PART, overwrite=False)
    assert place.get("kept.fits") == b"kept"
    assert place.unfinished() == []
    key = f"not-yet-{len(data)}.fits"
    client.upload(data, store.location(key), part_size=PART, overwrite=False)
    assert place.get(key) == data


class Stream(io.RawIOBase):
    """Gives bytes, and breaks off after `most` of them; tells no length."""

    def __init__(self, data: bytes, most: int | None = None) -> None:
        self._file = io.BytesIO(data)
        self._most = len(data) if most is None else most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._file.tell() >= self._most:
            if self._most < len(self._file.getvalue()):
                raise RuntimeError("broken off")
            return 0
        return self._file.readinto(buffer)


@in_parts
def test_a_failure_leaves_nothing(place: Written, store: Store, client: Client) -> None:
    """No object, and no unfinished upload."""
    with pytest.raises(RuntimeError, match="broken off"):
        client.upload(Stream(DATA, 2 * PART + 1000), store.location("broken.fits"), part_size=PART)
    assert place.unfinished() == []
    assert not client.exists(store.location("broken.fits"))


@in_parts
@pytest.mark.parametrize("key", ["resumed.fits", ODD[0]])
def test_what_failed_is_resumed(place: Written, store: Store, client: Client, key: str) -> None:
    """Only the parts that are missing, or hold other bytes, are sent."""
    location = store.location(key)
    with pytest.raises(RuntimeError, match="broken off"):
        client.upload(Stream(DATA, 3 * PART), location, part_size=PART, resume=True, workers=1)
    if store.name != "azurite":
        assert len(place.unfinished()) == 1
    before = client.usage.requests
    changed = b"other" + DATA[5:]
    client.upload(changed, location, part_size=PART, resume=True)
    assert place.get(key) == changed
    assert place.unfinished() == []
    sent = client.usage.requests - before
    if store.name == "azurite":
        assert sent == 1 + 2 + 1
    else:
        assert 2 + 2 + 1 <= sent <= 2 + 2 + 2


def test_damage_on_the_way_is_seen(store: Store, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checksum that is sent is one the server checks: here it is of other bytes, time and again."""
    monkeypatch.setattr(Piece, "digest", lambda piece, algorithm: hasher(algorithm).digest())
    quick = replace(client.settings, attempts=2, sleep=lambda seconds: None)
    # Azurite calls it InvalidOperation, where Azure says Md5Mismatch
    error, says = (StorageError, "contentMD5") if store.name == "azurite" else (ChecksumError, "arrived")
    with Client(auth=store.auth, settings=quick) as client, pytest.raises(error, match=says):
        client.upload(DATA[:1000], store.location("damaged.fits"))
    assert not client.exists(store.location("damaged.fits"))


@pytest.mark.parametrize("name", ["swift", "ceph"])
def test_over_tls(
    request: pytest.FixtureRequest, certificate: Certificate, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There the body is left out of the signature, and its checksum is in it."""
    running = request.getfixturevalue(f"{name}_over_tls")
    store = stores.of_s3(request.getfixturevalue(f"{name}_server"), "over-tls")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.authority))
    with Client(auth=store.auth, settings=Settings(endpoint_url=running.url)) as client:
        for size in (1000, len(DATA)):
            location = store.location("tls.fits")
            client.upload(DATA[:size], location, part_size=PART)
            assert client.read_ranges(location, [(0, len(DATA))]) == [DATA[:size]]
