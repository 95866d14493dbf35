"""The journal of a download: what is written down is read back, and nothing else is believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_cloud.storage.answers import Version
from astro_cloud.storage.journal import Journal, Span, missing_from, parse_journal

VERSION = Version('"an etag"', 1000, "Sat, 21 Nov 2026 00:00:00 GMT")
TEXT = Journal("id", VERSION).head + Journal.lines([Span(0, 100), Span(300, 400)])


def test_what_is_written_is_read() -> None:
    """Identity, version and spans; a CRC is not, since bytes at rest may change."""
    assert parse_journal(TEXT) == Journal("id", VERSION, (Span(0, 100), Span(300, 400)))
    assert parse_journal(Journal("id", VERSION).head + Journal.lines([Span(0, 9, "CRC32C", 7)])) == Journal(
        "id", VERSION, (Span(0, 9),)
    )


def test_a_later_line_takes_an_earlier_ones_place() -> None:
    """A span that grew is written down again."""
    journal = parse_journal(TEXT + Journal.lines([Span(300, 700)]))
    assert journal is not None
    assert journal.spans == (Span(0, 100), Span(300, 700))


@given(st.integers(0, len(TEXT)))
def test_a_journal_that_was_cut(stop: int) -> None:
    """Lines that are whole count, the last one only with its end."""
    journal = parse_journal(TEXT[:stop])
    lines = TEXT[:stop].count(b"\n")
    if not lines:
        assert journal is None
    else:
        assert journal is not None
        assert journal.spans == (Span(0, 100), Span(300, 400))[: lines - 1]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"not JSON\n",
        b"[]\n",
        b"{}\n",
        TEXT.replace(b'"format":1', b'"format":2'),
        TEXT.replace(b'"size":1000', b'"size":null'),
        TEXT.replace(b'"size":1000', b'"size":350'),
        TEXT + b"[50,200]\n",
        TEXT + b"[-5,0]\n",
        TEXT + b"[500,400]\n",
        TEXT + b"[500]\n",
        TEXT + b'["5",600]\n',
        TEXT + b"[500.5,600]\n",
        TEXT + b"null\n",
        TEXT + b"[[],[]]\n",
    ],
)
def test_what_contradicts_itself_is_no_journal(text: bytes) -> None:
    """Better nothing than something wrong: the download starts over."""
    assert parse_journal(text) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_error(text: bytes) -> None:
    """Whatever was found in its place."""
    parse_journal(text)
    parse_journal(TEXT + text)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)).map(sorted), max_size=8), st.integers(0, 60)
)
def test_what_is_missing(bounds: list[list[int]], size: int) -> None:
    """Every byte is in a span or in a gap, and in no two gaps."""
    spans = [Span(start, min(stop, size)) for start, stop in bounds if start <= size]
    there = {at for span in spans for at in range(span.start, span.stop)}
    gaps = [at for start, stop in missing_from(spans, size) for at in range(start, stop)]
    assert sorted(there | set(gaps)) == list(range(size))
    assert not there & set(gaps)
    assert len(gaps) == len(set(gaps))
