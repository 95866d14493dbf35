"""`open`: an HDUList of astropy's that reads no more than it must, in as few round trips as there can be."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

import astro_cloud.fits
from astro_cloud.exceptions import InvalidLocationError, NotFITSError, ObjectNotFoundError
from astro_cloud.fits.hdu_file import FIRST
from astro_cloud.storage import Client
from astro_cloud.testing import ObjectServer
from tests.fits import made
from tests.fits.conftest import Put
from tests.fits.made import SIDE, WINDOW, asked_twice, from_memory, offsets, opened
from tests.fits.sources import extension, primary

NAMES = ["PRIMARY", "SCI", "ERR", "SCI", "DQ", "RICE", "GZIP", "CAT"]


# What it is


def test_it_is_astropys_hdulist(survey: str, survey_path: Path, frugal: Client) -> None:
    """The list and each HDU are instances of astropy's classes, of the same names, in the same order."""
    with opened(survey, client=frugal) as ours, fits.open(survey_path) as theirs:
        assert isinstance(ours, fits.HDUList)
        assert type(ours).__name__ == "HDUList"
        assert [hdu.name for hdu in ours] == NAMES
        for our, their in zip(ours, theirs, strict=True):
            assert isinstance(our, type(their))
            assert type(our).__name__ == type(their).__name__
            assert our.header.tostring() == their.header.tostring()
        assert ours.info(output=False) == theirs.info(output=False)


