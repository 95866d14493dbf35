"""The one reason for which a test about forked processes is left out, and how one looks into the other."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

_Test = TypeVar("_Test", bound=Callable[..., Any])


def forks(test: _Test) -> _Test:
    """Mark a test that forks: Windows cannot, so there is nothing to show there.

    From Python 3.12 on a fork beside other threads warns; that it is safe for us is what is tested.
    """
    test = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")(test)
    return pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")(test)  # type: ignore[no-any-return]  # pytest's mark is Any


def in_child(check: Callable[[], object]) -> bool:
    """Fork, and return whether something is true in the other process; what raises there is not."""
    child = os.fork()
    if child == 0:
        true = False
        try:
            true = bool(check())
        finally:
            os._exit(0 if true else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
