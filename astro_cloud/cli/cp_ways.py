"""The two ways ``cp`` goes: objects to files, and files to objects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import click

from astro_cloud.cli.cp_plan import STDIO, Plan, path_of
from astro_cloud.cli.cp_report import Done, say, transfer_line
from astro_cloud.cli.streams import standard_input, standard_output
from astro_cloud.exceptions import (
    AccessDeniedError,
    AstroCloudError,
    InvalidLocationError,
    ManyTransfersError,
    ObjectExistsError,
)
from astro_cloud.storage import Client, Location, ManyDownloads, ManyUploads, ObjectInfo, download
from astro_cloud.storage.alike import is_downloaded, is_uploaded
from astro_cloud.storage.destination import check_target, target_of
from astro_cloud.storage.found import Found, found_below, found_one_by_one
from astro_cloud.storage.local import local_error
from astro_cloud.storage.local_names import check_folder, path_below
from astro_cloud.storage.many_downloads import download_found, make_folder
from astro_cloud.storage.many_uploads import Stored, folder_of, upload_found
from astro_cloud.storage.progress import progress_of
from astro_cloud.storage.verification import Wish

__all__ = ["Options", "Way", "way_of"]

_ALREADY, _REPLACED = "is there already", "in place of what is there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to copy.

    Attributes
    ----------
    workers : int or None
        Connections.
    resume : bool
        Go on with what an earlier command left, and leave what this one cannot end.
    checksum : bool or str
        See `download`.
    clobber : bool
        False: what is there is left as it is.
    quiet : bool
        Neither bar nor summary.
    access : dict
        Who pays.
    """

    workers: int | None
    resume: bool
    checksum: bool | str
    clobber: bool
    quiet: bool
    access: dict[str, Any]


class Way(ABC):
    """One run of the command."""

    def __init__(self, client: Client, plan: Plan, options: Options) -> None:
        self.client = client
        self.plan = plan
        self.options = options
        self._taken: set[Path | Location] = set()

    def found(self) -> Iterator[Found]:
        """Find what is to be copied; sources of which there is nothing are told at once."""
        return chain.from_iterable(
            [
                found_below(self.client, source.location, self.options.access)
                if source.is_tree
                else found_one_by_one(self.client, [source.location])
                for source in self.plan.sources
            ]
        )

    @abstractmethod
    def copy(self) -> Done:
        """Copy it."""

    @abstractmethod
    def check(self) -> None:
        """Raise what would keep all from being copied; asks for what is there, if that takes a request."""

    @abstractmethod
    def rehearsed(self, found: Found) -> str:
        """Say what would become of something, or raise what would."""

    def _take(self, target: Path | Location, found: Found, what: str) -> None:
        if target in self._taken:
            raise InvalidLocationError(f"{found.location}: another {what} {target}")
        self._taken.add(target)

    def _stays(self, there: object) -> None:
        say(f"{there} is there already, and was left as it is", quiet=self.options.quiet)


def way_of(client: Client, plan: Plan, options: Options) -> Way:
    """Choose the way; see that what it reads or writes is open."""
    if plan.side == "stdio":
        standard_input()
    if plan.target == STDIO:
        standard_output()
    if plan.side == "remote":
        return _Down(client, plan, options)
    if options.checksum is False:
        raise click.UsageError("the bytes of an upload are always checked: leave out --no-checksum")
    return _Up(client, plan, options)


class _Down(Way):
    """Objects to files."""

    def copy(self) -> Done:
        if not self.plan.is_single:
            return self._folder()
        (found,) = self.found()
        target = self._target(found)
        if target is not None and self._is_left(target):
            self._stays(target)
            return Done(there=1)
        if self.plan.into_folder:
            make_folder(self._root)
        output: Path | BinaryIO = standard_output() if target is None else target
        done = download(
            found.location,
            output,
            progress=target is not None and not self.options.quiet,
            workers=self.options.workers,
            resume=self.options.resume,
            checksum=self.options.checksum,
            client=self.client,
            **self.options.access,
        )
        if not isinstance(output, Path):
            output.flush()
        return Done.downloads(ManyDownloads([done]))

    def _folder(self) -> Done:
        kept: list[Path] = []
        done = Done.downloads(self._many(found for found in self.found() if not self._keeps(found, kept)))
        for target in kept:
            self._stays(target)
        done.there += len(kept)
        return done

    def check(self) -> None:
        if self.plan.into_folder:
            check_folder(self._root)

    def rehearsed(self, found: Found) -> str:
        target = self._target(found)
        info = found.info or self.client.stat(found.location, **self.options.access)
        note = self._note(found, info, target) if target is not None else ""
        return transfer_line(found.location, target or "standard output", info.size, note)

    def _note(self, found: Found, info: ObjectInfo, target: Path) -> str:
        if self._is_left(target):
            return _ALREADY
        self._take(target, found, "object was to be written to")
        if not self.plan.is_single and target.exists() and is_downloaded(info, target.stat()):
            return _ALREADY
        if self.plan.into_folder:
            check_folder(target.parent)
        if target.exists() or not self.plan.into_folder:
            check_target(target_of(target))
        return _REPLACED if target.exists() else ""

    @cached_property
    def _root(self) -> Path:
        return path_of(self.plan.target, Location.parse(self.plan.target))

    def _target(self, found: Found) -> Path | None:
        if self.plan.target == STDIO:
            return None
        return path_below(self._root, found.name, found.location) if self.plan.into_folder else self._root

    def _is_left(self, target: Path) -> bool:
        return not self.options.clobber and target.exists()

    def _many(self, found: Iterator[Found]) -> ManyDownloads:
        with progress_of(not self.options.quiet, self._root.name or str(self._root)) as progress:
            return _despite_errors(
                lambda: download_found(
                    self.client,
                    found,
                    self._root,
                    wish=Wish(self.options.checksum),
                    resume=self.options.resume,
                    workers=self.options.workers,
                    progress=progress,
                    access=self.options.access,
                )
            )

    def _keeps(self, found: Found, kept: list[Path]) -> bool:
        """Tell whether something is to be left as it is; note what, to be told in the end."""
        if self.options.clobber or found.is_folder:
            return False
        try:
            target = path_below(self._root, found.name, found.location)
        except InvalidLocationError:
            return False  # which is told when it is its turn
        if not target.exists():
            return False
        kept.append(target)
        return True


