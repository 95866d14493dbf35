"""What is said of a file, held against astropy's ``info()``."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from astropy.io import fits

from astro_cloud.exceptions import NotFITSError
from astro_cloud.fits.summary import read_summary
from astro_cloud.storage import Client
from tests import corpora

# Real headers break rules; astropy says so of the local file and of ours, and we do.
pytestmark = [
    pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning"),
    pytest.mark.filterwarnings("ignore::astro_cloud.exceptions.AstroCloudWarning"),
]
FILES = [pytest.param(path, id=corpora.place(path)) for path in corpora.fits_files()]


@pytest.mark.parametrize("path", FILES)
def test_it_is_what_astropy_says(path: Path) -> None:
    """Line for line, but for spaces at its end; and in JSON's types."""
    with Client() as client:
        summary = read_summary(str(path), client=client)
    printed = io.StringIO()
    try:
        with fits.open(path) as hdus:
            hdus.info(printed)
    except OSError:
        assert isinstance(summary.error, NotFITSError)
        return
    assert list(summary.lines()) == [line.rstrip() for line in printed.getvalue().splitlines()]
    assert json.loads(json.dumps([hdu.as_dict() for hdu in summary.hdus]))[0]["index"] == 0
