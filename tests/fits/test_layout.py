"""The layout arithmetic, on card images alone."""

import pickle

import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from astro_cloud.fits.layout import BLOCK, MalformedHeaderError, find_end, padded, read_structure
from tests.fits.sources import extension, header, primary


def size_by_astropy(raw: bytes, *, is_primary: bool) -> int:
    """Let astropy say how long the data unit of a header is, bytes without padding."""
    kind = fits.PrimaryHDU if is_primary else fits.hdu.base._BaseHDU
    return int(kind.fromstring(raw, ignore_missing_end=False).size)


@pytest.mark.parametrize(
    ("raw", "kind", "size"),
    [
        (primary(), "PRIMARY", 0),
        (primary(naxis=(100, 50), bitpix=-32), "PRIMARY", 20_000),
        (extension("IMAGE", naxis=(3, 5, 7), bitpix=16), "IMAGE", 210),
        (extension("IMAGE", naxis=(3, 0, 7), bitpix=16), "IMAGE", 0),
        (extension("TABLE", "TFIELDS = 1", naxis=(36, 10)), "TABLE", 360),
        (extension("BINTABLE", "TFIELDS = 1", naxis=(16, 10), pcount=1000), "BINTABLE", 1160),
        (extension("FOREIGN", naxis=(7, 11), bitpix=64, pcount=5, gcount=3), "FOREIGN", 8 * 3 * (5 + 77)),
        (primary("GROUPS  = T", "PCOUNT  = 6", "GCOUNT  = 100", naxis=(0, 4, 5), bitpix=-32),
         "GROUPS", 4 * 100 * (6 + 20)),
        (primary("PCOUNT  = 6", "GCOUNT  = 100", naxis=(0, 4, 5), bitpix=-32), "PRIMARY", 0),
        (primary("GROUPS  = T", "PCOUNT  = 6", "GCOUNT  = 9", naxis=(2, 4)), "PRIMARY", 8),
        (extension("image", naxis=(2, 4)), "IMAGE", 8),
        (primary(naxis=(1,) * 999), "PRIMARY", 1),
        (primary(naxis=(1 << 59,), bitpix=64), "PRIMARY", 1 << 62),
        (extension("IMAGE", naxis=()), "IMAGE", 0),
        (extension("IMAGE", naxis=(), pcount=7), "IMAGE", 0),
    ],
)  # fmt: skip
def test_each_kind_of_hdu_has_the_size_of_the_standard(raw: bytes, kind: str, size: int) -> None:
    """A data unit is as long as equations 1, 2 and 4 of the standard say, for each kind of HDU."""
    structure = read_structure(raw, primary=raw.startswith(b"SIMPLE"))
    assert (structure.kind, structure.data_size) == (kind, size)


@given(
    naxis=st.lists(st.integers(0, 9), max_size=5),
    bitpix=st.sampled_from([8, 16, 32, 64, -32, -64]),
    pcount=st.integers(0, 10_000),
    gcount=st.integers(1, 5),
)
def test_sizes_agree_with_astropy(naxis: list[int], bitpix: int, pcount: int, gcount: int) -> None:
    """For any extension, the data unit is as long as astropy says."""
    raw = extension("ANY", naxis=tuple(naxis), bitpix=bitpix, pcount=pcount, gcount=gcount)
    expected = size_by_astropy(raw, is_primary=False)
    assert read_structure(raw, primary=False).data_size == expected


@given(st.lists(st.binary(max_size=72), max_size=60), st.integers(0, 5000))
def test_the_end_card_is_found_only_where_a_card_begins(bodies: list[bytes], before: int) -> None:
    """END is the first card of that name; the letters END anywhere else are not it."""
    cards = [b"COMMENT " + body.ljust(72) for body in bodies] + [b"COMMENT x" + b"END".rjust(71)]
    raw = b"x" * before + b"".join(card[:80] for card in cards) + b"END".ljust(80) + b"END".ljust(80)
    assert find_end(raw, before) == len(cards) * 80 + 80


def test_an_end_card_cut_off_is_not_found() -> None:
    """Half an END card is no END card, so the reader fetches more."""
    raw = primary()
    end = find_end(raw, 0)
    assert end is not None
    assert find_end(raw[: end - 1], 0) is None