def test_it_shows_itself_and_reads_nothing_for_it(
    night: ObjectServer, survey: str, frugal: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """The repr names the object and what is known of it; `info` prints astropy's table."""
    with opened(survey, client=frugal) as hdus:
        assert repr(hdus) == f"<HDUList {survey} (HDUs known so far: 1)>"
        assert len(night.requests) == 1
        hdus.info()
        assert repr(hdus).startswith("[<")
    printed = capsys.readouterr().out
    assert f"Filename: {survey}" in printed
    assert all(name in printed for name in NAMES)


# What it costs


def test_opening_is_one_round_trip(night: ObjectServer, survey: str) -> None:
    """One GET of 44 blocks, and no HEAD; the first two headers are in it."""
    with opened(survey) as hdus:
        (record,) = night.requests
        assert (record.method, record.range, record.body_bytes) == ("GET", f"bytes=0-{FIRST - 1}", FIRST)
        assert hdus[0].header["SIMPLE"]
        assert hdus[1].header["EXTNAME"] == "SCI"
        assert len(night.requests) == 1


@pytest.mark.parametrize("number", range(1, 8))
def test_no_further_than_the_header(far: ObjectServer, survey: str, frugal: Client, number: int) -> None:
    """Without prediction, touching HDU n reads a window where it begins, and nothing behind that."""
    begins = offsets(made.survey())
    with opened(survey, client=frugal, predict=False) as hdus:
        _ = hdus[number].header
        assert max(stop for _, stop in made.intervals(far.requests)) <= max(FIRST, begins[number] + WINDOW)
        assert far.requests.round_trips == len(far.requests) <= number + 1


def test_looking_again_costs_nothing(night: ObjectServer, survey: str, frugal: Client) -> None:
    """Nothing done with the list and its headers fetches a byte twice, in whatever order it comes."""
    with opened(survey, client=frugal) as hdus:
        assert hdus["SCI", 2].header["EXTVER"] == 2
        assert "RICE" in hdus
        assert "IMAGE" not in hdus
        assert len(hdus) == 8
        read = len(night.requests)
        for _ in range(2):
            hdus.info(output=False)
            assert [hdus[number].header["EXTNAME"] for number in range(1, 8)] == NAMES[1:]
            assert hdus.index_of(("SCI", 2)) == 3
            assert hdus[-1] is hdus[7] is hdus["CAT"]
            assert [hdu.name for hdu in hdus] == [hdu.name for hdu in hdus[:]] == NAMES
            assert hdus.fileinfo(3)["hdrLoc"] == offsets(made.survey())[3]
            assert ("SCI", 3) not in hdus
        assert len(night.requests) == read
    assert asked_twice(night.requests) == []


@pytest.mark.parametrize("predict", [True, False])
def test_a_small_file_is_read_once(night: ObjectServer, put: Put, frugal: Client, predict: bool) -> None:
    """Where data came with the headers, sections, data and rows of them ask for nothing more."""
    data = made.written(
        made.image("SCI", shape=(20, 30)),
        made.image("DQ", shape=(20, 30), dtype="u2"),
        made.catalogue(rows=9),
    )
    assert len(data) < WINDOW
    with opened(put(data), client=frugal, predict=predict) as hdus, from_memory(data) as theirs:
        assert len(hdus) == 4
        for number in (1, 2):
            assert np.array_equal(hdus[number].section[3:9:2, ::5], theirs[number].data[3:9:2, ::5])
            assert np.array_equal(hdus[number].data, theirs[number].data)
        rows, expected = hdus["CAT"].data, theirs["CAT"].data
        assert rows["NAME"].tolist() == expected["NAME"].tolist()
        assert all(map(np.array_equal, rows["FLUX"], expected["FLUX"]))
    assert len(night.requests) == 1


def test_prediction_saves_round_trips(far: ObjectServer, put: Put, frugal: Client) -> None:
    """The headers of nine images alike: one round trip each without prediction, at most 2 + log2 10 with."""
    url = put(made.written(*(made.image("SCI", version) for version in range(1, 10))))
    found = {}
    for predict in (True, False):
        far.clear()
        with opened(url, client=frugal, predict=predict) as hdus:
            versions = [hdu.header.get("EXTVER", 1) for hdu in hdus]
        assert versions == [1, *range(1, 10)]
        assert asked_twice(far.requests) == []
        assert far.requests.body_bytes <= 11 * WINDOW
        found[predict] = far.requests.round_trips
    assert found[False] == 9
    assert found[True] <= 5


def test_a_section_is_one_round_trip_more(far: ObjectServer, survey: str, frugal: Client) -> None:
    """Its runs of bytes come at once: several requests, no byte beyond the pixels, one round trip."""
    with opened(survey, client=frugal) as hdus, from_memory(made.survey()) as theirs:
        _ = hdus["DQ"]
        far.clear()
        pixels = hdus[2].section[100:400:50, 20:30]
        assert (len(far.requests), far.requests.round_trips) == (6, 1)
        assert far.requests.body_bytes == pixels.nbytes == 6 * 10 * 4
        assert np.array_equal(pixels, theirs[2].data[100:400:50, 20:30])
        far.clear()
        unsigned = hdus["DQ"].section[300:302]
        assert (len(far.requests), far.requests.body_bytes) == (1, 2 * SIDE * 2)
        assert unsigned.dtype == np.uint16
        assert np.array_equal(unsigned, theirs["DQ"].data[300:302])


def test_a_section_of_tiles_is_two_then_one(far: ObjectServer, put: Put, frugal: Client) -> None:
    """Rows of the table, then tiles; where the rows are held, those of the neighbours too, tiles alone."""
    # behind a header longer than a window no row of the table comes along
    url = put(made.written(long_header(made.gzip_2()), made.image("SCI")))
    with opened(url, client=frugal) as hdus, from_memory(far.path("night", "file.fits").read_bytes()) as f:
        for key, trips in (((10, 20), 2), ((slice(60, 140), slice(10, 20)), 1), ((-1, -1), 1)):
            _ = hdus[1].header
            far.clear()
            found = hdus[1].section[key]
            assert np.array_equal(found, f[1].data[key])
            assert far.requests.round_trips <= trips
        assert far.requests.body_bytes < 2 * 50 * 50 * 4


def long_header(hdu: Any) -> Any:
    """Give an HDU a header of two windows."""
    for _ in range(1600):
        hdu.header.add_history("long")
    return hdu


def test_tiles_are_fetched_at_once(far: ObjectServer, survey: str, frugal: Client) -> None:
    """Tiles that do not lie together are several requests of one round trip, and no others are read."""
    with opened(survey, client=frugal) as hdus, from_memory(made.survey()) as theirs:
        assert len(hdus) == 8
        hdus["GZIP"].section[0, 0]  # the rows of the table
        far.clear()
        found = hdus["GZIP"].section[60:300, 190:199]
        assert np.array_equal(found, theirs["GZIP"].data[60:300, 190:199])
        assert len(far.requests) > 1
        assert far.requests.round_trips == 1
        assert far.requests.body_bytes < 5 * 50 * 50 * 4


def test_data_come_at_once(far: ObjectServer, put: Put, frugal: Client) -> None:
    """All of a long image is read over several connections in one round trip; of a compressed one, in two."""
    big = fits.ImageHDU(np.arange(5_000_000, dtype="f4").reshape(2500, 2000))
    url = put(made.written(big, long_header(made.gzip_2())))
    with opened(url, client=frugal) as hdus, from_memory(far.path("night", "file.fits").read_bytes()) as f:
        assert len(hdus) == 3
        far.clear()
        assert np.array_equal(hdus[1].data, f[1].data)
        assert far.requests.round_trips == 1
        assert len(far.requests) > 1
        far.clear()
        assert np.array_equal(hdus[2].data, f[2].data)
        assert far.requests.round_trips <= 2
        far.clear()
        assert hdus[1].data is hdus[1].data
        assert len(far.requests) == 0


def test_a_table_is_read_at_once(far: ObjectServer, put: Put, frugal: Client) -> None:
    """Rows in one round trip, the heap in one more; columns equal astropy's."""
    data = made.written(long_header(made.catalogue(rows=4000)), made.stars())
    with opened(put(data), client=frugal) as hdus, from_memory(data) as theirs:
        assert len(hdus) == 3
        far.clear()
        ours, rows = hdus["CAT"].data, theirs["CAT"].data
        assert np.array_equal(ours["RA"], rows["RA"])
        assert np.array_equal(ours["NAME"], rows["NAME"])
        assert all(map(np.array_equal, ours["FLUX"], rows["FLUX"]))
        assert far.requests.round_trips <= 2
        assert np.array_equal(hdus["STARS"].data["MAG"], theirs["STARS"].data["MAG"])


# What else may be in it


def test_random_groups(put: Put, frugal: Client) -> None:
    """Groups and their parameters are astropy's."""
    pixels, weights = made.noise((7, 1, 1, 1, 3)), made.noise((7,), 5)
    groups = fits.GroupData(pixels, bitpix=-32, parnames=["WEIGHT"], pardata=[weights])
    with opened(put(made.written(fits.GroupsHDU(groups))), client=frugal) as hdus:
        assert isinstance(hdus[0], fits.GroupsHDU)
        assert len(hdus) == 1
        assert np.array_equal(hdus[0].data.data, pixels)
        assert np.array_equal(hdus[0].data.par("WEIGHT"), weights)


def test_a_primary_image(put: Put, frugal: Client) -> None:
    """Pixels in the primary HDU are cut out as those of extensions are, three axes as two."""
    cube = made.noise((5, 40, 50))
    with opened(put(made.written(fits.PrimaryHDU(cube))), client=frugal) as hdus:
        assert np.array_equal(hdus[0].section[:, 3, -2], cube[:, 3, -2])
        assert np.array_equal(hdus[0].section[..., ::-1], cube[..., ::-1])
        assert (hdus[0].section.shape, hdus[0].section.ndim) == (cube.shape, 3)


def test_what_calls_itself_non_conforming(put: Put, frugal: Client) -> None:
    """SIMPLE = F is one HDU for astropy, whatever follows: it is one here, with a warning."""
    data = primary().replace(b"SIMPLE  =                    T", b"SIMPLE  =                    F")
    url = put(data + extension("IMAGE"))
    with pytest.warns(astro_cloud.exceptions.AstroCloudWarning, match="SIMPLE = F") as caught:
        hdus = opened(url, client=frugal)
    assert caught[0].filename == __file__
    with hdus:
        assert len(hdus) == 1
        assert type(hdus[0]).__name__ == "_NonstandardHDU"


def test_an_extension_of_an_unknown_kind(put: Put, frugal: Client) -> None:
    """What astropy has no class for keeps its place in the list, and the HDUs behind it theirs."""
    dump = extension("DUMP", naxis=(2880,)) + bytes(2880)
    url = put(primary() + dump + extension("IMAGE", "EXTNAME = 'A'"))
    with opened(url, client=frugal) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "", "A"]
        assert hdus[1].header["XTENSION"].strip() == "DUMP"


