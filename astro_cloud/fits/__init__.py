"""HIGH: what the bytes mean. Knows FITS, knows no HTTP.

What needs astropy is imported when it is first asked for: who reads headers alone needs none of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from astro_cloud.auth import CloudService
from astro_cloud.fits.header import FITSHeader
from astro_cloud.fits.headers import PaymentSolution, load_headers

if TYPE_CHECKING:
    from astro_cloud.fits.hdulist import open
    from astro_cloud.fits.index import Index, save_index

__all__ = ["CloudService", "FITSHeader", "Index", "PaymentSolution", "load_headers", "open", "save_index"]

_ROOMS = {"Index": "index", "open": "hdulist", "save_index": "index"}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
