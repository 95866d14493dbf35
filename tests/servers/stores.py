"""Every server alike: put a key there by other means than ours, and know how it is to be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest

from astro_cloud.auth.aws import AWSAuth
from astro_cloud.auth.azure import AzureAuth
from astro_cloud.testing import ObjectServer
from tests.servers import azurite
from tests.servers.azurite import RunningAzurite
from tests.servers.caddy import RunningWebServer
from tests.servers.fake_gcs import RunningFakeGCS
from tests.servers.process import RunningServer
from tests.servers.signed import ask

__all__ = ["Store", "named_server", "of_azurite", "of_fake_gcs", "of_object_server", "of_s3", "of_web_server"]

BUCKET = "contract"


@dataclass(frozen=True)
class Store:
    """A server with one bucket.

    Attributes
    ----------
    name : str
        Of the server.
    root : str
        What a key is appended to make its location.
    put : callable
        Keep bytes under a key.
    settings : mapping
        What `Settings` of a client that reads there takes.
    auth : requests auth or None
        What signs there; None for nobody, or whoever is inferred.
    quotes : bool
        Whether the location is a URL, in which keys are percent-encoded.
    """

    name: str
    root: str
    put: Callable[[str, bytes], object]
    settings: Mapping[str, Any] = field(default_factory=dict)
    auth: Any = None
    quotes: bool = False

    def location(self, key: str) -> str:
        """Return the location of a key."""
        return self.root + (quote(key) if self.quotes else key)


@contextmanager
def named_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Give the server that the parameter of a module's fixture names, by the name of its own fixture."""
    if request.param == "object_server":  # the fixture of that name is for one test
        with ObjectServer(tmp_path_factory.mktemp("objects")) as server:
            yield server
    else:
        yield request.getfixturevalue(request.param)


def of_s3(server: RunningServer, bucket: str = BUCKET) -> Store:
    """Return a real S3 server as a store."""
    ask(server, "PUT", f"/{bucket}")
    return Store(
        server.name,
        f"s3://{bucket}/",
        lambda key, content: ask(server, "PUT", f"/{bucket}/{quote(key)}", content),
        {"endpoint_url": server.url},
        AWSAuth(access_key=server.access_key, secret_key=server.secret_key, region=server.region),
    )


def of_object_server(server: ObjectServer, bucket: str = BUCKET) -> Store:
    """Return our own server as a store."""
    return Store(
        "object_server",
        f"s3://{bucket}/",
        lambda key, content: server.put(bucket, key, content),
        {"endpoint_url": server.url},
        AWSAuth(access_key=server.access_key, secret_key=server.secret_key, region=server.region),
    )


def of_azurite(server: RunningAzurite, bucket: str = BUCKET) -> Store:
    """Return Azurite as a store."""
    azurite.ask(server, "PUT", f"/{bucket}", "restype=container")
    return Store(
        "azurite",
        f"az://{server.account}/{bucket}/",
        lambda key, content: azurite.ask(
            server, "PUT", f"/{bucket}/{quote(key)}", headers={"x-ms-blob-type": "BlockBlob"}, body=content
        ),
        {"endpoint_url": server.url},
        AzureAuth(account=server.account, key=server.key),
    )


def of_fake_gcs(server: RunningFakeGCS, bucket: str = BUCKET) -> Store:
    """Return fake-gcs-server as a store; it checks no signature."""
    return Store(
        "fake_gcs",
        f"gs://{bucket}/",
        lambda key, content: server.put(bucket, key, content),
        {"endpoint_url": server.url},
    )


def of_web_server(server: RunningWebServer, bucket: str = BUCKET) -> Store:
    """Return a web server as a store; it knows nobody."""
    return Store(
        server.name,
        f"{server.url}/{bucket}/",
        lambda key, content: server.put(f"{bucket}/{key}", content),
        quotes=True,
    )
