"""Programs that read and write in a process of their own, for signals that would end the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

#: Marks what presses Ctrl-C: Windows presses it for a whole console, and the tests sit at that, too.
interrupts = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")

SOON = 5.0
"""Seconds: a program that is interrupted takes about one, where the machine has nothing else to do."""


@contextmanager
def running(program: str, *arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run the text of a program, whose standard output is a pipe; killed at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        **options,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def interrupt(
    program: str, *arguments: str, ready: Callable[[], bool], environ: Mapping[str, str] | None = None
) -> tuple[str, float]:
    """Press Ctrl-C in a program once it is `ready`; it must end well.

    Returns
    -------
    said : str
        Its standard output.
    seconds : float
        How long it took to end.
    """
    env = {**os.environ, **(environ or {})}
    with running(program, *arguments, stderr=subprocess.PIPE, env=env) as process:
        deadline = time.monotonic() + 60
        while not ready():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        said, wrong = process.communicate(timeout=60)
        seconds = time.monotonic() - began
    assert wrong == ""
    assert process.returncode == 0
    return said, seconds
