"""The time, as each server has it, which refuses a signature more than 15 minutes off. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from astro_cloud.auth.refusal import Refusal

__all__ = ["ServerClocks"]

_TOLERANCE = timedelta(minutes=15)
_PERHAPS_THE_CLOCK = ("", "AuthenticationFailed")
"""Codes of refusals that may be about the date: a HEAD's, which has no body to say more; Azure's."""


class ServerClocks:
    """One clock, corrected for each server that said it was wrong.

    Parameters
    ----------
    clock : callable
        Returns the current time as an aware `datetime`.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._offsets: dict[str, timedelta] = {}

    def now(self, host: str) -> datetime:
        """Return the time at a server, named as ``host[:port]``."""
        offset = self._offsets.get(host)
        return self._clock() if offset is None else self._clock() + offset

    def learn(self, host: str, refusal: Refusal, signed_at: str) -> bool:
        """Set a server's clock by its refusal's ``Date``; False if the date is not the reason.

        `signed_at` is the date the request was signed with, as its header has it.
        """
        server_time = refusal.server_time
        if server_time is None:
            return False
        if refusal.code != "RequestTimeTooSkewed":
            at = _parsed(signed_at)
            if refusal.status != 403 or refusal.code not in _PERHAPS_THE_CLOCK or at is None:
                return False
            if abs(server_time - at) <= _TOLERANCE:
                return False
        self._offsets[host] = server_time - self._clock()
        return True


def _parsed(date: str) -> datetime | None:
    """Read ``20260517T120000Z`` (Amazon, Google), or a date as HTTP has it (Azure)."""
    for parse in (lambda text: datetime.strptime(text, "%Y%m%dT%H%M%SZ"), parsedate_to_datetime):
        try:
            parsed = parse(date)
        except (TypeError, ValueError):
            continue
        return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)
    return None
