"""What servers of plain files, and fake-gcs-server, were seen to answer: the ground later tests stand on.

Asked by plain requests, each time on a new connection; none of astro_cloud takes part. Where one errs
(RFC 9110, section 14; Google's own servers), that is written down here, and a version that no longer
does so fails.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from xml.etree import ElementTree

import pytest
import requests

from tests.servers import nginx
from tests.servers.caddy import RunningWebServer
from tests.servers.fake_gcs import RunningFakeGCS

CONTENT = bytes(range(256)) * 4
BUCKET = "facts"
ODD = ("two words", "a+b", "50%", "a%2Fb", "sch\u00e4rpe", "a//b", "/a", "a/../b", "~!*'()", "a?b#c", "a/")
WEB = ["caddy", "nginx"] if nginx.installed() else ["caddy"]


@dataclass(frozen=True)
class Shelf:
    """Where one server gives out CONTENT, nothing, and what is not there."""

    server: str
    whole: str
    empty: str
    absent: str


@pytest.fixture(scope="module", params=[*WEB, "gcs-xml", "gcs-json"])
def shelf(request: pytest.FixtureRequest) -> Shelf:
    """A file or object on each server, by each API it has."""
    if request.param in WEB:
        web: RunningWebServer = request.getfixturevalue(f"{request.param}_server")
        urls = [web.put("facts/whole", CONTENT), web.put("facts/empty", b""), f"{web.url}/facts/absent"]
        return Shelf(request.param, *urls)
    gcs: RunningFakeGCS = request.getfixturevalue("fake_gcs_server")
    gcs.put(BUCKET, "shelf/whole", CONTENT)
    gcs.put(BUCKET, "shelf/empty", b"")
    address = gcs.xml_url if request.param == "gcs-xml" else gcs.json_url
    return Shelf("gcs", *(address(BUCKET, f"shelf/{name}") for name in ("whole", "empty", "absent")))


def get(url: str, byte_range: str | None = None, **headers: str) -> requests.Response:
    """GET, with no compression asked for unless the headers do; `_` stands for `-` in their names."""
    sent = {"Accept-Encoding": "identity", **{name.replace("_", "-"): headers[name] for name in headers}}
    return requests.get(url, headers=sent | ({"Range": f"bytes={byte_range}"} if byte_range else {}))


def seen(answer: requests.Response) -> tuple[int, str | None, int]:
    """Status, Content-Range, and how many bytes; those of an error's page are not counted."""
    count = len(answer.content) if answer.ok else 0
    return answer.status_code, answer.headers.get("Content-Range"), count


@pytest.mark.parametrize(
    ("byte_range", "start", "stop"),
    [
        ("0-9", 0, 10),
        ("1000-", 1000, 1024),
        ("1000-9999", 1000, 1024),
        ("-10", 1014, 1024),
        ("-9999", 0, 1024),
    ],
)
def test_ranges(shelf: Shelf, byte_range: str, start: int, stop: int) -> None:
    """Every server answers 206 with the right bytes, and cuts what reaches past an end."""
    answer = get(shelf.whole, byte_range)
    assert seen(answer) == (206, f"bytes {start}-{stop - 1}/1024", stop - start)
    assert answer.content == CONTENT[start:stop]


#: Range, which file, and what each server makes of it.
DIFFER: dict[str, tuple[str, str, dict[str, tuple[int, str | None, int]]]] = {
    "past the end": (
        "1024-",
        "whole",
        {"caddy": (416, "bytes */1024", 0), "nginx": (416, "bytes */1024", 0), "gcs": (416, None, 0)},
    ),
    "backwards": (
        "5-2",
        "whole",
        {"caddy": (416, None, 0), "nginx": (416, "bytes */1024", 0), "gcs": (200, None, 1024)},
    ),
    "a suffix of no bytes": (
        "-0",
        "whole",
        {"caddy": (206, "bytes 1024-1023/1024", 0), "nginx": (416, "bytes */1024", 0), "gcs": (416, None, 0)},
    ),
    "the first byte of none": (
        "0-0",
        "empty",
        {"caddy": (200, None, 0), "nginx": (200, None, 0), "gcs": (416, None, 0)},
    ),
    "a suffix of none": (
        "-5",
        "empty",
        {"caddy": (206, "bytes 0--1/0", 0), "nginx": (200, None, 0), "gcs": (206, "bytes 0--1/0", 0)},
    ),
}


