"""Over every server there is, and on disk: headers, sections and an index are right."""

from __future__ import annotations

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

from astro_cloud.dask import to_dask
from astro_cloud.exceptions import AstroCloudWarning, NoOverlapError, ObjectChangedError
from astro_cloud.fits import cutout, cutouts, load_headers, save_index
from astro_cloud.storage import Client, Settings
from astro_cloud.testing import ObjectServer
from tests.fits import made
from tests.fits.agreement import agree
from tests.fits.made import from_memory, opened
from tests.servers import stores
from tests.servers.stores import Store
from tests.storage.test_contract import MAKERS

BUCKET = "opened"
KEY = "night 1/é+m31 [1].fits"
SKY = "night 1/mosaic+drc [2].fits"
SECTIONS: list[tuple[Any, Any]] = [
    ("SCI", np.s_[9:390:20, 5:9]),
    (("SCI", 2), np.s_[::-7, 3]),
    ("DQ", np.s_[300:302]),
    ("RICE", np.s_[200:203, 100:110]),
    ("GZIP", np.s_[60:140:3, ::-50]),
]


@pytest.fixture(scope="module", params=["local", "object_server", *MAKERS])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Each server, and a folder, with the survey under an odd name."""
    if request.param == "local":
        yield filled(of_folder(tmp_path_factory.mktemp("folder")))
    elif request.param == "object_server":
        with ObjectServer(tmp_path_factory.mktemp("objects")) as server:
            yield filled(stores.of_object_server(server))
    else:
        yield filled(MAKERS[request.param](request.getfixturevalue(request.param), BUCKET))


def of_folder(folder: Path) -> Store:
    """Return a folder as a store."""

    def put(key: str, content: bytes) -> None:
        (folder / key).parent.mkdir(exist_ok=True)
        (folder / key).write_bytes(content)

    return Store("local", f"{folder}/", put)


def filled(store: Store) -> Store:
    store.put(KEY, made.survey())
    store.put(SKY, made.drc())
    return store


@pytest.fixture
def client(store: Store) -> Iterator[Client]:
    """A client that reads there, and nothing in vain."""
    with Client(auth=store.auth, settings=Settings(**store.settings, max_gap=0)) as client:
        yield client


@pytest.fixture
def location(store: Store) -> str:
    """Where the survey is."""
    return store.location(KEY)


def test_headers_are_astropys(location: str, client: Client) -> None:
    """Opened, and by `load_headers`, with and without prediction: every header, and the list."""
    with from_memory(made.survey()) as theirs:
        cards = [hdu.header.tostring() for hdu in theirs]
        raws = [theirs.fileinfo(number)["hdrLoc"] for number in range(8)]
        for predict in (True, False):
            with opened(location, client=client, predict=predict) as hdus:
                assert [hdu.header.tostring() for hdu in hdus] == cards
                assert hdus.info(output=False) == theirs.info(output=False)
            found = list(load_headers(location, client=client, predict=predict))
            assert [header.offset for header in found] == raws


def test_sections_are_astropys(store: Store, location: str, client: Client) -> None:
    """Pixels of each kind of image, in one round trip more; in two where tiles are compressed."""
    with opened(location, client=client) as hdus, from_memory(made.survey()) as theirs:
        assert len(hdus) == 8
        for name, key in SECTIONS:
            before = client.usage.round_trips
            assert np.array_equal(hdus[name].section[key], theirs[name].section[key])
            assert client.usage.round_trips - before <= (2 if name in ("RICE", "GZIP") else 1)
        assert (client.usage.requests == 0) == (store.name == "local")


def test_data_are_astropys(location: str, client: Client) -> None:
    """Whole images, plain and compressed, and a table with its heap."""
    with opened(location, client=client) as hdus, from_memory(made.survey()) as theirs:
        for number in range(1, 7):
            assert np.array_equal(hdus[number].data, theirs[number].data)
        assert np.array_equal(hdus["CAT"].data["RA"], theirs["CAT"].data["RA"])
        assert all(map(np.array_equal, hdus["CAT"].data["FLUX"], theirs["CAT"].data["FLUX"]))


def test_an_index_serves(location: str, client: Client, tmp_path: Path) -> None:
    """No request at opening nor for headers, one round trip for pixels."""
    index = save_index(location, tmp_path / "index.json", client=client)
    before = client.usage.requests
    with opened(location, client=client, index=tmp_path / "index.json") as hdus:
        assert [hdu.header["NAXIS"] for hdu in hdus] == [0, 2, 2, 2, 2, 2, 2, 2]
        assert client.usage.requests == before
        trips = client.usage.round_trips
        assert np.array_equal(hdus[1].section[::50, 3:5], made.image("SCI").data[::50, 3:5])
        assert client.usage.round_trips - trips <= 1
    found = [header.raw for header in load_headers(location, client=client, index=index)]
    assert found == [header.raw for header in index.headers]


def test_cutouts_are_astropys(store: Store, client: Client, tmp_path: Path) -> None:
    """Around a position on the sky, with an index and without; as a file, and many at once."""
    location, where, size = store.location(SKY), SkyCoord(*made.GALAXY, unit="deg"), 5 * u.arcsec
    with from_memory(made.drc()) as local:
        image, wcs = local["SCI"].data.copy(), WCS(local["SCI"].header)
    theirs = Cutout2D(image, where, size, wcs=wcs)
    ours = cutout(location, where, size, client=client)
    agree(ours, theirs, wcs)
    assert fits.getdata(ours.write(tmp_path / "galaxy.fits")).shape == (100, 100)
    index = save_index(location, tmp_path / "index", client=client)
    places = [where, where.directional_offset_by(30 * u.deg, 4 * u.arcsec)]
    for place, one in zip(places, cutout(location, places, size, index=index, client=client), strict=True):
        agree(one, Cutout2D(image, place, size, wcs=wcs), wcs)
    for result in cutouts([location, store.location(KEY)], where, size, client=client):
        if result.location == location:
            agree(result.cutout, theirs, wcs)
        else:
            assert isinstance(result.error, NoOverlapError)


def test_a_dask_array_is_astropys(store: Store, client: Client) -> None:
    """Its chunks are read from the same place, by the same credentials."""
    array = to_dask(store.location(SKY), "SCI", chunks=(500, 500), client=client)
    with from_memory(made.drc()) as local:
        assert np.array_equal(
            array[400:900, 300:700].compute(scheduler="threads"), local["SCI"].data[400:900, 300:700]
        )


def test_an_index_that_is_stale(store: Store, client: Client, tmp_path: Path) -> None:
    """After the object was overwritten: no pixel under the old headers, and an index made anew."""
    store.put("changing.fits", made.survey())
    location, path = store.location("changing.fits"), tmp_path / "index.json"
    save_index(location, path, client=client)
    store.put("changing.fits", made.written(made.image("SCI", 3), made.catalogue()))
    with opened(location, client=client, index=path) as hdus:
        assert len(hdus) == 8
        with pytest.raises(ObjectChangedError):
            hdus[1].section[0, 0]
    with pytest.warns(AstroCloudWarning, match="made anew"):
        assert len(list(load_headers(location, client=client, index=path))) == 3
    with opened(location, client=client, index=path) as hdus:
        assert hdus[1].section[0, 0] == made.image("SCI", 3).data[0, 0]


def test_overwritten_while_it_is_open(store: Store, client: Client) -> None:
    """Pixels of another version are never read under the first one's headers."""
    store.put("open.fits", made.survey())
    with opened(store.location("open.fits"), client=client) as hdus:
        assert len(hdus) == 8
        store.put("open.fits", made.survey()[: -2880 * 3] + bytes(2880 * 4))
        for name in ("ERR", "GZIP"):
            with pytest.raises(ObjectChangedError):
                hdus[name].section[300:310]
