"""Pictures of images: judged by what is on them, by astropy's coordinates, and by pillow."""

from __future__ import annotations

import io
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from matplotlib.figure import Figure
from PIL import Image

from astro_cloud.exceptions import FITSError
from astro_cloud.fits import picture_pixels
from astro_cloud.fits.compass import compass_of, round_angle
from astro_cloud.fits.picture import as_png, picture
from astro_cloud.fits.picture_pixels import MOST_DRAWN, drawn, norm_of

Array = np.ndarray[Any, Any]
NOISE = np.random.default_rng(8).normal(10, 1, (60, 90)).astype(np.float32)


def sky(
    turn: float = 0,
    parity: int = -1,
    place: tuple[float, float] = (150.42, 2.42),
    scale: float = 0.05 / 3600,
    kind: tuple[str, str] = ("RA---TAN", "DEC--TAN"),
    pixel: tuple[float, float] = (45.5, 30.5),
) -> WCS:
    """Make coordinates turned by so many degrees, seen from inside (-1) or outside of the sky (1)."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = kind, place, pixel
    cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    wcs.wcs.cd = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([parity * scale, scale])
    return wcs


def words(figure: Figure) -> list[str]:
    """Return all that is written, but for labels of ticks."""
    texts = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
    return [text.get_text() for text in texts]


def artist(figure: Figure, name: str) -> Any:
    """Return what was drawn by that name; None if it was not."""
    found = figure.findobj(lambda one: one.get_gid() == name)
    return found[0] if found else None


def tick_labels(coord: Any) -> Any:
    """Return WCSAxes' labels of a coordinate, which newer astropys have under another name."""
    return coord._ticklabels if hasattr(coord, "_ticklabels") else coord.ticklabels


def size_of(png: bytes) -> tuple[int, int]:
    """Return how large a picture is, once pillow has read it, and seen more than two colors in it."""
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB")).astype(np.uint32) @ np.array(
            [1 << 16, 1 << 8, 1], np.uint32
        )
        others = pixels[pixels != pixels[0, 0]]
        assert others.size
        assert (others != others[0]).any()
        return image.size


def arrow(figure: Figure, letter: str) -> Array:
    """Return the direction of an arrow on the screen, of length 1."""
    patch = artist(figure, f"arrow {letter}")
    (x0, y0), (x1, y1) = patch.get_transform().transform(patch._posA_posB)
    step = np.array([x1 - x0, y1 - y0])
    return step / np.hypot(*step)


SLOW = pytest.mark.slow
"""Each picture takes some tenths of a second."""


@pytest.mark.parametrize("parity", [-1, 1])
@pytest.mark.parametrize("turn", [30, *(pytest.param(turn, marks=SLOW) for turn in (0, 90, 135, 200, -77))])
@pytest.mark.parametrize("place", [(150.42, 2.42), (0.0, -60.0), (10.0, 89.99)])
def test_north_and_east_are_where_astropy_has_them(
    turn: float, parity: int, place: tuple[float, float]
) -> None:
    """A step to the north, or east, along the sky leads along the arrow, for any rotation and parity."""
    wcs = sky(turn, parity, place)
    figure = picture(NOISE, wcs, title="turned")
    centre = wcs.pixel_to_world(44.5, 29.5)
    at = np.array(centre.to_pixel(wcs))
    for letter, angle in (("N", 0), ("E", 90)):
        moved = np.array(centre.directional_offset_by(angle * u.deg, 0.01 * u.arcsec).to_pixel(wcs))
        expected = (moved - at) / np.hypot(*(moved - at))
        assert np.allclose(arrow(figure, letter), expected, atol=1e-3)
        assert letter in words(figure)


def test_arrows_of_oblong_pixels_follow_the_screen() -> None:
    """In a picture that is not to scale an arrow points to where the pixel to the north is drawn."""
    wcs = sky(5, pixel=(450, 10))
    figure = picture(np.zeros((20, 900)), wcs, title="long")
    assert any("not to scale" in line for line in words(figure))
    centre = wcs.pixel_to_world(449.5, 9.5)
    ends = figure.axes[0].transData.transform(
        [centre.to_pixel(wcs), centre.directional_offset_by(0 * u.deg, 0.1 * u.arcsec).to_pixel(wcs)]
    )
    step = ends[1] - ends[0]
    assert np.allclose(arrow(figure, "N"), step / np.hypot(*step), atol=1e-3)
    one_way = picture(np.zeros((3, 4000)), sky(40, pixel=(2000, 2)), title="very long")
    assert artist(one_way, "arrow N") is None
    assert any("no directions: they are one" in line for line in words(one_way))


