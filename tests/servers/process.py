"""What starting a real server takes: its value, free ports, processes that end for certain.

Nothing here knows a server, and nothing comes from astro_cloud.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, TypeVar

Server = TypeVar("Server")

#: Seconds that anything of a server's may take. All of them start in less than ten here; a virtual
#: machine that is held up for a minute is no reason to fail.
PATIENCE = 180.0


@dataclass(frozen=True)
class RunningServer:
    """An S3 server that is up, with the keys of two users who own nothing of each other's.

    Its configuration and data lie in `folder`. Where it takes the bucket from the host, that is
    ``BUCKET.domain``.
    """

    name: str
    url: str
    domain: str
    folder: Path
    region: str
    access_key: str
    secret_key: str
    other_access_key: str
    other_secret_key: str
    requester_pays: bool


class ServerError(RuntimeError):
    """A server that is installed did not come up; the message ends with what it logged."""


@contextmanager
def started(start: Callable[[], AbstractContextManager[Server]]) -> Iterator[Server]:
    """Enter the server's context; one that does not come up is given a second chance, and it is said."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(start())
        except ServerError as error:
            print(f"\nstarting it once more: {error}", file=sys.stderr)
            server = stack.enter_context(start())
        yield server


def free_ports(count: int) -> list[int]:
    """Return ports on which nothing listens, below those that systems give to outgoing connections."""
    found: list[int] = []
    for port in random.sample(range(12_000, 30_000), 200):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise ServerError(f"no {count} free ports on 127.0.0.1")


class Processes:
    """The processes of one server: each in a group of its own, its output in ``folder/NAME.log``.

    `environment` is all that they see of this process's, beside PATH: a fixture that moves HOME or
    clears variables changes nothing for them.
    """

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        self._folder = folder
        self._environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            # A Python process that is aborted logs where it was.
            "PYTHONFAULTHANDLER": "1",
            **(environment or {}),
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every process at once: their data is thrown away with the folder."""
        for process in self._running.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in self._running.values():
            process.wait()

    def start(self, name: str, *command: str | os.PathLike[str]) -> None:
        """Start a process that is to stay up."""
        with self._log(name) as log:
            self._running[name] = self._popen(command, log)

    def run(self, name: str, *command: str | os.PathLike[str], seconds: float = PATIENCE) -> None:
        """Run a command to its end; raise ServerError if it fails or takes longer than `seconds`."""
        self.start(name, *command)
        process = self._running[name]
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._abort([name])
            raise ServerError(f"{name} took more than {seconds} s{self._said(name)}") from None
        del self._running[name]
        if status:
            raise ServerError(f"{name} ended with status {status}{self._said(name)}")

    def stop(self, name: str, *, seconds: float = PATIENCE) -> None:
        """Ask a process to end, and wait until it has; raise ServerError if it takes longer."""
        process = self._running[name]
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._abort([name])
            raise ServerError(f"{name} did not end in {seconds} s{self._said(name)}") from None
        del self._running[name]

    def wait_for(self, ports: Iterable[int], *, seconds: float = PATIENCE) -> None:
        """Wait until each port of 127.0.0.1 accepts; raise ServerError if a process ends or time does."""
        deadline = time.monotonic() + seconds
        for port in ports:
            while not _accepts(port):
                for name, process in self._running.items():
                    if (status := process.poll()) is not None:
                        raise ServerError(f"{name} ended with status {status}{self._said(name)}")
                if time.monotonic() > deadline:
                    self._abort(self._running)
                    said = "".join(map(self._said, self._running))
                    raise ServerError(f"nothing listens on port {port} after {seconds} s{said}")
                time.sleep(0.02)

    def _abort(self, names: Iterable[str]) -> None:
        """Have processes that hang say where, if they can, and end."""
        processes = [self._running[name] for name in names]
        for process in processes:
            process.send_signal(signal.SIGABRT)
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)

    def _popen(self, command: tuple[str | os.PathLike[str], ...], log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=self._environment,
            start_new_session=True,
        )

    def _log(self, name: str) -> IO[bytes]:
        return (self._folder / f"{name}.log").open("wb")

    def _said(self, name: str, *, lines: int = 25) -> str:
        log = (self._folder / f"{name}.log").read_text(errors="replace")
        return "\n".join([f"; the end of {name}.log:", *log.splitlines()[-lines:]])


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
