"""A pair of keys the server knows."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AccessKey:
    """Credentials a server accepts; the repr shows the access key only.

    Parameters
    ----------
    access_key : str
        The public half, sent with each request.
    secret_key : str
        The secret half, never sent.
    session_token : str, optional
        If given, each request must carry it as ``x-amz-security-token``.
    expired : bool
        If true, each request with this key is answered 400 ``ExpiredToken``.
    """

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expired: bool = False
