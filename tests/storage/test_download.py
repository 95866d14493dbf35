"""download: an object as a file, whole or not at all."""

from __future__ import annotations

import base64
import errno
import fcntl
import hashlib
import io
import json
import os
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anycrc
import google_crc32c
import pytest
import requests

from astro_cloud import download
from astro_cloud.auth import Anonymous
from astro_cloud.auth.aws import AWSAuth
from astro_cloud.exceptions import (
    AccessDeniedError,
    AstroCloudWarning,
    ChecksumError,
    IncompleteReadError,
    ObjectChangedError,
    ObjectNotFoundError,
    StorageError,
)
from astro_cloud.storage import Client, whole_read
from astro_cloud.storage.answers import Version
from astro_cloud.storage.checksum import Checksum
from astro_cloud.storage.journal import Journal, Span
from astro_cloud.storage.part_file import PartFile
from astro_cloud.testing import AccessKey, Answer, Fault, ObjectServer
from tests.storage.downloads import LONG, LONG_LOCATION, dropping, names_in, saying
from tests.storage.raw_server import raw_server, said
from tests.storage.reading import BUCKET, DATA, LOCATION, MakeClient, answering, harmless
from tests.storage.test_fault_table import PASSES, patience

CRC64 = base64.b64encode(anycrc.Model("CRC64-NVME").calc(LONG).to_bytes(8, "big")).decode()
CRC32C = base64.b64encode(google_crc32c.value(LONG).to_bytes(4, "big")).decode()
MD5 = base64.b64encode(hashlib.md5(LONG).digest()).decode()
SHA256 = base64.b64encode(hashlib.sha256(LONG).digest()).decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder to download to."""
    made = tmp_path / "here"
    made.mkdir()
    return made


@pytest.fixture
def long_sky(sky: ObjectServer) -> ObjectServer:
    """A server with an object that is read in several pieces, too."""
    sky.put(BUCKET, "long.fits", LONG)
    return sky


@pytest.mark.parametrize("size", [0, 1, 100_000, (8 << 20) - 1, 8 << 20, (8 << 20) + 1, len(LONG)])
def test_the_file_is_the_object(sky: ObjectServer, client: Client, folder: Path, size: int) -> None:
    """Whatever its size; with the object's date, and nothing beside it."""
    sky.put(BUCKET, "any.fits", LONG[:size])
    done = download(f"s3://{BUCKET}/any.fits", folder / "any.fits", client=client)
    assert (folder / "any.fits").read_bytes() == LONG[:size]
    assert (done.path, done.size, done.fetched) == (folder / "any.fits", size, size)
    assert names_in(folder) == ["any.fits"]
    info = client.stat(f"s3://{BUCKET}/any.fits")
    assert done.etag == info.etag
    assert info.last_modified is not None
    assert done.path.stat().st_mtime == info.last_modified.timestamp()


@pytest.mark.parametrize("key", ["a b+c#d?e%41.fits", "ü/../é.fits", "//double//.fits", "q'\"&;,=@:$.fits"])
def test_any_key(sky: ObjectServer, client: Client, folder: Path, key: str) -> None:
    """Keys are what they are; the file's name is the user's."""
    sky.put(BUCKET, key, DATA)
    download(f"s3://{BUCKET}/{key}", str(folder / "x.fits"), client=client)
    assert (folder / "x.fits").read_bytes() == DATA


def test_a_small_object_takes_one_connection_and_one_for_its_checksum(
    sky: ObjectServer, client: Client, folder: Path
) -> None:
    """One range and, beside it, one HEAD: a single round trip."""
    sky.latency = 0.05
    download(LOCATION, folder / "m31.fits", client=client)
    assert sorted(record.method for record in sky.requests) == ["GET", "HEAD"]
    assert sky.requests.round_trips == 1
    download(LOCATION, folder / "m31.fits", client=client, checksum=False)
    assert [record.method for record in sky.requests[2:]] == ["GET"]


def test_a_long_object_is_read_in_pieces_at_once(
    long_sky: ObjectServer, make_client: MakeClient, folder: Path
) -> None:
    """Each byte once, over several connections."""
    done = download(LONG_LOCATION, folder / "l", client=make_client(long_sky), workers=4)
    assert (folder / "l").read_bytes() == LONG
    assert done.fetched == len(LONG) == long_sky.requests.where(method="GET").body_bytes
    assert 2 <= long_sky.requests.connections <= 5


def test_an_existing_file_is_replaced_in_the_end(
    long_sky: ObjectServer, make_client: MakeClient, folder: Path
) -> None:
    """It is the old one until the new one is whole."""
    target = folder / "l"
    target.write_bytes(b"old")
    seen: list[bytes] = []
    long_sky.inject(harmless(), times=2)
    long_sky.inject(answering(500), times=None)
    client = make_client(long_sky, attempts=1)
    with pytest.raises(StorageError):
        download(
            LONG_LOCATION,
            target,
            client=client,
            progress=lambda done, total: seen.append(target.read_bytes()),
        )
    assert set(seen) == {b"old"}
    assert target.read_bytes() == b"old"


