"""A local file that appears whole: written beside its place, flushed, renamed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from astro_cloud.exceptions import StorageError
from astro_cloud.storage.destination import writing_error

__all__ = ["written_whole"]


@contextmanager
def written_whole(target: Path) -> Iterator[BinaryIO]:
    """Yield what is to be written to; it takes the target's place at the end, if nothing was raised.

    Parameters
    ----------
    target : Path
        Behind all links, as `target_of` returns it; a file that is there is replaced, and its permissions
        are kept.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    if target.exists() and not target.is_file():
        raise StorageError(f"{target} is no regular file: it cannot be replaced", location=str(target))
    beside = target.with_name(f".{secrets.token_hex(8)}.astro-new")
    try:
        try:
            new = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            with os.fdopen(new, "wb") as file:
                with suppress(FileNotFoundError):
                    os.chmod(beside, target.stat().st_mode & 0o777)
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(beside)
            raise
    except StorageError:
        raise
    except OSError as error:
        raise writing_error(error, str(target)) from error
