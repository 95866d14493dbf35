"""MID: the bytes of objects. Knows HTTP, knows no FITS.

What writes files and objects is imported when it is first asked for: who reads needs none of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from astro_cloud.storage.client import Client
from astro_cloud.storage.location import Location
from astro_cloud.storage.lookup import exists, list_objects, stat
from astro_cloud.storage.object_info import CommonPrefix, ObjectInfo
from astro_cloud.storage.opening import open
from astro_cloud.storage.pinned import PinnedObject
from astro_cloud.storage.presign import presign
from astro_cloud.storage.remote_file import RemoteFile
from astro_cloud.storage.settings import Settings
from astro_cloud.storage.usage import S3_LIST_PRICES, ListPrices, Spent, Usage

if TYPE_CHECKING:
    from astro_cloud.storage.checksum import Checksum
    from astro_cloud.storage.downloading import download
    from astro_cloud.storage.many_downloads import ManyDownloads, download_many
    from astro_cloud.storage.many_uploads import ManyUploads, upload_many
    from astro_cloud.storage.object_download import Downloaded
    from astro_cloud.storage.uploading import upload

__all__ = [
    "S3_LIST_PRICES",
    "Checksum",
    "Client",
    "CommonPrefix",
    "Downloaded",
    "ListPrices",
    "Location",
    "ManyDownloads",
    "ManyUploads",
    "ObjectInfo",
    "PinnedObject",
    "RemoteFile",
    "Settings",
    "Spent",
    "Usage",
    "download",
    "download_many",
    "exists",
    "list_objects",
    "open",
    "presign",
    "stat",
    "upload",
    "upload_many",
]

_ROOMS = {
    "Checksum": "checksum",
    "Downloaded": "object_download",
    "ManyDownloads": "many_downloads",
    "ManyUploads": "many_uploads",
    "download": "downloading",
    "download_many": "many_downloads",
    "upload": "uploading",
    "upload_many": "many_uploads",
}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
