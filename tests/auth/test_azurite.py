"""AzureAuth before Azurite, which checks Shared Key and SAS in code of its own.

Blobs are put, listed and read on the other side by `tests.servers.azurite.ask`, so that a name which
is damaged alike on both ways is seen.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from astro_cloud.auth.azure import AzureAuth
from tests.auth.odd_keys import ODD_KEYS, plain_path, wire_path
from tests.servers.azurite import RunningAzurite, ask

CONTENT = bytes(range(256)) * 40
BLOCK = {"x-ms-blob-type": "BlockBlob"}

#: What is put and read; Azurite (as Azure itself) makes a backslash of a path a slash.
NAMES = {**ODD_KEYS, "quotes": 'q"<>^`{|}'}

#: By azure-storage-blob 12.31.1: SAS of the first account's container `images`, until 2099 and until 2020.
SAS = (
    "se=2099-01-01T00%3A00%3A00Z&sp=rl&sv=2023-11-03&sr=c"
    "&sig=A6v%2BoBbnFkeJrzmIsZUZ44TbCk1P6RgaRhA4Ou7n9hU%3D"
)
EXPIRED_SAS = (
    "se=2020-01-01T00%3A00%3A00Z&sp=rl&sv=2023-11-03&sr=c&sig=KyadRvgxWoy6BJaf4mvNo6q9tlguXSoI9RHK5WJT70g%3D"
)

over_names = pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)


@pytest.fixture(scope="module")
def azurite(azurite_server: RunningAzurite) -> RunningAzurite:
    """An Azurite with each odd name, put there by other means than ours, and a container for our own."""
    for container in ("images", "ours", "written"):
        ask(azurite_server, "PUT", f"/{container}", "restype=container")
    ask(azurite_server, "PUT", "/images/m31.fits", headers=BLOCK, body=CONTENT)
    for name in NAMES.values():
        ask(azurite_server, "PUT", plain_path("images", name), headers=BLOCK, body=name.encode())
    return azurite_server


def auth_of(server: RunningAzurite, **options: Any) -> AzureAuth:
    """The first account's auth."""
    return AzureAuth(account=server.account, key=server.key, **options)


def url_of(server: RunningAzurite, name: str, container: str = "images") -> str:
    """The path-style URL of a blob, dot segments as `Location` writes them."""
    return f"{server.url}/{server.account}{wire_path(container, name)}"


def names_in(server: RunningAzurite, container: str) -> list[str]:
    """The blobs of a container, as the other side lists them."""
    listing = ask(server, "GET", f"/{container}", "restype=container&comp=list")
    return [element.text or "" for element in ElementTree.fromstring(listing).iterfind(".//Blob/Name")]


@over_names
def test_odd_names_are_read(azurite: RunningAzurite, session: requests.Session, name: str) -> None:
    """A blob of any name is read with Shared Key, and not with another key."""
    answer = session.get(url_of(azurite, name), auth=auth_of(azurite))
    assert (answer.status_code, answer.content) == (200, name.encode())
    wrong = AzureAuth(account=azurite.account, key=azurite.other_key)
    assert session.get(url_of(azurite, name), auth=wrong).status_code == 403


def test_odd_names_are_written(azurite: RunningAzurite, session: requests.Session) -> None:
    """What we put is listed by the other side under the names we meant."""
    for name in NAMES.values():
        put = session.put(url_of(azurite, name, "ours"), b"x", headers=BLOCK, auth=auth_of(azurite))
        assert put.status_code == 201, name
    assert sorted(names_in(azurite, "ours")) == sorted(NAMES.values())


@over_names
def test_odd_names_are_presigned(azurite: RunningAzurite, session: requests.Session, name: str) -> None:
    """A presigned URL needs nothing else to read its blob, whole or in part."""
    url = auth_of(azurite).presign(url_of(azurite, name))
    assert session.get(url).content == name.encode()
    part = session.get(url, headers={"Range": "bytes=0-0"})
    assert (part.status_code, part.content) == (206, name.encode()[:1])


