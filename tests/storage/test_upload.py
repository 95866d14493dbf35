"""Uploads as their user sees them: any source, any size, how far it is, and what is refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import random
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

import astro_cloud
from astro_cloud.auth.aws import AWSAuth
from astro_cloud.exceptions import (
    ChecksumError,
    InvalidLocationError,
    ObjectChangedError,
    ObjectExistsError,
    ObjectNotFoundError,
    StorageError,
)
from astro_cloud.storage import Client, uploads
from astro_cloud.testing import Answer, Fault, ObjectServer
from tests.storage.reading import BUCKET, MakeClient, auth_of

KEY = "new.fits"
LOCATION = f"s3://{BUCKET}/{KEY}"
MiB = 1 << 20
PART = 1 << 16
DATA = random.Random(34).randbytes(7 * PART + 77)


@pytest.fixture
def client(attic: ObjectServer, make_client: MakeClient) -> Client:
    """A client of `attic` with its keys."""
    return make_client(attic)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with `DATA`."""
    path = tmp_path / "file.fits"
    path.write_bytes(DATA)
    return path


def stored(server: ObjectServer) -> bytes:
    return server.path(BUCKET, KEY).read_bytes()


def parts_sent(server: ObjectServer) -> list[int]:
    """Return the bytes of each part that came, in the order of parts."""
    puts = [record for record in server.requests if record.method == "PUT"]
    return [
        record.received
        for record in sorted(
            puts, key=lambda record: int(record.target.split("partNumber=")[1].split("&")[0])
        )
    ]


class Trickle(io.RawIOBase):
    """A stream that cannot be rewound, tells no length, and gives less than asked for."""

    def __init__(self, data: bytes) -> None:
        self._left = data

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        given, self._left = self._left[: min(size, 10_007)], self._left[min(size, 10_007) :]
        return given


# Sources


def sources(file: Path) -> dict[str, Callable[[], Any]]:
    def spooled() -> Any:
        spool = tempfile.SpooledTemporaryFile(max_size=10)  # noqa: SIM115 - the upload reads it
        spool.write(DATA)
        spool.seek(0)
        return spool

    return {
        "path": lambda: file,
        "text": lambda: str(file),
        "bytes": lambda: DATA,
        "bytearray": lambda: bytearray(DATA),
        "memoryview": lambda: memoryview(DATA),
        "BytesIO": lambda: io.BytesIO(DATA),
        "file": lambda: file.open("rb"),
        "raw file": lambda: file.open("rb", buffering=0),
        "file to update": lambda: file.open("r+b"),
        "spooled": spooled,
        "stream": lambda: Trickle(DATA),
        "gzip": lambda: gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(DATA))),
    }


@pytest.mark.parametrize("kind", sources(Path()))
@pytest.mark.parametrize("part_size", [PART, 8 * PART], ids=["in parts", "whole"])
def test_every_source(attic: ObjectServer, client: Client, file: Path, kind: str, part_size: int) -> None:
    """What a source gives is stored; it is left open, at its end."""
    source = sources(file)[kind]()
    info = client.upload(source, LOCATION, part_size=part_size)
    assert stored(attic) == DATA
    assert (info.size, info.key) == (len(DATA), KEY)
    assert info.etag == client.stat(LOCATION).etag
    if hasattr(source, "read"):
        assert not source.closed
        assert source.read(1) == b""
        source.close()


@pytest.mark.parametrize("kind", ["BytesIO", "file", "raw file", "file to update", "stream", "gzip"])
@pytest.mark.parametrize("part_size", [PART, 8 * PART], ids=["in parts", "whole"])
def test_a_file_is_read_from_where_it_stands(
    attic: ObjectServer, client: Client, file: Path, kind: str, part_size: int
) -> None:
    """What was read before is not uploaded."""
    with sources(file)[kind]() as source:
        assert source.read(1001) == DATA[:1001]
        client.upload(source, LOCATION, part_size=part_size)
    assert stored(attic) == DATA[1001:]


def test_what_was_written_to_a_file_before_is_uploaded(
    attic: ObjectServer, client: Client, file: Path
) -> None:
    """Bytes that wait in a buffer are part of the file."""
    with file.open("r+b") as source:
        source.write(b"changed")
        source.seek(0)
        client.upload(source, LOCATION)
    assert stored(attic) == b"changed" + DATA[7:]


