"""A server that anybody may read from, with files of ours, and each of them on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from astro_cloud.storage import Client, Settings
from astro_cloud.testing import ObjectServer
from tests.fits import made
from tests.fits.astrocut_cubes import AstrocutCubes, make_cubes

Put = Callable[[bytes], str]


@pytest.fixture
def night(object_server: ObjectServer) -> ObjectServer:
    """A server whose bucket `night` is public."""
    object_server.public.add("night")
    return object_server


@pytest.fixture
def far(night: ObjectServer) -> ObjectServer:
    """The same server, its answers slow enough for those to requests sent at once to overlap."""
    night.latency = 0.05
    return night


@pytest.fixture
def put(night: ObjectServer) -> Put:
    """Store an object, always the same; return its URL."""

    def put(data: bytes) -> str:
        night.put("night", "file.fits", data)
        return night.url_for("night", "file.fits")

    return put


@pytest.fixture
def survey(put: Put) -> str:
    """The URL of the file of every kind of HDU."""
    return put(made.survey())


@pytest.fixture
def survey_path(tmp_path: Path) -> Path:
    """The same file on disk."""
    path = tmp_path / "survey.fits"
    path.write_bytes(made.survey())
    return path


@pytest.fixture
def frugal() -> Iterator[Client]:
    """A client that reads nothing in vain, and gives up at the first failure."""
    with Client(settings=Settings(max_gap=0, attempts=1)) as client:
        yield client


@pytest.fixture(scope="session")
def astrocut_cubes(tmp_path_factory: pytest.TempPathFactory) -> AstrocutCubes:
    """Cubes of TESS's full-frame images as astrocut makes them, with its cutouts of them."""
    return make_cubes(tmp_path_factory.mktemp("astrocut"))
