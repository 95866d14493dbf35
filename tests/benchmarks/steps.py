"""How many waits a client's requests were: steps that depend on each other, and waves within a step."""

from __future__ import annotations

from astro_cloud.testing.request_log import RequestLog, RequestRecord


def steps_and_waves(log: RequestLog, connections: int | None) -> tuple[int, int]:
    """Return the round trips that depend on each other, and those more that waited for a connection.

    The longest chain of requests one after the other is both together. A request that comes over a
    connection which became free while all were taken waited for that, and not for an answer: it
    belongs to the step of those before it. So does, wrongly, a step right after one that took
    all connections; the log does not tell them apart.

    Parameters
    ----------
    log : RequestLog
        Of one client's job.
    connections : int or None
        Requests that the client has on their way at once, at most; None for one that never sends
        more of a step than it has connections, so that there are no waves.
    """
    taken = {id(record): on_their_way(log, record.t_received) for record in log}
    depths: dict[int, int] = {}
    for record in sorted(log, key=lambda record: record.t_received):
        before = [other for other in log if other.t_end <= record.t_received]
        depth = max((depths[id(other)] for other in before), default=0)
        waited = connections is not None and most_beside(log, taken, previous(before, record)) >= connections
        depths[id(record)] = depth + (not waited)
    steps = max(depths.values(), default=0)
    return steps, max(log.round_trips - steps, 0)


def on_their_way(log: RequestLog, moment: float) -> int:
    """Return how many requests were being answered at a moment."""
    return sum(record.t_received <= moment < record.t_end for record in log)


def previous(before: list[RequestRecord], record: RequestRecord) -> RequestRecord | None:
    """Return the request that a connection carried last before another."""
    same = [other for other in before if other.connection == record.connection]
    return max(same, key=lambda other: other.t_end, default=None)


def most_beside(log: RequestLog, taken: dict[int, int], record: RequestRecord | None) -> int:
    """Return how many requests were on their way at once, at most, while one of them was."""
    if record is None:
        return 0
    begun = [other for other in log if record.t_received <= other.t_received < record.t_end]
    return max((taken[id(other)] for other in begun), default=0)
