"""What the benchmark of cutouts holds its contenders to is right, and its floor reads what a cutout needs."""

import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS

from astro_cloud.testing import ObjectServer
from tests.benchmarks.bare_client import BareClient
from tests.benchmarks.cutout_contenders import pixels_in
from tests.benchmarks.cutout_files import cube_wcs, wcs_cards
from tests.benchmarks.cutout_jobs import (
    JOBS,
    Job,
    checksums,
    checksums_of_file,
    positions,
    spans,
    write_target,
)
from tests.benchmarks.cutouts import Network, once_if_slow, theory
from tests.benchmarks.image_files import BLOCK, TESS_READ
from tests.benchmarks.wcs_watch import watched_wcs

TESS, HST, MANY = JOBS


def test_spans_leave_nothing_out() -> None:
    """Runs are shared out over requests that follow each other, from the first byte to the last."""
    runs = [(10, 12), (20, 22), (30, 32), (40, 42), (50, 52)]
    assert spans(runs, 1) == [(10, 52)]
    assert spans(runs, 2) == [(10, 30), (30, 52)]
    assert spans(runs, 5) == [(10, 20), (20, 30), (30, 40), (40, 50), (50, 52)]


@pytest.mark.parametrize("job", [HST, MANY], ids=["hst", "many"])
def test_ranges_of_an_image_hold_its_cutouts(tmp_path: Path, job: Job) -> None:
    """The steps are the headers and the rows; the pixels in the rows are those that Cutout2D finds."""
    path = tmp_path / job.key(3)
    target = write_target(path, job, 3)
    body = path.read_bytes()
    headers, rows = target.steps
    with fits.open(path) as hdul:
        wcs, width = WCS(hdul[1].header), hdul[1].shape[1]
        assert headers == [(0, hdul[1].fileinfo()["datLoc"])]
        wanted = [Cutout2D(hdul[1].data, sky, job.whole_size, wcs).data for sky in positions(target.skies)]
    each = len(rows) // len(wanted)
    order = {"kind": job.kind, "shape": [100, 100], "width": width}
    joined = [rows[number * each : (number + 1) * each] for number in range(len(wanted))]
    found = [pixels_in(body[part[0][0] : part[-1][1]], order) for part in joined]
    assert all(map(np.array_equal, found, wanted))
    assert all(np.ptp(pixels) > 20 for pixels in found)
    assert target.found == checksums_of_file(found)


def test_files_of_many_differ(tmp_path: Path) -> None:
    """In pixels and place: a cutout of the wrong file is a wrong answer."""
    first, second = (write_target(tmp_path / MANY.key(number), MANY, number) for number in range(2))
    assert first.found != second.found
    assert not set(first.skies) & set(second.skies)


def test_cube_is_found_by_its_table(tmp_path: Path) -> None:
    """The WCS in its rows leads from the position to the pixels that hold numbers."""
    path = tmp_path / TESS.key(0)
    target = write_target(path, TESS)
    assert np.allclose(cube_wcs(path).all_world2pix(target.skies, 0), TESS.pixels, atol=1e-6)
    headers, _, data = target.steps
    with path.open("rb") as file:
        assert len(fits.Header.fromstring(file.read(BLOCK).decode()).tostring()) == BLOCK
        first, last = ((file.seek(start), file.read(stop - start))[1] for start, stop in (data[0], data[-1]))
    assert headers[0][1] < data[0][0]
    assert [len(data), len(first)] == [30, 30 * 1282 * 2 * 4]
    assert abs(np.mean(np.frombuffer(last, ">f4")) - (1000 + TESS_READ.stop - 1)) < 1


def test_checksums_tell_the_order() -> None:
    """Of files, and of positions in a file; the byte order does not matter."""
    one, two = np.arange(6, dtype=">i2").reshape(2, 3), np.ones((2, 3), np.int16)
    right = checksums([[one, two], [two]])
    assert right == checksums([[one.astype("<i2"), two], [two]])
    assert right not in {checksums([[two, one], [two]]), checksums([[two], [one, two]])}


def test_theory_is_waves_of_one_file_and_full_connections_of_many() -> None:
    """A step of 17 requests takes two waves of 16; many files keep every connection busy."""
    network = Network(latency=0.5, bandwidth=100.0)
    steps = [[(0, 50)], [(0, 100)] * 17]
    assert theory(HST, [steps], network) == 1.0 + 2 * 1.5
    assert theory(MANY, [steps, steps], network) == 2 * (1.0 + 17 * 1.5) / 16


def test_who_is_slow_or_fails_runs_once() -> None:
    """Others run as often as they are asked to."""
    ran = []

    def run(name: str) -> list[float] | str:
        ran.append(name)
        return {"slow": [1000.0], "fast": [1.0]}.get(name, "an error")

    again = once_if_slow(run)
    for name in ("slow", "fast", "broken") * 2:
        again(name)
    assert sorted(ran) == ["broken", "fast", "fast", "slow"]


def test_watch_counts_wcs_work_once() -> None:
    """Parsing and transforming, not what is around them; afterwards astropy is as it was."""
    before = WCS.__init__, WCS.all_world2pix
    header = fits.Header(wcs_cards((10.0, 20.0), (50.0, 50.0), 0.1, distorted=True))
    begun = time.perf_counter()
    with watched_wcs() as watch:
        wcs = WCS(header)
        parsed = watch.seconds
        Cutout2D(np.zeros((100, 100)), positions([(10.0, 20.0)])[0], 10, wcs)
    assert 0 < parsed < watch.seconds < time.perf_counter() - begun
    assert (WCS.__init__, WCS.all_world2pix) == before


def test_bare_client_reads_the_last_step(tmp_path: Path) -> None:
    """Over one connection or all of them; an answer that is not the range is an error."""
    with ObjectServer(tmp_path, public=["bench"]) as server:
        server.put("bench", "x", bytes(range(200)))
        file = {"http": server.url_for("bench", "x"), "steps": [[(0, 5)], [(10, 14), (3, 5), (190, 200)]]}
        right = [bytes(range(10, 14)), bytes(range(3, 5)), bytes(range(190, 200))]
        with BareClient(2, bytes) as client:
            assert client.spread(file) == right
            server.clear()
            assert client.files([file, file]) == [right, right]
            assert len(server.requests) == 8
            with pytest.raises(OSError, match="404"):
                client.file({**file, "http": server.url_for("bench", "y")})
