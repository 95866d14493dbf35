"""astropy's own tests of `astropy.io.fits`, with every file they only read served over HTTP.

They run in an environment of their own, in which astro-cloud is this checkout; the server, and what it
saw, are here. Plain, 1,656 of them pass.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import pytest

import astro_cloud
from astro_cloud.testing import ObjectServer
from tests import corpora
from tests.peer.known_failures import KNOWN_FAILURES

CHECKOUT = Path(astro_cloud.__file__).parent.parent
PATIENCE = 1800.0  # seconds; they take one minute
LEAST_PASSED = {"file": 1615, "open": 1630}
LEAST_OPENED = 1500  # of the 1,538 files they open to read
STRICT = ("-W", "error::ResourceWarning", "-W", "error::pytest.PytestUnraisableExceptionWarning")


@dataclass
class Outcome:
    """What became of the tests, by their ids without ``astropy.io.fits``."""

    passed: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)


@pytest.mark.peer
@pytest.mark.parametrize("way", list(KNOWN_FAILURES))
def test_the_suite_passes_over_http_but_for_what_is_known(tmp_path: Path, way: str) -> None:
    """Nothing else fails, nothing that is known to fail passes, no socket is left open, and it was HTTP."""
    bucket = tmp_path / "root" / "files"
    bucket.mkdir(parents=True)
    with ObjectServer(bucket.parent, public=["files"]) as server:
        options = ["--way", way, "--bucket", str(bucket), "--bucket-url", server.url_for("files")]
        outcome = run_suite(tmp_path, "-p", "tests.peer.over_http", *options)
        requests = server.requests
    known = KNOWN_FAILURES[way]
    assert outcome.failed == {test: outcome.failed.get(test, "passed") for test in known}
    assert len(outcome.passed) >= LEAST_PASSED[way]
    assert {record.method for record in requests} == {"GET"}
    assert len({record.key for record in requests if record.status == 206}) >= LEAST_OPENED


def run_suite(folder: Path, *options: str) -> Outcome:
    """Run the tests in a process of their own; not those that want gigabytes of memory and read no file."""
    python = corpora.ASTROPY_VENV / "bin" / "python"
    if not (corpora.ASTROPY_VENV / "STAMP").is_file():
        pytest.fail(f"{corpora.ASTROPY_VENV} is not there: run `make peer` (or `python tests/fetch.py peer`)")
    report = folder / "report.xml"
    (site_packages,) = corpora.ASTROPY_VENV.glob("lib/python*/site-packages")
    command = [python, "-m", "pytest", "--pyargs", "astropy.io.fits", "-m", "not hugemem", "-q", "--tb=short"]
    command += ["--rootdir", site_packages, "-p", "no:cacheprovider", "--hypothesis-profile=ci", *STRICT]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "PYTHON"))}
    run = subprocess.run(
        [*command, f"--junitxml={report}", *options],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(CHECKOUT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    print(run.stdout)
    assert run.returncode in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    return outcome_of(report)


def outcome_of(report: Path) -> Outcome:
    """Read a report in JUnit's XML; a test with an error before or after it has failed."""
    outcome = Outcome()
    for case in ElementTree.parse(report).iter("testcase"):
        test = f"{case.get('classname', '').removeprefix('astropy.io.fits.')}::{case.get('name')}"
        problems = [*case.findall("failure"), *case.findall("error")]
        if problems:
            outcome.failed[test] = problems[0].get("message", "")
        elif case.find("skipped") is None:
            outcome.passed.add(test)
    return outcome
