"""Whole compressed files, read by position: right, no further than needed, in bounded memory."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import lzma
import os
import pickle
import random
import re
import signal
import sys
import tempfile
import threading
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from astro_cloud.exceptions import (
    CorruptFITSError,
    NotFITSError,
    ObjectChangedError,
    RangeNotSupportedError,
    StorageError,
)
from astro_cloud.fits import inflated
from astro_cloud.fits.compression import compression_of
from astro_cloud.fits.headers import walk
from astro_cloud.fits.inflated import Inflated
from astro_cloud.storage import Client, Location, RemoteFile, Settings
from astro_cloud.storage.local import LocalObject
from astro_cloud.testing import Fault, ObjectServer
from tests.fits.sources import extension, primary
from tests.forks import forks
from tests.storage.memory_object import MemoryObject
from tests.storage.reading import auth_of, harmless

MIB = 1 << 20
_CHANCE = random.Random(7)
#: Half of it can be compressed, and no part of it occurs twice.
INSIDE = b"".join(_CHANCE.randbytes(700) + bytes([number % 256]) * 700 for number in range(400))


def zipped(data: bytes, *more: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for number, member in enumerate((data, *more)):
            archive.writestr(f"{number}.fits", member)
    return stream.getvalue()


def lzw(data: bytes) -> bytes:
    """Write a ``.Z`` file: literal codes of 9 bits, and a CLEAR before they would get wider."""
    packed = bytearray(b"\x1f\x9d\x90")
    for start in range(0, len(data), 247):
        codes = [*data[start : start + 247], 256]  # 248 codes fill 31 groups of 8, as CLEAR wants it
        bits = sum(code << 9 * index for index, code in enumerate(codes))
        packed += bits.to_bytes(-(-9 * len(codes) // 8), "little")
    return bytes(packed)


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zip": zipped,
    "compress": lzw,
}
#: Those that Python reads by itself.
FORMATS = ["gzip", "bzip2", "xz", "zip"]
DEFLATED = {name: COMPRESS[name](INSIDE) for name in FORMATS}

formats = pytest.mark.parametrize("compression", FORMATS)


def inside(data: bytes, compression: str = "gzip", *, limit: int = inflated.LIMIT) -> Inflated:
    return Inflated(MemoryObject(data), compression, limit=limit)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that small files cross: 100 kB in memory, 20 kB behind the limit, chunks of 10 kB."""
    for name, size in (("IN_MEMORY", 100_000), ("BEYOND", 20_000), ("_CHUNK", 10_000)):
        monkeypatch.setattr(inflated, name, size)


def test_compressions_are_told_by_their_first_bytes() -> None:
    """The first 6 bytes of what is compressed say so; nothing else does."""
    for name, compress in COMPRESS.items():
        assert compression_of(compress(b"some bytes")[:6]) == name
    for other in (b"", b"SIMPLE  =", b"\x1f", b"\x1f\x8b\x07", b"PK\x05\x06", b"7zXZ", b"<?xml"):
        assert compression_of(other) is None


@formats
@settings(max_examples=25)
@given(st.data())
def test_any_ranges_in_any_order(compression: str, data: st.DataObject) -> None:
    """Whatever is read, and in whatever order: the bytes are those of the standard library's whole."""
    sizes = {"IN_MEMORY": 100_000, "_CHUNK": 10_000}
    bound = st.integers(0, len(INSIDE) + 5000)
    with pytest.MonkeyPatch.context() as patched:
        for name, size in sizes.items():
            patched.setattr(inflated, name, size)
        source = inside(DEFLATED[compression], compression)
        for _ in range(data.draw(st.integers(1, 6))):
            pairs = data.draw(st.lists(st.tuples(bound, bound), max_size=4))
            ranges = [(min(pair), max(pair) + 1) for pair in pairs]
            wanted = [INSIDE[start:stop] for start, stop in ranges]
            way = data.draw(st.sampled_from(["read", "into", "begin"]))
            if way == "read":
                parts = source.read_ranges(ranges)
            elif way == "into":
                buffers = [bytearray(stop - start) for start, stop in ranges]
                parts = [bytes(view) for view in source.read_ranges(ranges, into=buffers)]
            else:
                reading = source.begin(ranges)
                reading.cancel()
                parts = reading.result()
                assert reading.done()
            assert parts == wanted
        assert source.size in (None, len(INSIDE))


