"""MID: the bytes of objects. Knows HTTP, knows no FITS."""

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

__all__ = [
    "S3_LIST_PRICES",
    "Client",
    "CommonPrefix",
    "ListPrices",
    "Location",
    "ObjectInfo",
    "PinnedObject",
    "RemoteFile",
    "Settings",
    "Spent",
    "Usage",
    "exists",
    "list_objects",
    "open",
    "presign",
    "stat",
]
