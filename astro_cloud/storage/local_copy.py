"""A local file, copied as an object would be downloaded: so that one call serves both."""

from __future__ import annotations

from astro_cloud.storage.journal import Span
from astro_cloud.storage.local import LocalObject
from astro_cloud.storage.local_listing import stat_file
from astro_cloud.storage.object_download import Downloaded
from astro_cloud.storage.part_file import PartFile
from astro_cloud.storage.plan import PART
from astro_cloud.storage.progress import Progress
from astro_cloud.storage.stop import Stop
from astro_cloud.storage.verification import Wish, digest_of, mismatch

__all__ = ["copy_file"]


def copy_file(
    source: LocalObject,
    part: PartFile,
    wish: Wish,
    progress: Progress,
    *,
    is_expected: bool = False,
    stop: Stop | None = None,
) -> Downloaded:
    """Copy a file into a part file, and give that its name.

    Parameters
    ----------
    source : LocalObject
        Not read yet.
    part : PartFile
        What it holds is written over.
    wish : Wish
        What to compare the copy with.
    progress : Progress
        Is told of bytes; and of how many there are, unless it `is_expected`.
    stop : Stop, optional
        Ends it with `Stopped`.
    """
    stop = stop or Stop()
    part.start_over()
    at = 0
    while data := source.read_ranges([(at, at + PART)])[0]:
        if not (at or is_expected):
            progress.expect(source.size or 0)
        stop.check()
        part.write(memoryview(data), at)
        at += len(data)
        progress.add(len(data))
    expected = wish.choose((), source.name)
    if expected is not None:
        digest = digest_of(part, [Span(0, at)], expected.algorithm, stop)
        if digest != expected.digest:
            part.discard()
            raise mismatch(expected, digest, source.name, "the copy was thrown away")
    stop.check()
    part.finish(stat_file(source.location).last_modified)
    return Downloaded(source.location, part.target, at, None, expected, at)
