"""No credential, token or signature where somebody else may read it."""

from __future__ import annotations

import base64
import logging
import pickle
import re
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from astro_cloud.auth.aws import AWSAuth
from astro_cloud.exceptions import AstroCloudError
from astro_cloud.storage import Client, Settings
from astro_cloud.testing import AccessKey, Fault, ObjectServer
from tests.storage.raw_server import part, raw_server, said
from tests.storage.reading import BUCKET, DATA, KEY, LOCATION, MakeClient

SECRET, TOKEN = "wJalrXUtnFEMI/K7MDENG", "FwoGZXIvYXdzEXAMPLETOKEN"


@pytest.fixture
def sky_of_tokens(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ObjectServer]:
    """A server whose keys, with a session token, are in the environment."""
    key = AccessKey("AKIAIOSFODNN7EXAMPLE", SECRET, TOKEN)
    with ObjectServer(tmp_path_factory.mktemp("server"), credentials=[key]) as server:
        server.put(BUCKET, KEY, DATA)
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        yield server


def signatures(server: ObjectServer) -> list[str]:
    """Return the signatures that the server got."""
    sent = (record.headers.get("authorization", "") for record in server.requests)
    return re.findall("Signature=([0-9a-f]{64})", " ".join(sent))


def told(error: BaseException) -> str:
    """Return everything that is shown of an error: its traceback with causes, its repr, its pickle's."""
    shown = "".join(traceback.format_exception(error))
    return shown + repr(error) + repr(vars(error)) + repr(pickle.loads(pickle.dumps(error)))


def test_a_read_logs_and_shows_no_secret(
    sky_of_tokens: ObjectServer, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG, with every library's log, neither success nor failure shows what signs."""
    caplog.set_level(logging.DEBUG)
    client = make_client(attempts=2)
    pinned = client.pin(LOCATION)
    sky_of_tokens.inject(Fault.unavailable())
    pinned.read_ranges([(0, 10)])
    sky_of_tokens.inject(Fault.reset(None), times=2)
    with pytest.raises(AstroCloudError) as caught:
        pinned.read_ranges([(0, 10)])
    shown = caplog.text + told(caught.value) + repr((client, pinned, pinned.location, client.settings))
    sent = signatures(sky_of_tokens)
    assert len(sent) == 4
    assert not [secret for secret in (SECRET, TOKEN, *sent) if secret in shown]


@pytest.mark.parametrize("method", ["no connection", "refused"])
def test_a_url_with_secrets_shows_none(
    sky: ObjectServer, make_client: MakeClient, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Passwords and signatures of a URL are in no error and no log, whoever writes it."""
    caplog.set_level(logging.DEBUG)
    host = sky.url.removeprefix("http://") if method == "refused" else "127.0.0.1:1"
    url = f"http://hubble:pa55word@{host}/{BUCKET}/{KEY}?X-Amz-Security-Token=t0ken&sig=f00dcafe"
    client = make_client(attempts=1)
    pinned = client.pin(url)
    with pytest.raises(AstroCloudError) as caught:
        pinned.read_ranges([(0, 10)])
    error = told(caught.value) + repr((client, pinned, pinned.location))
    assert not [secret for secret in ("pa55word", "t0ken", "f00dcafe") if secret in error]
    assert not [secret for secret in ("pa55word", "t0ken", "f00dcafe") if secret in caplog.text]


def test_an_impossible_redirect_shows_no_secret(sky: ObjectServer, make_client: MakeClient) -> None:
    """The target of a redirect is masked as a location is."""
    sky.inject(Fault.redirect("ftp://hubble:pa55word@archive.example/a?sig=f00dcafe"))
    with pytest.raises(AstroCloudError) as caught:
        make_client(sky).read_ranges(LOCATION, [(0, 10)])
    assert not [secret for secret in ("pa55word", "f00dcafe") if secret in told(caught.value)]


def test_settings_show_no_password() -> None:
    """The password of an endpoint is not in the settings' repr."""
    assert "pa55word" not in repr(Settings(endpoint_url="https://hubble:pa55word@s3.archive.example"))


def test_a_pickled_object_holds_nothing_that_was_found() -> None:
    """Neither what ~/.netrc says, nor the signed URL a redirect led to."""
    (Path.home() / ".netrc").write_text("machine 127.0.0.1 login hubble password pa55word")
    found = base64.b64encode(b"hubble:pa55word")
    with raw_server([part(DATA, 0, 10)]) as stranger:
        redirect = said("HTTP/1.1 302 Found", f"Location: {stranger.url}?X-Amz-Signature=5ec7e7")
        with raw_server([redirect], [part(DATA, 10, 20)]) as server, Client() as client:
            pinned = client.pin(server.url)
            assert pinned.read_ranges([(0, 10)]) == [DATA[:10]]
            assert found in server.heads[0][0]
            pickled = pickle.dumps(pinned)
            assert not [secret for secret in (found, b"pa55word", b"5ec7e7") if secret in pickled]
            copy = pickle.loads(pickled)
            assert copy.version == pinned.version
            assert copy.read_ranges([(10, 20)]) == [DATA[10:20]]


def test_a_pickle_holds_no_credentials_that_were_found(sky_of_tokens: ObjectServer) -> None:
    """An auth that was given none, and the client that uses it, pickle how to find them, and no more."""
    auth = AWSAuth()
    with Client(auth=auth) as client:
        client.read_ranges(LOCATION, [(0, 10)])
        pickles = pickle.dumps(auth) + pickle.dumps(client)
    assert not [secret for secret in (SECRET, TOKEN) if secret.encode() in pickles]
    assert not [sent for sent in signatures(sky_of_tokens) if sent.encode() in pickles]
    with Client(auth=pickle.loads(pickle.dumps(auth))) as client:
        assert client.read_ranges(LOCATION, [(0, 10)]) == [DATA[:10]]