@pytest.mark.parametrize("case", DIFFER)
def test_ranges_on_which_servers_differ(shelf: Shelf, case: str) -> None:
    """What RFC 9110 leaves open, or a server gets wrong."""
    byte_range, name, answers = DIFFER[case]
    assert seen(get(getattr(shelf, name), byte_range)) == answers[shelf.server]


def test_several_ranges(shelf: Shelf) -> None:
    """Web servers send the parts, fake-gcs-server sends it whole."""
    answer = get(shelf.whole, "0-0,5-5")
    if shelf.server == "gcs":
        assert seen(answer) == (200, None, 1024)
    else:
        assert answer.status_code == 206
        assert answer.headers["Content-Type"].startswith("multipart/byteranges")
        assert answer.content.count(b"Content-Range: bytes ") == answer.content.lower().count(b"/1024") == 2


def test_head(shelf: Shelf) -> None:
    """HEAD tells the length, that there are ranges and a strong ETag; with a range, it is a 206."""
    answer = requests.head(shelf.whole)
    assert answer.status_code == 200
    assert (answer.headers["Content-Length"], answer.headers["Accept-Ranges"]) == ("1024", "bytes")
    assert answer.headers["ETag"].startswith('"')
    assert answer.headers["ETag"] == get(shelf.whole, "0-9").headers["ETag"]
    ranged = requests.head(shelf.whole, headers={"Range": "bytes=0-9"})
    assert (ranged.status_code, ranged.headers["Content-Length"]) == (206, "10")


def test_nothing(shelf: Shelf) -> None:
    """An empty file is 200 with no bytes, one that is not there is 404, with a range too."""
    assert (seen(get(shelf.empty)), get(shelf.empty).headers["Content-Length"]) == ((200, None, 0), "0")
    assert requests.head(shelf.empty).headers["Content-Length"] == "0"
    assert get(shelf.absent).status_code == get(shelf.absent, "0-9").status_code == 404


def test_preconditions(shelf: Shelf) -> None:
    """Web servers keep to If-Match, If-None-Match and If-Range; fake-gcs-server reads past all three."""
    etag = requests.head(shelf.whole).headers["ETag"]
    kept = shelf.server != "gcs"
    assert get(shelf.whole, "0-9", If_Match=etag).status_code == 206
    assert get(shelf.whole, "0-9", If_Match='"other"').status_code == (412 if kept else 206)
    assert get(shelf.whole, "0-9", If_None_Match=etag).status_code == (304 if kept else 206)
    assert get(shelf.whole, "0-9", If_Range=etag).status_code == 206
    assert get(shelf.whole, "0-9", If_Range='"other"').status_code == (200 if kept else 206)


def test_etag_of_a_file_changed_within_a_second(web_server: RunningWebServer) -> None:
    """nginx's stays as it was while the length does; Caddy's changes."""
    url = web_server.put("facts/changing", CONTENT)
    etags = []
    for nanoseconds in (0, 1_000_000):
        time = 1_700_000_000 * 10**9 + nanoseconds
        os.utime(web_server.folder / "facts/changing", ns=(time, time))
        etags.append(requests.head(url).headers["ETag"])
    assert (etags[0] == etags[1]) is (web_server.name == "nginx")


def test_compression(web_server: RunningWebServer) -> None:
    """Where it is asked for, nginx gives a range up for it, and Caddy names an ETag it will not match."""
    web_server.put("facts/whole", CONTENT)
    url = f"{web_server.url}/gzip/facts/whole"
    assert seen(get(url, "0-9")) == (206, "bytes 0-9/1024", 10)
    whole, ranged = get(url, Accept_Encoding="gzip"), get(url, "0-9", Accept_Encoding="gzip")
    assert whole.headers["Content-Encoding"] == "gzip"
    assert get(url, "0-9", If_Match=whole.headers["ETag"]).status_code == 412
    if web_server.name == "nginx":
        assert seen(ranged) == (200, None, 1024)
        assert ranged.headers["ETag"] == f"W/{get(url).headers['ETag']}"
    else:
        assert seen(ranged) == (206, "bytes 0-9/1024", 10)
        assert whole.headers["ETag"] == f'{ranged.headers["ETag"][:-1]}-gzip"'