@pytest.mark.parametrize(
    ("raw", "says", "offset"),
    [
        (primary(bitpix=12), "BITPIX = 12", 80),
        (primary(naxis=(10, -3)), "NAXIS2 = -3 is negative", 320),
        (header("SIMPLE  =                    T", "BITPIX  = 8", "NAXIS   = 1000"), "NAXIS = 1000", 160),
        (header("SIMPLE  =                    T", "BITPIX  = 8", "NAXIS   = -1"), "NAXIS = -1", 160),
        (header("SIMPLE  =                    T", "BITPIX  = 8", "NAXIS   = 1"), "NAXIS1 is missing", 0),
        (header("SIMPLE  =                    T", "BITPIX  = 8"), "NAXIS is missing", 0),
        (header("SIMPLE  =                    T", "BITPIX  = 'x'", "NAXIS   = 0"), "not an integer", 80),
        (header("SIMPLE  =                    T", "BITPIX  = 1e99", "NAXIS   = 0"), "not an integer", 80),
        (primary(naxis=(10**18, 10**18), bitpix=64), "more than any file holds", 160),
        (primary(naxis=(10**29,) * 3, bitpix=64), "more than any file holds", 160),
        (extension("BINTABLE", naxis=(8, 2), pcount=-5), "PCOUNT = -5 is negative", 400),
        (extension("IMAGE", naxis=(8, 2), gcount=-1), "GCOUNT = -1 is negative", 480),
        (header("XTENSION= 7", "BITPIX  = 8", "NAXIS   = 0"), "XTENSION is not a string", 0),
        (header("XTENSION= 'IMAGE'", "BITPIX  = 8", "NAXIS   = 1", "NAXIS1  = 9"), "GCOUNT is missing", 0),
        (header("XTENSION= 'X'", "BITPIX= 8", "NAXIS= 1", "NAXIS1= 9", "GCOUNT= 1"), "PCOUNT is missing", 0),
        (primary(naxis=((1 << 59) + 1,), bitpix=64), "more than any file holds", 160),
    ],
)
def test_impossible_structure_is_an_error_that_names_the_card(raw: bytes, says: str, offset: int) -> None:
    """A header whose structure cannot be is refused, with the keyword and its place."""
    with pytest.raises(MalformedHeaderError, match=says) as caught:
        read_structure(raw, primary=raw.startswith(b"SIMPLE"))
    assert caught.value.offset == offset
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.offset) == (str(caught.value), offset)


@given(st.binary(min_size=80, max_size=800), st.booleans())
def test_no_header_makes_any_other_error(junk: bytes, primary: bool) -> None:
    """Whatever bytes a header holds, reading its structure works or raises `MalformedHeaderError`."""
    raw = b"SIMPLE  = T".ljust(80) + b"BITPIX  = 8".ljust(80) + b"NAXIS   = 1".ljust(80) + junk
    try:
        structure = read_structure(raw, primary=primary)
    except MalformedHeaderError:
        return
    assert structure.data_size >= 0


def test_free_format_values_comments_and_repeated_keywords() -> None:
    """Values may stand anywhere in the card and be followed by a comment; the first card counts."""
    raw = header("SIMPLE  = T / yes", "BITPIX=16", "BITPIX  =16/bits", "NAXIS   =     +1  / axes",
                 "NAXIS1  = 7", "NAXIS1  = 9", "EXTNAME = 'it''s   '  / name")  # fmt: skip
    structure = read_structure(raw, primary=True)
    assert (structure.bitpix, structure.axes, structure.name) == (16, (7,), "IT'S")


def test_a_name_may_go_on_over_continue_cards() -> None:
    """A long EXTNAME is put together from its CONTINUE cards, as astropy does."""
    made = fits.ImageHDU()
    made.header["EXTNAME"] = "A VERY LONG NAME " * 6 + "END"
    raw = made.header.tostring().encode()
    assert read_structure(raw, primary=False).name == made.header["EXTNAME"]


def test_a_compressed_image_shows_what_is_inside() -> None:
    """A tile-compressed image is a BINTABLE for the arithmetic, with the image's own axes beside it."""
    raw = extension("BINTABLE", "TFIELDS = 1", "ZIMAGE  = T", "ZBITPIX = -32", "ZNAXIS  = 2",
                    "ZNAXIS1 = 300", "ZNAXIS2 = 200", naxis=(8, 200), pcount=54321)  # fmt: skip
    structure = read_structure(raw, primary=False)
    assert structure.data_size == 1600 + 54321
    assert structure.compressed is not None
    assert (structure.compressed.axes, structure.compressed.bitpix) == ((300, 200), -32)


@given(st.integers(0, 1 << 62))
def test_padding_fills_blocks(size: int) -> None:
    """Padding adds less than a block and ends on a block."""
    assert padded(size) % BLOCK == 0
    assert 0 <= padded(size) - size < BLOCK


@pytest.mark.parametrize("card", ["pcount  = 3000", "PCOUNT= 3000", "PCOUNT = 3000", "Pcount  =3000 / x"])
def test_keywords_out_of_shape_are_read_as_meant(card: str) -> None:
    """Lower case, or an equals sign out of its column, loses no HDU, as it loses none for astropy."""
    raw = header("XTENSION= 'BINTABLE'", "BITPIX  = 8", "NAXIS   = 2", "NAXIS1  = 4", "NAXIS2  = 5", card,
                 "GCOUNT  = 1", "TFIELDS = 0")  # fmt: skip
    assert read_structure(raw, primary=False).data_size == 3020


@pytest.mark.parametrize(
    "cards", [[], ["ZNAXIS  = 1", "ZNAXIS1 = -4", "ZBITPIX = 8"], ["ZNAXIS  = 0", "ZBITPIX = 12"]]
)
def test_a_compressed_image_that_makes_no_sense_is_a_table(cards: list[str]) -> None:
    """Keywords that decide no length cannot make a file corrupt."""
    raw = extension("BINTABLE", "ZIMAGE  = T", "TFIELDS = 1", *cards, naxis=(8, 2))
    structure = read_structure(raw, primary=False)
    assert (structure.compressed, structure.data_size) == (None, 16)


def test_the_end_card_may_be_filled_with_nul() -> None:
    """END followed by NUL bytes, as some writers leave it, is the end."""
    assert find_end(b"SIMPLE  = T".ljust(80) + b"END".ljust(80, b"\0"), 0) == 160
