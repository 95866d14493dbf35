"""Where an Azure connection string says its account is. Its secrets are `astro_cloud.auth.azure`'s. Pure.

Reference: Azure Storage, "Configure Azure Storage connection strings".
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from astro_cloud.auth.endpoints import endpoint_of, host_of, realm_of

__all__ = ["BlobEndpoint", "blob_endpoint"]

_EMULATOR_ACCOUNT = "devstoreaccount1"
_EMULATOR_PORT = 10_000


class BlobEndpoint(NamedTuple):
    """A storage account and the URL of its blob service, without a slash at its end."""

    account: str
    url: str


@lru_cache(maxsize=16)
def blob_endpoint(text: str) -> BlobEndpoint | None:
    """Read account and URL out of a connection string; None where it names none but Azure's own."""
    pairs = (part.partition("=") for part in text.split(";"))
    said = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if said.get("usedevelopmentstorage", "").lower() == "true":
        proxy = said.get("developmentstorageproxyuri", "http://127.0.0.1").rstrip("/")
        return BlobEndpoint(_EMULATOR_ACCOUNT, f"{proxy}:{_EMULATOR_PORT}/{_EMULATOR_ACCOUNT}")
    account, url, suffix = map(said.get, ("accountname", "blobendpoint", "endpointsuffix"))
    if url:
        account = account or _account_of(url)
        return BlobEndpoint(account, url.rstrip("/")) if account else None
    if account and suffix:
        scheme = said.get("defaultendpointsprotocol", "https").lower()
        return BlobEndpoint(account, f"{scheme}://{account}.blob.{suffix}")
    return None


def _account_of(url: str) -> str:
    """Return the account a blob service's URL names: in the host at Azure, in the path of an emulator."""
    host = host_of(url)
    if endpoint_of(host) is not None:  # the host may have a route in it, the account's name has none
        return (realm_of(host) or "").partition(".")[0]
    return urlsplit(url).path.strip("/")
