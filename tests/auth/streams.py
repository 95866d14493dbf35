"""Bodies that can be read only once."""

from __future__ import annotations

from collections.abc import Iterator


class Once:
    """A stream of known length that can be read once, in pieces of its own choice."""

    def __init__(self, data: bytes, piece: int = 1000, announced: int | None = None) -> None:
        self._pieces = [data[at : at + piece] for at in range(0, len(data), piece)]
        self._length = len(data) if announced is None else announced

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        while self._pieces:
            yield self._pieces.pop(0)
