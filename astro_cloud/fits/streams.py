"""What is inside compressed files, one way through, as the formats have it.

Each stream bounds what it holds, and takes a file that is damaged or cut short for an error, never for the
end; the errors are those of the decompressors.
"""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import lzma
import zipfile
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, cast

from astro_cloud.exceptions import NotFITSError, RangeNotSupportedError
from astro_cloud.fits.compression import MAGIC
from astro_cloud.storage.remote_file import RemoteFile

__all__ = ["OPENERS", "Stream"]

_PIECE = 1 << 16
_XZ_MEMORY = 256 << 20
"""Bytes for a decompressor of xz, which the file asks for; ``xz -9`` asks for 65 MiB."""
_PLAIN_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_WIDEST_CODE = 16
_ENCRYPTED = 1


class Stream(Protocol):
    """What is inside, from its start on."""

    def read1(self, size: int, /) -> bytes:
        """Return the next bytes, at most `size` and at least one; none at the end only."""


class _Concatenated:
    """Streams of bzip2 or xz, one behind another, as parallel compressors write them.

    What follows them and does not begin as another does is left out, zeros between them too, as ``bz2`` and
    ``lzma`` do. But a later stream that is damaged is an error; those take it for such a remainder.
    """

    def __init__(self, magic: bytes, make: Callable[[], Any], file: RemoteFile) -> None:
        self._magic = magic
        self._make = make
        self._file = file
        self._raw = b""
        self._decompressor = make()

    def read1(self, size: int, /) -> bytes:
        while not self._decompressor.eof or self._goes_on():
            raw, self._raw = self._raw, b""
            if self._decompressor.needs_input and not raw and not (raw := self._file.read(_PIECE)):
                raise EOFError("the compressed bytes end before the end of their stream")
            data: bytes = self._decompressor.decompress(raw, size)
            if data:
                return data
        return b""

    def _goes_on(self) -> bool:
        """Begin with the next stream, if there is one."""
        behind = self._decompressor.unused_data.lstrip(b"\0")
        while len(behind) < len(self._magic) and (more := self._file.read(_PIECE)):
            behind = (behind + more).lstrip(b"\0")
        if not behind.startswith(self._magic):
            return False
        self._raw, self._decompressor = behind, self._make()
        return True


def _open_gzip(file: RemoteFile) -> Stream:
    if not file.pread(0, 1):
        raise EOFError("there are no compressed bytes at all")  # gzip would take that for no members
    return gzip.GzipFile(fileobj=file, mode="rb")


def _open_zip(file: RemoteFile) -> Stream:
    """Open the one file in a zip archive, as astropy wants it."""
    _ = file.size  # a failure to learn it would not come through zipfile
    archive = zipfile.ZipFile(file)
    members = archive.infolist()
    if len(members) != 1:
        raise _no_file(file, f"a zip archive of {len(members)} files, not of one")
    if members[0].flag_bits & _ENCRYPTED:
        raise _no_file(file, "an encrypted zip archive")
    if members[0].compress_type not in _PLAIN_METHODS:  # zipfile bounds the output of no other
        raise _no_file(file, f"a zip archive compressed by method {members[0].compress_type}, not deflate")
    return cast(Stream, archive.open(members[0]))


def _no_file(file: RemoteFile, what: str) -> NotFITSError:
    message = f"{file.name} is {what}: download it, unzip it, and open what is inside"
    return NotFITSError(message, location=file.name, hdu=0, offset=0)


def _open_compress(file: RemoteFile) -> Stream:
    """Open what ``compress`` wrote; memory is bounded as far as uncompresspy bounds it."""
    try:
        uncompresspy = importlib.import_module("uncompresspy")
    except ImportError as error:
        raise RangeNotSupportedError(
            f"{file.name} is compressed whole (compress, as .Z files are), which takes another package: "
            "pip install uncompresspy; or download it, with astro_cloud.download, and uncompress it",
            location=file.name,
        ) from error
    flags = file.pread(2, 1)
    if flags and flags[0] & 0x1F > _WIDEST_CODE:
        raise ValueError(f"its codes are {flags[0] & 0x1F} bits wide, more than {_WIDEST_CODE}")
    return io.BufferedReader(uncompresspy.LZWFile(file))


OPENERS: dict[str, Callable[[RemoteFile], Stream]] = {
    "gzip": _open_gzip,
    "bzip2": partial(_Concatenated, MAGIC["bzip2"], bz2.BZ2Decompressor),
    "xz": partial(
        _Concatenated, MAGIC["xz"], partial(lzma.LZMADecompressor, format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
    ),
    "zip": _open_zip,
    "compress": _open_compress,
}
"""What opens a compressed file, by the name of its compression."""
