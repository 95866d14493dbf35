"""download_many: what is found becomes files of a folder, and nothing outside of it."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from astro_cloud import download_many
from astro_cloud.exceptions import (
    InvalidLocationError,
    ManyTransfersError,
    ObjectNotFoundError,
    StorageError,
)
from astro_cloud.storage import Client, Location
from astro_cloud.testing import Answer, Fault, ObjectServer
from tests.storage.downloads import LONG, interrupting, names_in
from tests.storage.reading import BUCKET, DATA, MakeClient, answering, harmless

NIGHT = f"s3://{BUCKET}/night/"
SIZES = {"night/1.fits": 10_000, "night/2.fits": 0, "night/deep/er/3.fits": 7, "night/log.txt": 3, "other": 9}


@pytest.fixture
def night(sky: ObjectServer) -> ObjectServer:
    """A server with a night's objects."""
    for key, size in SIZES.items():
        sky.put(BUCKET, key, DATA[:size])
    return sky


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that is not there yet."""
    return tmp_path / "to" / "here"


def files_in(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder by their names below it, hidden ones too."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def whole_in(folder: Path) -> list[str]:
    """Return the names of all files of a folder but parts."""
    return [name for name in files_in(folder) if ".astro-part" not in name]


def a_listing_of(*keys: str, size: int = 5, then: str = "") -> Fault:
    """Answer a listing, with keys that no file could have if need be; `then` is the token of a next page."""
    date = "<LastModified>2026-01-02T03:04:05.000Z</LastModified>"
    entries = "".join(f"<Contents><Key>{key}</Key>{date}<Size>{size}</Size></Contents>" for key in keys)
    more = f"<NextContinuationToken>{then}</NextContinuationToken>" if then else ""
    truncated = f"<IsTruncated>{str(bool(then)).lower()}</IsTruncated>"
    body = f"<ListBucketResult>{truncated}{more}{entries}</ListBucketResult>"
    return Fault("a_listing_of", lambda request, serve: Answer(200, (), body.encode()))


def five_bytes() -> Fault:
    """Answer any GET with the whole of an object of 5 bytes."""
    return Fault("five_bytes", lambda request, serve: Answer(200, (("ETag", '"5"'),), b"12345"))


class TestWhatIsFound:
    """Which objects, and the names they get."""

    def test_a_prefix_is_mirrored(self, night: ObjectServer, client: Client, folder: Path) -> None:
        """With its folders, and with each object's date."""
        done = download_many(NIGHT, folder, client=client)
        assert files_in(folder) == {
            key.removeprefix("night/"): DATA[:size] for key, size in SIZES.items() if key != "other"
        }
        assert {one.path for one in done.downloaded} == set(folder.rglob("*.*"))
        for one in done.downloaded:
            assert one.path is not None
            info = client.stat(one.location)
            assert info.last_modified is not None
            assert int(one.path.stat().st_mtime) == int(info.last_modified.timestamp())

    def test_half_a_name_is_a_prefix_too(self, night: ObjectServer, client: Client, folder: Path) -> None:
        """What is below its last slash is the file's name."""
        download_many(f"s3://{BUCKET}/night/1", folder, client=client)
        assert list(files_in(folder)) == ["1.fits"]

    def test_a_pattern(self, night: ObjectServer, client: Client, folder: Path) -> None:
        """What follows the folder before it is the file's name."""
        download_many(f"{NIGHT}*.fits", folder, client=client)
        assert list(files_in(folder)) == ["1.fits", "2.fits"]
        download_many(f"s3://{BUCKET}/n*/**/*.fits", folder, client=client)
        assert "night/deep/er/3.fits" in files_in(folder)

    def test_a_list(self, night: ObjectServer, client: Client, folder: Path) -> None:
        """Each under its base name; stars are no pattern there."""
        night.put(BUCKET, "a*[1].fits", DATA)
        locations = (
            f"{NIGHT}deep/er/3.fits",
            Location.parse(f"s3://{BUCKET}/other", client.settings),
            f"s3://{BUCKET}/a*[1].fits",
        )
        download_many(iter(locations), folder, client=client)
        assert list(files_in(folder)) == ["3.fits", "a*[1].fits", "other"]

    def test_no_list(self, client: Client, folder: Path) -> None:
        """Nothing is to be done, which is no error."""
        assert download_many([], folder, client=client).downloaded == []

    def test_nothing(self, night: ObjectServer, client: Client, folder: Path) -> None:
        """A prefix, a pattern or a bucket of nothing is an error, and no folder is made."""
        for location in (f"s3://{BUCKET}/day/", f"{NIGHT}*.jpg", "s3://nowhere/night/"):
            with pytest.raises(ObjectNotFoundError):
                download_many(location, folder, client=client)
        assert not folder.exists()

    def test_local_files(self, tmp_path: Path, folder: Path) -> None:
        """A folder of this machine is copied alike."""
        source = tmp_path / "source"
        (source / "deep").mkdir(parents=True)
        (source / "a.fits").write_bytes(LONG)
        (source / "deep" / "b.fits").write_bytes(DATA)
        os.utime(source / "a.fits", (1e9, 1e9))
        seen: list[tuple[int, int | None]] = []
        download_many(source, folder, progress=lambda *now: seen.append(now))
        assert files_in(folder) == files_in(source)
        assert seen[-1] == (len(LONG) + len(DATA), len(LONG) + len(DATA))
        assert len(download_many(source, folder).skipped) == 2

    def test_folders_that_consoles_make(self, sky: ObjectServer, client: Client, folder: Path) -> None:
        """An object without bytes whose key ends in a slash is a folder."""
        sky.inject(a_listing_of("night/", "night/empty/", size=0), method="GET")
        done = download_many(NIGHT, folder, client=client)
        assert done.downloaded == done.skipped == []
        assert [path.name for path in folder.iterdir()] == ["empty"]


