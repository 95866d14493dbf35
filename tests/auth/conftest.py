"""What tests of auths send their requests with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """A plain session that takes nothing from the environment."""
    with requests.Session() as session:
        session.trust_env = False
        yield session