@settings(deadline=None, max_examples=60)
@given(
    name=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20),
    query=st.dictionaries(
        st.text("abXY1_-", min_size=1, max_size=5), st.text("ab %+&=~é,;/?:", max_size=8), max_size=4
    ),
    method=st.sampled_from(["GET", "HEAD"]),
)
def test_any_name_and_query_are_signed_right(
    azurite: RunningAzurite, session: requests.Session, name: str, query: dict[str, str], method: str
) -> None:
    """For any name and query, the signature passes: what is missing is the blob."""
    query = {name.lower(): value for name, value in query.items()}
    url = url_of(azurite, name, "written")
    assert session.request(method, url, params=query, auth=auth_of(azurite)).status_code == 404


@pytest.mark.parametrize(
    ("headers", "part"),
    [
        ({"Range": "bytes=0-99"}, CONTENT[:100]),
        ({"Range": "bytes=10000-"}, CONTENT[10000:]),
        ({"Range": "bytes=10200-99999"}, CONTENT[10200:]),
        ({"x-ms-range": "bytes=256-511"}, CONTENT[256:512]),
        ({"Range": "bytes=0-9", "x-ms-range": "bytes=0-99"}, CONTENT[:100]),
    ],
)
def test_ranges_are_signed(
    azurite: RunningAzurite, session: requests.Session, headers: dict[str, str], part: bytes
) -> None:
    """Range, x-ms-range and both are in the string to sign, and the server reads the part."""
    answer = session.get(url_of(azurite, "m31.fits"), headers=headers, auth=auth_of(azurite))
    assert (answer.status_code, answer.content) == (206, part)


def test_conditions_are_signed(azurite: RunningAzurite, session: requests.Session) -> None:
    """Each condition is judged, so its header was signed."""
    url, auth = url_of(azurite, "m31.fits"), auth_of(azurite)
    first = session.get(url, auth=auth)
    etag, modified = first.headers["ETag"], first.headers["Last-Modified"]
    for header, status in (
        ({"If-Match": etag}, 200),
        ({"If-Match": '"0xBAD"'}, 412),
        ({"If-None-Match": etag}, 304),
        ({"If-Modified-Since": modified}, 304),
        ({"If-Unmodified-Since": "Sun, 17 May 2020 12:00:00 GMT"}, 412),
    ):
        assert session.get(url, headers=header, auth=auth).status_code == status, header


@pytest.mark.parametrize(
    "change",
    [
        {"url": "/survey/images/m32.fits"},
        {"url": "/survey/images/m31.fits?comp=metadata"},
        {"Range": "bytes=0-99"},
        {"Range": None},
        {"x-ms-range": "bytes=0-99"},
        {"x-ms-date": "Sun, 17 May 2026 12:00:00 GMT"},
        {"If-Match": "*"},
        {"method": "HEAD"},
    ],
    ids=str,
)
def test_what_is_changed_after_signing_is_refused(
    azurite: RunningAzurite, session: requests.Session, change: dict[str, Any]
) -> None:
    """Path, query, method and each header that says what is read are covered by the signature."""
    request = requests.Request(
        "GET", url_of(azurite, "m31.fits"), headers={"Range": "bytes=0-9"}, auth=auth_of(azurite)
    ).prepare()
    assert session.send(request.copy()).status_code == 206
    for name, value in change.items():
        if name == "url":
            request.url = azurite.url + value
        elif name == "method":
            request.method = value
        elif value is None:
            del request.headers[name]
        else:
            request.headers[name] = value
    assert session.send(request).status_code == 403


def test_bodies_are_sent_with_their_length(azurite: RunningAzurite, session: requests.Session) -> None:
    """An empty body, a full one with its headers, and one of two metadata are signed as they are sent."""
    kind = {"Content-Type": "application/fits", "x-ms-meta-a1": "1", "x-ms-meta-a_": "two  words "}
    for body, headers in ((b"", {}), (b"SIMPLE  =", kind), (b"SIMPLE  =", {"Date": "yesterday"})):
        url = url_of(azurite, "new", "written")
        put = session.put(url, body, headers={**BLOCK, **headers}, auth=auth_of(azurite))
        assert put.status_code == 201
        assert ask(azurite, "GET", "/written/new") == body
    ask(azurite, "DELETE", "/written/new")


