"""Cutouts out of many files at once: each as it is done, with its own error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS

from astro_cloud.exceptions import (
    AccessDeniedError,
    NoOverlapError,
    NotFITSError,
    ObjectNotFoundError,
    StorageError,
)
from astro_cloud.fits import CutoutResult, cutouts, save_index
from astro_cloud.storage import Client, Settings
from astro_cloud.testing import Fault, ObjectServer
from tests.fits import made, skies
from tests.fits.agreement import agree
from tests.forks import forks, in_child

SHAPE = (90, 80)
COUNT = 12


def image(number: int) -> Any:
    """Make an image beside the one before."""
    return skies.sky(SHAPE, seed=number, centre=(100 + number, 20), angle=10 * number)


@pytest.fixture(scope="module")
def images() -> list[Any]:
    """Images of different places."""
    return [image(number) for number in range(COUNT)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, images: list[Any]) -> Iterator[ObjectServer]:
    """A server with a file of each, and one that is none."""
    with ObjectServer(tmp_path_factory.mktemp("many"), public=["night"]) as server:
        for number, hdu in enumerate(images):
            server.put("night", f"{number}.fits", made.written(hdu))
        server.put("night", "notes.txt", b"no image at all " * 300)
        yield server


@pytest.fixture
def urls(server: ObjectServer) -> list[str]:
    """Where they are."""
    return [server.url_for("night", f"{number}.fits") for number in range(COUNT)]


@pytest.fixture
def reader() -> Iterator[Client]:
    """A client that does not try again."""
    with Client(settings=Settings(attempts=1)) as client:
        yield client


def by_number(results: Iterator[CutoutResult]) -> list[CutoutResult]:
    """Have all results, in the order of the positions."""
    return sorted(results, key=lambda one: one.number)


def places_in(hdu: Any) -> list[SkyCoord]:
    """Return three positions in an image."""
    return [WCS(hdu.header).pixel_to_world(*at) for at in ((20, 30), (50.2, 41.7), (79, 3))]


def test_each_position_is_cut_out_of_its_own_file(urls: list[str], images: list[Any], reader: Client) -> None:
    """A file that is named several times is opened once; pixels and coordinates are astropy's."""
    where = [place for hdu in images for place in places_in(hdu)]
    files = [url for url in urls for _ in range(3)]
    for given in (where, SkyCoord(where)):
        before = reader.usage.requests
        found = by_number(cutouts(files, given, 2 * u.arcsec, client=reader))
        assert [one.number for one in found] == list(range(3 * COUNT))
        assert [one.location for one in found] == files
        assert reader.usage.requests - before <= 2 * COUNT
        for one, place in zip(found, where, strict=True):
            hdu = images[one.number // 3]
            assert one.error is None
            agree(one.cutout, Cutout2D(hdu.data, place, 2 * u.arcsec, wcs=WCS(hdu.header)), WCS(hdu.header))


def test_one_position_in_many_files_and_many_in_one(
    urls: list[str], images: list[Any], reader: Client
) -> None:
    """One of either goes with all of the others."""
    found = by_number(cutouts(urls, (40, 50), 5, client=reader))
    assert len(found) == COUNT
    for one, hdu in zip(found, images, strict=True):
        assert np.array_equal(one.cutout.data, hdu.data[48:53, 38:43])
    found = by_number(cutouts(urls[3], [(10, 10), (20, 20)], 5, client=reader))
    assert [one.cutout.origin_original for one in found] == [(8, 8), (18, 18)]
    assert {one.location for one in found} == {urls[3]}


def test_each_has_its_own_error(server: ObjectServer, urls: list[str], reader: Client) -> None:
    """Files that are missing, forbidden, no FITS; positions that are nowhere; all others are cut."""
    files = [
        urls[0],
        server.url_for("night", "missing.fits"),
        server.url_for("night", "notes.txt"),
        server.url_for("closed", "it.fits"),
        urls[1],
        urls[1],
    ]
    server.put("closed", "it.fits", made.written(image(1)))
    places = [(10, 10)] * 4 + [(9999, 10), (11, 12)]
    found = by_number(cutouts(files, places, 5, client=reader))
    none = type(None)
    kinds = [none, ObjectNotFoundError, NotFITSError, AccessDeniedError, NoOverlapError, none]
    assert all(isinstance(one.error, kind) for one, kind in zip(found, kinds, strict=True))
    assert all((one.cutout is None) == (one.error is not None) for one in found)
    assert all(file in str(one.error) for file, one in zip(files, found, strict=True) if one.error)


def test_they_are_given_out_as_they_are_done(server: ObjectServer, urls: list[str]) -> None:
    """A file that does not answer keeps no other waiting; and whoever stops early waits for nothing."""
    server.inject(Fault.never_answers(), key="5.fits")
    with Client(settings=Settings(attempts=1, read_timeout=60)) as client:
        results = cutouts(urls, (40, 50), 5, client=client, workers=2)
        first = [next(results) for _ in range(COUNT - 1)]
        assert 5 not in {one.number for one in first}
        results.close()
    server.clear_faults()


def test_a_failure_of_the_server_is_that_of_one_file(
    server: ObjectServer, urls: list[str], reader: Client
) -> None:
    """What breaks off is told; the others are cut."""
    server.inject(Fault.unavailable(501, "NotImplemented"), key="7.fits", times=None)
    found = by_number(cutouts(urls, (40, 50), 5, client=reader))
    server.clear_faults()
    assert isinstance(found[7].error, StorageError)
    assert sum(one.error is None for one in found) == COUNT - 1


def test_faults_that_pass_are_not_seen(server: ObjectServer, urls: list[str]) -> None:
    """Connections that break, and servers that are busy, are asked again."""
    for fault in (Fault.unavailable(503, "SlowDown"), Fault.unavailable(503, "SlowDown")):
        server.inject(fault, times=5)
    with Client(settings=Settings(sleep=lambda seconds: None)) as client:
        assert all(one.error is None for one in cutouts(urls, (40, 50), 5, client=client))


def test_progress_counts_cutouts(urls: list[str], reader: Client) -> None:
    """Of all that there are, those that failed too."""
    seen: list[tuple[int, int | None]] = []
    files = [url for url in urls for _ in range(2)]
    list(
        cutouts(files, [(40, 50), (-900, 0)] * COUNT, 5, client=reader, progress=lambda *at: seen.append(at))
    )
    assert seen[-1] == (2 * COUNT, 2 * COUNT)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_indexes_leave_one_round_trip_a_file(urls: list[str], reader: Client, tmp_path: Path) -> None:
    """As a mapping, or those that are kept in their usual place."""
    indexes = {url: save_index(url, tmp_path / str(number)) for number, url in enumerate(urls)}
    found = by_number(cutouts(urls, (40, 50), 5, index=indexes, client=reader))
    assert all(one.error is None for one in found)
    assert reader.usage.round_trips == COUNT
    found = by_number(cutouts(urls[:2], (40, 50), 5, index=True, client=reader))
    assert [type(one.error) for one in found] == [ObjectNotFoundError, ObjectNotFoundError]
    save_index(urls[0])
    found = by_number(cutouts(urls[:2], (40, 50), 5, index=True, client=reader))
    assert [type(one.error) for one in found] == [type(None), ObjectNotFoundError]


def test_a_client_of_its_own_has_as_many_connections_as_workers(
    server: ObjectServer, urls: list[str]
) -> None:
    """Without a client one is made; nothing of it is left behind."""
    server.clear()
    assert all(one.error is None for one in cutouts(urls, (40, 50), 5, workers=3))
    assert 1 <= len({record.connection for record in server.requests}) <= 3


@pytest.mark.parametrize(
    ("files", "places", "message"),
    [
        (["a", "b", "c"], [(1, 2), (3, 4)], "3 locations and 2 positions"),
        ([], [(1, 2)], "nothing to cut"),
        (["a"], [], "nothing to cut"),
    ],
)
def test_numbers_that_do_not_fit(files: list[str], places: Any, message: str) -> None:
    """They are an error at once, and not when the first result is asked for."""
    with pytest.raises(ValueError, match=message):
        cutouts(files, places, 5)


def test_arguments_are_judged_at_once() -> None:
    """Before anything is read, or asked for."""
    with pytest.raises(ValueError, match="index= is that of one file"):
        cutouts(["s3://bucket/key", "s3://bucket/other"], (1, 2), 5, index="one.json")
    with pytest.raises(ValueError, match="must be above 0"):
        cutouts(["s3://bucket/key"], (1, 2), 0)
    with pytest.raises(TypeError, match="is no position"):
        cutouts(["s3://bucket/key"], "M31", 5)
    with pytest.raises(ValueError, match="at least one worker"):
        cutouts(["s3://bucket/key"], (1, 2), 5, workers=0)
    assert list(cutouts([], [], 5)) == []


def test_results_travel(urls: list[str], reader: Client) -> None:
    """A result can be sent to another process, error or cutout."""
    import pickle

    for one in cutouts(urls[:2], [(40, 50), (-900, 0)], 5, client=reader):
        copied = pickle.loads(pickle.dumps(one))
        assert (copied.number, copied.location, type(copied.error)) == (
            one.number,
            one.location,
            type(one.error),
        )


def test_results_tell_no_secrets(urls: list[str], reader: Client) -> None:
    """They are printed, and logged: what a URL was signed with is not in it."""
    for where in ((5, 5), (999, 5)):
        (result,) = cutouts([f"{urls[0]}?sig=secret"], where, 3, client=reader)
        assert result.location == f"{urls[0]}?sig=secret"
        assert "secret" not in repr(result)
        assert "/0.fits" in repr(result)


def test_who_takes_slowly_holds_few(server: ObjectServer, urls: list[str], reader: Client) -> None:
    """No more files are read than two for each worker, until their cutouts are taken."""
    before = len(server.requests)
    slowly = cutouts(urls, (40, 50), 5, client=reader, workers=2)
    next(slowly)
    assert len(list(cutouts(urls[-1:] * 40, (40, 50), 5, client=reader))) == 40
    assert len({record.key for record in server.requests[before:]} - {"11.fits"}) <= 5
    assert len(list(slowly)) == COUNT - 1


def test_who_stops_early_reads_no_more(server: ObjectServer, reader: Client) -> None:
    """Files that are being read are left where they are, and not read to the end."""
    far = [skies.sky((400, 400), name=f"S{n}", centre=(10 + n, 20)) for n in range(4)]
    for number in range(4):
        server.put("night", f"far{number}.fits", made.written(*far))
    urls = [server.url_for("night", f"far{number}.fits") for number in range(4)]
    where = WCS(far[-1].header).pixel_to_world(200, 200)
    server.latency = 0.1
    some = cutouts([server.url_for("night", "none.fits"), *urls], where, 300, client=reader)
    assert isinstance(next(some).error, ObjectNotFoundError)
    some.close()  # type: ignore[attr-defined]
    before = len(server.requests)
    assert all(one.error is None for one in cutouts(urls[:1], where, 300, client=reader))
    server.latency = 0
    to_the_end = sum(record.key == "far0.fits" for record in server.requests[before:])
    asked = Counter(record.key for record in server.requests)
    assert all(asked[f"far{number}.fits"] < to_the_end for number in range(1, 4)), (asked, to_the_end)


@forks
def test_a_forked_process_goes_on(urls: list[str], reader: Client) -> None:
    """What was on its way when a process was forked comes in both of them."""
    some = cutouts(urls, (40, 50), 5, client=reader, workers=2)
    next(some)
    assert in_child(lambda: len(list(some)) == COUNT - 1)
    assert len(list(some)) == COUNT - 1


def test_local_files_are_cut_too(tmp_path: Path, images: list[Any]) -> None:
    """Paths are locations."""
    paths = [tmp_path / f"{number}.fits" for number in range(3)]
    for path, hdu in zip(paths, images, strict=False):
        fits.HDUList([fits.PrimaryHDU(), hdu.copy()]).writeto(path)
    found = by_number(cutouts(paths, (40, 50), 5))
    assert all(np.array_equal(one.cutout.data, images[one.number].data[48:53, 38:43]) for one in found)
