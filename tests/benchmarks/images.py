"""Time reading headers and sections of FITS files, beside the peers, on one server in one run.

    python -m tests.benchmarks.images                                 # all of it
    python -m tests.benchmarks.images --jobs 'hst*,decam' --runs 9    # some of the files
    python -m tests.benchmarks.images --contenders 'astro-cloud*'     # some of the contenders

Every contender runs in a process of its own, all in turn; imports, and finding credentials, are not in the
wall time. What each finds is compared with what astropy reads from disk: a wrong answer is an error,
not a time. Requests, round trips (steps that depend on each other), waves (requests of one step that
had to wait for a connection) and bytes are counted at the server. The floor is round trips x latency +
bytes / bandwidth for what the contender itself asks for; the ideal is the fewest bytes that hold the answer.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from astropy.io import fits

from astro_cloud import Settings
from astro_cloud.testing import ObjectServer
from tests.benchmarks.clients import BUCKET
from tests.benchmarks.image_contenders import OWN, RAW, contenders, measure
from tests.benchmarks.image_files import write_file
from tests.benchmarks.image_jobs import JOBS, Job, answer, ideal, runs
from tests.benchmarks.processes import alone, rounds
from tests.benchmarks.steps import steps_and_waves

FLOOR_BOUND, BYTES_FACTOR, BYTES_MORE = 1.3, 2, 4 << 20
TIMEOUT = 300
CONNECTIONS = {OWN: Settings().concurrency, RAW: 10}
"""Requests that a contender has on their way at once, where it is more than one; by how its name begins."""
TITLES = (
    "wall s", "min", "max", "x floor", "x peer", "requests", "trips", "waves", "MB", "x ideal", "CPU s",
    "peak MiB", "server CPU",
)  # fmt: skip


class Figures(NamedTuple):
    """What one run, or the medians of several, came to; seconds and MiB."""

    wall: float
    cpu: float
    peak: float
    requests: float
    trips: float
    waves: float
    size: float
    server_cpu: float


class Place(NamedTuple):
    """A job's file as it is served."""

    server: ObjectServer
    job: Job
    path: Path

    def order(self) -> dict[str, Any]:
        """Return what a contender is told."""
        job = self.job
        places = {"http": self.server.url_for(BUCKET, job.file), "s3": f"s3://{BUCKET}/{job.file}"}
        return {**places, "endpoint": self.server.url, "section": job.bounds, "runs": self.runs()}

    def runs(self) -> list[tuple[int, int]]:
        """Return the byte ranges of the section that is read by ranges alone."""
        if self.job.name != "tess":
            return []
        with fits.open(self.path) as hdul:
            return runs(hdul[1], self.job.section)


def main() -> int:
    """Run what was asked for and print the tables; returns how many contenders failed."""
    options = arguments()
    if options.one:
        name, order = options.one
        print(json.dumps(measure(name, json.loads(order))))
        return 0
    network = {"latency": options.latency / 1e3, "bandwidth": options.bandwidth * 1e6}
    failures = 0
    with tempfile.TemporaryDirectory(prefix="astro-cloud-bench-") as root:
        Path(root, BUCKET).mkdir()
        with ObjectServer(root, public=[BUCKET], **network) as server:
            for job in JOBS:
                if matches(job.name, options.jobs):
                    failures += run_job(server, job, options)
    return failures


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--latency", type=float, default=30.0, help="ms before the first byte of an answer")
    parser.add_argument("--bandwidth", type=float, default=80.0, help="MB/s of each connection")
    parser.add_argument("--runs", type=int, default=5, help="how often each contender runs")
    parser.add_argument(
        "--jobs", default="*", help="comma-separated patterns of " + ", ".join(job.name for job in JOBS)
    )
    parser.add_argument("--contenders", default="*", help="comma-separated patterns of names")
    parser.add_argument("--one", nargs=2, metavar=("CONTENDER", "ORDER"), help=argparse.SUPPRESS)
    return parser.parse_args()


def matches(name: str, patterns: str) -> bool:
    """Return whether a name is one of those asked for."""
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns.split(","))


# One job


