"""What the servers are started with tells why one did not come up, and leaves nothing running."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.process import Processes, ServerError, free_ports, started

# A process that starts another and listens with it: the port is taken while either lives.
PARENT = """
import os, socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
os.fork()
time.sleep(600)
"""

DEAF = """
import signal, socket, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("not listening to you", flush=True)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
time.sleep(600)
"""


def test_a_command_that_fails_is_told_with_its_words(tmp_path: Path) -> None:
    """The error of a command holds its name, its status and what it wrote."""
    with Processes(tmp_path) as processes, pytest.raises(ServerError, match=r"(?s)setup .* 3.*no disk"):
        processes.run("setup", sys.executable, "-c", "import sys; print('no disk'); sys.exit(3)")


def test_a_server_that_ends_is_told_at_once(tmp_path: Path) -> None:
    """Waiting for a port ends with the words of the process that should have listened there."""
    with Processes(tmp_path) as processes:
        processes.start("daemon", sys.executable, "-c", "import sys; sys.exit('no such disk')")
        with pytest.raises(ServerError, match=r"(?s)daemon .* 1.*no such disk"):
            processes.wait_for(free_ports(1))


def test_a_server_has_a_second_chance(capsys: pytest.CaptureFixture[str]) -> None:
    """A server that did not come up is started once more, and only once, and it is said."""
    answers: list[str] = []

    @contextmanager
    def late() -> Iterator[str]:
        answers.append("asked")
        if len(answers) < 2:
            raise ServerError("no disk")
        yield "up"

    @contextmanager
    def never() -> Iterator[str]:
        raise ServerError("no such disk")
        yield "up"

    with started(late) as server:
        assert server == "up"
    assert "once more: no disk" in capsys.readouterr().err
    with pytest.raises(ServerError, match="no such disk"), started(never):
        pass


def test_children_of_a_server_end_with_it(tmp_path: Path) -> None:
    """Once the context is left, the last process of the group that listened is gone, or going."""
    (port,) = free_ports(1)
    with Processes(tmp_path) as processes:
        processes.start("parent", sys.executable, "-c", PARENT, str(port))
        processes.wait_for([port])
        waiting = socket.create_connection(("127.0.0.1", port), timeout=10)
    # The system resets a connection that nobody accepted when the last to hold its listener ends.
    with waiting, pytest.raises(ConnectionResetError):
        waiting.recv(1)


def test_nothing_of_our_environment_reaches_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server sees PATH, a HOME of its own and what it is given, and no credentials of ours."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ours")
    with Processes(tmp_path, {"GIVEN": "yes"}) as processes:
        processes.run("env", sys.executable, "-c", "import os; print(sorted(os.environ), os.environ['HOME'])")
    seen = (tmp_path / "env.log").read_text()
    assert "GIVEN" in seen
    assert str(tmp_path) in seen
    assert "AWS_SECRET_ACCESS_KEY" not in seen
    assert os.environ["HOME"] not in seen


def test_a_server_is_asked_to_end(tmp_path: Path) -> None:
    """Stopping waits for the end of a process; one that does not end is told with where it hangs."""
    with Processes(tmp_path) as processes:
        (port,) = free_ports(1)
        processes.start("willing", sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port))
        processes.wait_for([port])
        processes.stop("willing")
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
        processes.start("deaf", sys.executable, "-c", DEAF, str(port))
        processes.wait_for([port])
        with pytest.raises(ServerError, match=r"(?s)deaf did not end.*not listening to you.*Aborted.*line 6"):
            processes.stop("deaf", seconds=0.1)
