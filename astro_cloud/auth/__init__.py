"""LOW: sign one request. Usable with any `requests` code, alone."""

from astro_cloud.auth.aws import AWSAuth
from astro_cloud.auth.azure import AzureAuth
from astro_cloud.auth.digital_ocean import DigitalOceanAuth
from astro_cloud.auth.gcp import GCPAuth
from astro_cloud.auth.providers import Anonymous, CloudService, auth_for

__all__ = ["AWSAuth", "Anonymous", "AzureAuth", "CloudService", "DigitalOceanAuth", "GCPAuth", "auth_for"]
