"""Time downloads of whole files, beside the peers, on one server in one run.

    python -m tests.benchmarks.transfers                   # all of it
    python -m tests.benchmarks.transfers capped            # 1 GiB, 30 ms, 80 MB/s a connection
    python -m tests.benchmarks.transfers uncapped          # 1 GiB, as fast as loopback is
    python -m tests.benchmarks.transfers checksum          # the same: what checking costs
    python -m tests.benchmarks.transfers many              # 2,000 files of 100 KB, 30 ms, 64 connections
    python -m tests.benchmarks.transfers --folder /dev/shm --size 64 --files 100 --runs 1

Every contender runs in a process of its own, all in turn. Imports and making a client are not in what is
measured; connections, and finding out what there is to fetch, are. Nothing is made durable (no fsync but
the contender's own). Afterwards the CRC64NVME of every file is compared with the server's: each eight
bytes of a file are their own place, so what came to a wrong one shows. CPU and peak memory are those of
the process, or of the tool that it starts.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.client
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.benchmarks.clients import BUCKET, boto3_client, boto3_config, client, file_system, store
from tests.benchmarks.contenders import peak, peak_of
from tests.benchmarks.processes import Figures, alone, rounds, serving

KEY, PREFIX = "image.fits", "many/"
FILE_SIZE = 100_000
PART, PIECE = 8 << 20, 1 << 20
THREADS, CONNECTIONS = 16, 64
TIMEOUT = 900

Job = Callable[[], float | None]
"""What is timed. Returns the peak of a tool in MiB, where it started one."""

Contender = Callable[[str, Path], Job]
"""Imports, makes its client for an endpoint, and returns the job that writes into a folder."""


# One file


def own(endpoint: str, folder: Path, *, checksum: bool | str) -> Job:
    """Download with ours."""
    import anycrc  # noqa: F401 - loaded before the clock runs

    from astro_cloud import download

    made = client(endpoint, concurrency=THREADS)
    location = f"s3://{BUCKET}/{KEY}"
    return lambda: done(download(location, folder / KEY, workers=THREADS, checksum=checksum, client=made))


def own_md5(endpoint: str, folder: Path) -> Job:
    """Download with ours, and check the MD5 that the ETag is."""
    with urllib.request.urlopen(urllib.request.Request(url(endpoint), method="HEAD")) as answer:
        etag = answer.headers["ETag"].strip('"')
    return own(endpoint, folder, checksum=f"md5:{etag}")


def bare_threads(endpoint: str, folder: Path) -> Job:
    """Read parts with http.client, a connection for each of 16 threads, unsigned, into their places."""
    parsed = urllib.parse.urlsplit(endpoint)

    def connect() -> http.client.HTTPConnection:
        return http.client.HTTPConnection(str(parsed.hostname), parsed.port)

    def fetch(local: threading.local, file: int, start: int, stop: int) -> None:
        if not hasattr(local, "connection"):
            local.connection, local.buffer = connect(), memoryview(bytearray(PIECE))
        headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
        local.connection.request("GET", f"/{BUCKET}/{KEY}", headers=headers)
        answer = local.connection.getresponse()
        while length := answer.readinto(local.buffer):
            os.pwrite(file, local.buffer[:length], start)
            start += length

    def job() -> None:
        connection = connect()
        connection.request("HEAD", f"/{BUCKET}/{KEY}")
        answer = connection.getresponse()
        answer.read()
        in_parts(
            folder / KEY, int(answer.headers["Content-Length"]), functools.partial(fetch, threading.local())
        )

    return job


def in_parts(path: Path, size: int, fetch: Callable[[int, int, int], object]) -> None:
    """Have 16 threads fetch the parts of a file: called with its descriptor and [start, stop)."""
    file = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        with ThreadPoolExecutor(THREADS) as threads:
            starts = range(0, size, PART)
            done(list(threads.map(lambda start: fetch(file, start, min(start + PART, size)), starts)))
    finally:
        os.close(file)


def with_requests(endpoint: str, folder: Path) -> Job:
    """Download with requests' iter_content, unsigned."""
    import requests

    def job() -> None:
        with requests.get(url(endpoint), stream=True) as answer, (folder / KEY).open("wb") as file:
            for piece in answer.iter_content(PIECE):
                file.write(piece)

    return job


