"""The pictures on the pages are made by the commands on the pages."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image

from tests.docs.pages import PAGES
from tests.docs.pictures import draw_pictures

SHOWN = re.compile(r"!\[[^]]+\]\(_build/pictures/(\S+?)\)")


def test_each_picture_that_is_shown_is_made(tmp_path: Path) -> None:
    """Every picture that a page shows is what one of its commands draws: with colors, and not large."""
    drawn = draw_pictures(tmp_path / "pictures")
    shown = [name for page in PAGES for name in SHOWN.findall(page.read_text(encoding="utf-8"))]
    assert shown
    assert set(shown) <= {path.name for path in drawn}
    for path in drawn:
        assert path.stat().st_size < 100_000
        with Image.open(path) as image:
            image.load()
            assert min(image.size) > 400