@formats
def test_reading_all_tells_the_size(compression: str) -> None:
    """Before the end is reached nobody knows it."""
    source = inside(DEFLATED[compression], compression)
    assert (source.size, source.version) == (None, None)
    assert source.read_ranges([(0, 1000)]) == [INSIDE[:1000]]
    assert source.size is None
    assert source.read_ranges([(len(INSIDE) - 10, len(INSIDE) + 10)]) == [INSIDE[-10:]]
    assert (source.size, source.version, source.name, source.location) == (
        len(INSIDE),
        "1",
        "memory",
        "memory",
    )
    assert source.read_ranges([(len(INSIDE), len(INSIDE) + 1), (1 << 60, (1 << 60) + 1)]) == [b"", b""]
    assert repr(source) == f"<Inflated memory ({compression})>"


@formats
def test_nothing_inside(compression: str) -> None:
    """No bytes are no error."""
    source = inside(COMPRESS[compression](b""), compression)
    assert source.read_ranges([(0, 10)]) == [b""]
    assert source.size == 0


@formats
@pytest.mark.parametrize("cache_size", [0, 1 << 20, 32 << 20])
def test_it_is_read_as_a_file(compression: str, cache_size: int) -> None:
    """RemoteFile works on it, with a cache and without."""
    source = inside(DEFLATED[compression], compression)
    with RemoteFile(source, cache_size=cache_size) as file:
        assert b"".join(iter(lambda: file.read(7000), b"")) == INSIDE
        assert file.seek(-5, os.SEEK_END) == len(INSIDE) - 5
        assert file.read() == INSIDE[-5:]
    with RemoteFile(inside(DEFLATED[compression], compression), cache_size=cache_size) as file:
        assert file.size == len(INSIDE)
        assert file.read() == INSIDE


@pytest.mark.usefixtures("small")
def test_no_byte_is_fetched_twice() -> None:
    """However often what is kept is read."""
    memory = MemoryObject(DEFLATED["gzip"])
    source = Inflated(memory, "gzip")
    for start in (500_000, 0, 100, 300_000):
        assert source.read_ranges([(start, start + 2000)]) == [INSIDE[start : start + 2000]]
    spans = sorted(memory.ranges)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    asked = len(memory.asked)
    assert source.read_ranges([(0, 500_000)]) == [INSIDE[:500_000]]
    assert len(memory.asked) == asked


def test_uncompresspy_reads_z_files() -> None:
    """An optional package does: nothing that comes with Python reads them."""
    source = inside(lzw(INSIDE), "compress")
    assert source.read_ranges([(0, 5000), (100_000, 600_000)]) == [INSIDE[:5000], INSIDE[100_000:600_000]]
    assert source.size == len(INSIDE)
    with pytest.raises(CorruptFITSError, match="31 bits wide"):
        inside(b"\x1f\x9d\x9f" + bytes(100), "compress").read_ranges([(0, 5)])
    for broken in (b"\x1f\x9d", b"\x1f\x9d\x90\xff\xff\xff\xff"):
        with pytest.raises(CorruptFITSError):
            inside(broken, "compress").read_ranges([(0, 5)])


