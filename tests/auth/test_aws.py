"""AWSAuth alone: what it signs, sends, learns, remembers and hides; botocore is the judge."""

import datetime
import io
import logging
import pickle
import threading
from typing import Any

import pytest
import requests
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st
from requests import PreparedRequest

from astro_cloud.auth import AWSAuth
from astro_cloud.auth.refusal import Refusal
from astro_cloud.exceptions import CredentialsError

URL = "https://s3.us-east-1.amazonaws.com/bucket/key"
KEYS = {"access_key": "AKIDEXAMPLE", "secret_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
NOON = datetime.datetime(2026, 5, 17, 12, tzinfo=datetime.UTC)


def prepared(url: str = URL, method: str = "GET", **options: Any) -> PreparedRequest:
    """Prepare a request without an auth."""
    return requests.Request(method, url, **options).prepare()


def scope(request: PreparedRequest) -> list[str]:
    """Day, region, service and terminator of a signed request."""
    return request.headers["Authorization"].split("Credential=")[1].split(",")[0].split("/")[1:]


def signature_by_botocore(request: PreparedRequest, region: str) -> str:
    """Let botocore sign what a signed request sends: the same URL, time and list of headers."""
    names = request.headers["Authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    headers = {name: request.headers[name] for name in names if name != "host"}
    judged = AWSRequest(request.method, request.url, headers=headers, data=request.body)
    judged.context["timestamp"] = request.headers["x-amz-date"]
    signer = S3SigV4Auth(Credentials(KEYS["access_key"], KEYS["secret_key"]), "s3", region)
    text = signer.string_to_sign(judged, signer.canonical_request(judged))
    return str(signer.signature(text, judged))


@given(
    key=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30),
    query=st.dictionaries(st.text("ab %+&=~é", min_size=1), st.text("ab %+&=~é/?"), max_size=3),
    port=st.sampled_from([None, 80, 443, 9000]),
    method=st.sampled_from(["GET", "HEAD", "PUT", "DELETE", "POST"]),
    payer=st.booleans(),
)
def test_what_is_sent_verifies_under_botocore(
    key: str, query: dict[str, str], port: int | None, method: str, payer: bool
) -> None:
    """For any key, query, port and method, botocore computes our signature from what goes over the wire."""
    host = "s3.us-east-1.amazonaws.com" + (f":{port}" if port else "")
    body = b"some bytes" if method in ("PUT", "POST") else None
    quoted = requests.utils.quote(key, safe="/")
    request = prepared(f"https://{host}/bucket/{quoted}", method, params=query, data=body)
    AWSAuth(payer, **KEYS, clock=lambda: NOON).sign(request)
    assert request.headers["Authorization"].endswith(signature_by_botocore(request, "us-east-1"))


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://h/b/%2E%2E/k", "/b/%2E%2E/k"),
        ("https://h/b/a//k", "/b/a//k"),
        ("https://h/b/%2Flead", "/b//lead"),
        ("https://h//lead", "/%2Flead"),
        ("https://h/b/a+b", "/b/a%2Bb"),
        ("https://h/b/~!*'()", "/b/~%21%2A%27%28%29"),
        ("https://h/b/%c3%bc", "/b/%C3%BC"),
        ("https://h/b/100%25", "/b/100%25"),
        ("https://h/b?prefix=a+b&x", "/b?prefix=a%20b&x"),
        ("https://h/b?prefix=%2F~", "/b?prefix=%2F~"),
        ("https://h", "/"),
    ],
)
def test_the_url_is_respelled_as_it_is_signed(url: str, sent: str) -> None:
    """What goes over the wire is the canonical form, so servers cannot read another key out of it."""
    request = prepared()
    request.url = url
    assert AWSAuth(**KEYS).sign(request).path_url == sent


def test_parameters_with_spaces_are_not_sent_as_plus() -> None:
    """`params={'x': 'a b'}` goes out as %20, which servers and signers read alike."""
    request = AWSAuth(**KEYS).sign(prepared(params={"prefix": "a b", "list-type": "2"}))
    assert request.url == URL + "?prefix=a%20b&list-type=2"


