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
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

__all__ = [
    "DEFAULT_REGION",
    "GOOGLE_ENDPOINT",
    "SIGNATURE_PARAMETERS",
    "Endpoint",
    "Provider",
    "azure_host",
    "endpoint_of",
    "host_of",
    "is_loopback",
    "is_presigned",
    "is_region",
    "json_object",
    "netloc_of",
    "read_host",
    "realm_of",
    "region_of",
    "regional_url",
    "s3_host",
    "same_origin",
    "same_service",
]

DEFAULT_REGION = "us-east-1"
GOOGLE_ENDPOINT = "https://storage.googleapis.com"
_PORTS = {"http": 80, "https": 443}
SIGNATURE_PARAMETERS = frozenset({"x-amz-signature", "x-goog-signature", "signature", "sig"})
"""Query parameters (lower case) whose value is a signature, in a URL that is signed."""
_SIGV4 = frozenset({"x-amz-signature", "x-amz-credential"})
_SIGV2 = frozenset({"signature", "expires", "awsaccesskeyid"})
_GOOG4 = frozenset({"x-goog-signature", "x-goog-credential"})
_GOOG2 = frozenset({"signature", "expires", "googleaccessid"})
_SAS = frozenset({"sig", "sv"})
_CLOUDFRONT = frozenset({"signature", "key-pair-id"})
_SIGNED_BY = {
    "aws": (_SIGV4, _SIGV2),
    "spaces": (_SIGV4, _SIGV2),
    "gcp": (_GOOG4, _GOOG2, _SIGV4, _SIGV2),
    "azure": (_SAS,),
    None: (_SIGV4, _SIGV2, _GOOG4, _GOOG2, _SAS, _CLOUDFRONT),
}
"""Query parameters (lower case) all of which a signed URL has, by provider; at any other host, which may be
anybody's, each of the sets."""

_REGION = r"(?!fips-)[a-z]{2,4}(?:-[a-z]+)+-\d+"
_BUCKET = r"(?P<bucket>[A-Za-z0-9][A-Za-z0-9._-]*)"
_S3_HOST = re.compile(
    rf"""(?:{_BUCKET}\.)?
    (?: s3(?:-accesspoint)?(?:-fips)?(?:\.dualstack)?\.(?P<region>{_REGION})
      | s3(?:-fips)?-(?P<legacy_region>{_REGION})
      | (?P<global> s3 | s3-external-1 )
      | s3-accelerate(?:\.dualstack)?
    )
    \.amazonaws\.com(?P<china>\.cn)?""",
    re.VERBOSE,
)


_SPACES_HOST = re.compile(rf"(?:{_BUCKET}\.)?(?P<region>[a-z]{{3}}\d+)\.digitaloceanspaces\.com")
_GCS_HOST = re.compile(
    rf"(?:(?:{_BUCKET}\.)?storage | storage\.[a-z]+(?:-[a-z]+\d+)?\.rep)\.googleapis\.com", re.VERBOSE
)
_AZURE_HOST = re.compile(
    r"[a-z0-9]{3,24}(?:-(?:secondary|internetrouting|microsoftrouting)){0,2}(?:\.z\d\d)?\.blob\."
    r"(?:core\.windows\.net|storage\.azure\.net|core\.chinacloudapi\.cn|core\.usgovcloudapi\.net)"
)
_AZURE_ROUTE = re.compile(r"-(?:secondary|internetrouting|microsoftrouting)(?=[-.])")
_DFS = re.compile(r"(?P<account>[a-z0-9-]+(?:\.z\d\d)?)\.dfs\.(?P<cloud>.*)")
_CDN = re.compile(r"(?P<space>.+\.[a-z]{3}\d+)\.cdn\.digitaloceanspaces\.com")
_GOOGLE_LINKS = ("storage.cloud.google.com", "commondatastorage.googleapis.com")
_JSON_HOSTS = ("storage.googleapis.com", "www.googleapis.com")
_JSON_OBJECT = re.compile(r"/(?:download/)?storage/v1/b/(?P<bucket>[^/]+)/o/(?P<key>.+)", re.DOTALL)

_REGION_IN_HOST = re.compile(
    rf"""(?: .*\.(?P<amazon>{_REGION})\.(?:vpce\.)?(?:on\.aws|api\.aws|amazonaws\.com(?:\.cn)?)
      | (?:.*\.)?s3\.(?P<compatible>[a-z0-9-]+)\.(?:wasabisys\.com|backblazeb2\.com|scw\.cloud)
      | .*\.(?P<r2>r2)\.cloudflarestorage\.com
    )""",
    re.VERBOSE,
)
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:[^/?#\\@\s]*@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^/?#\\@:%\[\]\s\x00-\x20]+)(?::(?P<port>\d{0,5}))?(?=[/?#]|$)"
)
"""Scheme and authority (RFC 3986, section 3), less what programs read differently: behind a backslash,
white space or an escape in them, two parsers may see two hosts."""

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
    if not host.isascii():
        return None
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


def azure_host(account: str) -> str:
    """Name the host of a storage account in Azure's public cloud; a whole host name stays as it is."""
    return account.lower() if "." in account else f"{account.lower()}.blob.core.windows.net"


def read_host(host: str) -> str:
    """Name the host that serves, to a signed request too, what is linked at `host`.

    Data Lake's ``.dfs.`` is ``.blob.``; the edge of a Space's CDN is the Space, its origin; Google's
    host for browsers is ``storage.googleapis.com``. Any other host is itself. The hosts that others
    stand for are no provider's to `endpoint_of`: nothing signed is sent to them.
    """
    host = host.lower()
    if match := _CDN.fullmatch(host):
        other = f"{match['space']}.digitaloceanspaces.com"
    elif match := _DFS.fullmatch(host):
        other = f"{match['account']}.blob.{match['cloud']}"
    else:
        return "storage.googleapis.com" if host in _GOOGLE_LINKS else host
    return other if endpoint_of(other) is not None else host


