"""`open` and what goes wrong behind it: an error that says so, never other pixels or a shorter list."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from astropy.io.fits.verify import VerifyWarning

from astro_cloud.exceptions import (
    AccessDeniedError,
    AstroCloudWarning,
    CorruptFITSError,
    ObjectChangedError,
    RangeNotSupportedError,
    StorageError,
)
from astro_cloud.fits.inflated import Inflated
from astro_cloud.storage import Client
from astro_cloud.testing import Fault, ObjectServer
from tests.fits import made
from tests.fits.conftest import Put
from tests.fits.made import from_memory, offsets, opened
from tests.fits.sources import extension, primary


def overwrite(night: ObjectServer, data: bytes) -> None:
    """Put another object in the place of the one that is open."""
    night.put("night", "file.fits", data)


def other() -> bytes:
    """Return a file to the shape of the survey's, with other pixels."""
    data = bytearray(made.survey())
    for at in range(100_000, len(data), 1000):
        data[at] ^= 0x55
    return bytes(data)


# Another version


@pytest.mark.parametrize(
    "reading",
    [
        lambda hdus: hdus[1].section[300, 300],
        lambda hdus: hdus[1].data,
        lambda hdus: hdus["RICE"].section[300, 300],
        lambda hdus: hdus["GZIP"].data,
        lambda hdus: hdus["DQ"].section[300:302],
    ],
)
def test_overwritten_before_a_section(
    night: ObjectServer, survey: str, frugal: Client, reading: Callable[[Any], object]
) -> None:
    """Pixels of another version are never returned under the header of the first."""
    with opened(survey, client=frugal) as hdus:
        assert len(hdus) == 8
        overwrite(night, other())
        for _ in range(2):
            with pytest.raises(ObjectChangedError, match="overwritten"):
                reading(hdus)


def test_overwritten_between_two_headers(night: ObjectServer, survey: str, frugal: Client) -> None:
    """Headers of two versions are never in one list."""
    with opened(survey, client=frugal, predict=False) as hdus:
        assert hdus[1].name == "SCI"
        overwrite(night, other())
        for ask in (lambda: hdus[2], lambda: len(hdus), lambda: hdus["CAT"], lambda: list(hdus)):
            with pytest.raises(ObjectChangedError):
                ask()
        assert hdus[1].name == "SCI"


# Damage


def damaged_at(number: int) -> bytes:
    """Return the survey with an HDU whose header makes no sense: NAXIS1 is a word."""
    data = bytearray(made.survey())
    at = data.index(b"NAXIS1  =", offsets(bytes(data))[number])
    data[at + 10 : at + 80] = b"many".ljust(70)
    return bytes(data)


@pytest.mark.parametrize("predict", [True, False])
def test_a_damaged_header_is_not_the_end(put: Put, frugal: Client, predict: bool) -> None:
    """HDUs before it work; whatever would need it raises, each time: the list is never just shorter."""
    begins = offsets(made.survey())
    with opened(put(damaged_at(3)), client=frugal, predict=predict) as hdus:
        assert hdus[2].name == "ERR"
        for ask in (
            lambda: hdus[3],
            lambda: len(hdus),
            lambda: hdus[-1],
            lambda: list(hdus),
            lambda: hdus["CAT"],
            lambda: "CAT" in hdus,
            lambda: hdus.info(output=False),
            lambda: hdus[:],
        ):
            with pytest.raises(CorruptFITSError, match="HDU 3") as caught:
                ask()
            assert caught.value.hdu == 3
            assert begins[3] <= (caught.value.offset or 0) < begins[3] + 2880
        assert hdus[1].section[300, 300] == made.image("SCI").data[300, 300]


def test_a_damaged_first_header_is_told_at_once(put: Put, frugal: Client) -> None:
    """There is nothing to hand out then."""
    with pytest.raises(CorruptFITSError, match="HDU 0"):
        opened(put(primary().replace(b"NAXIS   =                    0", b"NAXIS   = x".ljust(30))))


