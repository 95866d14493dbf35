"""What operations ask of a request and its object before they go on; each refuses in S3's words."""

from __future__ import annotations

from astro_cloud.testing.conditions import precondition_status
from astro_cloud.testing.http_request import Request
from astro_cloud.testing.refusal import Refusal, Refused, refuse
from astro_cloud.testing.store import Store

MAX_KEY = 1024
"""Most bytes of a key, in UTF-8."""

NOT_IMPLEMENTED = Refusal(501, "NotImplemented", "This server does not implement what the request asks for.")
METHOD_NOT_ALLOWED = Refusal(
    405, "MethodNotAllowed", "The specified method is not allowed against this resource."
)
PRECONDITION_FAILED = Refusal(
    412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"
)


def check_bucket(store: Store, bucket: str) -> None:
    """Raise `Refused`, 404, if there is no such bucket."""
    if not store.has_bucket(bucket):
        raise refuse(404, "NoSuchBucket", "The specified bucket does not exist", BucketName=bucket)


def check_key(key: str) -> None:
    """Raise `Refused`, 400, if a key is too long."""
    if len(key.encode()) > MAX_KEY:
        raise refuse(400, "KeyTooLongError", "Your key is too long", MaxSizeAllowed=str(MAX_KEY))


def no_such_key(key: str) -> Refused:
    """Return the 404 to raise."""
    return refuse(404, "NoSuchKey", "The specified key does not exist.", Key=key)


def check_content(request: Request) -> None:
    """Raise `Refused` if the content of an object, or a part, is not in the request's body: 411, or 501."""
    if "content-length" not in request.headers:
        raise refuse(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
    if "x-amz-copy-source" in request.headers:
        raise Refused(NOT_IMPLEMENTED)


def check_overwrite(store: Store, request: Request) -> None:
    """Raise `Refused`, 412 or 404, if If-Match or If-None-Match forbid to write the object."""
    if "if-match" not in request.headers and "if-none-match" not in request.headers:
        return
    try:
        stored = store.open(request.bucket, request.key)
    except FileNotFoundError:
        if "if-match" in request.headers:
            raise no_such_key(request.key) from None
        return
    stored.close()
    if precondition_status(request.headers, stored.etag, stored.modified, reading=False):
        raise Refused(PRECONDITION_FAILED)
