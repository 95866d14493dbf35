"""A loopback stand-in for the endpoints that give out temporary credentials: IMDSv2 and containers."""

from __future__ import annotations

import datetime
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Issue = Callable[[int], tuple[str, str, str, float]]
"""Given how many sets were given out before: access key, secret key, token, seconds they are good for."""


class CredentialServer:
    """What was asked of the stand-in, and where it is.

    Attributes
    ----------
    url : str
        Without a path.
    paths : list of str
        Methods and paths, in order.
    issued : int
        How many sets of credentials were given out.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.paths: list[str] = []
        self.issued = 0


@contextmanager
def credential_server(issue: Issue, *, bearer: str = "container-secret") -> Iterator[CredentialServer]:
    """Serve credentials until the context ends; containers must show `bearer`, IMDS clients its token."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            server.paths.append(f"PUT {self.path}")
            self._say(200, "imds-session")

        def do_GET(self) -> None:
            server.paths.append(f"GET {self.path}")
            shown = self.headers.get("X-aws-ec2-metadata-token"), self.headers.get("Authorization")
            if shown not in (("imds-session", None), (None, bearer)):
                self._say(401, "who are you?")
            elif self.path.endswith("/security-credentials/"):
                self._say(200, "a-role")
            else:
                self._say(200, json.dumps(self._credentials()))

        def _credentials(self) -> dict[str, str]:
            with lock:
                access_key, secret_key, token, seconds = issue(server.issued)
                server.issued += 1
            end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
            return {
                "Code": "Success", "AccessKeyId": access_key, "SecretAccessKey": secret_key, "Token": token,
                "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }  # fmt: skip

        def _say(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server = CredentialServer(f"http://127.0.0.1:{http.server_port}")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
