"""download: an object, as a file of one's own."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, BinaryIO

from astro_cloud.storage.client import Client
from astro_cloud.storage.crew import Crew
from astro_cloud.storage.destination import check_target, is_file_object, open_stream, target_of
from astro_cloud.storage.local import LocalObject
from astro_cloud.storage.local_copy import copy_file
from astro_cloud.storage.local_names import base_name
from astro_cloud.storage.location import Location
from astro_cloud.storage.object_download import Downloaded, ObjectDownload
from astro_cloud.storage.part_file import PartFile
from astro_cloud.storage.progress import Progress, ProgressOption, progress_of
from astro_cloud.storage.resources import Resources
from astro_cloud.storage.settings import Settings
from astro_cloud.storage.streaming import stream_to
from astro_cloud.storage.verification import Wish

if TYPE_CHECKING:
    from astro_cloud.storage.pinned import PinnedObject

__all__ = ["crew_of", "download", "transfer_client"]


def download(
    location: str | os.PathLike[str] | Location,
    path: str | os.PathLike[str] | BinaryIO,
    *,
    progress: ProgressOption = None,
    workers: int | None = None,
    resume: bool = True,
    checksum: bool | str = True,
    auth: Any = None,
    client: Client | None = None,
    request_payer: bool = False,
) -> Downloaded:
    """Write an object to a file, over several connections, and check its bytes.

    Bytes are written beside the target, to a part file, which gets the target's name once it is whole
    and checked. An interrupted download, even one whose machine lost power, is gone on with by the next
    call, if the object is still the same; it starts over if not. The file has the object's date.

    Parameters
    ----------
    location : str, path or Location
        The object.
    path : str, path or file object
        The file to write, in a folder that exists; one that is there is replaced in the end. Into a
        file object that is open for writing bytes, or what is no regular file (``/dev/stdout``), bytes
        are written in their order, as they come.
    progress : bool or callable, optional
        True for a bar on standard error, if that is a terminal; or a function that is called with the
        bytes done and all there are (None while that is not known), by one thread at a time. It must not
        read by the same client.
    workers : int, optional
        Connections to use, if the object is long enough; by default as many as make it faster, up to
        the client's `Settings.concurrency`.
    resume : bool
        Go on with what an earlier call left, and leave what has come if this one fails. Otherwise a
        failed download leaves nothing.
    checksum : bool or str
        True: compare with a checksum of the whole object, if the store keeps one; the result says
        which. ``"sha256"``: with this one, or fail. ``"md5:..."``: with the digest that is given, in
        hexadecimal digits. False: with nothing.
    auth : requests auth, optional
        Signs the requests; by default chosen for the location.
    client : Client, optional
        Reads, and is left open. By default one is made, and closed again.
    request_payer : bool
        Offer to pay for the requests, at a requester-pays bucket.

    Returns
    -------
    Downloaded
        Path, size in bytes, ETag, and the checksum that was compared.

    Raises
    ------
    ChecksumError
        If the bytes are not those that were stored; they are removed, unless only an ETag says so.
    ObjectChangedError
        If the object is overwritten meanwhile.
    InvalidLocationError, ObjectNotFoundError, AccessDeniedError, StorageError, CredentialsError
        If it cannot be read, or the file cannot be written: there is no such folder, no space, or
        another download writes to it.
    ValueError
        If `checksum` or `workers` make no sense.

    Examples
    --------
    >>> done = download("s3://stpubdata/tess/public/cube.fits", "cube.fits", progress=True)
    >>> print(done.size, done.checksum)
    """
    wish = Wish(checksum)
    with ExitStack() as stack:
        # What is no file object is a path, though mypy cannot tell.
        file: Any = path if is_file_object(path) else open_stream(path)  # type: ignore[arg-type]
        if file is None:
            check_target(target := target_of(path))  # type: ignore[arg-type]
        elif file is not path:
            stack.enter_context(file)
        client = transfer_client(client, workers, stack)
        source = client.pin(Location.parse(location, client.settings), auth=auth, request_payer=request_payer)
        counting = stack.enter_context(progress_of(progress, base_name(source.location)))
        if file is not None:
            return stream_to(source, file, wish=wish, progress=counting, workers=workers)
        part = PartFile(target)
        stack.callback(part.leave)
        if isinstance(source, LocalObject):
            return copy_file(source, part, wish, counting)
        return _to_file(source, part, wish, resume, workers, counting)


def transfer_client(client: Client | None, workers: int | None, stack: ExitStack) -> Client:
    """Return the client that was given, or one with so many connections, closed with the stack."""
    if workers is not None and workers < 1:
        raise ValueError(f"there must be at least one worker, not {workers}")
    if client is not None:
        return client
    settings = Settings() if workers is None else Settings(concurrency=workers)
    return stack.enter_context(Client(settings=settings))


def crew_of(resources: Resources, workers: int | None) -> Crew:
    """Return a crew of so many, or as many as there may be requests at once."""
    most = resources.settings.concurrency
    return Crew(min(workers or most, most))


def _to_file(
    source: PinnedObject,
    part: PartFile,
    wish: Wish,
    resume: bool,
    workers: int | None,
    progress: Progress,
) -> Downloaded:
    crew = crew_of(source.resources, workers)
    this = ObjectDownload(
        source, part, wish=wish, resume=resume, crew=crew, progress=progress, connections=workers
    )
    try:
        crew.run(this.jobs())
    finally:
        this.close()
    if this.result is None:
        raise this.error or RuntimeError("a download ended without a result")
    return this.result
