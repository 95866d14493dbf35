"""stat and exists: by HEAD, by one byte where HEAD is refused, and what is no absence."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest

from astro_cloud.exceptions import (
    AccessDeniedError,
    InvalidLocationError,
    ObjectNotFoundError,
    RequesterPaysError,
    StorageError,
)
from astro_cloud.storage import Client, ObjectInfo
from astro_cloud.testing import Fault, ObjectServer
from tests.servers.caddy import RunningWebServer
from tests.storage.reading import BUCKET, DATA, LOCATION, MakeClient, answering, auth_of

NO_HEAD = [answering(405), answering(501), answering(403), answering(400), answering(401)]


def asked(server: ObjectServer) -> list[tuple[str, str | None]]:
    """Return method and Range of each request."""
    return [(record.method, record.range) for record in server.requests]


def test_one_head_tells_all(sky: ObjectServer, client: Client) -> None:
    """Size, ETag as If-Match has it, an aware date, type: in one request without a body."""
    info = client.stat(LOCATION)
    assert asked(sky) == [("HEAD", None)]
    assert (info.key, info.size, str(info.location)) == ("m31.fits", len(DATA), LOCATION)
    assert info.last_modified is not None
    assert info.last_modified.tzinfo is UTC
    assert info.version is None
    pinned = client.pin(info.location)
    pinned.read_ranges([(0, 1)])
    assert pinned.version is not None
    assert pinned.version.etag == info.etag
    assert pickle.loads(pickle.dumps(info)) == info
    assert client.usage.round_trips == 2


@pytest.mark.parametrize("fault", NO_HEAD, ids=lambda fault: fault.kind)
@pytest.mark.parametrize("data", [DATA, DATA[:1], b""], ids=len)
def test_where_head_is_refused_one_byte_tells(
    sky: ObjectServer, client: Client, fault: Fault, data: bytes
) -> None:
    """The same is told, of empty objects too, for which it takes one request more."""
    sky.put(BUCKET, "m31.fits", data)
    expected = client.stat(LOCATION)
    sky.inject(fault, method="HEAD")
    assert client.stat(LOCATION) == expected
    assert asked(sky)[1:3] == [("HEAD", None), ("GET", "bytes=0-0")]
    assert asked(sky)[3:] == ([] if data else [("GET", None)])


@pytest.mark.parametrize(
    ("fault", "data"),
    [
        (Fault.bare_416(), b""),
        (Fault.whole_body(), DATA),
        (Fault.whole_body(), DATA * 20),
        (Fault.ok_with_content_range(), DATA),
    ],
    ids=["bare 416", "whole", "whole and large", "200 with Content-Range"],
)
def test_one_byte_told_oddly(sky: ObjectServer, client: Client, fault: Fault, data: bytes) -> None:
    """A 416 without size is of an empty object; a whole object tells its size, and is not read."""
    sky.put(BUCKET, "m31.fits", data)
    sky.inject(answering(501), method="HEAD")
    sky.inject(fault, method="GET")
    assert client.stat(LOCATION).size == len(data)
    assert client.usage.bytes == 0


def test_a_size_that_nobody_tells(sky: ObjectServer, client: Client) -> None:
    """It is an error, and not 0."""
    sky.inject(answering(501), method="HEAD")
    sky.inject(Fault.unknown_total())
    with pytest.raises(StorageError, match="does not say how large"):
        client.stat(LOCATION)


def test_what_a_server_leaves_out_is_none(sky: ObjectServer, client: Client) -> None:
    """And what names a version is told, whoever's it is."""
    sky.inject(Fault.no_etag())
    assert client.stat(LOCATION).etag is None
    odd = {"Last_Modified": "yesterday", "x_amz_version_id": "v1", "ETag": 'W/"1"'}
    sky.inject(answering(200, b"12345", **odd))
    info = client.stat(LOCATION)
    assert info == ObjectInfo(info.location, 5, 'W/"1"', None, "v1", None)


