"""GCPAuth against Google's published cases: each stage of a V4 signature, and the URL it ends up in."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from google.cloud.storage._signing import generate_signed_url_v4
from google.oauth2 import service_account
from hypothesis import assume, given
from hypothesis import strategies as st

from astro_cloud.auth import goog4
from astro_cloud.auth.gcp import GCPAuth
from tests.auth.gcp_stand_ins import NOON
from tests.auth.gcs_v4_cases import account, cases, moment, staged_cases, url_cases, url_of


@pytest.fixture(scope="module")
def service() -> Any:
    """google-auth's credentials of the account that signs the cases."""
    return service_account.Credentials.from_service_account_info(account())


def test_the_conformance_cases_are_whole() -> None:
    """All 22 cases of the edition that is fetched are judged: by their stages, their URL, or both."""
    assert account()["type"] == "service_account"
    assert (len(cases()), len(staged_cases()), len(url_cases())) == (22, 20, 20)


@pytest.mark.parametrize("case", staged_cases())
def test_every_stage_is_as_google_has_it(case: dict[str, Any]) -> None:
    """The signature covers Google's canonical request and string to sign, character for character."""
    # google-cloud-storage renamed the account everywhere but in the strings to sign
    named = account()
    named["client_email"] = named["client_email"].replace("@test-", "@dummy-")
    canonical_request = case["expectedCanonicalRequest"].replace("%40test-", "%40dummy-")
    expected = case["expectedStringToSign"]
    assert expected.endswith(hashlib.sha256(canonical_request.encode()).hexdigest()), "it agrees with itself"
    renamed = service_account.Credentials.from_service_account_info(named)
    auth = GCPAuth(credentials=renamed, clock=lambda: moment(case))
    url = auth.presign(url_of(case), case["expiration"], method=case["method"], headers=case.get("headers"))
    assert canonical_request.startswith(f"{case['method']}\n{urlsplit(url).path}\n")
    assert url.partition("X-Goog-Signature=")[2] == renamed.sign_bytes(expected.encode()).hex()


@pytest.mark.parametrize("case", url_cases())
def test_the_urls_are_googles(case: dict[str, Any], service: Any) -> None:
    """With the time spelt as google-cloud-storage's own test spells it, the URL is its to the letter."""
    url = goog4.presigned(
        GCPAuth(credentials=service)._signer(),
        case["timestamp"],
        url_of(case),
        expires=case["expiration"],
        method=case["method"],
        headers=case.get("headers", {}).items(),
        user_project=None,
    )
    assert url == case["expectedUrl"]


PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)


@given(
    key=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20),
    query=st.dictionaries(
        st.sampled_from(["generation", "a b", "x+y", "ü"]), st.text("ab %+&=~é/?"), max_size=3
    ),
    headers=st.dictionaries(st.sampled_from(["x-goog-meta-a", "X-Goog-Meta-B", "content-type"]), PRINTABLE),
    method=st.sampled_from(["GET", "HEAD", "PUT", "DELETE"]),
    expires=st.integers(1, 604_800),
)
def test_urls_are_those_of_googles_own_signer(
    key: str, query: dict[str, str], headers: dict[str, str], method: str, expires: int
) -> None:
    """For any key, query, headers and method, google-cloud-storage computes the same signature.

    Keys with segments of dots, or that begin with a slash, are sent as other text of the same meaning,
    which it would sign as it stands: they are left out.
    """
    assume(not key.startswith("/") and not {".", ".."} & set(key.split("/")))
    signing = service_account.Credentials.from_service_account_info(account())
    resource = "/survey/" + quote(key, safe="/~")
    theirs = generate_signed_url_v4(
        signing,
        resource,
        expires,
        method=method,
        headers=dict(headers),
        query_parameters=dict(query),
        _request_timestamp="20260517T120000Z",
    )
    asked = urlencode(query, quote_via=quote)
    auth = GCPAuth(credentials=signing, clock=lambda: NOON)
    ours = auth.presign(
        f"https://storage.googleapis.com{resource}?{asked}", expires, method=method, headers=headers
    )
    assert ours.partition("X-Goog-Signature=")[2] == theirs.partition("X-Goog-Signature=")[2].lower()
