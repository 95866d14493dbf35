"""Azure's credentials: account keys and SAS tokens, checked; bearer tokens, kept while they are good.

What is given or found is checked here, so that errors name the field and not its value.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from astro_cloud.auth import endpoints
from astro_cloud.auth.sigv4 import wire_query
from astro_cloud.exceptions import CredentialsError
from astro_cloud.forking import restart_after_fork

__all__ = [
    "PLACES_SEARCHED",
    "Secrets",
    "TokenCredentialLike",
    "Tokens",
    "checked",
    "of_connection_string",
    "of_environment",
]

PLACES_SEARCHED = (
    "the environment (AZURE_STORAGE_CONNECTION_STRING, "
    "AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN)"
)
_SCOPE = "https://storage.azure.com/.default"
_REFRESH_SECONDS = 300
"""How long before its end a token is no longer begun a request with."""
_VISIBLE = re.compile(r"[!-~]+").fullmatch
_ACCOUNT = re.compile(r"[A-Za-z0-9-]{1,63}").fullmatch
# The account that every emulator has (Microsoft Learn, "Use the Azurite emulator").
_EMULATOR_ACCOUNT = "devstoreaccount1"
_EMULATOR_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class TokenCredentialLike(Protocol):
    """What azure-core's ``TokenCredential`` has, and so every credential of azure-identity."""

    def get_token(self, *scopes: str) -> Any:
        """Return an object with ``token`` and ``expires_on`` (seconds since 1970, UTC)."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """A key (decoded) with its account, or a SAS token spelt for the wire."""

    account: str | None
    key: bytes | None = field(repr=False)
    sas: str | None = field(repr=False)

    def __str__(self) -> str:
        hidden = "key=hidden" if self.key is not None else "sas_token=hidden"
        return f"account={self.account!r}, {hidden}" if self.account else hidden


class Tokens:
    """Bearer tokens of one credential: kept while good, asked for by one thread at a time."""

    def __init__(
        self, credential: TokenCredentialLike | Literal["default"], clock: Callable[[], datetime]
    ) -> None:
        self._credential = credential
        self._clock = clock
        self._start()

    def _start(self) -> None:
        restart_after_fork(self, Tokens._start)
        self._lock = threading.Lock()
        self._default: TokenCredentialLike | None = None
        self._current: tuple[str, float] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_credential": self._credential, "_clock": self._clock}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    def get(self) -> str:
        """Return a token that is good for a while."""
        current = self._current
        if current is None or current[1] - self._clock().timestamp() < _REFRESH_SECONDS:
            with self._lock:
                if self._current is current or self._current is None:
                    self._current = self._fetch()
                current = self._current
        return current[0]

    def forget(self, token: str) -> None:
        """Drop a token, unless it was renewed meanwhile."""
        with self._lock:
            if self._current is not None and self._current[0] == token:
                self._current = None

    def _fetch(self) -> tuple[str, float]:
        source = self._source()
        try:
            answer = source.get_token(_SCOPE)
        except Exception as error:
            raise CredentialsError(f"the Azure credential gives no token: {_told(error)}") from None
        if not _VISIBLE(answer.token):
            raise CredentialsError(
                "the token of the Azure credential holds a space, a line end or a character that is not ASCII"
            )
        return answer.token, float(answer.expires_on)

    def _source(self) -> TokenCredentialLike:
        if self._credential != "default":
            return self._credential
        if self._default is None:
            self._default = _default_credential()
        return self._default


def _default_credential() -> TokenCredentialLike:
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError as error:
        raise ImportError(
            "credential=\"default\" needs azure-identity: pip install 'astro-cloud[azure]'"
        ) from error
    credential: TokenCredentialLike = DefaultAzureCredential()
    return credential


def _told(error: Exception) -> str:
    """Say what a foreign error says, if it is of a kind that repeats nobody's secret."""
    known = type(error).__module__.startswith("azure.") or isinstance(error, OSError)
    return type(error).__name__ + (f": {error}" if known else "")


def of_environment() -> Secrets | None:
    """Read the variables of the az tool, in its order; None if they hold no credentials."""
    read = os.environ.get
    said = read("AZURE_STORAGE_CONNECTION_STRING")
    if said:
        return of_connection_string(said, "AZURE_STORAGE_CONNECTION_STRING")
    account = read("AZURE_STORAGE_ACCOUNT") or None
    key, sas = read("AZURE_STORAGE_KEY"), read("AZURE_STORAGE_SAS_TOKEN")
    if key and account:
        return checked(account, key, None, key_field="AZURE_STORAGE_KEY")
    if sas:
        return checked(account, None, sas, sas_field="AZURE_STORAGE_SAS_TOKEN")
    return None


def of_connection_string(text: str, where: str) -> Secrets:
    """Read a connection string; errors name `where` it came from."""
    pairs = (part.partition("=") for part in text.split(";"))
    said = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if said.get("usedevelopmentstorage", "").lower() == "true":
        return checked(_EMULATOR_ACCOUNT, _EMULATOR_KEY, None)
    account, key, sas = map(said.get, ("accountname", "accountkey", "sharedaccesssignature"))
    blob_host = endpoints.host_of(said.get("blobendpoint", ""))
    if not account and endpoints.endpoint_of(blob_host) is not None:
        # so the portal writes a SAS; the host may have a route in it, the account's name has none
        account = (endpoints.realm_of(blob_host) or "").partition(".")[0]
    if account and key:
        return checked(account, key, None, key_field=f"AccountKey of {where}")
    if sas:
        return checked(account, None, sas, sas_field=f"SharedAccessSignature of {where}")
    raise CredentialsError(f"{where} holds neither AccountName with AccountKey nor SharedAccessSignature")


def checked(
    account: str | None,
    key: str | None,
    sas: str | None,
    *,
    key_field: str = "key",
    sas_field: str = "sas_token",
) -> Secrets:
    """Check what was given or found; errors name the field and not its value."""
    if account is not None and not _ACCOUNT(account):
        raise CredentialsError("account is not the name of a storage account: letters and digits")
    return Secrets(
        account.removesuffix("-secondary") if account else None,
        _decoded(key, key_field) if key is not None else None,
        _spelt(sas, sas_field) if sas is not None else None,
    )


def _decoded(key: str, name: str) -> bytes:
    try:
        decoded = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if not decoded:
        raise CredentialsError(f"{name} is not base64: look for a missing part, a space or a line end")
    return decoded


def _spelt(sas: str, name: str) -> str:
    sas = sas.lstrip("?")
    if not _VISIBLE(sas):
        raise CredentialsError(
            f"{name} is empty, or holds a space, a line end or a character that is not ASCII"
        )
    if "sig" not in (part.partition("=")[0] for part in sas.split("&")):
        raise CredentialsError(f"{name} holds no signature (sig=)")
    return wire_query(sas)
