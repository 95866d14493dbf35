"""The header of a section: world and physical coordinates of its pixels are what they were. Pure.

A section takes, along each axis, pixels at equal steps. With FITS's pixel numbers, from 1, pixel p' of the
section is pixel p = step p' + offset of the image, where offset = start + 1 - step for a 0-based start. All
that a header says by pixel number is rewritten by that; what cannot be is taken out, and said: a keyword
that is missing is seen, one that is wrong is believed.

References: FITS Standard 4.0, section 8 (world coordinates); Greisen & Calabretta 2002, A&A 395, 1061
(CRPIX, PC, CD, CDELT; alternates); Calabretta et al. 2004, draft paper IV (CPDIS, CQDIS); Shupe et al. 2005,
ASP Conf. 347, 491 (SIP); IRAF's physical coordinates (LTV, LTM), which are the pixels of the first image.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astropy.io.fits import Card, Header

__all__ = ["header_of_section"]

_ALTERNATES = ("", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ")

_STRUCTURE = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|GROUPS|BLOCKED|INHERIT|BSCALE|BZERO"
    r"|CHECKSUM|DATASUM|DATAMIN|DATAMAX"
    r"|Z(IMAGE|SIMPLE|TENSION|EXTEND|BITPIX|NAXIS\d*|TILE\d+|CMPTYPE|NAME\d+|VAL\d+|MASKCMP|QUANTIZ|DITHER0"
    r"|HECKSUM|DATASUM|PCOUNT|GCOUNT|BLANK|SCALE|ZERO|BLOCKED)"
)
"""What says how the data lie in a file, or what values the whole image has."""
_REGIONS = re.compile(r"(DATA|TRIM|BIAS|CCD|DET|AMP)SEC[A-Z0-9]?")
"""Parts of an image, by pixel number, and what their pixels are on a detector."""
_MAPPING = r"(WCSAXES|C(TYPE|RVAL|DELT|ROTA|RPIX|UNIT)\d+|(PC|CD)\d+_\d+|P[VS]\d+_\d+|L(ON|AT)POLE)"
_OLD_MATRIX = re.compile(r"(PC|CD)00\d00\d")
_MORE_OF_PRIMARY = re.compile(r"(A|B|AP|BP)_(ORDER|DMAX|\d_\d)|WAT\d_\d{3}|WCSDIM")
_TWICE = re.compile(rf"({_MAPPING})[A-Z]?|{_MORE_OF_PRIMARY.pattern}")
_BY_TABLE = re.compile(r"D2IM(DIS)?\d+[\w.]*|AXISCORR")
_OF_TABLES = re.compile(r"D2IM[\w.]*|AXISCORR|NPOL(EXT|FILE)")
_DISTORTION = r"(C[PQ](DIS|ERR)\d+|D[PQ]\d+)"
_PLATE = re.compile(r"AM[DRX][XYM]\w*|AMD[XY]\d+|PPO\d|CNPIX[12]|[XY]PIXELSZ|PLT(RA|DEC)\w+|PLTSCALE")


@dataclass(frozen=True, slots=True)
class _Axis:
    """Pixel p' of the section is pixel ``step * p' + offset`` of the image, both counted from 1."""

    number: int
    step: int
    offset: int

    @classmethod
    def of(cls, number: int, positions: range) -> _Axis:
        step = positions.step if len(positions) > 1 else 1  # one pixel stays as large as it is
        return cls(number, step, positions.start + 1 - step)

    @property
    def is_same(self) -> bool:
        return self.step == 1 and self.offset == 0

    def position(self, pixel: float) -> float:
        """Return where a place in the image is in the section."""
        return (pixel - self.offset) / self.step


class _CannotError(Exception):
    """The keywords cannot be rewritten; says why."""


def header_of_section(
    header: Header, positions: Sequence[range], *, with_tables: bool = False
) -> tuple[Header, list[str]]:
    """Make the header of a section of an image, which has as many axes as the image.

    Keywords of structure, compression, scaling and checksums are left out: they are for whoever writes the
    pixels. BLANK stays: it holds for pixels that are written as they were stored.

    Parameters
    ----------
    header : Header
        Of the image; of a tile-compressed one, as astropy shows it. It is not changed.
    positions : sequence of range
        The pixels along each axis of the image, 0-based, in NumPy order; a step may be negative. An axis of
        which one pixel is taken stays, so that the axes keep their numbers. They may lie outside of the
        image, where a section goes over its edge.
    with_tables : bool
        The tables that the primary coordinates name (LOOKUP and -TAB) go along, moved: leave what names them.

    Returns
    -------
    header : Header
        In it, CRPIX, PC, CD, CDELT and SIP of every description of coordinates, and the physical
        coordinates LTV and LTM, are those of the section.
    notes : list of str
        What else was taken out, and why: descriptions that need tables of other HDUs, regions by pixel
        number. Of the whole image nothing is.

    Raises
    ------
    ValueError
        If there are not as many axes as the image has.
    """
    axes = [_Axis.of(number, where) for number, where in enumerate(reversed(positions), 1)]
    if len(axes) != header.get("NAXIS", len(axes)):
        raise ValueError(f"positions along {len(axes)} axes, of an image of {header.get('NAXIS')}")
    new = header.copy()
    _keep_last(new)
    moved = [axis for axis in axes if not axis.is_same]
    notes = list(_coordinates(new, axes, moved, with_tables and all(axis.step == 1 for axis in axes[:2])))
    if moved or any(
        len(where) != header.get(f"NAXIS{n}", len(where)) for n, where in enumerate(reversed(positions), 1)
    ):
        regions = _remove(new, _REGIONS.fullmatch)
        if regions:
            notes.append(f"removed {', '.join(regions)}: they name pixels of the whole image")
    _remove(new, _STRUCTURE.fullmatch)
    return new, notes


def _coordinates(header: Header, axes: list[_Axis], moved: list[_Axis], with_tables: bool) -> Iterable[str]:
    """Rewrite what says where pixels are, and yield what had to be removed instead."""
    there = [a for a in _ALTERNATES if _names(header, re.compile(_MAPPING + a).fullmatch)]
    tables = _names(header, _BY_TABLE.fullmatch)
    if tables and not (with_tables and all(map(_by_lookup(header), tables))):
        yield from _removals(header, there, f"{tables[0]} names a table of another HDU")
        _remove(header, _OF_TABLES.fullmatch)
        there = []
    for alternate in there:
        try:
            _check(header, alternate, with_tables and not alternate)
            header.update(_rewritten(header, alternate, moved))
        except _CannotError as reason:
            yield from _removals(header, [alternate], str(reason))
    try:
        header.update(_sip(header, {axis.number: axis.step for axis in moved}))
    except _CannotError as reason:
        yield from _removals(header, there, str(reason))
    if moved:
        yield from _plate(header, moved)
        _physical(header, axes)


def _by_lookup(header: Header) -> Callable[[str], bool]:
    """Tell of a keyword whether it says that a table is looked up, or is a detail of one that does."""

    def is_lookup(name: str) -> bool:
        if re.fullmatch(r"(D2IM|CP)DIS\d+", name):
            return str(_value(header, name, "")).strip().lower() == "lookup"
        return re.fullmatch(r"D2IM\d+.*|DP\d+.*|CPERR\d+", name) is not None

    return is_lookup


def _check(header: Header, alternate: str, with_tables: bool) -> None:
    """Refuse descriptions that a header alone does not hold, even of the whole image."""
    found = _names(header, re.compile(_DISTORTION + alternate + r"(\..*)?").fullmatch)
    if found and not (with_tables and all(map(_by_lookup(header), found))):
        raise _CannotError(f"{found[0]} is a distortion by a table of another HDU, or of the whole image")
    for name in _names(header, re.compile(rf"CTYPE\d+{alternate}").fullmatch):
        if str(_value(header, name, "")).rstrip().endswith("-TAB") and not with_tables:
            raise _CannotError(f"{name} needs a table of another HDU")


def _rewritten(header: Header, alternate: str, moved: list[_Axis]) -> dict[str, float]:
    """Return the keywords of a description of coordinates that change.

    CRPIX is 0 where it is not given; an axis that has no keyword of its own has coordinates too.
    """
    new = {}
    for axis in moved:
        name = f"CRPIX{axis.number}{alternate}"
        new[name] = axis.position(_number(header, name, 0))
    steps = {axis.number: axis.step for axis in moved if axis.step != 1}
    return new | _matrix(header, alternate, steps) if steps else new


def _matrix(header: Header, alternate: str, steps: dict[int, int]) -> dict[str, float]:
    """Return the columns of the matrix for pixels that are larger along some axes.

    CDELT belongs to world axes in the presence of PC, and to pixel axes where there is none, CROTA or not.
    With CD it is to be ignored; who does not finds it as large as its column.
    """
    if not alternate and _names(header, _OLD_MATRIX.fullmatch):
        raise _CannotError("a matrix in an old form cannot be scaled")
    new = {}
    found = {
        kind: _names(header, re.compile(rf"{kind}\d+_\d+{alternate}").fullmatch) for kind in ("PC", "CD")
    }
    if found["PC"] and _names(header, re.compile(rf"CROTA\d+{alternate}").fullmatch):
        raise _CannotError("PC and CROTA contradict each other")
    for name in (*found["PC"], *found["CD"]):
        _, column = _indices(name)
        if column in steps:
            new[name] = _number(header, name, 0) * steps[column]
    if not (found["PC"] or found["CD"]) and _by_polynomial(header, alternate):
        raise _CannotError("a polynomial (TPV) without a matrix cannot be scaled")
    for axis, step in steps.items():
        if found["PC"]:
            new.setdefault(f"PC{axis}_{axis}{alternate}", float(step))
        elif found["CD"] and not any(axis in _indices(name) for name in found["CD"]):
            new[f"CD{axis}_{axis}{alternate}"] = float(step)  # astropy makes it 1 for an axis that has none
        delta = f"CDELT{axis}{alternate}"
        if not found["PC"] and (delta in header or not found["CD"]):
            new[delta] = _number(header, delta, 1) * step
    return new


def _by_polynomial(header: Header, alternate: str) -> bool:
    types = _names(header, re.compile(rf"CTYPE\d+{alternate}").fullmatch)
    return any(str(_value(header, name, "")).rstrip().endswith("TPV") for name in types)


def _indices(name: str) -> tuple[int, int]:
    row, column = re.findall(r"\d+", name)
    return int(row), int(column)


def _sip(header: Header, steps: dict[int, int]) -> dict[str, float]:
    """Return SIP's coefficients for larger pixels: powers of pixels, and in pixels what they add up to."""
    x, y = steps.get(1, 1), steps.get(2, 1)
    new = {}
    for kind, p, q in product(("A", "B", "AP", "BP"), range(10), range(10)):
        name = f"{kind}_{p}_{q}"
        if name in header:
            new[name] = _number(header, name, 0) * x**p * y**q / (x if kind[0] == "A" else y)
    for name, step in (("A_DMAX", x), ("B_DMAX", y)):
        if name in header:
            new[name] = _number(header, name, 0) / abs(step)
    return new


