"""ObjectServer and the real servers give the same verdicts, so that what it accepts can be trusted.

Every request is signed by botocore and sent by http.client: none of astro_cloud's signing takes part.
Left out are the points on which the real servers differ among themselves: a wrong region, and an
x-amz- header that was added without being signed. Where rclone alone differs, `OF_RCLONE` says how.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from astro_cloud.testing import ObjectServer
from tests.auth.odd_keys import ODD_KEYS, plain_path
from tests.servers import ceph, rclone
from tests.servers.process import RunningServer
from tests.servers.signed import Request, Server, ask, listed, send, signed

BUCKET = "verdicts"
RANGED = Request("GET", f"/{BUCKET}/a%20b", {"Range": "bytes=0-0"})
KEYS = ("a b", "~!*'()", "\u00fc", "a//b")


@pytest.fixture(scope="module")
def servers(
    s3_verifier: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RunningServer, Server]]:
    """Run a real server and an ObjectServer, which hold the same objects."""
    with ObjectServer(tmp_path_factory.mktemp("root")) as ours:
        for server in (s3_verifier, ours):
            ask(server, "PUT", f"/{BUCKET}")
            for key in KEYS:
                if server is ours or kept(s3_verifier, key):
                    ask(server, "PUT", plain_path(BUCKET, key), b"content")
        yield s3_verifier, ours


def kept(server: RunningServer, key: str) -> bool:
    """Tell whether a real server takes the key of an object."""
    return server.name != "rclone" or rclone.keeps(key)


def get(path: str, *, sent_as: str = "") -> Callable[[Server], Request]:
    """Build a GET that is signed for one target and sent to another, both in the bucket."""

    def build(server: Server) -> Request:
        request = signed(server, Request("GET", f"/{BUCKET}{path}"))
        return replace(request, target=f"/{BUCKET}{sent_as or path}")

    return build


ACCEPTED: dict[str, Callable[[Server], Request]] = {
    "plus sent, %20 signed": get("?list-type=2&prefix=a%20b", sent_as="?list-type=2&prefix=a+b"),
    "%7E sent, tilde signed": get("/~%21%2A%27%28%29", sent_as="/%7E%21%2A%27%28%29"),
    "sub-delims sent raw, signed encoded": get("/~%21%2A%27%28%29", sent_as="/~!*'()"),
    "lower-case escapes sent, upper-case signed": get("/%C3%BC", sent_as="/%c3%bc"),
    "query out of order": get("?prefix=a&list-type=2"),
    "query name without =": get("?list-type=2&prefix=", sent_as="?list-type=2&prefix"),
    "double slash": get("/a//b"),
    "inner spaces of a header": lambda server: signed(
        server, Request("GET", f"/{BUCKET}/a%20b", {"x-amz-meta-note": "a   b"})
    ),
    "date 10 minutes ago": lambda server: aged(server, timedelta(minutes=-10)),
}
REFUSED: dict[str, Callable[[Server], Request]] = {
    "plus sent and signed": get("?list-type=2&prefix=a+b"),
    "sub-delims sent and signed raw": get("/~!*'()"),
    "lower-case escapes sent and signed": get("/%c3%bc"),
    "path signed encoded twice": get("/a%2520b", sent_as="/a%20b"),
    "double slash sent, single signed": get("/a/b", sent_as="/a//b"),
    "another path sent": get("/a%20b", sent_as="/%C3%BC"),
    "another query sent": get("?list-type=2&prefix=a", sent_as="?list-type=2&prefix=b"),
    "query added": get("/a%20b", sent_as="/a%20b?response-content-type=text%2Fplain"),
    "date 20 minutes ago": lambda server: aged(server, timedelta(minutes=-20)),
    "date in 20 minutes": lambda server: aged(server, timedelta(minutes=20)),
    "wrong secret": lambda server: signed(server, RANGED, keys=(server.access_key, "wrong")),
    "unknown access key": lambda server: signed(server, RANGED, keys=("NOBODY", server.secret_key)),
    "another method sent": lambda server: replace(signed(server, RANGED), method="HEAD"),
    "another range sent": lambda server: signed(server, RANGED).with_header("Range", "bytes=0-1"),
    "signed range not sent": lambda server: without(signed(server, RANGED), "range"),
    "another date sent": lambda server: signed(server, RANGED).with_header(
        "X-Amz-Date", (datetime.now(UTC) - timedelta(minutes=1)).strftime("%Y%m%dT%H%M%SZ")
    ),
    "no date sent": lambda server: without(signed(server, RANGED), "x-amz-date"),
    "another signature sent": lambda server: retouched(signed(server, RANGED)),
    "signed payload hash not sent": lambda server: without(signed(server, RANGED), "x-amz-content-sha256"),
    "another payload sent": lambda server: replace(
        signed(server, Request("PUT", f"/{BUCKET}/new", body=b"signed")), body=b"forged"
    ),
}
#: rclone keeps no key that is no path of a file, and does not check a payload.
OF_RCLONE = {"double slash": 400, "another payload sent": 200}


def aged(server: Server, by: timedelta) -> Request:
    return signed(server, RANGED, at=datetime.now(UTC) + by)


def without(request: Request, name: str) -> Request:
    return replace(request, headers={key: old for key, old in request.headers.items() if key.lower() != name})


def retouched(request: Request) -> Request:
    """Return the request with the last digit of its signature changed."""
    value = request.headers["Authorization"]
    return request.with_header("Authorization", value[:-1] + ("0" if value[-1] != "0" else "1"))


@pytest.mark.parametrize("case", ACCEPTED)
def test_both_accept(servers: tuple[RunningServer, Server], case: str) -> None:
    """What is signed as AWS says is accepted by both, however its target is spelt on the wire."""
    judge, ours = (send(server, ACCEPTED[case](server)).status for server in servers)
    if servers[0].name == "rclone":  # and it answers a range with 200
        assert judge == OF_RCLONE.get(case, 200)
        assert ours in (200, 206)
    else:
        assert judge in (200, 206)
        assert ours == judge


@pytest.mark.parametrize("case", REFUSED)
def test_both_refuse(servers: tuple[RunningServer, Server], case: str) -> None:
    """What is signed otherwise, or not as it is sent, is refused by both."""
    judge, ours = (send(server, REFUSED[case](server)).status for server in servers)
    if servers[0].name == "rclone" and case in OF_RCLONE:
        assert judge == OF_RCLONE[case]
    else:
        assert judge in (400, 403)
    assert ours in (400, 403)


def test_both_keep_odd_keys_apart(servers: tuple[RunningServer, Server]) -> None:
    """Each odd key, put under its signed name, is listed and read back as itself by both."""
    keys = sorted(key for key in ODD_KEYS.values() if kept(servers[0], key))
    for server in servers:
        ask(server, "PUT", "/odd-verdicts")
        for key in keys:
            ask(server, "PUT", plain_path("odd-verdicts", key), key.encode())
        assert sorted(listed(server, "odd-verdicts")) == keys
        for key in keys:
            assert ask(server, "GET", plain_path("odd-verdicts", key)).body == key.encode()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("target", ["/paid/image.fits", "/paid?list-type=2"])
def test_both_let_another_user_in_who_pays(
    ceph_server: RunningServer, tmp_path: Path, method: str, target: str
) -> None:
    """Of a requester-pays bucket both refuse who does not offer to pay, and tell who does of the charge."""
    ceph.make_requester_pays(ceph_server, "paid", {"image.fits": b"SIMPLE  ="})
    with ObjectServer(tmp_path, requester_pays=["paid"]) as ours:
        ours.put("paid", "image.fits", b"SIMPLE  =")
        other = (ceph_server.other_access_key, ceph_server.other_secret_key)
        for server, keys in ((ceph_server, other), (ours, (ours.access_key, ours.secret_key))):
            request = Request(method, target)
            assert send(server, signed(server, request, keys=keys)).status == 403
            paying = request.with_header("x-amz-request-payer", "requester")
            answer = send(server, signed(server, paying, keys=keys))
            assert answer.status == 200
            assert answer.headers.get("x-amz-request-charged") == "requester"
