"""What tasks in other processes need and must not have a copy of each: one a process, however often it comes.

A graph of tasks is pickled, and unpickled a task at a time: each copy of a client would make connections
of its own, each copy of an auth look for credentials.
"""

from __future__ import annotations

import secrets
import threading
import weakref
from typing import Any, Generic, TypeVar

from astro_cloud.forking import restart_after_fork
from astro_cloud.storage.client import Client

__all__ = ["Shared", "shared_client"]

_T = TypeVar("_T")


class Shared(Generic[_T]):
    """Something that all its copies in a process have in common, as long as one of them is there.

    Made by `of`. Its pickle holds as much as that of what is shared does.

    Attributes
    ----------
    value
        What is shared.
    """

    def __init__(self, token: str, value: _T) -> None:
        self._token = token
        self.value = value

    @classmethod
    def of(cls, value: _T) -> Shared[_T]:
        """Share something; what is shared already is not shared twice."""
        return _HERE.of(value)

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (self._token, self.value)

    def __repr__(self) -> str:
        return f"<Shared {self.value!r}>"


def shared_client() -> Shared[Client]:
    """Return the client of those that were given none: one a process, of the usual settings."""
    return _HERE.usual()


def _received(token: str, value: Any) -> Shared[Any]:
    return _HERE.received(token, value)


class _SharedClient(Shared[Client]):
    """The client of those that were given none: a pickle holds nothing of it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return shared_client, ()


class _Here:
    """What is shared in this process."""

    def __init__(self) -> None:
        self._usual: Shared[Client] | None = None
        self._known: weakref.WeakValueDictionary[str, Shared[Any]] = weakref.WeakValueDictionary()
        self._start()

    def _start(self) -> None:
        """Let no other thread be sharing."""
        restart_after_fork(self, _Here._start)
        self._lock = threading.RLock()

    def usual(self) -> Shared[Client]:
        with self._lock:
            if self._usual is None:
                self._usual = _SharedClient("", Client())
                weakref.finalize(self._usual, self._usual.value.close)
            return self._usual

    def of(self, value: Any) -> Shared[Any]:
        with self._lock:
            for shared in list(self._known.values()):
                if shared.value is value:
                    return shared
            token = secrets.token_hex(8)
            new = self._known[token] = Shared(token, value)
            return new

    def received(self, token: str, value: Any) -> Shared[Any]:
        """Return what came before under this token, or what comes now; a client is then ours to close."""
        with self._lock:
            shared = self._known.get(token)
            if shared is None:
                shared = self._known[token] = Shared(token, value)
                if isinstance(value, Client):
                    weakref.finalize(shared, value.close)
            return shared

    def forget(self) -> None:
        """Close the usual client; the next who needs one makes it anew."""
        with self._lock:
            usual, self._usual = self._usual, None
        if usual is not None:
            usual.value.close()


_HERE = _Here()
