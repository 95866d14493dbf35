"""Which auth a URL gets when the user named none.

Credentials go only to hosts that are a provider's by their exact suffix (`endpoints`), to endpoints
the user configured, and to the service the user named; every other host is read anonymously.
"""

from __future__ import annotations

import enum

from requests import PreparedRequest
from requests.auth import AuthBase

from astro_cloud.auth import endpoints
from astro_cloud.auth.aws import AWSAuth
from astro_cloud.auth.aws_credentials import PLACES_SEARCHED
from astro_cloud.exceptions import CredentialsError

__all__ = ["Anonymous", "CloudService", "auth_for"]


class CloudService(enum.Enum):
    """The object stores by the names their providers give them."""

    S3 = "amazon-web-services-static-storage-service"
    ObjectStorage = "google-cloud-platform-object-storage"
    BlobStorage = "azure-blob-storage"
    Spaces = "digital-ocean-spaces"


class Anonymous(AuthBase):
    """Send requests as they are; also keeps `requests` from adding a password out of ``~/.netrc``."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Return `request` untouched."""
        return request

    def __repr__(self) -> str:
        return "Anonymous()"


def auth_for(
    url: str,
    *,
    service: CloudService | None = None,
    endpoint_url: str | None = None,
    request_payer: bool = False,
    aws: AWSAuth | None = None,
) -> AuthBase | None:
    """Choose the auth for a URL.

    Parameters
    ----------
    url : str
        HTTPS or HTTP URL of the object.
    service : CloudService, optional
        The provider, where the host name does not tell; naming it vouches for the host.
    endpoint_url : str, optional
        An endpoint the user configured: its host is signed for too.
    request_payer : bool
        Offer to pay for requests to requester-pays buckets.
    aws : AWSAuth, optional
        Given out for S3 as it is, so that many calls search for credentials once; whether it offers
        to pay is its own. By default a new one, that does as `request_payer` says.

    Returns
    -------
    AuthBase or None
        `AWSAuth` at S3 where credentials exist, `Anonymous` at S3 where none do, None for any other
        host, so that `requests` applies its own rules (``~/.netrc``).

    Raises
    ------
    CredentialsError
        If `request_payer` is asked for and there is nobody to charge, or `service` is one this
        version cannot sign for.
    """
    if not isinstance(service, CloudService | None):
        raise TypeError(f"service is one of {', '.join(map(str, CloudService))}, not {service!r}")
    if service not in (None, CloudService.S3):
        raise CredentialsError(
            f"{service} is not signed for by this version: pass auth= with a requests auth of your own, "
            "or leave service out to read a public object by its https:// URL"
        )
    if endpoints.is_presigned(url):
        return Anonymous()
    if service is None and not _is_s3(url, endpoint_url):
        if request_payer:
            raise CredentialsError(
                f"{endpoints.host_of(url)} is not known to be an S3 endpoint, so no credentials are sent "
                "to it to pay for requests: pass service=CloudService.S3, auth=AWSAuth(request_payer=True), "
                "or configure it as endpoint_url"
            )
        return None
    auth = aws or AWSAuth(request_payer)
    if auth.has_credentials():
        return auth
    if request_payer:
        raise CredentialsError(
            "requester pays needs AWS credentials to charge, and none were found; "
            f"searched: {PLACES_SEARCHED}"
        )
    return Anonymous()


def _is_s3(url: str, endpoint_url: str | None) -> bool:
    if endpoints.endpoint_of(endpoints.host_of(url)) is not None:
        return True
    return endpoint_url is not None and endpoints.same_origin(url, endpoint_url)
