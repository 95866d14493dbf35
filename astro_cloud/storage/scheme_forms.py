"""``s3://``, ``gs://``, ``az://`` and ``abfs://``: each taken apart into one `ObjectAddress`.

The key stands as it is, never percent-decoded. Pure but for the environment, where an endpoint may be
configured.

Reference: for ``abfs://``, Azure Storage, "Use the Azure Data Lake Storage URI".
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

from astro_cloud.auth import endpoints
from astro_cloud.exceptions import InvalidLocationError
from astro_cloud.storage.bucket import Bucket, ObjectAddress, at_endpoint
from astro_cloud.storage.masking import shown
from astro_cloud.storage.settings import Settings

__all__ = ["SCHEMES", "of_scheme", "split_version"]

_VIRTUAL_HOST_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_BUCKET = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,255}")
_CONTAINER = re.compile(r"\$?[A-Za-z0-9-]{1,63}")
_ACCOUNT = re.compile(r"[A-Za-z0-9-]{1,63}")
_AZURE_VERSION = re.compile(r"\?(?P<name>versionid|snapshot)=(?P<value>[0-9A-Za-z:.%-]+)\Z")
_VERSION_SUFFIX = {
    "s3": re.compile(r"\?(?P<name>versionId)=(?P<value>[A-Za-z0-9._~-]+)\Z"),
    "gs": re.compile(r"(?:\?(?P<name>generation)=(?P<value>\d+)|#(?P<number>\d{10,}))\Z", re.ASCII),
    "az": _AZURE_VERSION,
    "abfs": _AZURE_VERSION,
    "abfss": _AZURE_VERSION,
}
SCHEMES = {
    "s3": "s3://bucket/key",
    "gs": "gs://bucket/key",
    "az": "az://account/container/key",
    "abfs": "abfs://container@account/key",
    "abfss": "abfss://container@account/key",
}
"""How a location of each scheme is written."""


class _Written(NamedTuple):
    text: str
    scheme: str
    whole: bool
    """A key is needed: this is to be an object, not the beginning of keys."""

    def error(self, says: str) -> InvalidLocationError:
        return InvalidLocationError(f"{shown(self.text)!r}{says}: write {SCHEMES[self.scheme]}")


def split_version(scheme: str, rest: str) -> tuple[str, tuple[str, str] | None]:
    """Take the version off the end of what follows a scheme; there is no other query and no encoding."""
    match = _VERSION_SUFFIX[scheme].search(rest)
    if match is None:
        return rest, None
    name = match["name"] or "generation"
    value = match["value"] or match["number"]
    return rest[: match.start()], (name, unquote(value))


def of_scheme(text: str, settings: Settings, *, prefix: bool) -> ObjectAddress:
    """Take apart a location of one of `SCHEMES`.

    Raises
    ------
    InvalidLocationError
        If it names no object (with `prefix`: no bucket), or cannot be a name.
    """
    spelled, _, rest = text.partition("://")
    written = _Written(text, spelled.lower(), not prefix)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidLocationError(f"{shown(text)!a}: the key is not text that UTF-8 can spell") from None
    rest, version = split_version(written.scheme, rest)
    if written.scheme in ("s3", "gs"):
        name, _, key = rest.partition("/")
        _check(written, name, key, _BUCKET, "bucket")
        at = _s3_bucket if written.scheme == "s3" else _google_bucket
        return ObjectAddress(at(name, settings, f"{spelled}://{name}/"), key, version)
    account, container, key, before = _azure_names(written, rest)
    _check(written, container, key, _CONTAINER, "container")
    return ObjectAddress(
        _azure_bucket(written, account, container, settings, f"{spelled}://{before}/"), key, version
    )


def _check(written: _Written, name: str, key: str, names: re.Pattern[str], what: str) -> None:
    if not name or (written.whole and not key):
        raise written.error(" names no object" if written.whole else f" names no {what}")
    if not names.fullmatch(name):
        raise written.error(f": this cannot be the name of a {what}")


def _s3_bucket(name: str, settings: Settings, before: str) -> Bucket:
    endpoint = settings.s3_endpoint()
    if endpoint is not None:
        return at_endpoint("aws", endpoint, name, before)
    host = endpoints.s3_host(settings.region)
    realm = endpoints.realm_of(host) or ""
    if _VIRTUAL_HOST_BUCKET.fullmatch(name):
        return Bucket("aws", realm, name, f"https://{name}.{host}", "", before)
    return Bucket("aws", realm, name, f"https://{host}", f"/{name}", before)


def _google_bucket(name: str, settings: Settings, before: str) -> Bucket:
    return at_endpoint("gcp", settings.gcs_endpoint() or endpoints.GOOGLE_ENDPOINT, name, before)


def _azure_names(written: _Written, rest: str) -> tuple[str, str, str, str]:
    """Return account, container, key, and what was written before the key."""
    authority, _, path = rest.partition("/")
    container, at, account = authority.rpartition("@")
    if at:
        return account, container, path, authority
    if written.scheme != "az":
        raise written.error(" names no container")
    container, _, key = path.partition("/")
    return authority, container, key, f"{authority}/{container}"


def _azure_bucket(written: _Written, account: str, container: str, settings: Settings, before: str) -> Bucket:
    endpoint = settings.azure_endpoint(account.partition(".")[0])
    if endpoint is not None and _ACCOUNT.fullmatch(account.partition(".")[0]):
        return at_endpoint("azure", endpoint, container, before)
    host = endpoints.read_host(endpoints.azure_host(account))
    found = endpoints.endpoint_of(host)
    if found is None or found.provider != "azure":
        raise written.error(": this cannot be the name of a storage account")
    return at_endpoint("azure", f"https://{host}", container, before)
