"""How a place and a size are written by hand, as ``10h01m41.13s +02d25m20.58s`` and ``5arcsec``.

Pure, but for names of objects: those are asked of Sesame through astropy, within bounded time.
"""

from __future__ import annotations

import math
import re
import threading
from typing import TYPE_CHECKING

from astro_cloud.exceptions import StorageError, TransferTimeoutError

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from astropy.units import Quantity

__all__ = ["parse_pixel", "parse_position", "parse_size"]

_FRAMES = ("icrs", "fk5", "fk4", "galactic", "supergalactic", "ecliptic")
_IN_HOURS = frozenset({"icrs", "fk5", "fk4"})
_WRITE = 'write "10h01m41.13s +02d25m20.58s", "10:01:41.13 +02:25:20.58", or degrees: "150.42 2.42"'

_FLOAT = r"(?:\d{1,18}\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?"
_PLAIN = re.compile(rf"[+-]?{_FLOAT}", re.ASCII)
_PART = r"\d{1,18}(?:\.\d*)?"
_SEXAGESIMAL = re.compile(
    rf"(?P<sign>[+-]?)(?P<first>{_PART})\s*(?P<unit>[hd:\s])\s*"
    rf"(?:(?P<second>{_PART})\s*(?:[m:\s]\s*(?:(?P<third>{_PART})\s*s?)?)?)?",
    re.ASCII,
)
_SIGNS = (
    ("''", "s"), ('"', "s"), ("″", "s"), ("ˢ", "s"), ("'", "m"), ("′", "m"), ("ᵐ", "m"),
    ("°", "d"), ("ᵈ", "d"), ("ʰ", "h"), ("−", "-"),
)  # fmt: skip
_COORDINATES = re.compile(r"[\d+.:,\s-][\d+.:,\shmdseE-]*", re.ASCII)
_LONGEST_NAME = 200

_SIZE = re.compile(
    rf"(?P<number>[+-]?(?:{_FLOAT}|nan|inf(?:inity)?))\s*(?P<unit>.*)", re.ASCII | re.IGNORECASE
)
_SIZE_SIGNS = {'"': "arcsec", "″": "arcsec", "''": "arcsec", "'": "arcmin", "′": "arcmin", "°": "deg"}
_LONGEST_SIDE = 10**9
_UNIT = re.compile(r"[A-Za-zµμ]{1,20}")
"""What astropy may be asked for: it takes long over what is no unit."""
_PIXELS = frozenset({"", "pix", "pixel", "pixels", "px"})
_WRITE_SIZE = 'write "5arcsec", "0.5arcmin", "100" (pixels), or height and width: "5arcsec,10arcsec"'


def parse_position(text: str, frame: str = "icrs", *, timeout: float = 30.0) -> SkyCoord:
    """Read a place in the sky; what is no pair of coordinates is the name of an object.

    Parameters
    ----------
    text : str
        ``10h01m41.13s +02d25m20.58s``; ``10:01:41.13 +02:25:20.58``, or with spaces for the colons: hours
        and degrees, in galactic and ecliptic frames both are degrees; ``150.42 2.42`` or ``150.42,2.42``:
        degrees. Or a name, as ``M31``: its coordinates are asked of Sesame, at `sesame_url` of astropy.
    frame : str
        Of coordinates: icrs, fk5 (J2000), fk4 (B1950), galactic, supergalactic, ecliptic (the mean ecliptic
        of J2000 at the barycentre), or another ecliptic one as astropy names it. Names have none.
    timeout : float
        Seconds in which a name's coordinates have to be there.

    Returns
    -------
    SkyCoord
        In that frame; of a name, in ICRS.

    Raises
    ------
    ValueError
        If it is no place, there is no such frame, or nothing is known by that name.
    StorageError, TransferTimeoutError
        If nobody could be asked for the name; says what to write instead.
    """
    name = _frame(frame)
    written = text.strip()
    if not written:
        raise ValueError(f"there is no position: {_WRITE}, or an object's name")
    plain = written
    for sign, letter in _SIGNS:
        plain = plain.replace(sign, letter)
    if _COORDINATES.fullmatch(plain) is None:
        return _resolved(written, timeout)
    longitude, latitude = _halves(plain, text)
    degrees = (
        _degrees(longitude, text, hours=name in _IN_HOURS),
        _degrees(latitude, text, hours=False, only_degrees=True),
    )
    if abs(degrees[0]) > 360 or abs(degrees[1]) > 90:
        raise ValueError(f"{text!r} is no position: longitudes end at 360 degrees, latitudes at 90")
    from astropy.coordinates import SkyCoord

    return SkyCoord(*degrees, unit="deg", frame=name)


def _frame(frame: str) -> str:
    """Return astropy's name for a frame."""
    name = frame.strip().lower()
    if name == "ecliptic":
        return "barycentricmeanecliptic"
    if name not in _FRAMES:
        from astropy.coordinates import frame_transform_graph

        known = [one for one in frame_transform_graph.get_names() if one.endswith("ecliptic")]
        if name not in known:
            more = ", ".join(sorted(known))
            raise ValueError(f"there is no frame {frame!r}: take one of {', '.join(_FRAMES)}; or {more}")
    return name