def test_without_uncompresspy_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what else can be done."""
    monkeypatch.setitem(sys.modules, "uncompresspy", None)
    with pytest.raises(RangeNotSupportedError, match=r"pip install uncompresspy.*astro_cloud\.download"):
        inside(lzw(INSIDE), "compress").read_ranges([(0, 5)])


def test_arguments_are_checked() -> None:
    """At once, and nothing is read."""
    with pytest.raises(ValueError, match="'lzip' is none of gzip, bzip2"):
        inside(b"", "lzip")
    with pytest.raises(ValueError, match="at least 0 bytes"):
        inside(b"", limit=-1)
    source = inside(DEFLATED["gzip"])
    with pytest.raises(ValueError, match="start < stop"):
        source.read_ranges([(5, 5)])
    with pytest.raises(ValueError, match="buffer"):
        source.read_ranges([(0, 5)], into=[bytearray(4)])


# What lies behind the limit


@pytest.mark.usefixtures("small")
@formats
def test_reading_on_behind_the_limit(compression: str) -> None:
    """A little at a time, at any distance; the kept beginning stays readable."""
    source = inside(DEFLATED[compression], compression, limit=150_000)
    for start in (149_000, 155_000, 300_000, 301_000, 295_000, 500_000):
        assert source.read_ranges([(start, start + 10_000)]) == [INSIDE[start : start + 10_000]]
    assert source.read_ranges([(0, 150_000)]) == [INSIDE[:150_000]]
    ranges = [(540_000, 541_000), (140_000, 141_000), (510_000, 511_000)]
    assert source.read_ranges(ranges) == [INSIDE[start:stop] for start, stop in ranges]
    assert source.read_ranges([]) == []
    assert source.read_ranges([(559_000, 570_000)]) == [INSIDE[559_000:]]
    assert source.read_ranges([(559_000, 900_000), (1 << 50, 1 << 51)]) == [INSIDE[559_000:], b""]
    assert source.size == len(INSIDE)


@pytest.mark.usefixtures("small")
def test_much_behind_the_limit_is_refused_before_anything_is_read() -> None:
    """With what is asked for, why, and what to do."""
    memory = MemoryObject(DEFLATED["gzip"])
    source = Inflated(memory, "gzip", limit=150_000)
    with pytest.raises(RangeNotSupportedError) as caught:
        source.read_ranges([(300_000, 320_001)])
    message = str(caught.value)
    assert message.startswith("memory is compressed whole (gzip): bytes 300000 to 320001 of what is inside")
    assert 'astro_cloud.download("memory")' in message
    assert "astro-cloud cp" in message
    assert caught.value.location == "memory"
    for ranges in ([(100_000, 170_001)], [(200_000, 210_001), (0, 5), (300_000, 310_000)]):
        with pytest.raises(RangeNotSupportedError):
            source.read_ranges(ranges)
        reading = source.begin(ranges)
        with pytest.raises(RangeNotSupportedError):
            reading.result()
    assert memory.asked == []
    assert source.read_ranges([(300_000, 320_000)]) == [INSIDE[300_000:320_000]]


@pytest.mark.usefixtures("small")
def test_what_was_passed_is_refused() -> None:
    """Rather than decompressed anew from the start."""
    source = inside(DEFLATED["gzip"], limit=150_000)
    source.read_ranges([(400_000, 400_010)])
    assert source.read_ranges([(380_010, 380_020)]) == [INSIDE[380_010:380_020]]
    with pytest.raises(RangeNotSupportedError, match=r"bytes 200000 to 200010 .* passed.* the first 150 kB"):
        source.read_ranges([(200_000, 200_010)])
    assert source.read_ranges([(400_010, 400_020)]) == [INSIDE[400_010:400_020]]
    source.read_ranges([(555_000, 570_000)])
    with pytest.raises(RangeNotSupportedError, match="bytes 500000 to 560000"):
        source.read_ranges([(1 << 50, 1 << 51), (500_000, 1 << 51)])  # one is past the end
    assert source.read_ranges([(555_000, 1 << 51)]) == [INSIDE[555_000:]]


def test_data_units_are_refused_by_the_limit_alone() -> None:
    """`check_data` allows what is kept; past the end there is nothing to refuse."""
    memory = MemoryObject(DEFLATED["gzip"])
    source = Inflated(memory, "gzip", limit=150_000)
    source.check_data([(0, 150_000), (5, 10)])
    with pytest.raises(RangeNotSupportedError, match=r"bytes 149999 to 150001 .* download"):
        source.check_data([(0, 5), (149_999, 150_001)])
    assert memory.asked == []
    whole = inside(DEFLATED["gzip"], limit=len(INSIDE))
    whole.read_ranges([(0, len(INSIDE) + 1)])
    whole.check_data([(0, len(INSIDE) + 1000)])


def headers_far_apart(count: int, data_size: int) -> Iterator[bytes]:
    yield primary()
    for _ in range(count):
        yield extension("IMAGE", naxis=(data_size,))
        for _ in range(data_size // 2880):
            yield bytes(2880)


def test_headers_of_a_long_stream_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """200 MB inside, read with a limit of 2 MiB: all headers, with less than 16 MB."""
    monkeypatch.setattr(inflated, "BEYOND", MIB)
    compressor = zlib.compressobj(1, wbits=31)
    count, data_size = 10, 2880 * 7000
    packed = b"".join(map(compressor.compress, headers_far_apart(count, data_size))) + compressor.flush()
    source = inside(packed, limit=2 * MIB)
    tracemalloc.start()
    try:
        headers = list(walk(source))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [header.offset for header in headers[1:]] == [
        2880 + number * (2880 + data_size) for number in range(count)
    ]
    assert source.size == headers[-1].end
    assert peak < 16 * MIB


@formats
def test_a_bomb_costs_bounded_memory(compression: str) -> None:
    """100 MB of zeros in a hundred kilobytes at most."""
    size = 100 * MIB
    source = inside(COMPRESS[compression](bytes(size)), compression, limit=0)
    tracemalloc.start()
    try:
        assert source.read_ranges([(size - 5, size + 1)]) == [bytes(5)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32 * MIB


# Damage


def is_well_said(error: CorruptFITSError, name: str = "memory") -> None:
    assert error.location == name
    assert str(error).startswith(f"{name} is damaged")
    assert f"byte {error.offset} of what is inside" in str(error)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.offset) == (str(error), error.offset)


@formats
@settings(max_examples=30)
@given(st.data())
def test_cut_short_anywhere(compression: str, data: st.DataObject) -> None:
    """An error that says how far it came; what is before that place can be read, before and after."""
    packed = DEFLATED[compression]
    source = inside(packed[: data.draw(st.integers(0, len(packed) - 1))], compression)
    with pytest.raises(CorruptFITSError) as caught:
        source.read_ranges([(0, len(INSIDE) + 1)])
    is_well_said(caught.value)
    offset = caught.value.offset
    assert offset is not None
    assert source.size is None
    if offset:
        assert source.read_ranges([(0, offset)]) == [INSIDE[:offset]]
    with pytest.raises(CorruptFITSError) as again:
        source.read_ranges([(offset, offset + 1)])
    assert (str(again.value), again.value.offset) == (str(caught.value), offset)
    assert again.value is not caught.value


@formats
@settings(max_examples=60)
@given(st.data())
def test_a_bit_flipped_anywhere(compression: str, data: st.DataObject) -> None:
    """Never another error, and wrong bytes are never all: their checksum tells, when the end is reached."""
    packed = bytearray(DEFLATED[compression])
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    source = inside(bytes(packed), compression)
    try:
        (whole,) = source.read_ranges([(0, 100 * len(INSIDE))])  # it may have become longer
    except CorruptFITSError as error:
        is_well_said(error)
    except NotFITSError:
        assert compression == "zip"
    else:
        assert whole == INSIDE


@formats
@settings(max_examples=60)
@given(st.binary(max_size=300))
def test_what_only_begins_like_it(compression: str, noise: bytes) -> None:
    """Any bytes behind the magic number: an error of ours, or what the standard library reads."""
    source = inside(COMPRESS[compression](b"")[:6] + noise, compression)
    with suppress(CorruptFITSError):
        source.read_ranges([(0, 100)])


def test_gzip_in_parts_and_with_padding() -> None:
    """Concatenated members are one; zeros behind them are left out; anything else is damage at the end."""
    packed = gzip.compress(INSIDE[:100_000]) + gzip.compress(b"") + gzip.compress(INSIDE[100_000:])
    for padding in (b"", bytes(5000)):
        source = inside(packed + padding)
        assert source.read_ranges([(0, len(INSIDE) + 1)]) == [INSIDE]
        assert source.size == len(INSIDE)
    source = inside(packed + b"garbage")
    assert source.read_ranges([(0, len(INSIDE))]) == [INSIDE]
    with pytest.raises(CorruptFITSError) as caught:
        source.read_ranges([(0, len(INSIDE) + 1)])
    assert caught.value.offset == len(INSIDE)


@pytest.mark.parametrize("compression", ["bzip2", "xz"])
def test_streams_one_behind_another(compression: str) -> None:
    """As parallel compressors write them; what follows is left out, a later one that is damaged is not."""
    compress = COMPRESS[compression]
    first, second = compress(INSIDE[:100_000]), compress(INSIDE[100_000:])
    for packed in (
        first + second,
        first + bytes(200_000) + compress(b"") + second + bytes(400),
        first + second + b"garbage" * 20_000,
    ):
        source = inside(packed, compression)
        assert source.read_ranges([(0, len(INSIDE) + 1)]) == [INSIDE]
        assert source.size == len(INSIDE)
    broken = bytearray(second)
    broken[60] ^= 8
    for end in (bytes(broken), second[:50], second[:-1]):
        with pytest.raises(CorruptFITSError) as caught:
            inside(first + end, compression).read_ranges([(0, len(INSIDE) + 1)])
        assert caught.value.offset is not None
        assert caught.value.offset >= 100_000


def test_xz_that_wants_much_memory_is_refused() -> None:
    """It is the file that says how much a decompressor takes."""
    packed = bytearray(lzma.compress(INSIDE, preset=0))
    assert packed[16] == 12  # the dictionary's size, coded (.xz format, 5.3.1)
    packed[16] = 34  # 512 MiB
    packed[20:24] = zlib.crc32(packed[12:20]).to_bytes(4, "little")
    with pytest.raises(CorruptFITSError, match=r"[Mm]emory"):
        inside(bytes(packed), "xz").read_ranges([(0, 5)])


def test_zip_holds_one_file() -> None:
    """Stored or deflated; of any other archive the error says what it is."""
    stored = inside(zipped(INSIDE, method=zipfile.ZIP_STORED), "zip")
    assert stored.read_ranges([(5, 100_000)]) == [INSIDE[5:100_000]]
    for packed, says in (
        (zipped(INSIDE, b"another"), "zip archive of 2 files"),
        (zipped(INSIDE, method=zipfile.ZIP_BZIP2), "zip archive compressed by method 12"),
    ):
        with pytest.raises(NotFITSError, match=f"memory is a {says}.*unzip it") as caught:
            inside(packed, "zip").read_ranges([(0, 5)])
        assert caught.value.location == "memory"
    encrypted = bytearray(zipped(INSIDE))
    encrypted[encrypted.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(NotFITSError, match="an encrypted zip archive"):
        inside(bytes(encrypted), "zip").read_ranges([(0, 5)])


# Over a server


@pytest.fixture
def client(object_server: ObjectServer) -> Iterator[Client]:
    """A client that can be pickled and never waits long."""
    quick = Settings(endpoint_url=object_server.url, attempts=2)
    with Client(auth=auth_of(object_server), settings=quick) as client:
        yield client


def stored(server: ObjectServer, client: Client, data: bytes, **options: Any) -> Inflated:
    server.put("sky", "whole.gz", data)
    source = client.pin(Location.parse("s3://sky/whole.gz", client.settings))
    return Inflated(source, options.pop("compression", "gzip"), **options)


@pytest.mark.parametrize(("compression", "most"), [("gzip", 600_000), ("xz", 600_000), ("bzip2", 3_000_000)])
def test_the_beginning_costs_little(
    object_server: ObjectServer, client: Client, compression: str, most: int
) -> None:
    """The first 64 KiB inside a file of 8 MB; bzip2 has blocks of 900 kB that come out whole."""
    data = random.Random(1).randbytes(8_000_000)
    packed = lzma.compress(data, preset=0) if compression == "xz" else COMPRESS[compression](data)
    source = stored(object_server, client, packed, compression=compression)
    assert source.read_ranges([(0, 65_536)]) == [data[:65_536]]
    source.close()
    assert object_server.requests.body_bytes < most


def test_all_is_fetched_once_and_ahead(object_server: ObjectServer, client: Client) -> None:
    """8 MB are streamed in a few requests, and none of them twice."""
    data = random.Random(1).randbytes(8_000_000)
    packed = gzip.compress(data, 1)
    source = stored(object_server, client, packed)
    assert source.read_ranges([(0, len(data) + 1)]) == [data]
    assert object_server.requests.body_bytes == len(packed)
    assert len(object_server.requests) < 40


def test_storage_errors_are_no_damage(object_server: ObjectServer, client: Client) -> None:
    """They go through as they are, and the next read begins anew."""
    data = random.Random(1).randbytes(3_000_000)
    for compression in FORMATS:
        object_server.clear_faults()
        source = stored(object_server, client, COMPRESS[compression](data), compression=compression)
        object_server.inject(Fault.unavailable(501, "NotImplemented"), times=None)
        with pytest.raises(StorageError) as caught:
            source.read_ranges([(0, 10)])
        assert caught.value.status == 501
        object_server.clear_faults()
        assert source.read_ranges([(0, 10)]) == [data[:10]]
        object_server.inject(Fault.unavailable(501, "NotImplemented"), times=None)
        with pytest.raises(StorageError) as caught:
            source.read_ranges([(0, len(data))])
        assert caught.value.status == 501
        object_server.clear_faults()
        assert source.read_ranges([(5, len(data) + 1)]) == [data[5:]]


def test_a_storage_error_in_zips_directory_is_no_damage(object_server: ObjectServer, client: Client) -> None:
    """It lies at the archive's end, and zipfile takes an OSError there for that of a broken archive."""
    data = random.Random(1).randbytes(300_000)
    source = stored(object_server, client, zipped(data), compression="zip")
    object_server.inject(harmless(), times=1)
    object_server.inject(Fault.unavailable(501, "NotImplemented"), times=None)
    with pytest.raises(StorageError) as caught:
        source.read_ranges([(0, 10)])
    assert caught.value.status == 501
    object_server.clear_faults()
    assert source.read_ranges([(0, 10)]) == [data[:10]]


