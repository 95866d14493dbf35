"""How many connections a transfer uses: more while more still helps."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from astro_cloud.storage.ramp import Ramp


def _after(ramp: Ramp, rate: Callable[[int], float], seconds: float = 5.0) -> int:
    """Let bytes arrive at a rate that depends on the number of connections."""
    for tick in range(1, round(seconds * 100)):
        ramp.arrived(round(rate(ramp.target) / 100), tick / 100)
    return ramp.target


@pytest.mark.parametrize(
    ("most", "rate", "expected"),
    [
        (64, lambda n: n * 80e6, 64),
        (100, lambda n: n * 80e6, 100),
        (64, lambda n: min(n, 8) * 80e6, 16),
        (64, lambda n: min(n, 18) * 80e6, 32),
        (4, lambda n: n * 80e6, 4),
        (64, lambda n: 1e9 / n, 16),
        (64, lambda n: 0, 8),
    ],
    ids=[
        "each is capped",
        "no power of two",
        "eight fill it",
        "eighteen do",
        "few allowed",
        "more hurt",
        "nothing comes",
    ],
)
def test_it_grows_while_that_helps(most: int, rate: Callable[[int], float], expected: int) -> None:
    """It doubles once, to see, and goes on as long as bytes come faster."""
    assert _after(Ramp(most, 0.0), rate) == expected


def test_a_number_that_was_asked_for_is_used_at_once() -> None:
    """Nothing is tried where a user has said how many."""
    assert Ramp(32, 0.0, begin=32).target == 32


def test_a_long_link_is_filled_within_a_second() -> None:
    """Each doubling takes two tenths of a second."""
    assert _after(Ramp(64, 0.0), lambda n: n * 80e6, seconds=0.9) == 64
