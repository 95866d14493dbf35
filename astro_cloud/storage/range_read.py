"""Reading one range of an object by one request, or as many as faults make of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from requests import PreparedRequest

from astro_cloud.storage.answers import Data, EndOfObject, Fail, Version, changed, judge
from astro_cloud.storage.byterange import ByteRange, format_range
from astro_cloud.storage.engine import OpenAnswer
from astro_cloud.storage.exchange import Done, Exchange, Onward, Outcome
from astro_cloud.storage.pin import Pin
from astro_cloud.storage.resources import Resources

__all__ = ["Fill", "RangeRead", "Sink"]

_CHUNK = 1 << 20
_NO_IF_MATCH = frozenset({400, 500, 501})


class Sink(Protocol):
    """Takes bytes [start, stop) of an object, in their order, as they come."""

    @property
    def start(self) -> int:
        """The first."""

    @property
    def stop(self) -> int:
        """Behind the last."""

    def take(self, answer: OpenAnswer, size: int) -> int:
        """Take up to `size` bytes of the body; return how many came, 0 at its end."""


class Fill:
    """Takes bytes [start, stop) of the object as they come.

    Parameters
    ----------
    start, stop : int
        Half-open.
    view : memoryview, optional
        Of bytes, writable, `stop` - `start` long: where they go. By default, into `data`.

    Attributes
    ----------
    got : int
        How many bytes there are so far.
    """

    __slots__ = ("_parts", "_view", "got", "start", "stop")

    def __init__(self, start: int, stop: int, view: memoryview | None = None) -> None:
        self.start = start
        self.stop = stop
        self.got = 0
        self._view = view
        self._parts: list[bytes] = []

    @property
    def data(self) -> bytes:
        """The bytes so far, where no `view` was given."""
        parts = self._parts
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def take(self, answer: OpenAnswer, size: int) -> int:
        """Take up to `size` bytes of the body; return how many came, 0 at its end."""
        if self._view is not None:
            came = answer.readinto(self._view[self.got : self.got + size])
        else:
            chunk = answer.read(min(size, _CHUNK))
            came = len(chunk)
            self._parts.append(chunk)
        self.got += came
        return came


class RangeRead(Exchange[None]):
    """Reads the object and version of a pin, from the first byte of some sinks to the last, once.

    What lies between them is read and thrown away. They are cut at the object's end.
    """

    def __init__(self, resources: Resources, pin: Pin, sinks: Sequence[Sink]) -> None:
        super().__init__(resources, pin.route)
        self._pin = pin
        self._sinks = sinks
        self._start = self._at = sinks[0].start
        self._stop_at = sinks[-1].stop
        self._filling = 0
        self._may_end_here = False
        self._may_be_conditional = True
        self._is_conditional = False

    def _compose(self, request: PreparedRequest) -> None:
        request.headers["Range"] = format_range(self._at, self._stop_at)
        version = self._pin.version
        etag = version.etag if version is not None else None
        self._is_conditional = etag is not None and self._may_be_conditional and self._pin.takes_if_match
        if etag is not None and self._is_conditional:
            request.headers["If-Match"] = etag

    def _relent(self, status: int | None) -> bool:
        if status not in _NO_IF_MATCH or not self._is_conditional:
            return False
        self._may_be_conditional = False
        return True

    def _use(self, answer: OpenAnswer) -> Outcome[None]:
        """Judge the answer; return only once all came that it promised."""
        pin = self._pin
        asked = ByteRange(self._at, self._stop_at)
        verdict = judge(answer.head(), asked, pin.name, pin.version, now=self._resources.settings.clock())
        match verdict:
            case Data(version=version) if self._is_unproven(version):
                return Fail(changed(pin.name, "it has no ETag or date any more that shows it is the same"))
            case Data(version=version):
                self._may_end_here = False
                self._receive(answer, verdict)
                if version.total is not None or self._at == self._stop_at:
                    return Done(None)
                self._may_end_here = True  # the server does not say its size: ask for the rest
                return Onward()
            case EndOfObject(version):
                self._end(version)
                return Done(None)
        return verdict

    def _is_unproven(self, version: Version) -> bool:
        pinned = self._pin.version
        return self._pin.wants_proof and pinned is not None and not version.is_like(pinned)

    def _receive(self, answer: OpenAnswer, data: Data) -> None:
        """Read the body that `data` describes; what arrives is kept if it ends early."""
        timer = self._resources.settings.timer
        received, began = -data.skip, timer()
        accepted = False
        try:
            while self._at < data.stop:
                if received < 0:
                    came = _some(len(answer.read(min(-received, _CHUNK))))
                else:
                    came = self._take(answer, data.stop - self._at)
                    self._at += came
                received += came
                if not accepted:
                    accepted = True
                    self._accept(data.version)
        finally:
            self._resources.usage.add(bytes=received + data.skip)
        self._target.pace.received(received, timer() - began)

    def _accept(self, version: Version) -> None:
        """Believe an answer, now that some of its body came: a head that was cut has none."""
        self._pin.accept(version)
        self._pin.takes_if_match &= self._may_be_conditional
        self._accepted()

    def _take(self, answer: OpenAnswer, left: int) -> int:
        sink = self._sinks[self._filling]
        if self._at < sink.start:
            return _some(len(answer.read(min(left, sink.start - self._at, _CHUNK))))
        came = _some(sink.take(answer, min(left, sink.stop - self._at)))
        if self._at + came == sink.stop:
            self._filling += 1
        return came

    def _end(self, version: Version) -> None:
        begun = self._at > self._start
        if begun and not self._may_end_here:
            raise changed(self._pin.name, "it became shorter")
        if version.total is None and (begun or self._at == 0):
            version = Version(total=self._at)
        if version.total is not None:
            self._pin.accept(version)


def _some(came: int) -> int:
    if not came:
        raise ConnectionResetError("the body is shorter than announced")
    return came
