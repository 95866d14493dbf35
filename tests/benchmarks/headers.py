"""Time reading the headers of a 45 GB cube, beside the peers, on one server in one run.

    make bench                                       # everything, then a table
    python -m tests.benchmarks.headers --runs 9 --contenders 'astro-cloud*,rustfits*'

Every contender runs in a process of its own, all in turn, `--runs` times; imports, and finding
credentials, are not in the wall time. Requests, round trips (the longest chain of requests one after
the other) and bytes are counted at the server. The floor is round trips x latency + bytes / bandwidth
for what the contender itself asks for.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from astro_cloud.testing import ObjectServer
from astro_cloud.testing.tess_cube import write_tess_cube
from tests.benchmarks.processes import ROOT

BUCKET, KEY = "stpubdata", "tess/public/mast/tess-s0022-4-4-cube.fits"
CONTENDERS = [sys.executable, "-m", "tests.benchmarks.contenders"]
TITLES = ("contender", "wall s", "min", "max", "x floor", "CPU s", "peak MiB", "requests", "trips", "bytes")


def main() -> int:
    """Run all contenders and print the table; returns the number that failed."""
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="astro-cloud-bench-") as root:
        cube = Path(root, BUCKET, KEY)
        cube.parent.mkdir(parents=True)
        write_tess_cube(cube)
        network = {"latency": options.latency / 1e3, "bandwidth": options.bandwidth * 1e6}
        with ObjectServer(root, public=[BUCKET], **network) as server:
            results = rounds(server, chosen(options.contenders), options.runs)
    report(results, options)
    return sum(failure(runs) is not None for runs in results.values())


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--latency", type=float, default=30.0, help="ms before the first byte of an answer")
    parser.add_argument("--bandwidth", type=float, default=80.0, help="MB/s of each connection")
    parser.add_argument("--runs", type=int, default=5, help="how often each contender runs")
    parser.add_argument("--contenders", default="*", help="comma-separated patterns of names")
    return parser.parse_args()


def chosen(patterns: str) -> list[str]:
    """List the contenders whose names match."""
    listed = subprocess.run(CONTENDERS, cwd=ROOT, capture_output=True, text=True, check=True)
    wanted = patterns.split(",")
    return [name for name in listed.stdout.splitlines() if any(fnmatch.fnmatch(name, p) for p in wanted)]


def rounds(server: ObjectServer, names: list[str], runs: int) -> dict[str, list[dict[str, Any]]]:
    """Run every contender once, then every one again, so that the machine's moods hit all alike."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(runs):
        for name in names:
            results[name].append(run(server, name))
    return results


def run(server: ObjectServer, name: str) -> dict[str, Any]:
    """Run one contender once; returns what it measured and what the server counted."""
    server.clear()
    job = {"http": server.url_for(BUCKET, KEY), "s3": f"s3://{BUCKET}/{KEY}", "endpoint": server.url}
    environ = {**os.environ, **server.environ}
    done = subprocess.run(
        [*CONTENDERS, name, json.dumps(job)], cwd=ROOT, env=environ, capture_output=True, text=True
    )
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1][:100]}
    log = server.requests
    counts = {"requests": len(log), "trips": log.round_trips, "bytes": log.body_bytes}
    return {**json.loads(done.stdout.splitlines()[-1]), **counts}


def failure(runs: list[dict[str, Any]]) -> str | None:
    """Say what went wrong in the first run that failed."""
    return next((run["error"] for run in runs if "error" in run), None)


def report(results: dict[str, list[dict[str, Any]]], options: argparse.Namespace) -> None:
    """Print medians, fastest first."""
    good = {name: runs for name, runs in results.items() if failure(runs) is None}
    rows = [row(name, runs, options) for name, runs in good.items()]
    rows.sort(key=lambda cells: float(cells[1]))
    rows += [[name, str(failure(runs))] for name, runs in results.items() if name not in good]
    print(
        f"\n{options.latency:g} ms, {options.bandwidth:g} MB/s a connection, medians of {options.runs} runs\n"
    )
    for cells in (list(TITLES), *rows):
        print("  ".join([cells[0].ljust(34), *(cell.rjust(10) for cell in cells[1:])]))


def row(name: str, runs: list[dict[str, Any]], options: argparse.Namespace) -> list[str]:
    """Lay out one contender's medians."""

    def middle(what: str) -> float:
        return statistics.median(run[what] for run in runs)

    walls = [run["wall"] for run in runs]
    floor = middle("trips") * options.latency / 1e3 + middle("bytes") / (options.bandwidth * 1e6)
    figures = (
        f"{middle('wall'):.3f}", f"{min(walls):.3f}", f"{max(walls):.3f}", f"{middle('wall') / floor:.2f}",
        f"{middle('cpu'):.3f}", f"{middle('peak'):.0f}", f"{middle('requests'):.0f}",
        f"{middle('trips'):.0f}", f"{middle('bytes'):,.0f}",
    )  # fmt: skip
    return [name, *figures]


if __name__ == "__main__":
    sys.exit(main())
