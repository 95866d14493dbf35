"""Caddy giving out files: a web server in Go, whose ranges are those of Go's own http.ServeContent.

It refuses a range that ends before it begins with a 416 that has no Content-Range, promises the last
byte but none of an empty file (``bytes 0--1/0``) and of a suffix of no bytes, and gives a file as old as
1970 no ETag. `tests/servers/test_web.py` holds it to this.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from tests import corpora
from tests.servers.process import Processes, ServerError, free_ports
from tests.servers.tls import Certificate

CONFIGURATION = """\
{{
	admin off
	auto_https off
	persist_config off
	default_bind 127.0.0.1
	servers {{
		protocols h1 h2
	}}
}}
(files) {{
	root * "{folder}"
	handle_path /gzip/* {{
		encode {{
			gzip
			minimum_length 1
			match header Content-Type *
		}}
		file_server
	}}
	handle {{
		file_server
	}}
}}
http://:{port} {{
	import files
}}
https://:{port_over_tls} {{
	tls "{certificate}" "{key}"
	import files
}}
"""


@dataclass(frozen=True)
class RunningWebServer:
    """A web server that is up and gives out what is in `folder`, without asking who reads it.

    Under ``/gzip/`` are the same files, compressed for whoever accepts that. Over https it is the same
    server.
    """

    name: str
    url: str
    url_over_tls: str
    folder: Path
    certificate: Certificate

    def over_tls(self) -> RunningWebServer:
        """Return the same server, to be asked over https."""
        return replace(self, url=self.url_over_tls)

    def put(self, path: str, content: bytes) -> str:
        """Write a file, in folders made for it if there are none; return its URL."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return f"{self.url}/{quote(path)}"


def version() -> str:
    """Return the version of the Caddy that `tests/fetch.py` installed."""
    stamp = corpora.CADDY_VENV / "STAMP"
    if not stamp.is_file():
        raise ServerError(corpora.absent(corpora.CADDY_VENV))
    return stamp.read_text().split()[1]


@contextmanager
def caddy(certificate: Certificate) -> Iterator[RunningWebServer]:
    """Start Caddy on two free ports; it ends, and its files go, with the context."""
    version()
    port, port_over_tls = free_ports(2)
    with (
        tempfile.TemporaryDirectory(prefix="astro-cloud-caddy-") as name,
        Processes(Path(name)) as processes,
    ):
        folder = Path(name, "files")
        folder.mkdir()
        configuration = Path(name, "Caddyfile")
        configuration.write_text(
            CONFIGURATION.format(
                folder=folder,
                port=port,
                port_over_tls=port_over_tls,
                certificate=certificate.certificate,
                key=certificate.key,
            )
        )
        program = corpora.CADDY_VENV / "bin" / "caddy"
        processes.start("caddy", program, "run", "--adapter", "caddyfile", "--config", configuration)
        processes.wait_for([port, port_over_tls])
        yield RunningWebServer(
            "caddy", f"http://127.0.0.1:{port}", f"https://127.0.0.1:{port_over_tls}", folder, certificate
        )
