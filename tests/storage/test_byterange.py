"""Byte ranges in HTTP's words and in Python's."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from astro_cloud.storage.byterange import (
    ContentRange,
    format_range,
    parse_content_range,
    parse_unsatisfied_range,
)

POSITIONS = st.integers(0, 10**19)
LENGTHS = st.integers(1, 10**18)


@given(POSITIONS, LENGTHS)
@example(0, 1)
def test_a_range_is_spelt_inclusively(start: int, length: int) -> None:
    """A Range names first and last byte, so half-open [start, stop) ends at stop - 1."""
    unit, _, positions = format_range(start, start + length).partition("=")
    first, last = map(int, positions.split("-"))
    assert (unit, first, last - first + 1) == ("bytes", start, length)


@given(POSITIONS, LENGTHS, st.none() | st.integers(0, 10**18))
def test_what_is_asked_for_and_sent_is_read_back(start: int, length: int, beyond: int | None) -> None:
    """A Content-Range that repeats a Range, with any total or none, is read as the range asked for."""
    stop = start + length
    total = None if beyond is None else stop + beyond
    asked = format_range(start, stop).removeprefix("bytes=")
    sent = f"bytes {asked}/{'*' if total is None else total}"
    assert parse_content_range(sent) == ContentRange(start, stop, total)


@given(st.integers(-100, 100), st.integers(-100, 100))
def test_an_empty_or_negative_range_cannot_be_asked_for(start: int, stop: int) -> None:
    """Only 0 <= start < stop is spelt; HTTP has no word for anything else."""
    if 0 <= start < stop:
        assert format_range(start, stop) == f"bytes={start}-{stop - 1}"
    else:
        with pytest.raises(ValueError, match="must hold"):
            format_range(start, stop)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes 0-0/1", ContentRange(0, 1, 1)),
        ("bytes 0-9/*", ContentRange(0, 10, None)),
        (" bytes 5-9/10 ", ContentRange(5, 10, 10)),
        ("bytes=0-9/100", ContentRange(0, 10, 100)),
        ("Bytes 0-9/100", ContentRange(0, 10, 100)),
        ("bytes 44999999998-44999999999/45000000000", ContentRange(44999999998, 45000000000, 45000000000)),
    ],
)
def test_content_ranges_of_real_servers_are_read(value: str, expected: ContentRange) -> None:
    """Unit names are case-insensitive (RFC 9110, section 14.1); some servers write ``=`` after them."""
    assert parse_content_range(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "bytes",
        "bytes 0-9",
        "bytes 0-9/",
        "bytes -9/10",
        "bytes 0-/10",
        "bytes */10",
        "bytes 0-9/10/10",
        "bytes 0-9, 20-29/100",
        "bytes 0x0-0x9/16",
        "bytes +0-+9/10",
        "bytes 1_0-1_9/100",
        "items 0-9/10",
        "0-9/10",
        "bytes 0-9/10\nX: y",
        "bytes " + "9" * 5000 + "-" + "9" * 5001 + "/*",
    ],
)
def test_a_malformed_content_range_is_refused(value: str) -> None:
    """What does not say which bytes are sent is a ValueError that shows it, and never a guess."""
    with pytest.raises(ValueError, match="malformed Content-Range"):
        parse_content_range(value)


@pytest.mark.parametrize("value", ["bytes 9-0/10", "bytes 0-10/10", "bytes 10-10/10", "bytes 0-0/0"])
def test_a_content_range_that_contradicts_itself_is_refused(value: str) -> None:
    """A range that ends before it begins, or after the object does, is a ValueError."""
    with pytest.raises(ValueError, match="impossible Content-Range"):
        parse_content_range(value)


@given(st.text(max_size=40))
def test_no_text_breaks_the_reading(value: str) -> None:
    """Whatever a server writes, it is a range with start < stop <= total, or a ValueError."""
    try:
        start, stop, total = parse_content_range(value)
    except ValueError:
        return
    assert 0 <= start < stop
    assert total is None or stop <= total


@given(st.integers(0, 10**19))
def test_the_size_is_read_from_an_unsatisfied_range(size: int) -> None:
    """A 416 says the object's size as ``bytes */size``."""
    assert parse_unsatisfied_range(f"bytes */{size}") == size


@pytest.mark.parametrize(
    "value", [None, "", "bytes */*", "bytes 0-9/10", "*/10", "bytes */-1", "bytes */1 2"]
)
def test_an_unsatisfied_range_without_size_says_nothing(value: str | None) -> None:
    """Where a 416 does not say the size, it is unknown, and no error: many servers leave it out."""
    assert parse_unsatisfied_range(value) is None
