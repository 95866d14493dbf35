"""An index: where the HDUs of a file are, kept so that it is opened again without reading headers.

An index is of one version of one object. Nobody is asked whether it is current: the first read of data is
held to that version, and so proves it, or fails with `ObjectChangedError`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astro_cloud.exceptions import (
    FITSError,
    ObjectChangedError,
    ObjectNotFoundError,
    RangeNotSupportedError,
    StorageError,
)
from astro_cloud.fits.blame import warn
from astro_cloud.fits.chain import Chain, CompressedWholeError
from astro_cloud.fits.header import FITSHeader
from astro_cloud.fits.layout import MalformedHeaderError, find_end, read_structure
from astro_cloud.storage import Client, Location
from astro_cloud.storage.answers import Version
from astro_cloud.storage.destination import check_target, target_of, writing_error
from astro_cloud.storage.local import LocalObject, local_error
from astro_cloud.storage.pinned import PinnedObject
from astro_cloud.storage.whole_file import written_whole

if TYPE_CHECKING:
    from requests.auth import AuthBase

__all__ = ["Index", "index_of", "renewed", "save_index"]

_FORMAT = "astro-cloud index 1"
_CODING = "latin-1"
"""Each byte of a header is a character of its own: bytes that are not ASCII come back as they were."""


@dataclass(frozen=True)
class Index:
    """Where the HDUs of one version of an object are.

    Attributes
    ----------
    location : str
        As it was written, secrets masked.
    fingerprint : str
        Tells the object from others.
    version : Version
        ETag, size and date that reads are held to.
    headers : tuple of FITSHeader
        Of all HDUs, in their order.
    path : Path or None
        Where it is kept.
    """

    location: str
    fingerprint: str
    version: Version
    headers: tuple[FITSHeader, ...]
    path: Path | None = None

    @classmethod
    def read(cls, source: PinnedObject | LocalObject, *, predict: bool = True) -> Index:
        """Read all headers of an object.

        Raises
        ------
        RangeNotSupportedError
            If it is compressed whole.
        NotFITSError, CorruptFITSError
            If it is not FITS, or damaged.
        StorageError
            If it cannot be read; or if its server tells nothing that would show an index to be current.
        """
        chain, headers = Chain(source, predict=predict), []
        try:
            while (header := chain.advance()) is not None:
                headers.append(header)
        except CompressedWholeError as error:
            raise RangeNotSupportedError(
                f"{error}: an index of it would save nothing; download it once", location=source.name
            ) from error
        version = source.version
        if version is None or not (version.etag or version.weak_etag or version.last_modified):
            message = f"{source.name}: its server tells no ETag and no date, by which an index is held to it"
            raise StorageError(message, location=source.name)
        return cls(source.name, source.location.fingerprint, version, tuple(headers))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Index:
        """Read an index that was saved.

        Raises
        ------
        ObjectNotFoundError
            If there is none.
        FITSError
            If it is damaged, or something else.
        StorageError
            If it cannot be read.
        """
        place = Path(path)
        try:
            record = json.loads(place.read_bytes())
            return cls._of(record, place)
        except FileNotFoundError:
            message = f"{place}: there is no such index: make it with astro_cloud.fits.save_index"
            raise ObjectNotFoundError(message, location=str(place)) from None
        except OSError as error:
            raise local_error(error, str(place)) from error
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            message = (
                f"{place} is damaged, or no index: {error}; make it anew with astro_cloud.fits.save_index"
            )
            raise FITSError(message, location=str(place)) from error

    def save(self, path: str | os.PathLike[str]) -> Index:
        """Write the index to a file, which appears whole or not at all; return it with its path."""
        place = Path(path)
        version = self.version
        record: dict[str, Any] = {
            "format": _FORMAT,
            "location": self.location,
            "object": self.fingerprint,
            "version": {
                "etag": version.etag,
                "size": version.total,
                "last_modified": version.last_modified,
                "weak_etag": version.weak_etag,
            },
            "headers": [{"offset": one.offset, "raw": one.raw.decode(_CODING)} for one in self.headers],
        }
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            check_target(place)
            if place.exists() and not _may_be_index(place):
                message = f"{place}: this file is no index, and is not replaced: name another"
                raise StorageError(message, location=str(place))
        except StorageError:
            raise
        except OSError as error:
            raise writing_error(error, str(place)) from error
        with written_whole(target_of(place)) as file:
            file.write(json.dumps(record | {"sha256": _digest(record)}).encode())
        return Index(self.location, self.fingerprint, version, self.headers, place)

    def check(self, location: Location) -> None:
        """Raise a ValueError if this is the index of another object."""
        if location.fingerprint != self.fingerprint:
            raise ValueError(f"this is the index of {self.location}, and not of {location}")

    @classmethod
    def _of(cls, record: dict[str, Any], path: Path) -> Index:
        if record["format"] != _FORMAT:
            raise ValueError(f"its format is {record['format']!r}, and not {_FORMAT!r}")
        if record.pop("sha256") != _digest(record):
            raise ValueError("it is not as it was written")
        said = record["version"]
        if not _is_version(said):
            raise ValueError("its version makes no sense")
        version = Version(said["etag"], said["size"], said["last_modified"], said["weak_etag"])
        raws = [(int(one["offset"]), str(one["raw"]).encode(_CODING)) for one in record["headers"]]
        headers = tuple(_header(index, *one) for index, one in enumerate(raws))
        if not headers or headers[0].offset or any(one.end != two.offset for one, two in pairwise(headers)):
            raise ValueError("its headers do not follow each other")
        return cls(str(record["location"]), str(record["object"]), version, headers, path)


def save_index(
    location: str | os.PathLike[str] | Location,
    path: str | os.PathLike[str] | None = None,
    *,
    auth: AuthBase | None = None,
    client: Client | None = None,
    request_payer: bool = False,
) -> Index:
    """Read all headers of a FITS file, and keep them for opening it again.

    `open` with ``index=`` then needs no request of its own; see there.

    Parameters
    ----------
    location : str, path or Location
        ``s3://bucket/key``, or any other form of `Location.parse`; a local file too.
    path : str or path, optional
        The file to write. By default one in the user's cache folder, which ``index=True`` finds.
    auth : requests auth, optional
        Signs the requests; by default chosen for the location.
    client : Client, optional
        Reads the bytes, and is left open. By default one is made for this file.
    request_payer : bool
        Offer to pay for the requests, at a requester-pays bucket.

    Returns
    -------
    Index
        With its `path`.

    Raises
    ------
    RangeNotSupportedError
        If the object is compressed whole.
    NotFITSError, CorruptFITSError
        If it is not FITS, or damaged.
    StorageError, CredentialsError
        If it cannot be read, or the index cannot be written.
    """
    place = Location.parse(location, client.settings if client is not None else None)
    with ExitStack() as stack:
        if client is None:
            client = stack.enter_context(Client())
        index = Index.read(client.pin(place, auth=auth, request_payer=request_payer))
    return index.save(path if path is not None else _usual_path(place))


def index_of(location: Location, index: Index | str | os.PathLike[str] | bool) -> Index:
    """Find what somebody means by the index of a location: it, its file, or True for the usual one.

    Raises
    ------
    ObjectNotFoundError
        If it was never saved.
    FITSError
        If its file is damaged.
    ValueError
        If it is the index of another object.
    """
    if not isinstance(index, Index):
        # False does not come here: it means none, as None does.
        index = Index.load(_usual_path(location) if index is True else Path(index))  # type: ignore[arg-type]
    index.check(location)
    return index


def renewed(
    location: Location,
    index: Index | str | os.PathLike[str] | bool,
    pin: Callable[[Location], PinnedObject | LocalObject],
) -> Index:
    """Return the index of a location, if it is current; or make it anew, with a warning.

    Parameters
    ----------
    location : Location
        The object.
    index : Index, path or bool
        As `index_of` takes it. A file that is stale is written anew.
    pin : callable
        Called with the location, returns what reads it.
    """
    found = index_of(location, index)
    source = pin(location)
    source.hold_to(found.version)
    try:
        source.read_ranges([(0, 1)])
    except ObjectChangedError as error:
        warn(f"{error}; its index was made anew")
        fresh = Index.read(pin(location))
        if found.path is None:
            return fresh
        try:
            return fresh.save(found.path)
        except StorageError as problem:
            warn(f"{problem}: the index that was made anew could not be kept")
            return fresh
    return found


def _header(index: int, offset: int, raw: bytes) -> FITSHeader:
    if find_end(raw, 0) != len(raw):
        raise ValueError(f"header {index} has no END, or something behind it")
    try:
        structure = read_structure(raw, primary=index == 0)
    except MalformedHeaderError as error:
        raise ValueError(f"header {index}: {error}") from error
    return FITSHeader(index=index, offset=offset, raw=raw, structure=structure)


def _digest(record: dict[str, Any]) -> str:
    """Return what shows whether a record is as it was written: a digit changed would be another pixel."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _may_be_index(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) in (b"{", b"")


def _is_version(said: dict[str, Any]) -> bool:
    """Tell whether it is of the right types, and holds something that shows it to be current."""
    shown = [said["etag"], said["last_modified"], said["weak_etag"]]
    size = said["size"]
    right = all(one is None or isinstance(one, str) for one in shown) and any(shown)
    return right and (size is None or (type(size) is int and size >= 0))


def _usual_path(location: Location) -> Path:
    caches = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not caches.is_absolute():
        caches = Path.home() / ".cache"
    return Path(caches, "astro-cloud", "indexes", f"{location.fingerprint}.json")
