"""Find AWS credentials: botocore's chain, with the metadata server asked last and only if it is there.

botocore is imported when credentials are looked for, not before: it costs 80 ms and 10 MB.
"""

from __future__ import annotations

import os
import re
import socket
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from astro_cloud.exceptions import CredentialsError

__all__ = ["PLACES_SEARCHED", "CredentialsLike", "Found", "find_credentials", "frozen"]

PLACES_SEARCHED = (
    "the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), "
    "the profile's assume-role, web identity, SSO and process settings, "
    "the shared credentials file (~/.aws/credentials or AWS_SHARED_CREDENTIALS_FILE), "
    "the config file (~/.aws/config or AWS_CONFIG_FILE), "
    "the container's credentials endpoint, "
    "and the instance metadata server"
)
_METADATA_PROVIDER = "iam-role"
_METADATA_CONNECT_SECONDS = 0.3
_VISIBLE = re.compile(r"[!-~]+").fullmatch


class CredentialsLike(Protocol):
    """Anything with botocore's credentials protocol; refreshing, if any, is its own business."""

    def get_frozen_credentials(self) -> Any:
        """Return an object with ``access_key``, ``secret_key`` and ``token`` (str or None)."""


class Found(NamedTuple):
    """What botocore's chain gave: credentials, and the region of the same profile (or None)."""

    credentials: CredentialsLike | None
    region: str | None


def find_credentials(profile: str | None = None) -> Found:
    """Search botocore's chain once.

    Parameters
    ----------
    profile : str, optional
        Named profile of the shared files; by default what ``AWS_PROFILE`` says.

    Raises
    ------
    CredentialsError
        If the settings that were found are broken: an unknown profile, half a key, a failing
        process. Finding nothing is not an error here.
    """
    from botocore.session import Session

    try:
        session = Session(profile=profile)
        resolver = session.get_component("credential_provider")
        metadata = resolver.get_provider(_METADATA_PROVIDER)
        resolver.remove(_METADATA_PROVIDER)
        credentials = resolver.load_credentials()
        if credentials is None and _metadata_server_answers(session):
            credentials = metadata.load()
        return Found(credentials, session.get_config_variable("region"))
    except Exception as error:
        raise CredentialsError(f"AWS credentials cannot be read: {_told(error)}") from None


def frozen(credentials: CredentialsLike) -> Any:
    """Ask credentials for keys that belong together, refreshed if need be.

    Raises
    ------
    CredentialsError
        If they cannot be refreshed, or could not be sent in a header.
    """
    try:
        keys = credentials.get_frozen_credentials()
    except Exception as error:
        raise CredentialsError(f"AWS credentials cannot be refreshed: {_told(error)}") from None
    for name, value in (("access key", keys.access_key), ("session token", keys.token)):
        if value is not None and not _VISIBLE(value):
            raise CredentialsError(
                f"the {name} of the AWS credentials holds a space, a line end or a character that is not "
                "ASCII: look for one at its end"
            )
    return keys


def _told(error: Exception) -> str:
    """Say what a foreign error says, if it is of a kind that repeats no program's output."""
    from botocore.exceptions import BotoCoreError

    said = f": {error}" if isinstance(error, BotoCoreError | OSError) else ""
    return type(error).__name__ + said


def _metadata_server_answers(session: Any) -> bool:
    if os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return False
    endpoint = urlsplit(
        session.get_config_variable("ec2_metadata_service_endpoint") or "http://169.254.169.254/"
    )
    try:
        address = (endpoint.hostname or "", endpoint.port or 80)
        socket.create_connection(address, timeout=_METADATA_CONNECT_SECONDS).close()
    except OSError:
        return False
    return True
