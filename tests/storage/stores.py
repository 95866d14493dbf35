"""Every kind of real store, as tests of listings see it: how to put an object, name a bucket, read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from astro_cloud.auth.azure import AzureAuth
from astro_cloud.auth.providers import Anonymous
from astro_cloud.storage import Client, Settings
from tests.auth.odd_keys import plain_path
from tests.servers import azurite, ceph, rclone
from tests.servers.signed import ask
from tests.storage.reading import auth_of

STORES = ["swift", *(["ceph"] if ceph.installed() else []), "rclone", "azurite", "fake-gcs"]


@dataclass(frozen=True)
class Store:
    """A running store.

    `base` is what a location begins with, up to the bucket; `keeps` tells whether it takes a key;
    `pages` whether it cuts a listing into pages as small as it is told.
    """

    name: str
    base: str
    endpoint_url: str
    auth: Any
    make_bucket: Callable[[str], object]
    put: Callable[[str, str, bytes], object]
    keeps: Callable[[str], bool] = lambda key: True
    pages: bool = True

    def client(self, **options: Any) -> Client:
        """Make a client with the store's credentials."""
        return Client(auth=self.auth, settings=Settings(endpoint_url=self.endpoint_url, **options))

    def location(self, bucket: str, key: str = "") -> str:
        """Write a location."""
        return f"{self.base}{bucket}/{key}"


def store_of(request: pytest.FixtureRequest) -> Store:
    """Return the store that a fixture's parameter, one of `STORES`, names."""
    if request.param == "azurite":
        server = request.getfixturevalue("azurite_server")
        return Store(
            "azurite",
            f"az://{server.account}/",
            server.url,
            AzureAuth(account=server.account, key=server.key),
            lambda bucket: azurite.ask(server, "PUT", f"/{bucket}", "restype=container"),
            lambda bucket, key, data: azurite.ask(
                server, "PUT", plain_path(bucket, key), headers={"x-ms-blob-type": "BlockBlob"}, body=data
            ),
            lambda key: "\\" not in key,  # as Azure itself, it makes a slash of it
        )
    if request.param == "fake-gcs":
        google = request.getfixturevalue("fake_gcs_server")
        return Store(
            "fake-gcs", "gs://", google.url, Anonymous(), lambda bucket: None, google.put, pages=False
        )
    s3 = request.getfixturevalue(f"{request.param}_server")
    return Store(
        request.param,
        "s3://",
        s3.url,
        auth_of(s3),
        lambda bucket: ask(s3, "PUT", f"/{bucket}"),
        lambda bucket, key, data: ask(s3, "PUT", plain_path(bucket, key), data),
        rclone.keeps if request.param == "rclone" else lambda key: True,
    )
