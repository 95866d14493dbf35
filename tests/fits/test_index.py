"""An index: no request for headers, one for pixels, and never old headers with new pixels."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astro_cloud.exceptions import (
    AstroCloudWarning,
    CorruptFITSError,
    FITSError,
    NotFITSError,
    ObjectChangedError,
    ObjectNotFoundError,
    RangeNotSupportedError,
    StorageError,
)
from astro_cloud.fits import Index, load_headers, save_index
from astro_cloud.storage import Client, Settings
from astro_cloud.storage.presign import presign
from astro_cloud.testing import Fault, ObjectServer
from tests.fits import made
from tests.fits.conftest import Put
from tests.fits.made import from_memory, opened
from tests.fits.sources import extension, primary
from tests.servers import stores
from tests.servers.caddy import RunningWebServer
from tests.servers.process import RunningServer
from tests.servers.stores import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where an index is to be; its folder is not there yet."""
    return tmp_path / "indexes" / "survey.json"


@pytest.fixture
def index(night: ObjectServer, survey: str, frugal: Client, path: Path) -> Index:
    """The index of the survey, saved; and the server's log empty."""
    index = save_index(survey, path, client=frugal)
    night.clear()
    return index


def headers(location: str, client: Client, **options: Any) -> list[tuple[int, bytes]]:
    """Return where each header is, and its cards."""
    return [(header.offset, header.raw) for header in load_headers(location, client=client, **options)]


def other() -> bytes:
    """Return another file of the same length and shapes."""
    return made.survey().replace(b"ERR", b"VAR")


# What it saves


@pytest.mark.parametrize("given", ["path", "text", "index"])
def test_opening_asks_for_nothing(
    far: ObjectServer, survey: str, frugal: Client, index: Index, given: str
) -> None:
    """No request at opening, nor for any header; the first pixels are one round trip, which is pinned."""
    how = {"path": index.path, "text": str(index.path), "index": index}[given]
    with opened(survey, client=frugal, index=how) as hdus, from_memory(made.survey()) as theirs:
        assert hdus.info(output=False) == theirs.info(output=False)
        assert [hdu.header.tostring() for hdu in hdus] == [hdu.header.tostring() for hdu in theirs]
        assert len(far.requests) == 0
        assert np.array_equal(hdus["SCI", 2].section[9:300:90, 5:7], theirs[3].data[9:300:90, 5:7])
        assert far.requests.round_trips == 1
        assert index.version.etag
        assert {record.headers.get("if-match") for record in far.requests} == {index.version.etag}


@pytest.mark.parametrize(("name", "trips"), [("RICE", 2), ("GZIP", 2), ("CAT", 2), ("DQ", 1)])
def test_the_first_data_of_each_kind(
    far: ObjectServer, survey: str, frugal: Client, index: Index, name: str, trips: int
) -> None:
    """Tiles are two round trips, rows of a table with a heap too, plain pixels one: all are right."""
    with opened(survey, client=frugal, index=index) as hdus, from_memory(made.survey()) as theirs:
        if name == "CAT":
            assert all(map(np.array_equal, hdus[name].data["FLUX"], theirs[name].data["FLUX"]))
        else:
            assert np.array_equal(hdus[name].section[300:303, 7], theirs[name].section[300:303, 7])
        assert far.requests.round_trips <= trips
        assert {record.headers.get("if-match") for record in far.requests} == {index.version.etag}


def test_headers_cost_a_byte(night: ObjectServer, survey: str, frugal: Client, index: Index) -> None:
    """`load_headers` reads one byte, which proves the index current, and returns the same headers."""
    found = headers(survey, frugal, index=index)
    assert [(record.range, record.body_bytes) for record in night.requests] == [("bytes=0-0", 1)]
    assert found == headers(survey, frugal)


