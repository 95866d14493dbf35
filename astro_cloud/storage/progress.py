"""How far a transfer has come: a bar on a terminal, a callback, or nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Self

from astro_cloud.exceptions import StorageError
from astro_cloud.forking import restart_after_fork
from astro_cloud.storage.foreign_errors import FOREIGN_ERRORS

__all__ = ["Passed", "Progress", "ProgressOption", "progress_of"]

ProgressOption = Callable[[int, int | None], object] | bool | None
"""What users give: True for a bar, or a function of (bytes done, bytes in all or None)."""


class Progress:
    """Counts bytes for somebody to see; from any thread, and shown by one at a time.

    Parameters
    ----------
    show : callable, optional
        Called with the bytes done, which never become fewer, and all there are, or None.
    close : callable, optional
        Called at the end.
    """

    def __init__(
        self,
        show: Callable[[int, int | None], object] | None = None,
        close: Callable[[], object] | None = None,
    ) -> None:
        self._show = show
        self._close = close
        self._done = self._shown = 0
        self._total: int | None = None
        self._start()

    def _start(self) -> None:
        """Let no other thread be counting."""
        restart_after_fork(self, Progress._start)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._close is not None:
            self._close()

    def expect(self, count: int) -> None:
        """Take note that there are so many more bytes to do."""
        self._change(0, count)

    def add(self, count: int) -> None:
        """Take note of bytes that are done; or, below 0, that are to be done again."""
        self._change(count, None)

    def _change(self, done: int, more: int | None) -> None:
        if self._show is None:
            return
        with self._lock:
            self._done += done
            if more is not None:
                self._total = (self._total or 0) + more
            self._shown = max(self._shown, self._done)
            try:
                self._show(self._shown, self._total)
            except FOREIGN_ERRORS as error:  # which would pass for one of the network's
                raise StorageError(f"showing progress failed: {error}") from error


class Passed:
    """A callback for one of several transfers, which passes on what it is told.

    Parameters
    ----------
    progress : Progress
        Of them all.
    is_expected : bool
        It knows already of how many bytes this one is.
    """

    def __init__(self, progress: Progress, *, is_expected: bool = False) -> None:
        self._progress = progress
        self._is_expected = is_expected
        self._done = 0

    def __call__(self, done: int, total: int | None) -> None:
        """Take the bytes done, and all there are, or None."""
        if total is not None and not self._is_expected:
            self._is_expected = True
            self._progress.expect(total)
        more, self._done = done - self._done, done
        self._progress.add(more)


def progress_of(option: ProgressOption, title: str, unit: str | None = None) -> Progress:
    """Make what a user asked for.

    Parameters
    ----------
    option : callable, bool or None
        A function of the bytes done and all there are (None while that is not known); True for a bar
        with rate and time left on standard error, if that is a terminal.
    title : str
        Before the bar.
    unit : str, optional
        What is counted, if not bytes.
    """
    if callable(option):
        return Progress(option)
    return _bar(title, unit) if option else Progress()


def _bar(title: str, unit: str | None) -> Progress:
    from tqdm import tqdm

    counted: dict[str, Any] = {"unit": f" {unit}"}
    if unit is None:
        counted = {"unit": "B", "unit_scale": True, "unit_divisor": 1024}
    bar: Any = tqdm(desc=title, **counted, disable=None, leave=True)

    def show(done: int, total: int | None) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return Progress(show if not bar.disable else None, bar.close)
