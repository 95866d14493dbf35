"""Local files, described and listed as a store's objects are."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from astro_cloud.exceptions import ObjectNotFoundError, StorageError
from astro_cloud.storage.glob import Glob
from astro_cloud.storage.listing import Listing
from astro_cloud.storage.local import local_error
from astro_cloud.storage.location import Location
from astro_cloud.storage.object_info import CommonPrefix, ObjectInfo

__all__ = ["Unlisted", "list_folder", "look_through", "stat_file"]


@dataclass(frozen=True, slots=True)
class Unlisted:
    """What lies in a folder, and cannot be looked at.

    Attributes
    ----------
    path : str
    error : StorageError
        Names the path.
    is_folder : bool
        Files may be missing, then; otherwise it is a file, or a link that leads nowhere.
    """

    path: str
    error: StorageError
    is_folder: bool


def stat_file(location: Location) -> ObjectInfo:
    """Return what the file system says of a file.

    Raises
    ------
    ObjectNotFoundError
        If there is none, or a folder in its place.
    AccessDeniedError, StorageError
        If it cannot be told.
    """
    path = _path(location)
    try:
        status = path.stat()
    except OSError as error:
        raise local_error(error, location.text) from error
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise ObjectNotFoundError(f"{location}: this is {what}", location=location.text)
    return _info(location, status)


def list_folder(listing: Listing) -> Iterator[ObjectInfo | CommonPrefix]:
    """Yield the files of a folder and of those in it, or a file alone, in the order of their paths.

    Links to folders are not followed; what is neither file nor folder, or leads nowhere, is left out.

    Raises
    ------
    ObjectNotFoundError
        If there is nothing at the location.
    AccessDeniedError, StorageError
        If a folder cannot be listed, when it is its turn: a listing that ends is whole.
    """
    for item in look_through(listing):
        if not isinstance(item, Unlisted):
            yield item
        elif item.is_folder:
            raise item.error


def look_through(listing: Listing) -> Iterator[ObjectInfo | CommonPrefix | Unlisted]:
    """Yield what `list_folder` does, and in its place what cannot be looked at, to go on behind it.

    Raises
    ------
    ObjectNotFoundError, AccessDeniedError, StorageError
        If the folder at the location cannot be listed.
    """
    location, glob = listing.location, listing.glob
    root = _path(location)
    if listing.delimiter not in (None, "/"):
        raise ValueError(f"the delimiter of local files is '/', not {listing.delimiter!r}")
    if glob is None and root.is_file():
        yield stat_file(location)
        return
    deep = listing.delimiter is None and (glob is None or glob.crosses)
    start = "" if glob is None else glob.literal.rpartition("/")[0]
    folder = Path(f"{root}/{start}")
    if glob is not None and start and not folder.is_dir():
        _scan(root, location.text)
        return
    for name, entry in _walk(folder, f"{start}/" if start else "", location, deep=deep):
        if isinstance(entry, Unlisted):
            yield entry
        elif entry.is_dir(follow_symlinks=False):
            if listing.delimiter is not None and _takes(glob, name):
                yield CommonPrefix(Location.parse(Path(entry.path)))
        elif _takes(glob, name) and (file := _file(entry)) is not None:
            yield file


def _walk(
    folder: Path, before: str, location: Location, *, deep: bool
) -> Iterator[tuple[str, os.DirEntry[str] | Unlisted]]:
    """Yield what a folder holds, with its path below the root, in the order of the keys of a store."""
    waiting = [iter(_in_order(_scan(folder, location.text), before))]
    while waiting:
        name, entry = next(waiting[-1], (None, None))
        if name is None or entry is None:
            waiting.pop()
            continue
        yield name, entry
        if deep and entry.is_dir(follow_symlinks=False):
            try:
                waiting.append(iter(_in_order(_scan(entry.path, entry.path), f"{name}/")))
            except StorageError as error:
                yield name, Unlisted(entry.path, error, is_folder=True)


def _in_order(entries: list[os.DirEntry[str]], before: str) -> list[tuple[str, os.DirEntry[str]]]:
    def key(entry: os.DirEntry[str]) -> str:
        return f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name

    return [(before + entry.name, entry) for entry in sorted(entries, key=key)]


def _scan(folder: Path | str, name: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise local_error(error, name) from error


def _takes(glob: Glob | None, name: str) -> bool:
    return glob is None or glob.matches(name)


def _file(entry: os.DirEntry[str]) -> ObjectInfo | Unlisted | None:
    try:
        status = entry.stat()
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not entry.is_symlink():
            return None  # it went meanwhile
        return Unlisted(entry.path, _file_error(error, entry), is_folder=False)
    if not stat.S_ISREG(status.st_mode):
        return None
    return _info(Location.parse(Path(entry.path)), status)


def _file_error(error: OSError, entry: os.DirEntry[str]) -> StorageError:
    name = entry.path
    if entry.is_symlink() and (isinstance(error, FileNotFoundError) or error.errno == errno.ELOOP):
        return ObjectNotFoundError(f"{name}: this link leads nowhere", location=name)
    return local_error(error, name)


def _info(location: Location, status: os.stat_result) -> ObjectInfo:
    modified = datetime.fromtimestamp(status.st_mtime, UTC)
    return ObjectInfo(location, status.st_size, last_modified=modified)


def _path(location: Location) -> Path:
    if location.path is None:
        raise ValueError(f"{location} is not a local file")
    return location.path
