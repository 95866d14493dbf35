"""Listings through faults, refusals and redirects; what they cost; what can be listed at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import astro_cloud
from astro_cloud.exceptions import (
    AccessDeniedError,
    IncompleteReadError,
    InvalidLocationError,
    ObjectNotFoundError,
    RequesterPaysError,
    StorageError,
)
from astro_cloud.storage import Client, CommonPrefix, Location, ObjectInfo, list_read
from astro_cloud.testing import Answer, Fault, ObjectServer
from tests.storage.reading import BUCKET, MakeClient, answering, auth_of, harmless

KEYS = [f"night/{number}.fits" for number in range(7)]
XML = {"Content_Type": "application/xml"}
TOKEN = "<IsTruncated>true</IsTruncated><NextContinuationToken>{}</NextContinuationToken>"


@pytest.fixture
def sky(object_server: ObjectServer) -> ObjectServer:
    """A server with seven objects in a private bucket."""
    for key in KEYS:
        object_server.put(BUCKET, key, key.encode())
    return object_server


def keys(client: Client, location: Any = f"s3://{BUCKET}", *pattern: str, **options: Any) -> list[str]:
    return [found.key for found in client.list_objects(location, *pattern, **options)]


def query(server: ObjectServer, name: str) -> list[str | None]:
    """Return a parameter of each request, decoded."""
    asked = [parse_qs(urlsplit(record.target).query) for record in server.requests]
    return [values.get(name, [None])[0] for values in asked]


def page(inner: str = "<IsTruncated>false</IsTruncated>") -> bytes:
    return f"<ListBucketResult>{inner}</ListBucketResult>".encode()


@pytest.mark.parametrize("page_size", [1, 2, 6, 7, 8, None])
def test_pages_are_read_to_the_last(sky: ObjectServer, client: Client, page_size: int | None) -> None:
    """Every key once and in order, with no request more than there are pages."""
    assert keys(client, page_size=page_size) == KEYS
    assert client.usage.requests == client.usage.round_trips == -(-7 // (page_size or 7))
    assert client.usage.bytes == sky.requests.body_bytes


def test_a_page_is_asked_for_when_it_is_needed(sky: ObjectServer, client: Client) -> None:
    """Nothing is sent before the first entry is wanted, nor after the last one that is."""
    found = client.list_objects(f"s3://{BUCKET}", page_size=3)
    assert not sky.requests
    assert [next(found).key for _ in range(3)] == KEYS[:3]
    assert len(sky.requests) == 1
    found.close()
    assert len(sky.requests) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault.unavailable(503, "SlowDown"),
        Fault.unavailable(500, "InternalError"),
        Fault.unavailable(400, "RequestTimeout"),
        Fault.reset(None),
        Fault.reset(100),
        Fault.cut(100),
        Fault.cut(0),
    ],
    ids=lambda fault: fault.kind,
)
@pytest.mark.parametrize("before", [0, 1, 3])
def test_faults_between_pages_pass(sky: ObjectServer, client: Client, fault: Fault, before: int) -> None:
    """A page that fails, or arrives in part, is asked for again: nothing is lost or told twice."""
    if before:
        sky.inject(harmless(), times=before)
    sky.inject(fault)
    assert keys(client, page_size=2) == KEYS
    assert len(sky.requests) == 5


def test_a_page_that_never_arrives_whole(sky: ObjectServer, client: Client) -> None:
    """After as many attempts as the settings allow, it is an error."""
    sky.inject(Fault.cut(100), times=None)
    with pytest.raises(IncompleteReadError, match="s3://sky"):
        keys(client)
    assert len(sky.requests) == client.settings.attempts


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (answering(200, b"<html><body>Please sign in</body></html>", Content_Type="text/html"), "<html>"),
        (answering(200, b"<!DOCTYPE html><p>Please sign in", Content_Type="text/html"), "document type"),
        (answering(200, page()[:-5], **XML), "not XML"),
        (answering(200, b"", **XML), "not XML"),
        (answering(200, page(), Content_Encoding="gzip"), "gzip"),
        (answering(204), "204"),
        (answering(200, page(TOKEN.format("")), **XML), "how to go on"),
    ],
)
def test_what_is_no_listing_is_an_error(sky: ObjectServer, client: Client, fault: Fault, says: str) -> None:
    """Never an empty listing: the error names the location and what came."""
    sky.inject(fault)
    with pytest.raises(StorageError, match=says) as caught:
        keys(client)
    assert caught.value.location == f"s3://{BUCKET}"
    assert len(sky.requests) == 1


def test_a_page_without_end_is_given_up(
    sky: ObjectServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page has a bound."""
    monkeypatch.setattr(list_read, "PAGE_LIMIT", 1 << 20)
    sky.inject(answering(200, page("<a>" + "x" * (1 << 20) + "</a>"), **XML))
    with pytest.raises(StorageError, match="longer than 1 MiB"):
        keys(client)


