"""URLs signed by AWSAuth before every real server: what each takes, and that nothing can be changed.

That every odd key can be given away is in `test_presign.py`, and for rclone in `test_rclone.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from astro_cloud.auth import AWSAuth
from tests.servers.process import RunningServer
from tests.servers.signed import ask

BUCKET = "given-away"
CONTENT = bytes(range(256)) * 4


@pytest.fixture(scope="module")
def server(s3_verifier: RunningServer) -> RunningServer:
    """A real server with two objects, put there by other means than ours."""
    ask(s3_verifier, "PUT", f"/{BUCKET}")
    for name in ("m31.fits", "m32.fits"):
        ask(s3_verifier, "PUT", f"/{BUCKET}/{name}", CONTENT)
    return s3_verifier


def presigned(
    server: RunningServer, query: str = "", *, expires: int = 600, method: str = "GET", **options: Any
) -> str:
    """Sign the URL of the first object."""
    keys = {"access_key": server.access_key, "secret_key": server.secret_key, "region": server.region}
    auth = AWSAuth(**{**keys, **options})
    return auth.presign(f"{server.url}/{BUCKET}/m31.fits{query}", expires, method=method)


def test_a_good_url(server: RunningServer, session: requests.Session) -> None:
    """Whoever has the URL reads the object."""
    answer = session.get(presigned(server))
    assert (answer.status_code, answer.content) == (200, CONTENT)


def test_a_range(server: RunningServer, session: requests.Session) -> None:
    """A Range is not signed: any part of the object can be asked for. rclone answers it with 200."""
    answer = session.get(presigned(server), headers={"Range": "bytes=100-199"})
    assert answer.status_code == (200 if server.name == "rclone" else 206)
    assert answer.headers["Content-Range"] == f"bytes 100-199/{len(CONTENT)}"
    assert answer.content == CONTENT[100:200]


def test_a_parameter_of_the_answer(server: RunningServer, session: requests.Session) -> None:
    """What stood in the query is signed along, and the answer is as it says."""
    url = presigned(server, "?response-content-type=application%2Ffits")
    answer = session.get(url)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["Content-Type"].startswith("application/fits")
    assert session.get(url.replace("Ffits", "Fhtml")).status_code == 403
    assert session.get(presigned(server) + "&response-content-type=text%2Fhtml").status_code == 403


def test_the_other_methods(server: RunningServer, session: requests.Session) -> None:
    """A URL is good for the method that it was signed for, and for no other."""
    assert session.head(presigned(server, method="HEAD")).headers["Content-Length"] == str(len(CONTENT))
    for method in ("HEAD", "PUT", "DELETE"):
        assert session.request(method, presigned(server)).status_code == 403
    assert session.get(presigned(server, method="HEAD")).status_code == 403
    assert session.get(presigned(server)).content == CONTENT


def another_digit(url: str) -> str:
    """Return the URL with the last digit of its signature changed."""
    return url[:-1] + ("0" if url[-1] != "0" else "1")


CHANGES: dict[str, Callable[[str], str]] = {
    "signature": another_digit,
    "key": lambda url: url.replace("m31", "m32"),
    "time to live": lambda url: url.replace("X-Amz-Expires=600", "X-Amz-Expires=601"),
    "offer to pay added": lambda url: url + "&x-amz-request-payer=requester",
    "signature dropped": lambda url: url.partition("&X-Amz-Signature=")[0],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_url(
    server: RunningServer, session: requests.Session, change: Callable[[str], str]
) -> None:
    """A URL in which anything is changed is refused."""
    assert session.get(change(presigned(server))).status_code in (400, 403)


def test_the_wrong_keys(server: RunningServer, session: requests.Session) -> None:
    """Signed with a wrong secret, or a key that nobody has, a URL is refused."""
    assert session.get(presigned(server, secret_key="wrong")).status_code == 403
    assert session.get(presigned(server, access_key="NOBODY")).status_code == 403


def test_an_expired_url(server: RunningServer, session: requests.Session) -> None:
    """A URL is refused once its time is over (rclone says 400), and good until then."""
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    expired = session.get(presigned(server, expires=60, clock=lambda: an_hour_ago))
    assert expired.status_code == (400 if server.name == "rclone" else 403)
    assert session.get(presigned(server, expires=7200, clock=lambda: an_hour_ago)).content == CONTENT
