"""Which checksums go with the bytes of an upload, and how each store wants them. Pure.

Amazon takes CRC-64/NVME, keeps it with the object, and joins those of parts; other servers that speak S3
check Content-MD5, and not all of them more than that. Google takes CRC32C, Azure MD5.

Reference: Amazon S3 User Guide, "Checking object integrity"; Google Cloud Storage, "Hashes and ETags";
Azure Storage REST API, "Put Blob" and "Put Block".
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Protocol

from astro_cloud.auth import endpoints
from astro_cloud.auth.endpoints import Provider
from astro_cloud.storage.checksum import Algorithm, is_combinable

__all__ = ["Checks", "checks_for"]


class _Digested(Protocol):
    def prepare(self, algorithms: tuple[Algorithm, ...]) -> None: ...
    def digest(self, algorithm: Algorithm) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Checks:
    """What is sent with each piece.

    Attributes
    ----------
    amazon : str or None
        The algorithm of ``x-amz-checksum-*``.
    google : bool
        Whether to send CRC32C as ``x-goog-hash``.
    md5 : bool
        Whether to send ``Content-MD5``.
    """

    amazon: Algorithm | None = None
    google: bool = False
    md5: bool = False

    @property
    def algorithms(self) -> tuple[Algorithm, ...]:
        """All that must be computed of a piece."""
        found: list[Algorithm] = [self.amazon] if self.amazon is not None else []
        if self.google:
            found.append("CRC32C")
        return (*found, "MD5") if self.md5 else tuple(found)

    @property
    def joined(self) -> Algorithm | None:
        """The algorithm that gives the whole's checksum out of those of its parts, if one is sent."""
        if self.amazon is not None:
            return self.amazon if is_combinable(self.amazon) else None
        return "CRC32C" if self.google else None

    @property
    def kind(self) -> str:
        """How Amazon is to make the checksum of the whole: of all bytes, or of its parts' checksums."""
        if self.amazon is None:
            return ""
        return "FULL_OBJECT" if is_combinable(self.amazon) else "COMPOSITE"

    def headers(self, piece: _Digested) -> dict[str, str]:
        """Return the headers that go with a piece."""
        piece.prepare(self.algorithms)
        headers = {}
        if self.amazon is not None:
            headers[f"x-amz-checksum-{self.amazon.lower()}"] = _base64(piece.digest(self.amazon))
        if self.google:
            headers["x-goog-hash"] = f"crc32c={_base64(piece.digest('CRC32C'))}"
        if self.md5:
            headers["Content-MD5"] = _base64(piece.digest("MD5"))
        return headers


def checks_for(
    provider: Provider | None, url: str, asked: Algorithm | None, *, speaks_amazon: bool = False
) -> Checks:
    """Decide what is sent to a store.

    Parameters
    ----------
    provider : str or None
        Whose protocol it speaks; None for a URL that somebody signed.
    url : str
        Of the object.
    asked : str or None
        The algorithm that the user wants.
    speaks_amazon : bool
        It is Google's, and asked in Amazon's words, which go with none of Google's.

    Raises
    ------
    ValueError
        If the store does not know the algorithm.
    """
    if provider in ("aws", "spaces"):
        endpoint = endpoints.endpoint_of(endpoints.host_of(url))
        if endpoint is not None and endpoint.provider == "aws":
            return Checks(amazon=asked or "CRC64NVME") if asked != "MD5" else Checks(md5=True)
        return Checks(amazon=asked if asked != "MD5" else None, md5=True)
    known = ("CRC32C", "MD5") if provider == "gcp" and not speaks_amazon else ("MD5",)
    if asked is not None and asked not in known:
        raise ValueError(f"an upload there can be checked by {' or '.join(known)}, not by {asked}")
    google = "CRC32C" in known and asked != "MD5"
    return Checks(google=google, md5=not google)


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
