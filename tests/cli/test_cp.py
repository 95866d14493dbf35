"""cp, run as a user would, against a loopback server."""

from __future__ import annotations

import os
import signal
import subprocess
import termios
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from astro_cloud.testing import Answer, Fault, ObjectServer
from tests.cli.commands import ASTRO_CLOUD, run
from tests.storage.downloads import LONG, names_in, saying
from tests.storage.reading import DATA


@pytest.fixture
def server(found_server: ObjectServer) -> ObjectServer:
    """A server with a few objects."""
    for key in ("night/1.fits", "night/deep/2.fits", "night/log [1].txt", "readme"):
        found_server.put("sky", key, DATA)
    found_server.put("void", "gone", b"")
    found_server.path("void", "gone").unlink()
    return found_server


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which commands are run in."""
    made = tmp_path / "here"
    made.mkdir()
    monkeypatch.chdir(made)
    return made


def cp(*arguments: str, standard_input: bytes = b"") -> Result:
    """Run ``astro-cloud cp``."""
    return run("cp", *arguments, standard_input=standard_input)


def well(*arguments: str, **options: Any) -> str:
    """Run it, see that it goes well and prints nothing else, and return what it says in the end."""
    result = cp(*arguments, **options)
    assert (result.exit_code, result.stdout) == (0, ""), result.output
    return result.stderr


def files_in(folder: Path) -> list[str]:
    """Return the names of all files below a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def keys_in(server: ObjectServer, bucket: str) -> list[str]:
    """Return the keys of a bucket."""
    return files_in(server.root / bucket)


