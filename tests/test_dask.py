"""The dask door: images as dask arrays, right on every scheduler, a real one with two workers among them."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import dask
import dask.array as da
import distributed
import numpy as np
import pytest
from dask.array.core import normalize_chunks

from astro_cloud.dask import to_dask
from astro_cloud.exceptions import (
    AccessDeniedError,
    CorruptFITSError,
    FITSError,
    HDUNotFoundError,
    ObjectChangedError,
)
from astro_cloud.fits import lazy_image, save_index
from astro_cloud.storage import Client, shared
from astro_cloud.testing import ObjectServer
from astro_cloud.testing.tess_cube import write_tess_cube
from tests.fits import made
from tests.fits.made import from_memory
from tests.fits.test_lazy_image import kinds
from tests.forks import forks, in_child
from tests.servers.process import Processes
from tests.storage.reading import auth_of

#: What is tested; without the types that dask does not have.
made_of: Any = to_dask
ROOT = Path(__file__).parent.parent
SIDE = made.SIDE


@pytest.fixture(autouse=True)
def own_client() -> Iterator[None]:
    """Let nothing that arrays share outlive the test."""
    yield
    lazy_image._opened.cache_clear()
    shared._HERE.forget()


@pytest.fixture
def night(object_server: ObjectServer) -> ObjectServer:
    """A server whose bucket `night` is public, with the file of every kind of HDU."""
    object_server.public.add("night")
    object_server.put("night", "survey.fits", made.survey())
    return object_server


@pytest.fixture
def survey(night: ObjectServer) -> str:
    """The URL of that file."""
    return night.url_for("night", "survey.fits")


def overwrite(night: ObjectServer) -> None:
    """Put another file in the survey's place."""
    night.put("night", "survey.fits", made.survey().replace(b"ERR", b"VAR"))


def denied(server: ObjectServer) -> None:
    """Let nobody read any more."""
    server.public.clear()


# Values


@pytest.mark.parametrize("chunks", ["auto", 130])
def test_every_kind_is_astropys(night: ObjectServer, chunks: Any) -> None:
    """Of every kind of image, type and bits are those of `.data`, whatever the chunks."""
    night.put("night", "kinds.fits", kinds())
    url = night.url_for("night", "kinds.fits")
    with from_memory(kinds()) as hdus:
        for number, hdu in enumerate(hdus):
            expected = hdu.data.astype(hdu.data.dtype.newbyteorder("="))
            array = made_of(url, number, chunks)
            found = array.compute(scheduler="synchronous")
            assert (array.dtype, array.shape) == (expected.dtype, expected.shape)
            assert (found.dtype, found.dtype.isnative) == (expected.dtype, True)
            assert found.tobytes() == expected.tobytes(), number


WORKS: list[Callable[[Any], Any]] = [
    lambda x: x[60:300, 190:199],
    lambda x: x[-1],
    lambda x: x[::-7, 3],
    lambda x: x[[300, 5, 5], :20],
    lambda x: x[:, np.arange(SIDE) % 100 == 0],
    lambda x: x[None, 5:60:9, ..., None],
    lambda x: x[100:][50:60][:, 7],
    lambda x: (x + 1)[3:5].T,
    lambda x: x.sum(axis=0, dtype="f8"),
    lambda x: x[x > 1020],
    lambda x: x.reshape(4, 100, 400)[2, 7],
]


@pytest.mark.parametrize("name", ["SCI", "GZIP"])
def test_work_on_it_is_numpys(survey: str, name: str) -> None:
    """Slices of every sort, alone and of slices, reductions and masks are what they are of `.data`."""
    array = made_of(survey, name, (150, 220))
    with from_memory(made.survey()) as hdus:
        for number, work in enumerate(WORKS):
            found = work(array).compute(scheduler="synchronous")
            assert np.array_equal(found, work(hdus[name].data)), number


@pytest.mark.parametrize("name", ["SCI", "GZIP"])
def test_other_chunks_of_it(survey: str, name: str) -> None:
    """Rechunked, persisted, and both, by many threads, it is the same."""
    array = made_of(survey, name, (150, 220))
    with from_memory(made.survey()) as hdus:
        for one in (array.rechunk((37, 400)), array.persist(), array.rechunk((-1, 60)).persist()):
            assert np.array_equal(one.compute(scheduler="threads"), hdus[name].data)
            assert np.array_equal(one[::-7, 3].compute(), hdus[name].data[::-7, 3])