def test_making_it_costs_the_headers(night: ObjectServer, survey: str, frugal: Client, path: Path) -> None:
    """What is read is what `load_headers` reads; what is kept tells the object, its version and its HDUs."""
    index = save_index(survey, path, client=frugal)
    cost = len(night.requests)
    night.clear()
    assert [(header.offset, header.raw) for header in index.headers] == headers(survey, frugal)
    assert len(night.requests) == cost
    assert (index.location, index.path, index.version.total) == (survey, path, len(made.survey()))
    assert Index.load(path).version == index.version


def test_its_usual_place(
    night: ObjectServer, survey: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`index=True` finds what was saved without a path: in the user's folder of caches, wherever that is."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    saved = save_index(survey)
    assert saved.path is not None
    assert saved.path.parent == tmp_path / "caches" / "astro-cloud" / "indexes"
    night.clear()
    with opened(survey, index=True) as hdus:
        assert len(hdus) == 8
    assert len(list(load_headers(survey, index=True))) == 8
    assert len(night.requests) == 1
    monkeypatch.delenv("XDG_CACHE_HOME")
    home = save_index(survey).path
    assert home == Path.home() / ".cache" / "astro-cloud" / "indexes" / saved.path.name


@pytest.mark.parametrize("none", [None, False])
def test_no_index(night: ObjectServer, survey: str, frugal: Client, none: bool | None) -> None:
    """None and False are no index: headers are read."""
    with opened(survey, client=frugal, index=none) as hdus:
        assert hdus[1].name == "SCI"
    assert len(headers(survey, frugal, index=none)) == 8
    assert len(night.requests) > 1


def test_of_a_local_file(survey_path: Path, path: Path) -> None:
    """A local file has an index too, and is held to it."""
    save_index(survey_path, path)
    with opened(survey_path, index=path) as hdus:
        assert hdus["ERR"].section[3, 3] == made.image("ERR").data[3, 3]
    survey_path.write_bytes(other())
    with opened(survey_path, index=path) as hdus:
        assert hdus[2].name == "ERR"
        with pytest.raises(ObjectChangedError):
            hdus[2].section[3, 3]
    with pytest.warns(AstroCloudWarning, match="made anew"):
        assert [header.name for header in load_headers(survey_path, index=path)][2] == "VAR"


def test_one_object_by_any_of_its_names(
    night: ObjectServer, survey: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index serves every spelling of the same object."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", night.url)
    save_index("s3://night/file.fits", path)
    for spelt in ("s3://night/file.fits", survey, survey.replace("file", "%66ile")):
        with opened(spelt, index=path) as hdus:
            assert hdus[4].section[0, 0] == made.image("DQ", dtype="u2").data[0, 0]


# When it is stale


def test_a_stale_index_is_made_anew(
    night: ObjectServer, survey: str, frugal: Client, index: Index, path: Path
) -> None:
    """`load_headers` warns at the caller's line, reads the headers that are there, and writes them down."""
    night.put("night", "file.fits", other())
    with pytest.warns(AstroCloudWarning, match="overwritten.*made anew") as caught:
        found = headers(survey, frugal, index=path)
    assert [one.filename for one in caught] == [__file__]
    assert found == headers(survey, frugal)
    assert b"'VAR" in found[2][1]
    night.clear()
    assert headers(survey, frugal, index=path) == found
    assert len(night.requests) == 1


def test_a_stale_index_at_hand_is_not_written(
    night: ObjectServer, survey: str, frugal: Client, index: Index, path: Path
) -> None:
    """An index without a path is made anew for this call alone."""
    night.put("night", "file.fits", other())
    before = path.read_bytes()
    with pytest.warns(AstroCloudWarning, match="made anew"):
        found = headers(survey, frugal, index=replace(index, path=None))
    assert found == headers(survey, frugal)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["SCI", "DQ", "RICE", "GZIP"])
def test_old_headers_never_with_new_pixels(
    night: ObjectServer, survey: str, frugal: Client, index: Index, name: str
) -> None:
    """An HDUList that was opened by a stale index raises ObjectChangedError, and goes on raising it."""
    night.put("night", "file.fits", other())
    with opened(survey, client=frugal, index=index) as hdus:
        assert hdus[2].name == "ERR"
        for _ in range(2):
            with pytest.raises(ObjectChangedError):
                hdus[name].section[300, 300]
        with pytest.raises(ObjectChangedError):
            _ = hdus[name].data


