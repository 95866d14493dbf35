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
