"""Words in a picture: in a font that is always there, as wide as there is room, and never taken for TeX.

Titles come from locations and headers, which hold anything: dollars, line ends, any script.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

__all__ = ["FONT", "broken", "drawable", "shortened", "side_by_side", "text_style", "width_of"]

FONT = "DejaVu Sans"
"""Which matplotlib brings along."""


def text_style(size: float, **more: Any) -> dict[str, Any]:
    """Return how matplotlib is to draw a text, of so many points, whatever its settings are."""
    return {"fontfamily": FONT, "fontsize": size, "usetex": False, "parse_math": False, **more}


def width_of(text: str, size: float) -> float:
    """Return about how wide a text of so many points is drawn, in pixels of 1/100 inch."""
    return sum(map(_advance, text)) * size * 100 / 72


@lru_cache(maxsize=4096)
def _advance(char: str) -> float:
    """Return how wide a character is, in parts of the font's size, with what hinting may add."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    style = FontProperties(family=FONT, size=100)
    twice, _, _ = TextToPath().get_text_width_height_descent(f"{char}{char}|", style, ismath=False)
    bar, _, _ = TextToPath().get_text_width_height_descent("|", style, ismath=False)
    return float(twice - bar) / 200 * 1.03


def drawable(text: str) -> str:
    """Escape what cannot be printed, and what the font has no sign for."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties(family=FONT)))
    return "".join(
        char if char.isprintable() and font.get_char_index(ord(char)) else ascii(char)[1:-1] for char in text
    )


def shortened(text: str, room: int) -> str:
    """Leave out the middle of a text that has more characters than there is room for."""
    if len(text) <= room:
        return text
    return text[: room // 2 - 1] + "…" + text[len(text) - (room - room // 2) :]


def broken(text: str, size: float, width: float, lines: int) -> list[str]:
    """Break a text that may have no spaces into lines no wider than `width`; its middle is left out at need.

    Parameters
    ----------
    text : str
    size : float
        In points.
    width : float
        In pixels.
    lines : int
        How many there may be at most.
    """
    text = shortened(text, 1000)
    room = len(text)
    while len(found := _lines(shortened(text, room), size, width)) > lines:
        room = min(room - 1, sum(map(len, found[:lines])))
    return found


def _lines(text: str, size: float, width: float) -> list[str]:
    lines, room = [""], width
    for char in text:
        room -= width_of(char, size)
        if room < 0 and lines[-1]:
            lines.append("")
            room = width - width_of(char, size)
        lines[-1] += char
    return lines


def side_by_side(parts: Iterable[str], size: float, width: float) -> list[str]:
    """Lay short texts out in lines no wider than `width`, dots between them."""
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]}  ·  {part}" if lines else part
        if lines and width_of(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines
