"""One request that writes, or one that asks about what was written; as many as faults make of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from requests import PreparedRequest

from astro_cloud.auth import endpoints
from astro_cloud.auth.aws import AWSAuth
from astro_cloud.auth.refusal import Refusal
from astro_cloud.auth.sigv4 import UNSIGNED_PAYLOAD
from astro_cloud.exceptions import StorageError
from astro_cloud.storage.answers import Again, Answer, Failure, failure_of_write
from astro_cloud.storage.engine import OpenAnswer
from astro_cloud.storage.exchange import Done, Exchange, Outcome
from astro_cloud.storage.resources import Resources
from astro_cloud.storage.route import Route
from astro_cloud.storage.upload_body import Body

__all__ = ["Call", "Reply", "Write"]

_REPLY_LIMIT = 1 << 24
_STATUS_OF_ERRORS = {
    "InternalError": 500,
    "NoSuchUpload": 404,
    "PreconditionFailed": 412,
    "ServiceUnavailable": 503,
    "SlowDown": 503,
}


@dataclass(frozen=True, slots=True)
class Call:
    """A request, as far as the protocol of a store says what it is.

    Attributes
    ----------
    method : str
        HTTP's.
    query : str
        Percent-encoded; beside what the location's own says of who pays.
    headers : mapping
        But for what signs.
    body : callable or None
        Makes the body for each attempt.
    absent : str
        What a 404 means.
    may_exist : bool
        False where the request says that it overwrites nothing.
    may_hold_error : bool
        True where a 200 may turn out to be an error, in its body.
    """

    method: Literal["PUT", "POST", "DELETE", "GET", "HEAD"]
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[], Body | bytes] | None = None
    absent: str = "no such bucket"
    may_exist: bool = True
    may_hold_error: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a `Call` that succeeded."""

    head: Answer
    body: bytes


class Write(Exchange[Reply]):
    """Carries a call out, once.

    Parameters
    ----------
    resources : Resources
    route : Route
    call : Call
    is_last : bool
        A failure is not followed by another attempt.

    Attributes
    ----------
    may_have_acted : bool
        An attempt failed in a way that leaves open whether the server did what was asked for.
    """

    _asks = "write"

    def __init__(self, resources: Resources, route: Route, call: Call, *, is_last: bool = False) -> None:
        super().__init__(resources, route)
        self.may_have_acted = False
        self._call = call
        if is_last:
            self._failures = resources.settings.attempts - 1

    def _compose(self, request: PreparedRequest) -> None:
        call = self._call
        request.method = call.method
        if not self._is_elsewhere:
            kept = urlsplit(self._route.origin.url).query
            query = "&".join(filter(None, (kept, call.query)))
            request.url = urlsplit(request.url or "")._replace(query=query).geturl()
        request.headers.update(call.headers)
        body = call.body() if call.body is not None else None
        if body is not None or call.method in ("PUT", "POST"):
            request.headers["Content-Length"] = str(len(body or b""))
        request.body = body  # type: ignore[assignment]  # requests sends any file
        if isinstance(body, Body) and (request.url or "").startswith("https:"):
            self._leave_unsigned(request)

    @property
    def _is_elsewhere(self) -> bool:
        """Tell whether a redirect led to a URL whose query is the signature of somebody else."""
        return self._target.foreign or self._route.location.provider is None

    def _leave_unsigned(self, request: PreparedRequest) -> None:
        """Leave the body to TLS and to the checksum that goes with it, as hashing it takes long."""
        if isinstance(self._target.auth, AWSAuth):
            request.headers["x-amz-content-sha256"] = UNSIGNED_PAYLOAD
        elif self._target.signs and self._route.location.provider == "gcp":
            request.headers["x-goog-content-sha256"] = UNSIGNED_PAYLOAD

    def _signed(self) -> PreparedRequest:
        request = super()._signed()
        body: object = request.body
        if isinstance(body, Body):
            body.is_sent = True
        return request

    def _use(self, answer: OpenAnswer) -> Outcome[Reply]:
        head = answer.head()
        if head.status not in (200, 201, 202, 204):
            return self._failure(head)
        body = self._body(answer, head)
        code = Refusal.of(head.status, head.headers, body).code if self._call.may_hold_error else ""
        if code:
            return self._failure(Answer(_STATUS_OF_ERRORS.get(code, 400), head.headers, head.url, body))
        self._accepted()
        return Done(Reply(head, body))

    def _failure(self, head: Answer) -> Failure:
        call = self._call
        return failure_of_write(
            head,
            self._route.name,
            now=self._resources.settings.clock(),
            absent=call.absent,
            may_exist=call.may_exist,
        )

    def _body(self, answer: OpenAnswer, head: Answer) -> bytes:
        if head.status != 200 or self._call.method == "HEAD":
            return head.error_body
        body = bytearray()
        while piece := answer.read(_REPLY_LIMIT + 1 - len(body)):
            body += piece
        if head.length is not None and len(body) < head.length:
            raise ConnectionResetError("the body is shorter than announced")
        return bytes(body)

    def _send(self, request: PreparedRequest) -> Outcome[Reply]:
        outcome = super()._send(request)
        if isinstance(outcome, Again) and outcome.error.status not in (429, 503):
            self.may_have_acted = True
        return outcome

    def _follow(self, request: PreparedRequest, url: str) -> None:
        before = self._target.url
        super()._follow(request, url)
        if not endpoints.same_service(before, url):
            name = self._route.name
            raise StorageError(
                f"{name}: redirected to {endpoints.netloc_of(url)}, which is another service's: nothing was "
                "sent there. Name it in the location if it is where this belongs",
                location=name,
            )
