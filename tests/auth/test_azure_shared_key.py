"""AzureAuth with an account's key: the Shared Key signature of a request.

The strings to sign and signatures are azure-storage-blob 12.31.1's, but for ``Range``, which that one
never sends; `test_azurite` has a server judge it.
"""

from __future__ import annotations

import pytest

from astro_cloud.auth import sharedkey
from tests.auth.azure_stand_ins import URL, auth, prepared

DATE = "x-ms-date:Sun, 17 May 2026 12:00:00 GMT\n"
VERSION = "x-ms-version:2023-11-03\n"


@pytest.mark.parametrize(
    ("method", "url", "headers", "body", "string_to_sign", "signature"),
    [
        pytest.param(
            "GET",
            "https://survey.blob.core.windows.net/images/night%201/m31.fits",
            {"x-ms-range": "bytes=0-2879"},
            None,
            "GET"
            + "\n" * 12
            + DATE
            + "x-ms-range:bytes=0-2879\n"
            + VERSION
            + "/survey/images/night%201/m31.fits",
            "L1Zqf/B9uAxhRMnn+8/NtX8AiIeaJSo5K8ROLuWgMpc=",
            id="x-ms-range",
        ),
        pytest.param(
            "PUT",
            "https://survey.blob.core.windows.net/images/empty",
            {"x-ms-blob-type": "BlockBlob", "x-ms-meta-a_": "1", "x-ms-meta-a1": "2"},
            b"",
            "PUT"
            + "\n" * 12
            + "x-ms-blob-type:BlockBlob\n"
            + DATE
            + "x-ms-meta-a_:1\nx-ms-meta-a1:2\n"
            + VERSION
            + "/survey/images/empty",
            "dpEymcHp6KPLiQvZYj6e6LgLGLPTbZj2IOZa+yoLeVg=",
            id="empty-body",
        ),
        pytest.param(
            "PUT",
            "http://127.0.0.1:10000/survey/images/full",
            {
                "Content-Type": "application/fits",
                "Content-MD5": "abc=",
                "x-ms-blob-type": "BlockBlob",
                "If-None-Match": "*",
            },
            b"eleven byte",
            "PUT\n\n\n11\nabc=\napplication/fits\n\n\n\n*\n\n\nx-ms-blob-type:BlockBlob\n"
            + DATE
            + VERSION
            + "/survey/survey/images/full",
            "EpipDxeJpNN0qdc0+K6epYEWeQ5ZzRrHzqEsWgKUhHU=",
            id="path-style",
        ),
        pytest.param(
            "HEAD",
            URL,
            {"If-Match": '"0x8D"', "If-Modified-Since": "Sat, 16 May 2026 12:00:00 GMT"},
            None,
            'HEAD\n\n\n\n\n\n\nSat, 16 May 2026 12:00:00 GMT\n"0x8D"\n\n\n\n'
            + DATE
            + VERSION
            + "/survey/images/m31.fits",
            "Byxu0Ykh6HlY1tY0m5t7MCd7xrjAQoGrhqfRSvfx2EM=",
            id="conditions",
        ),
    ],
)
def test_shared_key_is_what_azures_own_signer_makes(
    method: str, url: str, headers: dict[str, str], body: bytes | None, string_to_sign: str, signature: str
) -> None:
    """String to sign and signature of a request are those of azure-storage-blob."""
    request = auth().sign(prepared(url, method, headers=headers, data=body))
    sent = {name.lower(): value for name, value in request.headers.items()}
    path = request.path_url
    assert sharedkey.string_to_sign(method, path, "", sent, "survey") == string_to_sign
    assert request.headers["Authorization"] == f"SharedKey survey:{signature}"


def test_a_query_is_signed_decoded_lower_case_and_sorted() -> None:
    """Names of parameters are lower case before they are sorted, values of one name are joined sorted."""
    resource = sharedkey.canonicalized_resource(
        "/images", "restype=container&comp=list&prefix=a%20b&Marker=x%2By&include=b&include=a", "survey"
    )
    assert resource == "/survey/images\ncomp:list\ninclude:a,b\nmarker:x+y\nprefix:a b\nrestype:container"


def test_range_and_x_ms_range_are_both_signed() -> None:
    """``Range`` has its own line, ``x-ms-range`` is among the headers of the service."""
    headers = {"range": "bytes=0-9", "x-ms-range": "bytes=0-99", "user-agent": "nobody's business"}
    text = sharedkey.string_to_sign("GET", "/c/b", "", headers, "a")
    assert text == "GET" + "\n" * 11 + "bytes=0-9\nx-ms-range:bytes=0-99\n/a/c/b"


def test_a_version_of_the_callers_stays() -> None:
    """``x-ms-version`` is set where the request has none."""
    assert auth().sign(prepared()).headers["x-ms-version"] == "2023-11-03"
    newer = prepared(headers={"x-ms-version": "2024-08-04"})
    assert auth().sign(newer).headers["x-ms-version"] == "2024-08-04"


@pytest.mark.parametrize("header", ["Range", "x-ms-range"])
def test_a_suffix_range_is_not_asked_for(header: str) -> None:
    """Azure answers one with 500."""
    with pytest.raises(ValueError, match="suffix"):
        auth().sign(prepared(headers={header: "bytes=-2880"}))


def test_a_header_may_end_with_any_letter() -> None:
    """Bytes of UTF-8 that Latin-1 takes for spaces are not trimmed off a header that is signed."""
    headers = {"x-ms-meta-a": " voilà ".encode().decode("latin-1"), "x-ms-meta-b": "\x85\t"}
    assert sharedkey.canonicalized_headers(headers) == "x-ms-meta-a:voil\xc3\xa0\nx-ms-meta-b:\x85\n"
