"""Sphinx settings."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import astro_cloud  # noqa: E402
from tests.docs.pictures import draw_pictures  # noqa: E402

project = "astro-cloud"
author = "The astro-cloud developers"
version = release = astro_cloud.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "numpydoc"]
exclude_patterns = ["_build"]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
myst_heading_anchors = 2
suppress_warnings = ["myst.xref_missing"]
html_theme = "alabaster"
html_theme_options = {"description": "FITS files in cloud object stores"}


def setup(app: object) -> None:
    """Make the pictures that pages show, before the pages are read."""
    draw_pictures(ROOT / "docs/_build/pictures")
