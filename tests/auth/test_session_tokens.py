"""Temporary credentials, given out and checked by Ceph's STS."""

import os
import re
from pathlib import Path

import pytest
import requests

from astro_cloud.auth import AWSAuth
from astro_cloud.exceptions import CredentialsError
from tests.auth.credential_server import credential_server
from tests.auth.streams import Once
from tests.servers import ceph
from tests.servers.process import RunningServer

BUCKET = "temporary"


@pytest.fixture(scope="module")
def keys(ceph_server: RunningServer) -> dict[str, str]:
    """Keys and token of a role, from a POST with a form, signed for the service ``sts``; makes the bucket."""
    owner = {
        "access_key": ceph_server.access_key,
        "secret_key": ceph_server.secret_key,
        "region": ceph_server.region,
    }
    assert requests.put(f"{ceph_server.url}/{BUCKET}", auth=AWSAuth(**owner)).status_code == 200
    return assumed_role(ceph_server) | {"region": ceph_server.region}


def assumed_role(server: RunningServer) -> dict[str, str]:
    """Take on the role, as the first user, and return its keys and token."""
    owner = AWSAuth(
        access_key=server.access_key, secret_key=server.secret_key, region=server.region, service="sts"
    )
    form = {
        "Action": "AssumeRole", "Version": "2011-06-15", "RoleArn": f"arn:aws:iam:::role/{ceph.ROLE}",
        "RoleSessionName": "a-test-of-tokens",
    }  # fmt: skip
    answer = requests.post(f"{server.url}/", data=form, auth=owner)
    assert answer.status_code == 200, answer.text
    found = {
        name: re.search(f"<{element}>(.*?)</{element}>", answer.text)
        for name, element in (
            ("access_key", "AccessKeyId"),
            ("secret_key", "SecretAccessKey"),
            ("session_token", "SessionToken"),
        )
    }
    return {name: match[1] for name, match in found.items() if match}


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


def key_of(answer: requests.Response) -> str:
    """Return the access key that an answered request was signed with."""
    return answer.request.headers["Authorization"].partition("Credential=")[2].partition("/")[0]


def test_a_container_gives_them_out(
    ceph_server: RunningServer, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container's endpoint hands on the keys of a role; each new set is used with its own token."""
    url = f"{ceph_server.url}/{BUCKET}/m34.fits"
    requests.put(url, data=b"SIMPLE", auth=AWSAuth(**keys))
    given: list[str] = []

    def issue(number: int) -> tuple[str, str, str, float]:
        access_key, secret_key, token = assumed_role(ceph_server).values()
        given.append(access_key)
        return access_key, secret_key, token, 60

    with credential_server(issue) as endpoint:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{endpoint.url}/v1/credentials")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container-secret")
        auth = AWSAuth()
        answers = [requests.get(url, auth=auth) for _ in range(4)]
    assert [answer.content for answer in answers] == [b"SIMPLE"] * 4
    used = [key_of(answer) for answer in answers]
    assert len(set(used)) == 4
    assert [key for key in given if key in used] == used


def test_an_instance_gives_them_out(
    ceph_server: RunningServer, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instance's metadata server, asked by IMDSv2 and once, hands on the keys of a role."""
    url = f"{ceph_server.url}/{BUCKET}/m35.fits"
    requests.put(url, data=b"SIMPLE", auth=AWSAuth(**keys))

    def issue(number: int) -> tuple[str, str, str, float]:
        access_key, secret_key, token = assumed_role(ceph_server).values()
        return access_key, secret_key, token, 3600

    with credential_server(issue) as endpoint:
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint.url)
        auth = AWSAuth()
        assert [requests.get(url, auth=auth).content for _ in range(3)] == [b"SIMPLE"] * 3
        assert endpoint.issued == 1
        assert "PUT /latest/api/token" in endpoint.paths


PROFILES = """\
[profile owner]
aws_access_key_id = {server.access_key}
aws_secret_access_key = {server.secret_key}
[profile {role}]
role_arn = arn:aws:iam:::role/{role}
source_profile = owner
duration_seconds = 900
region = {server.region}
[profile nobody]
role_arn = arn:aws:iam:::role/nobody-here
source_profile = owner
region = {server.region}
"""


def test_a_profile_takes_on_a_role(
    ceph_server: RunningServer, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """botocore takes on the role of a profile, and again before its keys expire; or says that it cannot."""
    url = f"{ceph_server.url}/{BUCKET}/m36.fits"
    requests.put(url, data=b"SIMPLE", auth=AWSAuth(**keys))
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(PROFILES.format(server=ceph_server, role=ceph.ROLE))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", ceph_server.url)
    auth = AWSAuth(profile=ceph.ROLE)
    answers = [requests.get(url, auth=auth) for _ in range(3)]
    assert [answer.content for answer in answers] == [b"SIMPLE"] * 3
    assert all("x-amz-security-token" in answer.request.headers for answer in answers)
    # 900 seconds, the least that STS gives, are within the 15 minutes in which botocore renews.
    assert len({ceph_server.access_key, *map(key_of, answers)}) == 4
    with pytest.raises(CredentialsError, match="cannot be refreshed: ClientError"):
        requests.get(url, auth=AWSAuth(profile="nobody"))
