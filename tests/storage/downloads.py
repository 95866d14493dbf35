"""What the tests of downloads read, and how they look at what lies in a folder."""

from __future__ import annotations

import random
import signal
import threading
from dataclasses import replace
from pathlib import Path

from astro_cloud.testing import Answer, Fault

#: Bytes of an object that is read in several pieces.
LONG = random.Random(64).randbytes(24_000_001)
LONG_LOCATION = "s3://sky/long.fits"


def names_in(folder: Path) -> list[str]:
    """Return what a folder holds, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


def dropping(*names: str) -> Fault:
    """Leave headers out of an answer."""

    def drop(answer: Answer) -> Answer:
        kept = tuple(pair for pair in answer.headers if pair[0].lower() not in names)
        return replace(answer, headers=kept)

    return Fault("dropping", lambda request, serve: drop(serve()))


def saying(**headers: str) -> Fault:
    """Add headers to an answer; ``_`` in a name stands for ``-``."""
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())

    def add(answer: Answer) -> Answer:
        return replace(answer, headers=(*answer.headers, *pairs))

    return Fault("saying", lambda request, serve: add(serve()))


def interrupting(when: threading.Event) -> threading.Thread:
    """Start a thread that presses Ctrl-C, for the main one to see, once an event is set."""

    def press() -> None:
        if when.wait(30):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    return thread
