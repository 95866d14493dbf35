"""The benchmark's ideal is what a section really needs: its byte ranges hold its pixels, no more."""

from pathlib import Path

import numpy as np
from astropy.io import fits

from tests.benchmarks.image_jobs import Job, answer, checksum, ideal, runs

PIXELS = np.arange(6 * 50 * 40, dtype=np.float32).reshape(6, 50, 40)


def written(path: Path, hdu: fits.ImageHDU | fits.CompImageHDU) -> Path:
    """Write an image as HDU 1."""
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    return path


def test_ranges_of_an_image_hold_the_section(tmp_path: Path) -> None:
    """Concatenated they are the pixels; trailing axes that are whole make longer runs."""
    path = written(tmp_path / "image.fits", fits.ImageHDU(PIXELS))
    for section, count in (
        ((slice(2, 5), slice(7, 9), slice(3, 8)), 6),
        ((slice(2, 5), slice(7, 9), slice(0, 40)), 3),
    ):
        with fits.open(path) as hdul:
            found = runs(hdul[1], section)
        body = b"".join(path.read_bytes()[start:stop] for start, stop in found)
        assert len(found) == count
        assert np.array_equal(np.frombuffer(body, ">f4"), PIXELS[section].ravel())
        assert ideal(path, Job("x", "x", path.name, 2, section)) == 5760 + len(body)


def test_ranges_of_tiles_are_descriptors_and_streams(tmp_path: Path) -> None:
    """Of a lossless file with a tile a plane, each touched tile costs its row of the table and its stream."""
    hdu = fits.CompImageHDU(PIXELS, compression_type="GZIP_1", tile_shape=(1, 50, 40), quantize_level=0)
    path = written(tmp_path / "tiles.fits", hdu)
    section = (slice(2, 4), slice(0, 50), slice(0, 40))
    with fits.open(path, disable_image_compression=True) as hdul:
        found = runs(hdul[1], section)
        row, start = hdul[1].header["NAXIS1"], hdul[1].fileinfo()["datLoc"]
    assert (start + 2 * row, start + 3 * row) in found
    assert sum(path.read_bytes()[first : first + 2] == b"\x1f\x8b" for first, _ in found) == 2
    assert len(found) == 4


def test_the_answer_is_what_astropy_reads(tmp_path: Path) -> None:
    """In any byte order; another type, shape or value is another answer."""
    path = written(tmp_path / "image.fits", fits.ImageHDU(PIXELS))
    section = (slice(0, 2), slice(3, 5), slice(3, 8))
    right = answer(path, Job("x", "x", path.name, 2, section))
    assert right == checksum(PIXELS[section]) == checksum(PIXELS[section].astype(">f4"))
    assert right not in {checksum(PIXELS[section].astype("f8")), checksum(PIXELS[section] + 1)}
    assert answer(path, Job("x", "x", path.name, 2)) == 2
