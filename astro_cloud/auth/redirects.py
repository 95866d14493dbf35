"""What happens when an answer to a signed request leads elsewhere, in anybody's `requests` code.

`requests` copies the request it sent to make the next one: it never signs again, and takes off no more
than ``Authorization``, and that not always. So every auth of this package registers a response hook
here, and the policy for all of them is here: a request that was refused for something that can be
learnt, and one that its own service redirects with the same method, is sent again, signed anew; any other
redirect is `requests`' to follow, and from what it makes of the request everything is taken that is ours.

Reference: RFC 9110, section 15.4.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit

from requests import PreparedRequest, Response, TooManyRedirects
from requests.cookies import extract_cookies_to_jar
from requests.exceptions import UnrewindableBodyError
from requests.models import DEFAULT_REDIRECT_LIMIT
from requests.structures import CaseInsensitiveDict
from requests.utils import requote_uri, rewind_body

from astro_cloud.auth import endpoints, peek
from astro_cloud.auth.payload import forget_chunks
from astro_cloud.auth.refusal import Refusal
from astro_cloud.exceptions import CredentialsError

__all__ = ["Signer", "follow", "has_signed_url", "target_of", "without_signature"]

_OWN_PREFIXES = ("x-amz-", "x-ms-", "x-goog-")
_REFUSED = frozenset({301, 307, 400, 401, 403})
_KEEPS_METHOD = frozenset({307, 308})
_MAY_KEEP_METHOD = frozenset({301, 302})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_MOST_QUOTED = 10
"""How often a URL is decoded to see what it holds; one encoded oftener holds anything."""


class Signer(Protocol):
    """What an auth gives to have its requests followed."""

    def sign(self, request: PreparedRequest) -> PreparedRequest:
        """Sign a request in place, replacing an earlier signature, and return it."""

    def learn(self, request: PreparedRequest, refusal: Refusal) -> str | None:
        """Take from a refusal what lets the same request succeed, and name it."""


def follow(
    request: PreparedRequest, signer: Signer, is_signed: Callable[[PreparedRequest], bool]
) -> PreparedRequest:
    """Register what is done about the answers to a request, in place of an earlier auth's; return it.

    `is_signed` tells the signer's own requests from those that were stripped.
    """
    others = [hook for hook in request.hooks["response"] if not isinstance(hook, _Follower)]
    request.hooks = {**request.hooks, "response": [_Follower(signer, is_signed), *others]}
    return request


def has_signed_url(request: PreparedRequest) -> bool:
    """Tell whether a request's URL carries a signature, and see that it carries no other beside it."""
    url = request.url or ""
    if "?" not in url or not endpoints.is_presigned(url):
        return False
    request.headers.pop("Authorization", None)
    return True


def target_of(url: str, location: str) -> str:
    """Return the absolute URL that a ``Location`` header in an answer of `url` means.

    Raises
    ------
    ValueError
        If it is no URL.
    """
    with suppress(UnicodeError):  # bytes that are not ASCII arrive read as Latin-1, and are UTF-8
        location = location.encode("latin-1").decode()
    return requote_uri(urljoin(url, location))


def without_signature(url: str, target: str) -> str | None:
    """Take a signature in the query of `url` out of a target that a server made of it.

    None where it stands anywhere but in the target's query: a path that was made of our URL is of use to
    whoever collects such URLs, and hardly to its reader.
    """
    own = _shared_signatures(url, target)
    if not own:
        return target
    parts = urlsplit(target)
    kept = [part for part in parts.query.split("&") if not any(_holds(part, value) for value in own)]
    rest = parts._replace(query="&".join(kept)).geturl()
    return None if any(_holds(rest, value) for value in own) else rest


