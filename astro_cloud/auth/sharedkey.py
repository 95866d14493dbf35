"""Azure's Shared Key and service SAS as pure functions, one per term of the Azure documentation.

Text in, text out: nothing here reads a clock, a credential store or a socket. What is signed is
decided by the callers (`astro_cloud.auth.azure`); this module only spells the terms.

Reference: Azure Storage REST API, "Authorize with Shared Key" and "Create a service SAS".
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from urllib.parse import quote, unquote

__all__ = [
    "VERSION",
    "authorization",
    "canonicalized_headers",
    "canonicalized_resource",
    "sas_string_to_sign",
    "service_sas",
    "signature",
    "string_to_sign",
]

VERSION = "2023-11-03"
"""The version of the service that requests and SAS tokens are made for."""

_WHITE_SPACE = " \t"
"""What HTTP takes off a value's ends (RFC 9110, section 5.5); a byte of UTF-8 is none of it."""
_STANDARD_HEADERS = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)


def string_to_sign(method: str, path: str, query: str, headers: Mapping[str, str], account: str) -> str:
    """Join what is signed of a request to the Blob service, version 2015-02-21 or later.

    Parameters
    ----------
    method : str
        In upper case.
    path, query : str
        As they go over the wire, percent-encoded; the query without ``?``.
    headers : mapping
        All headers of the request, names in lower case.
    account : str
        Whose key signs.
    """
    values = {name: headers.get(name, "").strip(_WHITE_SPACE) for name in _STANDARD_HEADERS}
    if values["content-length"] == "0":
        values["content-length"] = ""
    terms = (method, *values.values())
    return (
        "\n".join(terms) + f"\n{canonicalized_headers(headers)}{canonicalized_resource(path, query, account)}"
    )


def canonicalized_headers(headers: Mapping[str, str]) -> str:
    """Spell every ``x-ms-*`` header, one ``name:value`` line each, sorted; names come in lower case."""
    names = sorted((name for name in headers if name.startswith("x-ms-")), key=_as_the_service_sorts)
    return "".join(f"{name}:{headers[name].strip(_WHITE_SPACE)}\n" for name in names)


def _as_the_service_sorts(name: str) -> str:
    """Put the underscore before the digits, where ASCII has it after them (Azurite, azure-storage-blob)."""
    return name.replace("_", " ")


def canonicalized_resource(path: str, query: str, account: str) -> str:
    """Spell the account, the path as it is sent, and the query's parameters: decoded, sorted, by name.

    In a path-style URL, which begins with the account, the account so comes twice.
    """
    values: dict[str, list[str]] = {}
    for name, _, value in (part.partition("=") for part in query.split("&") if part):
        values.setdefault(unquote(name).lower(), []).append(unquote(value))
    parameters = "".join(f"\n{name}:{','.join(sorted(values[name]))}" for name in sorted(values))
    return f"/{account}{path}{parameters}"


def signature(key: bytes, string_to_sign: str) -> str:
    """Sign: HMAC-SHA256 in base64."""
    return base64.b64encode(hmac.digest(key, string_to_sign.encode(), "sha256")).decode()


def authorization(account: str, signature: str) -> str:
    """Spell the value of the ``Authorization`` header."""
    return f"SharedKey {account}:{signature}"


def sas_string_to_sign(resource: str, expiry: str, protocol: str) -> str:
    """Join what is signed of a service SAS to read one blob, version 2020-12-06 or later.

    Parameters
    ----------
    resource : str
        Canonicalized: ``/blob/ACCOUNT/CONTAINER/BLOB``, not percent-encoded.
    expiry : str
        ``YYYY-MM-DDTHH:MM:SSZ``.
    protocol : str
        ``"https"``, or empty for both.
    """
    start = identifier = ip = snapshot = encryption_scope = ""
    overridden_headers = ("",) * 5
    return "\n".join(
        (
            "r",
            start,
            expiry,
            resource,
            identifier,
            ip,
            protocol,
            VERSION,
            "b",
            snapshot,
            encryption_scope,
            *overridden_headers,
        )
    )


def service_sas(key: bytes, resource: str, expiry: str, protocol: str) -> str:
    """Make the query, without ``?``, that lets anybody read one blob; parameters as `sas_string_to_sign`."""
    parameters = {"sv": VERSION, "sr": "b", "sp": "r", "se": expiry}
    if protocol:
        parameters["spr"] = protocol
    parameters["sig"] = signature(key, sas_string_to_sign(resource, expiry, protocol))
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())
