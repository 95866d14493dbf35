"""Every example on a page is run as it stands: Python blocks, and commands with what they print."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

from astro_cloud.cli import main
from astro_cloud.testing import ObjectServer
from astro_cloud.testing.tess_cube import write_tess_cube
from tests.docs.made_images import write_images
from tests.docs.pages import PAGES, commands

AMAZON = "https://s3.us-east-1.amazonaws.com"


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images, under the keys at which the pages read them."""
    folder = tmp_path_factory.mktemp("images")
    write_images(folder)
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
    for arguments, expected in commands(page):
        result = CliRunner(env=dict(os.environ)).invoke(main, arguments, prog_name="astro-cloud")
        assert result.exit_code == 0, result.output
        assert result.stdout.rstrip() == expected.rstrip()


def test_there_are_examples() -> None:
    """The pages are found, and hold examples of both kinds."""
    text = "".join(page.read_text() for page in PAGES)
    assert len(PAGES) >= 8
    assert text.count("```python") >= 8
    assert text.count("$ astro-cloud") >= 2