class _Follower:
    """The response hook. Its pickle holds no auth: the copy signs nothing, and strips whatever goes on."""

    def __init__(
        self,
        signer: Signer | None = None,
        is_signed: Callable[[PreparedRequest], bool] = lambda request: True,
    ) -> None:
        self._signer = signer
        self._is_signed = is_signed

    def __reduce__(self) -> tuple[type[_Follower], tuple[()]]:
        return _Follower, ()

    def __call__(self, response: Response, **options: Any) -> Response:
        """Return the answer to `response`'s request, or to what was sent in its place.

        Raises
        ------
        TooManyRedirects
            If the service redirects to itself more often than `requests` follows.
        UnrewindableBodyError
            If the answer redirects a body that cannot be sent twice, whatever ``allow_redirects`` says:
            so does `requests` for a file that cannot tell its position. Its ``response`` is the answer.
        """
        sent, lessons = response.request, set[tuple[str, str]]()
        while (again := self._again(response, lessons)) is not None:
            response = _sent_again(again, response, options)
        if response.is_redirect:
            self._hand_over(response, sent)
        return response

    def _hand_over(self, response: Response, sent: PreparedRequest) -> None:
        """Leave a redirect to `requests`, which copies the request it sent, behind others of ours too."""
        request, target = response.request, _redirect_of(response)
        is_ours = self._is_signed(request)
        if is_ours or target is None or not endpoints.same_service(request.url or "", target):
            if is_ours and _is_sent_with_body(response):
                _require_body(sent, response)
            if is_ours and target is not None:
                _cut_own_signature(response, target)
            _strip_copies(sent)

    def _again(self, response: Response, lessons: set[tuple[str, str]]) -> PreparedRequest | None:
        """Make the request that the same service wants instead of one that it did not answer."""
        if self._signer is None or not self._is_signed(response.request):
            return None  # it went on to a stranger, or its URL was signed already
        if response.is_redirect:
            return _redirected(response, self._signer)
        if response.status_code in _REFUSED:
            return _mended(response, self._signer, lessons)
        return None


def _redirected(response: Response, signer: Signer) -> PreparedRequest | None:
    request, target = response.request, _redirect_of(response)
    if target is None or not endpoints.same_service(request.url or "", target):
        return None
    if not _keeps_method(response, target):
        return None
    if endpoints.is_presigned(target) and not _shared_signatures(request.url or "", target):
        return None
    _require_body(request, response)
    if sum(past.is_redirect for past in response.history) >= DEFAULT_REDIRECT_LIMIT:
        # The session's own limit is out of a hook's reach.
        peek.release(response)
        raise TooManyRedirects(f"Exceeded {DEFAULT_REDIRECT_LIMIT} redirects.", response=response)
    return signer.sign(_copy_to_send(response, target))


def _keeps_method(response: Response, target: str) -> bool:
    """Tell whether the target wants the same method: a 303 wants none but GET or HEAD.

    What else an old 301 or 302 wants is in doubt; at a provider it is the region's host, and the same.
    """
    if response.request.method in _SAFE or response.status_code in _KEEPS_METHOD:
        return True
    is_providers = endpoints.endpoint_of(endpoints.host_of(target)) is not None
    return is_providers and response.status_code in _MAY_KEEP_METHOD


def _is_sent_with_body(response: Response) -> bool:
    """Tell whether `requests` follows with the same body (`Session.rebuild_method`)."""
    status = response.status_code
    return status in _KEEPS_METHOD or (status == 301 and response.request.method != "POST")


def _mended(response: Response, signer: Signer, lessons: set[tuple[str, str]]) -> PreparedRequest | None:
    """Learn from a refusal; make the request anew, once for each lesson of a server."""
    request = response.request
    here = request.url or ""
    refusal = Refusal.of(response.status_code, response.headers, peek.beginning(response))
    url = endpoints.regional_url(here, refusal.region) if refusal.region else here
    try:
        lesson = signer.learn(request, refusal) or ("region" if url != here else "")
        key = lesson, endpoints.netloc_of(here)
        if not lesson or key in lessons or not _can_be_sent_again(request):
            return None
        lessons.add(key)
        return signer.sign(_copy_to_send(response, url))
    except (CredentialsError, UnrewindableBodyError):
        return None  # the refusal stands