@pytest.mark.parametrize(
    ("kind", "letters", "name"),
    [
        (("RA---TAN", "DEC--TAN"), ("N", "E"), "RA (ICRS)"),
        (("GLON-CAR", "GLAT-CAR"), ("+b", "+l"), "Galactic longitude"),
        (("ELON-TAN", "ELAT-TAN"), ("+β", "+λ"), "Ecliptic longitude"),
        (("HPLN-TAN", "HPLT-TAN"), ("+lat", "+lon"), "HPLN"),
    ],
)
def test_axes_are_those_of_the_coordinates(
    kind: tuple[str, str], letters: tuple[str, str], name: str
) -> None:
    """Each system has its own names, and its own directions."""
    figure = picture(NOISE, sky(20, kind=kind, place=(121.0, -21.0)), title="system")
    figure.canvas.draw()
    assert set(letters) <= set(words(figure))
    assert {axis.get_axislabel() for axis in figure.axes[0].coords} >= {name}


def test_axes_may_be_swapped() -> None:
    """Where the first axis is the latitude, that is what is written along x."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ("DEC--TAN", "RA---TAN"), (2.42, 150.42), (45.5, 30.5)
    wcs.wcs.cdelt = (1e-5, 1e-5)
    figure = picture(NOISE, wcs, title="swapped")
    assert np.allclose(arrow(figure, "N"), (1, 0), atol=1e-6)
    assert np.allclose(arrow(figure, "E"), (0, 1), atol=1e-6)
    latitude, longitude = figure.axes[0].coords
    assert (latitude.get_axislabel(), latitude.get_axislabel_position()) == ("Dec (ICRS)", ["b"])
    assert (longitude.get_axislabel(), longitude.get_axislabel_position()) == ("RA (ICRS)", ["l"])


def test_the_scale_bar_is_as_long_as_it_says() -> None:
    """Its ends are that angle apart on the sky, and about a fifth of the image."""
    wcs = sky(25, scale=0.11 / 3600)
    figure = picture(NOISE, wcs, title="scale")
    bar = artist(figure, "scale bar")
    ends = figure.axes[0].transData.inverted().transform(bar.get_transform().transform(bar.get_xydata()))
    apart = wcs.pixel_to_world(*ends[0]).separation(wcs.pixel_to_world(*ends[1]))
    assert "2″" in words(figure)
    assert apart.arcsec == pytest.approx(2, rel=1e-3)
    assert 0.1 < (ends[1, 0] - ends[0, 0]) / 90 < 0.4


@pytest.mark.parametrize(
    ("degrees", "said"), [(1, "1°"), (0.4, "20′"), (1 / 3600, "1″"), (2e-8, "100 µas"), (500, "60°")]
)
def test_round_angles(degrees: float, said: str) -> None:
    """The bar's angle is round in the unit in which it is written, at most one apart from what was wanted."""
    assert round_angle(degrees)[1] == said
    for bad in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="no length"):
            round_angle(bad)


def test_what_is_written() -> None:
    """Source, size of pixels, stretch, limits and unit: as they are, whatever TeX would make of them."""
    title = "s3://bucket/a$b_{c}\n天\x1b[31m.fits[SCI,1]"
    figure = picture(NOISE, sky(), title=title, unit="$\\frac", stretch="log", interval=99)
    said = words(figure)
    assert "s3://bucket/a$b_{c}\\n\\u5929\\x1b[31m.fits[SCI,1]" in said
    assert "$\\frac" in said
    assert "0.05″/pixel  ·  log stretch, 99 % limits" in said
    assert size_of(as_png(NOISE, sky(), title=title, unit="$\\frac"))


