"""A loopback stand-in for the endpoints that give out temporary credentials: IMDSv2 and containers."""

from __future__ import annotations

import datetime
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.auth.recording_server import Answer, Received, RecordingServer, recording_server

Issue = Callable[[int], tuple[str, str, str, float]]
"""Given how many sets were given out before: access key, secret key, token, seconds they are good for."""


class CredentialServer:
    """What was asked of the stand-in, and where it is.

    Attributes
    ----------
    url : str
        Without a path.
    issued : int
        How many sets of credentials were given out.
    """

    def __init__(self, server: RecordingServer) -> None:
        self._server = server
        self.url = server.url
        self.issued = 0

    @property
    def paths(self) -> list[str]:
        """Methods and paths, in order."""
        return [f"{received.method} {received.path}" for received in self._server.requests]


@contextmanager
def credential_server(issue: Issue, *, bearer: str = "container-secret") -> Iterator[CredentialServer]:
    """Serve credentials until the context ends; containers must show `bearer`, IMDS clients its token."""
    lock = threading.Lock()

    def answer(received: Received) -> Answer:
        shown = received.headers["X-aws-ec2-metadata-token"], received.headers["Authorization"]
        if received.method == "PUT":
            return Answer(body=b"imds-session")
        if shown not in (("imds-session", None), (None, bearer)):
            return Answer(401, body=b"who are you?")
        if received.path.endswith("/security-credentials/"):
            return Answer(body=b"a-role")
        return Answer(body=json.dumps(credentials()).encode())

    def credentials() -> dict[str, str]:
        with lock:
            access_key, secret_key, token, seconds = issue(endpoint.issued)
            endpoint.issued += 1
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
        return {
            "Code": "Success", "AccessKeyId": access_key, "SecretAccessKey": secret_key, "Token": token,
            "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }  # fmt: skip

    with recording_server(answer) as server:
        endpoint = CredentialServer(server)
        yield endpoint
