"""Endpoints that a user configured, by argument or environment, for each scheme."""

from __future__ import annotations

import pytest

from astro_cloud.exceptions import InvalidLocationError
from astro_cloud.storage import Location, Settings

ENDPOINT = "https://s3.archive.example:9000"
LOCAL = "http://127.0.0.1:10000"
CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"


@pytest.mark.parametrize(
    ("text", "provider", "url"),
    [
        ("s3://sky/a b", "aws", f"{ENDPOINT}/sky/a%20b"),
        ("gs://sky/a b", "gcp", f"{ENDPOINT}/sky/a%20b"),
        ("az://hubble/sky/a b", "azure", f"{ENDPOINT}/hubble/sky/a%20b"),
        ("abfs://sky@hubble.dfs.core.windows.net/a b", "azure", f"{ENDPOINT}/hubble/sky/a%20b"),
        (f"{ENDPOINT}/sky/a%20b", "aws", f"{ENDPOINT}/sky/a%20b"),
    ],
)
def test_an_explicit_endpoint_serves_every_scheme(
    text: str, provider: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The argument comes before every variable, and the scheme says which protocol is spoken."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://not.this.example")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "not.this.example")
    monkeypatch.setenv(CONNECTION, "AccountName=hubble;BlobEndpoint=https://not.this.example")
    location = Location.parse(text, Settings(endpoint_url=ENDPOINT + "/"))
    assert (location.provider, location.bucket, location.key) == (provider, "sky", "a b")
    assert location.url == url
    assert location.with_key("c").bucket_url == url.removesuffix("/a%20b")


def test_the_environments_s3_endpoint_serves_s3_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """What configures Amazon's tools redirects nobody else's scheme."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", ENDPOINT)
    assert Location.parse("s3://sky/a").url == f"{ENDPOINT}/sky/a"
    assert Location.parse("gs://sky/a").url == "https://storage.googleapis.com/sky/a"
    assert Location.parse("az://hubble/sky/a").url == "https://hubble.blob.core.windows.net/sky/a"


@pytest.mark.parametrize("said", ["127.0.0.1:10000", LOCAL, LOCAL + "/"])
def test_googles_emulator(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """``STORAGE_EMULATOR_HOST`` is where ``gs://`` leads, with or without scheme; its URLs are Google's."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", said)
    location = Location.parse("gs://sky/a b")
    assert (location.provider, location.url) == ("gcp", f"{LOCAL}/sky/a%20b")
    assert location == Location.parse(f"{LOCAL}/sky/a%20b")
    assert location == Location.parse(f"{LOCAL}/download/storage/v1/b/sky/o/a%20b?alt=media")


