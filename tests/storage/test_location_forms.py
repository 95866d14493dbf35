"""Locations of every provider: each documented form, the URL it is read from, and what is equal."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from astro_cloud.exceptions import InvalidLocationError
from astro_cloud.storage import Location
from tests.auth.odd_keys import ODD_KEYS, plain_path, wire_path

PAGE = Path(__file__).parents[2] / "docs" / "locations.md"
ROWS = re.findall(
    r"^\| `([^`]*/[^`/][^`]*)` \| (?:as written|(the file )?`([^`]*)`) \|$", PAGE.read_text(), re.MULTILINE
)
GOOGLE = "https://storage.googleapis.com"
AZURE = "https://hubble.blob.core.windows.net"
SNAPSHOT = "2011-03-09T01:42:34.9360000Z"

#: Provider, bucket, key, URL that is read, and every way to write that.
FORMS = {
    "aws": (
        ("aws", "sky", "a b.fits", "https://sky.s3.amazonaws.com/a%20b.fits"),
        "s3://sky/a b.fits",
        "S3://sky/a b.fits",
        "https://sky.s3.amazonaws.com/a%20b.fits",
        "https://sky.s3.amazonaws.com:443/a%20b.fits",
        "http://sky.s3.amazonaws.com/a b.fits",
        "https://s3.amazonaws.com/sky/a%20b.fits",
        "https://s3.eu-west-1.amazonaws.com/sky/a%20b.fits",
        "https://s3-eu-west-1.amazonaws.com/sky/a%20b.fits",
        "https://sky.s3.dualstack.us-west-2.amazonaws.com/a%20b.fits",
        "https://sky.s3-fips.us-east-2.amazonaws.com/a%20b.fits",
        "https://sky.s3-accelerate.amazonaws.com/a%20b.fits",
    ),
    "aws-cn": (
        ("aws", "sky", "a", "https://sky.s3.cn-north-1.amazonaws.com.cn/a"),
        "https://sky.s3.cn-north-1.amazonaws.com.cn/a",
        "https://s3.cn-northwest-1.amazonaws.com.cn/sky/a",
    ),
    "aws-us-gov": (
        ("aws", "sky", "a", "https://sky.s3.us-gov-west-1.amazonaws.com/a"),
        "https://sky.s3.us-gov-west-1.amazonaws.com/a",
        "https://s3-fips.us-gov-east-1.amazonaws.com/sky/a",
    ),
    "access point": (
        ("aws", "dr2-123456789012", "a", "https://dr2-123456789012.s3-accesspoint.us-west-2.amazonaws.com/a"),
        "https://dr2-123456789012.s3-accesspoint.us-west-2.amazonaws.com/a",
        "https://dr2-123456789012.s3-accesspoint.dualstack.us-west-2.amazonaws.com/a",
    ),
    "spaces": (
        ("spaces", "sky", "a b", "https://sky.fra1.digitaloceanspaces.com/a%20b"),
        "https://sky.fra1.digitaloceanspaces.com/a%20b",
        "https://sky.fra1.cdn.digitaloceanspaces.com/a%20b",
        "https://fra1.digitaloceanspaces.com/sky/a%20b",
    ),
    "gcp": (
        ("gcp", "sky.survey", "a/b c", f"{GOOGLE}/sky.survey/a/b%20c"),
        "gs://sky.survey/a/b c",
        f"{GOOGLE}/sky.survey/a/b%20c",
        "https://sky.survey.storage.googleapis.com/a/b%20c",
        "https://storage.cloud.google.com/sky.survey/a/b%20c",
        "https://storage.cloud.google.com/sky.survey/a/b%20c?authuser=1",
        "https://commondatastorage.googleapis.com/sky.survey/a/b%20c",
        "https://storage.europe-west3.rep.googleapis.com/sky.survey/a/b%20c",
        f"{GOOGLE}/storage/v1/b/sky.survey/o/a%2Fb%20c?alt=media",
        f"{GOOGLE}/download/storage/v1/b/sky.survey/o/a%2Fb%20c?alt=media",
        "https://www.googleapis.com/storage/v1/b/sky.survey/o/a%2Fb%20c?alt=media",
    ),
    "azure": (
        ("azure", "sky", "a/b c", f"{AZURE}/sky/a/b%20c"),
        "az://hubble/sky/a/b c",
        "az://hubble.blob.core.windows.net/sky/a/b c",
        "abfs://sky@hubble/a/b c",
        "abfs://sky@hubble.dfs.core.windows.net/a/b c",
        "abfss://sky@hubble.dfs.core.windows.net/a/b c",
        "ABFSS://sky@hubble.blob.core.windows.net/a/b c",
        f"{AZURE}/sky/a/b%20c",
        "https://hubble.dfs.core.windows.net/sky/a/b%20c",
        "https://hubble-secondary.blob.core.windows.net/sky/a/b%20c",
        "https://hubble-internetrouting.blob.core.windows.net/sky/a/b%20c",
        "https://hubble-internetrouting-secondary.dfs.core.windows.net/sky/a/b%20c",
    ),
    "azure's $root": (
        ("azure", "$root", "a", f"{AZURE}/%24root/a"),
        "az://hubble/$root/a",
        f"{AZURE}/a",
        f"{AZURE}/$root/a",
    ),
    "azure zone": (
        ("azure", "sky", "a", "https://hubble.z12.blob.storage.azure.net/sky/a"),
        "az://hubble.z12.blob.storage.azure.net/sky/a",
        "abfss://sky@hubble.z12.dfs.storage.azure.net/a",
        "https://hubble.z12.blob.storage.azure.net/sky/a",
        "https://hubble.z12.dfs.storage.azure.net/sky/a",
    ),
    "azure china": (
        ("azure", "sky", "a", "https://hubble.blob.core.chinacloudapi.cn/sky/a"),
        "abfss://sky@hubble.dfs.core.chinacloudapi.cn/a",
        "https://hubble.blob.core.chinacloudapi.cn/sky/a",
    ),
    "azure us-gov": (
        ("azure", "sky", "a", "https://hubble.blob.core.usgovcloudapi.net/sky/a"),
        "abfss://sky@hubble.dfs.core.usgovcloudapi.net/a",
        "https://hubble.blob.core.usgovcloudapi.net/sky/a",
    ),
    "s3 version": (
        ("aws", "sky", "a", "https://sky.s3.amazonaws.com/a?versionId=3sL4kqtJ.x_-"),
        "s3://sky/a?versionId=3sL4kqtJ.x_-",
        "https://sky.s3.amazonaws.com/a?versionId=3sL4kqtJ.x_-",
        "https://s3.us-west-2.amazonaws.com/sky/a?versionId=3sL4kqtJ.x_-",
    ),
    "google generation": (
        ("gcp", "sky", "a", f"{GOOGLE}/sky/a?generation=1360887697105000"),
        "gs://sky/a#1360887697105000",
        "gs://sky/a?generation=1360887697105000",
        f"{GOOGLE}/sky/a?generation=1360887697105000",
        f"{GOOGLE}/download/storage/v1/b/sky/o/a?generation=1360887697105000&alt=media",
    ),
    "azure snapshot": (
        ("azure", "sky", "a", f"{AZURE}/sky/a?snapshot={quote(SNAPSHOT)}"),
        f"az://hubble/sky/a?snapshot={SNAPSHOT}",
        f"az://hubble/sky/a?snapshot={quote(SNAPSHOT)}",
        f"abfs://sky@hubble/a?snapshot={SNAPSHOT}",
        f"{AZURE}/sky/a?snapshot={quote(SNAPSHOT)}",
        f"{AZURE}/sky/a?Snapshot={SNAPSHOT}",
    ),
    "azure version": (
        ("azure", "sky", "a", f"{AZURE}/sky/a?versionid={quote(SNAPSHOT)}"),
        f"az://hubble/sky/a?versionid={SNAPSHOT}",
        f"{AZURE}/sky/a?versionid={quote(SNAPSHOT)}",
    ),
    "plain HTTP": (
        (None, None, None, "https://archive.example/m31.fits?hdu=1"),
        "https://archive.example/m31.fits?hdu=1",
        "HTTPS://Archive.Example:443/m31.fits?hdu=1#top",
    ),
}
EACH = [(name, text) for name, (_, *texts) in FORMS.items() for text in texts]


@pytest.mark.parametrize(("name", "text"), EACH)
def test_each_form_names_its_object(name: str, text: str) -> None:
    """Provider, bucket and key are read out of each form; it prints as written, and equals the others."""
    (provider, bucket, key, url), first, *_ = FORMS[name]
    location = Location.parse(text)
    assert (location.provider, location.bucket, location.key) == (provider, bucket, key)
    assert (str(location), repr(location)) == (text, f"Location({text!r})")
    assert location == Location.parse(first)
    assert hash(location) == hash(Location.parse(first))
    assert Location.parse(first).url == url
    assert location == Location.parse(location.url)
    assert pickle.loads(pickle.dumps(location)) == location


@pytest.mark.parametrize(("text", "is_file", "there"), ROWS)
def test_the_page_is_right(text: str, is_file: str, there: str) -> None:
    """Each row of the documentation's tables says what is read."""
    location = Location.parse(text)
    if is_file:
        assert location.path == Path(there)
    else:
        assert location.url == (there or text)