def test_an_object_that_is_gone(night: ObjectServer, survey: str, frugal: Client, index: Index) -> None:
    """It is not found: not by its pixels, nor by its headers, which are not taken from the index."""
    night.path("night", "file.fits").unlink()
    with opened(survey, client=frugal, index=index) as hdus, pytest.raises(ObjectNotFoundError):
        hdus[1].section[0, 0]
    with pytest.raises(ObjectNotFoundError):
        headers(survey, frugal, index=index)


# By what it is told


BARE = Fault(
    "tells no version",
    lambda request, serve: _without(serve(), "ETag", "Last-Modified"),
)


def _without(answer: Any, *names: str) -> Any:
    for name in names:
        answer = replace(answer, headers=answer.with_header(name, None))
    return answer


@pytest.mark.parametrize("fault", [Fault.no_etag(), Fault.changed_etag('W/"1"')], ids=["none", "weak"])
def test_without_a_strong_etag(
    night: ObjectServer, survey: str, frugal: Client, path: Path, fault: Fault
) -> None:
    """Size, date and weak ETag hold an index to its object; no If-Match is sent. Another date is stale."""
    night.inject(fault, times=None)
    saved = save_index(survey, path, client=frugal)
    assert saved.version.etag is None
    night.clear()
    with opened(survey, client=frugal, index=path) as hdus:
        assert hdus[1].section[300, 300] == made.image("SCI").data[300, 300]
    assert [record.headers.get("if-match") for record in night.requests] == [None]
    if saved.version.weak_etag is not None:
        night.clear_faults()
        night.inject(Fault.changed_etag('W/"2"'), times=None)
    else:
        os.utime(night.path("night", "file.fits"), (1e9, 1e9))
    with opened(survey, client=frugal, index=path) as hdus, pytest.raises(ObjectChangedError):
        hdus[1].section[300, 300]


def test_a_server_that_tells_nothing(
    night: ObjectServer, survey: str, frugal: Client, index: Index, path: Path
) -> None:
    """Without ETag and date no index can be held to an object: an error, when it is made and when used."""
    night.inject(BARE, times=None)
    before = path.read_bytes()
    with pytest.raises(StorageError, match="no ETag and no date"):
        save_index(survey, path, client=frugal)
    assert path.read_bytes() == before
    with opened(survey, client=frugal, index=index) as hdus, pytest.raises(StorageError):
        hdus[1].section[0, 0]


# The file


