"""Time one signature of a ranged GET, beside botocore's signer, in CPU microseconds.

    python tests/benchmarks/signing.py

What is timed is the signing of a prepared request whose Range changes each time, in one thread;
preparing it is `requests`' own business. The smallest of several rounds counts, as the rest is noise.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import requests
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from astro_cloud.auth.aws import AWSAuth

URL = "https://s3.us-east-1.amazonaws.com/stpubdata/tess/public/mast/tess-s0022-4-4-cube.fits"
ACCESS_KEY, SECRET_KEY = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
ROUNDS, SIGNATURES = 9, 5000


def microseconds(sign: Callable[[int], object]) -> float:
    """Return the CPU time of one call, of the best round."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for number in range(SIGNATURES):
            sign(number)
        best = min(best, time.process_time() - start)
    return best / SIGNATURES * 1e6


def ours() -> Callable[[int], object]:
    """Sign with AWSAuth, as the client does."""
    auth = AWSAuth(access_key=ACCESS_KEY, secret_key=SECRET_KEY)
    request = requests.Request("GET", URL, headers={"Accept-Encoding": "identity"}).prepare()

    def sign(number: int) -> object:
        request.headers["Range"] = f"bytes={number}-{number + 2879}"
        return auth.sign(request)

    return sign


def botocores() -> Callable[[int], object]:
    """Sign with botocore's signer, which wants a request of its own."""
    signer = S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", "us-east-1")

    def sign(number: int) -> object:
        request = AWSRequest("GET", URL, headers={"Range": f"bytes={number}-{number + 2879}"})
        return signer.add_auth(request)

    return sign


if __name__ == "__main__":
    for name, make in (("AWSAuth", ours), ("botocore", botocores)):
        print(f"{name:10} {microseconds(make()):6.1f} us a signature")
