"""A plain URL for an object, that any program can read without credentials."""

from __future__ import annotations

from typing import Any

from astro_cloud.exceptions import CredentialsError
from astro_cloud.storage.client import Client
from astro_cloud.storage.location import Location

__all__ = ["presign"]


def presign(
    location: str | Location,
    expires: int = 3600,
    *,
    auth: Any = None,
    client: Client | None = None,
    request_payer: bool = False,
) -> str:
    """Sign the URL of an object, so that curl, DS9, CFITSIO or a browser can read it. Sends nothing.

    Parameters
    ----------
    location : str or Location
        The object. Its region must be known: from the location, the client's settings or the
        environment.
    expires : int
        Seconds from now for which the URL is good, 1 to 604,800 (7 days).
    auth : requests auth, optional
        Signs it; by default the client's, or the one `astro_cloud.auth.auth_for` chooses.
    client : Client, optional
        Its settings and auth are used.
    request_payer : bool
        Offer to pay, at a requester-pays bucket: whoever reads the URL reads at your expense.

    Returns
    -------
    str
        The URL. Whoever has it can read the object.

    Raises
    ------
    InvalidLocationError
        If `location` names no object.
    CredentialsError
        If there is nobody to sign for it.
    ValueError
        If `expires` is out of bounds.
    """
    client = client or Client()
    location = Location.parse(location, client.settings)
    signer = client.auth_of(location, auth=auth, request_payer=request_payer)
    sign = getattr(signer, "presign", None)
    if sign is None:
        raise CredentialsError(
            f"{location}: a URL can be signed only with credentials for its store: give them, pass auth=, "
            "or configure the store as endpoint_url"
        )
    url: str = sign(location.url, expires)
    return url
