"""Locations: what a user writes, and the URL that is read."""

from __future__ import annotations

import pytest

from astro_cloud.exceptions import InvalidLocationError
from astro_cloud.storage import Location, Settings
from tests.auth.odd_keys import ODD_KEYS, wire_path

ENDPOINT = "https://s3.archive.example:9000"
ENDPOINT_VARIABLES = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "S3_ENDPOINT_URL"]
AMAZON = "amazonaws.com"


@pytest.mark.parametrize(
    ("text", "region", "url"),
    [
        ("s3://stpubdata/tess/a.fits", None, f"https://stpubdata.s3.{AMAZON}/tess/a.fits"),
        ("S3://stpubdata/a", "us-west-2", f"https://stpubdata.s3.us-west-2.{AMAZON}/a"),
        ("s3://stpubdata/a", "cn-north-1", f"https://stpubdata.s3.cn-north-1.{AMAZON}.cn/a"),
        ("s3://sky.survey/a", None, f"https://s3.{AMAZON}/sky.survey/a"),
        ("s3://Sky/a", None, f"https://s3.{AMAZON}/Sky/a"),
        ("s3://sky_survey/a", "eu-west-1", f"https://s3.eu-west-1.{AMAZON}/sky_survey/a"),
        ("s3://sky/100%25", None, f"https://sky.s3.{AMAZON}/100%2525"),
    ],
)
def test_s3_locations_lead_to_amazon(text: str, region: str | None, url: str) -> None:
    """``s3://`` is read from Amazon: by virtual host where the bucket's name allows, else by path."""
    location = Location.parse(text, Settings(region=region))
    assert location.url == url
    assert location.provider == "aws"
    assert f"s3://{location.bucket}/{location.key}" == f"s3{text[2:]}"


@pytest.mark.parametrize("key", ODD_KEYS.values(), ids=ODD_KEYS)
def test_odd_keys_are_spelt_so_that_nobody_on_the_way_changes_them(key: str) -> None:
    """The key of ``s3://`` is taken as it is, and its URL, read back, names the same key."""
    settings = Settings(endpoint_url=ENDPOINT)
    location = Location.parse(f"s3://sky/{key}", settings)
    assert (location.bucket, location.key) == ("sky", key)
    assert location.url == ENDPOINT + wire_path("sky", key)
    again = Location.parse(location.url, settings)
    assert again == location
    assert (again.provider, again.bucket, again.key) == ("aws", "sky", key)


@pytest.mark.parametrize(
    "host",
    [
        f"s3.{AMAZON}",
        f"s3.us-east-1.{AMAZON}",
        f"s3.dualstack.us-west-2.{AMAZON}",
        f"s3-fips.us-gov-west-1.{AMAZON}",
        f"s3-fips.dualstack.us-east-2.{AMAZON}",
        f"s3-us-west-2.{AMAZON}",
        f"s3-external-1.{AMAZON}",
        f"s3.cn-north-1.{AMAZON}.cn",
        f"S3.US-EAST-1.{AMAZON.upper()}",
    ],
)
def test_amazons_hosts_are_known_in_both_styles(host: str) -> None:
    """Each of S3's hosts is S3's, with the bucket in the path or before the host."""
    by_path = Location.parse(f"https://{host}/sky/a/b.fits?versionId=7")
    by_host = Location.parse(f"https://sky.{host}/a/b.fits")
    assert (by_path.provider, by_path.bucket, by_path.key) == ("aws", "sky", "a/b.fits")
    assert (by_host.provider, by_host.bucket, by_host.key) == ("aws", "sky", "a/b.fits")
    assert by_path.url.endswith("/sky/a/b.fits?versionId=7")


@pytest.mark.parametrize("host", [f"s3-accelerate.{AMAZON}", f"s3-accelerate.dualstack.{AMAZON}"])
def test_accelerated_hosts_carry_the_bucket(host: str) -> None:
    """Transfer acceleration has virtual hosts."""
    location = Location.parse(f"https://sky.survey.{host}/a")
    assert (location.provider, location.bucket, location.key) == ("aws", "sky.survey", "a")


@pytest.mark.parametrize(
    "url",
    [
        f"https://s3.{AMAZON}.evil.example/sky/a",
        f"https://sky.s3.{AMAZON}.evil.example/a",
        "https://notamazonaws.com/sky/a",
        "https://s3.notamazonaws.com/sky/a",
        f"https://evils3.{AMAZON}/sky/a",
        f"https://ec2.us-east-1.{AMAZON}/sky/a",
        f"https://sky.s3-website-us-east-1.{AMAZON}/a",
        f"https://s3.{AMAZON}@evil.example/sky/a",
        f"https://evil.example/s3.{AMAZON}/sky/a",
        f"https://evil.example#s3.{AMAZON}/sky/a",
        f"https://evil.example?s3.{AMAZON}/sky/a",
        f"https://s3-{AMAZON}/sky/a",
        f"https://s3.us-east-1.{AMAZON}.cn.example/sky/a",
    ],
)
def test_hosts_that_only_look_like_amazons_are_strangers(url: str) -> None:
    """Only an exact suffix makes a host S3's: no other is ever signed for."""
    location = Location.parse(url)
    assert (location.provider, location.bucket, location.key) == (None, None, None)
    assert location.url == url


