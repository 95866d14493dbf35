"""DigitalOceanAuth: where keys are looked for, which region is signed for, and who accepts it."""

import datetime
import logging
import pickle
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from requests import PreparedRequest

from astro_cloud.auth.digital_ocean import DigitalOceanAuth
from astro_cloud.auth.refusal import Refusal
from astro_cloud.exceptions import CredentialsError
from astro_cloud.testing import AccessKey, ObjectServer
from tests.servers.process import RunningServer
from tests.servers.signed import ask

KEYS = {"access_key": "DO00EXAMPLE", "secret_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
URL = "https://space.nyc3.digitaloceanspaces.com/m31.fits"
NOON = datetime.datetime(2026, 5, 17, 12, tzinfo=datetime.UTC)


def signed(auth: DigitalOceanAuth, url: str = URL) -> PreparedRequest:
    """Sign a GET."""
    return auth.sign(requests.Request("GET", url).prepare())


def credential(request: PreparedRequest) -> list[str]:
    """Key, day, region, service and terminator of a signed request."""
    return request.headers["Authorization"].split("Credential=")[1].split(",")[0].split("/")


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://nyc3.digitaloceanspaces.com/space/k", "nyc3"),
        ("https://space.ams3.digitaloceanspaces.com/k", "ams3"),
        ("https://SPACE.SGP1.DIGITALOCEANSPACES.COM/k", "sgp1"),
        ("https://a.space.with.dots.fra1.digitaloceanspaces.com/k", "fra1"),
        ("https://nyc3.digitaloceanspaces.com:443/space/k", "nyc3"),
    ],
)
def test_the_region_is_the_hosts(url: str, region: str) -> None:
    """Both host styles name the data centre that is signed for, whatever region= says."""
    assert credential(signed(DigitalOceanAuth(**KEYS), url))[2:] == [region, "s3", "aws4_request"]
    assert credential(signed(DigitalOceanAuth(**KEYS, region="lon1"), url))[2] == region


