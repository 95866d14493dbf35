"""Warnings that point at the user's line, however deep inside they arise."""

from __future__ import annotations

import sys
import warnings

from astro_cloud.exceptions import AstroCloudWarning

__all__ = ["warn"]

_INSIDE = ("astro_cloud.", "astropy.")


def warn(message: str) -> None:
    """Warn whoever called into this package, or into astropy on top of it."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and f"{frame.f_globals.get('__name__', '')}.".startswith(_INSIDE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, AstroCloudWarning, stacklevel=level)