def _halves(plain: str, text: str) -> tuple[str, str]:
    """Take a pair of coordinates apart: at a comma, at the second one's sign, or in the middle."""
    halves = plain.split(",")
    if len(halves) == 1:
        at = [match.start() for match in re.finditer(r"(?<=[^eE])[+-]", plain) if match.start()]
        words = plain.split()
        if len(at) == 1:
            halves = [plain[: at[0]], plain[at[0] :]]
        elif not at and len(words) % 2 == 0:
            halves = [" ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])]
    if len(halves) != 2 or not all(half.strip() for half in halves):
        raise ValueError(f"{text!r} is no position, it is not two coordinates: {_WRITE}")
    return halves[0].strip(), halves[1].strip()


def _degrees(half: str, text: str, *, hours: bool, only_degrees: bool = False) -> float:
    """Read one coordinate; `hours` says what colons are of."""
    if _PLAIN.fullmatch(half):
        return float(half)
    match = _SEXAGESIMAL.fullmatch(half)
    if match is None and half.endswith("d") and _PLAIN.fullmatch(half[:-1]):
        return float(half[:-1])
    if match is None or (only_degrees and match["unit"] == "h"):
        raise ValueError(f"{text!r} is no position, {half!r} is no coordinate: {_WRITE}")
    parts = [match["first"], match["second"], match["third"]]
    given = [part for part in parts if part is not None]
    if any("." in part for part in given[:-1]) or any(float(part) >= 60 for part in given[1:]):
        raise ValueError(f"{text!r} is no position: minutes and seconds of {half!r} are whole, or below 60")
    value = math.fsum(float(part) / 60.0**power for power, part in enumerate(given))
    in_hours = match["unit"] == "h" or (match["unit"] != "d" and hours)
    if in_hours and value > 24:
        raise ValueError(f"{text!r} is no position: {half!r} is more than 24 hours")
    return math.copysign(value * (15 if in_hours else 1), -1 if match["sign"] == "-" else 1)


def _resolved(name: str, timeout: float) -> SkyCoord:
    """Ask for an object's coordinates; astropy waits for each byte, and this for all of them."""
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise ValueError(f"{name[:40]!r}... is neither a position nor an object's name: {_WRITE}")
    answers: list[SkyCoord | Exception] = []
    asking = threading.Thread(target=_ask, args=(name, answers), name="astro-cloud-name", daemon=True)
    asking.start()
    asking.join(timeout)
    if not answers:
        raise TransferTimeoutError(
            f"the coordinates of {name!r} did not come within {timeout:g} seconds: {_instead(name)}"
        )
    answer = answers[0]
    if not isinstance(answer, Exception):
        return answer
    said = " ".join(str(answer).split())
    if "Unable to find coordinates" in said:
        raise ValueError(
            f"nothing is known by the name {name!r}: check how it is spelt, or write its position: {_WRITE} "
            f"(astropy: {said})"
        ) from answer
    raise StorageError(
        f"the coordinates of {name!r} could not be asked for, as without a network: {_instead(name)} "
        f"(astropy: {type(answer).__name__}: {said})"
    ) from answer


def _instead(name: str) -> str:
    return f"write the position of {name} itself: {_WRITE.removeprefix('write ')}"


def _ask(name: str, answers: list[SkyCoord | Exception]) -> None:
    from astropy.coordinates import SkyCoord

    try:
        answers.append(SkyCoord.from_name(name))
    except Exception as error:  # whatever it is, it is the answer
        answers.append(error)


def parse_size(text: str) -> int | Quantity | tuple[int | Quantity, int | Quantity]:
    """Read the size of a cutout: one side of a square, or height and width.

    Parameters
    ----------
    text : str
        ``5arcsec``, ``0.5 arcmin``, ``5"``, ``100`` (pixels), ``5arcsec,10arcsec``, ``100,50``.

    Returns
    -------
    int or Quantity, or a tuple of two
        Pixels or an angle; of two, (ny, nx).

    Raises
    ------
    ValueError
        If it is no size: not positive, not finite, no whole pixels or more than 1e9, another unit.
    """
    sides = [_side(part.strip(), text) for part in text.split(",")]
    if len(sides) > 2:
        raise ValueError(f"{text!r} is no size, it has more than height and width: {_WRITE_SIZE}")
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def _side(part: str, text: str) -> int | Quantity:
    match = _SIZE.fullmatch(part)
    if match is None:
        raise ValueError(f"{text!r} is no size, {part!r} begins with no number: {_WRITE_SIZE}")
    value, unit = float(match["number"]), match["unit"].strip()
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{text!r} is no size, {part!r} is not above zero and finite: {_WRITE_SIZE}")
    if unit.lower() in _PIXELS:
        if value != int(value):
            raise ValueError(f"{text!r} is no size: pixels are whole: {_WRITE_SIZE}")
        if value > _LONGEST_SIDE:
            raise ValueError(f"{text!r} is no size: a side has at most {_LONGEST_SIDE:,} pixels")
        return int(value)
    return _angle(value, _SIZE_SIGNS.get(unit, unit), text)


def _angle(value: float, name: str, text: str) -> Quantity:
    from astropy import units

    unit = units.Unit(name, parse_strict="silent") if _UNIT.fullmatch(name) else None
    if unit is None or not unit.is_equivalent(units.deg):
        raise ValueError(f"{text!r} is no size, {name!r} is no angle: {_WRITE_SIZE}")
    size = units.Quantity(value, unit)
    if not 0 < size.to_value(units.deg) <= 360:
        raise ValueError(f"{text!r} is no size: an angle is above 0 and at most 360 degrees")
    return size


def parse_pixel(text: str) -> tuple[float, float]:
    """Read a pixel, ``x,y``, 0-based, the middle of the first being 0,0.

    Raises
    ------
    ValueError
        If it is not two finite numbers.
    """
    halves = [half.strip() for half in (text.split(",") if "," in text else text.split())]
    if len(halves) != 2 or not all(_PLAIN.fullmatch(half) for half in halves):
        raise ValueError(f"{text!r} is no pixel: write x and y, from 0, as in 100.5,200")
    x, y = map(float, halves)
    if not (math.isfinite(x) and math.isfinite(y)):
        raise ValueError(f"{text!r} is no pixel: it is not finite")
    return x, y
