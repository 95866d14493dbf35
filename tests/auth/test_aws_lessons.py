"""What AWSAuth learns from refusals that say little, and what it does with it from then on."""

from __future__ import annotations

import pytest
import requests

from astro_cloud.auth import AWSAuth
from astro_cloud.auth.aws_credentials import find_credentials
from astro_cloud.auth.refusal import Refusal
from tests.auth.recording_server import Answer, Received, recording_server
from tests.auth.test_aws import KEYS, prepared, scope


@pytest.mark.parametrize("url", ["https://s3.us-east-1.amazonaws.com/b/k", "https://b.s3.amazonaws.com/k"])
def test_a_learnt_region_is_where_requests_go(url: str) -> None:
    """What was refused once with another region is sent to the region's host from then on."""
    auth = AWSAuth(**KEYS)
    there = url.replace("s3.us-east-1", "s3.eu-west-1").replace("s3.amazonaws", "s3.eu-west-1.amazonaws")
    refused = auth.sign(prepared(url))
    assert auth.learn(refused, Refusal(301, region="eu-west-1")) == "region"
    signed = auth.sign(prepared(url))
    assert (signed.url, scope(signed)[1]) == (there, "eu-west-1")
    assert auth.presign(url).startswith(f"{there}?")
    assert scope(auth.sign(prepared(url.replace("b/k", "c/k").replace("/b.", "/c."))))[1] == "us-east-1"
    assert auth.learn(signed, Refusal(301, region="us-west-2")) == "region", "a bucket may move"


def test_a_head_that_is_refused_with_a_token_is_tried_with_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A HEAD's refusal does not say that a token expired: other credentials are looked for."""

    def answer(received: Received) -> Answer:
        return Answer(400 if "Credential=OLD/" in received.headers["Authorization"] else 200)

    enter(monkeypatch, "OLD")
    auth = AWSAuth()
    with recording_server(answer) as home:
        assert requests.head(f"{home.url}/b/k", auth=auth).status_code == 400
        assert len(home.requests) == 1, "there are no others yet"
        enter(monkeypatch, "NEW")
        assert requests.head(f"{home.url}/b/k", auth=auth).status_code == 200
        assert len(home.requests) == 3


def test_a_head_that_may_be_forbidden_costs_one_search_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """403 without a body is looked into once for each key, and not where there is no token to expire."""
    searched: list[str] = []
    monkeypatch.setattr(
        "astro_cloud.auth.aws_credentials.find_credentials",
        lambda profile: searched.append("") or find_credentials(profile),
    )
    for token, searches in (("t", 2), ("", 1)):
        enter(monkeypatch, "AKID", token)
        searched.clear()
        auth = AWSAuth()
        request = auth.sign(prepared(method="HEAD"))
        assert [auth.learn(request, Refusal(403)) for _ in range(3)] == [None] * 3
        assert len(searched) == searches


def enter(monkeypatch: pytest.MonkeyPatch, access_key: str, token: str = "t") -> None:
    """Put keys into the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", token)
