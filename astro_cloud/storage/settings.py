"""Settings of a `Client`: one small frozen object, passed as an argument."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from astro_cloud.auth.endpoints import Provider, endpoint_of, host_of, is_region
from astro_cloud.auth.providers import configured_s3_endpoint
from astro_cloud.storage.connection_string import blob_endpoint

__all__ = ["Settings"]


def _utcnow() -> datetime:
    return datetime.now(UTC)


def _full_jitter(low: float, high: float) -> float:
    # random.uniform itself is bound to one generator, which a pickle would copy: workers in step
    return random.uniform(low, high)  # noqa: S311 - no secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a client waits, tries again and reaches object stores.

    Parameters
    ----------
    endpoint_url : str, optional
        Endpoint that ``s3://``, ``gs://`` and ``az://`` locations are read from. By default ``s3://``
        goes where ``AWS_ENDPOINT_URL_S3``, ``AWS_ENDPOINT_URL`` or ``S3_ENDPOINT_URL`` says, ``gs://``
        where ``STORAGE_EMULATOR_HOST`` says, the account of ``AZURE_STORAGE_CONNECTION_STRING`` to
        that string's BlobEndpoint; all else to the providers.
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
    max_gap : int
        Bytes between two ranges that may be read in vain to save a request, at most; 0 for none.
    clock : callable
        Returns the current time as an aware `datetime`, for signatures and dates of Retry-After.
    sleep : callable
        Called with seconds to wait.
    timer : callable
        Returns seconds since some moment, from which the speed of servers is learnt.
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
    max_gap: int = 1 << 23
    clock: Callable[[], datetime] = _utcnow
    sleep: Callable[[float], object] = time.sleep
    timer: Callable[[], float] = time.perf_counter
    jitter: Callable[[float, float], float] = _full_jitter

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.concurrency < 1:
            raise ValueError("attempts and concurrency must be at least 1")
        if self.region is not None and not is_region(self.region):
            raise ValueError(f"{self.region!r} is not the name of a region, such as 'us-east-1'")

    def s3_endpoint(self) -> str | None:
        """Return the S3-compatible endpoint the user configured, by argument or environment."""
        return self.endpoint_url.rstrip("/") if self.endpoint_url else configured_s3_endpoint()

    def gcs_endpoint(self) -> str | None:
        """Return the endpoint of ``gs://`` the user configured, by argument or ``STORAGE_EMULATOR_HOST``."""
        url = self.endpoint_url or os.environ.get("STORAGE_EMULATOR_HOST")
        if not url:
            return None
        return (url if "://" in url else f"http://{url}").rstrip("/")

    def azure_endpoint(self, account: str) -> str | None:
        """Return the URL of an Azure storage account at the endpoint the user configured.

        That is the argument with the account in its path, as emulators have it (but where it is a
        host of Azure, which names the account itself), or the connection string's, if it is of
        this account.
        """
        if self.endpoint_url:
            url = self.endpoint_url.rstrip("/")
            known = endpoint_of(host_of(url))
            if known is None or known.provider != "azure":
                return f"{url}/{account}"
            return url if host_of(url).partition(".")[0] == account.lower() else None
        found = blob_endpoint(os.environ.get("AZURE_STORAGE_CONNECTION_STRING", ""))
        return found.url if found is not None and found.account == account else None

    def endpoints(self) -> list[tuple[Provider, str]]:
        """Return every endpoint the user configured, with the provider whose protocol it speaks."""
        azure = blob_endpoint(os.environ.get("AZURE_STORAGE_CONNECTION_STRING", ""))
        found: list[tuple[Provider, str | None]] = [
            ("aws", self.s3_endpoint()),
            ("gcp", self.gcs_endpoint()),
            ("azure", azure.url if azure is not None else None),
        ]
        return [(provider, url) for provider, url in found if url is not None]

    def wait_before(self, attempt: int, retry_after: float | None) -> float:
        """Return the seconds to wait before attempt number `attempt` (2 is the first repetition)."""
        if retry_after is not None:
            return retry_after
        return self.jitter(0.0, min(self.backoff_limit, self.backoff * 2.0 ** (attempt - 2)))