@pytest.mark.parametrize(
    ("said", "url"),
    [
        ("UseDevelopmentStorage=true", "http://127.0.0.1:10000/devstoreaccount1"),
        (
            "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://azurite",
            "http://azurite:10000/devstoreaccount1",
        ),
        (
            f"AccountName=devstoreaccount1;BlobEndpoint={LOCAL}/devstoreaccount1/;",
            f"{LOCAL}/devstoreaccount1",
        ),
        (f"BlobEndpoint={LOCAL}/devstoreaccount1;SharedAccessSignature=sig=1", f"{LOCAL}/devstoreaccount1"),
        ("AccountName=devstoreaccount1;BlobEndpoint=https://blobs.example", "https://blobs.example"),
        (
            "AccountName=devstoreaccount1;EndpointSuffix=core.chinacloudapi.cn",
            "https://devstoreaccount1.blob.core.chinacloudapi.cn",
        ),
        (
            "BlobEndpoint=https://devstoreaccount1.z12.blob.storage.azure.net/;SharedAccessSignature=sig=1",
            "https://devstoreaccount1.z12.blob.storage.azure.net",
        ),
        (
            "BlobEndpoint=https://devstoreaccount1-internetrouting.blob.core.windows.net;"
            "SharedAccessSignature=sig=1",
            "https://devstoreaccount1-internetrouting.blob.core.windows.net",
        ),
    ],
)
def test_azures_connection_string(said: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account of the connection string is read where it says; any other at Azure."""
    monkeypatch.setenv(CONNECTION, said)
    location = Location.parse("az://devstoreaccount1/sky/a b")
    assert (location.provider, location.url) == ("azure", f"{url}/sky/a%20b")
    assert location == Location.parse(location.url)
    assert location == Location.parse("abfs://sky@devstoreaccount1/a b")
    assert Location.parse("az://hubble/sky/a").url == "https://hubble.blob.core.windows.net/sky/a"


@pytest.mark.parametrize(
    "said", ["", "AccountName=hubble;AccountKey=a2V5", "BlobEndpoint=https://blobs.example;AccountKey=a2V5"]
)
def test_a_connection_string_without_an_endpoint_moves_nothing(
    said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account without endpoint, or an endpoint of nobody knows whom, leaves Azure where it is."""
    monkeypatch.setenv(CONNECTION, said)
    assert Location.parse("az://hubble/sky/a").url == "https://hubble.blob.core.windows.net/sky/a"


@pytest.mark.parametrize(
    ("endpoint", "text", "same"),
    [
        ("https://s3.us-west-2.amazonaws.com", "s3://sky/a", "https://sky.s3.amazonaws.com/a"),
        ("https://fra1.digitaloceanspaces.com", "s3://sky/a", "https://sky.fra1.digitaloceanspaces.com/a"),
        ("https://storage.googleapis.com", "s3://sky/a", "https://sky.storage.googleapis.com/a"),
        ("https://storage.us.rep.googleapis.com", "gs://sky/a", "https://sky.storage.googleapis.com/a"),
        ("https://hubble.blob.core.windows.net", "az://hubble/sky/a", "abfs://sky@hubble/a"),
        ("https://webb.blob.core.windows.net", "az://hubble/sky/a", "abfs://sky@hubble/a"),
    ],
)
def test_an_endpoint_of_a_provider_is_that_provider(endpoint: str, text: str, same: str) -> None:
    """An endpoint that is a provider's host names the provider's object, and is signed for as its own."""
    location = Location.parse(text, Settings(endpoint_url=endpoint))
    assert location == Location.parse(same)
    assert location.provider == Location.parse(same).provider


def test_a_bucket_is_unique_at_its_endpoint_only() -> None:
    """The same name at another endpoint is another object; case and default port of the host say nothing."""
    here = Location.parse("s3://sky/a", Settings(endpoint_url="https://archive.example"))
    assert here != Location.parse("s3://sky/a")
    assert here != Location.parse("s3://sky/a", Settings(endpoint_url="http://archive.example"))
    assert here != Location.parse("s3://sky/a", Settings(endpoint_url="https://archive.example:9000"))
    assert here == Location.parse("s3://sky/a", Settings(endpoint_url="https://Archive.Example:443/"))


def test_an_endpoint_may_have_a_path() -> None:
    """Only URLs below the endpoint's path are its objects."""
    settings = Settings(endpoint_url="https://archive.example/s3/")
    location = Location.parse("s3://sky/a", settings)
    assert location.url == "https://archive.example/s3/sky/a"
    assert Location.parse(location.url, settings) == location
    assert Location.parse("https://archive.example/s3x/sky/a", settings).provider is None
    assert Location.parse("https://archive.example/sky/a", settings).provider is None


@pytest.mark.parametrize(
    "endpoint", ["archive.example", "ftp://archive.example", "https://", "https://h:x", "https://h/?q"]
)
@pytest.mark.parametrize("text", ["s3://sky/a", "gs://sky/a", "az://hubble/sky/a"])
def test_an_endpoint_that_is_no_url_is_refused(endpoint: str, text: str) -> None:
    """The complaint is about the endpoint."""
    settings = Settings(endpoint_url=endpoint)
    if (endpoint, text[:2]) == ("archive.example", "gs"):
        assert Location.parse(text, settings).url == "http://archive.example/sky/a"
        return
    with pytest.raises(InvalidLocationError, match="the endpoint"):
        Location.parse(text, settings)
