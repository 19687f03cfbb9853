"""Rows about the fleet and what keeps work from it; see `changes`."""

from __future__ import annotations

from typing import NamedTuple


class BreakerRow(NamedTuple):
    """A circuit breaker to which something has happened; see `breakers`."""

    namespace: str
    # "workspace/name"; "" where it is not a job's.
    job: str
    dependency: str
    worker: str
    state: str
    failures: int
    failing_since: int
    successes: int
    recent_json: str
    until: int | None
    reason: str
    changed_at: int
    trips: int
    # Id of the execution that is let through.
    probe: str


class OrderRow(NamedTuple):
    """What operators have said about a worker; see `tending`."""

    worker_id: str
    cordoned: int
    reason: str
    since: int
    drain_until: int | None
    # Over the worker's own labels; null takes one away.
    labels_json: str