def test_an_overwritten_object_is_refused(object_server: ObjectServer, client: Client) -> None:
    """What is kept stays readable; bytes of two versions are never mixed."""
    data = random.Random(1).randbytes(3_000_000)
    source = stored(object_server, client, gzip.compress(data))
    source.read_ranges([(0, 10)])
    assert source.version is not None
    object_server.put("sky", "whole.gz", gzip.compress(bytes(3_000_000) + data))
    with pytest.raises(ObjectChangedError):
        source.read_ranges([(0, 3_000_000)])
    assert source.read_ranges([(0, 10)]) == [data[:10]]


def test_a_pickle_begins_anew(object_server: ObjectServer, client: Client) -> None:
    """With the same version, and no bytes."""
    data = random.Random(1).randbytes(100_000)
    source = stored(object_server, client, gzip.compress(data), limit=90_000)
    source.read_ranges([(0, 80_000)])
    pickled = pickle.dumps(source)
    assert len(pickled) < 20_000
    copy = pickle.loads(pickled)
    assert (copy.name, copy.compression, copy.limit) == (source.name, "gzip", 90_000)
    assert copy.read_ranges([(10, 90_000)]) == [data[10:90_000]]
    object_server.put("sky", "whole.gz", gzip.compress(data + b"more"))
    with pytest.raises(ObjectChangedError):
        pickle.loads(pickled).read_ranges([(0, 5)])


