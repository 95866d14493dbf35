"""Time cutting out of FITS files by position, beside the peers, on one server in one run.

    python -m tests.benchmarks.cutouts                                # all of it
    python -m tests.benchmarks.cutouts --jobs tess,hst --runs 5       # some of the jobs
    python -m tests.benchmarks.cutouts --contenders 'astro-cloud*,floor'

Every contender runs in a process of its own, all in turn; imports, and finding credentials, are not in the
wall time. What each cuts out is compared with what astropy's `Cutout2D` cuts out of the file on disk: a
wrong answer is an error, not a time. Requests, round trips and bytes are counted at the server.
The seconds of WCS work are measured inside of the same call, in its main thread (`wcs_watch`); with many
files it is spread over threads and left in. Who takes more than half a minute runs once.

The floor is measured too, as one more contender (`bare_client`), and each table says what it does.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from astro_cloud import Settings
from astro_cloud.testing import ObjectServer
from astro_cloud.testing.request_log import RequestLog
from tests.benchmarks.clients import BUCKET
from tests.benchmarks.cutout_contenders import CONTENDERS, FLOOR, measure, save_index
from tests.benchmarks.cutout_files import DETECTOR_SHAPE, MOSAIC_SHAPE
from tests.benchmarks.cutout_jobs import CONNECTIONS, JOBS, Job, Steps, Target, combined, write_target
from tests.benchmarks.image_contenders import OWN, RAW
from tests.benchmarks.images import failure, matches, verdict
from tests.benchmarks.processes import alone, rounds
from tests.benchmarks.steps import steps_and_waves

TIMEOUT, SLOW = 600, 30
Run = Callable[[str], list[float] | str]
AT_ONCE = {OWN: Settings().concurrency, RAW: 10, FLOOR: CONNECTIONS, "astrocut, by sky": 8}
"""Requests that a contender has on their way at once, where it is more than one; by how its name begins."""
NOT_PEERS = (OWN, RAW, FLOOR)
FLOORS = {
    "tess": "the headers before the pixels; the table's header and one row of it; all 30 runs of pixels,"
    " over 16 connections",
    "hst": "the headers before the pixels; the rows of the cutout, from first to last pixel, in one piece for"
    " each of 16 connections",
    "many": "16 connections, each of which takes one file after the other: its headers before the pixels in"
    " one request; then, one after the other, a request a cutout for its rows from first to last pixel",
}
"""What the bare client does, in steps that depend on each other; it knows all offsets, signs nothing,
and makes nothing of the bytes."""
LIMITS = {
    "astro-cloud, by pixel": {"s less WCS": 0.25},
    "astro-cloud, by sky": {"s less WCS": 0.25},
    "astro-cloud": {"x peer": 0.6, "trips": 3},
    "astro-cloud, with an index": {"x peer": 0.6, "trips": 1},
    "astro-cloud cutouts": {"x bare": 1.5, "at once": CONNECTIONS},
}
WIDTHS = {"hst": MOSAIC_SHAPE[1], "many": DETECTOR_SHAPE[1]}


class Figures(NamedTuple):
    """What one run, or the medians of several, came to; seconds and MiB."""

    wall: float
    cpu: float
    wcs: float
    peak: float
    requests: float
    trips: float
    waves: float
    beside: float
    size: float
    server_cpu: float


class Network(NamedTuple):
    """Seconds before the first byte of an answer, and bytes a second of each connection."""

    latency: float
    bandwidth: float


class Place(NamedTuple):
    """A job's files as they are served."""

    server: ObjectServer
    folder: Path
    job: Job
    targets: list[Target]

    def order(self) -> dict[str, Any]:
        """Return what a contender is told."""
        job, section, first = self.job, self.targets[0].sections[0], self.file(0)
        shape = [axis.stop - axis.start for axis in section]
        one = {"section": [[axis.start, axis.stop] for axis in section], "runs": first["steps"][-1]}
        told = {"size": [job.size, job.unit], "shape": shape, "kind": job.kind}
        told["width"] = WIDTHS.get(job.name)
        files = [self.file(number) for number in range(job.files)]
        return {**first, **one, **told, "endpoint": self.server.url, "files": files}

    def file(self, number: int) -> dict[str, Any]:
        """Return what a contender is told of one file."""
        key, target = self.job.key(number), self.targets[number]
        return {
            "http": self.server.url_for(BUCKET, key),
            "s3": f"s3://{BUCKET}/{key}",
            "index": str(self.folder / f"{key}.index"),
            "skies": target.skies,
            "pixels": self.job.pixels,
            "steps": target.steps,
        }


