"""Where a download may be written: a file that appears whole, or what takes bytes in their order."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from pathlib import Path
from typing import IO, Any

from astro_cloud.exceptions import AccessDeniedError, StorageError

__all__ = ["check_target", "is_file_object", "open_stream", "target_of", "writing_error"]

_DESCRIPTOR = re.compile(r"/dev/fd/(\d+)|/proc/(?:self|thread-self)/fd/(\d+)")
_STANDARD = {"/dev/stdout": 1, "/dev/stderr": 2}


def is_file_object(path: Any) -> bool:
    """Tell what can be written to from the path of a file.

    Raises
    ------
    TypeError
        If it takes text.
    """
    if isinstance(path, io.TextIOBase):
        raise TypeError("this file takes text: give one that is open for writing bytes, or its .buffer")
    return hasattr(path, "write") and not isinstance(path, os.PathLike)


def open_stream(path: str | os.PathLike[str]) -> IO[bytes] | None:
    """Open what is no regular file, such as a pipe, a device or ``/dev/stdout``; None for all else.

    A descriptor that is open already is written to where it stands, also if it leads to a file.
    """
    text = os.fspath(path)
    match = _DESCRIPTOR.fullmatch(text)
    number = _STANDARD.get(text) if match is None else int(match[1] or match[2])
    try:
        if number is not None:
            return open(os.dup(number), "wb", buffering=0)
        mode = os.stat(text).st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            return None
        return open(text, "wb", buffering=0)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise writing_error(error, text) from error


def target_of(path: str | os.PathLike[str]) -> Path:
    """Return the file that is to be written, behind all links.

    Raises
    ------
    StorageError
        If the path ends in a slash, as a folder's does.
    """
    text = os.fspath(path)
    if text.endswith(os.sep):
        raise StorageError(f"{text} is a folder: name the file to write in it", location=text)
    return Path(os.path.realpath(text))


def check_target(target: Path) -> None:
    """Raise the error that writing to a file would end in, before anything is read.

    Raises
    ------
    StorageError
        If it is a folder, in a folder that does not exist, or a file that may not be written.
    """
    name = str(target)
    try:
        status = target.stat()
    except FileNotFoundError:
        if not target.parent.is_dir():
            raise StorageError(
                f"{name}: there is no folder {target.parent}: make it first", location=name
            ) from None
        return
    except OSError as error:
        raise writing_error(error, name) from None
    if stat.S_ISDIR(status.st_mode):
        raise StorageError(f"{name} is a folder: name the file to write in it", location=name)
    if not status.st_mode & 0o222 or not os.access(target, os.W_OK):
        raise AccessDeniedError(f"{name}: this file is read-only", location=name)


def writing_error(error: OSError, name: str) -> StorageError:
    """Turn what the system says of a file that is to be written into one of our errors."""
    if isinstance(error, PermissionError):
        return AccessDeniedError(f"{name}: this user may not write there", location=name)
    if isinstance(error, NotADirectoryError):
        return StorageError(f"{name}: a part of this path is a file, and no folder", location=name)
    if isinstance(error, FileNotFoundError):
        return StorageError(f"{name}: the folder it was to be written in is not there", location=name)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(f"{name}: no space is left", location=name)
    return StorageError(f"{name}: {error.strerror or error}", location=name)
