"""How large the parts of an upload are: what stores allow, and what fits in that. Pure.

Reference: Amazon S3 User Guide, "Amazon S3 multipart upload limits"; Google Cloud Storage, "Quotas and
limits"; Azure Blob Storage, "Scalability and performance targets".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from astro_cloud.auth.endpoints import Provider, endpoint_of, host_of

__all__ = ["PART", "PartLimits", "check_part_size", "limits_of", "part_sizes", "whole_limit"]

MiB, GiB, TiB = 1 << 20, 1 << 30, 1 << 40

PART = 8 * MiB
"""Bytes of a part where nothing asks for more."""

_GROWTHS = 10


@dataclass(frozen=True, slots=True)
class PartLimits:
    """What a store allows.

    Attributes
    ----------
    smallest, largest : int
        Bytes of a part; the last may be smaller.
    most : int
        Parts of an object.
    whole : int
        Bytes of what is uploaded by one request.
    total : int
        Bytes of an object.
    """

    smallest: int
    largest: int
    most: int
    whole: int
    total: int


_S3 = PartLimits(5 * MiB, 5 * GiB, 10_000, 5 * GiB, 5 * TiB)
_GOOGLE = PartLimits(5 * MiB, 5 * GiB, 10_000, 5 * TiB, 5 * TiB)
_AZURE = PartLimits(1, 4000 * MiB, 50_000, 5000 * MiB, 50_000 * 4000 * MiB)


def limits_of(provider: Provider | None) -> PartLimits:
    """Return what a provider's stores allow."""
    return {"azure": _AZURE, "gcp": _GOOGLE}.get(provider or "", _S3)


def check_part_size(part_size: int, url: str) -> None:
    """Raise ValueError if the store at a URL is one that takes no parts of that size.

    What is no provider's host may have limits of its own.
    """
    endpoint = endpoint_of(host_of(url))
    limits = limits_of(endpoint.provider if endpoint is not None else None)
    smallest = limits.smallest if endpoint is not None else 1
    if not smallest <= part_size <= limits.largest:
        raise ValueError(f"part_size is {smallest} to {limits.largest} bytes there, not {part_size}")


def whole_limit(part_size: int) -> int:
    """Return how many bytes are uploaded by one request rather than in parts."""
    return 2 * part_size


def part_sizes(total: int | None, part_size: int, limits: PartLimits) -> Iterator[int]:
    """Say how long each part is.

    Parts of an object whose size is known are all as long, but for the last; where it is not, they double
    nine times: begun with 8 MiB, as many as S3 allows hold more than it takes of an object.

    Parameters
    ----------
    total : int or None
        Bytes of the whole; None where that is not known: then the sizes do not end by themselves.
    part_size : int
        Bytes of a part, unless they must be more.
    limits : PartLimits

    Raises
    ------
    ValueError
        If the whole is longer than an object may be.
    """
    if total is None:
        return _growing(part_size, limits)
    if total > limits.total:
        raise ValueError(f"{total} bytes are more than an object may have there: {limits.total}")
    needed = -(-total // limits.most)
    size = part_size if needed <= part_size else -(-needed // MiB) * MiB
    return (min(size, total - start) for start in range(0, total, size))


def _growing(part_size: int, limits: PartLimits) -> Iterator[int]:
    step = limits.most // _GROWTHS
    return (min(part_size << number // step, limits.largest) for number in count())
