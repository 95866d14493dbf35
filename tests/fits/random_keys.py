"""Keys into an image, random but the same each time: for what astropy reads against what we do.

A key takes no more than `PIXELS` pixels, and in pieces no more than about `PIECES`: astropy reads
what is not contiguous row by row, and what has a step along the last axis pixel by pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from random import Random
from typing import Any

import numpy as np

Key = Any

PIXELS = 200_000
PIECES = 1000


def keys(shape: tuple[int, ...], random: Random, *, arrays: bool) -> list[Key]:
    """Return keys of each kind into an image; with `arrays`, also arrays of indices and masks.

    Some are out of bounds, too many or of a kind that no image takes.
    """
    if not shape:
        return [..., (), 0]
    side = max(1, int(PIXELS ** (1 / len(shape))))
    chosen = [
        _each(shape, random, index),
        _each(shape, random, run, most=side),
        _each(shape, random, steps),
        _each(shape, random, backwards),
        *_rows(shape, random),
        *_wrong(shape, random),
        *(_mixed(shape, random, BASIC) for _ in range(3)),
    ]
    if prod(shape) <= PIXELS:
        chosen.append(...)
    if arrays:
        chosen += [_mixed(shape, random, [*BASIC, *ARRAYS]) for _ in range(3)]
        chosen += [kind(random, shape[0]) for kind in ARRAYS if _plane(shape) <= PIXELS // 10]
        chosen += [np.ones(shape[0] + 1, bool), np.array([0, shape[0]])]
    return chosen


def empty_shape(key: Key, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape that NumPy gives what a key takes, if that is no pixel; None for all other keys."""
    items = list(key) if isinstance(key, tuple) else [key]
    dots = [at for at, item in enumerate(items) if item is ...]
    if len(dots) > 1:
        return None
    for at in dots:
        items[at : at + 1] = [slice(None)] * (len(shape) - len(items) + 1)
    items += [slice(None)] * (len(shape) - len(items))
    try:
        taken = [np.broadcast_to(np.int8(0), size)[item] for item, size in zip(items, shape, strict=True)]
    except (IndexError, ValueError, TypeError):
        return None
    lengths = tuple(len(part) for part in taken if np.ndim(part))
    return lengths if 0 in lengths else None


def index(random: Random, size: int, most: int = 0) -> int | np.integer[Any]:
    """Return one pixel's index along an axis, counted from either end, at times an integer of numpy's.

    None of a small type: astropy computes the place in the file with it, which overflows.
    """
    return random.choice([int, np.int64])(random.randrange(-size, max(size, 1)))


def run(random: Random, size: int, most: int) -> slice:
    """Return neighbouring pixels, with bounds counted from either end or left out."""
    start = random.randrange(max(size, 1))
    stop = min(start + random.randint(1, most), size)
    if 0 < size <= most and random.random() < 0.3:
        return slice(None)
    if stop == size and random.random() < 0.5:
        return slice(start, random.choice([None, size + 5]))
    return slice(start - size, stop - size) if stop < size and random.random() < 0.3 else slice(start, stop)


def steps(random: Random, size: int, most: int) -> slice:
    """Return every so-manieth of neighbouring pixels; the last step may lead past the end."""
    step = random.randint(2, max(2, size // 3))
    start = random.randrange(max(size, 1))
    return slice(start, start + step * random.randint(1, most), step)


def backwards(random: Random, size: int, most: int) -> slice:
    """Return pixels in falling order."""
    step = random.randint(1, max(1, size // 3))
    start = random.randrange(max(size, 1))
    stop = start - step * random.randint(1, most)
    return slice(start, stop if stop >= 0 else None, -step)


def nothing(random: Random, size: int, most: int) -> slice:
    """Return a slice that takes no pixel; at times it stops before its start."""
    start = random.randrange(size + 1)
    if random.random() < 0.3:
        return slice(start, random.randint(0, start))
    return slice(start, random.choice([start, None]) if start == size else start)


def indices(random: Random, size: int, most: int = 4) -> np.ndarray[Any, Any]:
    """Return a few indices in any order, at times the same one twice."""
    return np.array([random.randrange(-size, max(size, 1)) for _ in range(random.randint(1, most))])


def mask(random: Random, size: int, most: int = 4) -> np.ndarray[Any, Any]:
    """Return a boolean for each pixel along the axis, few of them true."""
    chosen = np.zeros(size, bool)
    chosen[random.sample(range(size), min(size, random.randint(1, most)))] = True
    return chosen


def mask_as_list(random: Random, size: int, most: int = 4) -> list[bool]:
    """Return a mask that is no array."""
    return mask(random, size, most).tolist()


#: What every image takes along an axis, and what only those take that are not compressed.
BASIC = [index, run, steps, backwards, nothing]
ARRAYS = [indices, mask, mask_as_list]


def _each(shape: tuple[int, ...], random: Random, kind: Callable[..., Key], most: int = 0) -> Key:
    """Take every axis by keys of one kind."""
    most = most or max(2, int(PIECES ** (1 / len(shape))))
    return tuple(kind(random, size, most) for size in shape)


def _mixed(shape: tuple[int, ...], random: Random, kinds: list[Callable[..., Key]]) -> Key:
    """Take every axis by a key of any kind; axes too long for a mask without arrays."""
    most = max(2, int(PIECES ** (1 / len(shape))))
    return tuple(random.choice(kinds if size <= PIXELS else BASIC)(random, size, most) for size in shape)


def _rows(shape: tuple[int, ...], random: Random) -> list[Key]:
    """Take whole rows: one, a few that follow each other, and pieces of those of one plane."""
    *_, last = shape
    if last > PIXELS:
        return []
    most = max(1, PIXELS // max(_plane(shape), 1))
    one = tuple(index(random, size) for size in shape[:-1])
    few = run(random, shape[0], min(most, 50))
    plane = (index(random, shape[0]), ..., run(random, last, 100))
    return [(*one, slice(None)), few, (*one, ...), plane if len(shape) > 1 else (..., few)]


def _wrong(shape: tuple[int, ...], random: Random) -> list[Key]:
    """Return what no image takes: an index past either end, one too many, an axis more, what is no index."""
    most = [index(random, size) for size in shape[:-1]]
    last = shape[-1]
    wrong = [(*most, last), (*most, -last - 1), (*most, 0, 0), (*most, None), (..., ...), "SCI", 1.0]
    return random.sample(wrong, 3)


def _plane(shape: tuple[int, ...]) -> int:
    """Return the pixels of everything but the first axis."""
    return prod(shape[1:])