def main() -> int:
    """Run what was asked for and print the tables; returns how many contenders failed."""
    options = arguments()
    if options.one:
        job, name, path = options.one
        order = json.loads(Path(path).read_text())
        print(json.dumps(measure(job, name, order) if name else save_index(order)))
        return 0
    network = Network(options.latency / 1e3, options.bandwidth * 1e6)
    failures = 0
    with tempfile.TemporaryDirectory(prefix="astro-cloud-bench-", dir=options.folder) as root:
        Path(root, BUCKET).mkdir()
        with ObjectServer(root, public=[BUCKET], **network._asdict()) as server:
            for job in JOBS:
                if matches(job.name, options.jobs):
                    failures += run_job(server, job, network, options)
    return failures


def arguments() -> argparse.Namespace:
    """Read the command line."""
    names = ", ".join(job.name for job in JOBS)
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--latency", type=float, default=30.0, help="ms before the first byte of an answer")
    parser.add_argument("--bandwidth", type=float, default=80.0, help="MB/s of each connection")
    parser.add_argument("--runs", type=int, default=3, help="how often each contender runs")
    parser.add_argument("--jobs", default="*", help=f"comma-separated patterns of {names}")
    parser.add_argument("--contenders", default="*", help="comma-separated patterns of names")
    parser.add_argument("--folder", help="where the files are written: up to 1 GB, sparse")
    parser.add_argument("--one", nargs=3, metavar=("JOB", "CONTENDER", "ORDER"), help=argparse.SUPPRESS)
    return parser.parse_args()


# One job


def run_job(server: ObjectServer, job: Job, network: Network, options: argparse.Namespace) -> int:
    """Write a job's files, have every contender cut them, and print; returns how many failed."""
    paths = [server.path(BUCKET, job.key(number)) for number in range(job.files)]
    targets = [write_target(path, job, number) for number, path in enumerate(paths)]
    names = [name for name in CONTENDERS[job.name] if chosen(name, options.contenders)]
    with tempfile.TemporaryDirectory(prefix="astro-cloud-bench-") as folder:
        place, order = Place(server, Path(folder), job, targets), Path(folder, "order.json")
        order.write_text(json.dumps(place.order()))
        touch(server, [job.key(number) for number in range(job.files)])
        if any("index" in name for name in names):
            alone("cutouts", ["--one", job.name, "", str(order)], timeout=TIMEOUT, environ=server.environ)
        results = rounds(names, options.runs, once_if_slow(lambda name: run_one(place, name, order)))
    for path in paths:
        path.unlink()
    good = {name: middle(of) for name, of in results.items() if failure(of) is None}
    print_head(job, targets, network, options)
    print_table(job, results, good, network)
    for name, figures in good.items():
        if name in LIMITS:
            print(f"  {name}: {'; '.join(judged(name, figures, good))}")
    sys.stdout.flush()
    return len(results) - len(good)


def chosen(name: str, patterns: str) -> bool:
    """Return whether a contender is asked for, by patterns that may hold no comma where names have some."""
    return matches(name.replace(",", ""), patterns) or matches(name, patterns)


def touch(server: ObjectServer, keys: Iterable[str]) -> None:
    """Have the server look at each file once, as it takes the MD5 of small ones."""
    host = server.url.removeprefix("http://")

    def head(key: str) -> int:
        connection = http.client.HTTPConnection(host)
        connection.request("HEAD", f"/{BUCKET}/{key}")
        status = connection.getresponse().status
        connection.close()
        return status

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        assert set(pool.map(head, keys)) == {200}


def once_if_slow(run: Run) -> Run:
    """Return what runs a contender, but none again that failed or took more than `SLOW` seconds."""
    slow: dict[str, list[float] | str] = {}

    def again(name: str) -> list[float] | str:
        measured = slow[name] if name in slow else run(name)
        if isinstance(measured, str) or measured[0] > SLOW:
            slow[name] = measured
        return measured

    return again


def run_one(place: Place, name: str, order: Path) -> list[float] | str:
    """Run a contender once; returns its `Figures`, or what went wrong."""
    server, job = place.server, place.job
    server.clear()
    cpu = time.process_time()
    said = alone("cutouts", ["--one", job.name, name, str(order)], timeout=TIMEOUT, environ=server.environ)
    if isinstance(said, str):
        return said.splitlines()[-1]
    server_cpu, log = time.process_time() - cpu, server.requests
    wall, own_cpu, wcs, found, peak = said
    if found != combined(target.found for target in place.targets):
        return "wrong pixels"
    trips = trips_of_each(log) if job.files > 1 else steps_and_waves(log, at_once(name))
    return [wall, own_cpu, wcs, peak, len(log), *trips, most_at_once(log), log.body_bytes, server_cpu]


def at_once(name: str) -> int | None:
    """Return how many requests a contender has on their way at once; None for one."""
    return next((count for begin, count in AT_ONCE.items() if name.startswith(begin)), None)


def most_at_once(log: RequestLog) -> int:
    """Return how many requests were being answered at once, at most."""
    moments = sorted([(record.t_end, -1) for record in log] + [(record.t_received, 1) for record in log])
    return max(itertools.accumulate(change for _, change in moments), default=0)


