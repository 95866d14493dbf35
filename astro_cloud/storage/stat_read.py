"""What an object's headers tell of it: by HEAD, or by a GET of one byte where that is refused."""

from __future__ import annotations

from typing import Literal

from requests import PreparedRequest

from astro_cloud.auth.refusal import Refusal
from astro_cloud.exceptions import StorageError
from astro_cloud.storage.answers import Answer, Data, Fail, Failure, failure_of, judge
from astro_cloud.storage.byterange import ByteRange, format_range
from astro_cloud.storage.engine import OpenAnswer
from astro_cloud.storage.exchange import Done, Exchange, Onward, Outcome
from astro_cloud.storage.object_info import ObjectInfo
from astro_cloud.storage.resources import Resources
from astro_cloud.storage.route import Route
from astro_cloud.storage.validators import entity_tag, http_date

__all__ = ["StatRead"]

_FIRST_BYTE = ByteRange(0, 1)
_NO_HEAD = frozenset({405, 501})
_MUTE = frozenset({400, 401, 403})
_VERSION_HEADERS = ("x-amz-version-id", "x-goog-generation", "x-ms-version-id")


class StatRead(Exchange[ObjectInfo]):
    """Asks for what is known of an object, once."""

    def __init__(self, resources: Resources, route: Route) -> None:
        super().__init__(resources, route)
        self._by: Literal["HEAD", "byte", "whole"] = "HEAD"

    def _compose(self, request: PreparedRequest) -> None:
        if self._by == "HEAD":
            request.method = "HEAD"
        elif self._by == "byte":
            request.headers["Range"] = format_range(*_FIRST_BYTE)

    def _use(self, answer: OpenAnswer) -> Outcome[ObjectInfo]:
        head = answer.head()
        size = self._size(head)
        if not isinstance(size, int):
            return size
        self._accepted()
        return Done(self._info(head, size))

    def _size(self, head: Answer) -> int | Onward | Failure:
        """Read the object's size out of an answer, or say what to do about it."""
        name = self._route.name
        if self._by == "HEAD" and _is_mute(head):
            self._by = "byte"
            return Onward()
        if head.status == 416 and self._by == "byte":
            self._by = "whole"  # it has no first byte, and of an empty object a 416 tells nothing else
            return Onward()
        if head.status not in (200, 206):
            return failure_of(head, name, now=self._resources.settings.clock())
        if head.status == 200 and "Content-Range" not in head.headers:
            size = head.length
        else:
            verdict = judge(head, _FIRST_BYTE, name)
            if isinstance(verdict, Fail):
                return verdict
            size = verdict.version.total if isinstance(verdict, Data) else None
        if size is not None:
            return size
        message = f"{name}: the server does not say how large it is, neither to HEAD nor to a byte range"
        return Fail(StorageError(message, location=name, status=head.status))

    def _info(self, head: Answer, size: int) -> ObjectInfo:
        headers = head.headers
        return ObjectInfo(
            self._route.location,
            size,
            entity_tag(headers.get("ETag")),
            http_date(headers.get("Last-Modified")),
            next((headers[name] for name in _VERSION_HEADERS if headers.get(name)), None),
            headers.get("Content-Type") or None,
        )


def _is_mute(head: Answer) -> bool:
    """Tell whether a GET may say more: HEAD is not served, tells no size, or refuses without a word."""
    if head.status in _NO_HEAD or (head.status == 200 and head.length is None):
        return True
    refusal = Refusal.of(head.status, head.headers, head.error_body)
    return head.status in _MUTE and not refusal.code and (head.status == 403 or refusal.region is None)
