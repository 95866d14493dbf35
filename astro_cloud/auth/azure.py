"""AzureAuth: authorize any `requests` call to Azure Blob Storage.

Shared Key, SAS tokens and bearer tokens. The arithmetic lives in `sharedkey`; here credentials are
found, tokens kept, and a `requests.PreparedRequest` is taken apart and put together.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from requests import PreparedRequest
from requests.auth import AuthBase

from astro_cloud.auth import endpoints, masking, sharedkey  # noqa: F401  masks the SAS in urllib3's log
from astro_cloud.auth.azure_credentials import (
    PLACES_SEARCHED,
    Secrets,
    TokenCredentialLike,
    Tokens,
    checked,
    of_connection_string,
    of_environment,
)
from astro_cloud.auth.clock import ServerClocks
from astro_cloud.auth.plain_http import refuse_plain_http
from astro_cloud.auth.redirects import follow, has_signed_url
from astro_cloud.auth.refusal import Refusal
from astro_cloud.auth.sigv4 import wire_path, wire_query
from astro_cloud.exceptions import CredentialsError

__all__ = ["AzureAuth"]

_LONGEST = 100 * 365 * 24 * 3600
_SUFFIX_RANGE = re.compile(r"\s*bytes\s*=\s*-", re.IGNORECASE)
# A text to split: of thirty names as many lines would be made.
_SAS_PARAMETERS = frozenset(
    "sv ss srt sr sp st se sip spr si sig sdd ses skoid sktid skt ske sks skv skdutid saoid suoid scid "  # noqa: SIM905
    "sduoid srh srq rscc rscd rsce rscl rsct".split()
)


def _utcnow() -> datetime:
    return datetime.now(UTC)


class AzureAuth(AuthBase):
    """Authorize requests to Azure Blob Storage, or to a server that speaks its protocol.

    Use it wherever `requests` takes ``auth=``: ``requests.get(url, auth=AzureAuth())``, or
    ``session.auth = AzureAuth()``. One object serves any number of threads and URLs.

    Parameters
    ----------
    account, key : str, optional
        Storage account and its key (base64): Shared Key. The account may also go with `sas_token`.
    sas_token : str, optional
        A shared access signature, with or without ``?``: it becomes part of the URL's query.
    credential : object or "default", optional
        Anything with azure-core's ``get_token()``; or ``"default"`` for azure-identity's
        ``DefaultAzureCredential`` (extra ``azure``), made when the first request is signed.
    connection_string : str, optional
        As Azure's portal shows it, with a key or a SAS; of both, the key is used.
    clock : callable
        Returns the current time as an aware `datetime`.

    Raises
    ------
    CredentialsError
        By the constructor, if an argument is broken or does not go with another. When a request is
        signed: if no credentials are found, the message lists the places searched; if the URL is
        plain ``http://`` to anything but this machine, or leads there through a proxy of the
        environment, over which no secret is sent; and if the credential gives no token.
    ValueError
        When a request for a suffix range (``bytes=-N``) is signed: Azure answers it with 500.
    ImportError
        When a request is signed with ``credential="default"`` and azure-identity is not installed.

    Notes
    -----
    Without arguments, the environment is read for each request, as the ``az`` tool reads it:
    ``AZURE_STORAGE_CONNECTION_STRING``, and nothing else if that is set; then ``AZURE_STORAGE_KEY`` with
    ``AZURE_STORAGE_ACCOUNT``; then ``AZURE_STORAGE_SAS_TOKEN``. (``~/.azure/config`` is not read.)

    Keys, tokens and credentials that were passed in travel in a pickle of this object; what comes
    from the environment, or from ``"default"``, does not: the copy finds its own.

    The URL of the request is respelled so that what is signed is what is sent: a space in a query
    becomes ``%20`` (`requests` writes ``+``), dot segments become ``%2E``. ``x-ms-date`` is set and
    ``Date`` taken off, which servers do not agree about; ``x-ms-version`` is set where it is not.
    A URL that carries a signature already is sent with that one, unless `sas_token` replaces it.

    A bearer token is kept until 5 minutes before it expires, and asked for anew once where a server
    answers 401; the server's clock is learnt where it refuses the date of a Shared Key. Then, and where a
    server redirects to itself, the request is sent again, signed anew, whatever ``allow_redirects`` says.
    A redirect that `requests` follows to anybody else, to a URL with a signature that is not ours, or with
    another method (a 303 to a POST, by a GET), is sent on without signature, token or any other ``x-ms-*``
    header; one whose target has our SAS outside of its query loses its ``Location``. Where a body that
    cannot be sent twice is redirected, `requests.exceptions.UnrewindableBodyError` is raised, its
    ``response`` the server's answer.

    References
    ----------
    Azure Storage REST API, "Authorize with Shared Key", "Create a service SAS" and "Authorize with
    Microsoft Entra ID".
    """

    def __init__(
        self,
        *,
        account: str | None = None,
        key: str | None = None,
        sas_token: str | None = None,
        credential: TokenCredentialLike | Literal["default"] | None = None,
        connection_string: str | None = None,
        clock: Callable[[], datetime] = _utcnow,
    ) -> None:
        ways = {
            "key": key,
            "sas_token": sas_token,
            "credential": credential,
            "connection_string": connection_string,
        }
        given = [name for name, value in ways.items() if value is not None]
        if len(given) > 1:
            raise CredentialsError(f"give one of {', '.join(given)}")
        if key is not None and account is None:
            raise CredentialsError("key goes with account")
        if account is not None and key is None and sas_token is None:
            raise CredentialsError("account goes with key, or with sas_token")
        if isinstance(credential, str) and credential != "default":
            raise CredentialsError('credential is an object with get_token(), or "default"')
        self._clocks = ServerClocks(clock)
        self._given: Secrets | None = None
        if connection_string is not None:
            self._given = of_connection_string(connection_string, "connection_string")
        elif key is not None or sas_token is not None:
            self._given = checked(account, key, sas_token)
        self._tokens = Tokens(credential, clock) if credential is not None else None

    def __repr__(self) -> str:
        if self._tokens is not None:
            return "AzureAuth(credential=hidden)"
        return f"AzureAuth({self._given or ''})"

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Authorize `request`, and see to its answers; called by `requests` once per call of its user."""
        signer = self._as_it_is_now()
        return follow(signer.sign(request), signer, signer._is_signed)

    def has_credentials(self) -> bool:
        """Tell whether a request could be signed; for ``"default"``, whether it could be tried."""
        return self._tokens is not None or self._secrets() is not None

    def is_account_of(self, url: str) -> bool:
        """Tell whether the credentials are known to be of the account that a URL's host names."""
        secrets = self._secrets() if self._tokens is None else None
        if secrets is None or secrets.account is None:
            return False
        realm = endpoints.realm_of(endpoints.host_of(url)) or ""
        return realm.startswith(f"{secrets.account}.")

    def sign(self, request: PreparedRequest) -> PreparedRequest:
        """Authorize a prepared request in place, replacing what an earlier call wrote, and return it."""
        url = request.url or ""
        refuse_plain_http(url, "Azure credentials are")
        secrets = None if self._tokens is not None else self._secrets()
        if (secrets is None or secrets.sas is None) and has_signed_url(request):
            return request
        if secrets is None and self._tokens is None:
            raise _none_found()
        if any(_SUFFIX_RANGE.match(_text(request.headers.get(name, ""))) for name in ("Range", "x-ms-range")):
            raise ValueError("Azure knows no suffix ranges (bytes=-N): ask for a range from a first byte")
        request.headers.pop("Authorization", None)
        request.headers.setdefault("x-ms-version", sharedkey.VERSION)
        request.headers["x-ms-date"] = _http_date(int(self._now_at(url).timestamp()))
        request.headers.pop("Date", None)
        path, query = _set_url(request, secrets.sas if secrets is not None else None)
        if self._tokens is not None:
            request.headers["Authorization"] = f"Bearer {self._tokens.get()}"
        elif secrets is not None and secrets.sas is None:
            request.headers["Authorization"] = _shared_key(request, path, query, secrets)
        return request

    def learn(self, request: PreparedRequest, refusal: Refusal) -> str | None:
        """Take from a refusal what lets the same request succeed.

        Parameters
        ----------
        request : PreparedRequest
            The one that was refused, as it was authorized.
        refusal : Refusal
            The answer.

        Returns
        -------
        str or None
            ``"credentials"`` (the bearer token that was refused with 401 is dropped, unless it was
            renewed meanwhile) or ``"clock"`` (the server's is known now) if signing and sending once
            more is worthwhile, else None.
        """
        kind, _, shown = _text(request.headers.get("Authorization", "")).partition(" ")
        if kind == "SharedKey":
            host = endpoints.netloc_of(request.url or "")
            skewed = self._clocks.learn(host, refusal, request.headers.get("x-ms-date", ""))
            return "clock" if skewed else None
        if self._tokens is None or refusal.status != 401 or kind != "Bearer":
            return None
        self._tokens.forget(shown)
        return "credentials"

    def presign(self, url: str, expires: int = 3600) -> str:
        """Make a URL that lets anybody read one blob for a time, with a service SAS.

        Parameters
        ----------
        url : str
            Of the blob, host-style (``https://ACCOUNT.blob.core.windows.net/CONTAINER/BLOB``) or, as
            emulators have it, path-style (``http://127.0.0.1:10000/ACCOUNT/CONTAINER/BLOB``). A
            SAS that it carries is replaced.
        expires : int
            Seconds from now, 1 to 3,153,600,000 (100 years).

        Returns
        -------
        str
            Good for GET and HEAD, with or without Range, over HTTPS only (but for a loopback
            ``http://`` URL).

        Raises
        ------
        CredentialsError
            If there is no account key, or the URL is plain ``http://`` to another machine.
        ValueError
            If the URL names no blob, or `expires` is not a number of seconds to come.
        """
        refuse_plain_http(url, "Azure credentials are")
        secrets = None if self._tokens is not None else self._secrets()
        if secrets is None and self._tokens is None:
            raise _none_found()
        if secrets is None or secrets.key is None or secrets.account is None:
            raise CredentialsError("presign needs the account's key: pass account and key")
        if not isinstance(expires, int) or not 0 < expires <= _LONGEST:
            raise ValueError(f"expires is a number of seconds from now, 1 to {_LONGEST}, not {expires!r}")
        expires_at = self._now_at(url).astimezone(UTC) + timedelta(seconds=expires)
        expiry = expires_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        parts = urlsplit(url)
        path = wire_path(parts.path)
        resource = f"/blob/{secrets.account}/{_container_and_blob(url, path, secrets.account)}"
        protocol = "https" if parts.scheme == "https" else ""
        sas = sharedkey.service_sas(secrets.key, resource, expiry, protocol)
        return parts._replace(path=path, query=_with_sas(parts.query, sas), fragment="").geturl()

    def _now_at(self, url: str) -> datetime:
        return self._clocks.now(endpoints.netloc_of(url))

    def _is_signed(self, request: PreparedRequest) -> bool:
        if _text(request.headers.get("Authorization", "")).startswith(("SharedKey ", "Bearer ")):
            return True
        secrets = self._secrets() if self._tokens is None else None
        return secrets is not None and secrets.sas is not None and secrets.sas in (request.url or "")

    def _as_it_is_now(self) -> AzureAuth:
        """Hold to what the environment says at this moment: the SAS of a request is known by its answers."""
        secrets = self._secrets() if self._tokens is None else None
        if secrets is self._given:
            return self
        signer = copy.copy(self)
        signer._given = secrets
        return signer

    def _secrets(self) -> Secrets | None:
        return self._given if self._given is not None else of_environment()