def test_a_server_that_goes_round_in_circles(sky: ObjectServer, client: Client) -> None:
    """A token that came before is an error, however many pages lie between."""
    for token in "123":
        sky.inject(answering(200, page(TOKEN.format(token)), **XML))
    sky.inject(answering(200, page(TOKEN.format("1")), **XML), times=None)
    with pytest.raises(StorageError, match="circles"):
        keys(client)
    assert len(sky.requests) == 4


def test_empty_pages_are_not_the_end(sky: ObjectServer, client: Client) -> None:
    """A server may send a page of nothing and a token."""
    sky.inject(answering(200, page(TOKEN.format("bmlnaHQ=")), **XML))
    sky.inject(answering(200, page("<IsTruncated>false</IsTruncated>"), **XML))
    assert keys(client) == []
    assert query(sky, "continuation-token") == [None, "bmlnaHQ="]


def test_keys_that_were_not_asked_for_are_left_out(sky: ObjectServer, client: Client) -> None:
    """A server that reads past the prefix does not widen the listing."""
    entries = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in ("a", "night/1"))
    sky.inject(answering(200, page(entries), **XML))
    assert keys(client, f"s3://{BUCKET}/night/") == ["night/1"]


def test_no_bucket_is_not_an_empty_one(sky: ObjectServer, client: Client) -> None:
    """404 is ObjectNotFoundError, also where the server says no more."""
    with pytest.raises(ObjectNotFoundError, match="no such bucket"):
        keys(client, "s3://nowhere")
    sky.inject(answering(404))
    with pytest.raises(ObjectNotFoundError, match="no such bucket"):
        keys(client)


def test_who_may_not_list(sky: ObjectServer, make_client: MakeClient) -> None:
    """The error speaks of listing, not of the object."""
    with pytest.raises(AccessDeniedError, match="the bucket was listed anonymously"):
        keys(make_client(endpoint_url=sky.url))
    client = make_client(sky)
    sky.inject(Fault.unavailable(403, "AccessDenied"), times=2)
    with pytest.raises(RequesterPaysError, match="lack permission to list the bucket"):
        keys(client)
    with pytest.raises(AccessDeniedError, match="s3:ListBucket") as caught:
        keys(client, request_payer=True)
    assert not isinstance(caught.value, RequesterPaysError)


def test_a_refusal_in_the_middle(sky: ObjectServer, client: Client) -> None:
    """What came before it was given; then it raises."""
    sky.inject(harmless())
    sky.inject(Fault.unavailable(403, "AccessDenied"))
    found = client.list_objects(f"s3://{BUCKET}", page_size=3)
    assert [next(found).key for _ in range(3)] == KEYS[:3]
    with pytest.raises(AccessDeniedError):
        next(found)


def test_who_pays_is_let_in(sky: ObjectServer, client: Client) -> None:
    """`request_payer=True` is sent, and signed, with every page."""
    sky.requester_pays.add(BUCKET)
    assert keys(client, request_payer=True, page_size=3) == KEYS
    with pytest.raises(RequesterPaysError, match="request_payer=True"):
        keys(client)


