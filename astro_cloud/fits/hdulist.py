"""open: a FITS file in an object store as an astropy HDUList, read with the fewest round trips."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from typing import TYPE_CHECKING, Any

from astropy.io import fits

from astro_cloud.exceptions import AstroCloudError, CorruptFITSError, NotFITSError, StorageError
from astro_cloud.fits.blame import warn
from astro_cloud.fits.chain import CompressedWholeError
from astro_cloud.fits.fsspec_words import translated
from astro_cloud.fits.hdu_file import HDUFile
from astro_cloud.fits.header import FITSHeader
from astro_cloud.fits.index import Index, index_of
from astro_cloud.fits.inflated import Inflated
from astro_cloud.fits.planned import plan
from astro_cloud.forking import restart_after_fork
from astro_cloud.storage import Client, Location, RemoteFile, Settings
from astro_cloud.storage.local import LocalObject

if TYPE_CHECKING:
    from requests.auth import AuthBase

__all__ = ["HDUList", "list_of", "open", "open_file"]

_CACHE_SIZE = 32 << 20
_MODES = ("readonly", "denywrite", "copyonwrite")
_OPTIONS = frozenset(
    {
        "uint", "do_not_scale_image_data", "ignore_blank", "scale_back", "disable_image_compression",
        "character_as_bytes", "logical_as_bytes", "checksum", "output_verify", "lazy_load_hdus",
        "save_backup", "ignore_missing_end", "ignore_missing_simple", "cache", "decompress_in_memory",
        "uint16", "uint32", "uint64",
    }
)  # fmt: skip
_AS_ASTROPY_SAYS = {"gzip": "gzip", "bzip2": "bzip2", "xz": "lzma", "zip": "zip", "compress": "lzw"}
_LENIENT = ("ignore_missing_simple", "ignore_missing_end")
_FOR_TILES = ("uint", "do_not_scale_image_data")


def open(
    location: str | os.PathLike[str] | Location,
    mode: str = "readonly",
    memmap: bool | None = None,
    *,
    predict: bool = True,
    index: Index | str | os.PathLike[str] | bool | None = None,
    auth: AuthBase | None = None,
    client: Client | None = None,
    request_payer: bool = False,
    cache_size: int = _CACHE_SIZE,
    use_fsspec: bool | None = None,
    fsspec_kwargs: dict[str, Any] | None = None,
    **options: Any,
) -> HDUList:
    """Open a FITS file in an object store, or a local one, as `astropy.io.fits.open` opens a local one.

    One round trip: the headers of further HDUs are read when they are touched, and data when they are asked
    for, those of a section all at once. Any number of threads may use the HDUs.

    Parameters
    ----------
    location : str, path or Location
        ``s3://bucket/key``, or any other form of `Location.parse`; a local file too.
    mode : {"readonly", "denywrite", "copyonwrite"}
        An object cannot be changed in its place.
    memmap : bool, optional
        As astropy has it: an object cannot be mapped, but True refuses to scale pixels.
    predict : bool
        Where a file repeats itself (SCI, ERR, DQ, SCI ...), fetch what are probably the next headers along
        with one: at most 64 KiB for each, which are in vain if the guess is wrong.
    index : Index, path or True, optional
        What `save_index` made, where, or that it was kept in its usual place. Then nothing is read here, and
        no header later: the first read of data proves that the index is current.
    auth : requests auth, optional
        Signs the requests; by default chosen for the location.
    client : Client, optional
        Reads the bytes, and is left open. By default one is made, and closed with the HDUList.
    request_payer : bool
        Offer to pay for the requests, at a requester-pays bucket.
    cache_size : int
        Bytes kept at most of what is read piece by piece, headers among them; pixels of sections are not.
    use_fsspec, fsspec_kwargs : optional
        For programs written for astropy with fsspec: credentials, ``anon``, ``requester_pays`` and endpoint
        are taken as s3fs takes them; how it would cache is let pass, and does nothing.
    **options
        What astropy's function takes: `uint`, `do_not_scale_image_data`, `disable_image_compression` ...
        With `ignore_missing_simple` or `ignore_missing_end`, astropy looks for HDUs itself, and nothing is
        planned, nor safe for threads.

    Returns
    -------
    HDUList
        An `astropy.io.fits.HDUList`, of astropy's HDUs.

    Raises
    ------
    InvalidLocationError
        If `location` names no object.
    NotFITSError, CorruptFITSError
        If the object is not FITS, or damaged; here for the first header, for others when they are touched.
    StorageError, CredentialsError
        If it cannot be read.
    ObjectChangedError
        When reading on, if the object was overwritten: since it was opened, or since its index was made.
    ObjectNotFoundError, FITSError
        If there is no such index, or it is damaged.
    ValueError, TypeError
        For another mode, for the index of another object, and for unknown options.

    Warns
    -----
    AstroCloudWarning
        As `load_headers` does, and if the last data unit is cut short; sections of what is missing raise.
        Of an object that is compressed whole, the first 256 MiB inside can be read in any order.

    Examples
    --------
    >>> with open("s3://bucket/image.fits") as hdul:
    ...     pixels = hdul[1].section[10:13, 20:22]
    """
    if mode not in _MODES:
        raise ValueError(f"mode={mode!r}: an object cannot be changed in its place; download it and upload")
    if unknown := options.keys() - _OPTIONS:
        raise TypeError(f"{', '.join(sorted(unknown))}: not known to astropy.io.fits.open, nor here")
    words = translated(fsspec_kwargs or {})
    if client is not None and (words.auth is not None or words.settings != Settings()):
        raise TypeError("fsspec_kwargs: a client has its own credentials and endpoint; give them to it")
    place = Location.parse(location, (client or words).settings)
    access: dict[str, Any] = {"auth": auth, "request_payer": request_payer or words.request_payer}
    with ExitStack() as stack:
        closes: Any = None
        if client is None:
            client = closes = stack.enter_context(Client(auth=words.auth, settings=words.settings))
        if any(options.get(name) for name in _LENIENT):
            source = client.pin(place, **access)
            file: RemoteFile = RemoteFile(source, cache_size=cache_size, closes=closes)
        else:
            file = open_file(
                place, client, closes, index=index, predict=predict, cache_size=cache_size, **access
            )
        stack.enter_context(file)
        hdus = list_of(file, mode, memmap, options)
        stack.pop_all()
    return hdus


def open_file(
    place: Location,
    client: Client,
    closes: Client | None,
    *,
    index: Index | str | os.PathLike[str] | bool | None = None,
    predict: bool = True,
    cache_size: int = _CACHE_SIZE,
    **access: Any,
) -> HDUFile:
    """Open a file, and have its first header here; takes and raises what `open` does.

    Parameters
    ----------
    place : Location
        The object.
    client : Client
        Reads it.
    closes : Client or None
        Closed with the file.
    """
    source = client.pin(place, **access)
    owned = source if isinstance(source, LocalObject) else closes
    known = None
    if index is not None and index is not False:
        found = index_of(place, index)
        source.hold_to(found.version)
        known = found.headers
    try:
        file = HDUFile(source, cache_size=cache_size, predict=predict, known=known)
        _begin(file)
        file.own(owned)
    except CompressedWholeError as whole:
        inside = Inflated(source, whole.compression, closes=owned)
        warn(inside.cost)
        file = HDUFile(inside, cache_size=cache_size, closes=inside)
        _begin(file)
    return file


def _begin(file: HDUFile) -> None:
    """Have the first header here, and with it the size, for which astropy asks first."""
    file.header(0)


def list_of(
    file: RemoteFile,
    mode: str = "readonly",
    memmap: bool | None = None,
    options: dict[str, Any] | None = None,
) -> HDUList:
    """Let astropy open a file, with the defaults of its own function."""
    conf = fits.conf
    if memmap is None and not conf.use_memmap:
        memmap = False
    options = {"uint": conf.enable_uint, "lazy_load_hdus": conf.lazy_load_hdus, **(options or {})}
    try:
        hdus: HDUList = HDUList.fromfile(file, mode, memmap, **options)
    except StorageError:
        raise
    except OSError as error:  # so astropy says that it is no FITS file to it
        raise NotFITSError(f"{file.name}: {error}", location=file.name, hdu=0, offset=0) from error
    return hdus


def _no_hdu(file: HDUFile, header: FITSHeader, why: str) -> CorruptFITSError:
    """Make the error for a header of which astropy makes no HDU."""
    return CorruptFITSError(
        f"{file.name}: astropy can make nothing of the header of HDU {header.index}, at byte "
        f"{header.offset}; {why}",
        location=file.name,
        hdu=header.index,
        offset=header.offset,
    )


def _difference(hdu: Any, header: FITSHeader) -> str | None:
    """Return how astropy reads an HDU otherwise than we do; None if it reads it alike.

    Its header may end elsewhere for astropy, or a keyword be there twice, of which it takes the other.
    """
    place = hdu.fileinfo() if hasattr(hdu, "fileinfo") else None
    if place and (place["hdrLoc"], place["datLoc"]) != (header.offset, header.data_offset):
        return f"to astropy it is at byte {place['hdrLoc']}, with its data at byte {place['datLoc']}"
    is_image = isinstance(hdu, (fits.PrimaryHDU, fits.ImageHDU)) and not isinstance(hdu, fits.GroupsHDU)
    if is_image and tuple(hdu.shape) != header.shape:
        return f"to astropy its image has the shape {tuple(hdu.shape)}, by its first cards {header.shape}"
    return None


class _Turn:
    """What one thread at a time has; in a forked process nobody has it."""

    def __init__(self) -> None:
        restart_after_fork(self, _Turn.__init__)
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *raised: object) -> None:
        self._lock.release()


def _alone(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let one thread at a time run a method of a list."""

    @wraps(method)
    def alone(self: HDUList, *arguments: Any, **options: Any) -> Any:
        with self._turn:
            return method(self, *arguments, **options)

    return alone


