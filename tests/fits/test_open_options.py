"""What `open` may be told: all that astropy's function takes, and what it does with each."""

from __future__ import annotations

import inspect
import io
import warnings
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from astro_cloud.exceptions import AstroCloudWarning
from astro_cloud.storage import Client
from astro_cloud.testing import ObjectServer
from tests.fits import made
from tests.fits.conftest import Put
from tests.fits.made import from_memory, opened
from tests.fits.sources import extension, primary

#: Of astropy's `open`, those it documents under its `**kwargs` with them.
KEYWORDS: dict[str, Any] = {
    "mode": "readonly",
    "memmap": False,
    "save_backup": False,
    "cache": True,
    "lazy_load_hdus": True,
    "ignore_missing_simple": False,
    "ignore_missing_end": False,
    "use_fsspec": True,
    "fsspec_kwargs": {"block_size": 1 << 20},
    "decompress_in_memory": False,
    "uint": True,
    "checksum": False,
    "disable_image_compression": False,
    "do_not_scale_image_data": False,
    "character_as_bytes": False,
    "logical_as_bytes": False,
    "ignore_blank": False,
    "scale_back": False,
    "output_verify": "exception",
    "uint16": True,
    "uint32": True,
    "uint64": True,
}


def test_every_keyword_of_astropys_is_listed() -> None:
    """No parameter of astropy's own function is missing above."""
    names = set(inspect.signature(fits.open).parameters) - {"name", "kwargs"}
    assert names <= set(KEYWORDS)


@pytest.mark.parametrize("name", KEYWORDS)
def test_every_keyword_of_astropys_is_taken(survey: str, frugal: Client, name: str) -> None:
    """Each is accepted with a value as programs pass it, and changes no pixel by itself."""
    with opened(survey, client=frugal, **{name: KEYWORDS[name]}) as hdus:
        assert len(hdus) == 8
        assert hdus["DQ"].section[0, 0] == made.image("DQ", dtype="u2").data[0, 0]


@pytest.mark.parametrize("names", [["frobnicate"], ["ignore_blanks", "unit"]])
def test_unknown_keywords_are_named(night: ObjectServer, survey: str, names: list[str]) -> None:
    """A misspelt keyword is a TypeError that names it, before anything is read."""
    with pytest.raises(TypeError, match=", ".join(names)):
        opened(survey, **dict.fromkeys(names, True))
    assert not night.requests


@pytest.mark.parametrize("mode", ["update", "append", "ostream", "rb", "r", ""])
def test_what_would_write_is_refused(night: ObjectServer, survey: str, mode: str) -> None:
    """An object cannot be changed in its place: another mode than reading is a ValueError that says so."""
    with pytest.raises(ValueError, match="download it and upload"):
        opened(survey, mode)
    assert not night.requests


@pytest.mark.parametrize("mode", ["readonly", "denywrite", "copyonwrite"])
def test_modes_that_read(survey: str, frugal: Client, mode: str) -> None:
    """Pixels that were read can be changed in memory, and change nowhere else."""
    with opened(survey, mode, client=frugal) as hdus:
        hdus["SCI"].data[0, 0] = 7
        assert hdus["SCI"].data[0, 0] == 7
        assert hdus["SCI"].section[0, 0] != 7


def test_eager_loading(night: ObjectServer, survey: str, frugal: Client) -> None:
    """`lazy_load_hdus=False` reads every header at once, and none later; also where astropy is set so."""
    with opened(survey, client=frugal, lazy_load_hdus=False) as hdus:
        read = len(night.requests)
        assert read > 1
        assert [hdu.name for hdu in hdus][-1] == "CAT"
        assert len(night.requests) == read
    with fits.conf.set_temp("lazy_load_hdus", False), opened(survey, client=frugal):
        assert len(night.requests) == 2 * read


