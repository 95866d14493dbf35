"""The fsspec door: ``astro+s3://``, ``astro+gs://``, ``astro+az://``, ``astro+https://`` and ``astro+http://``.

Whatever opens files through fsspec (pandas, xarray, dask, astropy) reads our locations by these names:
the location as `astro_cloud.open` takes it, with ``astro+`` before it. Needs the extra ``fsspec``; the
names are registered by entry points. It computes nothing: every method is a call of the storage tier.
It is one long class, since fsspec asks one class for all of it: what there is, its bytes, its names.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from glob import has_magic
from itertools import accumulate
from operator import index
from typing import Any, ClassVar, Literal, NoReturn, SupportsIndex

try:
    from fsspec.callbacks import DEFAULT_CALLBACK, Callback
    from fsspec.implementations.local import LocalFileSystem, make_path_posix, trailing_sep
    from fsspec.spec import AbstractFileSystem
    from fsspec.utils import isfilelike, other_paths, stringify_path, tokenize
except ImportError as error:
    raise ImportError("astro_cloud.filesystem needs fsspec: pip install 'astro-cloud[fsspec]'") from error

from astro_cloud.auth.providers import Anonymous
from astro_cloud.exceptions import AstroCloudError, InvalidLocationError, ObjectNotFoundError, StorageError
from astro_cloud.storage import (
    Client,
    CommonPrefix,
    Location,
    ObjectInfo,
    PinnedObject,
    RemoteFile,
    Settings,
)
from astro_cloud.storage.local import LocalObject
from astro_cloud.storage.opening import open as open_file
from astro_cloud.storage.remote_file import CACHE_SIZE
from astro_cloud.storage.slices import Bounds, SlicesReading, read_slice

__all__ = ["AzureFileSystem", "GoogleFileSystem", "HTTPFileSystem", "HTTPSFileSystem", "S3FileSystem"]

Info = dict[str, Any]

_URLS = ("https://", "http://")
_OF_FSSPEC = {"asynchronous", "loop", "use_listings_cache", "listings_expiry_time", "max_paths"}
_OF_OTHER_FILES = {"block_size", "default_block_size", "cache_type", "default_cache_type", "cache_options"}


class _AstroFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Reads objects of one scheme; nothing can be written.

    Parameters
    ----------
    auth : requests auth, optional
        Signs the requests; by default chosen for each location.
    client : Client, optional
        Reads the bytes. By default one is shared by all file systems with the same settings.
    request_payer : bool
        Offer to pay for the requests, at a requester-pays bucket.
    anonymous : bool
        Send no credentials.
    endpoint_url, region, profile : str, optional
        As `Settings` has them.
    cache_size : int
        Bytes that an open file keeps at most.
    **storage_options
        What fsspec gives every file system; block sizes and kinds of cache are let pass, and do nothing.

    Raises
    ------
    TypeError
        If an option is unknown, or contradicts another.

    Notes
    -----
    A name is what follows the scheme, the key as `Location.parse` takes it; a slash at its end belongs to
    it. A folder's name has none, unless the last of its names is empty. What a scheme cannot spell (a
    key that ends as a version does) is named by its URL.
    """

    # fsspec tells instances apart by the repr of their arguments, where auths that differ in a secret
    # look alike. Making one costs little: the client, with its connections, is what is shared.
    cachable = False
    scheme: ClassVar[str]

    def __init__(
        self,
        *,
        auth: Any = None,
        client: Client | None = None,
        request_payer: bool = False,
        anonymous: bool = False,
        endpoint_url: str | None = None,
        region: str | None = None,
        profile: str | None = None,
        cache_size: int = CACHE_SIZE,
        **storage_options: Any,
    ) -> None:
        if unknown := storage_options.keys() - _OF_FSSPEC - _OF_OTHER_FILES:
            raise TypeError(
                f"{', '.join(sorted(unknown))}: not known to astro+{self.scheme}://, which takes auth, "
                "client, request_payer, anonymous, endpoint_url, region, profile and cache_size"
            )
        if anonymous and (auth is not None or request_payer):
            raise TypeError("anonymous: nobody signs then, so leave out auth and request_payer")
        settings = Settings(endpoint_url=endpoint_url, region=region, profile=profile)
        if client is not None and (anonymous or settings != Settings()):
            raise TypeError("client: it has its own endpoint_url, region, profile and auth; give them to it")
        super().__init__(**storage_options)
        self._client = client or _shared_client(settings, anonymous)
        self._access = {"auth": auth, "request_payer": request_payer}
        self._cache_size = cache_size
        given = secrets.token_hex(16) if auth is not None or client is not None else ""
        options = (request_payer, anonymous, endpoint_url, region, profile, cache_size)
        self._identity: str = tokenize(self.scheme, options, given)

    @property
    def _fs_token(self) -> str:
        """What is equal for equal file systems; with an auth or a client, that is copies of one."""
        return self._identity

    def __reduce__(self) -> tuple[Any, ...]:
        return (*super().__reduce__(), {"_identity": self._identity})

    def __repr__(self) -> str:
        return f"<{type(self).__name__} astro+{self.scheme}://>"

    def to_dict(self, **options: Any) -> dict[str, Any]:
        """Describe the file system for JSON, which has no place for secrets.

        Raises
        ------
        TypeError
            If the file system was given an auth, a client, or an endpoint with a password.
        """
        given = self.storage_options
        if given.get("auth") or given.get("client") or "@" in (given.get("endpoint_url") or ""):
            raise TypeError("a file system with an auth, client or password has no JSON: pickle it")
        described: dict[str, Any] = super().to_dict(**options)
        return described

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        return stringify_path(path).removeprefix("astro+").removeprefix(f"{cls.scheme}://")

    # What there is

    def info(self, path: str, **options: Any) -> Info:
        """Describe an object or a folder: name, size in bytes, type, and of an object ETag and LastModified.

        Raises
        ------
        FileNotFoundError
            If there is neither.
        AccessDeniedError, StorageError
            If it cannot be told.
        """
        path = self._strip_protocol(path)
        place = self._place(path)
        if (found := self._object(path, place)) is not None:
            return found
        if place.key == "" or _can_be_listed(place):
            first = next(self._listed(path, page_size=1), None)
            if first is not None or place.key == "":
                return _folder(self._folder_name(path))
        raise _absent(place)

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """List a folder, or describe the one object there is: an `info` each or, unless `detail`, names.

        Raises
        ------
        FileNotFoundError
            If there is neither.
        InvalidLocationError
            If it is a folder of a web server, which has no way to list one.
        AccessDeniedError, StorageError
            If it cannot be told.
        """
        path = self._strip_protocol(path)
        place, listed = self._place(path), []
        if _can_be_listed(place) or path.endswith("/"):
            listed = list(self._listed(path))
        entries = [self._described(name, entry) for name, entry in listed if not _marks_folder(entry)]
        if not listed and place.key != "":
            found = self._object(path, place)
            if found is None:
                raise _absent(place)
            entries = [found]
        return entries if detail else [entry["name"] for entry in entries]

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **options: Any,
    ) -> Any:
        """List all objects under a folder, in one listing unless there is a `maxdepth`; by name.

        With `withdirs` the folders too, but for those whose name is empty. What is not there is empty.
        """
        path = self._strip_protocol(path)
        if maxdepth is not None:
            return super().find(
                self._folder_name(path), maxdepth=maxdepth, withdirs=withdirs, detail=detail, **options
            )
        found: dict[str, Info] = {}
        folders: set[str] = set()
        place = self._place(path)
        for name, entry in self._listed(path, delimiter=None) if _can_be_listed(place) else ():
            if withdirs:
                folders.update(self._folders_of(path, name))
            if not _marks_folder(entry):
                found[name] = self._described(name, entry)
        found |= {folder: _folder(folder) for folder in map(self._folder_name, folders)}
        if not found and (info := self._object(path, place)) is not None:
            found[path] = info
        return {name: found[name] for name in sorted(found)} if detail else sorted(found)

    def walk(
        self,
        path: str,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: Literal["omit", "raise"] | Callable[[OSError], object] = "omit",
        **options: Any,
    ) -> Iterator[tuple[str, Any, Any]]:
        """Yield each folder, with the names of the folders and of the objects in it, but for empty names.

        By default what does not exist is omitted; a refusal is always an error.
        """
        path = self._folder_name(self._strip_protocol(path))
        if on_error == "omit":
            on_error = _unless_absent
        for folder, folders, files in super().walk(path, maxdepth, topdown, on_error, **options):
            if "" in files:
                files.pop("") if isinstance(files, dict) else files.remove("")
            yield folder, folders, files

    def glob(self, path: str, maxdepth: int | None = None, **options: Any) -> Any:
        """Find what matches a pattern; with a slash at its end, folders."""
        detail = options.pop("detail", False)
        path = self._strip_protocol(path)
        found = super().glob(path.rstrip("/"), maxdepth, detail=True, **options)
        if path.endswith("/"):
            found = {name: info for name, info in found.items() if info["type"] == "directory"}
        return found if detail else list(found)

    def expand_path(
        self, path: Any, recursive: bool = False, maxdepth: int | None = None, **options: Any
    ) -> list[str]:
        """Return the names that patterns and folders stand for; the name of an object is no pattern."""
        paths = [
            self._strip_protocol(one) for one in ([path] if isinstance(path, str | os.PathLike) else path)
        ]
        if recursive:
            paths = [self._folder_name(one) for one in paths]
        literal = [one for one in paths if has_magic(one) and self._is_object(one)]
        rest = [one for one in paths if one not in literal]
        if rest or not literal:
            literal += super().expand_path(rest, recursive, maxdepth, **options)
        return sorted(literal)

    def exists(self, path: str, **options: Any) -> bool:
        """Tell whether there is an object, or anything under it; a refusal is an error, not an absence."""
        return self._type(path) is not None

    def isdir(self, path: str) -> bool:
        """Tell whether there is a folder; a refusal is an error."""
        return self._type(path) == "directory"

    def isfile(self, path: str) -> bool:
        """Tell whether there is an object; a refusal is an error."""
        return self._type(path) == "file"

    def modified(self, path: str) -> Any:
        """Return when an object was last written, as an aware datetime; None where that is not known."""
        return self.info(path).get("LastModified")

    # Its bytes

    def cat_file(
        self,
        path: str,
        start: SupportsIndex | None = None,
        end: SupportsIndex | None = None,
        **options: Any,
    ) -> bytes:
        """Return bytes [start, end) of an object; negative ones count from its end."""
        return read_slice(self._pin(self._strip_protocol(path)), (_bound(start), _bound(end)))

    def cat_ranges(
        self,
        paths: Sequence[str],
        starts: SupportsIndex | Iterable[SupportsIndex | None] | None,
        ends: SupportsIndex | Iterable[SupportsIndex | None] | None,
        max_gap: int | None = None,
        on_error: Literal["return", "raise"] = "return",
        **options: Any,
    ) -> list[Any]:
        """Return bytes [start, end) of each path, all at once; those of one object are of one version.

        Parameters
        ----------
        paths : sequence of str
            The objects; one may come many times.
        starts, ends : int, None or a sequence of them
            In bytes, as `cat_file` takes them; one for all paths, or one for each. NumPy's integers and
            arrays of them will do.
        max_gap : int, optional
            Does nothing: the client learns what is worth reading through.
        on_error : {"return", "raise"}
            Whether an error stands in its object's place, or ends all that is still being read.
        """
        count = len(paths)
        bounds = list(zip(_for_each(starts, count), _for_each(ends, count), strict=True))
        places: dict[str, list[int]] = {}
        for place, (path, _) in enumerate(zip(paths, bounds, strict=True)):
            places.setdefault(self._strip_protocol(path), []).append(place)
        readings: list[SlicesReading | AstroCloudError] = []
        results: list[Any] = [b""] * count
        try:
            for path, wanted in places.items():
                readings.append(self._begin(path, [bounds[place] for place in wanted]))
            for reading in readings:
                _outcome(reading, SlicesReading.go_on, on_error)
            for wanted, reading in zip(places.values(), readings, strict=True):
                parts = _outcome(reading, SlicesReading.result, on_error)
                for number, place in enumerate(wanted):
                    results[place] = parts if isinstance(parts, Exception) else parts[number]
        except BaseException:
            for reading in reversed(readings):  # first those that have not begun
                if not isinstance(reading, AstroCloudError):
                    reading.cancel()
            raise
        return results

    def get(
        self,
        rpath: Any,
        lpath: Any,
        recursive: bool = False,
        callback: Callback = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **options: Any,
    ) -> None:
        """Copy objects, or with `recursive` folders, to local files that are named by their keys.

        Parameters
        ----------
        rpath : str or list of str
            What `expand_path` takes.
        lpath : str, path or list of str
            Where to, as fsspec has it: a folder if it is there or ends in a slash.

        Raises
        ------
        InvalidLocationError
            If a key leads out of `lpath`; nothing is copied then.
        """
        if not isinstance(lpath, list | tuple):
            paths = self.expand_path(rpath, recursive=recursive, maxdepth=maxdepth, **options)
            if isinstance(rpath, str) and (not recursive or maxdepth is not None):
                paths = [path for path in paths if not (trailing_sep(path) or self.isdir(path))]
                if not paths:
                    return
            rpath, lpath = paths, self._targets(rpath, paths, make_path_posix(stringify_path(lpath)))
        super().get(rpath, lpath, recursive=recursive, callback=callback, maxdepth=maxdepth, **options)

    def _targets(self, asked: Any, paths: list[str], target: str) -> list[str]:
        """Place each object in a local folder as fsspec does, which compares names: here those by key."""
        one = isinstance(asked, str)
        into = one and (
            len(paths) == 1
            if has_magic(asked)
            else not trailing_sep(asked) and (trailing_sep(target) or LocalFileSystem().isdir(target))
        )
        names = [self._name_by_key(path) for path in paths]
        targets: list[str] = other_paths(names, target, exists=into, flatten=not one)
        for path, there in zip(paths, targets, strict=True):
            if _climbs(there[len(target.rstrip("/")) :]):
                raise self._leads_out(path, target)
        return targets

    def get_file(
        self,
        rpath: str,
        lpath: Any,
        callback: Callback = DEFAULT_CALLBACK,
        outfile: Any = None,
        **options: Any,
    ) -> None:
        """Copy an object to a local file, which appears whole or not at all; for a folder, make one."""
        rpath = self._strip_protocol(rpath)
        local = outfile is None and not isfilelike(lpath)
        if local and _climbs(os.fspath(lpath)) and _climbs(self._name_by_key(rpath)):
            raise self._leads_out(rpath, lpath)
        try:
            source = self._open(rpath)
        except (ObjectNotFoundError, InvalidLocationError):  # a bucket names no object
            if not self.isdir(rpath):
                raise
            os.makedirs(lpath, exist_ok=True)
            return
        with source:
            callback.set_size(source.size)
            if outfile is not None or isfilelike(lpath):
                self._copy(source, outfile or lpath, callback)
                return
            os.makedirs(os.path.dirname(os.path.abspath(lpath)), exist_ok=True)
            beside = f"{os.fspath(lpath)}.{secrets.token_hex(4)}.part"
            try:
                with open(beside, "wb") as target:
                    self._copy(source, target, callback)
                os.replace(beside, lpath)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(beside)
                raise

    def _copy(self, source: RemoteFile, target: Any, callback: Callback) -> None:
        while data := source.read(self.blocksize):
            target.write(data)
            callback.relative_update(len(data))

    def _open(self, path: str, mode: str = "rb", cache_size: int | None = None, **options: Any) -> RemoteFile:
        if mode != "rb":
            self._refuse()
        size = self._cache_size if cache_size is None else cache_size
        return open_file(self._location(path), client=self._client, cache_size=size, **self._access)

    def _refuse(self, *arguments: Any, **options: Any) -> NoReturn:
        """Raise `NotImplementedError`, by which fsspec's callers know what a file system does not offer."""
        # Objects are stored by `astro_cloud.storage.upload`; fsspec asks for this error.
        raise NotImplementedError(f"astro+{self.scheme}:// can be read, not written")

    mkdir = makedirs = rmdir = touch = _refuse
    pipe_file = put_file = cp_file = mv = rm = rm_file = _rm = _refuse

    def _pin(self, path: str) -> PinnedObject | LocalObject:
        return self._client.pin(self._location(path), **self._access)

    def _begin(self, path: str, bounds: list[Bounds]) -> SlicesReading | AstroCloudError:
        try:
            return SlicesReading(self._pin(path), bounds)
        except AstroCloudError as error:
            return error

    # Names

    def _location(self, path: str) -> str:
        return path if path.startswith(_URLS) else f"{self.scheme}://{path}"

    def _name_by_key(self, path: str) -> str:
        """Return bucket and key as they are, also of what only a URL can name; else the name."""
        place = self._place(path)
        if place.bucket is None or place.version is not None:
            return path
        return f"{place.bucket}/{place.key}" if place.key else place.bucket

    def _leads_out(self, path: str, target: Any) -> InvalidLocationError:
        return InvalidLocationError(
            f"{self._place(path)}: its key leads out of the folder it would be copied to: {target}"
        )

    def _place(self, path: str) -> Location:
        return Location.parse(self._location(path), self._client.settings, prefix=True)

    def _object(self, path: str, place: Location) -> Info | None:
        """Describe an object; None if there is none, or if it stands for a folder."""
        if place.key == "":
            return None
        with suppress(ObjectNotFoundError):
            found = self._client.stat(self._location(path), **self._access)
            if not _marks_folder(found):
                return self._described(path, found)
        return None

    def _listed(
        self, path: str, *, delimiter: str | None = "/", page_size: int | None = None
    ) -> Iterator[tuple[str, ObjectInfo | CommonPrefix]]:
        """Yield what is under a folder, with its name."""
        place = self._place(path)
        before = path.removesuffix(place.key or "").rstrip("/")
        if place.key and not place.key.endswith("/"):
            place = place.with_key(place.key + "/")
        # Listed as a Location: no character of it is a pattern.
        for entry in self._client.list_objects(
            place, delimiter=delimiter, page_size=page_size, **self._access
        ):
            there = entry.location
            url = there.text.startswith(_URLS)
            yield self._strip_protocol(there.url) if url else f"{before}/{there.key}", entry

    def _described(self, name: str, entry: ObjectInfo | CommonPrefix) -> Info:
        if isinstance(entry, CommonPrefix):
            return _folder(self._folder_name(name))
        about = {"ETag": entry.etag, "LastModified": entry.last_modified}
        return {"name": name, "size": entry.size, "type": "file", **about}

    def _folder_name(self, name: str) -> str:
        """Take the slash off a folder's name, where it means the same without."""
        short = name.removesuffix("/")
        if name == short or short.endswith("/") or self._place(short).version is not None:
            return name
        return short

    def _folders_of(self, path: str, name: str) -> Iterator[str]:
        """Name the folders that an object under `path` is in, from `path` on, with a slash each."""
        top = self._folder_name(path)
        inside = top if top.endswith("/") else f"{top}/"
        yield inside
        if name.startswith(inside):
            folders = accumulate(name[len(inside) :].split("/")[:-1], "{}/{}".format)
            yield from (f"{inside}{folder}/" for folder in folders if folder and folder[-1] != "/")

    def _is_object(self, path: str) -> bool:
        """Tell whether a name that could be a pattern is an object's, as far as one can."""
        with suppress(StorageError, ValueError):
            return self._client.exists(self._location(path), **self._access)
        return False

    def _type(self, path: str) -> str | None:
        try:
            return str(self.info(path)["type"])
        except FileNotFoundError:
            return None