class TestDownloads:
    """Objects to files."""

    def test_to_a_name(self, server: ObjectServer, here: Path) -> None:
        """The summary says how much it was, and what was compared."""
        said = well("s3://sky/readme", "copy.txt")
        assert (here / "copy.txt").read_bytes() == DATA
        assert said.startswith("copied 1 file, 100,000 bytes in ")
        assert said.endswith(" s; no checksum compared\n")

    @pytest.mark.parametrize("folder", [".", "new/", "./new/er/"])
    def test_to_a_folder(self, server: ObjectServer, here: Path, folder: str) -> None:
        """Under its base name; a slash makes the folder."""
        well("s3://sky/night/1.fits", folder)
        assert (here / folder / "1.fits").read_bytes() == DATA

    @pytest.mark.parametrize(
        "arguments", [["s3://sky/night/"], ["-r", "s3://sky/night"], ["s3://sky/night/**"]]
    )
    def test_a_folder(self, server: ObjectServer, here: Path, arguments: list[str]) -> None:
        """With what is in it."""
        assert "copied 3 files, 300,000 bytes" in well(*arguments, "to")
        assert files_in(here) == ["to/1.fits", "to/deep/2.fits", "to/log [1].txt"]

    def test_a_bucket(self, server: ObjectServer, here: Path) -> None:
        """With a slash, or --recursive, all of it."""
        well("s3://sky/", "to")
        assert len(files_in(here)) == 4
        assert "s3://sky is a bucket" in cp("s3://sky", "to").stderr

    def test_several(self, server: ObjectServer, here: Path) -> None:
        """Objects, folders and patterns into one folder; the second time nothing is fetched."""
        sources = ("s3://sky/readme", "s3://sky/night/deep/", "s3://sky/night/*.fits")
        well(*sources, "to")
        assert files_in(here) == ["to/1.fits", "to/2.fits", "to/readme"]
        server.clear()
        assert well(*sources, "to").endswith("; 3 were there already\n")
        assert [record.method for record in server.requests if record.key] == ["HEAD"]

    def test_nothing_is_copied_if_one_of_several_is_nothing(self, server: ObjectServer, here: Path) -> None:
        """A folder that is not there is told before."""
        result = cp("s3://sky/night/", "s3://sky/day/", "to")
        assert (result.exit_code, files_in(here)) == (1, [])
        assert result.stderr == "error: s3://sky/day/: there is nothing to transfer\n"

    def test_what_fails_keeps_nothing_else(self, server: ObjectServer, here: Path) -> None:
        """A line for each, and the exit code is 1."""
        result = cp("s3://sky/none", "s3://sky/night/gone", "s3://sky/readme", "to")
        assert (result.exit_code, result.stdout) == (1, "")
        *errors, summary = result.stderr.splitlines()
        assert sorted(errors) == [
            "error: s3://sky/night/gone: no such object (404)",
            "error: s3://sky/none: no such object (404)",
        ]
        assert summary.startswith("copied 1 file,")
        assert summary.endswith("; 2 failed")
        assert (here / "to" / "readme").exists()

    def test_names_stay_in_the_folder(self, server: ObjectServer, here: Path, tmp_path: Path) -> None:
        """Whatever a listing says."""
        keys = ("night/../../../out", "night//tmp/out", "night/fine")
        entries = "".join(f"<Contents><Key>{key}</Key><Size>5</Size></Contents>" for key in keys)
        body = f"<ListBucketResult>{entries}</ListBucketResult>".encode()
        for option in ("--quiet", "--dry-run"):
            server.inject(Fault("listing", lambda request, serve: Answer(200, (), body)))
            server.inject(Fault("object", lambda request, serve: Answer(200, (), b"12345")), method="GET")
            result = cp(option, "--no-checksum", "s3://sky/night/", "to")
            server.clear_faults()
            assert result.exit_code == 1
            assert result.stderr.count("cannot be the name of a file in to: download it alone") == 2
        assert files_in(here) == ["to/fine"]
        assert names_in(tmp_path) == ["here", "object_server"]

    def test_no_clobber(self, server: ObjectServer, here: Path) -> None:
        """What is there stays, and is said."""
        (here / "1.fits").write_bytes(b"mine")
        assert "1.fits is there already, and was left as it is\n" in well(
            "--no-clobber", "s3://sky/night/1.fits", "."
        )
        said = well("--no-clobber", "s3://sky/night/", ".")
        assert said.startswith("1.fits is there already, and was left as it is\ncopied 2 files")
        assert said.endswith("1 was there already\n")
        assert (here / "1.fits").read_bytes() == b"mine"

    def test_checksums(self, server: ObjectServer, here: Path) -> None:
        """Which was compared is said; one that is asked for and not there is an error."""
        server.put("sky", "checked", DATA, checksum="crc64nvme")
        assert well("s3://sky/checked", ".").endswith("; CRC64NVME agrees\n")
        assert well("s3://sky/checked", "s3://sky/readme", "to").endswith(
            (
                "; 1 CRC64NVME agrees; 1 no checksum compared\n",
                "; 1 no checksum compared; 1 CRC64NVME agrees\n",
            )
        )
        assert well("--no-checksum", "s3://sky/checked", ".").endswith("; no checksum compared\n")
        result = cp("--checksum", "sha256", "s3://sky/readme", ".")
        assert result.exit_code == 1
        assert "keeps no SHA256" in result.stderr
        server.inject(saying(Content_MD5="AAAAAAAAAAAAAAAAAAAAAA=="), method="HEAD")
        result = cp("s3://sky/readme", ".")
        assert result.exit_code == 1
        assert "they were thrown away" in result.stderr

    @pytest.mark.parametrize(
        ("headers", "kept"), [({}, ""), ({"Content_MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}, ", but MD5")]
    )
    def test_a_checksum_that_the_store_does_not_keep(
        self, server: ObjectServer, headers: dict[str, str], kept: str
    ) -> None:
        """What it keeps is said, if there is anything."""
        server.inject(saying(**headers), method="HEAD")
        result = cp("--quiet", "--checksum", "sha256", "s3://sky/readme", ".")
        assert result.exit_code == 1
        assert (
            result.stderr == f"error: s3://sky/readme: the store keeps no SHA256 of the whole object{kept}\n"
        )

    def test_what_is_odd_is_said(self, server: ObjectServer, here: Path) -> None:
        """An object that is stored compressed: one line, as an error would be."""
        server.inject(Fault.labelled_gzip(), times=None)
        said = well("s3://sky/readme", ".").splitlines()
        assert said[0].startswith("warning: s3://sky/readme: stored with Content-Encoding 'gzip'")
        assert len(said) == 2

    def test_what_was_interrupted(self, server: ObjectServer, here: Path) -> None:
        """The next goes on, and says how much was there."""
        server.put("sky", "long", LONG)
        server.inject(Fault("harmless", lambda request, serve: serve()), times=2, key="long")
        server.inject(Fault.unavailable(403, "AccessDenied"), times=None, key="long", method="GET")
        assert cp("--workers", "1", "--no-checksum", "s3://sky/long", ".").exit_code == 1
        assert names_in(here) == ["long.astro-part", "long.astro-part.journal"]
        server.clear_faults()
        assert "bytes of them had come before" in well("s3://sky/long", ".")
        assert (here / "long").read_bytes() == LONG
        server.inject(Fault("harmless", lambda request, serve: serve()), key="long")
        server.inject(Fault.unavailable(403, "AccessDenied"), times=None, key="long", method="GET")
        assert cp("--workers", "1", "--no-resume", "s3://sky/long", "two").exit_code == 1
        assert names_in(here) == ["long"]


class TestUploads:
    """Files to objects."""

    @pytest.fixture(autouse=True)
    def files(self, here: Path) -> None:
        """A few, written years ago."""
        for name in ("1.fits", "night/2.fits", "night/deep/3 [1].fits"):
            (here / name).parent.mkdir(parents=True, exist_ok=True)
            (here / name).write_bytes(DATA)
            os.utime(here / name, (1e9, 1e9))

    @pytest.mark.parametrize(
        ("target", "key"), [("s3://void/a/b", "a/b"), ("s3://void/a/", "a/1.fits"), ("s3://void", "1.fits")]
    )
    def test_a_file(self, server: ObjectServer, target: str, key: str) -> None:
        """To a name, or under its own into a folder or bucket."""
        said = well("1.fits", target)
        assert server.path("void", key).read_bytes() == DATA
        assert said.startswith("copied 1 file, 100,000 bytes in ")
        assert said.endswith(" s; checked on arrival\n")

    @pytest.mark.parametrize("arguments", [["night/"], ["-r", "night"], ["night/**"]])
    def test_a_folder(self, server: ObjectServer, arguments: list[str]) -> None:
        """With what is in it; the second time nothing is sent."""
        assert "copied 2 files" in well(*arguments, "s3://void/to")
        assert keys_in(server, "void") == ["to/2.fits", "to/deep/3 [1].fits"]
        server.clear()
        assert well(*arguments, "s3://void/to").endswith("; 2 were there already\n")
        assert len(server.requests) == 1

    def test_several(self, server: ObjectServer) -> None:
        """Brackets in a name that is there are no pattern; what fails keeps nothing else."""
        result = cp("1.fits", "night/deep/3 [1].fits", "none", "s3://void/to")
        assert result.exit_code == 1
        assert result.stderr.startswith("error: none: there is no such file\ncopied 2 files, ")
        assert keys_in(server, "void") == ["to/1.fits", "to/3 [1].fits"]

    def test_what_is_no_file(self, server: ObjectServer, here: Path) -> None:
        """A link that leads nowhere is an error, a part of a download is none; all else is copied."""
        (here / "night" / "broken").symlink_to("none")
        (here / "night" / "4.fits.astro-part").write_bytes(b"part")
        for option in ("--quiet", "--dry-run"):
            result = cp(option, "night/", "s3://void")
            assert result.exit_code == 1
            assert result.stderr == f"error: {here / 'night' / 'broken'}: this link leads nowhere\n"
        assert result.stdout.count("is there already") == 2
        assert keys_in(server, "void") == ["2.fits", "deep/3 [1].fits"]

    def test_no_clobber(self, server: ObjectServer) -> None:
        """What is there stays, and is said."""
        server.put("void", "to/1.fits", b"mine")
        for sources in (["1.fits"], ["1.fits", "night/2.fits"]):
            assert "s3://void/to/1.fits is there already, and was left as it is\n" in well(
                "--no-clobber", *sources, "s3://void/to/"
            )
        assert server.path("void", "to/1.fits").read_bytes() == b"mine"
        assert keys_in(server, "void") == ["to/1.fits", "to/2.fits"]

    def test_what_was_interrupted(self, server: ObjectServer, here: Path) -> None:
        """Parts that were sent are not sent again, unless nothing was to be left."""
        (here / "long").write_bytes(LONG)
        for options, left in (([], 1), (["--no-resume"], 0)):
            server.inject(Fault.unavailable(403, "AccessDenied"), query="partNumber=3")
            assert cp(*options, "long", "s3://void/").exit_code == 1
            assert len(server.uploads) == left
            server.clear()
            well("long", "s3://void/")
            assert server.path("void", "long").read_bytes() == LONG

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["none", "s3://void/"], "none: there is no such file"),
            (["1.fits", "s3://nowhere/"], "no such bucket"),
            (["-r", "night", "s3://nowhere/"], "no such bucket"),
            (["1.fits", "http://127.0.0.1:1/x"], "a web server takes no uploads"),
            (["--anonymous", "1.fits", "s3://void/"], "refused"),
            (["--checksum", "md5:" + "0" * 32, "1.fits", "s3://void/"], "not stored"),
        ],
    )
    def test_errors(self, server: ObjectServer, arguments: list[str], says: str) -> None:
        """One line each."""
        result = cp(*arguments)
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert result.stderr.startswith("error: ")
        assert says in result.stderr
        assert keys_in(server, "void") == []