class TestNames:
    """None leads out of the folder, and none is written to twice."""

    @pytest.mark.parametrize(
        "name",
        ["../out", "a/../../out", "/out", "a//b", "./a", "a/.", "..", "a/", "b/../"],
    )
    def test_names_that_are_refused(self, sky: ObjectServer, client: Client, folder: Path, name: str) -> None:
        """Each is an error of its own; the others come, and nothing is anywhere else."""
        sky.inject(a_listing_of(f"night/{name}", "night/fine"), method="GET")
        sky.inject(five_bytes(), times=None, method="GET")
        with pytest.raises(ManyTransfersError, match="1 of 2 files") as caught:
            download_many(NIGHT, folder, client=client, checksum=False)
        (error,) = caught.value.errors.values()
        assert isinstance(error, InvalidLocationError)
        assert "cannot be the name of a file" in str(error)
        assert files_in(folder.parent) == {"here/fine": b"12345"}

    def test_two_of_one_name(self, night: ObjectServer, client: Client, folder: Path) -> None:
        """The second is an error; which of them is there can be told from the result."""
        night.put(BUCKET, "day/1.fits", DATA[:5])
        with pytest.raises(ManyTransfersError, match="another object was to be written") as caught:
            download_many([f"{NIGHT}1.fits", f"s3://{BUCKET}/day/1.fits"], folder, client=client, workers=1)
        (done,) = caught.value.result.downloaded
        assert str(done.location) == f"{NIGHT}1.fits"
        assert files_in(folder) == {"1.fits": DATA[: SIZES["night/1.fits"]]}

    @pytest.mark.parametrize("workers", [1, 4])
    def test_a_name_that_is_a_folder_too(
        self, sky: ObjectServer, client: Client, folder: Path, workers: int
    ) -> None:
        """Stores have both; here the one that comes second is told."""
        sky.inject(a_listing_of("night/a", "night/a/b"), method="GET")
        sky.inject(five_bytes(), times=None, method="GET")
        with pytest.raises(ManyTransfersError) as caught:
            download_many(NIGHT, folder, client=client, checksum=False, workers=workers)
        (error,) = caught.value.errors.values()
        assert any(says in str(error) for says in ("is a file", "is a folder", "Is a directory"))
        assert len(whole_in(folder)) == 1

    def test_a_folder_that_cannot_be(self, night: ObjectServer, client: Client, tmp_path: Path) -> None:
        """A file in its place is told before anything is read."""
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(StorageError, match=r"no folder can be made: .*file is a file"):
            download_many([f"{NIGHT}1.fits"], tmp_path / "file" / "below", client=client)
        assert not night.requests