def test_a_listing_is_signed(azurite: RunningAzurite, session: requests.Session) -> None:
    """Parameters of a listing are signed decoded, whatever their order and encoding."""
    query = {"restype": "container", "prefix": "two words", "comp": "list"}
    answer = session.get(f"{azurite.url}/survey/images", params=query, auth=auth_of(azurite))
    names = [element.text for element in ElementTree.fromstring(answer.content).iterfind(".//Blob/Name")]
    assert names == ["two words.fits"]


def test_a_host_style_url(azurite: RunningAzurite, session: requests.Session) -> None:
    """Where the host names the account, the path does not, and the signature is right as well."""
    host = {"Host": f"survey.blob.localhost:{azurite.url.rpartition(':')[2]}"}
    answer = session.get(f"{azurite.url}/images/m31.fits", headers=host, auth=auth_of(azurite))
    assert answer.content == CONTENT
    url = auth_of(azurite).presign(f"http://{host['Host']}/images/two%20words.fits")
    answer = session.get(azurite.url + url.partition(host["Host"])[2], headers=host)
    assert answer.content == b"two words.fits"


def test_another_account(azurite: RunningAzurite, session: requests.Session) -> None:
    """One account's key opens nothing of another's, and no key at all opens nothing."""
    other = AzureAuth(account=azurite.other_account, key=azurite.other_key)
    assert session.get(url_of(azurite, "m31.fits"), auth=other).status_code == 403
    assert session.get(url_of(azurite, "m31.fits")).status_code in (403, 404)


def test_a_sas_token(azurite: RunningAzurite, session: requests.Session) -> None:
    """A token that azure-storage-blob made opens what it is for, until it ends."""
    for token, status in (
        (SAS, 206),
        ("?" + SAS, 206),
        (EXPIRED_SAS, 403),
        (SAS.replace("sp=rl", "sp=rwl"), 403),
    ):
        answer = session.get(
            url_of(azurite, "two words.fits"),
            headers={"Range": "bytes=0-9"},
            auth=AzureAuth(sas_token=token),
        )
        assert answer.status_code == status, token
    listing = session.get(
        f"{azurite.url}/survey/images",
        params={"restype": "container", "comp": "list"},
        auth=AzureAuth(sas_token=SAS),
    )
    assert listing.status_code == 200


def test_a_presigned_url_ends_and_is_of_one_blob(azurite: RunningAzurite, session: requests.Session) -> None:
    """A presigned URL is refused after its time, for another blob, for writing, and when tampered with."""
    url = auth_of(azurite).presign(url_of(azurite, "m31.fits"), expires=60)
    assert session.get(url).content == CONTENT
    assert session.get(url.replace("m31.fits", quote("a+b.fits"))).status_code == 403
    assert session.get(url.replace("sp=r", "sp=rw")).status_code == 403
    assert session.put(url, b"x", headers=BLOCK).status_code == 403
    an_hour_ago = auth_of(azurite, clock=lambda: datetime.now(UTC) - timedelta(hours=1))
    assert session.get(an_hour_ago.presign(url, expires=60)).status_code == 403
    assert session.get(an_hour_ago.presign(url, expires=3660)).content == CONTENT


def test_a_presigned_url_is_signed_by_nobody_else(azurite: RunningAzurite, session: requests.Session) -> None:
    """A URL with a signature gets no second one from Shared Key, and a SAS token takes its place."""
    url = auth_of(azurite).presign(url_of(azurite, "m31.fits"))
    wrong = AzureAuth(account=azurite.account, key=azurite.other_key)
    assert session.get(url, auth=wrong).content == CONTENT
    assert session.get(url, auth=AzureAuth(sas_token=SAS)).content == CONTENT
    assert session.get(url, auth=AzureAuth(sas_token=EXPIRED_SAS)).status_code == 403


def test_credentials_of_the_environment(
    azurite: RunningAzurite, session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An auth without arguments reads a private blob with what the environment says."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", azurite.account)
    monkeypatch.setenv("AZURE_STORAGE_KEY", azurite.key)
    assert session.get(url_of(azurite, "m31.fits"), auth=AzureAuth()).content == CONTENT
