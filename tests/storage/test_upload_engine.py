"""Bodies over connections of our own: sent as they are, cut short by an answer, stalled, lost."""

from __future__ import annotations

import http.client
import io
import socket
import threading
from typing import Any

import pytest
import requests

from astro_cloud.storage import Settings
from astro_cloud.storage.connection_engine import ConnectionEngine
from astro_cloud.storage.stop import Stop, Stopped
from astro_cloud.storage.upload_body import MemoryContent, Piece
from astro_cloud.testing import Fault, ObjectServer
from tests.servers.tls import Certificate
from tests.storage.raw_server import raw_server, said
from tests.storage.reading import BUCKET, auth_of
from tests.storage.test_connection_engine import secure

LARGE = bytes(range(256)) * (1 << 16)
REFUSED = said("HTTP/1.1 403 Forbidden", "Content-Length: 6") + b"reason"


def put(url: str, body: Any, length: int | None = None) -> requests.PreparedRequest:
    request = requests.Request("PUT", url).prepare()
    request.body = body
    request.headers["Content-Length"] = str(len(body) if length is None else length)
    return request


def body_of(data: bytes) -> Any:
    return Piece(MemoryContent(data), 0, len(data), at=0).body(lambda start, size: None)


@pytest.mark.parametrize(
    "make", [bytes, bytearray, memoryview, body_of, io.BytesIO], ids=lambda make: make.__name__
)
@pytest.mark.parametrize("size", [1, 1 << 18, 1_000_001])
def test_every_kind_of_body_arrives(object_server: ObjectServer, make: Any, size: int) -> None:
    """Bytes or a file, of whatever length; the connection is kept for the next."""
    (object_server.root / BUCKET).mkdir()
    engine = ConnectionEngine(object_server.url, True, Settings())
    for key in ("a", "b"):
        request = put(object_server.url_for(BUCKET, key), make(LARGE[:size]), size)
        with engine.send(auth_of(object_server).sign(request)) as answer:
            assert answer.head().status == 200
        assert object_server.path(BUCKET, key).read_bytes() == LARGE[:size]
    assert object_server.requests.connections == 1
    engine.close()


def test_an_answer_that_comes_early_is_read(object_server: ObjectServer) -> None:
    """A server that refuses the head need not read the body; that connection is not used again."""
    object_server.inject(Fault.early_refusal(403, "AccessDenied"), times=None)
    engine = ConnectionEngine(object_server.url, True, Settings())
    for _ in range(5):
        with engine.send(put(object_server.url_for(BUCKET, "a"), body_of(LARGE))) as answer:
            head = answer.head()
            assert head.status == 403
            assert b"AccessDenied" in head.error_body
    log = object_server.wait_for_requests(5)
    assert log.connections == 5
    assert log.received < 5 * len(LARGE)


def test_an_answer_that_comes_early_is_read_over_tls(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody can tell that it is there before sending fails."""
    with secure(certificate, [REFUSED], hold=True) as server:
        engine = ConnectionEngine(server.url, str(certificate.authority), Settings(read_timeout=30))
        with engine.send(put(server.url, LARGE[: 1 << 20])) as answer:
            assert answer.head().status == 403
        engine.close()


@pytest.mark.parametrize("fault", [Fault.stall_request(0), Fault.cut_request(0), Fault.reset_request(0)])
def test_who_takes_no_more_of_a_body(object_server: ObjectServer, fault: Fault) -> None:
    """A server that stands still is a timeout, one that leaves is a lost connection; neither is an answer."""
    object_server.inject(fault)
    patience = 0.3 if fault.kind.startswith("stall") else 30
    engine = ConnectionEngine(object_server.url, True, Settings(read_timeout=patience))
    with pytest.raises((TimeoutError, ConnectionError, http.client.RemoteDisconnected)):
        engine.send(put(object_server.url_for(BUCKET, "a"), body_of(LARGE)))


class SlowReader:
    """A server that takes a body little by little, never silent for long, and answers at its end."""

    def __init__(self, size: int, interim: bytes = b"") -> None:
        self.taken = 0
        self._size = size
        self._interim = interim
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/a"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with self._listener, self._listener.accept()[0] as wire:
            head = b""
            while b"\r\n\r\n" not in head:
                head += wire.recv(1 << 10)
            wire.sendall(self._interim)
            self.taken = len(head.partition(b"\r\n\r\n")[2])
            while self.taken < self._size and (came := wire.recv(1 << 14)):
                self.taken += len(came)
                threading.Event().wait(0.002)
            wire.sendall(said("HTTP/1.1 200 OK", "Content-Length: 0"))


def test_a_slow_but_steady_server_is_waited_for() -> None:
    """The read timeout is for silence, not for a chunk, nor for what the system still has to send."""
    server = SlowReader(4 << 20)
    engine = ConnectionEngine(server.url, True, Settings(read_timeout=0.2))
    with engine.send(put(server.url, body_of(LARGE[: 4 << 20]))) as answer:
        assert answer.head().status == 200
    assert server.taken == 4 << 20


def test_an_interim_answer_does_not_end_a_body() -> None:
    """What a server says while it reads on (RFC 9110, section 15.2) is no answer yet."""
    server = SlowReader(1 << 20, said("HTTP/1.1 102 Processing"))
    engine = ConnectionEngine(server.url, True, Settings())
    with engine.send(put(server.url, body_of(LARGE[: 1 << 20]))) as answer:
        assert answer.head().status == 200
    assert server.taken == 1 << 20


def test_a_stop_ends_sending() -> None:
    """A body that stalls is given up when it is told to be."""
    stop = Stop()
    stop.set()
    with raw_server([b""], hold=True) as server:
        engine = ConnectionEngine(server.url, True, Settings())
        with pytest.raises(Stopped):
            engine.send(put(server.url, body_of(LARGE)), stop)


def test_a_body_can_be_read_again() -> None:
    """As a file can: from any place, in any whence."""
    body = body_of(LARGE[:1000])
    assert len(body) == 1000
    assert bytes(body.read(10)) == LARGE[:10]
    assert (body.tell(), body.seek(-10, 2), body.seek(5, 1), body.seek(3)) == (10, 990, 995, 3)
    assert bytes(body.read()) == LARGE[3:1000]
    assert body.read() == b""
    assert (body.seek(5000), body.seek(-5)) == (1000, 0)
