"""How long a job spends on its WCS, measured inside of the very call that is timed."""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

METHODS = (
    "__init__", "__deepcopy__", "all_pix2world", "all_world2pix", "wcs_pix2world", "wcs_world2pix", "sub",
    "to_header",
)  # fmt: skip
FUNCTIONS = (
    ("astropy.wcs.utils", "skycoord_to_pixel"),
    ("astropy.nddata.utils", "skycoord_to_pixel"),
    ("astropy.nddata.utils", "proj_plane_pixel_scales"),
    ("astrocut.cube_cutout", "fit_wcs_from_points"),
)
"""Those of astropy that its own `Cutout2D` calls, and a fit that astrocut makes of each cutout; a module
that nobody has imported has nothing to watch."""


class Watch:
    """The seconds that the main thread spent in what is watched, one inside of another once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inside = False

    def watching(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same and is timed."""

        @functools.wraps(function)
        def watched(*arguments: Any, **options: Any) -> Any:
            if self._inside or threading.current_thread() is not threading.main_thread():
                return function(*arguments, **options)
            self._inside, start = True, time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self._inside = False
                self.seconds += time.perf_counter() - start

        return watched


@contextlib.contextmanager
def watched_wcs() -> Iterator[Watch]:
    """Watch astropy's WCS: parsing, copying, transforming, fitting, and writing as a header."""
    from astropy.wcs import WCS

    watch = Watch()
    places: list[tuple[Any, str]] = [(WCS, name) for name in METHODS]
    places += [(sys.modules[module], name) for module, name in FUNCTIONS if module in sys.modules]
    originals = [(owner, name, getattr(owner, name)) for owner, name in places]
    for owner, name, original in originals:
        setattr(owner, name, watch.watching(original))
    try:
        yield watch
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)