def test_a_damaged_header_that_astropy_looks_at(put: Put, frugal: Client) -> None:
    """Without EXTEND astropy looks at HDU 1 when it opens a file, and warns: it is an error all the same."""
    url = put(primary() + extension("IMAGE", naxis=(-1,)))
    with pytest.warns(VerifyWarning, match="HDU 1 is damaged"):
        hdus = opened(url, client=frugal)
    with hdus:
        for ask in (lambda: hdus[1], lambda: len(hdus)):
            with pytest.raises(CorruptFITSError, match="HDU 1"):
                ask()


# Of the same damage astropy warns, too.
@pytest.mark.filterwarnings("ignore:File may have been truncated")
@pytest.mark.parametrize(
    ("cut", "whole"), [(100, True), (30_000, False)], ids=["in the padding", "in the pixels"]
)
def test_a_truncated_last_data_unit(put: Put, frugal: Client, cut: int, whole: bool) -> None:
    """A warning, and a list that is complete; what is there can be read, what is not is CorruptFITSError."""
    data = made.written(made.image("SCI"), made.image("ERR"))
    url, size = put(data[:-cut]), len(data) - cut
    with opened(url, client=frugal) as hdus:
        with pytest.warns(AstroCloudWarning, match="missing" if whole else "cut short") as caught:
            assert len(hdus) == 3
        assert [one.filename for one in caught if one.category is AstroCloudWarning] == [__file__]
        pixels = made.image("ERR").data
        assert np.array_equal(hdus[2].section[:300], pixels[:300])
        assert np.array_equal(hdus[1].data, made.image("SCI").data)
        if whole:
            assert np.array_equal(hdus[2].section[-1], pixels[-1])
            assert np.array_equal(hdus[2].data, pixels)
            return
        for reading in (lambda: hdus[2].section[-1], lambda: hdus[2].section[200:], lambda: hdus[2].data):
            with pytest.raises(CorruptFITSError, match="HDU 2") as error:
                reading()
            assert (error.value.hdu, error.value.offset, error.value.location) == (2, size, url)
        assert np.array_equal(hdus[2].section[10:12], pixels[10:12])


@pytest.mark.filterwarnings("ignore:File may have been truncated")
def test_truncated_tiles(put: Put, frugal: Client) -> None:
    """The same of a compressed image: tiles that are there are decoded, those that are not raise."""
    data = made.written(made.image("SCI"), made.gzip_2())
    with opened(put(data[:-100_000]), client=frugal) as hdus:
        with pytest.warns(AstroCloudWarning, match="cut short"):
            assert len(hdus) == 3
        assert np.array_equal(hdus[2].section[:60], made.gzip_2().data[:60])
        for reading in (lambda: hdus[2].section[-1], lambda: hdus[2].data):
            with pytest.raises(CorruptFITSError, match="HDU 2") as error:
                reading()
            assert (error.value.hdu, error.value.offset) == (2, len(data) - 100_000)


def test_tiles_that_cannot_be_decoded(put: Put, frugal: Client) -> None:
    """Damaged tiles are CorruptFITSError with HDU and offset, and their neighbours are pixels."""
    data = bytearray(made.written(made.gzip_2()))
    with from_memory(bytes(data), disable_image_compression=True) as hdus:
        at = hdus.fileinfo(1)["datLoc"] + hdus[1].header.get("THEAP", hdus[1].header["NAXIS1"] * 64)
    data[at : at + 40] = bytes(40)
    with opened(put(bytes(data)), client=frugal) as hdus:
        with pytest.raises(CorruptFITSError, match="decompressed") as error:
            hdus[1].section[0, 0]
        assert (error.value.hdu, error.value.offset) == (1, at)
        assert np.array_equal(hdus[1].section[60:], made.gzip_2().data[60:])


def test_a_descriptor_that_points_outside(put: Put, frugal: Client) -> None:
    """A tile said to lie past the heap is CorruptFITSError that says where, and nothing is read for it."""
    data = bytearray(made.written(made.gzip_2()))
    with from_memory(bytes(data)) as hdus:
        at = hdus.fileinfo(1)["datLoc"]
    data[at + 4 : at + 8] = b"\x7f\xff\xff\xff"
    url = put(bytes(data))
    with opened(url, client=frugal) as hdus, pytest.raises(CorruptFITSError, match="heap") as error:
        hdus[1].section[0, 0]
    assert (error.value.hdu, error.value.offset) == (1, at)