class TestChecksums:
    """What the bytes are compared with."""

    @pytest.mark.parametrize(
        ("headers", "algorithm"),
        [
            ({"x_amz_checksum_crc64nvme": CRC64, "x_amz_checksum_type": "FULL_OBJECT"}, "CRC64NVME"),
            ({"x_amz_checksum_crc32c": CRC32C}, "CRC32C"),
            ({"x_amz_checksum_sha256": SHA256}, "SHA256"),
            ({"Content_MD5": MD5}, "MD5"),
            ({"x_goog_hash": f"crc32c={CRC32C},md5={MD5}"}, "CRC32C"),
            ({"x_amz_checksum_crc32c": CRC32C, "x_amz_checksum_type": "COMPOSITE"}, None),
            ({}, None),
        ],
    )
    def test_what_the_store_keeps(
        self,
        long_sky: ObjectServer,
        make_client: MakeClient,
        folder: Path,
        headers: dict[str, str],
        algorithm: str | None,
    ) -> None:
        """The result names what was compared; None where there was nothing of the whole object."""
        long_sky.inject(saying(**headers), times=None, method="HEAD")
        done = download(LONG_LOCATION, folder / "l", client=make_client(long_sky))
        assert (done.checksum.algorithm if done.checksum else None) == algorithm
        assert (folder / "l").read_bytes() == LONG

    @pytest.mark.parametrize("late", [0.0, 0.2], ids=["HEAD first", "bytes first"])
    def test_bytes_may_come_before_the_checksum_is_known(
        self, long_sky: ObjectServer, make_client: MakeClient, folder: Path, late: float
    ) -> None:
        """What came before is summed afterwards."""

        def slowly(request: Any, serve: Callable[[], Any]) -> Any:
            time.sleep(late)
            return serve()

        expected = f"crc64nvme:{base64.b64decode(CRC64).hex()}"
        long_sky.inject(Fault("late", slowly), times=1, method="HEAD" if late else "GET")
        long_sky.inject(saying(x_amz_checksum_crc64nvme=CRC64), times=None, method="HEAD")
        done = download(LONG_LOCATION, folder / "l", client=make_client(long_sky), checksum=expected)
        assert done.checksum is not None

    @pytest.mark.parametrize("header", ["x_amz_checksum_crc64nvme", "x_amz_checksum_sha256", "Content_MD5"])
    def test_other_bytes_are_an_error_and_thrown_away(
        self, long_sky: ObjectServer, make_client: MakeClient, folder: Path, header: str
    ) -> None:
        """Neither target nor part is left, and the next download fetches all."""
        wrong = {
            "x_amz_checksum_crc64nvme": base64.b64encode(bytes(8)),
            "x_amz_checksum_sha256": base64.b64encode(bytes(32)),
            "Content_MD5": base64.b64encode(bytes(16)),
        }[header].decode()
        long_sky.inject(saying(**{header: wrong}), times=1, method="HEAD")
        client = make_client(long_sky)
        with pytest.raises(ChecksumError, match=r"00000000.*thrown away"):
            download(LONG_LOCATION, folder / "l", client=client)
        assert names_in(folder) == []
        assert download(LONG_LOCATION, folder / "l", client=client).fetched == len(LONG)

    def test_one_that_is_given(self, sky: ObjectServer, client: Client, folder: Path) -> None:
        """The digest an archive publishes is compared without asking the store."""
        digest = hashlib.md5(DATA).hexdigest()
        done = download(LOCATION, folder / "m", client=client, checksum=f"MD5:{digest}")
        assert done.checksum is not None
        assert str(done.checksum) == f"MD5 {digest}"
        assert [record.method for record in sky.requests] == ["GET"]
        with pytest.raises(ChecksumError, match="is expected"):
            download(LOCATION, folder / "n", client=client, checksum="md5:" + "0" * 32)
        assert names_in(folder) == ["m"]

    def test_one_that_the_store_does_not_keep(self, client: Client, folder: Path) -> None:
        """Who insists on one is told; nothing is named as if it were checked."""
        with pytest.raises(ChecksumError, match=r"keeps no SHA256 of the whole object$"):
            download(LOCATION, folder / "m", client=client, checksum="sha256")
        assert "m" not in names_in(folder)

    @pytest.mark.parametrize("size", [1000, len(LONG)])
    def test_an_etag_alone_throws_nothing_away(
        self, sky: ObjectServer, client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch, size: int
    ) -> None:
        """It may be something else than an MD5: the part is kept, and taken as it is by who wants that."""
        sky.put(BUCKET, "any.fits", LONG[:size])
        wrong = Checksum("MD5", bytes(16), "ETag")
        monkeypatch.setattr(whole_read, "stored_checksums", lambda *_, **__: [wrong])
        with pytest.raises(ChecksumError, match=r"kept in .*any\.astro-part; checksum=False takes them"):
            download(f"s3://{BUCKET}/any.fits", folder / "any", client=client)
        done = download(f"s3://{BUCKET}/any.fits", folder / "any", client=client, checksum=False)
        assert (folder / "any").read_bytes() == LONG[:size]
        assert done.fetched == 0

    @pytest.mark.parametrize("checksum", [1, None, b"md5", 0.5])
    def test_what_is_no_checksum_does_not_switch_checking_off(
        self, client: Client, folder: Path, checksum: Any
    ) -> None:
        """Truth is True."""
        with pytest.raises(ValueError, match="checksum is True, False, or such as"):
            download(LOCATION, folder / "m", client=client, checksum=checksum)

    def test_a_checksum_itself_is_one(self, client: Client, folder: Path) -> None:
        """That of an earlier download, say."""
        md5 = Checksum("MD5", hashlib.md5(DATA).digest())
        assert download(LOCATION, folder / "m", client=client, checksum=md5).checksum == md5

    def test_nothing_that_makes_no_sense(self, client: Client, folder: Path) -> None:
        """Before anything is read."""
        with pytest.raises(ValueError, match="no checksum is called"):
            download(LOCATION, folder / "m", client=client, checksum="crc16")
        with pytest.raises(ValueError, match="at least one worker"):
            download(LOCATION, folder / "m", client=client, workers=0)

    @pytest.mark.parametrize("status", [403, 405, 501])
    def test_a_store_that_does_not_serve_head(
        self, sky: ObjectServer, client: Client, folder: Path, status: int
    ) -> None:
        """The file is there all the same."""
        sky.inject(answering(status), times=None, method="HEAD")
        assert download(LOCATION, folder / "m", client=client).checksum is None
        assert (folder / "m").read_bytes() == DATA


