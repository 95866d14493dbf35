"""The fsspec door: our locations in the hands of fsspec and of what stands on it."""

from __future__ import annotations

import bz2
import gzip
import io
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from astropy.io import fits
from fsspec.implementations.local import LocalFileSystem
from fsspec.tests.abstract import AbstractFixtures, AbstractGetTests

from astro_cloud import filesystem
from astro_cloud.auth.aws import AWSAuth
from astro_cloud.exceptions import AccessDeniedError, InvalidLocationError, ObjectNotFoundError, StorageError
from astro_cloud.filesystem import AzureFileSystem, HTTPFileSystem, S3FileSystem
from astro_cloud.storage import Client, Settings
from astro_cloud.testing import Fault, ObjectServer
from tests.auth.odd_keys import ODD_KEYS
from tests.forks import forks
from tests.servers import stores
from tests.servers.caddy import RunningWebServer
from tests.servers.process import RunningServer

DATA = bytes(range(256)) * 1000
CSV = b"ra,dec\n10.5,41.25\n83.75,-5.5\n"
TREE = ["night/1.fits", "night/2.fits", "night/deep/3.fits", "night.log", "readme"]


@pytest.fixture(autouse=True)
def own_clients() -> Iterator[None]:
    """Let no client that file systems share outlive the test."""
    made: list[Client] = []

    class Recorded(Client):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            made.append(self)

    patch = pytest.MonkeyPatch()
    patch.setattr(filesystem, "Client", Recorded)
    filesystem._shared_client.cache_clear()
    yield
    patch.undo()
    filesystem._shared_client.cache_clear()
    for client in made:
        client.close()


@pytest.fixture
def options(object_server: ObjectServer) -> dict[str, Any]:
    """Storage options for the server, which is filled with a small tree."""
    for key in TREE:
        object_server.put("sky", key, key.encode())
    object_server.put("sky", "data", DATA)
    object_server.put("sky", "stars.csv", CSV)
    store = stores.of_object_server(object_server, "sky")
    return {"auth": store.auth, **store.settings}


@pytest.fixture
def fs(options: dict[str, Any]) -> Any:
    """A file system over the server."""
    return fsspec.filesystem("astro+s3", **options)


def fits_file() -> tuple[bytes, Any]:
    pixels = np.arange(400 * 2000, dtype=np.int32).reshape(400, 2000)
    stream = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(pixels, name="SCI")]).writeto(stream)
    return stream.getvalue(), pixels


# As it is installed


@pytest.mark.parametrize("scheme", ["s3", "gs", "az", "https", "http"])
def test_each_scheme_is_registered_by_an_entry_point(scheme: str) -> None:
    """Installing the package is all that fsspec needs to know it."""
    (found,) = entry_points(group="fsspec.specs", name=f"astro+{scheme}")
    cls = fsspec.get_filesystem_class(f"astro+{scheme}")
    assert found.load() is cls
    assert (cls.protocol, cls.scheme) == (f"astro+{scheme}", scheme)


def test_the_package_needs_no_fsspec() -> None:
    """Without the extra everything else is there, and the door says what is missing."""
    code = """
import sys
sys.modules["fsspec"] = None
import astro_cloud, astro_cloud.storage, astro_cloud.fits, astro_cloud.cli
astro_cloud.open
try:
    import astro_cloud.filesystem
except ImportError as error:
    assert "astro-cloud[fsspec]" in str(error), error
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# Libraries on top


def test_fsspec_open(object_server: ObjectServer, options: dict[str, Any]) -> None:
    """The location is opened as a binary file, as text, and at the end of a chain."""
    with fsspec.open("astro+s3://sky/data", **options) as file:
        assert file.read() == DATA
    with fsspec.open("astro+s3://sky/stars.csv", "r", encoding="ascii", **options) as file:
        assert file.readlines() == CSV.decode().splitlines(keepends=True)
    with fsspec.open("simplecache::astro+s3://sky/data", **{"astro+s3": options}) as file:
        assert file.read() == DATA
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("stars.csv", CSV)
    object_server.put("sky", "packed.zip", packed.getvalue())
    with fsspec.open("zip://stars.csv::astro+s3://sky/packed.zip", **{"astro+s3": options}) as file:
        assert file.read() == CSV


@pytest.mark.parametrize(("name", "compress"), [("a.gz", gzip.compress), ("a.bz2", bz2.compress)])
def test_compression_is_inferred(
    object_server: ObjectServer, options: dict[str, Any], name: str, compress: Any
) -> None:
    """What the name says is compressed is read unpacked, in bytes and in text."""
    object_server.put("sky", name, compress(CSV))
    with fsspec.open(f"astro+s3://sky/{name}", compression="infer", **options) as file:
        assert file.read() == CSV
    with fsspec.open(f"astro+s3://sky/{name}", "rt", compression="infer", **options) as file:
        assert file.read() == CSV.decode()


def test_astropy(object_server: ObjectServer, options: dict[str, Any]) -> None:
    """astropy's own way to fsspec reads sections, in few requests; its cache settings do no harm."""
    content, pixels = fits_file()
    object_server.put("sky", "image.fits", content)
    kwargs = {**options, "block_size": 1024, "cache_type": "readahead"}
    with fits.open("astro+s3://sky/image.fits", use_fsspec=True, fsspec_kwargs=kwargs) as hdul:
        assert np.array_equal(hdul["SCI"].section[10:20, 100:200], pixels[10:20, 100:200])
    assert len(object_server.requests) < 10


