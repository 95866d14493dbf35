"""Time reading many byte ranges, beside the peers, on one server in one run.

    python -m tests.benchmarks.ranges                # all of it
    python -m tests.benchmarks.ranges cpu            # CPU per signed read of 2,880 bytes, 16 threads
    python -m tests.benchmarks.ranges many           # 1,000 ranges of 16 KiB, 30 ms, 64 connections
    python -m tests.benchmarks.ranges section        # 1,000 rows of an image, astropy, 30 ms, 80 MB/s
    python -m tests.benchmarks.ranges soak           # 20,000 reads with 2% of the answers faulty

Every contender runs in a process of its own, all in turn; imports, and the first request, are not in
what is measured. The ranges lie further apart than anybody reads through.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.benchmarks.clients import BUCKET, KEYS, boto3_client, client, store
from tests.benchmarks.processes import Figures, alone, rounds, serving
from tests.benchmarks.range_server import HEADER, WIDTH, content

KEY = "image.fits"
Read = Callable[[int, int], bytes]

CPU_READS, CPU_THREADS = 4000, 16
MANY, MANY_SIZE, MANY_STRIDE, MANY_CONNECTIONS = 1000, 16 << 10, (1 << 20) + (64 << 10), 64
SOAK_READS = 20_000


# What is measured, each in a process of its own


def reader_own(endpoint: str) -> Read:
    """Read through a client of ours."""
    pinned = client(endpoint).pin(f"s3://{BUCKET}/{KEY}")
    return lambda start, stop: pinned.read_ranges([(start, stop)])[0]


def reader_injected(endpoint: str) -> Read:
    """Read through a client of ours with a session of the user's."""
    pinned = client(endpoint, session=pooled_session()).pin(f"s3://{BUCKET}/{KEY}")
    return lambda start, stop: pinned.read_ranges([(start, stop)])[0]


def pooled_session() -> Any:
    """Make a session with a connection for each thread."""
    import requests

    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=CPU_THREADS))
    return session


def reader_requests(endpoint: str) -> Read:
    """Read with requests and our auth, as people do by hand."""
    from astro_cloud.auth.aws import AWSAuth

    session, auth = pooled_session(), AWSAuth(region="us-east-1", **KEYS)

    def read(start: int, stop: int) -> bytes:
        headers = {"Range": f"bytes={start}-{stop - 1}"}
        body: bytes = session.get(f"{endpoint}/{BUCKET}/{KEY}", headers=headers, auth=auth).content
        return body

    return read


def reader_urllib3(endpoint: str) -> Read:
    """Read with a pool of urllib3's, unsigned."""
    import urllib3

    pool = urllib3.connectionpool.connection_from_url(endpoint, maxsize=CPU_THREADS)

    def read(start: int, stop: int) -> bytes:
        answer = pool.request("GET", f"/{BUCKET}/{KEY}", headers={"Range": f"bytes={start}-{stop - 1}"})
        return answer.data

    return read


def reader_http_client(endpoint: str) -> Read:
    """Read with http.client, a connection for each thread, unsigned: the floor of our own engine."""
    import http.client

    local = threading.local()

    def read(start: int, stop: int) -> bytes:
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection(endpoint.removeprefix("http://"))
        headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
        local.connection.request("GET", f"/{BUCKET}/{KEY}", headers=headers)
        body: bytes = local.connection.getresponse().read()
        return body

    return read


def reader_obstore(endpoint: str) -> Read:
    """Read with obstore's synchronous get_range."""
    import obstore

    of = store(endpoint)
    return lambda start, stop: bytes(obstore.get_range(of, KEY, start=start, end=stop))


def reader_boto3(endpoint: str) -> Read:
    """Read with boto3."""
    s3 = boto3_client(endpoint, connections=CPU_THREADS)

    def read(start: int, stop: int) -> bytes:
        body: bytes = s3.get_object(Bucket=BUCKET, Key=KEY, Range=f"bytes={start}-{stop - 1}")["Body"].read()
        return body

    return read


def cpu(read: Read) -> float:
    """Return the milliseconds of CPU that a read of 2,880 bytes costs, 16 threads reading."""
    ranges = [(number * 28800, number * 28800 + 2880) for number in range(CPU_READS)]
    assert read(*ranges[1]) == content(*ranges[1])
    with ThreadPoolExecutor(CPU_THREADS) as threads:
        started = time.process_time()
        for body in threads.map(lambda wanted: read(*wanted), ranges):
            assert len(body) == 2880
        return (time.process_time() - started) / CPU_READS * 1e3


def many_ranges() -> list[tuple[int, int]]:
    """Return the ranges of `many`."""
    return [(number * MANY_STRIDE, number * MANY_STRIDE + MANY_SIZE) for number in range(MANY)]


