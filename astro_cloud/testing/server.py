"""`ObjectServer`: listens, starts a thread a connection, and holds the settings."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from astro_cloud.testing.access import Access
from astro_cloud.testing.access_key import AccessKey
from astro_cloud.testing.answer import Answer
from astro_cloud.testing.checksums import checksum_of
from astro_cloud.testing.connection import Connection, close_socket
from astro_cloud.testing.faults import Fault, FaultQueue, Wanted
from astro_cloud.testing.http_request import Request
from astro_cloud.testing.multipart import MIN_PART_SIZE
from astro_cloud.testing.request_log import Recorder, RequestLog
from astro_cloud.testing.service import Service
from astro_cloud.testing.store import Store
from astro_cloud.testing.uploads import UnfinishedUpload

_BACKLOG = 512
_CLOSE_TIMEOUT = 0.9


class ObjectServer:
    """An object store on 127.0.0.1 that speaks S3, checks signatures, and misbehaves on request.

    It serves each folder directly under ``root`` as a bucket, path style: ``/<bucket>/<key>``. It runs while
    the ``with`` block does.

    Parameters
    ----------
    root : path
        An existing folder.
    credentials : iterable or mapping of AccessKey, optional
        Whose signatures are accepted (of a mapping, its values); by default one random pair.
    region : str
        The region signatures must name.
    public : iterable of str
        Buckets anybody may read without a signature.
    requester_pays : iterable of str
        Buckets that refuse whoever does not send ``x-amz-request-payer: requester``, signed.
    latency : float
        Seconds from a request's arrival to the first byte of its answer, at least 0.
    connect_latency : float
        Seconds more for the first request of each connection, at least 0.
    bandwidth : float, optional
        Bytes a second of each connection, more than 0; None for no limit.
    clock : callable
        Returns the server's time, seconds since 1970 UTC, by which requests' dates are judged.
    port : int
        0 for one that is free.
    min_part_size : int
        Bytes that each part of a multipart upload must have but for the last; 5 MiB, as on S3.

    Attributes
    ----------
    latency, connect_latency, bandwidth, min_part_size
        As above; they may be changed while the server runs.

    Examples
    --------
    >>> import tempfile, urllib.request
    >>> from astro_cloud.testing import ObjectServer
    >>> with tempfile.TemporaryDirectory() as root, ObjectServer(root, public=["sky"]) as server:
    ...     server.put("sky", "m31.fits", bytes(2880))
    ...     request = urllib.request.Request(server.url_for("sky", "m31.fits"))
    ...     request.add_header("Range", "bytes=0-79")
    ...     card = urllib.request.urlopen(request).read()
    ...     len(card), len(server.requests), server.requests.body_bytes
    (80, 1, 80)
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        credentials: Iterable[AccessKey] | Mapping[str, AccessKey] | None = None,
        region: str = "us-east-1",
        public: Iterable[str] = (),
        requester_pays: Iterable[str] = (),
        latency: float = 0.0,
        connect_latency: float = 0.0,
        bandwidth: float | None = None,
        clock: Callable[[], float] = time.time,
        port: int = 0,
        min_part_size: int = MIN_PART_SIZE,
    ) -> None:
        if credentials is None:
            credentials = (AccessKey(f"AKIA{secrets.token_hex(8).upper()}", secrets.token_urlsafe(30)),)
        elif isinstance(credentials, Mapping):
            credentials = credentials.values()
        keys = {key.access_key: key for key in credentials}
        self._access = Access(keys, region, set(public), set(requester_pays), clock)
        self._store = Store(root)
        self._service = Service(self._store, self._access)
        self.min_part_size = min_part_size
        self._faults = FaultQueue()
        self._port = port
        self._running: _Running | None = None
        self.latency = latency
        self.connect_latency = connect_latency
        self.bandwidth = bandwidth
        self.recorder = Recorder()
        self.closing = threading.Event()

    def __enter__(self) -> Self:
        if self._running is not None:
            raise RuntimeError("the server is running already")
        if not self._store.root.is_dir():
            raise NotADirectoryError(f"the server's root is not a folder: {self._store.root}")
        self.closing.clear()
        self._running = _Running(self, self._port)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        where = "stopped" if self._running is None else self.url
        return f"<ObjectServer {where}, root {str(self._store.root)!r}>"

    def close(self) -> None:
        """End every connection, thread and multipart upload, within a second; harmless if done before."""
        self.closing.set()
        running, self._running = self._running, None
        if running is not None:
            running.stop()
        self._service.multipart.uploads.clear()

    @property
    def url(self) -> str:
        """``http://127.0.0.1:port``; `RuntimeError` while the server does not run."""
        if self._running is None:
            raise RuntimeError("the server is not running: use it in a with statement")
        return f"http://127.0.0.1:{self._running.port}"

    def url_for(self, bucket: str, key: str = "") -> str:
        """Return the percent-encoded URL of an object, or of a bucket."""
        return f"{self.url}/{quote(bucket, safe='')}" + (f"/{quote(key, safe='/')}" if key else "")

    @property
    def root(self) -> Path:
        """The folder that is served."""
        return self._store.root

    @property
    def credentials(self) -> dict[str, AccessKey]:
        """Whose signatures are accepted, by access key; may be changed while the server runs."""
        return self._access.credentials

    @property
    def access_key(self) -> str:
        """The first of the access keys."""
        return self._first_key.access_key

    @property
    def secret_key(self) -> str:
        """The secret key that belongs to `access_key`."""
        return self._first_key.secret_key

    @property
    def _first_key(self) -> AccessKey:
        return next(iter(self.credentials.values()))

    @property
    def region(self) -> str:
        """The region signatures must name."""
        return self._access.region

    @region.setter
    def region(self, region: str) -> None:
        self._access.region = region

    @property
    def public(self) -> set[str]:
        """Buckets anybody may read; may be changed while the server runs."""
        return self._access.public

    @property
    def requester_pays(self) -> set[str]:
        """Buckets whose readers pay; may be changed while the server runs."""
        return self._access.requester_pays

    @property
    def min_part_size(self) -> int:
        """Bytes each part of a multipart upload must have but for the last; may be changed meanwhile."""
        return self._service.multipart.min_part_size

    @min_part_size.setter
    def min_part_size(self, size: int) -> None:
        self._service.multipart.min_part_size = size

    @property
    def uploads(self) -> list[UnfinishedUpload]:
        """The multipart uploads neither completed nor aborted: tuples of bucket, key and upload id."""
        return self._service.multipart.uploads.names()

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables by which S3 tools find this server and its first credentials."""
        key = self._first_key
        variables = {
            "AWS_ACCESS_KEY_ID": key.access_key,
            "AWS_SECRET_ACCESS_KEY": key.secret_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        if key.session_token is not None:
            variables["AWS_SESSION_TOKEN"] = key.session_token
        return variables

    def put(self, bucket: str, key: str, data: bytes, *, checksum: str | None = None) -> None:
        """Write an object straight to disk, and its bucket if there is none; needs no running server.

        Parameters
        ----------
        bucket, key : str
            Where.
        data : bytes
            All of it.
        checksum : str, optional
            ``"crc32"``, ``"crc32c"``, ``"crc64nvme"``, ``"sha1"`` or ``"sha256"``: what the object is told
            to have to those who ask with ``x-amz-checksum-mode: ENABLED``, until its file changes.
        """
        self._store.put(bucket, key, data, checksum_of(checksum, data) if checksum else None)

    def path(self, bucket: str, key: str) -> Path:
        """Return the file that holds an object, or would."""
        return self._store.path(bucket, key)

    def inject(
        self,
        fault: Fault,
        times: int | None = 1,
        key: str | None = None,
        method: str | None = None,
        *,
        query: str | None = None,
    ) -> None:
        """Let a fault befall requests to come; several are consumed in the order injected.

        Parameters
        ----------
        fault : Fault
            What goes wrong.
        times : int or None
            Requests it befalls, at least 1; None for all.
        key, method : str, optional
            Only requests for this key, and with this method.
        query : str, optional
            Only requests with this parameter, ``"name"`` or ``"name=value"``: ``"uploads"`` begins a
            multipart upload, ``"partNumber=3"`` is its third part, ``"uploadId"`` with POST completes it.
        """
        self._faults.inject(fault, times, Wanted(key, method, query))

    def clear_faults(self) -> None:
        """Drop the faults that are still waiting."""
        self._faults.clear()

    @property
    def requests(self) -> RequestLog:
        """A copy of the log: a record for each answer that has ended, in that order.

        An answer whose last byte a client may have seen is in it.
        """
        return self.recorder.records()

    def wait_for_requests(self, count: int, timeout: float = 5.0) -> RequestLog:
        """Return the log once ``count`` answers have ended, as of clients that left; `TimeoutError` else.

        Parameters
        ----------
        count : int
            Records since the start, or the last `clear`.
        timeout : float
            Seconds.
        """
        return self.recorder.wait_for(count, timeout)

    def clear(self) -> None:
        """Forget the log."""
        self.recorder.clear()

    def now(self) -> float:
        """Return the server's time, seconds since 1970 UTC."""
        return self._access.clock()

    def answer(self, request: Request, body: Iterable[bytes], request_id: str) -> Answer:
        """Return what a request is answered, faults included; called by the connections."""
        fault = self._faults.take(request)
        if fault is None:
            return self._service.answer(request, body, request_id)
        served: list[Answer] = []

        def serve() -> Answer:
            served.append(self._service.answer(request, body, request_id))
            return served[-1]

        stored = None
        try:
            answer = fault.apply(request, serve)
            stored = answer.stored
        finally:
            for unused in served:
                if unused.stored is not None and unused.stored is not stored:
                    unused.stored.close()
        return answer


