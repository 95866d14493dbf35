"""The picture of an image: its pixels with axes on the sky, north and east, a scale bar and a color bar.

Drawn by matplotlib (extra ``plot``) without pyplot and without touching its settings, so any number of
threads may draw. All is laid out here, in pixels, for any image to be legible: a wide one, one of one pixel,
one of which only a part can be shown.
"""

from __future__ import annotations

import io
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from astro_cloud.fits.compass import Compass, compass_of, names_of, scale_words
from astro_cloud.fits.picture_grid import edge_is_on_sky, label_grid
from astro_cloud.fits.picture_marks import Pair, are_apart, mark_compass, mark_position, mark_scale
from astro_cloud.fits.picture_pixels import Drawn, drawn, norm_of, two_axes
from astro_cloud.fits.picture_text import broken, drawable, shortened, side_by_side, text_style

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from astropy.visualization import ImageNormalize
    from astropy.wcs import WCS
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from astro_cloud.fits.cutout_image import Cutout

__all__ = ["as_png", "cutout_png", "picture", "require_matplotlib"]

_DPI = 100
_LONG, _SHORT, _LONGEST = 640, 170, 960
"""Sides of the image in pixels: the longer one, the shorter at least, the longer one of a stretched one."""
_LEFT, _RIGHT, _BOTTOM, _EDGE = 124, 132, 62, 14
_TITLE, _SMALL = 10.0, 8.0
_TITLE_LINE, _NOTE_LINE = 18, 16
_EXTRA = {
    "bl": (0, 0), "lb": (0, 0), "btlr": (18, 66), "lrbt": (18, 66), "tb": (38, 0), "lr": (0, 118), "": (0, 0),
}  # fmt: skip
"""What labels take above and beside the image, by where those of longitude and latitude are: at one side
each, at two, or at none."""
_BESIDE_EACH_OTHER = ("tb", "lr")
_MOST_TICKS = 16
_ONE_WAY = 3.0
"""How much more both coordinates change along one side of an image than along the other one for that to be
where their labels are."""
_NO_VALUE = "#5b7fb5"
_CURVED = 20.0
"""Degrees that north turns by within an image, from which on it is marked where it is meant."""
_LETTERS = {"RA": ("N", "E"), "GLON": ("+b", "+l"), "ELON": ("+β", "+λ"), "SLON": ("+SGB", "+SGL")}


