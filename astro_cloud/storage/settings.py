"""Settings of a `Client`: one small frozen object, passed as an argument."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from astro_cloud.auth.endpoints import is_region

__all__ = ["Settings"]

_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "S3_ENDPOINT_URL")


def _utcnow() -> datetime:
    return datetime.now(UTC)


def _full_jitter(low: float, high: float) -> float:
    # random.uniform itself is bound to one generator, which a pickle would copy: workers in step
    return random.uniform(low, high)  # noqa: S311


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a client waits, tries again and reaches object stores.

    Parameters
    ----------
    endpoint_url : str, optional
        S3-compatible endpoint that ``s3://`` locations are read from; by default what
        ``AWS_ENDPOINT_URL_S3``, ``AWS_ENDPOINT_URL`` or ``S3_ENDPOINT_URL`` says, else Amazon's.
    region : str, optional
        Region of ``s3://`` locations, where the URL does not name one.
    profile : str, optional
        Named profile of the shared AWS files, whose credentials sign for S3.
    connect_timeout, read_timeout : float
        Seconds to wait for a connection, and for the next bytes of an answer.
    attempts : int
        Requests for one range, or the rest of it, that may fail before the failure counts, at least 1.
    backoff, backoff_limit : float
        Seconds: before attempt n + 1 the client waits a random time between 0 and
        ``min(backoff_limit, backoff * 2 ** (n - 1))`` (full jitter).
    retry_after_limit : float
        Seconds: a server that asks for a longer wait than this is not asked again.
    concurrency : int
        Requests of one client on their way at once, at least 1.
    clock : callable
        Returns the current time as an aware `datetime`, for signatures and dates of Retry-After.
    sleep : callable
        Called with seconds to wait.
    jitter : callable
        Called with a lower and an upper bound in seconds, returns the wait.
    """

    endpoint_url: str | None = field(default=None, repr=False)
    region: str | None = None
    profile: str | None = None
    connect_timeout: float = 5.0
    read_timeout: float = 30.0
    attempts: int = 5
    backoff: float = 0.2
    backoff_limit: float = 20.0
    retry_after_limit: float = 120.0
    concurrency: int = 16
    clock: Callable[[], datetime] = _utcnow
    sleep: Callable[[float], object] = time.sleep
    jitter: Callable[[float, float], float] = _full_jitter

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.concurrency < 1:
            raise ValueError("attempts and concurrency must be at least 1")
        if self.region is not None and not is_region(self.region):
            raise ValueError(f"{self.region!r} is not the name of a region, such as 'us-east-1'")

    def s3_endpoint(self) -> str | None:
        """Return the S3-compatible endpoint the user configured, by argument or environment."""
        candidates = (self.endpoint_url, *(os.environ.get(name) for name in _ENDPOINT_VARIABLES))
        return next((url.rstrip("/") for url in candidates if url), None)

    def wait_before(self, attempt: int, retry_after: float | None) -> float:
        """Return the seconds to wait before attempt number `attempt` (2 is the first repetition)."""
        if retry_after is not None:
            return retry_after
        return self.jitter(0.0, min(self.backoff_limit, self.backoff * 2.0 ** (attempt - 2)))