# Only Linux has files that tell no size without a file system being made for it.
@pytest.mark.skipif(not os.path.exists("/proc/version"), reason="there is no /proc")
@pytest.mark.parametrize("opened", [True, False])
def test_a_file_that_tells_no_size_is_read(attic: ObjectServer, client: Client, opened: bool) -> None:
    """Files of /proc say that they are empty, and so do some of FUSE's; other empty files are."""
    path = Path("/proc/version")
    assert path.stat().st_size == 0
    with path.open("rb") as file:
        info = client.upload(file if opened else path, LOCATION)
    assert stored(attic) == path.read_bytes()
    assert info.size == len(stored(attic)) > 0


ARRAY = np.arange(24, dtype=">f4").reshape(4, 6)
BUFFERS: dict[str, Any] = {
    "big-endian": ARRAY,
    "strided": ARRAY[::2, ::3],
    "transposed": ARRAY.T,
    "empty": np.zeros((0, 3)),
    "a number": np.array(1.5),
    "every other byte": memoryview(b"abcdef")[::2],
    "nothing": memoryview(b""),
}


@pytest.mark.parametrize("buffer", BUFFERS.values(), ids=BUFFERS)
def test_every_buffer(attic: ObjectServer, client: Client, buffer: Any) -> None:
    """Whatever its shape, strides and byte order: its bytes, the last axis fastest."""
    assert client.upload(buffer, LOCATION).size == memoryview(buffer).nbytes
    assert stored(attic) == memoryview(buffer).tobytes()


def test_a_pipe_is_a_stream(attic: ObjectServer, client: Client) -> None:
    """What has no size is read to its end."""
    reading, writing = os.pipe()
    os.write(writing, DATA[:5000])
    os.close(writing)
    with os.fdopen(reading, "rb") as source:
        client.upload(source, LOCATION)
    assert stored(attic) == DATA[:5000]


@pytest.mark.parametrize("source", [io.StringIO("text"), 5, None, ["list"]])
def test_what_is_no_source_is_told(attic: ObjectServer, client: Client, source: Any) -> None:
    """Nothing is sent."""
    with pytest.raises(TypeError):
        client.upload(source, LOCATION)
    assert attic.requests == []


def test_a_missing_file_is_told(client: Client, tmp_path: Path) -> None:
    """As open() tells it."""
    with pytest.raises(FileNotFoundError):
        client.upload(tmp_path / "missing", LOCATION)
    with pytest.raises(IsADirectoryError):
        client.upload(tmp_path, LOCATION)


def test_an_error_of_a_stream_is_its_own(attic: ObjectServer, client: Client) -> None:
    """It is raised as it is, and no part stays."""

    class Broken(Trickle):
        def read(self, size: int = -1) -> bytes:
            if len(self._left) < 5 * PART:
                raise RuntimeError("broken")
            return super().read(size)

    with pytest.raises(RuntimeError, match="broken"):
        client.upload(Broken(DATA), LOCATION, part_size=PART)
    assert attic.uploads == []


# Sizes


