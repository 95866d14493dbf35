"""The header of a section, held against astropy.wcs: every pixel is where it was in the image."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from astro_cloud.fits.section_header import header_of_section
from tests import corpora

pytestmark = pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")

TAN = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.1, "CRVAL2": 2.2, "CRPIX1": 41.5,
    "CRPIX2": 30.25, "CUNIT1": "deg", "CUNIT2": "deg",
}  # fmt: skip
CD = {"CD1_1": -2e-4, "CD1_2": 3e-5, "CD2_1": 4e-5, "CD2_2": 2.1e-4}
CDELT = {"CDELT1": -2e-4, "CDELT2": 2.1e-4}
SIP = {
    "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 3, "B_ORDER": 2, "A_2_0": 2e-4,
    "A_1_1": -1e-4, "A_0_3": 3e-6, "B_0_2": -2e-4, "B_1_1": 5e-5, "A_DMAX": 1.5, "AP_ORDER": 2,
    "BP_ORDER": 2, "AP_2_0": -2e-4, "AP_1_0": 1e-5, "BP_0_2": 2e-4,
}  # fmt: skip
SPECTRAL = {"CTYPE3": "FREQ", "CRVAL3": 1.4e9, "CRPIX3": 4.0, "CUNIT3": "Hz"}
ALTERNATE = {
    "CTYPE1A": "GLON-CAR", "CTYPE2A": "GLAT-CAR", "CRVAL1A": 20.0, "CRVAL2A": 0.0, "CRPIX1A": 3.0,
    "CRPIX2A": -7.5, "CDELT1A": -0.01, "CDELT2A": 0.02, "PC1_2A": 0.1, "PC2_1A": -0.2,
    "WCSNAMEP": "PHYSICAL", "CTYPE1P": "x", "CTYPE2P": "y", "CRVAL1P": 100.5, "CDELT1P": 2.0,
    "CRPIX1P": 2.0, "CRPIX2P": 0.0,
}  # fmt: skip
TPV = {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_1": 1.01, "PV2_1": 0.99, "PV1_4": 1e-3, "PV2_0": 1e-4}

DESCRIPTIONS: dict[str, dict[str, Any]] = {
    "CD": TAN | CD,
    "CDELT": TAN | CDELT,
    "CDELT and no CRPIX": {key: TAN[key] for key in TAN if "CRPIX" not in key} | CDELT,
    "CROTA": TAN | CDELT | {"CROTA2": 33.0},
    "PC": TAN | CDELT | {"PC1_1": 0.8, "PC1_2": -0.6, "PC2_1": 0.6, "PC2_2": 0.8},
    "PC, its diagonal not given": TAN | CDELT | {"PC1_2": -0.1, "PC2_1": 0.2},
    "CD, with the CDELT of its columns": TAN | CD | CDELT,
    "SIP": TAN | CD | SIP,
    "TPV": TAN | CD | TPV,
    "alternates": TAN | CD | ALTERNATE,
    "SIP and alternates": TAN | CD | SIP | ALTERNATE,
    "alternates alone": ALTERNATE,
    "cube": TAN | CDELT | SPECTRAL | {"CDELT3": 1e6},
    "cube by CD": TAN | CD | SPECTRAL | {"CD3_3": 1e6, "CD3_1": 20.0},
    "cube by PC": TAN | CDELT | SPECTRAL | {"CDELT3": 1e6, "PC1_2": 0.3, "PC3_1": 0.1},
    "cube whose CD has no third axis": TAN | CD | SPECTRAL | {"CDELT3": 1e6},
    "cube whose third axis is not described": TAN | CD | {"NAXIS": 3},
    "cube with fewer world axes said": TAN | CDELT | {"NAXIS": 3, "WCSAXES": 2},
    "more world axes than pixel axes": TAN | CDELT | SPECTRAL | {"WCSAXES": 3, "NAXIS": 2, "CDELT3": 1e6},
}
SHAPE = (17, 80, 90)


def header_of(cards: dict[str, Any]) -> fits.Header:
    """Make the header of an image of two or three axes."""
    count = cards.get("NAXIS") or (3 if "CTYPE3" in cards else 2)
    header = fits.Header([("SIMPLE", True), ("BITPIX", -32), ("NAXIS", count)])
    for number in range(1, count + 1):
        header[f"NAXIS{number}"] = SHAPE[-number]
    header.update({key: value for key, value in cards.items() if key != "NAXIS"})
    return header


def positions_in(shape: tuple[int, ...], random: Random, *, steps: bool = True) -> list[range]:
    """Choose pixels along each axis, at times one, backwards, or the whole axis."""
    chosen = []
    for size in shape:
        first, last = sorted((random.randrange(size), random.randrange(size)))
        step = random.choice([1, 1, 2, 3, 7]) if steps else 1
        here = range(first, last + 1, step)
        chosen.append(
            random.choice([here, here[::-1] if steps else here, range(size), range(first, first + 1)])
        )
    return chosen


def assert_same_places(old: fits.Header, new: fits.Header, positions: list[range], key: str) -> None:
    """Pixels of the section are at the world coordinates they had in the image."""
    lengths = [("NAXIS", len(positions))]
    lengths += [(f"NAXIS{number}", len(where)) for number, where in enumerate(reversed(positions), 1)]
    whole = fits.Header([("SIMPLE", True), ("BITPIX", -32), *lengths])
    whole.update(new)
    before, after = WCS(old, key=key), WCS(whole, key=key)
    assert before.naxis == after.naxis
    random = Random(1)
    chosen = [[random.randrange(len(where)) for where in reversed(positions)] for _ in range(40)]
    there = [[where[n] for where, n in zip(reversed(positions), at, strict=True)] for at in chosen]
    more = [[4.0] * (before.naxis - len(positions))] * len(chosen)
    expected = before.all_pix2world(np.hstack([there, more]), 0)
    found = after.all_pix2world(np.hstack([chosen, more]), 0)
    scale = np.where(np.abs(expected) > 1e4, np.abs(expected) * 1e-4, 1)  # hertz, not degrees
    assert np.all(np.abs(found - expected) <= 1e-10 * scale)


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_world_coordinates_stay(name: str) -> None:
    """Whatever pixels are taken, at whatever steps, every description of them still holds."""
    random = Random(name)
    old = header_of(DESCRIPTIONS[name])
    shape = SHAPE[-old["NAXIS"] :]
    for _ in range(30):
        positions = positions_in(shape, random)
        new, notes = header_of_section(old, positions)
        assert notes == []
        for key in " AP":
            if f"CTYPE1{key}".rstrip() in old:
                assert_same_places(old, new, positions, key)


def test_sip_can_be_inverted_still() -> None:
    """AP and BP, from the sky to pixels, add up to the same pixel."""
    old = header_of(DESCRIPTIONS["SIP"])
    new, _ = header_of_section(old, [range(70, 3, -2), range(5, 80, 3)])
    sky = WCS(old).pixel_to_world_values(50, 20)
    for before, after, first, step in zip(
        from_sky(old, sky), from_sky(new, sky), (5, 70), (3, -2), strict=True
    ):
        assert after == pytest.approx((before - first) / step, abs=1e-9)
    assert new["A_DMAX"] == old["A_DMAX"] / 3


def from_sky(header: fits.Header, sky: tuple[float, float]) -> tuple[float, float]:
    """Return the 0-based pixel by the polynomials from the sky alone, not by turning those to it around."""
    wcs = WCS(header)
    focal = wcs.wcs_world2pix([sky], 0) - [header["CRPIX1"] - 1, header["CRPIX2"] - 1]
    u, v = focal[0]
    inverse = {
        kind: u0 + sum(header.get(f"{kind}_{p}_{q}", 0) * u**p * v**q for p in range(3) for q in range(3))
        for kind, u0 in (("AP", u), ("BP", v))
    }
    return inverse["AP"] + header["CRPIX1"] - 1, inverse["BP"] + header["CRPIX2"] - 1


def test_physical_coordinates_are_those_of_the_first_image() -> None:
    """LTV and LTM tell the pixel of the image, of the first image in a section of a section."""
    first, _ = header_of_section(header_of({}), [range(10, 60, 2), range(20, 80)])
    assert [first[key] for key in ("LTV1", "LTM1_1", "LTV2", "LTM2_2")] == [-20, 1, -4.5, 0.5]
    first.update({"NAXIS": 2, "NAXIS1": 60, "NAXIS2": 25})
    second, _ = header_of_section(first, [range(24, 4, -3), range(5, 6)])
    pixel = np.array([1, 1])  # of the second section: column 5 and row 24 of the first
    physical = (pixel - [second["LTV1"], second["LTV2"]]) / [second["LTM1_1"], second["LTM2_2"]]
    assert physical == pytest.approx([20 + 5 + 1, 10 + 2 * 24 + 1])


def test_the_whole_image_keeps_its_header() -> None:
    """Where nothing is left out nothing is said, and no keyword of coordinates is added."""
    old = header_of(TAN | CD | {"DATASEC": "[1:90,1:80]", "EXPTIME": 30.0})
    new, notes = header_of_section(old, [range(80), range(90)])
    assert (list(new), notes) == (list(old)[5:], [])


def test_what_does_not_hold_is_left_out() -> None:
    """Structure, compression, scaling, checksums, extremes; and parts by pixel number, which are said."""
    gone = {
        "PCOUNT": 0, "GCOUNT": 1, "INHERIT": True, "ZCMPTYPE": "RICE_1", "ZTILE1": 4, "BSCALE": 2.0,
        "BZERO": 1.0, "CHECKSUM": "x", "DATASUM": "1", "DATAMIN": 0.0, "DATAMAX": 9.0, "ZDITHER0": 3,
        "BIASSEC": "[1:2,1:9]", "DETSECA": "[1:90,1:80]",
    }  # fmt: skip
    kept = {"EXTNAME": "SCI", "EXTVER": 2, "BLANK": -5, "ZENITH": 3.0, "BUNIT": "Jy", "HISTORY": "made"}
    old = header_of(gone | kept)
    new, notes = header_of_section(old, [range(80), range(8)])
    assert [key for key in new if not key.startswith("LT")] == list(kept)
    assert notes == ["removed BIASSEC, DETSECA: they name pixels of the whole image"]
    assert "BSCALE" in old


@pytest.mark.parametrize(
    ("cards", "reason"),
    [
        ({"CPDIS1": "LOOKUP", "DP1.EXTVER": 1.0}, "CPDIS1"),
        ({"D2IMDIS1": "LOOKUP", "D2IM1.EXTVER": 1.0}, "D2IMDIS1"),
        ({"AXISCORR": 1, "D2IMEXT": "x_d2i.fits"}, "AXISCORR"),
        ({"CTYPE2": "DEC--TAB", "PS2_0": "TABLE"}, "CTYPE2"),
        ({"CRPIX1": "five"}, "CRPIX1"),
        ({"PC1_1": 1.0, "CROTA2": 20.0}, "CROTA"),
        ({"PC001001": 1.0, "PC002001": 0.1}, "old form"),
    ],
)
def test_coordinates_that_cannot_be_right_are_taken_out(cards: dict[str, Any], reason: str) -> None:
    """What a header cannot hold by itself is no part of it, and said; an alternate that holds stays."""
    old = header_of(TAN | CDELT | ALTERNATE | cards)
    new, notes = header_of_section(old, [range(0, 80, 2), range(4, 40)])
    assert len(notes) >= 1
    assert reason in notes[0]
    for key in ("CTYPE1", "CTYPE2", "CRPIX1", "CDELT1", *cards):
        assert key not in new
    assert ("CTYPE1A" in new) == (reason not in ("D2IMDIS1", "AXISCORR"))


def test_an_old_matrix_is_right_where_pixels_stay_as_large() -> None:
    """The old form of PC says nothing about where pixels are counted from."""
    new, notes = header_of_section(header_of(TAN | CDELT | {"PC001001": 1.0}), [range(5, 9), range(4, 40)])
    assert (new["PC001001"], new["CRPIX1"], notes) == (1.0, 37.5, [])


def test_a_digitized_plate_is_moved() -> None:
    """CNPIX counts from the plate's corner; with steps the plate's solution is taken out."""
    old = header_of({"CNPIX1": 100, "CNPIX2": 200, "AMDX1": 67.0, "PPO3": 1.0, "XPIXELSZ": 25.0})
    new, notes = header_of_section(old, [range(5, 9), range(4, 40)])
    assert (new["CNPIX1"], new["CNPIX2"], new["AMDX1"], notes) == (104, 205, 67.0, [])
    new, notes = header_of_section(old, [range(5, 9, 2), range(4, 40)])
    assert not {"CNPIX1", "AMDX1", "PPO3", "XPIXELSZ"} & set(new)
    assert "for each pixel of the plate" in notes[0]


def test_axes_must_be_the_images() -> None:
    """A header of another image is a mistake of the caller's."""
    with pytest.raises(ValueError, match="positions along 1 axes"):
        header_of_section(header_of(TAN), [range(5)])


