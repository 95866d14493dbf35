"""`load_headers` end to end: signed, over HTTP, with its cost, its laziness and its old names."""

import os
import subprocess
import sys
import textwrap
import types

import pytest

import astro_cloud.fits
from astro_cloud.auth import AWSAuth
from astro_cloud.exceptions import (
    AccessDeniedError,
    AstroCloudError,
    AstroCloudWarning,
    CredentialsError,
    InvalidLocationError,
    NotFITSError,
    ObjectChangedError,
    ObjectNotFoundError,
    RangeNotSupportedError,
    RequesterPaysError,
    StorageError,
    TransferTimeoutError,
)
from astro_cloud.fits import CloudService, FITSHeader, PaymentSolution, load_headers
from astro_cloud.storage import Client, Settings
from astro_cloud.testing import Fault, ObjectServer
from astro_cloud.testing.tess_cube import write_tess_cube
from tests.fits.sources import extension, primary

CUBE = "tess/cube.fits"


@pytest.fixture
def cube_server(object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> ObjectServer:
    """The cube in a requester-pays bucket, and the server's credentials in the environment."""
    object_server.put("sky", CUBE, b"")
    write_tess_cube(object_server.path("sky", CUBE))
    object_server.requester_pays.add("sky")
    for name, value in object_server.environ.items():
        monkeypatch.setenv(name, value)
    return object_server


def test_the_cube_costs_two_round_trips(cube_server: ObjectServer) -> None:
    """All headers of a 45 GB cube: 2 round trips, at most 3 requests and 256 KiB, counted at the server."""
    headers = list(load_headers(f"s3://sky/{CUBE}", CloudService.S3, PaymentSolution.AWSRequestPayer))
    assert [(h.kind, h.shape) for h in headers] == [
        ("PRIMARY", ()), ("IMAGE", (2078, 2136, 1282, 2)), ("BINTABLE", (1282,)),
    ]  # fmt: skip
    assert headers[-1].end == os.path.getsize(cube_server.path("sky", CUBE)) > 45e9
    assert cube_server.requests.round_trips == 2
    assert len(cube_server.requests) <= 3
    assert cube_server.requests.body_bytes <= 256 * 1024
    assert {record.method for record in cube_server.requests} == {"GET"}, "no HEAD is needed"


def test_a_local_file_is_read_alike(cube_server: ObjectServer) -> None:
    """A path in place of a location gives the same headers, and asks nobody."""
    remote = [header.offset for header in load_headers(f"s3://sky/{CUBE}", request_payer=True)]
    cube_server.clear()
    path = cube_server.path("sky", CUBE)
    for location in (path, str(path), path.as_uri()):
        assert [header.offset for header in load_headers(location)] == remote
    assert not cube_server.requests


def test_the_first_releases_program_runs_unchanged(cube_server: ObjectServer) -> None:
    """The names, the order of arguments and the tuple of the first release work as they did."""
    url = cube_server.url_for("sky", CUBE)
    assert isinstance(load_headers(url), types.GeneratorType)
    for header in load_headers(url, CloudService.S3, PaymentSolution.AWSRequestPayer):
        offset, length, cards = header
        assert (header[0], header[1], len(header)) == (offset, length, 3)
        assert (header.offset, header.length) == (offset, length)
        assert cards is header.fits
    assert [service.name for service in CloudService] == ["S3", "ObjectStorage", "BlobStorage", "Spaces"]
    assert {"CloudService", "FITSHeader", "PaymentSolution", "load_headers"} < set(astro_cloud.fits.__all__)
    assert astro_cloud.fits.__all__ == sorted(astro_cloud.fits.__all__)


def test_every_way_to_name_the_payer_is_signed(cube_server: ObjectServer) -> None:
    """request_payer=, payment_solution= and an auth that pays all send the header, signed."""
    paying = AWSAuth(True, access_key=cube_server.access_key, secret_key=cube_server.secret_key)
    plain = AWSAuth(access_key=cube_server.access_key, secret_key=cube_server.secret_key)
    for options in (
        {"request_payer": True},
        {"payment_solution": PaymentSolution.AWSRequestPayer},
        {"auth": paying},
        {"auth": plain, "request_payer": True},
        {"client": Client(auth=plain), "request_payer": True},
    ):
        cube_server.clear()
        assert len(list(load_headers(f"s3://sky/{CUBE}", **options))) == 3
        for record in cube_server.requests:
            assert "x-amz-request-payer" in record.headers["Authorization"]


def test_requester_pays_without_the_flag_says_so(cube_server: ObjectServer) -> None:
    """A requester-pays bucket read without the flag tells which flag to pass."""
    with pytest.raises(RequesterPaysError, match="request_payer=True") as caught:
        list(load_headers(f"s3://sky/{CUBE}"))
    assert (caught.value.location, caught.value.status) == (f"s3://sky/{CUBE}", 403)


def test_a_client_of_the_users_is_left_open(cube_server: ObjectServer) -> None:
    """An injected client counts the cost and goes on working."""
    with Client() as client:
        for _ in range(2):
            list(load_headers(f"s3://sky/{CUBE}", client=client, request_payer=True))
        assert (client.usage.requests, client.usage.round_trips) == (4, 4)
        assert client.usage.bytes == cube_server.requests.body_bytes


def test_closing_the_generator_closes_its_connections(cube_server: ObjectServer) -> None:
    """A generator left half way leaves no connection behind: pytest fails on a ResourceWarning."""
    headers = load_headers(f"s3://sky/{CUBE}", request_payer=True)
    assert next(headers).index == 0
    headers.close()
    assert len(cube_server.requests) == 1


def put(server: ObjectServer, data: bytes) -> str:
    """Store an object in a public bucket; return its URL."""
    server.public.add("open")
    server.put("open", "file.fits", data)
    return server.url_for("open", "file.fits")


def test_a_warning_points_at_the_loop(object_server: ObjectServer) -> None:
    """A warning names the user's line, so that filters and readers find it."""
    url = put(object_server, primary() + b"junk")
    with pytest.warns(AstroCloudWarning, match="behind HDU 0") as caught:
        list(load_headers(url))
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.whole_body(), RangeNotSupportedError),
        (Fault.gzip(), StorageError),
        (Fault.never_answers(), TransferTimeoutError),
    ],
    ids=["ignores Range", "gzip", "never answers"],
)
def test_servers_that_cannot_be_read_by_range(
    object_server: ObjectServer, fault: Fault, error: type[AstroCloudError]
) -> None:
    """A server that misbehaves is an error of its own kind, and never a wrong header."""
    url = put(object_server, primary(naxis=(3_000_000,)) + bytes(3_000_960))
    object_server.inject(fault, times=None)
    client = Client(settings=Settings(read_timeout=0.05, attempts=2, jitter=lambda low, high: low))
    with client, pytest.raises(error) as caught:
        list(load_headers(url, client=client))
    assert caught.value.location == url


