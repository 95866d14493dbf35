"""``astro-cloud cutout``, run as a user would, against a loopback server."""

from __future__ import annotations

import errno
import io
import json
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.coordinates.name_resolve import sesame_url
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS
from PIL import Image

from astro_cloud.cli.cutouts import _STRETCHES
from astro_cloud.fits.picture_pixels import STRETCHES
from astro_cloud.testing import ObjectServer
from tests.cli.test_commands import run
from tests.fits import skies
from tests.fits.sesame import M31, sesame

SHAPE = (80, 120)
PLACE = "10h01m40.8s +02d25m12.0s"


def everything() -> bytes:
    """Make a file with images of the same place, one of another, one of none, and a cube."""
    science = skies.sky(SHAPE, angle=20)
    science.header.update(BUNIT="ELECTRONS/S", CCDSEC="[1:120,1:80]")
    cube = skies.sky(SHAPE, name="CUBE")
    cube.data = np.stack([cube.data, cube.data + 100])
    hdus = [
        fits.PrimaryHDU(),
        skies.sky(SHAPE, name="ELSEWHERE", centre=(10.6847, 41.2687)),
        science,
        skies.sky(SHAPE, name="ERR", angle=20, seed=1),
        fits.ImageHDU(np.arange(9600, dtype=np.int16).reshape(SHAPE), name="PLAIN"),
        cube,
    ]
    file = io.BytesIO()
    fits.HDUList(hdus).writeto(file)
    return file.getvalue()


@pytest.fixture(scope="module")
def whole() -> bytes:
    """The file."""
    return everything()


@pytest.fixture
def server(object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch, whole: bytes) -> ObjectServer:
    """A server with that file, found by the environment."""
    object_server.put("sky", "all.fits", whole)
    object_server.put("sky", "page.fits", b"<html>")
    for name, value in object_server.environ.items():
        monkeypatch.setenv(name, value)
    return object_server


def expected(whole: bytes, hdu: Any, place: Any, size: Any, **options: Any) -> Cutout2D:
    """Let astropy cut."""
    with fits.open(io.BytesIO(whole)) as local:
        wcs = WCS(local[hdu].header)
        return Cutout2D(local[hdu].data, place, size, wcs=wcs, copy=True, **options)


def shown(path: Path) -> tuple[int, int]:
    """Return how large a picture is, once pillow has read it."""
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        return image.size


def test_a_fits_file_and_a_picture(server: ObjectServer, tmp_path: Path, whole: bytes) -> None:
    """Both of one read; pixels and coordinates are Cutout2D's; all that was done is told."""
    paths = tmp_path / "out.fits", tmp_path / "out.png"
    outputs = ["-o", str(paths[0]), "-o", str(paths[1])]
    result = run("cutout", "s3://sky/all.fits", "--position", PLACE, "--size", "2arcsec", *outputs)
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    cut = expected(whole, "SCI", SkyCoord(PLACE), 2 * u.arcsec)
    with fits.open(paths[0]) as hdus:
        hdus.verify("exception")
        assert np.array_equal(hdus[0].data, cut.data)
        there = WCS(hdus[0].header).pixel_to_world(3, 4)
        assert there.separation(cut.wcs.pixel_to_world(3, 4)) < 1e-10 * u.deg
        assert "cutout" in "".join(hdus[0].header["HISTORY"])
    assert min(shown(paths[1])) > 600
    told = result.stderr.splitlines()
    assert told[0] == "HDU 2 (SCI,1), the first that contains the place: shape (40, 40), float32"
    middle = cut.wcs.pixel_to_world(19.5, 19.5)
    longitude, latitude = map(float, re.findall(r"\) (\S+)°", told[1]))
    assert SkyCoord(longitude, latitude, unit="deg").separation(middle) < 1e-6 * u.deg
    assert told[1].endswith("; 0.05″/pixel")
    assert told[2] == "warning: removed CCDSEC: they name pixels of the whole image"
    assert "round trip" in told[3]
    assert sum(request.status in (200, 206) for request in server.requests) <= 4


