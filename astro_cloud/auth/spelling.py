"""A URL as it is sent and signed, and what it says of where it leads. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from astro_cloud.auth import endpoints, sigv4

__all__ = ["Spelled", "spelled"]


class Spelled(NamedTuple):
    """One URL, respelled.

    Attributes
    ----------
    url : str
        As it goes over the wire, so that what is signed is what is sent.
    path, query : str
        Canonical.
    host : str
        As the Host header will be.
    region : str or None
        Named by the host.
    bucket : str
        The host, and the first segment of the path unless the host names the bucket: what a learnt
        region holds for.
    """

    url: str
    path: str
    query: str
    host: str
    region: str | None
    bucket: str


@lru_cache(maxsize=256)
def spelled(url: str, service: str) -> Spelled:
    """Respell a URL for a service (``"s3"`` takes its path literally); kept, as many requests repeat it."""
    parts = urlsplit(url)
    path, query = parts.path or "/", sigv4.wire_query(parts.query)
    if service == "s3":
        path = sigv4.wire_path(path)
    endpoint = endpoints.endpoint_of(endpoints.host_of(url))
    host = bucket = endpoints.netloc_of(url)
    user, at, _ = parts.netloc.rpartition("@")
    # Through a proxy, Host is the authority as it stands in the URL: an explicit :80 would be in it.
    netloc = user + at + host if host else parts.netloc
    if endpoint is None or endpoint.style == "path":
        bucket += "/" + path[1:].partition("/")[0]
    return Spelled(
        url=parts._replace(netloc=netloc, path=path, query=query, fragment="").geturl(),
        path=sigv4.canonical_uri(path, normalize=service != "s3"),
        query=sigv4.canonical_query_string(query),
        host=host,
        region=endpoint.region if endpoint is not None else endpoints.region_of(endpoints.host_of(url)),
        bucket=bucket,
    )