def test_a_public_bucket_needs_no_credentials(
    sky: ObjectServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is signed without them, and credentials that are refused are left away, once for all pages."""
    sky.public.add(BUCKET)
    assert keys(make_client(endpoint_url=sky.url)) == KEYS
    for name, value in (sky.environ | {"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN"}).items():
        monkeypatch.setenv(name, value)
    assert keys(make_client(), page_size=2) == KEYS
    assert ["authorization" in record.headers for record in sky.requests] == [False, True] + [False] * 4


def test_a_region_is_learnt_once(sky: ObjectServer, make_client: MakeClient) -> None:
    """The first page pays for it, and no other."""
    sky.region = "eu-central-1"
    assert keys(make_client(sky, auth=auth_of(sky, region="us-east-1")), page_size=2) == KEYS
    assert len(sky.requests) == 5


def test_a_redirect_is_followed_with_each_pages_own_query(
    sky: ObjectServer, other_sky: ObjectServer, make_client: MakeClient
) -> None:
    """To another host without credentials: one hop a page, as it is a stranger's."""
    for key in KEYS:
        other_sky.put("elsewhere", key, b"")
    other_sky.public.add("elsewhere")

    def elsewhere(request: Any, serve: Any) -> Answer:
        query = request.target.partition("?")[2]
        return Answer(307, (("Location", f"{other_sky.url}/elsewhere?{query}"),))

    sky.inject(Fault("elsewhere", elsewhere), times=None)
    assert keys(make_client(sky), page_size=4) == KEYS
    assert len(sky.requests) == len(other_sky.requests) == 2
    assert not any("authorization" in record.headers for record in other_sky.requests)


def test_a_redirect_at_home_is_remembered(sky: ObjectServer, client: Client) -> None:
    """Signed anew; the next page goes there at once, with its own query."""
    sky.inject(Fault.redirect(f"/{BUCKET}?list-type=2&prefix=stale"))
    assert keys(client, page_size=4) == KEYS
    assert len(sky.requests) == 3


def test_the_longest_prefix_goes_to_the_server(sky: ObjectServer, client: Client) -> None:
    """And a delimiter where the pattern reaches no deeper than one folder: what lies deeper is not sent."""
    for number in range(20):
        sky.put(BUCKET, f"night/deep/{number}", b"")
    assert keys(client, f"s3://{BUCKET}/night/[56].fits", page_size=10) == KEYS[5:]
    assert keys(client, f"s3://{BUCKET}/night", "5.f*", page_size=1) == KEYS[5:6]
    assert keys(client, f"s3://{BUCKET}", "night/d**/1[0-3]", page_size=50) == [
        f"night/deep/{number}" for number in range(10, 14)
    ]
    assert query(sky, "prefix") == ["night/", "night/5.f", "night/d"]
    assert query(sky, "delimiter") == ["/", "/", None]


def test_a_folder_as_ls_shows_it(sky: ObjectServer, client: Client) -> None:
    """Objects and prefixes, by key; a pattern picks among both."""
    for key in ("a", "night.fits", "z", "day/1", "day/"):
        sky.path(BUCKET, "day")
        sky.put(BUCKET, key, b"")
    found = list(client.list_objects(f"s3://{BUCKET}", delimiter="/"))
    assert [item.key for item in found] == ["a", "day/", "night.fits", "night/", "z"]
    assert [isinstance(item, CommonPrefix) for item in found] == [False, True, False, True, False]
    assert [str(item.location) for item in found[:2]] == [f"s3://{BUCKET}/a", f"s3://{BUCKET}/day/"]
    assert keys(client, f"s3://{BUCKET}", "*t", delimiter="/") == ["night/"]
    assert keys(client, f"s3://{BUCKET}/n*", delimiter="/") == ["night.fits", "night/"]
    assert keys(client, f"s3://{BUCKET}/day/", delimiter="/") == ["day/", "day/1"]


def test_the_location_is_a_prefix_and_a_pattern_lies_below_it(sky: ObjectServer, client: Client) -> None:
    """Without a pattern keys begin with the location; a pattern is joined to it by a slash, once."""
    sky.put(BUCKET, "nightly", b"")
    assert keys(client, f"s3://{BUCKET}/night") == [*KEYS, "nightly"]
    assert keys(client, f"s3://{BUCKET}/night", "*") == keys(client, f"s3://{BUCKET}/night/", "*") == KEYS
    assert keys(client, f"s3://{BUCKET}/*", "6*") == KEYS[6:]


@pytest.mark.parametrize("form", ["https", "location"])
def test_a_wildcard_that_is_a_character(sky: ObjectServer, client: Client, form: str) -> None:
    """In an https URL, and in a `Location`, a key's `*`, `?` and `[` are themselves."""
    for key in ("odd[1]*/a", "odd1/a"):
        sky.put(BUCKET, key, b"")
    assert keys(client, f"s3://{BUCKET}/odd[1]*") == []
    assert keys(client, f"s3://{BUCKET}/odd[1]*/a") == ["odd1/a"]
    folder: Any = sky.url_for(BUCKET, "odd[1]*/")
    if form == "location":
        folder = Location.parse(folder, client.settings, prefix=True)
    assert keys(client, folder) == keys(client, folder, "*") == ["odd[1]*/a"]
    assert keys(client, f"s3://{BUCKET}/odd[[]1][*]/*") == ["odd[1]*/a"]


def test_https_forms(sky: ObjectServer, client: Client) -> None:
    """Entries are written as the location was."""
    for url in (sky.url_for(BUCKET), sky.url_for(BUCKET) + "/"):
        (first, *_) = client.list_objects(url)
        assert str(first.location) == sky.url_for(BUCKET, KEYS[0])
    assert client.read_ranges(first.location, [(0, 5)]) == [b"night"]


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("https://archive.example/data/", "web server has no way to list"),
        ("https://sky.s3.amazonaws.com/?X-Amz-Credential=a&X-Amz-Signature=b", "signed already"),
        ("https://hubble.blob.core.windows.net/sky?sig=abc&sv=1", "sas_token"),
        ("https://sky.s3.amazonaws.com/?list-type=2&prefix=a", "no query"),
        ("s3://sky/m31.fits?versionId=abc", "one version"),
        ("gs://sky/m31.fits#1360887697105000", "one version"),
        ("s3://", "names no bucket"),
        ("s3://*/a", "cannot be the name"),
        ("az://hubble", "names no container"),
    ],
)
def test_what_cannot_be_listed(location: str, says: str) -> None:
    """It is an InvalidLocationError at once, that says what to do."""
    with pytest.raises(InvalidLocationError, match=says), Client() as client:
        client.list_objects(location)


