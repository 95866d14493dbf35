"""How an HDU and a section are written by hand, as ``[SCI,2]`` and ``10:13,20:22``. Pure.

A section is what stands between the brackets of ``hdul[1].section[...]``: NumPy's order (y, x), 0-based,
end exclusive. An HDU is its number, its name, or name and version.
"""

from __future__ import annotations

import re
from types import EllipsisType

__all__ = ["HDUKey", "SectionKey", "parse_hdu", "parse_section", "split_hdu"]

HDUKey = int | str | tuple[str, int]
SectionKey = tuple[int | slice | EllipsisType, ...]

_IN_BRACKETS = re.compile(r"(?P<location>.+)\[(?P<hdu>[^\[\]/]*)\]", re.DOTALL)
_NUMBER = r"[+-]?\d{1,18}"
_SLICE = re.compile(rf"\s*({_NUMBER})?\s*:\s*({_NUMBER})?\s*(?::\s*({_NUMBER})?\s*)?", re.ASCII)
_WRITE = "write 10:13,20:22 for rows 10 to 12 and columns 20 to 21, counted from 0"


def split_hdu(text: str) -> tuple[str, HDUKey | None]:
    """Take the HDU in brackets off the end of a location; None where there is none.

    Raises
    ------
    ValueError
        If what is in the brackets is no HDU.
    """
    match = _IN_BRACKETS.fullmatch(text)
    if match is None:
        return text, None
    if ":" in match["hdu"]:
        raise ValueError(
            f"[{match['hdu']}] is no HDU: write [1], [SCI] or [SCI,2]; the section follows after a space, "
            "and a name with a colon is given with --hdu"
        )
    return match["location"], parse_hdu(match["hdu"])


def parse_hdu(text: str) -> HDUKey:
    """Read the number of an HDU, its name, or name and version.

    Raises
    ------
    ValueError
        If it is empty.
    """
    if re.fullmatch(r"\s*\d{1,9}\s*", text, re.ASCII):
        return int(text)
    name, comma, version = text.rpartition(",") if "," in text else (text, "", "")
    if not name.strip() or (comma and not re.fullmatch(r"\s*\d{1,9}\s*", version, re.ASCII)):
        raise ValueError(f"[{text}] is no HDU: write its number, its name, or both name and version: [SCI,2]")
    return (name.strip(), int(version)) if comma else name.strip()


def parse_section(text: str) -> SectionKey:
    """Read a section: numbers, slices and dots, with commas between them.

    Parameters
    ----------
    text : str
        ``10:13,20:22``, ``5,...,::2``, ``:,-100:``; brackets around it are let pass.

    Raises
    ------
    ValueError
        If it is none; says what to write.
    """
    inside = text.strip()
    if inside.startswith("[") and inside.endswith("]"):
        inside = inside[1:-1]
    key = tuple(_part(part, text) for part in inside.split(","))
    if sum(part is Ellipsis for part in key) > 1:
        raise ValueError(f"{text!r} is no section: the dots stand for all other axes, once")
    return key


def _part(part: str, text: str) -> int | slice | EllipsisType:
    if part.strip() == "...":
        return Ellipsis
    if re.fullmatch(rf"\s*{_NUMBER}\s*", part, re.ASCII):
        return int(part)
    match = _SLICE.fullmatch(part)
    if match is None:
        what = (
            f"it has {part.strip()!r}, which is" if part.strip() else "something is missing beside a comma,"
        )
        raise ValueError(f"{text!r} is no section ({what} neither number, slice nor ...): {_WRITE}")
    start, stop, step = (None if bound is None else int(bound) for bound in match.groups())
    if step == 0:
        raise ValueError(f"{text!r} is no section: a step of 0 leads nowhere")
    return slice(start, stop, step)
