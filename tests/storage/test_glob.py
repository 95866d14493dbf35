"""Globs: what they match, by a model of `fnmatch` on components, and what the server is told of them."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from astro_cloud.storage.glob import Glob, split_glob

NAMES = st.text("ab.-[]!^1 \n\\é", max_size=4)
KEYS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PIECES = st.sampled_from(
    ["*", "?", "a", "b", ".", "-", "[ab]", "[!a]", "[a-b]", "[b-a]", "[!b-a]", "[", "]", "[]", "[!]"]
)
COMPONENTS = st.one_of(
    st.just("**"), NAMES, st.lists(PIECES, max_size=4).map("".join).filter(lambda text: "**" not in text)
)
PATTERNS = st.lists(COMPONENTS, min_size=1, max_size=4).map("/".join).filter(bool)


def matches(pattern: list[str], key: list[str]) -> bool:
    """The model: component by component, `**` for any number of them, at the end for at least one."""
    if not pattern or not key:
        return not pattern and not key
    first, *rest = pattern
    if first == "**":
        return not rest or any(matches(rest, key[skipped:]) for skipped in range(len(key)))
    same = bool(key[0]) if first == "*" else fnmatchcase(key[0], first)
    return same and matches(rest, key[1:])


@given(PATTERNS, KEYS)
@example("a/**/b", "a/b")
@example("**/*", "/")
@example("[+-9]", "/")
@example("[a/b]", "[a/b]")
def test_globs_match_as_fnmatch_matches_components(pattern: str, key: str) -> None:
    """A key matches as a whole, and no wildcard but `**` matches a slash."""
    assert Glob(pattern).matches(key) == matches(pattern.split("/"), key.split("/"))


STARRED = st.text("ab*/?", min_size=1, max_size=12)
TOKEN = re.compile(r"(?:(?<=/)|\A)(?:\*\*+/)+|\*\*+|(?:(?<=/)|\A)\*(?=/|\Z)|.")


def plainly(token: re.Match[str]) -> str:
    """Say in a regular expression that tries every way what a token of a pattern means."""
    text, pattern = token[0], token.string
    if text.startswith("**"):
        return "(?:.*/)?" if text.endswith("/") else ".*"
    alone = f"/{pattern}/"[token.start()] == f"/{pattern}/"[token.end() + 1] == "/"
    return {"*": "[^/]+" if alone else "[^/]*", "?": "[^/]"}.get(text, text)


@given(STARRED, st.text("ab/", max_size=12))
@example("**a*a/**b*", "a/a/aab/b")
@example("**/*a*/b**a", "ba/a/b/a")
def test_the_first_place_that_fits_is_good_enough(pattern: str, key: str) -> None:
    """Wherever the stars stand, what was matched is not gone back on, and no match is lost by that."""
    assert Glob(pattern).matches(key) == bool(re.fullmatch(TOKEN.sub(plainly, pattern), key))


@pytest.mark.parametrize(
    ("pattern", "key"),
    [
        ("*a*a*a*a*a*b.fits", "a" * 1024),
        ("*-*-*-*-*-*-*.fits", "-x" * 512),
        ("**a**a**a**a**a**b", "a" * 1024),
        ("**a*a*a*a*a*b", "a" * 1024),
        ("**/**a/**/a/**/*a*/**/a/**/b", "a/" * 512),
    ],
)
def test_no_pattern_takes_long(pattern: str, key: str) -> None:
    """A key as long as S3 has them is told to be no match within the life of the reader."""
    assert not Glob(pattern).matches(key)


@given(PATTERNS, KEYS)
def test_every_match_begins_with_the_literal(pattern: str, key: str) -> None:
    """What the server is asked for holds every match; and no slash lies beyond where none is foretold."""
    glob = Glob(pattern)
    if glob.matches(key):
        assert key.startswith(glob.literal)
        assert glob.crosses or "/" not in key[len(glob.literal) :]


@given(KEYS)
def test_a_key_with_its_wildcards_in_brackets_is_itself(key: str) -> None:
    """`[*]` is a star: so any key can be written as a pattern, and the server is asked for no other."""
    glob = Glob("".join(f"[{char}]" if char in "*?[" else char for char in key) or "[a]")
    assert glob.literal == (key or "a")
    assert not glob.crosses


@pytest.mark.parametrize(
    ("pattern", "key", "expected"),
    [
        ("*.fits", "a.fits", True),
        ("*.fits", "night/a.fits", False),
        ("**.fits", "night/a.fits", True),
        ("**/*.fits", "a.fits", True),
        ("**/*.fits", "1/2/a.fits", True),
        ("night**", "night1/a", True),
        ("night/**", "night/", True),
        ("night/*", "night/", False),
        ("night/**/a", "nighta", False),
        ("a**/b", "a1/b", True),
        ("a**/b", "a1/2/b", True),
        ("*", ".hidden", True),
        ("[!a]", "/", False),
    ],
)
def test_what_a_glob_matches(pattern: str, key: str, expected: bool) -> None:
    """Examples, those of the documentation among them."""
    assert Glob(pattern).matches(key) is expected


@pytest.mark.parametrize(
    ("pattern", "literal", "crosses"),
    [
        ("tess/s00*/x.fits", "tess/s00", True),
        ("tess/s00?.fits", "tess/s00", False),
        ("tess/s00[1-3].fits", "tess/s00", False),
        ("tess/a[[]b", "tess/a[b", False),
        ("**/a", "", True),
        ("*", "", False),
        ("plain", "plain", False),
    ],
)
def test_what_the_server_is_told(pattern: str, literal: str, crosses: bool) -> None:
    """The literal is as long as it can be, and a pattern of one level is known as such."""
    glob = Glob(pattern)
    assert (glob.literal, glob.crosses) == (literal, crosses)


def test_an_empty_pattern_is_none() -> None:
    """It would match nothing."""
    with pytest.raises(ValueError, match="empty"):
        Glob("")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("s3://sky/night/*.fits", ("s3://sky/night/", "*.fits")),
        ("s3://sky/*/a", ("s3://sky/", "*/a")),
        ("s3://sky/ni[gh]t/a?", ("s3://sky/", "ni[gh]t/a?")),
        ("s3://sky/night", ("s3://sky/night", None)),
        ("*.fits", ("", "*.fits")),
    ],
)
def test_a_location_is_parted_before_its_first_wildcard(text: str, parts: tuple[str, str | None]) -> None:
    """At a slash, so that the first part is a location."""
    assert split_glob(text) == parts
