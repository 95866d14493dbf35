"""Headers of a FITS file with their offsets, reading nothing else: `load_headers`, `FITSHeader`.

What is read, and when, is decided in `chain`.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from astro_cloud.auth import CloudService
from astro_cloud.fits.blame import warn
from astro_cloud.fits.chain import Chain, CompressedWholeError
from astro_cloud.fits.header import FITSHeader
from astro_cloud.fits.source import ByteSource
from astro_cloud.storage import Client, Location

if TYPE_CHECKING:
    from requests.auth import AuthBase

    from astro_cloud.fits.index import Index

__all__ = ["PaymentSolution", "load_headers", "walk"]


class PaymentSolution(enum.Enum):
    """Who pays for a request."""

    AWSRequestPayer = "aws-request-payer"


def load_headers(
    url: str | os.PathLike[str] | Location,
    service: CloudService | None = None,
    payment_solution: PaymentSolution | None = None,
    *,
    predict: bool = True,
    index: Index | str | os.PathLike[str] | bool | None = None,
    auth: AuthBase | None = None,
    client: Client | None = None,
    request_payer: bool = False,
) -> Iterator[FITSHeader]:
    """Read the headers of a FITS file in an object store, and nothing else of it.

    Parameters
    ----------
    url : str, path or Location
        ``s3://bucket/key``, or any other form of `Location.parse`; a local file too.
    service : CloudService, optional
        The provider, where the location does not tell.
    payment_solution : PaymentSolution, optional
        ``PaymentSolution.AWSRequestPayer`` is the same as ``request_payer=True``.
    predict : bool
        Where a file repeats itself (SCI, ERR, DQ, SCI ...), fetch what are probably the next headers along
        with one: at most 64 KiB for each, which are in vain if the guess is wrong.
    index : Index, path or True, optional
        What `save_index` made, where, or that it was kept in its usual place: one byte is read, to see that
        it is current, and no header. One that is stale is made anew.
    auth : requests auth, optional
        Signs the requests; by default chosen for the location.
    client : Client, optional
        Reads the bytes, and is left open. By default one is made for this file.
    request_payer : bool
        Offer to pay for the requests, at a requester-pays bucket.

    Yields
    ------
    FITSHeader
        In the file's order, each as soon as it is known.

    Raises
    ------
    InvalidLocationError
        At once, if `url` names no object. All other errors come while iterating.
    NotFITSError, CorruptFITSError
        If the object is not FITS, or damaged; names the location, HDU and byte offset. Headers before
        the damage have been yielded by then.
    StorageError, CredentialsError
        If it cannot be read.

    Warns
    -----
    AstroCloudWarning
        If there are bytes behind the last HDU, its padding is missing, a header holds bytes that are
        not ASCII, or the file calls itself non-conforming. If the object is compressed whole (gzip, bzip2,
        xz, zip; compress, with the package uncompresspy): it is decompressed only as far as needed, and
        offsets are bytes of what is inside.

    Notes
    -----
    A read takes 22 blocks (just under 64 KiB) from where a header begins, so a round trip is spent
    only where a data unit separates two headers, and one more for a header longer than that. Of N HDUs
    that repeat a shape, at most 2 + log2 N round trips are.

    Examples
    --------
    >>> for header in load_headers("s3://bucket/cube.fits"):
    ...     print(header.name, header.data_offset, header.data_length)
    """
    settings = client.settings if client is not None else None
    location = Location.parse(url, settings)
    paying = request_payer or payment_solution is PaymentSolution.AWSRequestPayer
    return _load(location, client, predict, index, auth=auth, service=service, request_payer=paying)


def _load(
    location: Location, client: Client | None, predict: bool, index: Any, **access: Any
) -> Iterator[FITSHeader]:
    with ExitStack() as stack:
        if client is None:
            client = stack.enter_context(Client())
        if index is not None and index is not False:
            from astro_cloud.fits.index import renewed

            yield from renewed(location, index, lambda place: client.pin(place, **access)).headers
            return
        source = client.pin(location, **access)
        try:
            yield from walk(source, predict=predict)
        except CompressedWholeError as whole:  # seen with the first bytes, before any header
            from astro_cloud.fits.inflated import Inflated

            inside = Inflated(source, whole.compression)
            stack.callback(inside.close)
            warn(inside.cost)
            yield from walk(inside, predict=False)


def walk(source: ByteSource, *, predict: bool = True) -> Iterator[FITSHeader]:
    """Follow the chain of HDUs of a file; yields, raises and warns as `load_headers`."""
    chain = Chain(source, predict=predict)
    while (header := chain.advance()) is not None:
        if not header.raw.isascii():
            warn(
                f"{source.name}: the header of HDU {header.index} holds bytes that are not ASCII; "
                "header.raw keeps them, header.fits shows them as ?"
            )
        yield header
