"""The pages of the documentation, and the commands that stand on them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

__all__ = ["PAGES", "commands"]

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)


def commands(page: Path) -> Iterator[tuple[list[str], str]]:
    """Yield the arguments of each command of ours on a page, and what is said to come of it."""
    for block in _CONSOLE.findall(page.read_text(encoding="utf-8")):
        command, _, expected = block.removeprefix("$ ").partition("\n")
        program, *arguments = shlex.split(command)
        if program == "astro-cloud":
            yield arguments, expected
