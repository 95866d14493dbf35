"""The ``http://`` and ``https://`` URLs of objects, each form taken apart into one `ObjectAddress`.

Pure but for the environment, where an endpoint may be configured. What a host name says is known by
`astro_cloud.auth.endpoints` alone.

Reference: Amazon S3 User Guide, "Virtual hosting of buckets"; Google Cloud Storage, "Request
endpoints"; DigitalOcean Spaces API reference; Azure Storage, "Naming and referencing containers, blobs,
and metadata".
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, quote, unquote, urlsplit

from astro_cloud.auth import endpoints
from astro_cloud.auth.sigv4 import wire_query
from astro_cloud.exceptions import InvalidLocationError
from astro_cloud.storage.bucket import Bucket, ObjectAddress, at_endpoint, endpoint_parts
from astro_cloud.storage.masking import shown
from astro_cloud.storage.settings import Settings

__all__ = ["checked_url", "of_url"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_VERSION_PARAMETERS: dict[endpoints.Provider, tuple[str, ...]] = {
    "aws": ("versionId",),
    "spaces": ("versionId",),
    "gcp": ("generation",),
    "azure": ("versionid", "snapshot"),
}


def checked_url(text: str) -> SplitResult:
    """Split an ``http://`` or ``https://`` URL that every program reads alike.

    Raises
    ------
    InvalidLocationError
        If it is no URL, or one whose host is not clear.
    """
    try:
        text.encode()
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except UnicodeEncodeError:
        raise InvalidLocationError(f"{shown(text)!a} is not text that UTF-8 can spell") from None
    except ValueError as error:
        raise InvalidLocationError(f"{shown(text)!r} is not a URL: {error}") from None
    if _CONTROL.search(text):
        raise InvalidLocationError(
            f"{shown(text)!r} is not a URL: it holds a control character; percent-encode it"
        )
    if not host:
        raise InvalidLocationError(f"{shown(text)!r} names no host")
    if not endpoints.host_of(text):
        raise InvalidLocationError(f"{shown(text)!r} is not a URL: its host can be read in two ways")
    return parts


def of_url(text: str, settings: Settings, *, prefix: bool) -> ObjectAddress | None:
    """Take apart a URL of a provider or of a configured endpoint; None for plain HTTP and signed URLs."""
    parts = checked_url(text)
    if endpoints.is_presigned(text):
        return None
    host = endpoints.host_of(text)
    read = endpoints.read_host(host)
    if (found := endpoints.json_object(host, parts.path)) is not None:
        there, name, key = found
        return _of_json(text, parts._replace(netloc=there), name, key)
    endpoint = endpoints.endpoint_of(read)
    if endpoint is None:
        return _of_configured(text, parts, settings, prefix)
    if read != host:
        parts = parts._replace(netloc=read, query=_without_browser_parameters(parts.query))
    realm = endpoints.realm_of(read) or ""
    if endpoint.bucket is not None:
        place = Bucket(endpoint.provider, realm, endpoint.bucket, f"{parts.scheme}://{parts.netloc}", "")
        return _address(text, place, parts.path[1:], parts.query, prefix)
    return _by_path(text, parts, "", endpoint.provider, realm, prefix)


def _of_configured(text: str, parts: SplitResult, settings: Settings, prefix: bool) -> ObjectAddress | None:
    for provider, endpoint in settings.endpoints():
        base = endpoint_parts(endpoint).path.rstrip("/")
        if not endpoints.same_origin(text, endpoint) or not (parts.path + "/").startswith(base + "/"):
            continue
        found = endpoints.json_object("storage.googleapis.com", parts.path) if provider == "gcp" else None
        if found is not None:
            return _of_json(text, parts, found[1], found[2], settings.gcs_endpoint())
        realm = f"{parts.scheme}://{endpoints.netloc_of(endpoint)}{base}"
        return _by_path(text, parts, base, provider, realm, prefix)
    return None


def _by_path(
    text: str, parts: SplitResult, base: str, provider: endpoints.Provider, realm: str, prefix: bool
) -> ObjectAddress:
    encoded, slash, key = parts.path[len(base) + 1 :].partition("/")
    if provider == "azure" and encoded and not slash and not prefix:
        encoded, key = "$root", encoded
    name = _decoded(encoded, text)
    if name in ("", ".", "..") or "/" in name:
        raise InvalidLocationError(f"{shown(text)!r} names no object: bucket and key are needed")
    place = Bucket(provider, realm, name, f"{parts.scheme}://{parts.netloc}", f"{base}/{quote(name)}")
    return _address(text, place, key, parts.query, prefix)


def _of_json(
    text: str, parts: SplitResult, name: str, key: str, endpoint: str | None = None
) -> ObjectAddress:
    parameters = [part.partition("=") for part in parts.query.split("&")]
    if ("alt", "=", "media") not in parameters:
        raise InvalidLocationError(f"{shown(text)!r} is an object's metadata: add ?alt=media for its data")
    kept = [part for part in parameters if part[0] in ("generation", "userProject")]
    query = "&".join("".join(part) for part in kept)
    origin = endpoint or f"{parts.scheme}://{parts.netloc}"
    return _address(text, at_endpoint("gcp", origin, _decoded(name, text), None), key, query, prefix=False)


def _address(text: str, place: Bucket, key: str, query: str, prefix: bool) -> ObjectAddress:
    if not key and not prefix:
        raise InvalidLocationError(f"{shown(text)!r} names no object: bucket and key are needed")
    version, rest = _split_query(place.provider, query)
    return ObjectAddress(place, _decoded(key, text), version, wire_query(rest))


def _split_query(provider: endpoints.Provider, query: str) -> tuple[tuple[str, str] | None, str]:
    version, rest = None, []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        name = name.lower() if provider == "azure" else name
        if version is None and value and name in _VERSION_PARAMETERS[provider]:
            version = (name, unquote(value.replace("+", " ")))
        else:
            rest.append(part)
    return version, "&".join(rest)


def _without_browser_parameters(query: str) -> str:
    return "&".join(part for part in query.split("&") if not part.startswith("authuser="))


def _decoded(encoded: str, text: str) -> str:
    try:
        return unquote(encoded, errors="strict")
    except UnicodeDecodeError:
        raise InvalidLocationError(f"{shown(text)!r}: the key is not percent-encoded UTF-8") from None