def test_the_page_has_rows() -> None:
    """The rows are found."""
    assert len(ROWS) == PAGE.read_text().count("\n| `") - 3


def test_different_objects_are_not_equal() -> None:
    """No two objects compare equal: not of another partition, centre, account, version or query."""
    others = [
        "https://sky.s3.amazonaws.com/a?partNumber=1",
        "https://sky.s3.amazonaws.com/a?partNumber=2",
        "https://sky.fra1.digitaloceanspaces.com/a", "https://sky.nyc3.digitaloceanspaces.com/a",
        "gs://sky/a", "az://hubble/sky/a", "az://webb/sky/a", "s3://sky/a", "s3://sky/A", "s3://sky/a%20b",
        "http://archive.example/a", "https://archive.example/a", "https://archive.example/a?b",
        "https://archive.example:8080/a", "https://user:pw@archive.example/a", "/sky/a",
        "https://dr2-1.s3-accesspoint.eu-west-1.amazonaws.com/a", "s3://dr2-1/a",
    ]  # fmt: skip
    locations = [Location.parse(text) for text in others + [texts[0] for _, *texts in FORMS.values()]]
    assert len(set(locations)) == len(locations)


VERSIONS = {
    "s3://sky/a?versionId=null": "null",
    "https://sky.s3.amazonaws.com/a?x-id=GetObject&versionId=7": "7",
    "gs://sky/a#1360887697105000": "1360887697105000",
    f"{GOOGLE}/sky/a?generation=7&userProject=mine": "7",
    f"az://hubble/sky/a?snapshot={SNAPSHOT}": SNAPSHOT,
    "https://sky.fra1.digitaloceanspaces.com/a?versionId=7": "7",
    "https://archive.example/a?versionId=7": None,
}