# The warning


def test_the_warning_says_what_it_costs(tmp_path: Path) -> None:
    """With the size, if that is known; a local file needs no download."""
    source = inside(DEFLATED["gzip"])
    assert "up to all of it;" in source.cost
    source.read_ranges([(0, 1)])
    assert re.search(r"compressed whole \(gzip\).* up to all of its \d+ kB;", source.cost)
    assert 'astro_cloud.download("memory")' in source.cost
    (tmp_path / "m31.fits.gz").write_bytes(DEFLATED["gzip"])
    local = Inflated(LocalObject(Location.parse(tmp_path / "m31.fits.gz")), "gzip")
    assert local.cost.endswith("to read more than its first HDUs, decompress it once, or have "
                               "astropy.io.fits.open read it whole")  # fmt: skip


# Threads, forks, closing


@pytest.mark.usefixtures("small")
def test_threads_read_what_they_ask_for() -> None:
    """Sixteen of them, in memory and on disk."""
    source = inside(DEFLATED["gzip"])

    def reads(seed: int) -> bool:
        chance = random.Random(seed)
        wanted = [(chance.randrange(len(INSIDE)), chance.choice([1, 100, 70_000])) for _ in range(20)]
        return all(
            source.read_ranges([(start, start + length)]) == [INSIDE[start : start + length]]
            for start, length in wanted
        )

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(reads, range(16)))