@pytest.mark.parametrize("key", [0, (0, 0), slice(None), ..., ()])
def test_no_image_has_no_section(survey: str, frugal: Client, key: Any) -> None:
    """A section of an empty primary HDU is an IndexError that names it."""
    with opened(survey, client=frugal) as hdus, pytest.raises(IndexError, match="HDU 0"):
        hdus[0].section[key]


def test_a_missing_hdu_is_a_missing_hdu(survey: str, frugal: Client) -> None:
    """An HDU that is not there is what astropy says: IndexError for a number, KeyError for a name."""
    with opened(survey, client=frugal) as hdus:
        with pytest.raises(IndexError):
            hdus[8]
        for name in ("FLUX", ("SCI", 3), ("PRIMARY", 2)):
            with pytest.raises(KeyError):
                hdus[name]


def test_errors_at_opening(night: ObjectServer, put: Put, frugal: Client) -> None:
    """What is not there, is no FITS file or no location is an error at once, and leaves nothing open."""
    with pytest.raises(NotFITSError, match="HTML page"):
        opened(put(b"<!DOCTYPE html><p>moved"))
    with pytest.raises(NotFITSError, match="no bytes at all"):
        opened(put(b""), client=frugal)
    with pytest.raises(ObjectNotFoundError):
        opened(night.url_for("night", "no-such.fits"))
    with pytest.raises(InvalidLocationError):
        opened("s3://bucket-only")


