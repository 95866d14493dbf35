"""What the FITS tier asks of whatever holds the bytes; so little that plain bytes can do it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

__all__ = ["ByteSource"]


class ByteSource(Protocol):
    """An object whose bytes are read by position, all of one version."""

    @property
    def name(self) -> str:
        """What errors call the object."""

    @property
    def size(self) -> int | None:
        """Bytes of the object; None while it is not known."""

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read ranges [start, stop) in one round trip, each cut at the object's end."""