def test_pandas(object_server: ObjectServer, options: dict[str, Any]) -> None:
    """pandas takes the location and storage_options, compressed too, and may not write."""
    import pandas as pd

    object_server.put("sky", "stars.csv.gz", gzip.compress(CSV))
    plain = pd.read_csv("astro+s3://sky/stars.csv", storage_options=options)
    packed = pd.read_csv("astro+s3://sky/stars.csv.gz", storage_options=options)
    assert plain["dec"].tolist() == packed["dec"].tolist() == [41.25, -5.5]
    with pytest.raises(NotImplementedError, match="not written"):
        plain.to_csv("astro+s3://sky/new.csv", storage_options=options)


def test_dask(options: dict[str, Any]) -> None:
    """dask cuts an object into blocks that its threads read, and finds objects by a pattern."""
    from dask import compute
    from dask.bytes import read_bytes

    _, blocks = read_bytes("astro+s3://sky/data", blocksize=100_000, sample=False, **options)
    assert b"".join(compute(*blocks[0], scheduler="threads")) == DATA
    _, blocks = read_bytes("astro+s3://sky/night/*.fits", blocksize=None, sample=False, **options)
    assert compute([part for (part,) in blocks], scheduler="sync") == ([b"night/1.fits", b"night/2.fits"],)


def test_xarray(object_server: ObjectServer, options: dict[str, Any], tmp_path: Path) -> None:
    """A netCDF file is opened in place."""
    import xarray as xr

    made = xr.Dataset({"flux": ("time", np.arange(1000.0))})
    made.to_netcdf(tmp_path / "light.nc", engine="h5netcdf")
    object_server.put("sky", "light.nc", (tmp_path / "light.nc").read_bytes())
    with (
        fsspec.open("astro+s3://sky/light.nc", **options).open() as file,
        xr.open_dataset(file, engine="h5netcdf") as found,
    ):
        assert found["flux"][500:510].values.tolist() == list(range(500, 510))


# What there is


def test_info(fs: Any) -> None:
    """An object has size, ETag and date; a folder and a bucket are folders."""
    info = fs.info("astro+s3://sky/data")
    assert (info["name"], info["size"], info["type"]) == ("sky/data", len(DATA), "file")
    assert info["ETag"].startswith('"')
    assert fs.modified("sky/data") == info["LastModified"]
    folder = {"name": "sky/night", "size": 0, "type": "directory"}
    assert fs.info("sky/night") == fs.info("sky/night/") == folder
    assert fs.info("sky") == fs.info("sky/") == folder | {"name": "sky"}
    assert fs.ukey("sky/data") == fs.ukey("sky/data") != fs.ukey("sky/readme")
    with pytest.raises(FileNotFoundError):
        fs.info("sky/nigh")


def test_ls(fs: Any) -> None:
    """A folder shows what is directly in it, as info describes it; an object shows itself."""
    assert fs.ls("sky/night", detail=False) == ["sky/night/1.fits", "sky/night/2.fits", "sky/night/deep"]
    assert fs.ls("sky/night") == [fs.info(name) for name in fs.ls("sky/night", detail=False)]
    assert fs.ls("sky", detail=False) == [
        "sky/data", "sky/night.log", "sky/night", "sky/readme", "sky/stars.csv",
    ]  # fmt: skip
    assert fs.ls("sky/data") == [fs.info("sky/data")]
    for missing in ("sky/nigh", "no-such-bucket", "no-such-bucket/a", "sky/data/"):
        with pytest.raises(FileNotFoundError):
            fs.ls(missing)


