"""Programs written for astropy with fsspec run unchanged: the examples of astropy's page, and their words.

The page is "Obtaining cutouts from cloud-hosted FITS files". Its file is here made to its shape.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.nddata import Cutout2D
from astropy.wcs import WCS

import astro_cloud.fits
from astro_cloud.auth import Anonymous, AWSAuth
from astro_cloud.exceptions import AccessDeniedError, InvalidLocationError, RequesterPaysError
from astro_cloud.fits.fsspec_words import translated
from astro_cloud.storage import Client, Settings
from astro_cloud.testing import ObjectServer
from tests.fits import made
from tests.fits.made import from_memory

fits: Any = astro_cloud.fits
KEY = "hst/public/j8pu/j8pu0y010/j8pu0y010_drc.fits"
S3_URI = f"s3://stpubdata/{KEY}"


@pytest.fixture
def archive(object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> ObjectServer:
    """The archive's bucket, public, at the endpoint that the environment names; and no credentials there."""
    object_server.put("stpubdata", KEY, made.drc())
    object_server.public.add("stpubdata")
    monkeypatch.setenv("AWS_ENDPOINT_URL", object_server.url)
    return object_server


@pytest.fixture
def url(archive: ObjectServer) -> str:
    """The same file as a web server has it."""
    return archive.url_for("stpubdata", KEY)


@pytest.fixture
def private(archive: ObjectServer) -> ObjectServer:
    """The same bucket, for those who sign alone."""
    archive.public.clear()
    return archive


def pixels(number: int, key: Any) -> Any:
    """Return pixels of the file as astropy reads it from disk."""
    with from_memory(made.drc()) as hdul:
        return np.array(hdul[number].data[key])


# The examples of the page


def test_from_a_traditional_webserver(archive: ObjectServer, url: str) -> None:
    """`fits.open(url, use_fsspec=True)` and a tiny section: two round trips, and little of 14 MB."""
    with fits.open(url, use_fsspec=True) as hdul:
        cutout = hdul[1].section[10:13, 20:22]
    assert np.array_equal(cutout, pixels(1, np.s_[10:13, 20:22]))
    assert archive.requests.round_trips <= 2
    assert archive.requests.body_bytes < 150_000 < len(made.drc()) / 90


def test_from_s3(archive: ObjectServer) -> None:
    """The same of `s3://`, from a public bucket: nobody signs."""
    with fits.open(S3_URI, use_fsspec=True) as hdul:
        cutout = hdul[1].section[10:13, 20:22]
    assert np.array_equal(cutout, pixels(1, np.s_[10:13, 20:22]))
    assert not any("authorization" in record.headers for record in archive.requests)


def test_with_a_key_and_a_secret(private: ObjectServer) -> None:
    """`fsspec_kwargs` with credentials sign every request to a private bucket."""
    fsspec_kwargs = {"key": private.access_key, "secret": private.secret_key}
    with fits.open(S3_URI, use_fsspec=True, fsspec_kwargs=fsspec_kwargs) as hdul:
        cutout = hdul[2].section[10:13, 20:22]
    assert np.array_equal(cutout, pixels(2, np.s_[10:13, 20:22]))
    assert all("authorization" in record.headers for record in private.requests)


