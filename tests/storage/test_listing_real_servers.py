"""Listings of every real store there is here: each key found, once, where its location says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from astro_cloud.auth.providers import Anonymous
from astro_cloud.exceptions import AccessDeniedError, ObjectNotFoundError, StorageError
from astro_cloud.storage import Client, CommonPrefix, ObjectInfo, Settings, presign
from tests.auth.odd_keys import ODD_KEYS
from tests.servers import azurite, ceph, rclone, stores
from tests.servers.azurite import RunningAzurite
from tests.servers.process import RunningServer
from tests.servers.signed import ask
from tests.servers.stores import Store
from tests.storage.reading import auth_of


def of_rclone(server: RunningServer, bucket: str) -> Store:
    """Return rclone as a store that is filled behind its back: each write makes its next answers slower."""
    folder = server.folder / "data" / bucket

    def put(key: str, content: bytes) -> None:
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(content)

    return replace(stores.of_s3(server, bucket), put=put)


MAKERS: dict[str, Callable[..., Store]] = {
    "swift_server": stores.of_s3,
    "ceph_server": stores.of_s3,
    "rclone_server": of_rclone,
    "azurite_server": stores.of_azurite,
    "fake_gcs_server": stores.of_fake_gcs,
}
KEEPS: dict[str, Callable[[str], bool]] = {
    "rclone": rclone.keeps,
    "azurite": lambda key: "\\" not in key,  # as Azure itself, it makes a slash of it
}
TREE = [f"night/{night}/{frame}.{kind}" for night in "12" for frame in "abc" for kind in ("fits", "log")]
EMPTY = "night/2/c.log"
PREFIXES = [
    "two words",
    "a+b",
    "50%",
    "two%20",
    "cafe\u0301",
    "~!*'()",
    "a:b@c;d,e$",
    "ra=1&dec=2",
    "Schärpe/銀",
]


@dataclass(frozen=True)
class Stores:
    """A server's bucket with each odd key it keeps, and one with a small tree."""

    odd: Store
    tree: Store

    @property
    def name(self) -> str:
        return self.odd.name

    def client(self, **options: Any) -> Client:
        return Client(auth=self.odd.auth, settings=Settings(**self.odd.settings, **options))

    @property
    def odd_keys(self) -> list[str]:
        return sorted(filter(KEEPS.get(self.name, lambda key: True), ODD_KEYS.values()))


@pytest.fixture(scope="module", params=MAKERS)
def store(request: pytest.FixtureRequest) -> Stores:
    """Both buckets of each server, filled by other means than ours."""
    server = request.getfixturevalue(request.param)
    make = MAKERS[request.param]
    filled = Stores(make(server, "listing-odd"), make(server, "listing-tree"))
    for key in filled.odd_keys:
        filled.odd.put(key, b"under " + key.encode())
    for key in TREE:
        filled.tree.put(key, b"" if key == EMPTY else key.encode())
    return filled


@pytest.fixture
def client(store: Stores) -> Iterator[Client]:
    """A client that reads there."""
    with store.client() as client:
        yield client


def keys(client: Client, location: Any, *pattern: str) -> list[str]:
    return [found.key for found in client.list_objects(location, *pattern)]