def test_long_titles_are_broken_and_shortened() -> None:
    """All of them stays within the picture, beginning and end of it too."""
    title = "begin" + "x" * 5000 + "end.fits"
    figure = picture(NOISE.T, sky(), title=title)
    renderer = figure.canvas.get_renderer()
    lines = [text for text in figure.texts if text.get_fontsize() == 10]
    assert lines[0].get_text().startswith("beginx")
    assert lines[-1].get_text().endswith("end.fits")
    assert 1 < len(lines) <= 3
    for text in figure.texts:
        box = text.get_window_extent(renderer)
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width
        assert box.y1 <= figure.bbox.height


def _shapes() -> list[Any]:
    return [(1, 1), (1, 7), (3, 400), (2000, 5), (90, 60), (20, 20)]


@pytest.mark.parametrize("shape", _shapes())
@pytest.mark.parametrize("turn", [45, *(pytest.param(turn, marks=SLOW) for turn in (0, 100))])
def test_nothing_overlaps_nor_is_cut_off(shape: tuple[int, int], turn: float) -> None:
    """Labels, arrows, bars and words of any image are apart, and within the picture."""
    wcs = sky(turn, pixel=((shape[1] + 1) / 2, (shape[0] + 1) / 2))
    figure = picture(np.ones(shape), wcs, title="s3://bucket/key[1]", unit="electron / s")
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    texts = [*figure.texts, *figure.axes[0].texts]
    boxes = [text.get_window_extent(renderer) for text in texts if text.get_text()]
    boxes += [label.get_window_extent(renderer) for label in figure.axes[1].get_yticklabels()]
    boxes += [coord._axislabels.get_window_extent(renderer) for coord in figure.axes[0].coords]
    ticks = [box for coord in figure.axes[0].coords for box in _label_boxes(coord, renderer)]
    for box in (*boxes, *ticks):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.width
        assert box.y1 <= figure.bbox.height
        assert [other for other in (*boxes, *ticks) if _overlap(box, other)] == [box]


def _label_boxes(coord: Any, renderer: Any) -> list[Any]:
    labels = tick_labels(coord)
    sides = {side: labels.text[side] for side in coord.get_ticklabel_position() if side in labels.text}
    return [
        labels._get_bb(side, number, renderer)
        for side, texts in sides.items()
        for number in range(len(texts))
    ]


def _overlap(one: Any, other: Any) -> bool:
    return bool(one.x0 < other.x1 and other.x0 < one.x1 and one.y0 < other.y1 and other.y0 < one.y1)


HOLED = np.where(NOISE > 10, np.nan, NOISE)
HOLED[3, 4] = np.inf


@pytest.mark.parametrize(
    "image",
    [
        HOLED,
        np.full((4, 5), np.nan),
        np.full((4, 5), -np.inf),
        np.ma.masked_less(NOISE, 10),
        np.zeros((4, 5)),
        np.full((4, 5), 7, np.uint8),
        np.array([[3]]),
        NOISE > 10,
        np.array([[-(2**63), 2**63 - 1]]),
        np.array([[0, 2**64 - 1]], np.uint64),
        NOISE.astype(">i2"),
        NOISE.astype(np.float16),
        (NOISE - 10) * np.float64(1e307),
        np.array([[-1.7e308, 1.7e308], [0, 1]]),
        np.array([[5e-324, 1e-320]]),
        np.array([[1e20, 1e20 + 1e5]]),
        NOISE[None, None],
        NOISE[:, None, :, None],
        [[1, 2], [3, 4]],
    ],
)
def test_any_image_has_a_picture(image: Any) -> None:
    """Whatever its values and types are, with any stretch, and with nothing to warn of."""
    values = drawn(picture_pixels.two_axes(image)).values
    for stretch in picture_pixels.STRETCHES:
        for interval in ("zscale", "minmax", 99.0):
            norm = norm_of(values, stretch, interval)
            assert norm.vmin < norm.vmax
            assert np.isfinite(norm.inverse(np.linspace(0, 1, 5))).all()
            assert np.isfinite(norm(np.array([norm.vmin, norm.vmax]))).all()
    width, height = size_of(as_png(image, None, title="any"))
    assert width <= 1300
    assert height <= 1300


