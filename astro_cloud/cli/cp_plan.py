"""What ``cp`` is to do, by what was typed: which way, one by one or whole folders, and to what names.

Asks the file system what is a folder, and nobody else anything.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click

from astro_cloud.storage import Location, Settings
from astro_cloud.storage.listing import split_location

__all__ = ["STDIO", "Plan", "Source", "path_of", "plan_of"]

STDIO = "-"

_Side = Literal["local", "remote", "stdio"]

_REFUSALS: dict[tuple[_Side, _Side], str] = {
    ("local", "local"): "both are of this machine: copy with cp",
    ("local", "stdio"): "a file of this machine needs no copying to standard output: use cat",
    ("remote", "remote"): "both are remote: pipe one into the other, astro-cloud cp A - | astro-cloud cp - B",
    ("stdio", "local"): "standard input needs no copying to a file of this machine: use cat and >",
    ("stdio", "stdio"): "standard input needs no copying to standard output",
}


@dataclass(frozen=True, slots=True)
class Source:
    """What is to be copied.

    Attributes
    ----------
    location : str or Path
        As listings and transfers take it; a `Path` is never read as a pattern.
    is_tree : bool
        It is all that begins so, or matches, with its folders.
    """

    location: str | Path
    is_tree: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Who is copied where.

    Attributes
    ----------
    side : str
        Of the sources: ``"local"``, ``"remote"`` or ``"stdio"``.
    sources : tuple of Source
    target : str
        As it was typed.
    into_folder : bool
        The target is a folder to copy into, not a name.
    """

    side: _Side
    sources: tuple[Source, ...]
    target: str
    into_folder: bool

    @property
    def is_single(self) -> bool:
        """Whether it is about one object."""
        return len(self.sources) == 1 and not self.sources[0].is_tree


def plan_of(texts: Sequence[str], target: str, settings: Settings, *, recursive: bool) -> Plan:
    """Understand the arguments.

    Raises
    ------
    click.UsageError
        If they make no sense together.
    InvalidLocationError
        If one is no location.
    """
    sides = {_side(text, settings) for text in texts}
    if len(sides) > 1:
        raise click.UsageError("the sources are to be all of this machine, or all remote")
    (side,) = sides
    there = _side(target, settings)
    if (side, there) in _REFUSALS:
        raise click.UsageError(_REFUSALS[side, there])
    sources = tuple(_source(text, side, settings, recursive=recursive) for text in texts)
    many = len(sources) > 1 or sources[0].is_tree
    if many and STDIO in (target, *texts):
        raise click.UsageError("standard input and output take one object: name it alone")
    into_folder = many or _is_folder(target, there, settings)
    if side == "stdio" and into_folder:
        raise click.UsageError(f"{target} is a folder: name the object that standard input becomes")
    return Plan(side, sources, target, into_folder)


def _side(text: str, settings: Settings) -> _Side:
    if text == STDIO:
        return "stdio"
    return "remote" if Location.parse(text, settings, prefix=True).path is None else "local"


def _source(text: str, side: _Side, settings: Settings, *, recursive: bool) -> Source:
    if side == "stdio":
        return Source(text, is_tree=False)
    location = Location.parse(text, settings, prefix=True)
    if location.path is not None:
        return _local_source(text, path_of(text, location), recursive=recursive)
    if location.version is not None:  # its question mark is no pattern
        return Source(text, is_tree=False)
    if text.endswith("/") or split_location(text)[1] is not None:
        return Source(text, is_tree=True)
    if location.key == "" and not recursive:
        raise click.UsageError(f"{text} is a bucket: to copy all of it, add --recursive or a slash")
    return Source(f"{text}/" if recursive else text, is_tree=recursive)


def _local_source(text: str, path: Path, *, recursive: bool) -> Source:
    if path.is_dir():
        if not recursive and not text.endswith(("/", os.sep)):
            raise click.UsageError(f"{text} is a folder: add --recursive, or a slash at its end")
        return Source(path, is_tree=True)
    if not path.exists() and split_location(text)[1] is not None:
        return Source(text, is_tree=True)
    return Source(path, is_tree=False)


def _is_folder(target: str, side: _Side, settings: Settings) -> bool:
    if side == "stdio":
        return False
    if side == "remote":
        return target.endswith("/") or Location.parse(target, settings, prefix=True).key == ""
    return target.endswith(("/", os.sep)) or path_of(target, Location.parse(target)).is_dir()


def path_of(text: str, location: Location) -> Path:
    """Return the path of a local file, relative if that is how it was typed."""
    return Path(text) if "://" not in text or location.path is None else location.path
