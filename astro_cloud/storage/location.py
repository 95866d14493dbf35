"""Locations: what a user writes for an object, and the URL its bytes are read from.

Pure but for the environment, where a configured endpoint may stand. Credentials are no business of
this module; `astro_cloud.auth.providers` decides on them from the URL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from astro_cloud.auth import endpoints
from astro_cloud.auth.sigv4 import wire_path, wire_query
from astro_cloud.exceptions import InvalidLocationError
from astro_cloud.storage.settings import Settings

__all__ = ["Location"]

_SECRET_PARAMETER = re.compile(
    r"(?i)(?<=[?&])((?:x-(?:amz|goog)-(?:signature|credential|security-token)|signature|sig|awsaccesskeyid"
    r"|googleaccessid|[a-z_-]*token)=)[^&#\s'\"]*"
)
_USER = re.compile(r"(?<=://)[^/?#\s]*@")
_VIRTUAL_HOST_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_LATER = {"gs": "Google Cloud Storage", "az": "Azure", "abfs": "Azure", "abfss": "Azure", "file": "local"}


@dataclass(frozen=True)
class Location:
    """One object.

    Attributes
    ----------
    text : str
        As the user wrote it, with passwords, tokens and signatures masked.
    url : str
        The URL the object is read from, percent-encoded; may hold what `text` masks.
    provider : {"aws", "spaces", "gcp", "azure", None}
        ``"aws"`` for S3 and servers spoken to as S3; None for plain HTTP.
    bucket, key : str or None
        Decoded names, where `provider` is not None.

    Notes
    -----
    Two locations are equal if they are read from the same URL.
    """

    text: str = field(compare=False)
    url: str
    provider: endpoints.Provider | None = None
    bucket: str | None = None
    key: str | None = None

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Location({self.text!r})"

    @classmethod
    def parse(cls, text: str | Location, settings: Settings | None = None) -> Location:
        """Understand what a user wrote.

        Parameters
        ----------
        text : str or Location
            ``s3://bucket/key`` (the key as it is, never percent-decoded); ``https://`` URLs of S3,
            path-style or virtual-host; any other ``http://`` or ``https://`` URL.
        settings : Settings, optional
            Where ``s3://`` leads: an S3-compatible endpoint, a region.

        Raises
        ------
        InvalidLocationError
            If it names no object, or its scheme is unknown.
        """
        if isinstance(text, Location):
            return text
        if not isinstance(text, str):
            raise InvalidLocationError(
                f"a location is text, not {type(text).__name__}: write s3://bucket/key"
            )
        settings = settings or Settings()
        scheme, separator, rest = text.partition("://")
        scheme = scheme.lower()
        if separator and scheme == "s3":
            return _from_s3(text, rest, settings)
        if separator and scheme in ("http", "https"):
            return _from_url(text, settings)
        raise InvalidLocationError(_complaint(text, scheme if separator else ""))


def _complaint(text: str, scheme: str) -> str:
    forms = "write s3://bucket/key, or an https:// or http:// URL"
    if scheme in _LATER:
        return f"{masked(text)}: {scheme}:// ({_LATER[scheme]}) is not read by this version; {forms}"
    return f"{masked(text)!r} is not a location: {forms}"


def masked(text: str) -> str:
    """Return a URL without its password, and with the values of signing parameters hidden."""
    return _SECRET_PARAMETER.sub(r"\1***", _USER.sub("***@", text))


def _from_s3(text: str, rest: str, settings: Settings) -> Location:
    bucket, _, key = rest.partition("/")
    if not bucket or not key:
        raise InvalidLocationError(f"{text!r} names no object: write s3://bucket/key")
    try:
        quoted = quote(key)
    except UnicodeEncodeError:
        raise InvalidLocationError(f"{text!a}: the key is not text that UTF-8 can spell") from None
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,255}", bucket):
        raise InvalidLocationError(f"{text!r}: {bucket!r} cannot be the name of a bucket")
    endpoint = settings.s3_endpoint()
    if endpoint is not None:
        _check_endpoint(endpoint)
        base, path = endpoint, f"/{bucket}/{quoted}"
    elif _VIRTUAL_HOST_BUCKET.fullmatch(bucket):
        base, path = f"https://{bucket}.{endpoints.s3_host(settings.region)}", f"/{quoted}"
    else:
        base, path = f"https://{endpoints.s3_host(settings.region)}", f"/{bucket}/{quoted}"
    return Location(text, base + wire_path(path), "aws", bucket, key)


def _check_endpoint(endpoint: str) -> None:
    try:
        parts = urlsplit(endpoint)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise InvalidLocationError(
            f"the endpoint {masked(endpoint)!r} is not a URL: write https://host or http://host:port"
        )


def _from_url(text: str, settings: Settings) -> Location:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidLocationError(f"{masked(text)!r} is not a URL: {error}") from None
    if not host:
        raise InvalidLocationError(f"{masked(text)!r} names no host")
    endpoint = endpoints.endpoint_of(host)
    configured = settings.s3_endpoint()
    at_configured = configured is not None and endpoints.same_origin(text, configured)
    if endpoints.is_presigned(text) or (endpoint is None and not at_configured):
        return Location(masked(text), text)
    if endpoint is not None and endpoint.bucket is not None:
        bucket, key = endpoint.bucket, parts.path[1:]
    else:
        bucket, _, key = parts.path[1:].partition("/")
    provider = endpoint.provider if endpoint is not None else "aws"
    if provider == "azure" and bucket and not key:
        bucket, key = "$root", bucket
    if not bucket or not key:
        raise InvalidLocationError(f"{masked(text)!r} names no object: bucket and key are needed")
    url = parts._replace(path=wire_path(parts.path), query=wire_query(parts.query), fragment="").geturl()
    return Location(masked(text), url, provider, unquote(bucket), unquote(key))