def test_what_has_no_value_is_said() -> None:
    """In the color that the words name; none of the values has it."""
    assert any("blue: no finite value" in line for line in words(picture(HOLED, None, title="")))
    assert any("no pixel has" in line for line in words(picture(HOLED * np.nan, None, title="")))
    assert not any("blue" in line for line in words(picture(NOISE, None, title="")))
    png = as_png(np.array([[0.0, np.nan]]), None, title="")
    with Image.open(io.BytesIO(png)) as image:
        red, green, blue = image.convert("RGB").getpixel((124 + 480, 200))
    assert blue > green > red


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.zeros((2, 3, 4)), r"shape \(2, 3, 4\): choose planes"),
        (np.zeros(4), r"two axes with pixels, this has the shape \(4,\)"),
        (np.zeros((0, 4)), "two axes with pixels"),
        (np.zeros((1, 0, 4)), "two axes with pixels"),
        (np.zeros((2, 2), complex), "complex128 has no picture"),
        (np.array([["a"]]), "has no picture"),
        (5, "two axes with pixels"),
    ],
)
def test_what_has_no_picture_is_an_error(image: Any, says: str) -> None:
    """The error says what to do."""
    with pytest.raises(FITSError, match=says):
        as_png(image, None, title="none")


def test_wrong_options_are_errors() -> None:
    """They name those there are."""
    for options, says in (
        ({"stretch": "sin"}, "take one of asinh"),
        ({"interval": "most"}, "take zscale"),
        ({"interval": 0}, "more than 0"),
        ({"interval": 101.0}, "at most 100"),
    ):
        with pytest.raises(ValueError, match=says):
            picture(NOISE, None, title="", **options)


def test_axes_of_length_one_are_dropped_where_the_coordinates_say_so() -> None:
    """Of (1, 1, 90) and the like the coordinates know which axes are the image's."""
    wcs = sky()
    wcs.array_shape = (90, 1)
    figure = picture(np.arange(90.0).reshape(90, 1, 1), wcs, title="column")
    assert figure.axes[0].get_ylim() == (-0.5, 89.5)
    assert picture(np.arange(90.0).reshape(1, 1, 90), None, title="").axes[0].get_xlim() == (-0.5, 89.5)


def test_only_celestial_coordinates_are_shown() -> None:
    """A cube's are those of its image; without any, axes count pixels."""
    cube = WCS(naxis=3)
    cube.wcs.ctype, cube.wcs.crval = ("RA---TAN", "DEC--TAN", "FREQ"), (10, 20, 1e9)
    cube.wcs.cdelt = (-1e-4, 1e-4, 1e6)
    assert "N" in words(picture(NOISE, cube, title="cube"))
    plain = WCS(naxis=2)
    for wcs in (plain, None):
        figure = picture(NOISE, wcs, title="pixels")
        assert "N" not in words(figure)
        assert figure.axes[0].get_xlabel() == "x (pixels)"
        assert "asinh stretch, zscale limits" in words(figure)
    singular = sky()
    singular.wcs.cd = [[1e-5, 1e-5], [1e-5, 1e-5]]
    assert any("no directions" in line for line in words(picture(NOISE, singular, title="no way back")))
    assert size_of(as_png(NOISE, singular, title="no way back"))
    beyond = sky(scale=1, kind=("RA---SIN", "DEC--SIN"), pixel=(1000, 1000))
    assert picture(NOISE, beyond, title="not on the sky").axes[0].get_xlabel() == "x (pixels)"


def test_at_a_pole() -> None:
    """North is marked from where it is meant; at the pole itself there is none, and that is said."""
    near = picture(NOISE, sky(place=(30, 90), scale=0.01, pixel=(60.5, 30.5)), title="near")
    assert any("N and E are as at the centre" in line for line in words(near))
    patch = artist(near, "arrow N")
    axes = near.axes[0]
    assert np.allclose(patch._posA_posB[0], (0.5, 0.5))
    assert np.allclose(arrow(near, "N"), (1, 0), atol=1e-6)
    near.canvas.draw()
    assert {side for coord in axes.coords for side in coord.get_ticklabel_position()} == set("btlr")
    there = picture(NOISE, sky(place=(30, 90), scale=0.01), title="there")
    assert artist(there, "arrow N") is None
    assert any("no directions: the centre is a pole" in line for line in words(there))
    assert size_of(as_png(NOISE, sky(place=(30, -90), scale=0.01), title="south"))


