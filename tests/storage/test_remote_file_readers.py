"""Libraries that know nothing of the cloud, over RemoteFile: right results, in few round trips."""

from __future__ import annotations

import io
import random
import tarfile
import zipfile

import h5py
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from PIL import Image

from astro_cloud.exceptions import StorageError
from astro_cloud.storage import RemoteFile
from astro_cloud.storage.block_cache import BLOCK
from tests.storage.memory_object import MemoryObject

PIXELS = np.random.default_rng(4).integers(-30_000, 30_000, (1200, 8000), dtype=np.int16)


def fits_file(*hdus: fits.PrimaryHDU | fits.ImageHDU | fits.BinTableHDU) -> bytes:
    stream = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(stream)
    return stream.getvalue()


@pytest.fixture(scope="module")
def image() -> bytes:
    """A FITS file of 19 MB: one image extension."""
    return fits_file(fits.PrimaryHDU(), fits.ImageHDU(PIXELS, name="SCI"))


def test_a_section_of_a_thousand_rows(image: bytes) -> None:
    """Unmodified astropy reads row by row: that takes at most 12 round trips, opening included."""
    source = MemoryObject(image)
    with RemoteFile(source) as file, fits.open(file) as hdul:
        section = hdul["SCI"].section[100:1100, 3000:3200]
        assert np.array_equal(section, PIXELS[100:1100, 3000:3200])
    assert source.now <= 12
    assert sum(stop - start for start, stop in source.ranges) < 2 * section.nbytes + 4 * BLOCK


def test_sections_of_a_cube() -> None:
    """Rows of the next plane are fetched at once, at its first row: one round trip a plane."""
    cube = np.random.default_rng(5).random((6, 300, 5000), dtype=np.float32)
    source = MemoryObject(fits_file(fits.PrimaryHDU(cube)))
    with RemoteFile(source) as file, fits.open(file) as hdul:
        assert np.array_equal(hdul[0].section[:, 20:220, 1000:1300], cube[:, 20:220, 1000:1300])
    assert source.now <= 9 + 5


def test_whole_data_and_tables() -> None:
    """A whole image is one long read; so are a table's rows, unmapped."""
    table = fits.BinTableHDU(Table({"RA": np.arange(10_000.0), "NAME": np.full(10_000, "M31")}), name="CAT")
    source = MemoryObject(fits_file(fits.PrimaryHDU(PIXELS), table))
    with RemoteFile(source) as file, fits.open(file) as hdul:
        assert np.array_equal(hdul[0].data, PIXELS)
        assert hdul["CAT"].data["RA"][1234] == 1234.0
        assert hdul["CAT"].data["NAME"][-1] == "M31"
    assert source.now <= 4


def test_a_tile_compressed_image() -> None:
    """astropy reads descriptors, then tile by tile."""
    source = MemoryObject(fits_file(fits.PrimaryHDU(), fits.CompImageHDU(PIXELS, tile_shape=(100, 1000))))
    with RemoteFile(source) as file, fits.open(file) as hdul:
        assert np.array_equal(hdul[1].section[250:450, 900:2100], PIXELS[250:450, 900:2100])


def test_an_error_is_no_end_of_the_file(image: bytes) -> None:
    """astropy takes an EOFError or a ValueError for the last HDU: a failure reaches the user instead."""
    source = MemoryObject(image + fits_file(fits.PrimaryHDU()))
    with RemoteFile(source) as file, fits.open(file, lazy_load_hdus=True) as hdul:
        assert hdul[0].header["NAXIS"] == 0
        source.failures = 10
        with pytest.raises(StorageError):
            len(hdul)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_of_an_archive(compression: int) -> None:
    """zipfile reads the directory at the end, then the members asked for, in small steps."""
    chance = random.Random(2)
    members = {f"{number:03}.fits": chance.randbytes(30_000) for number in range(100)}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    source = MemoryObject(stream.getvalue())
    with RemoteFile(source) as file, zipfile.ZipFile(file) as archive:
        assert archive.namelist() == list(members)
        assert archive.read("050.fits") == members["050.fits"]
        assert source.now <= 4
        assert archive.testzip() is None


def test_a_tar_file() -> None:
    """tarfile hops from header to header."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for number in range(50):
            info = tarfile.TarInfo(f"{number}.dat")
            info.size = 3000
            archive.addfile(info, io.BytesIO(bytes([number]) * 3000))
    with (
        RemoteFile(MemoryObject(stream.getvalue())) as file,
        tarfile.open(fileobj=file) as archive,
    ):
        assert len(archive.getnames()) == 50
        member = archive.extractfile("17.dat")
        assert member is not None
        assert member.read() == bytes([17]) * 3000


def test_an_hdf5_file() -> None:
    """h5py reads by `seek` and `readinto`."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as tree:
        tree.create_dataset("pixels", data=PIXELS, chunks=(100, 1000))
        tree.create_dataset("packed", data=PIXELS[:200], chunks=(50, 500), compression="gzip")
        tree.attrs["TELESCOP"] = "HST"
    source = MemoryObject(stream.getvalue())
    with RemoteFile(source) as file, h5py.File(file, "r") as tree:
        assert tree.attrs["TELESCOP"] == "HST"
        assert np.array_equal(tree["pixels"][150:350, 2500:4500], PIXELS[150:350, 2500:4500])
        assert np.array_equal(tree["packed"][50:60], PIXELS[50:60])


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
def test_a_picture(kind: str) -> None:
    """Pillow reads a header, then the picture."""
    picture = Image.fromarray((PIXELS[:300, :500] & 255).astype(np.uint8))
    stream = io.BytesIO()
    picture.save(stream, kind)
    with (
        RemoteFile(MemoryObject(stream.getvalue())) as file,
        Image.open(file) as ours,
        Image.open(stream) as theirs,
    ):
        assert np.array_equal(np.asarray(ours), np.asarray(theirs))


def test_numpy_files() -> None:
    """`numpy.load` takes it for a file, and so does `numpy.loadtxt`."""
    stream = io.BytesIO()
    np.savez(stream, pixels=PIXELS[:100], flags=np.arange(5))
    with RemoteFile(MemoryObject(stream.getvalue())) as file, np.load(file) as arrays:
        assert np.array_equal(arrays["pixels"], PIXELS[:100])
    with RemoteFile(MemoryObject(b"# RA DEC\n1 2\n3 4\n")) as file:
        assert np.loadtxt(file).tolist() == [[1.0, 2.0], [3.0, 4.0]]
