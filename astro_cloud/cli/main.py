"""The command ``astro-cloud`` and its list of subcommands."""

from __future__ import annotations

import errno
from typing import Any

import click

from astro_cloud import __version__
from astro_cloud.cli.cp import cp
from astro_cloud.cli.cutouts import cutout
from astro_cloud.cli.demo import demo
from astro_cloud.cli.headers import headers
from astro_cloud.cli.images import info, section
from astro_cloud.cli.objects import cat, ls, stat
from astro_cloud.cli.presign import presign

__all__ = ["main"]


class _Commands(click.Group):
    """Says in one line what keeps output from being written."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # whoever reads us has seen enough, as head does: click ends quietly
            raise click.ClickException(str(error)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="astro-cloud")
def main() -> None:
    """FITS files in cloud object stores, with the fewest round trips and bytes."""


for command in (cat, cp, cutout, demo, headers, info, ls, presign, section, stat):
    main.add_command(command)