def test_the_file_is_json(index: Index, path: Path) -> None:
    """One object of JSON, and nothing else in the folder."""
    record = json.loads(path.read_text("ascii"))
    assert record["format"] == "astro-cloud index 1"
    assert len(record["headers"]) == 8
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_folder_that_cannot_be_written(survey: str, frugal: Client, tmp_path: Path) -> None:
    """A StorageError names the file."""
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "index.json", tmp_path / "folder"):
        with pytest.raises(StorageError) as caught:
            save_index(survey, path, client=frugal)
        assert caught.value.location == str(path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder", "object_server"]


def test_a_full_disk_leaves_what_was_there(
    survey: str, frugal: Client, index: Index, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that could not be written whole is not there, and the one before it is."""
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no space is left"):
        save_index(survey, path, client=frugal)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_saved_by_many_at_once(survey: str, frugal: Client, path: Path) -> None:
    """Whoever reads meanwhile finds a whole index, and nothing is left beside it."""
    save_index(survey, path, client=frugal)

    def work(number: int) -> int:
        if number % 2:
            save_index(survey, path, client=frugal)
        return len(Index.load(path).headers)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(24))) == [8] * 24
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


SECRET = "c2VjcmV0c2lnbmF0dXJl"


@pytest.fixture(scope="module")
def private(rclone_server: RunningServer) -> Store:
    """A server that judges presigned URLs, with the survey under two keys."""
    store = stores.of_s3(rclone_server, "indexed")
    for key in ("file.fits", "other.fits"):
        store.put(key, made.survey())
    return store


def presigned(store: Store, key: str = "file.fits", expires: int = 3600) -> str:
    """Return a URL of an object that is signed in its query."""
    with Client(auth=store.auth, settings=Settings(**store.settings)) as client:
        return presign(store.location(key), expires, client=client)


def test_no_signature_in_it(private: Store, rclone_server: RunningServer) -> None:
    """Nothing of a presigned URL's signature and access key is kept."""
    url = presigned(private)
    check_secrets(url, [rclone_server.access_key, url.partition("Signature=")[2].partition("&")[0]])


def test_no_sas_in_it(night: ObjectServer, survey: str) -> None:
    """Nor of the token that opens a blob to whoever has it."""
    check_secrets(f"{survey}?sv=2023-11-03&sr=b&sp=r&se=2030-01-01T00:00:00Z&sig={SECRET}", [SECRET])


def test_no_password_in_it(caddy_server: RunningWebServer) -> None:
    """Nor of a password before the host's name."""
    store = stores.of_web_server(caddy_server, "indexed")
    store.put("file.fits", made.survey())
    check_secrets(store.location("file.fits").replace("://", f"://reader:{SECRET}@"), [SECRET, "reader"])


def check_secrets(location: str, hidden: list[str]) -> None:
    """Save an index in its usual place, look for secrets in all that it shows, and open the file by it."""
    index = save_index(location)
    assert index.path is not None
    seen = index.path.read_text() + str(index.path) + repr(index) + index.path.name
    assert all(hidden)
    assert not [secret for secret in hidden if secret in seen]
    with opened(location, index=True) as hdus:
        assert hdus[1].section[0, 0] == made.image("SCI").data[0, 0]


def test_a_location_signed_anew(private: Store, path: Path) -> None:
    """The next signature of the same object finds the same index; that of another object does not."""
    save_index(presigned(private, expires=100), path)
    with opened(presigned(private, expires=200), index=path) as hdus:
        assert hdus[1].section[0, 0] == made.image("SCI").data[0, 0]
    with pytest.raises(ValueError, match="and not of"):
        opened(presigned(private, "other.fits"), index=path)


def test_bytes_that_are_not_ascii(put: Put, frugal: Client, path: Path) -> None:
    """They come back as they were, all of them, though JSON is text."""
    cards = [b"COMMENT " + bytes(range(start, start + 64)) for start in range(128, 256, 64)]
    url = put(primary(*cards, b'COMMENT \\ " \x00\x1f\x7f') + extension("IMAGE"))
    save_index(url, path, client=frugal)
    with pytest.warns(AstroCloudWarning, match="not ASCII"):
        read = headers(url, frugal)
    assert headers(url, frugal, index=path) == read
    assert cards[0] in read[0][1]


def test_an_index_is_pickled(night: ObjectServer, survey: str, frugal: Client, index: Index) -> None:
    """It goes to another process, and serves there as it does here."""
    again = pickle.loads(pickle.dumps(index))
    assert (again.path, again.version, again.location) == (index.path, index.version, index.location)
    assert [header.raw for header in again.headers] == [header.raw for header in index.headers]
    with opened(survey, client=frugal, index=again) as hdus:
        assert hdus[2].section[1, 1] == made.image("ERR").data[1, 1]
    assert len(night.requests) == 1


# What is no index


def test_a_missing_index(night: ObjectServer, survey: str, frugal: Client, path: Path) -> None:
    """It is ObjectNotFoundError, which says how to make one; nothing is read."""
    for missing in (path, True):
        with pytest.raises(ObjectNotFoundError, match="save_index"):
            opened(survey, client=frugal, index=missing)
        with pytest.raises(ObjectNotFoundError, match="save_index"):
            headers(survey, frugal, index=missing)
    assert not night.requests


def test_an_index_that_cannot_be_read(survey: str, frugal: Client, tmp_path: Path) -> None:
    """A folder in its place is a StorageError."""
    with pytest.raises(StorageError, match="directory"):
        opened(survey, client=frugal, index=tmp_path)


def test_the_index_of_another_object(night: ObjectServer, survey: str, frugal: Client, index: Index) -> None:
    """It is a ValueError that names both, before anything is read: also for another version by its id."""
    for location in (night.url_for("night", "other.fits"), f"{survey}?versionId=1", "s3://night2/file.fits"):
        for use in (index, index.path):
            with pytest.raises(ValueError, match=r"index of .*file\.fits, and not of"):
                opened(location, client=frugal, index=use)
            with pytest.raises(ValueError, match="and not of"):
                headers(location, frugal, index=use)
    assert not night.requests


def test_what_has_no_index(put: Put, frugal: Client, path: Path) -> None:
    """What is compressed whole, damaged, cut short or no FITS file has none: an error, and no file."""
    whole = made.survey()
    for data, error in (
        (gzip.compress(primary()), RangeNotSupportedError),
        (whole[:-40_000], CorruptFITSError),
        (primary() + extension("IMAGE", naxis=(-1,)), CorruptFITSError),
        (b"<html>", NotFITSError),
        (b"", NotFITSError),
    ):
        with pytest.raises(error):
            save_index(put(data), path, client=frugal)
        assert not path.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{}", b"[]", b"null", b"7", b'"text"', b"\xff\xfe", b"[" * 100_000, b'{"format":' * 50_000,
        b'{"format": "astro-cloud index 1"}', b'{"format": "astro-cloud index 2", "headers": []}',
        primary(),
    ],
    ids=lambda content: repr(content[:40]),
)  # fmt: skip
def test_what_is_no_index(survey: str, frugal: Client, tmp_path: Path, content: bytes) -> None:
    """Another file is a FITSError that says how to make an index."""
    (path := tmp_path / "index.json").write_bytes(content)
    for use in (Index.load, lambda path: opened(survey, client=frugal, index=path)):
        with pytest.raises(FITSError, match="save_index") as caught:
            use(path)
        assert caught.value.location == str(path)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes]]:
    """An index of a small local file, and its headers."""
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "file.fits").write_bytes(made.written(made.image("SCI", shape=(3, 4)), made.catalogue(rows=3)))
    index = save_index(folder / "file.fits", folder / "index.json")
    return folder / "index.json", [header.raw for header in index.headers]


