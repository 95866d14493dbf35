"""astro-cloud: from a URL to the astronomy in it, with the fewest round trips and bytes.

Three tiers, each usable alone, each importing only the ones before it:

* `astro_cloud.auth` (LOW): sign one HTTP request. Knows `requests`, knows no bytes.
* `astro_cloud.storage` (MID): the bytes of objects. Knows HTTP, knows no FITS.
* `astro_cloud.fits` (HIGH): what the bytes mean. Knows FITS, knows no HTTP.

Beside them: `astro_cloud.exceptions`, the command line in `astro_cloud.cli`, and
`astro_cloud.testing`, a loopback object store for tests.
"""

__version__ = "0.1.0.dev0"

__all__ = ["__version__"]
