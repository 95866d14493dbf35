"""What the tests of the storage tier read, and whom they read as."""

from __future__ import annotations

import random
from typing import Any, Protocol

from astro_cloud.auth.aws import AWSAuth
from astro_cloud.storage import Client
from astro_cloud.testing import Answer, Fault, ObjectServer

BUCKET, KEY = "sky", "m31.fits"
LOCATION = f"s3://{BUCKET}/{KEY}"

#: Bytes of the object; no part of them occurs twice, so a part from the wrong place is seen.
DATA = random.Random(31).randbytes(100_000)


class MakeClient(Protocol):
    """Makes a client that never waits; settings are keywords, and `endpoint_url` is the server's."""

    def __call__(self, server: ObjectServer | None = None, **options: Any) -> Client: ...


def auth_of(server: ObjectServer, **changes: Any) -> AWSAuth:
    """Return an auth with the server's first keys and region, or what is given in their place."""
    keys = {"access_key": server.access_key, "secret_key": server.secret_key, "region": server.region}
    return AWSAuth(**(keys | changes))


def answering(status: int, body: bytes = b"", **headers: str) -> Fault:
    """Answer so, and do not carry the request out; ``_`` in a header's name stands for ``-``."""
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Fault(f"answering({status})", lambda request, serve: Answer(status, pairs, body))


def harmless() -> Fault:
    """Let one request pass, for a fault that is to befall a later one."""
    return Fault("harmless()", lambda request, serve: serve())


def ranges_asked(server: ObjectServer) -> list[str | None]:
    """Return the Range of each request, in the order they were answered."""
    return [record.range for record in server.requests]
