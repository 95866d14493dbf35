"""LOW: sign one request. Usable with any `requests` code, alone."""

from astro_cloud.auth.aws import AWSAuth
from astro_cloud.auth.providers import Anonymous, CloudService, auth_for

__all__ = ["AWSAuth", "Anonymous", "CloudService", "auth_for"]
