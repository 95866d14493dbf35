"""The corpora's files over HTTP, for the tests that hold our reading of them against somebody else's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from astro_cloud.storage import Client
from astro_cloud.testing import ObjectServer


@dataclass(frozen=True)
class Served:
    """A client, and the URL at which each file is."""

    client: Client
    urls: dict[Path, str]


@contextmanager
def served_files(root: Path, files: Iterable[Path]) -> Iterator[Served]:
    """Serve the files from one bucket under `root`, as links with their own names."""
    with ObjectServer(root, public=["files"]) as server, Client() as client:
        yield Served(client, {path: _linked(server, root, n, path) for n, path in enumerate(files)})


def _linked(server: ObjectServer, root: Path, number: int, path: Path) -> str:
    key = f"{number}/{path.name}"
    link = root / "files" / key
    link.parent.mkdir(parents=True)
    link.symlink_to(path)
    return server.url_for("files", key)