@pytest.mark.parametrize(
    "host",
    ["data.observatory.example", "nyc3.digitaloceanspaces.com.evil.example", "evildigitaloceanspaces.com"],
)
def test_another_host_needs_a_region(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A domain of one's own names no region: the argument does, never the settings of AWS."""
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    with pytest.raises(CredentialsError, match="region='nyc3'"):
        signed(DigitalOceanAuth(**KEYS), f"https://{host}/k")
    assert credential(signed(DigitalOceanAuth(**KEYS, region="ams3"), f"https://{host}/k"))[2] == "ams3"


def test_keys_are_found_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments come before SPACES_ names, those before AWS_ names, and the environment is read anew."""
    auth = DigitalOceanAuth()
    assert not auth.has_credentials()
    for prefix, key in (("AWS", "FROM-AWS"), ("SPACES", "FROM-SPACES")):
        monkeypatch.setenv(f"{prefix}_ACCESS_KEY_ID", key)
        monkeypatch.setenv(f"{prefix}_SECRET_ACCESS_KEY", "secret")
        assert auth.has_credentials()
        assert credential(signed(auth))[0] == key
    assert credential(signed(DigitalOceanAuth(**KEYS)))[0] == KEYS["access_key"]


def test_keys_that_belong_to_aws_are_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither AWS's files nor temporary keys with a session token are offered to DigitalOcean."""
    files = tmp_path / "credentials"
    files.write_text("[default]\naws_access_key_id = FILE\naws_secret_access_key = S\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(files))
    assert not DigitalOceanAuth().has_credentials()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "temporary")
    assert not DigitalOceanAuth().has_credentials()
    with pytest.raises(CredentialsError, match="no DigitalOcean Spaces keys"):
        signed(DigitalOceanAuth())


def test_no_keys_names_every_place() -> None:
    """Finding nothing is an error that lists where was looked, in order."""
    with pytest.raises(CredentialsError) as caught:
        requests.get(URL, auth=DigitalOceanAuth())
    names = ("SPACES_ACCESS_KEY_ID", "SPACES_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    positions = [str(caught.value).index(f" {name}"[1:]) for name in names]
    assert positions == sorted(positions)


def test_half_a_key_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key without its secret is told, by the name that is missing; AWS's is not taken instead."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "FROM-AWS")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("SPACES_ACCESS_KEY_ID", "HALF")
    with pytest.raises(CredentialsError, match="SPACES_SECRET_ACCESS_KEY is not set"):
        signed(DigitalOceanAuth())
    with pytest.raises(CredentialsError, match="together"):
        DigitalOceanAuth(access_key="HALF")


def test_there_is_no_requester_pays() -> None:
    """Offering to pay is refused with the reason, not ignored."""
    with pytest.raises(CredentialsError, match="no requester pays"):
        DigitalOceanAuth(request_payer=True)
    assert "x-amz-request-payer" not in signed(DigitalOceanAuth(False, **KEYS)).headers


def test_keys_that_cannot_be_sent_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line end at the end of a variable is an error of ours that does not repeat the key."""
    monkeypatch.setenv("SPACES_ACCESS_KEY_ID", "hush-hush\n")
    monkeypatch.setenv("SPACES_SECRET_ACCESS_KEY", "secret")
    with pytest.raises(CredentialsError, match="line end") as caught:
        signed(DigitalOceanAuth())
    assert "hush" not in str(caught.value)


def test_no_secret_shows(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither repr nor DEBUG logs nor the pickle of found keys hold a secret; explicit keys travel."""
    monkeypatch.setenv("SPACES_ACCESS_KEY_ID", "DO00FOUND")
    monkeypatch.setenv("SPACES_SECRET_ACCESS_KEY", "very-secret-value")
    auth = DigitalOceanAuth(region="nyc3")
    with caplog.at_level(logging.DEBUG):
        signed(auth)
    pickled = pickle.dumps(auth)
    assert "very-secret" not in caplog.text + repr(auth) + str(vars(auth))
    assert b"very-secret" not in pickled
    assert repr(auth) == "DigitalOceanAuth(region='nyc3')"
    assert repr(DigitalOceanAuth(**KEYS)) == "DigitalOceanAuth()"
    assert credential(signed(pickle.loads(pickled)))[0] == "DO00FOUND"
    explicit = pickle.loads(pickle.dumps(DigitalOceanAuth(**KEYS)))
    assert credential(signed(explicit))[0] == KEYS["access_key"]


def test_nothing_is_learnt_of_expiry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of Spaces do not expire: a refusal that says so is no reason to ask again; the clock is."""
    monkeypatch.setenv("SPACES_ACCESS_KEY_ID", "DO00FOUND")
    monkeypatch.setenv("SPACES_SECRET_ACCESS_KEY", "secret")
    auth = DigitalOceanAuth(clock=lambda: NOON)
    assert auth.learn(signed(auth), Refusal(403, "ExpiredToken")) is None
    skewed = Refusal(403, "RequestTimeTooSkewed", date="Sun, 17 May 2026 15:00:00 GMT")
    assert auth.learn(signed(auth), skewed) == "clock"


def test_botocore_computes_the_same_signature() -> None:
    """With the data centre as region, as DigitalOcean documents it, botocore's signature is ours."""
    request = signed(DigitalOceanAuth(**KEYS, clock=lambda: NOON), URL + "?versionId=a%20b")
    headers = {name: request.headers[name] for name in ("x-amz-content-sha256", "x-amz-date")}
    judged = AWSRequest("GET", request.url, headers=headers)
    judged.context["timestamp"] = request.headers["x-amz-date"]
    signer = S3SigV4Auth(Credentials(KEYS["access_key"], KEYS["secret_key"]), "s3", "nyc3")
    text = signer.string_to_sign(judged, signer.canonical_request(judged))
    assert request.headers["Authorization"].endswith(signer.signature(text, judged))


def test_presigned_urls_name_the_region() -> None:
    """A presigned URL of a Space carries the region of its host."""
    query = parse_qs(urlsplit(DigitalOceanAuth(**KEYS).presign(URL)).query)
    assert query["X-Amz-Credential"][0].split("/")[2] == "nyc3"


def test_an_object_server_accepts_it(tmp_path: Path) -> None:
    """A server that checks signatures gives the object out, for the region it is in and no other."""
    (tmp_path / "space").mkdir()
    key = AccessKey(KEYS["access_key"], KEYS["secret_key"])
    with ObjectServer(tmp_path, credentials=[key], region="nyc3") as server:
        server.put("space", "m31.fits", b"SIMPLE  =")
        url = server.url_for("space", "m31.fits")
        answer = requests.get(url, auth=DigitalOceanAuth(**KEYS, region="nyc3"))
        assert (answer.status_code, answer.content) == (200, b"SIMPLE  =")
        wrong = {**KEYS, "secret_key": "another"}
        assert requests.get(url, auth=DigitalOceanAuth(**wrong, region="nyc3")).status_code == 403


def test_a_real_server_accepts_it(s3_judge: RunningServer) -> None:
    """Ceph (which Spaces run on) and Swift read out an object, signed or by a presigned URL."""
    ask(s3_judge, "PUT", "/a-space")
    ask(s3_judge, "PUT", "/a-space/two%20words%2B.fits", b"SIMPLE  =")
    auth = DigitalOceanAuth(
        access_key=s3_judge.access_key, secret_key=s3_judge.secret_key, region=s3_judge.region
    )
    url = s3_judge.url + "/a-space/two%20words%2B.fits"
    ranged = requests.get(url, auth=auth, headers={"Range": "bytes=0-5"})
    assert (ranged.status_code, ranged.content) == (206, b"SIMPLE")
    assert requests.get(auth.presign(url, 60)).content == b"SIMPLE  ="
    assert requests.get(url, auth=DigitalOceanAuth(**KEYS, region=s3_judge.region)).status_code == 403
