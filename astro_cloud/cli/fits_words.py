"""What commands on FITS files take: HDUs and sections as they are written by hand, files by their names."""

from __future__ import annotations

from typing import Any

import click

from astro_cloud.cli.report import printable
from astro_cloud.fits.section_words import HDUKey, parse_hdu, parse_section, split_hdu

__all__ = ["FITS_NAMES", "HDUWords", "OutputFile", "SectionWords", "location_and_hdu"]

FITS_NAMES = (".fits", ".fit", ".fts")
"""How names of FITS files end."""


class HDUWords(click.ParamType):  # type: ignore[type-arg]  # click 8.1 knows no argument
    """A number, a name, or name,version."""

    name = "hdu"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read what was written; what is no HDU is told with an example."""
        try:
            return parse_hdu(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(printable(str(error)), param, ctx)


class SectionWords(click.ParamType):  # type: ignore[type-arg]  # click 8.1 knows no argument
    """A section, with the words it was given in."""

    name = "section"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read what was written; what is no section is told with an example."""
        try:
            return (value, parse_section(value)) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(printable(str(error)), param, ctx)


class OutputFile(click.ParamType):  # type: ignore[type-arg]  # click 8.1 knows no argument
    """A file whose name says what is to be written.

    Parameters
    ----------
    other : str
        How names end that are no FITS file's.
    """

    name = "file"

    def __init__(self, other: str) -> None:
        self.other = other

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Take the name as it is, if it ends as it is to."""
        if isinstance(value, str) and not value.lower().endswith((*FITS_NAMES, self.other)):
            said = f"{printable(value)}: its name is to end in .fits or {self.other}, by what is wanted"
            self.fail(said, param, ctx)
        return value


def location_and_hdu(location: str, hdu: HDUKey | None) -> tuple[str, HDUKey | None]:
    """Take the HDU in brackets off a location, unless it was named apart.

    Raises
    ------
    click.UsageError
        If what is in the brackets is no HDU.
    """
    if hdu is not None:
        return location, hdu
    try:
        return split_hdu(location)
    except ValueError as error:
        hint = "; name the object's HDU with --hdu if its key ends so"
        raise click.UsageError(printable(f"{error}{hint}")) from None
