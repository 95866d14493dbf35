"""Slices of objects, bounded as Python's are: a bound may be left out, or count from the object's end."""

from __future__ import annotations

from collections.abc import Sequence

from astro_cloud.storage.local import Done, LocalObject
from astro_cloud.storage.pinned import PinnedObject, Reading
from astro_cloud.storage.remote_file import RemoteFile

__all__ = ["Bounds", "SlicesReading", "read_slice"]

Bounds = tuple[int | None, int | None]
"""Start and stop, in bytes, as `slice` takes them."""

_BEGINNING = 1 << 16


class SlicesReading:
    """Slices of one version of an object that are being read in the background.

    Where a bound means nothing before the size is known, the first 64 KiB are asked for: they tell it, and
    are often all.

    Parameters
    ----------
    source : PinnedObject or LocalObject
        What is read.
    bounds : sequence of (int or None, int or None)
        Of each slice.
    """

    def __init__(self, source: PinnedObject | LocalObject, bounds: Sequence[Bounds]) -> None:
        self._source = source
        self._bounds = bounds
        self._asked_for_all = all(map(_is_range, bounds))
        self._first = source.begin(
            [(start or 0, stop or 0) for start, stop in bounds] if self._asked_for_all else [(0, _BEGINNING)]
        )
        self._spans: list[tuple[int, int]] = []
        self._rest: Reading | Done | None = None

    def go_on(self) -> None:
        """Wait until the size is known, and begin to read what is left; raises what `result` does."""
        if self._asked_for_all or self._rest is not None:
            return
        self._first.result()
        with RemoteFile(self._source) as file:  # finds the end where the server does not tell
            self._spans = [slice(*bounds).indices(file.size)[:2] for bounds in self._bounds]
        self._rest = self._source.begin(list(filter(_is_left, self._spans)))

    def result(self) -> list[bytes]:
        """Wait until all have come; raises what `PinnedObject.read_ranges` does."""
        self.go_on()
        first = self._first.result()
        if self._rest is None:
            return first
        rest = iter(self._rest.result())
        return [next(rest) if _is_left(span) else first[0][slice(*span)] for span in self._spans]

    def cancel(self) -> None:
        """Give the reading up."""
        self._first.cancel()
        if self._rest is not None:
            self._rest.cancel()


def read_slice(source: PinnedObject | LocalObject, bounds: Bounds) -> bytes:
    """Read one slice, in one request where its bounds mean the same for an object of any size."""
    if not _is_range(bounds):
        return SlicesReading(source, [bounds]).result()[0]
    data: bytes = source.read_ranges([(bounds[0] or 0, bounds[1] or 0)])[0]
    return data


def _is_range(bounds: Bounds) -> bool:
    """Tell whether bounds mean the same for an object of any size, and some bytes."""
    start, stop = bounds
    return stop is not None and 0 <= (start or 0) < stop


def _is_left(span: tuple[int, int]) -> bool:
    """Tell whether a slice, in an object of known size, ends behind what was read first."""
    return span[1] > max(span[0], _BEGINNING)
