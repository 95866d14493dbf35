"""Slices of objects, bounded as Python's are: a bound may be left out, or count from the object's end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from astro_cloud.storage.local import LocalObject
from astro_cloud.storage.pinned import PinnedObject
from astro_cloud.storage.remote_file import RemoteFile

__all__ = ["Bounds", "SlicesReading", "begin_slices", "read_slice"]

Bounds = tuple[int | None, int | None]
"""Start and stop, in bytes, as `slice` takes them."""

_BEGINNING = 1 << 16


class SlicesReading(Protocol):
    """Slices that are being read in the background."""

    def result(self) -> list[bytes]:
        """Wait until all have come; raises what `PinnedObject.read_ranges` does."""

    def cancel(self) -> None:
        """Give the reading up."""


def begin_slices(source: PinnedObject | LocalObject, bounds: Sequence[Bounds]) -> SlicesReading:
    """Begin to read slices of one version of an object in the background.

    Where a bound means nothing before the size is known, the first 64 KiB are asked for: they tell it, and
    are often all. What else is wanted is read when somebody waits for it.
    """
    if all(map(_is_range, bounds)):
        return source.begin([(start or 0, stop or 0) for start, stop in bounds])
    return _SizeFirst(source, bounds)


def read_slice(source: PinnedObject | LocalObject, bounds: Bounds) -> bytes:
    """Read one slice, in one request where its bounds mean the same for an object of any size."""
    if not _is_range(bounds):
        return begin_slices(source, [bounds]).result()[0]
    data: bytes = source.read_ranges([(bounds[0] or 0, bounds[1] or 0)])[0]
    return data


class _SizeFirst:
    def __init__(self, source: PinnedObject | LocalObject, bounds: Sequence[Bounds]) -> None:
        self._source = source
        self._bounds = bounds
        self._beginning = source.begin([(0, _BEGINNING)])
        self.cancel = self._beginning.cancel

    def result(self) -> list[bytes]:
        beginning = self._beginning.result()[0]
        with RemoteFile(self._source) as file:  # finds the end where the server does not tell
            spans = [slice(*bounds).indices(file.size)[:2] for bounds in self._bounds]
        wanted = [(start, stop) for start, stop in spans if stop > max(start, len(beginning))]
        rest = iter(self._source.read_ranges(wanted) if wanted else [])
        return [next(rest) if span in wanted else beginning[slice(*span)] for span in spans]


def _is_range(bounds: Bounds) -> bool:
    """Tell whether bounds mean the same for an object of any size, and some bytes."""
    start, stop = bounds
    return stop is not None and 0 <= (start or 0) < stop