def trips_of_each(log: RequestLog) -> tuple[float, int]:
    """Return the longest chain of requests for one file, the median of all files; waves are in it."""
    keys = {record.key for record in log}
    return statistics.median(log.where(key=key).round_trips for key in keys), 0


# The report


def middle(measured: Iterable[Any]) -> Figures:
    """Return the medians."""
    return Figures(*map(statistics.median, zip(*measured, strict=True)))


def theory(job: Job, steps: list[Steps], network: Network) -> float:
    """Return the seconds that the bare client's requests take on the network alone.

    Of one file, the requests of a step go over all connections, in waves; of many, all connections are
    busy all the time.
    """
    if job.files > 1:
        return sum(seconds(span, network) for each in steps for step in each for span in step) / CONNECTIONS
    return sum(
        max(seconds(span, network) for span in step) * -(-len(step) // CONNECTIONS) for step in steps[0]
    )


def seconds(span: tuple[int, int], network: Network) -> float:
    """Return how long one request takes."""
    return network.latency + (span[1] - span[0]) / network.bandwidth


def print_head(job: Job, targets: list[Target], network: Network, options: argparse.Namespace) -> None:
    """Print what the job is, and what its floor does."""
    size = sum(target.size for target in targets) / 1e6
    print(f"\n{job.name}: {job.title}")
    print(f"  {options.latency:g} ms, {options.bandwidth:g} MB/s a connection, medians of {options.runs}")
    print(f"  the floor is a bare client with 16 threads of http.client: {FLOORS[job.name]}.")
    ideal = theory(job, [target.steps for target in targets], network)
    print("  It knows all offsets, signs and parses nothing.", end=" ")
    print(f"These {size:.1f} MB take {ideal:.3f} s on the network alone.")


def print_table(job: Job, results: dict[str, Any], good: dict[str, Figures], network: Network) -> None:
    """Print medians, fastest first, then what failed."""
    rows = {name: cells(job, figures, results[name], good, network) for name, figures in good.items()}
    for titles in list(rows.values())[:1]:
        print(" " * 36 + "".join(title.rjust(12) for title in titles))
    for name in sorted(rows, key=lambda name: good[name].wall):
        print(f"  {name:34}" + "".join(cell.rjust(12) for cell in rows[name].values()))
    for name, measured in results.items():
        if name not in good:
            print(f"  {name:34} failed: {failure(measured)}")


def cells(
    job: Job, figures: Figures, measured: list[list[float]], good: dict[str, Figures], network: Network
) -> dict[str, str]:
    """Return one row of a table, by its titles."""
    walls, ratio = [run[0] for run in measured], compared(figures, good)
    many = job.files > 1
    rate = {"cutouts/s": f"{job.files * len(job.pixels) / figures.wall:.1f}"} if many else {}
    wcs = {} if many else {"WCS s": f"{figures.wcs:.3f}", "less WCS": f"{figures.wall - figures.wcs:.3f}"}
    own = figures.trips * network.latency + figures.size / network.bandwidth
    floor = {} if many else {"x own floor": f"{figures.wall / own:.2f}"}
    waves = {"trips a file": f"{figures.trips:g}"} if many else waves_of(figures)
    return {
        **rate, "wall s": f"{figures.wall:.3f}", "min": f"{min(walls):.3f}", "max": f"{max(walls):.3f}",
        **wcs, "x bare": f"{ratio['x bare']:.2f}", "x peer": f"{ratio['x peer']:.2f}", **floor,
        "requests": f"{figures.requests:.0f}", **waves, "at once": f"{figures.beside:.0f}",
        "MB": f"{figures.size / 1e6:.2f}", "CPU s": f"{figures.cpu:.3f}", "peak MiB": f"{figures.peak:.0f}",
        "server CPU": f"{figures.server_cpu:.3f}",
    }  # fmt: skip


def waves_of(figures: Figures) -> dict[str, str]:
    """Return the round trips of one file, and the requests that waited for a connection."""
    return {"trips": f"{figures.trips:g}", "waves": f"{figures.waves:g}"}


def compared(figures: Figures, good: dict[str, Figures]) -> dict[str, float]:
    """Return what limits speak of."""
    peers = [each.wall for name, each in good.items() if not name.startswith(NOT_PEERS)]
    bare = good[FLOOR].wall if FLOOR in good else float("nan")
    return {
        "s less WCS": figures.wall - figures.wcs,
        "x bare": figures.wall / bare,
        "x peer": figures.wall / min(peers, default=float("nan")),
        "trips": figures.trips,
        "at once": figures.beside,
    }


def judged(name: str, figures: Figures, good: dict[str, Figures]) -> Iterable[str]:
    """Say of each limit whether ours is within."""
    measured = compared(figures, good)
    for what, limit in LIMITS[name].items():
        yield verdict(what, measured[what], limit)


if __name__ == "__main__":
    sys.exit(main())