def test_kept_bytes_wait_for_nobody() -> None:
    """While another thread waits for the network."""
    memory = MemoryObject(gzip.compress(random.Random(1).randbytes(2_000_000)))
    source = Inflated(memory, "gzip")
    (beginning,) = source.read_ranges([(0, 1000)])
    asked = len(memory.asked)
    memory.held.clear()
    with ThreadPoolExecutor(1) as threads:
        long = threads.submit(source.read_ranges, [(0, 2_000_000)])
        try:
            while len(memory.asked) == asked and not long.done():
                threading.Event().wait(0.001)
            assert source.read_ranges([(0, 1000)]) == [beginning]
            assert source.begin([(0, 1000)]).done()
            assert not source.begin([(0, 1_000_000)]).done()
        finally:
            memory.held.set()
        assert len(long.result()[0]) == 2_000_000


def test_closing_stops_who_is_reading() -> None:
    """He gets an error; what is read since begins anew."""
    memory = MemoryObject(gzip.compress(random.Random(1).randbytes(2_000_000)))
    closes = io.BytesIO()
    source = Inflated(memory, "gzip", closes=closes)
    (beginning,) = source.read_ranges([(0, 1000)])
    asked = len(memory.asked)
    memory.held.clear()
    with ThreadPoolExecutor(1) as threads:
        long = threads.submit(source.read_ranges, [(0, 2_000_000)])
        while len(memory.asked) == asked and not long.done():
            threading.Event().wait(0.001)
        source.close()
        memory.held.set()
        with pytest.raises(StorageError, match="closed while it was being read"):
            long.result()
    assert closes.closed
    assert source.size is None
    assert source.read_ranges([(0, 1000)]) == [beginning]


