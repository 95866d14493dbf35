"""Temporary credentials, given out and checked by Ceph's STS."""

import re

import pytest
import requests

from astro_cloud.auth import AWSAuth
from tests.auth.streams import Once
from tests.servers import ceph
from tests.servers.process import RunningServer

BUCKET = "temporary"


@pytest.fixture(scope="module")
def keys(ceph_server: RunningServer) -> dict[str, str]:
    """Keys and token of a role, from a POST with a form, signed for the service ``sts``."""
    owner = {
        "access_key": ceph_server.access_key,
        "secret_key": ceph_server.secret_key,
        "region": ceph_server.region,
    }
    assert requests.put(f"{ceph_server.url}/{BUCKET}", auth=AWSAuth(**owner)).status_code == 200
    form = {
        "Action": "AssumeRole", "Version": "2011-06-15", "RoleArn": f"arn:aws:iam:::role/{ceph.ROLE}",
        "RoleSessionName": "a-test-of-tokens",
    }  # fmt: skip
    answer = requests.post(f"{ceph_server.url}/", data=form, auth=AWSAuth(**owner, service="sts"))
    assert answer.status_code == 200, answer.text
    found = {
        name: re.search(f"<{element}>(.*?)</{element}>", answer.text)
        for name, element in (
            ("access_key", "AccessKeyId"),
            ("secret_key", "SecretAccessKey"),
            ("session_token", "SessionToken"),
        )
    }
    return {name: match[1] for name, match in found.items() if match} | {"region": ceph_server.region}


def test_a_token_is_signed_and_checked(ceph_server: RunningServer, keys: dict[str, str]) -> None:
    """With its token a temporary key reads and writes; with another token, or none, it does not."""
    url = f"{ceph_server.url}/{BUCKET}/m31.fits"
    auth = AWSAuth(**keys)
    assert requests.put(url, data=b"SIMPLE", auth=auth).status_code == 200
    assert requests.get(url, auth=auth).content == b"SIMPLE"
    for token in (keys["session_token"][:-8] + "AAAAAAA=", None):
        refused = requests.get(url, auth=AWSAuth(**{**keys, "session_token": token}))
        assert refused.status_code in (400, 403)
    assert requests.get(url, auth=AWSAuth(**{**keys, "secret_key": "wrong"})).status_code == 403


def test_a_url_to_give_away_carries_the_token(ceph_server: RunningServer, keys: dict[str, str]) -> None:
    """A URL signed with temporary credentials is read by anybody; without its token by nobody."""
    url = f"{ceph_server.url}/{BUCKET}/m32.fits"
    auth = AWSAuth(**keys)
    requests.put(url, data=b"SIMPLE", auth=auth)
    signed = auth.presign(url)
    assert requests.get(signed).content == b"SIMPLE"
    assert requests.get(re.sub("&X-Amz-Security-Token=[^&]*", "", signed)).status_code == 403


def test_a_stream_is_signed_with_the_token(ceph_server: RunningServer, keys: dict[str, str]) -> None:
    """Chunks are signed with the derived key of temporary credentials, too."""
    url = f"{ceph_server.url}/{BUCKET}/m33.fits"

    assert requests.put(url, data=Once(bytes(100_000)), auth=AWSAuth(**keys)).status_code == 200
    assert requests.get(url, auth=AWSAuth(**keys)).content == bytes(100_000)
