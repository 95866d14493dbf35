"""Which file name stands for which piece of an object key. Pure; both directions, one to one.

A key is cut at each ``/``. An ordinary piece is its own file name, so a plain folder of files is a bucket.
What a file system cannot hold has an escaped name: an empty piece, ``.``, ``..``, a NUL, more than 255 bytes,
and a piece that looks like an escaped name. A piece may also need its escaped name because the plain one is
taken: the objects ``a`` and ``a/b`` want a file and a folder both called ``a``.

Escaped names begin with ``%`` and a mark: ``%=`` an object, ``%:`` a folder, ``%+`` a folder that holds the
first part of a long name, ``%~`` a file being written, which is no object.
"""

from __future__ import annotations

import re

OBJECT, FOLDER, PART, TEMPORARY = "%=", "%:", "%+", "%~"
MAX_NAME = 255
"""Bytes of the longest file name."""

_CHUNK = 240
_RESERVED = re.compile(r"%[=:+~]")


def candidates(piece: str, mark: str) -> list[str]:
    """Return the relative paths that may stand for a piece of a key, the plain one first if there is one.

    Parameters
    ----------
    piece : str
        What stands between two slashes of a key.
    mark : str
        `OBJECT` for the last piece, `FOLDER` for one before it.
    """
    escaped = _escaped(piece, mark)
    plain = piece not in ("", ".", "..") and "\0" not in piece and not _RESERVED.match(piece)
    return [piece, escaped] if plain and len(piece.encode()) <= MAX_NAME else [escaped]


def piece_of(path: str) -> tuple[str, str] | None:
    """Return the piece and mark of an escaped relative path; None if `candidates` makes no such path."""
    *parts, last = path.split("/")
    if not all(part.startswith(PART) for part in parts) or last[:2] not in (OBJECT, FOLDER):
        return None
    text = "".join(part[2:] for part in (*parts, last))
    piece = text.replace("%00", "\0").replace("%25", "%")
    return (piece, last[:2]) if _escaped(piece, last[:2]) == path else None


def is_reserved(name: str) -> bool:
    """Return whether a file name is escaped, or that of a file being written."""
    return _RESERVED.match(name) is not None


def _escaped(piece: str, mark: str) -> str:
    text = piece.replace("%", "%25").replace("\0", "%00")
    if len(text) <= _CHUNK and text.isascii():
        return mark + text
    chunks = [""]
    size = 0
    for character in text:
        width = len(character.encode())
        if size + width > _CHUNK:
            chunks.append("")
            size = 0
        chunks[-1] += character
        size += width
    return "".join(f"{PART}{chunk}/" for chunk in chunks[:-1]) + mark + chunks[-1]
