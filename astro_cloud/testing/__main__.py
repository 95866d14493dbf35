"""``python -m astro_cloud.testing ROOT``: run an `ObjectServer` by hand until interrupted."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import threading
from collections.abc import Sequence

from astro_cloud.testing.server import ObjectServer


def parser() -> argparse.ArgumentParser:
    """Return the command's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m astro_cloud.testing",
        description="Serve a folder as an S3-like object store on 127.0.0.1.",
    )
    parser.add_argument("root", help="folder whose sub-folders are served as buckets")
    parser.add_argument("--port", type=int, default=0, help="default: one that is free")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--connect-latency", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--bandwidth", type=float, metavar="BYTES_PER_SECOND")
    parser.add_argument("--requester-pays", action="append", default=[], metavar="BUCKET")
    parser.add_argument("--public", action="append", default=[], metavar="BUCKET")
    return parser


def main(arguments: Sequence[str] | None = None, stop: threading.Event | None = None) -> None:
    """Serve until ``stop`` is set or Ctrl-C is pressed."""
    options = vars(parser().parse_args(arguments))
    stop = stop or threading.Event()
    with ObjectServer(options.pop("root"), **options) as server, contextlib.suppress(KeyboardInterrupt):
        print(f"# {server.url}")
        for name, value in server.environ.items():
            print(f"export {name}={shlex.quote(value)}", flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