class _Running:
    """The sockets and threads of a server that runs."""

    def __init__(self, host: ObjectServer, port: int) -> None:
        self.host = host
        self._lock = threading.Lock()
        self._connections: dict[threading.Thread, Connection] = {}
        self._listener = socket.create_server(("127.0.0.1", port), backlog=_BACKLOG)
        self._listener.settimeout(0.25)  # for systems where shutdown does not wake accept
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name="object-server", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        deadline = time.monotonic() + _CLOSE_TIMEOUT
        close_socket(self._listener)
        self._thread.join(_CLOSE_TIMEOUT)
        self._listener.close()
        with self._lock:
            connections = dict(self._connections)
        for connection in connections.values():
            close_socket(connection.sock)
        for thread in connections:
            thread.join(max(deadline - time.monotonic(), 0.0))

    def _accept(self) -> None:
        for number in itertools.count(1):
            sock = self._next_socket()
            if sock is None:
                return
            connection = Connection(sock, number, self.host)
            thread = threading.Thread(
                target=self._serve, args=(connection,), name=f"object-server-{number}", daemon=True
            )
            with self._lock:
                self._connections[thread] = connection
            thread.start()

    def _next_socket(self) -> socket.socket | None:
        while not self.host.closing.is_set():
            try:
                return self._listener.accept()[0]
            except TimeoutError:
                continue
            except OSError:
                return None
        return None

    def _serve(self, connection: Connection) -> None:
        try:
            connection.run()
        finally:
            with self._lock, contextlib.suppress(KeyError):
                del self._connections[threading.current_thread()]
