"""What is uploaded: a path, bytes or a file, given out in pieces that can be sent again.

Files of the system are read where a piece lies, while it is sent; of anything else that can be read, a piece
is held in memory until it was sent.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

from astro_cloud.storage.upload_body import Content, FileContent, MemoryContent, Piece

__all__ = ["Source", "opened"]

_NOT_BINARY = "this file gives text: open it in binary mode ('rb')"
_STEP = 1 << 20


class Source(Protocol):
    """Something to upload.

    Attributes
    ----------
    total : int or None
        Bytes there are; None where that is not known.
    is_held : bool
        Its pieces are held in memory.
    """

    total: int | None
    is_held: bool

    def small(self, limit: int) -> Piece | None:
        """Return all of it, if that is no more than `limit` bytes."""

    def pieces(self, sizes: Iterable[int]) -> Iterator[Piece]:
        """Cut it up; at least one piece."""

    def check(self) -> None:
        """Raise if it is not what it was when the upload began."""

    def leave(self) -> None:
        """Leave the caller's file where its bytes end, as if it had been read."""


@contextmanager
def opened(source: Any) -> Iterator[Source]:
    """Understand what a user wants to upload.

    Parameters
    ----------
    source : path, bytes-like or binary file
        A path may be text; a file is read from where it stands, and not closed.

    Raises
    ------
    OSError
        If a file cannot be opened, or is not a regular one.
    TypeError
        If it is nothing of these, or a file of text.
    """
    with ExitStack() as stack:
        if isinstance(source, str | os.PathLike):
            file = stack.enter_context(open(source, "rb", buffering=0))
            yield _of_file(file, 0)
        elif isinstance(source, io.BytesIO):
            data = source.getvalue()
            yield _Placed(MemoryContent(data), source.tell(), len(data), source)
        elif hasattr(source, "read"):
            yield _of_file(source, source.tell()) if _is_regular(source) else _Stream(source)
        else:
            try:
                content = MemoryContent(source)
            except TypeError:
                raise TypeError(
                    f"upload takes a path, bytes or a binary file, not {type(source).__name__}"
                ) from None
            yield _Placed(content, 0, memoryview(source).nbytes)


def _is_regular(file: Any) -> bool:
    """Tell a file of the system's from what only looks like one, and may unpack or decode it."""
    raw = getattr(file, "raw", file) if isinstance(file, io.BufferedReader | io.BufferedRandom) else file
    return isinstance(raw, io.FileIO) and file.readable() and stat.S_ISREG(os.fstat(raw.fileno()).st_mode)


def _of_file(file: Any, start: int) -> Source:
    if isinstance(file, io.BufferedRandom):
        file.flush()
    state = os.fstat(file.fileno())
    if not stat.S_ISREG(state.st_mode) or state.st_size <= start:  # /proc and FUSE tell 0 of what holds bytes
        return _Stream(file)
    content = FileContent(file.fileno(), str(getattr(file, "name", "the file")))
    return _Placed(content, start, content.size, file)


class _Placed:
    """Content that can be read anywhere, from `start` to `end`; in the caller's `file`, if it is a file."""

    def __init__(self, content: Content, start: int, end: int, file: Any = None) -> None:
        self.is_held = False
        self._size = max(0, end - start)
        self.total: int | None = self._size
        self._content = content
        self._start = start
        self._file = file

    def small(self, limit: int) -> Piece | None:
        return self._piece(0, self._size, 1) if self._size <= limit else None

    def pieces(self, sizes: Iterable[int]) -> Iterator[Piece]:
        start = 0
        for number, size in enumerate(sizes, 1):
            yield self._piece(start, size, number)
            start += size

    def check(self) -> None:
        self._content.check()

    def leave(self) -> None:
        if self._file is not None and self._size:
            self._file.seek(self._start + self._size)

    def _piece(self, start: int, size: int, number: int) -> Piece:
        return Piece(self._content, start, size, at=self._start + start, number=number)


class _Stream:
    """What can be read once, and tells no length."""

    def __init__(self, file: Any) -> None:
        self.is_held = True
        self.total: int | None = None
        self._file = file
        self._ahead: bytes | bytearray = b""

    def small(self, limit: int) -> Piece | None:
        self._ahead = self._read(limit + 1)
        if len(self._ahead) > limit:
            return None
        self.total = len(self._ahead)
        return Piece(MemoryContent(self._ahead), 0, self.total, at=0)

    def pieces(self, sizes: Iterable[int]) -> Iterator[Piece]:
        start = 0
        for number, size in enumerate(sizes, 1):
            data = self._read(size)
            if data:
                yield Piece(MemoryContent(data), start, len(data), at=0, number=number)
            came = len(data)
            del data  # before the next is read
            start += came
            if came < size:
                return

    def check(self) -> None:
        """Do nothing: what was read stays."""

    def leave(self) -> None:
        """Do nothing: it was read."""

    def _read(self, size: int) -> bytes | bytearray:
        """Read `size` bytes, or all that are left."""
        if len(self._ahead) >= size:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
            return data
        data, self._ahead = bytearray(self._ahead), b""
        while len(data) < size and (more := self._file.read(min(size - len(data), _STEP))) != b"":
            if more is None:
                raise BlockingIOError("this file does not wait for its bytes: make it blocking")
            if isinstance(more, str):
                raise TypeError(_NOT_BINARY)
            data += more
        return data
