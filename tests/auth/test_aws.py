"""AWSAuth alone: what it signs, sends, learns, remembers and hides; botocore is the judge."""

import datetime
import io
import logging
import pickle
import socket
import threading
import tracemalloc
from typing import Any

import pytest
import requests
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from requests import PreparedRequest

from astro_cloud.auth import Anonymous, AWSAuth, auth_for
from astro_cloud.auth.aws_credentials import Found
from astro_cloud.auth.endpoints import regional_url
from astro_cloud.auth.refusal import Refusal
from astro_cloud.auth.sigv4 import signing_key
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
    headers=st.dictionaries(
        st.sampled_from(["x-amz-meta-a", "X-Amz-Meta-B", "Range", "If-Match", "Content-Type", "X-Other"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12).map(str.strip),
    ),
)
def test_what_is_sent_verifies_under_botocore(
    key: str, query: dict[str, str], port: int | None, method: str, payer: bool, headers: dict[str, str]
) -> None:
    """For any key, query, port, method and headers, botocore computes our signature from what is sent."""
    host = "s3.us-east-1.amazonaws.com" + (f":{port}" if port else "")
    body = b"some bytes" if method in ("PUT", "POST") else None
    quoted = requests.utils.quote(key, safe="/")
    request = prepared(f"https://{host}/bucket/{quoted}", method, params=query, data=body, headers=headers)
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


def test_a_body_of_unknown_length_is_refused() -> None:
    """A generator can be neither hashed nor announced: the error names what can."""
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
    assert auth.sign(here).headers["x-amz-date"] == "20260517T150000Z"
    assert auth.sign(prepared()).headers["x-amz-date"] == "20260517T120000Z", "another server's is its own"
    assert auth.learn(here, Refusal(400, "ExpiredToken")) is None
    assert auth.learn(here, Refusal(403, "AccessDenied")) is None


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidAccessKeyId"])
def test_an_auth_that_searches_fetches_refused_credentials_anew(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the server knows a key no more the chain is searched again; the same key again is no help."""
    auth = AWSAuth()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "FIRST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    request = auth.sign(prepared())
    assert auth.learn(request, Refusal(400, code)) is None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "SECOND")
    assert "Credential=FIRST/" in auth.sign(prepared()).headers["Authorization"], "what was found is kept"
    assert auth.learn(request, Refusal(400, code)) == "credentials"
    assert "Credential=SECOND/" in auth.sign(prepared()).headers["Authorization"]


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

    def refuse(address: Any, timeout: float, *_: Any) -> None:
        asked.append((address, timeout))
        raise TimeoutError

    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setattr(socket, "create_connection", refuse)
    assert not AWSAuth().has_credentials()
    assert asked == [(("169.254.169.254", 80), 0.3)]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert AWSAuth().has_credentials()
    assert len(asked) == 1, "nothing is asked when credentials are nearer"


def test_a_silent_metadata_server_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes the connection and says nothing is asked once, by us, and not by botocore."""
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint)
        assert not AWSAuth().has_credentials()
        server.accept()[0].close()
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_credentials_that_rotate_are_asked_again_after_expiry() -> None:
    """Given credentials that give another key now are worth another try; the same key again is not."""
    auth = AWSAuth(credentials=Rotating())
    assert auth.learn(auth.sign(prepared()), Refusal(400, "ExpiredToken")) == "credentials"
    same = AWSAuth(credentials=Credentials("AKID", "secret"))
    assert same.learn(same.sign(prepared()), Refusal(400, "ExpiredToken")) is None


class RefusedBySTS:
    """Credentials that STS does not give."""

    def get_frozen_credentials(self) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "may not assume it"}}, "AssumeRole")


def test_what_sts_says_is_passed_on() -> None:
    """A role that may not be assumed is called so."""
    with pytest.raises(CredentialsError, match="AccessDenied: may not assume it"):
        AWSAuth(credentials=RefusedBySTS()).sign(prepared())


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
    rotating = Rotating()
    auth = AWSAuth(credentials=rotating)
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
    assert rotating.served == 400


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


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"access_key": "AKID\n", "secret_key": "secret"}, "access key"),
        ({"access_key": "AKID", "secret_key": "secret", "session_token": "hush-hush\n"}, "session token"),
        ({"access_key": "AKID", "secret_key": "secret", "session_token": "hush-hush\xe9"}, "session token"),
    ],
)
def test_keys_that_cannot_be_sent_are_named_and_not_shown(keys: dict[str, str], says: str) -> None:
    """A line end out of a file of secrets is an error of ours that does not repeat the secret."""
    with pytest.raises(CredentialsError, match=f"the {says} of the AWS credentials") as caught:
        AWSAuth(**keys).sign(prepared())
    assert "hush" not in str(caught.value) + repr(caught.value.__cause__)