class _Up(Way):
    """Files, or standard input, to objects."""

    def found(self) -> Iterator[Found]:
        if self.plan.side != "stdio":
            return super().found()
        return iter([Found(self._place, "")])

    def copy(self) -> Done:
        if not self.plan.is_single:
            return Done.uploads(self._many(self.found()))
        (found,) = self.found()
        is_stdin = self.plan.side == "stdio"
        place = self._place_of(found)
        try:
            done = self.client.upload(
                standard_input() if is_stdin else found.location.path,
                place,
                progress=not self.options.quiet,
                workers=self.options.workers,
                **self._options | ({"resume": False} if is_stdin else {}),
            )
        except ObjectExistsError:
            self._stays(place)
            return Done(there=1)
        except AstroCloudError:
            raise
        except OSError as error:
            raise local_error(error, str(found.location)) from None
        return Done.uploads(ManyUploads([done]))

    def check(self) -> None:
        folder = self._stored.folder
        if self._is_listed or folder.bucket is None:
            return
        with suppress(AccessDeniedError):  # who may not list may store
            next(self.client.list_objects(folder, page_size=1, **self.options.access), None)

    def rehearsed(self, found: Found) -> str:
        place = self._place_of(found)
        if self.plan.side == "stdio":
            return transfer_line("standard input", place, None, self._note(place, None))
        info = found.info or self.client.stat(found.location)
        self._take(place, found, "file was to be uploaded to")
        return transfer_line(found.location, place, info.size, self._note(place, info))

    def _note(self, place: Location, info: ObjectInfo | None) -> str:
        there = self._stored.info(place)
        if there is None:
            return ""
        is_same = info is not None and not self.plan.is_single and is_uploaded(info, there)
        return _ALREADY if is_same or not self.options.clobber else _REPLACED

    @property
    def _options(self) -> dict[str, Any]:
        """What uploads are told."""
        options = self.options
        return {
            "overwrite": options.clobber,
            "resume": options.resume,
            "checksum": options.checksum if isinstance(options.checksum, str) else None,
            **options.access,
        }

    @cached_property
    def _place(self) -> Location:
        return Location.parse(self.plan.target, self.client.settings, prefix=self.plan.into_folder)

    def _place_of(self, found: Found) -> Location:
        return self._stored.place(found) if self.plan.into_folder else self._place

    @property
    def _is_listed(self) -> bool:
        return any(source.is_tree for source in self.plan.sources)

    @cached_property
    def _stored(self) -> Stored:
        """What there is: listed where whole folders are copied, as then it is about many."""
        folder = folder_of(self._place, self.client) if self.plan.into_folder else self._place
        look = Stored.listed if self._is_listed else Stored
        return look(self.client, folder, self.options.access)

    def _many(self, found: Iterator[Found]) -> ManyUploads:
        with progress_of(not self.options.quiet, self.plan.target) as progress:
            done = _despite_errors(
                lambda: upload_found(
                    self.client,
                    found,
                    self._stored,
                    workers=self.options.workers,
                    progress=progress,
                    **self._options,
                )
            )
        if not self.options.clobber:
            for place in done.skipped:
                self._stays(place)
        return done


_T = TypeVar("_T", ManyDownloads, ManyUploads)


def _despite_errors(copy: Callable[[], _T]) -> _T:
    """Return what was done, although some of it failed: the errors are in the result."""
    try:
        return copy()
    except ManyTransfersError as error:
        result: _T = error.result
        return result
