"""HIGH: what the bytes mean. Knows FITS, knows no HTTP.

What needs astropy is imported when it is first asked for: who reads headers alone needs none of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from astro_cloud.auth import CloudService
from astro_cloud.fits.header import FITSHeader
from astro_cloud.fits.headers import PaymentSolution, load_headers

if TYPE_CHECKING:
    from astro_cloud.fits.cutout_image import Cutout
    from astro_cloud.fits.cutting import cutout
    from astro_cloud.fits.hdulist import open
    from astro_cloud.fits.index import Index, save_index
    from astro_cloud.fits.many_cutouts import CutoutResult, cutouts

__all__ = [
    "CloudService",
    "Cutout",
    "CutoutResult",
    "FITSHeader",
    "Index",
    "PaymentSolution",
    "cutout",
    "cutouts",
    "load_headers",
    "open",
    "save_index",
]

_ROOMS = {
    "Cutout": "cutout_image",
    "CutoutResult": "many_cutouts",
    "Index": "index",
    "cutout": "cutting",
    "cutouts": "many_cutouts",
    "open": "hdulist",
    "save_index": "index",
}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
