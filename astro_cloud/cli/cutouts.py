"""``astro-cloud cutout``: a place in the sky out of an image, as a FITS file or as a picture."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from astro_cloud.cli.access import access_options, client_for
from astro_cloud.cli.fits_words import FITS_NAMES, HDUWords, OutputFile, SectionWords, location_and_hdu
from astro_cloud.cli.report import cost_lines, errors_told, printable, warnings_told
from astro_cloud.exceptions import AstroCloudError, StorageError
from astro_cloud.fits.section_words import HDUKey, SectionKey
from astro_cloud.storage.destination import check_target, target_of
from astro_cloud.storage.whole_file import written_whole

if TYPE_CHECKING:
    from astro_cloud.fits.cutout_image import Cutout

__all__ = ["cutout"]

_STRETCHES = ("asinh", "linear", "log", "sinh", "sqrt", "squared")


class _Size(click.ParamType):  # type: ignore[type-arg]  # click 8.1 knows no argument
    """An angle or pixels, of a square or two sides."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from astro_cloud.fits.position_words import parse_size

        try:
            return parse_size(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(printable(str(error)), param, ctx)


class _Pixel(click.ParamType):  # type: ignore[type-arg]  # click 8.1 knows no argument
    """A pixel, x,y."""

    name = "pixel"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from astro_cloud.fits.position_words import parse_pixel

        try:
            return parse_pixel(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(printable(str(error)), param, ctx)


@click.command(short_help="Cut a place in the sky out of an image, as FITS or as a picture.")
@click.argument("location", metavar="LOCATION[HDU]")
@click.option("--position", metavar="WORDS", help="Place in the sky: coordinates, or an object's name.")
@click.option("--frame", metavar="NAME", help="Of the coordinates: icrs (default), fk5, fk4, galactic ...")
@click.option("--pixel", type=_Pixel(), metavar="X,Y", help="Place in the image instead, counted from 0.")
@click.option(
    "--size",
    type=_Size(),
    metavar="SIZE",
    required=True,
    help="5arcsec, 0.5arcmin, 100 (pixels); of two, with a comma, the height comes first.",
)
@click.option(
    "--hdu",
    type=HDUWords(),
    metavar="HDU",
    help="Number, name, or name,version; LOCATION is taken as it is then.",
)
@click.option(
    "--mode",
    type=click.Choice(["trim", "partial", "strict"]),
    default="trim",
    help="What is beyond the image is left out (trim, the default), filled (partial), or an error (strict).",
)
@click.option("--fill", type=float, metavar="VALUE", help="Of pixels beyond the image: NaN by default.")
@click.option(
    "--planes", type=SectionWords(), metavar="SECTION", help="Of the axes that are not on the sky, such as 3."
)
@click.option(
    "--also", type=HDUWords(), metavar="HDU", multiple=True, help="Cut this HDU too, for the FITS file."
)
@click.option("--index", is_flag=True, help="Use the index that was saved of the file, in its usual place.")
@click.option(
    "--stretch", type=click.Choice(_STRETCHES), help="Of brightness in a picture: asinh by default."
)
@click.option(
    "-o",
    "--output",
    "outputs",
    type=OutputFile(".png"),
    metavar="FILE",
    multiple=True,
    required=True,
    help="The .fits or .png file to write; may be given for each.",
)
@access_options
def cutout(
    location: str,
    position: str | None,
    frame: str | None,
    pixel: tuple[float, float] | None,
    size: Any,
    hdu: HDUKey | None,
    mode: str,
    fill: float | None,
    planes: tuple[str, SectionKey] | None,
    also: tuple[HDUKey, ...],
    index: bool,
    stretch: str | None,
    outputs: tuple[str, ...],
    request_payer: bool,
    **access: Any,
) -> None:
    """Cut a place in the sky out of an image, reading no more than that, as a FITS file or as a picture.

    \b
      astro-cloud cutout 's3://bucket/key[SCI]' --position M31 --size 5arcsec -o m31.fits -o m31.png
      astro-cloud cutout s3://bucket/key --position '10h01m41.13s +02d25m20.58s' --size 5arcsec -o out.png
      astro-cloud cutout s3://bucket/key --position '150.42 2.42' --size 100,50 -o out.fits
      astro-cloud cutout s3://bucket/key --pixel 512,300 --size 64 -o out.fits

    Numbers alone are degrees, with colons hours and degrees; what is no coordinates is an object's name,
    asked of Sesame. The HDU in brackets is a number, a name, or name,version; without it, it is the first
    image that contains the place. Quote it: shells take brackets for a pattern.

    A .fits file has the HDU's header, its world coordinates moved to the cutout. A picture needs matplotlib:
    pip install 'astro-cloud[plot]'. A file that is there is replaced.
    """
    if (position is None) == (pixel is None):
        raise click.UsageError("name the place, by one of --position and --pixel")
    if frame is not None and pixel is not None:
        raise click.UsageError("--frame is of coordinates, given with --position")
    _check_options(outputs, stretch=stretch, also=also)
    location, hdu = location_and_hdu(location, hdu)
    with errors_told(), client_for(request_payer=request_payer, **access) as client:
        targets = _targets(outputs)
        place = pixel if position is None else _sky(position, frame)
        start = time.perf_counter()
        with warnings_told():
            cut = _cut(
                location,
                place,
                size,
                hdu=hdu,
                mode=mode,
                planes=None if planes is None else planes[1],
                also=list(also),
                index=index or None,
                client=client,
                request_payer=request_payer,
                **({} if fill is None else {"fill_value": fill}),
            )
            seconds = time.perf_counter() - start
            _tell(cut, chosen=hdu is None)
            _write(cut, targets, stretch or "asinh")
            click.echo(cost_lines(client.usage.since(), None, seconds), err=True)


def _check_options(outputs: tuple[str, ...], *, stretch: str | None, also: tuple[HDUKey, ...]) -> None:
    """Refuse options that no file would show anything of."""
    pictures = [_is_picture(name) for name in outputs]
    if stretch is not None and not any(pictures):
        raise click.UsageError("--stretch is of a picture: write one with -o FILE.png")
    if also and all(pictures):
        raise click.UsageError("--also is of a FITS file: write one with -o FILE.fits")


def _targets(outputs: tuple[str, ...]) -> dict[Path, bool]:
    """Return the files to write, and if they are pictures, once it is known that they can be written."""
    targets = {target_of(name): _is_picture(name) for name in outputs}
    for target in targets:
        check_target(target)
    if any(targets.values()):
        from astro_cloud.fits.picture import require_matplotlib

        try:
            require_matplotlib()
        except ImportError as error:
            raise StorageError(str(error)) from error
    return targets


def _is_picture(name: str) -> bool:
    return not name.lower().endswith(FITS_NAMES)


def _sky(words: str, frame: str | None) -> Any:
    from astro_cloud.fits.position_words import parse_position

    try:
        return parse_position(words, frame or "icrs")
    except ValueError as error:
        raise click.UsageError(printable(str(error))) from None


def _cut(location: str, place: Any, size: Any, **options: Any) -> Cutout:
    """Cut; what the library takes for a wrong argument is a wrong command."""
    from astro_cloud.fits import cutout as cut

    try:
        made: Cutout = cut(location, place, size, **options)
    except AstroCloudError:
        raise
    except (ValueError, TypeError, IndexError) as error:
        raise click.UsageError(printable(str(error))) from error
    except MemoryError:
        raise StorageError(f"this cutout of {location} does not fit into memory: take less at once") from None
    return made


def _tell(cut: Cutout, *, chosen: bool) -> None:
    """Say what was cut: HDU, shape, where its middle is on the sky, and what could not be kept."""
    name = f" ({cut.name},{cut.version})" if cut.name else ""
    how = ", the first that contains the place" if chosen else ""
    lines = [f"HDU {cut.hdu}{name}{how}: shape {cut.data.shape}, {cut.data.dtype}", _centre(cut)]
    for line in (*lines, *(f"warning: {note}" for note in cut.notes)):
        click.echo(printable(line), err=True)


def _centre(cut: Cutout) -> str:
    from astro_cloud.fits.compass import compass_of, names_of, scale_words

    compass = None if cut.wcs is None else compass_of(cut.wcs, cut.wcs.array_shape)
    if compass is None:
        x, y = cut.center_original
        return f"centre: pixel {x:.7g}, {y:.7g} of the image, without coordinates on the sky"
    longitude, latitude = names_of(cut.wcs)
    return (
        f"centre: {longitude} {compass.longitude:.7f}°, {latitude} {compass.latitude:.7f}°; "
        f"{scale_words(compass.scale)}"
    )


def _write(cut: Cutout, targets: dict[Path, bool], stretch: str) -> None:
    """Write the files; none, if there is no picture of it."""
    from astro_cloud.fits.picture import cutout_png

    png = cutout_png(cut, stretch=stretch) if any(targets.values()) else b""
    for target, is_picture in targets.items():
        if is_picture:
            with written_whole(target) as file:
                file.write(png)
        else:
            cut.write(target, overwrite=True)