@given(st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file(saved: tuple[Path, list[bytes]], data: st.DataObject) -> None:
    """Bytes flipped, lost, doubled or cut off: the same headers, or FITSError, and nothing else."""
    path, expected = saved
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        if not content:
            break
        at = data.draw(st.integers(0, len(content) - 1))
        count = data.draw(st.integers(1, 200))
        change = data.draw(st.sampled_from(["flip", "remove", "double", "cut", "digit"]))
        if change == "flip":
            content[at] ^= 1 << data.draw(st.integers(0, 7))
        elif change == "digit":
            content[at] = ord(data.draw(st.sampled_from("0123456789")))
        elif change == "remove":
            del content[at : at + count]
        elif change == "double":
            content[at:at] = content[at : at + count]
        elif at:
            del content[at:]
    loaded = outcome(path.with_name("damaged.json"), bytes(content))
    assert loaded is None or loaded == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_somebody_else_wrote(saved: tuple[Path, list[bytes]], data: st.DataObject) -> None:
    """A record of any values in the places of ours, its checksum right: an index, or FITSError."""
    path, _ = saved
    record = json.loads(path.read_bytes())
    del record["sha256"]
    inside = data.draw(st.sampled_from([record, record["version"], *record["headers"]]))
    name = data.draw(st.sampled_from(sorted(inside)))
    if data.draw(st.booleans()):
        inside[name] = data.draw(JSON)
    else:
        del inside[name]
    record["sha256"] = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    outcome(path.with_name("foreign.json"), json.dumps(record).encode())


def outcome(path: Path, content: bytes) -> list[bytes] | None:
    """Return the headers of an index with this content, None if it is refused."""
    path.write_bytes(content)
    try:
        return [header.raw for header in Index.load(path).headers]
    except FITSError:
        return None
