"""Google's published cases for V4 signatures, read; and the service account that they are signed by."""

from __future__ import annotations

import datetime
import json
from typing import Any
from urllib.parse import quote

import pytest

from tests import corpora

PLACE = corpora.GCS_V4

#: Cases that cannot be passed, by name, and why; some editions of the file have them.
WRONG = {"Universe domain with virtual hosted style": "its canonical request has the bucket in path and host"}


def cases() -> list[Any]:
    """Read the cases, but for `WRONG` ones; none where they were not fetched."""
    file = PLACE / "url_signer_v4_test_data.json"
    if not file.is_file():
        return []
    found = json.loads(file.read_text(encoding="utf-8-sig"))["signingV4Tests"]
    return [pytest.param(case, id=case["description"]) for case in found if case["description"] not in WRONG]


def staged_cases() -> list[Any]:
    """Leave out google-cloud-storage's own cases, which have no stages; their URLs are judged as all are."""
    return [case for case in cases() if "expectedStringToSign" in case.values[0]]


def url_cases() -> list[Any]:
    """Leave out cases whose URL google-cloud-storage signed anew, over a path that it does not send encoded.

    Its ``expectedUrl`` has an ampersand in the path where its ``expectedCanonicalRequest`` has %26. Their
    stages are judged.
    """
    return [case for case in cases() if "amper&sand" not in case.values[0]["expectedUrl"]]


def account() -> dict[str, str]:
    """The service account, key and all, that Google made for its test cases."""
    file = PLACE / "url_signer_v4_test_account.json"
    if not file.is_file():
        pytest.fail(corpora.absent(PLACE))
    info: dict[str, str] = json.loads(file.read_text())
    return info


def url_of(case: dict[str, Any]) -> str:
    """Spell the URL a case is about, without a signature."""
    path = "/" + quote(case.get("object", ""), safe="/-._~")
    style = case.get("urlStyle")
    if style == "BUCKET_BOUND_HOSTNAME":
        host = case["bucketBoundHostname"]
    elif style == "VIRTUAL_HOSTED_STYLE":
        host = f"{case['bucket']}.storage.googleapis.com"
    else:
        host, path = "storage.googleapis.com", f"/{case['bucket']}" + (path if "object" in case else "")
    pairs = (f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in parameters(case).items())
    return f"{case['scheme']}://{host}{path}?{'&'.join(pairs)}".rstrip("?")


def parameters(case: dict[str, Any]) -> dict[str, str]:
    """Return the query parameters a case has before it is signed."""
    found: dict[str, str] = case.get("queryParameters", {})
    return found


def moment(case: dict[str, Any]) -> datetime.datetime:
    """Read the time of a case, which has one of two spellings."""
    return datetime.datetime.fromisoformat(case["timestamp"])
