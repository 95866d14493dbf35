"""Every example on a page is run as it stands: Python blocks, and commands with what they print."""

import gzip
import os
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from click.testing import CliRunner
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

from astro_cloud.cli import main
from astro_cloud.testing import ObjectServer
from astro_cloud.testing.tess_cube import write_tess_cube

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)
AMAZON = "https://s3.us-east-1.amazonaws.com"


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images, under the keys at which the pages read them."""
    folder = tmp_path_factory.mktemp("images")
    drizzled = folder / "hst/public/j8pu/j8pu0y010/j8pu0y010_drc.fits"
    examples = folder / "examples"
    for parent in (drizzled.parent, examples):
        parent.mkdir(parents=True)
    random, sky = np.random.default_rng(7), WCS(naxis=2)
    sky.wcs.ctype, sky.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.05 / 3600, 0.05 / 3600]
    sky.wcs.crval, sky.wcs.crpix = [150.4214, 2.4224], [601, 501]
    pixels, cards = random.normal(size=(1000, 1200)).astype("f4"), sky.to_header()
    names = ("SCI", "WHT", "CTX")
    extensions = [fits.ImageHDU(pixels, cards, name=name) for name in names]
    fits.HDUList([fits.PrimaryHDU(), *extensions]).writeto(drizzled)

    tiled = fits.CompImageHDU((100 * pixels).astype("i2"), cards, name="SCI", tile_shape=(100, 100))
    fits.HDUList([fits.PrimaryHDU(), tiled]).writeto(examples / "mosaic.fits.fz")

    planes = {"SCI": pixels[:256, :256], "ERR": pixels[256:512, :256], "DQ": np.ones((256, 256), "i2")}
    several = [
        fits.ImageHDU(values, name=name, ver=n) for n in range(1, 6) for name, values in planes.items()
    ]
    exposure = examples / "exposure.fits"
    fits.HDUList([fits.PrimaryHDU(), *several]).writeto(exposure)
    (examples / "exposure.fits.gz").write_bytes(gzip.compress(exposure.read_bytes(), 1))
    return folder


@pytest.fixture
def amazon(object_server: ObjectServer, images: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A loopback stand-in for the public bucket that the pages read; gives its URL."""
    key = "tess/public/mast/tess-s0022-4-4-cube.fits"
    object_server.put("stpubdata", key, b"")
    write_tess_cube(object_server.path("stpubdata", key))
    for image in filter(Path.is_file, images.rglob("*")):
        link = object_server.path("stpubdata", image.relative_to(images).as_posix())
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(image)
    object_server.requester_pays.add("stpubdata")
    for name, value in object_server.environ.items():
        monkeypatch.setenv(name, value)
    return object_server.url


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_examples_run(
    page: Path, amazon: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Python blocks of a page run in order, with only Amazon's host replaced."""
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / page.name
    copy.write_text(page.read_text().replace(AMAZON, amazon))
    for example in Sybil(parsers=[PythonCodeBlockParser()]).parse(copy).examples():
        example.evaluate()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_print_what_the_page_says(
    page: Path, amazon: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command of ours on a page succeeds, and prints what stands under it."""
    monkeypatch.chdir(tmp_path)
    for block in CONSOLE.findall(page.read_text()):
        command, _, expected = block.removeprefix("$ ").partition("\n")
        program, *arguments = shlex.split(command)
        if program != "astro-cloud":
            continue
        result = CliRunner(env=dict(os.environ)).invoke(main, arguments, prog_name="astro-cloud")
        assert result.exit_code == 0, result.output
        assert result.stdout.rstrip() == expected.rstrip()


def test_there_are_examples() -> None:
    """The pages are found, and hold examples of both kinds."""
    text = "".join(page.read_text() for page in PAGES)
    assert len(PAGES) >= 8
    assert text.count("```python") >= 8
    assert text.count("$ astro-cloud") >= 2
