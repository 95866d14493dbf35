"""Whether a transfer has been made already, by what can be seen without reading a byte. Pure."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astro_cloud.storage.object_info import ObjectInfo

__all__ = ["is_downloaded", "is_uploaded"]


def is_downloaded(info: ObjectInfo, file: os.stat_result) -> bool:
    """Tell whether a file has an object's size and date (to the second), which a download gives it."""
    modified = info.last_modified
    return (
        modified is not None and file.st_size == info.size and int(file.st_mtime) == int(modified.timestamp())
    )


def is_uploaded(file: ObjectInfo, stored: ObjectInfo) -> bool:
    """Tell whether an object has a file's size, and was stored when the file was as it is now, or later.

    A store tells seconds: within the one in which a file was written, it counts as written later.
    """
    if file.last_modified is None or stored.last_modified is None:
        return False
    return file.size == stored.size and stored.last_modified >= file.last_modified
