"""upload_many: files of this machine become objects below a location, and none is sent in vain."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from astro_cloud import download_many, upload_many
from astro_cloud.exceptions import (
    AccessDeniedError,
    InvalidLocationError,
    ManyTransfersError,
    ObjectNotFoundError,
)
from astro_cloud.storage import Client
from astro_cloud.storage.many_uploads import whole_limit
from astro_cloud.testing import Answer, Fault, ObjectServer
from tests.storage.downloads import LONG, interrupting
from tests.storage.programs import interrupts
from tests.storage.reading import BUCKET, DATA, MakeClient, answering

THERE = f"s3://{BUCKET}/night"
FILES = {"1.fits": DATA, "2.fits": b"", "deep/er/3.fits": DATA[:7], "log [1].txt": b"log"}


@pytest.fixture
def attic(object_server: ObjectServer) -> ObjectServer:
    """A server with an empty bucket."""
    (object_server.root / BUCKET).mkdir()
    return object_server


@pytest.fixture
def client(attic: ObjectServer, make_client: MakeClient) -> Client:
    """A client of it."""
    return make_client(attic)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files that were written years ago."""
    for name, data in FILES.items():
        path = tmp_path / "from" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (1e9, 1e9))
    return tmp_path / "from"


def stored_in(server: ObjectServer) -> dict[str, bytes]:
    """Return what there is of the night."""
    root = server.path(BUCKET, "night/any").parent
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_folder_is_mirrored(attic: ObjectServer, client: Client, folder: Path, slash: str) -> None:
    """With or without the slash behind either."""
    done = upload_many(f"{folder}{slash}", THERE + slash, client=client)
    assert stored_in(attic) == FILES
    assert {str(info.location) for info in done.uploaded} == {f"{THERE}/{name}" for name in FILES}


def test_a_bucket_will_do(attic: ObjectServer, client: Client, folder: Path) -> None:
    """Keys are then the names alone."""
    upload_many(folder / "deep", f"s3://{BUCKET}", client=client)
    assert attic.path(BUCKET, "er/3.fits").read_bytes() == DATA[:7]


def test_a_pattern(attic: ObjectServer, client: Client, folder: Path) -> None:
    """What follows the folder before it is the name."""
    upload_many(f"{folder}/**/[13].fits", THERE, client=client)
    assert list(stored_in(attic)) == ["1.fits", "deep/er/3.fits"]


def test_a_list(attic: ObjectServer, client: Client, folder: Path) -> None:
    """Each under its base name; brackets are no pattern there."""
    upload_many([folder / "deep" / "er" / "3.fits", str(folder / "log [1].txt")], THERE, client=client)
    assert list(stored_in(attic)) == ["3.fits", "log [1].txt"]
    assert upload_many([], THERE, client=client).uploaded == []


def test_nothing_is_sent_twice(attic: ObjectServer, client: Client, folder: Path) -> None:
    """A second run costs a listing alone, or for a list a HEAD each."""
    upload_many(folder, THERE, client=client)
    attic.clear()
    done = upload_many(folder, THERE, client=client)
    assert (len(done.uploaded), len(done.skipped)) == (0, len(FILES))
    assert [record.method for record in attic.requests] == ["GET"]
    attic.clear()
    assert len(upload_many([folder / "1.fits"], THERE, client=client).skipped) == 1
    assert [record.method for record in attic.requests] == ["HEAD"]


@pytest.mark.parametrize("change", ["size", "date"])
def test_what_changed_is_sent_again(attic: ObjectServer, client: Client, folder: Path, change: str) -> None:
    """Another size, or a file that is younger than its object."""
    upload_many(folder, THERE, client=client)
    file = folder / "1.fits"
    file.write_bytes(DATA[::-1] if change == "date" else b"x")
    date = 1e9 if change == "size" else attic.now() + 100
    os.utime(file, (date, date))
    done = upload_many(folder, THERE, client=client)
    assert [str(info.location) for info in done.uploaded] == [f"{THERE}/1.fits"]
    assert stored_in(attic)["1.fits"] == file.read_bytes()