def _plate(header: Header, moved: list[_Axis]) -> Iterable[str]:
    """Move the plate solution of a digitized plate, or take it out."""
    if not _names(header, re.compile(r"CNPIX[12]").fullmatch):
        return
    try:
        if any(axis.step != 1 for axis in moved):
            raise _CannotError("the plate solution is for each pixel of the plate")
        new = {f"CNPIX{a.number}": _number(header, f"CNPIX{a.number}", 0) + a.offset for a in moved}
    except _CannotError as reason:
        yield f"removed {', '.join(_remove(header, _PLATE.fullmatch))}: {reason}"
    else:
        for name, value in new.items():
            if name in header:
                header[name] = int(value) if value == int(value) else value


def _physical(header: Header, axes: list[_Axis]) -> None:
    """Rewrite LTV and LTM, by which pixels are told in the first image: they are added if there are none."""
    try:
        for axis in axes:
            vector = f"LTV{axis.number}"
            value = axis.position(_number(header, vector, 0))
            rows = {
                name: _number(header, name, 0) / axis.step
                for name in _names(header, re.compile(rf"LTM{axis.number}_\d").fullmatch)
            }
            rows.setdefault(f"LTM{axis.number}_{axis.number}", 1 / axis.step)
            for name, new in {vector: value, **rows}.items():
                if name in header or not axis.is_same:
                    header[name] = new
    except _CannotError:
        _remove(header, re.compile(r"LTV\d|LTM\d_\d").fullmatch)


