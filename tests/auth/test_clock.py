"""Clocks that are wrong: what teaches the right time, and for whom it holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import requests

from astro_cloud.auth import AWSAuth, AzureAuth, GCPAuth
from astro_cloud.auth.clock import ServerClocks
from astro_cloud.auth.refusal import Refusal
from tests.auth.azure_stand_ins import auth as azure
from tests.auth.gcp_stand_ins import KEYS
from tests.auth.recording_server import Answer, Received, recording_server

NOON = datetime(2026, 5, 17, 12, tzinfo=UTC)
SLOW = {"clock": lambda: datetime.now(UTC) - timedelta(hours=3)}
AUTHS: dict[str, Any] = {
    "aws": lambda **options: AWSAuth(access_key="AKID", secret_key="s", **options),
    "gcp": lambda **options: GCPAuth(**KEYS, **options),
    "azure": azure,
}
DATES = ("x-amz-date", "x-goog-date", "x-ms-date")
every_auth = pytest.mark.parametrize("make", AUTHS.values(), ids=AUTHS)


def dated(received: Received) -> str:
    """Return the date that a request was signed with."""
    return next(received.headers[name] for name in DATES if name in received.headers)


def refusal(hours: float, code: str = "", status: int = 403) -> Refusal:
    """A refusal by a server whose clock is this far ahead of noon."""
    return Refusal(status, code, date=format_datetime(NOON + timedelta(hours=hours), usegmt=True))


@every_auth
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_refusal_without_a_word_teaches_the_clock(make: Any, method: str) -> None:
    """A HEAD is refused without a body: its Date alone says that the clock is hours off."""
    with recording_server() as server:
        server.answers.append(Answer(403))
        assert requests.request(method, f"{server.url}/c/k", auth=make(**SLOW)).status_code == 200
        assert len({dated(received) for received in server.requests}) == 2


@every_auth
def test_a_refusal_in_time_teaches_nothing(make: Any) -> None:
    """Where the clocks agree, a refusal without a word is about something else."""
    with recording_server(lambda request: Answer(403)) as server:
        right = make(clock=lambda: datetime.now(UTC) + timedelta(minutes=10))
        assert requests.head(f"{server.url}/c/k", auth=right).status_code == 403
        assert len(server.requests) == 1


def test_azure_says_it_with_another_code() -> None:
    """AuthenticationFailed is the clock where Date and x-ms-date are far apart; else it is the key."""
    for slow, sent in ((True, 2), (False, 1)):
        options = SLOW if slow else {"clock": lambda: datetime.now(UTC)}
        with recording_server() as server:
            server.answers.append(Answer(403, {"x-ms-error-code": "AuthenticationFailed"}))
            requests.get(f"{server.url}/c/k", auth=azure(**options))
            assert len(server.requests) == sent


def test_a_sas_and_a_token_have_no_clock() -> None:
    """Only what is signed with the time can be mended by it."""
    for signer in (AzureAuth(sas_token="sig=x"), GCPAuth(credentials=_Token())):
        with recording_server(lambda request: Answer(403)) as server:
            requests.get(f"{server.url}/c/k", auth=signer)
            assert len(server.requests) == 1


class _Token:
    valid, token, quota_project_id = True, "t", None

    def refresh(self, request: Any) -> None:
        """Never asked for."""


@every_auth
def test_one_server_cannot_set_the_time_of_another(make: Any) -> None:
    """A server whose clock is wrong has its own time, and others keep theirs; presigned URLs too."""
    auth = make(clock=lambda: NOON)
    here, there = "https://survey.blob.core.windows.net/c/b", "https://other.example:8443/c/b"
    before = auth.sign(requests.Request("GET", there).prepare())
    asked = auth.sign(requests.Request("GET", here).prepare())
    assert auth.learn(asked, refusal(5, "RequestTimeTooSkewed")) == "clock"
    after = auth.sign(requests.Request("GET", there).prepare())
    assert [after.headers.get(name) for name in DATES] == [before.headers.get(name) for name in DATES]
    moved = auth.sign(requests.Request("GET", here).prepare())
    assert [moved.headers.get(name) for name in DATES] != [asked.headers.get(name) for name in DATES]
    hour = [url.partition("20260517T")[2][:2] for url in (auth.presign(here), auth.presign(there))]
    if make is not AUTHS["azure"]:
        assert hour == ["17", "12"]
    else:
        assert "2026-05-17T18%3A00%3A00Z" in auth.presign(here)


def test_what_a_clock_learns_from() -> None:
    """A refusal for the date always; one without a code if the dates are more than 15 minutes apart."""
    at = "20260517T120000Z"
    for told, learnt in (
        (refusal(0.2), False),
        (refusal(0.3), True),
        (refusal(-0.3), True),
        (refusal(0.2, "RequestTimeTooSkewed"), True),
        (refusal(3, "AccessDenied"), False),
        (refusal(3, "AuthenticationFailed"), True),
        (refusal(3, status=404), False),
        (Refusal(403), False),
    ):
        clocks = ServerClocks(lambda: NOON)
        assert clocks.learn("h", told, at) is learnt, told
        assert (clocks.now("h") == told.server_time) is learnt
        assert clocks.now("other") == NOON
    assert ServerClocks(lambda: NOON).learn("h", refusal(3), "Sun, 17 May 2026 12:00:00 GMT")
    assert not ServerClocks(lambda: NOON).learn("h", refusal(3), "at noon")


def test_a_late_refusal_is_still_about_the_clock() -> None:
    """A request signed before another thread learnt the time is worth another try, as that thread's was."""
    auth = AUTHS["aws"](clock=lambda: NOON)
    first, second = (auth.sign(requests.Request("HEAD", "http://h/b/k").prepare()) for _ in range(2))
    assert auth.learn(first, refusal(3)) == "clock"
    assert auth.learn(second, refusal(3)) == "clock"
    assert auth.learn(auth.sign(first), refusal(3)) is None
