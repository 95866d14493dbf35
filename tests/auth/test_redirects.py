"""What AWSAuth does about answers, in plain `requests` code: two servers that record what they get."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from astro_cloud.auth import AWSAuth
from astro_cloud.testing import AccessKey, Fault, ObjectServer

TOKEN = "very-secret-token"


@pytest.fixture
def home(object_server: ObjectServer) -> ObjectServer:
    """A server whose one user has a session token."""
    object_server.credentials.clear()
    object_server.credentials["AKIDTOKEN"] = AccessKey("AKIDTOKEN", "secret", session_token=TOKEN)
    for key in ("a", "b c", "d"):
        object_server.put("sky", key, key.encode())
    return object_server


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[ObjectServer]:
    """Another origin, where anybody may read."""
    (tmp_path / "stranger").mkdir()
    with ObjectServer(tmp_path / "stranger", public=["sky"]) as server:
        server.put("sky", "a", b"theirs")
        yield server


def auth(**options: Any) -> AWSAuth:
    """The user's auth."""
    return AWSAuth(True, access_key="AKIDTOKEN", secret_key="secret", session_token=TOKEN, **options)


def secrets_of(server: ObjectServer) -> list[str]:
    """List the headers a server got that were none of its business."""
    return [
        name
        for record in server.requests
        for name in record.headers
        if name == "authorization" or name.startswith("x-amz-")
    ]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("follow", [True, False])
def test_at_home_a_redirect_is_followed_signed_anew(home: ObjectServer, status: int, follow: bool) -> None:
    """The target of a redirect within the service gets a signature of its own, and the same method."""
    home.inject(Fault.redirect(home.url_for("sky", "b c"), status), key="a")
    answer = requests.get(home.url_for("sky", "a"), auth=auth(), allow_redirects=follow)
    assert (answer.status_code, answer.content) == (200, b"b c")
    assert [past.status_code for past in answer.history] == [status]


@pytest.mark.parametrize("body", [b"bytes", io.BytesIO(b"bytes")], ids=["bytes", "file"])
def test_a_body_is_sent_again_from_where_it_began(home: ObjectServer, body: Any) -> None:
    """A PUT that is redirected stores its body once, whole."""
    home.inject(Fault.redirect(home.url_for("sky", "there"), 307), key="here", method="PUT")
    assert requests.put(home.url_for("sky", "here"), data=body, auth=auth()).status_code == 200
    assert home.path("sky", "there").read_bytes() == b"bytes"
    assert not home.path("sky", "here").exists()


def test_a_circle_ends(home: ObjectServer) -> None:
    """Redirects at home that never end are an error of requests', not a hang."""
    home.inject(Fault.redirect(home.url_for("sky", "a")), times=None)
    with pytest.raises(requests.TooManyRedirects):
        requests.get(home.url_for("sky", "a"), auth=auth())
    assert len(home.requests) < 200


@pytest.mark.parametrize("on_session", [True, False])
def test_a_stranger_gets_nothing_of_ours(
    home: ObjectServer, stranger: ObjectServer, on_session: bool
) -> None:
    """Behind a redirect to another origin there is no signature, no token, no x-amz-* header."""
    home.inject(Fault.redirect(stranger.url_for("sky", "a")))
    with requests.Session() as session:
        if on_session:
            session.auth = auth()
        answer = session.get(home.url_for("sky", "a"), auth=None if on_session else auth())
    assert answer.content == b"theirs"
    assert secrets_of(stranger) == []
    assert TOKEN not in str(answer.request.headers)


def test_a_stranger_behind_a_redirect_at_home(home: ObjectServer, stranger: ObjectServer) -> None:
    """The second hop is guarded as the first is."""
    home.inject(Fault.redirect(home.url_for("sky", "d")), key="a")
    home.inject(Fault.redirect(stranger.url_for("sky", "a")), key="d")
    assert requests.get(home.url_for("sky", "a"), auth=auth()).content == b"theirs"
    assert secrets_of(stranger) == []


def test_a_strangers_refusal_is_not_answered_with_a_signature(
    home: ObjectServer, stranger: ObjectServer
) -> None:
    """Where a stranger asks for credentials, or names a region, it gets neither."""
    stranger.put("private", "a", b"not for all")
    home.inject(Fault.redirect(stranger.url_for("private", "a")))
    answer = requests.get(home.url_for("sky", "a"), auth=auth())
    assert answer.status_code == 403
    assert secrets_of(stranger) == []
    assert len(stranger.requests) == 1


def test_whoever_does_not_follow_is_told_where(home: ObjectServer, stranger: ObjectServer) -> None:
    """`allow_redirects=False` leaves a redirect to a stranger to the caller, without our headers."""
    home.inject(Fault.redirect(stranger.url_for("sky", "a")))
    answer = requests.get(home.url_for("sky", "a"), auth=auth(), allow_redirects=False)
    assert answer.status_code == 307
    assert answer.next is not None
    assert TOKEN not in str(answer.next.headers)
    assert len(stranger.requests) == 0


@pytest.mark.parametrize("follow", [True, False])
def test_the_region_is_learnt_and_remembered(home: ObjectServer, follow: bool) -> None:
    """A wrong region costs one refused request; the next one is right at once."""
    home.region = "eu-central-1"
    signer = auth()
    for _ in range(2):
        answer = requests.get(home.url_for("sky", "a"), auth=signer, allow_redirects=follow)
        assert answer.content == b"a"
    assert [record.status for record in home.requests] == [400, 200, 200]


def test_the_clock_is_corrected(home: ObjectServer) -> None:
    """A clock an hour off is corrected by the server's Date."""
    with ObjectServer(home.root, credentials=home.credentials, clock=lambda: 2_000_000_000.0) as later:
        assert requests.get(later.url_for("sky", "a"), auth=auth()).content == b"a"
        assert [record.status for record in later.requests] == [403, 200]


def test_expired_credentials_are_found_anew(home: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """ExpiredToken makes an auth that searches search again, and send again."""
    home.credentials["OLD"] = AccessKey("OLD", "secret", expired=True)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OLD")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    signer = AWSAuth()
    assert signer.has_credentials()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDTOKEN")
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    assert requests.get(home.url_for("sky", "a"), auth=signer).content == b"a"


def test_a_denial_stays_a_denial(home: ObjectServer) -> None:
    """What cannot be mended comes back as it is, its body readable, streamed or not."""
    wrong = AWSAuth(access_key="AKIDTOKEN", secret_key="wrong", session_token=TOKEN)
    for stream in (False, True):
        answer = requests.get(home.url_for("sky", "a"), auth=wrong, stream=stream)
        assert answer.status_code == 403
        assert b"SignatureDoesNotMatch" in b"".join(answer.iter_content(100))
    assert len(home.requests) == 2