class S3FileSystem(_AstroFileSystem):
    """Amazon S3, and what speaks its language: ``astro+s3://bucket/key``."""

    scheme, protocol = "s3", "astro+s3"


class GoogleFileSystem(_AstroFileSystem):
    """Google Cloud Storage: ``astro+gs://bucket/key``."""

    scheme, protocol = "gs", "astro+gs"


class AzureFileSystem(_AstroFileSystem):
    """Azure Blob Storage: ``astro+az://account/container/key``."""

    scheme, protocol = "az", "astro+az"


class HTTPSFileSystem(_AstroFileSystem):
    """Any URL: ``astro+https://host/path``; a provider's is signed where there are credentials."""

    scheme, protocol = "https", "astro+https"


class HTTPFileSystem(_AstroFileSystem):
    """The same without TLS: ``astro+http://host/path``."""

    scheme, protocol = "http", "astro+http"


@lru_cache(maxsize=16)
def _shared_client(settings: Settings, anonymous: bool) -> Client:
    """Return one client for all file systems with these settings, so that they share connections."""
    return Client(auth=Anonymous() if anonymous else None, settings=settings)


def _outcome(
    reading: SlicesReading | AstroCloudError, wait: Callable[[SlicesReading], Any], on_error: str
) -> Any:
    """Return what waiting brings: an error too, if it is to be returned."""
    try:
        if isinstance(reading, AstroCloudError):
            raise reading
        return wait(reading)
    except Exception as error:
        if on_error != "return":
            raise
        return error


def _for_each(bounds: SupportsIndex | Iterable[SupportsIndex | None] | None, count: int) -> list[int | None]:
    if isinstance(bounds, Iterable) and getattr(bounds, "shape", None) != ():  # numpy has arrays of no axes
        return [_bound(bound) for bound in bounds]
    return [_bound(bounds)] * count


def _bound(bound: Any) -> int | None:
    return None if bound is None else index(bound)


def _can_be_listed(place: Location) -> bool:
    return place.bucket is not None and place.version is None


def _climbs(path: str) -> bool:
    return ".." in path.replace(os.sep, "/").split("/")


def _marks_folder(entry: ObjectInfo | CommonPrefix) -> bool:
    """Tell the empty object that some tools keep for a folder."""
    return isinstance(entry, ObjectInfo) and not entry.size and (entry.location.key or "").endswith("/")


def _unless_absent(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _absent(place: Location) -> ObjectNotFoundError:
    return ObjectNotFoundError(f"{place}: there is no such object, and nothing under it", location=place.text)


def _folder(name: str) -> Info:
    return {"name": name, "size": 0, "type": "directory"}
