"""RemoteFile: an object as a file, for code that was never written for the cloud.

What to fetch, and when, is decided in `prefetch`; what is kept, in `block_cache`. Here is what a file
is: a position, and the ways of reading that `io` names.
"""

from __future__ import annotations

import io
import operator
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from astro_cloud.forking import restart_after_fork
from astro_cloud.storage.block_cache import BlockCache, ObjectReader
from astro_cloud.storage.prefetch import Prefetcher

__all__ = ["CACHE_SIZE", "RemoteFile"]

CACHE_SIZE = 32 << 20
"""Bytes that a file keeps at most, unless told otherwise."""
_FARTHEST = 8 << 20
_LONG = 1 << 26
_LINE, _LONGEST_LINE = 128, 1 << 20
_PROBES = 32


class Closeable(Protocol):
    """What a file may own: a client, an open file."""

    def close(self) -> None:
        """Give back what is held."""


class RemoteFile(io.RawIOBase):
    """A seekable binary file over one version of an object, that thinks ahead.

    It behaves as `io.BytesIO` does, but cannot be written. A read returns all that was asked for, unless
    the object ends. Small reads fetch the 64 KiB about them; reading on, and reads a constant stride
    apart, have what follows fetched in the background; anything else costs what it reads. Made by
    `astro_cloud.open`.

    Any number of threads may use one file; `pread` is for them, as the others share one position. A
    pickle holds the location, the version and the position, and no bytes; a forked process reads on,
    with a cache of its own.

    Parameters
    ----------
    source : PinnedObject or LocalObject
        What is read; nothing is read yet.
    cache_size : int
        Bytes kept at most, what is fetched ahead included; 0 keeps none and fetches nothing ahead. Reads
        longer than a quarter of it go straight to the caller.
    closes : optional
        Closed with the file, by its ``close()``.
    read_ahead : bool
        Learn from the reads what will be read next, and fetch it.

    Notes
    -----
    Reading raises `StorageError` and its kinds, or `CredentialsError`; never an EOFError, nor, but for
    a closed file and wrong arguments, a ValueError, which readers take for the end of the data.
    """

    def __init__(
        self,
        source: ObjectReader,
        *,
        cache_size: int = CACHE_SIZE,
        closes: Closeable | None = None,
        read_ahead: bool = True,
    ) -> None:
        self._cache = BlockCache(source, cache_size)
        self._source = source
        self._closes = closes
        self._position = 0
        self._read_ahead = read_ahead
        self._start()

    def _start(self) -> None:
        """Let no other thread be reading, and no habit be known."""
        restart_after_fork(self, RemoteFile._start)
        self._turn = threading.RLock()
        self._learning = threading.Lock()
        limit = min(_FARTHEST, self._cache.largest) if self._read_ahead else 0
        self._prefetcher = Prefetcher(limit=limit, block=self._cache.block)

    def __repr__(self) -> str:
        return f"<RemoteFile {self.name}{' (closed)' if self.closed else ''}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self._source, self._cache.size, self._closes, self._read_ahead, self.tell())

    @property
    def name(self) -> str:
        """The location as the user wrote it."""
        return self._source.name

    @property
    def mode(self) -> str:
        """Always ``"rb"``."""
        return "rb"

    @property
    def location(self) -> Any:
        """What is read: a `Location`."""
        return self._source.location

    @property
    def source(self) -> ObjectReader:
        """What is read, without what is held of it."""
        return self._source

    @property
    def version(self) -> Any:
        """What tells the version that is read from others; None before the first read."""
        return self._source.version

    @property
    def size(self) -> int:
        """Size of the object in bytes; the first block is read if nothing was, to learn it."""
        self._checkClosed()
        if self._source.size is None:
            self._bytes(0, 1)
        size = self._source.size
        return size if size is not None else self._found_end()

    def readable(self) -> bool:
        """Tell whether the file can be read: always."""
        self._checkClosed()
        return True

    def seekable(self) -> bool:
        """Tell whether the position can be changed: always."""
        self._checkClosed()
        return True

    def writable(self) -> bool:
        """Tell whether the file can be written: never."""
        self._checkClosed()
        return False

    def tell(self) -> int:
        """Return the position in bytes."""
        self._checkClosed()
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Change the position, also beyond the end, and return it.

        Parameters
        ----------
        offset : int
            Bytes.
        whence : {0, 1, 2}
            From the start, from the position, or from the end. Before the start is 0 for the latter two.

        Raises
        ------
        ValueError
            If `offset` is negative, from the start; or for another `whence`.
        """
        self._checkClosed()
        offset = operator.index(offset)
        with self._turn:
            if whence == os.SEEK_SET:
                if offset < 0:
                    raise ValueError(f"negative seek value {offset}")
                self._position = offset
            elif whence == os.SEEK_CUR:
                self._position = max(0, self._position + offset)
            elif whence == os.SEEK_END:
                self._position = max(0, self.size + offset)
            else:
                raise ValueError(f"invalid whence ({whence}, should be 0, 1 or 2)")
            return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Read that many bytes from the position on; fewer only at the end; all of them for -1."""
        self._checkClosed()
        size = -1 if size is None else operator.index(size)
        with self._turn:
            data = self._bytes(self._position, size) if size >= 0 else self._rest(self._position)
            self._position += len(data)
            return data

    def readall(self) -> bytes:
        """Read all from the position on."""
        return self.read(-1)

    def readinto(self, buffer: Any, /) -> int:
        """Read into a writable buffer until it is full, or the object ends; return the bytes read."""
        self._checkClosed()
        with self._turn, memoryview(buffer) as view:
            if view.readonly:
                raise TypeError("readinto() wants a writable buffer, not one that is read-only")
            count = self._into(self._position, view.cast("B")) if view.nbytes else 0
            self._position += count
            return count

    def read1(self, size: int | None = -1, /) -> bytes:
        """Read as `read` does, all of it for -1: for those who look for a buffered file."""
        return self.read(size)

    def readinto1(self, buffer: Any, /) -> int:
        """Read as `readinto` does."""
        return self.readinto(buffer)

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read up to and with the next newline, at most `size` bytes if that is not negative."""
        self._checkClosed()
        size = -1 if size is None else operator.index(size)
        with self._turn:
            line = b"".join(self._line(self._position, size))
            self._position += len(line)
            return line

    def pread(self, offset: int, length: int) -> bytes:
        """Read bytes [offset, offset + length), cut at the object's end; leave the position alone.

        Raises
        ------
        ValueError
            If either is negative.
        StorageError
            If they cannot be read.
        """
        self._checkClosed()
        offset, length = operator.index(offset), operator.index(length)  # numpy's integers would overflow
        if offset < 0 or length < 0:
            raise ValueError(f"cannot read {length} bytes at {offset}: neither may be negative")
        return self._bytes(offset, length)

    def read_ranges(self, ranges: Sequence[tuple[int, int]], into: Sequence[Any] | None = None) -> list[Any]:
        """Read byte ranges [start, stop) at once, in the order given, each cut at the object's end.

        In one round trip, or none where all are held. They are not kept: the cache is for what is read
        piece by piece.

        Parameters
        ----------
        ranges : sequence of (int, int)
            Start and stop in bytes.
        into : sequence of writable buffers, optional
            One for each range and as long as it, contiguous, which the bytes are read into.

        Returns
        -------
        list of bytes
            Or of memoryview: what was read into each buffer.

        Raises
        ------
        StorageError
            If they cannot be read.
        ValueError
            Unless 0 <= start < stop for every range; or if a buffer is not as long as its range.
        """
        self._checkClosed()
        if not self._cache.held:
            return self._source.read_ranges(ranges, into)
        parts: list[Any] = [self._cache.held_bytes(start, stop) for start, stop in ranges]
        missing = [index for index, part in enumerate(parts) if part is None]
        if into is not None:
            parts = [
                part if part is None else _copied(part, buffer)
                for part, buffer in zip(parts, into, strict=True)
            ]
        if missing:
            buffers = None if into is None else [into[index] for index in missing]
            read = self._source.read_ranges([ranges[index] for index in missing], buffers)
            for index, part in zip(missing, read, strict=True):
                parts[index] = part
        return parts

    def is_held(self, start: int, stop: int) -> bool:
        """Tell whether bytes [start, stop) can be read without asking for any."""
        self._checkClosed()
        return self._cache.held_bytes(start, stop) is not None

    def keep(self, start: int, data: bytes) -> None:
        """Hold bytes of this version of the object, from `start` on, that are known already."""
        self._checkClosed()
        self._cache.put(start, data)

    def prefetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Begin to fetch byte ranges [start, stop) at once, in the background, and keep them for reading.

        As much as the cache holds, from the smallest offset on; the rest is left out. A failure shows
        when the bytes are read.

        Raises
        ------
        ValueError
            Unless 0 <= start < stop for every range.
        """
        self._checkClosed()
        wanted = [(operator.index(start), operator.index(stop)) for start, stop in ranges]
        for start, stop in wanted:
            if not 0 <= start < stop:
                raise ValueError(f"bytes [{start}, {stop}) cannot be fetched: 0 <= start < stop must hold")
        self._cache.fetch_ahead(_joined(wanted))

    def close(self) -> None:
        """Forget what was read, and close what the file owns; harmless if done before."""
        was_closed = self.closed
        super().close()  # first: whoever is reading is to see it, once what he waits for is forgotten
        if not was_closed and hasattr(self, "_cache"):  # closed by the destructor of a half made file
            self._cache.close()
            closes = getattr(self, "_closes", None)
            if closes is not None:
                closes.close()

    def _bytes(self, start: int, length: int) -> bytes:
        length = self._clipped(start, length)
        if not length:
            return b""
        if length > self._cache.largest:
            data: bytes = self._source.read_ranges([(start, start + length)])[0]
            return data
        pieces = self._pieces(start, start + length)
        return pieces[0].tobytes() if len(pieces) == 1 else b"".join(pieces)

    def _into(self, start: int, view: memoryview) -> int:
        length = self._clipped(start, len(view))
        if not length:
            return 0
        if length > self._cache.largest:
            return len(self._source.read_ranges([(start, start + length)], into=[view[:length]])[0])
        filled = 0
        for piece in self._pieces(start, start + length):
            view[filled : filled + len(piece)] = piece
            filled += len(piece)
        return filled

    def _pieces(self, start: int, stop: int) -> list[memoryview]:
        """Read through the cache, and let what it teaches be fetched ahead."""
        with self._learning:
            foresight = self._prefetcher.saw(start, stop)
        pieces = self._cache.read(start, stop, alone=foresight.alone, ahead=foresight.ranges)
        self._checkClosed()  # by another thread, which left too little for this one
        return pieces

    def _clipped(self, start: int, length: int) -> int:
        """Cut a long read at the end, where it is known; the cache cuts the others."""
        if length <= self._cache.largest or (end := self._cache.end) is None:
            return length
        return min(length, max(0, end - start))

    def _line(self, start: int, most: int) -> Iterator[bytes]:
        """Read the parts of a line, each twice as long as the one before; `most` bytes unless negative."""
        ask = _LINE
        while most:
            part = self._bytes(start, ask if most < 0 else min(ask, most))
            end = part.find(b"\n") + 1
            yield part[:end] if end else part
            if end or not part:
                return
            start += len(part)
            most = most if most < 0 else most - len(part)
            ask = min(2 * ask, _LONGEST_LINE)

    def _rest(self, start: int) -> bytes:
        """Read to the object's end, wherever that is."""
        parts = [self._bytes(start, 1)] if self._cache.end is None else []
        start += sum(map(len, parts))
        if self._source.size is not None:
            rest = self._bytes(start, max(0, self._source.size - start))
            return b"".join([*parts, rest])
        while part := self._bytes(start, _LONG):
            parts.append(part)
            start += len(part)
        return b"".join(parts)

    def _found_end(self) -> int:
        """Search for the end of an object whose server does not tell: which bytes are there."""
        there, absent = -1, self._cache.end
        while absent is None or absent - there > 1:
            if absent is None:
                points = [(there + 1) + (1 << power) for power in range(16, 16 + _PROBES)]
            else:
                points = list(range(there + 1, absent, -(-(absent - there) // _PROBES)))
            parts = self._source.read_ranges([(point, point + 1) for point in points])
            if self._source.size is not None:
                return self._source.size
            there = max([there, *(point for point, part in zip(points, parts, strict=True) if part)])
            beyond = [point for point, part in zip(points, parts, strict=True) if not part]
            absent = min(beyond, default=absent)
        return absent


def _again(
    source: ObjectReader, cache_size: int, closes: Closeable | None, read_ahead: bool, position: int
) -> RemoteFile:
    file = RemoteFile(source, cache_size=cache_size, closes=closes, read_ahead=read_ahead)
    file.seek(position)
    return file


def _copied(data: bytes, buffer: Any) -> memoryview:
    view = memoryview(buffer).cast("B")
    view[: len(data)] = data
    return view[: len(data)]


def _joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the ranges in the order of their bytes, those that touch or overlap as one."""
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], stop))
        else:
            joined.append((start, stop))
    return joined
