"""OpenStack Swift in one folder: proxy, account, container and object server, with its S3 API.

Swift's s3api is a signature check in Python that owes nothing to botocore. It checks the region of the
credential scope and the payload's hash; it has no requester pays.
"""

from __future__ import annotations

import os
import pwd
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests import corpora
from tests.servers.process import Processes, RunningServer, ServerError, free_ports
from tests.servers.tls import Certificate

REGION = "us-east-1"
STORAGE = ("account", "container", "object")

# One replica on one device; the ring builder's command would take a second for each of the three.
MAKE_RINGS = """
import sys
from swift.common.ring import RingBuilder
for name, port in zip(sys.argv[1::2], sys.argv[2::2]):
    builder = RingBuilder(1, 1, 0)
    builder.add_dev(dict(id=0, region=1, zone=1, ip="127.0.0.1", port=int(port), device="disk", weight=1))
    builder.rebalance()
    builder.get_ring().save(name + ".ring.gz")
"""

COMMON = """\
[DEFAULT]
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
fallocate_reserve = 0
disable_fallocate = true
recon_cache_path = {folder}
"""

TLS_CONF = """\
cert_file = {certificate.certificate}
key_file = {certificate.key}
"""

STORAGE_CONF = """
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""

# The key only lets tempauth make tokens without memcached; nobody here asks for one.
PROXY_CONF = f"""
[pipeline:main]
pipeline = catch_errors gatekeeper s3api tempauth slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:tempauth]
use = egg:swift#tempauth
fernet_key_only = YXN0cm8tY2xvdWQncyB0ZXN0cyBvZiBTd2lmdCBTMy4=
active_fernet_key_id = only
user_survey_alice = alices-secret .admin
user_guest_bob = bobs-secret .admin
[filter:s3api]
use = egg:swift#s3api
location = {REGION}
storage_domain = s3.localhost,localhost
check_bucket_owner = false
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""

SWIFT_CONF = """\
[swift-hash]
swift_hash_path_suffix = tests
swift_hash_path_prefix = tests
[storage-policy:0]
name = one
default = yes
"""


def version() -> str:
    """Return the version of the Swift that `tests/fetch.py` installed."""
    stamp = corpora.SWIFT_VENV / "STAMP"
    if not stamp.is_file():
        raise ServerError(corpora.absent(corpora.SWIFT_VENV))
    return stamp.read_text().split()[1]


@contextmanager
def swift() -> Iterator[RunningServer]:
    """Start Swift on free ports; it ends, and its data goes, with the context."""
    version()
    with tempfile.TemporaryDirectory(prefix="astro-cloud-swift-") as name:
        folder = Path(name)
        _check_attributes(folder)
        with Processes(folder) as processes:
            ports = dict(zip(("proxy", *STORAGE), free_ports(4), strict=True))
            _configure(folder, ports)
            _start(processes, folder, ports)
            yield RunningServer(
                name="swift",
                url=f"http://127.0.0.1:{ports['proxy']}",
                domain="localhost",
                folder=folder,
                region=REGION,
                access_key="survey:alice",
                secret_key="alices-secret",
                other_access_key="guest:bob",
                other_secret_key="bobs-secret",
                requester_pays=False,
            )


@contextmanager
def over_tls(server: RunningServer, certificate: Certificate) -> Iterator[RunningServer]:
    """Start a second proxy before the same storage, which speaks https."""
    (port,) = free_ports(1)
    conf = _common(server.folder, port) + TLS_CONF.format(certificate=certificate) + PROXY_CONF
    (server.folder / "proxy-tls.conf").write_text(conf)
    with Processes(server.folder) as processes:
        _start_server(processes, server.folder, "proxy", "proxy-tls")
        processes.wait_for([port])
        yield replace(server, url=f"https://127.0.0.1:{port}", domain="s3.localhost")


def _configure(folder: Path, ports: dict[str, int]) -> None:
    (folder / "devices" / "disk").mkdir(parents=True)
    (folder / "swift.conf").write_text(SWIFT_CONF)
    for name, port in ports.items():
        own = PROXY_CONF if name == "proxy" else STORAGE_CONF.format(name=name)
        (folder / f"{name}.conf").write_text(_common(folder, port) + own)


def _common(folder: Path, port: int) -> str:
    return COMMON.format(folder=folder, port=port, user=pwd.getpwuid(os.getuid()).pw_name)


def _start(processes: Processes, folder: Path, ports: dict[str, int]) -> None:
    programs = corpora.SWIFT_VENV / "bin"
    rings = [word for name in STORAGE for word in (str(folder / name), str(ports[name]))]
    processes.run("rings", programs / "python", "-c", MAKE_RINGS, *rings)
    for name in ports:
        _start_server(processes, folder, name, name)
    processes.wait_for(ports.values())


def _start_server(processes: Processes, folder: Path, kind: str, name: str) -> None:
    programs = corpora.SWIFT_VENV / "bin"
    program = programs / f"swift-{kind}-server"
    processes.start(name, programs / "python", program, folder / f"{name}.conf")


def _check_attributes(folder: Path) -> None:
    """Raise ServerError where files cannot have user attributes, in which Swift keeps its metadata."""
    try:
        os.setxattr(folder, "user.astro-cloud", b"")
    except OSError as error:
        raise ServerError(f"{folder} has no user attributes, set TMPDIR elsewhere: {error}") from error
