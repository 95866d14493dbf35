"""A local file, read as an object is."""

from __future__ import annotations

import os
import pickle
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import astro_cloud
from astro_cloud.exceptions import (
    AccessDeniedError,
    InvalidLocationError,
    ObjectChangedError,
    ObjectNotFoundError,
    StorageError,
)
from astro_cloud.storage import Location
from astro_cloud.storage.local import LocalObject
from tests.forks import forks

DATA = random.Random(8).randbytes(200_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that holds `DATA`."""
    path = tmp_path / "m 31.fits"
    path.write_bytes(DATA)
    return path


def local(path: Path) -> LocalObject:
    return LocalObject(Location.parse(path))


def test_ranges_are_read_and_cut_at_the_end(path: Path) -> None:
    """As `PinnedObject.read_ranges` does it; the version and the size are known afterwards."""
    source = local(path)
    assert (source.size, source.version, source.name) == (None, None, str(path))
    assert source.read_ranges([(5, 10), (199_990, 300_000), (300_000, 300_001)]) == [
        DATA[5:10],
        DATA[199_990:],
        b"",
    ]
    assert source.size == 200_000
    assert source.version is not None
    assert repr(source) == f"<LocalObject {path}>"
    with pytest.raises(ValueError, match="start < stop"):
        source.read_ranges([(5, 5)])


def test_ranges_are_read_into_buffers(path: Path) -> None:
    """Straight into the caller's memory; what is returned says how much there was."""
    first, second = bytearray(10), bytearray(20)
    views = local(path).read_ranges([(0, 10), (199_995, 200_015)], into=[first, second])
    assert [bytes(view) for view in views] == [DATA[:10], DATA[199_995:]]
    assert first == DATA[:10]
    assert second[:5] == DATA[199_995:]


def test_bounds_may_be_integers_of_numpy(path: Path) -> None:
    """However few bits they have; what is no integer is refused."""
    source, buffer = local(path), bytearray(250)
    assert source.read_ranges([(np.uint8(5), np.int64(1000))]) == [DATA[5:1000]]
    assert source.begin([(np.int16(2), np.uint16(9))]).result() == [DATA[2:9]]
    assert source.read_ranges([(np.uint8(0), np.uint8(250))], into=[buffer]) == [DATA[:250]]
    for call in (source.read_ranges, source.begin):
        with pytest.raises(TypeError):
            call([(0.5, 2.5)])


def test_begin_has_ended_already(path: Path, tmp_path: Path) -> None:
    """There is nothing to wait for: the bytes, or the error, are there at once."""
    reading = local(path).begin([(0, 5)])
    reading.cancel()
    assert reading.done()
    assert reading.result() == [DATA[:5]]
    failed = local(tmp_path / "none").begin([(0, 5)])
    with pytest.raises(ObjectNotFoundError):
        failed.result()


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, path: Path) -> None:
    """The errors are those of objects, and the builtin ones: which file, and what is the matter."""
    with pytest.raises(ObjectNotFoundError, match=r"none\.fits: there is no such file") as missing:
        local(tmp_path / "none.fits").read_ranges([(0, 1)])
    assert isinstance(missing.value, FileNotFoundError)
    assert missing.value.location == str(tmp_path / "none.fits")
    with pytest.raises(ObjectNotFoundError):
        local(path / "below a file").read_ranges([(0, 1)])
    with pytest.raises(StorageError, match="is a directory"):
        local(tmp_path).read_ranges([(0, 1)])


# Where there are none, as on Windows, nobody can be made to wait for one.
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """What cannot be read by position is refused at once."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="no regular file"):
        local(tmp_path / "pipe").read_ranges([(0, 1)])


def test_a_file_that_may_not_be_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permission denied is access denied; whoever runs the tests may be allowed everything."""

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        with pytest.raises(AccessDeniedError, match="permission denied: see"):
            local(path).read_ranges([(0, 1)])


def test_a_failing_disk_is_a_storage_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else the system says is passed on."""

    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(StorageError, match="Input/output error"):
        local(path).read_ranges([(0, 1)])


def test_a_file_that_changed_is_refused(path: Path) -> None:
    """Written to in place, or cut short: bytes of two versions are never mixed."""
    source = local(path)
    source.read_ranges([(0, 5)])
    with open(path, "ab") as file:
        file.write(b"more")
    with pytest.raises(ObjectChangedError):
        source.read_ranges([(0, 5)])


def test_another_file_in_its_place(path: Path) -> None:
    """Who has the file open reads on in the old one; who opens it anew, by a pickle, is told."""
    source = local(path)
    source.read_ranges([(0, 5)])
    path.with_suffix(".new").write_bytes(bytes(200_000))
    os.replace(path.with_suffix(".new"), path)
    assert source.read_ranges([(5, 10)]) == [DATA[5:10]]
    with pytest.raises(ObjectChangedError):
        pickle.loads(pickle.dumps(source)).read_ranges([(5, 10)])


def test_threads_and_closing(path: Path) -> None:
    """Threads open the file once between them; closed, it is opened anew if somebody still reads."""
    source = local(path)
    with ThreadPoolExecutor(8) as threads:
        parts = list(threads.map(lambda at: source.read_ranges([(at, at + 100)])[0], range(0, 20_000, 100)))
    assert b"".join(parts) == DATA[:20_000]
    source.close()
    source.close()
    assert source.read_ranges([(0, 5)]) == [DATA[:5]]


def test_where_there_is_no_pread(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has none: seeking and reading take turns."""
    monkeypatch.delattr(os, "pread")
    source = local(path)
    with ThreadPoolExecutor(8) as threads:
        parts = list(threads.map(lambda at: source.read_ranges([(at, at + 100)])[0], range(0, 20_000, 100)))
    assert b"".join(parts) == DATA[:20_000]


def test_open_takes_every_form_of_a_local_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path, bare text, a relative one and a ``file://`` URL open the same file, as the user wrote it."""
    monkeypatch.chdir(path.parent)
    for location in (path, str(path), path.name, path.as_uri()):
        with astro_cloud.open(location) as file:
            assert file.name == str(location)
            assert file.size == 200_000
            assert file.read() == DATA
            file.prefetch([(0, 100)])
            assert file.seek(-5, os.SEEK_END) == 199_995
            assert file.read(10) == DATA[-5:]
            assert file._cache.held == 0


def test_open_fails_at_once(tmp_path: Path) -> None:
    """A missing file, a directory and text that names nothing are errors of `open`."""
    with pytest.raises(ObjectNotFoundError):
        astro_cloud.open(tmp_path / "none")
    with pytest.raises(StorageError, match="directory"):
        astro_cloud.open(tmp_path)
    with pytest.raises(InvalidLocationError):
        astro_cloud.open("")


def test_an_empty_file(tmp_path: Path) -> None:
    """No bytes are no error."""
    (tmp_path / "empty").touch()
    with astro_cloud.open(tmp_path / "empty") as file:
        assert (file.size, file.read(), file.readline()) == (0, b"", b"")


def test_a_pickled_file_reads_on(path: Path) -> None:
    """The copy opens the file itself, at the same position."""
    with astro_cloud.open(path) as file:
        file.seek(100)
        with pickle.loads(pickle.dumps(file)) as copy:
            assert copy.read(10) == DATA[100:110]


@forks
def test_a_forked_process_reads_on(path: Path) -> None:
    """A child reads the file that its parent has open, whoever was opening it just then."""
    with astro_cloud.open(path) as file:
        with file._source._opening:
            child = os.fork()
        if child == 0:
            os._exit(0 if file.pread(5, 10) == DATA[5:15] else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert file.read(10) == DATA[:10]
