"""Spans by themselves: places, order, charges."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from astro_cloud.storage.spans import Span, Spans, charge_of

PLACES = st.integers(0, 5000)


class SpansMachine(RuleBasedStateMachine):
    """Compares spans with a plain list of them, used ones last."""

    def __init__(self) -> None:
        super().__init__()
        self.spans: Spans[str] = Spans()
        self.ahead: list[Span[str]] = []
        self.used: list[Span[str]] = []

    @property
    def all(self) -> list[Span[str]]:
        return sorted(self.ahead + self.used, key=lambda span: span.start)

    @rule(start=PLACES, length=st.integers(1, 900), ahead=st.booleans(), coming=st.booleans())
    def add(self, start: int, length: int, ahead: bool, coming: bool) -> None:
        for begin, stop in self.spans.gaps(start, start + length):
            span = Span(begin, stop, source="coming" if coming else None)
            assert span not in self.spans
            self.spans.add(span, ahead=ahead)
            (self.ahead if ahead else self.used).append(span)

    @rule(start=PLACES, length=st.integers(1, 900))
    def use(self, start: int, length: int) -> None:
        found = list(self.spans.overlapping(start, start + length))
        assert found == [span for span in self.all if span.start < start + length and span.stop > start]
        for span in found:
            self.spans.use(span)
            (self.ahead if span in self.ahead else self.used).remove(span)
            self.used.append(span)
            assert self.spans.recent is span

    @rule()
    def make_room(self) -> None:
        here = [span for span in self.used if span.source is None]
        expected = (here or self.ahead or [None])[0]
        assert self.spans.next_victim() is expected
        if expected is not None:
            self.spans.drop(expected)
            (self.ahead if expected in self.ahead else self.used).remove(expected)
            assert self.spans.recent is not expected

    @rule(place=PLACES)
    def cut(self, place: int) -> None:
        for span in self.spans.overlapping(place, place + 1):
            if place > span.start:
                self.spans.cut(span, place)

    @invariant()
    def all_is_there(self) -> None:
        assert list(self.spans) == self.all
        assert all(span in self.spans for span in self.all)
        assert self.spans.held == sum(charge_of(span.stop - span.start) for span in self.all)
        assert self.spans.held_ahead == sum(span.charge for span in self.ahead)
        assert self.spans.oldest_ahead() is (self.ahead or [None])[0]


SpansMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30)
TestSpans = SpansMachine.TestCase


def test_gaps_are_what_no_span_holds() -> None:
    """Before, between and behind spans; none where one span holds it all."""
    spans: Spans[str] = Spans()
    for start, stop in ((10, 20), (20, 30), (50, 60)):
        spans.add(Span(start, stop), ahead=False)
    assert spans.gaps(0, 100) == [(0, 10), (30, 50), (60, 100)]
    assert spans.gaps(12, 28) == []
    assert spans.gaps(25, 55) == [(30, 50)]
