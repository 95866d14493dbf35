"""Where a secret may travel unencrypted: within this machine, and nowhere else."""

from __future__ import annotations

from requests.utils import get_environ_proxies, select_proxy

from astro_cloud.auth import endpoints
from astro_cloud.exceptions import CredentialsError

__all__ = ["refuse_plain_http"]


def refuse_plain_http(url: str, what: str) -> None:
    """Raise before a secret would leave this machine without TLS.

    Parameters
    ----------
    url : str
        Where it would be sent.
    what : str
        The secret, as the message calls it.

    Raises
    ------
    CredentialsError
        If `url` is no ``https://`` URL and leads to another machine: by its host, or by a proxy that the
        environment names for it. (A session's own proxies are not seen here.)
    """
    if url.lower().startswith("https://"):
        return
    host = endpoints.host_of(url)
    if not endpoints.is_loopback(host):
        raise CredentialsError(f"{what} not sent over plain http:// to {host}: use https://")
    if select_proxy(url, get_environ_proxies(url)) is not None:
        raise CredentialsError(
            f"{what} not sent over plain http:// through the proxy of the environment: add {host} to NO_PROXY"
        )
