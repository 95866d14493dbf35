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

from tests.benchmarks.openers import OPENERS, Opener

Job = Callable[[], int]
CONTENDERS: dict[str, Callable[[dict[str, str]], Job]] = {}


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
    import astropy.io.fits  # noqa: F401 - loaded before the clock runs

    from astro_cloud.auth import AWSAuth
    from astro_cloud.fits import load_headers

    auth = AWSAuth()
    auth.has_credentials()
    return lambda: sum(len(header.fits) > 0 for header in load_headers(job["s3"], auth=auth))


@contender("astro-cloud, finding credentials")
def finding(job: dict[str, str]) -> Job:
    import botocore.session  # noqa: F401 - loaded before the clock runs

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


def through_astropy(opener: Opener) -> Callable[[dict[str, str]], Job]:
    """Make a contender of a way to open a file with astropy."""

    def prepare(job: dict[str, str]) -> Job:
        opened = opener(job)
        return lambda: walk(opened())

    return prepare


CONTENDERS.update({name: through_astropy(opener) for name, opener in OPENERS.items()})


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
