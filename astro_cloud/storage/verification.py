"""Which checksum a download is held to, and whether its bytes have it."""

from __future__ import annotations

from collections.abc import Sequence

from astro_cloud.exceptions import ChecksumError, StorageError
from astro_cloud.storage.checksum import (
    Algorithm,
    Checksum,
    RunningCRC,
    hasher,
    is_combinable,
    parse_checksum,
)
from astro_cloud.storage.journal import Span
from astro_cloud.storage.part_file import PartFile
from astro_cloud.storage.stop import Stop

__all__ = ["Wish", "digest_of", "mismatch"]


class Wish:
    """What a user wants to be checked.

    Parameters
    ----------
    checksum : bool, str or Checksum
        True: whatever the store keeps, the cheapest first; False: nothing; or what `parse_checksum`
        reads, or a checksum.

    Raises
    ------
    ValueError
        If it is nothing of these.
    """

    def __init__(self, checksum: bool | str | Checksum) -> None:
        if not isinstance(checksum, bool | str | Checksum):
            raise ValueError(f"checksum is True, False, or such as 'sha256' or 'md5:...', not {checksum!r}")
        parsed = parse_checksum(checksum) if isinstance(checksum, str) else checksum
        self._given = parsed if isinstance(parsed, Checksum) else None
        self._algorithm: Algorithm | None = parsed if isinstance(parsed, str) else None
        self._any = checksum is True

    @property
    def asks_store(self) -> bool:
        """Whether the store is to say what it keeps."""
        return self._any or self._algorithm is not None

    def choose(
        self, stored: Sequence[Checksum], name: str, because: Exception | None = None
    ) -> Checksum | None:
        """Return what to compare with; None for nothing.

        Parameters
        ----------
        stored : sequence of Checksum
            What the store keeps.
        name : str
            Of the object, for the message.
        because : Exception, optional
            Why it did not say.

        Raises
        ------
        ChecksumError
            If a certain one was asked for, and the store keeps none.
        """
        if self._algorithm is None:
            return self._given or (stored[0] if self._any and stored else None)
        for checksum in stored:
            if checksum.algorithm == self._algorithm:
                return checksum
        kept = ", ".join(checksum.algorithm for checksum in stored)
        message = f"{name}: the store keeps no {self._algorithm} of the whole object"
        if kept:
            message += f", but {kept}"
        raise ChecksumError(f"{message}: {because}" if because is not None else message, location=name)

    def running(self, stored: Sequence[Checksum]) -> Algorithm | None:
        """Return the CRC to compute while bytes arrive, if that is what will be compared."""
        try:
            checksum = self.choose(stored, "")
        except StorageError:
            return None
        return checksum.algorithm if checksum is not None and is_combinable(checksum.algorithm) else None


def digest_of(part: PartFile, spans: Sequence[Span], algorithm: Algorithm, stop: Stop) -> bytes:
    """Return the digest of a part file that is whole.

    Parameters
    ----------
    part : PartFile
        Read where a digest is not known yet.
    spans : sequence of Span
        All its bytes, in order.
    algorithm : str
        One of `checksum.ALGORITHMS`.
    stop : Stop
        Ends it with `Stopped`.
    """
    if not is_combinable(algorithm):
        made = hasher(algorithm)
        for span in spans:
            for data in part.read(span.start, span.stop):
                stop.check()
                made.update(data)
        return made.digest()
    whole = RunningCRC(algorithm)
    for span in spans:
        if span.algorithm == algorithm:
            whole.join(span.crc, span.stop - span.start)
        else:
            for data in part.read(span.start, span.stop):
                stop.check()
                whole.update(data)
    return whole.digest()


def mismatch(expected: Checksum, digest: bytes, name: str, then: str) -> ChecksumError:
    """Make the error for bytes that are not those that were stored; `then` says what became of them."""
    kept = f"the store keeps {expected} ({expected.source})" if expected.source else f"{expected} is expected"
    return ChecksumError(f"{name}: {kept}, the bytes that arrived have {digest.hex()}: {then}", location=name)
