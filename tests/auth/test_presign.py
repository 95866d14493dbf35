"""URLs that carry their signature."""

import datetime
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from botocore.auth import S3SigV4QueryAuth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import assume, given
from hypothesis import strategies as st

import astro_cloud
from astro_cloud.auth import AWSAuth, GCPAuth
from astro_cloud.exceptions import CredentialsError
from tests.auth.gcs_v4_cases import account
from tests.auth.odd_keys import ODD_KEYS
from tests.servers.process import RunningServer

DOCUMENTED = {"access_key": "AKIAIOSFODNN7EXAMPLE", "secret_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
MAY_24 = datetime.datetime(2013, 5, 24, tzinfo=datetime.UTC)
BUCKET = "presigned"


def auth_for(judge: RunningServer, **options: Any) -> AWSAuth:
    """The first user's auth."""
    keys = {"access_key": judge.access_key, "secret_key": judge.secret_key, "region": judge.region}
    return AWSAuth(**{**keys, **options})


@pytest.fixture
def stored(s3_judge: RunningServer) -> str:
    """An object of 1,000 bytes on a real server; gives its URL."""
    requests.put(f"{s3_judge.url}/{BUCKET}", auth=auth_for(s3_judge))
    url = f"{s3_judge.url}/{BUCKET}/m31.fits"
    assert requests.put(url, data=bytes(1000), auth=auth_for(s3_judge)).status_code == 200
    return url


def test_the_example_of_the_documentation() -> None:
    """The URL that AWS publishes for a day of GET /test.txt comes out to the letter."""
    auth = AWSAuth(**DOCUMENTED, clock=lambda: MAY_24)
    assert auth.presign("https://examplebucket.s3.amazonaws.com/test.txt", expires=86_400) == (
        "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


@given(
    key=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20),
    expires=st.integers(1, 604_800),
    token=st.sampled_from([None, "a/token+with=signs"]),
    method=st.sampled_from(["GET", "HEAD", "PUT"]),
)
def test_urls_are_those_of_botocore(key: str, expires: int, token: str | None, method: str) -> None:
    """For any key, time, token and method, botocore computes the same signature.

    Dot segments go out as %2E, which servers decode and botocore's signer does not: the real servers
    judge those (`test_real_servers_read_odd_keys`).
    """
    assume(not {".", ".."} & set(key.split("/")))
    now = datetime.datetime.now(datetime.UTC)
    url = f"https://s3.eu-west-1.amazonaws.com/bucket/{quote(key, safe='/-._~')}"
    ours = AWSAuth(**DOCUMENTED, session_token=token, clock=lambda: now).presign(url, expires, method=method)
    signer = S3SigV4QueryAuth(Credentials(*DOCUMENTED.values(), token), "s3", "eu-west-1", expires=expires)
    judged = AWSRequest(method, ours.split("?")[0])
    judged.context["timestamp"] = now.strftime("%Y%m%dT%H%M%SZ")
    signer._modify_request_before_signing(judged)
    text = signer.string_to_sign(judged, signer.canonical_request(judged))
    assert ours.endswith("X-Amz-Signature=" + signer.signature(text, judged))


def test_real_servers_read_it(s3_judge: RunningServer, stored: str) -> None:
    """Anybody reads the URL, whole or a range of it; nobody reads it changed, or another way."""
    url = auth_for(s3_judge).presign(stored)
    assert requests.get(url).content == bytes(1000)
    part = requests.get(url, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, bytes(10))
    assert requests.get(url[:-1] + ("0" if url[-1] != "0" else "1")).status_code == 403
    assert requests.get(url.replace("m31", "m32")).status_code == 403
    assert requests.get(url.replace("X-Amz-Expires=3600", "X-Amz-Expires=7200")).status_code == 403
    assert requests.put(url, data=b"").status_code == 403
    assert requests.put(auth_for(s3_judge).presign(stored, method="PUT"), data=b"new").status_code == 200


def test_real_servers_refuse_it_once_expired(s3_judge: RunningServer, stored: str) -> None:
    """A URL is good for its time and no longer."""
    an_hour_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    auth = auth_for(s3_judge, clock=lambda: an_hour_ago)
    assert requests.get(auth.presign(stored, expires=60)).status_code == 403
    assert requests.get(auth.presign(stored, expires=7200)).status_code == 200


@pytest.mark.parametrize("key", [key for key in ODD_KEYS.values() if key not in (".", "..")])
def test_real_servers_read_odd_keys(s3_judge: RunningServer, key: str) -> None:
    """Every key can be given away as a URL; the session below sends it as it is."""
    auth = auth_for(s3_judge)
    requests.put(f"{s3_judge.url}/{BUCKET}", auth=auth)
    request = requests.Request("PUT", f"{s3_judge.url}/{BUCKET}/x", data=key.encode()).prepare()
    request.url = f"{s3_judge.url}/{BUCKET}/" + quote(key, safe="/-._~")
    with requests.Session() as session:
        assert session.send(auth.sign(request)).status_code == 200
        get = requests.Request("GET", s3_judge.url).prepare()
        get.url = auth.presign(f"{s3_judge.url}/{BUCKET}/" + quote(key, safe="/-._~"))
        assert session.send(get).content == key.encode()


def test_a_location_is_signed_by_whoever_may_read_it(
    s3_judge: RunningServer, stored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`astro_cloud.presign` takes what `load_headers` takes, and its URL is read by a stranger."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_judge.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_judge.secret_key)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_judge.url)
    location = f"s3://{BUCKET}/m31.fits"
    for url in (
        astro_cloud.presign(location),
        astro_cloud.presign(stored, 60),
        astro_cloud.presign(location, auth=auth_for(s3_judge)),
        astro_cloud.presign(location, client=astro_cloud.Client(auth=auth_for(s3_judge))),
    ):
        assert requests.get(url).content == bytes(1000)
    with astro_cloud.Client() as client:
        assert client.read_ranges(astro_cloud.presign(location), [(0, 10)]) == [bytes(10)]
    with pytest.raises(CredentialsError, match="only with credentials"):
        astro_cloud.presign("https://archive.example/m31.fits")


@pytest.mark.parametrize("expires", [0, -1, 604_801])
def test_no_url_for_longer_than_a_week(expires: int) -> None:
    """S3 takes 1 second to 7 days; anything else is an error before anybody relies on it."""
    with pytest.raises(ValueError, match="7 days"):
        AWSAuth(**DOCUMENTED).presign("https://s3.amazonaws.com/b/k", expires)


def test_what_else_is_an_error() -> None:
    """Signing twice, and signing with nothing, are said so."""
    auth = AWSAuth(**DOCUMENTED)
    with pytest.raises(ValueError, match="signed already"):
        auth.presign(auth.presign("https://s3.amazonaws.com/b/k"))
    with pytest.raises(CredentialsError, match="searched"):
        AWSAuth().presign("https://s3.amazonaws.com/b/k")


def test_the_offer_to_pay_goes_along() -> None:
    """For a requester-pays bucket the URL says who pays, and the signature covers it."""
    url = AWSAuth(True, **DOCUMENTED).presign("https://s3.amazonaws.com/b/k?x=1")
    assert "&x=1&x-amz-request-payer=requester&X-Amz-Signature=" in url


def test_the_suites_cases_in_their_query_form(aws4_testsuite: Path) -> None:
    """Each GET of AWS's suite is presigned as botocore does it.

    Of a parameter that is repeated botocore would keep one: there it signs the query we wrote.
    """
    now = datetime.datetime(2015, 8, 30, 12, 36, tzinfo=datetime.UTC)
    keys = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    targets = {
        file.read_text().split("\n")[0].removeprefix("GET ").removesuffix(" HTTP/1.1")
        for file in aws4_testsuite.rglob("*.req")
        if file.read_text().startswith("GET ")
    }
    assert len(targets) > 12
    for target in sorted(targets):
        request = requests.Request("GET", f"https://example.amazonaws.com{target}").prepare()
        signer = SigV4QueryAuth(Credentials(*keys), "service", "us-east-1", expires=60)
        auth = AWSAuth(
            access_key=keys[0], secret_key=keys[1], region="us-east-1", service="service", clock=lambda: now
        )
        ours = auth.presign(request.url or "", 60)
        repeats = target.count("Param1=") > 1
        judged = AWSRequest("GET", ours.partition("&X-Amz-Signature=")[0] if repeats else request.url)
        judged.context["timestamp"] = "20150830T123600Z"
        if not repeats:
            signer._modify_request_before_signing(judged)
        text = signer.string_to_sign(judged, signer.canonical_request(judged))
        assert ours.endswith("X-Amz-Signature=" + signer.signature(text, judged)), target


@pytest.mark.parametrize(
    ("location", "environment", "signed_by"),
    [
        ("https://survey.blob.core.windows.net/sky/k",
         {"AZURE_STORAGE_ACCOUNT": "survey", "AZURE_STORAGE_KEY": "a2V5"}, "&sig="),
        ("https://sky.nyc3.digitaloceanspaces.com/k",
         {"SPACES_ACCESS_KEY_ID": "DO", "SPACES_SECRET_ACCESS_KEY": "s"}, "&X-Amz-Signature="),
    ],
)  # fmt: skip
def test_every_provider_gives_urls_away(
    location: str, environment: dict[str, str], signed_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`astro_cloud.presign` chooses the provider by the host, as reading does."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert signed_by in astro_cloud.presign(location)


def test_google_gives_urls_away_by_hmac_and_by_a_service_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An HMAC key is given; a service account's RSA key is found, as google-auth finds it."""
    keyed = astro_cloud.presign("gs://sky/m31.fits", auth=GCPAuth(access_key="GOOG1", secret_key="secret"))
    assert "X-Goog-Algorithm=GOOG4-HMAC-SHA256" in keyed
    (tmp_path / "account.json").write_text(json.dumps(account()))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
    found = astro_cloud.presign("gs://sky/m31.fits")
    assert found.startswith("https://storage.googleapis.com/sky/m31.fits?X-Goog-Algorithm=GOOG4-RSA-SHA256")
