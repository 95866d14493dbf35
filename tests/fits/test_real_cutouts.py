"""Cutouts of every image in the corpora that knows where on the sky it is, held against astropy's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS

from astro_cloud import fits as cloud_fits
from astro_cloud.exceptions import NotFITSError
from astro_cloud.fits.celestial import Celestial, header_of_coordinates
from astro_cloud.fits.image_section import holds_image
from tests import corpora
from tests.fits.agreement import agree, apart
from tests.fits.served import Served, served_files

FAST = list(corpora.fits_files())
SLOW = list(corpora.package_fits_files())

# Real headers break rules; astropy says so of the local file and of ours, and we do.
pytestmark = [
    pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning"),
    pytest.mark.filterwarnings("ignore::astro_cloud.exceptions.AstroCloudWarning"),
    pytest.mark.filterwarnings("ignore:Tried to get polar motions:astropy.utils.exceptions.AstropyWarning"),
]


PATHS = [
    pytest.param(path, id=corpora.place(path), marks=[pytest.mark.slow] if path in SLOW else [])
    for path in [*FAST, *SLOW]
]


def celestial(path: Path) -> Iterator[tuple[int, Any, WCS]]:
    """Yield the images of a file, by astropy, with their coordinates of two axes."""
    try:
        hdus = fits.open(path, memmap=False)
    except (OSError, ValueError):
        return
    with hdus:
        for index, hdu in enumerate(hdus):
            if hdu.is_image and len(getattr(hdu, "shape", ())) > 1 and not isinstance(hdu, fits.GroupsHDU):
                wcs = coordinates(hdu, hdus)
                if wcs is not None and hdu.data is not None:
                    yield index, hdu, wcs


def coordinates(hdu: Any, hdus: fits.HDUList) -> WCS | None:
    """Return the celestial coordinates of an image, by astropy."""
    try:
        wcs = WCS(hdu.header, fobj=hdus)
        wcs.wcs.set()
    except (ValueError, KeyError):
        return None
    if not wcs.has_celestial:
        return None
    return wcs if wcs.naxis == 2 else wcs.celestial


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """All files in one bucket, and a client to read them."""
    with served_files(tmp_path_factory.mktemp("cutouts"), [*FAST, *SLOW]) as served:
        yield served


@pytest.mark.parametrize("path", PATHS)
def test_cutouts_equal_astropys(path: Path, served: Served, tmp_path: Path) -> None:
    """Pixels and coordinates are those of Cutout2D on the file on disk, by pixel and by position on the sky.

    World coordinates of the corners are those of the whole image to 1e-10 degree, also in the file that is
    written; Cutout2D's are not where tables distort them.
    """
    for index, hdu, wcs in celestial(path):
        height, width = hdu.shape[-2:]
        pixels = hdu.data.reshape(-1, height, width)[0]
        planes = (0,) * (len(hdu.shape) - 2)
        options: dict[str, Any] = {"planes": planes, "hdu": index, "client": served.client}
        for x, y in ((width / 2, height / 2), (1, 1), (width - 1.3, 0), (0.3, height * 0.7)):
            for size, mode in (((5, 8), "trim"), (9, "partial")):
                wanted: dict[str, Any] = {"mode": mode, "fill_value": 1}
                theirs = Cutout2D(pixels, (x, y), size, wcs=wcs, **wanted)
                ours = cloud_fits.cutout(served.urls[path], (x, y), size, **options, **wanted)
                agree(ours, theirs, wcs)
            if (where := position(wcs, x, y)) is None:
                continue
            ours = cloud_fits.cutout(served.urls[path], where, (5, 8), **options)
            agree(ours, Cutout2D(pixels, tuple(ours.input_position_original), (5, 8), wcs=wcs), wcs)
            assert np.allclose(ours.input_position_original, (x, y), atol=1e-3)
            scale = Celestial(wcs, (0, 1)).scales[0]
            if np.isclose(scale, Celestial(wcs, (0, 1)).scales[1]):
                ours = cloud_fits.cutout(served.urls[path], where, 4 * scale, **options)
                agree(ours, Cutout2D(pixels, where, 4 * scale, wcs=wcs), wcs)
        in_its_file(ours, wcs, tmp_path / "cutout.fits")


def position(wcs: WCS, x: float, y: float) -> SkyCoord | None:
    """Return where a pixel is on the sky, if astropy has a frame for it, and it is there."""
    try:
        where = wcs.pixel_to_world(x, y)
    except ValueError:
        return None
    back = wcs.all_world2pix(wcs.all_pix2world([[x, y]], 0), 0, quiet=True)
    return where if isinstance(where, SkyCoord) and np.allclose(back, (x, y), atol=1e-4) else None


def in_its_file(ours: Any, wcs: WCS, path: Path) -> None:
    """See that a cutout that is written has its coordinates, unless it says that it has not."""
    with fits.open(ours.write(path, overwrite=True)) as hdus:
        assert np.array_equal(
            hdus[0].data.reshape(ours.shape), ours.data, equal_nan=ours.data.dtype.kind == "f"
        )
        if any("removed the world coordinates" in note for note in ours.notes):
            return
        written = WCS(hdus[0].header, fobj=hdus)
        written = written if written.naxis == 2 else written.celestial
        corner = np.array([[0, 0], [ours.shape[1] - 1, ours.shape[0] - 1]], float)
        origin = np.array(ours._origin_original_true)
        assert apart(written.all_pix2world(corner, 0), wcs.all_pix2world(corner + origin, 0)) < 1e-10


@pytest.mark.parametrize("path", PATHS)
def test_coordinates_depend_on_the_cards_that_are_kept(path: Path, served: Served) -> None:
    """A WCS of those cards alone is that of the whole header: of every image, on the sky or not."""
    if corpora.compressed_whole(path):
        return
    try:
        hdus = cloud_fits.open(served.urls[path], client=served.client)
    except NotFITSError:
        return
    with hdus:
        for hdu in hdus:
            if not holds_image(hdu):
                continue
            try:
                whole = WCS(hdu.header, fobj=hdus)
            except (ValueError, KeyError):
                continue
            kept = WCS(header_of_coordinates(hdu), fobj=hdus)
            assert kept.wcs.compare(whole.wcs)
            assert kept.to_header_string(relax=True) == whole.to_header_string(relax=True)
            assert kept.pixel_shape == whole.pixel_shape
            for name in ("sip", "cpdis1", "cpdis2", "det2im1", "det2im2"):
                one, other = getattr(kept, name), getattr(whole, name)
                assert (one is None) == (other is None)
                assert one is None or np.array_equal(one.crpix, other.crpix)


@pytest.mark.slow
def test_there_are_as_many_as_were_found_by_hand() -> None:
    """No mistake in choosing leaves images out."""
    assert sum(1 for path in [*FAST, *SLOW] for _ in celestial(path)) >= 60
