"""upload for one call, with a client of its own where none is given."""

from __future__ import annotations

import os
from typing import Any

from astro_cloud.storage.client import Client
from astro_cloud.storage.location import Location
from astro_cloud.storage.object_info import ObjectInfo
from astro_cloud.storage.progress import ProgressOption

__all__ = ["upload"]


def upload(
    source: Any,
    location: str | os.PathLike[str] | Location,
    *,
    progress: ProgressOption = None,
    workers: int | None = None,
    overwrite: bool = True,
    resume: bool = False,
    checksum: str | None = None,
    content_type: str | None = None,
    part_size: int | None = None,
    auth: Any = None,
    client: Client | None = None,
    request_payer: bool = False,
) -> ObjectInfo:
    """Store a file, bytes, or what a stream gives, as an object; see `Client.upload`.

    Takes what `Client.upload` takes, and a `client`, which is left open. By default one is made, and
    closed again.
    """
    options = {
        "progress": progress,
        "workers": workers,
        "overwrite": overwrite,
        "resume": resume,
        "checksum": checksum,
        "content_type": content_type,
        "part_size": part_size,
        "auth": auth,
        "request_payer": request_payer,
    }
    if client is not None:
        return client.upload(source, location, **options)
    with Client() as own:
        return own.upload(source, location, **options)
