"""However a caller spells a URL, AWSAuth signs what servers read in it: the traps of canonicalisation.

What real servers refuse of the same rows (a plus or sub-delimiters signed raw, lower-case escapes
signed, a path encoded twice) is in `tests/servers/test_same_verdicts.py`.
"""

from __future__ import annotations

from urllib.parse import quote

import pytest
import requests

from astro_cloud.auth import AWSAuth
from tests.auth.odd_keys import plain_path
from tests.auth.recording_server import recording_server
from tests.servers.process import RunningServer
from tests.servers.signed import Request, ask, keys_of, send

BUCKET = "spellings"
KEYS = ("a b", "a+b", "a%20b", "a%2Bb", "~tilde", "!*'()", "\u00fc")

#: Row of the table, path as a caller writes it, key that is meant.
PATHS = {
    "tilde sent as %7E, signed as it is": ("%7Etilde", "~tilde"),
    "tilde sent and signed as it is": ("~tilde", "~tilde"),
    "sub-delims sent raw, signed encoded": ("!*'()", "!*'()"),
    "sub-delims sent and signed encoded": ("%21%2A%27%28%29", "!*'()"),
    "lower-case escapes sent, upper-case signed": ("%c3%bc", "\u00fc"),
    "no escapes given, upper-case signed": ("\u00fc", "\u00fc"),
    "space sent and signed as %20, once": ("a%20b", "a b"),
    "percent sign sent and signed as %25, once": ("a%2520b", "a%20b"),
    "plus in a path is a plus": ("a+b", "a+b"),
    "plus in a path, sent as %2B": ("a%2Bb", "a+b"),
}
#: Row of the table, value of `prefix` as a caller writes it, prefix that is meant.
PREFIXES = {
    "plus sent, %20 signed": ("a+b", "a b"),
    "%20 sent and signed": ("a%20b", "a b"),
    "%2B sent and signed": ("a%2Bb", "a+b"),
    "percent sign encoded once": ("a%2520b", "a%20b"),
    "%7E sent, tilde signed": ("%7Et", "~t"),
    "sub-delims sent raw, signed encoded": ("!*'()", "!*'()"),
    "lower-case escapes sent, upper-case signed": ("%c3%bc", "\u00fc"),
}


@pytest.fixture(scope="module")
def server(s3_verifier: RunningServer) -> RunningServer:
    """A real server with each key, put there by other means than ours."""
    ask(s3_verifier, "PUT", f"/{BUCKET}")
    for key in KEYS:
        ask(s3_verifier, "PUT", plain_path(BUCKET, key), key.encode())
    return s3_verifier


@pytest.fixture
def auth(server: RunningServer) -> AWSAuth:
    """The first user's auth."""
    return AWSAuth(access_key=server.access_key, secret_key=server.secret_key, region=server.region)


@pytest.mark.parametrize(("given", "key"), PATHS.values(), ids=PATHS)
def test_a_path_as_it_is_given(
    server: RunningServer, session: requests.Session, auth: AWSAuth, given: str, key: str
) -> None:
    """A path of any spelling is accepted and reads the key that is meant."""
    answer = session.get(f"{server.url}/{BUCKET}/{given}", auth=auth)
    assert (answer.status_code, answer.content) == (200, key.encode())


@pytest.mark.parametrize(("given", "key"), PATHS.values(), ids=PATHS)
def test_a_path_respelt_on_the_way(server: RunningServer, auth: AWSAuth, given: str, key: str) -> None:
    """The signature is good for the spelling that was given, too, if something on the way restores it."""
    request = requests.Request("GET", f"{server.url}/{BUCKET}/{given}").prepare()
    headers = dict(auth.sign(request).headers)
    target = f"/{BUCKET}/" + quote(given, safe="!*'()+~%")  # of what is given, only letters must be encoded
    answer = send(server, Request("GET", target, headers))
    assert (answer.status, answer.body) == (200, key.encode())


@pytest.mark.parametrize(("given", "prefix"), PREFIXES.values(), ids=PREFIXES)
def test_a_query_as_it_is_given(
    server: RunningServer, session: requests.Session, auth: AWSAuth, given: str, prefix: str
) -> None:
    """A query of any spelling is accepted and lists the keys that are meant."""
    answer = session.get(f"{server.url}/{BUCKET}?list-type=2&prefix={given}", auth=auth)
    assert answer.status_code == 200
    assert keys_of(answer.content) == [key for key in KEYS if key.startswith(prefix)]


@pytest.mark.parametrize(("given", "prefix"), PREFIXES.values(), ids=PREFIXES)
def test_a_query_respelt_on_the_way(server: RunningServer, auth: AWSAuth, given: str, prefix: str) -> None:
    """The signature is good for the query as it was given, too: ``+`` and ``%20`` are one to it."""
    target = f"/{BUCKET}?list-type=2&prefix={given}"
    request = requests.Request("GET", server.url + target).prepare()
    answer = send(server, Request("GET", target, dict(auth.sign(request).headers)))
    assert answer.status == 200
    assert keys_of(answer.body) == [key for key in KEYS if key.startswith(prefix)]


@pytest.mark.parametrize("prefix", ["a b", "a+b", "a%20b", "~t", "!*'()", "\u00fc"])
def test_a_query_of_params(
    server: RunningServer, session: requests.Session, auth: AWSAuth, prefix: str
) -> None:
    """What is given as `params`, which requests encodes with a ``+``, means itself."""
    params = {"prefix": prefix, "list-type": "2"}
    answer = session.get(f"{server.url}/{BUCKET}", params=params, auth=auth)
    assert answer.status_code == 200
    assert keys_of(answer.content) == [key for key in KEYS if key.startswith(prefix)]


#: Value of a header, and which server reads another one: Swift has Python split it as text, and so takes
#: bytes of UTF-8 for spaces; Ceph leaves a tab where the others put a space.
VALUES = {
    "a  b": None,
    "a\tb": "ceph",
    "é": None,
    "Åre": "swift",
    "voilà": "swift",
    "Å": "swift",
    "Šx": "swift",
    "voilà tout": "swift",
}


@pytest.mark.parametrize(("value", "misread_by"), VALUES.items(), ids=VALUES)
def test_a_header_of_any_letters(
    server: RunningServer, session: requests.Session, auth: AWSAuth, value: str, misread_by: str | None
) -> None:
    """UTF-8 in a header is signed as it is sent; bytes that Latin-1 takes for spaces are parts of letters."""
    headers = {"x-amz-meta-name": value.encode()}
    answer = session.put(f"{server.url}/{BUCKET}/named", data=b"x", headers=headers, auth=auth)
    assert answer.status_code == (403 if server.name == misread_by else 200), answer.text


def test_a_default_port_is_not_sent() -> None:
    """An explicit :80 is taken off: a client sends it in Host through a proxy, and not otherwise."""
    auth = AWSAuth(access_key="AKID", secret_key="s")
    with recording_server() as proxy:
        for url in ("http://Sky.example:80/k", "http://sky.example/k"):
            answer = requests.get(url, auth=auth, proxies={"http": proxy.url})
            assert answer.request.url == "http://sky.example/k"
        assert [received.headers["Host"] for received in proxy.requests] == ["sky.example"] * 2
    for url, sent in (("http://u:p@h:80/k", "http://u:p@h/k"), ("http://h:443/k", "http://h:443/k")):
        assert auth.sign(requests.Request("GET", url).prepare()).url == sent