@pytest.mark.parametrize("size", [0, 1, 16 * MiB, 16 * MiB + 1])
@pytest.mark.parametrize("kind", ["path", "stream"])
def test_sizes_around_the_bounds(
    object_server: ObjectServer, make_client: MakeClient, tmp_path: Path, size: int, kind: str
) -> None:
    """Up to 16 MiB it is one request; more goes in parts of 8 MiB, whether or not the length is known."""
    (object_server.root / BUCKET).mkdir()
    data = (DATA * (size // len(DATA) + 1))[:size]
    (tmp_path / "f").write_bytes(data)
    source = tmp_path / "f" if kind == "path" else io.BufferedReader(Quick(data))
    make_client(object_server).upload(source, LOCATION)
    assert stored(object_server) == data
    if size <= 16 * MiB:
        assert [record.method for record in object_server.requests] == ["PUT"]
    else:
        assert parts_sent(object_server) == [8 * MiB, 8 * MiB, 1]


class Quick(io.RawIOBase):
    """A stream of bytes, quick."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer)


def test_a_stream_takes_bounded_memory(
    attic: ObjectServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a stream of any length only some parts are held."""
    monkeypatch.setattr(uploads, "_BUDGET", 4 * MiB)
    attic.latency = 0.005
    tracemalloc.start()
    try:
        make_client(attic).upload(io.BufferedReader(Quick(bytes(30 * MiB))), LOCATION, part_size=MiB // 2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert attic.path(BUCKET, KEY).stat().st_size == 30 * MiB
    assert peak < (30 + 10) * MiB  # the source itself is 30 of them


# Progress


@pytest.mark.parametrize("kind", ["path", "bytes", "stream"])
@pytest.mark.parametrize("part_size", [PART, 8 * PART], ids=["in parts", "whole"])
def test_progress_never_goes_back_and_ends_with_all(
    attic: ObjectServer, client: Client, file: Path, kind: str, part_size: int
) -> None:
    """A part that is sent again is counted once; the total is told where it is known."""
    attic.inject(Fault.unavailable(503), times=2, method="PUT")
    told: list[tuple[int, int | None]] = []
    client.upload(
        sources(file)[kind](), LOCATION, part_size=part_size, progress=lambda *now: told.append(now)
    )
    done = [now for now, _ in told]
    assert done == sorted(done)
    assert told[-1] == (len(DATA), len(DATA))
    if kind == "stream" and part_size == PART:
        assert told[0][1] is None
    else:
        assert {total for _, total in told} == {len(DATA)}


def test_a_callback_that_fails_ends_the_upload(attic: ObjectServer, client: Client) -> None:
    """Its error is raised, and nothing stays."""

    def progress(done: int, total: int | None) -> None:
        if done > 2 * PART:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        client.upload(DATA, LOCATION, part_size=PART, progress=progress)
    assert attic.uploads == []
    assert not attic.path(BUCKET, KEY).exists()


# A file that changes


@pytest.mark.parametrize("change", ["longer", "shorter", "touched"])
@pytest.mark.parametrize("part_size", [PART, 8 * PART], ids=["in parts", "whole"])
def test_a_file_that_changes_is_told(
    attic: ObjectServer, make_client: MakeClient, file: Path, change: str, part_size: int
) -> None:
    """What is half old and half new is never stored."""

    def befall(request: Any, serve: Callable[[], Answer]) -> Answer:
        if change == "touched":
            os.utime(file, ns=(1, 1))
        else:
            os.truncate(file, len(DATA) + (10 if change == "longer" else -10))
        return Fault.unavailable(503).apply(request, serve)

    attic.inject(Fault("change", befall), method="PUT")
    with pytest.raises(ObjectChangedError, match=r"file\.fits changed while it was uploaded"):
        make_client(attic, concurrency=1).upload(file, LOCATION, part_size=part_size)
    assert attic.uploads == []
    assert not attic.path(BUCKET, KEY).exists()


# Overwriting


@pytest.mark.parametrize("data", [DATA, DATA[:100]], ids=["in parts", "whole"])
def test_an_object_is_kept_or_overwritten(attic: ObjectServer, client: Client, data: bytes) -> None:
    """With ``overwrite=False`` the object that is there stays; it can be caught as FileExistsError."""
    attic.put(BUCKET, KEY, b"old")
    with pytest.raises(FileExistsError, match="already") as caught:
        client.upload(data, LOCATION, part_size=PART, overwrite=False)
    assert isinstance(caught.value, ObjectExistsError)
    assert stored(attic) == b"old"
    assert attic.uploads == []
    client.upload(data, LOCATION, part_size=PART)
    assert stored(attic) == data


def test_who_comes_first_while_parts_are_sent_is_kept(attic: ObjectServer, client: Client) -> None:
    """An object that appeared meanwhile stays, too."""

    def overtake(request: Any, serve: Callable[[], Answer]) -> Answer:
        attic.put(BUCKET, KEY, b"quicker")
        return serve()

    attic.inject(Fault("overtake", overtake), query="partNumber=3")
    with pytest.raises(ObjectExistsError):
        client.upload(DATA, LOCATION, part_size=PART, overwrite=False)
    assert stored(attic) == b"quicker"
    assert attic.uploads == []


# Resuming


def test_an_upload_is_resumed_with_the_parts_that_are_missing(
    attic: ObjectServer, make_client: MakeClient, file: Path
) -> None:
    """What failed is kept for the next call, which sends no more than is missing."""
    attic.inject(Fault.unavailable(403, "AccessDenied"), times=None, query="partNumber=5")
    with pytest.raises(StorageError):
        make_client(attic, concurrency=1).upload(file, LOCATION, part_size=PART, resume=True)
    assert len(attic.uploads) == 1
    attic.clear_faults()
    attic.clear()
    told: list[int] = []
    make_client(attic).upload(
        file, LOCATION, part_size=PART, resume=True, progress=lambda done, total: told.append(done)
    )
    assert stored(attic) == DATA
    assert attic.uploads == []
    assert parts_sent(attic) == [PART, PART, PART, 77]
    assert told == sorted(set(told))
    assert told[-1] == len(DATA)


@pytest.mark.parametrize("checksum", [None, "crc64nvme", "sha256"])
def test_parts_with_other_bytes_are_sent_again(
    attic: ObjectServer, make_client: MakeClient, file: Path, checksum: str | None
) -> None:
    """A file that changed between two calls is stored as it is now, however old its parts are."""
    options: dict[str, Any] = {"part_size": PART, "resume": True, "checksum": checksum}
    attic.inject(Fault.unavailable(403, "AccessDenied"), times=None, query="partNumber=5")
    with pytest.raises(StorageError):
        make_client(attic, concurrency=1).upload(file, LOCATION, **options)
    attic.clear_faults()
    attic.clear()
    changed = DATA[:PART] + bytes(PART) + DATA[2 * PART :]
    file.write_bytes(changed)
    make_client(attic).upload(file, LOCATION, **options)
    assert stored(attic) == changed
    assert parts_sent(attic) == [PART, PART, PART, PART, 77]


def test_an_upload_of_another_kind_is_not_resumed(
    attic: ObjectServer, make_client: MakeClient, file: Path
) -> None:
    """Parts that were cut otherwise, or are checked otherwise, are not built upon."""
    attic.inject(Fault.unavailable(403, "AccessDenied"), times=2, query="partNumber=5")
    for checksum in (None, "crc32"):
        with pytest.raises(StorageError):
            make_client(attic, concurrency=1).upload(
                file, LOCATION, resume=True, part_size=PART, checksum=checksum
            )
    make_client(attic).upload(file, LOCATION, resume=True, part_size=PART + 1)
    assert stored(attic) == DATA


def test_many_parts_and_uploads_are_listed_in_pages(
    attic: ObjectServer, make_client: MakeClient, tmp_path: Path
) -> None:
    """More than a thousand parts are found again."""
    path = tmp_path / "many"
    path.write_bytes(DATA[:10_510])
    client = make_client(attic)
    attic.inject(Fault.unavailable(403, "AccessDenied"), query="partNumber=1050")
    with pytest.raises(StorageError):
        client.upload(path, LOCATION, part_size=10, resume=True)
    attic.clear()
    client.upload(path, LOCATION, part_size=10, resume=True)
    assert stored(attic) == DATA[:10_510]
    assert len(attic.requests.where(method="PUT")) < 50


class Failing(io.RawIOBase):
    """A stream that fails when a part was read."""

    count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.count += len(buffer)
        assert self.count < 4 * PART, "it fails"
        return len(buffer)


def fail_with_parts(client: Client, server: ObjectServer, **options: Any) -> None:
    """Leave an upload of which some parts are there."""
    server.inject(Fault.unavailable(403, "AccessDenied"), query="partNumber=5")
    with pytest.raises(StorageError):
        client.upload(DATA, LOCATION, part_size=PART, resume=True, workers=1, **options)
    server.clear_faults()


def test_an_upload_without_the_checksum_asked_for_is_not_resumed(attic: ObjectServer, client: Client) -> None:
    """The server would not take it in the end, however often it was resumed."""
    fail_with_parts(client, attic)
    client.upload(DATA, LOCATION, part_size=PART, resume=True, checksum="sha256")
    assert stored(attic) == DATA


@pytest.mark.parametrize("kind", ["COMPOSITE", "FULL_OBJECT"])
def test_an_upload_whose_checksum_is_of_another_kind_is_not_resumed(
    attic: ObjectServer, client: Client, kind: str
) -> None:
    """Of all bytes, or of the checksums of the parts: `upload` asks for the first where it can."""
    begun = requests.post(
        f"{attic.url}/{BUCKET}/{KEY}?uploads=",
        headers={"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": kind},
        auth=auth_of(attic),
        timeout=30,
    )
    begun.raise_for_status()
    client.upload(DATA, LOCATION, part_size=PART, resume=True, checksum="crc32")
    assert stored(attic) == DATA
    assert len(attic.uploads) == (kind == "COMPOSITE")


@pytest.mark.parametrize("code", ["InvalidPart", "NoSuchUpload"])
@pytest.mark.parametrize("step", ["POST", "PUT"])
def test_parts_of_no_use_are_sent_anew(attic: ObjectServer, client: Client, code: str, step: str) -> None:
    """Another call that goes on with the same upload may end it, or put parts of its own there."""
    fail_with_parts(client, attic)
    status = 404 if code == "NoSuchUpload" else 400
    attic.inject(Fault.unavailable(status, code), method=step, query="uploadId")
    told: list[int] = []
    client.upload(DATA, LOCATION, part_size=PART, resume=True, progress=lambda done, total: told.append(done))
    assert stored(attic) == DATA
    assert attic.uploads == []
    assert told == sorted(told)
    assert told[-1] == len(DATA)


def test_an_upload_that_another_call_completed_is_done(attic: ObjectServer, client: Client) -> None:
    """Two calls that go on with the same upload both succeed."""

    def complete_twice(request: Any, serve: Callable[[], Answer]) -> Answer:
        serve()
        return Fault.unavailable(404, "NoSuchUpload").apply(request, serve)

    fail_with_parts(client, attic)
    attic.clear()
    attic.inject(Fault("complete twice", complete_twice), method="POST", query="uploadId")
    assert client.upload(DATA, LOCATION, part_size=PART, resume=True).size == len(DATA)
    assert stored(attic) == DATA
    assert parts_sent(attic) == [PART, PART, PART, 77]


@pytest.mark.parametrize("what", ["object", "checksum"])
def test_what_cannot_be_resumed_is_not_kept(attic: ObjectServer, client: Client, what: str) -> None:
    """Where another object stays, or the bytes are not those expected, no part is left at the server."""

    def overtake(request: Any, serve: Callable[[], Answer]) -> Answer:
        attic.put(BUCKET, KEY, b"quicker")
        return serve()

    if what == "object":
        attic.inject(Fault("overtake", overtake), query="partNumber=3")
    options: dict[str, Any] = (
        {"overwrite": False} if what == "object" else {"checksum": f"md5:{hashlib.md5(b'').hexdigest()}"}
    )
    with pytest.raises((ObjectExistsError, ChecksumError)):
        client.upload(DATA, LOCATION, part_size=PART, resume=True, **options)
    assert attic.uploads == []


def test_a_content_type_is_that_of_the_object(attic: ObjectServer, client: Client) -> None:
    """What an earlier call began has the media type it was begun with, and is not resumed for another."""
    fail_with_parts(client, attic)
    begun = attic.uploads
    attic.clear()
    client.upload(DATA, LOCATION, part_size=PART, resume=True, content_type="image/fits")
    [creation] = [record for record in attic.requests if record.target.endswith("?uploads=")]
    assert creation.headers["Content-Type"] == "image/fits"
    assert attic.uploads == begun
    with pytest.raises(AssertionError, match="it fails"):
        client.upload(Failing(), LOCATION, part_size=PART, resume=True, content_type="image/fits")
    assert attic.uploads == begun


# Checksums


@pytest.mark.parametrize("checksum", ["crc64nvme", "crc32c", "crc32", "sha256", "sha1", "md5"])
@pytest.mark.parametrize("part_size", [PART, 8 * PART], ids=["in parts", "whole"])
def test_checksums_are_checked_on_arrival(
    attic: ObjectServer, client: Client, checksum: str, part_size: int
) -> None:
    """Each algorithm of S3's is sent as S3 wants it, which the server checks."""
    client.upload(DATA, LOCATION, part_size=part_size, checksum=checksum)
    assert stored(attic) == DATA
    if checksum != "md5":
        puts = attic.requests.where(method="PUT")
        assert all(f"x-amz-checksum-{checksum}" in record.headers for record in puts)


def test_md5_is_sent_where_nothing_else_is_known(attic: ObjectServer, client: Client) -> None:
    """Servers other than Amazon's check Content-MD5."""
    client.upload(DATA, LOCATION, part_size=PART)
    assert all("content-md5" in record.headers for record in attic.requests.where(method="PUT"))


@pytest.mark.parametrize("kind", ["path", "stream"])
@pytest.mark.parametrize("part_size", [PART, 8 * PART], ids=["in parts", "whole"])
def test_a_digest_that_is_expected_must_be_there(
    attic: ObjectServer, client: Client, file: Path, kind: str, part_size: int
) -> None:
    """Bytes that are not those the user meant are not stored."""
    right = hashlib.sha256(DATA).hexdigest()
    client.upload(sources(file)[kind](), LOCATION, part_size=part_size, checksum=f"sha256:{right}")
    assert stored(attic) == DATA
    attic.path(BUCKET, KEY).unlink()
    with pytest.raises(ChecksumError, match="not stored"):
        client.upload(sources(file)[kind](), LOCATION, part_size=part_size, checksum=f"sha256:{'0' * 64}")
    assert not attic.path(BUCKET, KEY).exists()
    assert attic.uploads == []


# What is refused


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("file:///tmp/x.fits", "copy"),
        ("./x.fits", "copy"),
        ("https://example.org/x.fits", "web server"),
        ("s3://sky/x.fits?versionId=abc", "version"),
        ("s3://sky", "key"),
    ],
)
def test_where_nothing_can_be_uploaded(client: Client, location: str, says: str) -> None:
    """The error says what to do instead."""
    with pytest.raises(InvalidLocationError, match=says):
        client.upload(b"data", location)


@pytest.mark.parametrize(
    "options",
    [{"part_size": 0}, {"part_size": 6 << 30}, {"workers": 0}, {"checksum": "md4"}, {"checksum": "md5:12"}],
)
def test_options_that_make_no_sense(client: Client, options: dict[str, Any]) -> None:
    """Nothing is sent."""
    with pytest.raises(ValueError, match=r"part_size|workers|checksum|hexadecimal"):
        client.upload(b"data", LOCATION, **options)


@pytest.mark.parametrize(
    "location", ["s3://sky/x", "gs://sky/x", "https://sky.fra1.digitaloceanspaces.com/x"]
)
def test_parts_that_a_provider_does_not_take(location: str) -> None:
    """Before a byte is sent, rather than when all of them were."""
    with (
        Client(auth=AWSAuth(access_key="A", secret_key="B")) as client,
        pytest.raises(ValueError, match="part_size is 5242880"),
    ):
        client.upload(b"data", location, part_size=1 << 20)


def test_no_bucket(client: Client) -> None:
    """A bucket that is not there is told as such."""
    with pytest.raises(ObjectNotFoundError, match="no such bucket"):
        client.upload(DATA, "s3://nowhere/x.fits")


# The rest


def test_one_call(attic: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """`astro_cloud.upload` makes a client of its own, or takes one."""
    for name, value in attic.environ.items():
        monkeypatch.setenv(name, value)
    astro_cloud.upload(DATA, LOCATION, content_type="image/fits")
    assert stored(attic) == DATA
    assert attic.requests[-1].headers["content-type"] == "image/fits"
    with Client(auth=auth_of(attic)) as client:
        info = astro_cloud.upload(DATA[:5], LOCATION, client=client, content_type="image/fits")
    assert stored(attic) == DATA[:5]
    assert info.content_type == "image/fits"
    assert pickle.loads(pickle.dumps(info)) == info


def test_an_upload_out_of_a_download_by_one_client(attic: ObjectServer, make_client: MakeClient) -> None:
    """A source that needs the client's threads itself gets them: nothing stands still."""
    client = make_client(attic, concurrency=2)
    client.upload(DATA, "s3://sky/first.fits", part_size=PART)
    with astro_cloud.open("s3://sky/first.fits", client=client) as source:
        client.upload(source, LOCATION, part_size=PART)
    assert stored(attic) == DATA


def test_no_more_parts_at_once_than_asked_for(attic: ObjectServer, make_client: MakeClient) -> None:
    """`workers` bounds the connections."""
    attic.latency = 0.01
    make_client(attic).upload(DATA, LOCATION, part_size=PART, workers=2)
    assert attic.requests.connections <= 2


def test_what_it_costs(attic: ObjectServer, client: Client) -> None:
    """One request for a small object; two more than its parts for a large one."""
    client.upload(DATA, LOCATION)
    assert (client.usage.requests, client.usage.round_trips) == (1, 1)
    client.upload(DATA, LOCATION, part_size=PART)
    assert client.usage.requests == 1 + 8 + 2
