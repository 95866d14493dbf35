"""The errors of cutouts that are not in an image, which are astropy's own, too.

Programs written for `astropy.nddata.Cutout2D` catch those; `astro_cloud.exceptions`, which imports no
astropy, has the ones to catch here.
"""

from __future__ import annotations

from astropy import nddata

from astro_cloud import exceptions

__all__ = ["NoOverlapError", "PartialOverlapError"]


class NoOverlapError(exceptions.NoOverlapError, nddata.NoOverlapError):
    """No pixel of the image, or of any image of the file, is in the cutout."""


class PartialOverlapError(exceptions.PartialOverlapError, nddata.PartialOverlapError):
    """Not all pixels of the cutout are in the image, and ``mode="strict"`` wants all."""