@pytest.mark.parametrize(
    ("words", "hdu", "place", "size", "options"),
    [
        ("[ERR] --pixel 3.4,50 --size 10,20", "ERR", (3.4, 50), (10, 20), {}),
        ("[SCI] --pixel 30.2,20 --size 1arcsec,2arcsec", "SCI", (30.2, 20), (1 * u.arcsec, 2 * u.arcsec), {}),
        ("[ERR] --position 150.42,2.42 --size 4", "ERR", SkyCoord(150.42, 2.42, unit="deg"), 4, {}),
        ("[PLAIN] --pixel 3,4 --size 7", "PLAIN", (3, 4), 7, {}),
        (" --hdu SCI,1 --pixel 0,0 --size 7", "SCI", (0, 0), 7, {}),
        ("[SCI] --pixel 0,0 --size 7 --mode partial", "SCI", (0, 0), 7, {"mode": "partial"}),
        (
            "[PLAIN] --pixel 0,0 --size 7 --mode partial --fill -5",
            "PLAIN",
            (0, 0),
            7,
            {"mode": "partial", "fill_value": -5},
        ),
    ],
)
def test_all_ways_to_name_a_place(
    server: ObjectServer,
    tmp_path: Path,
    whole: bytes,
    words: str,
    hdu: str,
    place: Any,
    size: Any,
    options: dict[str, Any],
) -> None:
    """In the sky or in pixels, HDUs in brackets or apart, sides of one size or two: Cutout2D's pixels."""
    path = tmp_path / "out.fits"
    brackets, *rest = words.split(" ")
    result = run("cutout", f"s3://sky/all.fits{brackets}", *rest, "-o", str(path))
    assert result.exit_code == 0, result.stderr
    assert np.array_equal(
        fits.getdata(path), expected(whole, hdu, place, size, **options).data, equal_nan=True
    )
    assert "the first" not in result.stderr


def test_other_frames_are_the_same_place(server: ObjectServer, tmp_path: Path, whole: bytes) -> None:
    """Galactic coordinates lead to the same pixels."""
    place = SkyCoord(PLACE)
    path = tmp_path / "out.fits"
    words = ["--frame", "galactic", "--position", place.galactic.to_string(precision=12)]
    result = run("cutout", "s3://sky/all.fits[SCI]", *words, "--size", "9", "-o", str(path))
    assert result.exit_code == 0, result.stderr
    assert np.array_equal(fits.getdata(path), expected(whole, "SCI", place, 9).data)


def test_a_name_is_asked_for(server: ObjectServer, tmp_path: Path, whole: bytes) -> None:
    """M31 is where Sesame has it; who is not known is a mistake in the command, no Sesame is not."""
    path = tmp_path / "m31.fits"
    arguments = ["--size", "9", "-o", str(path)]
    with sesame() as resolver:
        result = run("cutout", "s3://sky/all.fits", "--position", "M31", *arguments)
        assert result.exit_code == 0, result.stderr
        assert result.stderr.startswith("HDU 1 (ELSEWHERE,1), the first")
        assert resolver.answer["M31"] == M31
        unknown = run("cutout", "s3://sky/all.fits", "--position", "M311", *arguments)
    assert np.array_equal(
        fits.getdata(path), expected(whole, 1, SkyCoord(10.6847083, 41.26875, unit="deg"), 9).data
    )
    assert unknown.exit_code == 2
    assert "nothing is known by the name 'M311'" in unknown.stderr
    with sesame_url.set(["http://127.0.0.1:1/"]):
        off_line = run("cutout", "s3://sky/all.fits", "--position", "M31", *arguments)
    assert off_line.exit_code == 1
    assert off_line.stderr.startswith("error: the coordinates of 'M31' could not be asked for")
    assert "write the position of M31 itself" in off_line.stderr


def test_more_hdus_go_along(server: ObjectServer, tmp_path: Path, whole: bytes) -> None:
    """Each that is named is cut alike, in one file, whatever looks like a name and a version."""
    path = tmp_path / "out.fits"
    also = ["--also", "ERR", "--also", "4", "-o", str(path)]
    result = run("cutout", "s3://sky/all.fits[SCI]", "--pixel", "50,40", "--size", "8", *also)
    assert result.exit_code == 0, result.stderr
    with fits.open(path) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "SCI", "ERR", "PLAIN"]
        assert np.array_equal(hdus["ERR"].data, expected(whole, "ERR", (50, 40), 8).data)