def test_an_empty_bucket_is_there(object_server: ObjectServer, fs: Any) -> None:
    """It is a folder with nothing in it."""
    (object_server.root / "empty").mkdir()
    assert fs.isdir("empty")
    assert fs.ls("empty") == fs.find("empty") == []


def test_an_empty_object_for_a_folder_is_the_folder(object_server: ObjectServer, fs: Any) -> None:
    """Consoles make one for a new folder: it is shown as no file, and holds nothing."""
    object_server.put("sky", "new/", b"")
    assert fs.isdir("sky/new")
    assert fs.isdir("sky/new/")
    assert fs.ls("sky/new") == fs.find("sky/new") == []
    assert "sky/new" in fs.find("sky", withdirs=True)


def test_exists(object_server: ObjectServer, fs: Any) -> None:
    """What the server does not know does not exist; a refusal is an error, as in isdir and isfile."""
    assert fs.exists("sky/data")
    assert fs.exists("sky/night")
    assert not fs.exists("sky/nigh")
    assert not fs.exists("no-such-bucket/key")
    assert (fs.isfile("sky/data"), fs.isdir("sky/data")) == (True, False)
    assert (fs.isfile("sky/night"), fs.isdir("sky/night")) == (False, True)
    stranger = S3FileSystem(endpoint_url=object_server.url, anonymous=True)
    for ask in (stranger.exists, stranger.isdir, stranger.isfile, stranger.find, stranger.ls, stranger.glob):
        with pytest.raises(AccessDeniedError):
            ask("sky/data")
    with pytest.raises(AccessDeniedError):
        stranger.glob("sky/*")


def test_find_glob_walk(object_server: ObjectServer, fs: Any) -> None:
    """All of a tree is found by one request; patterns and walks are fsspec's."""
    object_server.clear()
    assert fs.find("sky/night") == ["sky/night/1.fits", "sky/night/2.fits", "sky/night/deep/3.fits"]
    assert len(object_server.requests) == 1
    assert fs.find("sky/night/", withdirs=True)[:1] == ["sky/night"]
    assert fs.find("sky/night", maxdepth=1) == ["sky/night/1.fits", "sky/night/2.fits"]
    assert fs.find("sky/data", detail=True) == {"sky/data": fs.info("sky/data")}
    assert fs.find("sky/nigh") == []
    assert fs.glob("sky/night/*.fits") == ["sky/night/1.fits", "sky/night/2.fits"]
    assert fs.glob("astro+s3://sky/**/*.fits") == fs.find("sky/night")
    assert fs.glob("sky/n*/") == fs.glob("sky/n*/", detail=False) == ["sky/night"]
    assert fs.glob("sky/nothing*") == []
    assert list(fs.walk("sky/night/")) == [
        ("sky/night", ["deep"], ["1.fits", "2.fits"]),
        ("sky/night/deep", [], ["3.fits"]),
    ]
    assert fs.du("sky/night") == sum(len(key) for key in TREE if key.startswith("night/"))


KEYS = sorted(
    {
        *ODD_KEYS.values(),
        "a[1].fits",
        "a1.fits",
        "x*y",
        "[!a]",
        "v?versionId=1",
        "k?sig=abc",
        "a//",
        "b//c//d",
    }
    | {f"in {key}/file" for key in ("*", "[0]", "?", "a+b", "50%", "v?versionId=1", "銀")}
)


def test_every_name_can_be_given_back(object_server: ObjectServer, fs: Any) -> None:
    """Whatever characters a key has, what lists and finds it names it, and no name is a pattern."""
    for key in KEYS:
        object_server.put("odd", key, b"under " + key.encode())
    found = fs.find("odd", detail=True)
    assert sorted(fs.cat_file(name) for name in found) == sorted(b"under " + key.encode() for key in KEYS)
    for name, info in found.items():
        assert fs.info(name) == info
        content = fs.cat_file(name)
        assert fs.cat(name) == content
        assert fs.cat([name]) == {name: content}
        assert fs.cat_ranges([name], 1, 6) == [content[1:6]]
        with fs.open(fs.unstrip_protocol(name)) as file:
            assert file.read() == content


def test_every_folder_can_be_given_back(object_server: ObjectServer, fs: Any) -> None:
    """Going down folder by folder, also through empty names, leads to each object."""
    for key in KEYS:
        object_server.put("odd", key, b"under " + key.encode())

    def below(folder: str) -> Iterator[str]:
        for info in fs.ls(folder):
            name = info["name"]
            assert fs.exists(name)
            yield from below(name) if info["type"] == "directory" else [name]

    assert sorted(below("odd")) == fs.find("odd")


