"""Headers fetched ahead where a file repeats itself: few round trips, few bytes, never a wrong header."""

from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_cloud.fits.foresight import MOST_GUESSES, WINDOW, Lengths, foreseen
from astro_cloud.fits.headers import walk
from astro_cloud.fits.layout import BLOCK
from tests.fits.sources import Sparse, extension, primary

MB = 1_000_000


class Counting(Sparse):
    """A sparse file that counts its round trips."""

    trips = 0

    def read_ranges(self, ranges: list[tuple[int, int]]) -> list[bytes]:
        self.trips += 1
        return super().read_ranges(ranges)

    @property
    def bytes(self) -> int:
        return sum(min(stop, self.size) - start for start, stop in self.asked)


def file_of(*hdus: tuple[int, int], primary_cards: int = 300, kind: str = "IMAGE") -> Counting:
    """Make a file of a primary header and extensions of so many cards and bytes of data each."""
    pieces = {0: primary(*["HISTORY"] * (primary_cards - 4))}
    offset = len(pieces[0])
    for number, (cards, size) in enumerate(hdus, 1):
        pieces[offset] = extension(kind, *["HISTORY"] * (cards - 8), f"EXTVER  = {number}", naxis=(size,))
        offset += len(pieces[offset]) + -(-size // BLOCK) * BLOCK
    return Counting(offset, pieces)


def offsets(source: Counting) -> list[int]:
    """Return where the headers of a file are: it is made of them."""
    return sorted(source._pieces)


JWST = [(95, 16 * MB), *[(20, 16 * MB)] * 6, (14, MB)]
HST = [(270, 33 * MB), (75, 33 * MB), (75, 16 * MB)] * 2 + [(24, 16_384), (24, 8192)] * 2 + [(24, 8192)] * 4


@pytest.mark.parametrize(
    ("hdus", "trips"),
    [
        (JWST, 3),
        ([*HST, (120, 3000)], 4),
        ([(260, 70 * MB), (190, 70 * MB), (170, 70 * MB), (700, 9000)], 3),
        ([(40, 2 * MB)] * 64, 5),
        ([(40, 2 * MB)] * 1000, 9),
        ([(300, 8 * MB), (40, 8 * MB), (40, 4 * MB)] * 40, 7),
    ],
    ids=["JWST cal", "HST flt", "HST drz", "64 alike", "1000 alike", "40 triples"],
)
def test_repeated_shapes_take_few_round_trips(hdus: list[tuple[int, int]], trips: int) -> None:
    """N HDUs that repeat a shape take at most 2 + log2 N round trips, and less than 64 KiB each."""
    source = file_of(*hdus, primary_cards=680 if len(hdus) == 4 else 300)
    found = list(walk(source))
    assert [header.offset for header in found] == offsets(source)
    assert [header.version for header in found[1:]] == list(range(1, len(hdus) + 1))
    assert source.trips <= min(trips, 2 + log2(len(found)))
    assert source.bytes < (len(found) + 4) * 65536


def test_irregular_offsets_cost_one_round_trip_an_hdu() -> None:
    """Where nothing repeats, guessing stops at once: at most nine windows are in vain."""
    source = file_of(*[(40 + 3 * n, MB + 70_000 * n) for n in range(50)])
    assert [header.offset for header in walk(source)] == offsets(source)
    assert source.trips == 50
    assert source.bytes <= (51 + 9) * WINDOW


def test_compressed_images_are_not_guessed_from() -> None:
    """The length of a tile-compressed image says nothing of the next: nothing is read in vain."""
    cards = ["ZIMAGE  = T", "ZBITPIX = 16", "ZNAXIS  = 1", "ZNAXIS1 = 9", "TFIELDS = 1"]
    pieces, offset = {0: primary()}, BLOCK
    for number in range(20):
        pieces[offset] = extension("BINTABLE", *cards, naxis=(8, 100), pcount=MB + 9000 * number)
        offset += BLOCK + -(-(800 + MB + 9000 * number) // BLOCK) * BLOCK
    source = Counting(offset, pieces)
    assert [header.offset for header in walk(source)] == offsets(source)
    assert (source.trips, len(source.asked)) == (20, 20)


def test_no_prediction_asks_for_one_window_at_a_time() -> None:
    """predict=False reads only where a header is known to begin."""
    source = file_of(*JWST)
    assert len(list(walk(source, predict=False))) == 9
    assert all(start in {0, *offsets(source)} for start, _ in source.asked)
    assert source.trips == len(source.asked)


@given(
    st.lists(st.tuples(st.integers(9, 900), st.sampled_from([0, 1, 5000, 70_000, MB, 3 * MB])), max_size=25),
    st.integers(5, 900),
)
def test_the_same_headers_with_and_without(hdus: list[tuple[int, int]], primary_cards: int) -> None:
    """Whatever was guessed, the headers are those of the file, in no more round trips than without."""
    guessing, plain = (file_of(*hdus, primary_cards=primary_cards) for _ in range(2))
    found = list(walk(guessing))
    assert [header.raw for header in found] == [header.raw for header in walk(plain, predict=False)]
    assert [header.offset for header in found] == offsets(guessing)
    assert guessing.trips <= plain.trips + 1


@given(
    st.lists(st.builds(Lengths, st.integers(1, 30).map(lambda n: n * BLOCK),
                       st.sampled_from([0, BLOCK, MB, 10**12]), st.booleans()), max_size=40),
    st.integers(0, 1 << 50),
    st.none() | st.builds(Lengths, st.integers(1, 30).map(lambda n: n * BLOCK), st.sampled_from([0, 9 * MB])),
)  # fmt: skip
def test_a_guess_is_at_most_a_window(seen: list[Lengths], offset: int, known: Lengths | None) -> None:
    """Whatever came before: windows lie behind the offset, in order, apart, each at most 64 KiB."""
    windows = foreseen(seen, offset, known)
    assert len(windows) <= MOST_GUESSES + 3
    end = offset + BLOCK
    for start, stop in windows:
        assert end <= start < stop <= start + WINDOW < start + 65536
        end = stop


def test_a_header_that_lies_about_its_data_is_not_found_by_a_guess() -> None:
    """A header where one was guessed is not taken unless the lengths before lead there."""
    source = file_of((40, 2 * MB), (40, 2 * MB + 2880), (40, 2 * MB), (40, 2 * MB))
    decoy = offsets(source)[2] + BLOCK * 2 + 2 * MB // BLOCK * BLOCK
    source._pieces[decoy] = extension("IMAGE", "EXTNAME = 'DECOY'", naxis=(7,))
    assert "DECOY" not in [header.name for header in walk(source)]
    assert len(list(walk(source))) == 5