def test_what_was_downloaded_is_not_sent_back(attic: ObjectServer, client: Client, tmp_path: Path) -> None:
    """Its date is its object's."""
    attic.put(BUCKET, "night/1.fits", DATA)
    download_many(f"{THERE}/", tmp_path / "copy", client=client)
    assert len(upload_many(tmp_path / "copy", THERE, client=client).skipped) == 1


@pytest.mark.parametrize("listed", [True, False])
def test_what_is_there_may_be_left(attic: ObjectServer, client: Client, folder: Path, listed: bool) -> None:
    """`overwrite=False` keeps any object, whatever it holds."""
    attic.put(BUCKET, "night/1.fits", b"old")
    sources = folder if listed else [folder / "1.fits", folder / "2.fits"]
    done = upload_many(sources, THERE, client=client, overwrite=False)
    assert [str(location) for location in done.skipped] == [f"{THERE}/1.fits"]
    assert stored_in(attic)["1.fits"] == b"old"
    assert "2.fits" in stored_in(attic)


def test_who_may_not_list(attic: ObjectServer, client: Client, folder: Path) -> None:
    """Each object is asked for; what nobody may know is sent."""
    upload_many(folder, THERE, client=client)
    attic.inject(answering(403), times=None, method="GET")
    assert len(upload_many(folder, THERE, client=client).skipped) == len(FILES)
    attic.inject(answering(403), times=None, method="HEAD")
    assert len(upload_many(folder, THERE, client=client).uploaded) == len(FILES)


def test_long_files_go_in_parts(attic: ObjectServer, client: Client, folder: Path) -> None:
    """After the others, each over all connections."""
    assert len(LONG) > whole_limit(8 << 20)
    (folder / "long.fits").write_bytes(LONG)
    seen: list[tuple[int, int | None]] = []
    upload_many(folder, THERE, client=client, progress=lambda *now: seen.append(now))
    assert stored_in(attic)["long.fits"] == LONG
    assert len([record for record in attic.requests if "partNumber" in record.target]) == 3
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    total = len(LONG) + sum(map(len, FILES.values()))
    assert seen[-1] == (total, total)


def test_failures_are_collected(attic: ObjectServer, client: Client, folder: Path) -> None:
    """Each by its file; the others are sent."""
    attic.inject(answering(403), times=None, method="PUT", key="night/1.fits")
    with pytest.raises(ManyTransfersError, match="2 of 3 files") as caught:
        upload_many([folder / "1.fits", folder / "none", folder / "2.fits"], THERE, client=client)
    errors = caught.value.errors
    assert {type(error) for error in errors.values()} == {AccessDeniedError, ObjectNotFoundError}
    assert set(errors) == {str(folder / "1.fits"), str(folder / "none")}
    assert list(stored_in(attic)) == ["2.fits"]
    assert len(caught.value.result.uploaded) == 1


def test_two_of_one_name(attic: ObjectServer, client: Client, folder: Path) -> None:
    """The second is an error, and so is a source that is no local file."""
    (folder / "again").mkdir()
    (folder / "again" / "1.fits").write_bytes(b"other")
    with pytest.raises(ManyTransfersError, match="another file was to be uploaded") as caught:
        upload_many(
            [folder / "1.fits", folder / "again" / "1.fits", f"{THERE}/2.fits"],
            THERE,
            client=client,
            workers=1,
        )
    assert "is no local file" in str(caught.value)
    assert stored_in(attic) == {"1.fits": DATA}