# What may pass


def test_a_failure_that_passes(night: ObjectServer, survey: str, frugal: Client) -> None:
    """A header that could not be read raises, and is read when it is asked for again; the list is whole."""
    with opened(survey, client=frugal, predict=False) as hdus:
        assert hdus[2].name == "ERR"
        for fault in (Fault.unavailable(), Fault.cut(100), Fault.reset(None)):
            night.inject(fault)
            with pytest.raises(StorageError):
                hdus[3]
        night.inject(Fault.unavailable(500, "InternalError"))
        with pytest.raises(StorageError):
            len(hdus)
        assert hdus[3].header["EXTVER"] == 2
        assert len(hdus) == 8


def test_a_section_that_fails_once(night: ObjectServer, survey: str, frugal: Client) -> None:
    """So it is with pixels, of one request of several too: an error, and then the pixels."""
    with opened(survey, client=frugal) as hdus, from_memory(made.survey()) as theirs:
        assert len(hdus) == 8
        for name in ("SCI", "RICE", "GZIP"):
            key = (slice(100, 400, 100), slice(3, 9))
            night.inject(Fault.unavailable())
            with pytest.raises(StorageError):
                hdus[name].section[key]
            assert np.array_equal(hdus[name].section[key], theirs[name].section[key])


def test_a_client_that_tries_again_hides_it(night: ObjectServer, survey: str) -> None:
    """By default what passes is tried again, and nobody notices."""
    night.inject(Fault.unavailable())
    with opened(survey) as hdus:
        night.inject(Fault.cut(7))
        assert hdus[1].section[300, 300] == made.image("SCI").data[300, 300]


def test_access_that_is_lost(night: ObjectServer, survey: str, frugal: Client) -> None:
    """A refusal in the midst of it is a refusal, and not the end of the list."""
    with opened(survey, client=frugal, predict=False) as hdus:
        night.public.clear()
        for ask in (lambda: hdus[4], lambda: len(hdus), lambda: hdus[1].section[300, 300]):
            with pytest.raises(AccessDeniedError):
                ask()


# Compressed whole


def test_a_file_that_is_compressed_whole(night: ObjectServer, put: Put, frugal: Client) -> None:
    """It is opened with a warning of what that costs, which points at the caller; its pixels are right."""
    data = made.written(made.image("SCI"), made.gzip_2())
    with pytest.warns(AstroCloudWarning, match="compressed whole") as caught:
        hdus = opened(put(gzip.compress(data, 1)), client=frugal)
    assert caught[0].filename == __file__
    with hdus, from_memory(data) as theirs:
        assert np.array_equal(hdus[1].section[3:9, 300], theirs[1].section[3:9, 300])
        assert np.array_equal(hdus[2].section[3:9, 300], theirs[2].section[3:9, 300])
        assert hdus.info(output=False) == theirs.info(output=False)


def test_pixels_too_far_inside(monkeypatch: pytest.MonkeyPatch, put: Put, frugal: Client) -> None:
    """Behind the limit headers can be had, and a section is an error that names `download`."""
    data = made.written(made.image("SCI"), made.image("ERR"))
    monkeypatch.setitem(Inflated.__init__.__kwdefaults__ or {}, "limit", 100_000)
    with pytest.warns(AstroCloudWarning, match="compressed whole"):
        hdus = opened(put(gzip.compress(data, 1)), client=frugal)
    with hdus:
        assert hdus["ERR"].header["EXTNAME"] == "ERR"
        assert hdus["SCI"].section[0, 0] == made.image("SCI").data[0, 0]
        with pytest.raises(RangeNotSupportedError, match="download"):
            hdus["SCI"].section[300]


def test_a_truncated_extension_header(put: Put, frugal: Client) -> None:
    """A file that ends within a header is damaged, and not one HDU shorter."""
    url = put(primary("EXTEND  = T") + extension("IMAGE", *["HISTORY"] * 100)[:2880])
    with opened(url, client=frugal) as hdus, pytest.raises(CorruptFITSError, match="END"):
        len(hdus)
