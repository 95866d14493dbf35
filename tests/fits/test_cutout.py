"""Cutouts, held against astropy's Cutout2D on the image on disk, and their WCS against that of the whole."""

from __future__ import annotations

import copy
import pickle
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.nddata import NoOverlapError as AstropyNoOverlapError
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st

from astro_cloud import fits as cloud_fits
from astro_cloud.exceptions import (
    CorruptFITSError,
    FITSError,
    HDUNotFoundError,
    NoOverlapError,
    ObjectChangedError,
    ObjectExistsError,
    PartialOverlapError,
    StorageError,
)
from astro_cloud.fits import cutout, cutouts, save_index
from astro_cloud.storage import Client, Settings
from astro_cloud.testing import ObjectServer
from tests.fits import made, skies
from tests.fits.agreement import agree, apart
from tests.fits.conftest import Put

SHAPE = (300, 260)
KINDS = ("plain", "sip", "scaled", "unsigned", "rice", "gzip")


def hdu_of(kind: str) -> Any:
    """Make an image of a kind, with coordinates that are turned by 30 degrees."""
    header = skies.header_of(skies.wcs_of(SHAPE, angle=30))
    pixels = made.noise(SHAPE, 5)
    if kind == "sip":
        return fits.ImageHDU(pixels, skies.sip(header), name="SCI")
    if kind == "scaled":
        hdu = fits.ImageHDU(pixels, header, name="SCI")
        hdu.scale("int16", bscale=0.01, bzero=1000)
        return hdu
    if kind == "unsigned":
        return fits.ImageHDU(pixels.astype("u2"), header, name="SCI")
    if kind == "rice":
        return fits.CompImageHDU(pixels.astype("i2"), header, name="SCI", compression_type="RICE_1")
    if kind == "gzip":
        options: dict[str, Any] = {"compression_type": "GZIP_2", "tile_shape": (50, 40), "quantize_level": 0}
        return fits.CompImageHDU(pixels, header, name="SCI", **options)
    return fits.ImageHDU(pixels, header, name="SCI")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file of each kind."""
    folder = tmp_path_factory.mktemp("kinds")
    found = {}
    for kind in KINDS:
        found[kind] = folder / f"{kind}.fits"
        found[kind].write_bytes(made.written(hdu_of(kind)))
    return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, files: dict[str, Path]) -> Iterator[dict[str, str]]:
    """The URL of each."""
    with ObjectServer(tmp_path_factory.mktemp("served"), public=["night"]) as server:
        for path in files.values():
            server.put("night", path.name, path.read_bytes())
        yield {kind: server.url_for("night", path.name) for kind, path in files.items()}


@pytest.fixture(scope="module")
def reader() -> Iterator[Client]:
    """One client for all of them."""
    with Client(settings=Settings(attempts=1)) as client:
        yield client


@given(
    kind=st.sampled_from(KINDS),
    x=st.floats(-40, 300),
    y=st.floats(-40, 340),
    size=st.tuples(st.integers(1, 400), st.integers(1, 400)) | st.integers(1, 60),
    mode=st.sampled_from(["trim", "partial", "strict"]),
)
def test_pixels_equal_astropys(
    kind: str,
    x: float,
    y: float,
    size: Any,
    mode: str,
    files: dict[str, Path],
    served: dict[str, str],
    reader: Client,
) -> None:
    """Any position in pixels, any size and mode: what Cutout2D returns, or refuses for the same reason."""
    fill: dict[str, Any] = {"mode": mode, "fill_value": 7}
    with fits.open(files[kind]) as local:
        image, wcs = local[1].data, WCS(local[1].header)
    try:
        theirs = Cutout2D(image, (x, y), size, wcs=wcs, **fill)
    except ValueError as error:
        expected = {"NoOverlapError": NoOverlapError, "PartialOverlapError": PartialOverlapError}
        with pytest.raises(expected[type(error).__name__], match=r"HDU 1 \(SCI,1\)"):
            cutout(served[kind], (x, y), size, hdu=1, client=reader, **fill)
        return
    agree(cutout(served[kind], (x, y), size, hdu=1, client=reader, **fill), theirs, wcs)


@given(
    kind=st.sampled_from(KINDS),
    x=st.floats(-0.4, 259.4),
    y=st.floats(-0.4, 299.4),
    size=st.floats(0.06, 12),
    frame=st.sampled_from(["icrs", "fk5", "galactic"]),
)
def test_sky_cutouts_equal_astropys(
    kind: str,
    x: float,
    y: float,
    size: float,
    frame: str,
    files: dict[str, Path],
    served: dict[str, str],
    reader: Client,
) -> None:
    """A position in any frame, and an angle: the pixels and coordinates that Cutout2D finds."""
    with fits.open(files[kind]) as local:
        image, wcs = local[1].data, WCS(local[1].header)
    where = wcs.pixel_to_world(x, y).transform_to(frame)
    theirs = Cutout2D(image, where, size * u.arcsec, wcs=wcs)
    agree(cutout(served[kind], where, size * u.arcsec, client=reader), theirs, wcs)


def test_it_is_what_the_example_asks_for(night: ObjectServer, frugal: Client) -> None:
    """Five arcseconds around a galaxy in a mosaic: two round trips, and little more than its pixels."""
    night.put("night", "drc.fits", made.drc())
    where = SkyCoord("10h01m41.13s +02d25m20.58s")
    found = cutout(night.url_for("night", "drc.fits"), where, 5 * u.arcsec, client=frugal)
    assert found.shape == (100, 100)
    assert found.name == "SCI"
    assert frugal.usage.round_trips == 2
    with made.from_memory(made.drc()) as local:
        agree(
            found,
            Cutout2D(local[1].data, where, 5 * u.arcsec, wcs=WCS(local[1].header)),
            WCS(local[1].header),
        )


def test_an_index_leaves_one_round_trip(survey_sky: str, frugal: Client, tmp_path: Path) -> None:
    """What headers say is in the index: the pixels are all that is read."""
    index = save_index(survey_sky, tmp_path / "index")
    found = cutout(survey_sky, skies.wcs_of(SHAPE).pixel_to_world(30, 40), 20, index=index, client=frugal)
    assert frugal.usage.round_trips == 1
    assert np.array_equal(found.data, made.noise(SHAPE, 1)[30:50, 20:40])


@pytest.fixture
def survey_sky(put: Put) -> str:
    """A file of three images; of the last two the header says where on the sky."""
    plain = fits.ImageHDU(made.noise((50, 60), 9), name="BIAS")
    east = skies.sky(SHAPE, name="EAST", seed=1)
    west = skies.sky(SHAPE, name="WEST", seed=2, centre=(150.40, 2.42))
    return put(made.written(plain, east, west))


def test_the_image_that_contains_the_position_is_found(survey_sky: str, reader: Client) -> None:
    """The first that has the pixel; images without coordinates are left out for positions on the sky."""
    east = skies.wcs_of(SHAPE)
    west = skies.wcs_of(SHAPE, centre=(150.40, 2.42))
    assert cutout(survey_sky, east.pixel_to_world(5, 5), 3, client=reader).name == "EAST"
    assert cutout(survey_sky, west.pixel_to_world(200, 250), 3, client=reader).name == "WEST"
    assert cutout(survey_sky, (59, 49), 3, client=reader).name == "BIAS"
    assert cutout(survey_sky, (60, 49), 3, client=reader).name == "EAST"
    assert cutout(survey_sky, (60, 49), 3, hdu=("west", 1), client=reader).name == "WEST"


def test_a_position_in_a_gap_says_how_far_it_is(survey_sky: str, reader: Client) -> None:
    """Nowhere is an error that names the file and each HDU, and what pixel it would be."""
    between = SkyCoord(150.41, 2.42, unit="deg")
    with pytest.raises(NoOverlapError) as caught:
        cutout(survey_sky, between, 5, client=reader)
    assert str(caught.value).startswith(survey_sky)
    assert "HDU 1 (BIAS,1) has no celestial coordinates" in str(caught.value)
    assert "in HDU 2 (EAST,1) it would be pixel (x=848.6" in str(caught.value)
    assert caught.value.location == survey_sky
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, AstropyNoOverlapError)  # what programs with Cutout2D catch
    assert type(pickle.loads(pickle.dumps(caught.value))) is type(caught.value)


def test_an_hdu_that_is_named_is_cut_over_its_edge(survey_sky: str, reader: Client) -> None:
    """A position beside the image is right as long as the cutout has a pixel of it; then it has none."""
    found = cutout(survey_sky, (-3, 10), (4, 10), hdu="EAST", client=reader)
    assert found.shape == (4, 2)
    with pytest.raises(
        NoOverlapError,
        match=r"EAST,1\) of 260 x 300 pixels has no pixel of the cutout at pixel \(x=-9, y=10\)$",
    ):
        cutout(survey_sky, (-9, 10), (4, 10), hdu="EAST", client=reader)


def test_beyond_the_edge_there_is_what_was_asked_for(survey_sky: str, put: Put, reader: Client) -> None:
    """NaN by default; integers cannot be NaN, which is said."""
    found = cutout(survey_sky, (0, 0), 5, hdu="EAST", mode="partial", client=reader)
    assert np.isnan(found.data[:2]).all()
    assert np.isnan(found.data[:, :2]).all()
    assert np.array_equal(found.data[2:, 2:], made.noise(SHAPE, 1)[:3, :3])
    url = put(made.written(skies.sky(SHAPE, dtype="i2")))
    with pytest.raises(FITSError, match=r"HDU 1: pixels of int16 beyond the edge cannot be nan"):
        cutout(url, (0, 0), 5, mode="partial", client=reader)
    with pytest.raises(FITSError, match=r"cannot be 7.5 \(it is no whole number\)"):
        cutout(url, (0, 0), 5, mode="partial", fill_value=7.5, client=reader)
    with pytest.raises(FITSError, match="cannot be 70000"):
        cutout(url, (0, 0), 5, mode="partial", fill_value=70000, client=reader)
    assert cutout(url, (0, 0), 5, mode="partial", fill_value=-1, client=reader).data[0, 0] == -1


@pytest.mark.parametrize(
    "value", [1.5, np.int64(-1), np.int64(70000), np.float64(70000), [1, 2, 3], None, np.inf]
)
def test_what_integers_cannot_be_is_not_cut_off(value: Any, put: Put, reader: Client) -> None:
    """NumPy would make 65535 of -1, 1 of 1.5, and 4464 of 70000, in silence."""
    url = put(made.written(skies.sky(SHAPE, dtype="u2")))
    with pytest.raises(FITSError, match=r"HDU 1: pixels of uint16 beyond the edge cannot be"):
        cutout(url, (0, 0), 3, mode="partial", fill_value=value, client=reader)
    for good in (7, 7.0, np.float32(7), np.uint8(7)):
        assert cutout(url, (0, 0), 3, mode="partial", fill_value=good, client=reader).data[0, 0] == 7


def test_an_axis_of_no_pixels(cube: tuple[str, Any], tmp_path: Path, reader: Client) -> None:
    """There is nothing to cut, in any mode: an empty cutout is none."""
    with pytest.raises(NoOverlapError, match=r"CUBE,1\) of 40 x 30 pixels has no pixel"):
        cutout(cube[0], (5, 5), 3, planes=(0, slice(7, 9)), client=reader)
    header = fits.ImageHDU(made.noise((1, 1)), skies.header_of(skies.wcs_of((9, 9)))).header.tostring()
    nothing = header.replace("NAXIS1  =                    1", "NAXIS1  =                    0")
    path = tmp_path / "nothing.fits"
    path.write_bytes(made.written(fits.PrimaryHDU()) + nothing.encode())
    for mode in ("trim", "partial", "strict"):
        with pytest.raises((NoOverlapError, PartialOverlapError), match="HDU 1"):
            cutout(path, (0, 0), 3, hdu=1, mode=mode)


def test_an_order_of_no_distortion(put: Put, reader: Client) -> None:
    """astropy looks for as many terms as an order says: what cannot be one is refused in no time."""
    header = skies.sip(skies.header_of(skies.wcs_of(SHAPE)))
    header["A_ORDER"] = header["B_ORDER"] = 10**6
    url = put(made.written(fits.ImageHDU(made.noise(SHAPE), header)))
    with pytest.raises(FITSError, match="A_ORDER = 1000000 is no order"):
        cutout(url, SkyCoord(150.42, 2.42, unit="deg"), 5, client=reader)
    assert cutout(url, (5, 5), 5, client=reader).wcs is None


def test_an_angle_where_coordinates_are_in_a_table(put: Put, reader: Client) -> None:
    """A pixel's scale is not in the header: its size is to be given in pixels."""
    rows, columns = np.mgrid[:30, :40]
    sky = np.stack([150 + columns * 1e-3, 2 + rows * 1e-3], axis=-1)
    table = fits.Column("C", "2400D", dim="(2,40,30)", array=sky[None])
    header = fits.Header({"PV1_3": 1, "PV2_3": 2})
    for axis, kind in ((1, "RA---TAB"), (2, "DEC--TAB")):
        header.update({f"CTYPE{axis}": kind, f"CUNIT{axis}": "deg", f"PS{axis}_0": "T", f"PS{axis}_1": "C"})
        header.update({f"CRPIX{axis}": 1.0, f"CRVAL{axis}": 1.0, f"CDELT{axis}": 1.0})
    image = fits.ImageHDU(made.noise((30, 40)), header, name="SCI")
    url = put(made.written(image, fits.BinTableHDU.from_columns([table], name="T")))
    where = SkyCoord(150.01, 2.01, unit="deg")
    assert np.array_equal(cutout(url, where, 5, client=reader).data, image.data[8:13, 8:13])
    with pytest.raises(FITSError, match=r"SCI,1\): its coordinates are in a table.*in pixels"):
        cutout(url, where, 5 * u.deg, client=reader)


