"""Which hosts are a provider's, and what they say."""

import pytest

from astro_cloud.auth.endpoints import endpoint_of, is_presigned, netloc_of, regional_url, same_service


@pytest.mark.parametrize(
    ("host", "region", "bucket"),
    [
        ("s3.amazonaws.com", None, None),
        ("s3-external-1.amazonaws.com", None, None),
        ("s3.eu-west-1.amazonaws.com", "eu-west-1", None),
        ("s3-eu-west-1.amazonaws.com", "eu-west-1", None),
        ("s3.dualstack.eu-west-1.amazonaws.com", "eu-west-1", None),
        ("s3-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1", None),
        ("s3-fips-us-gov-west-1.amazonaws.com", "us-gov-west-1", None),
        ("s3-fips.dualstack.us-east-2.amazonaws.com", "us-east-2", None),
        ("s3.cn-north-1.amazonaws.com.cn", "cn-north-1", None),
        ("sky.s3.amazonaws.com", None, "sky"),
        ("sky.survey.s3.eu-west-1.amazonaws.com", "eu-west-1", "sky.survey"),
        ("sky.s3-accelerate.amazonaws.com", None, "sky"),
        ("sky.s3-accelerate.dualstack.amazonaws.com", None, "sky"),
        ("dr2-123456789012.s3-accesspoint.us-west-2.amazonaws.com", "us-west-2", "dr2-123456789012"),
        ("dr2-1.s3-accesspoint-fips.dualstack.us-west-2.amazonaws.com", "us-west-2", "dr2-1"),
        ("SKY.S3.EU-WEST-1.AMAZONAWS.COM", "eu-west-1", "sky"),
    ],
)
def test_every_form_of_s3s_hosts(host: str, region: str | None, bucket: str | None) -> None:
    """Region and bucket are read out of each form that Amazon documents."""
    endpoint = endpoint_of(host)
    assert endpoint is not None
    assert (endpoint.provider, endpoint.region, endpoint.bucket) == ("aws", region, bucket)
    assert endpoint.style == ("path" if bucket is None else "virtual-host")


@pytest.mark.parametrize(
    ("host", "provider", "region", "bucket"),
    [
        ("nyc3.digitaloceanspaces.com", "spaces", "nyc3", None),
        ("sky.fra1.digitaloceanspaces.com", "spaces", "fra1", "sky"),
        ("storage.googleapis.com", "gcp", None, None),
        ("sky.survey.storage.googleapis.com", "gcp", None, "sky.survey"),
        ("survey.blob.core.windows.net", "azure", None, None),
        ("survey-secondary.blob.core.windows.net", "azure", None, None),
        ("survey.z12.blob.storage.azure.net", "azure", None, None),
    ],
)
def test_the_other_providers(host: str, provider: str, region: str | None, bucket: str | None) -> None:
    """Spaces, Google's and Azure's hosts are told apart, by exact suffix."""
    endpoint = endpoint_of(host)
    assert endpoint is not None
    assert (endpoint.provider, endpoint.region, endpoint.bucket) == (provider, region, bucket)
    for stranger in (f"{host}.evil.example", f"{host}x", host.replace(".", "-")):
        assert endpoint_of(stranger) is None


@pytest.mark.parametrize(
    "host",
    [
        "sky.fra1.cdn.digitaloceanspaces.com", "digitaloceanspaces.com", "evilstorage.googleapis.com",
        "www.googleapis.com", "blob.core.windows.net", "a.b.blob.core.windows.net", "",
        "amazonaws.com", "ec2.us-east-1.amazonaws.com", "s3.amazonaws.com.evil.example",
        "s3.amazonaws.org", "s3-evil.amazonaws.com", "s3.evil.amazonaws.com", "evil-s3.amazonaws.com",
        "xs3.eu-west-1.amazonaws.com",
        "s3.eu-west-1.amazonaws.com.", "s3.eu-west-1.amazonaws.comx", "evil.example/s3.amazonaws.com",
        "user@s3.amazonaws.com", "s3.us-east-1.amazonaws.com:80", "s3.us-east-1.amazonaws.com\n",
    ],
)  # fmt: skip
def test_no_other_host_is_taken_for_s3(host: str) -> None:
    """Only exact suffixes count: credentials go where this says they may."""
    assert endpoint_of(host) is None