def test_planes_of_a_cube(server: ObjectServer, tmp_path: Path, whole: bytes) -> None:
    """A plane of a cube has a picture; the whole of it has none, and then nothing at all is written."""
    here = tmp_path / "here"
    here.mkdir()
    paths = here / "out.fits", here / "out.png"
    arguments = ["s3://sky/all.fits[CUBE]", "--pixel", "50,40", "--size", "8"]
    outputs = ["-o", str(paths[0]), "-o", str(paths[1])]
    result = run("cutout", *arguments, *outputs)
    assert result.exit_code == 1
    assert "this has the shape (2, 8, 8): choose planes" in result.stderr
    assert list(here.iterdir()) == []
    result = run("cutout", *arguments, *outputs, "--planes", "-1")
    assert result.exit_code == 0, result.stderr
    with fits.open(io.BytesIO(whole)) as local:
        assert np.array_equal(fits.getdata(paths[0]).squeeze(), local["CUBE"].data[1, 36:44, 46:54])
    shown(paths[1])


def test_an_image_without_coordinates(server: ObjectServer, tmp_path: Path) -> None:
    """Its pixels can be cut and shown; its centre is told in pixels."""
    path = tmp_path / "out.PNG"
    how = ["--stretch", "log", "-o", str(path)]
    result = run("cutout", "s3://sky/all.fits[PLAIN]", "--pixel", "50,40", "--size", "9,3", *how)
    assert result.exit_code == 0, result.stderr
    assert "centre: pixel 50, 40 of the image, without coordinates on the sky" in result.stderr
    shown(path)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["s3://sky/all.fits", "--size", "5"], 2, "by one of --position and --pixel"),
        (["s3://sky/all.fits", "--size", "5", "--position", PLACE, "--pixel", "1,2"], 2, "by one of"),
        (["s3://sky/all.fits", "--size", "5", "--frame", "fk5", "--pixel", "1,2"], 2, "--frame is of"),
        (["s3://sky/all.fits", "--size", "5", "--pixel", "1;2"], 2, "is no pixel: write x and y"),
        (["s3://sky/all.fits", "--size", "5 miles", "--pixel", "1,2"], 2, "'miles' is no angle"),
        (["s3://sky/all.fits", "--size", "-5", "--pixel", "1,2"], 2, "is not above zero"),
        (["s3://sky/all.fits", "--size", "5", "--position", "150.42"], 2, "it is not two coordinates"),
        (["s3://sky/all.fits", "--size", "5", "--position", PLACE, "--frame", "x"], 2, "there is no frame"),
        (["s3://sky/all.fits", "--pixel", "1,2"], 2, "Missing option '--size'"),
        (["s3://sky/all.fits[1:3]", "--size", "5", "--pixel", "1,2"], 2, "is no HDU"),
        (["s3://sky/all.fits", "--size", "5", "--pixel", "1,2", "--mode", "odd"], 2, "'odd' is not one of"),
        (["s3://sky/all.fits", "--size", "5", "--pixel", "1,2", "--planes", "x"], 2, "is no section"),
        (["s3://sky/all.fits[SCI]", "--size", "5", "--pixel", "1,2", "--planes", "1,2"], 1, "axes beside"),
        (["s3://sky/all.fits[SCI]", "--size", "5", "--pixel", "1,2", "--stretch", "log"], 2, "of a picture"),
        (["s3://sky/all.fits", "--size", "5", "--position", "1 2"], 1, "no image contains"),
        (["s3://sky/all.fits[SCI]", "--size", "5", "--position", "1 2"], 1, "has no pixel"),
        (["s3://sky/all.fits[SCI]", "--size", "500", "--pixel", "1,2", "--mode", "strict"], 1, "the edge"),
        (["s3://sky/all.fits[PLAIN]", "--size", "5", "--pixel", "0,0", "--mode", "partial"], 1, "fill_value"),
        (["s3://sky/all.fits[PLAIN]", "--size", "5", "--position", PLACE], 1, "HDU 4"),
        (["s3://sky/all.fits[NOPE]", "--size", "5", "--pixel", "1,2"], 1, "has no HDU NOPE"),
        (["s3://sky/all.fits[SCI]", "--size", "5", "--pixel", "1,2", "--also", "0"], 0, ""),
        (["s3://sky/page.fits", "--size", "5", "--pixel", "1,2"], 1, "is not a FITS file"),
        (["s3://sky/none.fits", "--size", "5", "--pixel", "1,2"], 1, "no such object"),
        (["s3://sky/all.fits", "--size", "5", "--pixel", "1,2", "--index"], 1, "index"),
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
    result = run("cutout", *arguments, "-o", "out.fits")
    assert result.exit_code == code, result.stderr
    assert says in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""
    assert [path.name for path in here.iterdir()] == ([] if code else ["out.fits"])


