"""Multipart uploads: a `Request` and its body in, an `Answer` out.

Reference: Amazon S3 API, CreateMultipartUpload, UploadPart, CompleteMultipartUpload, AbortMultipartUpload,
ListParts, ListMultipartUploads.
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections.abc import Callable, Iterable, Mapping

from astro_cloud.testing.access import Grant
from astro_cloud.testing.answer import Answer
from astro_cloud.testing.checks import (
    METHOD_NOT_ALLOWED,
    check_bucket,
    check_content,
    check_key,
    check_overwrite,
)
from astro_cloud.testing.checksums import (
    COMPOSITE,
    FULL_OBJECT,
    Checksum,
    Scheme,
    composite,
    declared,
    declared_scheme,
    encoded,
    hasher,
)
from astro_cloud.testing.http_request import Request
from astro_cloud.testing.multipart_xml import (
    NamedPart,
    completed_xml,
    created_xml,
    named_parts,
    parts_xml,
    uploads_xml,
)
from astro_cloud.testing.payload import check_checksum, collect, drain, receive
from astro_cloud.testing.refusal import Refused, refuse
from astro_cloud.testing.store import Draft, Store
from astro_cloud.testing.uploads import Part, Upload, UploadEnded, Uploads

MIN_PART_SIZE = 5 * 1024 * 1024
"""Bytes a part must have on S3, but for the last."""
MAX_PARTS = 10_000

_XML = (("Content-Type", "application/xml"),)
_STEP = 1024 * 1024


class Multipart:
    """The operations on multipart uploads of one server.

    Parameters
    ----------
    store : Store
        Where the objects are written.
    clock : callable
        Returns seconds since 1970 UTC.
    min_part_size : int
        Bytes a part must have, but for the last; may be changed.
    """

    def __init__(self, store: Store, clock: Callable[[], float], min_part_size: int = MIN_PART_SIZE) -> None:
        self.store = store
        self.clock = clock
        self.min_part_size = min_part_size
        self.uploads = Uploads()

    def answer(self, request: Request, body: Iterable[bytes], grant: Grant) -> Answer:
        """Carry a request out; `Refused` if it cannot be."""
        check_bucket(self.store, request.bucket)
        uploading = "uploadId" in request.query and bool(request.key)
        if request.method == "PUT" and uploading:
            return self._upload_part(request, body, grant)
        if request.method == "POST" and uploading:
            return self._complete(request, collect(body, grant))
        drain(body, grant)
        match request.method:
            case "GET" if uploading:
                return Answer(200, _XML, parts_xml(self._upload(request), request.query))
            case "DELETE" if uploading:
                return self._abort(request)
            case "POST" if request.key:
                return self._create(request)
            case "GET" if not request.key:
                return self._list(request)
        raise Refused(METHOD_NOT_ALLOWED)

    def _create(self, request: Request) -> Answer:
        check_key(request.key)
        scheme = declared_scheme(request.headers)
        upload = self.uploads.create(request.bucket, request.key, scheme=scheme, initiated=self.clock())
        headers = scheme.headers if scheme is not None else ()
        return Answer(200, (*_XML, *headers), created_xml(upload.name))

    def _upload(self, request: Request) -> Upload:
        upload = self.uploads.get(request.bucket, request.key, request.query["uploadId"])
        if upload is None:
            raise _no_such_upload(request)
        return upload

    def _upload_part(self, request: Request, body: Iterable[bytes], grant: Grant) -> Answer:
        number = _part_number(request.query)
        check_content(request)
        upload = self._upload(request)
        _check_algorithm(upload.scheme, declared(request.headers))
        algorithm = upload.scheme.algorithm if upload.scheme else ""
        with self.store.temporary(request.bucket) as file:
            came = receive(body, file, headers=request.headers, grant=grant, algorithm=algorithm)
            file.close()
            kept = came.checksum if upload.scheme else None
            part = Part(number, file.name, came.size, came.md5, kept, self.clock())
            if not upload.keep(part):
                raise _no_such_upload(request)
        checksum = (came.checksum.header,) if came.checksum else ()
        return Answer(200, (("ETag", part.etag), *checksum))

    def _complete(self, request: Request, body: bytes) -> Answer:
        upload = self._upload(request)
        named = named_parts(body)
        try:
            with self.uploads.ending(upload) as parts:
                chosen = _chosen(named, parts, upload, self.min_part_size)
                etag, checksum = self._assemble(request, chosen, upload.scheme)
        except UploadEnded:
            raise _no_such_upload(request) from None
        location = f"http://{request.headers.get('host', '')}{request.resource}"
        return Answer(200, _XML, completed_xml(upload.name, location=location, etag=etag, checksum=checksum))

    def _assemble(
        self, request: Request, parts: list[Part], scheme: Scheme | None
    ) -> tuple[str, Checksum | None]:
        """Write the object and return its ETag and checksum."""
        promised = declared(request.headers)
        _check_kind(request, scheme, promised)
        _check_size(request, parts)

        def check() -> None:
            check_overwrite(self.store, request)

        check()
        with self.store.writing(request.bucket, request.key, check=check) as draft:
            draft.etag = _etag(parts)
            draft.checksum = _written(draft, parts, scheme)
            check_checksum(_like(promised, draft.checksum), draft.checksum)
        return draft.etag, draft.checksum

    def _abort(self, request: Request) -> Answer:
        try:
            with self.uploads.ending(self._upload(request)):
                return Answer(204)
        except UploadEnded:
            raise _no_such_upload(request) from None

    def _list(self, request: Request) -> Answer:
        uploads = [self.uploads.get(*name) for name in self.uploads.names() if name.bucket == request.bucket]
        known = [upload for upload in uploads if upload is not None]
        return Answer(200, _XML, uploads_xml(request.bucket, known, request.query))


def _no_such_upload(request: Request) -> Refused:
    message = (
        "The specified upload does not exist. The upload ID may be invalid,"
        " or the upload may have been aborted or completed."
    )
    return refuse(404, "NoSuchUpload", message, UploadId=request.query["uploadId"])


def _part_number(query: Mapping[str, str]) -> int:
    text = query.get("partNumber", "")
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_PARTS):
        message = f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive"
        raise refuse(400, "InvalidArgument", message, ArgumentName="partNumber", ArgumentValue=text)
    return int(text)


def _check_algorithm(scheme: Scheme | None, promised: Checksum | None) -> None:
    """Raise `Refused`, 400, if a part's checksum is not what the upload was created with.

    A composite needs one of each part; for a full object S3 computes those that are not sent. With an upload
    created without, any is taken, verified and forgotten.
    """
    if scheme is None or (promised is None and scheme.kind == FULL_OBJECT):
        return
    expected = scheme.algorithm.lower()
    actual = promised.algorithm.lower() if promised else "null"
    if expected != actual:
        message = "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}"
        raise refuse(400, "InvalidRequest", message.format(expected, actual))


def _chosen(named: list[NamedPart], parts: Mapping[int, Part], upload: Upload, min_size: int) -> list[Part]:
    """Return the parts a CompleteMultipartUpload names, in order; `Refused` if S3 would not take them."""
    if any(part.number >= after.number for part, after in itertools.pairwise(named)):
        message = "The list of parts was not in ascending order. Parts must be ordered by part number."
        raise refuse(400, "InvalidPartOrder", message, UploadId=upload.name.upload_id)
    chosen = [_known_part(each, parts, upload) for each in named]
    for part in chosen[:-1]:
        if part.size < min_size:
            raise _too_small(part, min_size)
    return chosen


def _known_part(named: NamedPart, parts: Mapping[int, Part], upload: Upload) -> Part:
    part = parts.get(named.number)
    if part is None or part.etag.strip('"') != named.etag or not _agree(named, part):
        message = (
            "One or more of the specified parts could not be found. The part may not have been uploaded,"
            " or the specified entity tag may not match the part's entity tag."
        )
        elements = {"PartNumber": str(named.number), "ETag": named.etag}
        raise refuse(400, "InvalidPart", message, UploadId=upload.name.upload_id, **elements)
    scheme = upload.scheme
    if scheme is not None and scheme.kind == COMPOSITE and scheme.algorithm not in named.checksums:
        message = (
            f"The upload was created using a {scheme.algorithm.lower()} checksum. The complete request must"
            f" include the checksum for each part. It was missing for part {named.number} in the request."
        )
        raise refuse(400, "InvalidRequest", message)
    return part


def _agree(named: NamedPart, part: Part) -> bool:
    """Tell whether the checksums named are those of the part."""
    known = {part.checksum.algorithm: part.checksum.value} if part.checksum else {}
    return all(known.get(algorithm) == value for algorithm, value in named.checksums.items())


def _too_small(part: Part, min_size: int) -> Refused:
    return refuse(
        400,
        "EntityTooSmall",
        "Your proposed upload is smaller than the minimum allowed size",
        ProposedSize=str(part.size),
        MinSizeAllowed=str(min_size),
        PartNumber=str(part.number),
        ETag=part.etag.strip('"'),
    )


def _check_kind(request: Request, scheme: Scheme | None, promised: Checksum | None) -> None:
    """Raise `Refused`, 400, if a CompleteMultipartUpload's checksum is of another sort than the upload's."""
    kind = request.headers.get("x-amz-checksum-type", "").upper()
    if kind and (scheme is None or kind != scheme.kind):
        created = scheme.kind if scheme else "null"
        message = f"The upload was created using the {created} checksum type, not {kind}."
        raise refuse(400, "BadDigest", message)
    if promised is not None and (scheme is None or promised.algorithm != scheme.algorithm):
        expected = scheme.algorithm.lower() if scheme else "null"
        message = f"The upload was created using the {expected} checksum, not {promised.algorithm.lower()}."
        raise refuse(400, "InvalidRequest", message)


def _check_size(request: Request, parts: list[Part]) -> None:
    promised = request.headers.get("x-amz-mp-object-size")
    if promised is not None and promised != str(sum(part.size for part in parts)):
        message = "The provided 'x-amz-mp-object-size' header does not match what was computed"
        raise refuse(400, "InvalidRequest", message)


def _etag(parts: list[Part]) -> str:
    """Return S3's ETag of an object in parts: the MD5 of their MD5s, and how many they are."""
    digest = hashlib.md5(b"".join(part.md5 for part in parts), usedforsecurity=False).hexdigest()
    return f'"{digest}-{len(parts)}"'


def _written(draft: Draft, parts: list[Part], scheme: Scheme | None) -> Checksum | None:
    """Write the parts one after the other, and return the whole's checksum as the upload wants it."""
    running = hasher(scheme.algorithm) if scheme and scheme.kind == FULL_OBJECT else None
    for part in parts:
        with open(part.path, "rb") as file:
            if running is None:
                shutil.copyfileobj(file, draft.file, _STEP)
            while running is not None and (chunk := file.read(_STEP)):
                running.update(chunk)
                draft.file.write(chunk)
    if scheme is None:
        return None
    if running is not None:
        return Checksum(scheme.algorithm, encoded(running.digest()))
    return composite(scheme.algorithm, [part.checksum for part in parts if part.checksum])


def _like(promised: Checksum | None, known: Checksum | None) -> Checksum | None:
    """Return a promise with the number of parts a composite has, if it was left out."""
    if promised is None or known is None or "-" in promised.value:
        return promised
    number = known.value.partition("-")[1:]
    return Checksum(promised.algorithm, promised.value + "".join(number), known.kind)