def many_own(endpoint: str) -> Callable[[], list[Any]]:
    """Read them with a client of ours."""
    own = client(endpoint, concurrency=MANY_CONNECTIONS, max_gap=0)
    pinned = own.pin(f"s3://{BUCKET}/{KEY}")
    pinned.read_ranges([(0, 8)])
    return lambda: pinned.read_ranges(many_ranges())


def many_own_merging(endpoint: str) -> Callable[[], list[Any]]:
    """Read them with a client of ours that may read what lies between."""
    own = client(endpoint, concurrency=MANY_CONNECTIONS)
    pinned = own.pin(f"s3://{BUCKET}/{KEY}")
    pinned.read_ranges([(0, 8)])
    return lambda: pinned.read_ranges(many_ranges())


def many_obstore(endpoint: str) -> Callable[[], list[Any]]:
    """Read them with obstore.get_ranges, which has ten requests on their way at once."""
    import obstore

    of = store(endpoint)
    obstore.get_range(of, KEY, start=0, end=8)
    starts, ends = zip(*many_ranges(), strict=True)
    return lambda: list(obstore.get_ranges(of, KEY, starts=starts, ends=ends))


def many_obstore_threads(endpoint: str) -> Callable[[], list[Any]]:
    """Read them with obstore.get_range from as many threads as we have connections."""
    import obstore

    of = store(endpoint)
    obstore.get_range(of, KEY, start=0, end=8)
    threads = ThreadPoolExecutor(MANY_CONNECTIONS)
    return lambda: list(
        threads.map(lambda wanted: obstore.get_range(of, KEY, start=wanted[0], end=wanted[1]), many_ranges())
    )


def many_obstore_async(endpoint: str) -> Callable[[], list[Any]]:
    """Read them with obstore.get_range_async, as many at once as we have connections."""
    import asyncio

    import obstore

    of = store(endpoint)
    obstore.get_range(of, KEY, start=0, end=8)

    async def read() -> list[Any]:
        turns = asyncio.Semaphore(MANY_CONNECTIONS)

        async def one(start: int, stop: int) -> Any:
            async with turns:
                return await obstore.get_range_async(of, KEY, start=start, end=stop)

        return await asyncio.gather(*(one(*wanted) for wanted in many_ranges()))

    return lambda: asyncio.run(read())


def many(read: Callable[[], list[Any]]) -> float:
    """Return the milliseconds that all ranges take, the best of three."""
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        bodies = read()
        best = min(best, time.perf_counter() - started)
    for wanted, body in zip(many_ranges()[::97], bodies[::97], strict=True):
        assert bytes(body) == content(*wanted)
    return best * 1e3


def rows(endpoint: str, open_image: Callable[[str], Any]) -> list[float]:
    """Read 1,000 rows of 500 pixels; return the milliseconds, and what was asked of the server."""
    import numpy as np
    import requests

    with open_image(endpoint):
        pass  # whatever it imports is imported now
    requests.get(f"{endpoint}/_counts")
    started = time.perf_counter()
    with open_image(endpoint) as hdul:
        pixels = hdul[0].section[10_000:11_000, 1000:1500]
    elapsed = time.perf_counter() - started
    y, x = np.mgrid[10_000:11_000, 1000:1500]
    assert np.array_equal(pixels, len(HEADER) + 8 * (y * WIDTH + x))
    counts = requests.get(f"{endpoint}/_counts").json()
    return [elapsed * 1e3, counts["requests"], counts["bytes"] / 1e6]


@contextlib.contextmanager
def image_own(endpoint: str) -> Iterator[Any]:
    """Open the image with astropy over a file of ours."""
    from astropy.io import fits

    import astro_cloud

    location = f"s3://{BUCKET}/{KEY}"
    with (
        client(endpoint) as own,
        astro_cloud.open(location, client=own) as file,
        fits.open(file) as hdul,
    ):
        yield hdul


def image_fsspec(**options: Any) -> Callable[[str], Any]:
    """Open the image with astropy over fsspec's HTTP file system."""

    def open_image(endpoint: str) -> Any:
        from astropy.io import fits

        return fits.open(f"{endpoint}/{BUCKET}/{KEY}", use_fsspec=True, fsspec_kwargs=options)

    return open_image


@contextlib.contextmanager
def image_obstore(endpoint: str) -> Iterator[Any]:
    """Open the image with astropy over obstore's file system for fsspec."""
    from astropy.io import fits
    from obstore.fsspec import FsspecStore

    options = {"endpoint": endpoint, "region": "us-east-1", "skip_signature": True}
    system = FsspecStore("s3", client_options={"allow_http": True}, **options)
    with system.open(f"{BUCKET}/{KEY}", block_size=1 << 16) as file, fits.open(file) as hdul:
        yield hdul


