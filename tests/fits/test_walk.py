"""Following the chain of HDUs, on plain bytes: what is found, and in how many round trips."""

import io

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from astro_cloud.exceptions import AstroCloudWarning, CorruptFITSError, NotFITSError
from astro_cloud.fits.chain import HEADER_LIMIT
from astro_cloud.fits.foresight import WINDOW
from astro_cloud.fits.headers import walk
from astro_cloud.fits.layout import BLOCK
from tests.fits.sources import Plain, Sparse, extension, header, primary


def made(*hdus: object) -> bytes:
    """Let astropy write a file."""
    file = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(file)
    return file.getvalue()


def places(data: bytes) -> list[tuple[int, int, int]]:
    """Let astropy say where the HDUs of a file are: header, data, span with padding."""
    with fits.open(io.BytesIO(data), disable_image_compression=True) as hdus:
        return [tuple(hdu.fileinfo()[key] for key in ("hdrLoc", "datLoc", "datSpan")) for hdu in hdus]


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
@pytest.mark.parametrize(
    "hdus",
    [
        [fits.PrimaryHDU()],
        [fits.PrimaryHDU(np.zeros((31, 17), "i2")), fits.ImageHDU(np.zeros((2, 3, 5), "f8"), name="SCI")],
        [fits.PrimaryHDU(), fits.TableHDU.from_columns([fits.Column("a", "I6", array=np.arange(900))])],
        [fits.PrimaryHDU(), fits.BinTableHDU.from_columns([
            fits.Column("v", "PJ()", array=np.array([np.arange(n) for n in range(99)], dtype=object))])],
        [fits.PrimaryHDU(), fits.CompImageHDU(np.arange(90_000, dtype="i4").reshape(300, 300), name="Z"),
         fits.ImageHDU(np.zeros(3), name="AFTER")],
        [fits.PrimaryHDU(), *(fits.ImageHDU(np.zeros((9, n)), name="SCI", ver=n) for n in range(1, 40))],
    ],
    ids=["empty", "image", "table", "heap", "compressed", "many"],
)  # fmt: skip
def test_every_kind_of_file_is_where_astropy_says(hdus: list[object]) -> None:
    """Offsets, spans, names, versions and cards are astropy's, for each kind of HDU."""
    data = made(*hdus)
    found = list(walk(Plain(data)))
    assert [(h.offset, h.data_offset, h.data_length) for h in found] == places(data)
    with fits.open(io.BytesIO(data), disable_image_compression=True) as judge:
        assert [(h.name, h.version) for h in found] == [(hdu.name, hdu.ver) for hdu in judge]
        for ours, hdu in zip(found, judge, strict=True):
            assert [c.image for c in ours.fits.cards] == [c.image for c in hdu.header.cards]


def test_a_header_is_yielded_before_the_next_is_read() -> None:
    """The generator hands out a header before it spends another round trip."""
    data = made(fits.PrimaryHDU(np.zeros(100_000, "u1")), fits.ImageHDU())
    source = Plain(data)
    headers = walk(source)
    assert next(headers).index == 0
    assert source.asked == [(0, WINDOW)]
    assert next(headers).index == 1
    assert source.asked == [(0, WINDOW), (103_680, 103_680 + WINDOW)]


@pytest.mark.parametrize(
    ("cards", "round_trips"), [(10, 1), (780, 1), (800, 2), (1500, 2), (7000, 2), (30_000, 3)]
)
def test_a_long_primary_header_costs_one_more(cards: int, round_trips: int) -> None:
    """A primary header within the first read is one round trip; a longer one costs one more."""
    source = Plain(primary(*(f"HISTORY {n}" for n in range(cards))))
    (found,) = walk(source)
    assert found.length == len(source.data)
    assert len(source.trips) == round_trips


def images(*lengths: int) -> bytes:
    """Make IMAGEs of 1 MB each whose headers have so many cards."""
    return b"".join(
        extension("IMAGE", *["HISTORY"] * (cards - 7), naxis=(1_000_000,)) + bytes(1_002_240)
        for cards in lengths
    )


@pytest.mark.parametrize("lengths", [(1500,) * 5, (900, 1000, 1100, 1200, 1300), (1500, 40, 40, 1500, 40)])
def test_headers_about_as_long_as_others_cost_no_more(lengths: tuple[int, ...]) -> None:
    """Files repeat themselves: once a long header was met, the next reads are long enough for others."""
    source = Plain(primary() + images(*lengths))
    assert len(list(walk(source, predict=False))) == 6
    assert len(source.trips) == 5 + 1, "the first long header costs one more, all others only a hop"


def test_one_long_header_does_not_make_all_reads_long() -> None:
    """A long primary header says nothing of the others; a long extension is forgotten after a few."""
    long_primary = primary(*["HISTORY"] * 18_000)
    source = Plain(long_primary + images(*[40] * 20))
    assert len(list(walk(source, predict=False))) == 21
    assert sum(stop - start for start, stop in source.asked) < 8 * len(long_primary) + 20 * WINDOW
    source = Plain(primary() + images(3000, *[40] * 19))
    assert len(list(walk(source, predict=False))) == 21
    assert sum(stop - start for start, stop in source.asked[-15:]) == 15 * WINDOW


