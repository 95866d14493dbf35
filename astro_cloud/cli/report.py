"""How headers and their cost are shown: as a table, cards, JSON; errors and warnings, as a line each."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from astro_cloud.exceptions import AstroCloudError, AstroCloudWarning
from astro_cloud.fits import FITSHeader
from astro_cloud.fits.layout import CARD
from astro_cloud.storage import S3_LIST_PRICES, Spent

__all__ = [
    "as_cards",
    "as_json",
    "as_table",
    "cost_lines",
    "count",
    "dimensions",
    "errors_told",
    "printable",
    "tell_error",
    "warnings_told",
]

_TITLES = ("No.", "Name", "Ver", "Type", "Dimensions", "Header offset", "Data offset", "Data size")
_RIGHT = frozenset({"No.", "Ver", "Header offset", "Data offset", "Data size"})


def as_table(headers: Sequence[FITSHeader]) -> str:
    """Lay headers out as a table, one line an HDU; offsets and sizes in bytes."""
    rows = [_TITLES, *(_row(header) for header in headers)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            text.rjust(width) if title in _RIGHT else text.ljust(width)
            for title, text, width in zip(_TITLES, row, widths, strict=True)
        ).rstrip()
        for row in rows
    )


def _row(header: FITSHeader) -> tuple[str, ...]:
    numbers = (f"{n:,}" for n in (header.offset, header.data_offset, header.data_length))
    kind = header.kind + (" (compressed)" if header.structure.compressed else "")
    return str(header.index), printable(header.name), str(header.version), kind, dimensions(header), *numbers


def dimensions(header: FITSHeader) -> str:
    """Say what the data unit holds: axes in FITS order (NAXIS1 first) and type, or rows and columns."""
    if header.is_table:
        return f"{math.prod(header.shape):,} rows x {header.structure.columns:,} columns"
    return " x ".join(map(str, header.shape[::-1])) + " " + header.dtype if header.shape else ""


def cost_lines(spent: Spent, whole: int | None, seconds: float) -> str:
    """Say what reading cost against reading the whole object of `whole` bytes."""
    said = (
        f"{count(spent.requests, 'request')} in {count(spent.round_trips, 'round trip')}, "
        f"{count(spent.bytes, 'byte')}, {seconds:.3f} s"
    )
    if not whole:
        return said
    prices = S3_LIST_PRICES
    return (
        f"{said}\n"
        f"{100 * spent.bytes / whole:.5f} % of the object's {whole:,} bytes\n"
        f"${prices.cost(spent.requests, spent.bytes):.6f} against ${prices.cost(1, whole):.2f} for the whole "
        f"object, sent out of {prices.region} at the list price of {prices.provider} ({prices.date})"
    )


def count(number: int, thing: str) -> str:
    """Say how many things there are."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def as_cards(header: FITSHeader) -> Iterable[str]:
    """Yield the card images of a header as text, END included, unprintable characters escaped."""
    text = header.raw.decode("latin-1")
    return (printable(text[at : at + CARD].rstrip()) for at in range(0, len(text), CARD))


def as_json(header: FITSHeader, *, full: bool) -> dict[str, Any]:
    """Describe a header in JSON's types; `shape` is in NumPy order, everything else in bytes."""
    described: dict[str, Any] = {
        "index": header.index,
        "name": header.name,
        "version": header.version,
        "type": header.kind,
        "compressed": header.structure.compressed is not None,
        "shape": list(header.shape),
        "dtype": header.dtype,
        "columns": header.structure.columns,
        "header_offset": header.offset,
        "header_length": header.length,
        "data_offset": header.data_offset,
        "data_length": header.data_length,
    }
    if full:
        text = header.raw.decode("latin-1")
        described["cards"] = [text[at : at + CARD] for at in range(0, len(text), CARD)]
    return described


def printable(text: str) -> str:
    """Escape what a terminal could take for a command."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def tell_error(error: BaseException) -> None:
    """Print an error on standard error, as one line."""
    click.echo(f"error: {printable(str(error))}", err=True)


@contextmanager
def errors_told() -> Iterator[None]:
    """Tell what goes wrong, in one line; the exit code is 1 then."""
    try:
        yield
    except AstroCloudError as error:
        tell_error(error)
        raise SystemExit(1) from None


@contextmanager
def warnings_told() -> Iterator[list[str]]:
    """Tell our warnings at the end, or before the error; they are in the list then.

    Astropy's are not told: what of them concerns a user is among ours.
    """
    import astropy  # noqa: F401  (imported while warnings are recorded, it would print its own)

    said: list[str] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", AstroCloudWarning)
            yield said
    finally:
        said += [str(one.message) for one in caught if issubclass(one.category, AstroCloudWarning)]
        for line in said:
            click.echo(f"warning: {printable(line)}", err=True)