def test_a_card_that_is_there_twice_and_cannot_be_read(put: Put, tmp_path: Path, reader: Client) -> None:
    """The one that can be read counts, in the header of the cutout too."""
    image = skies.sky(SHAPE)
    image.header["OBJECT"] = "a galaxy"
    broken = made.written(image).replace(b"OBJECT  = 'a galaxy'", b"CRPIX1  = 1.2.3     ")
    found = cutout(put(broken), (50, 60), 7, client=reader)
    crpix = skies.wcs_of(SHAPE).wcs.crpix[0]
    assert fits.getheader(found.write(tmp_path / "it.fits"))["CRPIX1"] == crpix - 47


def test_a_cutout_larger_than_the_image(survey_sky: str, reader: Client) -> None:
    """It is all of it; or as large as asked for, filled up; or so large that no memory holds it."""
    assert cutout(survey_sky, (30, 30), 5000, hdu="BIAS", client=reader).shape == (50, 60)
    filled = cutout(survey_sky, (30, 30), 501, hdu="BIAS", mode="partial", client=reader)
    assert filled.shape == (501, 501)
    assert np.isfinite(filled.data).sum() == 3000
    with pytest.raises(FITSError, match=r"HDU 1 .*does not fit into memory"):
        cutout(survey_sky, (30, 30), 10_000_000, hdu="BIAS", mode="partial", client=reader)


