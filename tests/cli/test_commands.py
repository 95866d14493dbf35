"""The commands, run as a user would, against a loopback server."""

import errno
import functools
import json
import os
from pathlib import Path
from typing import Any

import pytest

from astro_cloud.storage import Settings
from astro_cloud.testing import ObjectServer
from tests.cli.commands import run
from tests.fits.sources import extension, primary


@pytest.fixture
def server(found_server: ObjectServer) -> ObjectServer:
    """A server with a good file, a broken one and one that is no FITS."""
    table = extension("BINTABLE", "TFIELDS =                    3", "EXTNAME = 'EVENTS'", naxis=(16, 1000))
    image = extension("IMAGE", "EXTNAME = 'SCI'", "EXTVER  =                    2", naxis=(3, 5), bitpix=16)
    good = primary("OBJECT  = 'M\x1b[31m31'") + image + bytes(2880) + table + bytes(17_280)
    found_server.put("sky", "good.fits", good)
    found_server.put("sky", "short.fits", good[:-5000])
    found_server.put("sky", "page.fits", b"<html>")
    return found_server


def test_headers_prints_a_table(server: ObjectServer) -> None:
    """One line an HDU; the cost goes to standard error."""
    result = run("headers", "s3://sky/good.fits")
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()[1:]] == [
        ["0", "PRIMARY", "1", "PRIMARY", "0", "2,880", "0"],
        ["1", "SCI", "2", "IMAGE", "3", "x", "5", "int16", "2,880", "5,760", "2,880"],
        ["2", "EVENTS", "1", "BINTABLE", "1,000", "rows", "x", "3", "columns", "8,640", "11,520", "17,280"],
    ]
    assert "1 request in 1 round trip, 28,800 bytes" in result.stderr


def test_a_failing_location_does_not_hide_the_others(server: ObjectServer) -> None:
    """Each location is shown; the ones that fail get one readable line each; the exit code is 1."""
    result = run("headers", "s3://sky/page.fits", "s3://sky/short.fits", "s3://nope/x", "s3://sky/good.fits")
    assert result.exit_code == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 3
    assert "not a FITS file (it is an HTML page" in errors[0]
    assert "HDU 2 is cut short" in errors[1]
    assert "no such bucket" in errors[2]
    assert result.stdout.count("EVENTS") == 2, "the broken file's headers are shown as far as they go"
    assert "Traceback" not in result.output


def test_full_prints_every_card_and_no_escape_sequence(server: ObjectServer) -> None:
    """--full prints all cards to END; what a terminal would obey is escaped."""
    result = run("headers", "--full", "s3://sky/good.fits")
    assert result.stdout.count("\nEND\n") == 3
    assert r"OBJECT  = 'M\x1b[31m31'" in result.stdout
    assert "\x1b[31m" not in result.output


