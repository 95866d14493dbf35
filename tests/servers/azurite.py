"""Azurite, Microsoft's emulator of Azure Blob Storage: a check of Shared Key and SAS that is not ours.

It runs on Node; where that or Azurite is not installed, tests do without it. It enforces neither the
age of a date, nor ``sip=``, nor a missing ``x-ms-version``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from tests import corpora
from tests.servers.process import Processes, ServerError, free_ports
from tests.servers.tls import Certificate

PACKAGE = corpora.AZURITE / "node_modules" / "azurite"
VERSION = "2023-11-03"


@dataclass(frozen=True)
class RunningAzurite:
    """An Azurite that is up, with the keys (base64) of two accounts."""

    url: str
    certificate: Certificate | None = None
    account: str = "survey"
    key: str = base64.b64encode(b"the survey's key, of 32 bytes or").decode()
    other_account: str = "guest"
    other_key: str = base64.b64encode(b"the guest's key, of 32 bytes too").decode()

    @property
    def takes_tokens(self) -> bool:
        """Whether it takes bearer tokens, which it does over https only."""
        return self.certificate is not None


def installed() -> bool:
    """Tell whether there is a Node on PATH, for which `tests/fetch.py` fetches Azurite by npm."""
    return shutil.which("node") is not None and shutil.which("npm") is not None


def version() -> str:
    """Return the version of the Azurite that is installed."""
    if not PACKAGE.is_dir():
        raise ServerError(corpora.absent(corpora.AZURITE))
    return str(json.loads((PACKAGE / "package.json").read_text())["version"])


@contextmanager
def azurite(certificate: Certificate | None = None) -> Iterator[RunningAzurite]:
    """Start Azurite's blob service on a free port; it ends, and its data goes, with the context.

    With a certificate it speaks https, and takes bearer tokens, of which it checks issuer, audience and
    times, not the signature; a wrong Shared Key is then answered 400 for being no token.
    """
    version()
    (port,) = free_ports(1)
    server = RunningAzurite(f"http{'s' if certificate else ''}://127.0.0.1:{port}", certificate)
    options: tuple[str | Path, ...] = ()
    if certificate is not None:
        options = ("--cert", certificate.certificate, "--key", certificate.key, "--oauth=basic")
    accounts = f"{server.account}:{server.key};{server.other_account}:{server.other_key}"
    with (
        tempfile.TemporaryDirectory(prefix="astro-cloud-azurite-") as folder,
        Processes(Path(folder), {"AZURITE_ACCOUNTS": accounts}) as processes,
    ):
        processes.start(
            "azurite",
            "node",
            PACKAGE / "dist/src/blob/main.js",
            "--silent",
            "--disableTelemetry",
            "--inMemoryPersistence",
            "--blobHost=127.0.0.1",
            f"--blobPort={port}",
            *options,
        )
        processes.wait_for([port])
        yield server


def ask(
    server: RunningAzurite,
    method: str,
    path: str,
    query: str = "",
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> bytes:
    """Sign and send a request of setup, which must succeed; return the body of its answer.

    `path` follows the account. Enough of Shared Key for that, written apart from astro_cloud's.
    """
    sent = {**(headers or {}), "x-ms-date": formatdate(usegmt=True), "x-ms-version": VERSION}
    path = f"/{server.account}{path}"
    terms = [method, "", "", str(len(body)) if body else "", *[""] * 8]
    terms += [f"{name}:{sent[name]}" for name in sorted(sent)]
    terms += [f"/{server.account}{path}"]
    terms += [f"{name}:{value}" for name, value in sorted(parse_qsl(query, keep_blank_values=True))]
    digest = hmac.digest(base64.b64decode(server.key), "\n".join(terms).encode(), hashlib.sha256)
    sent["Authorization"] = f"SharedKey {server.account}:{base64.b64encode(digest).decode()}"
    if method == "PUT":
        sent["Content-Length"] = str(len(body))
    netloc = urlsplit(server.url).netloc
    if server.certificate is None:
        connection = http.client.HTTPConnection(netloc, timeout=30)
    else:
        context = server.certificate.client_context()
        connection = http.client.HTTPSConnection(netloc, timeout=30, context=context)
    try:
        connection.request(method, f"{path}?{query}" if query else path, body or None, sent)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status not in (200, 201, 202):
        raise AssertionError(f"{method} {path} was answered {answer.status}: {content[:500]!r}")
    return content
