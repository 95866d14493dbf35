"""Locations: what a user writes for an object, and the URL its bytes are read from.

Pure but for the environment, where an endpoint may be configured, and the current directory.
Credentials are no business of this module; `astro_cloud.auth.providers` decides on them.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, urlsplit

from astro_cloud.auth import endpoints
from astro_cloud.exceptions import InvalidLocationError
from astro_cloud.storage import local_path, scheme_forms, url_forms
from astro_cloud.storage.bucket import Bucket, ObjectAddress
from astro_cloud.storage.masking import shown
from astro_cloud.storage.settings import Settings

__all__ = ["Location"]

_WRITE = "write s3://, gs://, az://, abfs://, https://, http:// or file://, or the path of a local file"
_INSTEAD = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "wasb": "abfs", "wasbs": "abfs", "adl": "abfs"}


@dataclass(frozen=True)
class Location:
    """One object, or with ``prefix=True`` a bucket or what begins with a key.

    Attributes
    ----------
    text : str
        As the user wrote it, with passwords, tokens and signatures masked.
    url : str
        The URL the object is read from, percent-encoded; may hold what `text` masks.
    provider : {"aws", "spaces", "gcp", "azure", None}
        ``"aws"`` for S3 and servers spoken to as S3; None for plain HTTP, URLs that are signed
        already, and local files.
    bucket, key : str or None
        Decoded names, where `provider` is not None; an Azure container is its bucket.
    version : str or None
        S3's versionId, Google's generation, Azure's versionid or snapshot, if one was named.
    path : pathlib.Path or None
        Of a local file; absolute.
    identity : tuple of str
        What makes two locations equal.

    Notes
    -----
    Two locations are equal if they name the same object (and the same version of it), however they
    are written: ``s3://sky/a`` and ``https://sky.s3.eu-west-1.amazonaws.com/a`` are.
    """

    text: str = field(compare=False)
    url: str = field(compare=False)
    provider: endpoints.Provider | None = field(default=None, compare=False)
    bucket: str | None = field(default=None, compare=False)
    key: str | None = field(default=None, compare=False)
    version: str | None = field(default=None, compare=False)
    path: Path | None = field(default=None, compare=False)
    identity: tuple[str, ...] = field(kw_only=True)
    _place: Bucket | None = field(default=None, compare=False, kw_only=True)

    def __str__(self) -> str:
        return self.text

    @property
    def fingerprint(self) -> str:
        """Text that tells objects apart and shows nothing of a signature, for files that are kept.

        An object whose URL is signed anew is the same object.
        """
        parts = self.identity
        if endpoints.is_presigned(self.url):
            parts = (parts[0], urlsplit(self.url)._replace(query="", fragment="").geturl())
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def __repr__(self) -> str:
        return f"Location({self.text!r})"

    @classmethod
    def parse(
        cls,
        text: str | os.PathLike[str] | Location,
        settings: Settings | None = None,
        *,
        prefix: bool = False,
    ) -> Location:
        """Understand what a user wrote.

        Parameters
        ----------
        text : str, path or Location
            ``s3://bucket/key``, ``gs://bucket/key``, ``az://account/container/key`` or
            ``abfs://container@account/key``, the key as it is, never percent-decoded; an ``https://``
            URL in any form the providers have, or any other ``http://`` or ``https://`` URL; a
            ``file://`` URL; any text without ``://``, and any `os.PathLike`, is the path of a local file.
        settings : Settings, optional
            Where ``s3://``, ``gs://`` and ``az://`` lead: an endpoint, a region.
        prefix : bool
            A bucket alone will do: the key may be empty, for listing.

        Raises
        ------
        InvalidLocationError
            If it names no object, or its scheme is unknown.
        """
        if isinstance(text, Location):
            return text
        if isinstance(text, os.PathLike):
            return cls._local(os.fsdecode(text), local_path.of_bare_path(os.fsdecode(text)))
        if not isinstance(text, str):
            raise InvalidLocationError(
                f"a location is text or a path, not {type(text).__name__}: write s3://bucket/key"
            )
        settings = settings or Settings()
        scheme, separator, rest = text.partition("://")
        scheme = scheme.lower()
        if not separator:
            return cls._local(text, local_path.of_bare_path(text))
        if scheme == "file":
            return cls._local(text, local_path.of_file_url(text, rest))
        if scheme in ("http", "https"):
            address = url_forms.of_url(text, settings, prefix=prefix)
            return cls._plain(text) if address is None else cls._at(shown(text), address)
        if scheme in scheme_forms.SCHEMES:
            return cls._at(shown(text), scheme_forms.of_scheme(text, settings, prefix=prefix))
        raise InvalidLocationError(f"{shown(text)!r} is not a location: {_advice(scheme)}")

    @property
    def bucket_url(self) -> str:
        """URL of the bucket or container, in the style of `url`; no slash at its end, and no query.

        Raises
        ------
        InvalidLocationError
            If the location has no bucket: plain HTTP, a signed URL, or a local file.
        """
        return self._in_bucket().url

    def with_key(self, key: str) -> Location:
        """Return the location of another key of the same bucket, written in the same form.

        Parameters
        ----------
        key : str
            Decoded; or the beginning of keys, or empty.

        Raises
        ------
        InvalidLocationError
            If the location has no bucket, or the key is not text that UTF-8 can spell.
        """
        place = self._in_bucket()
        try:
            address = ObjectAddress(place, key, query=_charged(urlsplit(self.url).query))
            url = address.url
        except UnicodeEncodeError:
            raise InvalidLocationError(f"{key!a}: the key is not text that UTF-8 can spell") from None
        scheme = place.written.partition("://")[0].lower() if place.written is not None else ""
        if place.written is None or scheme_forms.split_version(scheme, key)[1] is not None:
            return self._at(shown(url), address)  # s3://bucket/key?versionId=1 would read as a version
        return self._at(shown(place.written + key), address)

    def _in_bucket(self) -> Bucket:
        if self._place is None:
            raise InvalidLocationError(f"{self.text!r} has no bucket: {_WRITE.partition(', https')[0]}")
        return self._place

    @classmethod
    def _at(cls, text: str, address: ObjectAddress) -> Self:
        place = address.bucket
        version = address.version[1] if address.version is not None else None
        return cls(
            text,
            address.url,
            place.provider,
            place.name,
            address.key,
            version,
            identity=address.identity,
            _place=place,
        )

    @classmethod
    def _plain(cls, text: str) -> Self:
        signed = endpoints.is_presigned(text)
        normal = text if signed else _normal_url(text, url_forms.checked_url(text))
        return cls(shown(text), text, identity=("http", normal))

    @classmethod
    def _local(cls, text: str, path: Path) -> Self:
        return cls(text, path.as_uri(), path=path, identity=("file", os.path.normcase(path)))


def _advice(scheme: str) -> str:
    instead = _INSTEAD.get(scheme)
    return f"write {scheme_forms.SCHEMES[instead]}" if instead is not None else _WRITE


def _charged(query: str) -> str:
    """Keep of a URL's parameters who pays at Google: it is the same for every object."""
    return "&".join(part for part in query.split("&") if part.startswith("userProject="))


def _normal_url(text: str, parts: SplitResult) -> str:
    """Spell alike what HTTP takes for one resource (RFC 9110, section 4.2.3)."""
    user, at, _ = parts.netloc.rpartition("@")
    netloc = f"{user}{at}{endpoints.netloc_of(text)}"
    return parts._replace(netloc=netloc, path=parts.path or "/", fragment="").geturl()
