"""Options every command takes that reads a location: who signs, who pays, where the store is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import click

from astro_cloud.auth import Anonymous
from astro_cloud.storage import Client, Settings

__all__ = ["access_options", "client_for"]

_F = TypeVar("_F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--request-payer", is_flag=True, help="Offer to pay, at a requester-pays bucket."),
    click.option("--profile", metavar="NAME", help="Profile of the shared AWS files to sign with."),
    click.option(
        "--region", metavar="NAME", help="Region of the bucket, where the location does not name it."
    ),
    click.option("--endpoint-url", metavar="URL", help="S3-compatible endpoint that s3:// is read from."),
    click.option("--anonymous", is_flag=True, help="Send no credentials."),
)


def access_options(command: _F) -> _F:
    """Add the options of access to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def client_for(
    *,
    request_payer: bool,
    profile: str | None,
    region: str | None,
    endpoint_url: str | None,
    anonymous: bool,
    workers: int | None = None,
) -> Client:
    """Make the client that the options of access ask for, with so many connections.

    Raises
    ------
    click.UsageError
        If `anonymous` meets an option that needs credentials, or `region` is no region's name.
    """
    if anonymous and (request_payer or profile):
        raise click.UsageError("--anonymous sends no credentials: leave out --request-payer and --profile")
    try:
        settings = Settings(endpoint_url=endpoint_url, region=region, profile=profile)
        if workers is not None:
            settings = replace(settings, concurrency=workers)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return Client(auth=Anonymous() if anonymous else None, settings=settings)
