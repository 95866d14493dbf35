"""Local folders of which something cannot be looked at: listings say so, transfers go on behind it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import astro_cloud
from astro_cloud import download_many
from astro_cloud.exceptions import (
    AccessDeniedError,
    ManyTransfersError,
    ObjectNotFoundError,
    StorageError,
)


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """A folder with a file before and behind a subfolder."""
    root = tmp_path / "night"
    (root / "b").mkdir(parents=True)
    for name in ("a", "b/inside", "c"):
        (root / name).write_bytes(name.encode())
    return root


def refuse(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody list a folder, as its permissions would, were the user not root."""
    scandir = os.scandir

    def refusing(path: Any) -> Any:
        if path in (folder, str(folder)):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)


def names(folder: Path) -> list[str]:
    """Return the names of what lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def failed(source: Path | str, target: Path) -> dict[str, Any]:
    """Transfer a folder, and return what went wrong by path."""
    with pytest.raises(ManyTransfersError) as caught:
        download_many(source, target)
    return caught.value.errors


class TestAFolderThatCannotBeListed:
    """It is named, and what lies behind it is transferred."""

    @pytest.mark.parametrize("pattern", ["", "/**"])
    def test_in_a_folder(
        self, night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
    ) -> None:
        """All the rest arrives."""
        refuse(night / "b", monkeypatch)
        ((path, error),) = failed(f"{night}{pattern}", tmp_path / "to").items()
        assert path == str(night / "b")
        assert isinstance(error, AccessDeniedError)
        assert str(error).startswith(f"{night / 'b'}: permission denied")
        assert names(tmp_path / "to") == ["a", "c"]

    def test_alone(self, night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is an error also where nothing else was found."""
        for name in ("a", "c"):
            (night / name).unlink()
        refuse(night / "b", monkeypatch)
        assert list(failed(night, tmp_path / "to")) == [str(night / "b")]

    def test_the_first(self, night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing is begun."""
        refuse(night, monkeypatch)
        with pytest.raises(AccessDeniedError):
            download_many(night, tmp_path / "to")
        assert names(tmp_path) == ["night"]

    def test_a_listing_ends_there(self, night: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """So that one that ends well is whole."""
        refuse(night / "b", monkeypatch)
        listing = astro_cloud.list_objects(night)
        assert next(listing).key.endswith("/a")
        with pytest.raises(AccessDeniedError, match="b: permission denied"):
            next(listing)


class TestLinks:
    """Links that lead to no file."""

    def test_nowhere(self, night: Path, tmp_path: Path) -> None:
        """A transfer says so; a listing shows what there is."""
        (night / "broken").symlink_to(night / "none")
        (night / "circle").symlink_to(night / "circle")
        errors = failed(night, tmp_path / "to")
        assert sorted(errors) == [str(night / "broken"), str(night / "circle")]
        for path, error in errors.items():
            assert isinstance(error, ObjectNotFoundError)
            assert str(error) == f"{path}: this link leads nowhere"
        assert names(tmp_path / "to") == ["a", "b", "c"]
        assert len(list(astro_cloud.list_objects(night))) == 3

    def test_that_are_not_wanted(self, night: Path, tmp_path: Path) -> None:
        """A pattern that does not match a link has nothing to say of it."""
        (night / "broken").symlink_to(night / "none")
        assert len(download_many(f"{night}/[ac]", tmp_path / "to").downloaded) == 2

    def test_to_a_folder(self, night: Path, tmp_path: Path) -> None:
        """It is not followed, and no error."""
        (night / "round").symlink_to(night)
        assert len(download_many(night, tmp_path / "to").downloaded) == 3

    def test_that_no_system_follows(
        self, night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The system's words are told."""
        (night / ("x" * 200)).symlink_to("y" * 300)
        (error,) = failed(night, tmp_path / "to").values()
        assert type(error) is StorageError
        assert str(error).endswith(": File name too long")


def test_what_downloads_left(night: Path, tmp_path: Path) -> None:
    """Parts and journals are no files of the folder; one that is named alone is meant."""
    for name in ("a.astro-part", "b/inside.astro-part.journal", "c.astro-part.journal~"):
        (night / name).write_bytes(b"part")
    assert len(download_many(night, tmp_path / "to").downloaded) == 3
    assert len(list(astro_cloud.list_objects(night))) == 6
    with pytest.raises(ObjectNotFoundError, match="nothing to transfer"):
        download_many(f"{night}/*.astro-part", tmp_path / "to")
    assert list(failed(night / "a.astro-part", tmp_path / "to")) == [str(night / "a.astro-part")]