class TestResuming:
    """What an earlier download left."""

    def _interrupted(
        self, server: ObjectServer, make_client: MakeClient, target: Path, **options: Any
    ) -> int:
        """Break a download off in its second half; return the bytes that had come."""
        server.inject(harmless(), times=3)
        server.inject(answering(500), times=None)
        with pytest.raises(StorageError, match="500"):
            download(
                LONG_LOCATION,
                target,
                client=make_client(server, attempts=1),
                workers=1,
                checksum=False,
                **options,
            )
        server.clear_faults()
        return server.requests.where(method="GET").body_bytes

    def test_the_next_goes_on(self, long_sky: ObjectServer, make_client: MakeClient, folder: Path) -> None:
        """Only what is missing is fetched; the checksum covers what was there."""
        before = self._interrupted(long_sky, make_client, folder / "l")
        assert 8 << 20 < before < len(LONG)
        assert len(names_in(folder)) == 2
        long_sky.inject(saying(x_amz_checksum_crc64nvme=CRC64), times=None, method="HEAD")
        seen: list[tuple[int, int | None]] = []
        done = download(
            LONG_LOCATION,
            folder / "l",
            client=make_client(long_sky),
            progress=lambda *now: seen.append(now),
        )
        assert done.fetched == len(LONG) - before
        assert (folder / "l").read_bytes() == LONG
        assert names_in(folder) == ["l"]
        assert done.checksum is not None
        assert seen[0][0] >= 0
        assert seen[-1] == (len(LONG), len(LONG))

    def test_bytes_that_rotted_meanwhile_are_seen(
        self, long_sky: ObjectServer, make_client: MakeClient, folder: Path
    ) -> None:
        """What lay on the disk is summed again, not believed."""
        self._interrupted(long_sky, make_client, folder / "l")
        part = next(path for path in folder.iterdir() if path.suffix == ".astro-part")
        with part.open("r+b") as file:
            file.seek(1000)
            file.write(b"rot")
        long_sky.inject(saying(x_amz_checksum_crc64nvme=CRC64), times=None, method="HEAD")
        with pytest.raises(ChecksumError):
            download(LONG_LOCATION, folder / "l", client=make_client(long_sky))
        assert names_in(folder) == []

    def test_an_object_that_changed_is_begun_anew(
        self, long_sky: ObjectServer, make_client: MakeClient, folder: Path
    ) -> None:
        """Bytes of two versions are never mixed."""
        self._interrupted(long_sky, make_client, folder / "l")
        new = LONG[::-1]
        long_sky.put(BUCKET, "long.fits", new)
        done = download(LONG_LOCATION, folder / "l", client=make_client(long_sky))
        assert (folder / "l").read_bytes() == new
        assert done.fetched == len(new)

    @pytest.mark.parametrize("spoil", ["another object", "no journal", "a short part", "a spoilt journal"])
    def test_what_cannot_be_gone_on_with_is_begun_anew(
        self, long_sky: ObjectServer, make_client: MakeClient, folder: Path, spoil: str
    ) -> None:
        """A part whose journal does not fit is written over."""
        self._interrupted(long_sky, make_client, folder / "l")
        journal = next(path for path in folder.iterdir() if path.suffix == ".journal")
        part = next(path for path in folder.iterdir() if path.suffix == ".astro-part")
        location = LONG_LOCATION
        if spoil == "another object":
            long_sky.put(BUCKET, "copy.fits", LONG)
            location = f"s3://{BUCKET}/copy.fits"
        elif spoil == "no journal":
            journal.unlink()
        elif spoil == "a short part":
            os.truncate(part, 1000)
        else:
            journal.write_bytes(b"[0,24000001]\n" + journal.read_bytes())
        done = download(location, folder / "l", client=make_client(long_sky))
        assert (folder / "l").read_bytes() == LONG
        assert done.fetched == len(LONG)

    def test_a_version_that_nothing_proves_is_begun_anew(
        self, long_sky: ObjectServer, make_client: MakeClient, folder: Path
    ) -> None:
        """Not to be seen as another one is not enough: another server may answer, and tell neither."""
        self._interrupted(long_sky, make_client, folder / "l")
        journal = next(path for path in folder.iterdir() if path.suffix == ".journal")
        head, _, lines = journal.read_bytes().partition(b"\n")
        journal.write_bytes(json.dumps(json.loads(head) | {"etag": None}).encode() + b"\n" + lines)
        new = LONG[::-1]
        long_sky.put(BUCKET, "long.fits", new)
        long_sky.inject(dropping("etag", "last-modified"), times=None)
        done = download(LONG_LOCATION, folder / "l", client=make_client(long_sky), checksum=False)
        assert (folder / "l").read_bytes() == new
        assert done.fetched == len(new)

    def test_a_slip_of_the_pen_costs_nothing(
        self, long_sky: ObjectServer, make_client: MakeClient, folder: Path
    ) -> None:
        """A part is only written over once something else comes."""
        before = self._interrupted(long_sky, make_client, folder / "l")
        with pytest.raises(ObjectNotFoundError):
            download(f"s3://{BUCKET}/lnog.fits", folder / "l", client=make_client(long_sky))
        done = download(LONG_LOCATION, folder / "l", client=make_client(long_sky))
        assert done.fetched == len(LONG) - before

    def test_a_journal_whose_part_is_gone(
        self, long_sky: ObjectServer, make_client: MakeClient, folder: Path
    ) -> None:
        """It claims nothing of the part that comes after."""
        self._interrupted(long_sky, make_client, folder / "l")
        part = next(path for path in folder.iterdir() if path.suffix == ".astro-part")
        part.unlink()
        assert download(LONG_LOCATION, folder / "l", client=make_client(long_sky)).fetched == len(LONG)
        assert names_in(folder) == ["l"]

    def test_without(self, long_sky: ObjectServer, make_client: MakeClient, folder: Path) -> None:
        """`resume=False` neither uses what is there nor leaves anything."""
        self._interrupted(long_sky, make_client, folder / "l")
        assert download(
            LONG_LOCATION, folder / "l", client=make_client(long_sky), resume=False
        ).fetched == len(LONG)
        self._interrupted(long_sky, make_client, folder / "m", resume=False)
        assert names_in(folder) == ["l"]

    def test_all_was_there_but_the_name(
        self, long_sky: ObjectServer, make_client: MakeClient, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One byte shows that the object is still the same."""
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", _fails_for(folder / "l"))
            with pytest.raises(StorageError, match="Input/output error"):
                download(LONG_LOCATION, folder / "l", client=make_client(long_sky), checksum=False)
        before = len(long_sky.requests)
        done = download(LONG_LOCATION, folder / "l", client=make_client(long_sky), checksum=False)
        assert (folder / "l").read_bytes() == LONG
        assert (done.fetched, len(long_sky.requests) - before) == (0, 1)


def _fails_for(target: Path) -> Callable[[Any, Any], None]:
    """Return a rename that fails for one target."""
    rename = os.replace

    def renaming(source: Any, destination: Any) -> None:
        if Path(destination) == target:
            raise OSError(5, os.strerror(5))
        rename(source, destination)

    return renaming


class TestTargets:
    """Where a download may be written, and where not."""

    def test_a_folder_that_is_not_there(self, sky: ObjectServer, client: Client, folder: Path) -> None:
        """Told before anything is read."""
        with pytest.raises(StorageError, match=r"there is no folder .*none: make it"):
            download(LOCATION, folder / "none" / "m31.fits", client=client)
        assert not sky.requests

    def test_a_folder(self, sky: ObjectServer, client: Client, folder: Path) -> None:
        """A file's name is wanted."""
        with pytest.raises(StorageError, match="is a folder: name the file"):
            download(LOCATION, folder, client=client)
        assert not sky.requests

    def test_a_file_that_is_read_only(self, sky: ObjectServer, client: Client, folder: Path) -> None:
        """It is left as it is."""
        target = folder / "m31.fits"
        target.write_bytes(b"old")
        target.chmod(0o444)
        with pytest.raises(PermissionError):
            download(LOCATION, target, client=client)
        assert target.read_bytes() == b"old"
        assert not sky.requests

    def test_two_at_once(self, long_sky: ObjectServer, make_client: MakeClient, folder: Path) -> None:
        """The second is told; the first goes on."""
        errors: list[str] = []
        client = make_client(long_sky)

        def meddle(done: int, total: int | None) -> None:
            if not errors:
                with pytest.raises(StorageError) as caught:
                    download(LOCATION, folder / "l", client=client)
                errors.append(str(caught.value))

        download(LONG_LOCATION, folder / "l", client=make_client(long_sky), progress=meddle)
        assert errors == [f"{folder / 'l'}: another download is writing this file"]
        assert (folder / "l").read_bytes() == LONG

    def test_no_space(
        self, long_sky: ObjectServer, make_client: MakeClient, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What has come is kept, the error says where; with room again the next goes on."""
        written = []
        write = os.pwrite

        def full(descriptor: int, data: memoryview, position: int) -> int:
            written.append(len(data))
            if sum(written) > 12 << 20:
                raise OSError(28, os.strerror(28))
            return write(descriptor, data, position)

        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", full)
            with pytest.raises(StorageError, match=r"no space is left.*l\.astro-part: make room"):
                download(LONG_LOCATION, folder / "l", client=make_client(long_sky), workers=2)
        assert len(names_in(folder)) == 2
        done = download(LONG_LOCATION, folder / "l", client=make_client(long_sky))
        assert (folder / "l").read_bytes() == LONG
        assert done.fetched < len(LONG) - (6 << 20)

    def test_a_device(self, client: Client) -> None:
        """What is no regular file is written to, in order; a full one is told."""
        assert download(LOCATION, "/dev/null", client=client).size == len(DATA)
        with pytest.raises(OSError, match="No space"):
            download(LOCATION, "/dev/full", client=client)

    def test_a_slash_at_the_end(self, client: Client, folder: Path) -> None:
        """It says that a folder is meant."""
        with pytest.raises(StorageError, match="is a folder"):
            download(LOCATION, f"{folder}/new/", client=client)
        assert names_in(folder) == []

    def test_a_text_file(self, client: Client, folder: Path) -> None:
        """Bytes cannot be written to it."""
        with (folder / "t").open("w") as file, pytest.raises(TypeError, match="takes text"):
            download(LOCATION, file, client=client)

    def test_a_path_that_can_be_written_to(self, client: Client, folder: Path) -> None:
        """What is a path is a path, whatever else it can do."""

        class Writable(type(folder)):
            def write(self, data: bytes) -> int:
                raise AssertionError

        download(LOCATION, Writable(folder / "m"), client=client)
        assert (folder / "m").read_bytes() == DATA

    @pytest.mark.parametrize("error", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
    def test_a_file_system_without_locks(
        self, client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch, error: int
    ) -> None:
        """Files are written there, too."""

        def flock(descriptor: int, operation: int) -> None:
            raise OSError(error, os.strerror(error))

        monkeypatch.setattr(fcntl, "flock", flock)
        download(LOCATION, folder / "m", client=client)
        assert (folder / "m").read_bytes() == DATA

    def test_a_file_system_that_can_little(
        self, long_sky: ObjectServer, client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Neither dates, nor reserved room, nor folders that are synced: the file is there all the same."""

        def cannot(*arguments: Any, **options: Any) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        for name in ("utime", "posix_fallocate", "fsync"):
            monkeypatch.setattr(os, name, cannot)
        download(LONG_LOCATION, folder / "l", client=client)
        assert (folder / "l").read_bytes() == LONG

    def test_a_folder_that_nobody_may_write_in(
        self, client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The error speaks of writing."""

        def denied(*arguments: Any) -> int:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        monkeypatch.setattr(os, "open", denied)
        with pytest.raises(AccessDeniedError, match="this user may not write there"):
            download(LOCATION, folder / "m", client=client)

    def test_a_forked_process_keeps_no_lock(
        self, long_sky: ObjectServer, make_client: MakeClient, folder: Path
    ) -> None:
        """What was begun here is no business of a child that lives on."""
        part = PartFile(folder / "l")
        read, write = os.pipe()
        child = os.fork()
        if not child:
            os.close(write)
            os.read(read, 1)
            os._exit(0)
        part.close()
        try:
            download(LONG_LOCATION, folder / "l", client=make_client(long_sky))
        finally:
            os.close(write)
            os.waitpid(child, 0)
        assert (folder / "l").read_bytes() == LONG

    def test_a_link(self, client: Client, folder: Path) -> None:
        """It is followed: what it leads to is written."""
        (folder / "link").symlink_to(folder / "real")
        download(LOCATION, folder / "link", client=client)
        assert names_in(folder) == ["link", "real"]
        assert (folder / "link").is_symlink()
        assert (folder / "real").read_bytes() == DATA

    def test_a_long_name(self, client: Client, folder: Path) -> None:
        """A name of 255 bytes leaves no room for another suffix."""
        target = folder / ("n" * 250 + ".fits")
        download(LOCATION, target, client=client)
        assert names_in(folder) == [target.name]

    def test_a_local_file(self, folder: Path) -> None:
        """One call serves both."""
        source = folder / "here.fits"
        source.write_bytes(LONG)
        os.utime(source, (1e9, 1e9))
        seen: list[tuple[int, int | None]] = []
        done = download(source, folder / "there.fits", progress=lambda *now: seen.append(now))
        assert (folder / "there.fits").read_bytes() == LONG
        assert (done.size, seen[-1]) == (len(LONG), (len(LONG), len(LONG)))
        assert datetime.fromtimestamp((folder / "there.fits").stat().st_mtime, UTC).year == 2001
        with pytest.raises(ChecksumError):
            download(source, folder / "wrong.fits", checksum="md5:" + "0" * 32)
        assert names_in(folder) == ["here.fits", "there.fits"]


class TestStreams:
    """Into a file object, in the order of the bytes."""

    @pytest.mark.parametrize("size", [0, 1, 4 << 20, len(LONG)])
    def test_in_order(self, sky: ObjectServer, client: Client, size: int) -> None:
        """All of it, and nothing is closed."""
        sky.put(BUCKET, "any.fits", LONG[:size])
        file = io.BytesIO()
        done = download(f"s3://{BUCKET}/any.fits", file, client=client)
        assert file.getvalue() == LONG[:size]
        assert (done.path, done.size) == (None, size)

    def test_a_file_that_takes_little_at_a_time(self, client: Client) -> None:
        """A raw file may write less than it was given."""

        class Slow(io.RawIOBase):
            taken = b""

            def write(self, data: Any) -> int:
                self.taken += bytes(data[:7777])
                return min(len(data), 7777)

        file = Slow()
        download(LOCATION, file, client=client)
        assert file.taken == DATA

    def test_it_is_checked(self, long_sky: ObjectServer, client: Client) -> None:
        """Any checksum will do, since the bytes come in order; what is written is written."""
        long_sky.inject(saying(x_amz_checksum_sha256=SHA256), times=1, method="HEAD")
        done = download(LONG_LOCATION, io.BytesIO(), client=client)
        assert done.checksum is not None
        long_sky.inject(saying(x_amz_checksum_crc64nvme=CRC32C + "AAA="), times=1, method="HEAD")
        assert download(LONG_LOCATION, io.BytesIO(), client=client).checksum is None
        long_sky.inject(saying(Content_MD5=base64.b64encode(bytes(16)).decode()), times=1, method="HEAD")
        with pytest.raises(ChecksumError, match="written already"):
            download(LONG_LOCATION, io.BytesIO(), client=client)

    def test_standard_output(self, sky: ObjectServer, folder: Path) -> None:
        """A pipe, or a file that is appended to: what it held stays."""
        sky.public.add(BUCKET)
        program = (
            "import sys; from astro_cloud import download; from astro_cloud.auth import Anonymous;"
            "download(sys.argv[1], '/dev/stdout', auth=Anonymous())"
        )
        arguments = [sys.executable, "-c", program, sky.url_for(BUCKET, "m31.fits")]
        options: dict[str, Any] = {"check": True, "cwd": Path(__file__).parents[2], "timeout": 60}
        assert subprocess.run(arguments, stdout=subprocess.PIPE, **options).stdout == DATA
        (folder / "o").write_bytes(b"before")
        with (folder / "o").open("ab") as file:
            subprocess.run(arguments, stdout=file, **options)
        assert (folder / "o").read_bytes() == b"before" + DATA

    def test_a_pipe_that_does_not_wait(self, long_sky: ObjectServer, client: Client) -> None:
        """Bytes that it does not take are not counted as written."""
        read, write = os.pipe()
        os.set_blocking(write, False)
        with open(write, "wb", buffering=0) as file, pytest.raises(BlockingIOError, match="make it blocking"):
            download(LONG_LOCATION, file, client=client)
        os.close(read)

    def test_the_head_of_another_version(self, long_sky: ObjectServer, client: Client) -> None:
        """What HEAD said before an object was replaced is not held against the new one."""
        wrong = base64.b64encode(bytes(16)).decode()

        def old(request: Any, serve: Callable[[], Answer]) -> Answer:
            answer = Fault.changed_etag().apply(request, serve)
            return replace(answer, headers=(*answer.headers, ("Content-MD5", wrong)))

        long_sky.inject(Fault("old", old), times=1, method="HEAD")
        file = io.BytesIO()
        assert download(LONG_LOCATION, file, client=client).checksum is None
        assert file.getvalue() == LONG

    def test_a_reader_that_leaves(self, long_sky: ObjectServer, make_client: MakeClient) -> None:
        """The file's own error comes through, and what was read ahead is given up."""
        read, write = os.pipe()
        os.close(read)
        with open(write, "wb", buffering=0) as file, pytest.raises(BrokenPipeError):
            download(LONG_LOCATION, file, client=make_client(long_sky))

    def test_a_server_without_ranges(self, long_sky: ObjectServer, client: Client) -> None:
        """The object is read through."""
        long_sky.inject(Fault.whole_body(), times=None, method="GET")
        file = io.BytesIO()
        download(LONG_LOCATION, file, client=client)
        assert file.getvalue() == LONG

    def test_a_server_without_ranges_and_a_reader_that_leaves(
        self, long_sky: ObjectServer, client: Client
    ) -> None:
        """The file's own error is not taken for the network's."""
        long_sky.inject(Fault.whole_body(), times=None, method="GET")
        with open("/dev/full", "wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            download(LONG_LOCATION, file, client=client)
        assert client.usage.requests == 3

    def test_a_server_without_ranges_that_breaks_off(self, long_sky: ObjectServer, client: Client) -> None:
        """What is written cannot be taken back."""
        long_sky.inject(Fault.whole_body(), times=1, method="GET")
        long_sky.inject(Fault.cut(5_000_000), times=1, method="GET")
        with pytest.raises(StorageError, match="bytes were written"):
            download(LONG_LOCATION, io.BytesIO(), client=client)


class TestFaults:
    """In the middle of a download."""

    @pytest.mark.parametrize("fault", PASSES.values(), ids=PASSES)
    def test_what_passes_costs_no_byte(
        self, long_sky: ObjectServer, make_client: MakeClient, folder: Path, fault: Fault
    ) -> None:
        """Struck at the first request, and again on the way, the file is right."""
        client = make_client(long_sky, attempts=9, read_timeout=patience(fault))
        long_sky.inject(fault, times=2)
        long_sky.inject(harmless(), times=2)
        long_sky.inject(fault, times=2)
        download(LONG_LOCATION, folder / "l", client=client, workers=4)
        assert (folder / "l").read_bytes() == LONG

    @pytest.mark.parametrize(
        ("fault", "says"),
        [
            (Fault.wrong_content_range(start=1), "Content-Range"),
            (Fault.wrong_content_range(total=1), "size changed"),
            (Fault.changed_etag(), "ETag changed"),
            (answering(412), "no longer"),
            (Fault.unavailable(403, "AccessDenied"), "403"),
            (Fault.unavailable(404, "NoSuchKey"), "404"),
        ],
    )
    def test_what_does_not_pass_is_told(
        self, long_sky: ObjectServer, make_client: MakeClient, folder: Path, fault: Fault, says: str
    ) -> None:
        """There is no target; a part is left, and goes on where the object is the same."""
        client = make_client(long_sky)
        long_sky.inject(harmless(), times=1, method="GET")
        long_sky.inject(fault, times=1, method="GET")
        with pytest.raises(StorageError, match=says):
            download(LONG_LOCATION, folder / "l", client=client)
        assert not (folder / "l").exists()
        download(LONG_LOCATION, folder / "l", client=client)
        assert (folder / "l").read_bytes() == LONG

    @pytest.mark.parametrize("session", [None, requests.Session], ids=["own connections", "a session"])
    def test_credentials_that_expire_half_way_are_renewed(
        self,
        long_sky: ObjectServer,
        make_client: MakeClient,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        session: type[requests.Session] | None,
    ) -> None:
        """Pieces that are refused are asked for again, with keys that are found once more."""
        for name, value in long_sky.environ.items():
            monkeypatch.setenv(name, value)
        old, new = long_sky.access_key, AccessKey("AKIANEW", "secret")
        long_sky.credentials["AKIANEW"] = new

        def expire(request: Any, serve: Callable[[], Answer]) -> Answer:
            long_sky.credentials[old] = AccessKey(old, long_sky.credentials[old].secret_key, expired=True)
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", new.access_key)
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", new.secret_key)
            return serve()

        own = {"session": session()} if session is not None else {}
        long_sky.inject(harmless(), times=1, method="GET")
        long_sky.inject(Fault("the keys expire", expire), method="GET")
        client = make_client(long_sky, auth=AWSAuth(region=long_sky.region), **own)
        download(LONG_LOCATION, folder / "l", client=client)
        assert (folder / "l").read_bytes() == LONG
        assert sum(record.status == 400 for record in long_sky.requests) >= 1

    def test_a_redirect_is_paid_once(
        self,
        long_sky: ObjectServer,
        other_sky: ObjectServer,
        make_client: MakeClient,
        folder: Path,
    ) -> None:
        """Where the first piece was led, the others go at once; nothing of ours goes along."""
        other_sky.put(BUCKET, "long.fits", LONG)
        target = other_sky.url_for(BUCKET, "long.fits")
        long_sky.inject(Fault.redirect(target), times=1, method="GET")
        download(LONG_LOCATION, folder / "l", client=make_client(long_sky), checksum=False)
        assert (folder / "l").read_bytes() == LONG
        assert len(long_sky.requests) == 1
        assert all("authorization" not in record.headers for record in other_sky.requests)

    def test_nobody_is_there(self, make_client: MakeClient, folder: Path) -> None:
        """A connection that is refused is tried again, and told; nothing is left."""
        client = make_client(endpoint_url="http://127.0.0.1:1", auth=Anonymous())
        with pytest.raises(StorageError, match="no connection"):
            download(LONG_LOCATION, folder / "l", client=client)
        assert names_in(folder) == []

    def test_offsets_beyond_32_bits(
        self, long_sky: ObjectServer, make_client: MakeClient, folder: Path
    ) -> None:
        """A part of more than 4 GiB, all but its end there already."""
        path = long_sky.path(BUCKET, "huge.fits")
        with path.open("wb") as file:
            file.truncate(5 << 30)
            file.seek(-len(LONG), os.SEEK_END)
            file.write(LONG)
        location = f"s3://{BUCKET}/huge.fits"
        info = make_client(long_sky).stat(location)
        size, start = info.size, info.size - len(LONG)
        part, journal = folder / "h.astro-part", folder / "h.astro-part.journal"
        with part.open("wb") as file:
            file.truncate(size)
        identity = info.location.fingerprint
        version = Version(info.etag, size)
        journal.write_bytes(Journal(identity, version).head + Journal.lines([Span(0, start)]))
        done = download(location, folder / "h", client=make_client(long_sky), checksum=False)
        assert (done.size, done.fetched) == (size, len(LONG))
        with (folder / "h").open("rb") as file:
            file.seek(start)
            assert file.read() == LONG

    def test_an_object_replaced_while_it_is_read(
        self, long_sky: ObjectServer, make_client: MakeClient, folder: Path
    ) -> None:
        """Never a file of two versions; the next download brings the new one."""
        new, done_once = LONG[::-1], []

        def overwrite(done: int, total: int | None) -> None:
            if not done_once:
                done_once.append(True)
                long_sky.put(BUCKET, "long.fits", new)

        with pytest.raises(ObjectChangedError):
            download(LONG_LOCATION, folder / "l", client=make_client(long_sky), workers=1, progress=overwrite)
        assert not (folder / "l").exists()
        download(LONG_LOCATION, folder / "l", client=make_client(long_sky))
        assert (folder / "l").read_bytes() == new

    def test_a_server_without_ranges(
        self, long_sky: ObjectServer, make_client: MakeClient, folder: Path
    ) -> None:
        """It is read through, from the start again after a fault."""
        long_sky.inject(Fault.whole_body(), times=1, method="GET")
        long_sky.inject(Fault.cut(5_000_000), times=1, method="GET")
        long_sky.inject(saying(Content_MD5=MD5), times=None, method="HEAD")
        seen: list[int] = []
        done = download(
            LONG_LOCATION,
            folder / "l",
            client=make_client(long_sky),
            progress=lambda now, total: seen.append(now),
        )
        assert (folder / "l").read_bytes() == LONG
        assert done.checksum is not None
        assert seen == sorted(seen)
        assert seen[-1] == len(LONG)

    def test_an_object_that_is_stored_compressed(
        self, long_sky: ObjectServer, make_client: MakeClient, folder: Path
    ) -> None:
        """The bytes that are stored are what is downloaded; a warning says what they are."""
        long_sky.inject(Fault.labelled_gzip(), times=None)
        with pytest.warns(AstroCloudWarning, match="Content-Encoding 'gzip'.*holds the compressed bytes"):
            download(LONG_LOCATION, folder / "l", client=make_client(long_sky))
        assert (folder / "l").read_bytes() == LONG

    def test_a_body_that_ends_with_its_connection(self, folder: Path) -> None:
        """What HEAD told of the length is believed."""
        head = said("HTTP/1.0 200 OK", "Content-Length: 3000", 'ETag: "v1"')
        cut = said("HTTP/1.0 200 OK", 'ETag: "v1"') + bytes(1700)
        with raw_server(*[[lambda asked: head if asked.startswith(b"HEAD") else cut]] * 9) as server:
            for target in (folder / "h", io.BytesIO()):
                with pytest.raises(IncompleteReadError, match="after 1700 of 3000 bytes"):
                    download(server.url, target)
        assert names_in(folder) == []

    def test_a_size_nobody_tells(self, client: Client, folder: Path) -> None:
        """A body in chunks, from a server without ranges."""
        chunks = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
        answer = said("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + chunks
        with raw_server([answer], [answer], [answer]) as server:
            download(server.url, folder / "h", checksum=False)
        assert (folder / "h").read_bytes() == b"hello world"

    def test_nothing_is_there(self, sky: ObjectServer, client: Client, folder: Path) -> None:
        """Neither file nor part."""
        with pytest.raises(ObjectNotFoundError):
            download(f"s3://{BUCKET}/none.fits", folder / "n", client=client)
        assert names_in(folder) == []


class TestProgress:
    """How far it has come."""

    def test_a_callback_that_fails(self, long_sky: ObjectServer, client: Client, folder: Path) -> None:
        """Its error is neither taken for the network's nor tried again."""

        def fail(done: int, total: int | None) -> None:
            raise BrokenPipeError

        with pytest.raises(StorageError, match="showing progress failed"):
            download(LONG_LOCATION, folder / "l", client=client, progress=fail)

    def test_an_error_of_a_callbacks_own_comes_through(
        self, long_sky: ObjectServer, client: Client, folder: Path
    ) -> None:
        """So a program may end a download."""

        class Enough(Exception):
            pass

        def fail(done: int, total: int | None) -> None:
            raise Enough

        with pytest.raises(Enough):
            download(LONG_LOCATION, folder / "l", client=client, progress=fail)

    def test_others_are_served_meanwhile(
        self, long_sky: ObjectServer, make_client: MakeClient, folder: Path
    ) -> None:
        """A long download takes no threads from what else a client reads."""
        client = make_client(long_sky, concurrency=2)
        parts: list[list[bytes]] = []

        def read(done: int, total: int | None) -> None:
            if not parts:
                reading = threading.Thread(
                    target=lambda: parts.append(client.read_ranges(LOCATION, [(0, 10), (50_000, 50_010)]))
                )
                reading.start()
                threads.append(reading)
                parts.append([])

        threads: list[threading.Thread] = []
        download(LONG_LOCATION, folder / "l", client=client, progress=read)
        threads[0].join(30)
        assert parts[1] == [DATA[:10], DATA[50_000:50_010]]

    def test_a_callback(self, long_sky: ObjectServer, client: Client, folder: Path) -> None:
        """Never backwards, and in the end all; the total is known early."""
        seen: list[tuple[int, int | None]] = []
        download(LONG_LOCATION, folder / "l", client=client, progress=lambda *now: seen.append(now))
        assert [now for now, _ in seen] == sorted(now for now, _ in seen)
        assert seen[-1] == (len(LONG), len(LONG))
        assert {total for _, total in seen} <= {None, len(LONG)}

    def test_a_bar_is_silent_where_nobody_looks(
        self, client: Client, folder: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Standard error is no terminal here."""
        download(LOCATION, folder / "m", client=client, progress=True)
        assert capfd.readouterr() == ("", "")

    def test_a_bar_on_a_terminal(self, sky: ObjectServer, folder: Path) -> None:
        """Bytes, rate and time left."""
        sky.public.add(BUCKET)
        program = (
            "import sys; from astro_cloud import download; from astro_cloud.auth import Anonymous;"
            "download(sys.argv[1], sys.argv[2], progress=True, auth=Anonymous())"
        )
        terminal, inside = os.openpty()
        termios.tcsetwinsize(inside, (24, 100))
        arguments = [
            sys.executable,
            "-c",
            program,
            sky.url_for(BUCKET, "m31.fits"),
            str(folder / "m31.fits"),
        ]
        subprocess.run(arguments, stderr=inside, check=True, cwd=Path(__file__).parents[2], timeout=60)
        os.set_blocking(terminal, False)
        shown = os.read(terminal, 1 << 16).decode()
        os.close(inside)
        os.close(terminal)
        assert "m31.fits: 100%" in shown
        assert "97.7k/97.7k" in shown
