"""What readers of `fits.open` proved wrong once: each by the least that shows it."""

import gc
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from astro_cloud import fits as cloud_fits
from astro_cloud.exceptions import CorruptFITSError
from astro_cloud.storage import Client
from astro_cloud.testing import ObjectServer
from tests.fits.sources import extension, primary
from tests.forks import forks


@pytest.fixture
def exposure(object_server: ObjectServer) -> str:
    """Three images alike but for their pixels, in a public bucket; gives the URL."""
    hdus = [fits.ImageHDU(np.full((100, 300), n, "f4"), name=f"E{n}") for n in range(3)]
    object_server.public.add("open")
    object_server.put("open", "other", b"")
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(object_server.path("open", "e.fits"))
    return object_server.url_for("open", "e.fits")


@pytest.mark.parametrize("change", ["extend", "+=", "reverse", "clear"])
def test_a_list_that_is_changed_is_read_before(exposure: str, change: str) -> None:
    """What changes the list by ways that astropy left to Python pairs no HDU with another's pixels."""
    with cloud_fits.open(exposure) as hdus:
        if change == "extend":
            hdus.extend([fits.ImageHDU(name="MORE")])
        elif change == "+=":
            hdus += [fits.ImageHDU(name="MORE")]
        else:
            getattr(hdus, change)()
        assert len(hdus) == {"extend": 5, "+=": 5, "reverse": 4, "clear": 0}[change]
        for hdu in hdus:
            if hdu.name.startswith("E"):
                assert hdu.section[5, 5] == float(hdu.name[1:])


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
@pytest.mark.parametrize(
    ("damage", "with_"),
    [("END", "END     junk"), ("BLANKS", "NAXIS1  =                    6")],
    ids=["junk behind END", "NAXIS1 twice"],
)
def test_a_header_that_astropy_reads_otherwise_is_an_error(
    object_server: ObjectServer, damage: str, with_: str
) -> None:
    """Where astropy sees an HDU elsewhere, or of another shape, no pixels are given out."""
    first = extension("IMAGE", "BLANKS", naxis=(4, 3))
    first = first.replace(damage.ljust(80).encode(), with_.ljust(80).encode(), 1)
    data = primary("EXTEND  =                    T") + first + bytes(2880) + extension("IMAGE")
    object_server.public.add("open")
    object_server.put("open", "odd.fits", data)
    with cloud_fits.open(object_server.url_for("open", "odd.fits")) as hdus:
        assert hdus[0].name == "PRIMARY"
        for _ in range(2):
            with pytest.raises(CorruptFITSError, match="to astropy") as caught:
                hdus[1]
            assert caught.value.hdu == 1


@pytest.mark.filterwarnings("ignore::astro_cloud.exceptions.AstroCloudWarning")
def test_looking_for_a_compression_owns_nothing(
    object_server: ObjectServer, exposure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was opened to see how a file is compressed closes nothing that is in use, once it is collected."""
    closed: list[Client] = []
    close = Client.close
    monkeypatch.setattr(Client, "close", lambda self: (closed.append(self), close(self)))
    with fits.open(object_server.path("open", "e.fits")) as hdus:
        hdus.writeto(object_server.path("open", "e.fits.gz"))
    with cloud_fits.open(exposure + ".gz") as hdus:
        gc.collect()
        assert closed == []
        assert hdus["E2"].section[0, 0] == 2
    assert len(closed) == 1


@forks
def test_a_forked_process_reads_on(exposure: str) -> None:
    """A list that a thread was at when the process forked is free in the child."""
    with cloud_fits.open(exposure) as hdus:
        assert hdus[1].name == "E0"
        held, done = threading.Event(), threading.Event()

        def hold() -> None:
            with hdus._turn:
                held.set()
                done.wait(30)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(30)
        child = os.fork()
        if not child:
            os._exit(0 if hdus[1].section[7, 9] == 0 else 1)
        done.set()
        thread.join()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_pixels_that_were_replaced_are_those_of_a_section(exposure: str) -> None:
    """A section of an image whose data were replaced by others has their shape."""
    with cloud_fits.open(exposure) as hdus:
        hdus[1].data = np.zeros((3, 3), "f4")
        assert hdus[1].section.shape == (3, 3)
        assert hdus[2].section[0, 0] == 1


def test_an_hdu_that_was_written_elsewhere_leads_nobody_astray(exposure: str, tmp_path: Path) -> None:
    """The HDUs behind one that was appended to another list, and written, are still found."""
    with cloud_fits.open(exposure, predict=False) as hdus:
        copy = fits.HDUList([fits.PrimaryHDU()])
        copy.append(hdus[1])
        copy.writeto(tmp_path / "copy.fits")
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "E0", "E1", "E2"]
        assert [hdus[n].section[3, 3] for n in (1, 2, 3)] == [0, 1, 2]
