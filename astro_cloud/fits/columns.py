"""How many bytes a cell of a binary table takes. Pure.

Reference: FITS Standard 4.0, section 7.3.1, table 18 (TFORMn).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["ELEMENT_BYTES", "CellFormat", "read_format"]

ELEMENT_BYTES = {
    "L": 1, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8, "C": 8, "M": 16, "P": 8, "Q": 16
}  # fmt: skip
"""Bytes of one element, by its code; bits (X) are packed, and not here."""

_TFORM = re.compile(r"\s*(\d{0,18})([LXBIJKAEDCMPQ])(?:\(?.*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class CellFormat:
    """What a TFORM says of the cells of a column.

    Attributes
    ----------
    repeat : int
        Elements of a cell; of text its characters.
    code : str
        The letter for what they are.
    """

    repeat: int
    code: str

    @property
    def width(self) -> int:
        """Bytes of a cell; of a descriptor its own, not those it points at."""
        return -(-self.repeat // 8) if self.code == "X" else self.repeat * ELEMENT_BYTES[self.code]


def read_format(form: str) -> CellFormat | None:
    """Read a TFORM of a binary table; None if it is none."""
    match = _TFORM.fullmatch(form)
    return None if match is None else CellFormat(int(match[1] or 1), match[2])