@pytest.mark.parametrize(("text", "version"), VERSIONS.items())
def test_versions_are_kept(text: str, version: str | None) -> None:
    """The version that a location names is known, and asked for."""
    location = Location.parse(text)
    assert location.version == version
    assert quote(version or "versionId=7", safe="=") in location.url
    assert (location.key or "a") == "a"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("s3://sky/a?versionId=", "a?versionId="),
        ("s3://sky/a?versionid=7", "a?versionid=7"),
        ("s3://sky/a?versionId=7&x=1", "a?versionId=7&x=1"),
        ("s3://sky/a?versionId=7\n", "a?versionId=7\n"),
        ("s3://sky/a#1360887697105000", "a#1360887697105000"),
        ("gs://sky/a#123456789", "a#123456789"),
        ("gs://sky/a#١٢٣٤٥٦٧٨٩٠", "a#١٢٣٤٥٦٧٨٩٠"),
        ("gs://sky/a?generation=x", "a?generation=x"),
        ("gs://sky/a?versionId=7", "a?versionId=7"),
        ("az://hubble/sky/a?versionId=7", "a?versionId=7"),
    ],
)
def test_all_else_behind_a_scheme_is_key(text: str, key: str) -> None:
    """Only the exact form of a version is one."""
    location = Location.parse(text)
    assert (location.key, location.version) == (key, None)


