"""The contenders of `cutouts`: each cuts all that a job asks for out of its files, once.

A contender does its imports, finds its credentials and makes its positions, and returns the job that is
timed; what that gives is turned into arrays afterwards, those of each file in the order of its
positions. What it is told is JSON: ``files``, each with ``http``, ``s3``, ``index``, ``skies`` (degrees),
``pixels`` (x and y from 0) and ``steps`` (what `bare_client` reads); ``size``, ``shape`` and ``kind`` of
a cutout; ``width``, the pixels of a row of the image; of the first file besides what `image_contenders`
are told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from tests.benchmarks.bare_client import BareClient
from tests.benchmarks.contenders import peak
from tests.benchmarks.cutout_jobs import CONNECTIONS, checksums, positions, size_of
from tests.benchmarks.image_contenders import OWN, RAW, own_auth, raw_ranges, rustfits_section, section_of
from tests.benchmarks.openers import BLOCK_64K, OPENERS, Opener
from tests.benchmarks.wcs_watch import watched_wcs

Order = Mapping[str, Any]
Cuts = list[list[Any]]
FLOOR = "floor"


def only(found: Any, order: Order) -> Cuts:
    """Return the one array there is."""
    return [[found]]


def as_they_are(found: Any, order: Order) -> Cuts:
    """Return lists of arrays."""
    cuts: Cuts = found
    return cuts


class Contender(NamedTuple):
    """How a job is made ready, and what it found is turned into the arrays of each file."""

    prepare: Callable[[Order], Callable[[], Any]]
    pixels: Callable[[Any, Order], Cuts] = as_they_are


# Ours


def own_one(*, by_pixel: bool = False, index: bool = False) -> Contender:
    """Make a contender that cuts once with ours."""

    def prepare(order: Order) -> Callable[[], Any]:
        from astro_cloud.fits import cutout

        (file,), size, auth = order["files"], size_of(*order["size"]), own_auth()
        where = tuple(file["pixels"][0]) if by_pixel else positions(file["skies"])[0]
        options = {"index": file["index"]} if index else {}
        if by_pixel:
            options["hdu"] = 1
        return lambda: cutout(file["s3"], where, size, auth=auth, **options)

    return Contender(prepare, lambda found, order: [[found.data]])


def own_many() -> Contender:
    """Make a contender that cuts out of many files with ours."""

    def prepare(order: Order) -> Callable[[], Any]:
        from astro_cloud.fits import cutouts

        files, size, auth = order["files"], size_of(*order["size"]), own_auth()
        locations = [file["s3"] for file in files for _ in file["skies"]]
        where = [sky for file in files for sky in positions(file["skies"])]
        return lambda: list(cutouts(locations, where, size, workers=CONNECTIONS, auth=auth))

    def pixels(found: Any, order: Order) -> Cuts:
        ordered = sorted(found, key=lambda result: result.number)
        count = len(order["files"][0]["skies"])
        arrays = [result.cutout.data for result in ordered]
        return [arrays[start : start + count] for start in range(0, len(arrays), count)]

    return Contender(prepare, pixels)


# Peers that cut images


def each_file(files: Sequence[Any], cut: Callable[[Any], Any]) -> list[Any]:
    """Cut one file here, or many in as many threads as ours has workers."""
    if len(files) == 1:
        return [cut(files[0])]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return list(pool.map(cut, files))


def with_astropy(opener: Opener) -> Contender:
    """Make a contender of astropy's `Cutout2D` over the section of what is opened."""

    def prepare(order: Order) -> Callable[[], Any]:
        from astropy.nddata import Cutout2D
        from astropy.wcs import WCS

        size = size_of(*order["size"])
        files = [
            (opener({**file, "endpoint": order["endpoint"]}), positions(file["skies"]))
            for file in order["files"]
        ]

        def cut(file: Any) -> list[Any]:
            opened, skies = file
            with opened() as hdul:
                wcs = WCS(hdul[1].header)
                return [Cutout2D(hdul[1].section, sky, size, wcs).data for sky in skies]

        return lambda: each_file(files, cut)

    return Contender(prepare)


def rustfits_cutouts(order: Order) -> Callable[[], Any]:
    """Read with rustfits what astropy's WCS and `Cutout2D` say of its header and shape."""
    import rustfits
    from astropy.io.fits import Header
    from astropy.nddata import Cutout2D
    from astropy.wcs import WCS

    size = size_of(*order["size"])
    files = [(file["http"], positions(file["skies"])) for file in order["files"]]

    def cut(file: Any) -> list[Any]:
        url, skies = file
        with rustfits.FITS(url, remote="ranged") as opened:
            image = opened[1]
            cards = {key: card["value"] for key, card in image.header.to_dict().items() if "value" in card}
            wcs, empty = WCS(Header(cards)), np.broadcast_to(np.float32(0), image.shape)
            return [np.array(image[Cutout2D(empty, sky, size, wcs).slices_original]) for sky in skies]

    return lambda: each_file(files, cut)


