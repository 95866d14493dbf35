"""The benchmark tells steps that depend on each other from waves of one step."""

import pytest

from astro_cloud.testing.http_request import Headers
from astro_cloud.testing.request_log import RequestLog, RequestRecord
from tests.benchmarks.steps import steps_and_waves


def log(*requests: tuple[int, float, float]) -> RequestLog:
    """Make a log of requests: connection, when they came, and when their answers ended."""
    return RequestLog(
        RequestRecord(
            connection=connection, method="GET", target="/b/k", path="/b/k", bucket="b", key="k",
            headers=Headers(), status=206, body_bytes=1, aborted=False,
            t_received=came, t_first_byte=ended, t_end=ended,
        )
        for connection, came, ended in requests
    )  # fmt: skip


def wave(begin: float, count: int) -> list[tuple[int, float, float]]:
    """Return requests that overlap, each a little later than the one before."""
    return [(number, begin + number / 100, begin + 1 + number / 100) for number in range(count)]


@pytest.mark.parametrize(
    ("requests", "connections", "found"),
    [
        ([], 4, (0, 0)),
        ([(0, 0, 1), (0, 1.1, 2), (0, 2.1, 3)], None, (3, 0)),
        ([(0, 0, 1), (0, 1.1, 2), (0, 2.1, 3)], 4, (3, 0)),
        ([(0, 0, 1), *wave(2, 4)], 4, (2, 0)),
        ([(0, 0, 1), *wave(2, 4), *wave(4, 4), *wave(6, 2)], 4, (2, 2)),
        ([(0, 0, 1), *wave(2, 3), *wave(4, 3)], 4, (3, 0)),
        (wave(0, 4), 4, (1, 0)),
    ],
    ids=["nothing", "one connection", "idle ones", "all at once", "three waves", "two steps", "one step"],
)
def test_steps_are_told_from_waves(
    requests: list[tuple[int, float, float]], connections: int | None, found: tuple[int, int]
) -> None:
    """Only what waited for a connection, all being taken, is a wave."""
    assert steps_and_waves(log(*requests), connections) == found