def _cut_own_signature(response: Response, target: str) -> None:
    """Let a redirect lead where no signature of ours goes along, or nowhere."""
    rest = without_signature(response.request.url or "", target)
    if rest is None:
        del response.headers["Location"]
    elif rest != target:
        response.headers["Location"] = rest


def _redirect_of(response: Response) -> str | None:
    location = response.headers.get("Location")
    try:
        return target_of(response.request.url or "", location) if location else None
    except ValueError:
        return None


def _shared_signatures(url: str, target: str) -> list[str]:
    """List the signatures in the query of `url`, decoded, that came back in `target`, however encoded."""
    query = urlsplit(url).query.replace("+", "%2B")
    own = (_decoded(value) for name, value in parse_qsl(query) if _is_signature(name))
    return [value for value in own if _holds(target, value)]


def _is_signature(name: str) -> bool:
    return name.lower() in endpoints.SIGNATURE_PARAMETERS


def _holds(text: str, value: str) -> bool:
    decoded = _decoded(text)
    return value in decoded or decoded != unquote(decoded)


def _decoded(text: str) -> str:
    """Decode text that may have been encoded more than once; a ``+`` may be a space by then."""
    for _ in range(_MOST_QUOTED):
        text = unquote(text)
    return text.replace("+", " ")


class _StrippedWhenCopied(PreparedRequest):
    """A request whose copy, which `requests` makes to follow a redirect, has nothing of ours.

    It stays as it was signed, so that its owner can send it again.
    """

    def copy(self) -> PreparedRequest:
        copy = super().copy()
        _strip(copy)
        return copy


def _strip_copies(request: PreparedRequest) -> None:
    if isinstance(request, _StrippedWhenCopied):
        return
    if type(request) is PreparedRequest:
        request.__class__ = _StrippedWhenCopied
    else:  # another's class, which knows how it is copied
        _strip(request)


def _strip(request: PreparedRequest) -> None:
    """Take ``Authorization`` and every header of the providers off a request."""
    for name in [name for name in request.headers if name.lower().startswith(_OWN_PREFIXES)]:
        del request.headers[name]
    request.headers.pop("Authorization", None)
    forget_chunks(request)


def _copy_to_send(response: Response, url: str) -> PreparedRequest:
    """Return a copy, for a URL, of the request that was answered, its body rewound to where it began.

    It has the cookies of the jar, as `requests` has it where it follows; those of the answer too.
    """
    request = response.request
    copy = request.copy()
    copy.url, copy.headers = url, CaseInsensitiveDict(request.headers)
    jar = getattr(copy, "_cookies", None)
    if jar is not None:
        extract_cookies_to_jar(jar, request, response.raw)  # type: ignore[no-untyped-call]  # by requests
    if jar or url != request.url:
        copy.headers.pop("Cookie", None)
        copy.prepare_cookies(jar or {})
    if _rewinds(copy):
        rewind_body(copy)
    return copy


def _rewinds(request: PreparedRequest) -> bool:
    return isinstance(getattr(request, "_body_position", None), int) and hasattr(request.body, "seek")


def _can_be_sent_again(request: PreparedRequest) -> bool:
    body: Any = request.body  # a file as well, whatever its annotation says
    return body is None or isinstance(body, bytes | bytearray | memoryview | str) or _rewinds(request)


def _require_body(request: PreparedRequest, response: Response) -> None:
    if not _can_be_sent_again(request):
        peek.release(response)
        raise UnrewindableBodyError(
            f"the server redirected this {request.method} ({response.status_code}), and its body can be "
            "sent only once: give bytes or a seekable file, or send it to where the response leads",
            response=response,
        )


def _sent_again(request: PreparedRequest, response: Response, options: dict[str, Any]) -> Response:
    """Send by the adapter and proxies of the first request: a hook sees no others of the session."""
    peek.release(response)
    start = time.perf_counter()
    answer: Response = response.connection.send(request, **options)
    answer.elapsed = timedelta(seconds=time.perf_counter() - start)
    answer.history.extend((*response.history, response))
    answer.request = request
    return answer