def soak(endpoint: str) -> float:
    """Read 20,000 ranges through faults; return the seconds. Every byte must be right, nothing left over."""
    started = time.perf_counter()
    own = client(endpoint, max_gap=0, backoff=0.001)
    pinned = own.pin(f"s3://{BUCKET}/{KEY}")
    sockets = open_sockets()
    for first in range(0, SOAK_READS, 1000):
        ranges = [(number * 7919, number * 7919 + 64) for number in range(first, first + 1000)]
        assert pinned.read_ranges(ranges) == [content(*wanted) for wanted in ranges]
    assert own.usage.requests > SOAK_READS * 1.01, "there were no faults"
    own.close()
    for thread in [*threading.enumerate()][1:]:
        thread.join(10)
    assert (threading.active_count(), open_sockets()) == (1, sockets)
    return time.perf_counter() - started


def open_sockets() -> int:
    """Return how many sockets this process holds."""
    links = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            links.append(os.readlink(f"/proc/self/fd/{name}"))
    return sum(link.startswith("socket:") for link in links)


JOBS: dict[str, dict[str, Callable[[str], Any]]] = {
    "cpu": {
        "astro-cloud": lambda endpoint: cpu(reader_own(endpoint)),
        "astro-cloud, injected session": lambda endpoint: cpu(reader_injected(endpoint)),
        "requests + AWSAuth": lambda endpoint: cpu(reader_requests(endpoint)),
        "urllib3, unsigned": lambda endpoint: cpu(reader_urllib3(endpoint)),
        "http.client, unsigned": lambda endpoint: cpu(reader_http_client(endpoint)),
        "obstore.get_range": lambda endpoint: cpu(reader_obstore(endpoint)),
        "boto3": lambda endpoint: cpu(reader_boto3(endpoint)),
    },
    "many": {
        "astro-cloud": lambda endpoint: many(many_own(endpoint)),
        "astro-cloud, merging": lambda endpoint: many(many_own_merging(endpoint)),
        "obstore.get_ranges, 10 at once": lambda endpoint: many(many_obstore(endpoint)),
        "obstore.get_range, 64 threads": lambda endpoint: many(many_obstore_threads(endpoint)),
        "obstore.get_range_async, 64 at once": lambda endpoint: many(many_obstore_async(endpoint)),
    },
    "section": {
        "astropy + astro-cloud": lambda endpoint: rows(endpoint, image_own),
        "astropy + fsspec http": lambda endpoint: rows(endpoint, image_fsspec()),
        "astropy + fsspec http, 64 KiB": lambda endpoint: rows(endpoint, image_fsspec(block_size=1 << 16)),
        "astropy + obstore, 64 KiB": lambda endpoint: rows(endpoint, image_obstore),
    },
    "soak": {"astro-cloud": soak},
}
UNITS = {"cpu": "ms of CPU a read", "many": "ms", "section": "ms; requests, MB", "soak": "s"}
SERVERS = {
    "cpu": [],
    "many": ["--latency", "30"],
    "section": ["--latency", "30", "--bandwidth", "80"],
    "soak": ["--faulty", "2"],
}


# The runs


def main() -> int:
    """Run what was asked for and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("job", nargs="?", choices=list(JOBS))
    parser.add_argument("--runs", type=int, default=5, help="how often each contender runs")
    parser.add_argument("--one", nargs=2, metavar=("CONTENDER", "ENDPOINT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        contender, endpoint = options.one
        print(json.dumps(JOBS[options.job][contender](endpoint)))
        return 0
    failures = 0
    for job in [options.job] if options.job else JOBS:
        with serving("range_server", SERVERS[job]) as endpoint:

            def run(name: str, job: str = job, endpoint: str = endpoint) -> list[float] | str:
                return alone("ranges", [job, "--one", name, endpoint])

            failures += report(job, rounds(JOBS[job], 1 if job == "soak" else options.runs, run))
    return failures


def report(job: str, results: Figures) -> int:
    """Print medians and ratios to the first contender; return how many contenders failed."""
    print(f"\n{job} ({UNITS[job]}): median, least, most, ratio to astro-cloud")
    failures, reference = 0, None
    for name, runs in results.items():
        figures = [figures for figures in runs if isinstance(figures, list)]
        if len(figures) < len(runs):
            failures += 1
            print(f"  {name:36} failed: {next(run for run in runs if isinstance(run, str))}")
            continue
        first, *others = zip(*figures, strict=True)
        median = statistics.median(first)
        reference = reference or median
        counts = "".join(f" {statistics.median(other):9,.1f}" for other in others)
        print(
            f"  {name:36} {median:8.3f} {min(first):8.3f} {max(first):8.3f} {median / reference:6.2f}{counts}"
        )
    return failures


if __name__ == "__main__":
    sys.exit(main())
