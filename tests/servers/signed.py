"""Requests signed by botocore and sent by http.client, for setting servers up and for judging servers.

botocore is the signer that owes nothing to astro_cloud; http.client puts a target on the wire as it is
given, where requests and urllib3 would rewrite it.
"""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol
from unittest import mock
from urllib.parse import unquote_plus, urlsplit
from xml.etree import ElementTree

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


class Server(Protocol):
    """What it takes to sign for a server: RunningServer has it, and ObjectServer."""

    @property
    def url(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def access_key(self) -> str: ...
    @property
    def secret_key(self) -> str: ...


@dataclass(frozen=True)
class Request:
    """A request as it goes over the wire; `target` is path and query, encoded."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def with_header(self, name: str, value: str) -> Request:
        """Return the request with one header set, however its name is spelt here."""
        kept = {key: old for key, old in self.headers.items() if key.lower() != name.lower()}
        return replace(self, headers={**kept, name: value})


@dataclass(frozen=True)
class Answer:
    """What the server said; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def signed(
    server: Server, request: Request, *, keys: tuple[str, str] | None = None, at: datetime | None = None
) -> Request:
    """Return the request with a Signature Version 4 by the first user or by `keys`, made now or `at`."""
    draft = AWSRequest(request.method, server.url + request.target, dict(request.headers), request.body)
    credentials = Credentials(*(keys or (server.access_key, server.secret_key)))
    with mock.patch("botocore.auth.get_current_datetime", return_value=at or datetime.now(UTC)):
        S3SigV4Auth(credentials, "s3", server.region).add_auth(draft)
    return replace(request, headers=dict(draft.headers.items()))


def send(server: Server, request: Request) -> Answer:
    """Send the request over a connection of its own, byte for byte as it is."""
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    try:
        connection.putrequest(request.method, request.target, skip_accept_encoding=True)
        for name, value in request.headers.items():
            connection.putheader(name, value)
        if request.body or request.method in ("PUT", "POST"):
            connection.putheader("Content-Length", str(len(request.body)))
        connection.endheaders(request.body or None)
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, headers, answer.read())
    finally:
        connection.close()


def ask(
    server: Server, method: str, target: str, body: bytes = b"", *, keys: tuple[str, str] | None = None
) -> Answer:
    """Sign and send a request of setup, which must succeed."""
    answer = send(server, signed(server, Request(method, target, body=body), keys=keys))
    if answer.status not in (200, 204):
        raise AssertionError(f"{method} {target} was answered {answer.status}: {answer.body[:500]!r}")
    return answer


def listed(server: Server, bucket: str) -> list[str]:
    """Return the keys of a bucket of at most a thousand objects, as the server lists them."""
    answer = ask(server, "GET", f"/{bucket}?encoding-type=url&list-type=2")
    # In a key encoded for XML both `+` and `%20` are a space (AWS, ListObjectsV2, encoding-type).
    return [unquote_plus(key) for key in keys_of(answer.body)]


def keys_of(listing: bytes) -> list[str]:
    """Return the text of each Key in a ListBucketResult."""
    return [
        element.text or "" for element in ElementTree.fromstring(listing).iterfind(".//{*}Contents/{*}Key")
    ]
