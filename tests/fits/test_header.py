"""`FITSHeader`: what it shows of a header, and what it costs to ask."""

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_cloud.cli.report import as_json, as_table
from astro_cloud.fits import FITSHeader
from astro_cloud.fits.layout import MalformedHeaderError, find_end, read_structure
from tests.fits.sources import extension, header, primary

Z = ["ZIMAGE  = T", "ZBITPIX = -64", "ZNAXIS  = 2", "ZNAXIS1 = 30", "ZNAXIS2 = 20", "TFIELDS = 1"]


def made(raw: bytes) -> FITSHeader:
    """Make a header out of blocks."""
    is_primary = raw.startswith(b"SIMPLE")
    raw = raw[: find_end(raw, 0)]
    return FITSHeader(index=3, offset=5760, raw=raw, structure=read_structure(raw, primary=is_primary))


@pytest.mark.parametrize(
    ("raw", "shape", "dtype", "is_table"),
    [
        (primary(), (), "uint8", False),
        (extension("IMAGE", naxis=(8, 4), bitpix=-64), (4, 8), "float64", False),
        (extension("IMAGE", "TFIELDS = 1", naxis=(8, 4)), (4, 8), "uint8", False),
        (extension("TABLE", "TFIELDS = 2", naxis=(36, 10)), (10,), "uint8", True),
        (extension("BINTABLE", "TFIELDS = 0", naxis=(8, 4)), (4,), "uint8", True),
        (extension("BINTABLE", "TFIELDS = 0", naxis=(8,)), (), "uint8", True),
        (extension("BINTABLE", *Z, naxis=(8, 20)), (20, 30), "float64", False),
    ],
)
def test_shape_and_type(raw: bytes, shape: tuple[int, ...], dtype: str, is_table: bool) -> None:
    """The shape is NumPy's for an image, compressed or not, and the number of rows for a table."""
    shown = made(raw)
    assert (shown.shape, shown.dtype, shown.is_table) == (shape, dtype, is_table)


def test_places_follow_from_each_other() -> None:
    """Length, data and end count whole blocks from where the header is."""
    shown = made(extension("IMAGE", naxis=(3000,)))
    assert (shown.length, shown.data_offset, shown.data_length, shown.end) == (2880, 8640, 5760, 14_400)


def test_the_table_says_that_an_image_is_compressed() -> None:
    """A reader of the table sees what is inside, and that it is compressed."""
    line = as_table([made(extension("BINTABLE", *Z, naxis=(8, 20)))]).splitlines()[1]
    assert "BINTABLE (compressed)" in line
    assert "30 x 20 float64" in line


def test_only_the_third_item_builds_the_cards() -> None:
    """The first release's spelling by number costs what its parts cost."""
    shown = made(primary())
    assert (shown[0], shown[1]) == (5760, 2880)
    assert "fits" not in vars(shown)
    assert shown[2] is shown.fits


def test_a_header_survives_a_pickle() -> None:
    """Workers send headers home."""
    copy = pickle.loads(pickle.dumps(made(primary("OBJECT  = 'M31'"))))
    assert (copy.offset, copy.fits["OBJECT"]) == (5760, "M31")


def test_names_read_as_in_the_cards() -> None:
    """What is not ASCII shows alike in `name` and in `fits`."""
    shown = made(extension("IMAGE", "EXTNAME = 'N\xd6'"))
    assert shown.name == shown.fits["EXTNAME"] == "N?"


values = st.one_of(st.integers(-3, 9).map(str), st.sampled_from(["T", "F", "'X'", "12", "-32", ""]))
STRUCTURAL = ("BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT", "TFIELDS", "EXTNAME", "GROUPS")
keywords = st.sampled_from((*STRUCTURAL, "ZIMAGE", "ZBITPIX", "ZNAXIS", "ZNAXIS1"))


@given(
    st.sampled_from(["IMAGE", "TABLE", "BINTABLE", "OTHER"]),
    st.lists(st.tuples(keywords, values), max_size=9),
)
def test_every_header_that_is_accepted_can_be_shown(kind: str, cards: list[tuple[str, str]]) -> None:
    """Whatever the keywords say, a header that is no error has a shape, a line and a JSON object."""
    raw = header(
        f"XTENSION= '{kind:<8}'", *(f"{keyword:<8}= {value}" for keyword, value in cards),
        "BITPIX  = 8", "NAXIS   = 2", "NAXIS1  = 4", "NAXIS2  = 5", "PCOUNT  = 0", "GCOUNT  = 1",
    )  # fmt: skip
    try:
        shown = made(raw)
    except MalformedHeaderError:
        return
    assert len(as_table([shown]).splitlines()) == 2
    assert json.dumps(as_json(shown, full=True))