def test_json_is_for_programs(server: ObjectServer) -> None:
    """--json prints one object a location, failures included, with every number and, if asked, the cards."""
    result = run("headers", "--json", "--full", "s3://sky/good.fits", "s3://sky/page.fits")
    assert result.exit_code == 1
    good, page = json.loads(result.stdout)
    assert (good["location"], good["error"], good["round_trips"]) == ("s3://sky/good.fits", None, 1)
    assert good["hdus"][1] == {
        "index": 1, "name": "SCI", "version": 2, "type": "IMAGE", "compressed": False, "shape": [5, 3],
        "dtype": "int16", "columns": 0, "header_offset": 2880, "header_length": 2880, "data_offset": 5760,
        "data_length": 2880, "cards": good["hdus"][1]["cards"],
    }  # fmt: skip
    assert all(len(card) == 80 for card in good["hdus"][1]["cards"])
    assert page["error"]["type"] == "NotFITSError"
    assert "error: s3://sky/page.fits is not a FITS file" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ftp://host/file"], "is not a location"),
        (["--profile", "nosuch", "s3://sky/good.fits"], "nosuch"),
        (["--anonymous", "s3://sky/good.fits"], "read anonymously"),
        (["--endpoint-url", "http://127.0.0.1:1", "s3://sky/good.fits"], "no connection"),
    ],
)
def test_errors_are_one_readable_line(
    server: ObjectServer, arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails, a user sees one line that begins with error: and no traceback."""
    hurried = functools.partial(Settings, sleep=lambda seconds: None)
    monkeypatch.setattr("astro_cloud.cli.access.Settings", hurried)
    result = run("headers", *arguments)
    assert result.exit_code == 1
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ")


def test_options_that_contradict_each_other(server: ObjectServer) -> None:
    """--anonymous with --request-payer is a mistake in the command, said as one."""
    result = run("headers", "--anonymous", "--request-payer", "s3://sky/good.fits")
    assert result.exit_code == 2
    assert "--anonymous sends no credentials" in result.stderr


def test_region_and_payer_reach_the_request(server: ObjectServer) -> None:
    """--request-payer and --region end up in what is signed."""
    assert run("headers", "--request-payer", "--region", "eu-west-3", "s3://sky/good.fits").exit_code == 0
    wrong, right = server.requests
    assert wrong.headers["x-amz-request-payer"] == "requester"
    assert "/eu-west-3/s3/" in wrong.headers["Authorization"]
    assert "/us-east-1/s3/" in right.headers["Authorization"], "and was learnt to be another"


def test_a_profile_signs_for_s3_and_for_nobody_else(
    server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--profile says where credentials are, not that every host of the list may see them."""
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(
        f"[profile p]\naws_access_key_id = {server.access_key}\naws_secret_access_key = {server.secret_key}\n"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    server.public.add("sky")
    assert run("headers", "--profile", "p", "s3://sky/good.fits").exit_code == 0
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert run("headers", "--profile", "p", server.url_for("sky", "good.fits")).exit_code == 0
    assert ["authorization" in record.headers for record in server.requests] == [True, False]


def test_warnings_are_shown_in_both_forms(server: ObjectServer) -> None:
    """What is odd about a file goes to standard error, and into the JSON; other packages' warnings do not."""
    server.put("sky", "odd.fits", primary() + b"junk")
    result = run("headers", "--json", "s3://sky/odd.fits")
    assert result.exit_code == 0
    assert "behind HDU 0" in json.loads(result.stdout)[0]["warnings"][0]
    assert result.stderr.startswith("warning: s3://sky/odd.fits: the bytes from 2880 on")


def test_a_disk_that_is_full_is_one_line(server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What keeps output from being written is said without a traceback."""

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("astro_cloud.cli.headers.as_table", full)
    result = run("headers", "s3://sky/good.fits")
    assert result.exit_code == 1
    assert result.stderr == "Error: [Errno 28] No space left on device\n"


def test_the_region_option_must_be_a_region(server: ObjectServer) -> None:
    """--region reaches the settings, which refuse what is no region's name."""
    result = run("headers", "--region", "evil.example/", "s3://sky/good.fits")
    assert result.exit_code == 2
    assert "not the name of a region" in result.stderr


def test_the_demo_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo reads a 45 GB cube in two round trips and says what that costs."""
    made: list[ObjectServer] = []

    def recorded(*arguments: Any, **options: Any) -> ObjectServer:
        made.append(ObjectServer(*arguments, **options))
        return made[0]

    monkeypatch.setattr("astro_cloud.testing.ObjectServer", recorded)
    result = run("demo")
    assert result.exit_code == 0
    assert made[0].requester_pays == {"stpubdata"}
    assert made[0].public == set()
    assert [record.status for record in made[0].requests] == [206, 206]
    assert "2 x 1282 x 2136 x 2078 float32" in result.stdout
    assert "2 requests in 2 round trips, 126,720 bytes" in result.stdout
    assert "$0.000012 against $4.10" in result.stdout


def test_presign_prints_a_url_that_nobody_else_can_make(server: ObjectServer) -> None:
    """The URL names object and time; who has no credentials, or no such time, gets a line instead."""
    result = run("presign", "s3://sky/good.fits", "--expires", "60", "--request-payer")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{server.url}/sky/good.fits?X-Amz-Algorithm=AWS4-HMAC-SHA256&")
    assert "&X-Amz-Expires=60&" in result.stdout
    assert "&x-amz-request-payer=requester&X-Amz-Signature=" in result.stdout
    assert len(server.requests) == 0
    assert run("presign", "s3://sky/good.fits", "--expires", "604801").exit_code == 2
    for arguments in (["--anonymous", "s3://sky/good.fits"], ["https://archive.example/a.fits"], ["sky"]):
        refused = run("presign", *arguments)
        assert refused.exit_code == 1
        assert refused.stderr.startswith("error: ")


@pytest.mark.parametrize("arguments", [["--help"], ["headers", "--help"], ["demo", "-h"], ["--version"]])
def test_help_is_there(arguments: list[str]) -> None:
    """Every command explains itself."""
    result = run(*arguments)
    assert result.exit_code == 0
    assert len(result.stdout) > 10