@pytest.mark.parametrize("centre", [(0.0, 10.0), (359.99999, -45.0), (12.0, 90.0), (80.0, -89.9999)])
@pytest.mark.parametrize("frame", ["icrs", "galactic"])
def test_at_the_pole_and_across_the_meridian(
    centre: tuple[float, float], frame: str, put: Put, reader: Client
) -> None:
    """Where longitudes wrap or meet, cutouts are astropy's."""
    hdu = skies.sky(SHAPE, centre=centre, angle=12)
    url, wcs = put(made.written(hdu)), WCS(hdu.header)
    for x, y in ((3, 4), (131, 150), (250, 290)):
        where = wcs.pixel_to_world(x, y).transform_to(frame)
        found = cutout(url, where, 2 * u.arcsec, client=reader)
        agree(found, Cutout2D(hdu.data, where, 2 * u.arcsec, wcs=wcs), wcs)


def test_the_other_side_of_the_sky_is_nowhere(survey_sky: str, reader: Client) -> None:
    """What a projection does not reach has no pixel, although its arithmetic may give one."""
    with pytest.raises(NoOverlapError, match=r"EAST,1\) has no pixel for it"):
        cutout(survey_sky, SkyCoord(330.42, -2.42, unit="deg"), 5, client=reader)
    with pytest.raises(NoOverlapError, match=r"EAST,1\) has no pixel for it"):
        cutout(survey_sky, SkyCoord(330.42, -2.42, unit="deg"), 5, hdu="EAST", client=reader)


def test_farther_away_than_numpy_counts_is_nowhere(put: Put, reader: Client) -> None:
    """At right angles to the image a pixel has 22 digits: it fails alone, and not those beside it."""
    url = put(made.written(skies.sky(SHAPE, centre=(150, 0))))
    for where in (SkyCoord(240, 0, unit="deg"), (1e300, 3), (3, -1e19)):
        with pytest.raises(
            NoOverlapError, match=r"HDU 1 \(SCI,1\) of 260 x 300 pixels has no pixel of the cutout"
        ):
            cutout(url, where, 5, hdu=1, client=reader)
    places = SkyCoord([150, 240], [0, 0], unit="deg")
    found = {one.number: one for one in cutouts(url, places, 5, hdu=1, client=reader)}
    assert found[0].cutout is not None
    assert isinstance(found[1].error, NoOverlapError)


def test_a_frame_that_lacks_something(survey_sky: str, reader: Client) -> None:
    """An altitude without a place and time is no position on the sky, which is said."""
    low = SkyCoord(alt=10 * u.deg, az=20 * u.deg, frame="altaz")
    with pytest.raises(
        FITSError, match=r"EAST,1\): the position cannot be told in its coordinates"
    ) as caught:
        cutout(survey_sky, low, 5, hdu="EAST", client=reader)
    assert caught.value.location == survey_sky
    with pytest.raises(ValueError, match="frames that cannot be told in one"):
        cutout(survey_sky, [low, SkyCoord(150, 2, unit="deg")], 5, client=reader)


def test_pixels_that_are_not_square_have_the_size_that_was_asked_for(put: Put, reader: Client) -> None:
    """An angle along y is divided by a pixel's height; Cutout2D takes its width (astropy's issue 11362)."""
    hdu = skies.sky(SHAPE, scale=(0.1, 0.05))
    url, wcs = put(made.written(hdu)), WCS(hdu.header)
    found = cutout(url, wcs.pixel_to_world(100, 100), (2, 4) * u.arcsec, client=reader)
    assert found.shape == (40, 40)
    agree(found, Cutout2D(hdu.data, wcs.pixel_to_world(100, 100), (40, 40), wcs=wcs), wcs)


