"""How a cutout is held against astropy's Cutout2D, and its coordinates against those of the whole image."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.nddata import Cutout2D
from astropy.wcs import WCS

_PLACES = (
    "shape", "shape_input", "slices_original", "slices_cutout", "origin_original", "origin_cutout",
    "bbox_original", "bbox_cutout", "input_position_original", "input_position_cutout", "center_original",
    "center_cutout", "position_original", "position_cutout",
)  # fmt: skip


def agree(ours: Any, theirs: Cutout2D, whole: WCS | None) -> None:
    """Hold a cutout against astropy's: pixels, where they were, and where on the sky its corners are."""
    assert isinstance(ours, Cutout2D)
    assert ours.data.dtype == theirs.data.dtype.newbyteorder("=")
    assert np.array_equal(ours.data, theirs.data, equal_nan=ours.data.dtype.kind == "f")
    for name in _PLACES:
        assert np.array_equal(np.array(getattr(ours, name)), np.array(getattr(theirs, name))), name
    if whole is None:
        assert ours.wcs is None
        return
    assert ours.wcs.array_shape == ours.data.shape
    height, width = ours.data.shape
    corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], float)
    expected = whole.all_pix2world(corners + np.array(theirs._origin_original_true), 0)
    assert apart(ours.wcs.all_pix2world(corners, 0), expected) < 1e-10


def apart(one: Any, other: Any) -> float:
    """Return by how many degrees coordinates differ at most; NaN is where NaN is."""
    assert np.array_equal(np.isnan(one), np.isnan(other))
    return float(np.nanmax(np.abs((one - other + 180) % 360 - 180), initial=0))