@pytest.mark.parametrize(
    ("url", "options", "region"),
    [
        ("https://s3.us-east-1.amazonaws.com/b/k", {}, "us-east-1"),
        ("https://b.s3.eu-west-2.amazonaws.com/k", {}, "eu-west-2"),
        ("https://s3-ap-southeast-2.amazonaws.com/b/k", {}, "ap-southeast-2"),
        ("https://b.s3.dualstack.us-gov-west-1.amazonaws.com/k", {}, "us-gov-west-1"),
        ("https://b.s3.cn-north-1.amazonaws.com.cn/k", {}, "cn-north-1"),
        ("https://b.s3.amazonaws.com/k", {}, "us-east-1"),
        ("https://b.s3.amazonaws.com/k", {"region": "eu-west-1"}, "eu-west-1"),
        ("https://b.s3.eu-west-2.amazonaws.com/k", {"region": "eu-west-1"}, "eu-west-2"),
        ("https://minio.example/b/k", {"region": "here-1"}, "here-1"),
    ],
)
def test_the_region_is_the_urls_or_the_arguments(url: str, options: dict[str, str], region: str) -> None:
    """The region a host names is signed for; elsewhere the argument, else us-east-1."""
    request = AWSAuth(**KEYS, **options).sign(prepared(url))
    assert scope(request)[1:] == [region, "s3", "aws4_request"]


