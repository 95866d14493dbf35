"""Reading one page of a listing by one request, or as many as faults make of it."""

from __future__ import annotations

from urllib.parse import urlsplit

from requests import PreparedRequest

from astro_cloud.exceptions import StorageError
from astro_cloud.storage.answers import Answer, Fail, failure_of
from astro_cloud.storage.engine import OpenAnswer
from astro_cloud.storage.exchange import Done, Exchange, Outcome
from astro_cloud.storage.list_pages import ListProtocol, Page
from astro_cloud.storage.resources import Resources
from astro_cloud.storage.route import Route

__all__ = ["PAGE_LIMIT", "PageRead"]

PAGE_LIMIT = 1 << 25
"""Bytes of a page at most: several times what 5,000 of the longest keys take."""

_CHUNK = 1 << 16


class PageRead(Exchange[Page]):
    """Asks a bucket for a page of its keys, once.

    Parameters
    ----------
    route : Route
        To the bucket; without a query.
    query : str
        Percent-encoded.
    """

    _asks = "list"

    def __init__(self, resources: Resources, route: Route, protocol: ListProtocol, query: str) -> None:
        super().__init__(resources, route)
        self._protocol = protocol
        self._query = query

    def _compose(self, request: PreparedRequest) -> None:
        if self._target.foreign:  # a redirect's own URL, for this page alone
            return
        request.url = urlsplit(request.url or "")._replace(query=self._query).geturl()
        for name, value in self._protocol.headers.items():
            request.headers.setdefault(name, value)

    def _use(self, answer: OpenAnswer) -> Outcome[Page]:
        head, name = answer.head(), self._route.name
        if head.status != 200:
            return failure_of(
                head, name, now=self._resources.settings.clock(), absent="there is no such bucket"
            )
        try:
            page = self._read(answer, head)
        except ValueError as error:
            message = f"{name}: the server's answer is not a page of a listing: {error}"
            return Fail(StorageError(message, location=name, status=head.status))
        if not self._target.foreign:
            self._accepted()
        return Done(page)

    def _read(self, answer: OpenAnswer, head: Answer) -> Page:
        encoding = head.headers.get("Content-Encoding", "identity").lower()
        if encoding != "identity":
            raise ValueError(f"it has Content-Encoding {encoding!r}")
        reader, received = self._protocol.reader(), 0
        try:
            while piece := answer.read(_CHUNK):
                received += len(piece)
                if received > PAGE_LIMIT:
                    raise ValueError(f"it is longer than {PAGE_LIMIT >> 20} MiB")
                reader.feed(piece)
        finally:
            self._resources.usage.add(bytes=received)
        if head.length is not None and received < head.length:
            raise ConnectionResetError("the body is shorter than announced")
        reader.feed(b"", last=True)
        return self._protocol.page(reader)
