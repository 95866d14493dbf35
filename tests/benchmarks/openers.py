"""How astropy opens a remote file through the peers, as their documentation says.

An opener does its imports, and returns what opens the file: where that is, it is told as ``http`` (public),
``s3`` (signed for) and ``endpoint``, and the keys are in the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

BLOCK_64K = 65536
Opener = Callable[[Mapping[str, Any]], Callable[[], Any]]


def fsspec_http(where: Mapping[str, Any]) -> Callable[[], Any]:
    """Open over fsspec's HTTP file system."""
    import aiohttp  # noqa: F401 - loaded before the clock runs
    import fsspec
    from astropy.io import fits

    fsspec.filesystem("http")
    return lambda: fits.open(where["http"], use_fsspec=True)


def s3fs_default(where: Mapping[str, Any]) -> Callable[[], Any]:
    """Open over s3fs."""
    return with_s3fs(where)


def s3fs_64k(where: Mapping[str, Any]) -> Callable[[], Any]:
    """Open over s3fs with small blocks."""
    return with_s3fs(where, default_block_size=BLOCK_64K)


def with_s3fs(where: Mapping[str, Any], **options: Any) -> Callable[[], Any]:
    """Open over s3fs with options; the file system that astropy will get has found its credentials."""
    import s3fs
    from astropy.io import fits

    options = {"endpoint_url": where["endpoint"], "anon": False, **options}
    s3fs.S3FileSystem(**options).connect()
    return lambda: fits.open(where["s3"], use_fsspec=True, fsspec_kwargs=options)


def obstore_64k(where: Mapping[str, Any]) -> Callable[[], Any]:
    """Open over obstore's reader with small blocks."""
    import obstore
    from astropy.io import fits

    store, key = obstore_store(where)
    return lambda: fits.open(Readable(obstore.open_reader(store, key, buffer_size=BLOCK_64K)))


def obstore_store(where: Mapping[str, Any]) -> tuple[Any, str]:
    """Make a store of obstore's; returns it and the key."""
    from obstore.store import S3Store

    bucket, _, key = where["s3"].removeprefix("s3://").partition("/")
    plain_http = {"allow_http": True}
    return S3Store(bucket, endpoint=where["endpoint"], region="us-east-1", client_options=plain_http), key


class Readable:
    """An obstore reader with the methods astropy asks a file for."""

    mode = "rb"
    closed = False

    def __init__(self, reader: Any) -> None:
        self.seek, self.tell, self._read = reader.seek, reader.tell, reader.read

    def read(self, size: int = -1) -> bytes:
        return bytes(self._read(size) if size >= 0 else self._read())

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


OPENERS: dict[str, Opener] = {
    "astropy + fsspec http": fsspec_http,
    "astropy + s3fs, default": s3fs_default,
    "astropy + s3fs, 64 KiB": s3fs_64k,
    "astropy + obstore, 64 KiB": obstore_64k,
}
