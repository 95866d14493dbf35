"""``astro-cloud info`` and ``section``, run as a user would, against a loopback server."""

from __future__ import annotations

import errno
import io
import json
import os
import pty
import shlex
import stat
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from astro_cloud.cli.pixels import for_terminal
from astro_cloud.testing import ObjectServer
from tests.cli.commands import ASTRO_CLOUD, run

CUBE = np.arange(2 * 30 * 40, dtype=np.float64).reshape(2, 30, 40) / 7
SKY = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0, "CRPIX1": 5.0, "CRPIX2": 6.0,
    "CD1_1": -1e-4, "CD2_2": 1e-4, "CD1_2": 1e-5, "CD2_1": 2e-5,
}  # fmt: skip


def image(values: np.ndarray[Any, Any], name: str, version: int = 1, **cards: Any) -> fits.ImageHDU:
    """Make an image extension."""
    hdu = fits.ImageHDU(values, name=name, ver=version)
    hdu.header.update(cards)
    return hdu


def as_bytes(*hdus: Any) -> bytes:
    """Write a file."""
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(file)
    return file.getvalue()


def everything() -> bytes:
    """Make a file with images of all kinds, and a table."""
    small = np.arange(1200, dtype=np.int16).reshape(30, 40)
    return as_bytes(
        fits.BinTableHDU.from_columns([fits.Column("A", "J", array=[1, 2])], name="EVENTS"),
        image(small, "SCI", **SKY),
        image(small + 1, "SCI", 2),
        image(CUBE, "CUBE", **SKY),
        image(small.astype(np.uint16) + np.uint16(2**15), "UNSIGNED"),
        fits.CompImageHDU(small.astype(np.int32), fits.Header(SKY), name="TILES", tile_shape=(5, 40)),
        image(small.astype(np.float32) / 3, "TABLED", **SKY, CPDIS1="LOOKUP", EXPTIME=3.5),
    )


@pytest.fixture(scope="module")
def whole() -> bytes:
    """The file of all kinds."""
    return everything()


@pytest.fixture
def server(found_server: ObjectServer, whole: bytes) -> ObjectServer:
    """A server with that file."""
    found_server.put("sky", "all.fits", whole)
    found_server.put("sky", "page.fits", b"<html>")
    return found_server


def test_info_prints_what_astropy_prints(server: ObjectServer, whole: bytes) -> None:
    """Line for line, and no data are read; the cost goes to standard error."""
    result = run("info", "s3://sky/all.fits")
    assert result.exit_code == 0
    expected = io.StringIO()
    with fits.open(io.BytesIO(whole)) as local:
        local.info(expected)
    lines = [line.rstrip() for line in expected.getvalue().splitlines()]
    assert result.stdout.splitlines() == ["Filename: s3://sky/all.fits", *lines[1:]]
    assert "requests in" in result.stderr or "request in" in result.stderr
    assert "round trip" in result.stderr


def test_info_reads_headers_alone(server: ObjectServer) -> None:
    """Of an image of 400 MB a few blocks are read."""
    big = fits.Header(
        [("SIMPLE", True), ("BITPIX", -32), ("NAXIS", 2), ("NAXIS1", 10_000), ("NAXIS2", 10_000)]
    )
    server.put("sky", "big.fits", big.tostring().encode())
    with open(server.path("sky", "big.fits"), "r+b") as file:
        file.truncate(2880 + 400_000_000 + (-400_000_000 % 2880))
    result = run("info", "--json", "s3://sky/big.fits")
    (told,) = json.loads(result.stdout)
    assert told["hdus"][0] == {
        "index": 0, "name": "PRIMARY", "version": 1, "type": "PrimaryHDU", "cards": 5,
        "dimensions": [10_000, 10_000], "format": "float32",
    }  # fmt: skip
    assert told["bytes"] < 200_000
    assert told["error"] is None


def test_info_of_several_shows_those_that_can_be_read(server: ObjectServer, whole: bytes) -> None:
    """Each location is shown as far as it goes; the ones that fail get one line; the exit code is 1."""
    server.put("sky", "short.fits", whole[:9000])
    result = run("info", "s3://sky/page.fits", "s3://sky/short.fits", "s3://sky/all.fits")
    assert result.exit_code == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 2
    assert "not a FITS file" in errors[0]
    assert "HDU 2 is damaged at byte 9000" in errors[1]
    assert result.stdout.count("EVENTS") == 2, "the broken file's headers are shown as far as they go"
    assert "Traceback" not in result.output
    told = json.loads(run("info", "--json", "s3://sky/short.fits", "s3://sky/all.fits").stdout)
    assert [one["error"] and one["error"]["type"] for one in told] == ["CorruptFITSError", None]


