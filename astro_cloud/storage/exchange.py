"""The one retry loop: a request, from its first sending to an answer that can be used.

Sends a request, has its answer judged, acts on the verdict, and goes on until there is a result. Every
attempt is signed anew. What is asked, and what an answer to it is worth, the subclasses say.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, TypeVar

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
    StorageError,
)
from astro_cloud.storage.answers import Again, Fail, Failure, Redirect, Refused
from astro_cloud.storage.denial import Attempt, explain
from astro_cloud.storage.engine import OpenAnswer
from astro_cloud.storage.foreign_errors import FOREIGN_ERRORS, translate
from astro_cloud.storage.resources import Resources
from astro_cloud.storage.route import Route
from astro_cloud.storage.stop import Stop

__all__ = ["Done", "Exchange", "Onward", "Outcome"]

_REDIRECTS = 5

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Done(Generic[_T]):
    """The answer held what was asked for."""

    result: _T


@dataclass(frozen=True, slots=True)
class Onward:
    """The answer held some of it: ask for the rest, at once."""


Outcome = Done[_T] | Onward | Failure


class Exchange(ABC, Generic[_T]):
    """Asks on a route until there is an answer that can be used, once.

    Attributes
    ----------
    requests : int
        Requests sent so far, one after the other.
    """

    _asks: ClassVar[Literal["read", "list", "write"]] = "read"

    def __init__(self, resources: Resources, route: Route) -> None:
        self.requests = 0
        self._resources = resources
        self._route = route
        self._target = route.origin
        self._target_is_remembered = False
        self._stop: Stop | None = None
        self._failures = 0
        self._hops = 0
        self._lessons: set[str] = set()
        self._denial: StorageError | None = None

    @abstractmethod
    def _compose(self, request: PreparedRequest) -> None:
        """Make a copy of the target's request into the one to send now; it is signed afterwards."""

    @abstractmethod
    def _use(self, answer: OpenAnswer) -> Outcome[_T]:
        """Judge an answer, and read the body of one that is worth it."""

    def _relent(self, status: int | None) -> bool:
        """Leave out what a server that answers so may not take; tell whether there was such."""
        return False

    def run(self, stop: Stop | None = None) -> _T:
        """Ask until there is a result; raise what the last answer was otherwise.

        Raises
        ------
        Stopped
            If `stop` was set meanwhile.
        """
        self._stop = stop
        self._target = self._route.target
        self._target_is_remembered = self._target is not self._route.origin
        while True:
            request = self._signed()
            match self._send(request):
                case Done(result):
                    return result
                case Again(error, retry_after):
                    self._wait(error, retry_after)
                case Redirect(url):
                    self._follow(request, url)
                case Refused(refusal):
                    self._answer(request, refusal)
                case Fail(error):
                    self._fail(error)

    def _accepted(self) -> None:
        """Take note that the server answers who asks in this way."""
        self._denial = None
        self._route.target = self._target

    def _signed(self) -> PreparedRequest:
        target = self._target
        request = target.request()
        self._compose(request)
        return target.sign(request)

    def _send(self, request: PreparedRequest) -> Outcome[_T]:
        resources, target = self._resources, self._target
        gate, timer = resources.gate, resources.settings.timer
        entered = gate.enter(self._stop)
        try:
            self.requests += 1
            resources.usage.add(requests=1)
            sent = timer()
            with resources.transport.send(request, self._stop) as answer:
                if self._asks != "write":  # else it is the time of our bytes
                    target.pace.answered(timer() - sent)
                outcome = self._use(answer)
        except AstroCloudError:
            raise
        except FOREIGN_ERRORS as error:
            if self._stop is not None:
                self._stop.check()
            failure = translate(error, self._route.name, resources.settings)
            return self._abroad(failure) if self._hops else failure
        finally:
            gate.leave()
        if isinstance(outcome, Again) and outcome.slow_down:
            gate.slow_down(entered)
        else:
            gate.speed_up()
        return outcome

    def _abroad(self, verdict: Again | Fail) -> Again | Fail:
        """Blame the redirect, not the location, for a URL that cannot be read."""
        if not isinstance(verdict.error, InvalidLocationError):
            return verdict
        message = f"{self._route.name}: redirected to what is not a URL ({masked(self._target.url)!r})"
        return Fail(StorageError(message, location=self._route.name))

    def _wait(self, error: StorageError, retry_after: float | None) -> None:
        if self._back_at_origin():
            return
        settings = self._resources.settings
        self._failures += 1
        if self._failures >= settings.attempts or (retry_after or 0) > settings.retry_after_limit:
            raise error
        if self._failures > 1:
            self._relent(error.status)
        seconds = settings.wait_before(self._failures + 1, retry_after)
        if self._stop is not None and settings.sleep is time.sleep:
            self._stop.wait(seconds)  # as long, but it can be given up
        else:
            settings.sleep(seconds)

    def _follow(self, request: PreparedRequest, url: str) -> None:
        self._hops += 1
        name = self._route.name
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
            self._target = self._route.redirected(self._target, url)
        except (InvalidLocationError, ValueError) as error:
            message = f"{name}: redirected to what is not a URL ({masked(url)!r})"
            raise StorageError(message, location=name) from error

    def _answer(self, request: PreparedRequest, refusal: Refusal) -> None:
        """Choose what to ask next after a refusal, or raise."""
        target = self._target
        if self._learn(request, refusal) or self._back_at_origin() or self._relent(refusal.status):
            return
        denial = self._explain(refusal)
        if self._may_ask_unsigned(refusal):
            self._denial = denial
            self._target = self._route.moved(target, target.url, Anonymous())
            return
        raise self._denial or denial

    def _may_ask_unsigned(self, refusal: Refusal) -> bool:
        """Tell whether to ask once without a signature, which a public object does not need."""
        if self._asks == "write" or self._denial is not None or refusal.status not in (401, 403):
            return False
        return self._route.inferred and self._target.signs

    def _back_at_origin(self) -> bool:
        """Leave a target that was remembered, as where it led may be no more; once."""
        remembered, self._target_is_remembered = self._target_is_remembered, False
        if remembered:
            self._target = self._route.origin
        return remembered

    def _fail(self, error: AstroCloudError) -> None:
        if self._back_at_origin() or (isinstance(error, StorageError) and self._relent(error.status)):
            return
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
            self._target = self._route.moved(target, url)
        return True

    def _explain(self, refusal: Refusal) -> StorageError:
        target = self._target
        provider = None if target.foreign else self._route.location.provider
        if isinstance(target.auth, DigitalOceanAuth):
            provider = "spaces"
        elif provider is None and isinstance(target.auth, AWSAuth):
            provider = "aws"  # a server the user calls so
        identity: Literal["nobody", "auth", "url"] = "nobody"
        if target.signs:
            identity = "auth"
        elif endpoints.is_presigned(target.url):
            identity = "url"
        at = self._resources.settings.clock()
        because = getattr(target.auth, "because", "")
        return explain(
            refusal, self._route.name, Attempt(provider, identity, target.pays, at, because, self._asks)
        )
