"""Cubes of TESS: they are known by their headers, and their WCS is the one that astrocut finds."""

from __future__ import annotations

import contextlib
import io
import math
import struct
import warnings
from random import Random
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from astro_cloud.exceptions import CorruptFITSError, FITSError
from astro_cloud.fits import FITSHeader
from astro_cloud.fits.headers import walk
from astro_cloud.fits.layout import read_structure
from astro_cloud.fits.tess_cube import KeywordTable, is_cube, may_be_cube
from tests.fits.astrocut_cubes import CUBES, POSITIONS, AstrocutCubes
from tests.fits.damage import mutated, places, with_bytes, with_card
from tests.fits.sources import Plain, Sparse
from tests.fits.tess_images import COLUMNS, ROWS

LOCATION = "plain.fits"


@pytest.fixture
def whole(astrocut_cubes: AstrocutCubes) -> bytes:
    """A cube of 16 images, each of which has a WCS."""
    return astrocut_cubes.paths["whole"].read_bytes()


def headers_of(data: bytes) -> list[FITSHeader]:
    return list(walk(Plain(data)))


def table_of(data: bytes) -> KeywordTable:
    _, image, table = headers_of(data)
    assert is_cube(image, table)
    return KeywordTable(image, table, LOCATION)


def wcs_of(data: bytes) -> WCS:
    return table_of(data).wcs(Plain(data).read_ranges)[0]


def cells_of(data: bytes) -> tuple[int, np.dtype[Any]]:
    """Say where the table's rows begin, and what is in them, by astropy."""
    with fits.open(io.BytesIO(data), memmap=False) as hdus:
        return hdus.fileinfo(2)["datLoc"], np.asarray(hdus[2].data).dtype


def with_cells(data: bytes, row: int, **values: str | int | float) -> bytes:
    """Put other values into a row."""
    place, dtype = cells_of(data)
    for name, value in values.items():
        form, offset = dtype.fields[name][:2]
        if isinstance(value, str):
            new = value.encode("latin-1").ljust(form.itemsize)[: form.itemsize]
        else:
            new = struct.pack(">d" if isinstance(value, float) else ">i", value)
        data = with_bytes(data, place + row * dtype.itemsize + offset, new)
    return data


@pytest.mark.parametrize("name", list(CUBES))
def test_astrocuts_cubes_are_known(astrocut_cubes: AstrocutCubes, name: str) -> None:
    """What astrocut writes is such a cube, with any number of images; the comments of keywords, which it
    writes as values of the table's EXTNAME and EXTVER, do not matter."""
    primary, image, table = headers_of(astrocut_cubes.paths[name].read_bytes())
    assert may_be_cube(image)
    assert is_cube(image, table)
    assert image.shape == (ROWS, COLUMNS, CUBES[name][0], 2)
    assert (image.name, table.name) == ("", "NAME OF EXTENSION")
    assert not may_be_cube(primary)
    assert not is_cube(table, image)


def four_axes(shape: tuple[int, ...] = (8, 9, 5, 2), dtype: str = "f4", name: str = "") -> fits.ImageHDU:
    return fits.ImageHDU(np.zeros(shape, dtype), name=name)


def files_table(rows: int = 5, name: str = "FFI_FILE") -> fits.BinTableHDU:
    return fits.BinTableHDU.from_columns([fits.Column(name, "8A", array=["x"] * rows)])


@pytest.mark.parametrize("planes", [1, 2])
def test_a_table_of_files_makes_a_cube(planes: int) -> None:
    """The hand-made files of the next test differ from a cube in what each of them names.

    Of cubes of one plane, once made of TICA's images, astrocut reads none any more; they lie alike.
    """
    _, image, table = headers_of(as_file(four_axes((8, 9, 5, planes)), files_table()))
    assert is_cube(image, table)


def as_file(*hdus: Any) -> bytes:
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(file)
    return file.getvalue()


