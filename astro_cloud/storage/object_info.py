"""What a store tells of an object without its bytes, and of the folders it seems to have. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from astro_cloud.storage.location import Location

__all__ = ["CommonPrefix", "ObjectInfo"]


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object, or one local file, as its store describes it.

    Attributes
    ----------
    location : Location
        Where it is; can be opened and read.
    size : int
        In bytes.
    etag : str or None
        With its quotes, as If-Match has it; None for local files, and where the server gives none.
    last_modified : datetime or None
        Aware, in UTC; seconds or finer.
    version : str or None
        S3's versionId, Google's generation, Azure's versionid, where the answer names it.
    content_type : str or None
        The media type; S3 and Google do not list it.
    """

    location: Location
    size: int
    etag: str | None = None
    last_modified: datetime | None = None
    version: str | None = None
    content_type: str | None = None

    @property
    def key(self) -> str:
        """The object's key, decoded; of a local file its absolute path, with ``/``; of another URL, that."""
        return _key_of(self.location)


@dataclass(frozen=True, slots=True)
class CommonPrefix:
    """What one or more keys begin with, up to a delimiter: a folder, as far as a store has any.

    Attributes
    ----------
    location : Location
        Of the keys that begin so; can be listed.
    """

    location: Location

    @property
    def key(self) -> str:
        """The prefix, decoded, with the delimiter at its end; of a local folder its path and a slash."""
        key = _key_of(self.location)
        return key if self.location.path is None else key.rstrip("/") + "/"


def _key_of(location: Location) -> str:
    if location.path is not None:
        return location.path.as_posix()
    return location.key if location.key is not None else location.text
