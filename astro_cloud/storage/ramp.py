"""How many connections a long transfer uses: more while more still helps. Pure.

The number doubles if the rate grew enough since it last did; else it stays.
"""

from __future__ import annotations

__all__ = ["Ramp"]

_BEGIN = 8
_WINDOW = 0.1
_GAIN = 1.15


class Ramp:
    """Decides from the bytes that arrive how many connections are worth having.

    Parameters
    ----------
    most : int
        Never more than so many.
    now : float
        Seconds since some moment.
    begin : int, optional
        How many to begin with.
    """

    def __init__(self, most: int, now: float, begin: int | None = None) -> None:
        self.target = min(most, begin or _BEGIN)
        self._most = most
        self._rate = 0.0
        self._since = now
        self._bytes = 0
        self._settling = True

    def arrived(self, count: int, now: float) -> bool:
        """Take note of bytes; tell whether `target` has grown."""
        self._bytes += count
        if self.target >= self._most or now - self._since < _WINDOW:
            return False
        rate = self._bytes / (now - self._since)
        self._since, self._bytes = now, 0
        if self._settling:  # connections were still being made
            self._settling = False
            return False
        if rate <= self._rate * _GAIN:
            self._most = self.target
            return False
        self._rate, self._settling = rate, True
        self.target = min(self._most, 2 * self.target)
        return True