def test_other_names_of_a_bucket(object_server: ObjectServer, options: dict[str, Any]) -> None:
    """A URL of a provider, or of a configured endpoint, lists its bucket too; names are percent-encoded."""
    object_server.put("sky", "two words/50%.fits", b"x")
    fs = fsspec.filesystem("astro+http", **options)
    root = object_server.url.removeprefix("http://")
    assert fs.ls(f"{root}/sky/two%20words", detail=False) == [f"{root}/sky/two%20words/50%25.fits"]
    assert fs.find(f"{object_server.url}/sky/two%20words/") == [f"{root}/sky/two%20words/50%25.fits"]
    assert fs.cat(f"astro+http://{root}/sky/two%20words/50%25.fits") == b"x"


def test_what_asking_costs(object_server: ObjectServer, fs: Any) -> None:
    """One request for an object, one more for a folder; reading a known range asks for nothing else."""
    for ask, requests in (
        (lambda: fs.info("sky/data"), 1),
        (lambda: fs.info("sky/night"), 2),
        (lambda: fs.ls("sky/night"), 1),
        (lambda: fs.find("sky", withdirs=True), 1),
        (lambda: fs.cat_file("sky/data", 10, 20), 1),
        (lambda: fs.open("sky/data"), 1),
    ):
        object_server.clear()
        ask()
        assert len(object_server.requests) == requests


# Bytes


@pytest.mark.parametrize(
    "bounds",
    [
        (None, None),
        (0, 10),
        (5, 5),
        (10, 5),
        (-10, None),
        (-20, -10),
        (100, None),
        (0, 10**9),
        (10**9, 10**9 + 1),
    ],
)
def test_cat_file_cuts_as_slices_do(
    object_server: ObjectServer, fs: Any, bounds: tuple[int | None, int | None]
) -> None:
    """Negative bounds count from the end; what lies beyond is empty, also if the server tells no size."""
    assert fs.cat_file("sky/data", *bounds) == DATA[slice(*bounds)]
    assert fs.cat_ranges(["sky/data"], *bounds) == [DATA[slice(*bounds)]]
    object_server.put("sky", "nothing", b"")
    assert fs.cat_file("sky/nothing", *bounds) == b""
    object_server.inject(Fault.unknown_total(), times=None)
    assert fs.cat_file("sky/data", *bounds) == DATA[slice(*bounds)]


def test_cat_head_tail(fs: Any) -> None:
    """Each of them reads what it says."""
    assert fs.cat("sky/night/*.fits") == {
        name: name[4:].encode() for name in fs.find("sky/night", maxdepth=1)
    }
    assert fs.head("sky/data", 10) == DATA[:10]
    assert fs.tail("sky/data", 10) == DATA[-10:]
    assert fs.read_text("sky/readme") == "readme"
    assert fs.read_block("sky/stars.csv", 8, 12, delimiter=b"\n") == b"83.75,-5.5\n"
    assert fs.read_bytes("sky/data", start=2, end=4) == DATA[2:4]


def test_errors_of_cat(fs: Any) -> None:
    """One that fails is raised, left out or in its place, as fsspec has it."""
    paths = ["sky/readme", "sky/none"]
    with pytest.raises(ObjectNotFoundError):
        fs.cat(paths)
    assert fs.cat(paths, on_error="omit") == {"sky/readme": b"readme"}
    found = fs.cat(paths, on_error="return")
    assert found["sky/readme"] == b"readme"
    assert isinstance(found["sky/none"], ObjectNotFoundError)


@pytest.mark.parametrize(("start", "end"), [(4, 100), (4, None), (None, None), (-3, None)])
def test_cat_ranges_reads_all_objects_at_once(
    object_server: ObjectServer, fs: Any, start: int | None, end: int | None
) -> None:
    """No object waits for another's answer: the server answers none before it is asked for all."""
    paths = [f"sky/many/{number}" for number in range(12)]
    for path in paths:
        object_server.put(*path.split("/", 1), path.encode())
    all_asked = threading.Barrier(len(paths))

    def together(request: Any, serve: Any) -> Any:
        all_asked.wait(20)
        return serve()

    object_server.inject(Fault("together", together), times=len(paths))
    assert fs.cat_ranges(paths, start, end) == [path.encode()[start:end] for path in paths]
    assert len(object_server.requests) == len(paths)