def test_what_cannot_be(attic: ObjectServer, client: Client, folder: Path, tmp_path: Path) -> None:
    """Told before anything is sent."""
    wrong: list[tuple[Any, str, type[Exception]]] = [
        (tmp_path / "none", THERE, ObjectNotFoundError),
        (f"{folder}/*.jpg", THERE, ObjectNotFoundError),
        (folder, "s3://nowhere/night", ObjectNotFoundError),
        (folder, "https://archive.example/night/", InvalidLocationError),
        (folder, str(tmp_path / "elsewhere"), InvalidLocationError),
    ]
    for source, location, error in wrong:
        with pytest.raises(error):
            upload_many(source, location, client=client)
    with pytest.raises(ValueError, match="at least one worker"):
        upload_many(folder, THERE, client=client, workers=0)
    assert not attic.requests.where(method="PUT")


def test_a_name_that_is_no_text(attic: ObjectServer, client: Client, folder: Path) -> None:
    """A file whose name is not UTF-8 is an error of its own."""
    Path(os.fsdecode(bytes(folder) + b"/\xff.fits")).write_bytes(b"")
    with pytest.raises(ManyTransfersError, match="1 of 5 files"):
        upload_many(folder, THERE, client=client)
    assert stored_in(attic) == FILES


def test_a_pipe(attic: ObjectServer, client: Client, tmp_path: Path) -> None:
    """What is no regular file is read through."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(DATA,))
    writer.start()
    upload_many([pipe], THERE, client=client)
    writer.join()
    assert stored_in(attic) == {"pipe": DATA}


def test_an_interrupt_ends_it(attic: ObjectServer, make_client: MakeClient, folder: Path) -> None:
    """Ctrl-C is heeded at once while files are on their way."""
    for number in range(20):
        (folder / f"n{number}").write_bytes(LONG[:4_000_000])
    attic.inject(Fault.stall_request(1_000_000), times=None, method="PUT", key="night/n3")
    stalled = threading.Event()
    killer = interrupting(stalled)
    client = make_client(attic)
    with pytest.raises(KeyboardInterrupt):
        upload_many(
            folder,
            THERE,
            client=client,
            progress=lambda done, total: stalled.set() if done > 20_000_000 else None,
        )
    killer.join()
    attic.clear_faults()
    again = upload_many(folder, THERE, client=make_client(attic))
    assert len(again.uploaded) + len(again.skipped) == len(FILES) + 20
    assert stored_in(attic)["n3"] == LONG[:4_000_000]


# Only Linux has files that tell no size without a file system being made for it.
@pytest.mark.skipif(not os.path.exists("/proc/version"), reason="there is no /proc")
def test_a_file_that_tells_no_size(attic: ObjectServer, client: Client) -> None:
    """It is read to its end, and an empty object of its name is none of it."""
    attic.put(BUCKET, "night/version", b"")
    os.utime(attic.path(BUCKET, "night/version"), (4e9, 4e9))
    seen: list[tuple[int, int | None]] = []
    done = upload_many(["/proc/version"], THERE, client=client, progress=lambda *now: seen.append(now))
    data = Path("/proc/version").read_bytes()
    assert stored_in(attic) == {"version": data}
    assert [info.size for info in done.uploaded] == [len(data)]
    assert seen[-1] == (len(data), len(data))


@interrupts
def test_nothing_is_stored_after_an_interrupt(
    attic: ObjectServer, make_client: MakeClient, folder: Path
) -> None:
    """Requests that wait for an answer are left, and their threads and connections are free again."""
    client = make_client(attic, concurrency=len(FILES))
    left = threading.Barrier(len(FILES) + 1)

    def silent(request: Any, serve: Callable[[], Answer]) -> Answer:
        left.wait(30)
        return Fault.never_answers().apply(request, serve)

    def press() -> None:
        left.wait(30)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    attic.inject(Fault("silent", silent), times=len(FILES), method="PUT")
    threads = set(threading.enumerate())
    killer = threading.Thread(target=press)
    killer.start()
    with pytest.raises(KeyboardInterrupt):
        upload_many(folder, THERE, client=client)
    killer.join()
    for thread in set(threading.enumerate()) - threads:
        if thread.name == "astro-cloud":
            thread.join(5)
            assert not thread.is_alive()
    client.upload(b"", f"{THERE}/next")
    assert stored_in(attic) == {"next": b""}
