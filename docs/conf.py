"""Sphinx settings."""

import astro_cloud

project = "astro-cloud"
author = "The astro-cloud developers"
version = release = astro_cloud.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "numpydoc"]
exclude_patterns = ["_build"]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
suppress_warnings = ["myst.xref_missing"]
html_theme = "alabaster"
html_theme_options = {"description": "FITS files in cloud object stores"}