def json_object(host: str, path: str) -> tuple[str, str, str] | None:
    """Read host, bucket and key, still encoded, out of a URL of Google's JSON API; None for any other."""
    match = _JSON_OBJECT.fullmatch(path) if host in _JSON_HOSTS else None
    return ("storage.googleapis.com", match["bucket"], match["key"]) if match else None


def realm_of(host: str) -> str | None:
    """Name what a bucket's name is unique in, the same for all hosts that lead to one bucket.

    Returns
    -------
    str or None
        Amazon's partition (``"aws"``, ``"aws-cn"``, ``"aws-us-gov"``), or the regional host of access
        points; a Space's data centre; an Azure account's host; ``""`` at Google, where there is one
        namespace. None for a host that is no provider's.
    """
    endpoint = endpoint_of(host)
    if endpoint is None:
        return None
    if endpoint.provider == "azure":
        return _AZURE_ROUTE.sub("", host.lower())
    if endpoint.provider == "aws":
        if "s3-accesspoint" in host.lower().removeprefix(endpoint.bucket or ""):
            return f"s3-accesspoint.{endpoint.region}"
        return _partition_of(host)
    return endpoint.region or ""


def _partition_of(host: str) -> str:
    """Name the part of Amazon that a host of S3's is in; what signs in one is unknown in the others."""
    endpoint = endpoint_of(host)
    region = endpoint.region if endpoint is not None else None
    return _partition(region or ("cn-" if host.lower().endswith(".cn") else ""))


def _partition(region: str) -> str:
    return next((f"aws-{name[:-1]}" for name in ("cn-", "us-gov-") if region.startswith(name)), "aws")


def is_region(name: str) -> bool:
    """Tell whether a name could be a region's, of any server that speaks S3."""
    return re.fullmatch(r"[A-Za-z0-9-]{1,64}", name) is not None


def region_of(host: str) -> str | None:
    """Return the region that a host names, of Amazon's other services and of stores that speak S3."""
    match = _REGION_IN_HOST.fullmatch(host.lower())
    if match is None:
        return None
    return "auto" if match["r2"] else match["amazon"] or match["compatible"]


def regional_url(url: str, region: str) -> str:
    """Rewrite the URL of an S3 object so that it leads to `region`.

    Any other URL is returned as it is, and so is one for what is no region's name (a server that is
    asked where a bucket is must not be able to name a host), one of another partition, and one of a
    host that leads to every region.
    """
    parts = urlsplit(url)
    host = host_of(url)
    match = _S3_HOST.fullmatch(host)
    if match is None or not re.fullmatch(_REGION, region):
        return url
    if _partition(region) != _partition_of(host):
        return url
    if match["region"] or match["legacy_region"]:
        begin, end = match.span("region" if match["region"] else "legacy_region")
        there = host[:begin] + region + host[end:]
    elif match["global"]:
        there = f"{match['bucket']}.{s3_host(region)}" if match["bucket"] else s3_host(region)
    else:
        return url
    return url if there == host else parts._replace(netloc=there).geturl()


class _Origin(NamedTuple):
    scheme: str
    host: str
    port: int | None


@lru_cache(maxsize=256)
def _origin(url: str) -> _Origin | None:
    """Take scheme, host and port (None where it is the scheme's own) off a URL; None if they are unclear."""
    match = _URL.match(url)
    if match is None:
        return None
    scheme, port = match["scheme"].lower(), int(match["port"]) if match["port"] else None
    if port is not None and port > 65_535:
        return None
    return _Origin(scheme, match["host"].lower(), None if port == _PORTS.get(scheme) else port)


def netloc_of(url: str) -> str:
    """Spell ``host[:port]`` as HTTP clients send it in Host: no user, no default port, lower case."""
    origin = _origin(url)
    if origin is None:
        return ""
    return origin.host if origin.port is None else f"{origin.host}:{origin.port}"


def host_of(url: str) -> str:
    """Return the host name of a URL, lower case, without port or brackets.

    Empty if there is none, and for a URL that other programs might read another host out of.
    """
    origin = _origin(url)
    return origin.host.strip("[]") if origin is not None else ""


def is_presigned(url: str) -> bool:
    """Tell whether a URL carries its own signature in the query, so that no other may be added.

    That is all that its host's provider wants beside a signature: a ``signature=`` alone may be anything.
    """
    endpoint = endpoint_of(host_of(url))
    names = {part.partition("=")[0].lower() for part in urlsplit(url).query.split("&")}
    return any(signed <= names for signed in _SIGNED_BY[endpoint.provider if endpoint is not None else None])


def same_origin(url: str, other: str) -> bool:
    """Tell whether two URLs share scheme, host and port (RFC 6454, section 5)."""
    here = _origin(url)
    return here is not None and here == _origin(other)


def same_service(url: str, other: str) -> bool:
    """Tell whether what signs for `url` may sign for `other`.

    That is the same origin, or another host of the same provider (at Amazon, of the same partition), if
    it is not Azure, whose hosts are different people's accounts; and never less safe than before.
    """
    if same_origin(url, other):
        return True
    here, there = endpoint_of(host_of(url)), endpoint_of(host_of(other))
    if here is None or there is None or here.provider != there.provider or here.provider == "azure":
        return False
    if here.provider == "aws" and _partition_of(host_of(url)) != _partition_of(host_of(other)):
        return False
    # Both have an origin, as their hosts are known.
    return _origin(other).scheme == "https" or _origin(url).scheme == "http"  # type: ignore[union-attr]


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine (RFC 6761, section 6.3, for ``localhost``)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