def test_without_credentials(archive: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """`{"anon": True}` signs nothing, though there are credentials."""
    for name, value in archive.environ.items():
        monkeypatch.setenv(name, value)
    with fits.open(S3_URI, use_fsspec=True, fsspec_kwargs={"anon": True}) as hdul:
        assert hdul[1].section[10, 20] == pixels(1, (10, 20))
    assert not any("authorization" in record.headers for record in archive.requests)


@pytest.mark.parametrize("form", ["s3", "url", "local"])
def test_cutout2d(archive: ObjectServer, url: str, tmp_path: Path, form: str) -> None:
    """`Cutout2D` of a section is the one of the local file, with its WCS; and reads its rows alone."""
    (path := tmp_path / "drc.fits").write_bytes(made.drc())
    position = SkyCoord("10h01m41.13s 02d25m20.58s")
    size = 5 * u.arcsec
    with fits.open({"s3": S3_URI, "url": url, "local": path}[form], use_fsspec=True) as hdul:
        wcs = WCS(hdul[1].header)
        archive.clear()
        cutout = Cutout2D(hdul[1].section, position=position, size=size, wcs=wcs)
    with from_memory(made.drc()) as hdul:
        expected = Cutout2D(hdul[1].data, position=position, size=size, wcs=WCS(hdul[1].header))
    assert cutout.data.shape == (100, 100)
    assert np.array_equal(cutout.data, expected.data)
    assert cutout.wcs.to_header_string() == expected.wcs.to_header_string()
    assert cutout.bbox_original == expected.bbox_original
    if form != "local":
        assert archive.requests.round_trips == 1
        assert archive.requests.body_bytes <= 100 * 1000 * 4


def test_a_cutout_over_the_edge(archive: ObjectServer) -> None:
    """Where the image ends the cutout is filled, or cut, as that of an array."""
    with fits.open(S3_URI) as hdul, from_memory(made.drc()) as local:
        for mode in ("partial", "trim"):
            found = Cutout2D(hdul[1].section, (5, 1195), (30, 40), mode=mode)
            expected = Cutout2D(local[1].data, (5, 1195), (30, 40), mode=mode)
            assert np.array_equal(found.data, expected.data, equal_nan=True)


# The words


def test_credentials_in_full(private: ObjectServer) -> None:
    """A session token goes along; a key without a secret is no credentials, and is looked for elsewhere."""
    words = translated({"key": "AKIA", "secret": "hidden", "token": "session"})
    assert isinstance(words.auth, AWSAuth)
    assert "hidden" not in repr(words)
    assert "session" not in repr(words.auth)
    assert translated({"key": None, "secret": None, "token": None}).auth is None
    assert isinstance(translated({"anon": True, "key": "AKIA", "secret": "hidden"}).auth, Anonymous)
    assert translated({"anon": False}).auth is None
    wrong = {"key": private.access_key, "secret": "wrong"}
    with pytest.raises(AccessDeniedError, match="secret key is probably wrong"):
        fits.open(S3_URI, fsspec_kwargs=wrong)


@pytest.mark.parametrize("way", ["endpoint_url", "client_kwargs"])
def test_the_endpoint(private: ObjectServer, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """It is taken from where s3fs takes it, and goes before the environment's."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    keys = {"key": private.access_key, "secret": private.secret_key}
    endpoint = {"endpoint_url": private.url}
    more = endpoint if way == "endpoint_url" else {"client_kwargs": endpoint}
    with fits.open(S3_URI, fsspec_kwargs=keys | more) as hdul:
        assert hdul[0].header["ROOTNAME"] == "j8pu0y010"
    assert private.requests


def test_the_region(private: ObjectServer) -> None:
    """`region_name` is what is signed for from the first request on."""
    private.region = "eu-west-3"
    keys = {"key": private.access_key, "secret": private.secret_key}
    with fits.open(S3_URI, fsspec_kwargs=keys | {"client_kwargs": {"region_name": "eu-west-3"}}) as hdul:
        assert hdul[0].name == "PRIMARY"
    assert [record.status for record in private.requests] == [206]
    with pytest.raises(ValueError, match="region"):
        translated({"client_kwargs": {"region_name": "not a region"}})


def test_the_payer(private: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """`requester_pays` offers to pay, as `request_payer` does; without either the error says what to pass."""
    private.requester_pays.add("stpubdata")
    for name, value in private.environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RequesterPaysError):
        fits.open(S3_URI)
    for options in ({"fsspec_kwargs": {"requester_pays": True}}, {"request_payer": True}):
        with fits.open(S3_URI, **options) as hdul:
            assert hdul[1].section[0, 0] == pixels(1, (0, 0))


def test_the_profile() -> None:
    """`profile` names credentials of the shared files."""
    assert translated({"profile": "survey"}).settings.profile == "survey"


def test_how_to_cache_is_let_pass(archive: ObjectServer) -> None:
    """What fsspec would cache changes nothing, and is no error."""
    options: dict[str, Any] = {
        "block_size": 50_000,
        "default_block_size": 5 << 20,
        "cache_type": "bytes",
        "default_cache_type": "readahead",
        "cache_options": {},
        "fill_cache": False,
        "default_fill_cache": False,
        "max_concurrency": 4,
        "version_aware": True,
        "use_listings_cache": False,
        "skip_instance_cache": True,
        "client_kwargs": None,
    }
    for some in ({name: value} for name, value in options.items()):
        assert translated(some) == translated({}), some
    with fits.open(S3_URI, use_fsspec=True, fsspec_kwargs=options) as hdul:
        assert hdul[1].section[0, 0] == pixels(1, (0, 0))
    assert options["client_kwargs"] is None


def test_unknown_words_are_named() -> None:
    """What may change which bytes are read is a TypeError that names it, and what to use in its place."""
    with pytest.raises(TypeError, match=r"mode, s3_additional_kwargs is not known here: use auth="):
        translated({"s3_additional_kwargs": {}, "mode": "rb"})
    with pytest.raises(TypeError, match=r"client_kwargs\['verify'\]"):
        translated({"client_kwargs": {"verify": False, "region_name": "us-east-1"}})
    given = {"client_kwargs": {"region_name": "us-east-1"}, "anon": True}
    translated(given)
    assert given == {"client_kwargs": {"region_name": "us-east-1"}, "anon": True}


def test_they_are_known_without_use_fsspec(archive: ObjectServer) -> None:
    """`use_fsspec` alone does nothing, nor does False: there is but one way to read."""
    for use in (None, False, True):
        with fits.open(S3_URI, use_fsspec=use, fsspec_kwargs={"anon": True}) as hdul:
            assert len(hdul) == 4


def test_a_client_and_an_auth_go_first(private: ObjectServer) -> None:
    """Who passes a client or an auth signs by it."""
    auth = AWSAuth(access_key=private.access_key, secret_key=private.secret_key)
    with Client(auth=auth) as client:
        for options in ({"auth": auth}, {"client": client}):
            with fits.open(S3_URI, use_fsspec=True, **options) as hdul:
                assert hdul[3].section[1, 1] == pixels(3, (1, 1))


def test_an_endpoint_that_is_no_url(archive: ObjectServer) -> None:
    """As everywhere, it is an error of ours."""
    with pytest.raises(InvalidLocationError):
        fits.open(S3_URI, fsspec_kwargs={"endpoint_url": "localhost:9000"})
    assert translated({"endpoint_url": "https://minio.example"}).settings == Settings(
        endpoint_url="https://minio.example"
    )
