"""How long is this HDU? Card images in, byte counts out. Pure: knows no files, no HTTP, no astropy.

Reads only the few keywords that decide where things are, straight from the 80-byte card images.

Reference: FITS Standard 4.0, sections 3.3 (block and HDU structure), 4.1 and 4.2 (cards and values),
4.4.1 (mandatory keywords), 6 (random groups), 7.3.3 (heap), 10.1 (tile-compressed images).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

__all__ = [
    "BLOCK",
    "CARD",
    "TABLES",
    "MalformedHeaderError",
    "Structure",
    "find_end",
    "padded",
    "read_structure",
]

BLOCK = 2880
"""Bytes of a FITS block (section 3.1)."""
CARD = 80
"""Bytes of a card image (section 4.1)."""

TABLES = ("TABLE", "BINTABLE")
"""The XTENSIONs whose NAXIS2 counts rows (sections 7.2 and 7.3)."""

_LARGEST_DATA = 1 << 62
_MOST_AXES = 999
_BITPIX = frozenset({8, 16, 32, 64, -32, -64})
_END = re.compile(rb"END[ \0]{5}")
_INTEGER = re.compile(rb" *([+-]?\d{1,30})(?:\.0*)? *(?:/.*)?", re.DOTALL)
_LOGICAL = re.compile(rb" *([TF])(?:[ /].*)?", re.DOTALL)
_STRING = re.compile(rb" *'((?:[^']|'')*)'")
_NEEDED = re.compile(
    rb"(?:SIMPLE|XTENSION|BITPIX|Z?NAXIS\d{0,3}|PCOUNT|GCOUNT|GROUPS|TFIELDS|EXTNAME|EXTVER|ZIMAGE|ZBITPIX)"
)


class MalformedHeaderError(ValueError):
    """A header whose structural keywords make no sense.

    Parameters
    ----------
    message : str
        What is wrong.
    offset : int
        Bytes from the header's start to the card.
    """

    def __init__(self, message: str = "", offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset

    def __reduce__(self) -> tuple[type[MalformedHeaderError], tuple[str, int]]:
        return type(self), (str(self), self.offset)


@dataclass(frozen=True, slots=True)
class Structure:
    """What a header says about its data unit.

    Attributes
    ----------
    kind : str
        ``"PRIMARY"``, ``"GROUPS"`` (random groups), or the value of XTENSION.
    name : str
        EXTNAME in upper case; ``"PRIMARY"`` for a primary header without it; may be empty.
    version : int
        EXTVER; 1 without it.
    bitpix : int
        Bits per value, negative for floating point.
    axes : tuple of int
        NAXIS1, NAXIS2, ... in the standard's order: the first varies fastest.
    columns : int
        TFIELDS of a table; 0 for everything else.
    data_size : int
        Bytes of the data unit, heap included, padding not.
    conforming : bool
        False if the file itself says that it does not conform to the standard (SIMPLE = F).
    compressed : Structure or None
        The image inside a tile-compressed BINTABLE.
    """

    kind: str
    name: str
    version: int
    bitpix: int
    axes: tuple[int, ...]
    columns: int
    data_size: int
    conforming: bool = True
    compressed: Structure | None = None


def padded(size: int) -> int:
    """Round a count of bytes up to whole blocks."""
    return -(-size // BLOCK) * BLOCK


def find_end(data: bytes | bytearray, start: int, searched: int = 0) -> int | None:
    """Find where a header ends.

    Parameters
    ----------
    data : bytes
        Holds the header from `start` on.
    start : int
        Offset of the header's first card in `data`, bytes.
    searched : int
        Bytes after `start` known not to hold the END card.

    Returns
    -------
    int or None
        Bytes from `start` to the end of the END card, padding not included; None if `data` ends
        before it.
    """
    position = start + searched // CARD * CARD
    while (match := _END.search(data, position)) is not None:
        begin = match.start()
        if (begin - start) % CARD == 0:
            return begin - start + CARD if begin + CARD <= len(data) else None
        position = begin + 1
    return None


def read_structure(header: bytes, *, primary: bool) -> Structure:
    """Read what decides the size of a data unit out of a header.

    Parameters
    ----------
    header : bytes
        Card images, END included.
    primary : bool
        True for the first header of a file.

    Raises
    ------
    MalformedHeaderError
        If a mandatory keyword is missing, is no integer, or cannot be: unknown BITPIX, a negative
        axis, more than 999 axes, a data unit of more than 2**62 bytes.
    """
    cards = _Cards(header)
    kind = "PRIMARY" if primary else cards.string("XTENSION").rstrip().upper()
    bitpix, axes = cards.integer("BITPIX"), cards.axes("NAXIS")
    if bitpix not in _BITPIX:
        raise MalformedHeaderError(
            f"BITPIX = {bitpix} is not one of 8, 16, 32, 64, -32, -64", cards.at("BITPIX")
        )
    if primary and axes[:1] == (0,) and cards.logical("GROUPS"):
        kind = "GROUPS"
    return Structure(
        kind=kind,
        name=cards.string("EXTNAME", "PRIMARY" if primary else "").rstrip().upper(),
        version=cards.integer("EXTVER", 1),
        bitpix=bitpix,
        axes=axes,
        columns=cards.columns() if kind in TABLES else 0,
        data_size=_data_size(cards, kind, bitpix, axes),
        conforming=not primary or cards.logical("SIMPLE"),
        compressed=_compressed(cards) if kind == "BINTABLE" and cards.logical("ZIMAGE") else None,
    )


def _data_size(cards: _Cards, kind: str, bitpix: int, axes: tuple[int, ...]) -> int:
    """Equations 1, 2 and 4 of the standard: sections 4.4.1.1, 4.4.1.2 and 6.1.1."""
    groups, parameters = 1, 0
    if kind != "PRIMARY":
        groups, parameters = cards.count("GCOUNT"), cards.count("PCOUNT")
    if kind == "GROUPS":
        axes = axes[1:]
    if not axes:
        return 0
    values = math.prod(axes)
    size = abs(bitpix) // 8 * groups * (parameters + values)
    if size > _LARGEST_DATA:
        raise MalformedHeaderError(
            f"NAXISn = {axes} make a data unit of {size} bytes, more than any file holds", cards.at("NAXIS")
        )
    return size


def _compressed(cards: _Cards) -> Structure | None:
    """Read the image in a compressed table (section 10.1.1); None if its keywords make no sense."""
    try:
        axes, bitpix = cards.axes("ZNAXIS"), cards.integer("ZBITPIX")
    except MalformedHeaderError:
        return None
    if bitpix not in _BITPIX:
        return None
    return Structure("IMAGE", "", 1, bitpix, axes, 0, abs(bitpix) // 8 * math.prod(axes) if axes else 0)


def _text(value: bytes) -> str:
    """Decode a quoted string; what is not ASCII shows as ?, as in `FITSHeader.fits`."""
    return value.replace(b"''", b"'").decode("ascii", "replace").replace("\ufffd", "?")


class _Cards:
    """The structural cards of a header, by keyword; the first of each counts.

    Lower case and a value indicator out of its column are read as they are meant, as astropy does.
    """

    def __init__(self, header: bytes) -> None:
        self._cards: dict[bytes, tuple[int, int]] = {}
        self._header = header
        for offset in range(0, len(header), CARD):
            keyword, equals, _ = header[offset : offset + 10].partition(b"=")
            name = keyword.strip(b" ").upper()
            if equals and _NEEDED.fullmatch(name) and name not in self._cards:
                self._cards[name] = offset, offset + len(keyword) + 1

    def at(self, keyword: str) -> int:
        """Bytes from the header's start to a keyword's card; 0 where it is missing."""
        return self._cards.get(keyword.encode(), (0, 0))[0]

    def _value(self, keyword: str) -> bytes | None:
        if keyword.encode() not in self._cards:
            return None
        offset, begin = self._cards[keyword.encode()]
        return self._header[begin : offset + CARD]

    def integer(self, keyword: str, default: int | None = None) -> int:
        value = self._value(keyword)
        match = _INTEGER.fullmatch(value) if value is not None else None
        if match is not None:
            return int(match[1])
        if default is not None:
            return default
        raise self._wrong(keyword, value, "an integer")

    def count(self, keyword: str) -> int:
        number = self.integer(keyword)
        if number < 0:
            raise MalformedHeaderError(f"{keyword} = {number} is negative", self.at(keyword))
        return number

    def columns(self) -> int:
        """Read TFIELDS; of millions astropy would make columns before it finds that they are not there."""
        count = self.integer("TFIELDS", 0)
        if not 0 <= count <= _MOST_AXES:
            raise MalformedHeaderError(
                f"TFIELDS = {count} is not between 0 and {_MOST_AXES}", self.at("TFIELDS")
            )
        return count

    def logical(self, keyword: str) -> bool:
        match = _LOGICAL.fullmatch(self._value(keyword) or b"")
        return match is not None and match[1] == b"T"

    def string(self, keyword: str, default: str | None = None) -> str:
        value = self._value(keyword)
        match = _STRING.match(value) if value is not None else None
        if match is None:
            if default is not None:
                return default
            raise self._wrong(keyword, value, "a string")
        text = _text(match[1])
        return text[:-1] + self._continued(self.at(keyword)) if text.rstrip().endswith("&") else text

    def _continued(self, offset: int) -> str:
        """Read the CONTINUE cards (section 4.2.1.2) after the card at `offset`."""
        text = "&"
        while text.endswith("&"):
            offset += CARD
            card = self._header[offset : offset + CARD]
            match = _STRING.match(card[8:]) if card[:8] == b"CONTINUE" else None
            if match is None:
                break
            text = text[:-1] + _text(match[1]).rstrip()
        return text

    def axes(self, keyword: str) -> tuple[int, ...]:
        count = self.integer(keyword)
        if not 0 <= count <= _MOST_AXES:
            raise MalformedHeaderError(
                f"{keyword} = {count} is not between 0 and {_MOST_AXES}", self.at(keyword)
            )
        return tuple(self._axis(f"{keyword}{number}") for number in range(1, count + 1))

    def _axis(self, keyword: str) -> int:
        length = self.integer(keyword)
        if length < 0:
            raise MalformedHeaderError(f"{keyword} = {length} is negative", self.at(keyword))
        return length

    def _wrong(self, keyword: str, value: bytes | None, wanted: str) -> MalformedHeaderError:
        if value is None:
            return MalformedHeaderError(f"the mandatory keyword {keyword} is missing")
        shown = value.strip(b" ").decode("latin-1")
        return MalformedHeaderError(f"the value of {keyword} is not {wanted}: {shown!r}", self.at(keyword))
