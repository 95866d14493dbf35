"""HDUFile: the file that astropy reads, with the headers at hand before astropy asks for them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from astro_cloud.exceptions import AstroCloudError, CorruptFITSError, ObjectChangedError
from astro_cloud.fits.blame import warn
from astro_cloud.fits.chain import Chain
from astro_cloud.fits.header import FITSHeader
from astro_cloud.fits.inflated import Inflated
from astro_cloud.fits.layout import BLOCK
from astro_cloud.storage import RemoteFile
from astro_cloud.storage.block_cache import ObjectReader, Reading
from astro_cloud.storage.plan import FREE_GAP
from astro_cloud.storage.remote_file import Closeable
from astro_cloud.storage.stop import Stopped

__all__ = ["FIRST", "HDUFile"]

_A_WALK = 3
"""Reads of one header each, one after the other, from which on the next is read ahead."""
_LEAST_CACHE = 1 << 20
FIRST = 44 * BLOCK
"""Bytes read when a file is opened: twice what load_headers reads, 0.8 ms more at 80 MB/s. Often the first
extension's header is there too, and with it a small image, or where the tiles of a compressed one are."""


class HDUFile(RemoteFile):
    """A file whose HDUs are found by `layout`, and whose headers are read as planned, not block by block.

    Parameters
    ----------
    source : PinnedObject, LocalObject or Inflated
        What is read; nothing is read yet.
    cache_size : int
        Bytes kept at most.
    predict : bool
        Fetch what are probably the next headers along with one.
    known : sequence of FITSHeader, optional
        All headers of the file, from an index.
    closes : optional
        Closed with the file.
    """

    def __init__(
        self,
        source: ObjectReader,
        *,
        cache_size: int,
        predict: bool = True,
        known: Sequence[FITSHeader] | None = None,
        closes: Closeable | None = None,
    ) -> None:
        super().__init__(source, cache_size=max(cache_size, _LEAST_CACHE), closes=closes, read_ahead=False)
        self._options: dict[str, Any] = {
            "cache_size": cache_size,
            "predict": predict,
            "known": known,
            "closes": closes,
        }
        self._proven = known is None
        self._led_to: int | None = None
        self._streamed = isinstance(source, Inflated)
        predict = predict and not self._streamed
        self._kept = _Kept(self)
        self._chain = Chain(self._kept, predict=predict, takes_second_file=True, first=FIRST)
        self._known = known
        self._headers: list[FITSHeader] = []

    def lead_to(self, header: FITSHeader) -> None:
        """Have the next seek lead to a header.

        astropy seeks to where the HDU before it ends; it takes that from an HDU that may have been written to
        another file meanwhile, where it ends elsewhere.
        """
        self._led_to = header.offset

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Change the position as `RemoteFile` does."""
        led_to, self._led_to = self._led_to, None
        return super().seek(offset, whence) if led_to is None else super().seek(led_to)

    def own(self, closes: Closeable | None) -> None:
        """Close something with the file, from now on."""
        self._closes = self._options["closes"] = closes

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(HDUFile, **self._options), (self.source,)

    def read_ranges(self, ranges: Sequence[tuple[int, int]], into: Sequence[Any] | None = None) -> list[Any]:
        """Read byte ranges as `RemoteFile` does; the first ones prove that the index, if any, is current."""
        try:
            parts = super().read_ranges(ranges, into)
        except ObjectChangedError as error:
            if self._proven:
                raise
            message = (
                f"{error}. Its index is of the version before: make it anew with astro_cloud.fits.save_index"
            )
            raise ObjectChangedError(message, location=error.location, status=error.status) from error
        self._proven = True
        return parts

    @property
    def size(self) -> int:
        """Size in bytes; of a file compressed whole whose end was not reached 0, as astropy has it."""
        if self._streamed:
            self._checkClosed()
            return self.source.size or 0
        return super().size

    @property
    def near(self) -> int:
        """Bytes between two ranges up to which both are read by one request, however many there are."""
        return min(getattr(self.source, "gap", 0), FREE_GAP)

    def header(self, index: int) -> FITSHeader | None:
        """Have the header of an HDU here, and return it; None behind the last HDU. For one thread at a time.

        Raises
        ------
        NotFITSError, CorruptFITSError
            If what is there is not a header.
        StorageError
            If it cannot be read.

        Warns
        -----
        AstroCloudWarning
            As `load_headers` does; and if the object ends in the last data unit.
        """
        if self._known is not None:
            if index >= len(self._known) or (index and not self._known[index - 1].structure.conforming):
                return None
            known = self._known[index]
            self.keep(known.offset, known.raw.ljust(known.length))
            self._header = known
            return known
        while index >= len(self._headers):
            if self._headers and not self._headers[-1].structure.conforming:
                return None  # astropy takes all that follows SIMPLE = F for data
            if error := self._chain.cut_short():
                warn(str(error))
                return None
            header = self._chain.advance()
            if header is None:
                return None
            self._headers.append(header)
            self.keep(header.offset, header.raw.ljust(header.length))
            self._read_on()
        return self._headers[index]

    def close(self) -> None:
        """Close the file, and give up what is read ahead."""
        if hasattr(self, "_kept"):
            self._kept.forget()
        super().close()

    def _read_on(self) -> None:
        """Have the next header on its way while astropy works on this one, if one after the other is read."""
        if self._kept.alone < _A_WALK or self._streamed:
            return
        if window := self._chain.upcoming():
            self._kept.begin(window)

    def check(self, ranges: Sequence[tuple[int, int]], header: FITSHeader) -> None:
        """Raise the error for ranges of an HDU's data that are behind the object's end.

        Raises
        ------
        CorruptFITSError
            With the HDU, and the byte where the object ends.
        RangeNotSupportedError
            If the file is compressed whole, and they are too far inside.
        """
        if isinstance(self.source, Inflated):
            self.source.check_data(list(ranges))
        size = self.source.size
        if size is None or (stop := max((stop for _, stop in ranges), default=0)) <= size:
            return
        raise CorruptFITSError(
            f"{self.name}: HDU {header.index} is cut short: its data go on to byte {stop}, "
            f"the object ends at byte {size}",
            location=self.name,
            hdu=header.index,
            offset=size,
        )


class _Kept:
    """A `ByteSource` over a file that reads beside its cache, and has it keep what was read.

    Attributes
    ----------
    alone : int
        How many reads in a row were of one range.
    """

    def __init__(self, file: HDUFile) -> None:
        self._file = file
        self.alone = 0
        self._ahead: tuple[tuple[int, int], Reading] | None = None

    @property
    def name(self) -> str:
        return self._file.name

    @property
    def size(self) -> int | None:
        return self._file.source.size

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        self.alone = self.alone + 1 if len(ranges) == 1 else 0
        parts = self._read_ahead(ranges) or self._file.read_ranges(ranges)
        for (start, _), part in zip(ranges, parts, strict=True):
            self._file.keep(start, part)
        return parts

    def begin(self, window: tuple[int, int]) -> None:
        """Begin to read what will probably be asked for next."""
        with suppress(AstroCloudError):
            self._ahead = window, self._file.source.begin([window])

    def forget(self) -> None:
        """Give up what was begun."""
        if self._ahead is not None:
            self._ahead[1].cancel()
            self._ahead = None

    def _read_ahead(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Wait for what was begun, if it is that; whether it fails shows when it is asked for again."""
        if self._ahead is None or list(ranges) != [self._ahead[0]]:
            self.forget()
            return []
        (_, reading), self._ahead = self._ahead, None
        with suppress(AstroCloudError, Stopped):
            return list(reading.result())
        return []
