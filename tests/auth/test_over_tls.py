"""AWSAuth and AzureAuth over http and https alike, before real servers with a certificate of this run's."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
import requests

from astro_cloud.auth import AWSAuth, AzureAuth
from tests.auth.odd_keys import ODD_KEYS, plain_path, wire_path
from tests.servers import azurite, rclone
from tests.servers.azurite import RunningAzurite
from tests.servers.process import RunningServer
from tests.servers.signed import ask
from tests.servers.tls import Certificate

BUCKET = "by-http-and-https"
#: Those that every server keeps.
KEYS = {name: key for name, key in ODD_KEYS.items() if rclone.keeps(key)}

over_keys = pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)


@pytest.fixture(scope="module")
def stored(s3_verifier: RunningServer) -> RunningServer:
    """A real server with odd keys, put there by other means than ours."""
    ask(s3_verifier, "PUT", f"/{BUCKET}")
    for key in KEYS.values():
        ask(s3_verifier, "PUT", plain_path(BUCKET, key), key.encode())
    return s3_verifier


@pytest.fixture(scope="module", params=["http", "https"])
def server(stored: RunningServer, request: pytest.FixtureRequest) -> RunningServer:
    """The server by either scheme."""
    if request.param == "http":
        return stored
    encrypted: RunningServer = request.getfixturevalue(f"{stored.name}_over_tls")
    return encrypted


@pytest.fixture(scope="module")
def host(server: RunningServer, certificate: Certificate) -> Iterator[str]:
    """The URL of the bucket with its name in the host."""
    serving: Any = nullcontext(server)
    if server.name == "rclone" and server.url.startswith("https"):
        serving = rclone.over_tls(server, certificate, by_host=True)
    elif server.name == "rclone":
        serving = rclone.by_host(server)
    with serving as there:
        scheme, _, address = there.url.partition("://")
        yield f"{scheme}://{BUCKET}.{there.domain}:{address.partition(':')[2]}"


@pytest.fixture(scope="module")
def session(session: requests.Session, certificate: Certificate) -> requests.Session:
    """The plain session, which trusts the authority of this run."""
    session.verify = str(certificate.authority)
    return session


@pytest.fixture
def _names_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve names under `localhost` as RFC 6761 (section 6.3) wants it; not every system does."""
    resolve = socket.getaddrinfo

    def resolve_here(host: Any, *arguments: Any, **options: Any) -> Any:
        here = isinstance(host, str) and host.endswith(".localhost")
        return resolve("127.0.0.1" if here else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_here)


by_name = pytest.mark.usefixtures("_names_of_this_machine")


def auth_for(server: RunningServer, **options: Any) -> AWSAuth:
    """The first user's auth."""
    keys = {"access_key": server.access_key, "secret_key": server.secret_key, "region": server.region}
    return AWSAuth(**{**keys, **options})


@over_keys
def test_a_path_style_url(server: RunningServer, session: requests.Session, key: str) -> None:
    """The right keys read any key, whole and in part, and the wrong ones get 403."""
    url = server.url + wire_path(BUCKET, key)
    assert session.get(url, auth=auth_for(server)).content == key.encode()
    assert (
        session.get(url, auth=auth_for(server), headers={"Range": "bytes=1-2"}).content == key.encode()[1:3]
    )
    assert session.get(url, auth=auth_for(server, secret_key="wrong")).status_code == 403


@by_name
@over_keys
def test_a_virtual_host_url(server: RunningServer, host: str, session: requests.Session, key: str) -> None:
    """The same with the bucket in the host, for which the certificate is good, too."""
    url = host + wire_path("", key).removeprefix("/")
    assert session.get(url, auth=auth_for(server)).content == key.encode()
    assert (
        session.get(url, auth=auth_for(server), headers={"Range": "bytes=1-2"}).content == key.encode()[1:3]
    )
    assert session.get(url, auth=auth_for(server, secret_key="wrong")).status_code == 403


@by_name
def test_presigned_urls(server: RunningServer, host: str, session: requests.Session) -> None:
    """URLs of both styles are read by anybody, and by nobody once they are changed."""
    for place in (f"{server.url}/{BUCKET}", host):
        url = auth_for(server).presign(f"{place}/a%2Bb.fits")
        assert session.get(url).content == b"a+b.fits"
        assert session.get(url.replace("a%2Bb", "two%20words")).status_code == 403


@pytest.mark.parametrize("name", ["swift_over_tls", "ceph_over_tls", "rclone_over_tls", "azurite_over_tls"])
def test_without_the_authority_nothing_is_sent(name: str, request: pytest.FixtureRequest) -> None:
    """Who does not trust the authority of the certificate gets no connection."""
    server = request.getfixturevalue(name)
    with pytest.raises(requests.exceptions.SSLError, match=r"self-signed|unable to get local issuer"):
        requests.get(server.url)


BLOCK = {"x-ms-blob-type": "BlockBlob"}
#: Azurite makes a backslash of a path a slash.
NAMES = {name: key for name, key in ODD_KEYS.items() if "\\" not in key}


TOKENS = "by-token"


@pytest.fixture(scope="module", params=["azurite_server", "azurite_over_tls"])
def store(request: pytest.FixtureRequest) -> RunningAzurite:
    """An Azurite by either scheme, with odd names put there by other means than ours."""
    store: RunningAzurite = request.getfixturevalue(request.param)
    azurite.ask(store, "PUT", f"/{BUCKET}", "restype=container")
    for name in NAMES.values():
        azurite.ask(store, "PUT", plain_path(BUCKET, name), headers=BLOCK, body=name.encode())
    return store


