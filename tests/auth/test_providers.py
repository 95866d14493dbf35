"""Which auth a URL gets when its user named none."""

import pytest

from astro_cloud.auth import (
    Anonymous,
    AWSAuth,
    AzureAuth,
    CloudService,
    DigitalOceanAuth,
    GCPAuth,
    auth_for,
)

AZURE_KEY = "a2V5IG9mIHRoZSBzdXJ2ZXk="
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret", "AZURE_STORAGE_ACCOUNT": "survey",
    "AZURE_STORAGE_KEY": AZURE_KEY, "SPACES_ACCESS_KEY_ID": "DO", "SPACES_SECRET_ACCESS_KEY": "secret",
}  # fmt: skip
PROVIDERS = [
    ("https://b.s3.amazonaws.com/k", AWSAuth, CloudService.S3),
    ("https://s3.eu-west-1.amazonaws.com/b/k", AWSAuth, CloudService.S3),
    ("https://sky.nyc3.digitaloceanspaces.com/k", DigitalOceanAuth, CloudService.Spaces),
    ("https://survey.blob.core.windows.net/sky/k", AzureAuth, CloudService.BlobStorage),
]


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials for every provider, in the environment."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(("url", "kind", "service"), PROVIDERS)
@pytest.mark.usefixtures("keys")
def test_each_provider_gets_its_own(url: str, kind: type, service: CloudService) -> None:
    """By its host, or by the service that is named, a URL gets the auth of its provider."""
    assert type(auth_for(url)) is kind
    assert type(auth_for("https://archive.example/b/k", service=service)) is kind


@pytest.mark.parametrize(("url", "kind", "service"), PROVIDERS)
def test_without_credentials_everything_is_public(url: str, kind: type, service: CloudService) -> None:
    """Where nobody has credentials, objects are read without."""
    assert isinstance(auth_for(url), Anonymous)
    assert isinstance(auth_for(url, service=service), Anonymous)


@pytest.mark.usefixtures("keys")
def test_a_stranger_gets_none() -> None:
    """No other host is signed for, whatever credentials there are; requests' own rules hold for it."""
    for host in (
        "archive.example",
        "s3.amazonaws.com.evil.example",
        "127.0.0.1:9000",
        "digitaloceanspaces.com",
    ):
        assert auth_for(f"https://{host}/b/k") is None


@pytest.mark.usefixtures("keys")
def test_an_endpoint_that_was_configured_is_s3() -> None:
    """The endpoint's origin is signed for, and no other port of it."""
    assert isinstance(auth_for("http://127.0.0.1:9000/b/k", endpoint_url="http://127.0.0.1:9000"), AWSAuth)
    assert auth_for("http://127.0.0.1:9001/b/k", endpoint_url="http://127.0.0.1:9000") is None


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "S3_ENDPOINT_URL"])
@pytest.mark.usefixtures("keys")
def test_the_endpoint_of_the_environment_is_s3(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the AWS tools read there is configured."""
    assert auth_for("http://127.0.0.1:9000/b/k") is None
    monkeypatch.setenv(name, "http://127.0.0.1:9000/")
    assert isinstance(auth_for("http://127.0.0.1:9000/b/k"), AWSAuth)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example\\.s3.amazonaws.com/b/k",
        "https://evil.example\\@survey.blob.core.windows.net/c/b",
    ],
)
@pytest.mark.usefixtures("keys")
def test_a_host_that_hides_behind_a_providers_gets_none(url: str) -> None:
    """requests would connect to evil.example."""
    assert auth_for(url) is None


def test_a_location_is_no_url() -> None:
    """``s3://`` names an object; which URL it is read from is decided above."""
    with pytest.raises(ValueError, match="is not a URL"):
        auth_for("s3://sky/m31.fits")


def test_public_objects_at_google_need_no_google_auth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that cannot be used for want of the extra leave an anonymous read, which says so."""

    def fail(self: GCPAuth) -> bool:
        raise ImportError("pip install 'astro-cloud[gcp]'")

    monkeypatch.setattr(GCPAuth, "has_credentials", fail)
    auth = auth_for("https://storage.googleapis.com/b/k")
    assert isinstance(auth, Anonymous)
    assert "[gcp]" in auth.because


@pytest.mark.parametrize("host", ["survey", "survey-internetrouting"])
def test_the_portals_connection_string_with_a_sas(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Azure's portal names the account in the endpoint there, and nowhere else; a route is no part of it."""
    endpoint = f"https://{host}.blob.core.windows.net"
    text = f"BlobEndpoint={endpoint}/;SharedAccessSignature=sv=2023-11-03&sig=secret"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text)
    assert isinstance(auth_for(f"{endpoint}/sky/k"), AzureAuth)
    assert isinstance(auth_for("https://theirs.blob.core.windows.net/sky/k"), Anonymous)


@pytest.mark.usefixtures("keys")
def test_another_azure_account_is_a_stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key or SAS of one account is not shown to the host of another, or where the account is not known."""
    theirs = "https://theirs.blob.core.windows.net/sky/k"
    assert isinstance(auth_for(theirs), Anonymous)
    assert isinstance(auth_for("https://survey-secondary.blob.core.windows.net/sky/k"), AzureAuth)
    assert isinstance(auth_for(theirs, service=CloudService.BlobStorage), AzureAuth), "but its user may vouch"
    for name in ("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", "sv=2023-11-03&sig=secret")
    assert isinstance(auth_for("https://survey.blob.core.windows.net/sky/k"), Anonymous)


def test_google_with_and_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """At Google's host credentials are looked for without a wait, and a public object needs none."""
    url = "https://storage.googleapis.com/b/k"
    assert isinstance(auth_for(url), Anonymous)
    monkeypatch.setattr(GCPAuth, "has_credentials", lambda self: True)
    assert isinstance(auth_for(url), GCPAuth)