def require_matplotlib() -> None:
    """Raise the error that says how to install what pictures need, before anything is read for one.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401 -- to see whether it can be
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install 'astro-cloud[plot]'") from error


def cutout_png(cut: Cutout, *, stretch: str = "asinh") -> bytes:
    """Make the picture of a cutout as PNG: what it was cut out of, its unit, and the position marked.

    Raises
    ------
    ImportError, FITSError, ValueError
        As `picture` does; FITSError for more than one plane.
    """
    location = cut.location.partition("?")[0]  # what follows may be a secret that is spelt like no other
    title = f"{location}[{f'{cut.name},{cut.version}' if cut.name else cut.hdu}]"
    unit = cut.header.get("BUNIT")
    return as_png(
        cut.data,
        cut.wcs,
        title=title,
        unit=unit if isinstance(unit, str) else None,
        position=cut.input_position_cutout,
        stretch=stretch,
    )


def as_png(
    data: Any,
    wcs: WCS | None,
    *,
    title: str,
    unit: str | None = None,
    position: SkyCoord | tuple[float, float] | None = None,
    stretch: str = "asinh",
    interval: str | float = "zscale",
) -> bytes:
    """Make the picture of an image as PNG; what it takes and raises is what `picture` does.

    Returns
    -------
    bytes
        At most 1,300 pixels a side, whatever the image is.
    """
    figure = picture(data, wcs, title=title, unit=unit, position=position, stretch=stretch, interval=interval)
    file = io.BytesIO()
    figure.canvas.print_png(file)  # type: ignore[attr-defined]  # Agg's
    return file.getvalue()


def picture(
    data: Any,
    wcs: WCS | None,
    *,
    title: str,
    unit: str | None = None,
    position: SkyCoord | tuple[float, float] | None = None,
    stretch: str = "asinh",
    interval: str | float = "zscale",
) -> Figure:
    """Draw an image.

    Parameters
    ----------
    data : array-like
        Numbers or bools, of the shape (ny, nx); more axes are dropped where they have the length 1. NaN,
        infinities and what is masked are shown as no value.
    wcs : WCS or None
        World coordinates of the image, of which the celestial ones are shown. With None, and without
        celestial ones, the axes count pixels, from 0.
    title : str
        What it is: location and HDU.
    unit : str, optional
        Of the pixels, as BUNIT has it.
    position : SkyCoord or tuple of float, optional
        A place to mark: in the sky, or pixel (x, y) of the image, 0-based.
    stretch : {"asinh", "linear", "log", "sinh", "sqrt", "squared"}
        Curve of brightness, as astropy has it.
    interval : {"zscale", "minmax"} or float
        Between which values; or how many percent of the pixels are to lie between them.

    Returns
    -------
    Figure
        Of matplotlib, with a canvas of Agg; pyplot does not know it. Of more than 1,400 pixels along an axis
        means of blocks are drawn, and the picture says so.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    FITSError
        If the image has no pixels, no two axes, or no real numbers.
    ValueError
        If there is no such stretch or interval.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    image = two_axes(data, None if wcs is None or wcs.naxis != 2 else wcs.array_shape)
    pixels = drawn(image)
    norm = norm_of(pixels.values, stretch, interval)
    sky = _celestial(wcs, pixels.shape)
    layout = _Layout.of(
        pixels.shape,
        drawable(title),
        _notes(pixels, sky, stretch, interval),
        "bl" if sky is None else _label_sides(sky, pixels.shape),
    )
    figure = Figure(figsize=(layout.width / _DPI, layout.height / _DPI), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes = _axes(figure, layout, sky)
    _show(axes, pixels, norm)
    _color_bar(figure, layout, norm, unit)
    _words(figure, layout)
    size = (layout.across, layout.up)
    if position is not None:
        mark_position(axes, size, pixels.shape, _pixel_of(position, sky))
    if sky is not None and sky.compass is not None:
        mark_scale(axes, size, sky.compass.scale[0] * pixels.shape[1])
        if _no_directions(sky, pixels.shape) is None:
            mark_compass(axes, size, pixels.shape, sky.compass, sky.letters, centred=sky.is_curved)
    return figure


@dataclass(frozen=True, slots=True)
class _Sky:
    """World coordinates that can be drawn."""

    wcs: Any
    compass: Compass | None
    has_edge: bool

    @property
    def system(self) -> str:
        return str(self.wcs.wcs.lngtyp).strip()

    @property
    def letters(self) -> tuple[str, str]:
        return _LETTERS.get(self.system, ("+lat", "+lon"))

    @property
    def is_curved(self) -> bool:
        return self.compass is not None and self.compass.turn > _CURVED


def _celestial(wcs: WCS | None, shape: tuple[int, int]) -> _Sky | None:
    """Take the celestial coordinates, a copy that no other thread has; None where no pixel has any."""
    if wcs is None or not wcs.has_celestial:
        return None
    own = deepcopy(wcs) if wcs.naxis == 2 else wcs.celestial
    x, y = np.meshgrid(np.linspace(0, shape[1] - 1, 5), np.linspace(0, shape[0] - 1, 5))
    try:
        places = own.all_pix2world(x.ravel(), y.ravel(), 0)
    except ValueError:  # as all of WCSLIB's errors are, of a matrix that cannot be inverted
        return None
    if not np.isfinite(places).all(axis=0).any():
        return None
    return _Sky(own, compass_of(own, shape), edge_is_on_sky(own, shape))


def _notes(pixels: Drawn, sky: _Sky | None, stretch: str, interval: str | float) -> list[str]:
    """Say how large the pixels are, how bright, and what about them is not as it seems."""
    notes = []
    if sky is not None and sky.compass is not None:
        notes.append(scale_words(sky.compass.scale))
    if sky is not None and not sky.has_edge:
        notes.append(f"grid: {' and '.join(names_of(sky.wcs))}")
    limits = interval if isinstance(interval, str) else f"{interval:g} %"
    notes.append(f"{stretch} stretch, {limits} limits")
    if max(pixels.block) > 1:
        notes.append(f"downsampled: 1 drawn for {pixels.block[1]} × {pixels.block[0]} pixels")
    missing = ~np.isfinite(pixels.values)
    if missing.all():
        notes.append("no pixel has a finite value")
    elif missing.any():
        notes.append("blue: no finite value")
    if _sides(pixels.shape)[2]:
        notes.append("not to scale: pixels are drawn oblong")
    if sky is not None:
        reason = _no_directions(sky, pixels.shape)
        if reason is not None:
            notes.append(f"no directions: {reason}")
        elif sky.is_curved:
            notes.append(f"{sky.letters[0]} and {sky.letters[1]} are as at the centre")
    return notes


def _no_directions(sky: _Sky, shape: tuple[int, int]) -> str | None:
    """Say why north and east are not marked; None if they are."""
    if sky.compass is None:
        return "the centre is not on the sky"
    if sky.compass.north is None or sky.compass.east is None:
        return "the centre is a pole"
    if not are_apart(sky.compass.north, sky.compass.east, _sides(shape)[:2], shape):
        return "they are one where pixels are so oblong"
    return None


def _sides(shape: tuple[int, int]) -> tuple[int, int, bool]:
    """Return how many pixels of the screen the image takes, across and up, and if its own become oblong."""
    ny, nx = shape
    ratio = max(nx, ny) / min(nx, ny)
    long, short = _LONG, round(_LONG / ratio)
    if short < _SHORT:
        long, short = min(_LONGEST, round(_SHORT * ratio)), _SHORT
    across, up = (long, short) if nx >= ny else (short, long)
    return across, up, long / short < ratio * 0.99


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where things are, in pixels: the image is `across` by `up`, at `_LEFT` and `_BOTTOM`."""

    shape: tuple[int, int]
    across: int
    up: int
    title: list[str]
    notes: list[str]
    labels: str

    @classmethod
    def of(cls, shape: tuple[int, int], title: str, notes: list[str], labels: str) -> _Layout:
        across, up, _ = _sides(shape)
        room = _LEFT + across + _RIGHT - 2 * _EDGE
        lines = broken(title, _TITLE, room, lines=3)
        return cls(shape, across, up, lines, side_by_side(notes, _SMALL, room), labels)

    @property
    def beside(self) -> int:
        """Where the color bar begins."""
        return _LEFT + self.across + _EDGE + _EXTRA[self.labels][1]

    @property
    def width(self) -> int:
        return self.beside + _RIGHT - _EDGE

    @property
    def height(self) -> int:
        words = _TITLE_LINE * len(self.title) + _NOTE_LINE * len(self.notes)
        return _BOTTOM + self.up + 2 * _EDGE + words + _EXTRA[self.labels][0]

    def rectangle(self, x: float, y: float, across: float, up: float) -> tuple[float, float, float, float]:
        """Return a rectangle as matplotlib has it, in parts of the figure."""
        return x / self.width, y / self.height, across / self.width, up / self.height


def _axes(figure: Figure, layout: _Layout, sky: _Sky | None) -> Axes:
    rectangle = layout.rectangle(_LEFT, _BOTTOM, layout.across, layout.up)
    ticks = (max(2, min(6, layout.across // 120)), max(2, min(6, layout.up // 75)))
    if sky is None:
        return _pixel_axes(figure, rectangle, ticks)
    from astropy.visualization.wcsaxes import WCSAxes

    axes: Axes = WCSAxes(figure, rectangle, wcs=sky.wcs)
    figure.add_axes(axes)
    coordinates: Any = axes.coords  # type: ignore[attr-defined]  # WCSAxes'
    longitude, latitude = (coordinates[int(n)] for n in (sky.wcs.wcs.lng, sky.wcs.wcs.lat))
    if sky.system == "RA":
        longitude.set_separator(("ʰ", "ᵐ", "ˢ"))  # what it takes by itself is drawn as TeX
    size = (layout.across, layout.up)
    if not layout.labels:
        label_grid(axes, size, layout.shape, ticks)
        return axes
    everywhere = len(layout.labels) == 4
    sides = (layout.labels[:2], layout.labels[2:]) if everywhere else tuple(layout.labels)
    numbers = _tick_numbers(sky, layout, ticks)
    for helper, name, side, number in zip(
        (longitude, latitude), names_of(sky.wcs), sides, numbers, strict=True
    ):
        helper.set_ticks(number=number)
        opposite = "" if layout.labels in _BESIDE_EACH_OTHER else {"b": "t", "l": "r"}[side[0]]
        helper.set_ticks_position(side[0] + opposite)
        helper.set_ticklabel_position(side)
        helper.set_axislabel_position(side[0])
        helper.set_ticklabel(exclude_overlapping=True, **text_style(_SMALL))
        helper.set_axislabel(name, **text_style(9))
        if everywhere:
            helper.set_axislabel("")  # which WCSAxes draws into the image where a side has no label
            _name_side(figure, layout, side[0], name)
            helper.grid(color="white", alpha=0.35, linewidth=0.6)
    return axes


def _name_side(figure: Figure, layout: _Layout, side: str, name: str) -> None:
    """Write which coordinate is at the bottom or at the left."""
    x, y, turn = (
        (_EDGE + 7, _BOTTOM + layout.up / 2, 90) if side == "l" else (_LEFT + layout.across / 2, 21, 0)
    )
    figure.text(
        x / layout.width, y / layout.height, name, rotation=turn, ha="center", va="center", **text_style(9)
    )


def _label_sides(sky: _Sky, shape: tuple[int, int]) -> str:
    """Return at which sides longitude and latitude are written: of bottom, top, left and right; or at none.

    In an image that is long and turned both change along it, and nothing of them is seen at its ends.
    """
    compass = sky.compass
    if not sky.has_edge:
        return ""
    if sky.is_curved:
        turned = (
            compass is not None
            and compass.north is not None
            and abs(compass.north[0]) > abs(compass.north[1])
        )
        return "lrbt" if turned else "btlr"
    if compass is None or compass.north is None or compass.east is None:
        return "bl"
    across, up = _ranges(compass.east, compass.north, shape)
    if all(one > _ONE_WAY * other for one, other in zip(across, up, strict=True)):
        return "tb"
    if all(one > _ONE_WAY * other for one, other in zip(up, across, strict=True)):
        return "lr"
    return "lb" if abs(compass.north[0]) > abs(compass.north[1]) else "bl"


def _ranges(east: Pair, north: Pair, shape: tuple[int, int]) -> tuple[Pair, Pair]:
    """Return by how much longitude and latitude change across an image, and up, in pixels."""
    ny, nx = shape
    return (abs(east[0]) * nx, abs(north[0]) * nx), (abs(east[1]) * ny, abs(north[1]) * ny)


def _tick_numbers(sky: _Sky, layout: _Layout, ticks: tuple[int, int]) -> tuple[int, int]:
    """Return how many ticks longitude and latitude have in all the image, for there to be `ticks` at a side.

    In a turned image a side has a part of a coordinate's range.
    """
    if len(layout.labels) == 4:
        return ticks if layout.labels[0] == "b" else ticks[::-1]
    by_side = [ticks[0 if side in "bt" else 1] for side in layout.labels]
    compass = sky.compass
    if compass is None or compass.north is None or compass.east is None:
        return by_side[0], by_side[1]
    across, up = _ranges(compass.east, compass.north, layout.shape)
    numbers = [
        min(_MOST_TICKS, round(number * (x + y) / max(x if side in "bt" else y, 1e-9)))
        for number, side, x, y in zip(by_side, layout.labels, across, up, strict=True)
    ]
    return numbers[0], numbers[1]


def _pixel_axes(figure: Figure, rectangle: tuple[float, float, float, float], ticks: tuple[int, int]) -> Axes:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes = figure.add_axes(rectangle)
    for axis, number, name in zip((axes.xaxis, axes.yaxis), ticks, "xy", strict=True):
        axis.set_major_locator(MaxNLocator(number, integer=True, min_n_ticks=1))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
        axis.set_label_text(f"{name} (pixels)", **text_style(9))
    axes.tick_params(labelsize=_SMALL, labelfontfamily="DejaVu Sans", color="0.3")
    return axes


def _show(axes: Axes, pixels: Drawn, norm: ImageNormalize) -> None:
    """Show the pixels where they are in the image; the block at an end may reach beyond it."""
    values = np.ma.masked_invalid(np.clip(pixels.values, norm.vmin, norm.vmax))
    (ny, nx), (rows, columns) = pixels.shape, values.shape
    extent = (-0.5, columns * pixels.block[1] - 0.5, -0.5, rows * pixels.block[0] - 0.5)
    shown = axes.imshow(
        values, norm=norm, cmap=_colors(), origin="lower", aspect="auto", extent=extent,
        interpolation="nearest" if max(rows, columns) <= _LONG else "antialiased",
    )  # fmt: skip
    shown.set_gid("image")
    axes.set_xlim(-0.5, nx - 0.5)
    axes.set_ylim(-0.5, ny - 0.5)


def _colors() -> Any:
    from matplotlib import colormaps

    return colormaps["gray"].with_extremes(bad=_NO_VALUE)


def _color_bar(figure: Figure, layout: _Layout, norm: ImageNormalize, unit: str | None) -> None:
    """Draw the bar as it is stretched: brightness grows evenly, values as they do."""
    axes = figure.add_axes(layout.rectangle(layout.beside, _BOTTOM, 14, layout.up))
    axes.set_gid("color bar")
    axes.imshow(
        np.linspace(0, 1, 256)[:, None], cmap=_colors(), origin="lower", aspect="auto", extent=(0, 1, 0, 1)
    )
    places = np.linspace(0, 1, 5 if layout.up > 250 else 3)
    axes.set_xticks([])
    axes.set_yticks(places, _numbers(np.asarray(norm.inverse(places)), norm.vmax - norm.vmin))
    axes.tick_params(
        right=True, left=False, labelright=True, labelleft=False, labelsize=_SMALL,
        labelfontfamily="DejaVu Sans", color="0.3", pad=3,
    )  # fmt: skip
    if unit and (said := drawable(unit).strip()):
        figure.text(
            1 - _EDGE / layout.width, (_BOTTOM + layout.up / 2) / layout.height,
            shortened(said, max(12, layout.up // 8)), rotation=90, ha="right", va="center", **text_style(9),
        )  # fmt: skip


def _numbers(values: Any, span: float) -> list[str]:
    """Write values with as many digits as tell them apart."""
    for digits in range(3, 16):
        texts = [f"{value:.{digits}g}" for value in values]
        if all(
            abs(float(text) - value) <= 0.005 * span for text, value in zip(texts, values, strict=True)
        ) and len(set(texts)) == len(texts):
            break
    return [text.replace("e+0", "e").replace("e+", "e").replace("e-0", "e-") for text in texts]


def _words(figure: Figure, layout: _Layout) -> None:
    """Write the title and the notes above the image."""
    y = float(layout.height - _EDGE)
    for line in layout.title:
        figure.text(_EDGE / layout.width, y / layout.height, line, va="top", **text_style(_TITLE))
        y -= _TITLE_LINE
    for line in layout.notes:
        figure.text(
            _EDGE / layout.width, y / layout.height, line, va="top", color="0.3", **text_style(_SMALL)
        )
        y -= _NOTE_LINE


def _pixel_of(position: SkyCoord | tuple[float, float], sky: _Sky | None) -> tuple[float, float] | None:
    """Return the pixel (x, y) of a place; None where it has none."""
    if isinstance(position, tuple):
        return float(position[0]), float(position[1])
    if sky is None:
        return None
    from astropy.wcs import NoConvergence

    try:
        x, y = position.to_pixel(sky.wcs)
    except (NoConvergence, ValueError):
        return None
    return float(x), float(y)