@pytest.fixture(scope="module")
def blob(azurite_over_tls: RunningAzurite) -> str:
    """The URL of a blob of the Azurite that takes tokens."""
    azurite.ask(azurite_over_tls, "PUT", f"/{TOKENS}", "restype=container")
    azurite.ask(azurite_over_tls, "PUT", f"/{TOKENS}/m31.fits", headers=BLOCK, body=b"SIMPLE  =")
    return f"{azurite_over_tls.url}/{azurite_over_tls.account}/{TOKENS}/m31.fits"


def azure_auth(store: RunningAzurite, **options: Any) -> AzureAuth:
    """The first account's auth."""
    return AzureAuth(account=store.account, key=store.key, **options)


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_shared_key(store: RunningAzurite, session: requests.Session, name: str) -> None:
    """The account's key reads a blob of any name, and another key does not."""
    url = f"{store.url}/{store.account}{wire_path(BUCKET, name)}"
    answer = session.get(url, auth=azure_auth(store))
    assert (answer.status_code, answer.content) == (200, name.encode())
    wrong = AzureAuth(account=store.account, key=store.other_key)
    assert session.get(url, auth=wrong).status_code == (400 if store.takes_tokens else 403)


@by_name
def test_a_host_with_the_account(store: RunningAzurite, session: requests.Session) -> None:
    """Shared Key and SAS are right as well where the host names the account."""
    url = f"{store.url.replace('127.0.0.1', f'{store.account}.blob.localhost')}/{BUCKET}/a%2Bb.fits"
    assert session.get(url, auth=azure_auth(store)).content == b"a+b.fits"
    assert session.get(azure_auth(store).presign(url)).content == b"a+b.fits"


def test_sas(store: RunningAzurite, session: requests.Session) -> None:
    """A SAS of ours is good for its time and its blob, in the URL and as a token; with another key, never."""
    url = f"{store.url}/{store.account}/{BUCKET}/a%2Bb.fits"
    good = azure_auth(store).presign(url, expires=60)
    token = AzureAuth(sas_token=good.partition("?")[2])
    assert session.get(good).content == session.get(url, auth=token).content == b"a+b.fits"
    assert session.get(good, headers={"Range": "bytes=2-3"}).content == b"b."
    an_hour_ago = azure_auth(store, clock=lambda: datetime.now(UTC) - timedelta(hours=1))
    another = AzureAuth(account=store.account, key=store.other_key)
    refused = [
        an_hour_ago.presign(url, expires=60),
        another.presign(url),
        good.replace("a%2Bb", "two%20words"),
        good.replace("sp=r", "sp=rw"),
    ]
    assert [session.get(each).status_code for each in refused] == [403] * len(refused)


def test_a_sas_made_for_https_is_refused_over_http(
    azurite_server: RunningAzurite, session: requests.Session, blob: str
) -> None:
    """A URL presigned for https says so: sent over http it is refused for that."""
    auth = azure_auth(azurite_server)
    azurite.ask(azurite_server, "PUT", f"/{TOKENS}", "restype=container")
    azurite.ask(azurite_server, "PUT", f"/{TOKENS}/m31.fits", headers=BLOCK, body=b"SIMPLE  =")
    plain = f"{azurite_server.url}/{azurite_server.account}/{TOKENS}/m31.fits"
    encrypted_sas, plain_sas = (auth.presign(url).partition("?")[2] for url in (blob, plain))
    assert session.get(f"{blob}?{encrypted_sas}").content == b"SIMPLE  ="
    assert session.get(f"{plain}?{plain_sas}").content == b"SIMPLE  ="
    assert session.get(f"{plain}?{encrypted_sas}").status_code == 403


class Token(NamedTuple):
    """What azure-core's credentials give."""

    token: str
    expires_on: int


class Login:
    """A credential as azure-identity's are, which writes its tokens itself, and counts them."""

    def __init__(self, **claims: Any) -> None:
        self.claims = claims
        self.given = 0

    def get_token(self, *scopes: str, **options: Any) -> Token:
        self.given += 1
        now = int(time.time())
        claims = {
            "aud": "https://storage.azure.com", "iss": "https://sts.windows.net/a-tenant/",
            "iat": now, "nbf": now - 10, "exp": now + 3600, **self.claims,
        }  # fmt: skip
        # Azurite reads a token and does not check its signature.
        parts = [base64url(json.dumps(part)) for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
        return Token(".".join([*parts, base64url("unchecked")]), now + 3600)


def base64url(text: str) -> str:
    """Encode as a JSON Web Token has it."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def test_bearer(session: requests.Session, blob: str) -> None:
    """A token reads whole blobs and parts, and is asked for once."""
    login = Login()
    auth = AzureAuth(credential=login)
    assert session.get(blob, auth=auth).content == b"SIMPLE  ="
    part = session.get(blob, auth=auth, headers={"Range": "bytes=0-5"})
    assert (part.status_code, part.content) == (206, b"SIMPLE")
    assert login.given == 1


WRONG_CLAIMS: dict[str, dict[str, Any]] = {
    "expired": {"exp": 1_600_000_000},
    "not yet good": {"nbf": 4_000_000_000},
    "of another audience": {"aud": "https://management.azure.com"},
    "of another account": {"aud": "https://another.blob.core.windows.net"},
    "of another issuer": {"iss": "https://issuer.example/"},
}


@pytest.mark.parametrize("claims", WRONG_CLAIMS.values(), ids=WRONG_CLAIMS)
def test_a_wrong_token(session: requests.Session, blob: str, claims: dict[str, Any]) -> None:
    """A token that is not good here and now is refused."""
    answer = session.get(blob, auth=AzureAuth(credential=Login(**claims)))
    assert answer.status_code == 403