@pytest.mark.parametrize(
    "hdus",
    [
        [four_axes(dtype="f8"), files_table()],
        [four_axes(dtype="i4"), files_table()],
        [four_axes((8, 9, 5, 3)), files_table()],
        [four_axes((9, 5, 2)), files_table()],
        [four_axes((3, 8, 9, 5, 2)), files_table()],
        [four_axes(name="SCI"), files_table()],
        [files_table(), four_axes()],
        [fits.ImageHDU(), four_axes(), files_table()],
    ],
    ids=["doubles", "integers", "three planes", "3-D", "5-D", "a name", "behind", "third"],
)
def test_other_images_need_no_look_at_the_table(hdus: list[Any]) -> None:
    """Images of other types, axes, names and places are not taken for cubes."""
    headers = headers_of(as_file(*hdus))
    assert not may_be_cube(headers[1])
    assert not is_cube(headers[1], headers[2])


@pytest.mark.parametrize(
    "second",
    [
        files_table(4),
        files_table(name="FILE"),
        files_table(name="FFI_FILES"),
        four_axes(),
        fits.TableHDU.from_columns([fits.Column("FFI_FILE", "A8", array=["x"] * 5, ascii=True)]),
    ],
    ids=["another number of rows", "other columns", "a longer name", "an image", "an ASCII table"],
)
def test_other_tables_make_no_cube(second: Any) -> None:
    """An image such as a cube has it is none without the table of its images beside it."""
    _, image, table = headers_of(as_file(four_axes(), second))
    assert may_be_cube(image)
    assert not is_cube(image, table)


@pytest.mark.parametrize("name", list(CUBES))
def test_rows_are_where_astropy_reads_them(astrocut_cubes: AstrocutCubes, name: str) -> None:
    """The bytes of each row are those that astropy makes the row of."""
    data = astrocut_cubes.paths[name].read_bytes()
    table = table_of(data)
    with fits.open(io.BytesIO(data), memmap=False) as hdus:
        rows = np.asarray(hdus[2].data)
    assert (table.row_count, table.row_size) == (len(rows), rows.dtype.itemsize)
    for number, row in enumerate(rows):
        start, stop = table.row_range(number)
        assert data[start:stop] == row.tobytes()


@pytest.mark.parametrize("name", list(CUBES))
def test_keywords_are_what_astropy_reads(astrocut_cubes: AstrocutCubes, name: str) -> None:
    """The header has the image's keywords in the order of the columns, with the values astropy reads, but
    for those that the image does not have and those of its file's structure."""
    data = astrocut_cubes.paths[name].read_bytes()
    header = table_of(data).wcs(Plain(data).read_ranges)[1]
    with fits.open(io.BytesIO(data), memmap=False) as hdus:
        (row,) = (row for row in hdus[2].data if row["FFI_FILE"] == header["FFI_FILE"])
        cells = dict(zip(hdus[2].columns.names, row, strict=True))
    there = [key for key, value in cells.items() if not isinstance(value, float) or not math.isnan(value)]
    structure = {
        "XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT", "INHERIT", "EXTNAME",
        "EXTVER", "CHECKSUM", "DATASUM",
    }  # fmt: skip
    assert list(header) == [key for key in there if key not in structure]
    assert {key: header[key] for key in header} == {key: cells[key] for key in header}


@pytest.mark.parametrize("name", list(POSITIONS))
def test_the_wcs_is_astrocuts(astrocut_cubes: AstrocutCubes, name: str) -> None:
    """Each pixel of astrocut's cutouts is where it says, to 1e-10 degree, and by the same image's WCS."""
    judged = astrocut_cubes.cutouts[name]
    data = astrocut_cubes.paths[POSITIONS[name].cube].read_bytes()
    wcs, header = table_of(data).wcs(Plain(data).read_ranges)
    y, x = np.mgrid[slice(*judged.rows), slice(*judged.columns)]
    assert np.abs(np.array(wcs.all_pix2world(x, y, 0)) - judged.sky).max() < 1e-10
    assert np.abs(judged.sky_of_cutout - judged.sky).max() < 1e-10
    assert header["FFI_FILE"] == judged.ffi
    assert wcs.array_shape == (ROWS, COLUMNS)
    assert wcs.sip is not None