def _none_found() -> CredentialsError:
    return CredentialsError(
        f"no Azure credentials found; searched: {PLACES_SEARCHED}. Pass account and key, sas_token, "
        'connection_string or a credential (credential="default" for a Microsoft Entra login)'
    )


def _set_url(request: PreparedRequest, sas: str | None) -> tuple[str, str]:
    """Respell the request's URL as it is signed, with the SAS if there is one; return path and query."""
    parts = urlsplit(request.url or "")
    path = wire_path(parts.path)
    query = _with_sas(parts.query, sas) if sas is not None else wire_query(parts.query)
    if (path, query) != (parts.path, parts.query):
        request.url = parts._replace(path=path, query=query, fragment="").geturl()
    return path, query


def _with_sas(query: str, sas: str) -> str:
    """Spell the query with `sas` in the place of any other."""
    kept = [part for part in wire_query(query).split("&") if part]
    if any(part.partition("=")[0] == "sig" for part in kept):
        kept = [part for part in kept if part.partition("=")[0] not in _SAS_PARAMETERS]
    return "&".join((*kept, sas))


def _shared_key(request: PreparedRequest, path: str, query: str, secrets: Secrets) -> str:
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    account, key = secrets.account or "", secrets.key or b""
    text = sharedkey.string_to_sign((request.method or "GET").upper(), path, query, headers, account)
    return sharedkey.authorization(account, sharedkey.signature(key, text))


@lru_cache(maxsize=4)
def _http_date(second: int) -> str:
    return formatdate(second, usegmt=True)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _container_and_blob(url: str, path: str, account: str) -> str:
    """Return ``CONTAINER/BLOB``, decoded, of a host-style or path-style URL."""
    first, _, rest = path[1:].partition("/")
    host = endpoints.host_of(url)
    if first.removesuffix("-secondary") == account and not host.startswith((account + ".", account + "-")):
        first, _, rest = rest.partition("/")
    elif first and not rest and not path.endswith("/"):
        first, rest = "$root", first
    if not first or not rest:
        raise ValueError("presign makes URLs of blobs, and this URL names none")
    return unquote(f"{first}/{rest}")
