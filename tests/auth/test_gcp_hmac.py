"""GCPAuth with an HMAC key: what it signs, in terms of hmac alone, and as curl computed it."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import io
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_cloud.auth.gcp import GCPAuth
from astro_cloud.auth.refusal import Refusal
from tests.auth.gcp_stand_ins import KEYS, NOON, URL, prepared


def goog4_signature(date: str, canonical_request: str) -> str:
    """Sign as Google documents it, in terms of hmac alone."""
    key = ("GOOG4" + KEYS["secret_key"]).encode()
    for term in (date[:8], "auto", "storage", "goog4_request"):
        key = hmac.new(key, term.encode(), hashlib.sha256).digest()
    digest = hashlib.sha256(canonical_request.encode()).hexdigest()
    text = f"GOOG4-HMAC-SHA256\n{date}\n{date[:8]}/auto/storage/goog4_request\n{digest}"
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("target", "signature"),
    [
        ("/test-bucket/m31.fits", "8b1ea0995d732ccdfc25737e1fd7692af44308ac91b7e2cd04225f26540cc82b"),
        (
            "/test-bucket/two%20words/a%2Bb.fits?generation=7&prefix=a%20b%2Fc",
            "922abcdd2879e977edea4f84d78852c2179f80a042ae7a7e46579df0aacd8e7c",
        ),
    ],
)
def test_curl_computed_the_same_signature(target: str, signature: str) -> None:
    """What `curl --aws-sigv4 goog:goog:auto:storage` (7.88.1) sent for a request is what we send."""
    then = datetime.datetime(2026, 11, 21, 11, 37, 7, tzinfo=datetime.UTC)
    request = prepared("https://storage.googleapis.com" + target, headers={"Range": "bytes=0-2879"})
    GCPAuth("payer", **KEYS, clock=lambda: then).sign(request)
    assert request.headers["Authorization"] == (
        "GOOG4-HMAC-SHA256 Credential=GOOG1EXAMPLEACCESSKEY/20261121/auto/storage/goog4_request, "
        "SignedHeaders=host;range;x-goog-content-sha256;x-goog-date;x-goog-user-project, "
        f"Signature={signature}"
    )


@given(
    key=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30),
    query=st.dictionaries(st.text("ab %+&=~é", min_size=1), st.text("ab %+&=~é/?"), max_size=3),
    method=st.sampled_from(["GET", "HEAD", "PUT", "DELETE"]),
    project=st.sampled_from([None, "payer-1"]),
)
def test_what_is_sent_is_what_is_signed(
    key: str, query: dict[str, str], method: str, project: str | None
) -> None:
    """For any key and query, the signature is over path, query, headers and body as they go out."""
    body = b"some bytes" if method == "PUT" else None
    url = "https://storage.googleapis.com/test-bucket/" + quote(key, safe="/")
    request = prepared(url, method, params=query, data=body, headers={"If-Match": '"7"'})
    GCPAuth(project, **KEYS, clock=lambda: NOON).sign(request)
    path, _, sent_query = request.path_url.partition("?")
    pairs = [part.partition("=")[::2] for part in sent_query.split("&") if part]
    names = sorted(name for name in request.headers.lower_items() if name[0].startswith(("x-goog-", "if-")))
    lines = sorted([("host", "storage.googleapis.com"), *names])
    canonical_request = "\n".join(
        [
            method,
            path,
            "&".join(f"{name}={value}" for name, value in sorted(pairs)),
            *(f"{name}:{value}" for name, value in lines),
            "",
            ";".join(name for name, _ in lines),
            hashlib.sha256(body or b"").hexdigest(),
        ]
    )
    expected = goog4_signature("20260517T120000Z", canonical_request)
    assert request.headers["Authorization"].endswith(f"Signature={expected}")
    assert request.headers.get("x-goog-user-project") == project


def test_hmac_presigned_urls() -> None:
    """A presigned URL is signed in its query, host alone, the payload left out; the project is in it."""
    url = GCPAuth("payer", **KEYS, clock=lambda: NOON).presign(URL + "?generation=7", 60)
    target, _, signature = url.partition("&X-Goog-Signature=")
    query = urlsplit(target).query
    canonical_request = (
        f"GET\n/test-bucket/m31.fits\n{query}\nhost:storage.googleapis.com\n\nhost\nUNSIGNED-PAYLOAD"
    )
    assert signature == goog4_signature("20260517T120000Z", canonical_request)
    assert query.split("&") == sorted(query.split("&"))
    assert parse_qs(query)["userProject"] == ["payer"]
    assert parse_qs(query)["X-Goog-Credential"] == [
        "GOOG1EXAMPLEACCESSKEY/20260517/auto/storage/goog4_request"
    ]


def test_signing_again_replaces_the_signature() -> None:
    """A request signed twice carries one signature, of the second time."""
    clock = iter([NOON, NOON + datetime.timedelta(days=1)])
    auth, request = GCPAuth(**KEYS, clock=lambda: next(clock)), prepared(params={"a": "b c"})
    first = auth.sign(request).headers["Authorization"]
    assert "20260518/auto" in auth.sign(request).headers["Authorization"]
    fresh = GCPAuth(**KEYS, clock=lambda: NOON).sign(prepared(params={"a": "b c"}))
    assert fresh.headers["Authorization"] == first


def test_bodies_are_hashed_or_declared_unsigned() -> None:
    """A file is hashed and stays where it stands; what can be read only once is not read."""
    body = io.BytesIO(b"xxfile")
    body.seek(2)
    auth = GCPAuth(**KEYS)
    request = auth.sign(prepared(method="PUT", data=body))
    assert request.headers["x-goog-content-sha256"] == hashlib.sha256(b"file").hexdigest()
    assert body.tell() == 2
    once = iter([b"a"])
    request = auth.sign(prepared(method="PUT", data=once))
    assert request.headers["x-goog-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert list(once) == [b"a"]


def test_the_clock_is_learnt() -> None:
    """A signature that is too old for the server teaches its time; other refusals teach nothing."""
    auth = GCPAuth(**KEYS, clock=lambda: NOON)
    request = auth.sign(prepared())
    assert auth.learn(request, Refusal(403, "AccessDenied", date="Sun, 17 May 2026 15:00:00 GMT")) is None
    skewed = Refusal(403, "RequestTimeTooSkewed", date="Sun, 17 May 2026 15:00:00 GMT")
    assert auth.learn(prepared(), skewed) is None
    assert auth.learn(request, skewed) == "clock"
    assert auth.sign(request).headers["x-goog-date"] == "20260517T150000Z"
