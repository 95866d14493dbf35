"""The command ``astro-cloud`` and its list of subcommands."""

from __future__ import annotations

import click

from astro_cloud import __version__
from astro_cloud.cli.demo import demo
from astro_cloud.cli.headers import headers

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="astro-cloud")
def main() -> None:
    """FITS files in cloud object stores, with the fewest round trips and bytes."""


main.add_command(demo)
main.add_command(headers)
