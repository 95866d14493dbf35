"""astro-cloud: from a URL to the astronomy in it, with the fewest round trips and bytes.

Three tiers, each usable alone, each importing only the ones before it:

* `astro_cloud.auth` (LOW): sign one HTTP request. Knows `requests`, knows no bytes.
* `astro_cloud.storage` (MID): the bytes of objects. Knows HTTP, knows no FITS.
* `astro_cloud.fits` (HIGH): what the bytes mean. Knows FITS, knows no HTTP.

Beside them: `astro_cloud.exceptions`, the command line in `astro_cloud.cli`, and
`astro_cloud.testing`, a loopback object store for tests.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0.dev0"

__all__ = [
    "Client",
    "Settings",
    "__version__",
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


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("astro_cloud.storage"), name)
    raise AttributeError(f"module 'astro_cloud' has no attribute {name!r}")