class TestDryRuns:
    """What would be done, and nothing of it."""

    def test_downloads(self, server: ObjectServer, here: Path) -> None:
        """A line for each, and what is there already."""
        well("s3://sky/night/deep/", "to/deep")
        (here / "to" / "1.fits").write_bytes(b"mine")
        before = files_in(here)
        result = cp("--dry-run", "s3://sky/night/", "to")
        assert result.stdout.splitlines() == [
            "s3://sky/night/1.fits -> to/1.fits  100,000 bytes  (in place of what is there)",
            "s3://sky/night/deep/2.fits -> to/deep/2.fits  100,000 bytes  (is there already)",
            "s3://sky/night/log [1].txt -> to/log [1].txt  100,000 bytes",
        ]
        assert (result.exit_code, result.stderr) == (0, "")
        assert files_in(here) == before
        result = cp("-n", "--no-clobber", "s3://sky/night/1.fits", "to/")
        assert result.stdout == "s3://sky/night/1.fits -> to/1.fits  100,000 bytes  (is there already)\n"
        assert (
            cp("-n", "s3://sky/readme", "-").stdout == "s3://sky/readme -> standard output  100,000 bytes\n"
        )
        assert "no such object" in cp("-n", "s3://sky/none", ".").stderr

    def test_uploads(self, server: ObjectServer, here: Path) -> None:
        """A line for each, and what is there already."""
        for name in ("a", "b", "c"):
            (here / name).write_bytes(DATA)
            os.utime(here / name, (1e9, 1e9))
        server.put("void", "a", DATA)
        server.put("void", "b", b"other")
        server.clear()
        result = cp("-n", "a", "b", "c", "s3://void")
        assert result.stdout.splitlines() == [
            "a -> s3://void/a  100,000 bytes  (is there already)",
            "b -> s3://void/b  100,000 bytes  (in place of what is there)",
            "c -> s3://void/c  100,000 bytes",
        ]
        assert cp("-n", "-r", f"{here}", "s3://void").stdout.count("(is there already)") == 1
        assert cp("-n", "-", "s3://void/b").stdout == (
            "standard input -> s3://void/b  (in place of what is there)\n"
        )
        assert {record.method for record in server.requests} <= {"GET", "HEAD"}


