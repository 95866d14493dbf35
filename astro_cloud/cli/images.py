"""``astro-cloud info`` and ``section``: what is in FITS files, and pixels out of their images."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from astro_cloud.cli.access import access_options, client_for
from astro_cloud.cli.fits_words import HDUWords, OutputFile, SectionWords, location_and_hdu
from astro_cloud.cli.report import cost_lines, count, errors_told, printable, tell_error, warnings_told
from astro_cloud.cli.streams import standard_output
from astro_cloud.exceptions import FITSError, StorageError
from astro_cloud.fits.section_words import HDUKey, SectionKey
from astro_cloud.storage import Client
from astro_cloud.storage.destination import check_target, target_of
from astro_cloud.storage.whole_file import written_whole

if TYPE_CHECKING:
    from astro_cloud.fits.image_section import ImageSection

__all__ = ["info", "section"]


@click.command(short_help="List the HDUs of FITS files as astropy does.")
@click.argument("locations", metavar="LOCATION...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: an array with one object a location.")
@access_options
def info(locations: tuple[str, ...], as_json: bool, request_payer: bool, **access: Any) -> None:
    """List the HDUs of FITS files as astropy's info() does, reading only their headers.

    LOCATION is s3://bucket/key, an https:// URL or a file. Dimensions are in the standard's order, NAXIS1
    first. What it cost goes to standard error. The exit code is 1 if a location failed; the others are
    shown all the same.
    """
    described = []
    with client_for(request_payer=request_payer, **access) as client:
        for number, location in enumerate(locations):
            if number and not as_json:
                click.echo()
            described.append(_inform(location, client, as_json=as_json, request_payer=request_payer))
    if as_json:
        click.echo(json.dumps(described, indent=2))
    if any(one["error"] is not None for one in described):
        raise SystemExit(1)


def _inform(location: str, client: Client, *, as_json: bool, request_payer: bool) -> dict[str, Any]:
    """Show what is at a location, up to the first error, and describe it in JSON's types."""
    from astro_cloud.fits.summary import read_summary

    before, start = client.usage.since(), time.perf_counter()
    with warnings_told() as said:
        summary = read_summary(location, client=client, request_payer=request_payer)
        spent = client.usage.since(before)
        if not as_json and (summary.hdus or summary.error is None):
            click.echo("\n".join(map(printable, summary.lines())))
        if summary.error is not None:
            error = {"type": type(summary.error).__name__, "message": str(summary.error)}
        elif not as_json:
            click.echo(cost_lines(spent, None, time.perf_counter() - start), err=True)
    if summary.error is not None:
        tell_error(summary.error)
    return {
        "location": location,
        "hdus": [hdu.as_dict() for hdu in summary.hdus],
        "warnings": said,
        "error": None if summary.error is None else error,
        **spent._asdict(),
    }


class _TakesNegative(click.Command):
    """Takes ``-5:,0:3`` for the section it is, and not for options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        sections = [text for text in args if re.match(r"-\d", text)]
        if sections and "--" not in args:
            args = [*(text for text in args if text not in sections), "--", *sections]
        return super().parse_args(ctx, args)


@click.command(cls=_TakesNegative, short_help="Print pixels of an image, or write them to a file.")
@click.argument("location", metavar="LOCATION[HDU]")
@click.argument("section", type=SectionWords(), metavar="SECTION")
@click.option(
    "-o", "--output", type=OutputFile(".npy"), metavar="FILE", help="Write a .fits or .npy file instead."
)
@click.option(
    "--hdu",
    type=HDUWords(),
    metavar="HDU",
    help="Number, name, or name,version; LOCATION is taken as it is then.",
)
@access_options
def section(
    location: str,
    section: tuple[str, SectionKey],
    output: str | None,
    hdu: HDUKey | None,
    request_payer: bool,
    **access: Any,
) -> None:
    """Print pixels of an image, a row a line, or write them to a file, reading no others.

    \b
      astro-cloud section 's3://bucket/key[1]' 10:13,20:22
      astro-cloud section 's3://bucket/key[SCI,2]' '...,:100,:100' -o corner.fits

    The HDU in brackets is a number, a name, or name,version; without it, it is the first with an image.
    Quote it: shells take brackets for a pattern. SECTION is in NumPy's order (y, x), counted from 0, its
    ends not included: numbers, slices with a step, negative ones, and dots for all other axes.

    A .fits file has the HDU's header, its world coordinates moved to the section; an axis of which one
    pixel was taken stays. A file that is there is replaced.
    """
    words, key = section
    location, hdu = location_and_hdu(location, hdu)
    with errors_told(), client_for(request_payer=request_payer, **access) as client:
        target = None if output is None else target_of(output)
        if target is None:
            standard_output()
        else:
            check_target(target)
        with warnings_told():
            _take(location, hdu, key, words, target, client, request_payer=request_payer)


def _take(
    location: str,
    hdu: HDUKey | None,
    key: SectionKey,
    words: str,
    target: Path | None,
    client: Client,
    *,
    request_payer: bool,
) -> None:
    """Read a section, and show it or write it."""
    from astro_cloud.fits import open as open_fits
    from astro_cloud.fits.image_section import ImageSection, find_image

    start = time.perf_counter()
    with open_fits(location, client=client, request_payer=request_payer) as hdus:
        index, image = find_image(hdus, hdu)
        try:
            cut = ImageSection.of(index, image, key)
        except ValueError as error:
            raise FITSError(f"{location}: HDU {index} of the shape {image.shape}: {error}") from error
        except IndexError as error:
            raise click.UsageError(f"{words!r}: {error}; HDU {index} has the shape {image.shape}") from None
        try:
            cut.box  # noqa: B018 -- the pixels are read here, and fail here
        except (
            TypeError,
            ValueError,
            ArithmeticError,
        ) as error:  # a header that astropy takes and cannot use
            raise FITSError(f"{location}: the pixels of HDU {index} cannot be made: {error}") from error
        except MemoryError:
            raise StorageError(f"{words} of {location} does not fit into memory: take less at once") from None
        seconds = time.perf_counter() - start
        _tell(cut, chosen=hdu is None)
        if target is not None:
            _write(cut, words, target)
        click.echo(cost_lines(client.usage.since(), None, seconds), err=True)
        if target is None:
            _print(cut)


def _tell(cut: ImageSection, *, chosen: bool) -> None:
    hdu = cut.hdu
    name = f" ({hdu.name},{hdu.ver})" if hdu.name else ""
    how = ", the first with an image" if chosen else ""
    click.echo(printable(f"HDU {cut.index}{name}{how}: shape {cut.shape}, {cut.box.dtype}"), err=True)


def _print(cut: ImageSection) -> None:
    from astro_cloud.cli.pixels import MOST_SHOWN, as_rows, for_terminal

    values = cut.values
    if not sys.stdout.isatty():
        for line in as_rows(values):
            click.echo(line)
    elif values.size:
        click.echo(for_terminal(values, shutil.get_terminal_size().columns))
        if values.size > MOST_SHOWN:
            hint = f"{count(values.size, 'pixel')}, shortened: -o FILE.npy or -o FILE.fits has all of them"
            click.echo(hint, err=True)


def _write(cut: ImageSection, words: str, target: Path) -> None:
    if target.suffix.lower() == ".npy":
        import numpy as np

        with written_whole(target) as file:
            np.save(file, cut.values, allow_pickle=False)
        return
    from astro_cloud.fits.image_section import write_hdus

    hdu, notes = cut.as_fits(words)
    for note in notes:
        click.echo(f"warning: {printable(note)}", err=True)
    write_hdus(hdu, target)