@pytest.mark.parametrize("region", ["eu west", "evil.example/x#", "us-east-1\n", ""])
def test_what_is_no_regions_name_is_refused(region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but a region's name ends up in a host or a header."""
    if region:
        with pytest.raises(ValueError, match="not the name of a region"):
            AWSAuth(region=region)
        monkeypatch.setenv("AWS_REGION", region)
        with pytest.raises(CredentialsError, match="no region's name"):
            AWSAuth(**KEYS).sign(prepared("https://minio.example/b/k"))
    auth = AWSAuth(**KEYS)
    refusal = Refusal.of(301, {"x-amz-bucket-region": region}, b"")
    assert refusal.region is None
    monkeypatch.delenv("AWS_REGION", raising=False)
    assert auth.learn(auth.sign(prepared()), refusal) is None
    assert regional_url(URL, region) == URL


@pytest.mark.parametrize(
    "arguments",
    [{"session_token": "t"}, {**KEYS, "credentials": Credentials("A", "S")}, {"secret_key": "S"}],
)
def test_arguments_that_make_no_sense_together(arguments: dict[str, Any]) -> None:
    """No argument is ignored without a word."""
    with pytest.raises(CredentialsError):
        AWSAuth(**arguments)


@pytest.mark.parametrize("date", ["garbage", "Sun, 17 May 99999 15:00:00 GMT", "", None])
def test_a_server_without_a_sane_clock_teaches_nothing(date: str | None) -> None:
    """A malformed Date corrects no clock and breaks nothing."""
    auth = AWSAuth(**KEYS)
    assert auth.learn(auth.sign(prepared()), Refusal(403, "RequestTimeTooSkewed", date=date)) is None


def test_a_date_without_a_zone_is_utc() -> None:
    """The -0000 of old servers is UTC."""
    auth = AWSAuth(**KEYS, clock=lambda: NOON)
    refusal = Refusal(403, "RequestTimeTooSkewed", date="Sun, 17 May 2026 13:00:00 -0000")
    assert auth.learn(auth.sign(prepared()), refusal) == "clock"
    assert auth.sign(prepared()).headers["x-amz-date"] == "20260517T130000Z"


def test_threads_that_meet_an_expired_key_search_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two requests signed with the old key lead to one new search."""
    searches: list[str | None] = []
    found = iter([Credentials("OLD", "s"), Credentials("NEW", "s"), Credentials("NEWER", "s")])

    def find(profile: str | None) -> Found:
        searches.append(profile)
        return Found(next(found), None)

    monkeypatch.setattr("astro_cloud.auth.aws_credentials.find_credentials", find)
    auth = AWSAuth()
    first, second = auth.sign(prepared()), auth.sign(prepared())
    for request in (first, second):
        assert auth.learn(request, Refusal(400, "ExpiredToken")) == "credentials"
        assert "Credential=NEW/" in auth.sign(prepared()).headers["Authorization"]
    assert len(searches) == 2


def test_the_derived_key_is_kept() -> None:
    """The signing key is derived once for a day, region and service."""
    signing_key.cache_clear()
    auth = AWSAuth(**KEYS, clock=lambda: NOON)
    for _ in range(10):
        auth.sign(prepared())
    auth.sign(prepared("https://s3.eu-west-1.amazonaws.com/b/k"))
    assert (signing_key.cache_info().misses, signing_key.cache_info().hits) == (2, 9)


def test_conditions_are_signed() -> None:
    """If-Match and its kin cannot be changed on the way."""
    request = AWSAuth(**KEYS).sign(prepared(headers={"If-Match": '"a"', "If-None-Match": '"b"'}))
    assert "SignedHeaders=host;if-match;if-none-match;" in request.headers["Authorization"]


def test_a_url_that_is_signed_already_gets_no_other_signature() -> None:
    """A presigned URL is sent as it is, whoever has credentials."""
    for query in ("X-Amz-Signature=00&X-Amz-Credential=a", "AWSAccessKeyId=a&Expires=1&Signature=00"):
        assert isinstance(auth_for(f"{URL}?{query}", aws=AWSAuth(**KEYS)), Anonymous)


@pytest.mark.parametrize("query", ["signature=abc", "sig=abc", "X-Amz-Signature=abc", "sv=1&sig=abc"])
def test_a_parameter_of_that_name_is_no_signature(query: str) -> None:
    """What only looks like a part of a signed URL, or is another provider's, turns no signature off."""
    assert "Authorization" in AWSAuth(**KEYS).sign(prepared(f"{URL}?{query}")).headers
    api = "https://a1.execute-api.us-west-2.amazonaws.com/v1/x"
    request = prepared(f"{api}?{query.removeprefix('sv=1&')}")
    assert "Authorization" in AWSAuth(**KEYS, service="execute-api").sign(request).headers


@pytest.mark.parametrize(
    "settings",
    [
        "credential_process = /nonexistent/program",
        "credential_process = echo very-secret",
        'credential_process = echo {"Version":1}',
    ],
)
def test_broken_settings_are_an_error_of_ours(
    settings: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """What a credential process does wrong is told without what it printed."""
    config = tmp_path / "config"
    config.write_text(f"[default]\n{settings}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    with pytest.raises(CredentialsError, match="AWS credentials cannot be read") as caught:
        AWSAuth().has_credentials()
    assert "very-secret" not in str(caught.value) + repr(caught.value.__cause__)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://evil.example/x"),
        ("AWS_METADATA_SERVICE_TIMEOUT", "abc"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://[x"),
    ],
)
def test_broken_variables_are_an_error_of_ours(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nonsense in the environment is a CredentialsError, no traceback of somebody else's."""
    monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    with pytest.raises(CredentialsError, match="AWS credentials cannot be read"):
        AWSAuth().has_credentials()


def test_signing_keeps_nothing() -> None:
    """Ten thousand signatures, of ten thousand URLs, leave no growing memory behind."""
    auth = AWSAuth(**KEYS, clock=lambda: NOON)

    request = prepared()

    def sign(count: int) -> int:
        for number in range(count):
            request.url = f"https://s3.amazonaws.com/bucket/{number}"
            auth.sign(request)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = sign(1000)
        assert sign(10_000) - before < 100_000
    finally:
        tracemalloc.stop()
