"""Where in a local folder an object is written: never outside of it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from astro_cloud.exceptions import InvalidLocationError, StorageError
from astro_cloud.storage.location import Location
from astro_cloud.storage.part_file import is_part_name

__all__ = ["base_name", "check_folder", "path_below"]


def path_below(folder: Path, name: str, location: Location) -> Path:
    """Return the path of what is called `name`, with slashes, in a folder.

    Raises
    ------
    InvalidLocationError
        If that would be another place, or one that cannot be: a part of the name is empty, ``.`` or
        ``..``, or holds a zero byte; or another download may write its part there.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\0" in part or is_part_name(part) for part in parts):
        raise InvalidLocationError(
            f"{location}: {name!r} cannot be the name of a file in {folder}: download it alone, to a name of "
            "your own"
        )
    return folder.joinpath(*parts)


def check_folder(folder: Path) -> None:
    """Raise the error that making a folder would end in, where a file is in its way.

    Raises
    ------
    StorageError
        If it is a file, or below one.
    """
    taken = next((place for place in (folder, *folder.parents) if place.exists()), None)
    if taken is not None and not taken.is_dir():
        name = str(folder)
        raise StorageError(f"{name}: no folder can be made: {taken} is a file", location=name)


def base_name(location: Location) -> str:
    """Return what follows the last slash: of a key, of a URL's path, decoded, or of a file's."""
    if location.path is not None:
        return location.path.name
    if location.key is not None:
        return location.key.rpartition("/")[2]
    return PurePosixPath(unquote(urlsplit(location.url).path)).name