def test_an_image_whose_first_axis_is_declination(put: Put, reader: Client) -> None:
    """Axes are the image's, whichever is which on the sky; Cutout2D takes x for the longitude."""
    hdu = skies.sky(SHAPE, names=("DEC", "RA"), centre=(2.42, 150.42))
    wcs = WCS(hdu.header)
    declination, right_ascension = wcs.wcs_pix2world(70, 200, 0)
    where = SkyCoord(right_ascension, declination, unit="deg")
    found = cutout(put(made.written(hdu)), where, (9, 5), client=reader)
    assert np.array_equal(found.data, hdu.data[196:205, 68:73])
    assert np.allclose(found.wcs.wcs_pix2world(2, 4, 0), (declination, right_ascension), atol=1e-10)


@pytest.fixture
def cube(put: Put) -> tuple[str, Any]:
    """The URL of a cube of velocities and polarizations, and its HDU."""
    header = skies.header_of(skies.wcs_of((30, 40), kind="SIN", scale=(2, 2)))
    header.update(
        CTYPE3="VRAD", CUNIT3="m/s", CRPIX3=1.0, CRVAL3=1e3, CDELT3=250.0, CD3_3=250.0,
        CTYPE4="STOKES", CRPIX4=1.0, CRVAL4=1.0, CD4_4=1.0, WCSAXES=4,
    )  # fmt: skip
    hdu = fits.ImageHDU(made.noise((2, 7, 30, 40)), header, name="CUBE")
    return put(made.written(hdu)), hdu


def test_a_cube_is_cut_along_its_celestial_axes(cube: tuple[str, Any], frugal: Client) -> None:
    """All planes, or those that are asked for, of which a single one has no axis."""
    url, hdu = cube
    where = WCS(hdu.header).celestial.pixel_to_world(21, 11)
    found = cutout(url, where, (5, 7), client=frugal)
    assert np.array_equal(found.data, hdu.data[:, :, 9:14, 18:25])
    assert np.allclose(found.wcs.wcs_pix2world(3, 2, 0), (where.ra.deg, where.dec.deg), atol=1e-10)
    assert frugal.usage.round_trips == 1  # it is so small that all of it came with the header
    for planes, expected in (
        ((0, 3), hdu.data[0, 3]),
        ((slice(None), slice(1, 6, 2)), hdu.data[:, 1:6:2]),
        ((1,), hdu.data[1]),
        ((..., -1), hdu.data[:, -1]),
        (1, hdu.data[1]),
    ):
        found = cutout(url, where, (5, 7), planes=planes, client=frugal)
        assert np.array_equal(found.data, expected[..., 9:14, 18:25]), planes
        assert found.shape == found.data.shape
        assert found.bbox_original == ((9, 13), (18, 24))
    full = WCS(found.header)
    assert np.allclose(full.celestial.wcs_pix2world(3, 2, 0), (where.ra.deg, where.dec.deg), atol=1e-10)
    assert full.wcs_pix2world(0, 0, 6, 0, 0)[2] == WCS(hdu.header).wcs_pix2world(0, 0, 6, 0, 0)[2]


def test_a_cube_is_filled_up_in_each_plane(cube: tuple[str, Any], reader: Client) -> None:
    """Beyond an edge of the sky; the other axes are what they are."""
    url, hdu = cube
    found = cutout(url, (0, 0), 3, mode="partial", planes=1, client=reader)
    assert found.shape == (7, 3, 3)
    assert np.isnan(found.data[:, 0]).all()
    assert np.array_equal(found.data[:, 1:, 1:], hdu.data[1, :, :2, :2])


def test_planes_that_are_not_there(cube: tuple[str, Any], reader: Client) -> None:
    """They are an error that says how many axes there are, or what is out of range."""
    url, _ = cube
    with pytest.raises(FITSError, match=r"CUBE.*2 axes beside the celestial ones"):
        cutout(url, (5, 5), 3, planes=(0, 0, 0), client=reader)
    with pytest.raises(FITSError, match=r"CUBE.*index 9 is out of range for an axis of 7"):
        cutout(url, (5, 5), 3, planes=(0, 9), client=reader)
    with pytest.raises(TypeError, match="planes="):
        cutout(url, (5, 5), 3, planes=("velocity",), client=reader)


def test_axes_of_the_sky_that_are_not_the_last(put: Put, reader: Client) -> None:
    """A spectrum along the fastest axis: the celestial axes are cut wherever they are."""
    flat = skies.header_of(skies.wcs_of((30, 40)))
    header = fits.Header({"WCSAXES": 3, "CTYPE1": "WAVE", "CUNIT1": "m", "CD1_1": 1e-9, "CRVAL1": 5e-7})
    for new, old in ((2, 1), (3, 2)):
        for keyword in ("CTYPE", "CUNIT", "CRVAL", "CRPIX"):
            header[f"{keyword}{new}"] = flat[f"{keyword}{old}"]
        for to, of in ((2, 1), (3, 2)):
            header[f"CD{new}_{to}"] = flat[f"CD{old}_{of}"]
    hdu = fits.ImageHDU(made.noise((30, 40, 8)), header)
    found = cutout(put(made.written(hdu)), WCS(header).celestial.pixel_to_world(21, 11), 5, client=reader)
    assert np.array_equal(found.data, hdu.data[9:14, 19:24])


def test_lists_share_one_plan(far: ObjectServer, tmp_path: Path, frugal: Client) -> None:
    """Many positions, in several HDUs: one round trip, however many; what they share is read once."""
    names = ("A", "B", "C")
    hdus = [skies.sky(SHAPE, name=name, seed=n, centre=(150 + n, 2)) for n, name in enumerate(names)]
    far.public.add("night")
    far.put("night", "three.fits", made.written(*hdus))
    url = far.url_for("night", "three.fits")
    index = save_index(url, tmp_path / "index")
    places = [WCS(hdu.header).pixel_to_world(*at) for hdu in hdus for at in ((50, 60), (52, 61), (200, 7))]
    before = len(far.requests)
    found = cutout(url, places, 9, index=index, client=frugal)
    assert [one.name for one in found] == [name for name in names for _ in range(3)]
    assert frugal.usage.round_trips == 1
    assert not made.asked_twice(far.requests[before:])
    for one, place, hdu in zip(found, places, [hdu for hdu in hdus for _ in range(3)], strict=True):
        agree(one, Cutout2D(hdu.data, place, 9, wcs=WCS(hdu.header)), WCS(hdu.header))
    together = cutout(url, SkyCoord(places), 9, index=index, client=frugal)
    assert all(np.array_equal(a.data, b.data) for a, b in zip(found, together, strict=True))


