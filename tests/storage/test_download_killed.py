"""A download that ends in the middle, however: the next one goes on, and the file is right."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path

import pytest

from astro_cloud import download
from astro_cloud.storage import Client
from astro_cloud.storage.journal import Span, parse_journal
from astro_cloud.storage.plan import PART
from astro_cloud.testing import ObjectServer
from tests.storage.downloads import LONG, names_in
from tests.storage.programs import running
from tests.storage.reading import BUCKET

WORKERS = 4

DOWNLOADER = """
import sys, threading, time
from astro_cloud import download
from astro_cloud.auth.providers import Anonymous

url, target, workers = sys.argv[1], sys.argv[2], int(sys.argv[3])
try:
    show = lambda done, total: print(done, flush=True)
    download(url, target, workers=workers, auth=Anonymous(), progress=show)
except KeyboardInterrupt:
    began = time.monotonic()
    while threading.active_count() > 1 and time.monotonic() - began < 60:
        time.sleep(0.01)
    print("interrupted", [thread.name for thread in threading.enumerate()], flush=True)
"""


@pytest.fixture
def slow_sky(object_server: ObjectServer) -> ObjectServer:
    """A server whose connections bring 1.5 MB a second."""
    object_server.put(BUCKET, "long.fits", LONG)
    object_server.public.add(BUCKET)
    object_server.bandwidth = 1.5e6
    return object_server


def _downloading(server: ObjectServer, target: Path) -> AbstractContextManager[subprocess.Popen[str]]:
    return running(DOWNLOADER, server.url_for(BUCKET, "long.fits"), str(target), str(WORKERS))


def _wait_for(process: subprocess.Popen[str], more: int) -> bool:
    """Wait until so many more bytes than at first have come; tell whether it went on so long."""
    assert process.stdout is not None
    first = None
    for line in process.stdout:
        first = int(line) if first is None else first
        if int(line) >= first + more:
            return True
    return False


def _recorded(folder: Path) -> tuple[Span, ...]:
    """Return what the journal claims."""
    for path in folder.glob("*.journal"):
        journal = parse_journal(path.read_bytes())
        if journal is not None:
            return journal.spans
    return ()


def _length(spans: tuple[Span, ...]) -> int:
    return sum(span.stop - span.start for span in spans)


def _sent(server: ObjectServer, began: float, ended: float) -> list[tuple[int, int]]:
    """Return the bytes of answers to the requests of a time."""
    found = []
    for record in server.requests.where(method="GET"):
        if began <= record.t_received < ended:
            start = int((record.range or "bytes=0-").removeprefix("bytes=").split("-")[0])
            found.append((start, start + record.body_bytes))
    return found


def test_killed_at_ten_moments(slow_sky: ObjectServer, tmp_path: Path) -> None:
    """Nothing that the journal claims is fetched again, and what is claimed is there."""
    folder = tmp_path / "here"
    folder.mkdir()
    moments = random.Random(9)
    runs: list[tuple[float, tuple[Span, ...]]] = []
    while True:
        runs.append((time.monotonic(), _recorded(folder)))
        if len(runs) > 10:
            slow_sky.bandwidth = None
        with _downloading(slow_sky, folder / "l") as process:
            if not _wait_for(process, moments.randrange(1, 3 << 20) if len(runs) <= 10 else sys.maxsize):
                process.wait()
                break
            process.send_signal(signal.SIGKILL)
        for path in folder.glob("*.astro-part"):
            part = path.read_bytes()
            assert all(part[slice(*span[:2])] == LONG[slice(*span[:2])] for span in _recorded(folder))
    assert len(runs) == 11
    assert (folder / "l").read_bytes() == LONG
    assert names_in(folder) == ["l"]
    assert _length(runs[-1][1]) > 0
    for (began, before), (ended, after) in pairwise([*runs, (time.monotonic(), (Span(0, len(LONG)),))]):
        sent = _sent(slow_sky, began, ended)
        assert not [
            (piece, span)
            for piece in sent
            for span in before
            if max(piece[0], span[0]) < min(piece[1], span[1])
        ]
        assert (
            sum(stop - start for start, stop in sent) - (_length(after) - _length(before)) <= WORKERS * PART
        )


def test_ctrl_c(slow_sky: ObjectServer, tmp_path: Path) -> None:
    """No thread is left, what has come is kept, and the next goes on."""
    folder = tmp_path / "here"
    folder.mkdir()
    with _downloading(slow_sky, folder / "l") as process:
        assert _wait_for(process, 3 << 20)
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        *_, last = process.stdout.read().splitlines()
    assert last == "interrupted ['MainThread']"
    assert len(names_in(folder)) == 2
    kept = sum(span.stop - span.start for span in _recorded(folder))
    assert kept >= 3 << 20
    slow_sky.bandwidth = None
    with Client() as client:
        done = download(slow_sky.url_for(BUCKET, "long.fits"), folder / "l", client=client)
    assert done.fetched == len(LONG) - kept
    assert (folder / "l").read_bytes() == LONG


def test_bytes_are_synced_before_they_are_claimed(
    slow_sky: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is written to the journal, the part was synced after its bytes were written."""
    calls: list[tuple[str, int, int]] = []
    real = {name: getattr(os, name) for name in ("pwrite", "fdatasync", "write")}
    parts: set[int] = set()

    def pwrite(descriptor: int, data: memoryview, position: int) -> int:
        parts.add(descriptor)
        count: int = real["pwrite"](descriptor, data, position)
        calls.append(("bytes", position, position + count))
        return count

    def fdatasync(descriptor: int) -> None:
        began = len(calls)
        real["fdatasync"](descriptor)
        if descriptor in parts:
            calls.append(("synced", began, 0))

    def write(descriptor: int, data: bytes) -> int:
        for line in data.splitlines():
            if line.startswith(b"["):
                start, stop = (int(bound) for bound in line[1:-1].split(b","))
                calls.append(("claimed", start, stop))
        count: int = real["write"](descriptor, data)
        return count

    for name, fake in (("pwrite", pwrite), ("fdatasync", fdatasync), ("write", write)):
        monkeypatch.setattr(os, name, fake)
    slow_sky.bandwidth = 8e6
    url = slow_sky.url_for(BUCKET, "long.fits")
    download(url, tmp_path / "l", workers=WORKERS, checksum=False)
    claims = [index for index, call in enumerate(calls) if call[0] == "claimed"]
    assert claims
    for index in claims:
        _, start, stop = calls[index]
        began = max(call[1] for call in calls[:index] if call[0] == "synced")
        assert _covers(calls[:began], start, stop)


def _covers(calls: list[tuple[str, int, int]], start: int, stop: int) -> bool:
    """Tell whether bytes that were written cover a span."""
    for first, last in sorted(call[1:] for call in calls if call[0] == "bytes"):
        if first <= start < last:
            start = last
    return start >= stop
