"""The ``object_server`` fixture, registered with pytest when astro-cloud is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from astro_cloud.testing.server import ObjectServer


@pytest.fixture
def object_server(tmp_path: Path) -> Iterator[ObjectServer]:
    """Give a running `astro_cloud.testing.ObjectServer` over an empty folder, for one test."""
    from astro_cloud.testing.server import ObjectServer  # not when pytest starts: most tests need no server

    root = tmp_path / "object_server"
    root.mkdir()
    with ObjectServer(root) as server:
        yield server