class TestDryRunsSayWhatComes:
    """The errors of a dry run are those of the real one, in the same words."""

    @pytest.fixture(autouse=True)
    def files(self, here: Path) -> None:
        """Two files of one name."""
        for name in ("1.fits", "night/1.fits", "night/2.fits"):
            (here / name).parent.mkdir(exist_ok=True)
            (here / name).write_bytes(DATA)
        (here / "shut").write_bytes(b"mine")
        (here / "shut").chmod(0o444)

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["s3://sky/readme", "s3://sky/night/1.fits", "1.fits"], "1.fits is a file"),
            (["s3://sky/night/", "1.fits/to"], "1.fits is a file"),
            (["s3://sky/readme", "1.fits/"], "1.fits is a file"),
            (["s3://sky/readme", "none/x"], "there is no folder"),
            (["s3://sky/readme", "shut"], "this file is read-only"),
            (["1.fits", "s3://nowhere/x"], "no such bucket"),
            (["night/", "s3://nowhere/x/"], "no such bucket"),
            (["-", "s3://nowhere/x"], "no such bucket"),
            (["none", "s3://void/"], "there is no such file"),
        ],
    )
    def test_errors(self, server: ObjectServer, here: Path, arguments: list[str], says: str) -> None:
        """One line, and nothing is written."""
        before = files_in(here)
        rehearsed = cp("--dry-run", *arguments)
        assert (rehearsed.exit_code, rehearsed.stdout, rehearsed.stderr.count("\n")) == (1, "", 1)
        assert rehearsed.stderr.startswith("error: ")
        assert says in rehearsed.stderr
        assert says in cp(*arguments).stderr
        assert files_in(here) == before

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["1.fits", "night/1.fits", "s3://void"], "night/1.fits: another file was to be uploaded to"),
            (["s3://sky/night/1.fits", "s3://sky/night/*.fits", "to"], "another object was to be written to"),
        ],
    )
    def test_two_of_one_name(self, server: ObjectServer, arguments: list[str], says: str) -> None:
        """The second is an error, the first goes well."""
        rehearsed = cp("--dry-run", *arguments)
        assert (rehearsed.exit_code, rehearsed.stdout.count("\n")) == (1, 1)
        assert says in rehearsed.stderr
        result = cp(*arguments)
        assert (result.exit_code, result.stderr.splitlines()[0]) == (1, rehearsed.stderr.rstrip("\n"))

    def test_what_stays(self, server: ObjectServer, here: Path) -> None:
        """With --no-clobber, also of standard input; two that would meet a file both stay away from it."""
        assert cp("-n", "--no-clobber", "-", "s3://sky/readme").stdout == (
            "standard input -> s3://sky/readme  (is there already)\n"
        )
        assert "was left as it is" in well("--no-clobber", "-", "s3://sky/readme", standard_input=b"x")
        result = cp("-n", "--no-clobber", "s3://sky/night/1.fits", "s3://sky/night/*.fits", ".")
        assert (result.exit_code, result.stdout.count("(is there already)")) == (0, 2)

    @pytest.mark.parametrize("bucket", ["nowhere", "void"])
    def test_cost(self, server: ObjectServer, bucket: str) -> None:
        """A folder costs one listing, also where there is no bucket."""
        cp("-n", "night/", f"s3://{bucket}/to/")
        assert len(server.requests) == 1

    def test_who_may_not_list(self, server: ObjectServer) -> None:
        """May store all the same, so it is no error."""
        server.inject(Fault.unavailable(403, "AccessDenied"), method="GET")
        result = cp("-n", "1.fits", "s3://void/to/")
        assert (result.exit_code, result.stdout) == (0, "1.fits -> s3://void/to/1.fits  100,000 bytes\n")


