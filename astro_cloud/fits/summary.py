"""What is in a FITS file, as astropy's ``info()`` says it, as far as its headers can be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from astropy.io import fits

from astro_cloud.exceptions import AstroCloudError
from astro_cloud.fits.hdulist import open
from astro_cloud.storage import Client

__all__ = ["HDUSummary", "Summary", "read_summary"]

_TITLE = "No.    Name      Ver    Type      Cards   Dimensions   Format"


@dataclass(frozen=True, slots=True)
class HDUSummary:
    """A line of ``info()``.

    Attributes
    ----------
    index, name, version : int, str, int
    type : str
        Name of astropy's class.
    cards : int
        Of its header.
    dimensions : tuple of int, or str
        In the standard's order, NAXIS1 first; of a table ``"1282R x 129C"``.
    format : str
        Type of the pixels; of a table the formats of its columns.
    """

    index: int
    name: str
    version: int
    type: str
    cards: int
    dimensions: Any
    format: str
    more: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        fields = asdict(self)
        del fields["more"]
        return fields | {"format": str(self.format)}

    def line(self) -> str:
        """Return it as astropy lays it out."""
        version = self.version if isinstance(self.version, int) else str(self.version)
        number = f"{self.index:3d}  {self.name:10}  {version:3} {self.type:11}  {self.cards:5d}"
        return f"{number}   {self.dimensions}   {self.format}   {self.more}".rstrip()


@dataclass
class Summary:
    """What was found at a location, up to the first error."""

    name: str
    hdus: list[HDUSummary] = field(default_factory=list)
    error: AstroCloudError | None = None

    def lines(self) -> Iterator[str]:
        """Yield the lines that astropy's ``info()`` prints."""
        yield f"Filename: {self.name}"
        yield _TITLE
        for hdu in self.hdus:
            yield hdu.line()


def read_summary(location: str, *, client: Client, request_payer: bool = False) -> Summary:
    """Read the headers of a file, and no data.

    Parameters
    ----------
    location : str
        See `open`; as are the other parameters.

    Returns
    -------
    Summary
        With the error that kept it from being read further, or at all; none is raised.
    """
    summary = Summary(location)
    try:
        with open(location, client=client, request_payer=request_payer) as hdus:
            summary.name = hdus.filename()
            for hdu in hdus:
                (described,) = fits.HDUList([hdu]).info(output=False)
                summary.hdus.append(HDUSummary(len(summary.hdus), *described[1:]))
    except AstroCloudError as error:
        summary.error = error
    return summary
