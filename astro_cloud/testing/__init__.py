"""A loopback object store with signature checks, latency and faults, for our tests and our users'.

It shares no code with the rest of the package, because it judges it. The names are imported when they are
first used: pytest loads this package at each start, for its fixture.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astro_cloud.testing.access_key import AccessKey
    from astro_cloud.testing.answer import Answer, Ending
    from astro_cloud.testing.faults import Fault
    from astro_cloud.testing.http_request import Headers
    from astro_cloud.testing.request_log import RequestLog, RequestRecord
    from astro_cloud.testing.server import ObjectServer
    from astro_cloud.testing.uploads import UnfinishedUpload

__all__ = [
    "AccessKey",
    "Answer",
    "Ending",
    "Fault",
    "Headers",
    "ObjectServer",
    "RequestLog",
    "RequestRecord",
    "UnfinishedUpload",
]

_MODULES = {
    "AccessKey": "access_key",
    "Answer": "answer",
    "Ending": "answer",
    "Fault": "faults",
    "Headers": "http_request",
    "ObjectServer": "server",
    "RequestLog": "request_log",
    "RequestRecord": "request_log",
    "UnfinishedUpload": "uploads",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
