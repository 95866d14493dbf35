"""What a host name says: provider, region, addressing style. The only place that knows providers' hosts.

Pure: text in, values out. Decides nothing about credentials; `astro_cloud.auth.providers` does, and
relies on a host being recognised here by its exact suffix only.

Reference: Amazon S3 User Guide, "Virtual hosting of buckets" and "Amazon S3 endpoints".
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import urlsplit

__all__ = [
    "DEFAULT_REGION",
    "SIGNATURE_PARAMETERS",
    "Endpoint",
    "Provider",
    "endpoint_of",
    "host_of",
    "is_loopback",
    "is_presigned",
    "is_region",
    "netloc_of",
    "regional_url",
    "s3_host",
    "same_origin",
    "same_service",
]

DEFAULT_REGION = "us-east-1"
SIGNATURE_PARAMETERS = frozenset({"x-amz-signature", "x-goog-signature", "signature", "sig"})
"""Query parameters (lower case) whose presence means that a URL is signed."""

_REGION = r"(?!fips-)[a-z]{2,4}(?:-[a-z]+)+-\d+"
_S3_HOST = re.compile(
    rf"""(?:(?P<bucket>[^/@:]+)\.)?
    (?: s3(?:-accesspoint)?(?:-fips)?(?:\.dualstack)?\.(?P<region>{_REGION})
      | s3(?:-fips)?-(?P<legacy_region>{_REGION})
      | (?P<global> s3 | s3-external-1 | s3-accelerate(?:\.dualstack)?)
    )
    \.amazonaws\.com(?P<china>\.cn)?""",
    re.VERBOSE,
)


_SPACES_HOST = re.compile(r"(?:(?P<bucket>[^/@:]+)\.)?(?P<region>[a-z]{3}\d+)\.digitaloceanspaces\.com")
_GCS_HOST = re.compile(r"(?:(?P<bucket>[^/@:]+)\.)?storage\.googleapis\.com")
_AZURE_HOST = re.compile(
    r"[a-z0-9]{3,24}(?:-secondary)?(?:\.z\d\d)?\.blob\."
    r"(?:core\.windows\.net|storage\.azure\.net|core\.chinacloudapi\.cn|core\.usgovcloudapi\.net)"
)

Provider = Literal["aws", "spaces", "gcp", "azure"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A provider's host, taken apart.

    Attributes
    ----------
    provider : str
        ``"aws"``, ``"spaces"`` (DigitalOcean), ``"gcp"`` or ``"azure"``.
    region : str or None
        Named by the host, or None where it names none.
    style : {"path", "virtual-host"}
        Where the bucket stands: first segment of the path, or first labels of the host.
    bucket : str or None
        The bucket of a virtual-host address.
    """

    provider: Provider
    region: str | None
    style: Literal["path", "virtual-host"]
    bucket: str | None


@lru_cache(maxsize=256)
def endpoint_of(host: str) -> Endpoint | None:
    """Recognise a provider's host name (without port), or return None for any other host."""
    host = host.lower()
    if match := _S3_HOST.fullmatch(host):
        return _endpoint("aws", match["region"] or match["legacy_region"], match["bucket"])
    if match := _SPACES_HOST.fullmatch(host):
        return _endpoint("spaces", match["region"], match["bucket"])
    if match := _GCS_HOST.fullmatch(host):
        return _endpoint("gcp", None, match["bucket"])
    return _endpoint("azure", None, None) if _AZURE_HOST.fullmatch(host) else None


def _endpoint(provider: Provider, region: str | None, bucket: str | None) -> Endpoint:
    return Endpoint(provider, region, "path" if bucket is None else "virtual-host", bucket)


def s3_host(region: str | None) -> str:
    """Name S3's host in a region, or the one that knows every bucket's region."""
    if region is None:
        return "s3.amazonaws.com"
    return f"s3.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")


def is_region(name: str) -> bool:
    """Tell whether a name could be a region's, of any server that speaks S3."""
    return re.fullmatch(r"[A-Za-z0-9-]{1,64}", name) is not None


def regional_url(url: str, region: str) -> str:
    """Rewrite the URL of an S3 object so that it leads to `region`.

    Any other URL is returned as it is, and so is one for what is no region's name: a server that is
    asked where a bucket is must not be able to name a host.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    match = _S3_HOST.fullmatch(host)
    if match is None or not re.fullmatch(_REGION, region):
        return url
    if match["region"] or match["legacy_region"]:
        begin, end = match.span("region" if match["region"] else "legacy_region")
        there = host[:begin] + region + host[end:]
    else:
        there = f"{match['bucket']}.{s3_host(region)}" if match["bucket"] else s3_host(region)
    return url if there == host else parts._replace(netloc=there).geturl()


def netloc_of(url: str) -> str:
    """Spell ``host[:port]`` as HTTP clients send it in Host: no user, no default port, lower case."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    if parts.port is None or parts.port == {"http": 80, "https": 443}.get(parts.scheme):
        return host
    return f"{host}:{parts.port}"


def host_of(url: str) -> str:
    """Return the host name of a URL, lower case, without port; empty if there is none."""
    return urlsplit(url).hostname or ""


def is_presigned(url: str) -> bool:
    """Tell whether a URL carries its own signature in the query, so that no other may be added."""
    return not SIGNATURE_PARAMETERS.isdisjoint(
        part.partition("=")[0].lower() for part in urlsplit(url).query.split("&")
    )


def same_origin(url: str, other: str) -> bool:
    """Tell whether two URLs share scheme, host and port (RFC 6454, section 5)."""
    return urlsplit(url).scheme == urlsplit(other).scheme and netloc_of(url) == netloc_of(other)


def same_service(url: str, other: str) -> bool:
    """Tell whether what signs for `url` may sign for `other`.

    That is the same origin, or another host of the same provider, if it is not Azure, whose hosts are
    different people's accounts; and never less safe than before.
    """
    if same_origin(url, other):
        return True
    here, there = endpoint_of(host_of(url)), endpoint_of(host_of(other))
    if here is None or there is None or here.provider != there.provider or here.provider == "azure":
        return False
    return other.startswith("https:") or url.startswith("http:")


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine (RFC 6761, section 6.3, for ``localhost``)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
