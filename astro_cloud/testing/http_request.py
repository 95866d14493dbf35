"""The head of an HTTP/1.1 request: bytes in, a `Request` out. No sockets, no S3 permissions.

The target and the headers are kept as they came over the wire, because a signature is judged by them.
Text that is not ASCII is read as UTF-8 with ``surrogateescape``, so every byte can be had back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from astro_cloud.testing.refusal import Refusal, Refused, refuse

MAX_HEAD = 64 * 1024
"""Most bytes of request line and headers together; a longer head is answered 431."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SIGNATURE = re.compile(r"(Signature=)[^,\s&]+", re.IGNORECASE)
_SECRET_PARAMETER = re.compile(r"(X-Amz-Signature|X-Amz-Security-Token|Signature)=[^&]*", re.IGNORECASE)


class Headers(Mapping[str, str]):
    """Headers as received: a mapping whose names ignore case, repeated headers joined by ``", "``.

    Attributes
    ----------
    raw : tuple of (str, str)
        Name and value of each header line, in the order and case received.
    """

    __slots__ = ("_joined", "raw")

    def __init__(self, raw: Iterable[tuple[str, str]] = ()) -> None:
        self.raw = tuple(raw)
        self._joined: dict[str, str] = {}
        for name, value in self.raw:
            name = name.lower()
            known = self._joined.get(name)
            self._joined[name] = value if known is None else f"{known}, {value}"

    def __getitem__(self, name: str) -> str:
        return self._joined[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._joined

    def __iter__(self) -> Iterator[str]:
        return iter(self._joined)

    def __len__(self) -> int:
        return len(self._joined)

    def __repr__(self) -> str:
        return f"Headers({ {name: masked(name, value) for name, value in self._joined.items()} })"

    def all(self, name: str) -> list[str]:
        """Return the value of each line with this name, in the order received."""
        name = name.lower()
        return [value for key, value in self.raw if key.lower() == name]


def masked(name: str, value: str) -> str:
    """Return a header's value fit for a log: no signature, token or password."""
    name = name.lower()
    if name in ("x-amz-security-token", "cookie"):
        return "***"
    if name in ("authorization", "proxy-authorization"):
        scheme, _, rest = value.partition(" ")
        return f"{scheme} " + (_SIGNATURE.sub(r"\1***", rest) if scheme.startswith("AWS4-") else "***")
    return value


def masked_target(target: str) -> str:
    """Return a request target fit for a log: no presigned signature or token."""
    return _SECRET_PARAMETER.sub(r"\1=***", target)


@dataclass(frozen=True, slots=True)
class Request:
    """One request, its body not yet read.

    Parameters
    ----------
    method : str
        As sent.
    target : str
        The request target as sent, undecoded.
    headers : Headers
        As sent.
    path : str
        The target's path, percent-decoded once (a ``+`` is a plus).
    bucket, key : str
        ``path`` is ``/bucket/key``; an empty key is the bucket itself.
    query : dict of str to str
        Decoded parameters (a ``+`` is a space); the first of a repeated name.
    content_length : int
        Bytes of the body, at least 0.
    keep_alive : bool
        False if the client asked for the connection to be closed.
    expects_continue : bool
        Whether the client waits for ``100 Continue`` before it sends the body.
    """

    method: str
    target: str
    headers: Headers
    path: str
    bucket: str
    key: str
    query: dict[str, str]
    content_length: int
    keep_alive: bool
    expects_continue: bool

    @property
    def resource(self) -> str:
        """The target's path as sent, which an error names."""
        return split_target(self.target)[0]

    @property
    def about_uploads(self) -> bool:
        """Whether the query names a multipart upload, begins one, or asks for them."""
        return "uploads" in self.query or "uploadId" in self.query


class BadRequest(Refused):
    """A head that cannot be understood; the connection is closed after the answer."""

    def __init__(self, status: int, code: str, message: str, method: str = "", target: str = "") -> None:
        super().__init__(Refusal(status, code, message))
        self.method = method
        self.target = target


def parse_request(head: bytes) -> Request:
    """Read a request's head.

    Parameters
    ----------
    head : bytes
        Request line and headers, without the empty line that ends them; at most `MAX_HEAD` bytes.

    Raises
    ------
    BadRequest
        If the head breaks RFC 9112, or asks for what this server has not (``Transfer-Encoding``).
    """
    line, *lines = head.decode("utf-8", "surrogateescape").split("\r\n")
    words = line.split(" ")
    if len(words) != 3 or not _TOKEN.fullmatch(words[0]) or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadRequest(400, "BadRequest", "The request line is not 'METHOD target HTTP/1.1'.")
    method, target, version = words
    try:
        headers = Headers(map(_header, lines))
        length, expects = _framing(headers, version)
        path = decoded_path(target)
    except Refused as error:
        refusal = error.refusal
        raise BadRequest(refusal.status, refusal.code, refusal.message, method, target) from None
    bucket, _, key = path[1:].partition("/")
    return Request(
        method=method,
        target=target,
        headers=headers,
        path=path,
        bucket=bucket,
        key=key,
        query=_query(target),
        content_length=length,
        keep_alive=_keep_alive(headers, version),
        expects_continue=expects,
    )


def split_target(target: str) -> tuple[str, str]:
    """Return a request target's raw path and raw query; a scheme and host before the path are dropped."""
    if not target.startswith("/"):
        target = "/" + target.partition("://")[2].partition("/")[2]
    path, _, query = target.partition("?")
    return path, query


def decoded_path(target: str) -> str:
    """Return the percent-decoded path of a request target.

    Raises
    ------
    Refused
        400 ``InvalidURI`` for a broken escape, or bytes that are not UTF-8.
    """
    path, _ = split_target(target)
    try:
        if _BAD_ESCAPE.search(path):
            raise ValueError(path)
        return percent_decoded(path).decode()
    except ValueError:
        raise refuse(400, "InvalidURI", "Couldn't parse the specified URI.") from None


def percent_decoded(text: str) -> bytes:
    """Return the bytes a percent-encoded piece of a target stands for."""
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape"))


def query_pairs(query: str) -> list[tuple[bytes, bytes]]:
    """Return the decoded name and value of each parameter of a raw query, in order; ``+`` is a space."""
    pairs = []
    for piece in query.split("&"):
        if piece:
            name, _, value = piece.replace("+", "%20").partition("=")
            pairs.append((percent_decoded(name), percent_decoded(value)))
    return pairs


def _query(target: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for name, value in query_pairs(split_target(target)[1]):
        parameters.setdefault(
            name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape")
        )
    return parameters


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not _TOKEN.fullmatch(name) or "\0" in value or "\r" in value or "\n" in value:
        raise refuse(400, "BadRequest", "A header line is not 'name: value'.")
    return name, value.strip(" \t")


def _framing(headers: Headers, version: str) -> tuple[int, bool]:
    """Return the body's length in bytes, and whether the client waits for 100 Continue."""
    if len(headers.all("host")) != 1 and version == "HTTP/1.1":
        raise refuse(400, "BadRequest", "An HTTP/1.1 request has exactly one Host header.")
    if "transfer-encoding" in headers:
        raise refuse(
            501, "NotImplemented", "Bodies with Transfer-Encoding are not read; send Content-Length."
        )
    lengths = set(headers.all("content-length")) or {"0"}
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdigit()):
        raise refuse(400, "BadRequest", "Content-Length is not one number.")
    return int(length), headers.get("expect", "").lower() == "100-continue" and int(length) > 0


def _keep_alive(headers: Headers, version: str) -> bool:
    wishes = {wish.strip().lower() for wish in headers.get("connection", "").split(",")}
    return "close" not in wishes and (version == "HTTP/1.1" or "keep-alive" in wishes)
