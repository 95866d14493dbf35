"""download_many: the objects of a list, a prefix or a pattern, as files of a local folder."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from astro_cloud.exceptions import (
    AstroCloudError,
    InvalidLocationError,
    ManyTransfersError,
)
from astro_cloud.storage.alike import is_downloaded
from astro_cloud.storage.client import Client
from astro_cloud.storage.crew import Crew, Job
from astro_cloud.storage.destination import check_target, writing_error
from astro_cloud.storage.downloading import crew_of, transfer_client
from astro_cloud.storage.found import AnyLocation, Found, found_at
from astro_cloud.storage.local import LocalObject
from astro_cloud.storage.local_copy import copy_file
from astro_cloud.storage.local_names import check_folder, path_below
from astro_cloud.storage.object_download import Downloaded, ObjectDownload
from astro_cloud.storage.part_file import PartFile
from astro_cloud.storage.progress import Progress, ProgressOption, progress_of
from astro_cloud.storage.stop import Stop
from astro_cloud.storage.verification import Wish

__all__ = ["ManyDownloads", "download_found", "download_many", "make_folder"]


@dataclass(slots=True)
class ManyDownloads:
    """What became of many downloads.

    Attributes
    ----------
    downloaded : list of Downloaded
        In the order they were done.
    skipped : list of Path
        Files that were there already, with their object's size and date.
    errors : dict
        What kept others from being downloaded, by their locations.
    """

    downloaded: list[Downloaded] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    errors: dict[str, AstroCloudError] = field(default_factory=dict)


def download_many(
    locations: AnyLocation | Iterable[AnyLocation],
    folder: str | os.PathLike[str],
    *,
    progress: ProgressOption = None,
    workers: int | None = None,
    resume: bool = True,
    checksum: bool | str = True,
    auth: Any = None,
    client: Client | None = None,
    request_payer: bool = False,
) -> ManyDownloads:
    """Download many objects into a folder, several at once; those that are there already are left out.

    A file counts as there if it has its object's size and date, which downloads give it. The failure of
    one keeps no other from being downloaded.

    Parameters
    ----------
    locations : str, path, Location, or iterable of them
        A prefix (``s3://bucket/night/``) or a pattern (``s3://bucket/**/*.fits``), whose folders are
        mirrored: what follows the last slash of the prefix, or of what is before the pattern, is the
        file's name in `folder`. Or objects, one by one: each is written under its base name.
    folder : str or path
        Made if it is not there.
    progress : bool or callable, optional
        One for all; see `download`.
    workers : int, optional
        Connections in all; by default the client's `Settings.concurrency`.
    resume, checksum, auth, client, request_payer
        As `download` takes them.

    Returns
    -------
    ManyDownloads
        What was downloaded and what was there.

    Raises
    ------
    ManyTransfersError
        In the end, if some could not be downloaded: its `errors` says why, its `result` what was. A
        name that would lead out of `folder`, or two objects of one name, are such errors.
    ObjectNotFoundError
        If nothing begins so, or matches.
    InvalidLocationError, CredentialsError, StorageError
        If it cannot be listed, or `folder` cannot be made.

    Examples
    --------
    >>> done = download_many("s3://stpubdata/tess/public/ffi/s0001/**/*_ffic.fits", "s0001", progress=True)
    >>> print(len(done.downloaded), len(done.skipped))
    """
    root = Path(os.path.abspath(folder))
    wish = Wish(checksum)
    with ExitStack() as stack:
        client = transfer_client(client, workers, stack)
        access = {"auth": auth, "request_payer": request_payer}
        found = found_at(client, locations, access)
        counting = stack.enter_context(progress_of(progress, root.name or str(root)))
        return download_found(
            client,
            found,
            root,
            wish=wish,
            resume=resume,
            workers=workers,
            progress=counting,
            access=access,
        )


def download_found(
    client: Client,
    found: Iterator[Found],
    root: Path,
    *,
    wish: Wish,
    resume: bool,
    workers: int | None,
    progress: Progress,
    access: dict[str, Any],
) -> ManyDownloads:
    """Download what was found into a folder, as `download_many` does."""
    make_folder(root)
    crew = crew_of(client.resources, workers)
    many = _Many(client, root, wish=wish, resume=resume, crew=crew, progress=progress, access=access)
    return many.run(found)


class _Many:
    """Downloads what is found, and keeps account of it."""

    def __init__(
        self,
        client: Client,
        root: Path,
        *,
        wish: Wish,
        resume: bool,
        crew: Crew,
        progress: Progress,
        access: dict[str, Any],
    ) -> None:
        self._client = client
        self._root = root
        self._wish = wish
        self._resume = resume
        self._crew = crew
        self._progress = progress
        self._access = access
        self._lock = threading.Lock()
        self._active: set[ObjectDownload] = set()
        self._taken: set[Path] = set()
        self._result = ManyDownloads()

    def run(self, found: Iterator[Found]) -> ManyDownloads:
        """Download all; leave what is not whole, whatever happens, to the next."""
        with ExitStack() as stack:
            stack.callback(self._close)
            self._crew.run(map(self._job, found))
        if self._result.errors:
            done = len(self._result.downloaded) + len(self._result.skipped)
            raise ManyTransfersError.of(self._result.errors, done, self._result)
        return self._result

    def _close(self) -> None:
        """Close what is not done; each, whatever interrupts the closing of another."""
        with ExitStack() as stack:
            for this in list(self._active):
                stack.callback(this.close)

    def _job(self, found: Found) -> Job:
        if found.error is not None:
            self._failed(found, found.error)
            return lambda stop: None
        if found.info is not None:
            self._progress.expect(found.info.size)

        def run(stop: Stop) -> None:
            try:
                self._begin(found, stop)
            except AstroCloudError as error:
                self._failed(found, error)

        return run

    def _failed(self, found: Found, error: AstroCloudError) -> None:
        with self._lock:
            self._result.errors[str(found.location)] = error

    def _begin(self, found: Found, stop: Stop) -> None:
        """Do the first of what a download takes, and leave the rest to the crew."""
        info = found.info
        if found.is_folder:
            if folder := found.name.removesuffix("/"):
                make_folder(path_below(self._root, folder, found.location))
            return
        target = path_below(self._root, found.name, found.location)
        self._take(target, found)
        if self._is_there(target, found):
            self._progress.add(info.size if info is not None else 0)
            with self._lock:
                self._result.skipped.append(target)
            return
        make_folder(target.parent)
        check_target(target)
        source = self._client.pin(found.location, **self._access)
        part = PartFile(target)
        if isinstance(source, LocalObject):
            with ExitStack() as stack:
                stack.callback(part.leave)
                expected = info is not None
                self._done(
                    copy_file(source, part, self._wish, self._progress, is_expected=expected, stop=stop)
                )
            return
        this = ObjectDownload(
            source,
            part,
            wish=self._wish,
            resume=self._resume,
            crew=self._crew,
            progress=self._progress,
            size=info.size if info is not None else None,
            over=lambda this: self._over(found, this),
        )
        with self._lock:
            self._active.add(this)
        first, *others = this.jobs()
        self._crew.add(others)
        first(stop)

    def _over(self, found: Found, this: ObjectDownload) -> None:
        with self._lock:
            self._active.discard(this)
        if this.result is not None:
            self._done(this.result)
        elif this.error is not None:
            self._failed(found, this.error)

    def _done(self, result: Downloaded) -> None:
        with self._lock:
            self._result.downloaded.append(result)

    def _take(self, target: Path, found: Found) -> None:
        with self._lock:
            if target in self._taken:
                raise InvalidLocationError(f"{found.location}: another object was to be written to {target}")
            self._taken.add(target)

    def _is_there(self, target: Path, found: Found) -> bool:
        """Tell whether a file has size and date of its object."""
        try:
            status = target.stat()
        except OSError:
            return False
        return is_downloaded(found.info or self._client.stat(found.location, **self._access), status)


def make_folder(folder: Path) -> None:
    """Make a folder, and those it is in, unless it is there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        check_folder(folder)
        raise writing_error(error, str(folder)) from error