def test_a_slice_reads_its_pixels_alone(survey: str, night: ObjectServer) -> None:
    """A part of a chunk is a section of its own: the chunk is not read for it."""
    array = made_of(survey, "SCI")
    night.clear()
    found = array[10:13, 100:110].compute(scheduler="synchronous")
    assert np.array_equal(found, made.image("SCI").data[10:13, 100:110])
    assert night.requests.body_bytes < 3 * 4 * SIDE


# Chunks


def test_chunks_end_on_rows_and_tiles(survey: str) -> None:
    """By itself, chunks are whole rows and whole tiles, about as large as dask is told."""
    with dask.config.set({"array.chunk-size": "100 kB"}):
        assert made_of(survey, "SCI").chunks == (((58,) * 6 + (52,)), (400,))
        assert made_of(survey, "RICE").chunks == (((58,) * 6 + (52,)), (400,))
        assert made_of(survey, "GZIP").chunksize == (50, 400)
        assert made_of(survey, "DQ").chunksize == (100, 400)
    assert made_of(survey, "SCI").numblocks == (1, 1)
    assert made_of(survey, "SCI", "16 kB").chunksize == (10, 400)


@pytest.mark.parametrize(
    "chunks",
    [
        100,
        -1,
        (30, 400),
        ((100, 300), (250, 150)),
        {0: 70},
        {1: -1, 0: "20kB"},
        (-1, 90),
        (None, 8),
    ],
    ids=str,
)
def test_chunks_as_dask_takes_them(survey: str, chunks: Any) -> None:
    """What somebody wants is what dask makes of it for an array of that shape."""
    array = made_of(survey, "SCI", chunks)
    assert array.chunks == normalize_chunks(chunks, (SIDE, SIDE), dtype="f4")
    assert np.array_equal(array[37, 5:300].compute(), made.image("SCI").data[37, 5:300])


@pytest.mark.parametrize("chunks", [(1, 2, 3), "many", ((3, 4), -1), 0, (0, 100), "0 B", "-5 MiB"])
def test_chunks_that_do_not_fit(survey: str, chunks: Any) -> None:
    """They are a ValueError; none are of no pixels, or of one each where a size makes no sense."""
    with pytest.raises(ValueError, match=r".+"):
        made_of(survey, "SCI", chunks)


# What it costs


def test_making_it_reads_only_headers(night: ObjectServer, survey: str, tmp_path: Path) -> None:
    """One round trip; with an index none."""
    night.latency = 0.05
    made_of(survey, "SCI", 10)
    assert night.requests.round_trips == 1
    index = save_index(survey, tmp_path / "index.json")
    night.clear()
    array = made_of(survey, "SCI", 200, index=index)
    assert len(night.requests) == 0
    assert array.name == made_of(survey, "SCI", 200).name


def test_one_client_serves_all_tasks(night: ObjectServer, survey: str) -> None:
    """Of all chunks of two images, no more connections are made than tasks run at once."""
    array = made_of(survey, "SCI", (10, -1)) + made_of(survey, "ERR", (10, -1))
    before = {record.connection for record in night.requests}
    night.clear()
    array.compute(scheduler="threads", num_workers=2)
    assert len(night.requests) == 80
    assert len({record.connection for record in night.requests} - before) <= 2


def test_a_cube_of_45_gigabytes(night: ObjectServer) -> None:
    """It is made at once, of few bytes, and a cutout of all its images reads just that."""
    write_tess_cube(night.path("night", "cube.fits"))
    night.clear()
    cube = made_of(night.url_for("night", "cube.fits"))
    assert (cube.shape, cube.dtype) == ((2078, 2136, 1282, 2), np.dtype("f4"))
    assert cube.chunksize == (6, 2136, 1282, 2)
    assert len(night.requests) == 1
    assert len(cloudpickle.dumps(cube)) < 15_000
    cutout = cube[1000:1010, 500:510, :, 0].compute()
    assert cutout.shape == (10, 10, 1282)
    assert not cutout.any()
    assert night.requests.body_bytes < 10 * 10 * 1282 * 2 * 4 + 200_000


# Its name


def test_the_name_is_of_what_it_is(night: ObjectServer, survey: str) -> None:
    """The same image in the same chunks has one name, in whatever way it is asked for."""
    array = made_of(survey, "SCI", 100)
    with Client() as client:
        alike = [made_of(survey, 1, (100, 100)), made_of(survey, ("SCI", 1), 100, client=client)]
    assert {one.name for one in alike} == {array.name}
    other = [made_of(survey, "SCI", 50), made_of(survey, ("SCI", 2), 100), made_of(survey, "ERR", 100)]
    overwrite(night)
    other.append(made_of(survey, "SCI", 100))
    assert len({array.name, *(one.name for one in other)}) == 5


