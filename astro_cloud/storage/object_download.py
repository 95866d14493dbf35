"""One object on its way to a file: jobs for a crew, from the first request to the file's name.

The first range tells size and version; while it still arrives, others are asked for, in pieces that
become shorter towards the end. Beside it, one HEAD asks for the checksums a store keeps.
"""

from __future__ import annotations

import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astro_cloud.exceptions import (
    AstroCloudError,
    AstroCloudWarning,
    ObjectChangedError,
    RangeNotSupportedError,
    StorageError,
)
from astro_cloud.storage.answers import Version
from astro_cloud.storage.arrivals import Arrivals, Piece
from astro_cloud.storage.checksum import Checksum
from astro_cloud.storage.crew import Crew, Job
from astro_cloud.storage.exchange import Exchange
from astro_cloud.storage.journal import Journal, Span, missing_from
from astro_cloud.storage.location import Location
from astro_cloud.storage.part_file import PartFile
from astro_cloud.storage.pin import Pin
from astro_cloud.storage.plan import PART
from astro_cloud.storage.progress import Progress
from astro_cloud.storage.ramp import Ramp
from astro_cloud.storage.range_read import Fill, RangeRead
from astro_cloud.storage.stop import Stop
from astro_cloud.storage.validators import http_date
from astro_cloud.storage.verification import Wish, digest_of, mismatch
from astro_cloud.storage.whole_read import ChecksumRead, Whole, WholeRead, cut_short

if TYPE_CHECKING:
    from astro_cloud.storage.engine import OpenAnswer
    from astro_cloud.storage.pinned import PinnedObject

__all__ = ["Downloaded", "ObjectDownload"]

_LEAST = 1 << 22
_MOST = 1 << 26


@dataclass(frozen=True, slots=True)
class Downloaded:
    """What became of one download.

    Attributes
    ----------
    location : Location
        What was read.
    path : Path or None
        Where it is now; None where a file object was given.
    size : int
        In bytes.
    etag : str or None
        Of the version that was read.
    checksum : Checksum or None
        What the bytes were compared with, and agreed; None where there was nothing to compare with.
    fetched : int
        Bytes that came in this call: fewer than `size` where an earlier one was gone on with.
    """

    location: Location
    path: Path | None
    size: int
    etag: str | None
    checksum: Checksum | None
    fetched: int