def test_web_over_tls(web_server_over_tls: RunningWebServer) -> None:
    """Over https the same files are read by whoever trusts the authority, and by nobody else."""
    url = web_server_over_tls.put("facts/over tls", CONTENT)
    authority = str(web_server_over_tls.certificate.authority)
    answer = requests.get(url, headers={"Range": "bytes=-10"}, verify=authority)
    assert (answer.status_code, answer.content) == (206, CONTENT[-10:])
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(url)


def test_fake_gcs_over_tls(fake_gcs_server: RunningFakeGCS) -> None:
    """The same objects, whichever way they were put there."""
    server = fake_gcs_server.over_tls()
    server.put(BUCKET, "over tls", CONTENT)
    assert requests.get(fake_gcs_server.xml_url(BUCKET, "over tls")).content == CONTENT
    url = server.json_url(BUCKET, "over tls")
    assert requests.get(url, verify=str(server.certificate.authority)).content == CONTENT


def test_fake_gcs_pages_by_json_alone(fake_gcs_server: RunningFakeGCS) -> None:
    """By JSON, as many items a page as asked for; by XML all of them, whatever is asked for."""
    keys = [f"pages/{number}" for number in range(5)]
    for key in keys:
        fake_gcs_server.put("paged", key, b"")
    pages: list[list[str]] = []
    token: str | None = ""
    while token is not None:
        query = {"prefix": "pages/", "maxResults": "2", "pageToken": token}
        page = requests.get(f"{fake_gcs_server.url}/storage/v1/b/paged/o", params=query).json()
        pages.append([item["name"] for item in page["items"]])
        token = page.get("nextPageToken")
    assert pages == [keys[:2], keys[2:4], keys[4:]]
    query = {"list-type": "2", "prefix": "pages/", "max-keys": "2", "start-after": keys[2]}
    listing = requests.get(f"{fake_gcs_server.url}/paged", params=query).content
    assert [key.text for key in ElementTree.fromstring(listing).iterfind(".//{*}Key")] == keys


def test_fake_gcs_generations(fake_gcs_server: RunningFakeGCS) -> None:
    """A generation is told and can be asked for, but is no precondition; the last alone is kept."""
    first, second = (fake_gcs_server.put(BUCKET, "twice", content) for content in (b"1", b"2"))
    url = fake_gcs_server.xml_url(BUCKET, "twice")
    assert get(url).headers["x-goog-generation"] == str(second)
    assert get(url).headers["x-goog-hash"].startswith("crc32c=")
    assert get(f"{url}?generation={second}").content == b"2"
    assert get(f"{url}?generation={first}").status_code == 404
    assert get(url, x_goog_if_generation_match=str(first)).status_code == 200
    json_url = fake_gcs_server.json_url(BUCKET, "twice")
    assert get(f"{json_url}&ifGenerationMatch={first}").status_code == 200


def test_fake_gcs_judges_nobody(fake_gcs_server: RunningFakeGCS) -> None:
    """A token or a signature that cannot be right is as good as none; by XML nothing is written."""
    fake_gcs_server.put(BUCKET, "open", CONTENT)
    url = fake_gcs_server.xml_url(BUCKET, "open")
    assert get(url, Authorization="Bearer x", x_goog_user_project="x").content == CONTENT
    assert get(f"{url}?X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Signature=00").content == CONTENT
    assert requests.put(url, data=b"new").status_code == 400


def test_fake_gcs_takes_the_bucket_from_the_host(fake_gcs_server: RunningFakeGCS) -> None:
    """As Google's XML API does, below the host it was told is its own, and it answers to no other."""
    fake_gcs_server.put(BUCKET, "a/b", CONTENT)
    assert get(f"{fake_gcs_server.url}/a/b", Host=f"{BUCKET}.127.0.0.1").content == CONTENT
    assert get(fake_gcs_server.xml_url(BUCKET, "a/b"), Host="localhost").status_code == 404


@pytest.mark.parametrize("key", ODD)
def test_fake_gcs_keeps_odd_keys(fake_gcs_server: RunningFakeGCS, key: str) -> None:
    """A key is kept as it is spelt."""
    fake_gcs_server.put(BUCKET, key, key.encode())
    assert get(fake_gcs_server.json_url(BUCKET, key)).content == key.encode()
