"""What a download writes down of itself, so that the next can go on: lines in, spans out. Pure.

The first line says of which version of which object the bytes are; each further line, that some of
them have arrived for good. A last line that was cut is passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from astro_cloud.storage.answers import Version
from astro_cloud.storage.checksum import Algorithm

__all__ = ["Journal", "Span", "missing_from", "parse_journal"]

_FORMAT = 1


class Span(NamedTuple):
    """Bytes [start, stop) that have arrived; and, where it was computed, a CRC, which is not written down."""

    start: int
    stop: int
    algorithm: Algorithm | None = None
    crc: int = 0


@dataclass(frozen=True, slots=True)
class Journal:
    """What the lines say.

    Attributes
    ----------
    identity : str
        Of the object; no secret.
    version : Version
        Which the bytes are of; its total is known.
    spans : tuple of Span
        In their order, none overlapping.
    """

    identity: str
    version: Version
    spans: tuple[Span, ...] = ()

    @property
    def head(self) -> bytes:
        """The first line."""
        version = self.version
        return _line(
            {
                "format": _FORMAT,
                "identity": self.identity,
                "size": version.total,
                "etag": version.etag,
                "weak_etag": version.weak_etag,
                "last_modified": version.last_modified,
            }
        )

    @staticmethod
    def lines(spans: Iterable[Span]) -> bytes:
        """The lines of some spans; one that begins where an earlier did takes its place."""
        return b"".join(_line(span[:2]) for span in spans)


def parse_journal(text: bytes) -> Journal | None:
    """Read a journal back; None if it is none, or contradicts itself."""
    records = list(_records(text))
    try:
        head = dict(records[0])
        spans = {start: Span(start, stop) for start, stop in records[1:]}
        return _journal(head, sorted(spans.values()))
    except (IndexError, KeyError, TypeError, ValueError):
        return None


def missing_from(spans: Iterable[Span], size: int) -> list[tuple[int, int]]:
    """Return what of [0, size) some spans leave open, in order."""
    gaps, at = [], 0
    for span in sorted(spans, key=lambda span: span[:2]):
        if span.start > at:
            gaps.append((at, span.start))
        at = max(at, span.stop)
    return [*gaps, (at, size)] if at < size else gaps


def _journal(head: dict[str, Any], spans: list[Span]) -> Journal | None:
    size = head["size"]
    if head["format"] != _FORMAT or not all(type(number) is int for span in spans for number in span[:2]):
        return None
    bounds = [0, *(bound for span in spans for bound in span[:2]), size]
    if any(before > after for before, after in pairwise(bounds)):
        return None
    version = Version(head["etag"], size, head["last_modified"], head["weak_etag"])
    return Journal(str(head["identity"]), version, tuple(spans))


def _line(record: Any) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def _records(text: bytes) -> Iterable[Any]:
    for line in text.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            return
        try:
            yield json.loads(line)
        except ValueError:
            return