def test_lists_of_tiles_share_two_round_trips(put: Put, frugal: Client, night: ObjectServer) -> None:
    """Rows of the table for all, then tiles for all, none of them twice."""
    hdus = [hdu_of("gzip"), hdu_of("rice")]
    hdus[1].name = "RICE"
    url = put(made.written(*hdus))
    places = [(30, 30), (35, 30), (200, 250)]
    for key, hdu in zip(("SCI", "RICE"), hdus, strict=True):
        before = frugal.usage.round_trips
        found = cutout(url, places, 20, hdu=key, client=frugal)
        assert frugal.usage.round_trips - before <= 4
        for one, (x, y) in zip(found, places, strict=True):
            assert np.array_equal(one.data, hdu.data[y - 10 : y + 10, x - 10 : x + 10])


def test_a_list_fails_with_its_first_failure(survey_sky: str, reader: Client) -> None:
    """One that is nowhere is an error for the list; the message says which position."""
    with pytest.raises(NoOverlapError, match=r"pixel \(x=9999, y=3\)"):
        cutout(survey_sky, [(3, 3), (9999, 3)], 3, client=reader)


def test_no_positions_are_no_cutouts(survey_sky: str, frugal: Client) -> None:
    """Of an empty list nothing is read."""
    assert cutout(survey_sky, [], 3, client=frugal) == []
    assert frugal.usage.requests == 0


