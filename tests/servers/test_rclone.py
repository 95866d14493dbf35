"""What rclone checks that others do not, and what it does that others do not, read right."""

from typing import Any
from urllib.parse import quote

import pytest
import requests

from astro_cloud.auth import AWSAuth
from astro_cloud.exceptions import AccessDeniedError
from astro_cloud.fits import load_headers
from astro_cloud.storage import Client, Settings
from tests.auth.odd_keys import ODD_KEYS
from tests.fits.sources import extension, primary
from tests.servers.process import RunningServer
from tests.servers.rclone import keeps

BUCKET = "sky"
FITS = (
    primary(naxis=(200_000,))
    + bytes(201_600)
    + extension("IMAGE", "EXTNAME = 'SCI'", naxis=(2880,))
    + bytes(2880)
)

PATHS = {name: key for name, key in ODD_KEYS.items() if keeps(key)}


def auth_for(server: RunningServer, **options: Any) -> AWSAuth:
    """The first user's auth."""
    keys = {"access_key": server.access_key, "secret_key": server.secret_key, "region": server.region}
    return AWSAuth(**{**keys, **options})


@pytest.fixture(scope="module")
def stored(rclone_server: RunningServer) -> str:
    """A FITS file; gives its URL."""
    assert requests.put(f"{rclone_server.url}/{BUCKET}", auth=auth_for(rclone_server)).status_code == 200
    url = f"{rclone_server.url}/{BUCKET}/file.fits"
    assert requests.put(url, data=FITS, auth=auth_for(rclone_server)).status_code == 200
    return url


@pytest.mark.parametrize("key", PATHS.values(), ids=PATHS)
def test_odd_keys_are_signed_right(rclone_server: RunningServer, stored: str, key: str) -> None:
    """A right signature stores and reads, in a header or in the URL; a wrong secret gets 403."""
    url = f"{rclone_server.url}/{BUCKET}/{quote(key, safe='/-._~')}"
    assert requests.put(url, data=key.encode(), auth=auth_for(rclone_server)).status_code == 200
    assert requests.get(url, auth=auth_for(rclone_server)).content == key.encode()
    assert requests.get(auth_for(rclone_server).presign(url)).content == key.encode()
    wrong = auth_for(rclone_server, secret_key="wrong")
    assert requests.get(url, auth=wrong).status_code == 403
    assert requests.get(wrong.presign(url)).status_code == 403


def test_every_header_of_amazons_is_signed(rclone_server: RunningServer, stored: str) -> None:
    """rclone refuses an x-amz-* header that is not signed: all of ours are, and one more is not."""
    headers = {"x-amz-meta-note": "two  spaces", "x-amz-request-payer": "requester"}
    request = requests.Request("GET", stored, headers=headers).prepare()
    auth_for(rclone_server, request_payer=True).sign(request)
    with requests.Session() as session:
        assert session.send(request).status_code == 200
        request.headers["x-amz-expected-bucket-owner"] = "somebody"
        assert session.send(request).status_code == 403


@pytest.mark.parametrize("note", ["caf\u00e9", "caf\u00e9".encode()], ids=["text", "bytes"])
def test_header_values_are_signed_as_they_are_sent(
    rclone_server: RunningServer, stored: str, note: str | bytes
) -> None:
    """Text goes out as Latin-1, bytes as they are; the signature is over the same bytes."""
    answer = requests.get(stored, headers={"x-amz-meta-note": note}, auth=auth_for(rclone_server))
    assert answer.status_code == 200


def test_urls_to_give_away(rclone_server: RunningServer, stored: str) -> None:
    """A presigned URL is read by anybody, and by nobody once it is changed."""
    url = auth_for(rclone_server).presign(stored)
    assert requests.get(url).content == FITS
    assert requests.get(url.replace("file.fits", "other.fits")).status_code == 403


def test_a_range_answered_with_200_is_read(rclone_server: RunningServer, stored: str) -> None:
    """With status 200 and the right Content-Range, bytes are the ones asked for; an empty ETag is none."""
    settings = Settings(endpoint_url=rclone_server.url)
    with Client(auth=auth_for(rclone_server), settings=settings) as client:
        location = f"s3://{BUCKET}/file.fits"
        ranges = [(0, 2880), (204_480, 205_000), (len(FITS) - 10, len(FITS) + 10)]
        assert client.read_ranges(location, ranges) == [FITS[start:stop] for start, stop in ranges]
        assert [header.name for header in load_headers(location, client=client)] == ["PRIMARY", "SCI"]


def test_no_credentials(rclone_server: RunningServer, stored: str) -> None:
    """rclone answers an anonymous read with 400 or 403: an error of ours that says what to do."""
    other = AWSAuth(access_key="AKNOBODY", secret_key="x", region="us-east-1")
    with Client(auth=other) as client, pytest.raises(AccessDeniedError, match="does not know the access key"):
        client.read_ranges(stored, [(0, 10)])
