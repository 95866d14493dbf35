"""ListObjectsV2, page by page."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from astro_cloud.testing import ObjectServer

from .conftest import Wire

KEYS = ["a", "a/1", "a/2", "a/b/3", "b c", "b+c", "z/", "z/&", "é", "\U0001f600", "｡"]


@pytest.fixture(autouse=True)
def _objects(object_server: ObjectServer) -> None:
    for key in KEYS:
        object_server.put("bucket", key, key.encode())


def pages(wire: Wire, **parameters: str) -> list[tuple[list[str], list[str]]]:
    """Keys and common prefixes of each page."""
    found = []
    token: str | None = None
    while len(found) <= len(KEYS):
        asked = {"list-type": "2", **parameters, **({"continuation-token": token} if token else {})}
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in sorted(asked.items()))
        reply = wire.ask("GET", f"/bucket?{query}")
        assert reply.status == 200
        prefixes = reply.all("}Prefix")[1:]
        found.append((reply.all("}Key"), prefixes))
        assert reply.xml("KeyCount") == str(len(found[-1][0]) + len(prefixes))
        token = reply.xml("NextContinuationToken")
        assert reply.xml("IsTruncated") == ("true" if token else "false")
        if not token:
            return found
    raise AssertionError("more pages than keys")


def test_keys_are_listed_in_utf8_binary_order_with_their_facts(wire: Wire) -> None:
    """Not in the order of UTF-16 or of a folder; each with size and ETag."""
    assert pages(wire) == [(sorted(KEYS, key=str.encode), [])]
    reply = wire.ask("GET", "/bucket?list-type=2&prefix=a%2F1")
    assert (reply.xml("Size"), reply.xml("LastModified") is not None) == ("3", True)
    assert reply.xml("ETag") == wire.ask("GET", "/bucket/a/1").headers["ETag"]


@pytest.mark.parametrize("size", ["1", "2", "3", "4", "1000"])
@pytest.mark.parametrize("delimiter", ["", "/", "b"])
@pytest.mark.parametrize("prefix", ["", "a", "a/", "nothing"])
def test_pages_of_any_size_list_the_same(wire: Wire, size: str, delimiter: str, prefix: str) -> None:
    """No key or common prefix is lost or told twice at a page's end."""
    parameters = {"prefix": prefix, **({"delimiter": delimiter} if delimiter else {})}
    listed = pages(wire, **parameters, **{"max-keys": size})
    assert all(len(keys) + len(prefixes) <= int(size) for keys, prefixes in listed)
    wanted = [key for key in sorted(KEYS) if key.startswith(prefix)]
    whole = [key for key in wanted if not delimiter or delimiter not in key[len(prefix) :]]
    common = sorted(
        {key[: key.index(delimiter, len(prefix)) + 1] for key in wanted if key not in whole}
        if delimiter
        else ()
    )
    assert [key for keys, _ in listed for key in keys] == whole
    assert [text for _, prefixes in listed for text in prefixes] == common


def test_start_after_leaves_out_what_sorts_before(wire: Wire) -> None:
    """The key itself too, if there is one."""
    assert pages(wire, **{"start-after": "b c"})[0][0] == sorted(KEYS)[5:]
    assert pages(wire, **{"start-after": "a/1", "delimiter": "/"})[0][1] == ["a/", "z/"]


def test_encoding_type_url_encodes_keys_and_prefixes(wire: Wire) -> None:
    """Percent-encoded UTF-8, slashes left alone."""
    parameters = {"encoding-type": "url"}
    assert pages(wire, **parameters)[0][0] == [quote(key) for key in sorted(KEYS)]
    assert pages(wire, **parameters, prefix="b", delimiter=" ")[0] == (["b%2Bc"], ["b%20"])


@pytest.mark.parametrize(
    "query", ["max-keys=x", "max-keys=-1", "encoding-type=base64", "continuation-token=none"]
)
def test_a_parameter_that_makes_no_sense_is_refused(wire: Wire, query: str) -> None:
    """400 InvalidArgument."""
    target = "/bucket?" + "&".join(sorted(["list-type=2", query]))
    reply = wire.ask("GET", target)
    assert (reply.status, reply.code) == (400, "InvalidArgument")


def test_no_keys_can_be_asked_for(wire: Wire) -> None:
    """An empty page that is the last."""
    assert pages(wire, **{"max-keys": "0"}) == [([], [])]