@pytest.mark.parametrize(
    "fault", [Fault.unavailable(503, "SlowDown"), Fault.reset(None)], ids=lambda f: f.kind
)
def test_faults_pass(sky: ObjectServer, client: Client, fault: Fault) -> None:
    """As they do for reads."""
    sky.inject(fault)
    assert client.stat(LOCATION).size == len(DATA)
    assert asked(sky) == [("HEAD", None)] * 2


def test_what_does_not_exist(sky: ObjectServer, client: Client) -> None:
    """A 404 is ObjectNotFoundError and False; in one request."""
    with pytest.raises(ObjectNotFoundError, match="s3://sky/none"):
        client.stat("s3://sky/none")
    assert client.exists("s3://sky/none") is False
    assert client.exists("s3://nowhere/none") is False
    assert client.exists(LOCATION) is True
    assert len(sky.requests) == 4


def test_a_refusal_is_not_an_absence(sky: ObjectServer, make_client: MakeClient) -> None:
    """It raises, says why as only a GET's body can, and what S3's 403 may mean as well."""
    with pytest.raises(AccessDeniedError, match="secret key"):
        make_client(sky, auth=auth_of(sky, secret_key="wrong")).exists(LOCATION)
    assert asked(sky) == [("HEAD", None), ("GET", "bytes=0-0")]
    client = make_client(sky)
    sky.inject(Fault.unavailable(403, "AccessDenied"), times=4)
    for paying in (False, True):
        with pytest.raises(AccessDeniedError, match="or it does not exist and they may not list") as caught:
            client.exists(LOCATION, request_payer=paying)
        assert isinstance(caught.value, RequesterPaysError) is not paying
    with pytest.raises(AccessDeniedError, match="anonymously"):
        make_client(endpoint_url=sky.url).exists(LOCATION)


def test_public_objects_and_who_pays(
    sky: ObjectServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for reads: anonymous where credentials are refused; the offer to pay is sent."""
    client = make_client(sky)
    sky.requester_pays.add(BUCKET)
    assert client.stat(LOCATION, request_payer=True).size == len(DATA)
    sky.requester_pays.clear()
    sky.public.add(BUCKET)
    for name, value in (sky.environ | {"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN"}).items():
        monkeypatch.setenv(name, value)
    assert make_client().stat(LOCATION).size == len(DATA)


def test_a_region_is_learnt(sky: ObjectServer, make_client: MakeClient) -> None:
    """HEAD has no body to name it in; the GET after it has."""
    sky.region = "eu-central-1"
    assert make_client(sky, auth=auth_of(sky, region="us-east-1")).stat(LOCATION).size == len(DATA)


def test_a_redirect_is_followed(sky: ObjectServer, other_sky: ObjectServer, client: Client) -> None:
    """By HEAD, to whoever holds the object."""
    sky.inject(Fault.redirect(other_sky.url_for(BUCKET, "m31.fits")))
    assert client.stat(LOCATION).size == len(DATA)
    assert asked(other_sky) == [("HEAD", None)]


def test_web_servers(web_server: RunningWebServer, make_client: MakeClient) -> None:
    """Any server of HTTP tells size and date of a file; and what it has not."""
    name = "stat of a file.fits"
    (web_server.folder / name).write_bytes(DATA)
    client = make_client()
    info = client.stat(f"{web_server.url}/{quote(name)}")
    assert info.size == len(DATA)
    assert info.last_modified is not None
    assert not client.exists(f"{web_server.url}/none")
    with pytest.raises(InvalidLocationError, match="web server"):
        client.list_objects(web_server.url)


def test_local_files(tmp_path: Path, client: Client) -> None:
    """They are told by the file system; a folder is no object."""
    file = tmp_path / "m 31.fits"
    file.write_bytes(DATA)
    info = client.stat(file)
    assert (info.size, info.etag, info.key) == (len(DATA), None, file.as_posix())
    assert info.last_modified == datetime.fromtimestamp(file.stat().st_mtime, UTC)
    assert client.stat(file.as_uri()) == info
    assert client.exists(str(file))
    assert not client.exists(tmp_path / "none")
    assert not client.exists(file / "none")
    with pytest.raises(ObjectNotFoundError, match="folder"):
        client.stat(tmp_path)