def real_headers() -> list[Any]:
    """Return the headers of images with celestial coordinates in the corpora."""
    found = []
    for path in corpora.fits_files():
        if corpora.compressed_whole(path):
            continue
        found.append(pytest.param(path, id=corpora.place(path)))
    return found


@pytest.mark.parametrize("path", real_headers())
def test_real_headers(path: Any) -> None:
    """Headers of instruments: what is kept of their coordinates is right."""
    random = Random(path.name)
    try:
        hdus = fits.open(path, memmap=False)
    except OSError:
        return
    with hdus:
        for hdu in hdus:
            if not hdu.is_image or not hdu.shape or 0 in hdu.shape:
                continue
            for key in [" ", *{name[6] for name in hdu.header if name[:5] == "CTYPE" and len(name) == 7}]:
                try:
                    WCS(hdu.header, hdus, key=key).all_pix2world(
                        [[1] * WCS(hdu.header, hdus, key=key).naxis], 1
                    )
                except Exception:
                    continue
                for _ in range(5):
                    positions = positions_in(hdu.shape, random)
                    new, notes = header_of_section(hdu.header, positions)
                    if any("world coordinates" in note for note in notes) or "CTYPE1" not in hdu.header:
                        continue
                    assert_same_places(hdu.header, new, positions, key)
