"""Cutouts of TESS cubes over HTTP, held against astrocut's of the same file, with what they cost."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from astro_cloud.exceptions import CorruptFITSError, FITSError, NoOverlapError
from astro_cloud.fits import cutout, save_index
from astro_cloud.fits.tess_cube import KeywordTable
from astro_cloud.testing import ObjectServer
from astro_cloud.testing.tess_cube import write_tess_cube
from tests.fits.astrocut_cubes import POSITIONS, AstrocutCubes, Judged
from tests.fits.conftest import Put
from tests.fits.made import intervals
from tests.fits.test_tess_cube import headers_of, with_cells

#: Fewer rows than connections, so that the requests for them are one step.
ROWS, COLUMNS, IMAGES = 12, 30, 1282
#: The Cat's Eye Nebula.
NGC6543 = SkyCoord("17h58m33.4s +66d37m59.5s")


@pytest.fixture
def sparse(far: ObjectServer) -> str:
    """The URL of a cube of 45 GB, on a slow server."""
    far.put("night", "cube.fits", b"")
    write_tess_cube(far.path("night", "cube.fits"))
    return far.url_for("night", "cube.fits")


def sky_of(judged: Judged) -> SkyCoord:
    return SkyCoord(judged.ra, judged.dec, unit="deg")


@pytest.mark.parametrize("name", list(POSITIONS))
def test_cutouts_are_astrocuts(astrocut_cubes: AstrocutCubes, put: Put, name: str) -> None:
    """Flux and errors are the same bits, off the cube NaN, and each pixel is at the same place on the sky."""
    position, judged = POSITIONS[name], astrocut_cubes.cutouts[name]
    url = put(astrocut_cubes.paths[position.cube].read_bytes())
    size = (position.rows, position.columns)
    ours = cutout(url, sky_of(judged), size, hdu=1, mode="partial")
    flux, error = np.moveaxis(ours.data, (3, 2), (0, 1))
    np.testing.assert_array_equal(flux, judged.flux)
    np.testing.assert_array_equal(error, judged.error)
    y, x = np.mgrid[: position.rows, : position.columns]
    assert np.abs(np.array(ours.wcs.all_pix2world(x, y, 0)) - judged.sky).max() < 1e-10
    assert ours.origin_original == (max(judged.columns[0], 0), max(judged.rows[0], 0))


def test_planes_are_chosen(astrocut_cubes: AstrocutCubes, put: Put) -> None:
    """Some times, and flux alone, are taken as other axes of a cube are."""
    judged = astrocut_cubes.cutouts["inside"]
    url = put(astrocut_cubes.paths["whole"].read_bytes())
    ours = cutout(url, sky_of(judged), (5, 7), planes=(slice(3, 6), 0))
    np.testing.assert_array_equal(np.moveaxis(ours.data, 2, 0), judged.flux[3:6])


def test_what_a_cutout_costs(far: ObjectServer, sparse: str) -> None:
    """Of 45 GB: 2 round trips for headers, 1 for the row that has the WCS, 1 for a run of each row of the
    cutout; and not a byte more of the pixels than those."""
    ours = cutout(sparse, NGC6543, (ROWS, COLUMNS))
    assert ours.data.shape == (ROWS, COLUMNS, IMAGES, 2)
    assert far.requests.round_trips == 4
    asked = intervals(far.requests)
    run = COLUMNS * IMAGES * 8
    runs = [(start, stop) for start, stop in asked if stop - start == run]
    (row,) = [(start, stop) for start, stop in asked if stop - start == 1041]
    assert len(runs) == ROWS
    assert {after - before for (before, _), (after, _) in pairwise(runs)} == {2136 * IMAGES * 8}
    assert row[0] > 45e9
    assert len(asked) <= ROWS + 1 + 3


def test_with_an_index(far: ObjectServer, sparse: str, tmp_path: Path) -> None:
    """With an index the headers are at hand: a round trip for the row, and one for the pixels."""
    save_index(sparse, tmp_path / "cube.json")
    far.clear()
    cutout(sparse, NGC6543, (ROWS, COLUMNS), index=tmp_path / "cube.json")
    assert far.requests.round_trips == 2
    assert len(far.requests) == ROWS + 1


def test_many_positions_share_the_row(far: ObjectServer, sparse: str) -> None:
    """Any number of cutouts of one cube takes as many round trips as one."""
    positions = [NGC6543.directional_offset_by(angle * u.deg, 0.5 * u.deg) for angle in range(0, 360, 60)]
    ours = cutout(sparse, positions, (2, 3), planes=(slice(0, 5),))
    assert [one.data.shape for one in ours] == [(2, 3, 5, 2)] * 6
    assert far.requests.round_trips == 4


def test_the_sparse_cube_is_as_astropy_reads_it(tmp_path: Path) -> None:
    """Its middle row has the world coordinates, no other row has any, and the file still takes no room."""
    path = tmp_path / "cube.fits"
    write_tess_cube(path)
    assert os.path.getsize(path) == 45_523_739_520
    assert os.stat(path).st_blocks * 512 < 200_000
    with fits.open(path, memmap=False) as hdus:
        kinds = list(hdus[2].data["CTYPE2"])
        row = hdus[2].data[IMAGES // 2]
        assert (row["FFIINDEX"], row["TELESCOP"], row["CUNIT1"]) == (11341, "TESS", "deg")
        assert np.isnan(row["RMSA"])
    assert [number for number, kind in enumerate(kinds) if kind] == [641]
    assert kinds[641] == "DEC--TAN-SIP"
    ours = cutout(path, NGC6543, 5)
    assert ours.wcs.wcs.ctype[0] == "RA---TAN-SIP"
    assert ours.input_position_original == pytest.approx((598, 836), abs=1)


def test_a_position_elsewhere(sparse: str) -> None:
    """A position on another part of the sky is not in the cube, and the error says so."""
    with pytest.raises(NoOverlapError, match="HDU 1"):
        cutout(sparse, SkyCoord(10, -20, unit="deg"), 5)


@pytest.mark.parametrize(
    ("values", "error"),
    [({"CRVAL1": float("nan")}, CorruptFITSError), ({"A_ORDER": 10**9}, CorruptFITSError)],
)
def test_damage_is_told(
    astrocut_cubes: AstrocutCubes, put: Put, values: dict[str, Any], error: type[Exception]
) -> None:
    """What is wrong in the table is told of the object and the HDU."""
    data = with_cells(astrocut_cubes.paths["whole"].read_bytes(), 8, **values)
    url = put(data)
    with pytest.raises(error, match="HDU 2 is damaged at byte") as caught:
        cutout(url, sky_of(astrocut_cubes.cutouts["inside"]), 5)
    assert caught.value.location == url
    assert caught.value.hdu == 2


def test_a_cube_without_a_wcs(astrocut_cubes: AstrocutCubes, put: Put) -> None:
    """Where no image of a cube has a WCS, that is why nothing can be cut by a position on the sky."""
    data = astrocut_cubes.paths["one"].read_bytes()
    url = put(with_cells(data, 0, CTYPE2=""))
    with pytest.raises(FITSError, match=r"HDU 1 has no WCS: 1 of the 1 rows of HDU 2") as caught:
        cutout(url, sky_of(astrocut_cubes.cutouts["one image"]), 5)
    assert caught.value.hdu == 2
    with fits.open(astrocut_cubes.paths["one"]) as hdus:
        assert np.array_equal(cutout(url, (20, 10), 5).data, hdus[1].data[8:13, 18:23])


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")
def test_the_file_of_a_cutout_has_its_coordinates(
    astrocut_cubes: AstrocutCubes, put: Put, tmp_path: Path
) -> None:
    """The pixels as they lie in the cube, and an image whose header says where on the sky they are."""
    judged = astrocut_cubes.cutouts["inside"]
    ours = cutout(put(astrocut_cubes.paths["whole"].read_bytes()), sky_of(judged), (5, 7))
    with fits.open(ours.write(tmp_path / "cutout.fits")) as hdus:
        hdus.verify("exception")
        assert np.array_equal(hdus[0].data, ours.data)
        wcs = WCS(hdus["APERTURE"].header)
        assert hdus["APERTURE"].data.shape == (5, 7)
        assert hdus["APERTURE"].data.all()
        corners = [[0, 0], [6, 4]]
        assert np.abs(wcs.all_pix2world(corners, 0) - ours.wcs.all_pix2world(corners, 0)).max() < 1e-10
        assert "cutout" in "".join(hdus[0].header["HISTORY"])


@pytest.mark.filterwarnings("ignore")
def test_a_table_cut_off(astrocut_cubes: AstrocutCubes, put: Put) -> None:
    """An object that ends before the row is damaged, and says where it ends."""
    data = astrocut_cubes.paths["whole"].read_bytes()
    _, image, table = headers_of(data)
    start, _ = KeywordTable(image, table, "").row_range(8)
    url = put(data[: start + 100])
    with pytest.raises(CorruptFITSError, match=str(start + 100)):
        cutout(url, sky_of(astrocut_cubes.cutouts["inside"]), 5)
