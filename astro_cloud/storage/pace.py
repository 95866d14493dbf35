"""How fast a server answers and sends, learnt from its answers."""

from __future__ import annotations

__all__ = ["Pace"]

_WEIGHT = 0.2
_LATENCY = 0.03
_BANDWIDTH = 80e6
_ENOUGH = 1 << 18


class Pace:
    """What a request costs, and a byte; running means over the latest answers.

    Threads may update it at once: an update lost to another is one sample of many.

    Attributes
    ----------
    latency : float
        Seconds from a request to the beginning of its answer; 0.03 until one came.
    bandwidth : float
        Bytes a second over one connection; 80 million until a body of 256 KiB or more came.
    """

    def __init__(self) -> None:
        self.latency = _LATENCY
        self.bandwidth = _BANDWIDTH

    def answered(self, seconds: float) -> None:
        """Take note of how long an answer was waited for."""
        self.latency += _WEIGHT * (seconds - self.latency)

    def received(self, size: int, seconds: float) -> None:
        """Take note of how long a body of `size` bytes took; short ones tell of nothing but latency."""
        if size >= _ENOUGH and seconds > 0:
            self.bandwidth += _WEIGHT * (size / seconds - self.bandwidth)

    @property
    def gap(self) -> int:
        """Bytes that take as long to read as a request takes to be answered."""
        return int(self.latency * self.bandwidth)
