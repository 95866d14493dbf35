"""One open HDUList, many threads: every pixel right, every list whole."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import numpy as np
import pytest

from astro_cloud.storage import Client
from astro_cloud.testing import ObjectServer
from tests.fits import made
from tests.fits.made import SIDE, from_memory, opened

THREADS = 16
SECTIONS = 480
#: Of the survey: plain, plain, unsigned, RICE with dither, GZIP_2.
IMAGES = ("SCI", "ERR", "DQ", "RICE", "GZIP")


@pytest.fixture(autouse=True)
def restless() -> Iterator[None]:
    """Have threads take turns as often as can be."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture(scope="module")
def pixels() -> dict[Any, Any]:
    """The images of the survey, by astropy, in one thread."""
    with from_memory(made.survey()) as hdus:
        return {number: np.array(hdus[number].data) for number in range(1, 7)}


def box(random: Random) -> tuple[slice, slice]:
    """Return some pixels of an image: few, or few rows, or few columns of many rows."""
    top, left = random.randrange(SIDE), random.randrange(SIDE)
    height, width = random.choice([(1, 1), (10, 20), (3, SIDE), (60, 2)])
    step = random.choice([1, 1, 3])
    return slice(top, top + height, step), slice(left, left + width)


def at_once(count: int, work: Callable[[int], object]) -> list[object]:
    """Have work done by so many threads that begin together; return what each returned, or raise."""
    start = threading.Barrier(count)

    def begin(number: int) -> object:
        start.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


def test_sections_from_many_threads(night: ObjectServer, survey: str, pixels: dict[Any, Any]) -> None:
    """480 sections of five kinds of image by 16 threads equal astropy's, while others use the list."""
    night.latency = 0.0
    numbers = {"SCI": 1, "ERR": 2, "DQ": 4, "RICE": 5, "GZIP": 6}
    done = threading.Event()
    with opened(survey) as hdus:

        def cut(thread: int) -> list[object]:
            random, wrong = Random(thread), []
            for count in range(SECTIONS // THREADS):
                name, key = IMAGES[(thread + count) % len(IMAGES)], box(random)
                found, expected = hdus[name].section[key], pixels[numbers[name]][key]
                if found.dtype.newbyteorder("=") != expected.dtype.newbyteorder("=") or not np.array_equal(
                    found, expected
                ):
                    wrong.append((name, key))
            return wrong

        def look() -> int:
            looked = 0
            while not done.is_set() or not looked:
                assert len(hdus) == 8
                assert "CAT" in hdus
                assert "FLUX" not in hdus
                assert hdus[-1].name == "CAT"
                assert hdus["SCI", 2].header["EXTVER"] == 2
                assert [hdu.name for hdu in hdus][5:] == ["RICE", "GZIP", "CAT"]
                assert len(hdus.info(output=False)) == 8
                looked += 1
            return looked

        with ThreadPoolExecutor(3) as pool:
            lookers = [pool.submit(look) for _ in range(3)]
            try:
                wrong = at_once(THREADS, cut)
            finally:
                done.set()
            assert all(looker.result() for looker in lookers)
    assert wrong == [[]] * THREADS


@pytest.mark.parametrize("predict", [True, False])
def test_lists_from_many_threads(night: ObjectServer, survey: str, frugal: Client, predict: bool) -> None:
    """Eight threads that touch ten fresh lists, each in its own way, find every HDU of each once."""
    night.latency = 0.001
    for _ in range(10):
        with opened(survey, client=frugal, predict=predict) as hdus:
            found = at_once(8, lambda thread: ways[thread](hdus))
            assert found == [8] * 8
            assert [hdu.name for hdu in hdus] == ["PRIMARY", "SCI", "ERR", "SCI", "DQ", "RICE", "GZIP", "CAT"]
            assert [hdus.fileinfo(n)["hdrLoc"] for n in range(8)] == made.offsets(made.survey())


ways: list[Callable[[Any], int]] = [
    len,
    lambda hdus: len(list(hdus)),
    lambda hdus: hdus.index_of("CAT") + 1,
    lambda hdus: len(hdus.info(output=False)),
    lambda hdus: 8 * (hdus[-1].name == "CAT"),
    lambda hdus: 8 * ("GZIP" in hdus),
    lambda hdus: 8 * (hdus["SCI", 2].header["EXTVER"] // 2),
    lambda hdus: len(hdus[:]),
]


def test_data_from_many_threads(survey: str, frugal: Client, pixels: dict[Any, Any]) -> None:
    """Whole images, first touched by all threads at once, are right for each."""
    with opened(survey, client=frugal) as hdus:

        def read(thread: int) -> bool:
            number = 1 + thread % 6
            return bool(np.array_equal(hdus[number].data, pixels[number]))

        assert at_once(12, read) == [True] * 12


def test_closing_while_others_read(survey: str, frugal: Client, pixels: dict[Any, Any]) -> None:
    """Whoever reads a list that is closed meanwhile has right pixels or an error that says so."""
    for _ in range(5):
        hdus = opened(survey, client=frugal)
        assert len(hdus) == 8
        images = {1: hdus["SCI"], 6: hdus["GZIP"]}

        def read(thread: int) -> bool:
            if thread == 7:
                hdus.close()  # noqa: B023 - the threads end with the turn
                return True
            random, number = Random(thread), (1, 6)[thread % 2]
            for _ in range(10):
                key = box(random)
                try:
                    found = images[number].section[key]  # noqa: B023 - the threads end with the turn
                except ValueError as error:
                    return "closed" in str(error)
                if not np.array_equal(found, pixels[number][key]):
                    return False
            return True

        assert at_once(8, read) == [True] * 8