@pytest.mark.parametrize(
    "options", [{"delimiter": ""}, {"page_size": 0}, {"pattern": ""}, {"pattern": "a*/b", "delimiter": "/"}]
)
def test_arguments_that_cannot_be(options: dict[str, Any]) -> None:
    """They are ValueErrors at once."""
    with pytest.raises(ValueError, match=r"delimiter|page|pattern"), Client() as client:
        client.list_objects("s3://sky", **options)


def test_the_project_that_pays_is_named_on_every_page(
    make_client: MakeClient, object_server: ObjectServer
) -> None:
    """Google's userProject in a URL goes with each page, and into each entry's location."""
    client = make_client(endpoint_url=object_server.url)
    entry = "<Contents><Key>a</Key><Size>1</Size></Contents>"
    object_server.inject(answering(200, page(TOKEN.format("2")), **XML))
    object_server.inject(answering(200, page(entry), **XML))
    location = Location.parse("https://storage.googleapis.com/sky?userProject=me", prefix=True)
    assert location.with_key("a").url == "https://storage.googleapis.com/sky/a?userProject=me"
    (info,) = client.list_objects(f"{object_server.url}/sky?userProject=me")
    assert query(object_server, "userProject") == ["me", "me"]
    assert info.location.url.endswith("/sky/a?userProject=me")


def test_the_functions_close_their_own_client(
    sky: ObjectServer, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    """One made for the call is closed when the listing ends or is closed; one that is given is not."""
    closed: list[Client] = []
    monkeypatch.setattr(Client, "close", lambda self: closed.append(self))
    for name, value in sky.environ.items():
        monkeypatch.setenv(name, value)
    assert [info.key for info in astro_cloud.list_objects(f"s3://{BUCKET}", "night/[01]*")] == KEYS[:2]
    assert len(closed) == 1
    found: Iterator[ObjectInfo] = astro_cloud.list_objects(f"s3://{BUCKET}", page_size=1)
    assert next(found).key == KEYS[0]
    assert len(closed) == 1
    found.close()
    assert len(closed) == 2
    assert len(list(astro_cloud.list_objects(f"s3://{BUCKET}", client=client))) == 7
    assert astro_cloud.stat(f"s3://{BUCKET}/{KEYS[0]}", client=client).size == len(KEYS[0])
    assert astro_cloud.exists(f"s3://{BUCKET}/{KEYS[0]}", client=client)
    assert len(closed) == 2
    assert astro_cloud.stat(f"s3://{BUCKET}/{KEYS[0]}").size == len(KEYS[0])
    assert not astro_cloud.exists(f"s3://{BUCKET}/none")
    assert len(closed) == 4


def test_local_files(tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are listed in the same way: all below a folder, by pattern, or as `ls` shows it."""
    root = tmp_path / "root"
    for name in ("b/2.fits", "b/1.fits", "b/c/3.fits", "a.fits", "b.fits", "d[1]/x"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    (root / "b" / "link").symlink_to(root)
    (root / "b" / "broken").symlink_to(root / "none")

    def below(location: Any, *pattern: str, **options: Any) -> list[str]:
        found = keys(client, location, *pattern, **options)
        return [key.removeprefix(f"{root.as_posix()}/") for key in found]

    everything = ["a.fits", "b.fits", "b/1.fits", "b/2.fits", "b/c/3.fits", "d[1]/x"]
    assert below(root) == below(str(root)) == below(root.as_uri()) == everything
    assert below(root, "**/*.fits") == everything[:5]
    assert below(root, "b/*.fits") == below(f"{root}/b/*.fits") == ["b/1.fits", "b/2.fits"]
    assert below(root, "*", delimiter="/") == ["a.fits", "b.fits", "b/", "d[1]/"]
    assert below(root / "d[1]", "*") == ["d[1]/x"]
    assert below(root / "a.fits") == ["a.fits"]
    assert below(root, "none/*") == below(root, "/etc/*") == []
    monkeypatch.chdir(root / "d[1]")
    assert below("*") == below(".") == ["d[1]/x"]
    (info,) = client.list_objects(root / "b" / "c")
    assert (info.size, info.location) == (len("b/c/3.fits"), Location.parse(root / "b/c/3.fits"))
    assert client.stat(info.location) == info
    with pytest.raises(ObjectNotFoundError):
        keys(client, root / "none")
    with pytest.raises(ObjectNotFoundError):
        keys(client, root / "none", "a/*")
    with pytest.raises(ValueError, match="delimiter"):
        keys(client, root, delimiter="-")
