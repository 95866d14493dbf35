"""ls, cat and stat, run as a user would, against a loopback server and on local files."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from astro_cloud.storage import Client
from astro_cloud.storage.glob import Glob
from astro_cloud.testing import Fault, ObjectServer
from tests.cli.commands import ASTRO_CLOUD, run

DATA = bytes(range(256)) * 400


@pytest.fixture
def server(found_server: ObjectServer) -> ObjectServer:
    """A server with a few objects."""
    for key in ("night/a b.fits", "night/2.fits", "night/deep/3.fits", "readme"):
        found_server.put("sky", key, DATA)
    found_server.put("void", "gone", b"")
    found_server.path("void", "gone").unlink()
    return found_server


def listed(*arguments: str) -> list[str]:
    """Return the locations that ``ls`` prints."""
    result = run("ls", *arguments)
    assert result.exit_code == 0, result.output
    return [line[41:] for line in result.stdout.splitlines()]


def test_ls_shows_a_folder(server: ObjectServer) -> None:
    """Objects with size and date, folders without; each location can be pasted into the next command."""
    result = run("ls", "s3://sky/night/")
    lines = result.stdout.splitlines()
    assert [line[41:] for line in lines] == [
        "s3://sky/night/2.fits",
        "s3://sky/night/a b.fits",
        "s3://sky/night/deep/",
    ]
    assert lines[0].split()[0] == "102,400"
    assert lines[0].split()[1].startswith("20")
    assert lines[2].split() == ["s3://sky/night/deep/"]
    assert listed("s3://sky") == ["s3://sky/night/", "s3://sky/readme"]


def test_ls_finds(server: ObjectServer) -> None:
    """--recursive goes into folders, and so does ``**``; ``*`` does not."""
    assert len(listed("--recursive", "s3://sky")) == 4
    assert listed("s3://sky/**/[23].fits") == ["s3://sky/night/2.fits", "s3://sky/night/deep/3.fits"]
    assert listed("s3://sky/night/*.fits") == ["s3://sky/night/2.fits", "s3://sky/night/a b.fits"]


def test_ls_of_a_pattern_across_folders(server: ObjectServer, tmp_path: Path) -> None:
    """A star that is a folder's name finds what is in the folders, and no folder is shown."""
    assert listed("s3://sky/*/2.fits") == ["s3://sky/night/2.fits"]
    assert listed("s3://sky/n*t/deep/?.fits") == ["s3://sky/night/deep/3.fits"]
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.fits").write_bytes(DATA)
    assert listed(f"{tmp_path}/*/a.fits") == [f"{tmp_path}/sub/a.fits"]


