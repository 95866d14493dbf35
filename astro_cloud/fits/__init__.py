"""HIGH: what the bytes mean. Knows FITS, knows no HTTP."""

from astro_cloud.auth import CloudService
from astro_cloud.fits.header import FITSHeader
from astro_cloud.fits.headers import PaymentSolution, load_headers

__all__ = ["CloudService", "FITSHeader", "PaymentSolution", "load_headers"]
