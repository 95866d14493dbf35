"""The one retry loop: a range of an object, from its first request to its last byte.

Sends a request, has its answer judged, acts on the verdict, and goes on until the range is whole.
Every attempt is signed anew; a body that ends early is continued from the byte it reached.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from requests import PreparedRequest

from astro_cloud.auth import endpoints
from astro_cloud.auth.aws import AWSAuth
from astro_cloud.auth.digital_ocean import DigitalOceanAuth
from astro_cloud.auth.masking import masked
from astro_cloud.auth.providers import Anonymous
from astro_cloud.auth.redirects import without_signature
from astro_cloud.auth.refusal import Refusal
from astro_cloud.exceptions import (
    AstroCloudError,
    InvalidLocationError,
    ObjectNotFoundError,
    StorageError,
)
from astro_cloud.storage.answers import (
    Again,
    Data,
    EndOfObject,
    Fail,
    Redirect,
    Refused,
    Verdict,
    Version,
    changed,
    judge,
)
from astro_cloud.storage.byterange import ByteRange, format_range
from astro_cloud.storage.denial import Attempt, explain
from astro_cloud.storage.pin import Pin
from astro_cloud.storage.resources import Resources
from astro_cloud.storage.transport import FOREIGN_ERRORS, OpenAnswer, Target, translate

__all__ = ["RangeRead"]

_REDIRECTS = 5
_CHUNK = 1 << 20


class RangeRead:
    """Reads bytes [start, stop) of the object and version of a pin, once.

    Attributes
    ----------
    requests : int
        Requests sent so far, one after the other.
    """

    def __init__(self, resources: Resources, pin: Pin, wanted: ByteRange) -> None:
        format_range(*wanted)
        self.requests = 0
        self._resources = resources
        self._pin = pin
        self._wanted = wanted
        self._target = pin.target
        self._target_is_remembered = pin.target is not pin.origin
        self._buffer = bytearray()
        self._failures = 0
        self._hops = 0
        self._lessons: set[str] = set()
        self._denial: StorageError | None = None
        self._may_end_here = False

    def run(self) -> bytes:
        """Return the bytes, cut at the object's end; raise what `PinnedObject.read_ranges` says."""
        while True:
            request = self._signed()
            match self._send(request):
                case Data(version=version):
                    if version.total is not None or not self._missing:
                        return bytes(self._buffer)
                    self._may_end_here = True  # the server does not say its size: ask for the rest
                case EndOfObject(version):
                    return self._at_end(version)
                case Again(error, retry_after):
                    self._wait(error, retry_after)
                case Redirect(url):
                    self._follow(request, url)
                case Refused(refusal):
                    self._answer(request, refusal)
                case Fail(error):
                    self._fail(error)

    @property
    def _missing(self) -> int:
        return self._wanted.stop - self._wanted.start - len(self._buffer)

    @property
    def _asked(self) -> ByteRange:
        return ByteRange(self._wanted.start + len(self._buffer), self._wanted.stop)

    def _send(self, request: PreparedRequest) -> Verdict:
        """Ask for what is missing; return `Data` once all came that the answer promised."""
        resources, settings = self._resources, self._resources.settings
        self.requests += 1
        resources.usage.add(requests=1)
        timeout = (settings.connect_timeout, settings.read_timeout)
        try:
            with resources.in_flight, resources.transport.send(request, timeout) as answer:
                verdict = judge(
                    answer.head(), self._asked, self._pin.name, self._pin.version, now=settings.clock()
                )
                if isinstance(verdict, Data):
                    self._pin.accept(verdict.version, self._target)
                    self._denial, self._may_end_here = None, False
                    self._receive(answer, verdict)
                return verdict
        except AstroCloudError:
            raise
        except FOREIGN_ERRORS as error:
            failure = translate(error, self._pin.name, settings)
            return self._abroad(failure) if self._hops else failure

    def _abroad(self, verdict: Again | Fail) -> Again | Fail:
        """Blame the redirect, not the location, for a URL that cannot be read."""
        if not isinstance(verdict.error, InvalidLocationError):
            return verdict
        message = f"{self._pin.name}: redirected to what is not a URL ({masked(self._target.url)!r})"
        return Fail(StorageError(message, location=self._pin.name))

    def _signed(self) -> PreparedRequest:
        request = self._target.template.copy()
        request.headers["Range"] = format_range(*self._asked)
        version = self._pin.version
        if version is not None and version.etag is not None:
            request.headers["If-Match"] = version.etag
        auth = self._target.auth
        if auth is None:
            return request
        ours = hasattr(auth, "learn")  # whose sign registers no hook; what others call sign is theirs
        sign: Callable[[PreparedRequest], PreparedRequest] = getattr(auth, "sign", auth) if ours else auth
        return sign(request)

    def _receive(self, answer: OpenAnswer, data: Data) -> None:
        """Read the body that `data` describes; what arrives is kept if it ends early."""
        left = data.skip
        while left:
            left -= len(self._read(answer, left))
        left = data.stop - data.start
        while left:
            chunk = self._read(answer, left)
            self._buffer += chunk
            left -= len(chunk)

    def _read(self, answer: OpenAnswer, left: int) -> bytes:
        chunk = answer.read(min(left, _CHUNK))
        if not chunk:
            raise ConnectionResetError("the body is shorter than announced")
        self._resources.usage.add(bytes=len(chunk))
        return chunk

    def _at_end(self, version: Version) -> bytes:
        if self._buffer and not self._may_end_here:
            raise changed(self._pin.name, "it became shorter")
        if version.total is None and (self._buffer or self._wanted.start == 0):
            version = Version(total=self._wanted.start + len(self._buffer))
        if version.total is not None:
            self._pin.accept(version)
        return bytes(self._buffer)

    def _wait(self, error: StorageError, retry_after: float | None) -> None:
        settings = self._resources.settings
        self._failures += 1
        if self._failures >= settings.attempts or (retry_after or 0) > settings.retry_after_limit:
            raise error
        settings.sleep(settings.wait_before(self._failures + 1, retry_after))

    def _follow(self, request: PreparedRequest, url: str) -> None:
        self._hops += 1
        name = self._pin.name
        if self._hops > _REDIRECTS:
            raise StorageError(f"{name}: redirected more than {_REDIRECTS} times", location=name)
        if not url.lower().startswith(("http://", "https://")):
            raise StorageError(f"{name}: redirected to {masked(url)!r}, which is not HTTP", location=name)
        if not endpoints.is_presigned(self._target.url):  # else the signature is not of an auth's making
            cut = without_signature(request.url or "", url)
            if cut is None:
                raise StorageError(f"{name}: redirected to a URL made of one of ours", location=name)
            url = cut
        try:
            self._target = self._pin.redirected(self._target, url)
        except (InvalidLocationError, ValueError) as error:
            message = f"{name}: redirected to what is not a URL ({masked(url)!r})"
            raise StorageError(message, location=name) from error

    def _answer(self, request: PreparedRequest, refusal: Refusal) -> None:
        """Choose what to ask next after a refusal, or raise."""
        target = self._target
        if self._learn(request, refusal) or self._back_at_origin():
            return
        denial = self._explain(refusal)
        if self._pin.inferred and _signs(target) and refusal.status in (401, 403) and self._denial is None:
            self._denial = denial  # a public object needs no signature: ask once without
            self._target = self._pin.moved(target, target.url, Anonymous())
            return
        raise self._denial or denial

    def _back_at_origin(self) -> bool:
        """Leave a target that was remembered, as where it led may have expired; once."""
        remembered, self._target_is_remembered = self._target_is_remembered, False
        if remembered:
            self._target = self._pin.origin
        return remembered

    def _fail(self, error: AstroCloudError) -> None:
        if not (isinstance(error, ObjectNotFoundError) and self._back_at_origin()):
            raise self._denial or error

    def _learn(self, request: PreparedRequest, refusal: Refusal) -> bool:
        """Let a refusal teach the auth, or name the region to ask in; each lesson once."""
        target = self._target
        learn = getattr(target.auth, "learn", None)
        lesson = learn(request, refusal) if learn is not None else None
        url = endpoints.regional_url(target.url, refusal.region) if refusal.region else target.url
        if url != target.url:
            lesson = "region"
        if lesson is None or lesson in self._lessons:
            return False
        self._lessons.add(lesson)
        if url != target.url:
            self._target = self._pin.moved(target, url)
        return True

    def _explain(self, refusal: Refusal) -> StorageError:
        target = self._target
        provider = None if target.foreign else self._pin.location.provider
        if isinstance(target.auth, DigitalOceanAuth):
            provider = "spaces"
        elif provider is None and isinstance(target.auth, AWSAuth):
            provider = "aws"  # a server the user calls so
        identity: Literal["nobody", "auth", "url"] = "nobody"
        if _signs(target):
            identity = "auth"
        elif endpoints.is_presigned(target.url):
            identity = "url"
        at = self._resources.settings.clock()
        because = getattr(target.auth, "because", "")
        return explain(refusal, self._pin.name, Attempt(provider, identity, _pays(target), at, because))


def _signs(target: Target) -> bool:
    return not isinstance(target.auth, Anonymous | None)


def _pays(target: Target) -> bool:
    return "x-amz-request-payer" in target.template.headers or getattr(target.auth, "request_payer", False)