@pytest.mark.parametrize("page_size", [None, 3])
def test_every_key_is_listed_once_in_order(store: Stores, client: Client, page_size: int | None) -> None:
    """Whatever stands in it, on one page and over many."""
    found = [info.key for info in client.list_objects(store.odd.root, page_size=page_size)]
    assert found == store.odd_keys
    in_pages = page_size is not None and store.name != "fake_gcs"  # which reads past max-keys
    assert client.usage.requests == (-(-len(found) // 3) if in_pages else 1)


def test_what_is_listed_is_what_is_there(store: Stores, client: Client) -> None:
    """Each location opens as its own object; size, ETag and date are those of HEAD."""
    for info in client.list_objects(store.odd.root):
        content = b"under " + info.key.encode()
        assert client.read_ranges(info.location, [(0, 2000)]) == [content]
        stat = client.stat(info.location)
        assert (info.size, info.etag) == (len(content), stat.etag)
        assert info.last_modified is not None
        assert stat.last_modified is not None
        assert abs((info.last_modified - stat.last_modified).total_seconds()) < 2


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_is_sent_as_it_is(store: Stores, client: Client, prefix: str) -> None:
    """A prefix of odd characters finds what begins with it, and nothing else."""
    location = client.pin(store.odd.location("any")).location.with_key(prefix)
    expected = [key for key in store.odd_keys if key.startswith(prefix)]
    assert [info.key for info in client.list_objects(location)] == expected


def test_a_folder_is_listed_by_a_delimiter(store: Stores, client: Client) -> None:
    """Its objects, and what the keys of its folders begin with; those can be listed in turn."""
    folders = list(client.list_objects(store.tree.location("night/"), delimiter="/"))
    assert [type(found) for found in folders] == [CommonPrefix] * 2
    assert [found.key for found in folders] == ["night/1/", "night/2/"]
    frames = list(client.list_objects(folders[1].location, delimiter="/", page_size=4))
    assert [type(found) for found in frames] == [ObjectInfo] * 6
    assert [found.key for found in frames] == TREE[6:]


def test_folders_over_many_pages(store: Stores, client: Client) -> None:
    """A common prefix is told once, wherever pages end."""
    found = [item.key for item in client.list_objects(store.odd.root, delimiter="/", page_size=4)]
    tops = {key[: key.find("/") + 1] or key for key in store.odd_keys}
    assert found == sorted(tops)


def test_patterns(store: Stores, client: Client) -> None:
    """Globs in the argument and in the location find the same."""
    fits, logs = TREE[::2], TREE[1::2]
    assert keys(client, store.tree.location("night/"), "**/*.fits") == fits
    assert keys(client, store.tree.location("night"), "**.fits") == fits
    assert keys(client, store.tree.location("night/*/[ab].fits")) == [*fits[:2], *fits[3:5]]
    assert keys(client, store.tree.location("night/2/?.log")) == logs[3:]
    assert keys(client, store.tree.location("*")) == []


def test_a_bucket_is_listed_without_a_slash(store: Stores, client: Client) -> None:
    """`s3://bucket` is a location to list."""
    assert [info.key for info in client.list_objects(store.tree.root.removesuffix("/"))] == TREE


def test_nothing_there_is_nothing(store: Stores, client: Client) -> None:
    """A prefix that no key has is no error."""
    assert keys(client, store.tree.location("day/")) == []


def test_a_bucket_that_does_not_exist_is_an_error(store: Stores, client: Client) -> None:
    """Never an empty listing; fake-gcs-server calls it a failure of its own."""
    kind = StorageError if store.name == "fake_gcs" else ObjectNotFoundError
    with store.client(attempts=1) as hasty, pytest.raises(kind, match=r"no (such|bucket)"):
        list(hasty.list_objects(store.tree.root.replace("listing-tree", "listing-nowhere")))


def test_stat_and_exists(store: Stores, client: Client) -> None:
    """An empty object has size 0; what is not there does not exist, wherever it is not."""
    info = client.stat(store.tree.location(EMPTY))
    assert info.size == 0
    assert (info.version is not None) is (store.name == "fake_gcs")
    assert client.exists(info.location)
    assert not client.exists(store.tree.location("night/3/full.fits"))
    assert not client.exists(store.tree.root.replace("listing-tree", "listing-nowhere") + "full.fits")


def test_a_url_presigned_for_get(s3_verifier: RunningServer) -> None:
    """Its signature is not for HEAD, so stat goes on by GET."""
    ask(s3_verifier, "PUT", "/listing-presigned")
    ask(s3_verifier, "PUT", "/listing-presigned/a", b"SIMPLE  =")
    settings = Settings(endpoint_url=s3_verifier.url, region=s3_verifier.region)
    with Client(auth=auth_of(s3_verifier), settings=settings) as client:
        url = presign("s3://listing-presigned/a", client=client)
    with Client() as client:
        assert client.stat(url).size == 9
        assert client.usage.requests == 2


def test_who_may_not_list_is_told_so(ceph_server: RunningServer) -> None:
    """A refusal is an AccessDeniedError about listing, signed or not, and no absence."""
    ask(ceph_server, "PUT", "/listing-private")
    others = {"access_key": ceph_server.other_access_key, "secret_key": ceph_server.other_secret_key}
    with Client(settings=Settings(endpoint_url=ceph_server.url)) as client:
        for auth in (auth_of(ceph_server, **others), Anonymous()):
            with pytest.raises(AccessDeniedError, match="list"):
                list(client.list_objects("s3://listing-private", auth=auth))
            with pytest.raises(AccessDeniedError):
                client.exists("s3://listing-private/nothing", auth=auth)


def test_requester_pays(ceph_server: RunningServer) -> None:
    """Ceph enforces it on listings and on HEAD; who pays is let in."""
    ceph.make_requester_pays(ceph_server, "listing-paid", {"image.fits": b"SIMPLE  ="})
    auth = auth_of(
        ceph_server, access_key=ceph_server.other_access_key, secret_key=ceph_server.other_secret_key
    )
    with Client(auth=auth, settings=Settings(endpoint_url=ceph_server.url)) as client:
        with pytest.raises(AccessDeniedError, match="request_payer=True"):
            list(client.list_objects("s3://listing-paid"))
        with pytest.raises(AccessDeniedError, match="request_payer=True"):
            client.stat("s3://listing-paid/image.fits")
        (info,) = client.list_objects("s3://listing-paid", request_payer=True)
        assert client.stat(info.location, request_payer=True).size == info.size == 9


def test_a_public_container_is_listed_by_anybody(azurite_server: RunningAzurite) -> None:
    """Without credentials, and by the container's https form."""
    public = {"x-ms-blob-public-access": "container"}
    azurite.ask(azurite_server, "PUT", "/listing-public", "restype=container", headers=public)
    kind = {"x-ms-blob-type": "BlockBlob"}
    azurite.ask(azurite_server, "PUT", "/listing-public/a%20b", headers=kind, body=b"SIMPLE  =")
    with Client(settings=Settings(endpoint_url=azurite_server.url)) as client:
        (info,) = client.list_objects(f"az://{azurite_server.account}/listing-public")
        assert (info.key, info.size) == ("a b", 9)
        assert client.stat(info.location).etag == info.etag


def test_more_than_a_thousand(rclone_server: RunningServer) -> None:
    """A listing of several full pages is complete, and read no further than somebody looks."""
    store = of_rclone(rclone_server, "listing-many")
    for number in range(1100):
        store.put(f"{number:04}.fits", b"")
    with Client(auth=store.auth, settings=Settings(**store.settings)) as client:
        found = client.list_objects("s3://listing-many")
        assert next(found).key == "0000.fits"
        assert client.usage.requests == 1
        assert [info.key for info in found] == [f"{number:04}.fits" for number in range(1, 1100)]
        assert client.usage.requests == client.usage.round_trips == 2
        assert len(list(client.list_objects("s3://listing-many/10*.fits"))) == 100
        assert client.usage.requests == 3
