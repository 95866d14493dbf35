"""What programs tell fsspec of their credentials, in our words: so that they run unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from astro_cloud.storage import Settings

if TYPE_CHECKING:
    from requests.auth import AuthBase

__all__ = ["Words", "translated"]

_OF_CACHING = frozenset(
    {
        "block_size", "default_block_size", "cache_type", "default_cache_type", "cache_options", "fill_cache",
        "default_fill_cache", "max_concurrency", "cache_regions", "size", "version_aware", "use_ssl",
        "use_listings_cache", "listings_expiry_time", "max_paths", "skip_instance_cache", "asynchronous",
        "loop",
    }
)  # fmt: skip


class Words(NamedTuple):
    """Who signs, who pays, and where the endpoint is."""

    auth: AuthBase | None = None
    request_payer: bool = False
    settings: Settings = Settings()


def translated(options: dict[str, Any]) -> Words:
    """Read the options of s3fs, or of fsspec's HTTP file system.

    Parameters
    ----------
    options : dict
        ``key``, ``secret``, ``token``, ``anon``, ``requester_pays``, ``endpoint_url``, ``profile``, and of
        ``client_kwargs`` its ``endpoint_url`` and ``region_name``. How to cache is let pass.

    Raises
    ------
    TypeError
        If an option is unknown: it may change what is read.
    """
    left = {name: value for name, value in options.items() if name not in _OF_CACHING}
    client = dict(left.pop("client_kwargs", None) or {})
    key, secret, token = (left.pop(name, None) for name in ("key", "secret", "token"))
    anonymous, paying = left.pop("anon", False), left.pop("requester_pays", False)
    endpoint = left.pop("endpoint_url", None) or client.pop("endpoint_url", None)
    settings = Settings(
        endpoint_url=endpoint, region=client.pop("region_name", None), profile=left.pop("profile", None)
    )
    if unknown := [*left, *(f"client_kwargs[{name!r}]" for name in client)]:
        raise TypeError(
            f"fsspec_kwargs: {', '.join(sorted(unknown))} is not known here: use auth= or client="
        )
    return Words(_auth(key, secret, token, bool(anonymous), settings), bool(paying), settings)


def _auth(key: Any, secret: Any, token: Any, anonymous: bool, settings: Settings) -> AuthBase | None:
    if anonymous:
        from astro_cloud.auth import Anonymous

        return Anonymous()
    if key is None and secret is None and token is None:
        return None
    if key is None or secret is None:
        raise TypeError("fsspec_kwargs: give key and secret together")
    from astro_cloud.auth import AWSAuth

    return AWSAuth(access_key=key, secret_key=secret, session_token=token, region=settings.region)