def run_job(server: ObjectServer, job: Job, options: argparse.Namespace) -> int:
    """Write a job's file, have every contender read it, and print; returns how many failed."""
    place = Place(server, job, server.path(BUCKET, job.file))
    write_file(place.path)
    order, wanted = place.order(), answer(place.path, job)
    names = [name for name in contenders(order) if matches(name, options.contenders)]
    results = rounds(names, options.runs, lambda name: run_one(server, name, order, wanted))
    least = ideal(place.path, job)
    place.path.unlink()
    good = {name: middle(of) for name, of in results.items() if failure(of) is None}
    print(f"\n{job.name}: {job.title}; at least {least:,} bytes")
    print_table(results, good, least, options)
    for name, figures in good.items():
        if name.startswith(OWN):
            print(f"  {name}: {'; '.join(judged(job, figures, best_peer(good), least, options))}")
    sys.stdout.flush()
    return len(results) - len(good)


def run_one(server: ObjectServer, name: str, order: dict[str, Any], wanted: int) -> list[float] | str:
    """Run a contender once; returns its `Figures`, or what went wrong."""
    server.clear()
    cpu = time.process_time()
    said = alone("images", ["--one", name, json.dumps(order)], timeout=TIMEOUT, environ=server.environ)
    if isinstance(said, str):
        return said.splitlines()[-1]
    wall, own_cpu, found, peak = said
    if found != wanted:
        return f"a wrong answer: {found:.0f}, not {wanted}"
    log = server.requests
    counts = [len(log), *steps_and_waves(log, connections_of(name)), log.body_bytes]
    return [wall, own_cpu, peak, *counts, time.process_time() - cpu]


def connections_of(name: str) -> int | None:
    """Return how many requests a contender has on their way at once; None for one."""
    return next((count for begin, count in CONNECTIONS.items() if name.startswith(begin)), None)


# The report


def failure(measured: Iterable[list[float] | str]) -> str | None:
    """Say what went wrong in the first run that failed."""
    return next((run for run in measured if isinstance(run, str)), None)


def middle(measured: Iterable[Any]) -> Figures:
    """Return the medians."""
    return Figures(*map(statistics.median, zip(*measured, strict=True)))


def floor_of(figures: Figures, options: argparse.Namespace) -> float:
    """Return the seconds that what was asked for takes over one connection; waves are not excused."""
    return figures.trips * options.latency / 1e3 + figures.size / (options.bandwidth * 1e6)


def best_peer(good: dict[str, Figures]) -> float:
    """Return the seconds of the fastest that reads FITS and is not ours."""
    peers = [figures.wall for name, figures in good.items() if not name.startswith((OWN, RAW))]
    return min(peers, default=float("nan"))


def print_table(
    results: dict[str, list[list[float] | str]],
    good: dict[str, Figures],
    least: int,
    options: argparse.Namespace,
) -> None:
    """Print medians, fastest first, then what failed."""
    said = f"{options.latency:g} ms, {options.bandwidth:g} MB/s a connection, medians of {options.runs}"
    print(f"  {said:34}" + "".join(title.rjust(11) for title in TITLES))
    best = best_peer(good)
    for name, figures in sorted(good.items(), key=lambda item: item[1].wall):
        walls = [run[0] for run in results[name] if isinstance(run, list)]
        cells = (
            f"{figures.wall:.3f}", f"{min(walls):.3f}", f"{max(walls):.3f}",
            f"{figures.wall / floor_of(figures, options):.2f}", f"{figures.wall / best:.2f}",
            f"{figures.requests:.0f}", f"{figures.trips:.0f}", f"{figures.waves:.0f}",
            f"{figures.size / 1e6:.2f}", f"{figures.size / least:.1f}", f"{figures.cpu:.3f}",
            f"{figures.peak:.0f}", f"{figures.server_cpu:.3f}",
        )  # fmt: skip
        print(f"  {name:34}" + "".join(cell.rjust(11) for cell in cells))
    for name, measured in results.items():
        if name not in good:
            print(f"  {name:34} failed: {failure(measured)}")


def judged(job: Job, figures: Figures, best: float, least: int, options: argparse.Namespace) -> Iterable[str]:
    """Say of each bound whether ours is within."""
    floor, limit = floor_of(figures, options), BYTES_FACTOR * least + BYTES_MORE
    yield verdict("x floor", figures.wall / floor, FLOOR_BOUND)
    yield verdict("x best peer", figures.wall / best, job.share)
    yield verdict("MB", figures.size / 1e6, limit / 1e6)
    yield verdict("trips", figures.trips, job.trips)


def verdict(what: str, measured: float, bound: float) -> str:
    """Compare a figure with its bound."""
    if measured != measured:
        return f"{what}: nobody to compare with"
    return f"{what} {measured:.3g} of {bound:.3g} {'kept' if measured <= bound else 'NOT KEPT'}"


if __name__ == "__main__":
    sys.exit(main())
