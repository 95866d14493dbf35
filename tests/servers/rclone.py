"""rclone serving a folder as S3: a third signature check, in Go, and a server with quirks.

It wants every x-amz-* header signed, answers a range with 200 and the right Content-Range, and with
``--etag-hash=`` gives an empty ETag. Buckets are folders, so keys that no path can spell are refused.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests import corpora
from tests.servers.process import Processes, RunningServer, ServerError, free_ports
from tests.servers.tls import Certificate

KEYS = {"AKRCLONE": "first/secret+1", "AKOTHER": "second/secret+2"}


def version() -> str:
    """Return the version of the rclone that `tests/fetch.py` installed."""
    stamp = corpora.RCLONE_VENV / "STAMP"
    if not stamp.is_file():
        raise ServerError(corpora.absent(corpora.RCLONE_VENV))
    return stamp.read_text().split()[1]


def keeps(key: str) -> bool:
    """Tell whether rclone takes an object's key: it must be a path of a file system, in its plain form."""
    return len(key) < 200 and "\t" not in key and not {"", ".", ".."} & set(key.split("/"))


@contextmanager
def rclone() -> Iterator[RunningServer]:
    """Start rclone on a free port; it ends, and its data goes, with the context."""
    version()
    with tempfile.TemporaryDirectory(prefix="astro-cloud-rclone-") as name:
        folder = Path(name)
        (folder / "data").mkdir()
        with _serving(folder) as port:
            (first, secret), (other, other_secret) = KEYS.items()
            yield RunningServer(
                name="rclone",
                url=f"http://127.0.0.1:{port}",
                domain="localhost",
                folder=folder,
                region="us-east-1",
                access_key=first,
                secret_key=secret,
                other_access_key=other,
                other_secret_key=other_secret,
                requester_pays=False,
            )


@contextmanager
def over_tls(
    server: RunningServer, certificate: Certificate, *, by_host: bool = False
) -> Iterator[RunningServer]:
    """Serve the same folder over https; `by_host` is as in `by_host`."""
    files = ("--cert", certificate.certificate, "--key", certificate.key)
    with _serving(server.folder, *files, by_host=by_host) as port:
        yield replace(server, url=f"https://127.0.0.1:{port}", domain="s3.localhost")


@contextmanager
def by_host(server: RunningServer) -> Iterator[RunningServer]:
    """Serve the same folder with the bucket in the host, always: rclone does the one or the other."""
    with _serving(server.folder, by_host=True) as port:
        yield replace(server, url=f"http://127.0.0.1:{port}")


@contextmanager
def _serving(folder: Path, *options: str | Path, by_host: bool = False) -> Iterator[int]:
    (port,) = free_ports(1)
    keys = [word for pair in KEYS.items() for word in ("--auth-key", ",".join(pair))]
    with Processes(folder) as processes:
        processes.start(
            f"rclone-{port}", corpora.RCLONE_VENV / "bin" / "rclone", "--config", "/dev/null",
            "--cache-dir", folder / f"cache-{port}", "serve", "s3", "--addr", f"127.0.0.1:{port}",
            "--etag-hash=", "--dir-cache-time", "50ms", *keys, *options,
            f"--force-path-style={'false' if by_host else 'true'}", folder / "data",
        )  # fmt: skip
        processes.wait_for([port])
        yield port