def test_info_tells_warnings(server: ObjectServer, whole: bytes) -> None:
    """What is odd about a file goes to standard error, and into the JSON."""
    server.put("sky", "odd.fits", whole + b"junk")
    result = run("info", "--json", "s3://sky/odd.fits")
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: s3://sky/odd.fits: the bytes from")
    assert "behind HDU 7" in json.loads(result.stdout)[0]["warnings"][0]


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["s3://sky/all.fits[2]", "10:13,20:22"], "420 421\n460 461\n500 501\n"),
        (["s3://sky/all.fits[SCI,2]", "10:12,20:22"], "421 422\n461 462\n"),
        (["s3://sky/all.fits[sci]", "-1,::20"], "1160 1180\n"),
        (["s3://sky/all.fits[SCI]", "[2:0:-1, -1]"], "119 79\n"),
        (["s3://sky/all.fits", "-2:,-1:"], "1159\n1199\n"),
        (["s3://sky/all.fits", "-2,-1", "--hdu", "SCI,2"], "1160\n"),
        (["s3://sky/all.fits[UNSIGNED]", "0,:3"], "32768 32769 32770\n"),
        (["s3://sky/all.fits[TILES]", "7:9,3:5"], "283 284\n323 324\n"),
        (["s3://sky/all.fits[CUBE]", ":,:2,1:3"], None),
        (["s3://sky/all.fits[SCI]", "3:3,:"], ""),
    ],
)
def test_section_prints_rows(server: ObjectServer, arguments: list[str], printed: str | None) -> None:
    """A row a line, planes apart, in full; HDU, shape and cost go to standard error."""
    result = run("section", *arguments)
    assert result.exit_code == 0, result.stderr
    if printed is None:
        planes = [np.array(plane.split(), float) for plane in result.stdout.split("\n\n")]
        assert np.array_equal(np.reshape(planes, (2, 2, 2)), CUBE[:, :2, 1:3])
    else:
        assert result.stdout == printed
    assert result.stderr.startswith("HDU ")
    assert "round trip" in result.stderr


def test_the_first_image_is_said(server: ObjectServer) -> None:
    """Who names no HDU is told which it was."""
    result = run("section", "s3://sky/all.fits", "0,0")
    assert (result.exit_code, result.stdout) == (0, "0\n")
    assert result.stderr.startswith("HDU 2 (SCI,1), the first with an image: shape (), int16\n")