@pytest.mark.parametrize("right", [True, False])
def test_checksums(put: Put, frugal: Client, right: bool) -> None:
    """`checksum=True` has astropy check the sums of each HDU: it warns of those that are wrong, as always."""
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), made.image("SCI")]).writeto(file, checksum=True)
    data = bytearray(file.getvalue())
    data[-10_000] ^= 0 if right else 1
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with opened(put(bytes(data)), client=frugal, checksum=True) as hdus:
            assert len(hdus) == 2
            assert hdus[1].section[0, 0] > 0
    assert [str(one.message).partition(" verification")[0] for one in caught] == (
        [] if right else ["Checksum", "Datasum"]
    )


@pytest.mark.parametrize("option", ["ignore_missing_end", "ignore_missing_simple"])
def test_leniency_does_no_harm(put: Put, frugal: Client, option: str) -> None:
    """A file that is whole is the same file for who would take one that is not."""
    data = made.written(made.image("SCI"), made.gzip_2())
    with opened(put(data), client=frugal, **{option: True}) as hdus, from_memory(data) as theirs:
        assert hdus.info(output=False) == theirs.info(output=False)
        assert np.array_equal(hdus[2].section[5], theirs[2].section[5])


def test_pixels_that_are_not_scaled(put: Put, frugal: Client) -> None:
    """`do_not_scale_image_data`, `uint` and BLANK give the values and types that astropy gives."""
    scaled = made.image("SCALED", shape=(50, 60), dtype="i2")
    scaled.header["BLANK"] = int(scaled.data[3, 3])
    scaled.header["BSCALE"], scaled.header["BZERO"] = 0.5, 100.0
    plain = made.written(made.image("DQ", shape=(50, 60), dtype="u2"), scaled)
    url = put(plain)
    ways = {"": True, "do_not_scale_image_data": True, "uint": False, "ignore_blank": True}
    for options in ({name: value} if name else {} for name, value in ways.items()):
        with (
            opened(url, client=frugal, **options) as ours,
            from_memory(plain, memmap=False, **options) as theirs,
        ):
            for name in ("DQ", "SCALED"):
                found, expected = ours[name].section[2:5, 1:9], theirs[name].section[2:5, 1:9]
                assert found.dtype == expected.dtype
                assert np.array_equal(found, expected, equal_nan=expected.dtype.kind == "f")


def test_compressed_images_as_tables(survey: str, frugal: Client) -> None:
    """`disable_image_compression` shows the table that the tiles are in."""
    with opened(survey, client=frugal, disable_image_compression=True) as hdus:
        assert isinstance(hdus["RICE"], fits.BinTableHDU)
        assert not isinstance(hdus["RICE"], fits.CompImageHDU)
        assert len(hdus["RICE"].data["COMPRESSED_DATA"]) == made.SIDE


def test_memmap(put: Put, frugal: Client) -> None:
    """An object cannot be mapped, but as in astropy True refuses to scale pixels, and False does not."""
    url = put(made.written(made.image("DQ", shape=(50, 60), dtype="u2")))
    with opened(url, client=frugal, memmap=True) as hdus, pytest.raises(ValueError, match="memmap"):
        _ = hdus[1].data
    for memmap in (False, None):
        with opened(url, client=frugal, memmap=memmap) as hdus:
            assert hdus[1].data.dtype == np.uint16


def test_warnings_point_at_the_users_line(put: Put, frugal: Client) -> None:
    """Whether a header is read at opening or later, what is warned of names the line that had it read."""
    junk = put(made.written(made.image("SCI")) + b"junk")
    with opened(junk, client=frugal) as hdus, pytest.warns(AstroCloudWarning, match="behind HDU 1") as caught:
        len(hdus)
    assert [one.filename for one in caught] == [__file__]
    second = put(primary() + extension("IMAGE") + primary())
    with opened(second, client=frugal) as hdus:
        with pytest.warns(AstroCloudWarning, match="second file") as caught:
            assert [type(hdu).__name__ for hdu in hdus][:2] == ["PrimaryHDU", "ImageHDU"]
        assert [one.filename for one in caught] == [__file__]
