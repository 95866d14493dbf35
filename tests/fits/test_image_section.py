"""Sections as arrays and as files, of every image in the corpora, held against NumPy and astropy."""

from __future__ import annotations

import io
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from astro_cloud import fits as cloud_fits
from astro_cloud.exceptions import FITSError
from astro_cloud.fits.image_section import ImageSection, find_image
from tests import corpora

PLAIN = [path for path in corpora.fits_files() if not corpora.compressed_whole(path)]
KEYS: list[Any] = [
    (slice(None, None, 2), ...),
    (..., slice(0, 3)),
    (slice(None, None, -3),),
    (..., -1),
    (0, ..., slice(2, None, 2)),
]

# Real headers break rules; astropy says so of the local file and of ours, and we do.
pytestmark = [
    pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning"),
    pytest.mark.filterwarnings("ignore::astro_cloud.exceptions.AstroCloudWarning"),
]


@pytest.mark.parametrize("path", [pytest.param(path, id=corpora.place(path)) for path in PLAIN])
def test_pixels_and_files(path: Path) -> None:
    """Pixels and their type are those of the whole image, cut; a file that is written holds them."""
    try:
        local, ours = fits.open(path), cloud_fits.open(path)
    except (OSError, FITSError):
        return
    with local, ours:
        for index in range(len(local)):
            try:
                _, hdu = find_image(ours, index)
            except FITSError:
                continue
            if 0 < prod(hdu.shape) < 1_000_000:
                for key in KEYS[: None if len(hdu.shape) > 1 else -1]:
                    check(ImageSection.of(index, hdu, key), local[index].data, key)


def check(cut: ImageSection, data: Any, key: Any) -> None:
    """Hold a section against the whole image."""
    expected = data[key]
    assert cut.box.dtype == data.dtype.newbyteorder("=")
    assert np.array_equal(cut.values, expected, equal_nan=data.dtype.kind == "f")
    if not cut.box.size:
        with pytest.raises(FITSError, match="holds no pixels"):
            cut.as_fits("here")
        return
    hdu, _ = cut.as_fits("here")
    file = io.BytesIO()
    hdu.writeto(file, output_verify="silentfix+ignore")
    with fits.open(io.BytesIO(file.getvalue())) as (written,):
        assert written.shape == cut.box.shape
        values = written.data.reshape(expected.shape)
        assert np.array_equal(values, expected, equal_nan=data.dtype.kind == "f")


def test_a_card_that_cannot_be_read_is_kept(tmp_path: Path) -> None:
    """What breaks rules in a header is no reason to refuse the pixels; coordinates by it are taken out."""
    header = fits.Header([("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 2), ("NAXIS1", 4), ("NAXIS2", 3)])
    bad = "".join(card.ljust(80) for card in ("CRPIX1  = five", "CTYPE1  = 'RA---TAN", "ODD     = 'open"))
    text = header.tostring(endcard=False, padding=False) + bad + "END".ljust(80)
    path = tmp_path / "bad.fits"
    path.write_bytes(text.ljust(2880).encode() + bytes(range(12)).ljust(2880, b"\0"))
    with cloud_fits.open(path) as hdus:
        hdu, notes = ImageSection.of(0, hdus[0], (slice(1, 3), slice(1, 3))).as_fits("1:3,1:3")
        file = io.BytesIO()
        hdu.writeto(file, output_verify="silentfix+ignore")
    assert any("removed the world coordinates" in note for note in notes)
    assert b"ODD     =" in file.getvalue()