@given(
    st.integers(1, 150),
    st.lists(st.tuples(st.integers(1, 22), st.sampled_from([0, 1, 40, 63_000, 70_000])), max_size=12),
)
def test_no_more_round_trips_than_hops_and_one(primary_blocks: int, hdus: list[tuple[int, int]]) -> None:
    """Each HDU costs at most one round trip; a primary header longer than the first read one more."""
    pieces = [primary(*["HISTORY"] * (36 * primary_blocks - 4))]
    for blocks, size in hdus:
        fill = ["HISTORY"] * (36 * blocks - 7)
        pieces += [extension("IMAGE", *fill, naxis=(size,)), bytes(-(-size // BLOCK) * BLOCK)]
    source = Plain(b"".join(pieces))
    assert len(list(walk(source))) == 1 + len(hdus)
    assert len(source.trips) <= 1 + len(hdus) + (primary_blocks * BLOCK > WINDOW)


def test_headers_read_along_with_others_cost_nothing() -> None:
    """HDUs that lie close together are found in the bytes of one read."""
    source = Plain(made(fits.PrimaryHDU(), *(fits.ImageHDU(np.zeros(100)) for _ in range(9))))
    assert len(list(walk(source))) == 10
    assert len(source.trips) == 1


@pytest.mark.parametrize("size_known", [True, False])
def test_the_end_is_found_with_and_without_the_size(size_known: bool) -> None:
    """The chain ends at the object's end; where the size is not known, one more read finds it."""
    data = made(fits.PrimaryHDU(np.zeros(100_000, "u1")))
    source = Plain(data, size_known=size_known)
    assert len(list(walk(source))) == 1
    assert len(source.trips) == (1 if size_known else 2)


def test_sizes_beyond_32_bits() -> None:
    """HDUs longer than 2**32 bytes are stepped over without being read."""
    head, tail = primary() + extension("IMAGE", naxis=(2, 1282, 2136, 2078), bitpix=-32), extension("IMAGE")
    size = 5760 + 45_522_365_760 + 2880
    source = Sparse(size, {0: head, size - 2880: tail})
    found = list(walk(source))
    assert [h.end for h in found] == [2880, size - 2880, size]
    assert source.asked == [(0, WINDOW), (size - 2880, size - 2880 + WINDOW)]


@pytest.mark.parametrize("junk", [b"\0" * 2880, b"x" * 7, b"not a header".ljust(80_000), b"XTENSIO"])
def test_trailing_bytes_are_left_out_with_a_warning(junk: bytes) -> None:
    """Bytes behind the last HDU that begin no other are named in a warning, and nothing is lost."""
    data = made(fits.PrimaryHDU(np.zeros(50_000, "u1")), fits.ImageHDU(np.zeros(7)))
    source = Plain(data + junk)
    with pytest.warns(AstroCloudWarning, match=f"from {len(data)} on, behind HDU 1"):
        assert len(list(walk(source))) == 2
    assert len(source.trips) == 1


def test_a_second_file_behind_the_first_is_not_lost_in_silence() -> None:
    """Two files one after the other are an error that says where the second begins."""
    headers = walk(Plain(primary() + primary()))
    next(headers)
    with pytest.raises(CorruptFITSError, match="a second file begins here") as caught:
        next(headers)
    assert (caught.value.hdu, caught.value.offset) == (1, 2880)


def test_an_extension_keyword_out_of_shape_is_still_an_extension() -> None:
    """XTENSION with a space too many begins an HDU, as it does for astropy."""
    data = primary() + header(
        "XTENSION = 'IMAGE   '", "BITPIX  = 8", "NAXIS   = 0", "PCOUNT  = 0", "GCOUNT  = 1"
    )
    assert [h.kind for h in walk(Plain(data))] == ["PRIMARY", "IMAGE"]


def test_hierarch_continue_and_comment_cards_are_kept() -> None:
    """HIERARCH, CONTINUE, COMMENT and blank cards come through as they are."""
    hdu = fits.PrimaryHDU()
    hdu.header["HIERARCH ESO TEL AIRM END"] = (1.234, "a HIERARCH card")
    hdu.header["LONGTEXT"] = "x" * 300
    hdu.header.add_comment("END")
    hdu.header.add_blank("END")
    (found,) = walk(Plain(made(hdu)))
    assert found.fits["ESO TEL AIRM END"] == 1.234
    assert found.fits["LONGTEXT"] == "x" * 300
    assert [c.image for c in found.fits.cards] == [c.image for c in hdu.header.cards]


def test_bytes_that_are_not_ascii_are_kept_and_warned_about() -> None:
    """A Latin-1 byte survives in `raw`, `fits` reads as astropy's does, a warning names the HDU."""
    with pytest.warns(AstroCloudWarning, match="header of HDU 0 holds bytes that are not ASCII"):
        (found,) = walk(Plain(primary("OBSERVER= 'Bj\xf6rn   '")))
    assert b"Bj\xf6rn" in found.raw
    assert found.fits["OBSERVER"] == "Bj?rn"


def test_a_file_that_calls_itself_non_conforming_is_read_with_a_warning() -> None:
    """SIMPLE = F is a warning: the header is there and its arithmetic is tried."""
    data = header("SIMPLE  =                    F", "BITPIX  = 8", "NAXIS   = 0")
    with pytest.warns(AstroCloudWarning, match="SIMPLE = F"):
        assert len(list(walk(Plain(data)))) == 1


def test_missing_padding_is_a_warning() -> None:
    """A file whose last block is not filled up is whole in all that matters."""
    data = made(fits.PrimaryHDU(np.zeros(100, "u1")))[: 2880 + 100]
    with pytest.warns(AstroCloudWarning, match="padding of the last HDU"):
        assert len(list(walk(Plain(data)))) == 1


def test_a_header_alone_may_lack_its_padding() -> None:
    """A last header without data is whole once its END card is there."""
    data = primary(naxis=(2880,)) + bytes(2880) + extension("IMAGE")[:500]
    with pytest.warns(AstroCloudWarning, match="padding of the last HDU"):
        assert len(list(walk(Plain(data)))) == 2


def test_a_truncated_data_unit_is_an_error_after_its_header() -> None:
    """What is known is yielded; then the error says which HDU is cut short and where."""
    data = made(fits.PrimaryHDU(), fits.ImageHDU(np.zeros(100_000, "u1")))[:50_000]
    headers = walk(Plain(data))
    assert [next(headers).index, next(headers).index] == [0, 1]
    with pytest.raises(
        CorruptFITSError, match=r"HDU 1 is cut short: .* 105760, the object at byte 50000"
    ) as caught:
        next(headers)
    assert (caught.value.location, caught.value.hdu, caught.value.offset) == ("plain.fits", 1, 50_000)


def test_an_object_that_ends_in_a_header() -> None:
    """A header without its end, at the object's end, is corrupt."""
    data = primary(naxis=(2880,)) + bytes(2880) + extension("IMAGE")[:320]
    with pytest.raises(CorruptFITSError, match=r"HDU 1 .* ends before the header's END card") as caught:
        list(walk(Plain(data)))
    assert (caught.value.hdu, caught.value.offset) == (1, len(data))


def test_a_header_without_end_stops_at_the_limit() -> None:
    """A header without END costs 64 MiB and five round trips, then says so."""
    source = Sparse(1 << 40, {0: primary(end=False)})
    with pytest.raises(CorruptFITSError, match="no END card within 64 MiB") as caught:
        list(walk(source))
    assert caught.value.hdu == 0
    assert sum(stop - start for start, stop in source.asked) == HEADER_LIMIT
    assert len(source.asked) <= 5


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html><body>Not found</body></html>", "it is an HTML page"),
        (b"\n  <HTML>", "it is an HTML page"),
        (b"<?xml version='1.0'?><Error/>", "it is an XML document"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "it is a git-LFS pointer"),
        (bytes(100), "it begins with"),
        (extension("IMAGE"), 'it begins with b"XTENSION'),
    ],
)
def test_what_is_not_fits_is_named(data: bytes, says: str) -> None:
    """An object that is something else is refused after one read, with a guess at what it is."""
    source = Plain(data)
    with pytest.raises(NotFITSError, match=r"plain\.fits is not a FITS file") as caught:
        list(walk(source))
    assert says in str(caught.value)
    assert (caught.value.location, caught.value.hdu, caught.value.offset) == ("plain.fits", 0, 0)
    assert len(source.trips) == 1


def test_a_damaged_header_names_hdu_and_offset() -> None:
    """A structural error is reported with the byte of the card in the object."""
    data = primary() + extension("IMAGE", naxis=(5, -1))
    headers = walk(Plain(data))
    next(headers)
    with pytest.raises(
        CorruptFITSError, match="HDU 1 is damaged at byte 3200: NAXIS2 = -1 is negative"
    ) as caught:
        next(headers)
    assert (caught.value.hdu, caught.value.offset) == (1, 2880 + 4 * 80)


def test_a_damaged_first_card_loses_no_hdu_in_silence() -> None:
    """What is a header but for XTENSION is an error, and not the end of the file."""
    data = primary() + extension("IMAGE").replace(b"XTENSION", b"XTENSIOO") + extension("IMAGE")
    headers = walk(Plain(data))
    next(headers)
    with pytest.raises(CorruptFITSError, match="should be XTENSION") as caught:
        next(headers)
    assert (caught.value.hdu, caught.value.offset) == (1, 2880)
