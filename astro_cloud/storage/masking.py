"""What of a location may be shown. Pure."""

from __future__ import annotations

import re

from astro_cloud.auth.masking import masked

__all__ = ["shown"]

_CONTAINER = re.compile(r"(?i)(?:az|abfss?)://[^/?#\s:@]+@")


def shown(text: str) -> str:
    """Return a location without password, token or signature.

    What stands before ``@`` in ``abfs://container@account`` is no user, unless a password goes with it.
    """
    match = _CONTAINER.match(text)
    return match[0] + masked(text[match.end() :]) if match is not None else masked(text)
