"""Find AWS credentials: botocore's chain, with the metadata server asked last and only if it is there.

botocore is imported when credentials are looked for, not before: it costs 80 ms and 10 MB.
"""

from __future__ import annotations

import os
import re
import threading
from contextlib import nullcontext
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from astro_cloud.auth import metadata_server
from astro_cloud.auth.masking import unlogged
from astro_cloud.exceptions import CredentialsError
from astro_cloud.forking import restart_after_fork

__all__ = ["PLACES_SEARCHED", "CredentialsLike", "Found", "KeyRing", "Keys", "find_credentials", "frozen"]

PLACES_SEARCHED = (
    "the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), "
    "the profile's assume-role, web identity, SSO and process settings, "
    "the shared credentials file (~/.aws/credentials or AWS_SHARED_CREDENTIALS_FILE), "
    "the config file (~/.aws/config or AWS_CONFIG_FILE), "
    "the container's credentials endpoint, "
    "and the instance metadata server"
)
_METADATA_PROVIDER = "iam-role"
_VISIBLE = re.compile(r"[!-~]+").fullmatch


class CredentialsLike(Protocol):
    """Anything with botocore's credentials protocol; refreshing, if any, is its own business."""

    def get_frozen_credentials(self) -> Any:
        """Return an object with ``access_key``, ``secret_key`` and ``token`` (str or None)."""


class Keys(NamedTuple):
    """Explicit keys, with botocore's protocol."""

    access_key: str
    secret_key: str
    token: str | None

    def get_frozen_credentials(self) -> Keys:
        """Return the keys: they never change."""
        return self

    def __repr__(self) -> str:
        return "Keys(hidden)"


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
        with unlogged():
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
        with nullcontext() if isinstance(credentials, Keys) else unlogged():
            keys = credentials.get_frozen_credentials()
    except Exception as error:
        raise CredentialsError(f"AWS credentials cannot be refreshed: {_told(error)}") from None
    for name, value in (("access key", keys.access_key), ("session token", keys.token)):
        if value is not None and not _VISIBLE(value):
            raise CredentialsError(
                f"the {name} of the AWS credentials holds a space, a line end or a character that is not "
                "ASCII: look for one at its end"
            )
    if keys.secret_key != keys.secret_key.strip():
        raise CredentialsError("the secret key of the AWS credentials begins or ends with white space")
    return keys


def _told(error: Exception) -> str:
    """Say what a foreign error says, if it is of a kind that repeats no credentials."""
    from botocore.exceptions import BotoCoreError, ClientError

    name = type(error).__name__
    if isinstance(error, ClientError):  # what STS answered
        reason = error.response.get("Error", {})
        return f"{name}: {reason.get('Code', '')}: {reason.get('Message', '')}"
    said = f": {error}" if isinstance(error, BotoCoreError | OSError) else ""
    return name + said


def _metadata_server_answers(session: Any) -> bool:
    if os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return False
    endpoint = session.get_config_variable("ec2_metadata_service_endpoint") or ""
    return metadata_server.ask(urlsplit(endpoint).netloc or metadata_server.ADDRESS) is not None


class KeyRing:
    """The credentials of one auth: given, or found once and kept; safe to use from many threads.

    Parameters
    ----------
    given : CredentialsLike, optional
        Used as they are, and pickled.
    profile : str, optional
        Where to find credentials, if none are given; what is found is not pickled.
    """

    def __init__(self, given: CredentialsLike | None, profile: str | None) -> None:
        self._given = given
        self._profile = profile
        self._start()

    def _start(self) -> None:
        """Forget what was found, so that a copy or a forked process finds its own."""
        restart_after_fork(self, KeyRing._start)
        self._lock = threading.Lock()
        self._found: Found | None = None
        self._doubted: set[str] = set()

    def __repr__(self) -> str:
        return "KeyRing(hidden)"

    def __getstate__(self) -> dict[str, Any]:
        return {"_given": self._given, "_profile": self._profile}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    @property
    def region(self) -> str | None:
        """The region of the profile that credentials were found in, once they were looked for."""
        return self._found.region if self._found is not None else None

    def holds_any(self) -> bool:
        """Tell whether there are credentials; searches the first time."""
        return self._given is not None or self._search(again=False).credentials is not None

    def keys(self) -> Any:
        """Return access key, secret key and token that belong together; see `frozen`.

        Raises
        ------
        CredentialsError
            If there are none, naming the places searched, or they cannot be refreshed or sent.
        """
        credentials = self._given or self._search(again=True).credentials
        if credentials is None:
            raise CredentialsError(f"no AWS credentials found; searched: {PLACES_SEARCHED}")
        return frozen(credentials)

    def renew(self, access_key: str, *, sure: bool = True) -> bool:
        """Search again for credentials other than those a request was signed with.

        Not where they were renewed meanwhile, or given. Where a refusal does not say that they are no
        longer good (`sure`), once for each key, and not for one that botocore refreshes in time.
        Returns False if there are no others.

        Raises
        ------
        CredentialsError
            If what is found is broken, or cannot be refreshed.
        """
        if self._given is not None:
            return bool(frozen(self._given).access_key != access_key)
        with self._lock:
            current = self._found.credentials if self._found is not None else None
            if current is None or frozen(current).access_key == access_key:
                if not sure and (access_key in self._doubted or hasattr(current, "refresh_needed")):
                    return False
                self._doubted.add(access_key)
                self._found = find_credentials(self._profile)
                current = self._found.credentials
        return current is not None and bool(frozen(current).access_key != access_key)

    def _search(self, *, again: bool) -> Found:
        """Find credentials once; a search that found none is repeated if `again`."""
        found = self._found
        if found is None or (again and found.credentials is None):
            with self._lock:
                if self._found is found:
                    self._found = find_credentials(self._profile)
                found = self._found
        return found or Found(None, None)