# Another version


@pytest.mark.parametrize("name", ["SCI", "GZIP"])
def test_an_object_that_was_overwritten(night: ObjectServer, survey: str, name: str) -> None:
    """No task reads pixels of another version; the error says what to do."""
    array = made_of(survey, name, 100)
    overwrite(night)
    with pytest.raises(ObjectChangedError, match="make the array anew") as error:
        array.sum().compute()
    assert error.value.location == survey


# Pickles


def test_its_pickle_is_small(survey: str) -> None:
    """A few KB, for however many chunks; of the graph as of a task."""
    for name in ("SCI", "RICE"):
        many = made_of(survey, name, (1, 400))
        few = made_of(survey, name, -1)
        assert len(cloudpickle.dumps(many)) < 8000
        assert len(cloudpickle.dumps(dict(few.dask))) < 8000


def test_credentials_that_were_not_given_stay(
    object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was found here is in no pickle; each process finds its own."""
    object_server.put("secret", "survey.fits", made.survey())
    for name, value in object_server.environ.items():
        monkeypatch.setenv(name, value)
    array = made_of("s3://secret/survey.fits", "SCI", 100)
    assert np.array_equal(array.compute(), made.image("SCI").data)
    key = object_server.credentials[object_server.access_key]
    pickled = cloudpickle.dumps(array) + cloudpickle.dumps(dict(array.dask))
    assert key.secret_key.encode() not in pickled
    assert key.access_key.encode() not in pickled


@forks
def test_it_works_on_after_a_fork(survey: str) -> None:
    """In a forked process, tasks read over connections of its own."""
    array = made_of(survey, "SCI", 100)
    pixels = made.image("SCI").data
    assert np.array_equal(array[:150].compute(), pixels[:150])
    assert in_child(lambda: np.array_equal(array.compute(scheduler="synchronous"), pixels))
    assert np.array_equal(array[150:].compute(), pixels[150:])


# Other processes


def test_the_process_scheduler(night: ObjectServer, survey: str) -> None:
    """dask's own processes read what the threads do, each process over a connection of its own."""
    sci, gzip = made_of(survey, "SCI", 50), made_of(survey, "GZIP", (50, -1))
    night.clear()
    with dask.config.set(scheduler="processes", num_workers=2):
        found = dask.compute(sci, gzip)
        assert night.requests.connections <= 2
        assert np.array_equal(found[0], made.image("SCI").data)
        assert np.array_equal(found[1], made.gzip_2().data)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a `dask scheduler` with two `dask worker`s, each a process that a user would start."""
    folder = tmp_path_factory.mktemp("cluster")
    where = ["--scheduler-file", str(folder / "scheduler.json"), "--host", "127.0.0.1", "--no-dashboard"]
    program = [sys.executable, "-W", "ignore", "-m", "dask"]
    environment = {"PYTHONPATH": str(ROOT), "AWS_EC2_METADATA_DISABLED": "true", "NO_GCE_CHECK": "true"}
    with Processes(folder, environment) as running:
        running.start("scheduler", *program, "scheduler", *where, "--port", "0")
        for number in range(2):
            running.start(
                f"worker-{number}", *program, "worker", *where, "--no-nanny", "--nthreads", "2",
                "--local-directory", str(folder),
            )  # fmt: skip
        yield where[1]


@pytest.fixture
def workers(cluster: str) -> Iterator[distributed.Client]:
    """A client of that scheduler, once both workers are there."""
    with distributed.Client(scheduler_file=cluster, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
        yield client


def test_a_real_scheduler(workers: distributed.Client, night: ObjectServer, survey: str) -> None:
    """Two worker processes read an image of each kind right, two threads each, over a client a process."""
    arrays = {name: made_of(survey, name, (20, -1)) for name in ("SCI", "RICE", "GZIP", "DQ")}
    before = {record.connection for record in night.requests}
    night.clear()
    found = dict(zip(arrays, workers.compute(list(arrays.values()), sync=True), strict=True))
    with from_memory(made.survey()) as hdus:
        for name, pixels in found.items():
            assert pixels.dtype.isnative
            assert np.array_equal(pixels, hdus[name].data), name
    connections = {record.connection for record in night.requests}
    assert not connections & before
    assert len(night.requests) >= 80
    assert len(connections) <= 2 * 16


def test_plain_chunks_share_connections(
    workers: distributed.Client, night: ObjectServer, survey: str
) -> None:
    """Of a request a chunk, there are as many connections as threads, and not as many as chunks."""
    array = made_of(survey, "SCI", (5, -1))
    night.clear()
    total = workers.compute(array.sum(dtype="f8"), sync=True)
    assert total == made.image("SCI").data.reshape(80, 5, SIDE).sum(dtype="f8")
    assert len(night.requests) == 80
    assert night.requests.connections <= 4


def test_work_on_workers(workers: distributed.Client, survey: str) -> None:
    """Slices, rechunking and what is persisted there are right, and names are the same in every process."""
    array = made_of(survey, "SCI", 90)
    pixels = made.image("SCI").data
    held = workers.persist(array.rechunk((400, 10)))
    assert np.array_equal(workers.compute(held[::3, 5:70], sync=True), pixels[::3, 5:70])
    names = workers.run(lambda: to_dask(survey, "SCI", 90).name)
    assert set(names.values()) == {array.name}


def test_errors_of_workers(workers: distributed.Client, night: ObjectServer, survey: str) -> None:
    """What fails there is raised here, as what it is, with location and HDU."""
    damaged = bytearray(made.survey())
    with from_memory(made.survey(), disable_image_compression=True) as hdus:
        at = hdus.fileinfo(6)["datLoc"] + hdus[6].header["NAXIS1"] * 64
    damaged[at : at + 40] = bytes(40)
    night.put("night", "damaged.fits", bytes(damaged))
    url = night.url_for("night", "damaged.fits")
    tiles, image = made_of(url, "GZIP", 100), made_of(survey, "ERR", 100)
    with pytest.raises(CorruptFITSError, match="HDU 6") as corrupt:
        workers.compute(tiles.sum(), sync=True)
    assert (corrupt.value.location, corrupt.value.hdu, corrupt.value.offset) == (url, 6, at)
    overwrite(night)
    with pytest.raises(ObjectChangedError, match="HDU 2") as changed:
        workers.compute(image.sum(), sync=True)
    assert changed.value.location == survey
    image = made_of(survey, 2, 100)
    denied(night)
    with pytest.raises(AccessDeniedError, match="HDU 2") as refused:
        workers.compute(image.sum(), sync=True)
    assert (refused.value.location, refused.value.status) == (survey, 403)


def test_credentials_on_workers(
    workers: distributed.Client, object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An auth, or a client, that was given goes along; what the environment held here does not."""
    object_server.put("secret", "survey.fits", made.survey())
    pixels, url = made.image("SCI").data, object_server.url_for("secret", "survey.fits")
    auth = auth_of(object_server)
    with Client(auth=auth) as client:
        for given in ({"auth": auth}, {"client": client}):
            array = made_of(url, "SCI", (20, -1), **given)
            object_server.clear()
            assert np.array_equal(workers.compute(array, sync=True), pixels)
            assert object_server.requests.connections <= 4
    for name, value in object_server.environ.items():
        monkeypatch.setenv(name, value)
    array = made_of("s3://secret/survey.fits", "SCI", 100)
    with pytest.raises(AccessDeniedError, match="HDU 1"):
        workers.compute(array.sum(), sync=True)


# What it does not take


def test_what_is_no_image(survey: str) -> None:
    """A table, and an HDU that is not there, are told when the array is made."""
    with pytest.raises(FITSError, match="a table, no image"):
        to_dask(survey, "CAT")
    with pytest.raises(HDUNotFoundError, match="has no HDU 40"):
        to_dask(survey, 40)


def test_the_first_image_by_itself(survey: str) -> None:
    """Without an HDU, it is the first that holds an image."""
    assert made_of(survey).name == made_of(survey, "SCI").name
    assert isinstance(made_of(survey), da.Array)


def test_without_dask_the_extra_is_named() -> None:
    """The module can be imported without dask, and says then what to install; the package imports neither."""
    code = (
        "import sys, astro_cloud\n"
        "assert not {'dask', 'astro_cloud.dask'} & set(sys.modules)\n"
        "sys.modules['dask'] = None\n"
        "from astro_cloud.dask import to_dask\n"
        "try: to_dask('s3://bucket/key')\n"
        "except ImportError as error: print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert ran.stdout.strip().endswith("pip install 'astro-cloud[dask]'"), ran.stderr
    assert pickle.loads(pickle.dumps(to_dask)) is to_dask
