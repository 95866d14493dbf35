"""Local files as locations: bare paths, ``file://`` URLs (RFC 8089), and text that is nearly a URL.

Asks the file system nothing but which directory the process is in.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes

from astro_cloud.exceptions import InvalidLocationError
from astro_cloud.storage.masking import shown

__all__ = ["of_bare_path", "of_file_url"]

_NEARLY_A_URL = re.compile(
    r"\s*(?P<scheme>(?:s3[an]?|gc?s|az|abfss?|wasbs?|https?|file|ftp|hdfs)(?=:)|[a-z][a-z0-9+.-]+(?=:/))",
    re.IGNORECASE,
)


def of_bare_path(text: str) -> Path:
    """Return the absolute path that a bare one names from the current directory.

    Raises
    ------
    InvalidLocationError
        If it looks like a URL that lost a slash (``pathlib`` takes one off ``s3://``), or can be no path.
    """
    if match := _NEARLY_A_URL.match(text):
        scheme = match["scheme"].lower()
        three = "///" if scheme == "file" else "//"
        raise InvalidLocationError(
            f"{shown(text)!r} is not a location: write {scheme}:{three}... as text, not as a Path; or ./ "
            "before the name of a local file"
        )
    return _checked(text, text).absolute()


def of_file_url(text: str, rest: str) -> Path:
    """Return the path of a ``file://`` URL, `rest` being what follows the two slashes."""
    host, slash, path = rest.partition("/")
    if host.lower() not in ("", "localhost"):
        raise InvalidLocationError(
            f"{text!r} is a file of another machine ({host!r}): write file:///absolute/path"
        )
    if not slash or not path:
        raise InvalidLocationError(f"{text!r} names no file: write file:///absolute/path")
    if "?" in path or "#" in path:
        raise InvalidLocationError(f"{text!r}: write ? as %3F and # as %23 in a file:// URL")
    _checked(path, text)
    decoded = os.fsdecode(unquote_to_bytes(path))
    is_windows = re.match("[A-Za-z]:", decoded) and os.name == "nt"
    return _checked(decoded if is_windows else "/" + decoded, text)


def _checked(path: str, text: str) -> Path:
    if not path:
        raise InvalidLocationError(f"{text!r} is not a location: it is empty")
    if "\0" in path:
        raise InvalidLocationError(f"{text!r}: the path holds a NUL, which no file name can")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise InvalidLocationError(f"{text!a}: the path is not text that a file name can have") from None
    return Path(path)
