"""Which hosts are a provider's, and what they say."""

from collections.abc import Iterable
from contextlib import suppress

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st
from urllib3.util import parse_url

from astro_cloud.auth.endpoints import (
    endpoint_of,
    host_of,
    is_presigned,
    netloc_of,
    read_host,
    realm_of,
    region_of,
    regional_url,
    same_origin,
    same_service,
)


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
        ("survey-internetrouting.blob.core.windows.net", "azure", None, None),
        ("survey-microsoftrouting-secondary.blob.core.windows.net", "azure", None, None),
        ("storage.europe-west3.rep.googleapis.com", "gcp", None, None),
        ("storage.eu.rep.googleapis.com", "gcp", None, None),
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
        "www.googleapis.com", "storage.cloud.google.com", "commondatastorage.googleapis.com",
        "sky.storage.eu.rep.googleapis.com", "storage.rep.googleapis.com", "storage.x.y.rep.googleapis.com",
        "survey.dfs.core.windows.net", "survey.blob.core.windows.net.evil.example",
        "survey-else.blob.core.windows.net", "blob.core.windows.net", "a.b.blob.core.windows.net", "",
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
        ("https://b.s3.us-gov-west-1.amazonaws.com/k", "https://b.s3.us-east-1.amazonaws.com/k", False),
        ("https://b.s3.us-gov-west-1.amazonaws.com/k", "https://s3-us-gov-east-1.amazonaws.com/b/k", True),
        ("https://s3.amazonaws.com/b/k", "https://s3.us-gov-east-1.amazonaws.com/b/k", False),
        ("https://s3.amazonaws.com/b/k", "https://s3.cn-north-1.amazonaws.com.cn/b/k", False),
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
    """All that a provider's signed URL has is recognised, in any case; a part of it is not."""
    for query in (
        "X-Amz-Signature=0&X-Amz-Credential=a",
        "a=1&x-goog-signature=0&x-goog-credential=a",
        "sv=2&sig=0",
        "Signature=0&Expires=1&AWSAccessKeyId=a",
        "GoogleAccessId=a&Expires=1&Signature=0",
        "Policy=p&Signature=0&Key-Pair-Id=K",
    ):
        assert is_presigned(f"https://h/k?{query}")
        for part in query.split("&"):
            assert not is_presigned(f"https://h/k?{part}")
    assert not is_presigned("https://h/k?signature-of=0&prefix=sig")


def test_a_signature_is_one_at_its_provider() -> None:
    """At a provider's host its own sets count, and those that it reads of others."""
    assert not is_presigned("https://s3.amazonaws.com/b/k?sv=2&sig=0")
    assert not is_presigned("https://survey.blob.core.windows.net/c/b?X-Amz-Signature=0&X-Amz-Credential=a")
    assert is_presigned("https://storage.googleapis.com/b/k?X-Amz-Signature=0&X-Amz-Credential=a")


def connects_to(url: str) -> Iterable[str]:
    """Return the host that requests would connect to; none for what it does not take for a URL."""
    with suppress(requests.RequestException, UnicodeError):
        yield (parse_url(requests.Request("GET", url).prepare().url or "").host or "").strip("[]")


