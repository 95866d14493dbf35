"""What happens when an answer to a signed request leads elsewhere, in anybody's `requests` code.

`requests` copies the request it sent to make the next one: it never signs again, and takes off no more
than ``Authorization``, and that not always. So every auth of this package registers a response hook
here. It sends the request again, signed anew, where the same service wants that; from a request that
goes on to a stranger it takes everything that is ours.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urljoin

from requests import PreparedRequest, Response
from requests.utils import rewind_body

from astro_cloud.auth import endpoints

__all__ = ["Renew", "copy_to_send", "follow", "redirect_of", "strip"]

Renew = Callable[[Response, set[str]], PreparedRequest | None]
"""Makes the request to send after an answer, signed, or None; the set holds what was learnt before."""

_OWN_PREFIXES = ("x-amz-", "x-ms-", "x-goog-")
_RESENDS = 5


def follow(request: PreparedRequest, renew: Renew | None = None) -> PreparedRequest:
    """Register what is done about the answers to a signed request; return the request."""
    request.register_hook("response", partial(_on_response, renew))  # type: ignore[no-untyped-call]
    return request


def redirect_of(response: Response) -> str | None:
    """Return the absolute URL that an answer redirects to; None if it does not, or to no URL."""
    target = response.headers.get("Location")
    if not response.is_redirect or not target:
        return None
    try:
        return urljoin(response.request.url or "", target)
    except ValueError:
        return None


def strip(request: PreparedRequest) -> None:
    """Take ``Authorization`` and every header of the providers off a request."""
    for name in [name for name in request.headers if name.lower().startswith(_OWN_PREFIXES)]:
        del request.headers[name]
    request.headers.pop("Authorization", None)


def _on_response(renew: Renew | None, response: Response, **options: Any) -> Response:
    sent, learnt = response.request, set[str]()
    for _ in range(_RESENDS if renew is not None and _can_be_sent_again(sent) else 0):
        again = renew(response, learnt) if renew is not None else None
        if again is None:
            break
        response = _sent_again(again, response, options)
    target = redirect_of(response)
    if response.is_redirect and not (target and endpoints.same_origin(target, response.request.url or "")):
        strip(sent)  # what requests copies, also behind requests sent again
        strip(response.request)
    return response


def copy_to_send(request: PreparedRequest) -> PreparedRequest:
    """Return a copy of a request that was sent, its body rewound to where it began."""
    copy = request.copy()
    if _rewinds(copy):
        rewind_body(copy)
    return copy


def _rewinds(request: PreparedRequest) -> bool:
    return isinstance(getattr(request, "_body_position", None), int)


def _can_be_sent_again(request: PreparedRequest) -> bool:
    body: Any = request.body  # a file as well, whatever its annotation says
    return body is None or isinstance(body, bytes | str) or _rewinds(request)


def _sent_again(request: PreparedRequest, response: Response, options: dict[str, Any]) -> Response:
    response.content  # noqa: B018  the connection is free once the body was read
    response.close()
    answer: Response = response.connection.send(request, **options)
    answer.history.extend((*response.history, response))
    answer.request = request
    return answer