# Where it may be


@pytest.mark.parametrize("spelt", [Path, str, Path.as_uri, os.fspath])
def test_a_local_file(night: ObjectServer, survey_path: Path, spelt: Any) -> None:
    """A path is opened by the same function, planned alike, and nobody is asked."""
    with opened(spelt(survey_path)) as hdus, fits.open(survey_path) as theirs:
        assert hdus.info(output=False) == theirs.info(output=False)
        for name in ("ERR", "DQ", "RICE", "GZIP"):
            assert np.array_equal(hdus[name].section[7:90, 5], theirs[name].section[7:90, 5])
            assert np.array_equal(hdus[name].data, theirs[name].data)
        assert np.array_equal(hdus["CAT"].data["RA"], theirs["CAT"].data["RA"])
    assert not night.requests
    with pytest.raises(ObjectNotFoundError):
        opened(spelt(survey_path.with_name("none.fits")))


# Closing


def test_a_client_of_the_users_is_left_open(survey: str, frugal: Client) -> None:
    """A client that was given goes on working; closing twice does no harm."""
    for _ in range(2):
        hdus = opened(survey, client=frugal)
        assert hdus[1].section[0, 0] > 0
        hdus.close()
        hdus.close()


def test_a_client_that_was_closed(survey: str) -> None:
    """A client that is closed under an open list opens its connections anew, as it does for everybody."""
    with Client() as client:
        hdus = opened(survey, client=client)
    with hdus:
        assert hdus[1].section[300, 300] == made.image("SCI").data[300, 300]
        assert len(hdus) == 8
    client.close()


def test_reading_after_closing(survey: str, survey_path: Path, frugal: Client) -> None:
    """Pixels that were not read are a ValueError once the list is closed; those that were stay."""
    for location, options in ((survey, {"client": frugal}), (survey, {}), (survey_path, {})):
        hdus = opened(location, **options)
        hdu, tiles, pixels = hdus["SCI"], hdus["GZIP"], hdus["ERR"].data
        hdus.close()
        # Called within the turn.
        for reading in (lambda: hdu.section[300, 300], lambda: tiles.section[300, 300]):  # noqa: B023
            with pytest.raises(ValueError, match="closed"):
                reading()
        with pytest.raises(ValueError, match="closed"):
            _ = hdu.data
        assert pixels.shape == (SIDE, SIDE)
        assert hdu.header["EXTNAME"] == "SCI"


def test_a_list_closed_before_it_was_read(survey: str, frugal: Client) -> None:
    """HDUs that nobody touched before cannot be had after closing; those known can, as with astropy."""
    hdus = opened(survey, client=frugal)
    assert hdus[1].name == "SCI"
    hdus.close()
    with pytest.raises((IndexError, ValueError)):
        hdus[5]
    assert hdus[1].name == "SCI"


def test_a_list_is_not_pickled(survey: str, frugal: Client) -> None:
    """A pickle would lose its place: the error says to open the file anew."""
    with opened(survey, client=frugal) as hdus, pytest.raises(TypeError, match="open it anew"):
        pickle.dumps(hdus)