class TestAgain:
    """What is there is not fetched."""

    def test_nothing_is_fetched_twice(self, night: ObjectServer, client: Client, folder: Path) -> None:
        """A second run costs the listing alone, or for a list a HEAD each."""
        download_many(NIGHT, folder, client=client)
        night.clear()
        done = download_many(NIGHT, folder, client=client)
        assert (len(done.downloaded), len(done.skipped)) == (0, 4)
        assert len(night.requests) == 1
        night.clear()
        assert len(download_many([f"{NIGHT}1.fits"], folder, client=client).skipped) == 1
        assert [record.method for record in night.requests] == ["HEAD"]

    @pytest.mark.parametrize("change", ["size", "date", "gone"])
    def test_what_is_not_the_same(
        self, night: ObjectServer, client: Client, folder: Path, change: str
    ) -> None:
        """Another size, another date, or no file: it is fetched again."""
        download_many(NIGHT, folder, client=client)
        target = folder / "1.fits"
        if change == "gone":
            target.unlink()
        elif change == "date":
            target.write_bytes(b"x" * SIZES["night/1.fits"])
            os.utime(target, (1e9, 1e9))
        else:
            date = target.stat().st_mtime
            target.write_bytes(b"x")
            os.utime(target, (date, date))
        done = download_many(NIGHT, folder, client=client)
        assert [one.path for one in done.downloaded] == [target]
        assert target.read_bytes() == DATA[: SIZES["night/1.fits"]]

    def test_what_was_interrupted_is_gone_on_with(
        self, night: ObjectServer, make_client: MakeClient, folder: Path
    ) -> None:
        """A long object goes on where it was; those that are there stay."""
        night.put(BUCKET, "night/long.fits", LONG)
        night.inject(harmless(), times=2, method="GET", key="night/long.fits")
        night.inject(answering(500), times=None, method="GET", key="night/long.fits")
        options: dict[str, Any] = {"checksum": False, "workers": 2}
        with pytest.raises(ManyTransfersError, match="1 of 5 files"):
            download_many(NIGHT, folder, client=make_client(night, attempts=1), **options)
        night.clear_faults()
        done = download_many(NIGHT, folder, client=make_client(night), **options)
        (long,) = done.downloaded
        assert 0 < long.fetched < len(LONG)
        assert len(done.skipped) == 4
        assert files_in(folder)["long.fits"] == LONG
        assert names_in(folder) == ["1.fits", "2.fits", "deep", "log.txt", "long.fits"]

    def test_an_interrupt_leaves_the_parts(
        self, night: ObjectServer, make_client: MakeClient, folder: Path
    ) -> None:
        """Ctrl-C ends it at once, and the next goes on."""
        night.put(BUCKET, "night/long.fits", LONG)
        night.inject(harmless(), times=1, method="GET", key="night/long.fits")
        night.inject(Fault.stall(1 << 20), times=None, method="GET", key="night/long.fits")
        came = threading.Event()

        killer = interrupting(came)
        client = make_client(night)
        with pytest.raises(KeyboardInterrupt):
            download_many(
                NIGHT,
                folder,
                client=client,
                checksum=False,
                progress=lambda done, total: came.set() if done > 9 << 20 else None,
            )
        killer.join()
        assert "long.fits.astro-part.journal" in names_in(folder)
        night.clear_faults()
        done = download_many(NIGHT, folder, client=client, checksum=False)
        (fetched,) = [one.fetched for one in done.downloaded if one.size == len(LONG)]
        assert fetched < len(LONG)
        assert files_in(folder)["long.fits"] == LONG