class TestStreams:
    """Standard input and output."""

    def test_output(self, server: ObjectServer) -> None:
        """The bytes and nothing else."""
        result = cp("s3://sky/readme", "-")
        assert (result.exit_code, result.stdout_bytes) == (0, DATA)
        assert result.stderr.startswith("copied 1 file, 100,000 bytes in ")
        assert cp("-q", "s3://sky/readme", "-").stderr == ""

    def test_input(self, server: ObjectServer) -> None:
        """Of whatever length, until it ends."""
        well("-", "s3://void/short", standard_input=b"hello")
        well("-", "s3://void/long", standard_input=LONG)
        well("-", "s3://void/empty", standard_input=b"")
        assert server.path("void", "short").read_bytes() == b"hello"
        assert server.path("void", "long").read_bytes() == LONG
        assert server.path("void", "empty").read_bytes() == b""

    @pytest.mark.parametrize(
        ("command", "closed", "name"),
        [
            ("cp - s3://void/x", "<&-", "input"),
            ("cp -n - s3://void/x", "<&-", "input"),
            ("cp s3://sky/readme -", ">&-", "output"),
            ("cat s3://sky/readme", ">&-", "output"),
        ],
    )
    def test_that_are_closed(self, server: ObjectServer, command: str, closed: str, name: str) -> None:
        """One line, before anything is asked."""
        result = _in_a_shell(f'"$@" {command} {closed}')
        assert (result.returncode, result.stderr) == (1, f"error: standard {name} is closed\n".encode())
        assert not server.requests

    def test_to_a_file_with_output_closed(self, server: ObjectServer, here: Path) -> None:
        """Who copies to a file needs none."""
        result = _in_a_shell(f'"$@" cp s3://sky/readme {here}/copy >&-')
        assert result.returncode == 0
        assert result.stderr.startswith(b"copied 1 file, ")
        assert (here / "copy").read_bytes() == DATA

    def test_a_reader_that_leaves(self, server: ObjectServer) -> None:
        """``cp ... - | head`` leaves no complaint."""
        server.put("sky", "long", LONG)
        with subprocess.Popen(
            [*ASTRO_CLOUD, "cp", "s3://sky/long", "-"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.read(10) == LONG[:10]
            process.stdout.close()
            assert process.stderr.read() == b""

    @pytest.mark.parametrize("target", ["-", "/dev/full"])
    def test_a_full_disk(self, server: ObjectServer, target: str) -> None:
        """One line."""
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [*ASTRO_CLOUD, "cp", "s3://sky/readme", target],
                stdout=full,
                stderr=subprocess.PIPE,
                cwd=Path(__file__).parents[2],
                check=False,
                timeout=60,
            )
        name = "standard output" if target == "-" else target
        assert (done.returncode, done.stderr.decode()) == (1, f"error: {name}: No space left on device\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["s3://sky/a", "s3://sky/b"], "both are remote: pipe one into the other"),
        (["a", "b"], "both are of this machine"),
        (["a", "-"], "use cat"),
        (["-", "b"], "use cat and >"),
        (["-", "-"], "standard input needs no copying"),
        (["s3://sky/a", "b", "c"], "all of this machine, or all remote"),
        (["s3://sky/night/", "-"], "take one object"),
        (["s3://sky/readme", "s3://sky/night/1.fits", "-"], "take one object"),
        (["-", "s3://sky/night/"], "name the object that standard input becomes"),
        (["..", "s3://void"], "is a folder: add --recursive, or a slash at its end"),
        (["--no-checksum", "a", "s3://void"], "always checked"),
        (["--checksum", "md5", "--no-checksum", "s3://sky/readme", "."], "contradict"),
        (["--checksum", "crc16", "s3://sky/readme", "."], "no checksum is called"),
        (["--workers", "0", "s3://sky/readme", "."], "x>=1"),
        (["s3://sky/readme"], "Missing argument"),
    ],
)
def test_wrong_uses(server: ObjectServer, here: Path, arguments: list[str], says: str) -> None:
    """Each is told, with the exit code 2, before anything is asked."""
    result = cp(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr
    assert not server.requests
    assert files_in(here) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["s3://sky/none", "."], "no such object"),
        (["s3://sky/readme", "none/x"], "none: make it first"),
        (["s3://nowhere/", "to"], "no such bucket"),
        (["ftp://host/file", "."], "is not a location"),
        (["s3://sky/readme?versionId=1", "x"], "501"),
    ],
)
def test_errors(server: ObjectServer, arguments: list[str], says: str) -> None:
    """One line, no traceback."""
    result = cp(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_file_in_the_place_of_a_folder(server: ObjectServer, here: Path) -> None:
    """The file is named."""
    (here / "file").write_bytes(b"")
    assert cp("s3://sky/night/", "file").stderr == "error: file: no folder can be made: file is a file\n"


def test_workers(server: ObjectServer) -> None:
    """More than a client has by default, if that is what is asked for."""
    for number in range(40):
        server.put("sky", f"many/{number}", b"x")
    server.latency = 0.2
    well("--workers", "40", "s3://sky/many/", "to")
    assert server.requests.connections > 16


@pytest.mark.parametrize("way", ["down", "up"])
def test_on_a_terminal(server: ObjectServer, here: Path, way: str) -> None:
    """A bar; Ctrl-C ends it, the exit code is 130, and the same command goes on."""
    server.put("sky", "long", LONG)
    (here / "mine").write_bytes(LONG)
    if way == "down":  # two requests go well, and so do four of an upload that looks for an earlier one
        arguments, well_done = ["s3://sky/long", str(here / "copy")], 2
        server.inject(Fault("harmless", lambda request, serve: serve()), times=2, key="long")
        server.inject(Fault.stall(1 << 20), times=None, method="GET", key="long")
    else:
        arguments, well_done = [str(here / "mine"), "s3://void/mine"], 4
        server.inject(Fault.stall_request(1 << 20), times=None, query="partNumber=3")
    shown, status = _interrupted(arguments, server, well_done)
    assert f"\r{'long' if way == 'down' else 'mine'}: " in shown
    assert shown.endswith("interrupted: what has come is kept, and the same command goes on from there\r\n")
    assert status == 130
    server.clear_faults()
    server.clear()
    said = well(*arguments)
    if way == "down":
        assert "of them had come before" in said
        assert (here / "copy").read_bytes() == LONG
    else:
        assert server.requests.where(method="PUT").received < len(LONG)
        assert server.path("void", "mine").read_bytes() == LONG


def _in_a_shell(command: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command of the shell, whose arguments are those that begin ours."""
    return subprocess.run(
        ["sh", "-c", command, "sh", *ASTRO_CLOUD],
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        check=False,
        timeout=60,
    )


def _interrupted(arguments: list[str], server: ObjectServer, requests: int) -> tuple[str, int]:
    """Run cp on a terminal, and press Ctrl-C after so many requests."""
    terminal, inside = os.openpty()
    termios.tcsetwinsize(inside, (24, 100))
    command = [*ASTRO_CLOUD, "cp", *arguments]
    shown = b""
    with subprocess.Popen(command, stdout=inside, stderr=inside, cwd=Path(__file__).parents[2]) as process:
        os.close(inside)
        server.wait_for_requests(requests, 20)
        process.send_signal(signal.SIGINT)
        while data := _read(terminal):
            shown += data
        status = process.wait(20)
    os.close(terminal)
    return shown.decode(), status


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # the other end is closed
        return b""


def test_a_store_that_knows_no_such_checksum(server: ObjectServer, here: Path) -> None:
    """A wrong use, though only the store tells."""
    (here / "a").write_bytes(b"")
    result = cp("--checksum", "sha256", "a", "az://account/container/key")
    assert result.exit_code == 2
    assert "can be checked by MD5, not by SHA256" in result.stderr
