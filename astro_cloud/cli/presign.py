"""``astro-cloud presign``: a URL that anything can read."""

from __future__ import annotations

from typing import Any

import click

from astro_cloud.auth.sigv4 import LONGEST_PRESIGNED
from astro_cloud.cli.access import access_options, client_for
from astro_cloud.cli.report import errors_told
from astro_cloud.storage import presign as presigned_url

__all__ = ["presign"]


@click.command(short_help="Print a URL of an object that anything can read.")
@click.argument("location")
@click.option(
    "--expires", type=click.IntRange(1, LONGEST_PRESIGNED), default=3600, show_default=True, help="Seconds."
)
@access_options
def presign(location: str, expires: int, request_payer: bool, **access: Any) -> None:
    """Print a URL of an object that curl, DS9 or a browser can read without credentials.

    LOCATION is s3://bucket/key or an https:// URL of S3; name its region if it does not. Nothing is
    sent. Whoever has the URL can read the object, until it expires.
    """
    with errors_told(), client_for(request_payer=request_payer, **access) as client:
        click.echo(presigned_url(location, expires, client=client, request_payer=request_payer))
