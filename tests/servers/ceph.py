"""Ceph in one folder: a monitor, an object store in memory, and radosgw with its S3 API.

Radosgw is a signature check in C++, and the one server here that enforces requester pays. It is not a
package of Python: where `ceph-mon` is not on PATH, tests do without it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.servers.process import Processes, RunningServer, free_ports
from tests.servers.signed import ask
from tests.servers.tls import Certificate

#: What the first user may take on through STS.
ROLE = "reader"
REGION = "us-east-1"
ADMIN = ("radosgw-admin", "-n", "client.rgw")
ALICE = ("alice", "ASTROCLOUDALICE00000", "alice/secret+of+forty+characters/0000000")
BOB = ("bob", "ASTROCLOUDBOB0000000", "bob/secret+of+forty+characters/000000000")

# Nothing is authenticated between the daemons. `crc` is what a client without keys must offer the
# monitor, or radosgw waits for ever; two placement groups a pool and the paxos intervals are for speed.
CONFIGURATION = """\
[global]
fsid = {fsid}
mon_host = [v2:127.0.0.1:{mon},v1:127.0.0.1:{mon_v1}]
public_network = 127.0.0.0/8
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_mon_client_mode = crc
ms_bind_ipv6 = false
run_dir = {folder}
crash_dir = {folder}
log_file = {folder}/$name.log
admin_socket = {folder}/$name.$pid.asok
keyring = {folder}/keyring
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 2
osd_pool_default_pgp_num = 2
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_data_avail_crit = 1
mon_data_avail_warn = 1
[mon]
mon_data = {folder}/mon
mon_cluster_log_file = {folder}/cluster.log
[osd]
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 4294967296
osd_op_num_shards = 1
[client.rgw]
rgw_enable_apis = s3, admin, sts, iam
rgw_s3_auth_use_sts = true
rgw_sts_key = astro-cloud-test
rgw_dns_name = localhost
rgw_thread_pool_size = 64
rgw_override_bucket_index_max_shards = 1
rgw_gc_max_objs = 2
rgw_lc_max_objs = 1
rgw_usage_max_shards = 1
rgw_reshard_num_logs = 1
rgw_num_control_oids = 1
rgw_data_log_num_shards = 1
rgw_md_log_max_shards = 1
"""


def installed() -> bool:
    """Tell whether Ceph's monitor is on PATH, and with it, as packages have it, the rest."""
    return shutil.which("ceph-mon") is not None


def version() -> str:
    """Return the version of Ceph on PATH."""
    said = subprocess.run(["ceph-mon", "--version"], check=True, capture_output=True, text=True).stdout
    found = re.match(r"ceph version (\S+)", said)
    return found[1] if found else said.strip()


@contextmanager
def ceph() -> Iterator[RunningServer]:
    """Start Ceph on free ports; it ends, and its data goes, with the context."""
    with tempfile.TemporaryDirectory(prefix="astro-cloud-ceph-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with Processes(folder, {"CEPH_CONF": str(folder / "ceph.conf")}) as processes:
            mon, mon_v1, port = free_ports(3)
            fsid = str(uuid.uuid4())
            settings = CONFIGURATION.format(folder=folder, fsid=fsid, mon=mon, mon_v1=mon_v1)
            (folder / "ceph.conf").write_text(settings)
            _start_monitor(processes, folder, fsid, f"[v2:127.0.0.1:{mon},v1:127.0.0.1:{mon_v1}]")
            _start_store(processes, folder)
            _start_gateway(processes, f"endpoint=127.0.0.1:{port}")
            processes.wait_for([port])
            for user in (ALICE, BOB):
                _add_user(processes, *user)
            _add_role(processes)
            yield RunningServer(
                name="ceph",
                url=f"http://127.0.0.1:{port}",
                domain="localhost",
                folder=folder,
                region=REGION,
                access_key=ALICE[1],
                secret_key=ALICE[2],
                other_access_key=BOB[1],
                other_secret_key=BOB[2],
                requester_pays=True,
            )


@contextmanager
def over_tls(server: RunningServer, certificate: Certificate) -> Iterator[RunningServer]:
    """Start a second gateway to the same store, which speaks https."""
    files = f"ssl_certificate={certificate.certificate} ssl_private_key={certificate.key}"
    with _second_gateway(server, f"{files} ssl_endpoint", "--rgw_dns_name=s3.localhost") as port:
        yield replace(server, url=f"https://127.0.0.1:{port}", domain="s3.localhost")


@contextmanager
def without_sts(server: RunningServer) -> Iterator[RunningServer]:
    """Start a second gateway to the same store, which says what is wrong by AWS's code.

    With STS on, Ceph says AccessDenied of a key that it does not know and of a signature that is wrong.
    """
    with _second_gateway(server, "endpoint", "--rgw_s3_auth_use_sts=false") as port:
        yield replace(server, url=f"http://127.0.0.1:{port}")


def add_user(server: RunningServer, name: str, keys: tuple[str, str]) -> None:
    """Make a user with a first access key and secret key."""
    with _administration(server) as processes:
        _add_user(processes, name, *keys)


def add_key(server: RunningServer, user: str, keys: tuple[str, str]) -> None:
    """Give a user one more access key and secret key, good at once."""
    command = ("key", "create", "--uid", user, "--key-type", "s3")
    with _administration(server) as processes:
        processes.run("key", *ADMIN, *command, "--access-key", keys[0], "--secret-key", keys[1])


def remove_key(server: RunningServer, user: str, access_key: str) -> None:
    """Take one of a user's keys away: from then on the gateways do not know it."""
    command = ("key", "rm", "--uid", user, "--key-type", "s3")
    with _administration(server) as processes:
        processes.run("key", *ADMIN, *command, "--access-key", access_key)


def make_requester_pays(server: RunningServer, bucket: str, objects: dict[str, bytes]) -> None:
    """Make a bucket of the first user's, with objects that anybody may read who pays for it.

    The keys of `objects` are taken as they are, so they must be plain.
    """
    ask(server, "PUT", f"/{bucket}")
    for key, content in objects.items():
        ask(server, "PUT", f"/{bucket}/{key}", content)
    everybody = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }
    policy = {"Version": "2012-10-17", "Statement": [everybody]}
    ask(server, "PUT", f"/{bucket}?policy", json.dumps(policy).encode())
    payment = (
        b'<RequestPaymentConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        b"<Payer>Requester</Payer></RequestPaymentConfiguration>"
    )
    ask(server, "PUT", f"/{bucket}?requestPayment", payment)


