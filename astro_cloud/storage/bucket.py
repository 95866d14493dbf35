"""A bucket and the objects in it, as URLs: what every form of a location comes down to. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

from astro_cloud.auth import endpoints
from astro_cloud.auth.endpoints import Provider
from astro_cloud.auth.sigv4 import wire_path
from astro_cloud.exceptions import InvalidLocationError
from astro_cloud.storage.masking import shown

__all__ = ["Bucket", "ObjectAddress", "at_endpoint", "endpoint_parts"]


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, or an Azure container, and how it is addressed.

    Attributes
    ----------
    provider : str
        As `Location` has it.
    realm : str
        What the name is unique in: a partition, data centre, account or endpoint.
    name : str
        Decoded.
    origin : str
        ``scheme://host[:port]`` of its URL.
    path : str
        The rest of its URL, percent-encoded: empty, or a slash and more.
    written : str or None
        What the user wrote before the key, with the slash, if that was no URL: ``s3://bucket/``.
    """

    provider: Provider
    realm: str
    name: str
    origin: str
    path: str
    written: str | None = None

    @property
    def url(self) -> str:
        """The bucket's URL, without a slash at its end."""
        return self.origin + self.path


@dataclass(frozen=True, slots=True)
class ObjectAddress:
    """One object of a bucket, or what begins with `key`.

    Attributes
    ----------
    bucket : Bucket
    key : str
        Decoded; empty for the bucket itself.
    version : tuple of (str, str) or None
        The query parameter that names one version, and its decoded value.
    query : str
        All other parameters of a URL, percent-encoded.
    """

    bucket: Bucket
    key: str
    version: tuple[str, str] | None = None
    query: str = ""

    @property
    def url(self) -> str:
        """The URL to read, spelt so that nobody on the way changes the key."""
        version = "{}={}".format(self.version[0], quote(self.version[1], safe="")) if self.version else ""
        query = "&".join(filter(None, (self.query, version)))
        url = self.bucket.origin + wire_path(f"{self.bucket.path}/{quote(self.key)}")
        return f"{url}?{query}" if query else url

    @property
    def identity(self) -> tuple[str, ...]:
        """What is the same for every form of the same object, and for nothing else."""
        bucket = self.bucket
        return (bucket.provider, bucket.realm, bucket.name, self.key, *(self.version or ("", "")), self.query)


def at_endpoint(provider: Provider, endpoint: str, name: str, before: str | None) -> Bucket:
    """Address a bucket path-style; at a known host as what that host is, if it is the scheme's at all."""
    parts = endpoint_parts(endpoint)
    base = parts.path.rstrip("/")
    host = endpoints.read_host(endpoints.host_of(endpoint))
    netloc = parts.netloc if host == endpoints.host_of(endpoint) else host
    known = endpoints.endpoint_of(host)
    realm = f"{parts.scheme}://{endpoints.netloc_of(endpoint)}{base}"
    if known is not None and (
        known.provider == provider or (provider == "aws" and known.provider != "azure")
    ):
        provider, realm = known.provider, endpoints.realm_of(host) or ""
    return Bucket(provider, realm, name, f"{parts.scheme}://{netloc}", f"{base}/{quote(name)}", before)


def endpoint_parts(endpoint: str) -> SplitResult:
    """Split the URL of an endpoint; raises `InvalidLocationError` if it is none."""
    try:
        parts = urlsplit(endpoint)
        good = parts.scheme in ("http", "https") and bool(endpoints.host_of(endpoint)) and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment:
        raise InvalidLocationError(
            f"the endpoint {shown(endpoint)!r} is not a URL: write https://host or http://host:port"
        )
    return parts
