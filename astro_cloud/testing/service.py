"""What S3 answers: a `Request` and its body in, an `Answer` out. Knows no sockets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import quote

from astro_cloud.testing.access import Access, Grant
from astro_cloud.testing.answer import Answer, FileSlice, http_date, refusal_answer
from astro_cloud.testing.checks import (
    METHOD_NOT_ALLOWED,
    NOT_IMPLEMENTED,
    PRECONDITION_FAILED,
    check_bucket,
    check_content,
    check_key,
    check_overwrite,
    no_such_key,
)
from astro_cloud.testing.conditions import Unsatisfiable, precondition_status, requested_range
from astro_cloud.testing.http_request import Request
from astro_cloud.testing.listing import (
    Facts,
    buckets_xml,
    list_parameters,
    listing_xml,
    location_xml,
    page_of,
)
from astro_cloud.testing.multipart import Multipart
from astro_cloud.testing.payload import drain, receive
from astro_cloud.testing.refusal import Refusal, Refused, refuse
from astro_cloud.testing.store import Store, StoredObject, is_bucket_name

_XML = (("Content-Type", "application/xml"),)
_SUBRESOURCES = frozenset(
    (
        *("accelerate", "acl", "analytics", "attributes", "cors", "delete", "encryption", "inventory"),
        *("intelligent-tiering", "legal-hold", "lifecycle", "logging", "metrics", "notification"),
        *("object-lock", "ownershipControls", "policy", "policyStatus", "publicAccessBlock"),
        *("replication", "requestPayment", "restore", "retention", "select", "tagging", "torrent"),
        *("versionId", "versioning", "versions", "website"),
    )
)


class Service:
    """The S3 operations over a `Store`, as `Access` allows them."""

    def __init__(self, store: Store, access: Access) -> None:
        self.store = store
        self.access = access
        self.multipart = Multipart(store, access.clock)

    def answer(self, request: Request, body: Iterable[bytes], request_id: str) -> Answer:
        """Carry a request out; ``body`` is read only if it is needed."""
        try:
            grant = self.access.judge(request)
            answer = self._dispatch(request, grant.content(request, body), grant)
        except Refused as refused:
            return refusal_answer(refused.refusal, request.resource, request_id)
        return replace(answer, headers=(*answer.headers, *grant.headers)) if grant.headers else answer

    def _dispatch(self, request: Request, body: Iterable[bytes], grant: Grant) -> Answer:
        if not _SUBRESOURCES.isdisjoint(request.query):
            raise Refused(NOT_IMPLEMENTED)
        if request.about_uploads:
            return self.multipart.answer(request, body, grant)
        if "partNumber" in request.query:
            raise Refused(NOT_IMPLEMENTED)
        if request.content_length and not (request.method == "PUT" and request.key):
            drain(body, grant)
        match request.method:
            case "GET" | "HEAD" if request.key:
                return self._read(request)
            case "GET" | "HEAD" if request.bucket:
                return self._read_bucket(request)
            case "GET" if request.path == "/":
                return Answer(200, _XML, buckets_xml(self.store.buckets()))
            case "PUT" if request.key:
                return self._write(request, body, grant)
            case "PUT" if request.bucket:
                return self._create_bucket(request.bucket)
            case "DELETE" if request.key:
                check_bucket(self.store, request.bucket)
                self.store.delete(request.bucket, request.key)
                return Answer(204)
            case "DELETE" | "POST" if request.bucket:
                raise Refused(NOT_IMPLEMENTED)
            case _:
                raise Refused(METHOD_NOT_ALLOWED)

    def _read(self, request: Request) -> Answer:
        stored = self._open(request)
        try:
            return _object_answer(request, stored)
        except BaseException:
            stored.close()
            raise

    def _open(self, request: Request) -> StoredObject:
        check_bucket(self.store, request.bucket)
        check_key(request.key)
        try:
            return self.store.open(request.bucket, request.key)
        except FileNotFoundError:
            raise no_such_key(request.key) from None

    def _read_bucket(self, request: Request) -> Answer:
        check_bucket(self.store, request.bucket)
        region = (("x-amz-bucket-region", self.access.region),)
        if request.method == "HEAD":
            return Answer(200, (*_XML, *region))
        if "location" in request.query:
            return Answer(200, _XML, location_xml(self.access.region))
        if request.query.get("list-type") != "2":
            raise Refused(NOT_IMPLEMENTED)
        parameters = list_parameters(request.query)
        page = page_of(self.store.keys(request.bucket, parameters.prefix), parameters)
        xml = listing_xml(request.bucket, request.query, page, lambda key: self._facts(request.bucket, key))
        return Answer(200, (*_XML, *region), xml)

    def _facts(self, bucket: str, key: str) -> Facts | None:
        try:
            stored = self.store.open(bucket, key)
        except FileNotFoundError:
            return None
        stored.close()
        return Facts(stored.size, stored.etag, stored.modified)

    def _write(self, request: Request, body: Iterable[bytes], grant: Grant) -> Answer:
        check_bucket(self.store, request.bucket)
        check_key(request.key)
        check_content(request)

        def check() -> None:
            check_overwrite(self.store, request)

        check()
        with self.store.writing(request.bucket, request.key, check=check) as draft:
            came = receive(body, draft.file, headers=request.headers, grant=grant)
            draft.etag, draft.checksum = came.etag, came.checksum
        return Answer(200, (("ETag", came.etag), *(came.checksum.headers if came.checksum else ())))

    def _create_bucket(self, bucket: str) -> Answer:
        if not is_bucket_name(bucket):
            raise refuse(400, "InvalidBucketName", "The specified bucket is not valid.")
        self.store.create_bucket(bucket)
        return Answer(200, (("Location", f"/{quote(bucket)}"),))


def _object_answer(request: Request, stored: StoredObject) -> Answer:
    """Return the answer to a GET or HEAD of an object that is open."""
    headers: tuple[tuple[str, str], ...] = (
        ("ETag", stored.etag),
        ("Last-Modified", http_date(int(stored.modified))),
        ("Accept-Ranges", "bytes"),
    )
    status = precondition_status(request.headers, stored.etag, stored.modified)
    if status == 412:
        raise Refused(PRECONDITION_FAILED)
    if status == 304:
        return Answer(304, headers, stored=stored)
    headers += (("Content-Type", "binary/octet-stream"),)
    try:
        part = requested_range(request.headers.get("range"), stored.size)
    except Unsatisfiable:
        raise Refused(_invalid_range(request, stored.size)) from None
    if part is None:
        if stored.checksum and request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
            headers += stored.checksum.headers
        return Answer(200, headers, FileSlice(stored, 0, stored.size), stored)
    start, stop = part
    headers += (("Content-Range", f"bytes {start}-{stop - 1}/{stored.size}"),)
    return Answer(206, headers, FileSlice(stored, start, stop), stored, part)


def _invalid_range(request: Request, size: int) -> Refusal:
    elements = (("RangeRequested", request.headers["range"]), ("ActualObjectSize", str(size)))
    return Refusal(
        416,
        "InvalidRange",
        "The requested range is not satisfiable",
        elements,
        (("Content-Range", f"bytes */{size}"),),
    )
