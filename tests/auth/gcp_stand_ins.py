"""Stand-ins for Google's credentials, and the request that they are tried on."""

from __future__ import annotations

import datetime
import threading
from typing import Any

import requests
from requests import PreparedRequest

URL = "https://storage.googleapis.com/test-bucket/m31.fits"
KEYS = {"access_key": "GOOG1EXAMPLEACCESSKEY", "secret_key": "bGoa+V7g/yqDXvKRqq+JTFn4uQZbPiQJo4pf9RzJ"}
NOON = datetime.datetime(2026, 5, 17, 12, tzinfo=datetime.UTC)


def prepared(url: str = URL, method: str = "GET", **options: Any) -> PreparedRequest:
    """Prepare a request without an auth."""
    return requests.Request(method, url, **options).prepare()


class Tokens:
    """Credentials with google-auth's protocol that count how often they are refreshed."""

    def __init__(self, token: str | None = None, quota_project_id: str | None = None) -> None:
        self.token = token
        self.valid = token is not None
        self.quota_project_id = quota_project_id
        self.refreshed = 0

    def refresh(self, request: Any) -> None:
        """Make the next token, not at once, so that other threads come meanwhile."""
        self.valid, self.token = False, None
        threading.Event().wait(0.05)
        self.refreshed += 1
        self.token, self.valid = f"token-{self.refreshed}", True


class Remote(Tokens):
    """Credentials that sign over a network, which is down."""

    signer_email = "me@example"

    def sign_bytes(self, message: bytes) -> bytes:
        """Fail, saying too much."""
        raise OSError("hush-hush")
