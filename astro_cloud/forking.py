"""Begin anew in a forked process: what holds locks, threads or connections registers here.

A lock that another thread held at the moment of the fork stays locked in the child for ever, and a
connection would be shared by two processes; so both are made anew there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

__all__ = ["restart_after_fork"]

_T = TypeVar("_T")

_REGISTERED: WeakKeyDictionary[Any, Callable[[Any], None]] = WeakKeyDictionary()


def restart_after_fork(thing: _T, start: Callable[[_T], None]) -> None:
    """Have ``start(thing)`` called in every process forked from this one, for as long as `thing` lives."""
    _REGISTERED[thing] = start


def _restart_all() -> None:
    for thing, start in list(_REGISTERED.items()):
        start(thing)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restart_all)
