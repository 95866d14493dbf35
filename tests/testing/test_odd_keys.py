"""Every S3 key is an object of its own, whatever a file system or a URL would make of it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_cloud.testing import AccessKey, ObjectServer
from astro_cloud.testing.file_names import FOLDER, OBJECT, candidates, piece_of
from astro_cloud.testing.store import Store

from .conftest import Wire, target_of

ODD_KEYS = [
    "plain.fits",
    "with space",
    "a+b",
    "100%",
    "literal%20escape",
    "literal%2Fslash",
    "Ünïcödé/Ελλάδα/中文/😀",
    "nfd-u\u0308",
    "a//b",
    "/leading",
    "//two",
    ".",
    "..",
    "./a",
    "../b",
    "a/../b",
    "a/./b",
    "../../../../etc/passwd",
    "~!*'()",
    "a&b=c",
    "a#b",
    "a?b",
    ":@;,$",
    '"quotes"\'',
    "tab\there",
    "line\nfeed",
    "dir/",
    "dir//",
    "/",
    "back\\slash",
    "%=escaped",
    "%:escaped/a",
    "%+escaped/%=a",
    "%~temporary",
    "nul\0byte",
    "x" * 1000,
    "ü" * 500,
    "%" * 900,
    "/".join("y" * 300 for _ in range(3)),
]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_an_odd_key_is_written_read_listed_and_removed(wire: Wire, key: str) -> None:
    """A PUT, a GET, a listing and a DELETE mean the same object, and nothing leaves the bucket's folder."""
    target = target_of("bucket", key)
    assert wire.ask("PUT", "/bucket").status == 200
    assert wire.ask("PUT", target, body=key.encode()).status == 200
    reply = wire.ask("GET", target)
    assert (reply.status, reply.body) == (200, key.encode())
    listing = wire.ask("GET", "/bucket?encoding-type=url&list-type=2")
    assert listing.all("}Key") == [target.removeprefix("/bucket/")]
    assert wire.server.requests[-1].bucket == "bucket"
    assert wire.server.requests.where(method="GET")[0].key == key
    root = wire.server.root
    assert [path.name for path in root.iterdir()] == ["bucket"]
    assert wire.server.path("bucket", key).resolve().is_relative_to(root.resolve() / "bucket")
    assert wire.ask("DELETE", target).status == 204
    assert wire.ask("GET", target).status == 404
    assert os.listdir(root / "bucket") == []


@pytest.mark.parametrize("key", ODD_KEYS)
def test_an_odd_key_signed_with_the_wrong_secret_is_refused(wire: Wire, key: str) -> None:
    """The server's canonical URI depends on the secret for each key, not only for plain ones."""
    wire.server.put("bucket", key, b"data")
    wrong = AccessKey(wire.server.access_key, "not the secret")
    reply = wire.ask("GET", target_of("bucket", key), key=wrong)
    assert (reply.status, reply.code) == (403, "SignatureDoesNotMatch")


def test_all_odd_keys_live_side_by_side(tmp_path: Path) -> None:
    """No two keys share a file, and a listing has them all in UTF-8 binary order."""
    store = Store(tmp_path)
    for key in ODD_KEYS:
        store.put("bucket", key, key.encode())
    assert store.keys("bucket") == sorted(ODD_KEYS, key=str.encode)
    for key in ODD_KEYS:
        stored = store.open("bucket", key)
        assert stored.read(0, stored.size) == key.encode()
        stored.close()


@pytest.mark.parametrize(
    "keys", [("a", "a/b", "a/b/c"), ("a/b/c", "a/b", "a"), ("..", "../b"), ("../b", "..")]
)
def test_an_object_may_be_called_as_a_folder(tmp_path: Path, keys: tuple[str, ...]) -> None:
    """``a`` and ``a/b`` are two objects, in whichever order they are written, overwritten and removed."""
    store = Store(tmp_path)
    for _ in range(2):
        for key in keys:
            store.put("bucket", key, key.encode())
    assert store.keys("bucket") == sorted(keys)
    for count, key in enumerate(keys, 1):
        assert store.path("bucket", key).read_bytes() == key.encode()
        store.delete("bucket", key)
        assert store.keys("bucket") == sorted(keys[count:])


def test_a_plain_folder_of_files_is_a_bucket(object_server: ObjectServer, wire: Wire) -> None:
    """Files put under the root by hand are objects under their own names, symbolic links to files too."""
    folder = object_server.root / "survey" / "dr 1"
    folder.mkdir(parents=True)
    (folder / "m31.fits").write_bytes(b"SIMPLE")
    (folder / "same.fits").symlink_to("m31.fits")
    assert wire.ask("GET", "/survey/dr%201/m31.fits").body == b"SIMPLE"
    assert wire.ask("GET", "/survey/dr%201/same.fits").body == b"SIMPLE"
    assert object_server.path("survey", "dr 1/m31.fits") == folder / "m31.fits"


def test_files_that_are_no_objects_are_not_listed(tmp_path: Path) -> None:
    """A file being written, a name that is no UTF-8, and escapes nobody made are no keys."""
    store = Store(tmp_path)
    store.create_bucket("bucket")
    for name in (b"%~1-1", b"\xff", b"%=plain%", b"%:object"):
        (tmp_path / "bucket" / os.fsdecode(name)).write_bytes(b"")
    (tmp_path / "bucket" / "%=folder").mkdir()
    assert store.keys("bucket") == []


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """An object appears whole or not at all, and the one before stays."""
    store = Store(tmp_path)
    store.put("bucket", "a", b"old")
    with contextlib.suppress(RuntimeError), store.writing("bucket", "a") as draft:
        draft.file.write(b"new")
        raise RuntimeError
    assert [path.name for path in (tmp_path / "bucket").iterdir()] == ["a"]
    assert store.path("bucket", "a").read_bytes() == b"old"


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="/")),
    st.sampled_from([OBJECT, FOLDER]),
)
def test_an_escaped_name_says_which_piece_it_stands_for(piece: str, mark: str) -> None:
    """Escaping is one to one, stays within 255 bytes a name, and never makes a name with a slash in it."""
    *plain, escaped = candidates(piece, mark)
    assert plain in ([], [piece])
    assert piece_of(escaped) == (piece, mark)
    assert all(0 < len(name.encode()) <= 255 and name not in (".", "..") for name in escaped.split("/"))


@pytest.mark.parametrize("target", ["/bucket/%zz", "/bucket/%", "/bucket/%ff"])
def test_a_path_that_is_no_utf8_is_refused(wire: Wire, target: str) -> None:
    """S3 keys are UTF-8; a broken escape is answered 400, and the connection ends."""
    reply = wire.send("GET", target)
    assert (reply.status, reply.code) == (400, "InvalidURI")


def test_a_key_of_more_than_1024_bytes_is_refused(wire: Wire) -> None:
    """S3's own limit."""
    wire.server.put("bucket", "a", b"")
    reply = wire.ask("PUT", "/bucket/" + "x" * 1025, body=b"data")
    assert (reply.status, reply.code) == (400, "KeyTooLongError")


@pytest.mark.parametrize("bucket", [".", "..", "%2E%2E", "%00"])
def test_a_bucket_is_one_ordinary_folder(wire: Wire, bucket: str) -> None:
    """No bucket name leads out of the root."""
    assert wire.ask("GET", f"/{bucket}/etc/passwd").status in (403, 404)
    assert wire.send("PUT", f"/{bucket}").status == 403
