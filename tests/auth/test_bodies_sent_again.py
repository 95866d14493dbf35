"""Which bodies can be sent twice, and what happens to a request with one that cannot."""

from __future__ import annotations

import hashlib
import io
import pickle
from typing import Any

import pytest
import requests
from requests.exceptions import UnrewindableBodyError

from astro_cloud.auth import AWSAuth, GCPAuth
from astro_cloud.auth.payload import SignedChunks
from tests.auth.azure_stand_ins import auth as azure
from tests.auth.gcp_stand_ins import KEYS
from tests.auth.recording_server import Answer, recording_server
from tests.auth.streams import Once

AUTHS: dict[str, Any] = {
    "aws": lambda: AWSAuth(access_key="AKID", secret_key="s"),
    "gcp": lambda: GCPAuth(**KEYS),
    "azure": azure,
}
every_auth = pytest.mark.parametrize("make", AUTHS.values(), ids=AUTHS)
BODIES = {
    "bytearray": lambda: bytearray(b"data"),
    "memoryview": lambda: memoryview(b"data"),
    "bytes": lambda: b"data",
    "file": lambda: io.BytesIO(b"data"),
}


class TellsOnly(Once):
    """A stream that knows where it is and cannot go anywhere else."""

    def tell(self) -> int:
        """Say that nothing was read."""
        return 0


@every_auth
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_bytes_of_any_kind_are_sent_again(make: Any, body: Any) -> None:
    """Whatever holds its bytes is sent again behind a redirect at home."""
    with recording_server() as home:
        home.answers.append(Answer(307, {"Location": "/c/t"}))
        assert requests.put(f"{home.url}/c/k", data=body(), auth=make()).status_code == 200
        assert [received.headers["Content-Length"] for received in home.requests] == ["4", "4"]
        assert [received.path for received in home.requests] == ["/c/k", "/c/t"]


@every_auth
@pytest.mark.parametrize("status", [301, 307, 308])
@pytest.mark.parametrize("stream", [Once, TellsOnly])
@pytest.mark.parametrize("follow", [True, False])
def test_a_body_that_is_gone_is_an_error_at_home(make: Any, status: int, stream: Any, follow: bool) -> None:
    """Nothing is sent in its place: the error is requests' own, and shows the answer."""
    with recording_server() as home:
        home.answers.append(Answer(status, {"Location": "/c/t"}))
        with pytest.raises(
            UnrewindableBodyError, match=r"redirected this PUT .*bytes or a seekable"
        ) as caught:
            requests.put(f"{home.url}/c/k", data=stream(b"data"), auth=make(), allow_redirects=follow)
        assert len(home.requests) == 1
        assert caught.value.response.headers["Location"] == "/c/t"
        assert caught.value.response.raw.closed, "the connection is free"


@every_auth
def test_a_stranger_gets_no_part_of_a_body_that_is_gone(make: Any) -> None:
    """A redirect that keeps the body is an error; one that drops it is followed without a body."""
    with recording_server() as stranger, recording_server() as home:
        home.answers.append(Answer(307, {"Location": f"{stranger.url}/x"}))
        with pytest.raises(UnrewindableBodyError):
            requests.put(f"{home.url}/c/k", data=Once(b"data"), auth=make())
        assert stranger.requests == []
        home.answers.append(Answer(303, {"Location": f"{stranger.url}/x"}))
        answer = requests.put(f"{home.url}/c/k", data=Once(b"data"), auth=make())
        assert answer.request.method == "GET"
        for name in ("Content-Length", "Content-Encoding"):
            assert name not in stranger.requests[0].headers


@pytest.mark.parametrize(("given", "left"), [(None, None), ("gzip", "gzip")])
def test_a_body_that_is_left_behind_leaves_its_chunks_behind(given: Any, left: Any) -> None:
    """A GET in the place of a PUT, at home too, does not say that it is sent in chunks."""
    with recording_server() as home:
        home.answers.append(Answer(302, {"Location": "/c/t"}))
        requests.put(
            f"{home.url}/c/k", data=Once(b"data"), headers={"Content-Encoding": given}, auth=AUTHS["aws"]()
        )
        first, second = home.requests
        assert first.headers["Content-Encoding"].endswith("aws-chunked")
        assert (second.method, second.headers["Content-Encoding"]) == ("GET", left)


def test_a_lesson_is_kept_where_the_body_is_gone() -> None:
    """A refusal of a body that is gone is the answer; what it teaches holds for the next request."""
    auth = AWSAuth(access_key="AKID", secret_key="s")
    with recording_server() as home:
        home.answers.append(Answer(400, {"x-amz-bucket-region": "eu-west-1"}))
        assert requests.put(f"{home.url}/b/k", data=Once(b"data"), auth=auth).status_code == 400
        requests.get(f"{home.url}/b/k", auth=auth)
        assert len(home.requests) == 2
        assert "/eu-west-1/" in home.requests[1].headers["Authorization"]


def test_chunks_are_signed_once() -> None:
    """Iterated again, the body says why it is empty; its pickle holds neither key nor data."""
    chunks = SignedChunks(Once(b"data"), 4, key=b"signing-key", amz_date="d", scope="s", seed="0" * 64)
    travelled = pickle.dumps(chunks)
    assert b"signing-key" not in travelled
    assert b"data" not in travelled.replace(b"amz_date", b"")
    assert b"data" in b"".join(chunks)
    for spent in (chunks, pickle.loads(travelled)):
        with pytest.raises(UnrewindableBodyError, match="only once"):
            list(spent)


@pytest.mark.parametrize(
    ("make", "name"),
    [(AUTHS["aws"], "x-amz-content-sha256"), (AUTHS["gcp"], "x-goog-content-sha256")],
)
def test_a_hash_that_is_known_is_taken(make: Any, name: str) -> None:
    """The caller's hash of a body that can be read only once is what is signed; of bytes it is ours."""
    digest = hashlib.sha256(b"data").hexdigest()
    for given, body, expected in (
        (digest, Once(b"data"), digest),
        ("0" * 64, b"data", digest),
        (digest, iter([b"data"]), digest),
    ):
        request = requests.Request("PUT", "http://h/b/k", data=body, headers={name: given})
        signed = make().sign(request.prepare())
        assert signed.headers[name] == expected
        assert signed.body is body
        assert name in signed.headers["Authorization"]


def test_a_hash_is_64_digits() -> None:
    """Anything else the header says is no reason to leave a body unsigned."""
    for given in ("abc", "Z" * 64, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"):
        headers = {"x-amz-content-sha256": given}
        request = requests.Request("PUT", "http://h/b/k", data=Once(b"data"), headers=headers).prepare()
        assert isinstance(AUTHS["aws"]().sign(request).body, SignedChunks)