def test_a_key_may_end_in_brackets(server: ObjectServer, whole: bytes) -> None:
    """--hdu names the HDU then."""
    server.put("sky", "odd[1]", whole)
    assert run("section", "s3://sky/odd[1]", "0,:2", "--hdu", "SCI").stdout == "0 1\n"
    assert run("section", "s3://sky/odd[1][SCI]", "0,:2").stdout == "0 1\n"
    assert "no such object" in run("section", "s3://sky/all.fits[1]", "0,:2", "--hdu", "SCI").stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["s3://sky/all.fits", "10-13"], 2, "write 10:13,20:22 for rows 10 to 12 and columns 20 to 21"),
        (["s3://sky/all.fits[SCI]", "1,2,3"], 2, "too many indices for an image of 2 axes"),
        (["s3://sky/all.fits[SCI]", "99,0"], 2, "out of range for an axis of 30 pixels"),
        (["s3://sky/all.fits[TILES]", "99,0"], 2, "HDU 6 has the shape (30, 40)"),
        (["s3://sky/all.fits[1:3,2]", "0,0"], 2, "is no HDU"),
        (["s3://sky/all.fits[SCI]", "0,0", "-o", "here.png"], 2, "to end in .fits or .npy"),
        (["s3://sky/all.fits[SCI]", "0,0", "--hdux", "3"], 2, "No such option"),
        (["s3://sky/all.fits[NOPE]", "0,0"], 1, "has no HDU NOPE: there are 0 (PRIMARY,1), 1 (EVENTS,1)"),
        (["s3://sky/all.fits[12]", "0,0"], 1, "has no HDU 12"),
        (["s3://sky/all.fits[EVENTS]", "0,0"], 1, "HDU EVENTS holds a table, no image"),
        (["s3://sky/all.fits[0]", "0,0"], 1, "HDU 0 holds no image"),
        (["s3://sky/page.fits", "0,0"], 1, "is not a FITS file"),
        (["s3://sky/none.fits", "0,0"], 1, "no such object"),
        (["s3://sky/all.fits[SCI]", "0:0,0", "-o", "here.fits"], 1, "holds no pixels"),
        (["s3://sky/all.fits[SCI]", "0,0", "-o", "not/there.fits"], 1, "there is no folder"),
    ],
)
def test_mistakes_are_told(
    server: ObjectServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    says: str,
) -> None:
    """What is wrong with the command is told as that, all else is one line; nothing is written."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    result = run("section", *arguments)
    assert result.exit_code == code
    assert says in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""
    assert list(here.iterdir()) == []


def test_a_file_without_images(server: ObjectServer) -> None:
    """Where no HDU is named and none holds an image, that is said."""
    server.put("sky", "empty.fits", as_bytes())
    assert "none of its 1 HDUs holds an image" in run("section", "s3://sky/empty.fits", "0,0").stderr


def test_npy(server: ObjectServer, tmp_path: Path) -> None:
    """The array is the one that NumPy would cut out, integers without a sign as they are."""
    path = tmp_path / "out.npy"
    result = run("section", "s3://sky/all.fits[UNSIGNED]", "-1,5:0:-2", "-o", str(path))
    assert (result.exit_code, result.stdout) == (0, "")
    values = np.load(path)
    assert values.dtype == np.dtype(np.uint16)
    assert values.tolist() == [2**15 + 1160 + 5, 2**15 + 1160 + 3, 2**15 + 1160 + 1]
    run("section", "s3://sky/all.fits[CUBE]", "1", "-o", str(path))
    assert np.array_equal(np.load(path), CUBE[1])
    assert [*tmp_path.glob("*"), *tmp_path.glob(".*")].count(path) == 1
    assert not list(tmp_path.glob("*.astro-new"))


def test_fits(server: ObjectServer, tmp_path: Path) -> None:
    """The file is valid, its pixels are where they were in the sky, and it says where it is from."""
    path = tmp_path / "out.fits"
    result = run("section", "s3://sky/all.fits[SCI]", "10:29:3,7", "-o", str(path))
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    with fits.open(path, checksum=True) as hdus:
        hdus.verify("exception")
        (hdu,) = hdus
        assert hdu.data.dtype == np.dtype(">i2")
        assert hdu.data.tolist() == [[row * 40 + 7] for row in range(10, 29, 3)]
        found = WCS(hdu.header).pixel_to_world_values(0, 2)
        assert np.allclose(found, WCS(SKY).pixel_to_world_values(7, 16), rtol=0, atol=1e-10)
        history = "".join(hdu.header["HISTORY"])
    etag = json.loads(run("stat", "--json", "s3://sky/all.fits").stdout)["etag"]
    assert history == (
        f"section 10:29:3,7 (NumPy order, from 0) of HDU 2 (SCI,1) ofs3://sky/all.fitsETag {etag}"
    )


@pytest.mark.parametrize(
    ("hdu", "dtype"), [("UNSIGNED", np.uint16), ("TILES", ">i4"), ("CUBE", ">f8"), ("TABLED", ">f4")]
)
def test_fits_of_every_kind(server: ObjectServer, tmp_path: Path, whole: bytes, hdu: str, dtype: Any) -> None:
    """Tile-compressed images become plain ones; integers without a sign stay so; fitsio reads the same."""
    path = tmp_path / "out.fits"
    result = run("section", f"s3://sky/all.fits[{hdu}]", "...,5:9,-4:", "-o", str(path))
    assert result.exit_code == 0, result.stderr
    with fits.open(io.BytesIO(whole)) as local, fits.open(path) as written:
        expected = local[hdu].data[..., 5:9, -4:]
        assert np.array_equal(written[0].data, expected)
        assert written[0].data.dtype == np.dtype(dtype)
        assert not [key for key in written[0].header if key.startswith("Z")]
        assert written[0].header["EXTNAME"] == hdu
    import fitsio

    assert np.array_equal(fitsio.read(str(path)), expected)


def test_scaled_pixels_are_written_as_they_are_read(server: ObjectServer, tmp_path: Path) -> None:
    """BSCALE, BZERO and BLANK are gone once they were applied."""
    raw = np.arange(12, dtype=">i2").reshape(3, 4)
    header = fits.Header(
        {"SIMPLE": True, "BITPIX": 16, "NAXIS": 2, "NAXIS1": 4, "NAXIS2": 3}
        | {"BSCALE": 0.5, "BZERO": 10.0, "BLANK": 5, "CHECKSUM": "none"}
    )
    server.put("sky", "scaled.fits", header.tostring().encode() + raw.tobytes().ljust(2880, b"\0"))
    path = tmp_path / "out.fits"
    assert run("section", "s3://sky/scaled.fits", "1:,:", "-o", str(path)).exit_code == 0
    with fits.open(path) as hdus:
        assert not {"BSCALE", "BZERO", "BLANK", "CHECKSUM"} & set(hdus[0].header)
        expected = np.arange(4, 12).reshape(2, 4) * 0.5 + 10
        expected[0, 1] = np.nan
        assert np.array_equal(hdus[0].data, expected, equal_nan=True)


def test_coordinates_that_are_left_out_are_said(server: ObjectServer, tmp_path: Path) -> None:
    """On standard error and in HISTORY; the rest of the header stays."""
    path = tmp_path / "out.fits"
    result = run("section", "s3://sky/all.fits[TABLED]", ":5,:5", "-o", str(path))
    assert result.exit_code == 0
    assert "warning: removed the world coordinates: CPDIS1 is a distortion by a table" in result.stderr
    header = fits.getheader(path)
    assert "CTYPE1" not in header
    assert header["EXPTIME"] == 3.5
    assert "removed the world coordinates" in "".join(header["HISTORY"])


def test_no_secret_of_a_location_is_kept(
    server: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a URL is signed with is in no file that is passed on."""
    server.public.add("sky")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    url = f"{server.url_for('sky', 'all.fits')}?token=hunter2"
    path = tmp_path / "out.fits"
    result = run("section", f"{url}[SCI]", "0:2,0:2", "-o", str(path))
    assert result.exit_code == 0, result.stderr
    assert "hunter2" not in "".join(fits.getheader(path)["HISTORY"]) + result.output


