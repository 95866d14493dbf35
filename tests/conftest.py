"""What every test here stands on: a clean environment, and the real servers, each started once a run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import hypothesis
import pytest

from tests import corpora
from tests.servers import azurite, caddy, ceph, fake_gcs, nginx, rclone, swift, tls
from tests.servers.azurite import RunningAzurite
from tests.servers.caddy import RunningWebServer
from tests.servers.fake_gcs import RunningFakeGCS
from tests.servers.process import RunningServer, started
from tests.servers.tls import Certificate

# No test times itself: a busy machine is no reason to fail. In CI examples are the same each time, as
# hypothesis has it there by itself; by hand new ones are tried.
hypothesis.settings.register_profile("untimed", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("untimed")

TOOK_PART = pytest.StashKey[list[str]]()

#: Where credentials, endpoints and proxies could come in from the machine of whoever runs the tests.
FOREIGN_PREFIXES = ("AWS_", "GOOGLE_", "AZURE_", "S3_", "CLOUDSDK_", "GCE_", "SPACES_", "ASTRO_CLOUD_")
FOREIGN_NAMES = ("STORAGE_EMULATOR_HOST", "NETRC", "BOTO_CONFIG", "NO_GCE_CHECK")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hide the credentials, settings and proxies of this machine from the test."""
    for name in os.environ:
        upper = name.upper()
        if upper.startswith(FOREIGN_PREFIXES) or upper.endswith("_PROXY") or upper in FOREIGN_NAMES:
            monkeypatch.delenv(name)
    with tempfile.TemporaryDirectory(prefix="astro-cloud-home-", ignore_cleanup_errors=True) as home:
        for name in ("HOME", "USERPROFILE", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
            monkeypatch.setenv(name, home)
        monkeypatch.setenv("AWS_CONFIG_FILE", os.path.join(home, "config"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.path.join(home, "credentials"))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("NO_GCE_CHECK", "true")
        yield


@pytest.fixture(scope="session")
def aws4_testsuite() -> Path:
    """The folder of AWS's signing test suite."""
    if not corpora.AWS4_TESTSUITE.is_dir():
        pytest.fail(corpora.absent(corpora.AWS4_TESTSUITE))
    return corpora.AWS4_TESTSUITE


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """What the servers of this run show over https."""
    return tls.make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def swift_server(pytestconfig: pytest.Config) -> Iterator[RunningServer]:
    """OpenStack Swift with its S3 API."""
    with started(swift.swift) as server:
        _note(pytestconfig, swift)
        yield server


@pytest.fixture(scope="session")
def swift_over_tls(swift_server: RunningServer, certificate: Certificate) -> Iterator[RunningServer]:
    """The same Swift over https."""
    with started(partial(swift.over_tls, swift_server, certificate)) as server:
        yield server


@pytest.fixture(scope="session")
def rclone_server(pytestconfig: pytest.Config) -> Iterator[RunningServer]:
    """rclone, serving a folder as S3."""
    with started(rclone.rclone) as server:
        _note(pytestconfig, rclone)
        yield server


@pytest.fixture(scope="session")
def rclone_over_tls(rclone_server: RunningServer, certificate: Certificate) -> Iterator[RunningServer]:
    """rclone over https, serving the same folder."""
    with started(partial(rclone.over_tls, rclone_server, certificate)) as server:
        yield server


@pytest.fixture(scope="session")
def azurite_server(pytestconfig: pytest.Config) -> Iterator[RunningAzurite]:
    """Azurite; a test that asks for it is skipped where there is no Node to run it."""
    _require(azurite, "node and npm")
    with started(azurite.azurite) as server:
        _note(pytestconfig, azurite)
        yield server


@pytest.fixture(scope="session")
def azurite_over_tls(pytestconfig: pytest.Config, certificate: Certificate) -> Iterator[RunningAzurite]:
    """Another Azurite, over https, which keeps blobs of its own and takes bearer tokens."""
    _require(azurite, "node and npm")
    with started(partial(azurite.azurite, certificate)) as server:
        _note(pytestconfig, azurite)
        yield server


@pytest.fixture(scope="session")
def ceph_server(pytestconfig: pytest.Config) -> Iterator[RunningServer]:
    """Ceph's radosgw; a test that asks for it by name is skipped where Ceph is not installed."""
    _require(ceph, "ceph-mon")
    with started(ceph.ceph) as server:
        _note(pytestconfig, ceph)
        yield server


@pytest.fixture(scope="session")
def ceph_over_tls(ceph_server: RunningServer, certificate: Certificate) -> Iterator[RunningServer]:
    """The same Ceph over https."""
    with started(partial(ceph.over_tls, ceph_server, certificate)) as server:
        yield server


@pytest.fixture(scope="session")
def ceph_without_sts(ceph_server: RunningServer) -> Iterator[RunningServer]:
    """The same Ceph behind a gateway that says by AWS's codes why it refuses."""
    with started(partial(ceph.without_sts, ceph_server)) as server:
        yield server


@pytest.fixture(scope="session")
def fake_gcs_server(pytestconfig: pytest.Config, certificate: Certificate) -> Iterator[RunningFakeGCS]:
    """fake-gcs-server, which speaks Google Cloud Storage's two APIs and checks no credentials."""
    with started(partial(fake_gcs.fake_gcs, certificate)) as server:
        _note(pytestconfig, fake_gcs)
        yield server


@pytest.fixture(scope="session")
def caddy_server(pytestconfig: pytest.Config, certificate: Certificate) -> Iterator[RunningWebServer]:
    """Caddy, giving out the files of a folder."""
    with started(partial(caddy.caddy, certificate)) as server:
        _note(pytestconfig, caddy)
        yield server


@pytest.fixture(scope="session")
def nginx_server(pytestconfig: pytest.Config, certificate: Certificate) -> Iterator[RunningWebServer]:
    """nginx, giving out the files of a folder; a test that asks for it by name is skipped without it."""
    _require(nginx, "nginx")
    with started(partial(nginx.nginx, certificate)) as server:
        _note(pytestconfig, nginx)
        yield server


@pytest.fixture(scope="session", params=["caddy", "nginx"] if nginx.installed() else ["caddy"])
def web_server(request: pytest.FixtureRequest) -> RunningWebServer:
    """Each web server there is here: it gives out files by GET and HEAD, in ranges, to anybody."""
    server: RunningWebServer = request.getfixturevalue(f"{request.param}_server")
    return server


@pytest.fixture(scope="session")
def web_server_over_tls(web_server: RunningWebServer) -> RunningWebServer:
    """The same web servers over https."""
    return web_server.over_tls()


WHOLE = ["swift", "ceph"] if ceph.installed() else ["swift"]


@pytest.fixture(scope="session", params=WHOLE)
def s3_judge(request: pytest.FixtureRequest) -> RunningServer:
    """Each real S3 server there is here: what they say about a signature is the truth."""
    server: RunningServer = request.getfixturevalue(f"{request.param}_server")
    return server


@pytest.fixture(scope="session", params=[*WHOLE, "rclone"])
def s3_verifier(request: pytest.FixtureRequest) -> RunningServer:
    """Each real S3 server, and rclone, which is as strict with signatures but keeps only what files can."""
    server: RunningServer = request.getfixturevalue(f"{request.param}_server")
    return server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which real servers the tests were run against."""
    took_part: list[str] = config.stash.get(TOOK_PART, [])
    servers = ", ".join(took_part) or "none"
    absent = [name for name, server in (("ceph", ceph), ("nginx", nginx)) if not server.installed()]
    but = f" ({' and '.join(absent)}: not on PATH)" if absent else ""
    terminalreporter.write_line(f"real servers that took part: {servers}{but}")


def _require(server: ModuleType, programs: str) -> None:
    """Do without a server that no package of Python brings, where a person has not installed it.

    The summary names who took part. In CI nothing is left out: `.ci/run` installs what only apt has.
    """
    if not server.installed():
        absent = f"{programs}: not on PATH"
        pytest.fail(absent) if "CI" in os.environ else pytest.skip(absent)


def _note(config: pytest.Config, server: ModuleType) -> None:
    name = server.__name__.rpartition(".")[2]
    took_part = config.stash.setdefault(TOOK_PART, [])
    if (entry := f"{name} {server.version()}") not in took_part:
        took_part.append(entry)
