"""What ``cp`` says: a line for what is to be done, and one for what was done."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import click

from astro_cloud.cli.report import count, printable, tell_error
from astro_cloud.exceptions import AstroCloudError
from astro_cloud.storage import Downloaded, ManyDownloads, ManyUploads

__all__ = ["Done", "say", "tell", "transfer_line"]

_ARRIVED = "checked on arrival"


@dataclass
class Done:
    """What was copied.

    Attributes
    ----------
    files, size : int
        How many, and their bytes.
    fetched : int
        Bytes that came by this command; the others were there, by an earlier one.
    checks : Counter of str
        What their bytes were held to, by name.
    there : int
        Files that were there already.
    errors : list
        What kept others from being copied.
    """

    files: int = 0
    size: int = 0
    fetched: int = 0
    checks: Counter[str] = field(default_factory=Counter)
    there: int = 0
    errors: list[AstroCloudError] = field(default_factory=list)

    @classmethod
    def downloads(cls, done: ManyDownloads) -> Done:
        """Count downloads."""
        size, fetched = sum(one.size for one in done.downloaded), sum(one.fetched for one in done.downloaded)
        checks = Counter(_name(one) for one in done.downloaded)
        return cls(len(done.downloaded), size, fetched, checks, len(done.skipped), [*done.errors.values()])

    @classmethod
    def uploads(cls, done: ManyUploads) -> Done:
        """Count uploads."""
        files, size = len(done.uploaded), sum(one.size for one in done.uploaded)
        checks = Counter({_ARRIVED: files} if files else {})
        return cls(files, size, size, checks, len(done.skipped), [*done.errors.values()])

    def line(self, seconds: float) -> str:
        """Say it."""
        parts = [f"copied {count(self.files, 'file')}, {count(self.size, 'byte')} in {seconds:.1f} s"]
        if self.fetched < self.size:
            parts.append(f"{count(self.size - self.fetched, 'byte')} of them had come before")
        parts += self._checks()
        if self.there:
            parts.append(f"{self.there:,} {'was' if self.there == 1 else 'were'} there already")
        if self.errors:
            parts.append(f"{len(self.errors):,} failed")
        return "; ".join(parts)

    def _checks(self) -> list[str]:
        if len(self.checks) == 1:
            return list(self.checks)
        return [f"{number:,} {name}" for name, number in self.checks.most_common()]


def tell(done: Done, seconds: float, *, quiet: bool) -> None:
    """Print errors, and the line unless it is not wanted; the exit code is 1 if there are errors."""
    for error in done.errors:
        tell_error(error)
    say(done.line(seconds), quiet=quiet)
    if done.errors:
        raise SystemExit(1)


def _name(done: Downloaded) -> str:
    if done.checksum is None:
        return "no checksum compared"
    by = " (ETag)" if done.checksum.source == "ETag" else ""
    return f"{done.checksum.algorithm}{by} agrees"


def say(text: str, *, quiet: bool) -> None:
    """Print a line on standard error, unless it is not wanted."""
    if not quiet:
        click.echo(printable(text), err=True)


def transfer_line(source: object, target: object, size: int | None, note: str) -> str:
    """Say what would be copied; `size` in bytes, None where that is not known."""
    length = f"  {count(size, 'byte')}" if size is not None else ""
    return printable(f"{source} -> {target}{length}{note and f'  ({note})'}")