def with_boto3(endpoint: str, folder: Path, *, threads: int) -> Job:
    """Download with boto3's own threads."""
    import s3transfer.manager  # noqa: F401 - loaded before the clock runs
    from boto3.s3.transfer import TransferConfig

    s3 = boto3_client(endpoint, connections=max(10, threads))
    config = TransferConfig(max_concurrency=threads, preferred_transfer_client="classic")
    return lambda: s3.download_file(BUCKET, KEY, str(folder / KEY), Config=config)


def with_crt(endpoint: str, folder: Path) -> Job:
    """Download with the CRT through s3transfer.

    As boto3 does with ``preferred_transfer_client="crt"``, but that it speaks TLS whatever the endpoint
    says (``boto3.crt``), so that its transfer from a server without hangs.
    """
    import botocore.session
    from botocore.credentials import Credentials
    from s3transfer import crt

    from tests.benchmarks.clients import KEYS, REGION

    options = {"region_name": REGION, "endpoint_url": endpoint, "config": boto3_config(10)}
    serializer = crt.BotocoreCRTRequestSerializer(botocore.session.get_session(), options)
    keys = crt.BotocoreCRTCredentialsWrapper(Credentials(KEYS["access_key"], KEYS["secret_key"]))
    made = crt.create_s3_crt_client(REGION, keys.to_crt_credentials_provider(), use_ssl=False)
    manager = crt.CRTTransferManager(made, serializer)
    return lambda: done(manager.download(BUCKET, KEY, str(folder / KEY)).result())


def with_obstore(endpoint: str, folder: Path) -> Job:
    """Download with obstore.get, one stream."""
    import obstore

    of = store(endpoint)

    def job() -> None:
        with (folder / KEY).open("wb") as file:
            for piece in obstore.get(of, KEY).stream():
                file.write(piece)

    return job


def with_obstore_parts(endpoint: str, folder: Path) -> Job:
    """Read parts with obstore.get_range in 16 threads into their places."""
    import obstore

    of = store(endpoint)

    def fetch(file: int, start: int, stop: int) -> None:
        os.pwrite(file, obstore.get_range(of, KEY, start=start, end=stop), start)

    return lambda: in_parts(folder / KEY, obstore.head(of, KEY)["size"], fetch)


def with_s3fs(endpoint: str, folder: Path) -> Job:
    """Download with s3fs."""
    system = file_system(endpoint)
    return lambda: done(system.get_file(f"{BUCKET}/{KEY}", str(folder / KEY)))


def with_curl(endpoint: str, folder: Path) -> Job:
    """Download with curl, one stream."""
    command = ["curl", "--silent", "--fail", "--output", str(folder / KEY), url(endpoint)]
    return lambda: run_tool(command)


def with_aria2c(endpoint: str, folder: Path) -> Job:
    """Download with aria2c over 16 connections."""
    options = ["--quiet", "-x16", "-s16", "-k8M", "--file-allocation=none", f"--dir={folder}", f"--out={KEY}"]
    return lambda: run_tool(["aria2c", *options, url(endpoint)])


def run_tool(command: list[str]) -> float:
    """Run a program; return its peak memory in MiB, as seen every 10 ms.

    What the system says of a child that is gone counts the memory of the Python it was forked from.
    """
    peaks = [0.0]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as tool:
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.01):
                with contextlib.suppress(OSError, StopIteration):
                    peaks.append(peak_of(tool.pid))

        watching = threading.Thread(target=watch)
        watching.start()
        status = tool.wait()
        ended.set()
        watching.join()
    if status:
        raise SystemExit(f"{command[0]} ended with status {status}")
    return max(peaks)


# Many files


def own_many(endpoint: str, folder: Path, *, checksum: bool) -> Job:
    """Download them with ours."""
    import anycrc  # noqa: F401 - loaded before the clock runs

    from astro_cloud import download_many

    made = client(endpoint, concurrency=CONNECTIONS)
    location = f"s3://{BUCKET}/{PREFIX}"
    return lambda: done(download_many(location, folder, workers=CONNECTIONS, checksum=checksum, client=made))


def many_boto3(endpoint: str, folder: Path) -> Job:
    """Download them with boto3, a call for each from 64 threads that share a client."""
    import awscrt.checksums  # noqa: F401 - loaded before the clock runs
    import s3transfer.manager  # noqa: F401 - loaded before the clock runs
    from boto3.s3.transfer import TransferConfig

    s3 = boto3_client(endpoint, connections=CONNECTIONS)
    config = TransferConfig(use_threads=False, preferred_transfer_client="classic")

    def fetch(key: str) -> None:
        s3.download_file(BUCKET, key, str(folder / Path(key).name), Config=config)

    def job() -> None:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=PREFIX)
        from_threads(fetch, (found["Key"] for page in pages for found in page["Contents"]))

    return job


