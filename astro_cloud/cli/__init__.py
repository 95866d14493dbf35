"""DOOR: the command line. One module a command; each translates, none computes."""

from astro_cloud.cli.main import main

__all__ = ["main"]
