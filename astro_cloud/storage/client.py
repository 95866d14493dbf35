"""Client: owns the connections, the settings and the counts; hands out pinned objects."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar

from requests import Session

from astro_cloud.auth.providers import CloudService, auth_for
from astro_cloud.storage.location import Location
from astro_cloud.storage.pinned import PinnedObject
from astro_cloud.storage.settings import Settings
from astro_cloud.storage.transport import Transport
from astro_cloud.storage.usage import Usage

__all__ = ["Client"]

_T = TypeVar("_T")


class Client:
    """Reads byte ranges of objects over pooled connections, through faults.

    One client serves any number of threads, objects and hosts, can be pickled, and works on in a
    forked process. Making one does no I/O.

    Parameters
    ----------
    session : requests.Session, optional
        Requests go through its adapters, hooks, proxies and cookies; it is never closed. By default
        a pooled session of the client's own.
    auth : requests auth, optional
        Signs for every object that is not given one of its own. By default, what
        `astro_cloud.auth.auth_for` chooses for each object's URL.
    settings : Settings, optional
        Timeouts, retries, concurrency, endpoint.

    Attributes
    ----------
    usage : Usage
        Requests, round trips and bytes so far.

    Examples
    --------
    >>> with Client() as client:
    ...     first, second = client.read_ranges("s3://bucket/key", [(0, 2880), (28800, 31680)])
    """

    def __init__(
        self, *, session: Session | None = None, auth: Any = None, settings: Settings | None = None
    ) -> None:
        self.settings = settings or Settings()
        self.usage = Usage()
        self.transport = Transport(session, connections=self.settings.concurrency)
        self._auth = auth
        self._start()

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        self._executor_pid = 0

    def __getstate__(self) -> dict[str, Any]:
        unsent = ("_lock", "_executor", "_executor_pid")
        return {name: value for name, value in self.__dict__.items() if name not in unsent}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    def __repr__(self) -> str:
        return f"<Client {self.usage!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the client's own connections and threads; it may be used again."""
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None and self._executor_pid == os.getpid():
            executor.shutdown(wait=False, cancel_futures=True)
        self.transport.close()

    def pin(
        self,
        location: str | Location,
        *,
        auth: Any = None,
        service: CloudService | None = None,
        request_payer: bool = False,
    ) -> PinnedObject:
        """Prepare to read ranges of one version of an object.

        Parameters
        ----------
        location : str or Location
            The object.
        auth : requests auth, optional
            Signs for it; by default the client's, the injected session's, or the one
            `astro_cloud.auth.auth_for` chooses.
        service : CloudService, optional
            The provider, where the host name does not tell.
        request_payer : bool
            Offer to pay for requests to a requester-pays bucket.

        Raises
        ------
        InvalidLocationError
            If `location` names no object.
        CredentialsError
            If `request_payer` is asked for and there are no credentials to charge.
        """
        location = Location.parse(location, self.settings)
        chosen = auth or self._auth or self.transport.session_auth
        if chosen is None:
            chosen = auth_for(
                location.url,
                service=service,
                endpoint_url=self.settings.s3_endpoint(),
                request_payer=request_payer,
                region=self.settings.region,
            )
            return PinnedObject(self, location, chosen, inferred=True, request_payer=False)
        return PinnedObject(self, location, chosen, inferred=False, request_payer=request_payer)

    def read_ranges(
        self, location: str | Location, ranges: Sequence[tuple[int, int]], **options: Any
    ) -> list[bytes]:
        """Read byte ranges [start, stop) of an object, all at once, in the order given.

        Takes the keywords of `pin`, and raises what `PinnedObject.read_ranges` raises.
        """
        return self.pin(location, **options).read_ranges(ranges)

    def run_all(self, calls: Sequence[Callable[[], _T]]) -> list[_T]:
        """Run calls on the client's threads, as many at once as settings allow; results in order.

        The first failure is raised, and calls not yet begun are dropped.
        """
        if len(calls) == 1:
            return [calls[0]()]
        futures = [self._threads().submit(call) for call in calls]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()

    def _threads(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._executor is None or self._executor_pid != os.getpid():
                self._executor = ThreadPoolExecutor(self.settings.concurrency, "astro-cloud")
                self._executor_pid = os.getpid()
            return self._executor