def many_obstore(endpoint: str, folder: Path) -> Job:
    """Download them with obstore.get, from 64 threads."""
    import obstore

    of = store(endpoint)

    def fetch(key: str) -> None:
        (folder / Path(key).name).write_bytes(obstore.get(of, key).bytes())

    return lambda: from_threads(fetch, (found["path"] for page in obstore.list(of, PREFIX) for found in page))


def from_threads(fetch: Callable[[str], None], keys: Iterator[str]) -> None:
    """Fetch each key in one of 64 threads."""
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        done(list(threads.map(fetch, keys)))


def many_s3fs(endpoint: str, folder: Path) -> Job:
    """Download them with one call of s3fs, 64 at once."""
    system = file_system(endpoint, connections=CONNECTIONS)
    source = f"{BUCKET}/{PREFIX}"
    return lambda: done(system.get(source, f"{folder}/", recursive=True, batch_size=CONNECTIONS))


ONE_FILE: dict[str, Contender] = {
    "astro-cloud": functools.partial(own, checksum=True),
    "astro-cloud, unchecked": functools.partial(own, checksum=False),
    "http.client, 16 threads, unsigned": bare_threads,
    "obstore.get_range, 16 threads": with_obstore_parts,
    "boto3 + CRT": with_crt,
    "boto3, 10 threads": functools.partial(with_boto3, threads=10),
    "boto3, 16 threads": functools.partial(with_boto3, threads=16),
    "boto3, 32 threads": functools.partial(with_boto3, threads=32),
    "aria2c -x16": with_aria2c,
    "obstore.get": with_obstore,
    "s3fs.get_file": with_s3fs,
    "requests.iter_content": with_requests,
    "curl": with_curl,
}
JOBS: dict[str, dict[str, Contender]] = {
    "capped": ONE_FILE,
    "uncapped": ONE_FILE,
    "checksum": {
        "astro-cloud, unchecked": functools.partial(own, checksum=False),
        "astro-cloud, CRC64NVME": functools.partial(own, checksum=True),
        "astro-cloud, MD5": own_md5,
    },
    "many": {
        "astro-cloud": functools.partial(own_many, checksum=True),
        "astro-cloud, unchecked": functools.partial(own_many, checksum=False),
        "obstore.get, 64 threads": many_obstore,
        "boto3, 64 threads": many_boto3,
        "s3fs.get, 64 at once": many_s3fs,
    },
}
SERVERS = {
    "capped": ["--latency", "30", "--bandwidth", "80"],
    "uncapped": [],
    "checksum": [],
    "many": ["--latency", "30", "--bandwidth", "80"],
}
TOOLS = {"curl": "curl", "aria2c -x16": "aria2c"}


def url(endpoint: str) -> str:
    """Return where the file is."""
    return f"{endpoint}/{BUCKET}/{KEY}"


def done(_result: object) -> None:
    """Take what a call returns, of which a job says nothing."""


# What is measured, each in a process of its own


def measure(contender: Contender, endpoint: str, folder: Path) -> list[float]:
    """Return seconds, seconds of CPU, and the peak memory in MiB of one contender's job."""
    job = contender(endpoint, folder)
    cpu, wall = cpu_seconds(), time.perf_counter()
    tool = job()
    elapsed = time.perf_counter() - wall
    figures = [elapsed, cpu_seconds() - cpu, peak() if tool is None else tool]
    check(endpoint, folder)
    return figures


