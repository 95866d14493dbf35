"""cutouts: out of many files at once, each given out as soon as it is there."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from astro_cloud.exceptions import AstroCloudError
from astro_cloud.fits.cutout_image import Cutout
from astro_cloud.fits.cutting import Wish, cut
from astro_cloud.fits.hdulist import open_file
from astro_cloud.fits.image_file import ImageFile
from astro_cloud.fits.index import Index
from astro_cloud.fits.positions import Positions
from astro_cloud.fits.section_words import HDUKey
from astro_cloud.storage import Client, Location
from astro_cloud.storage.downloading import transfer_client
from astro_cloud.storage.progress import ProgressOption, progress_of
from astro_cloud.storage.remote_file import Closeable
from astro_cloud.storage.stop import Stop, Stopped
from astro_cloud.storage.workers import Batch, Workers

if TYPE_CHECKING:
    from requests.auth import AuthBase

__all__ = ["CutoutResult", "cutouts"]

_AHEAD = 2
"""Files for each worker that are begun, or done and waiting to be taken: a slow taker's memory is finite."""

AnyLocation = str | os.PathLike[str] | Location
AnyIndex = Index | str | os.PathLike[str] | bool


@dataclass(frozen=True)
class CutoutResult:
    """What became of one of many cutouts.

    Attributes
    ----------
    number : int
        Which it is, from 0: of the positions and locations, in the order that they were given.
    location : str, path or Location
        As it was given.
    cutout : Cutout or None
        None if it failed.
    error : Exception or None
        Why.
    """

    number: int
    location: AnyLocation
    cutout: Cutout | None = None
    error: Exception | None = None

    def __repr__(self) -> str:
        """Tell what became of it; of a location without its secrets."""
        came = repr(self.error) if self.cutout is None else repr(self.cutout)
        return f"<CutoutResult {self.number} of {_masked(self.location)}: {came}>"


def _masked(location: AnyLocation) -> str:
    try:
        return str(Location.parse(location))
    except AstroCloudError as error:
        return f"no location ({type(error).__name__})"


def cutouts(
    locations: AnyLocation | Iterable[AnyLocation],
    positions: Any,
    size: Any,
    *,
    hdu: HDUKey | None = None,
    mode: str = "trim",
    fill_value: float = np.nan,
    planes: Any = None,
    also: Any = (),
    index: Mapping[Any, AnyIndex] | AnyIndex | None = None,
    workers: int | None = None,
    progress: ProgressOption = None,
    auth: AuthBase | None = None,
    client: Client | None = None,
    request_payer: bool = False,
) -> Iterator[CutoutResult]:
    """Cut pixels around positions out of many images, several at once; the failure of one keeps no other.

    A file that is named several times is opened once, and all that is cut out of it is read at once.

    Parameters
    ----------
    locations : location, or iterable of them
        As many as positions: the first position is in the first file, and so on. One of either goes with all
        of the others.
    positions : SkyCoord, (x, y), or a list of either
        As `cutout` takes them.
    size, hdu, mode, fill_value, planes, also
        As `cutout` takes them; the same for all.
    index : True, or a mapping of locations to what `open` takes, optional
        Of a single location, what `open` takes.
    workers : int, optional
        Files that are read at once; by default the client's `Settings.concurrency`.
    progress : bool or callable, optional
        True for a bar on standard error, if that is a terminal; or a function that is called with the number
        of cutouts that are done, or failed, and of all.
    auth, client, request_payer
        As `open` takes them.

    Returns
    -------
    iterator of CutoutResult
        As they are done, in no order. Whoever stops early reads no more; those of a file or two for each
        worker wait to be taken, no more.

    Raises
    ------
    ValueError, TypeError
        At once, for arguments that make no sense. What concerns one file is in its results.

    Examples
    --------
    >>> for result in cutouts(urls, catalog, 5 * u.arcsec, progress=True):
    ...     if result.error is None:
    ...         result.cutout.write(f"{result.number}.fits")
    """
    if workers is not None and workers < 1:
        raise ValueError(f"there must be at least one worker, not {workers}")
    places = Positions.of(positions)
    files = [locations] if isinstance(locations, (str, os.PathLike, Location)) else list(locations)
    items = _paired(files, places)
    if not (index is None or isinstance(index, (bool, Mapping))) and len(set(files)) > 1:
        raise ValueError("index= is that of one file: of several, give a mapping of their locations, or True")
    wish = Wish.of(size, hdu=hdu, mode=mode, fill_value=fill_value, planes=planes, also=also)
    options = {"auth": auth, "request_payer": request_payer}
    many = _Many(places, wish, index, options)
    return many.run(items, client, workers, progress)


