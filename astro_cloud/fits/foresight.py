"""Where the next headers of a file probably are, from the HDUs before them. Pure.

Files repeat themselves: SCI, ERR, DQ, SCI, ERR, DQ ... A guess is where a header would begin if the lengths
of earlier HDUs came again; whoever follows the chain looks there only if the chain leads there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from astro_cloud.fits.layout import BLOCK

__all__ = ["MOST_GUESSES", "WINDOW", "Lengths", "foreseen"]

WINDOW = 22 * BLOCK
"""Bytes read where a header begins: 792 cards, just under 64 KiB."""
MOST_GUESSES = 256
"""Guesses made at once: 16 MB."""
_LONGEST_PERIOD = 12
_FEWEST = 3
_MOST_KINDS = 2
"""Data units of so many lengths may be the images of one exposure: without any repetition, one is guessed."""
_UNSURE = 8 * BLOCK
_FARTHEST_BACK = 12 * BLOCK


class Lengths(NamedTuple):
    """Bytes of an HDU, padding included.

    Attributes
    ----------
    header, data : int
        Of the header and of the data unit.
    repeats : bool
        False where the length of the data unit says nothing about others, as that of a tile-compressed image.
    """

    header: int
    data: int
    repeats: bool = True


def foreseen(seen: Sequence[Lengths], offset: int, known: Lengths | None = None) -> list[tuple[int, int]]:
    """Guess where headers begin behind the one at `offset`.

    Parameters
    ----------
    seen : sequence of Lengths
        Of the HDUs before that one, in their order.
    offset : int
        Where the last header that is located begins, in bytes.
    known : Lengths, optional
        What is known of its HDU: the data unit, and of the header what was read so far.

    Returns
    -------
    list of (int, int)
        Windows [start, stop) to read, of `WINDOW` bytes at most, none overlapping another.
    """
    windows: list[tuple[int, int]] = []
    for period, matches, slack in _periods(seen, known):
        hops = min(max(_FEWEST, 2 * matches), MOST_GUESSES - len(windows))
        windows += _windows(_repeated(seen, period, known), offset, hops, slack)
    last = known or (seen[-1] if seen else None)
    if last and 0 < last.data < WINDOW - last.header:  # small HDUs come in rows
        windows.append((offset + WINDOW, offset + 2 * WINDOW))
    return list(_apart(windows))


def _periods(seen: Sequence[Lengths], known: Lengths | None) -> Iterator[tuple[int, int, int]]:
    """Yield how many HDUs repeat, how often each length was that of its counterpart, how far to reach back.

    The best supported period; without one, that the last HDU comes again, and that all extensions do.
    """
    last = known or (seen[-1] if seen else None)
    data = [lengths.data for lengths in seen] + ([known.data] if known else [])
    longest = min(_LONGEST_PERIOD, len(data) - 1)
    matches, period = max(((_matches(data, p), -p) for p in range(1, longest + 1)), default=(0, 0))
    if matches:
        yield -period, matches, _deviation(seen, -period, matches)
    elif last and last.data and last.repeats and len({size for size in data if size}) <= _MOST_KINDS:
        yield 1, 0, _UNSURE
        if 3 <= len(data) <= _LONGEST_PERIOD:
            yield len(data) - 1, 0, _UNSURE


def _matches(data: Sequence[int], period: int) -> int:
    """Count the last HDUs in a row whose data are as long as those a period before, and not empty."""
    count = 0
    while (at := len(data) - 1 - count) - period >= 0 and data[at] and data[at] == data[at - period]:
        count += 1
    return count


def _deviation(seen: Sequence[Lengths], period: int, matches: int) -> int:
    """Return how much longer or shorter a header was than its counterpart, at most, and a block."""
    pairs = [(seen[at - period], seen[at]) for at in range(max(period, len(seen) - matches), len(seen))]
    return BLOCK + max((abs(before.header - after.header) for before, after in pairs), default=_UNSURE)


def _repeated(seen: Sequence[Lengths], period: int, known: Lengths | None) -> Iterator[Lengths]:
    """Yield the lengths of the HDU at the offset and of those after it, if the last `period` came again."""
    again = list(seen)
    if known:
        again.append(Lengths(known.header + _UNSURE // 2, known.data))
        yield again[-1]
    while True:
        again.append(again[-period])
        yield again[-1]


def _windows(lengths: Iterator[Lengths], offset: int, hops: int, slack: int) -> Iterator[tuple[int, int]]:
    """Yield windows for the next headers; each hop makes it less sure where, so it reaches further back."""
    least = likely = offset
    for hop, (header, data, _) in zip(range(1, hops + 1), lengths, strict=False):
        least += BLOCK + data
        likely += header + data
        start = max(least, likely - min(hop * slack, _FARTHEST_BACK))
        yield start, start + WINDOW


def _apart(windows: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield windows in their order, cut so that none overlaps another."""
    end = 0
    for start, stop in sorted(windows):
        if stop > end:
            yield max(start, end), stop
            end = stop
