"""Every error a user of astro-cloud can meet.

The tree, with the builtin each error can also be caught as::

    AstroCloudError (Exception)
      CredentialsError                no credentials, or none of the kind the service needs
      InvalidLocationError            (ValueError) a location that cannot be understood
      StorageError                    (OSError) .location .status
        ObjectNotFoundError           (FileNotFoundError) 404
        ObjectExistsError             (FileExistsError) there is one, and it was not to be overwritten
        AccessDeniedError             (PermissionError) 401, 403
          RequesterPaysError          403 that looks like a requester-pays bucket
        TransferTimeoutError          (TimeoutError) the server stopped answering
        RangeNotSupportedError        the server sends whole objects for ranges
        IncompleteReadError           a body kept ending early
        ObjectChangedError            the object was overwritten between two reads
        ChecksumError                 the bytes are not the bytes that were stored, or sent
        ManyTransfersError            some of many could not be transferred .errors .result
      FITSError                       (ValueError) .location .hdu .offset
        NotFITSError                  (OSError) the object is something else
        CorruptFITSError              FITS up to a point, then damaged or cut short
        HDUNotFoundError              (LookupError) no such HDU
        NoOverlapError                a cutout that lies outside of every image
        PartialOverlapError           one that goes over the edge, where that was not allowed

    AstroCloudWarning (UserWarning)   read on, but look: the message says at what

Every error takes its message first and attributes as keywords with defaults, so that it can be
pickled and sent between processes. No error carries a credential, a token or a signature.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AccessDeniedError",
    "AstroCloudError",
    "AstroCloudWarning",
    "ChecksumError",
    "CorruptFITSError",
    "CredentialsError",
    "FITSError",
    "HDUNotFoundError",
    "IncompleteReadError",
    "InvalidLocationError",
    "ManyTransfersError",
    "NoOverlapError",
    "NotFITSError",
    "ObjectChangedError",
    "ObjectExistsError",
    "ObjectNotFoundError",
    "PartialOverlapError",
    "RangeNotSupportedError",
    "RequesterPaysError",
    "StorageError",
    "TransferTimeoutError",
]

_TOLD = 20


class AstroCloudError(Exception):
    """Base class of every error raised by astro-cloud.

    Parameters
    ----------
    message : str
        What went wrong, where, and what to do about it.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message,), dict(self.__dict__)


class AstroCloudWarning(UserWarning):
    """Something in the data is not as the standard wants it, but reading went on."""


class CredentialsError(AstroCloudError):
    """No usable credentials were found; the message lists the places searched, in order."""


class InvalidLocationError(AstroCloudError, ValueError):
    """A location that names no object: unknown scheme, missing bucket or key, forbidden characters."""


class StorageError(AstroCloudError, OSError):
    """An object store, or the way to it, failed.

    Parameters
    ----------
    message : str
        What went wrong, where, and what to do about it.
    location : str, optional
        The location as the user wrote it.
    status : int, optional
        HTTP status code of the answer, where there was one.
    """

    def __init__(self, message: str = "", *, location: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.location = location
        self.status = status


class ObjectNotFoundError(StorageError, FileNotFoundError):
    """The object (or its bucket) does not exist: 404."""


class ObjectExistsError(StorageError, FileExistsError):
    """There is an object already, and it was not to be overwritten."""


class AccessDeniedError(StorageError, PermissionError):
    """The server refused: 401 or 403. The message names the likely reason."""


class RequesterPaysError(AccessDeniedError):
    """The server refused a signed request that did not offer to pay for itself."""


class TransferTimeoutError(StorageError, TimeoutError):
    """The server could not be reached, or stopped sending, within the time allowed."""


class RangeNotSupportedError(StorageError):
    """The server answers a byte range with the whole object."""


class IncompleteReadError(StorageError):
    """The connection kept closing before the whole body had arrived."""


class ObjectChangedError(StorageError):
    """The object was overwritten between two reads; bytes of two versions are never mixed."""


class ChecksumError(StorageError):
    """The bytes that arrived, here or at the store, do not have the checksum they should have."""


class ManyTransfersError(StorageError):
    """Some of many transfers failed; the others were done.

    Parameters
    ----------
    message : str
        How many, and why each of the first.
    location, status : optional
        As `StorageError` has them.
    errors : dict, optional
        What went wrong, by location.
    result : object, optional
        What was done.
    """

    def __init__(
        self,
        message: str = "",
        *,
        location: str | None = None,
        status: int | None = None,
        errors: dict[str, AstroCloudError] | None = None,
        result: Any = None,
    ) -> None:
        super().__init__(message, location=location, status=status)
        self.errors = errors or {}
        self.result = result

    @classmethod
    def of(cls, errors: dict[str, AstroCloudError], done: int, result: Any) -> ManyTransfersError:
        """Make the error for a number of transfers of which `done` went well."""
        said = [str(error) for error in errors.values()]
        more = [f"... and {len(said) - _TOLD} more"] if len(said) > _TOLD else []
        title = f"{len(said)} of {len(said) + done} files could not be transferred:"
        return cls("\n  ".join([title, *said[:_TOLD], *more]), errors=errors, result=result)


class FITSError(AstroCloudError, ValueError):
    """The bytes do not hold what the FITS standard asks for.

    Parameters
    ----------
    message : str
        What is wrong, where, and what to do about it.
    location : str, optional
        The location as the user wrote it.
    hdu : int, optional
        0-based number of the HDU.
    offset : int, optional
        Bytes from the start of the object to the place that is wrong.
    """

    def __init__(
        self,
        message: str = "",
        *,
        location: str | None = None,
        hdu: int | None = None,
        offset: int | None = None,
    ) -> None:
        super().__init__(message)
        self.location = location
        self.hdu = hdu
        self.offset = offset


class NotFITSError(FITSError, OSError):
    """The object does not begin as a FITS file begins (FITS Standard 4.0, section 3.3)."""


class CorruptFITSError(FITSError):
    """The object begins as a FITS file but is damaged, or ends too early."""


class HDUNotFoundError(FITSError, LookupError):
    """The file has no such HDU."""


class NoOverlapError(FITSError):
    """No pixel of the image, or of any image of the file, is in the cutout."""


class PartialOverlapError(FITSError):
    """Not all pixels of the cutout are in the image, and ``mode="strict"`` wants all."""
