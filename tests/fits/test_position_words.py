"""Places and sizes as they are written by hand; names of objects, asked of a real server on loopback."""

from __future__ import annotations

import gc
import socket
from typing import Any

import astropy.units as u
import pytest
from astropy.coordinates import SkyCoord
from astropy.coordinates.name_resolve import sesame_url
from hypothesis import given
from hypothesis import strategies as st

from astro_cloud.exceptions import AstroCloudError, StorageError, TransferTimeoutError
from astro_cloud.fits.position_words import parse_pixel, parse_position, parse_size
from tests.fits.sesame import sesame

PLACE = SkyCoord("10h01m41.13s", "+02d25m20.58s")
SOUTH = SkyCoord("00h00m01.5s", "-00d30m00s")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("10h01m41.13s +02d25m20.58s", PLACE),
        (" 10h01m41.13s  2d25m20.58s ", PLACE),
        ("10h 01m 41.13s +02d 25m 20.58s", PLACE),
        ("10h01m41.13s,+02d25m20.58s", PLACE),
        ("10h01m41.13s+02d25m20.58s", PLACE),
        ("10:01:41.13 +02:25:20.58", PLACE),
        ("10:01:41.13 02:25:20.58", PLACE),
        ("10 01 41.13 +02 25 20.58", PLACE),
        ("10 01 41.13 02 25 20.58", PLACE),
        ("10ʰ01ᵐ41.13ˢ +02°25′20.58″", PLACE),
        ("10h01m41.13s +02°25'20.58\"", PLACE),
        ("150.421375 2.42238333333333", PLACE),
        ("150.421375,2.42238333333333", PLACE),
        ("150.421375, +2.42238333333333", PLACE),
        ("150.421375d 2.42238333333333d", PLACE),
        ("1.50421375e2 2.42238333333333e+0", PLACE),
        ("10.0280916666666667h 2.42238333333333", PLACE),
        ("00:00:01.5 -00:30:00", SOUTH),
        ("0h0m1.5s -0d30m", SOUTH),
        ("0h0m1.5s −0d30m", SOUTH),
        ("-359.99375 -.5", SOUTH),
    ],
)
def test_positions(text: str, place: SkyCoord) -> None:
    """Hours and degrees where letters or colons say so, degrees where nothing does; a sign counts for -00."""
    found = parse_position(text)
    assert found.frame.name == "icrs"
    assert found.separation(place) < 1e-9 * u.deg


@pytest.mark.parametrize(
    ("text", "frame", "name", "degrees"),
    [
        ("10:00:00 +20:00:00", "fk5", "fk5", (150, 20)),
        ("10:00:00 +20:00:00", "FK4", "fk4", (150, 20)),
        ("121:10:30 -21:30:00", "galactic", "galactic", (121.175, -21.5)),
        ("121.175 -21.5", "galactic", "galactic", (121.175, -21.5)),
        ("8h04m42s -21d30m", "galactic", "galactic", (121.175, -21.5)),
        ("200:30:00 5:0:0", "ecliptic", "barycentricmeanecliptic", (200.5, 5)),
        ("200 5", "geocentrictrueecliptic", "geocentrictrueecliptic", (200, 5)),
    ],
)
def test_frames(text: str, frame: str, name: str, degrees: tuple[float, float]) -> None:
    """Coordinates are of the frame that is named; only equatorial longitudes are in hours by themselves."""
    found = parse_position(text, frame)
    assert found.frame.name == name
    assert (found.spherical.lon.deg, found.spherical.lat.deg) == pytest.approx(degrees, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "there is no position"),
        ("150.42", "it is not two coordinates"),
        ("10h01m41.13s", "it is not two coordinates"),
        ("1,2,3", "it is not two coordinates"),
        ("1 2 3", "it is not two coordinates"),
        ("1 -2 -3", "it is not two coordinates"),
        ("1,", "it is not two coordinates"),
        ("150 91", "latitudes at 90"),
        ("361 0", "longitudes end at 360"),
        ("25:00:00 0:0:0", "more than 24 hours"),
        ("10:61:00 0:0:0", "below 60"),
        ("10:01:41.13 2:25:60", "below 60"),
        ("10:01.5:41.13 2:25:20", "below 60"),
        ("10h01m 02h25m", "'02h25m' is no coordinate"),
        ("10h01m1s2s +02d", "is no coordinate"),
        ("1e999 0", "longitudes end at 360"),
        ("x" * 300, "neither a position nor an object's name"),
        ("M\x1b[31m", "neither a position nor an object's name"),
    ],
)
def test_what_is_no_position_says_what_to_write(text: str, says: str) -> None:
    """What begins as coordinates is never asked of anybody as if it were a name."""
    with sesame() as server, pytest.raises(ValueError, match=r"write|longitudes|below|hours") as caught:
        parse_position(text)
    assert says in str(caught.value)
    assert server.asked == []


def test_frames_that_are_none_are_listed() -> None:
    """Those that need more than a name, such as where one stands, are none of them."""
    with pytest.raises(
        ValueError, match=r"no frame 'altaz': take one of icrs, fk5, .*geocentrictrueecliptic"
    ):
        parse_position("1 2", "altaz")


@given(st.floats(0, 359.999), st.floats(-90, 90), st.sampled_from(["hmsdms", "colons", "spaces"]))
def test_what_astropy_writes_is_read(longitude: float, latitude: float, style: str) -> None:
    """Any place, in each of the ways in which astropy writes one, is that place."""
    place = SkyCoord(longitude, latitude, unit="deg")
    sep = {"colons": ":", "spaces": " "}.get(style)
    text = place.to_string("hmsdms", precision=9, **({} if sep is None else {"sep": sep}))
    assert parse_position(text).separation(place) < 1e-8 * u.deg


