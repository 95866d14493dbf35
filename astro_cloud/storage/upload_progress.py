"""How far an upload is: each piece counts once, however often it is sent. Pure."""

from __future__ import annotations

import threading

from astro_cloud.storage.progress import Progress

__all__ = ["UploadProgress"]


class UploadProgress:
    """Adds up what is sent of the pieces of an upload.

    Parameters
    ----------
    progress : Progress
        Told of each change.
    total : int, optional
        Bytes of the whole.
    """

    def __init__(self, progress: Progress, total: int | None) -> None:
        self._progress = progress
        self._total = total
        self._reached: dict[int, int] = {}
        self._done = 0
        self._lock = threading.Lock()
        if total is not None:
            progress.expect(total)

    def reached(self, start: int, size: int) -> None:
        """Take note that `size` bytes of the piece that begins at byte `start` were sent, once or again."""
        with self._lock:
            more = size - self._reached.get(start, 0)
            if more > 0:
                self._reached[start] = size
                self._done += more
                self._progress.add(more)

    def complete(self, total: int) -> None:
        """Take note that the object is there, all `total` bytes of it."""
        if self._total is None:
            self._progress.expect(total)
        if self._done < total:
            self._progress.add(total - self._done)
