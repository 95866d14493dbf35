"""A server for commands to find."""

from __future__ import annotations

import pytest

from astro_cloud.testing import ObjectServer


@pytest.fixture
def found_server(object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> ObjectServer:
    """An empty server, found by the environment, as commands find one."""
    for name, value in object_server.environ.items():
        monkeypatch.setenv(name, value)
    return object_server