def test_the_region_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """AWS_REGION comes before AWS_DEFAULT_REGION, and both before the profile's region."""
    config = tmp_path / "config"
    config.write_text("[profile far]\nregion = sa-east-1\naws_access_key_id = A\naws_secret_access_key = S\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    auth = AWSAuth(profile="far")
    assert scope(auth.sign(prepared("https://minio.example/b/k")))[1] == "sa-east-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    assert scope(auth.sign(prepared("https://minio.example/b/k")))[1] == "eu-north-1"
    monkeypatch.setenv("AWS_REGION", "eu-south-1")
    assert scope(auth.sign(prepared("https://minio.example/b/k")))[1] == "eu-south-1"


@pytest.mark.parametrize("body", [b"bytes", "text", bytearray(b"array"), io.BytesIO(b"xxfile"), b"", None])
def test_bodies_are_hashed_and_left_as_they_were(body: Any) -> None:
    """Bytes, text and seekable files are hashed from where they stand, and stay there."""
    request = prepared(method="PUT")
    request.body = body
    if isinstance(body, io.BytesIO):
        body.seek(2)
    AWSAuth(**KEYS).sign(request)
    if isinstance(body, io.BytesIO):
        assert body.tell() == 2
        request.body = body.read()
    assert request.headers["Authorization"].endswith(signature_by_botocore(request, "us-east-1"))


def test_a_body_that_cannot_be_read_twice_is_refused() -> None:
    """A generator cannot be hashed and sent: the error names what can."""
    request = prepared(method="PUT", data=iter([b"a", b"b"]))
    with pytest.raises(TypeError, match="UNSIGNED-PAYLOAD"):
        AWSAuth(**KEYS).sign(request)
    request.headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD"
    assert "Authorization" in AWSAuth(**KEYS).sign(request).headers


def test_signing_again_replaces_the_signature() -> None:
    """A request signed twice carries one signature, of the second time, and no stale token."""
    clock = iter([NOON, NOON + datetime.timedelta(days=1)])
    request = prepared()
    AWSAuth(**KEYS, session_token="token-1", clock=lambda: next(clock)).sign(request)
    assert "x-amz-security-token" in request.headers["Authorization"]
    AWSAuth(**KEYS, clock=lambda: next(clock)).sign(request)
    assert scope(request)[0] == "20260518"
    assert "x-amz-security-token" not in request.headers


def test_a_refusal_teaches_region_clock_and_expiry() -> None:
    """What S3 says about region and clock is remembered; a given key cannot be fetched anew."""
    auth = AWSAuth(**KEYS, clock=lambda: NOON)
    here, other = (auth.sign(prepared(f"https://minio.example/{bucket}/k")) for bucket in "bc")
    malformed = Refusal(400, "AuthorizationHeaderMalformed", region="eu-west-1")
    assert auth.learn(here, malformed) == "region"
    assert auth.learn(here, malformed) == "region", "a request of the time before has something to learn"
    assert [scope(auth.sign(request))[1] for request in (here, other)] == ["eu-west-1", "us-east-1"]
    assert auth.learn(here, malformed) is None
    assert (
        auth.learn(here, Refusal(403, "RequestTimeTooSkewed", date="Sun, 17 May 2026 15:00:00 GMT"))
        == "clock"
    )
    assert auth.sign(prepared()).headers["x-amz-date"] == "20260517T150000Z"
    assert auth.learn(here, Refusal(400, "ExpiredToken")) is None
    assert auth.learn(here, Refusal(403, "AccessDenied")) is None


def test_an_auth_that_searches_fetches_expired_credentials_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """After ExpiredToken the chain is searched again, once the server said so."""
    auth = AWSAuth()
    for key in ("FIRST", "SECOND"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        for _ in range(2):
            request = auth.sign(prepared())
            assert f"Credential={key}/" in request.headers["Authorization"]
        assert auth.learn(request, Refusal(400, "ExpiredToken")) == "credentials"


def test_no_credentials_names_every_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Finding nothing is an error that lists where was looked, in order."""
    with pytest.raises(CredentialsError) as caught:
        requests.get(URL, auth=AWSAuth())
    places = ("environment", "profile", "credentials file", "config file", "container", "metadata")
    positions = [str(caught.value).index(place) for place in places]
    assert positions == sorted(positions)
    with pytest.raises(CredentialsError, match="nosuch"):
        AWSAuth(profile="nosuch").has_credentials()
    with pytest.raises(CredentialsError, match="together"):
        AWSAuth(access_key="AKID")


def test_the_metadata_server_is_asked_only_if_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Off-cloud, one connect of at most 0.3 s is all that is spent on the metadata server."""
    asked: list[Any] = []

    def refuse(address: Any, timeout: float) -> None:
        asked.append((address, timeout))
        raise OSError

    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setattr("astro_cloud.auth.aws_credentials.socket.create_connection", refuse)
    assert not AWSAuth().has_credentials()
    assert asked == [(("169.254.169.254", 80), 0.3)]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert AWSAuth().has_credentials()
    assert len(asked) == 1, "nothing is asked when credentials are nearer"


class Rotating:
    """Credentials with botocore's protocol that change with every request."""

    def __init__(self) -> None:
        self.served = 0
        self._lock = threading.Lock()

    def get_frozen_credentials(self) -> Any:
        with self._lock:
            self.served += 1
            return Credentials(f"AKID{self.served}", "secret", f"token{self.served}").get_frozen_credentials()


def test_credentials_are_asked_for_each_request() -> None:
    """An object with botocore's protocol decides itself when to refresh; key and token stay together."""
    auth = AWSAuth(credentials=Rotating())
    torn: list[PreparedRequest] = []

    def sign() -> None:
        for _ in range(50):
            request = auth.sign(prepared())
            number = request.headers["x-amz-security-token"].removeprefix("token")
            if f"Credential=AKID{number}/" not in request.headers["Authorization"]:
                torn.append(request)

    threads = [threading.Thread(target=sign) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torn == []
    assert auth._given.served == 400


def test_no_secret_shows(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither repr, nor DEBUG logs of a signature, nor the pickle of found credentials hold a secret."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDFOUND")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret-value")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "very-secret-token")
    auth = AWSAuth(True)
    with caplog.at_level(logging.DEBUG):
        auth.sign(prepared())
    pickled = pickle.dumps(auth)
    assert "very-secret" not in caplog.text + repr(auth) + str(vars(auth))
    assert b"very-secret" not in pickled
    assert repr(AWSAuth(True, **KEYS)) == "AWSAuth(request_payer=True)"
    copy = pickle.loads(pickled)
    assert copy.sign(prepared()).headers["x-amz-request-payer"] == "requester"
    explicit = pickle.loads(pickle.dumps(AWSAuth(**KEYS, clock=datetime.datetime.now)))
    assert explicit.has_credentials()
