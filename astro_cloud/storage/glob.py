"""Globs over keys: ``*``, ``?`` and ``[...]`` do not cross a ``/``, ``**`` does. Pure.

``[...]`` is read as `fnmatch` reads it. A component that is one ``*`` matches no empty name, and ``**/``
at the start of a component matches no folder, one, or many: as `glob` has both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["Glob", "split_glob"]

_TOKEN = re.compile(
    r"""(?P<folders> (?:(?<=/)|\A) (?:\*\*+/)+ )
    | (?P<all> \*\*+ )
    | (?P<name> (?:(?<=/)|\A) \* (?=/|\Z) )
    | (?P<some> \* )
    | (?P<one> \? )
    | (?P<set> \[ !?+ [^/] [^\]/]*+ \] )
    | (?P<text> . )""",
    re.DOTALL | re.VERBOSE,
)
_RANGE = re.compile("(.)-(.)|(.)", re.DOTALL)
_WILD = re.compile(r"[*?\[]")
_STARS = {"folders": "(?:[^/]*/)*?", "all": ".*?", "some": "[^/]*?"}


class Glob:
    """A pattern that keys match as a whole.

    Parameters
    ----------
    pattern : str
        Not empty.

    Attributes
    ----------
    literal : str
        What every key that matches begins with; as long as it can be told.
    crosses : bool
        Behind `literal`, a match may hold a ``/``.

    Raises
    ------
    ValueError
        If the pattern is empty.
    """

    def __init__(self, pattern: str) -> None:
        if not pattern:
            raise ValueError("the pattern is empty: leave it out, or write ** for every key")
        tokens = [_literal_set(kind, text) for kind, text in _tokens(pattern)]
        plain = next((at for at, (kind, _) in enumerate(tokens) if kind != "text"), len(tokens))
        self.literal = "".join(text for _, text in tokens[:plain])
        self.crosses = any(kind in ("folders", "all") or text == "/" for kind, text in tokens[plain:])
        self._match = re.compile(_regex(tokens), re.DOTALL).fullmatch

    def matches(self, key: str) -> bool:
        """Tell whether a key, or what of it follows a folder, is one of the pattern's."""
        return self._match(key) is not None


def split_glob(text: str) -> tuple[str, str | None]:
    """Part a text into the folder before its first wildcard, with its slash, and the pattern; or None."""
    wild = _WILD.search(text)
    if wild is None:
        return text, None
    start = text.rfind("/", 0, wild.start()) + 1
    return text[:start], text[start:]


def _tokens(pattern: str) -> Iterator[tuple[str, str]]:
    return ((str(match.lastgroup), match[0]) for match in _TOKEN.finditer(pattern))


def _literal_set(kind: str, text: str) -> tuple[str, str]:
    """Read ``[*]`` as the star it means."""
    return ("text", text[1]) if kind == "set" and len(text) == 3 else (kind, text)


def _regex(tokens: list[tuple[str, str]]) -> str:
    """Translate a pattern so that no key takes long: at worst the square of its length.

    What follows a star is taken where it is first found (the groups are atomic), for if the rest fits
    behind a later place, it fits behind the first: only what no star of the same reach follows is tried
    at every place.
    """
    *stretches, last = _stretches(tokens)
    closed = "".join(f"(?>{star}{_closed(parts)})" for star, parts in stretches)
    star, parts = last
    return f"{closed}{star}{_closed(parts[:-1])}{parts[-1]}"


def _closed(parts: list[str]) -> str:
    return "".join(f"(?>{part})" for part in parts)


def _stretches(tokens: list[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """Part a pattern before each ``**``, which stands beside the rest, and that before each ``*``."""
    stretches = [("", [""])]
    for kind, text in tokens:
        parts = stretches[-1][1]
        if kind in ("folders", "all"):
            stretches.append((_STARS[kind], [""]))
        elif kind == "some":
            parts.append(_STARS[kind])
        elif kind == "name":
            parts[-1] += "[^/]"
            parts.append(_STARS["some"])
        else:
            parts[-1] += _character(kind, text)
    return stretches


def _character(kind: str, text: str) -> str:
    if kind == "text":
        return re.escape(text)
    return _set_regex(text[1:-1]) if kind == "set" else "[^/]"


def _set_regex(body: str) -> str:
    excluded = body.startswith("!")
    parts = "".join(_members(match) for match in _RANGE.finditer(body[excluded:]))
    if excluded:
        return f"[^/{parts}]"
    return f"(?!/)[{parts}]" if parts else "(?!)"


def _members(match: re.Match[str]) -> str:
    if match[3] is not None:
        return re.escape(match[3])
    return f"{re.escape(match[1])}-{re.escape(match[2])}" if match[1] <= match[2] else ""