def astrocut_images(**options: Any) -> Contender:
    """Make a contender of astrocut's `FITSCutout`, one a position; s3fs is given options."""

    def prepare(order: Order) -> Callable[[], Any]:
        from astrocut import FITSCutout

        find_s3fs(anon=True, **options)
        size = size_of(*order["size"])
        files = [(file["s3"], positions(file["skies"])) for file in order["files"]]

        def cut(file: Any) -> list[Any]:
            name, skies = file
            made = [FITSCutout(name, sky, size, extension=1, fsspec_kwargs=options) for sky in skies]
            return [each.cutouts_by_file[name][0].data for each in made]

        return lambda: each_file(files, cut)

    return Contender(prepare)


def find_s3fs(**options: Any) -> None:
    """Make the file system that a reader will get; AWS_ENDPOINT_URL tells it where."""
    import s3fs

    s3fs.S3FileSystem(**options).connect()


# Peers that cut the cube


def astrocut_cube(threads: int) -> Contender:
    """Make a contender of astrocut's `TessCubeCutout`."""

    def prepare(order: Order) -> Callable[[], Any]:
        from astrocut import TessCubeCutout

        find_s3fs(anon=True, default_block_size=10_000)
        (file,), size = order["files"], size_of(*order["size"])
        sky = positions(file["skies"])[0]
        return lambda: TessCubeCutout(file["s3"], sky, size, threads=threads)

    def pixels(found: Any, order: Order) -> Cuts:
        (cut,) = found.cutouts
        return [[np.moveaxis(np.stack([cut.data, cut.uncertainty], axis=-1), 0, 2)]]

    return Contender(prepare, pixels)


# The floor


def bare(order: Order) -> Callable[[], Any]:
    """Send the requests that whoever knew all offsets would send to one file, over all connections."""
    (file,) = order["files"]

    def job() -> list[bytes]:
        with BareClient(CONNECTIONS, bytes) as client:
            return client.spread(file)

    return job


def bare_many(order: Order) -> Callable[[], Any]:
    """The same to many files, a connection each; of a cutout's rows its pixels are kept."""
    files = order["files"]

    def job() -> Cuts:
        with BareClient(CONNECTIONS, lambda body: pixels_in(body, order)) as client:
            return client.files(files)

    return job


def bare_runs(found: list[bytes], order: Order) -> Cuts:
    """Return the one array whose bytes were read, and no others."""
    return [[np.frombuffer(b"".join(found), order["kind"]).reshape(order["shape"])]]


def bare_rows(found: list[bytes], order: Order) -> Cuts:
    """Return the one array whose rows were read from first to last pixel."""
    return [[pixels_in(b"".join(found), order)]]


def pixels_in(body: bytes | memoryview, order: Order) -> Any:
    """Return the pixels of a cutout from its rows of the image, which begin with the first pixel."""
    kind, whole = np.dtype(order["kind"]), order["width"] * np.dtype(order["kind"]).itemsize
    return np.ndarray(order["shape"], kind, body, strides=(whole, kind.itemsize)).copy()


# Who does what

PEERS = {
    **{name: with_astropy(opener) for name, opener in OPENERS.items()},
    "rustfits + astropy's WCS": Contender(rustfits_cutouts),
    "astrocut": astrocut_images(),
    "astrocut, 64 KiB": astrocut_images(default_block_size=BLOCK_64K),
}
SLOW = ("astropy + s3fs, default", "astropy + obstore, 64 KiB", "astrocut")
"""Not asked for many files: they read whole files, or a request a row one after the other."""
CONTENDERS: dict[str, dict[str, Contender]] = {
    "tess": {
        "astro-cloud, by pixel": own_one(by_pixel=True),
        "astro-cloud, by sky": own_one(),
        "astrocut, by sky, 8 threads": astrocut_cube(8),
        **{f"{name}, section": Contender(section_of(opener), only) for name, opener in OPENERS.items()},
        "rustfits, section": Contender(rustfits_section, only),
        RAW: Contender(raw_ranges, only),
        FLOOR: Contender(bare, bare_runs),
    },
    "hst": {
        "astro-cloud": own_one(),
        "astro-cloud, with an index": own_one(index=True),
        **PEERS,
        FLOOR: Contender(bare, bare_rows),
    },
    "many": {
        "astro-cloud cutouts": own_many(),
        **{name: peer for name, peer in PEERS.items() if name not in SLOW},
        FLOOR: Contender(bare_many),
    },
}
assert all(any(name.startswith(OWN) for name in each) for each in CONTENDERS.values())


def measure(job: str, name: str, order: Order) -> list[float]:
    """Return seconds, seconds of CPU and of WCS, the checksum of what was found, and the peak in MiB."""
    contender = CONTENDERS[job][name]
    run = contender.prepare(order)
    with watched_wcs() as watch:
        wall, cpu = time.perf_counter(), time.process_time()
        found = run()
        seconds = [time.perf_counter() - wall, time.process_time() - cpu]
    return [*seconds, watch.seconds, checksums(contender.pixels(found, order)), peak()]


def save_index(order: Order) -> list[float]:
    """Save an index of the first file."""
    from astro_cloud.fits import save_index

    save_index(order["files"][0]["s3"], order["files"][0]["index"], auth=own_auth())
    return []
