"""Uploads to Google's protocol and to URLs that somebody signed, as far as servers here show them."""

from __future__ import annotations

import base64
import io
import random

import anycrc
import pytest
import requests
from requests.auth import AuthBase

from astro_cloud.auth.aws import AWSAuth
from astro_cloud.exceptions import AccessDeniedError, ObjectExistsError, StorageError
from astro_cloud.storage import Client, Settings
from astro_cloud.testing import Fault, ObjectServer
from tests.servers.process import RunningServer
from tests.servers.signed import ask
from tests.storage.reading import BUCKET, MakeClient, auth_of

KEY = "new.fits"
PART = 1 << 16
DATA = random.Random(35).randbytes(3 * PART + 9)


class SomebodysAuth(AuthBase):
    """Signs as S3 wants it, and is not known to do so: Google is then spoken to in its own words."""

    def __init__(self, server: ObjectServer) -> None:
        self._auth = auth_of(server)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return self._auth.sign(request)


@pytest.fixture
def google(attic: ObjectServer, make_client: MakeClient) -> Client:
    """A client to which ``gs://`` is that server."""
    return make_client(attic, auth=SomebodysAuth(attic))


def stored(server: ObjectServer) -> bytes:
    return server.path(BUCKET, KEY).read_bytes()


def test_google_gets_crc32c_with_each_part(attic: ObjectServer, google: Client) -> None:
    """Which it checks; the object is made of the parts as S3's is."""
    google.upload(DATA, f"gs://{BUCKET}/{KEY}", part_size=PART)
    assert stored(attic) == DATA
    puts = sorted(attic.requests.where(method="PUT"), key=lambda record: record.target)
    for number, record in enumerate(puts):
        crc = anycrc.Model("CRC32C").calc(DATA[number * PART : (number + 1) * PART]).to_bytes(4, "big")
        assert record.headers["x-goog-hash"] == f"crc32c={base64.b64encode(crc).decode()}"
        assert "content-md5" not in record.headers


def test_google_is_told_to_keep_what_is_there(attic: ObjectServer, google: Client) -> None:
    """By its own condition, which it heeds for one request only: so a file is one, however long it is."""
    google.upload(DATA, f"gs://{BUCKET}/{KEY}", part_size=PART, overwrite=False)
    (record,) = attic.requests
    assert record.headers["x-goog-if-generation-match"] == "0"
    assert stored(attic) == DATA


def test_a_stream_that_is_to_keep_what_is_there_is_not_for_google(google: Client) -> None:
    """Rather than overwritten in the end."""
    with pytest.raises(StorageError, match="Google"):
        google.upload(gzip_like(DATA), f"gs://{BUCKET}/{KEY}", part_size=PART, overwrite=False)


def gzip_like(data: bytes) -> io.BufferedReader:
    class Raw(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:
            return inner.readinto(buffer)

    inner = io.BytesIO(data)
    return io.BufferedReader(Raw())


def test_google_says_that_there_is_one(attic: ObjectServer, google: Client) -> None:
    """412 is what it says."""
    attic.inject(Fault.unavailable(412, "PreconditionFailed"))
    with pytest.raises(ObjectExistsError):
        google.upload(DATA, f"gs://{BUCKET}/{KEY}", overwrite=False)


def test_google_with_amazons_keys_on_a_real_server(ceph_server: RunningServer) -> None:
    """HMAC keys sign as at S3: there no word is Google's."""
    ask(ceph_server, "PUT", "/google")
    keys = {"access_key": ceph_server.access_key, "secret_key": ceph_server.secret_key}
    auth = AWSAuth(**keys, region=ceph_server.region)
    with Client(auth=auth, settings=Settings(endpoint_url=ceph_server.url)) as client:
        data = DATA * 60
        client.upload(data, "gs://google/x.fits", part_size=5 << 20)
    assert ask(ceph_server, "GET", "/google/x.fits").body == data


# URLs that are signed


@pytest.mark.parametrize("size", [0, 1000, 20 << 20])
def test_a_signed_url_takes_one_request(s3_judge: RunningServer, size: int) -> None:
    """Of whatever length; whoever has it needs no credentials."""
    ask_quietly(s3_judge, "/signed")
    keys = {"access_key": s3_judge.access_key, "secret_key": s3_judge.secret_key}
    signer = AWSAuth(**keys, region=s3_judge.region)
    url = signer.presign(f"{s3_judge.url}/signed/x.fits", method="PUT")
    data = (DATA * (size // len(DATA) + 1))[:size]
    with Client() as client:
        info = client.upload(data, url)
        assert client.usage.requests == 1
    assert info.size == size
    assert ask(s3_judge, "GET", "/signed/x.fits").body == data
    signature = url.rpartition("X-Amz-Signature=")[2]
    assert signature not in repr(info)
    with Client() as client, pytest.raises(AccessDeniedError) as caught:
        client.upload(data, url.replace("x.fits", "other.fits"))
    assert signature not in str(caught.value)


def ask_quietly(server: RunningServer, target: str) -> None:
    try:
        ask(server, "PUT", target)
    except AssertionError:
        ask(server, "GET", target)


def test_a_signed_url_takes_no_long_stream(make_client: MakeClient) -> None:
    """What must be held in memory has a bound."""
    with pytest.raises(StorageError, match="signed URL"):
        make_client().upload(
            gzip_like(bytes(65 << 20)), "http://127.0.0.1:9/b/k?X-Amz-Signature=a&X-Amz-Credential=b"
        )