def test_a_file_that_is_there_is_replaced_when_all_is_written(
    server: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its permissions stay; what fails leaves it as it was, and nothing beside it."""
    path = tmp_path / "out.npy"
    path.write_bytes(b"old")
    path.chmod(0o640)

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        result = run("section", "s3://sky/all.fits[SCI]", "0:2,0:2", "-o", str(path))
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == f"error: {path}: no space is left"
    assert path.read_bytes() == b"old"
    assert not list(tmp_path.glob("*.astro-new"))
    assert run("section", "s3://sky/all.fits[SCI]", "0:2,0:2", "-o", str(path)).exit_code == 0
    assert np.load(path).tolist() == [[0, 1], [40, 41]]
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o640


def test_a_terminal_shows_large_sections_shortened() -> None:
    """As NumPy does, without brackets, with a hint at how to have all; small ones are aligned and whole."""
    assert for_terminal(np.array([[1, 20], [300, 4]]), 80) == "  1  20\n300   4"
    assert for_terminal(np.array([0.1, 2], np.float32), 80) == "0.1 2."
    assert for_terminal(np.array(5.25), 80) == "5.25"
    assert for_terminal(np.zeros((2, 1, 2), int), 80) == "0 0\n\n0 0"
    text = for_terminal(np.arange(1200).reshape(30, 40), 80)
    first, *_, dots, _, _, last = text.splitlines()
    assert first.split() == ["0", "1", "2", "...", "37", "38", "39"]
    assert (dots, last.split()[-1]) == ("...", "1199")
    assert len(text.splitlines()) == 7


def test_a_section_costs_what_it_is(server: ObjectServer) -> None:
    """Headers up to the image, and the section's bytes: no more round trips than through the library."""
    run("section", "s3://sky/all.fits[SCI]", "10:13,20:22")
    assert len(server.requests) <= 2


def test_on_a_terminal(server: ObjectServer) -> None:
    """Rows are shortened there, and the way to all of them is named; in a pipe they never are."""
    arguments = ["section", "s3://sky/all.fits[SCI]", ":"]
    ours, theirs = pty.openpty()
    with subprocess.Popen([*ASTRO_CLOUD, *arguments], stdout=theirs, stderr=subprocess.PIPE) as process:
        os.close(theirs)
        _, told = process.communicate()
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert len(shown.splitlines()) == 7
    assert b"1,200 pixels, shortened: -o FILE.npy" in told
    assert len(run(*arguments).stdout.splitlines()) == 30


def test_a_reader_that_has_seen_enough(server: ObjectServer) -> None:
    """As head does: nothing is said; output that is closed is an error, before anything is read."""
    line = shlex.join([*ASTRO_CLOUD, "section", "s3://sky/all.fits[CUBE]", ":"])
    seen = subprocess.run(f"{line} | head -1", shell=True, capture_output=True, check=True)
    assert len(seen.stdout.splitlines()) == 1
    assert seen.stderr.startswith(b"HDU 4 (CUBE,1): shape")
    assert b"Error" not in seen.stderr
    before = len(server.requests)
    closed = subprocess.run(f"{line} >&-", shell=True, capture_output=True, check=False)
    assert (closed.returncode, closed.stderr) == (1, b"error: standard output is closed\n")
    assert len(server.requests) == before
