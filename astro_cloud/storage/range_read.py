"""The one retry loop: a range of a pinned object, from its first request to its last byte.

Sends a request, has its answer judged, acts on the verdict, and goes on until the range is whole.
Every attempt is signed anew; a body that ends early is continued from the byte it reached.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from requests import PreparedRequest

from astro_cloud.auth import endpoints
from astro_cloud.auth.providers import Anonymous
from astro_cloud.auth.refusal import Refusal
from astro_cloud.exceptions import AstroCloudError, IncompleteReadError, ObjectChangedError, StorageError
from astro_cloud.storage.answers import (
    Again,
    Data,
    EndOfObject,
    Fail,
    Redirect,
    Refused,
    Verdict,
    Version,
    judge,
)
from astro_cloud.storage.byterange import ByteRange, format_range
from astro_cloud.storage.denial import explain
from astro_cloud.storage.location import masked
from astro_cloud.storage.transport import FOREIGN_ERRORS, OpenAnswer, Target, translate

if TYPE_CHECKING:
    from astro_cloud.storage.pinned import PinnedObject

__all__ = ["RangeRead"]

_REDIRECTS = 5
_CHUNK = 1 << 20


class RangeRead:
    """Reads bytes [start, stop) of a pinned object, once.

    Attributes
    ----------
    requests : int
        Requests sent so far, one after the other.
    """

    def __init__(self, pinned: PinnedObject, wanted: ByteRange) -> None:
        format_range(*wanted)
        self.requests = 0
        self._object = pinned
        self._client = pinned.client
        self._wanted = wanted
        self._target = pinned.target
        self._remembered_redirect = pinned.target is not pinned.origin
        self._buffer = bytearray()
        self._got = 0
        self._failures = 0
        self._hops = 0
        self._learnt: set[str] = set()
        self._denial: StorageError | None = None

    def run(self) -> bytes:
        """Return the bytes, cut at the object's end; raise what `PinnedObject.read_ranges` says."""
        while True:
            match self._attempt():
                case Data():
                    return bytes(self._buffer)
                case EndOfObject(version):
                    return self._at_end(version)
                case Again(error, retry_after):
                    self._wait(error, retry_after)
                case Redirect(url):
                    self._follow(url)
                case Refused(refusal):
                    self._answer(refusal)
                case Fail(error):
                    raise self._denial or error

    def _attempt(self) -> Verdict:
        """Send one request for what is still missing; return `Data` once nothing is."""
        asked = ByteRange(self._wanted.start + self._got, self._wanted.stop)
        settings = self._client.settings
        request = self._request(asked)
        self.requests += 1
        self._client.usage.add(requests=1)
        try:
            with self._client.transport.send(
                request, (settings.connect_timeout, settings.read_timeout)
            ) as answer:
                verdict = judge(answer.head(), asked, self._object.name, self._object.version)
                if not isinstance(verdict, Data):
                    return verdict
                self._object.accept(verdict.version, self._target)
                return verdict if self._receive(answer, verdict) else self._short()
        except AstroCloudError:
            raise
        except FOREIGN_ERRORS as error:
            return translate(error, self._object.name, settings)

    def _request(self, asked: ByteRange) -> PreparedRequest:
        request = self._target.template.copy()
        request.headers["Range"] = format_range(*asked)
        version = self._object.version
        if version is not None and version.etag is not None:
            request.headers["If-Match"] = version.etag
        auth = self._target.auth
        if auth is None:
            return request
        sign: Callable[[PreparedRequest], PreparedRequest] = getattr(auth, "sign", auth)
        return sign(request)

    def _receive(self, answer: OpenAnswer, data: Data) -> bool:
        """Read the body that `data` describes; False if it ends early, with what arrived kept."""
        if not _fill(answer, memoryview(bytearray(data.skip))):
            return False
        end = self._got + data.stop - data.start
        self._buffer.extend(bytes(end - len(self._buffer)))
        with memoryview(self._buffer) as buffer:
            while self._got < end:
                count = answer.read_into(buffer[self._got : min(end, self._got + _CHUNK)])
                if count == 0:
                    return False
                self._got += count
                self._client.usage.add(bytes=count)
        return True

    def _short(self) -> Again:
        message = f"{self._object.name}: the connection closed before the whole body had arrived"
        return Again(IncompleteReadError(message, location=self._object.name))

    def _at_end(self, version: Version) -> bytes:
        if self._got:
            raise ObjectChangedError(
                f"{self._object.name}: the object became shorter while it was read. "
                "Read it again from the start",
                location=self._object.name,
            )
        if self._wanted.start == 0 and version.total is None:
            version = Version(total=0)
        if version.total is not None:
            self._object.accept(version)
        return b""

    def _wait(self, error: StorageError, retry_after: float | None) -> None:
        settings = self._client.settings
        self._failures += 1
        if self._failures >= settings.attempts or (retry_after or 0) > settings.retry_after_limit:
            raise error
        settings.sleep(settings.wait_before(self._failures + 1, retry_after))

    def _follow(self, url: str) -> None:
        self._hops += 1
        name = self._object.name
        if self._hops > _REDIRECTS:
            raise StorageError(f"{name}: redirected more than {_REDIRECTS} times", location=name)
        if not url.lower().startswith(("http://", "https://")):
            raise StorageError(f"{name}: redirected to {masked(url)!r}, which is not HTTP", location=name)
        self._target = self._object.redirected(self._target, url)

    def _answer(self, refusal: Refusal) -> None:
        """Choose what to ask next after a refusal, or raise."""
        target = self._target
        if self._learn(refusal):
            return
        if self._remembered_redirect:
            self._remembered_redirect = False  # where it led may have expired: ask the origin again
            self._target = self._object.origin
            return
        denial = self._explain(refusal)
        signed = not isinstance(target.auth, Anonymous | None)
        if self._object.inferred and signed and refusal.status == 403 and self._denial is None:
            self._denial = denial  # a public object needs no signature: ask once without
            self._target = self._object.moved(target, target.url, Anonymous())
            return
        raise self._denial or denial

    def _learn(self, refusal: Refusal) -> bool:
        """Let a refusal teach the auth, or name the region to ask in; once for each kind."""
        target, kind = self._target, refusal.code or str(refusal.status)
        if kind in self._learnt:
            return False
        self._learnt.add(kind)
        learn = getattr(target.auth, "learn", None)
        learnt = bool(learn is not None and learn(target.url, refusal))
        url = endpoints.regional_url(target.url, refusal.region) if refusal.region else target.url
        if url != target.url:
            self._target = self._object.moved(target, url)
        return learnt or url != target.url

    def _explain(self, refusal: Refusal) -> StorageError:
        target = self._target
        signed = not isinstance(target.auth, Anonymous | None)
        return explain(
            refusal,
            self._object.name,
            at_provider=signed or self._object.location.provider is not None,
            signed=signed,
            paying=_pays(target),
        )


def _pays(target: Target) -> bool:
    return "x-amz-request-payer" in target.template.headers or getattr(target.auth, "request_payer", False)


def _fill(answer: OpenAnswer, buffer: memoryview) -> bool:
    done = 0
    while done < len(buffer):
        count = answer.read_into(buffer[done:])
        if count == 0:
            return False
        done += count
    return True
