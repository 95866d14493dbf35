"""What is inside an object that is compressed whole, read by position as far as that is sensible.

A whole compressed file (``.fits.gz``, ``.bz2``, ``.xz``, ``.zip``, ``.Z``) has no place to begin at but its
first byte. So it is decompressed strictly forward, no further than what is asked for; its beginning is
kept, and what lies behind that is only passed on the way to later headers.
"""

from __future__ import annotations

import io
import tempfile
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from astro_cloud.exceptions import AstroCloudError, CorruptFITSError, RangeNotSupportedError, StorageError
from astro_cloud.fits.streams import OPENERS, Stream
from astro_cloud.forking import restart_after_fork
from astro_cloud.storage.assembly import checked_buffers, checked_ranges
from astro_cloud.storage.block_cache import ObjectReader
from astro_cloud.storage.local import LocalObject
from astro_cloud.storage.remote_file import CACHE_SIZE, Closeable, RemoteFile

__all__ = ["BEYOND", "LIMIT", "Inflated"]

LIMIT = 256 << 20
"""Decompressed bytes that may be read by position, unless told otherwise."""
BEYOND = 8 << 20
"""Bytes behind the limit that one call may read, and that are kept of those that came last. `walk` reads
a header in windows that grow; this is enough for one of 64000 cards."""
IN_MEMORY = 32 << 20
"""Bytes kept in memory; more of them go to a temporary file."""
_CHUNK = 1 << 20


