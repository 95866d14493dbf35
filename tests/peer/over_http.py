"""A pytest plugin for somebody else's tests: what they open with `astropy.io.fits` comes over HTTP.

Loaded with ``-p tests.peer.over_http`` into a pytest of its own, beside a running `ObjectServer`. Every
`fits.open` of a local file that only reads finds the file linked into a bucket, and reads the object
there, by a way of `WAYS`; what may write, and what is not the path of a file, is left alone.
"""

from __future__ import annotations

import inspect
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from astropy.io import fits

import astro_cloud
from astro_cloud import fits as cloud_fits

PLAIN = fits.open
READING = (None, "readonly", "denywrite", "copyonwrite")


def through_file(url: str, **keywords: Any) -> fits.HDUList:
    """Hand astropy's `fits.open` a file of ours, in place of fsspec's too."""
    keywords = {name: value for name, value in keywords.items() if "fsspec" not in name}
    file = astro_cloud.open(url)
    try:
        return PLAIN(file, **keywords)
    except BaseException:
        file.close()
        raise


WAYS: dict[str, Callable[..., fits.HDUList]] = {"file": through_file, "open": cloud_fits.open}
"""What takes a URL and the keywords of `fits.open`."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("over HTTP")
    group.addoption("--way", choices=list(WAYS), help="what reads the objects")
    group.addoption("--bucket", type=Path, help="the folder of a bucket that anybody may read")
    group.addoption("--bucket-url", help="where it is served")


@pytest.fixture(scope="session", autouse=True)
def over_http(pytestconfig: pytest.Config) -> Iterator[None]:
    """Put a function that reads over HTTP wherever astropy, or a test of it, has `fits.open`."""
    opened = opener(
        WAYS[pytestconfig.getoption("--way")],
        pytestconfig.getoption("--bucket"),
        pytestconfig.getoption("--bucket-url"),
    )
    modules = [module for name, module in sys.modules.items() if name.startswith("astropy.")]
    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            for name in [name for name, value in vars(module).items() if value is PLAIN]:
                patch.setattr(module, name, opened)
        yield


def opener(served: Callable[..., fits.HDUList], bucket: Path, url: str) -> Callable[..., fits.HDUList]:
    """Return what to call in place of `fits.open`: each file it reads is an object of its own."""
    signature = inspect.signature(PLAIN)
    numbers = itertools.count(1)

    @wraps(PLAIN)
    def opened(*args: Any, **kwargs: Any) -> fits.HDUList:
        given = signature.bind(*args, **kwargs).arguments
        path = local_file(given.pop("name"))
        if path is None or given.get("mode") not in READING:
            return PLAIN(*args, **kwargs)
        folder = bucket / str(next(numbers))
        folder.mkdir()
        (folder / path.name).symlink_to(path)
        return served(f"{url}/{folder.name}/{quote(path.name)}", **given.pop("kwargs", {}), **given)

    return opened


def local_file(name: object) -> Path | None:
    """Return the file that `fits.open` would read by this name, if there is one."""
    if not isinstance(name, str | os.PathLike):
        return None
    path = os.path.abspath(os.path.expanduser(name))
    return Path(path) if os.path.isfile(path) else None
