"""upload_many: the files of a list, a folder or a pattern, as objects below one location."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Self

from astro_cloud.exceptions import (
    AccessDeniedError,
    AstroCloudError,
    InvalidLocationError,
    ManyTransfersError,
    ObjectExistsError,
    ObjectNotFoundError,
)
from astro_cloud.storage.alike import is_uploaded
from astro_cloud.storage.client import Client
from astro_cloud.storage.crew import Job
from astro_cloud.storage.downloading import crew_of, transfer_client
from astro_cloud.storage.found import AnyLocation, Found, found_at
from astro_cloud.storage.local import local_error
from astro_cloud.storage.location import Location
from astro_cloud.storage.object_info import ObjectInfo
from astro_cloud.storage.progress import Passed, Progress, ProgressOption, progress_of
from astro_cloud.storage.stop import Stop
from astro_cloud.storage.upload_parts import PART, whole_limit
from astro_cloud.storage.uploads import Wanted

__all__ = ["ManyUploads", "Stored", "folder_of", "upload_found", "upload_many"]


@dataclass(slots=True)
class ManyUploads:
    """What became of many uploads.

    Attributes
    ----------
    uploaded : list of ObjectInfo
        In the order they were done.
    skipped : list of Location
        Objects that were there already.
    errors : dict
        What kept others from being uploaded, by the paths of their files.
    """

    uploaded: list[ObjectInfo] = field(default_factory=list)
    skipped: list[Location] = field(default_factory=list)
    errors: dict[str, AstroCloudError] = field(default_factory=dict)


def upload_many(
    sources: AnyLocation | Iterable[AnyLocation],
    location: AnyLocation,
    *,
    progress: ProgressOption = None,
    workers: int | None = None,
    overwrite: bool = True,
    resume: bool = False,
    checksum: str | None = None,
    content_type: str | None = None,
    auth: Any = None,
    client: Client | None = None,
    request_payer: bool = False,
) -> ManyUploads:
    """Upload many files, several at once; those whose objects are there already are left out.

    An object counts as there if it has its file's size and was stored after the file was written to. The
    failure of one keeps no other from being uploaded.

    Parameters
    ----------
    sources : str, path, or iterable of them
        A folder, or a pattern (``night/**/*.fits``), whose folders are mirrored; links to folders are not
        followed. Or files, one by one: each is uploaded under its base name.
    location : str or Location
        A bucket, or a folder in it: a slash is put behind it, if there is none.
    progress : bool or callable, optional
        One for all; see `download`.
    workers : int, optional
        Files, or parts of a long one, on their way at once; by default the client's
        `Settings.concurrency`.
    overwrite : bool
        False: an object that is there counts as there whatever it holds.
    resume, checksum, content_type, auth, client, request_payer
        As `upload` takes them.

    Returns
    -------
    ManyUploads
        What was uploaded and what was there.

    Raises
    ------
    ManyTransfersError
        In the end, if some could not be uploaded: its `errors` says why, its `result` what was. Two files
        of one name are such an error.
    ObjectNotFoundError
        If there is no file in the folder, none that matches, or no such bucket.
    InvalidLocationError, CredentialsError, StorageError
        If nothing can be uploaded there.
    ValueError
        If `workers` or `checksum` make no sense.

    Notes
    -----
    What is there is seen by listing the location once, where a folder or a pattern is uploaded; and by one
    HEAD for each file of a list, or where the location may not be listed.

    Examples
    --------
    >>> done = upload_many("night/", "s3://bucket/2026-11-21", progress=True)
    >>> print(len(done.uploaded), len(done.skipped))
    """
    with ExitStack() as stack:
        client = transfer_client(client, workers, stack)
        folder = folder_of(location, client)
        options = {"overwrite": overwrite, "checksum": checksum, "content_type": content_type}
        access = {"auth": auth, "request_payer": request_payer}
        found = found_at(client, sources, access)
        look = Stored.listed if isinstance(sources, str | os.PathLike | Location) else Stored
        stored = look(client, folder, access)
        counting = stack.enter_context(progress_of(progress, str(folder)))
        return upload_found(
            client,
            found,
            stored,
            workers=workers,
            progress=counting,
            **access,
            **options,
            resume=resume,
        )


def folder_of(location: AnyLocation, client: Client) -> Location:
    """Return a location that keys below it can be joined to.

    Raises
    ------
    InvalidLocationError
        If it has no bucket.
    """
    place = Location.parse(location, client.settings, prefix=True)
    key = place.key or ""
    return place.with_key(key if not key or key.endswith("/") else f"{key}/")


class Stored:
    """What there is already below a location.

    Parameters
    ----------
    client : Client
        Asks, object by object.
    folder : Location
        As `folder_of` returns it.
    access : dict
        How to ask.
    there : dict, optional
        Of the objects there are, by their keys: then nothing is asked.
    """

    def __init__(
        self,
        client: Client,
        folder: Location,
        access: dict[str, Any],
        there: dict[str, ObjectInfo] | None = None,
    ) -> None:
        self.folder = folder
        self._client = client
        self._access = access
        self._there = there

    @classmethod
    def listed(cls, client: Client, folder: Location, access: dict[str, Any]) -> Self:
        """List what there is; who may not will ask object by object."""
        try:
            there = {info.key: info for info in client.list_objects(folder, **access)}
        except AccessDeniedError:
            return cls(client, folder, access)
        return cls(client, folder, access, there)

    def place(self, found: Found) -> Location:
        """Return where a file is to be stored."""
        return self.folder.with_key((self.folder.key or "") + found.name)

    def info(self, place: Location) -> ObjectInfo | None:
        """Describe the object at a place; None if there is none, or nobody may know."""
        if self._there is not None:
            return self._there.get(place.key or "")
        try:
            return self._client.stat(place, **self._access)
        except (AccessDeniedError, ObjectNotFoundError):
            return None


def upload_found(
    client: Client,
    found: Iterator[Found],
    stored: Stored,
    *,
    workers: int | None,
    progress: Progress,
    **options: Any,
) -> ManyUploads:
    """Upload the files that were found, as `upload_many` does; takes the options of `upload`."""
    many = _Many(client, stored, workers=workers, progress=progress, options=options)
    return many.run(found)


class _Many:
    """Uploads what is found, and keeps account of it.

    Files that go by one request are sent side by side; those that go in parts after them, one by one, as
    each keeps all connections busy.
    """

    def __init__(
        self,
        client: Client,
        stored: Stored,
        *,
        workers: int | None,
        progress: Progress,
        options: dict[str, Any],
    ) -> None:
        self._client = client
        self._stored = stored
        self._workers = workers
        self._progress = progress
        self._options = options
        self._wanted = Wanted.of(options.pop("checksum", None), None, workers, client.settings.concurrency)
        self._lock = threading.Lock()
        self._taken: set[str] = set()
        self._long: list[Found] = []
        self._result = ManyUploads()

    def run(self, found: Iterator[Found]) -> ManyUploads:
        """Upload all."""
        crew_of(self._client.resources, self._workers).run(map(self._job, found))
        for one in self._long:
            self._attempt(one, None)
        if self._result.errors:
            done = len(self._result.uploaded) + len(self._result.skipped)
            raise ManyTransfersError.of(self._result.errors, done, self._result)
        return self._result

    def _job(self, found: Found) -> Job:
        if found.error is not None:
            self._failed(found, found.error)
            return lambda stop: None
        found = self._described(found)
        if found.info is not None:
            if found.info.size:
                self._progress.expect(found.info.size)
            if found.info.size <= whole_limit(PART):
                return partial(self._attempt, found)
        self._long.append(found)
        return lambda stop: None

    def _described(self, found: Found) -> Found:
        """Add what the file system says of a file; it says nothing of a pipe, or of what is not there."""
        if found.info is not None or found.location.path is None:
            return found
        try:
            return replace(found, info=self._client.stat(found.location))
        except AstroCloudError:
            return found

    def _attempt(self, found: Found, stop: Stop | None) -> None:
        try:
            self._upload(found, stop)
        except AstroCloudError as error:
            self._failed(found, error)
        except OSError as error:
            self._failed(found, local_error(error, str(found.location)))

    def _failed(self, found: Found, error: AstroCloudError) -> None:
        with self._lock:
            self._result.errors[str(found.location)] = error

    def _upload(self, found: Found, stop: Stop | None) -> None:
        place = self._stored.place(found)
        self._take(place, found)
        try:
            done = None if self._is_there(found, place) else self._store(found, place, stop)
        except ObjectExistsError:
            done = None
        if done is None:
            self._progress.add(found.info.size if found.info is not None else 0)
        with self._lock:
            if done is None:
                self._result.skipped.append(place)
            else:
                self._result.uploaded.append(done)

    def _store(self, found: Found, place: Location, stop: Stop | None) -> ObjectInfo:
        passed = Passed(self._progress, is_expected=found.info is not None and found.info.size > 0)
        return self._client._upload(
            found.location.path, place, self._wanted, passed, stop=stop, **self._options
        )

    def _take(self, place: Location, found: Found) -> None:
        if found.location.path is None:
            raise InvalidLocationError(f"{found.location}: is no local file: download it first")
        with self._lock:
            if place.key in self._taken:
                raise InvalidLocationError(f"{found.location}: another file was to be uploaded to {place}")
            self._taken.add(place.key or "")

    def _is_there(self, found: Found, place: Location) -> bool:
        there = self._stored.info(place)
        if there is None:
            return False
        if not self._options["overwrite"]:
            return True
        return found.info is not None and is_uploaded(found.info, there) and not _tells_no_size(found)


def _tells_no_size(found: Found) -> bool:
    """Tell a file that is said to be empty, and holds bytes, as those of /proc and FUSE may."""
    if found.info is None or found.info.size or found.location.path is None:
        return False
    with open(found.location.path, "rb") as file:
        return bool(file.read(1))