class Inflated:
    """Reads byte ranges of what is inside an object that is compressed whole: an `ObjectReader`.

    All offsets are bytes from the start of what is inside. Reading decompresses on to the end of what is
    asked for and no further. The first `limit` bytes are kept, so that they may be read in any order and
    no byte costs twice. Of those behind the limit the last 8 MiB that were passed are kept, and this is
    allowed:

    - to read on at any distance, at most 8 MiB of such bytes in one call: the headers of late HDUs;
    - to read again what is among the last 8 MiB.

    More at once, or bytes that are no longer kept, is `RangeNotSupportedError`, the former before anything
    is read. So memory stays under 100 MB and the disk under `limit`, however much is inside, beside what is
    asked for. Data units are to be asked about with `check_data`, which knows no such exceptions.

    Checksums are those of the format: of all that is inside for gzip and zip, so that damage which can be
    decompressed shows at the end only; of each block for bzip2 and, as a rule, xz; none for compress.

    Any number of threads may read: of kept bytes none waits for another that is decompressing. A pickle
    holds the source and the settings, and no bytes; it begins anew, and so does a forked process.

    Parameters
    ----------
    source : PinnedObject or LocalObject
        The compressed object; nothing is read yet.
    compression : {'gzip', 'bzip2', 'xz', 'zip', 'compress'}
        How it is compressed; see `compression_of`.
    limit : int
        Decompressed bytes that may be read by position, at least 0.
    closes : optional
        Closed with this, by its ``close()``.

    Raises
    ------
    ValueError
        If `compression` is none of these, or `limit` is negative.

    Notes
    -----
    In a `RemoteFile` give it ``cache_size=0``: what is decompressed is kept here, and to read ahead is to
    decompress more than was asked for. Whoever seeks from the end, or asks for the size, has all of it
    decompressed.
    """

    def __init__(
        self, source: ObjectReader, compression: str, *, limit: int = LIMIT, closes: Closeable | None = None
    ) -> None:
        if compression not in OPENERS:
            raise ValueError(f"{compression!r} is none of {', '.join(OPENERS)}")
        if limit < 0:
            raise ValueError(f"the limit is at least 0 bytes: {limit}")
        self.source = source
        self.compression = compression
        self.limit = limit
        self._closes = closes
        self._start()

    def _start(self) -> None:
        """Have nothing decompressed: another thread may have been in the midst of it."""
        restart_after_fork(self, Inflated._start)
        self._inside = _Inside(self)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_inside"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    def __repr__(self) -> str:
        return f"<Inflated {self.name} ({self.compression})>"

    @property
    def name(self) -> str:
        """The location as the user wrote it, for messages."""
        return self.source.name

    @property
    def location(self) -> Any:
        """The compressed object."""
        return self.source.location

    @property
    def version(self) -> Any:
        """What tells the version of the compressed object from others; None before the first read."""
        return self.source.version

    @property
    def size(self) -> int | None:
        """Bytes of what is inside; None until its end was reached, as no format says it reliably before."""
        return self._inside.size

    def read_ranges(self, ranges: Sequence[tuple[int, int]], into: Sequence[Any] | None = None) -> list[Any]:
        """Read byte ranges [start, stop), each cut at the end of what is inside.

        They are read in the order of their bytes, whatever order they are given in.

        Parameters
        ----------
        ranges : sequence of (int, int)
            Start and stop in bytes from the start of what is inside.
        into : sequence of writable buffers, optional
            One for each range and as long as it, contiguous, which the bytes are read into.

        Returns
        -------
        list of bytes
            In the order given. Or of memoryview: what was read into each buffer.

        Raises
        ------
        RangeNotSupportedError
            If they lie behind the limit and are too many, or no longer kept; the class says which are
            allowed. Or if it takes a package that is not installed to decompress them.
        NotFITSError
            If it is a zip archive of more than one file, or encrypted, or compressed in some rare way.
        CorruptFITSError
            If the compressed bytes are damaged or cut short before the end of what is asked for;
            `offset` is how far it could be decompressed. What is before it can be read.
        StorageError, CredentialsError
            If the compressed bytes cannot be read, or there is no room for what is decompressed; the next
            call begins anew, where more than is kept is asked for.
        ValueError
            Unless 0 <= start < stop for every range; or if a buffer is not as long as its range.
        """
        wanted = checked_ranges(ranges)
        views = checked_buffers(into, wanted) if into is not None else None
        self._check_beyond(wanted)
        inside, parts = self._inside, [b""] * len(wanted)
        for index in sorted(range(len(wanted)), key=lambda index: wanted[index]):
            parts[index] = inside.read(*wanted[index])
        if views is None:
            return parts
        return [_filled(view, part) for view, part in zip(views, parts, strict=True)]

    def begin(self, ranges: Sequence[tuple[int, int]], *, waste: int | None = None) -> Deferred:
        """Put a reading off until somebody waits for it: to decompress ahead is no gain.

        Takes what `read_ranges` takes, but for buffers; what that returns or raises,
        ``result()`` does. `waste` means nothing here.
        """
        return Deferred(self, checked_ranges(ranges))

    def holds(self, stop: int) -> bool:
        """Tell whether the bytes up to `stop`, or to the end, are kept: reading them costs nothing."""
        return self._inside.holds(stop)

    def check_data(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Raise unless byte ranges [start, stop) of data units may be read by position: before the limit.

        Reads nothing. Few bytes behind the limit could be read by `read_ranges`, as headers are; but data
        would be, only to be refused when somebody comes back for more.

        Raises
        ------
        RangeNotSupportedError
            If any range ends behind the limit.
        """
        for start, stop in ranges:
            if self._cut(stop) > self.limit:
                raise self._refused(start, stop, f"more than the {_told(self.limit)} that are kept for that")

    @property
    def cost(self) -> str:
        """What reading costs, and what to do about it, in a sentence."""
        size = self.source.size
        most = f"all of its {_told(size)}" if size is not None else "all of it"
        return (
            f"{self.name} is compressed whole ({self.compression}): to read an HDU, everything before it "
            f"must be read and decompressed, up to {most}; to read more than its first HDUs, {self.remedy}"
        )

    @property
    def remedy(self) -> str:
        """What to do in place of reading it by position."""
        if isinstance(self.source, LocalObject):
            return "decompress it once, or have astropy.io.fits.open read it whole"
        return (
            f'download it once and open the copy with astropy: astro_cloud.download("{self.name}"), '
            "or astro-cloud cp"
        )

    def close(self) -> None:
        """Forget what was decompressed, and close what this owns; read again, it begins anew."""
        inside = self._inside
        self._start()
        inside.close()
        if self._closes is not None:
            self._closes.close()

    def _check_beyond(self, wanted: Sequence[tuple[int, int]]) -> None:
        behind = [(start, stop) for start, stop in wanted if self._cut(stop) > self.limit]
        if sum(max(0, self._cut(stop) - max(start, self.limit)) for start, stop in behind) > BEYOND:
            start, stop = min(start for start, _ in behind), max(self._cut(stop) for _, stop in behind)
            raise self._refused(start, stop, f"more than the {_told(self.limit)} that are kept for that")

    def _cut(self, stop: int) -> int:
        return stop if self.size is None else min(stop, self.size)

    def _refused(self, start: int, stop: int, why: str) -> RangeNotSupportedError:
        return RangeNotSupportedError(
            f"{self.name} is compressed whole ({self.compression}): bytes {start} to {stop} of what is "
            f"inside cannot be read without all that is before them, {why}; {self.remedy}",
            location=self.name,
        )

    def _passed(self, start: int, stop: int) -> RangeNotSupportedError:
        return self._refused(start, stop, f"which was passed: only the first {_told(self.limit)} are kept")

    def _damaged(self, offset: int, said: str) -> CorruptFITSError:
        return CorruptFITSError(
            f"{self.name} is damaged, or cut short: decompression ({self.compression}) fails at byte "
            f"{offset} of what is inside: {said}",
            location=self.name,
            offset=offset,
        )

    def _closed(self) -> StorageError:
        return StorageError(f"{self.name} was closed while it was being read", location=self.name)

    def _no_room(self, error: OSError) -> StorageError:
        return StorageError(
            f"{self.name}: what is inside cannot be kept in {tempfile.gettempdir()}: "
            f"{error.strerror or error}; have TMPDIR name a folder with more room",
            location=self.name,
        )


class Deferred:
    """Ranges that are read when somebody waits for them; made by `Inflated.begin`."""

    def __init__(self, source: Inflated, ranges: Sequence[tuple[int, int]]) -> None:
        self._source = source
        self._ranges = ranges
        self._parts: list[bytes] | None = None

    def done(self) -> bool:
        """Tell whether `result` would return, or raise, at once."""
        return self._parts is not None or all(self._source.holds(stop) for _, stop in self._ranges)

    def result(self) -> list[bytes]:
        """Read, if that was not done before, and return the bytes of each range."""
        if self._parts is None:
            self._parts = self._source.read_ranges(self._ranges)
        return self._parts

    def cancel(self) -> None:
        """Do nothing: nothing is under way."""


class _Inside:
    """What was decompressed so far, and the flow that goes on from there; of one process, until closed."""

    def __init__(self, whole: Inflated) -> None:
        self.size: int | None = None
        self._source, self._limit = whole.source, whole.limit
        self._open = OPENERS[whole.compression]
        self._errors = weakref.proxy(whole)
        self._kept = _Kept()
        self._turn = threading.Lock()
        self._flow: _Flow | None = None
        self._damage: tuple[int, str] | None = None
        self._closed = False

    def holds(self, stop: int) -> bool:
        return self._kept.size >= (stop if self.size is None else min(stop, self.size))

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes [start, stop), cut at the end."""
        first = self._read_kept(start, min(stop, self._limit)) if start < self._limit else b""
        if stop <= self._limit:
            return first
        return first + self._read_beyond(max(start, self._limit), stop)

    def _read_kept(self, start: int, stop: int) -> bytes:
        while not self.holds(stop):
            with self._turn:  # a chunk at a time: whoever wants less need not wait for all of it
                if not self.holds(stop):
                    self._go_on(stop)
        return self._kept.read(start, stop)

    def _read_beyond(self, start: int, stop: int) -> bytes:
        with self._turn:
            while self._position < stop and self.size is None:
                self._go_on(stop)
            tail = self._flow.tail if self._flow is not None else bytearray()
            begin = self._position - len(tail)
            if start < begin:
                raise self._errors._passed(start, stop)
            return bytes(tail[start - begin : stop - begin])

    @property
    def _position(self) -> int:
        """How far the flow came; to the end, where one that reached it was lost to Ctrl-C."""
        return self._flow.position if self._flow is not None else self.size or 0

    def close(self) -> None:
        """Have whoever is decompressing stop after his chunk."""
        self._closed = True
        if self._turn.acquire(blocking=False):
            try:
                if self._flow is not None:
                    self._flow.close()
            finally:
                self._turn.release()

    def _go_on(self, stop: int) -> None:
        """Decompress a chunk, but not past `stop`. Whoever calls it has the turn.

        The flow is put back only when all of it went well: after an error, or Ctrl-C, nobody knows how far
        its parts came, and the next one begins at the start.
        """
        if self._closed:
            raise self._errors._closed()
        if self._damage is not None:
            raise self._errors._damaged(*self._damage)
        flow, self._flow = self._flow or _Flow(self._source, self._open), None
        with ExitStack() as stack:
            stack.callback(flow.close)
            data = self._decompressed(flow, min(_CHUNK, stop - flow.position))
            if data:
                self._keep(flow, data)
                stack.pop_all()
            else:
                self.size = flow.position
            self._flow = flow

    def _decompressed(self, flow: _Flow, most: int) -> bytes:
        try:
            return flow.read(most)
        except (AstroCloudError, MemoryError):
            raise
        except Exception as error:  # whatever hostile bytes make a decompressor say
            if (hidden := _storage_error_behind(error)) is not None:
                raise hidden from error
            self._damage = flow.position, str(error) or type(error).__name__
            raise self._errors._damaged(*self._damage) from error

    def _keep(self, flow: _Flow, data: bytes) -> None:
        """Keep what is new of the bytes that follow a flow's position, and move it on."""
        room = self._limit - flow.position
        new = self._kept.size - flow.position
        try:
            if new < min(len(data), room):
                self._kept.append(data[new:room])
        except OSError as error:
            raise self._errors._no_room(error) from error
        flow.move(data, max(0, room))


class _Flow:
    """One way through the compressed bytes, from the first on.

    Attributes
    ----------
    position : int
        Bytes that were decompressed.
    tail : bytearray
        The last of them, behind the limit.
    """

    def __init__(self, source: ObjectReader, open_stream: Callable[[RemoteFile], Stream]) -> None:
        self.position = 0
        self.tail = bytearray()
        # Of a local file the system reads ahead.
        self._file = RemoteFile(source, cache_size=0 if isinstance(source, LocalObject) else CACHE_SIZE)
        self._open = open_stream
        self._stream: Stream | None = None

    def read(self, most: int) -> bytes:
        """Return the next bytes, at least one unless it is the end; `move` is to follow."""
        if self._stream is None:
            self._stream = self._open(self._file)
        return self._stream.read1(most)

    def move(self, data: bytes, room: int) -> None:
        """Have passed `data`; but for the first `room` bytes of it, it is behind the limit."""
        self.position += len(data)
        self.tail += data[room:]
        del self.tail[:-BEYOND]

    def close(self) -> None:
        """Give back the compressed bytes that were read ahead."""
        self._stream = None
        self._file.close()


class _Kept:
    """The first bytes of what is inside: in memory, or in a nameless file once they are many.

    The file is unbuffered: a forked process that forgets it must not write what its parent was about to.
    """

    def __init__(self) -> None:
        self.size = 0
        self._lock = threading.Lock()
        self._file: io.BytesIO | io.FileIO = io.BytesIO()

    def append(self, data: bytes) -> None:
        with self._lock:
            if self.size + len(data) > IN_MEMORY and isinstance(self._file, io.BytesIO):
                self._move_to_disk(self._file)
            self._file.seek(self.size)
            _write(self._file, data)
            self.size += len(data)

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes [start, stop), cut at the end."""
        with self._lock:
            stop = min(stop, self.size)
            self._file.seek(start)
            parts = []
            while start < stop and (part := self._file.read(stop - start)):
                parts.append(part)
                start += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _move_to_disk(self, memory: io.BytesIO) -> None:
        file: Any = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - open until this is forgotten
        weakref.finalize(self, file.close)
        with memory.getbuffer() as held:
            _write(file, held)
        self._file = file


def _write(file: io.BytesIO | io.FileIO, data: bytes | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _filled(view: memoryview, part: bytes) -> memoryview:
    view[: len(part)] = part
    return view[: len(part)]


def _storage_error_behind(error: BaseException | None) -> StorageError | None:
    """Find the error of ours that zipfile took for that of a broken archive: it is an OSError too."""
    while error is not None and not isinstance(error, StorageError):
        error = error.__context__
    return error


def _told(size: int) -> str:
    """Say a number of bytes as people do."""
    if size < 1e6:
        return f"{size / 1e3:.0f} kB"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
