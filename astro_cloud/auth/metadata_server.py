"""Whether a cloud's metadata server is there: one short question, in place of a library's long wait.

Off-cloud its address leads nowhere, or to something that takes the connection and stays silent.
"""

from __future__ import annotations

import http.client
from collections.abc import Mapping

__all__ = ["ADDRESS", "ask"]

ADDRESS = "169.254.169.254"
"""Where Amazon, Google and Azure alike have theirs."""
_CONNECT_SECONDS = 0.3
_ANSWER_SECONDS = 0.5


def ask(address: str, headers: Mapping[str, str] | None = None) -> http.client.HTTPMessage | None:
    """Send GET / to a metadata server and return the headers of what it answers, whatever that is.

    Parameters
    ----------
    address : str
        Host and, if it is not 80, port.
    headers : mapping, optional
        Sent along.

    Returns
    -------
    http.client.HTTPMessage or None
        None if there is no connection within 0.3 s, or no answer within another 0.5 s.
    """
    try:
        connection = http.client.HTTPConnection(address, timeout=_CONNECT_SECONDS)
    except http.client.InvalidURL:
        return None
    try:
        connection.connect()
        connection.sock.settimeout(_ANSWER_SECONDS)
        connection.request("GET", "/", headers=dict(headers or {}))
        return connection.getresponse().headers
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
