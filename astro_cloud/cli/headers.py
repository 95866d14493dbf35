"""``astro-cloud headers``: the headers of FITS files, with their offsets."""

from __future__ import annotations

import json
import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import click

from astro_cloud.cli.access import access_options, client_for
from astro_cloud.cli.report import as_cards, as_json, as_table, cost_lines, printable, tell_error
from astro_cloud.exceptions import AstroCloudError, AstroCloudWarning
from astro_cloud.fits import FITSHeader, load_headers
from astro_cloud.storage import Client, Spent

__all__ = ["headers"]


@click.command(short_help="List the HDUs of FITS files and where they are.")
@click.argument("locations", metavar="LOCATION...", nargs=-1, required=True)
@click.option("--json", "as_json_", is_flag=True, help="Print JSON: an array with one object a location.")
@click.option("--full", is_flag=True, help="Print all cards of each header.")
@access_options
def headers(
    locations: tuple[str, ...], as_json_: bool, full: bool, request_payer: bool, **access: Any
) -> None:
    """List the HDUs of FITS files and where they are, reading only their headers.

    LOCATION is s3://bucket/key or an https:// URL. Offsets and sizes are in bytes from the object's
    start, the size of the data with padding. What it cost goes to standard error. The exit code is 1
    if a location failed; the others are shown all the same.
    """
    with client_for(request_payer=request_payer, **access) as client:
        scans = []
        for location in locations:
            scan = _Scan.of(location, client, request_payer=request_payer)
            scans.append(scan)
            if not as_json_:
                _show(scan, titled=len(locations) > 1, full=full)
            _show_trouble(scan)
    if as_json_:
        click.echo(json.dumps([scan.as_json(full=full) for scan in scans], indent=2))
    if any(scan.error is not None for scan in scans):
        raise SystemExit(1)


@dataclass
class _Scan:
    """What was found at one location, up to the first error."""

    location: str
    seconds: float = 0.0
    spent: Spent = field(default_factory=Spent)
    headers: list[FITSHeader] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    error: AstroCloudError | None = None

    @classmethod
    def of(cls, location: str, client: Client, *, request_payer: bool) -> _Scan:
        scan = cls(location)
        before, start = client.usage.since(), time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", AstroCloudWarning)
            try:
                for header in load_headers(location, client=client, request_payer=request_payer):
                    scan.headers.append(header)
            except AstroCloudError as error:
                scan.error = error
        scan.seconds, scan.spent = time.perf_counter() - start, client.usage.since(before)
        ours = [warning for warning in caught if issubclass(warning.category, AstroCloudWarning)]
        scan.warnings = [str(warning.message) for warning in ours]
        return scan

    def as_json(self, *, full: bool) -> dict[str, Any]:
        error = self.error
        return {
            "location": self.location,
            "hdus": [as_json(header, full=full) for header in self.headers],
            "warnings": self.warnings,
            "error": None if error is None else {"type": type(error).__name__, "message": str(error)},
            **self.spent._asdict(),
        }


def _show(scan: _Scan, *, titled: bool, full: bool) -> None:
    if titled:
        click.secho(printable(scan.location), bold=True)
    if scan.headers:
        click.echo(as_table(scan.headers))
    if full:
        for header in scan.headers:
            click.secho(f"\nHDU {header.index} {printable(header.name)}".rstrip(), bold=True)
            click.echo("\n".join(as_cards(header)))
    if scan.error is None:
        click.echo(cost_lines(scan.spent, None, scan.seconds), err=True)
    if titled:
        click.echo()


def _show_trouble(scan: _Scan) -> None:
    for warning in scan.warnings:
        click.echo(f"warning: {printable(warning)}", err=True)
    if scan.error is not None:
        tell_error(scan.error)