class ObjectDownload:
    """Drives one download; its jobs are run by a crew's threads.

    Parameters
    ----------
    source : PinnedObject
        Not read yet.
    part : PartFile
        Where the bytes go.
    wish : Wish
        What to compare them with.
    resume : bool
        Go on with what an earlier download left, and leave what came if this one fails.
    crew : Crew
        Runs the jobs.
    progress : Progress
        Is told of bytes.
    connections : int, optional
        How many to use; by default as many as help.
    size : int, optional
        Of the object, if a listing told it, and the progress expects it.
    over : callable, optional
        Called in the end, with this; then an error is only kept in `error`, and the crew goes on with
        other downloads.
    """

    def __init__(
        self,
        source: PinnedObject,
        part: PartFile,
        *,
        wish: Wish,
        resume: bool,
        crew: Crew,
        progress: Progress,
        connections: int | None = None,
        size: int | None = None,
        over: Callable[[ObjectDownload], object] | None = None,
    ) -> None:
        self._resources = source.resources
        self._pin: Pin = source.pin
        self._part = part
        self._wish = wish
        self._resume = resume
        self._crew = crew
        self._progress = progress
        self._size = size
        self._over = over
        self._identity = self._pin.location.fingerprint
        self._arrivals = Arrivals(part, crew.size * PART, self._wrote)
        self._arrivals.algorithm = wish.running(())
        self._ramp = Ramp(crew.size, time.monotonic(), connections)
        self._lock = threading.Lock()
        self._missing: deque[tuple[int, int]] = deque()
        self._planned = False
        self._jobs = 0
        self._fetched = 0
        self._said: list[Whole] = []
        self._requests: dict[int, int] = {}
        self._unsaid: AstroCloudError | None = None
        self._first_piece = (0, 0)
        self._kept: tuple[Span, ...] = ()
        self._is_over = False
        self.error: AstroCloudError | None = None
        self.result: Downloaded | None = None

    def jobs(self) -> list[Job]:
        """Return what to begin with."""
        if self._is_small():
            return [self._job(self._read_whole)]
        asks = [self._job(self._ask_store)] if self._wish.asks_store else []
        return [self._job(self._read_first), *asks]

    def close(self) -> None:
        """End it; leave what has arrived to the next download, if this one did not end well."""
        if self._is_over:
            return
        self._is_over = True
        self._resources.usage.add(round_trips=max(self._requests.values(), default=0))
        with suppress(AstroCloudError):  # what ended it matters more
            if self._part.is_open and not self._resume and self._fetched:
                self._part.discard()
            self._arrivals.record()
        with suppress(AstroCloudError):
            self._part.leave()

    def _is_small(self) -> bool:
        return self._size is not None and self._size <= PART and self._part.earlier is None

    def _job(self, work: Job) -> Job:
        """Return a job that ends the download if it is the last of it."""
        with self._lock:
            self._jobs += 1

        def run(stop: Stop) -> None:
            try:
                if self.error is None:
                    work(stop)
            except AstroCloudError as error:
                self._fail(error)
            self._end_job(stop)

        return run

    def _end_job(self, stop: Stop) -> None:
        with self._lock:
            self._jobs -= 1
            if self._jobs:
                return
        if self.error is None:
            try:
                self._finish(stop)
            except AstroCloudError as error:
                self._fail(error)
        self.close()
        if self._over is not None:
            self._over(self)

    def _fail(self, error: AstroCloudError) -> None:
        with self._lock:
            self.error = self.error or error
        if self._over is None:
            raise error

    def _read_first(self, stop: Stop) -> None:
        """Read where nothing is known yet, or what an earlier download left open first."""
        earlier = self._part.earlier
        if self._resume and earlier is not None and self._is_of_same(earlier):
            try:
                return self._go_on(earlier, stop)
            except (ObjectChangedError, RangeNotSupportedError):
                if self._planned:
                    raise
            self._pin = Pin(self._pin.route)
        self._start_over()
        try:
            self._read_beginning(stop)
        except RangeNotSupportedError:
            if self._planned:
                raise
            self._read_whole(stop)

    def _start_over(self) -> None:
        self._part.start_over()
        self._arrivals.forget()
        self._kept = ()

    def _is_of_same(self, earlier: Journal) -> bool:
        version = earlier.version
        tells = version.etag or version.weak_etag or version.last_modified
        return earlier.identity == self._identity and tells is not None

    def _go_on(self, earlier: Journal, stop: Stop) -> None:
        """Read the first bytes that are missing; the rest once the version is seen to be the same."""
        size = earlier.version.total or 0
        self._pin.hold_to(earlier.version)
        self._kept = earlier.spans
        self._arrivals.resume(earlier)
        missing = missing_from(earlier.spans, size)
        if missing:
            start, end = missing[0]
            self._read(stop, start, min(end, start + PART))
        elif size:
            probe = RangeRead(self._resources, self._pin, [Fill(0, 1)])
            probe.run(stop)
            self._count(probe)
        self._plan()
        self._read_missing(stop)

    def _read_beginning(self, stop: Stop) -> None:
        """Read the first piece; and the next, one by one, while the server does not tell the size."""
        at = 0
        while self._pin.size is None or at == 0:
            written = self._read(stop, at, at + PART)
            if written < at + PART:
                break
            at = written
        self._plan()
        self._read_missing(stop)

    def _read(self, stop: Stop, start: int, end: int) -> int:
        """Read a piece; return where what was written of it ends."""
        if not self._planned:
            self._first_piece = (start, end)
        piece = self._arrivals.piece(start, end)
        read = RangeRead(self._resources, self._pin, [piece])
        try:
            read.run(stop)
        finally:
            self._count(read)
            piece.close()
        return piece.span.stop

    def _count(self, read: Exchange[Any]) -> None:
        """Take note of requests that this thread made one after the other."""
        thread = threading.get_ident()
        self._requests[thread] = self._requests.get(thread, 0) + read.requests

    def _plan(self) -> None:
        """Have the rest read by others, once size and version are known; does it once."""
        version = self._pin.version
        if version is None or version.total is None:
            return
        with self._lock:
            planned, self._planned = self._planned, True
        if planned:
            return
        size = version.total
        self._part.resize(size)
        missing = missing_from([*self._arrivals.spans(), Span(*self._first_piece)], size)
        if missing:
            self._arrivals.begin(Journal(self._identity, version, self._kept))
        if self._size is None:
            self._progress.expect(size)
        self._progress.add(sum(span.stop - span.start for span in self._kept))
        self._missing.extend(missing)
        self._employ(self._ramp.target - 1)

    def _employ(self, connections: int) -> None:
        with self._lock:
            left = sum(stop - start for start, stop in self._missing)
        count = min(connections, -(-left // _LEAST))
        self._crew.add([self._job(self._read_missing) for _ in range(count)])

    def _read_missing(self, stop: Stop) -> None:
        while self.error is None and (bounds := self._next_piece()) is not None:
            self._read(stop, *bounds)

    def _next_piece(self) -> tuple[int, int] | None:
        """Return bounds of what nobody reads yet: long at first, for few requests, short at the end."""
        with self._lock:
            if not self._missing:
                return None
            left = sum(stop - start for start, stop in self._missing)
            length = min(max(left // (2 * self._ramp.target), _LEAST), _MOST)
            start, stop = self._missing.popleft()
            if stop - start > length + _LEAST // 2:
                self._missing.appendleft((start + length, stop))
                stop = start + length
            return start, stop

    def _wrote(self, count: int) -> None:
        self._progress.add(count)
        with self._lock:
            self._fetched += count
            before = self._ramp.target
            grown = self._ramp.arrived(count, time.monotonic())
        self._plan()
        if grown:
            self._employ(self._ramp.target - before)

    def _read_whole(self, stop: Stop) -> None:
        """Read from first byte to last, where ranges cannot be had or would be more requests."""
        stream = _Stream(self._arrivals, self._restart)
        read = WholeRead(self._resources, self._pin.route, stream)
        try:
            whole = read.run(stop)
        finally:
            self._count(read)
            stream.close()
        if self._size is not None and (whole.version.total or 0) < self._size and not whole.is_delimited:
            raise cut_short(self._pin.name, whole.version.total, self._size)
        self._said.append(whole)
        self._pin.version = whole.version
        if self._size is None:
            self._progress.expect(whole.version.total or 0)
        if whole.content_coding is not None:
            warnings.warn(
                f"{self._pin.name}: stored with Content-Encoding {whole.content_coding!r}: "
                f"{self._part.target} holds the compressed bytes",
                AstroCloudWarning,
                stacklevel=2,
            )

    def _restart(self) -> None:
        self._progress.add(-sum(span.stop - span.start for span in self._arrivals.spans()))
        self._start_over()

    def _ask_store(self, stop: Stop) -> None:
        read = ChecksumRead(self._resources, self._pin.route)
        try:
            whole = read.run(stop)
        except AstroCloudError as error:
            self._unsaid = error
        else:
            self._wish.choose(whole.checksums, self._pin.name)  # what is not kept is told at once
            self._said.append(whole)
            self._arrivals.algorithm = self._wish.running(whole.checksums)

    def _finish(self, stop: Stop) -> None:
        """Check what has come, and give it its name."""
        pin, part = self._pin, self._part
        version, spans = pin.version, self._arrivals.spans()
        size = pin.size
        if version is None or size is None or missing_from(spans, size):
            raise StorageError(f"{pin.name}: not all of it has come", location=pin.name)
        said = self._said_of(version)
        stored = next((whole.checksums for whole in said if whole.checksums), ())
        expected = self._wish.choose(stored, pin.name, self._unsaid)
        if expected is not None:
            digest = digest_of(part, spans, expected.algorithm, stop)
            if digest != expected.digest:
                self._refuse(expected, digest)
        for whole in said:
            version = version.completed_by(whole.version)
        part.finish(http_date(version.last_modified))
        etag = version.etag or version.weak_etag
        self.result = Downloaded(pin.location, part.target, size, etag, expected, self._fetched)

    def _said_of(self, version: Version) -> list[Whole]:
        """Return what the store said of the version that was read: HEAD may have been answered of another."""
        said = [whole for whole in self._said if not whole.version.differs_from(version)]
        for whole in self._said:
            if whole not in said and whole.version.is_like(version):
                raise cut_short(self._pin.name, version.total, whole.version.total)
        if len(said) < len(self._said):
            self._unsaid = ObjectChangedError(f"{self._pin.name}: it was overwritten meanwhile")
        return said

    def _refuse(self, expected: Checksum, digest: bytes) -> None:
        path = self._part.path
        if expected.source == "ETag" and self._resume:  # which may be something else after all
            self._keep_all()
            then = f"they are kept in {path}; checksum=False takes them as they are"
        else:
            self._part.discard()
            then = "they were thrown away. Download it again"
        raise mismatch(expected, digest, self._pin.name, then)

    def _keep_all(self) -> None:
        """Write down what has come of a download that needed no journal."""
        version = self._pin.version
        if not self._part.is_recorded and version is not None:
            self._arrivals.begin(Journal(self._identity, version))


class _Stream:
    """A whole object on its way into a part file."""

    def __init__(self, arrivals: Arrivals, restart: Callable[[], None]) -> None:
        self._arrivals = arrivals
        self._restart = restart
        self._piece: Piece | None = None

    def restart(self) -> None:
        """Begin at the object's start."""
        self.close()
        self._restart()
        self._piece = self._arrivals.piece(0, sys.maxsize)

    def take(self, answer: OpenAnswer, size: int) -> int:
        """Take bytes, as a piece does."""
        return self._piece.take(answer, size) if self._piece is not None else 0

    def close(self) -> None:
        """Write what is held."""
        if self._piece is not None:
            self._piece.close()
