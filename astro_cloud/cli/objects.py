"""``astro-cloud ls``, ``cat`` and ``stat``: what is there, its bytes, and what is known of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import click

from astro_cloud.cli.access import access_options, client_for
from astro_cloud.cli.report import errors_told, printable, tell_error
from astro_cloud.cli.streams import standard_output
from astro_cloud.exceptions import AstroCloudError, InvalidLocationError, StorageError
from astro_cloud.storage import Client, CommonPrefix, Location, ObjectInfo
from astro_cloud.storage.glob import Glob
from astro_cloud.storage.listing import split_location

__all__ = ["cat", "ls", "stat"]

_CHUNK = 1 << 26
_DIGITS = 18  # what is read from there still ends within the 64 bits of a file's offsets


class _Range(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """START:STOP, as a slice in Python; either may be left out or count from the end."""

    name = "start:stop"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> slice:
        if isinstance(value, slice):
            return value
        match = re.fullmatch(r"(-?\d+)?:(-?\d+)?", value, re.ASCII)
        if match is None:
            self.fail(f"{value!r} is not START:STOP, such as 0:2880, 2880: or -80:", param, ctx)
        if any(len((bound or "").lstrip("-")) > _DIGITS for bound in match.groups()):
            self.fail(f"no object is that long: a bound has up to {_DIGITS} digits", param, ctx)
        return slice(*(int(bound) if bound else None for bound in match.groups()))


@click.command(short_help="List the objects of a bucket or a folder.")
@click.argument("location")
@click.option("-r", "--recursive", is_flag=True, help="List all objects, not one folder.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each object or folder.")
@access_options
def ls(location: str, recursive: bool, as_json: bool, request_payer: bool, **access: Any) -> None:
    """List what begins with a location: size in bytes, date (UTC), location of each object; and folders.

    LOCATION is s3://bucket, s3://bucket/folder/, a local folder, or a pattern such as
    's3://bucket/night/*.fits', in which ** crosses folders.
    """
    delimiter = None if recursive or _crosses_folders(location) else "/"
    with errors_told(), client_for(request_payer=request_payer, **access) as client:
        try:
            found = client.list_objects(location, delimiter=delimiter, request_payer=request_payer)
        except InvalidLocationError:
            raise
        except ValueError as error:
            raise click.UsageError(printable(str(error))) from None
        entry = None
        for entry in found:
            click.echo(json.dumps(_as_dict(entry)) if as_json else _line(entry))
        if entry is None and Location.parse(location, client.settings, prefix=True).key:
            raise StorageError(f"{location}: there is nothing that begins so", location=location)


@click.command(short_help="Write the bytes of an object to standard output.")
@click.argument("location")
@click.option("--range", "wanted", type=_Range(), default=":", help="Bytes from START up to, not with, STOP.")
@access_options
def cat(location: str, wanted: slice, request_payer: bool, **access: Any) -> None:
    """Write the bytes of an object, or a range of them, to standard output.

    All are of one version of the object. A bound that is negative counts from the end, as in Python.
    """
    with errors_told(), client_for(request_payer=request_payer, **access) as client:
        output = standard_output()
        for chunk in _chunks(client, location, wanted, request_payer=request_payer):
            output.write(chunk)
        output.flush()


@click.command(short_help="Print what is known of objects without their bytes.")
@click.argument("locations", metavar="LOCATION...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each object.")
@access_options
def stat(locations: tuple[str, ...], as_json: bool, request_payer: bool, **access: Any) -> None:
    """Print size, date, ETag, version and type of objects, by one request each.

    The exit code is 1 if a location failed; the others are shown all the same.
    """
    failed = False
    with client_for(request_payer=request_payer, **access) as client:
        for location in locations:
            try:
                info = client.stat(location, request_payer=request_payer)
            except AstroCloudError as error:
                failed = True
                tell_error(error)
                continue
            click.echo(json.dumps(_as_dict(info)) if as_json else _description(info))
    if failed:
        raise SystemExit(1)


def _crosses_folders(location: str) -> bool:
    """Tell whether a location ends in a pattern that reaches into folders, which leaves none to show."""
    _, pattern = split_location(location)
    return pattern is not None and Glob(pattern).crosses


def _chunks(client: Client, location: str, wanted: slice, **access: Any) -> Iterator[bytes]:
    """Read a range piece by piece; its bounds are counted from the end once that is known."""
    source = client.pin(location, **access)
    start, stop = wanted.start or 0, wanted.stop
    if start < 0 or (stop is not None and stop < 0):
        source.read_ranges([(0, 1)])
        if source.size is None:
            raise StorageError(f"{location}: the server does not tell where the end is", location=location)
        start, stop, _ = wanted.indices(source.size)
    if stop is not None and stop <= start and source.size is None:
        source.read_ranges([(0, 1)])  # no bytes are wanted, but of an object that is there
    begin = start
    while stop is None or start < stop:
        end = start + _CHUNK if stop is None else min(start + _CHUNK, stop)
        chunk = source.read_ranges([(start, end)])[0]
        if not chunk:
            break
        yield chunk
        start += len(chunk)
    if start == begin and begin > 0 and (stop is None or begin < stop):
        raise StorageError(f"{location}: byte {begin} is behind its end, {source.size}", location=location)


def _line(entry: ObjectInfo | CommonPrefix) -> str:
    where = printable(str(entry.location))
    if isinstance(entry, CommonPrefix):
        return f"{'':>18}  {'':19}  {where}"
    date = f"{entry.last_modified:%Y-%m-%d %H:%M:%S}" if entry.last_modified is not None else ""
    return f"{entry.size:18,}  {date:19}  {where}"


def _description(info: ObjectInfo) -> str:
    fields = _as_dict(info) | {"size": f"{info.size:,} bytes"}
    width = max(map(len, fields))
    shown = {name: value for name, value in fields.items() if value is not None}
    return "\n".join(f"{name:{width}}  {printable(str(value))}" for name, value in shown.items())


def _as_dict(entry: ObjectInfo | CommonPrefix) -> dict[str, Any]:
    if isinstance(entry, CommonPrefix):
        return {"location": str(entry.location), "prefix": True}
    date = entry.last_modified.isoformat() if entry.last_modified is not None else None
    return {
        "location": str(entry.location),
        "size": entry.size,
        "last_modified": date,
        "etag": entry.etag,
        "version": entry.version,
        "content_type": entry.content_type,
    }
