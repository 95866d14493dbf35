"""Local files as locations: one call serves remote and local."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from astro_cloud.exceptions import InvalidLocationError
from astro_cloud.storage import Location


def test_a_bare_path_is_a_local_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is made absolute when it is read, prints as written, and stays where it was."""
    monkeypatch.chdir(tmp_path)
    location = Location.parse("data/m31 #2.fits")
    monkeypatch.chdir("/")
    assert location.path == tmp_path / "data" / "m31 #2.fits"
    assert location.url == (tmp_path / "data").as_uri() + "/m31%20%232.fits"
    assert str(location) == "data/m31 #2.fits"
    assert (location.provider, location.bucket, location.key) == (None, None, None)
    assert pickle.loads(pickle.dumps(location)).path == location.path
    same = [location.path, str(location.path), location.url, location.url.replace("///", "//localhost/")]
    assert {Location.parse(text) for text in same} == {location}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/data/../m31.fits", "/data/../m31.fits"),
        ("/data/100%25", "/data/100%25"),
        ("FILE:///data/100%2525", "/data/100%25"),
        ("file:///data/a+b%20c", "/data/a+b c"),
        ("file://LocalHost/data/%C3%A4", "/data/ä"),
        ("file:///data/%E4", "/data/\udce4"),
        ("/data/\udce4", "/data/\udce4"),
        (Path("/data/m31.fits"), "/data/m31.fits"),
    ],
)
def test_paths_are_taken_as_they_are(text: str | Path, path: str) -> None:
    """A bare path is literal; a file URL is percent-decoded, into any name a file can have."""
    location = Location.parse(text)
    assert os.fspath(location.path or "") == path
    assert Location.parse(location.url) == location


@pytest.mark.parametrize("text", ["C:\\data\\m31.fits", "c:/data/m31.fits", "./s3:sky", "m31", "a:b"])
def test_what_looks_a_little_like_a_url_is_a_path(text: str) -> None:
    """Drive letters are no schemes."""
    assert Location.parse(text).path == Path(text).absolute()


@pytest.mark.parametrize(
    "text",
    ["s3:/sky/a", "s3:sky", " s3:/sky/a", "https:/archive.example/a", "gs:sky/a", "file:/data/a", "foo:/a"],
)
def test_a_url_that_lost_a_slash_is_an_error(text: str) -> None:
    """A broken location is not a path that happens not to exist."""
    with pytest.raises(InvalidLocationError, match=r"write \S+://"):
        Location.parse(text)


def test_a_path_object_of_a_url_is_an_error() -> None:
    """`pathlib` takes a slash off: what is left is recognised."""
    with pytest.raises(InvalidLocationError, match="as text, not as a Path"):
        Location.parse(Path("s3://sky/a"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("/data/a\0b", "NUL"),
        ("file:///data/%00", "NUL"),
        ("/data/\ud800", "not text"),
        ("file:///data/\ud800", "not text"),
        ("file://archive/data/a", "another machine"),
        ("file://", "names no file"),
        ("file:///", "names no file"),
        ("file:///data/a?b", "%3F"),
        ("file:///data/a#b", "%23"),
        (3, "not int"),
        (b"a", "not bytes"),
    ],
)
def test_what_can_be_no_file_is_refused(text: str, says: str) -> None:
    """The complaint says why."""
    with pytest.raises(InvalidLocationError) as caught:
        Location.parse(text)
    assert says in str(caught.value)