@pytest.mark.parametrize(
    ("name", "requests"),
    [
        ("whole", [[8]]),
        ("odd", [[3], [4, 5, 6]]),
        ("wrapped", [[4], [5, 6, 7, 8], [0, 1, 2, 3]]),
        ("one", [[0]]),
    ],
)
def test_one_row_is_read(astrocut_cubes: AstrocutCubes, name: str, requests: list[list[int]]) -> None:
    """One request takes the middle row, and further ones more rows, only if that has no WCS."""
    data = astrocut_cubes.paths[name].read_bytes()
    table, source = table_of(data), Plain(data)
    table.wcs(source.read_ranges)
    spans = [[(table.row_range(rows[0])[0], table.row_range(rows[-1])[1])] for rows in requests]
    assert source.trips == spans


def test_a_long_search_takes_few_requests(whole: bytes) -> None:
    """If of 40,000 rows the last one looked at has the WCS, 7 requests of at most 16 MiB find it."""
    count = 40_000
    table = longer(whole, count)
    row = whole[slice(*table_of(whole).row_range(8))]
    last = table.row_range(count // 2 - 1)[0]
    source = Sparse(table.row_range(count)[0], {last: row})
    wcs, header = table.wcs(source.read_ranges)
    assert wcs.has_celestial
    assert header["FFI_FILE"].startswith("tess2020049080008")
    sizes = [stop - start for start, stop in source.asked]
    assert (len(sizes), sum(sizes)) == (7, count * table.row_size)
    assert max(sizes) <= 1 << 24


def test_a_search_ends(whole: bytes) -> None:
    """A header may claim any number of rows: after 64 MiB without a WCS, it is said how many were read."""
    count = 10**12
    table = longer(whole, count)
    source = Sparse(table.row_range(count)[0], {})
    with pytest.raises(FITSError, match=rf"\d+ of the {count} rows of HDU 2 were looked at, and none"):
        table.wcs(source.read_ranges)
    assert sum(stop - start for start, stop in source.asked) < (1 << 26) + (1 << 24)
    assert len(source.asked) < 12


def longer(data: bytes, count: int) -> KeywordTable:
    """Return the table of a cube with another number of rows, which are not there."""
    _, image, table = headers_of(data)
    raw = with_card(table.raw, 0, "NAXIS2", count)
    structure = read_structure(raw, primary=False)
    return KeywordTable(
        image, FITSHeader(index=2, offset=table.offset, raw=raw, structure=structure), LOCATION
    )


def test_no_row_has_a_wcs(whole: bytes) -> None:
    """Then there is none, and the error says so, where, and what can be done."""
    data = whole
    for row in range(CUBES["whole"][0]):
        data = with_cells(data, row, CTYPE2="")
    with pytest.raises(FITSError, match=r"the cube of HDU 1 has no WCS: 16 of .* take a section") as caught:
        wcs_of(data)
    assert (caught.value.location, caught.value.hdu) == (LOCATION, 2)
    assert caught.value.offset == places(data)[2][1]
    assert not isinstance(caught.value, CorruptFITSError)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("CRVAL1", math.nan, "CRVAL1 is nan, not a finite number"),
        ("CRPIX2", math.inf, "CRPIX2 is inf, not a finite number"),
        ("CD1_2", math.nan, "CD1_2 is nan, not a finite number"),
        ("A_2_0", math.inf, "A_2_0 is inf, not a finite number"),
        ("A_ORDER", 2_000_000_000, "A_ORDER is 2000000000, not between 0 and 9"),
        ("BP_ORDER", -3, "BP_ORDER is -3, not between 0 and 9"),
        ("B_ORDER", 0, "A_ORDER, B_ORDER are [4, 0], of half a distortion"),
        ("WCSAXES", 1_000_000_000, "WCSAXES is 1000000000, and an image has 2"),
        ("CTYPE1", "", "CTYPE1 is None beside"),
        ("CTYPE1", "\x01\xff", "CTYPE1 is None beside"),
        ("CTYPE1", "DEC--TAN-SIP", "CTYPE1 is 'DEC--TAN-SIP' beside"),
        ("CUNIT1", "???", "In CUNIT1 : Invalid symbol"),
        ("CUNIT1", "kg", "CUNIT1"),
    ],
)
def test_a_row_that_makes_no_sense(whole: bytes, name: str, value: Any, said: str) -> None:
    """A row that says it has a WCS, and has none, is an error that names the row and the byte: another row's
    WCS would be another image's, and a value left out counts as 0."""
    with pytest.raises(CorruptFITSError, match=r"HDU 2 is damaged at byte \d+: row 8 has no WCS") as caught:
        wcs_of(with_cells(whole, 8, **{name: value}))
    assert said in str(caught.value)
    assert (caught.value.location, caught.value.hdu) == (LOCATION, 2)
    start, stop = table_of(whole).row_range(8)
    assert start <= caught.value.offset < stop