def _whole_sky(projection: str, turn: float = 0, place: tuple[float, float] = (0.0, 0.0)) -> WCS:
    kind = (f"RA---{projection}", f"DEC--{projection}")
    return sky(turn, scale=1, kind=kind, place=place, pixel=(181.0, 91.0))


@pytest.mark.parametrize(
    ("projection", "place", "turn"),
    [("CAR", (0, 0), 0), ("AIT", (120, 0), 0), ("SIN", (30, 40), 30), ("SIN", (30, 90), 0)],
)
def test_a_map_without_an_edge_on_the_sky_is_labelled_within(
    projection: str, place: tuple[float, float], turn: float
) -> None:
    """Each label lies on its own line of the grid, and on nothing else; what the lines are of is said."""
    wcs = _whole_sky(projection, turn, place)
    figure = picture(np.ones((181, 361)), wcs, title="map")
    figure.canvas.draw()
    assert any("grid: RA (ICRS) and Dec (ICRS)" in line for line in words(figure))
    axes, renderer = figure.axes[0], figure.canvas.get_renderer()
    labels = [text for text in axes.texts if text.get_gid() == "grid label"]
    assert len(labels) >= 5
    for label in labels:
        x, y = axes.transData.inverted().transform(axes.transAxes.transform(label.get_position()))
        longitude, latitude = wcs.all_pix2world(x, y, 0)
        said = label.get_text().replace("\N{MINUS SIGN}", "-")
        if said.endswith("ʰ"):
            assert (longitude - 15 * float(said[:-1]) + 180) % 360 - 180 == pytest.approx(0, abs=1e-6)
        else:
            assert latitude == pytest.approx(float(said.removesuffix("°")), abs=1e-6)
    boxes = [text.get_window_extent(renderer) for text in axes.texts]
    for box in boxes:
        assert [other for other in boxes if _overlap(box, other)] == [box]
    kinds = {label.get_text()[-1] for label in labels}
    assert kinds == {"ʰ", "°"}


def test_a_wide_turned_field_is_labelled_where_its_lines_end() -> None:
    """Declinations are written where they change; what they are is beside the image, never in it."""
    wcs = sky(80, place=(50, 65), scale=0.2)
    figure = picture(NOISE, wcs, title="turned")
    figure.canvas.draw()
    axes, renderer = figure.axes[0], figure.canvas.get_renderer()
    longitude, latitude = axes.coords
    assert set(latitude.get_ticklabel_position()) == {"b", "t"}
    assert set(longitude.get_ticklabel_position()) == {"l", "r"}
    for coord in axes.coords:
        assert sum(map(len, tick_labels(coord).text.values())) >= 3
    inside = axes.get_window_extent(renderer)
    names = [text for text in figure.findobj(_is_name) if text.get_visible()]
    assert {text.get_text() for text in names} == {"RA (ICRS)", "Dec (ICRS)"}
    assert not any(_overlap(inside, text.get_window_extent(renderer)) for text in names)


def _is_name(one: Any) -> bool:
    return hasattr(one, "get_text") and one.get_text() in ("RA (ICRS)", "Dec (ICRS)")


def test_across_longitude_0() -> None:
    """The compass and the labels do not know where longitudes begin."""
    compass = compass_of(sky(place=(0, 10)), NOISE.shape)
    assert compass is not None
    assert compass.scale == pytest.approx((0.05 / 3600, 0.05 / 3600), rel=1e-6)
    figure = picture(NOISE, sky(place=(0, 10), scale=1 / 3600), title="0")
    figure.canvas.draw()
    labels = [text for side in tick_labels(figure.axes[0].coords[0]).text.values() for text in side]
    assert any(text.startswith("23ʰ59ᵐ") for text in labels)
    assert any(text.startswith("0ʰ00ᵐ") for text in labels)