def test_cat_ranges_in_the_order_asked_for(object_server: ObjectServer, fs: Any) -> None:
    """Ranges of one object are read together, wherever they stand, and of one version."""
    paths = ["sky/data", "astro+s3://sky/readme", "sky/data", "sky/data"]
    object_server.clear()
    found = fs.cat_ranges(paths, [10, 0, 2, -4], [20, 3, 5, None])
    assert found == [DATA[10:20], b"rea", DATA[2:5], DATA[-4:]]
    assert fs.cat_ranges(["sky/data"] * 3, 0, [2, 4, 6]) == [DATA[:2], DATA[:4], DATA[:6]]
    assert fs.cat_ranges([], [], []) == []
    for starts in ([1], [1, 2, 3, 4, 5]):
        with pytest.raises(ValueError, match="zip"):
            fs.cat_ranges(paths, starts, 10)


def test_bounds_may_be_of_numpy(fs: Any) -> None:
    """Whatever is an integer is a bound, one for all or an array; a small type does not overflow."""
    paths = ["sky/data", "sky/data"]
    assert fs.cat_ranges(paths, np.int64(0), np.uint8(200)) == [DATA[:200]] * 2
    starts, ends = np.array([0, 200], dtype=np.uint8), np.array([100, 255], dtype=np.uint8)
    assert fs.cat_ranges(paths, starts, ends) == [DATA[:100], DATA[200:255]]
    assert fs.cat_ranges(paths, np.array(-3), [None, np.int16(-1)]) == [DATA[-3:], DATA[-3:-1]]
    assert fs.cat_ranges([], np.array([], int), np.array([], int)) == []
    assert fs.cat_file("sky/data", np.uint8(250), np.uint8(255)) == DATA[250:255]
    with pytest.raises(TypeError):
        fs.cat_ranges(paths, 0.5, 3)


def test_errors_of_cat_ranges_stand_in_their_place(fs: Any) -> None:
    """Those of one object do not spoil the others, whichever step they are found at."""
    paths = ["sky/readme", "sky/none", "no bucket!/key", "sky/none", "sky/data"]
    found = fs.cat_ranges(paths, [0, 0, 0, -5, 5], [3, 10, 10, None, 7])
    assert (found[0], found[4]) == (b"rea", DATA[5:7])
    assert isinstance(found[1], ObjectNotFoundError)
    assert isinstance(found[2], InvalidLocationError)
    assert isinstance(found[3], ObjectNotFoundError)


def test_an_error_that_is_raised_ends_the_other_reads(object_server: ObjectServer, fs: Any) -> None:
    """What is on its way is given up at once, and what has not begun never does."""
    asked: list[str] = []

    def apply(request: Any, serve: Any) -> Any:
        asked.append(str(request))
        return Fault.never_answers().apply(request, serve)

    paths = ["sky/none"]
    for number in range(40):
        paths.append(f"sky/slow/{number}")
        object_server.inject(Fault("silent", apply), times=None, key=f"slow/{number}")
    with pytest.raises(ObjectNotFoundError):
        fs.cat_ranges(paths, 0, 1000, on_error="raise")
    object_server.wait_for_requests(len(asked) + 1)  # they end when the client leaves
    assert len(asked) <= fs._client.settings.concurrency


def test_open_takes_the_size_of_the_cache(options: dict[str, Any], fs: Any) -> None:
    """For all files of a file system, or for one; settings of other caches do nothing."""
    assert fs.open("sky/data")._cache.size == filesystem.CACHE_SIZE
    assert S3FileSystem(**options, cache_size=0).open("sky/data")._cache.size == 0
    with fs.open("sky/data", cache_size=1 << 20, block_size=5, cache_options={"a": 1}) as file:
        assert file._cache.size == 1 << 20


# Copies


class TestGet(AbstractFixtures, AbstractGetTests):
    """fsspec's own tests of get; what they put there first goes straight to the server's disk."""

    @pytest.fixture
    def fs(self, object_server: ObjectServer, options: dict[str, Any]) -> Any:
        class Filled(S3FileSystem):
            def mkdir(self, path: str) -> None:
                """There are no folders."""

            makedirs = mkdir

            def rm(self, path: str, recursive: bool = False) -> None:
                """The server goes with the test."""

            def touch(self, path: str) -> None:
                self.pipe(path, b"")

            def pipe(self, path: str, value: bytes) -> None:
                object_server.put(*path.split("/", 1), value)

        return Filled(**options)

    @pytest.fixture
    def local_fs(self) -> Any:
        return LocalFileSystem(auto_mkdir=True)

    @pytest.fixture
    def fs_path(self) -> str:
        return "abstract"

    @pytest.fixture
    def fs_join(self) -> Any:
        return lambda *parts: "/".join(parts)


