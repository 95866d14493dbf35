"""A request's body while it comes in. It waits for the client, by the function it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator

_STEP = 1024 * 1024


class RequestBody:
    """A body, read from first to last; iterate over it for the pieces that are left.

    Parameters
    ----------
    length : int
        Bytes of the whole.
    buffer : bytearray
        What came with the head, and maybe more than the body; consumed.
    receive : callable
        Returns the bytes that come next, at least one and at most as many as it is told.
    invite : callable or None
        Called before the first byte is waited for: the client sends none before that.

    Attributes
    ----------
    received : int
        Bytes read so far.
    """

    __slots__ = ("_buffer", "_invite", "_length", "_receive", "received")

    def __init__(
        self,
        length: int,
        *,
        buffer: bytearray,
        receive: Callable[[int], bytes],
        invite: Callable[[], None] | None = None,
    ) -> None:
        self._length = length
        self._buffer = buffer
        self._receive = receive
        self._invite = invite
        self.received = 0

    def __iter__(self) -> Iterator[bytes]:
        while self.received < self._length:
            yield self._read(self._length)

    def drain(self, until: int | None = None) -> None:
        """Read and drop what is left; with ``until``, up to so many bytes from the body's beginning."""
        stop = self._length if until is None else min(until, self._length)
        while self.received < stop:
            self._read(stop)

    def _read(self, stop: int) -> bytes:
        """Return the next piece, which ends at ``stop`` or before."""
        wanted = min(stop - self.received, _STEP)
        if self._buffer:
            piece = bytes(self._buffer[:wanted])
            del self._buffer[:wanted]
        else:
            if self._invite is not None:
                self._invite()
            piece = self._receive(wanted)
        self._invite = None
        self.received += len(piece)
        return piece