def test_a_position_is_marked() -> None:
    """In the sky, in any frame, or as a pixel; what is beyond the image is not."""
    wcs = sky(40)
    place = wcs.pixel_to_world(20, 10)
    for position in (place, place.galactic, (20, 10)):
        figure = picture(NOISE, wcs, title="marked", position=position)
        arms = figure.findobj(lambda one: one.get_gid() == "position")
        ends = [arm.get_transform().transform(arm.get_xydata()) for arm in arms]
        middle = figure.axes[0].transData.inverted().transform(np.mean(ends, axis=(0, 1)))
        assert np.allclose(middle, (20, 10), atol=1e-6)
    for position in (SkyCoord(0, 0, unit="deg"), (-5, 3), (float("nan"), 1)):
        assert artist(picture(NOISE, wcs, title="", position=position), "position") is None
    assert artist(picture(NOISE, None, title="", position=place), "position") is None


def test_pixels_are_where_they_are_in_the_image() -> None:
    """The first pixel is at the lower left, drawn or averaged, also where the last block has fewer."""
    image = np.zeros((2, 3))
    image[0, 2] = 1
    with Image.open(io.BytesIO(as_png(image, None, title="", stretch="linear", interval="minmax"))) as shown:
        grey = shown.convert("L")
        bottom, right = grey.height - 62, 124 + 640
        assert grey.getpixel((right - 60, bottom - 40)) > 250
        assert grey.getpixel((right - 60, bottom - 340)) < 5
        assert grey.getpixel((124 + 60, bottom - 40)) < 5
    large = np.arange(3001.0)[:, None] + np.zeros(1700)
    small = drawn(large)
    assert small.block == (3, 2)
    assert small.values.shape == (1001, 850)
    assert np.allclose(small.values[:1000, 0], large[1:3000:3, 0])
    assert small.values[1000, 0] == 3000
    figure = picture(large, None, title="")
    assert figure.axes[0].get_ylim() == (-0.5, 3000.5)
    assert list(artist(figure, "image").get_extent()) == [-0.5, 1699.5, -0.5, 3002.5]
    assert any("downsampled: 1 drawn for 2 × 3 pixels" in line for line in words(figure))


def test_means_are_of_finite_pixels() -> None:
    """A block has a value if one of its pixels has."""
    image = np.ones((3000, 3000), np.float32)
    image[:3, :3] = np.nan
    image[3, 3] = np.inf
    image[4, 4] = 10
    values = drawn(image).values
    assert np.isnan(values[0, 0])
    assert values[1, 1] == pytest.approx(17 / 8)
    assert values[2, 2] == 1


def test_large_images_take_bounded_memory_and_time() -> None:
    """Of a hundred million pixels no copy is made; of more, no more than a bounded number is read."""
    image = np.zeros((10_000, 10_000), np.int16)
    tracemalloc.start()
    try:
        small = drawn(image)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert max(small.values.shape) <= MOST_DRAWN
    assert peak < 160_000_000
    huge = np.broadcast_to(np.float32(3), (1_000_000, 1_000_000))
    small = drawn(huge)
    assert max(small.values.shape) <= MOST_DRAWN
    assert np.all(small.values == 3)
    assert small.values.shape[0] * small.block[0] >= 1_000_000
    assert max(size_of(as_png(huge[:, :2000], sky(), title="huge"))) <= 1300


def test_threads_may_draw() -> None:
    """Pictures drawn at once are those drawn one after another, of one WCS too, and pyplot is not touched."""
    wcs = sky(30)
    jobs = [(NOISE + number, wcs, f"picture {number}") for number in range(6)]
    alone = [as_png(image, place, title=title, unit="Jy") for image, place, title in jobs]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda job: as_png(job[0], job[1], title=job[2], unit="Jy"), jobs))
    assert together == alone


def test_neither_pyplot_nor_settings_are_touched() -> None:
    """A program's own figures and backend are what they were."""
    program = """
import sys, matplotlib, numpy
before = matplotlib.rcParams.copy()
from astro_cloud.fits.picture import as_png
assert "matplotlib.figure" not in sys.modules
as_png(numpy.eye(5), None, title="")
print("matplotlib.pyplot" in sys.modules, matplotlib.rcParams.copy() == before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names what to install."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'astro-cloud\[plot\]'"):
        as_png(NOISE, None, title="")