@given(
    before=st.text("aZ9.-_@:/\\\\?#;%[] \t\n\u2100\uff0f", max_size=12),
    host=st.sampled_from(["sky.s3.amazonaws.com", "survey.blob.core.windows.net", "storage.googleapis.com"]),
    after=st.text("aZ.:@/\\\\?# 80", max_size=6),
)
@example("evil.com\\", ".s3.amazonaws.com", "/b/k")
@example("evil.com\\@", "survey.blob.core.windows.net", "/c/b")
def test_the_host_that_is_judged_is_the_one_that_is_connected_to(before: str, host: str, after: str) -> None:
    """No spelling of a URL has us see a provider's host in it, and requests connect to another."""
    url = f"https://{before}{host}{after}"
    if endpoint_of(host_of(url)) is not None:
        for connected in connects_to(url):
            assert host_of(url) == connected.lower()


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.com\\.s3.amazonaws.com/b/k",
        "https://evil.com\\@survey.blob.core.windows.net/c/b",
        "https://evil.com%2f.s3.amazonaws.com/b/k",
        "https://evil.com\t.s3.amazonaws.com/b/k",
        "https://s3.amazonaws.com:99999/b/k",
        "no url",
    ],
)
def test_an_unclear_host_is_nobodys(url: str) -> None:
    """Where programs could differ about the host there is none, and no origin in common with itself."""
    assert (host_of(url), netloc_of(url)) == ("", "")
    assert not same_origin(url, url)


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("abc123.execute-api.eu-west-1.amazonaws.com", "eu-west-1"),
        ("bucket.vpce-1a2b-3c.s3.eu-west-1.vpce.amazonaws.com", "eu-west-1"),
        ("s3.eu-central-1.wasabisys.com", "eu-central-1"),
        ("sky.s3.us-west-004.backblazeb2.com", "us-west-004"),
        ("0123456789abcdef.r2.cloudflarestorage.com", "auto"),
        ("s3.eu-west-1.amazonaws.com.evil.example", None),
        ("archive.example", None),
    ],
)
def test_regions_in_the_hosts_of_other_services(host: str, region: str | None) -> None:
    """What else is signed for by a region in its host's name."""
    assert region_of(host) == region


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sky.s3-accelerate.amazonaws.com/k", "eu-west-1"),
        ("https://sky.s3-accelerate.dualstack.amazonaws.com/k", "eu-west-1"),
        ("https://sky.s3.amazonaws.com/k", "cn-north-1"),
        ("https://sky.s3.cn-north-1.amazonaws.com.cn/k", "us-east-1"),
        ("https://sky.s3.amazonaws.com/k", "us-gov-west-1"),
        ("https://sky.s3.us-gov-west-1.amazonaws.com/k", "us-east-1"),
    ],
)
def test_a_region_leads_to_no_other_partition_and_off_no_host_that_serves_all(url: str, region: str) -> None:
    """Acceleration is kept, and China's S3 is another."""
    assert regional_url(url, region) == url
    assert not same_service("https://sky.s3.amazonaws.com/k", "https://sky.s3.cn-north-1.amazonaws.com.cn/k")


@pytest.mark.parametrize(
    ("host", "read"),
    [
        ("survey.dfs.core.windows.net", "survey.blob.core.windows.net"),
        ("survey-secondary.dfs.core.usgovcloudapi.net", "survey-secondary.blob.core.usgovcloudapi.net"),
        ("survey.z12.dfs.storage.azure.net", "survey.z12.blob.storage.azure.net"),
        ("Sky.Survey.fra1.cdn.digitaloceanspaces.com", "sky.survey.fra1.digitaloceanspaces.com"),
        ("storage.cloud.google.com", "storage.googleapis.com"),
        ("commondatastorage.googleapis.com", "storage.googleapis.com"),
        ("survey.dfs.evil.example", "survey.dfs.evil.example"),
        ("fra1.cdn.digitaloceanspaces.com", "fra1.cdn.digitaloceanspaces.com"),
        ("s3.amazonaws.com", "s3.amazonaws.com"),
        ("", ""),
    ],
)
def test_what_is_linked_at_one_host_is_read_at_another(host: str, read: str) -> None:
    """Hosts that providers give out for browsers, edges and Data Lake stand for the API's own."""
    assert read_host(host) == read


@pytest.mark.parametrize(
    ("host", "realm"),
    [
        ("s3.amazonaws.com", "aws"),
        ("sky.s3.eu-west-1.amazonaws.com", "aws"),
        ("s3.cn-north-1.amazonaws.com.cn", "aws-cn"),
        ("sky.s3-fips.us-gov-west-1.amazonaws.com", "aws-us-gov"),
        ("a-1.s3-accesspoint-fips.dualstack.us-west-2.amazonaws.com", "s3-accesspoint.us-west-2"),
        ("s3-accesspoint.s3.us-west-2.amazonaws.com", "aws"),
        ("sky.fra1.digitaloceanspaces.com", "fra1"),
        ("sky.storage.googleapis.com", ""),
        ("Survey-secondary.blob.core.windows.net", "survey.blob.core.windows.net"),
        ("survey-internetrouting-secondary.blob.core.windows.net", "survey.blob.core.windows.net"),
        ("survey.z12.blob.storage.azure.net", "survey.z12.blob.storage.azure.net"),
        ("archive.example", None),
    ],
)
def test_what_a_buckets_name_is_unique_in(host: str, realm: str | None) -> None:
    """All hosts that lead to one bucket are of one realm, and no two buckets of a realm share a name."""
    assert realm_of(host) == realm