def test_nan_everywhere(whole: bytes) -> None:
    """A table whose numbers are all NaN gives an error, and not a WCS of zeros."""
    _, dtype = cells_of(whole)
    nans = {name: math.nan for name in dtype.names or () if dtype[name] == ">f8"}
    assert len(nans) > 60
    with pytest.raises(CorruptFITSError, match="row 8 has no WCS: CRVAL1 is nan"):
        wcs_of(with_cells(whole, 8, **nans))


def test_a_matrix_of_zeros(whole: bytes) -> None:
    """WCSLIB would take a row of CD that is all zeros for one of the identity, a degree a pixel, and let
    another singular matrix pass."""
    with pytest.raises(CorruptFITSError, match="row 8 has no WCS: CD2_j are all 0"):
        wcs_of(with_cells(whole, 8, CD2_1=0.0, CD2_2=0.0))
    with pytest.raises(CorruptFITSError, match="row 8 has no WCS: its matrix CD is singular"):
        wcs_of(with_cells(whole, 8, CD1_1=1.0, CD1_2=1.0, CD2_1=1.0, CD2_2=1.0))


def test_a_third_axis(whole: bytes) -> None:
    """A keyword of a third axis would make the WCS one of three axes, with a distortion or without."""
    for orders in ({}, dict.fromkeys(("A_ORDER", "B_ORDER", "AP_ORDER", "BP_ORDER"), 0)):
        data = with_cells(whole, 8, **orders)
        with pytest.raises(CorruptFITSError, match="row 8 has no WCS: "):
            wcs_of(with_form(data, "GAINA", "CRVAL3", "TTYPE"))


def test_a_place_without_a_column(whole: bytes) -> None:
    """Where the table has no column for one of the keywords that place an image, it has no WCS."""
    with pytest.raises(CorruptFITSError, match="row 8 has no WCS: it has no CRVAL2"):
        wcs_of(with_form(whole, "CRVAL2", "CRVALX", "TTYPE"))


def test_a_keyword_that_an_image_does_not_have(whole: bytes) -> None:
    """A coefficient that is NaN is one the image does not have: the WCS is that without it."""
    without, zero = (wcs_of(with_cells(whole, 8, A_0_4=value)) for value in (math.nan, 0.0))
    assert (without.sip.a == zero.sip.a).all()
    assert (without.sip.a != wcs_of(whole).sip.a).any()


@pytest.mark.parametrize("name", ["CRVAL1", "CRPIX2", "CD2_1", "A_1_1", "EQUINOX"])
def test_text_in_place_of_numbers(whole: bytes, name: str) -> None:
    """A column of text, of numbers written out too, is no number: WCSLIB would pass it over in silence."""
    data = with_form(with_cells(whole, 8, **{name: 0.5}), name, "8A")
    with pytest.raises(CorruptFITSError, match=f"row 8 has no WCS: {name} is .*, not a number"):
        wcs_of(data)