def test_an_interruption_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C at any moment: the next read is right."""
    source = inside(DEFLATED["gzip"])
    source.read_ranges([(0, 1000)])
    append, chance = inflated._Kept.append, random.Random(1)

    def interrupted(kept: Any, data: bytes) -> None:
        if chance.random() < 0.5:
            raise KeyboardInterrupt
        append(kept, data)
        if chance.random() < 0.5:
            raise KeyboardInterrupt

    monkeypatch.setattr(inflated._Kept, "append", interrupted)
    caught = 0
    for start in range(0, 500_000, 50_000):
        try:
            assert source.read_ranges([(start, start + 50_000)]) == [INSIDE[start : start + 50_000]]
        except KeyboardInterrupt:
            caught += 1
    assert caught
    monkeypatch.undo()
    assert source.read_ranges([(0, len(INSIDE) + 1)]) == [INSIDE]


@pytest.mark.usefixtures("small")
def test_a_full_disk_is_a_storage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which says where there is no room."""

    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    source = inside(DEFLATED["gzip"])
    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "TemporaryFile", full)
        with pytest.raises(StorageError, match=re.escape(tempfile.gettempdir()) + ".*No space left.*TMPDIR"):
            source.read_ranges([(0, 200_000)])
    assert source.read_ranges([(0, len(INSIDE) + 1)]) == [INSIDE]


@forks
@pytest.mark.usefixtures("small")
def test_a_forked_process_begins_anew() -> None:
    """Both read on, the one undisturbed by the other's file."""
    source = inside(DEFLATED["gzip"])
    source.read_ranges([(0, 300_000)])
    source._inside._turn.acquire()  # as another thread may have, for ever in the child
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(20)
            status = 0 if source.read_ranges([(5, 400_000)]) == [INSIDE[5:400_000]] else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    source._inside._turn.release()
    assert source.read_ranges([(0, 400_000)]) == [INSIDE[:400_000]]
    assert source.read_ranges([(400_000, 560_000)]) == [INSIDE[400_000:]]


# FITS inside


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz", "zip"])
def test_headers_and_pixels_of_what_astropy_wrote(tmp_path: Path, suffix: str) -> None:
    """The walk finds the HDUs that astropy finds; astropy reads the pixels through a RemoteFile."""
    pixels = np.random.default_rng(3).integers(0, 1000, (300, 400), dtype=np.int32)
    hdus = fits.HDUList(
        [fits.PrimaryHDU(), *(fits.ImageHDU(pixels + add, name=f"E{add}") for add in range(4))]
    )
    path = tmp_path / f"image.fits.{suffix}"
    if suffix in ("gz", "bz2"):
        hdus.writeto(path)
    else:  # astropy writes no zip, and 7.0 no xz either
        stream = io.BytesIO()
        hdus.writeto(stream)
        path.write_bytes(COMPRESS[suffix](stream.getvalue()))
    compression = compression_of(path.read_bytes()[:6])
    assert compression is not None
    with fits.open(path) as hdul:
        places = [hdu.fileinfo()["datLoc"] for hdu in hdul]
    source = Inflated(LocalObject(Location.parse(path)), compression)
    headers = walk(source)
    next(headers)
    assert source.size is None
    assert [header.data_offset for header in headers] == places[1:]
    with RemoteFile(source, cache_size=0, closes=source) as file, fits.open(file) as hdul:
        assert np.array_equal(hdul["E2"].section[10:20, 30:40], pixels[10:20, 30:40] + 2)
        assert np.array_equal(hdul["E3"].data, pixels + 3)


def test_no_warning_by_itself() -> None:
    """Whoever opens it says when."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inside(DEFLATED["gzip"]).read_ranges([(0, 5)])
