"""Who may do what: signatures, public buckets, requester pays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from astro_cloud.testing.access_key import AccessKey
from astro_cloud.testing.http_request import Request
from astro_cloud.testing.refusal import Refused, refuse
from astro_cloud.testing.signed_chunks import ChunkSeed, content_of
from astro_cloud.testing.sigv4_verifier import EMPTY_SHA256, UNSIGNED_PAYLOAD, check_payload, verify


@dataclass(slots=True)
class Access:
    """The rules of one server, which may be changed while it runs.

    Parameters
    ----------
    credentials : dict of str to AccessKey
        By access key.
    region : str
        What signatures must name.
    public : set of str
        Buckets anybody may read.
    requester_pays : set of str
        Buckets that want ``x-amz-request-payer: requester``, signed.
    clock : callable
        Returns seconds since 1970 UTC.
    """

    credentials: dict[str, AccessKey]
    region: str
    public: set[str]
    requester_pays: set[str]
    clock: Callable[[], float]

    def judge(self, request: Request) -> Grant:
        """Return what the request may go on with, its body still unread.

        Raises
        ------
        Refused
            With the S3 error that is due.
        """
        verdict = verify(
            request.method,
            request.target,
            request.headers,
            body_sha256=None if request.content_length else EMPTY_SHA256,
            credentials=self.credentials,
            now=self.clock(),
            region=self.region,
        )
        if verdict.refusal is not None:
            raise Refused(verdict.refusal)
        paying = request.bucket in self.requester_pays
        if verdict.access_key is None:
            reading = request.method in ("GET", "HEAD") and not request.about_uploads
            if paying or not reading or request.bucket not in self.public:
                raise refuse(403, "AccessDenied", "Access Denied")
        elif paying and request.headers.get("x-amz-request-payer", "").lower() != "requester":
            raise refuse(403, "AccessDenied", "Access Denied")
        headers = (("x-amz-request-charged", "requester"),) if paying else ()
        return Grant(verdict.payload_hash or UNSIGNED_PAYLOAD, headers, verdict.chunk_seed)


@dataclass(frozen=True, slots=True)
class Grant:
    """A request let in: what its body must be, and headers its answer carries."""

    payload_hash: str
    headers: tuple[tuple[str, str], ...]
    chunk_seed: ChunkSeed | None = None

    def content(self, request: Request, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return a body without its signed chunks' frames; they are judged while it is read.

        Raises
        ------
        Refused
            411 if the request does not tell the content's length.
        """
        if self.chunk_seed is None:
            return body
        length = request.headers.get("x-amz-decoded-content-length", "")
        if not (length.isascii() and length.isdigit()):
            message = "You must provide the X-Amz-Decoded-Content-Length HTTP header."
            raise refuse(411, "MissingContentLength", message)
        return content_of(body, self.chunk_seed, int(length))

    def check_body(self, body_sha256: str) -> None:
        """Raise `Refused` if the body that was read is not the one that was signed."""
        refusal = check_payload(self.payload_hash, body_sha256)
        if refusal is not None:
            raise Refused(refusal)
