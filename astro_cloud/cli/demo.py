"""``astro-cloud demo``: the main job on this machine, with nothing to set up."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click

from astro_cloud.auth import AWSAuth
from astro_cloud.cli.report import as_table, cost_lines
from astro_cloud.fits import CloudService, PaymentSolution, load_headers
from astro_cloud.storage import Client, Settings

__all__ = ["demo"]

_BUCKET, _KEY = "stpubdata", "tess/public/mast/tess-s0022-4-4-cube.fits"
_LATENCY, _BANDWIDTH = 0.03, 80e6


@click.command(short_help="Read the headers of a 45 GB cube, on this machine.")
def demo() -> None:
    """Read the headers of a 45 GB cube out of a requester-pays bucket on this machine.

    The cube is sparse, shaped like one of TESS's, and takes a few kilobytes of disk. It is served by
    a loopback S3 server that checks signatures, waits 30 ms before each answer and sends 80 MB/s.
    """
    from astro_cloud.testing import ObjectServer
    from astro_cloud.testing.tess_cube import write_tess_cube

    with tempfile.TemporaryDirectory(prefix="astro-cloud-demo-") as root:
        cube = Path(root, _BUCKET, _KEY)
        cube.parent.mkdir(parents=True)
        click.echo(f"Making a sparse cube like TESS's {cube.name} in {root}")
        write_tess_cube(cube)
        size = cube.stat().st_size
        with ObjectServer(root, requester_pays=[_BUCKET], latency=_LATENCY, bandwidth=_BANDWIDTH) as server:
            click.echo(f"Serving it from a requester-pays bucket at {server.url}: 30 ms, 80 MB/s")
            click.echo(f"Reading the headers of s3://{_BUCKET}/{_KEY}\n")
            auth = AWSAuth(True, access_key=server.access_key, secret_key=server.secret_key)
            with Client(auth=auth, settings=Settings(endpoint_url=server.url)) as client:
                start = time.perf_counter()
                headers = list(
                    load_headers(
                        f"s3://{_BUCKET}/{_KEY}",
                        CloudService.S3,
                        PaymentSolution.AWSRequestPayer,
                        client=client,
                    )
                )
                seconds = time.perf_counter() - start
    click.echo(as_table(headers))
    click.echo()
    click.echo(cost_lines(client.usage.since(), size, seconds))