def cpu_seconds() -> float:
    """Return the CPU that this process and its children took."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, whose))


def check(endpoint: str, folder: Path) -> None:
    """Compare what is in a folder with what the server has: the one file, or all of the many."""
    from tests.benchmarks.file_server import stored

    with urllib.request.urlopen(f"{endpoint}/_files") as answer:
        files: dict[str, list[Any]] = json.load(answer)
    wanted = {key.removeprefix(PREFIX): said for key, said in files.items()}
    image = wanted.pop(KEY)
    found = {path.name: stored(path) for path in folder.rglob("*") if path.is_file()}
    if KEY in found:
        wanted = {KEY: image}
    assert found.keys() == wanted.keys(), sorted(found.keys() ^ wanted.keys())[:5]
    for name, file in found.items():
        assert [file.size, file.crc] == wanted[name], f"{name} is not what the server has"


# The runs


def main() -> int:
    """Run what was asked for and print the tables."""
    options = arguments()
    if options.one:
        contender, endpoint, folder = options.one
        figures = measure(JOBS[options.job][contender], endpoint, Path(folder))
        print(json.dumps(figures), flush=True)
        return 0
    failures = 0
    with tempfile.TemporaryDirectory(prefix="astro-cloud-bench-", dir=options.folder) as made:
        served, written = Path(made, "served"), Path(made, "written")
        write_files(served, options)
        for job in [options.job] if options.job else JOBS:
            with serving("file_server", [str(served), *SERVERS[job]]) as endpoint:
                run = functools.partial(run_one, job, endpoint, written, volume(job, options))
                results = rounds(present(job), options.runs, run)
            failures += report(job, options, results)
    return failures


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("job", nargs="?", choices=list(JOBS))
    parser.add_argument("--runs", type=int, default=5, help="how often each contender runs")
    parser.add_argument("--size", type=int, default=1024, help="MiB of the one file")
    parser.add_argument("--files", type=int, default=2000, help="how many the many are")
    parser.add_argument("--folder", type=Path, help="where files are, for a while; a temporary folder")
    parser.add_argument("--one", nargs=3, metavar=("CONTENDER", "ENDPOINT", "FOLDER"), help=argparse.SUPPRESS)
    return parser.parse_args()


def write_files(folder: Path, options: argparse.Namespace) -> None:
    """Write what the server has; each of the many holds other bytes."""
    from tests.benchmarks.range_server import content

    (folder / PREFIX).mkdir(parents=True)
    with (folder / KEY).open("wb") as file:
        for number in range(options.size):
            file.write(content(number << 20, (number + 1) << 20))
    for number in range(options.files):
        body = content(number * FILE_SIZE, (number + 1) * FILE_SIZE)
        (folder / PREFIX / f"{number:05}.fits").write_bytes(body)


def present(job: str) -> list[str]:
    """List the contenders that are there: a program may not be."""
    return [name for name in JOBS[job] if name not in TOOLS or shutil.which(TOOLS[name])]


def volume(job: str, options: argparse.Namespace) -> int:
    """Return how many bytes a contender fetches."""
    size: int = options.files * FILE_SIZE if job == "many" else options.size << 20
    return size


def run_one(job: str, endpoint: str, folder: Path, size: int, name: str) -> list[float] | str:
    """Run a contender once, with an empty folder to write into."""
    folder.mkdir()
    try:
        touch(folder / "touched", size)
        return alone("transfers", [job, "--one", name, endpoint, str(folder)], timeout=TIMEOUT)
    finally:
        shutil.rmtree(folder)


def touch(path: Path, size: int) -> None:
    """Write and remove as much as is to come: virtual machines wait for memory that is used first."""
    with path.open("wb") as file:
        for _ in range(-(-size // PART)):
            file.write(bytes(PART))
    path.unlink()


def report(job: str, options: argparse.Namespace, results: Figures) -> int:
    """Print medians and ratios to the first contender; return how many contenders failed."""
    size = volume(job, options)
    what = f"{options.files:,} files of {FILE_SIZE:,} bytes" if job == "many" else f"{options.size:,} MiB"
    print(f"\n{job} ({what}; {' '.join(SERVERS[job]) or 'no bounds'}), medians of {options.runs}")
    titles = ("s", "least", "most", "ratio", "MB/s", "CPU s", "peak MiB")
    print(" ".join([f"  {'':34}", *(title.rjust(8) for title in titles)]))
    failures, reference = 0, float("nan")
    for number, (name, runs) in enumerate(results.items()):
        good = [figures for figures in runs if isinstance(figures, list)]
        if len(good) < len(runs):
            failures += 1
            print(f"  {name:34} failed: {next(run for run in runs if isinstance(run, str))}")
            continue
        walls, cpus, peaks = zip(*good, strict=True)
        wall = statistics.median(walls)
        reference = reference if number else wall
        print(
            f"  {name:34} {wall:8.3f} {min(walls):8.3f} {max(walls):8.3f} {wall / reference:8.3f}"
            f" {size / 1e6 / wall:8.0f} {statistics.median(cpus):8.2f} {statistics.median(peaks):8.0f}"
        )
    return failures


if __name__ == "__main__":
    sys.exit(main())
