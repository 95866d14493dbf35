"""Find Google's credentials: where google-auth looks, without its long wait for a metadata server.

google-auth is imported where there is something to find, and not before.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from astro_cloud.auth import metadata_server
from astro_cloud.exceptions import CredentialsError

__all__ = [
    "EXTRA",
    "PLACES_SEARCHED",
    "GoogleCredentials",
    "find_credentials",
    "google_auth_is_installed",
    "refresh",
    "scoped",
    "told",
]

PLACES_SEARCHED = (
    "the file that GOOGLE_APPLICATION_CREDENTIALS names, "
    "gcloud's application default credentials (made by `gcloud auth application-default login`), "
    "and the metadata server of Google Cloud; HMAC keys are taken as access_key= and secret_key="
)
EXTRA = "Google credentials need google-auth: pip install 'astro-cloud[gcp]'"


class GoogleCredentials(Protocol):
    """Anything with google-auth's credentials protocol; ``quota_project_id`` is read if it is there."""

    @property
    def valid(self) -> bool:
        """Whether `token` may be sent now, and for a while."""

    @property
    def token(self) -> str | None:
        """The bearer token, or None before the first refresh."""

    def refresh(self, request: Any) -> None:
        """Fetch a new token through `request`, a ``google.auth.transport.Request``."""


def google_auth_is_installed() -> bool:
    """Tell whether the extra is there."""
    try:
        return find_spec("google.auth") is not None
    except ModuleNotFoundError:
        return False


def find_credentials(scope: str) -> GoogleCredentials | None:
    """Search where google-auth searches, nearest first, without its long wait for a metadata server.

    google-auth is called only where there is something to find: looking for nothing it waits and warns.
    """
    if os.environ.get("GOOGLE_APPLICATION_CREDENTIALS") or _gcloud_file().is_file():
        return _credentials_of_files(scope)
    if not google_auth_is_installed() or not _metadata_server_answers():
        return None
    from google.auth import compute_engine

    made: Any = compute_engine.Credentials  # has no annotations
    found: GoogleCredentials = made(scopes=[scope])
    return found


def _credentials_of_files(scope: str) -> GoogleCredentials:
    try:
        import google.auth
    except ImportError:
        raise ImportError(EXTRA) from None
    try:
        found: GoogleCredentials = google.auth.default(scopes=[scope])[0]
    except Exception as error:
        raise CredentialsError(f"Google credentials cannot be read: {told(error)}") from None
    return found


def _gcloud_file() -> Path:
    """Return where gcloud keeps application default credentials."""
    if chosen := os.environ.get("CLOUDSDK_CONFIG"):
        folder = Path(chosen)
    elif os.name == "nt":
        folder = Path(os.environ.get("APPDATA", ""), "gcloud")
    else:
        folder = Path(os.path.expanduser("~"), ".config", "gcloud")
    return folder / "application_default_credentials.json"


def _metadata_server_answers() -> bool:
    """Tell whether there is a metadata server and it is Google's: other clouds have one at its address."""
    if os.environ.get("NO_GCE_CHECK", "").lower() == "true":
        return False
    address = os.environ.get("GCE_METADATA_IP") or metadata_server.ADDRESS
    answer = metadata_server.ask(address, {"Metadata-Flavor": "Google"})
    return answer is not None and answer.get("Metadata-Flavor") == "Google"


def scoped(credentials: GoogleCredentials, scope: str) -> GoogleCredentials:
    """Give a scope to credentials that want one and have none, as a service account's from a file do."""
    if getattr(credentials, "requires_scopes", False):
        with_scopes: Any = getattr(credentials, "with_scopes", None)
        credentials = with_scopes([scope]) if with_scopes is not None else credentials
    return credentials


def refresh(credentials: GoogleCredentials) -> None:
    """Have the credentials fetch a new token; raise `CredentialsError` if they cannot."""
    try:
        from google.auth.transport.requests import Request
    except ImportError:
        raise ImportError(EXTRA) from None
    try:
        credentials.refresh(Request())
    except Exception as error:
        raise CredentialsError(f"the Google credentials cannot be refreshed: {told(error)}") from None


def told(error: Exception) -> str:
    """Say what a foreign error says, if it is google-auth's; not what a server answered beside it."""
    try:
        from google.auth.exceptions import GoogleAuthError
    except ImportError:
        return type(error).__name__
    said = f": {error.args[0]}" if isinstance(error, GoogleAuthError) and error.args else ""
    return type(error).__name__ + said
