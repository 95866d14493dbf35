"""Which auth a URL gets when the user named none.

Pure but for the environment, where credentials and a configured endpoint may stand.

Credentials go only to hosts that are a provider's by their exact suffix (`endpoints`), to endpoints
the user configured, and to the service the user named; every other host is read anonymously.
"""

from __future__ import annotations

import enum
import os
from typing import Any

from requests import PreparedRequest
from requests.auth import AuthBase

from astro_cloud.auth import endpoints
from astro_cloud.auth.aws import AWSAuth
from astro_cloud.auth.aws_credentials import PLACES_SEARCHED
from astro_cloud.auth.masking import masked
from astro_cloud.exceptions import CredentialsError

__all__ = ["Anonymous", "CloudService", "auth_for", "configured_s3_endpoint"]

_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "S3_ENDPOINT_URL")


class CloudService(enum.Enum):
    """The object stores by the names their providers give them."""

    S3 = "amazon-web-services-static-storage-service"
    ObjectStorage = "google-cloud-platform-object-storage"
    BlobStorage = "azure-blob-storage"
    Spaces = "digital-ocean-spaces"


class Anonymous(AuthBase):
    """Send requests as they are; also keeps `requests` from adding a password out of ``~/.netrc``.

    Parameters
    ----------
    because : str
        Why there is no better auth, where that is not simply that none was found.
    """

    def __init__(self, because: str = "") -> None:
        self.because = because

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Return `request` untouched."""
        return request

    def __repr__(self) -> str:
        return "Anonymous()"


def configured_s3_endpoint() -> str | None:
    """Return the S3-compatible endpoint that the environment names, as the AWS tools read it."""
    found = (os.environ.get(name) for name in _ENDPOINT_VARIABLES)
    return next((url.rstrip("/") for url in found if url), None)


_SERVICES: dict[CloudService, endpoints.Provider] = {
    CloudService.S3: "aws",
    CloudService.ObjectStorage: "gcp",
    CloudService.BlobStorage: "azure",
    CloudService.Spaces: "spaces",
}


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
        An S3-compatible endpoint the user configured: its host is signed for too. By default what
        ``AWS_ENDPOINT_URL_S3``, ``AWS_ENDPOINT_URL`` or ``S3_ENDPOINT_URL`` says.
    request_payer : bool
        Offer to pay for requests to requester-pays buckets, at S3.
    aws : AWSAuth, optional
        Given out for S3 as it is, so that many calls search for credentials once; whether it offers
        to pay is its own. By default a new one, that does as `request_payer` says.

    Returns
    -------
    AuthBase or None
        At a provider the auth of its kind where credentials exist, `Anonymous` where none do; None for
        any other host, so that `requests` applies its own rules (``~/.netrc``).

    Raises
    ------
    CredentialsError
        If `request_payer` is asked for, and there is nobody to charge, or no way to; if the
        credentials that were found are broken.
    TypeError
        If `service` is not a CloudService.
    ValueError
        If `url` is a location, such as ``s3://bucket/key``, and not the URL of one.
    """
    if not isinstance(service, CloudService | None):
        raise TypeError(f"service is one of {', '.join(map(str, CloudService))}, not {service!r}")
    if not url.lower().startswith(("https://", "http://")):
        raise ValueError(
            f"{masked(url)!r} is not a URL: what signs for a location is chosen by its https:// URL"
        )
    if endpoints.is_presigned(url):
        return Anonymous()
    provider = _SERVICES[service] if service is not None else _provider_of(url, endpoint_url)
    if request_payer and provider != "aws":
        raise CredentialsError(
            _PAYING_ELSEWHERE.get(provider, _PAYING_A_STRANGER).format(endpoints.host_of(url))
        )
    if provider is None:
        return None
    auth = aws or AWSAuth(request_payer) if provider == "aws" else _auth_of(provider)
    try:
        found = auth.has_credentials()
    except ImportError as error:  # public objects are read without the extra
        return Anonymous(str(error))
    if found and (service is not None or _may_see(auth, url)):
        return auth
    if request_payer:
        raise CredentialsError(
            "requester pays needs AWS credentials to charge, and none were found; "
            f"searched: {PLACES_SEARCHED}"
        )
    return Anonymous()


_PAYING_A_STRANGER = (
    "{} is not known to be an S3 endpoint, so no credentials are sent to it to pay for requests: "
    "pass service=CloudService.S3, auth=AWSAuth(request_payer=True), or configure it as endpoint_url"
)
_PAYING_ELSEWHERE: dict[str | None, str] = {
    "gcp": "Google charges a project: pass auth=GCPAuth(user_project=...) in place of request_payer",
    "spaces": "DigitalOcean Spaces has no requester pays: leave request_payer out",
    "azure": "Azure has no requester pays: leave request_payer out",
}


def _provider_of(url: str, endpoint_url: str | None) -> endpoints.Provider | None:
    endpoint = endpoints.endpoint_of(endpoints.host_of(url))
    if endpoint is not None:
        return endpoint.provider
    configured = endpoint_url or configured_s3_endpoint()
    return "aws" if configured is not None and endpoints.same_origin(url, configured) else None


def _may_see(auth: Any, url: str) -> bool:
    """Tell whether a host may see what an auth sends: Azure's hosts are different people's accounts."""
    is_account_of = getattr(auth, "is_account_of", None)
    return is_account_of is None or is_account_of(url)


def _auth_of(provider: endpoints.Provider) -> Any:
    """Make the auth of a provider other than S3; imported here, as most programs need one kind."""
    if provider == "gcp":
        from astro_cloud.auth.gcp import GCPAuth

        return GCPAuth()
    if provider == "azure":
        from astro_cloud.auth.azure import AzureAuth

        return AzureAuth()
    from astro_cloud.auth.digital_ocean import DigitalOceanAuth

    return DigitalOceanAuth()