def test_ls_of_a_wrong_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern that the client takes for none is a wrong use; no location is known to hold one."""

    def refuse(*arguments: object, **options: object) -> None:
        Glob("")

    monkeypatch.setattr(Client, "list_objects", refuse)
    result = run("ls", "s3://sky/*")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "the pattern is empty" in result.stderr


def test_ls_in_json(server: ObjectServer) -> None:
    """--json prints a line for each entry, as it comes."""
    result = run("ls", "--json", "s3://sky/night/")
    entries = [json.loads(line) for line in result.stdout.splitlines()]
    assert entries[0]["size"] == len(DATA)
    assert entries[0]["etag"].startswith('"')
    assert entries[0]["last_modified"].endswith("+00:00")
    assert entries[2] == {"location": "s3://sky/night/deep/", "prefix": True}


def test_ls_of_nothing(server: ObjectServer) -> None:
    """An empty bucket is empty; what is not there, or has no bucket, is an error."""
    assert listed("s3://void") == []
    for location, says in (("s3://sky/day/", "nothing that begins so"), ("s3://nowhere", "no such bucket")):
        result = run("ls", location)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("error: ")
        assert says in result.stderr


def test_ls_of_a_local_folder(tmp_path: Path) -> None:
    """A folder of this machine is listed alike."""
    (tmp_path / "a.fits").write_bytes(DATA)
    (tmp_path / "sub").mkdir()
    assert [Path(location).name for location in listed(f"{tmp_path}/")] == ["a.fits", "sub"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("0:2880", DATA[:2880]),
        ("100:", DATA[100:]),
        (":7", DATA[:7]),
        (":", DATA),
        ("-80:", DATA[-80:]),
        ("-80:-10", DATA[-80:-10]),
        ("102390:200000", DATA[-10:]),
        ("9:9", b""),
    ],
)
def test_cat_writes_ranges(server: ObjectServer, wanted: str, expected: bytes) -> None:
    """Bytes as they are, cut as Python cuts a slice."""
    result = run("cat", "s3://sky/night/a b.fits", "--range", wanted)
    assert (result.exit_code, result.stdout_bytes) == (0, expected)


def test_cat_asks_for_no_more(server: ObjectServer) -> None:
    """A range from the start costs one request of just these bytes; the whole object, one too."""
    run("cat", "s3://sky/readme", "--range", "0:2880")
    assert [record.range for record in server.requests] == ["bytes=0-2879"]
    server.clear()
    assert run("cat", "s3://sky/readme").stdout_bytes == DATA
    assert server.requests.body_bytes == len(DATA)


def test_cat_reads_long_objects_in_pieces(server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded by a piece; an object overwritten meanwhile is an error."""
    monkeypatch.setattr("astro_cloud.cli.objects._CHUNK", 10_000)
    assert run("cat", "s3://sky/readme").stdout_bytes == DATA
    assert len(server.requests) == 11
    server.inject(Fault("harmless", lambda request, serve: serve()))
    server.inject(Fault.changed_etag())
    result = run("cat", "s3://sky/readme")
    assert result.exit_code == 1
    assert "overwritten while it was read" in result.stderr


def test_cat_tells_what_is_wrong(server: ObjectServer) -> None:
    """A missing object, a range behind the end and one that is none: each is told, with nothing written."""
    for arguments, status, says in (
        (("s3://sky/none",), 1, "no such object"),
        (("s3://sky/readme", "--range", "200000:300000"), 1, "behind its end, 102400"),
        (("s3://sky/readme", "--range", "2880"), 2, "is not START:STOP"),
        (("s3://sky/",), 1, "key"),
        (("s3://sky/none", "--range", "5:5"), 1, "no such object"),
        (("s3://sky/none", "--range", ":0"), 1, "no such object"),
        (("no-such-file", "--range", "9:5"), 1, "no such file"),
        ((__file__, "--range", f"{10**19 - 1}:"), 2, "18 digits"),
        ((__file__, "--range", f":-{10**19 - 1}"), 2, "18 digits"),
        ((__file__, "--range", f"{10**18 - 1}:"), 1, "behind its end"),
    ):
        result = run("cat", *arguments)
        assert (result.exit_code, result.stdout) == (status, "")
        assert says in result.stderr
        assert "Traceback" not in result.output


def test_cat_ends_quietly_when_its_reader_does(server: ObjectServer) -> None:
    """``cat | head`` leaves no complaint."""
    command = [*ASTRO_CLOUD, "cat", "s3://sky/readme"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(10) == DATA[:10]
        process.stdout.close()
        assert process.stderr.read() == b""


def test_stat_shows_what_is_known(server: ObjectServer) -> None:
    """A line for each fact; a failing location does not hide the others."""
    result = run("stat", "s3://sky/none", "s3://sky/readme")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: s3://sky/none: no such object")
    facts = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert facts["location"] == "s3://sky/readme"
    assert facts["size"] == "102,400 bytes"
    assert set(facts) >= {"last_modified", "etag"}
    (line,) = run("stat", "--json", "s3://sky/readme").stdout.splitlines()
    assert json.loads(line)["size"] == len(DATA)
