"""rclone serving a folder as S3: a third signature check, in Go, and a server with quirks.

It wants every x-amz-* header signed, answers a range with 200 and the right Content-Range, and with
``--etag-hash=`` gives an empty ETag. Buckets are folders, so keys that no path can spell are refused.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import corpora
from tests.servers.process import Processes, RunningServer, ServerError, free_ports

KEYS = {"AKRCLONE": "first/secret+1", "AKOTHER": "second/secret+2"}


def version() -> str:
    """Return the version of the rclone that `tests/fetch.py` installed."""
    stamp = corpora.RCLONE_VENV / "STAMP"
    if not stamp.is_file():
        raise ServerError(corpora.absent(corpora.RCLONE_VENV))
    return stamp.read_text().split()[1]


@contextmanager
def rclone() -> Iterator[RunningServer]:
    """Start rclone on a free port; it ends, and its data goes, with the context."""
    version()
    with tempfile.TemporaryDirectory(prefix="astro-cloud-rclone-") as name:
        folder = Path(name)
        (folder / "data").mkdir()
        (port,) = free_ports(1)
        keys = [word for pair in KEYS.items() for word in ("--auth-key", ",".join(pair))]
        with Processes(folder) as processes:
            processes.start(
                "rclone", corpora.RCLONE_VENV / "bin" / "rclone", "--config", "/dev/null",
                "--cache-dir", folder / "cache", "serve", "s3", "--addr", f"127.0.0.1:{port}",
                "--etag-hash=", "--dir-cache-time", "0s", *keys, folder / "data",
            )  # fmt: skip
            processes.wait_for([port])
            (first, secret), (other, other_secret) = KEYS.items()
            yield RunningServer(
                name="rclone",
                url=f"http://127.0.0.1:{port}",
                region="us-east-1",
                access_key=first,
                secret_key=secret,
                other_access_key=other,
                other_secret_key=other_secret,
                requester_pays=False,
            )
