"""nginx giving out files, as most archives do; tests do without it where it is not installed.

Its ETag is a file's size and the second of its last change: of two contents of one length, written in
one second, it tells none apart. Where it compresses, it answers a range with 200, all of the file and a
weak ETag. `tests/servers/test_web.py` holds it to this.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.caddy import RunningWebServer
from tests.servers.process import Processes, free_ports
from tests.servers.tls import Certificate

# All paths are given: those fixed when nginx was built may be for root alone.
CONFIGURATION = """\
daemon off;
master_process off;
pid {folder}/pid;
events {{ }}
http {{
    access_log off;
    default_type application/octet-stream;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{port_over_tls} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        root {folder}/files;
        location /gzip/ {{
            alias {folder}/files/;
            gzip on;
            gzip_types *;
            gzip_min_length 1;
        }}
    }}
}}
"""


def installed() -> bool:
    """Tell whether there is an nginx here."""
    return _program() is not None


def version() -> str:
    """Return the version that nginx says it has."""
    said = subprocess.run([_program() or "nginx", "-v"], capture_output=True, text=True, check=True).stderr
    return re.sub(r".*nginx/(\S+).*", r"\1", said.strip())


@contextmanager
def nginx(certificate: Certificate) -> Iterator[RunningWebServer]:
    """Start nginx on two free ports; it ends, and its files go, with the context."""
    port, port_over_tls = free_ports(2)
    with (
        tempfile.TemporaryDirectory(prefix="astro-cloud-nginx-") as name,
        Processes(Path(name)) as processes,
    ):
        folder = Path(name, "files")
        folder.mkdir()
        configuration = Path(name, "nginx.conf")
        configuration.write_text(
            CONFIGURATION.format(
                folder=name,
                port=port,
                port_over_tls=port_over_tls,
                certificate=certificate.certificate,
                key=certificate.key,
            )
        )
        processes.start("nginx", _program() or "nginx", "-e", "stderr", "-p", name, "-c", configuration)
        processes.wait_for([port, port_over_tls])
        yield RunningWebServer(
            "nginx", f"http://127.0.0.1:{port}", f"https://127.0.0.1:{port_over_tls}", folder, certificate
        )


def _program() -> str | None:
    """Find nginx, also where Debian puts it and only root looks."""
    return shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"]))
