"""Standard input and output, as bytes; a shell may have closed either."""

from __future__ import annotations

import sys
from typing import BinaryIO, TextIO

from astro_cloud.exceptions import StorageError

__all__ = ["standard_input", "standard_output"]


def standard_input() -> BinaryIO:
    """Return what standard input is read from.

    Raises
    ------
    StorageError
        If it is closed.
    """
    return _bytes_of(sys.stdin, "standard input")


def standard_output() -> BinaryIO:
    """Return what standard output is written to.

    Raises
    ------
    StorageError
        If it is closed.
    """
    return _bytes_of(sys.stdout, "standard output")


def _bytes_of(stream: TextIO | None, name: str) -> BinaryIO:
    if stream is None:  # as Python begins where its descriptor is closed
        raise StorageError(f"{name} is closed")
    return stream.buffer