def _of_all(method: Callable[..., Any]) -> Callable[..., Any]:
    """Have all HDUs read before a method changes the list: the next is found by how many there are."""

    @wraps(method)
    def of_all(self: HDUList, *arguments: Any, **options: Any) -> Any:
        with self._turn:
            self.readall()
            return method(self, *arguments, **options)

    return of_all


class HDUList(fits.HDUList):
    """An `astropy.io.fits.HDUList` over an object, for any number of threads.

    HDUs are found by the lengths their headers tell, not by trial: what is no HDU is an error, and not the
    end of the list.
    """

    def __init__(self, hdus: Any = (), file: Any = None) -> None:
        self._read_all: bool
        self._turn = _Turn()
        found = getattr(file, "_file", None)  # astropy wraps what it reads, and tells nobody what that is
        self._hdu_file = found if isinstance(found, HDUFile) else None
        if self._hdu_file is not None and isinstance(self._hdu_file.source, Inflated):
            file.compression = _AS_ASTROPY_SAYS[self._hdu_file.source.compression]
        super().__init__(list(hdus), file)

    def __repr__(self) -> str:
        with self._turn:
            if self._hdu_file is not None and not self._read_all:
                return f"<HDUList {self._hdu_file.name} (HDUs known so far: {list.__len__(self)})>"
            return str(super().__repr__())

    def __reduce__(self) -> Any:
        raise TypeError("an HDUList cannot be pickled: open it anew in the other process")

    __len__ = _alone(fits.HDUList.__len__)
    __getitem__ = _alone(fits.HDUList.__getitem__)
    __setitem__ = _alone(fits.HDUList.__setitem__)
    __delitem__ = _alone(fits.HDUList.__delitem__)
    append = _alone(fits.HDUList.append)
    insert = _alone(fits.HDUList.insert)
    pop = _alone(fits.HDUList.pop)
    index_of = _alone(fits.HDUList.index_of)
    info = _alone(fits.HDUList.info)
    fileinfo = _alone(fits.HDUList.fileinfo)
    readall = _alone(fits.HDUList.readall)
    extend = _of_all(list.extend)
    remove = _of_all(list.remove)
    clear = _of_all(list.clear)
    reverse = _of_all(list.reverse)
    sort = _of_all(list.sort)
    __iadd__ = _of_all(list.__iadd__)
    __imul__ = _of_all(list.__imul__)
    verify = _alone(fits.HDUList.verify)
    writeto = _alone(fits.HDUList.writeto)
    close = _alone(fits.HDUList.close)

    @_alone
    def __contains__(self, item: object) -> bool:
        """Tell whether there is such an HDU; one that cannot be read is an error, and not absent."""
        try:
            self._try_while_unread_hdus(self.index_of, item)
        except AstroCloudError:  # damage is a ValueError, too
            raise
        except (KeyError, ValueError):
            return False
        return True

    def _read_next_hdu(self) -> bool:
        """Have the next HDU's header fetched, and astropy make the HDU of it; false behind the last."""
        with self._turn:
            file = self._hdu_file
            if self._read_all or file is None or file.closed:
                return bool(super()._read_next_hdu())
            index = list.__len__(self)
            header = file.header(index)
            if header is None:
                self._read_all = True
                return False
            if index:
                file.lead_to(header)
            try:
                super()._read_next_hdu()
            except (AstroCloudError, fits.VerifyError):
                raise
            except (LookupError, ArithmeticError, TypeError, ValueError, AttributeError) as error:
                raise _no_hdu(file, header, f"{type(error).__name__}: {error}") from error
            if list.__len__(self) == index:
                raise _no_hdu(file, header, "its warning says why")
            self._read_all = False  # astropy, which may look one HDU further, takes a bad one for the end
            options = {key: self._open_kwargs[key] for key in _FOR_TILES if key in self._open_kwargs}
            hdu: Any = list.__getitem__(self, index)
            if why := _difference(hdu, header):
                list.__delitem__(self, index)
                raise _no_hdu(file, header, why)
            plan(hdu, file, header, options)
            return True