@pytest.mark.parametrize(
    ("position", "size", "error", "message"),
    [
        ((np.nan, 3), 3, ValueError, "position 0 is not finite"),
        ([(1, 2), (3, np.inf)], 3, ValueError, "position 1 is not finite"),
        (SkyCoord([1, np.nan], [2, 2], unit="deg"), 3, ValueError, "position 1 is not finite"),
        ("M31", 3, TypeError, "'M31' is no position"),
        ((1, 2, 3), 3, TypeError, "is no position"),
        ([(1, 2), SkyCoord(1, 2, unit="deg")], 3, TypeError, "is no position"),
        (None, 3, TypeError, "None is no position"),
        ((True, 2), 3, TypeError, "is no position"),
        ((1, 2), 0, ValueError, "must be above 0"),
        ((1, 2), (3, -1), ValueError, "must be above 0"),
        ((1, 2), np.nan, ValueError, "must be above 0, and finite"),
        ((1, 2), 10**400, ValueError, "no image has as many pixels"),
        ((1, 2), 1e30, ValueError, "no image has as many pixels"),
        ((1, 2), "5 arcsec", TypeError, "it is a number of pixels, or an angle"),
        ((1, 2), 5 * u.m, TypeError, "in pixels, or an angle"),
        ((1, 2), (1, 2, 3), ValueError, "one number, or two"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said_before_anything_is_read(
    position: Any, size: Any, error: type[Exception], message: str, survey_sky: str, frugal: Client
) -> None:
    """Positions and sizes are judged first."""
    with pytest.raises(error, match=message):
        cutout(survey_sky, position, size, client=frugal)
    assert frugal.usage.requests == 0


def test_a_mode_that_is_not_known(survey_sky: str) -> None:
    """Its message has those there are."""
    with pytest.raises(ValueError, match="mode='wrap': it is one of 'trim', 'partial', 'strict'"):
        cutout(survey_sky, (1, 2), 3, mode="wrap")


def test_a_size_of_less_than_a_pixel(survey_sky: str, reader: Client) -> None:
    """It is an error that names the HDU, and no empty array."""
    with pytest.raises(FITSError, match=r"EAST,1\): 0.01 arcsec is less than half a pixel"):
        cutout(survey_sky, skies.wcs_of(SHAPE).pixel_to_world(9, 9), 0.01 * u.arcsec, client=reader)


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        ({}, r"HDU 1 .*has no celestial coordinates: give the position in pixels"),
        ({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--XYZ"}, r"world coordinates of HDU 1 cannot be used"),
        (
            {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CD1_1": 0.0, "CD1_2": 0.0},
            r"world coordinates of HDU 1 cannot be used: .*singular",
        ),
        (
            {
                "CTYPE1": "RA---TAN",
                "CTYPE2": "DEC--TAN",
                "CD1_1": 1.0,
                "CD1_2": 2.0,
                "CD2_1": 2.0,
                "CD2_2": 4.0,
            },
            r"world coordinates of HDU 1 cannot be used: .*singular",
        ),
        ({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": "east"}, r"CRVAL1 = 'east' is no number"),
        ({"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN"}, r"HDU 1.*cannot be told in its coordinates"),
        (
            {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CPDIS1": "LOOKUP", "DP1.EXTVER": 1},
            r"world coordinates of HDU 1 cannot be used: .*WCSDVARR",
        ),
        ({"CTYPE1": "RA---TAN", "CTYPE2": "FREQ"}, r"HDU 1"),
    ],
)
@pytest.mark.parametrize("hdu", [None, 1])
@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")
def test_coordinates_that_are_missing_or_broken(
    cards: dict[str, Any], message: str, hdu: int | None, put: Put, reader: Client
) -> None:
    """For a position on the sky they are an error that names file and HDU; pixels are cut all the same."""
    image = fits.ImageHDU(made.noise((20, 30)), fits.Header(cards))
    url = put(made.written(image))
    with pytest.raises(FITSError, match=message) as caught:
        cutout(url, SkyCoord(1, 2, unit="deg"), 3, hdu=hdu, client=reader)
    assert str(caught.value).startswith(url)
    assert caught.value.hdu == 1
    found = cutout(url, (5, 6), 3, hdu=hdu, client=reader)
    assert np.array_equal(found.data, image.data[5:8, 4:7])


def test_hdus_that_hold_no_image(put: Put, reader: Client) -> None:
    """A table, an empty primary HDU, one axis, and an HDU that is not there."""
    url = put(made.written(fits.ImageHDU(np.arange(9.0), name="LINE"), made.catalogue()))
    for key, message in ((0, "no image"), (1, "one axis"), ("CAT", "a table, no image")):
        with pytest.raises(FITSError, match=message):
            cutout(url, (3, 0), 3, hdu=key, client=reader)
    with pytest.raises(HDUNotFoundError, match="there are"):
        cutout(url, (3, 0), 3, hdu="SCI", client=reader)
    with pytest.raises(NoOverlapError, match="its images have one axis"):
        cutout(url, (3, 0), 3, client=reader)
    with pytest.raises(HDUNotFoundError, match="none of its 2 HDUs holds an image"):
        cutout(put(made.written(made.catalogue())), (3, 0), 3, client=reader)


def test_a_file_that_is_cut_short(put: Put, reader: Client) -> None:
    """Pixels that are missing are an error that names the byte; those there are are cut."""
    url = put(made.written(skies.sky(SHAPE))[:-100_000])
    assert cutout(url, (100, 10), 9, hdu=1, client=reader).shape == (9, 9)
    with pytest.raises(CorruptFITSError, match=r"HDU 1 is cut short: .* the object ends at byte 219680"):
        cutout(url, (100, 290), 9, hdu=1, client=reader)


def test_an_object_that_was_overwritten(put: Put, reader: Client, tmp_path: Path) -> None:
    """With an index of the version before, nothing of the new one is cut."""
    url = put(made.written(skies.sky(SHAPE)))
    index = save_index(url, tmp_path / "index")
    put(made.written(skies.sky(SHAPE, seed=4)))
    with pytest.raises(ObjectChangedError, match="Its index is of the version before"):
        cutout(url, (100, 10), 9, index=index, client=reader)


def test_what_is_written_is_a_file_of_the_cutout(
    served: dict[str, str], reader: Client, tmp_path: Path
) -> None:
    """Pixels, header and coordinates; and where they are from: object, ETag, HDU and section."""
    for kind in KINDS:
        found = cutout(served[kind], (100, 120), (20, 30), client=reader)
        path = found.write(tmp_path / f"{kind}.fits")
        with fits.open(path) as written, fits.open(path.parent / path.name, checksum=True):
            written.verify("exception")
            assert len(written) == 1
            assert np.array_equal(written[0].data, found.data)
            assert written[0].name == "SCI"
            wcs = WCS(written[0].header)
            corners = [[0, 0], [29, 19]]
            assert apart(wcs.all_pix2world(corners, 0), found.wcs.all_pix2world(corners, 0)) < 1e-10
            said = "".join(written[0].header["HISTORY"])
            assert "cutout 110:130,85:115 (NumPy order, from 0) of HDU 1 (SCI,1) of" in said
            assert served[kind] in said
            assert 'ETag "' in said
            assert written[0].header["LTV1"] == -85


def test_a_file_that_is_there_is_not_replaced(survey_sky: str, reader: Client, tmp_path: Path) -> None:
    """Unless it is asked for."""
    found = cutout(survey_sky, (3, 3), 3, client=reader)
    path = tmp_path / "cutout.fits"
    path.write_bytes(b"mine")
    with pytest.raises(ObjectExistsError, match="overwrite=True replaces it"):
        found.write(path)
    assert path.read_bytes() == b"mine"
    assert found.write(path, overwrite=True) == path
    assert fits.getdata(path).shape == (3, 3)


def test_where_a_cutout_is_written(survey_sky: str, reader: Client, tmp_path: Path) -> None:
    """A name in .gz is compressed, as astropy does; what is no file of this machine is refused."""
    found = cutout(survey_sky, (3, 3), 3, client=reader)
    path = found.write(tmp_path / "cutout.fits.gz")
    assert path.read_bytes().startswith(b"\x1f\x8b")
    assert np.array_equal(fits.getdata(path), found.data)
    for write in (found.write, found.picture):
        with pytest.raises(ValueError, match=r"astro_cloud\.upload"):
            write("s3://bucket/cutout.fits")


def test_hdus_that_go_along(put: Put, frugal: Client, tmp_path: Path) -> None:
    """They are cut alike, read in the same round trip, and written in their order under their names."""
    primary = fits.PrimaryHDU()
    primary.header["TELESCOP"] = "HST"
    science = skies.sky(SHAPE)
    error, quality = made.image("ERR", shape=SHAPE), made.image("DQ", shape=SHAPE, dtype="i2")
    url = put(made.written(primary, science, error, quality))
    options: dict[str, Any] = {"hdu": "SCI", "client": frugal}
    found = cutout(url, (50, 60), 7, also=["DQ", ("ERR", 1), 0], **options)
    with fits.open(found.write(tmp_path / "along.fits")) as written:
        written.verify("exception")
        assert [hdu.name for hdu in written] == ["PRIMARY", "SCI", "ERR", "DQ"]
        assert written[0].header["TELESCOP"] == "HST"
        for name, whole in (("SCI", science), ("ERR", error), ("DQ", quality)):
            assert np.array_equal(written[name].data, whole.data[57:64, 47:54])
            assert "of HDU" in "".join(written[name].header["HISTORY"])
    before = frugal.usage.round_trips
    with fits.open(cutout(url, (50, 60), 7, also="DQ", **options).write(tmp_path / "one.fits")) as written:
        assert [hdu.name for hdu in written] == ["PRIMARY", "SCI", "DQ"]
        assert len(written[0].header) < 10
    assert frugal.usage.round_trips - before <= 3


def test_hdus_counted_from_the_end(put: Put, reader: Client) -> None:
    """They have the same numbers as counted from the start: in HISTORY, in the file, and beside others."""
    url = put(made.written(skies.sky(SHAPE), made.image("ERR", shape=SHAPE)))
    found = cutout(url, (50, 60), 7, hdu=-2, also=[-1, 1, np.int64(2), 0], client=reader)
    assert found.hdu == 1
    assert "of HDU 1 (SCI,1) of" in "".join(found.header["HISTORY"])
    assert [hdu.name for hdu in found.to_hdus()] == ["PRIMARY", "SCI", "ERR"]
    along = cutout(url, (50, 60), 7, also=("ERR", np.int64(1)), client=reader)
    assert [hdu.name for hdu in along.to_hdus()] == ["PRIMARY", "SCI", "ERR"]
    with pytest.raises(HDUNotFoundError, match="has no HDU -4"):
        cutout(url, (50, 60), 7, hdu=-4, client=reader)


@pytest.mark.parametrize("key", [1.0, True, ("SCI",), ("SCI", 1, 2), ("SCI", "1"), b"SCI", ["SCI", 1]])
def test_what_is_no_hdu_is_said_before_anything_is_read(key: Any, survey_sky: str, frugal: Client) -> None:
    """Numbers, names, and pairs of these are; for all files of a list it is said once."""
    with pytest.raises(TypeError, match="is no HDU: give a number"):
        cutout(survey_sky, (5, 5), 3, hdu=key, client=frugal)
    with pytest.raises(TypeError, match="is no HDU: give a number"):
        cutouts([survey_sky], (5, 5), 3, also=[key], client=frugal)
    with pytest.raises(ValueError, match="zero"):
        cutouts([survey_sky], (5, 5), 3, planes=slice(0, 9, 0), client=frugal)
    assert frugal.usage.requests == 0


def test_only_what_has_the_shape_can_go_along(put: Put, reader: Client) -> None:
    """Another shape, or a table, is an error."""
    url = put(made.written(skies.sky(SHAPE), made.image("SMALL", shape=(9, 9)), made.catalogue()))
    for key, message in (("SMALL", r"HDU 2 is an image of the shape \(9, 9\)"), ("CAT", "HDU 3 is no image")):
        with pytest.raises(FITSError, match=message):
            cutout(url, (50, 60), 7, also=key, client=reader)
    with pytest.raises(HDUNotFoundError):
        cutout(url, (50, 60), 7, also="ERR", client=reader)


def test_tables_of_distortion_go_along(put: Put, frugal: Client, tmp_path: Path) -> None:
    """Coordinates by tables are right in the cutout, where Cutout2D's are not, and in its file."""
    data = distorted()
    with made.from_memory(data) as local:
        whole, pixels = WCS(local["SCI"].header, fobj=local), local["SCI"].data.copy()
    found = cutout(put(data), whole.pixel_to_world(90.2, 70.3), (30, 40), client=frugal)
    assert frugal.usage.round_trips <= 3
    assert np.array_equal(found.data, pixels[56:86, 71:111])
    corners = np.array([[0, 0], [39, 29], [12, 20]])
    there = corners + np.array([71, 56])
    expected = whole.all_pix2world(there, 0)
    assert apart(found.wcs.all_pix2world(corners, 0), expected) < 1e-10
    assert apart(whole.wcs_pix2world(there, 0), expected) > 1e-6
    assert not found.notes
    with fits.open(found.write(tmp_path / "distorted.fits")) as written:
        wcs = WCS(written[0].header, fobj=written)
        assert apart(wcs.all_pix2world(corners, 0), expected) < 1e-10


@pytest.mark.parametrize("version", [1, 7])
def test_tables_of_what_goes_along(version: int, put: Put, reader: Client, tmp_path: Path) -> None:
    """Where only the errors have distortions: their tables go along too; one that is not there is a note."""
    with made.from_memory(distorted()) as local:
        science, error = local["SCI"], fits.ImageHDU(local["SCI"].data, local["SCI"].header, name="ERR")
        tables = [local["WCSDVARR", axis] for axis in (1, 2)]
        plain = fits.ImageHDU(science.data, skies.header_of(skies.wcs_of((120, 160))), name="SCI")
        error.header["DP1.EXTVER"] = float(version)
        data = made.written(plain, error, *tables)
    found = cutout(put(data), (90, 70), 20, hdu="SCI", also="ERR", client=reader)
    assert bool(found.notes) == (version == 7)
    with fits.open(found.write(tmp_path / "along.fits")) as written, made.from_memory(data) as whole:
        wcs = WCS(written["ERR"].header, fobj=written)
        if version == 1:
            expected = WCS(whole["ERR"].header, fobj=whole).all_pix2world([[83, 64]], 0)
            assert apart(wcs.all_pix2world([[3, 4]], 0), expected) < 1e-10
        assert WCS(written["SCI"].header).has_celestial
    alone = cutout(put(data), (90, 70), 20, hdu="ERR", client=reader)
    assert bool(alone.notes) == (version == 7)
    with fits.open(alone.write(tmp_path / "alone.fits")) as written:
        assert WCS(written[0].header, fobj=written).has_celestial == (version == 1)


def test_a_table_of_coordinates_that_are_not_celestial(put: Put, reader: Client, tmp_path: Path) -> None:
    """A spectrum along a slit, by a table of wavelengths: the table goes along."""
    header = fits.Header({"CTYPE1": "WAVE-TAB", "CUNIT1": "m", "CRPIX1": 1.0, "CRVAL1": 1.0, "CDELT1": 1.0})
    header.update({"CTYPE2": "LINEAR", "PS1_0": "WAVES", "PS1_1": "COORDS", "PV1_1": 1, "PV1_3": 1})
    waves = np.geomspace(1e-6, 2e-6, 40)
    column = fits.Column("COORDS", "40D", dim="(1,40)", array=waves.reshape(1, 40, 1))
    table = fits.BinTableHDU.from_columns([column], name="WAVES")
    url = put(made.written(fits.ImageHDU(made.noise((30, 40)), header, name="SLIT"), table))
    found = cutout(url, (20, 15), 9, client=reader)
    with fits.open(found.write(tmp_path / "slit.fits")) as written:
        wcs = WCS(written[0].header, fobj=written)
        assert np.allclose(wcs.wcs_pix2world(np.column_stack([range(9), range(9)]), 0)[:, 0], waves[16:25])


def distorted() -> bytes:
    """Return a file whose coordinates are distorted by two tables at its end, as Hubble's cameras have it."""
    header = skies.header_of(skies.wcs_of((120, 160)))
    tables = []
    for axis in (1, 2):
        header[f"CPDIS{axis}"] = "LOOKUP"
        header[f"DP{axis}"] = f"EXTVER: {axis}"
        header[f"DP{axis}"] = "NAXES: 2"
        header.append((f"DP{axis}", "AXIS.1: 1"))
        header.append((f"DP{axis}", "AXIS.2: 2"))
        rows, columns = np.mgrid[:13, :17]
        table = fits.ImageHDU((np.sin(rows / 3 + axis) + columns / 9).astype("f4"), name="WCSDVARR", ver=axis)
        table.header.update(CRPIX1=1.0, CRPIX2=1.0, CRVAL1=1.0, CRVAL2=1.0, CDELT1=10.0, CDELT2=10.0)
        tables.append(table)
    return made.written(fits.ImageHDU(made.noise((120, 160)), header, name="SCI"), made.image("ERR"), *tables)


def test_a_picture_is_written(served: dict[str, str], reader: Client, tmp_path: Path) -> None:
    """As a PNG file, as a notebook shows it; a file that is there is kept."""
    found = cutout(served["plain"], (100, 120), (20, 30), client=reader)
    path = found.picture(tmp_path / "picture.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.read_bytes() == found._repr_png_()
    with pytest.raises(ObjectExistsError, match="overwrite=True replaces it"):
        found.picture(path)
    assert found.picture(path, stretch="linear", overwrite=True).read_bytes() != found._repr_png_()


def test_planes_have_no_picture(cube: tuple[str, Any], reader: Client, tmp_path: Path) -> None:
    """A notebook shows their text; who asks for the picture is told to choose one."""
    found = cutout(cube[0], (10, 10), 5, client=reader)
    assert found._repr_png_() is None
    with pytest.raises(FITSError, match="planes"):
        found.picture(tmp_path / "picture.png")
    assert cutout(cube[0], (10, 10), 5, planes=(0, 0), client=reader)._repr_png_() is not None


def test_a_cutout_travels(served: dict[str, str], reader: Client, tmp_path: Path) -> None:
    """It can be pickled and copied without the file, and written where it arrives."""
    found = cutout(served["sip"], (100, 120), (20, 30), client=reader)
    for copied in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        assert np.array_equal(copied.data, found.data)
        assert repr(copied) == repr(found)
        assert fits.getheader(copied.write(tmp_path / "it.fits", overwrite=True)) == found.to_hdus()[0].header
        assert np.array_equal(copied.wcs.all_pix2world([[3, 4]], 0), found.wcs.all_pix2world([[3, 4]], 0))


def test_a_cutout_tells_what_it_is(served: dict[str, str], reader: Client) -> None:
    """Its repr has shape, type, HDU and object."""
    found = cutout(served["plain"], (100, 120), (20, 30), client=reader)
    assert repr(found) == f"<Cutout (20, 30) float32 of HDU 1 (SCI,1) of {served['plain']}>"
    assert (found.location, found.hdu, found.name, found.version) == (served["plain"], 1, "SCI", 1)


def test_secrets_of_a_location_are_not_told(night: ObjectServer, tmp_path: Path, reader: Client) -> None:
    """A signed URL leaves no signature in the cutout, its file or its errors."""
    night.put("night", "file.fits", made.written(skies.sky(SHAPE)))
    url = night.url_for("night", "file.fits") + "?token=secret"
    found = cutout(url, (50, 60), 7, client=reader)
    assert "secret" not in repr(found) + found.location
    assert b"secret" not in found.write(tmp_path / "file.fits").read_bytes()
    with pytest.raises(NoOverlapError) as caught:
        cutout(url, (5000, 60), 7, client=reader)
    assert "secret" not in str(caught.value)


def test_a_local_file_is_cut_too(files: dict[str, Path]) -> None:
    """A path is a location."""
    found = cutout(files["rice"], (100, 120), 5)
    with fits.open(files["rice"]) as local:
        agree(found, Cutout2D(local[1].data, (100, 120), 5, wcs=WCS(local[1].header)), WCS(local[1].header))


def test_the_names_are_handed_out_lazily() -> None:
    """`astro_cloud.fits` has the functions, and they stay what they are when their modules are imported."""

    assert callable(cloud_fits.cutout)
    assert callable(cloud_fits.cutouts)
    assert cloud_fits.Cutout.__name__ == "Cutout"


def test_positions_and_sizes_that_no_image_has(survey_sky: str, reader: Client) -> None:
    """Numbers beyond any image are no overlap, or too much for any memory, and no overflow."""
    for far in ((1e300, 1), (-1e18, 5), (4, 1e17)):
        with pytest.raises(NoOverlapError):
            cutout(survey_sky, far, 5, client=reader)
        with pytest.raises(NoOverlapError):
            cutout(survey_sky, far, 5, hdu="EAST", mode="partial", client=reader)
    with pytest.raises(
        FITSError, match=r"EAST,1\): a cutout of 300.0 deg x 300.0 deg does not fit into memory"
    ):
        cutout(
            survey_sky, skies.wcs_of(SHAPE).pixel_to_world(9, 9), 300 * u.deg, mode="partial", client=reader
        )


def test_a_name_that_breaks_rules(put: Put, reader: Client, tmp_path: Path) -> None:
    """An EXTNAME with control characters keeps nobody from the pixels, and is in no message as it is."""
    data = made.written(skies.sky(SHAPE, name="SCIENCE")).replace(b"'SCIENCE '", b"'SC\x1b[31m '")
    found = cutout(put(data), (50, 60), 7, client=reader)
    assert found.shape == (7, 7)
    assert "\x1b" not in repr(found)
    assert fits.getdata(found.write(tmp_path / "odd.fits")).shape == (7, 7)
    assert found.notes == ["removed EXTNAME: it cannot be read"]
    with pytest.raises(NoOverlapError) as caught:
        cutout(put(data), (5000, 60), 7, client=reader)
    assert "\x1b" not in str(caught.value)


def test_a_disk_that_is_full(survey_sky: str, reader: Client, tmp_path: Path) -> None:
    """It is an error that names the file, of which nothing is left."""
    resource = pytest.importorskip("resource", reason="only POSIX bounds the size of files")
    found = cutout(survey_sky, (100, 100), 200, hdu="EAST", client=reader)
    folder = tmp_path / "full"
    folder.mkdir()
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(StorageError, match=r"full\.fits"):
            found.write(folder / "full.fits")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert list(folder.iterdir()) == []


def test_what_is_written_are_the_pixels_as_they_are(survey_sky: str, reader: Client, tmp_path: Path) -> None:
    """Whoever puts others in their place has those written; of another shape they are refused."""
    found = cutout(survey_sky, (30, 30), 5, hdu="EAST", client=reader)
    found.data = found.data - 1000
    assert np.array_equal(fits.getdata(found.write(tmp_path / "less.fits")), found.data)
    found.data = found.data[1:]
    with pytest.raises(ValueError, match=r"data of the shape \(4, 5\) in a cutout of \(5, 5\)"):
        found.write(tmp_path / "less.fits", overwrite=True)
