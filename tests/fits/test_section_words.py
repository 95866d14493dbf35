"""HDUs and sections as they are written by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from astro_cloud.fits.section_words import parse_hdu, parse_section, split_hdu


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("10:13,20:22", np.s_[10:13, 20:22]),
        ("5", (5,)),
        ("-1,::2", np.s_[-1, ::2]),
        (" 1 , : , +4:-3:-1 ", np.s_[1, :, 4:-3:-1]),
        ("...,:5", np.s_[..., :5]),
        ("...", (...,)),
        ("[3:4, 7]", np.s_[3:4, 7]),
        ("1:2:", (slice(1, 2),)),
    ],
)
def test_sections_are_numpys(text: str, key: tuple[Any, ...]) -> None:
    """What is written is what would stand between brackets in Python."""
    assert parse_section(text) == key


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "something is missing beside a comma"),
        ("1,,2", "something is missing beside a comma"),
        ("10-13", "it has '10-13', which is neither"),
        ("a:b", "write 10:13,20:22 for rows 10 to 12"),
        ("1:2:3:4", "neither number"),
        ("1.5", "neither number"),
        ("1:2:0", "a step of 0 leads nowhere"),
        ("...,...", "once"),
        ("٣", "neither number"),
        ("9" * 30, "neither number"),
    ],
)
def test_what_is_no_section_says_what_to_write(text: str, says: str) -> None:
    """The message shows what is wrong, and an example."""
    with pytest.raises(ValueError, match="is no section") as caught:
        parse_section(text)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("s3://sky/a.fits[1]", ("s3://sky/a.fits", 1)),
        ("s3://sky/a.fits[SCI]", ("s3://sky/a.fits", "SCI")),
        ("s3://sky/a.fits[SCI,2]", ("s3://sky/a.fits", ("SCI", 2))),
        ("s3://sky/a.fits[ sci , 2 ]", ("s3://sky/a.fits", ("sci", 2))),
        ("s3://sky/a[1].fits", ("s3://sky/a[1].fits", None)),
        ("s3://sky/a.fits", ("s3://sky/a.fits", None)),
        ("http://[::1]:80/a[0]", ("http://[::1]:80/a", 0)),
        ("s3://sky/a[b][2]", ("s3://sky/a[b]", 2)),
    ],
)
def test_the_hdu_stands_behind_the_location(text: str, parts: tuple[str, Any]) -> None:
    """Only what ends a location, in brackets, is an HDU."""
    assert split_hdu(text) == parts


@pytest.mark.parametrize("text", ["", " ", "10:13,20:22", "SCI,x", ",2", "1,2:3"])
def test_what_is_no_hdu_says_what_to_write(text: str) -> None:
    """A section in the brackets, or nothing, is told from an HDU."""
    with pytest.raises(ValueError, match="is no HDU"):
        parse_hdu(text)