def test_an_object_overwritten_between_two_reads(object_server: ObjectServer) -> None:
    """Headers of two versions are never mixed."""
    big = primary(naxis=(1_000_000,)) + bytes(1_002_240)
    url = put(object_server, big + extension("IMAGE"))
    headers = load_headers(url)
    assert next(headers).index == 0
    object_server.put("open", "file.fits", big + extension("IMAGE", "EXTNAME = 'OTHER'"))
    with pytest.raises(ObjectChangedError, match="overwritten"):
        next(headers)


def test_errors_before_any_header(object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """404, a page in place of a file, a wrong key, no credentials, no location: each says what it is."""
    url = put(object_server, b"<!DOCTYPE html><p>moved")
    with pytest.raises(NotFITSError, match="HTML page"):
        list(load_headers(url))
    with pytest.raises(ObjectNotFoundError, match="no such object"):
        list(load_headers(url + "x"))
    wrong = AWSAuth(access_key=object_server.access_key, secret_key="wrong")
    with pytest.raises(AccessDeniedError, match="secret key is probably wrong"):
        list(load_headers(url, auth=wrong))
    monkeypatch.setenv("AWS_ENDPOINT_URL", object_server.url)
    with pytest.raises(CredentialsError, match="searched: the environment"):
        list(load_headers(url, auth=AWSAuth()))
    with pytest.raises(CredentialsError, match="requester pays needs AWS credentials"):
        list(load_headers("s3://open/file.fits", request_payer=True))
    with pytest.raises(InvalidLocationError, match="write s3://bucket/key"):
        load_headers("s3://bucket-only")


@pytest.mark.parametrize("service", list(CloudService))
def test_public_objects_of_every_service_need_no_credentials(
    object_server: ObjectServer, service: CloudService
) -> None:
    """Where a service is named and there are no credentials for it, a public object is read all the same."""
    url = put(object_server, primary())
    assert [header.kind for header in load_headers(url, service)] == ["PRIMARY"]
    assert "authorization" not in object_server.requests[0].headers


@pytest.mark.parametrize(
    ("service", "says"),
    [
        (CloudService.ObjectStorage, "user_project"),
        (CloudService.BlobStorage, "Azure has no requester pays"),
        (CloudService.Spaces, "Spaces has no requester pays"),
    ],
)
def test_only_s3_takes_the_offer_to_pay(
    object_server: ObjectServer, service: CloudService, says: str
) -> None:
    """Asking another service for requester pays says what to do instead, and sends nothing."""
    with pytest.raises(CredentialsError, match=says):
        list(load_headers(put(object_server, primary()), service, request_payer=True))
    assert len(object_server.requests) == 0


def test_the_wrong_region_is_learnt(cube_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket in another region costs one refused request, once."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert len(list(load_headers(f"s3://sky/{CUBE}", request_payer=True))) == 3
    assert [record.status for record in cube_server.requests] == [400, 206, 206]


def run(program: str, server: ObjectServer) -> str:
    """Run a program in a fresh interpreter that reads from the server; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, **server.environ},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


# Only Linux tells the peak of one process as it stands; elsewhere it holds what was there before the scan.
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_a_scan_imports_no_astropy_and_little_memory(cube_server: ObjectServer) -> None:
    """astropy and numpy come in when `.fits` is touched, not before; a scan fits in 45 MB, `.fits` in 66."""
    printed = run(
        f"""
        import sys
        from astro_cloud.fits import load_headers

        def peak():
            # MiB; the figure of getrusage would count the parent's
            with open("/proc/self/status") as status:
                return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024

        headers = list(load_headers("s3://sky/{CUBE}", request_payer=True))
        before = sorted({{"astropy", "numpy"}} & set(sys.modules))
        print(len(headers), before, peak() <= 45)
        headers[2].fits["NAXIS2"]
        # astropy itself takes 5 MiB more under Python 3.13
        print("astropy" in sys.modules, peak() <= (66 if sys.version_info < (3, 13) else 72))
        """,
        cube_server,
    )
    assert printed.split("\n") == ["3 [] True", "True True"]


def test_importing_the_package_is_light() -> None:
    """`import astro_cloud` and the LOW tier bring in neither botocore nor astropy."""
    program = (
        "import sys, astro_cloud.auth.aws; print(sorted({'botocore', 'astropy', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_header_shows_itself(cube_server: ObjectServer) -> None:
    """The repr names the HDU and its bytes, and touches no astropy."""
    header = list(load_headers(f"s3://sky/{CUBE}", request_payer=True))[1]
    assert repr(header) == "<FITSHeader 1 (no name) IMAGE header [2880, 5760) data [5760, 45522371520)>"
    assert isinstance(header, FITSHeader)
    assert "fits" not in vars(header)


@pytest.mark.parametrize("location", [None, b"s3://sky/key", 7])
def test_a_location_is_text(location: object) -> None:
    """Anything but text is an InvalidLocationError that says so."""
    with pytest.raises(InvalidLocationError, match="a location is text"):
        load_headers(location)


def test_a_service_is_a_cloud_service(object_server: ObjectServer) -> None:
    """A service's name as text is a mistake that names the choices."""
    with pytest.raises(TypeError, match=r"CloudService\.S3"):
        list(load_headers(put(object_server, primary()), "s3"))
