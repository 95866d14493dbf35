"""An Azure Storage account of nobody's, every way to authorize for it, and a request to try them on."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
import requests
from requests import PreparedRequest

from astro_cloud.auth.azure import AzureAuth

KEY = base64.b64encode(b"a key of the tests, of no account").decode()
OTHER_KEY = base64.b64encode(b"another key of the tests").decode()
URL = "https://survey.blob.core.windows.net/images/m31.fits"
NOON = datetime(2026, 5, 17, 12, tzinfo=UTC)
SIGNATURE = "AbC%2Bd%2F%3D"
SAS = f"?sv=2023-11-03&sr=c&sp=r&se=2099-01-01T00%3A00%3A00Z&sig={SIGNATURE}"
TOKEN = "eyJ0-very-secret-token"


class AccessToken(NamedTuple):
    """What azure-core's credentials return."""

    token: str
    expires_on: int


class Credential:
    """A credential that counts how often it is asked, and by which scope."""

    def __init__(self, *tokens: str, seconds: int = 3600) -> None:
        self.tokens = tokens or (TOKEN,)
        self.seconds = seconds
        self.asked: list[str] = []

    def get_token(self, *scopes: str) -> AccessToken:
        """Return the next token, the last one again and again."""
        self.asked.extend(scopes)
        token = self.tokens[min(len(self.asked), len(self.tokens)) - 1]
        return AccessToken(token, int(NOON.timestamp()) + self.seconds)


def at_noon() -> datetime:
    """Stand still at noon; a function of a module, so that it can be pickled."""
    return NOON


def auth(**options: Any) -> AzureAuth:
    """The first account's auth, at noon."""
    return AzureAuth(**{"account": "survey", "key": KEY, "clock": at_noon, **options})


def prepared(url: str = URL, method: str = "GET", **options: Any) -> PreparedRequest:
    """Prepare a request without an auth."""
    return requests.Request(method, url, **options).prepare()


EVERY_WAY = {
    "key": lambda: auth(),
    "sas": lambda: AzureAuth(sas_token=SAS),
    "bearer": lambda: AzureAuth(credential=Credential(), clock=at_noon),
}
every_way = pytest.mark.parametrize("make", EVERY_WAY.values(), ids=EVERY_WAY)
