"""``astro-cloud cp``: objects to files, files to objects."""

from __future__ import annotations

import errno
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from astro_cloud.cli.access import access_options, client_for
from astro_cloud.cli.cp_plan import STDIO, plan_of
from astro_cloud.cli.cp_report import tell
from astro_cloud.cli.cp_ways import Options, Way, way_of
from astro_cloud.cli.report import errors_told, printable, tell_error
from astro_cloud.exceptions import AstroCloudError, AstroCloudWarning, StorageError
from astro_cloud.storage.checksum import parse_checksum

__all__ = ["cp"]


def _checked(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    if text is not None:
        try:
            parse_checksum(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return text


@click.command(short_help="Copy objects to files, and files to objects.")
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.argument("destination")
@click.option("-r", "--recursive", is_flag=True, help="Copy all that is in the folder SOURCE.")
@click.option("-n", "--dry-run", is_flag=True, help="Print what would be copied, and copy nothing.")
@click.option("--no-clobber", is_flag=True, help="Leave files and objects alone that are there.")
@click.option("--no-resume", is_flag=True, help="Begin anew, and leave nothing of what fails.")
@click.option(
    "--checksum", metavar="NAME", callback=_checked, help="Hold the bytes to this one, such as sha256."
)
@click.option("--no-checksum", is_flag=True, help="Compare downloads with no checksum.")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Connections; by default up to 16.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
@access_options
def cp(
    sources: tuple[str, ...],
    destination: str,
    recursive: bool,
    dry_run: bool,
    no_clobber: bool,
    no_resume: bool,
    checksum: str | None,
    no_checksum: bool,
    workers: int | None,
    quiet: bool,
    request_payer: bool,
    **access: Any,
) -> None:
    """Copy objects to files, or files to objects, several at once, and check their bytes.

    One of SOURCE and DESTINATION is of this machine, the other a location such as s3://bucket/key; - is
    standard input or output. A SOURCE that ends in a slash, or is a pattern such as
    's3://bucket/night/*.fits', is copied with its folders. Of several, those are left out that
    are there already. What is interrupted is gone on with by the same command.

    The exit code is 1 if something could not be copied; the others are copied all the same.
    """
    if checksum is not None and no_checksum:
        raise click.UsageError("--checksum and --no-checksum contradict each other")
    options = Options(
        workers=workers,
        resume=not no_resume,
        checksum=checksum if checksum is not None else not no_checksum,
        clobber=not no_clobber,
        quiet=quiet,
        access={"request_payer": request_payer},
    )
    client = client_for(request_payer=request_payer, workers=workers, **access)
    can_go_on = options.resume and not dry_run and STDIO not in (*sources, destination)
    with (
        _interrupts_told(can_go_on),
        _warnings_told(),
        errors_told(),
        _mistakes_told(destination),
        client,
    ):
        way = way_of(client, plan_of(sources, destination, client.settings, recursive=recursive), options)
        if dry_run:
            _rehearse(way)
        else:
            start = time.perf_counter()
            tell(way.copy(), time.perf_counter() - start, quiet=quiet)


def _rehearse(way: Way) -> None:
    failed = False
    everything = way.found()
    way.check()
    for found in everything:
        try:
            if found.error is not None:
                raise found.error
            line = None if found.is_folder else way.rehearsed(found)
        except AstroCloudError as error:
            failed = True
            tell_error(error)
        else:
            if line is not None:
                click.echo(line)
    if failed:
        raise SystemExit(1)


@contextmanager
def _interrupts_told(kept: bool) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        then = ": what has come is kept, and the same command goes on from there" if kept else ""
        click.echo(f"interrupted{then}", err=True)
        raise SystemExit(130) from None


@contextmanager
def _warnings_told() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("always", AstroCloudWarning)
        warnings.showwarning = _show_warning
        yield


def _show_warning(message: Warning | str, *where: object, **options: object) -> None:
    click.echo(f"warning: {printable(str(message))}", err=True)


@contextmanager
def _mistakes_told(destination: str) -> Iterator[None]:
    """Tell what the system refuses, and arguments that make no sense to a store."""
    try:
        yield
    except AstroCloudError:
        raise
    except ValueError as error:
        raise click.UsageError(printable(str(error))) from None
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # whoever reads us has seen enough
        where = error.filename or ("standard output" if destination == STDIO else destination)
        raise StorageError(f"{where}: {error.strerror or error}") from None
