"""How pixels are shown: every one of them to a program, as many as can be looked at on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["MOST_SHOWN", "as_rows", "for_terminal"]

MOST_SHOWN = 1000
"""Pixels up to which a terminal shows all, as in NumPy."""

Array = np.ndarray[Any, Any]


def as_rows(values: Array) -> Iterator[str]:
    """Yield a line for each row of an image, with as many digits as tell its values apart.

    Planes, and what has more axes, have an empty line between them.
    """
    if values.ndim < 2:
        if values.size:
            yield " ".join(map(str, values.reshape(-1)))
        return
    for number, block in enumerate(values):
        if number and values.ndim > 2:
            yield ""
        yield from as_rows(block)


def for_terminal(values: Array, width: int) -> str:
    """Lay pixels out in columns, those in the middle of a large section left out, as NumPy does."""
    if not values.size:
        return ""
    text = np.array2string(
        values, max_line_width=width + values.ndim, threshold=MOST_SHOWN, floatmode="unique", separator=" "
    )
    return "\n".join(_bare(line, values.ndim) for line in text.split("\n"))


def _bare(line: str, axes: int) -> str:
    """Take the brackets off a line, and the spaces that stand for them; dots for rows have fewer of those."""
    inside = line.strip(" ") if line.strip() == "..." else line[axes:]
    return inside.rstrip("] ")
