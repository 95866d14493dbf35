"""The contenders of `images`: each opens a file and reads its headers, or a section, once.

A contender does its imports and finds its credentials, and returns the job that is timed. What it is told is
what `openers` tell of, and the section, half-open bounds for each axis; of a section whose
bytes lie where they can be counted out, also their byte ranges and the shape.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tests.benchmarks.contenders import peak, walk
from tests.benchmarks.image_jobs import checksum
from tests.benchmarks.openers import OPENERS, Opener, obstore_store

Order = Mapping[str, Any]
Contender = Callable[[Order], Callable[[], Any]]

OWN = "astro-cloud"
RAW = "obstore.get_ranges alone"


def own_headers(order: Order) -> Callable[[], int]:
    """Read headers with our generator, and parse each."""
    import astropy.io.fits  # noqa: F401 - loaded before the clock runs

    from astro_cloud.fits import load_headers

    auth = own_auth()
    return lambda: sum(len(header.fits) > 0 for header in load_headers(order["s3"], auth=auth))


def own_open(order: Order) -> Callable[[], Any]:
    """Open with ours."""
    import astropy.io.fits  # noqa: F401 - loaded before the clock runs

    from astro_cloud import fits as cloud_fits

    auth, opened = own_auth(), cloud_fits.open  # the name is resolved, and its module imported, here
    return lambda: opened(order["s3"], auth=auth)


def own_auth() -> Any:
    """Return our auth with its credentials found."""
    from astro_cloud.auth import AWSAuth

    auth = AWSAuth()
    auth.has_credentials()
    return auth


def headers_of(opener: Opener) -> Contender:
    """Make a contender that touches every header of what is opened."""

    def prepare(order: Order) -> Callable[[], int]:
        opened = opener(order)

        def job() -> int:
            with opened() as hdul:
                return walk(hdul)

        return job

    return prepare


def section_of(opener: Opener) -> Contender:
    """Make a contender that reads a section of the first extension of what is opened."""

    def prepare(order: Order) -> Callable[[], Any]:
        opened, section = opener(order), slices(order)

        def job() -> Any:
            with opened() as hdul:
                return np.array(hdul[1].section[section])

        return job

    return prepare


def slices(order: Order) -> tuple[slice, ...]:
    """Return the section as NumPy has it."""
    return tuple(slice(*bounds) for bounds in order["section"])


def rustfits_headers(order: Order) -> Callable[[], int]:
    """Read headers with rustfits."""
    import rustfits

    return lambda: sum(hdu.header is not None for hdu in rustfits.FITS(order["http"], remote="ranged"))


def rustfits_section(order: Order) -> Callable[[], Any]:
    """Read a section with rustfits."""
    import rustfits

    section = slices(order)
    return lambda: np.array(rustfits.FITS(order["http"], remote="ranged")[1][section])


def raw_ranges(order: Order) -> Callable[[], Any]:
    """Read the bytes of a section of float32 with obstore, told where they are."""
    import obstore

    store, key = obstore_store(order)
    starts, ends = zip(*order["runs"], strict=True)
    shape = [stop - start for start, stop in order["section"]]

    def job() -> Any:
        bodies = obstore.get_ranges(store, key, starts=starts, ends=ends)
        return np.frombuffer(b"".join(map(bytes, bodies)), ">f4").reshape(shape)

    return job


HEADERS: dict[str, Contender] = {
    "astro-cloud load_headers": own_headers,
    "astro-cloud fits.open": headers_of(own_open),
    **{name: headers_of(opener) for name, opener in OPENERS.items()},
    "rustfits remote=ranged": rustfits_headers,
}
SECTIONS: dict[str, Contender] = {
    "astro-cloud fits.open": section_of(own_open),
    **{name: section_of(opener) for name, opener in OPENERS.items()},
    "rustfits remote=ranged": rustfits_section,
    RAW: raw_ranges,
}


def contenders(order: Order) -> dict[str, Contender]:
    """Return who can do a job."""
    if not order["section"]:
        return HEADERS
    return {name: contender for name, contender in SECTIONS.items() if name != RAW or order["runs"]}


def measure(name: str, order: Order) -> list[float]:
    """Return seconds, seconds of CPU, and the answer of one contender's job; then its peak in MiB."""
    job = contenders(order)[name](order)
    wall, cpu = time.perf_counter(), time.process_time()
    found = job()
    seconds = [time.perf_counter() - wall, time.process_time() - cpu]
    return [*seconds, found if isinstance(found, int) else checksum(found), peak()]