def _keep_last(header: Header) -> None:
    """Of cards of coordinates that are there twice keep the last, which WCSLIB believes."""
    for name in _names(header, _TWICE.fullmatch):
        if header.count(name) > 1:
            readable = [card.value for card in header.cards if card.keyword == name and _is_readable(card)]
            header.remove(name, remove_all=True)
            if readable:
                header[name] = readable[-1]


def _is_readable(card: Card) -> bool:
    from astropy.io.fits import VerifyError

    try:
        return card.value is not None
    except VerifyError:
        return False


def _number(header: Header, name: str, default: float) -> float:
    value = _value(header, name, default)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    raise _CannotError(f"{name} is not a number")


def _value(header: Header, name: str, default: float | str) -> object:
    from astropy.io.fits import VerifyError

    try:
        return header.get(name, default)
    except VerifyError as error:
        raise _CannotError(f"{name} cannot be read") from error


def _removals(header: Header, alternates: Iterable[str], reason: str) -> Iterable[str]:
    """Remove descriptions of coordinates, and yield what was."""
    for alternate in alternates:
        names = _remove(header, re.compile(rf"({_MAPPING}|{_DISTORTION}){alternate}(\..*)?").fullmatch)
        if not alternate:
            names += _remove(header, _MORE_OF_PRIMARY.fullmatch)
            names += _remove(header, _OLD_MATRIX.fullmatch)
        if names:
            which = f"the world coordinates {alternate}" if alternate else "the world coordinates"
            yield f"removed {which}: {reason}"


def _names(header: Header, is_meant: Callable[[str], object]) -> list[str]:
    return list(dict.fromkeys(name for name in header if is_meant(name)))


def _remove(header: Header, is_meant: Callable[[str], object]) -> list[str]:
    names = _names(header, is_meant)
    for name in names:
        header.remove(name, ignore_missing=True, remove_all=True)
    return names
