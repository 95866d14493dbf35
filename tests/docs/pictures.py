"""The pictures on the pages, made by the very commands that the pages show, of images that are made here.

The documentation is built with them (docs/conf.py), so that no picture is kept, or is of yesterday's code.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from click.testing import CliRunner

from astro_cloud.cli import main
from astro_cloud.testing import ObjectServer
from tests.docs.made_images import write_images
from tests.docs.pages import PAGES, commands

__all__ = ["draw_pictures"]


def draw_pictures(folder: Path, pages: Iterable[Path] = PAGES) -> list[Path]:
    """Run every command of the pages that writes a picture; returns the pictures, which are in `folder`.

    Raises
    ------
    RuntimeError
        If a command fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    with tempfile.TemporaryDirectory() as root:
        write_images(Path(root, "stpubdata"))
        with ObjectServer(root) as server:
            for arguments in (arguments for page in pages for arguments, _ in commands(page)):
                names = [name for name in arguments if name.endswith(".png")]
                if not names:
                    continue
                here = [str(folder / name) if name.endswith((".png", ".fits")) and ":" not in name else name
                        for name in arguments]  # fmt: skip
                result = CliRunner(env={**os.environ, **server.environ}).invoke(main, here)
                if result.exit_code:
                    raise RuntimeError(f"astro-cloud {' '.join(arguments)}: {result.output}")
                drawn += [folder / name for name in names]
    return drawn
