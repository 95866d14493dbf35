"""``astro-cloud`` run as a user would: in this process, or as a program of its own."""

from __future__ import annotations

import sys

from click.testing import CliRunner, Result

from astro_cloud.cli import main

#: How a shell would start it.
ASTRO_CLOUD = [sys.executable, "-c", "from astro_cloud.cli import main; main()"]


def run(*arguments: str, standard_input: bytes = b"") -> Result:
    """Run ``astro-cloud`` with arguments."""
    return CliRunner().invoke(main, arguments, input=standard_input)