@pytest.mark.parametrize("text", [ENDPOINT, ENDPOINT + "/"])
def test_settings_name_an_endpoint(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint given as an argument is used path-style, and comes before the environment's."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://not.this.example")
    settings = Settings(endpoint_url=text)
    assert Location.parse("s3://sky/a b", settings).url == f"{ENDPOINT}/sky/a%20b"
    assert Location.parse(f"{ENDPOINT}/sky/a%20b", settings).key == "a b"
    assert Location.parse("https://s3.archive.example/sky/a", settings).provider is None


@pytest.mark.parametrize("variable", ENDPOINT_VARIABLES)
def test_the_environment_names_an_endpoint(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the variables that S3 tools read names the endpoint here too."""
    monkeypatch.setenv(variable, ENDPOINT)
    assert Location.parse("s3://sky/a").url == f"{ENDPOINT}/sky/a"
    assert Location.parse(f"{ENDPOINT}/sky/a").provider == "aws"


def test_the_nearer_variable_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable for S3 comes before the one for all of AWS; an empty one counts as not set."""
    for variable in ENDPOINT_VARIABLES:
        monkeypatch.setenv(variable, f"https://{variable.lower().replace('_', '-')}.example")
    assert Location.parse("s3://sky/a").url == "https://aws-endpoint-url-s3.example/sky/a"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "")
    assert Location.parse("s3://sky/a").url == "https://aws-endpoint-url.example/sky/a"


def test_locations_are_equal_if_they_name_the_same_object() -> None:
    """Equality and hash go by what is named, not by how it was written."""
    one, two = Location.parse("s3://sky/a b"), Location.parse(f"https://sky.s3.{AMAZON}/a%20b")
    assert one == two
    assert hash(one) == hash(two)
    assert one != Location.parse("s3://sky/a%20b")
    assert Location.parse(one) is one


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("https://hubble:pa55word@archive.example/m31.fits", "pa55word"),
        (f"https://sky.s3.{AMAZON}/a?X-Amz-Signature=f00d&X-Amz-Date=1", "f00d"),
        (f"https://sky.s3.{AMAZON}/a?X-Amz-Security-Token=t0ken&X-Amz-Signature=1", "t0ken"),
        (f"https://sky.s3.{AMAZON}/a?AWSAccessKeyId=AKIAX&Signature=f00d", "f00d"),
        ("https://storage.googleapis.com/sky/a?X-Goog-Signature=f00d", "f00d"),
        ("https://acc.blob.core.windows.net/sky/a?sp=r&sig=f00d%3D", "f00d"),
        ("https://archive.example/a?access_token=t0ken", "t0ken"),
        (f"https://sky.s3.{AMAZON}/a?X-Amz-Credential=AKIASECRET%2F20240101&x-amz-signature=1", "AKIASECRET"),
    ],
)
def test_secrets_of_a_url_are_not_shown(text: str, secret: str) -> None:
    """What is shown of a location hides passwords, tokens and signatures; what is read keeps them."""
    location = Location.parse(text)
    assert secret not in str(location)
    assert secret not in repr(location)
    assert "***" in str(location)
    assert secret in location.url


def test_a_presigned_url_is_read_as_it_is() -> None:
    """A URL that is signed already is nobody's to respell or to sign."""
    url = f"https://sky.s3.{AMAZON}/a+b?X-Amz-Credential=a&X-Amz-Signature=0&response-content-type=a+b"
    location = Location.parse(url)
    assert (location.url, location.provider) == (url, None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a location"),
        ("ftp://archive.example/m31.fits", "not a location"),
        ("s3:/sky/a", "not a location"),
        (" s3://sky/a", "not a location"),
        ("s3://", "names no object"),
        ("s3://sky", "names no object"),
        ("s3://sky/", "names no object"),
        ("s3:///a", "names no object"),
        ("s3://two words/a", "name of a bucket"),
        ("s3://sky@evil.example/a", "name of a bucket"),
        ("s3://sky?x/a", "name of a bucket"),
        ("s3://sky:80/a", "name of a bucket"),
        ("s3://sky/\ud800", "\\ud800"),
        ("https://", "names no host"),
        ("https:///m31.fits", "names no host"),
        ("https://[::1/m31.fits", "not a URL"),
        ("https://archive.example:port/m31.fits", "not a URL"),
        (f"https://s3.{AMAZON}/", "names no object"),
        (f"https://s3.{AMAZON}/sky", "names no object"),
        (f"https://sky.s3.{AMAZON}", "names no object"),
    ],
)
def test_what_names_no_object_is_refused_with_its_reason(text: str, says: str) -> None:
    """An InvalidLocationError says what is missing; it is a ValueError too."""
    with pytest.raises(InvalidLocationError) as caught:
        Location.parse(text)
    assert says in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_a_refused_location_shows_no_password() -> None:
    """The complaint about a location masks what the location would."""
    with pytest.raises(InvalidLocationError) as caught:
        Location.parse("https://hubble:pa55word@[bad/m31.fits?sig=f00d")
    assert "pa55word" not in str(caught.value)
    assert "f00d" not in str(caught.value)


def test_a_fingerprint_tells_objects_apart_and_nothing_else() -> None:
    """The same object spelt two ways has one; a signature changes nothing and is not in it."""
    plain = Location.parse("https://bucket.s3.us-east-1.amazonaws.com/a/key.fits")
    signed = Location.parse(
        plain.url + "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=abc&X-Amz-Credential=x"
    )
    again = Location.parse(
        plain.url + "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=def&X-Amz-Credential=x"
    )
    assert Location.parse("s3://bucket/a/key.fits").fingerprint == plain.fingerprint
    assert signed.fingerprint == again.fingerprint
    assert Location.parse("s3://bucket/a/other.fits").fingerprint != plain.fingerprint
    assert len(plain.fingerprint) == 32