WAYS: dict[str, Callable[[str], str]] = {
    "s3": lambda key: f"s3://sky/{key}",
    "gs": lambda key: f"gs://sky/{key}",
    "az": lambda key: f"az://hubble/sky/{key}",
    "abfs": lambda key: f"abfs://sky@hubble.dfs.core.windows.net/{key}",
}
URL_WAYS: dict[str, Callable[[str], str]] = {
    "s3 path": lambda key: "https://s3.amazonaws.com" + wire_path("sky", key),
    "s3 host": lambda key: "https://sky.s3.amazonaws.com" + plain_path("sky", key)[4:],
    "spaces host": lambda key: "https://sky.fra1.digitaloceanspaces.com" + plain_path("sky", key)[4:],
    "spaces path": lambda key: "https://fra1.digitaloceanspaces.com" + wire_path("sky", key),
    "spaces cdn": lambda key: "https://sky.fra1.cdn.digitaloceanspaces.com" + plain_path("sky", key)[4:],
    "gcs path": lambda key: GOOGLE + wire_path("sky", key),
    "gcs host": lambda key: "https://sky.storage.googleapis.com" + plain_path("sky", key)[4:],
    "gcs browser": lambda key: "https://storage.cloud.google.com" + wire_path("sky", key),
    "gcs json": lambda key: f"{GOOGLE}/storage/v1/b/sky/o/{quote(key, safe='')}?alt=media",
    "azure": lambda key: AZURE + wire_path("sky", key),
    "azure dfs": lambda key: "https://hubble.dfs.core.windows.net" + wire_path("sky", key),
}


@pytest.mark.parametrize("key", ODD_KEYS.values(), ids=ODD_KEYS)
@pytest.mark.parametrize("way", [*WAYS, *URL_WAYS])
def test_odd_keys_survive_every_form(way: str, key: str) -> None:
    """Spaces, plus, hash, percent, dots, double slashes: the key is the same, in each form and its URL."""
    location = Location.parse((WAYS | URL_WAYS)[way](key))
    assert (location.bucket, location.key, location.version) == ("sky", key, None)
    again = Location.parse(location.url)
    assert (again, again.url, again.key) == (location, location.url, key)
    assert location.url.isascii()
    assert "/../" not in location.url + "/"


KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(key=KEYS, way=st.sampled_from(list(WAYS)))
@example(key="\0", way="s3")
@example(key="a?sig=1", way="gs")
def test_any_key_survives(key: str, way: str) -> None:
    """Whatever text a key is, its URL names the same key, and so does `with_key`."""
    location = Location.parse(WAYS[way](key))
    assume(location.version is None)
    assert location.key == key
    assert Location.parse(location.url) == location
    assert Location.parse(WAYS[way]("else")).with_key(key) == location


