"""Keep what signs a request from following a redirect to a stranger.

`requests` copies the request it sent to make the next one, and takes off no more than
``Authorization``, and that not always. Every auth of this package calls `guard_redirects`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

from requests import PreparedRequest, Response

from astro_cloud.auth import endpoints

__all__ = ["guard_redirects", "strip"]

_OWN_PREFIXES = ("x-amz-", "x-ms-", "x-goog-")


def guard_redirects(request: PreparedRequest) -> PreparedRequest:
    """Have everything of ours taken off `request` before `requests` follows it to another origin."""
    request.register_hook("response", _strip_for_strangers)  # type: ignore[no-untyped-call]
    return request


def strip(request: PreparedRequest) -> None:
    """Take ``Authorization`` and every header of the providers off a request."""
    for name in [name for name in request.headers if name.lower().startswith(_OWN_PREFIXES)]:
        del request.headers[name]
    request.headers.pop("Authorization", None)


def _strip_for_strangers(response: Response, **_: Any) -> Response:
    target = response.headers.get("Location")
    if response.is_redirect and target and not _leads_home(response.request.url or "", target):
        strip(response.request)
    return response


def _leads_home(url: str, target: str) -> bool:
    try:
        return endpoints.same_origin(url, urljoin(url, target))
    except ValueError:
        return False