def with_form(data: bytes, name: str, form: str, keyword: str = "TFORM") -> bytes:
    """Give a column another format, or another card."""
    with fits.open(io.BytesIO(data), memmap=False) as hdus:
        number = hdus[2].columns.names.index(name) + 1
    return with_card(data, places(data)[2][0], f"{keyword}{number}", form)


@pytest.mark.parametrize(
    ("name", "form", "said"),
    [
        ("CRVAL1", "", "is no format of a binary table"),
        ("CRVAL1", "1Z", "is no format of a binary table"),
        ("CRVAL1", "-1D", "is no format of a binary table"),
        ("CRVAL1", "999999999D", r"columns of \d+ bytes in rows of NAXIS1 = \d+"),
        ("CRVAL1", "9" * 40 + "D", "is no format of a binary table"),
        ("CRVAL1", "E", "columns of"),
        ("CTYPE2", "3J", "no column CTYPE2 of text"),
        ("CTYPE2", "12L", "no column CTYPE2 of text"),
    ],
)
def test_formats_that_make_no_sense(whole: bytes, name: str, form: str, said: str) -> None:
    """A TFORM that says nothing, or not what the rows are long, is an error that names the table's header."""
    with pytest.raises(CorruptFITSError, match=f"HDU 2 is damaged at byte .*{said}") as caught:
        table_of(with_form(whole, name, form))
    assert (caught.value.location, caught.value.hdu) == (LOCATION, 2)
    assert caught.value.offset == places(whole)[2][0]


def test_the_wcs_column_may_be_missing(whole: bytes) -> None:
    """Without a column CTYPE2 nothing tells which rows have a WCS."""
    with pytest.raises(CorruptFITSError, match="no column CTYPE2 of text"):
        table_of(with_form(whole, "CTYPE2", "CTYPE2X", "TTYPE"))


def test_scaled_columns_are_refused(whole: bytes) -> None:
    """A column with TSCAL would be read wrong; no cube has one."""
    data = whole.replace(b"CAMERA  =", b"TSCAL16 =")
    assert data != whole
    with pytest.raises(CorruptFITSError, match="column 16 is scaled"):
        table_of(data)


def test_rows_without_bytes(whole: bytes) -> None:
    """Rows of no bytes, or more than a header can have, are an error at once."""
    for size in (0, 1 << 40):
        _, image, table = headers_of(whole)
        raw = with_card(table.raw, 0, "NAXIS1", size)
        structure = read_structure(raw, primary=False)
        wrong = FITSHeader(index=2, offset=table.offset, raw=raw, structure=structure)
        with pytest.raises(CorruptFITSError, match=f"rows of {size} bytes hold no header's values"):
            KeywordTable(image, wrong, LOCATION)


def test_a_table_that_is_cut_short(whole: bytes) -> None:
    """A row of which the object holds a part, or nothing, is an error that says where the object ends."""
    table = table_of(whole)
    start, stop = table.row_range(8)
    for end in (start - 1000, start, stop - 1):
        there = max(start, end)
        with pytest.raises(CorruptFITSError, match=f"damaged at byte {there}: the object ends there"):
            table.wcs(Plain(whole[:end]).read_ranges)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 8))])
@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")
def test_damage_at_random(whole: bytes, seed: int) -> None:
    """Whatever is damaged: the cube's WCS or that of another row, an error of ours, or no such cube; after
    a bounded number of requests."""
    random = Random(f"tess {seed}")
    regions = [(begin, data, stop) for begin, data, stop in places(whole)[2:]]
    for _ in range(60):
        data = mutated(whole, regions, random)
        source = Plain(data)
        with contextlib.suppress(FITSError), warnings.catch_warnings(action="ignore"):
            _, image, *others = headers_of(data)
            if others and is_cube(image, others[0]):
                wcs, _ = KeywordTable(image, others[0], LOCATION).wcs(source.read_ranges)
                assert wcs.naxis == 2
                assert np.isfinite(wcs.wcs.crval).all()
        assert len(source.trips) <= 3