@pytest.mark.parametrize(
    ("url", "there"),
    [
        ("https://s3.amazonaws.com/b/k", "https://s3.eu-west-1.amazonaws.com/b/k"),
        ("https://b.s3.us-east-1.amazonaws.com/k?x=1", "https://b.s3.eu-west-1.amazonaws.com/k?x=1"),
        (
            "https://b.s3.dualstack.us-east-1.amazonaws.com/k",
            "https://b.s3.dualstack.eu-west-1.amazonaws.com/k",
        ),
        ("https://s3-us-west-2.amazonaws.com/b/k", "https://s3-eu-west-1.amazonaws.com/b/k"),
        ("https://us-east-1.s3.us-east-1.amazonaws.com/k", "https://us-east-1.s3.eu-west-1.amazonaws.com/k"),
        ("https://minio.example/b/k", "https://minio.example/b/k"),
    ],
)
def test_an_object_is_found_in_another_region(url: str, there: str) -> None:
    """The same form of address, with the other region in it; no other host is touched."""
    assert regional_url(url, "eu-west-1") == there
    assert regional_url(there, "eu-west-1") == there


@pytest.mark.parametrize(
    ("url", "other", "same"),
    [
        ("https://h/a", "https://h/b", True),
        ("https://h/a", "https://h:443/b", True),
        ("https://h/a", "https://h:444/b", False),
        ("https://h/a", "http://h/a", False),
        ("https://h/a", "https://x.h/a", False),
        ("https://s3.amazonaws.com/b/k", "https://b.s3.eu-west-1.amazonaws.com/k", True),
        ("https://s3.amazonaws.com/b/k", "http://b.s3.eu-west-1.amazonaws.com/k", False),
        ("http://s3.amazonaws.com/b/k", "https://b.s3.eu-west-1.amazonaws.com/k", True),
        ("https://s3.amazonaws.com/b/k", "https://s3.amazonaws.com.evil.example/b/k", False),
        ("https://s3.amazonaws.com/b/k", "https://nyc3.digitaloceanspaces.com/b/k", False),
        ("https://nyc3.digitaloceanspaces.com/b/k", "https://b.nyc3.digitaloceanspaces.com/k", True),
        ("https://mine.blob.core.windows.net/b/k", "https://theirs.blob.core.windows.net/b/k", False),
    ],
)
def test_who_may_see_the_same_signature(url: str, other: str, same: bool) -> None:
    """The same origin, or Amazon's own hosts, and never less safe than before."""
    assert same_service(url, other) is same


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://H.Example/a", "h.example"),
        ("https://h:443/a", "h"),
        ("http://h:80/a", "h"),
        ("http://h:443/a", "h:443"),
        ("https://user:pw@h:9000/a", "h:9000"),
        ("http://[::1]:80/a", "[::1]"),
        ("http://[::1]:9000/a", "[::1]:9000"),
    ],
)
def test_the_host_header(url: str, host: str) -> None:
    """The host is signed as HTTP clients send it: without user, and without a default port."""
    assert netloc_of(url) == host


def test_signed_urls_are_known() -> None:
    """Every provider's signing parameter is recognised, in any case; others are not."""
    for query in ("X-Amz-Signature=0", "a=1&x-goog-signature=0", "sv=2&sig=0", "Signature=0&Expires=1"):
        assert is_presigned(f"https://h/k?{query}")
    assert not is_presigned("https://h/k?signature-of=0&prefix=sig")
