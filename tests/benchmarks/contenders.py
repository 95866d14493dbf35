"""The contenders of `headers.py`: each reads all headers of the cube once, in this process.

Run without arguments it lists their names. A contender is a function that does its imports and finds
its credentials, and returns the job that is timed; the job returns the number of HDUs it saw.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

Job = Callable[[], int]
CONTENDERS: dict[str, Callable[[dict[str, str]], Job]] = {}
BLOCK_64K = 65536


def contender(name: str) -> Callable[[Callable[[dict[str, str]], Job]], Callable[[dict[str, str]], Job]]:
    """Enter a function into the list."""

    def enter(function: Callable[[dict[str, str]], Job]) -> Callable[[dict[str, str]], Job]:
        CONTENDERS[name] = function
        return function

    return enter


@contender("astro-cloud, signed")
def signed(job: dict[str, str]) -> Job:
    from astro_cloud.auth import AWSAuth
    from astro_cloud.fits import load_headers

    auth = AWSAuth()
    auth.has_credentials()
    return lambda: sum(1 for _ in load_headers(job["s3"], auth=auth))


@contender("astro-cloud, signed, .fits touched")
def signed_parsed(job: dict[str, str]) -> Job:
    import astropy.io.fits  # noqa: F401

    from astro_cloud.auth import AWSAuth
    from astro_cloud.fits import load_headers

    auth = AWSAuth()
    auth.has_credentials()
    return lambda: sum(len(header.fits) > 0 for header in load_headers(job["s3"], auth=auth))


@contender("astro-cloud, finding credentials")
def finding(job: dict[str, str]) -> Job:
    import botocore.session  # noqa: F401

    from astro_cloud.fits import load_headers

    return lambda: sum(1 for _ in load_headers(job["s3"]))


@contender("astro-cloud, plain http")
def plain(job: dict[str, str]) -> Job:
    from astro_cloud.auth import Anonymous
    from astro_cloud.fits import load_headers

    return lambda: sum(1 for _ in load_headers(job["http"], auth=Anonymous()))


@contender("rustfits remote=ranged")
def rustfits(job: dict[str, str]) -> Job:
    import rustfits

    return lambda: sum(hdu.header is not None for hdu in rustfits.FITS(job["http"], remote="ranged"))


@contender("astropy + fsspec http")
def fsspec_http(job: dict[str, str]) -> Job:
    import aiohttp  # noqa: F401
    import fsspec
    from astropy.io import fits

    fsspec.filesystem("http")
    return lambda: walk(fits.open(job["http"], use_fsspec=True))


@contender("astropy + s3fs, default")
def s3fs_default(job: dict[str, str]) -> Job:
    return with_s3fs(job)


@contender("astropy + s3fs, 64 KiB")
def s3fs_64k(job: dict[str, str]) -> Job:
    return with_s3fs(job, default_block_size=BLOCK_64K)


def with_s3fs(job: dict[str, str], **options: Any) -> Job:
    import s3fs  # noqa: F401
    from astropy.io import fits

    options = {"endpoint_url": job["endpoint"], "anon": False, **options}
    return lambda: walk(fits.open(job["s3"], use_fsspec=True, fsspec_kwargs=options))


@contender("astropy + obstore, 64 KiB")
def obstore(job: dict[str, str]) -> Job:
    import obstore
    from astropy.io import fits
    from obstore.store import S3Store

    bucket, _, key = job["s3"].removeprefix("s3://").partition("/")
    plain_http = {"allow_http": True}
    store = S3Store(bucket, endpoint=job["endpoint"], region="us-east-1", client_options=plain_http)
    return lambda: walk(fits.open(Readable(obstore.open_reader(store, key, buffer_size=BLOCK_64K))))


class Readable:
    """An obstore reader with the methods astropy asks a file for."""

    mode = "rb"
    closed = False

    def __init__(self, reader: Any) -> None:
        self.seek, self.tell, self._read = reader.seek, reader.tell, reader.read

    def read(self, size: int = -1) -> bytes:
        return bytes(self._read(size) if size >= 0 else self._read())

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def walk(hdus: Iterable[Any]) -> int:
    """Touch every header of an astropy HDUList."""
    return sum(len(hdu.header) > 0 for hdu in hdus)


def measure(name: str, job: dict[str, str]) -> dict[str, float]:
    """Prepare a contender, then time its job."""
    run = CONTENDERS[name](job)
    wall, cpu = time.perf_counter(), time.process_time()
    count = run()
    result = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "peak": peak()}
    if count != 3:
        raise SystemExit(f"{name} saw {count} HDUs, not 3")
    return result


def peak() -> float:
    """Peak memory of this process in MiB, imports included."""
    try:
        return peak_of("self")
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def peak_of(process: int | str) -> float:
    """Peak memory of a process in MiB so far, as Linux tells it."""
    with open(f"/proc/{process}/status") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print("\n".join(CONTENDERS))
    else:
        print(json.dumps(measure(sys.argv[1], json.loads(sys.argv[2]))))
