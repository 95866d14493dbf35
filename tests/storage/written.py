"""Stores as those see them who did not write there: what is kept, read by other means than ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote
from xml.etree import ElementTree

from astro_cloud.testing import ObjectServer
from tests.servers import azurite, stores
from tests.servers.azurite import RunningAzurite
from tests.servers.process import RunningServer
from tests.servers.signed import Server, ask
from tests.servers.stores import Store

__all__ = ["Written", "of_azurite", "of_object_server", "of_s3", "unfinished_s3"]

BUCKET = "uploads"


@dataclass(frozen=True)
class Written:
    """A store, and what is in it.

    Attributes
    ----------
    store : Store
    get : callable
        Given a key, returns the bytes of its object.
    unfinished : callable
        Returns the keys of uploads that were begun and not ended.
    """

    store: Store
    get: Callable[[str], bytes]
    unfinished: Callable[[], list[str]]


def of_s3(server: RunningServer) -> Written:
    """Return a real S3 server as a store to write to."""
    return Written(
        stores.of_s3(server, BUCKET),
        lambda key: ask(server, "GET", f"/{BUCKET}/{quote(key)}").body,
        lambda: unfinished_s3(server),
    )


def of_object_server(server: ObjectServer) -> Written:
    """Return our own server as a store to write to."""
    return Written(
        stores.of_object_server(server, BUCKET),
        lambda key: server.path(BUCKET, key).read_bytes(),
        lambda: unfinished_s3(server),
    )


def of_azurite(server: RunningAzurite) -> Written:
    """Return Azurite as a store to write to; what is unfinished there, Azure forgets by itself."""
    return Written(
        stores.of_azurite(server, BUCKET),
        lambda key: azurite.ask(server, "GET", f"/{BUCKET}/{quote(key)}"),
        list,
    )


def unfinished_s3(server: Server) -> list[str]:
    """Return the keys of a server's uploads that were not ended."""
    listing = ElementTree.fromstring(ask(server, "GET", f"/{BUCKET}?uploads=").body)
    return [element.text or "" for element in listing.iterfind(".//{*}Upload/{*}Key")]