def test_files_are_judged_before_anything_is_read(
    server: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be written, or drawn, is told at once."""
    arguments = ["cutout", "s3://sky/all.fits[SCI]", "--pixel", "50,40", "--size", "8"]
    assert "Missing option '-o'" in run(*arguments).stderr
    assert "to end in .fits or .png" in run(*arguments, "-o", "out.npy").stderr
    assert "there is no folder" in run(*arguments, "-o", str(tmp_path / "not" / "there.png")).stderr
    also = run(*arguments, "--also", "ERR", "-o", str(tmp_path / "out.png"))
    assert "--also is of a FITS file" in also.stderr
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    without = run(*arguments, "-o", str(tmp_path / "out.png"))
    assert without.exit_code == 1
    assert without.stderr == "error: pictures need matplotlib: pip install 'astro-cloud[plot]'\n"
    assert server.requests == []
    assert run(*arguments, "-o", str(tmp_path / "out.fits")).exit_code == 0


def test_a_file_that_is_there_is_replaced_when_all_is_written(
    server: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its permissions stay; what fails leaves it as it was, and nothing beside it; links are followed."""
    path, link = tmp_path / "kept", tmp_path / "out.png"
    path.write_bytes(b"old")
    path.chmod(0o640)
    link.symlink_to(path)
    arguments = ["cutout", "s3://sky/all.fits[SCI]", "--pixel", "50,40", "--size", "8", "-o", str(link)]

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        result = run(*arguments)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == f"error: {path}: no space is left"
    assert path.read_bytes() == b"old"
    assert not list(tmp_path.glob("*.astro-new")) + list(tmp_path.glob(".*"))
    assert run(*arguments).exit_code == 0
    shown(path)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_no_secret_of_a_location_is_shown(
    server: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a URL is signed with is neither in the title of a picture nor told."""
    titles: list[str] = []

    def keep(data: Any, wcs: Any, *, title: str, **options: Any) -> bytes:
        titles.append(title)
        return b"png"

    monkeypatch.setattr("astro_cloud.fits.picture.as_png", keep)
    server.public.add("sky")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    url = server.url_for("sky", "all.fits")
    path = tmp_path / "out.png"
    result = run("cutout", f"{url}?token=hunter2[SCI]", "--pixel", "50,40", "--size", "8", "-o", str(path))
    assert result.exit_code == 0, result.stderr
    assert titles == [f"{url}[SCI,1]"]
    assert "hunter2" not in result.output


def test_an_index_saves_the_headers(server: ObjectServer, tmp_path: Path) -> None:
    """With the index that was saved, one round trip reads the pixels."""
    from astro_cloud.fits import save_index

    save_index("s3://sky/all.fits")
    before = len(server.requests)
    path = tmp_path / "out.fits"
    how = ["--index", "-o", str(path)]
    result = run("cutout", "s3://sky/all.fits[SCI]", "--pixel", "50,40", "--size", "8", *how)
    assert result.exit_code == 0, result.stderr
    assert fits.getdata(path).shape == (8, 8)
    assert len(server.requests) - before == 1


def test_nothing_of_astropys_own_is_printed() -> None:
    """Whether it was imported before or not: what of its warnings concerns a user is among ours."""
    program = """
from astro_cloud.cli.report import warnings_told
with warnings_told():
    import warnings
    from astropy.utils.exceptions import AstropyWarning
    from astro_cloud.exceptions import AstroCloudWarning
    warnings.warn("theirs", AstropyWarning)
    warnings.warn("ours", AstroCloudWarning)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "warning: ours\n")


def test_stretches_are_those_of_pictures() -> None:
    """The command names them without loading what they need."""
    assert tuple(STRETCHES) == _STRETCHES
    assert "cutout" in json.dumps(run("--help").stdout)


def test_help_loads_nothing_heavy() -> None:
    """Not for this command either."""
    program = (
        "import sys; from astro_cloud.cli import main; main(['cutout', '--help'], standalone_mode=False)"
    )
    check = "; print([name for name in ('numpy', 'astropy', 'matplotlib') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program + check], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
