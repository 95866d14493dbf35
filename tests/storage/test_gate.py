"""How many requests are on their way: halved when a server asks for it, and grown again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_cloud.storage import gate as gate_module
from astro_cloud.storage.gate import Gate
from astro_cloud.storage.stop import Stop, Stopped
from astro_cloud.testing import Answer, Fault, ObjectServer
from tests.storage.reading import DATA, LOCATION, MakeClient

RANGES = [(start, start + 90) for start in range(0, 60_000, 100)]
PARTS = [DATA[start:stop] for start, stop in RANGES]


def through(gate: Gate) -> int:
    entered = gate.enter()
    gate.leave()
    return entered


def test_a_burst_halves_once() -> None:
    """All the requests that were on their way together are told off together."""
    gate = Gate(16)
    entered = [gate.enter() for _ in range(16)]
    for ticket in entered:
        gate.leave()
        gate.slow_down(ticket)
    assert gate.limit == 8
    gate.slow_down(through(gate))
    assert gate.limit == 4


def test_answers_make_it_grow_by_one_for_as_many_as_it_is() -> None:
    """Additive increase: about one more for each round of answers."""
    gate = Gate(64)
    gate.slow_down(through(gate))
    for _ in range(32 + 1):
        gate.speed_up()
    assert gate.limit == 33


@given(st.integers(1, 64), st.lists(st.booleans(), max_size=300))
def test_it_stays_within_its_bounds(most: int, complaints: list[bool]) -> None:
    """It is never less than one, nor more than at first, whatever the server says."""
    gate = Gate(most)
    for complains in complaints:
        ticket = through(gate)
        before = gate.limit
        gate.slow_down(ticket) if complains else gate.speed_up()
        assert 1 <= gate.limit <= most
        assert gate.limit <= before if complains else gate.limit in (before, before + 1)


def test_it_grows_back_to_where_it_was() -> None:
    """A server that recovers gets as many requests as before."""
    gate = Gate(16)
    for _ in range(20):
        gate.slow_down(through(gate))
    assert gate.limit == 1
    for _ in range(200):
        gate.speed_up()
    assert gate.limit == 16


class Waiting:
    """A thread that waits to be let in."""

    def __init__(self, gate: Gate, stop: Stop | None = None) -> None:
        self.outcome: BaseException | int | None = None
        self._gate, self._stop = gate, stop
        before = len(gate._waiting)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        while len(gate._waiting) == before and self.thread.is_alive():
            pass

    def _run(self) -> None:
        try:
            self.outcome = self._gate.enter(self._stop)
        except Stopped as error:
            self.outcome = error

    def result(self) -> Any:
        self.thread.join(5)
        assert not self.thread.is_alive()
        return self.outcome


def test_who_finds_it_full_waits_for_who_leaves() -> None:
    """One goes in for each that goes out, and for each by which it grows."""
    gate = Gate(2)
    gate.slow_down(gate.enter())
    first, second = Waiting(gate), Waiting(gate)
    gate.leave()
    gate.speed_up()
    assert (first.result(), second.result()) == (1, 1)


def test_who_waits_longest_goes_next() -> None:
    """A turn is handed over: who left and comes again does not overtake who waits."""
    gate = Gate(1)
    gate.enter()
    first = Waiting(gate)
    gate.leave()
    again = Waiting(gate)
    assert first.result() == 0
    assert again.thread.is_alive()
    gate.leave()
    assert again.result() == 0


def test_who_gives_up_leaves_the_turn_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn that was offered to work given up meanwhile is not lost: another waits for it."""
    monkeypatch.setattr(gate_module, "_POLL", 600)
    gate, stop = Gate(1), Stop()
    gate.enter()
    gives_up, patient = Waiting(gate, stop), Waiting(gate)
    stop.set()
    gate.leave()
    assert isinstance(gives_up.result(), Stopped)
    assert patient.result() == 0


def test_a_stop_ends_the_wait_at_a_full_gate() -> None:
    """Work that is given up does not wait for those inside."""
    gate, stop = Gate(1), Stop()
    gate.enter()
    waiting = Waiting(gate, stop)
    stop.set()
    assert isinstance(waiting.result(), Stopped)
    gate.leave()
    assert through(gate) == 0


class Storm:
    """Answers SlowDown to whoever comes while `most` others are served; lets up after some complaints."""

    def __init__(self, most: int, complaints: int) -> None:
        self.at_once: list[int] = []
        self.complaints = 0
        self._most, self._ends_after = most, complaints
        self._lock = threading.Lock()
        self._inside = 0

    def fault(self) -> Fault:
        return Fault("storm", self._answer)

    def _answer(self, request: Any, serve: Callable[[], Answer]) -> Answer:
        with self._lock:
            self._inside += 1
            self.at_once.append(self._inside)
            too_many = self._inside > self._most and self.complaints < self._ends_after
            self.complaints += too_many
        try:
            if too_many:
                return Fault.unavailable(503, "SlowDown").apply(request, serve)
            threading.Event().wait(0.002)  # for others to come meanwhile
            return serve()
        finally:
            with self._lock:
                self._inside -= 1


def test_a_storm_is_weathered(sky: ObjectServer, make_client: MakeClient) -> None:
    """While a server complains of more than three at once, it gets fewer, then more; each byte right."""
    storm = Storm(most=3, complaints=30)
    sky.inject(storm.fault(), times=None)
    client = make_client(sky, concurrency=16, attempts=50)
    gate = client._resources.gate
    limits: list[int] = []
    slow_down = gate.slow_down

    def noted(entered: int) -> None:
        slow_down(entered)
        limits.append(gate.limit)

    gate.slow_down = noted
    assert client.read_ranges(LOCATION, RANGES) == PARTS
    assert storm.complaints > 3
    assert min(limits) <= 4
    assert gate.limit > min(limits)
    assert client.usage.requests == len(RANGES) + storm.complaints
    assert max(storm.at_once) <= 16


def test_a_storm_without_end_is_an_error_that_says_so(sky: ObjectServer, make_client: MakeClient) -> None:
    """Where it never lets up, one at a time was tried, and the code is told."""
    sky.inject(Fault.unavailable(503, "SlowDown"), times=None)
    client = make_client(sky, attempts=8)
    with pytest.raises(OSError, match="SlowDown"):
        client.read_ranges(LOCATION, RANGES)
    assert client._resources.gate.limit == 1
    sky.clear_faults()
    assert client.read_ranges(LOCATION, RANGES[:40]) == PARTS[:40]
    assert client._resources.gate.limit > 1


@pytest.mark.parametrize(
    ("status", "code", "slows"),
    [(503, "SlowDown", True), (429, "TooManyRequests", True), (500, "InternalError", False)],
)
def test_only_complaints_slow_down(
    sky: ObjectServer, make_client: MakeClient, status: int, code: str, slows: bool
) -> None:
    """An error of the server's own is no word about how many requests there are."""
    sky.inject(Fault.unavailable(status, code))
    client = make_client(sky, concurrency=16)
    assert client.read_ranges(LOCATION, RANGES[:1]) == PARTS[:1]
    assert (client._resources.gate.limit < 16) is slows
