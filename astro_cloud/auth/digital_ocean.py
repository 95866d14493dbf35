"""DigitalOceanAuth: sign `requests` calls for DigitalOcean Spaces.

Spaces speaks S3's protocol and checks AWS Signature Version 4; what differs is here: where keys are
looked for, and that the region in the signature is the data centre the host names.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from astro_cloud.auth.aws import AWSAuth
from astro_cloud.auth.aws_credentials import KeyRing, Keys, frozen
from astro_cloud.auth.spelling import Spelled
from astro_cloud.exceptions import CredentialsError

__all__ = ["PLACES_SEARCHED", "DigitalOceanAuth"]

PLACES_SEARCHED = (
    "the environment (SPACES_ACCESS_KEY_ID, SPACES_SECRET_ACCESS_KEY; then AWS_ACCESS_KEY_ID, "
    "AWS_SECRET_ACCESS_KEY, unless AWS_SESSION_TOKEN says that they are AWS's own)"
)


def _utcnow() -> datetime:
    return datetime.now(UTC)


class DigitalOceanAuth(AWSAuth):
    """Sign requests for DigitalOcean Spaces.

    Use it wherever `requests` takes ``auth=``: ``requests.get(url, auth=DigitalOceanAuth())``. One
    object serves any number of threads, Spaces and regions.

    Parameters
    ----------
    request_payer : bool
        Spaces has no requester pays: only False is taken.
    access_key, secret_key : str, optional
        Explicit keys. They travel in a pickle of this object. By default ``SPACES_ACCESS_KEY_ID`` and
        ``SPACES_SECRET_ACCESS_KEY`` are read from the environment at each request, else
        ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``; the files of the AWS tools are not read,
        nor are the variables if ``AWS_SESSION_TOKEN`` is set: those keys are Amazon's, not a Space's.
    region : str, optional
        Such as ``"nyc3"``; used where the host does not name it, as a domain of one's own does not.
    clock : callable
        Returns the current time as an aware `datetime`.

    Raises
    ------
    CredentialsError
        When `request_payer` is asked for; when a request is signed and no keys are found; when
        neither the host nor `region` says where the Space is.

    References
    ----------
    DigitalOcean, "Spaces API Reference", section "Authentication".
    """

    def __init__(
        self,
        request_payer: bool = False,
        *,
        access_key: str | None = None,
        secret_key: str | None = None,
        region: str | None = None,
        clock: Callable[[], datetime] = _utcnow,
    ) -> None:
        if request_payer:
            raise CredentialsError(
                "DigitalOcean Spaces has no requester pays: leave request_payer out; "
                "the owner of a Space pays for its traffic"
            )
        super().__init__(access_key=access_key, secret_key=secret_key, region=region, clock=clock)
        if access_key is None or secret_key is None:
            self._ring = _EnvironmentKeys(None, None)

    def __repr__(self) -> str:
        return f"DigitalOceanAuth(region={self.region!r})" if self.region else "DigitalOceanAuth()"

    def _region_of(self, where: Spelled) -> str:
        if where.region is None and self.region is None and where.bucket not in self._regions:
            raise CredentialsError(
                f"{where.host} does not name the region of a Space: pass region=, such as region='nyc3'"
            )
        return super()._region_of(where)


class _EnvironmentKeys(KeyRing):
    """The keys that the environment holds at the moment; none are kept."""

    def holds_any(self) -> bool:
        """Tell whether there are keys."""
        return _environment_keys() is not None

    def keys(self) -> Any:
        """Return the keys, or raise `CredentialsError`, naming the places searched."""
        keys = _environment_keys()
        if keys is None:
            raise CredentialsError(f"no DigitalOcean Spaces keys found; searched: {PLACES_SEARCHED}")
        return frozen(keys)

    def renew(self, access_key: str, *, sure: bool = True) -> bool:
        """Return False: keys of Spaces do not expire."""
        return False


def _environment_keys() -> Keys | None:
    names = [("SPACES_ACCESS_KEY_ID", "SPACES_SECRET_ACCESS_KEY")]
    if not os.environ.get("AWS_SESSION_TOKEN"):
        names.append(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    for access_name, secret_name in names:
        access_key, secret_key = os.environ.get(access_name), os.environ.get(secret_name)
        if access_key and secret_key:
            return Keys(access_key, secret_key, None)
        if access_key or secret_key:
            missing = secret_name if access_key else access_name
            raise CredentialsError(f"half a key is in the environment: {missing} is not set")
    return None