class TestErrors:
    """One failure keeps no other from being done."""

    def test_each_is_told(self, night: ObjectServer, client: Client, folder: Path) -> None:
        """By its location, in the error and in its message; the rest is there."""
        gone = [f"{NIGHT}none{number}.fits" for number in range(25)]
        with pytest.raises(ManyTransfersError) as caught:
            download_many([*gone, f"{NIGHT}1.fits"], folder, client=client)
        error = caught.value
        assert sorted(error.errors) == sorted(gone)
        assert all(isinstance(one, ObjectNotFoundError) for one in error.errors.values())
        assert str(error).startswith("25 of 26 files could not be transferred:\n")
        assert str(error).endswith("... and 5 more")
        assert list(files_in(folder)) == ["1.fits"]
        assert error.result.errors == error.errors

    def test_no_objects_bytes_come_from_another(
        self, night: ObjectServer, make_client: MakeClient, folder: Path
    ) -> None:
        """Faults in the middle of many: each file is whole or not there."""
        for number in range(30):
            night.put(BUCKET, f"night/n{number}", bytes([number]) * 5000)
        night.inject(Fault.cut(100), times=20, method="GET")
        download_many(f"{NIGHT}n*", folder, client=make_client(night, attempts=30))
        assert files_in(folder) == {f"n{number}": bytes([number]) * 5000 for number in range(30)}

    def test_a_listing_that_fails_on_its_second_page(
        self, sky: ObjectServer, make_client: MakeClient, folder: Path
    ) -> None:
        """It is told in the end, and what was found until then is there; never a success."""
        sky.inject(a_listing_of("night/a", then="more"), method="GET")
        sky.inject(answering(500), method="GET", query="continuation-token=more")
        sky.inject(five_bytes(), times=None, method="GET")
        client = make_client(sky, attempts=1)
        with pytest.raises(ManyTransfersError, match="500") as caught:
            download_many(NIGHT, folder, client=client)
        assert list(caught.value.errors) == [NIGHT]
        assert len(caught.value.result.downloaded) == 1

    def test_a_text_that_is_no_location(
        self, sky: ObjectServer, make_client: MakeClient, folder: Path
    ) -> None:
        """It keeps no other from being downloaded; one that is named twice is downloaded once."""
        sky.put(BUCKET, "a.fits", b"a")
        sky.put(BUCKET, "b.fits", b"b")
        wanted = [f"s3://{BUCKET}/a.fits", "s3:///bad", f"s3://{BUCKET}/b.fits", f"s3://{BUCKET}/a.fits"]
        with pytest.raises(ManyTransfersError, match="bad") as caught:
            download_many(wanted, folder, client=make_client(sky))
        assert list(caught.value.errors) == ["s3:///bad"]
        assert sorted(path.name for path in folder.iterdir()) == ["a.fits", "b.fits"]
        assert len(caught.value.result.downloaded) == 2

    @pytest.mark.parametrize("name", ["a.astro-part", "a.astro-part.journal", "a.astro-part.journal~"])
    def test_names_that_parts_have(
        self, sky: ObjectServer, make_client: MakeClient, folder: Path, name: str
    ) -> None:
        """They would be written over by the part of another."""
        sky.put(BUCKET, "a", b"a")
        sky.put(BUCKET, name, b"no part")
        wanted = [f"s3://{BUCKET}/{name}", f"s3://{BUCKET}/a"]
        with pytest.raises(ManyTransfersError, match="cannot be the name"):
            download_many(wanted, folder, client=make_client(sky))
        assert [path.name for path in folder.iterdir()] == ["a"]

    def test_a_local_file_that_cannot_be_copied(self, folder: Path, tmp_path: Path) -> None:
        """No part is left of it."""
        (tmp_path / "a.fits").write_bytes(b"a")
        with pytest.raises(ManyTransfersError, match="keeps no SHA256"):
            download_many([tmp_path / "a.fits"], folder, checksum="sha256")
        assert list(folder.iterdir()) == []

    def test_what_makes_no_sense(self, night: ObjectServer, client: Client, folder: Path) -> None:
        """Told before anything is asked."""
        with pytest.raises(ValueError, match="no checksum is called"):
            download_many(NIGHT, folder, client=client, checksum="crc16")
        with pytest.raises(ValueError, match="at least one worker"):
            download_many(NIGHT, folder, client=client, workers=0)
        with pytest.raises(InvalidLocationError, match="no way to list"):
            download_many("https://archive.example/night/", folder, client=client)
        assert not night.requests


class TestWork:
    """What it costs."""

    def test_progress_is_the_sum(self, night: ObjectServer, client: Client, folder: Path) -> None:
        """Of what comes and what is there; never backwards."""
        night.put(BUCKET, "night/long.fits", LONG)
        total = len(LONG) + sum(size for key, size in SIZES.items() if key.startswith("night/"))
        for _ in range(2):
            done, totals = [], []

            def tell(now: int, whole: int | None, done: list[Any] = done, totals: list[Any] = totals) -> None:
                done.append(now)
                totals.append(whole)

            download_many(NIGHT, folder, client=client, progress=tell)
            assert done == sorted(done)
            assert all(now <= whole for now, whole in zip(done, totals, strict=True))
            assert (done[-1], totals[-1]) == (total, total)

    @pytest.mark.parametrize("workers", [1, 3])
    def test_workers_bound_the_connections(
        self, sky: ObjectServer, make_client: MakeClient, folder: Path, workers: int
    ) -> None:
        """No more requests at once than were asked for."""
        for number in range(12):
            sky.put(BUCKET, f"night/{number}", DATA[:100])
        sky.put(BUCKET, "night/long", LONG)
        client = make_client(sky)
        download_many(NIGHT, folder, client=client, workers=workers, checksum=False)
        changes = sorted(
            change
            for record in sky.requests.where(method="GET")
            for change in ((record.t_received, 1), (record.t_end, -1))
        )
        most = now = 0
        for _, change in changes:
            now += change
            most = max(most, now)
        assert most <= workers

    def test_many_small_ones(self, sky: ObjectServer, make_client: MakeClient, folder: Path) -> None:
        """A request each, and the listing."""
        for number in range(500):
            sky.put(BUCKET, f"many/{number:03}", DATA[number : number + 50])
        client = make_client(sky, concurrency=64)
        done = download_many(f"s3://{BUCKET}/many/", folder, client=client, workers=64)
        assert len(done.downloaded) == 500
        assert len(sky.requests) == 501
        assert files_in(folder) == {f"{number:03}": DATA[number : number + 50] for number in range(500)}
