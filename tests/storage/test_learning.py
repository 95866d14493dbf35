"""What a refusal teaches: the bucket's region, the server's clock, that credentials have expired."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import CredentialRetrievalError

from astro_cloud.auth import aws
from astro_cloud.auth.aws_credentials import Found
from astro_cloud.exceptions import CredentialsError, StorageError
from astro_cloud.storage import Client
from astro_cloud.testing import AccessKey, Answer, Fault, ObjectServer
from tests.storage.reading import BUCKET, DATA, LOCATION, MakeClient, auth_of

RANGES = [(start, start + 9) for start in range(0, 80, 10)]
PARTS = [DATA[start:stop] for start, stop in RANGES]


def read(client: Client) -> bytes:
    return client.read_ranges(LOCATION, RANGES[:1])[0]


def enter(server: ObjectServer, monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    """Put the server's credentials and endpoint into the environment, or what is given in their place."""
    for name, value in (server.environ | changes).items():
        monkeypatch.setenv(name, value)


def test_the_region_is_learnt_once(sky: ObjectServer, make_client: MakeClient) -> None:
    """A refusal that names the region is learnt from, and remembered by the auth."""
    sky.region = "eu-central-1"
    client = make_client(sky, auth=auth_of(sky, region="us-west-2"))
    assert [read(client), read(client)] == [PARTS[0], PARTS[0]]
    assert [record.status for record in sky.requests] == [400, 206, 206]


def test_the_region_is_learnt_by_ranges_in_parallel(sky: ObjectServer, make_client: MakeClient) -> None:
    """Requests already on their way when another learns the region are signed anew, too."""
    sky.region = "eu-central-1"
    sky.latency = 0.05
    client = make_client(sky, auth=auth_of(sky, region="us-west-2"))
    assert client.read_ranges(LOCATION, RANGES) == PARTS


def test_a_client_learns_the_region_once_for_all_objects(
    sky: ObjectServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With credentials that were found, the second object of a bucket is asked for in the right region."""
    enter(sky, monkeypatch, AWS_DEFAULT_REGION="us-west-2")
    sky.region = "eu-central-1"
    client = make_client()
    assert [read(client), read(client)] == [PARTS[0], PARTS[0]]
    assert [record.status for record in sky.requests] == [400, 206, 206]


@pytest.mark.parametrize("exists", [True, False], ids=["found", "none"])
def test_a_client_searches_credentials_once(
    sky: ObjectServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    """The search (processes, files, a metadata server that may not answer) is done once for many objects."""
    sky.public.add(BUCKET)
    searches: list[str | None] = []

    def find(profile: str | None = None) -> Found:
        searches.append(profile)
        return Found(Credentials(sky.access_key, sky.secret_key) if exists else None, sky.region)

    monkeypatch.setattr("astro_cloud.auth.aws_credentials.find_credentials", find)
    client = make_client(endpoint_url=sky.url)
    assert [read(client), read(client), read(client)] == PARTS[:1] * 3
    assert len(searches) == 1


def test_a_region_that_keeps_changing_is_an_error(sky: ObjectServer, client: Client) -> None:
    """A server that always names another region does not keep the client asking forever."""
    count = 0

    def apply(request: object, serve: Callable[[], Answer]) -> Answer:
        nonlocal count
        count += 1
        if count > 50:
            return serve()
        return Answer(
            400, (("x-amz-bucket-region", f"xx-north-{count}"),), f"<Code>No{count}</Code>".encode()
        )

    sky.inject(Fault("another region", apply), times=None)
    with pytest.raises(StorageError):
        read(client)
    assert count < 10


def test_an_expired_token_is_told(tmp_path: Path, make_client: MakeClient) -> None:
    """Keys that expired and cannot be refreshed are an error that says so."""
    with ObjectServer(tmp_path, credentials=[AccessKey("AKIA1", "secret", expired=True)]) as server:
        server.put(BUCKET, "m31.fits", DATA)
        with pytest.raises(StorageError, match="expired"):
            read(make_client(server))
        assert len(server.requests) == 1


def test_expired_credentials_are_looked_for_again(
    sky: ObjectServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials that were found are searched anew when the server says that they expired."""
    enter(sky, monkeypatch, AWS_ACCESS_KEY_ID="AKIAOLD")
    sky.credentials["AKIAOLD"] = AccessKey("AKIAOLD", sky.secret_key, expired=True)
    client = make_client(auth=aws.AWSAuth())

    def renew(request: object, serve: Callable[[], Answer]) -> Answer:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", sky.access_key)
        return serve()

    sky.inject(Fault("renewed meanwhile", renew))
    assert read(client) == PARTS[0]
    assert [record.status for record in sky.requests] == [400, 206]


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_wrong_clock_is_corrected(tmp_path: Path, make_client: MakeClient, hours: int) -> None:
    """The server's Date corrects this machine's clock once, for all requests after."""
    with ObjectServer(tmp_path, clock=lambda: time.time() + hours * 3600) as server:
        server.put(BUCKET, "m31.fits", DATA)
        server.latency = 0.02
        pinned = make_client(server).pin(LOCATION)
        assert pinned.read_ranges(RANGES) == PARTS
        assert pinned.read_ranges(RANGES[:1]) == PARTS[:1]
        assert server.requests[-1].status == 206
        assert len(server.requests) <= 2 * len(RANGES) + 1


def test_credentials_that_cannot_be_refreshed_are_our_error(
    sky: ObjectServer, make_client: MakeClient
) -> None:
    """When botocore fails to renew what it found (a token server is down), the error is CredentialsError."""

    def refresh() -> Any:
        raise CredentialRetrievalError(provider="custom-process", error_msg="token server is down")

    soon = datetime.now(UTC) + timedelta(seconds=5)
    expiring = RefreshableCredentials(
        sky.access_key, sky.secret_key, None, soon, refresh, method="custom-process"
    )
    with pytest.raises(CredentialsError, match="token server is down"):
        read(make_client(sky, auth=aws.AWSAuth(credentials=expiring)))
