"""Servers and contenders in processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
Figures = dict[str, list[list[float] | str]]
"""What each contender's runs measured, or what a run that failed said last."""


@contextlib.contextmanager
def serving(module: str, arguments: list[str]) -> Iterator[str]:
    """Run a server that prints its port; gives its endpoint."""
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


def rounds(names: Iterable[str], runs: int, run: Callable[[str], list[float] | str]) -> Figures:
    """Run every contender once, then every one again, so that the machine's moods hit all alike."""
    results: Figures = {name: [] for name in names}
    for _ in range(runs):
        for name, measured in results.items():
            measured.append(run(name))
    return results


def alone(
    module: str,
    arguments: list[str],
    *,
    timeout: float | None = None,
    environ: Mapping[str, str] | None = None,
) -> list[float] | str:
    """Run a contender once; returns the figures it prints, or the end of what it says when it fails.

    ``environ`` is set beside the variables that this process has.
    """
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments]
    variables = {**os.environ, **(environ or {})}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        return f"not done after {timeout:g} s"
    if done.returncode:
        return done.stderr.strip()[-300:]
    figures = json.loads(done.stdout.splitlines()[-1])
    return figures if isinstance(figures, list) else [figures]
