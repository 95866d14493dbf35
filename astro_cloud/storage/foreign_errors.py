"""What the libraries below raise, turned into our errors by one table."""

from __future__ import annotations

import http.client
import socket
from typing import NamedTuple

import requests
import urllib3.exceptions

from astro_cloud.auth.masking import masked
from astro_cloud.exceptions import (
    AstroCloudError,
    IncompleteReadError,
    InvalidLocationError,
    StorageError,
    TransferTimeoutError,
)
from astro_cloud.storage.answers import Again, Fail
from astro_cloud.storage.settings import Settings

__all__ = ["FOREIGN_ERRORS", "translate"]

FOREIGN_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError)
"""What sending a request and reading its answer may raise; `translate` understands all of it."""


class _Rule(NamedTuple):
    kinds: tuple[type[Exception], ...]
    error: type[AstroCloudError]
    says: str
    passes: bool


_RULES = (
    _Rule(
        (requests.exceptions.SSLError, urllib3.exceptions.SSLError),
        StorageError,
        "the server's certificate or TLS connection was not accepted (a private CA is named by "
        "REQUESTS_CA_BUNDLE)",
        False,
    ),
    _Rule((urllib3.exceptions.NewConnectionError,), StorageError, "no connection", True),
    _Rule((requests.exceptions.ProxyError,), StorageError, "the proxy could not be reached", True),
    _Rule(
        (requests.exceptions.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError),
        TransferTimeoutError,
        "no connection within {settings.connect_timeout:g} s",
        True,
    ),
    _Rule(
        (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError, TimeoutError),
        TransferTimeoutError,
        "the server sent nothing for {settings.read_timeout:g} s",
        True,
    ),
    _Rule(
        (
            requests.exceptions.InvalidURL,
            requests.exceptions.InvalidSchema,
            requests.exceptions.MissingSchema,
            urllib3.exceptions.LocationValueError,
            http.client.InvalidURL,
        ),
        InvalidLocationError,
        "this is not a URL that can be read",
        False,
    ),
    _Rule((requests.exceptions.ConnectionError,), StorageError, "no connection", True),
    _Rule(
        (
            requests.exceptions.ChunkedEncodingError,
            urllib3.exceptions.ProtocolError,
            urllib3.exceptions.IncompleteRead,
            http.client.IncompleteRead,
            ConnectionError,
        ),
        IncompleteReadError,
        "the connection closed before the whole body had arrived",
        True,
    ),
    _Rule(
        (http.client.HTTPException,), StorageError, "the server does not answer as HTTP would have it", True
    ),
    _Rule(
        (requests.RequestException, urllib3.exceptions.HTTPError), StorageError, "the request failed", False
    ),
    _Rule((OSError,), IncompleteReadError, "the connection broke", True),
)


def translate(error: Exception, location: str, settings: Settings) -> Again | Fail:
    """Turn what the libraries below raise into a verdict, by one table, most specific first.

    The cause is kept as its text, with signatures masked: foreign errors carry the request they
    failed on, credentials and all.
    """
    rule = next(rule for rule in _RULES if isinstance(error, rule.kinds))
    says = rule.says.format(settings=settings)
    if _is_name_resolution(error):
        says = "the host name cannot be resolved: is it spelt right, is there a network?"
    ours = rule.error(f"{location}: {says}")
    ours.__cause__ = ConnectionError(masked(f"{type(error).__name__}: {error}"))
    if not isinstance(ours, StorageError):
        return Fail(ours)
    ours.location = location
    return Again(ours) if rule.passes else Fail(ours)


def _is_name_resolution(error: BaseException) -> bool:
    reason = error.args[0] if error.args else None
    cause = getattr(reason, "reason", reason)
    return isinstance(cause, urllib3.exceptions.NameResolutionError | socket.gaierror)