@contextmanager
def _second_gateway(server: RunningServer, endpoint: str, *options: str) -> Iterator[int]:
    (port,) = free_ports(1)
    with _administration(server) as processes:
        _start_gateway(processes, f"{endpoint}=127.0.0.1:{port}", *options, name=f"radosgw-{port}")
        processes.wait_for([port])
        yield port
        # Killed, it would still be told of every change, and each would wait 30 s for its answer.
        processes.stop(f"radosgw-{port}")


def _administration(server: RunningServer) -> Processes:
    return Processes(server.folder, {"CEPH_CONF": str(server.folder / "ceph.conf")})


def _start_gateway(processes: Processes, endpoint: str, *options: str, name: str = "radosgw") -> None:
    frontends = f"--rgw_frontends=beast tcp_nodelay=1 {endpoint}"
    processes.start(name, "radosgw", "-f", "-n", "client.rgw", frontends, *options)


def _start_monitor(processes: Processes, folder: Path, fsid: str, address: str) -> None:
    keyring, monmap = folder / "keyring", folder / "monmap"
    make_key = ("ceph-authtool", keyring, "--create-keyring", "--gen-key", "-n", "mon.")
    processes.run("keyring", *make_key, "--cap", "mon", "allow *")
    processes.run("monmap", "monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, monmap)
    processes.run("mkfs", "ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)
    processes.start("mon", "ceph-mon", "-f", "-i", "a")


def _start_store(processes: Processes, folder: Path) -> None:
    (folder / "osd").mkdir()
    osd = str(uuid.uuid4())
    processes.run("osd-new", "ceph", "osd", "new", osd)
    processes.run("osd-mkfs", "ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
    processes.start("osd", "ceph-osd", "-f", "-i", "0")


def _add_role(processes: Processes) -> None:
    """Make the role `ROLE`, that the first user may take on and that may do everything with objects."""
    who = {
        "Effect": "Allow",
        "Principal": {"AWS": [f"arn:aws:iam:::user/{ALICE[0]}"]},
        "Action": "sts:AssumeRole",
    }
    what = {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::*"}
    trust, policy = (json.dumps({"Version": "2012-10-17", "Statement": [each]}) for each in (who, what))
    name = ("--role-name", ROLE)
    processes.run("role", *ADMIN, "role", "create", *name, "--path", "/", "--assume-role-policy-doc", trust)
    processes.run(
        "role-policy", *ADMIN, "role-policy", "put", *name, "--policy-name", "all", "--policy-doc", policy
    )


def _add_user(processes: Processes, name: str, access_key: str, secret_key: str) -> None:
    command = ("user", "create", "--uid", name, "--display-name", name)
    processes.run(f"user-{name}", *ADMIN, *command, "--access-key", access_key, "--secret-key", secret_key)