@given(
    st.text(alphabet="0123456789+-.:, hmsde°'\"", min_size=1, max_size=30).filter(
        lambda t: t[0] not in "hmsde"
    )
)
def test_any_digits_are_a_place_or_an_error(text: str) -> None:
    """Nothing but a ValueError comes of coordinates that are wrong, whatever they are."""
    if not text.strip() or text.strip()[0] not in "0123456789+-.:,":
        return
    try:
        found = parse_position(text, timeout=0)
    except ValueError:
        return
    assert -90 <= found.dec.deg <= 90


def test_names_are_asked_of_sesame() -> None:
    """What is no pair of coordinates is a name, as it is written, and its place is in ICRS."""
    with sesame() as server:
        found = parse_position(" M31 ", "galactic")
        assert found.separation(SkyCoord(10.6847083, 41.26875, unit="deg")) < 1e-9 * u.deg
        assert found.frame.name == "icrs"
        with pytest.raises(ValueError, match="nothing is known by the name 'NGC 73311'"):
            parse_position("NGC 73311")
        with pytest.raises(ValueError, match="nothing is known"):
            parse_position("SDSS J1234+5678")
        with pytest.raises(ValueError, match="nothing is known"):
            parse_position("3C 273")
        assert server.asked == ["M31", "NGC 73311", "SDSS J1234+5678", "3C 273"]


def test_a_resolver_that_does_not_answer() -> None:
    """The time is bounded, and the error says what to write instead."""
    with (
        sesame(),
        pytest.raises(TransferTimeoutError, match=r"'silent' did not come within 0.3 seconds: write the pos"),
    ):
        parse_position("silent", timeout=0.3)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", ["nonsense", "broken"])
def test_a_resolver_that_answers_nonsense(name: str) -> None:
    """Whatever comes, there is one clear error, and it is ours or a ValueError."""
    with sesame(), pytest.raises((AstroCloudError, ValueError), match=f"'{name}'.*write"):
        parse_position(name)
    gc.collect()  # astropy leaves the body of a 500 open: that is said here, and not of another test


def test_off_line() -> None:
    """Where nobody listens the error says so, and how to write a position without asking anybody."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with (
            sesame_url.set([f"http://127.0.0.1:{port}/"]),
            pytest.raises(StorageError, match=r'as without a network: .*"10h01m41.13s .*refused'),
        ):
            parse_position("M31")


ARCSEC = 5 * u.arcsec


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("5arcsec", ARCSEC),
        ("5 arcsec", ARCSEC),
        (' 5" ', ARCSEC),
        ("5''", ARCSEC),
        ("5″", ARCSEC),
        ("0.5arcmin", 0.5 * u.arcmin),
        ("5'", 5 * u.arcmin),
        ("1e-3 deg", 1e-3 * u.deg),
        (".25°", 0.25 * u.deg),
        ("5arcsec,10 arcsec", (ARCSEC, 10 * u.arcsec)),
        ("5\",2'", (ARCSEC, 2 * u.arcmin)),
        ("100", 100),
        ("100.0 pix", 100),
        ("100px", 100),
        ("100,50", (100, 50)),
        ("100, 5arcsec", (100, ARCSEC)),
    ],
)
def test_sizes(text: str, size: Any) -> None:
    """A number alone is pixels; two are height and width."""
    assert parse_size(text) == size
    assert isinstance(parse_size("100"), int)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "begins with no number"),
        ("arcsec", "begins with no number"),
        ("5,", "begins with no number"),
        ("0", "not above zero"),
        ("0arcsec", "not above zero"),
        ("-5arcsec", "not above zero"),
        ("nan", "not above zero and finite"),
        ("inf arcsec", "not above zero and finite"),
        ("1e999", "not above zero and finite"),
        ("99999999999999999999", "at most 1,000,000,000 pixels"),
        ("5,1e300", "at most 1,000,000,000 pixels"),
        ("1e-999deg", "not above zero and finite"),
        ("10.5", "pixels are whole"),
        ("5m", "'m' is no angle"),
        ("5 5", "'5' is no angle"),
        ("5 parsec", "'parsec' is no angle"),
        ("5(", "is no angle"),
        ("400deg", "at most 360 degrees"),
        ("1,2,3", "more than height and width"),
    ],
)
def test_what_is_no_size_says_what_to_write(text: str, says: str) -> None:
    """The message shows what is wrong."""
    with pytest.raises(ValueError, match="is no size") as caught:
        parse_size(text)
    assert says in str(caught.value)


@given(st.text(max_size=20))
def test_any_text_is_a_size_or_an_error(text: str) -> None:
    """Nothing but a ValueError comes of it."""
    for number in ("", "5"):
        try:
            found = parse_size(number + text)
        except ValueError:
            continue
        sides = found if isinstance(found, tuple) else (found,)
        assert all(side > 0 if isinstance(side, int) else side > 0 * u.deg for side in sides)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**6), 10**6))
def test_pixels(x: float, y: int) -> None:
    """Any two finite numbers are a pixel."""
    assert parse_pixel(f"{x!r},{y}") == (x, y)


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "nan,1", "1e999,0", "inf 0", "1;2", "x,y", "1_0,2"])
def test_what_is_no_pixel_says_what_to_write(text: str) -> None:
    """The message has an example, or says that it is not finite."""
    with pytest.raises(ValueError, match="is no pixel"):
        parse_pixel(text)