def test_a_whole_bucket_is_copied(fs: Any, tmp_path: Path) -> None:
    """With its folders, in one call."""
    fs.get("sky", str(tmp_path / "copy"), recursive=True)
    copied = [path.relative_to(tmp_path / "copy").as_posix() for path in (tmp_path / "copy").rglob("*.*")]
    assert sorted(copied) == ["night.log", "night/1.fits", "night/2.fits", "night/deep/3.fits", "stars.csv"]
    assert (tmp_path / "copy" / "data").read_bytes() == DATA


def copied(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder, by name."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


ODD = ["a", "c?versionId=3", "deep/d e?versionId=4", "v?versionId=1/x"]


@pytest.mark.parametrize("folder", ["sky/odd/", "sky/odd", "astro+s3://sky/odd/"])
def test_a_folder_is_copied_with_keys_that_only_urls_name(
    object_server: ObjectServer, fs: Any, tmp_path: Path, folder: str
) -> None:
    """Every file is where its key says, and no other file is moved by it."""
    for key in ODD:
        object_server.put("sky", f"odd/{key}", key.encode())
    fs.get(folder, f"{tmp_path}/to/new", recursive=True)
    assert copied(tmp_path / "to") == {f"new/{key}": key.encode() for key in ODD}
    (tmp_path / "there").mkdir()
    fs.get(folder, tmp_path / "there", recursive=True, maxdepth=1)
    inside = "" if folder.endswith("/") else "odd/"
    expected = {f"{inside}{key}": key.encode() for key in ODD[:2]}
    assert copied(tmp_path / "there") == expected
    fs.get(fs.find(folder), f"{tmp_path}/flat/")
    assert sorted(copied(tmp_path / "flat")) == ["a", "c?versionId=3", "d e?versionId=4", "x"]


def test_a_folder_that_a_url_names_is_copied(
    object_server: ObjectServer, options: dict[str, Any], tmp_path: Path
) -> None:
    """Its files are called by their keys, not as a URL spells them."""
    object_server.put("sky", "two words/50%.fits", b"x")
    fs = fsspec.filesystem("astro+http", **options)
    fs.get(f"{object_server.url}/sky/two%20words/", f"{tmp_path}/new", recursive=True)
    assert copied(tmp_path / "new") == {"50%.fits": b"x"}


def test_get_file_appears_whole(object_server: ObjectServer, fs: Any, tmp_path: Path) -> None:
    """A copy that fails leaves what was there before, and nothing beside it."""
    (tmp_path / "data").write_bytes(b"before")
    object_server.inject(Fault.whole_body(), times=None, key="long")
    object_server.put("sky", "long", bytes(20 << 20))
    for broken in ("sky/none", "sky/long"):
        with pytest.raises(StorageError):
            fs.get_file(broken, tmp_path / "data")
    assert [path.name for path in tmp_path.glob("data*")] == ["data"]
    assert (tmp_path / "data").read_bytes() == b"before"
    fs.get_file("sky/data", tmp_path / "data")
    assert (tmp_path / "data").read_bytes() == DATA
    stream = io.BytesIO()
    fs.get_file("sky/data", stream)
    assert stream.getvalue() == DATA


def test_no_key_leads_out_of_the_folder_it_is_copied_to(
    object_server: ObjectServer, fs: Any, tmp_path: Path
) -> None:
    """Whoever fills a bucket does not choose which files of its reader are overwritten."""
    (tmp_path / "to" / "in").mkdir(parents=True)
    tmp_path /= "to"
    object_server.put("bad", "../../above", b"x")
    for get in (
        lambda: fs.get("bad", f"{tmp_path}/in/", recursive=True),
        lambda: fs.get_file("bad/../../above", f"{tmp_path}/in/bad/../../above"),
    ):
        with pytest.raises(ValueError, match=r"destination|leads out"):
            get()
    assert copied(tmp_path) == {}
    object_server.put("worse", "a/../../../above?versionId=1", b"x")
    object_server.put("worse", "a/0", b"x")
    with pytest.raises(InvalidLocationError, match=r"above.*leads out"):
        fs.get("worse/a", f"{tmp_path}/in", recursive=True)
    assert copied(tmp_path) == {}
    fs.get_file("bad/../../above", tmp_path / "in" / "above")
    assert (tmp_path / "in" / "above").read_bytes() == b"x"


# Writing


WRITES = {
    "open": lambda fs: fs.open("sky/new", "wb"),
    "append": lambda fs: fs.open("sky/readme", "ab"),
    "text": lambda fs: fs.open("sky/new", "w"),
    "exclusive": lambda fs: fs.open("sky/new", "xb"),
    "update": lambda fs: fs.open("sky/readme", "r+b"),
    "pipe": lambda fs: fs.pipe("sky/new", b"x"),
    "pipe_file": lambda fs: fs.pipe_file("sky/new", b"x"),
    "put": lambda fs: fs.put(__file__, "sky/new"),
    "put_file": lambda fs: fs.put_file(__file__, "sky/new"),
    "touch": lambda fs: fs.touch("sky/new"),
    "mkdir": lambda fs: fs.mkdir("sky/new"),
    "makedirs": lambda fs: fs.makedirs("sky/new", exist_ok=True),
    "rmdir": lambda fs: fs.rmdir("sky/night"),
    "rm": lambda fs: fs.rm("sky/readme"),
    "rm_file": lambda fs: fs.rm_file("sky/readme"),
    "copy": lambda fs: fs.copy("sky/readme", "sky/new"),
    "mv": lambda fs: fs.mv("sky/readme", "sky/new"),
    "write_text": lambda fs: fs.write_text("sky/new", "x"),
}


@pytest.mark.parametrize("write", WRITES)
def test_nothing_can_be_written(fs: Any, write: str) -> None:
    """Every way to write is refused, in words, and none does nothing silently."""
    with pytest.raises(NotImplementedError, match=r"astro\+s3:// can be read, not written"):
        WRITES[write](fs)
    assert fs.cat("sky/readme") == b"readme"


# Processes, copies and secrets


SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


def test_a_pickle_reads_on_and_holds_no_found_secret(
    object_server: ObjectServer, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy finds credentials where it is; one that was given them takes them along."""
    for name, value in object_server.environ.items():
        monkeypatch.setenv(name, value)
    fs = fsspec.filesystem("astro+s3")
    assert fs.cat("sky/readme") == b"readme"
    sent = pickle.dumps(fs)
    assert object_server.secret_key.encode() not in sent
    assert pickle.loads(sent).cat("sky/readme") == b"readme"
    assert pickle.loads(sent) == fs
    given = S3FileSystem(**options)
    assert pickle.loads(pickle.dumps(given)).cat("sky/readme") == b"readme"
    file = pickle.loads(pickle.dumps(given.open("sky/data")))
    assert file.read() == DATA
    with pickle.loads(pickle.dumps(fsspec.open("astro+s3://sky/readme", "r", **options))) as text:
        assert text.read() == "readme"


def test_secrets_are_not_shown() -> None:
    """Not in what is printed, hashed for dask, or written as JSON."""
    auth = AWSAuth(access_key="AKIDEXAMPLE", secret_key=SECRET)
    fs = S3FileSystem(auth=auth)
    for text in (repr(fs), str(fs), fs._fs_token, str(fs.__dask_tokenize__()), repr(fs.storage_options)):
        assert SECRET not in text
    for given in (
        {"auth": auth},
        {"auth": ("user", SECRET)},
        {"client": Client(auth=auth)},
        {"endpoint_url": f"https://user:{SECRET[:10]}@s3.example"},
    ):
        with pytest.raises(TypeError, match="pickle it") as raised:
            S3FileSystem(**given).to_json()
        assert SECRET not in f"{raised.value} {S3FileSystem(**given)!r}"
    plain = S3FileSystem(region="eu-west-1", request_payer=True)
    assert fsspec.AbstractFileSystem.from_json(plain.to_json()) == plain


def test_file_systems_are_told_apart_by_secrets_too() -> None:
    """Two auths that print alike sign differently, so nothing may take one for the other."""
    auths = [AWSAuth(access_key="AKIDEXAMPLE", secret_key=secret) for secret in ("one", "two")]
    assert repr(auths[0]) == repr(auths[1])
    one, two = (fsspec.filesystem("astro+s3", auth=auth) for auth in auths)
    assert one._access["auth"] is auths[0]
    assert two._access["auth"] is auths[1]
    assert one != two
    assert hash(one) != hash(two)
    assert one._fs_token != two._fs_token
    assert pickle.loads(pickle.dumps(one)) == one != two


def test_equal_file_systems_share_connections() -> None:
    """Making one costs nothing: those with the same settings have one client, and are equal."""
    one, two = (fsspec.filesystem("astro+s3", region="eu-west-1") for _ in range(2))
    assert one == two
    assert hash(one) == hash(two)
    assert one._client is two._client
    assert one._client is not fsspec.filesystem("astro+s3")._client
    assert one != fsspec.filesystem("astro+s3", region="eu-west-1", request_payer=True)
    assert one != fsspec.filesystem("astro+gs", region="eu-west-1")
    client = Client(settings=Settings(region="eu-west-1"))
    assert fsspec.filesystem("astro+s3", client=client)._client is client


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"anon": True}, "anon: not known to"),
        ({"anonymous": True, "request_payer": True}, "nobody signs"),
        ({"anonymous": True, "auth": ("a", "b")}, "nobody signs"),
        ({"client": Client(), "region": "eu-west-1"}, "it has its own"),
        ({"client": Client(), "anonymous": True}, "it has its own"),
    ],
)
def test_options_that_cannot_be_meant_are_errors(given: dict[str, Any], says: str) -> None:
    """An option of another package is not ignored: who is anonymous by mistake, or not, must hear of it."""
    with pytest.raises(TypeError, match=says):
        S3FileSystem(**given)


def _child(fs: Any, answers: Any) -> None:
    answers.put((fs.cat("sky/readme"), fs.cat_ranges(["sky/data", "sky/readme"], 0, 4)))


@forks
def test_a_forked_process_reads_on(fs: Any) -> None:
    """With connections of its own, after this process used its."""
    assert fs.cat_ranges(["sky/data", "sky/readme"], 0, 4) == [DATA[:4], b"read"]
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=_child, args=(fs, answers))
    child.start()
    assert answers.get() == (b"readme", [DATA[:4], b"read"])
    child.join()
    assert fs.cat("sky/readme") == b"readme"


# Other servers


def test_a_web_server(caddy_server: RunningWebServer, tmp_path: Path) -> None:
    """It cannot list: what it does not have does not exist, and a folder of it is an error, not empty."""
    store = stores.of_web_server(caddy_server, "filesystem")
    store.put("two words.txt", b"found")
    fs = HTTPFileSystem()
    there, missing = store.location("two words.txt"), store.location("none")
    assert fs.exists(there)
    assert not fs.exists(missing)
    assert not fs.isdir(missing)
    assert fs.cat(f"astro+{there}") == b"found"
    assert fs.cat(f"{there}?a=[1]") == b"found"
    assert fs.ls(there, detail=False) == fs.find(there) == [there.removeprefix("http://")]
    fs.get(there, str(tmp_path / "here"))
    assert (tmp_path / "here").read_bytes() == b"found"
    with pytest.raises(ObjectNotFoundError):
        fs.get(missing, str(tmp_path / "none"))
    assert os.listdir(tmp_path) == ["here"]
    with pytest.raises(InvalidLocationError, match="no way to list"):
        fs.ls(store.root)
    signed = "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=me&X-Amz-Signature=5ec2e7"
    assert fs.cat(there + signed) == b"found"
    assert fs.exists(there + signed)
    with pytest.raises(ObjectNotFoundError) as raised:
        fs.info(missing + signed)
    assert "5ec2e7" not in str(raised.value)
    with fsspec.open(f"astro+{there}", "r") as file:
        assert file.read() == "found"


def test_a_real_server(rclone_server: RunningServer) -> None:
    """What our own server answers is no accident of it."""
    store = stores.of_s3(rclone_server, "filesystem")
    for key in ("night/1 a.fits", "night/deep/2+b.fits", "50%.fits"):
        store.put(key, key.encode())
    fs = fsspec.filesystem("astro+s3", auth=store.auth, **store.settings)
    names = ["filesystem/50%.fits", "filesystem/night/1 a.fits", "filesystem/night/deep/2+b.fits"]
    assert fs.find("filesystem") == names
    assert fs.cat_ranges(names, 0, 2) == [b"50", b"ni", b"ni"]
    assert fs.isdir("filesystem/night")
    assert not fs.exists("filesystem/none")


def test_names_of_azure_begin_with_the_account() -> None:
    """The container is the second part, and no object is in an account."""
    fs = AzureFileSystem()
    assert fs._place("hubble/sky").key == ""
    assert fs._place("hubble/sky/a").key == "a"
    with pytest.raises(InvalidLocationError, match="az://account/container/key"):
        fs.ls("hubble")