def _paired(files: Sequence[AnyLocation], places: Positions) -> list[tuple[AnyLocation, int]]:
    """Return for each cutout its location, and the number of its position."""
    count = max(len(files), len(places)) if files and len(places) else 0
    for given, what in ((len(files), "locations"), (len(places), "positions")):
        if given not in (1, count) and count:
            others = f"{len(files)} locations and {len(places)} positions"
            raise ValueError(f"{others}: give one of the {what}, or as many as of the other")
    if not count and (files or len(places)):
        raise ValueError(f"{len(files)} locations and {len(places)} positions: there is nothing to cut")
    return [(files[at % len(files)], at % len(places)) for at in range(count)]


class _Many:
    """Cutouts of many files, which share what is asked for."""

    def __init__(self, places: Positions, wish: Wish, index: Any, options: dict[str, Any]) -> None:
        self._places = places
        self._wish = wish
        self._index = index
        self._options = options

    def run(
        self,
        items: list[tuple[AnyLocation, int]],
        client: Client | None,
        workers: int | None,
        progress: ProgressOption,
    ) -> Iterator[CutoutResult]:
        """Yield the results of all, as they come."""
        groups: dict[AnyLocation, list[tuple[int, int]]] = {}
        for number, (location, position) in enumerate(items):
            groups.setdefault(location, []).append((number, position))
        with ExitStack() as stack:
            client = transfer_client(client, workers, stack)
            counted = stack.enter_context(progress_of(progress, "cutouts", "cutouts"))
            counted.expect(len(items))
            count = workers or client.settings.concurrency
            begun = stack.enter_context(_Begun(Workers(count)))
            todo = deque(groups.items())
            while todo or begun:
                more = [todo.popleft() for _ in range(min(len(todo), _AHEAD * count - len(begun)))]
                begun.begin({group[0]: partial(self._results, client, *group) for group in more})
                for result in begun.next():
                    counted.add(1)
                    yield result

    def _results(
        self,
        client: Client,
        location: AnyLocation,
        numbers: list[tuple[int, int]],
        files: _OpenFiles,
    ) -> list[CutoutResult]:
        """Cut out of one file, and tell what came of it."""
        try:
            made = self._cut(client, location, [position for _, position in numbers], files)
        except Exception as error:  # told, whatever it is: nobody else waits for this thread
            made = [error] * len(numbers)
        return [
            CutoutResult(number, location, error=one)
            if isinstance(one, Exception)
            else CutoutResult(number, location, one)
            for (number, _), one in zip(numbers, made, strict=True)
        ]

    def _cut(
        self, client: Client, location: AnyLocation, positions: list[int], files: _OpenFiles
    ) -> Sequence[Cutout | Exception]:
        index = self._index.get(location) if isinstance(self._index, Mapping) else self._index
        place = Location.parse(location, client.settings)
        source = open_file(place, client, None, index=index, **self._options)
        with ImageFile(source) as file, files.open(source):
            return cut(file, self._places.take(positions), self._wish)


class _OpenFiles:
    """Files that are being read, to be closed by another thread: who reads them then reads no more."""

    def __init__(self) -> None:
        self._files: set[Closeable] = set()
        self._is_over = False

    @contextmanager
    def open(self, file: Closeable) -> Iterator[None]:
        """Have a file closed when all are."""
        self._files.add(file)
        try:
            if self._is_over:
                raise Stopped
            yield
        finally:
            self._files.discard(file)

    def close(self) -> None:
        """Close all files, and each that is opened from now on."""
        self._is_over = True
        for file in list(self._files):
            file.close()


Call = Callable[[_OpenFiles], list[CutoutResult]]
Done = SimpleQueue[tuple[AnyLocation, list[CutoutResult]]]


class _Begun:
    """Files whose cutouts are on their way, or have come and were not given out; all given up at the end."""

    def __init__(self, crew: Workers) -> None:
        self._crew = crew
        self._calls: dict[AnyLocation, Call] = {}
        self._start()

    def _start(self) -> None:
        """Begin all of it, with no other thread; a forked process does it again."""
        self._process = os.getpid()
        self._files = _OpenFiles()
        self._batches: list[Batch[None]] = []
        self._done: Done = SimpleQueue()
        self.begin(self._calls)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process == os.getpid():
            for batch in self._batches:
                batch.abandon()
            self._files.close()
        self._crew.close()

    def __len__(self) -> int:
        return len(self._calls)

    def begin(self, calls: Mapping[AnyLocation, Call]) -> None:
        """Have the cutouts of more files made."""
        if not calls:
            return
        self._calls |= calls
        work = [partial(self._work, self._done, self._files, *one) for one in calls.items()]
        self._batches = [batch for batch in self._batches if not batch.done()]
        self._batches.append(self._crew.begin(work))

    @staticmethod
    def _work(done: Done, files: _OpenFiles, location: AnyLocation, call: Call, stop: Stop) -> None:
        stop.check()
        done.put((location, call(files)))

    def next(self) -> list[CutoutResult]:
        """Wait for those of a file, whichever is the next."""
        if self._process != os.getpid():
            self._start()
        location, results = self._done.get()
        del self._calls[location]
        return results