@given(key=KEYS, way=st.sampled_from(list(WAYS)))
@example(key="a?versionId=7", way="s3")
@example(key="#1360887697105000", way="gs")
@example(key=f"a?snapshot={SNAPSHOT}", way="az")
def test_what_a_location_prints_names_it(key: str, way: str) -> None:
    """Text read again is the same location, whatever its key, unless a part of it had to be masked."""
    location = Location.parse(WAYS[way]("else")).with_key(key)
    assert (location.key, location.version) == (key, None)
    assume("***" not in location.text)
    assert Location.parse(location.text) == location


@pytest.mark.parametrize(
    ("text", "bucket_url", "other"),
    [
        ("s3://sky/a?versionId=7", "https://sky.s3.amazonaws.com", "s3://sky/b c"),
        ("s3://sky.survey/a", "https://s3.amazonaws.com/sky.survey", "s3://sky.survey/b c"),
        ("gs://sky/a", f"{GOOGLE}/sky", "gs://sky/b c"),
        ("az://hubble/sky/a", f"{AZURE}/sky", "az://hubble/sky/b c"),
        ("abfss://sky@hubble/a", f"{AZURE}/sky", "abfss://sky@hubble/b c"),
        (f"{AZURE}/a", f"{AZURE}/%24root", f"{AZURE}/%24root/b%20c"),
        (
            "https://s3.eu-west-1.amazonaws.com/sky/a?versionId=7",
            "https://s3.eu-west-1.amazonaws.com/sky",
            "https://s3.eu-west-1.amazonaws.com/sky/b%20c",
        ),
        (
            "https://sky.storage.googleapis.com/a",
            "https://sky.storage.googleapis.com",
            "https://sky.storage.googleapis.com/b%20c",
        ),
        (f"{GOOGLE}/storage/v1/b/sky/o/a?alt=media", f"{GOOGLE}/sky", f"{GOOGLE}/sky/b%20c"),
        (
            "https://me:pw@sky.fra1.digitaloceanspaces.com/a",
            "https://me:pw@sky.fra1.digitaloceanspaces.com",
            "https://***@sky.fra1.digitaloceanspaces.com/b%20c",
        ),
    ],
)
def test_the_bucket_and_its_other_keys(text: str, bucket_url: str, other: str) -> None:
    """A location leads to its bucket, and to other keys in it, in the same style and form."""
    location = Location.parse(text)
    assert location.bucket_url == bucket_url
    sibling = location.with_key("b c")
    assert (sibling.text, sibling.key, sibling.version) == (other, "b c", None)
    assert sibling.url == f"{bucket_url}/b%20c"
    assert sibling.with_key("").url == f"{bucket_url}/"
    assert pickle.loads(pickle.dumps(sibling)).bucket_url == bucket_url


@pytest.mark.parametrize("text", ["https://archive.example/a", "/data/a", f"{AZURE}/sky/a?sv=1&sig=f00d"])
def test_plain_files_have_no_bucket(text: str) -> None:
    """Plain HTTP, local files and signed URLs have no bucket to list."""
    location = Location.parse(text)
    with pytest.raises(InvalidLocationError, match="has no bucket"):
        location.with_key("b")
    with pytest.raises(InvalidLocationError, match="has no bucket"):
        _ = location.bucket_url


def test_a_key_that_is_no_text_is_refused() -> None:
    """Keys are UTF-8."""
    with pytest.raises(InvalidLocationError, match="UTF-8"):
        Location.parse("s3://sky/a").with_key("\ud800")


@pytest.mark.parametrize(
    ("text", "bucket", "key"),
    [
        ("s3://sky", "sky", ""),
        ("s3://sky/", "sky", ""),
        ("s3://sky/tess/", "sky", "tess/"),
        ("gs://sky", "sky", ""),
        ("az://hubble/sky", "sky", ""),
        ("abfs://sky@hubble", "sky", ""),
        ("https://sky.s3.amazonaws.com", "sky", ""),
        ("https://s3.amazonaws.com/sky/te", "sky", "te"),
        (f"{AZURE}/sky", "sky", ""),
        (f"{GOOGLE}/sky/", "sky", ""),
    ],
)
def test_a_prefix_may_be_a_bucket_alone(text: str, bucket: str, key: str) -> None:
    """For listing, a bucket will do; its URL is the bucket's with a slash."""
    location = Location.parse(text, prefix=True)
    assert (location.bucket, location.key) == (bucket, key)
    assert location.url == f"{location.bucket_url}/{key}"


