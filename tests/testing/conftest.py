"""Requests signed by botocore and sent by http.client, so that nothing rewrites the target on the way."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from astro_cloud.testing import AccessKey, ObjectServer

Pairs = list[tuple[str, str]]


@dataclass
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def xml(self, name: str) -> str | None:
        """The text of the first element with this name."""
        found = next((e for e in ElementTree.fromstring(self.body).iter() if e.tag.endswith(name)), None)
        return None if found is None else found.text or ""

    def all(self, name: str) -> list[str]:
        return [e.text or "" for e in ElementTree.fromstring(self.body).iter() if e.tag.endswith(name)]

    @property
    def code(self) -> str | None:
        return self.xml("Code")


class _UnsignedPayload(S3SigV4Auth):
    """botocore leaves bodies unsigned over https only, unless told so here."""

    def _should_sha256_sign_payload(self, request: AWSRequest) -> bool:
        return False


class _GivenPayload(S3SigV4Auth):
    """Signs the payload hash that the headers tell already."""

    def payload(self, request: AWSRequest) -> str:
        return str(request.context["payload_hash"])


class Wire:
    """One keep-alive connection to a server, opened again when the server closes it."""

    def __init__(self, server: ObjectServer) -> None:
        self.server = server
        self.netloc = urlsplit(server.url).netloc
        self.connection = http.client.HTTPConnection(self.netloc, timeout=5)

    def close(self) -> None:
        self.connection.close()

    def signed(
        self,
        method: str,
        target: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        *,
        key: AccessKey | None = None,
        region: str | None = None,
        unsigned_payload: bool = False,
        payload_hash: str | None = None,
    ) -> Pairs:
        """Headers as botocore signs them; ``payload_hash`` in place of the body's."""
        key = key or self.server.credentials[self.server.access_key]
        request = AWSRequest(method, f"http://{self.netloc}{target}", headers=headers or {}, data=body)
        credentials = Credentials(key.access_key, key.secret_key, key.session_token)
        signer = _UnsignedPayload if unsigned_payload else S3SigV4Auth
        if payload_hash is not None:
            request.context["payload_hash"] = payload_hash
            signer = _GivenPayload
        signer(credentials, "s3", region or self.server.region).add_auth(request)
        return [("Host", self.netloc), *((name, value) for name, value in request.headers.items())]

    def send(self, method: str, target: str, headers: Pairs | None = None, body: bytes = b"") -> Reply:
        headers = [("Host", self.netloc)] if headers is None else headers
        self.connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            self.connection.putheader(name, value)
        if body or method == "PUT":
            self.connection.putheader("Content-Length", str(len(body)))
        self.connection.endheaders(body or None)
        response = self.connection.getresponse()
        return Reply(response.status, response.headers, response.read())

    def ask(
        self,
        method: str,
        target: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        **signing: object,
    ) -> Reply:
        """Sign and send."""
        return self.send(method, target, self.signed(method, target, headers, body, **signing), body)


@pytest.fixture
def wire(object_server: ObjectServer) -> Iterator[Wire]:
    wire = Wire(object_server)
    yield wire
    wire.close()


def target_of(bucket: str, key: str) -> str:
    return quote(f"/{bucket}/{key}", safe="/~")