@pytest.mark.parametrize(
    "text", ["s3://", "s3:///a", "gs://", "az://hubble", "az://hubble/", AZURE, f"{GOOGLE}/"]
)
def test_a_prefix_needs_a_bucket(text: str) -> None:
    """Text without a bucket is always an error."""
    with pytest.raises(InvalidLocationError):
        Location.parse(text, prefix=True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gs://sky", "names no object"),
        ("gs://two words/a", "name of a bucket"),
        ("gs://../a", "name of a bucket"),
        ("az://hubble/sky", "write az://account/container/key"),
        ("az://hubble/s_k_y/a", "name of a container"),
        ("az://Hub_ble/sky/a", "name of a storage account"),
        ("az://evil.example/sky/a", "name of a storage account"),
        ("az://x/sky/a", "name of a storage account"),
        ("abfs://sky/a", "write abfs://container@account/key"),
        ("abfs://@hubble/a", "names no object"),
        ("abfss://sky@onelake.dfs.fabric.microsoft.com/a", "name of a storage account"),
        ("abfss://sky@hubble.blob.core.windows.net.evil.example/a", "name of a storage account"),
        ("s3a://sky/a", "write s3://bucket/key"),
        ("gcs://sky/a", "write gs://bucket/key"),
        ("wasbs://sky@hubble/a", "write abfs://container@account/key"),
        (f"{GOOGLE}/storage/v1/b/sky/o/a", "alt=media"),
        ("https://s3.amazonaws.com/sky/%ff", "percent-encoded UTF-8"),
        ("https://s3.amazonaws.com/sky%2Fa/b", "names no object"),
        ("https://s3.amazonaws.com/%2E%2E/b", "names no object"),
        ("https://s3.amazonaws.com/sky/a\nb", "control character"),
        ("https://archive.example/\ud800", "UTF-8"),
        ("https://s3.amazonaws.com\\@evil.example/sky/a", "read in two ways"),
    ],
)
def test_what_is_wrong_is_said(text: str, says: str) -> None:
    """The complaint names what is wrong, or what to write."""
    with pytest.raises(InvalidLocationError) as caught:
        Location.parse(text)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("abfs://sky@hubble/a", "abfs://sky@hubble/a"),
        ("az://hubble/sky/a?sv=1&sig=f00d", "az://hubble/sky/a?sv=1&sig=***"),
        ("s3://sky/a?token=f00d", "s3://sky/a?token=***"),
    ],
)
def test_schemes_show_no_secrets_either(text: str, shown: str) -> None:
    """A container is shown, a signature that was pasted in is not."""
    assert str(Location.parse(text)) == shown


@pytest.mark.parametrize(
    "text", ["s3://AKIAX:f00d@sky/a", "abfs://sky:f00d@hubble/a", "az://me:f00d@hubble/a"]
)
def test_complaints_show_no_passwords(text: str) -> None:
    """Nor does a complaint repeat a password."""
    with pytest.raises(InvalidLocationError) as caught:
        Location.parse(text)
    assert "f00d" not in str(caught.value)


def test_signed_urls_are_themselves_alone() -> None:
    """A signed URL is equal to itself, whatever host it is of, and read as it is."""
    url = "https://sky.fra1.cdn.digitaloceanspaces.com/a?X-Amz-Credential=a&X-Amz-Signature=0"
    assert Location.parse(url).url == url
    assert Location.parse(url) == Location.parse(url)
    assert Location.parse(url) != Location.parse(url.partition("?")[0])
