"""The part of the store in memory that is about workers and what keeps work from them."""

from __future__ import annotations

from collections.abc import Sequence

from jobs_grpc.controlplane.core.rows.changes import Changes, WorkerRow
from jobs_grpc.controlplane.core.rows.fleet import BreakerRow, OrderRow


class MemoryFleet:
    """Workers, what was said about them, and circuit breakers, each by its key."""

    def __init__(self) -> None:
        self.workers: dict[str, WorkerRow] = {}
        self.orders: dict[str, OrderRow] = {}
        self.breakers: dict[tuple[str, str, str, str], BreakerRow] = {}

    def write(self, changes: Changes) -> None:
        """Take the rows of a commit."""
        self.workers.update((row.worker_id, row) for row in changes.workers)
        self.orders.update((row.worker_id, row) for row in changes.orders)
        for row in changes.breakers:
            namespace, job, dependency, worker, *_ = row
            self.breakers[(namespace, job, dependency, worker)] = row

    def by_name(self) -> Sequence[WorkerRow]:
        """Return the workers in the order of their names."""
        return sorted(self.workers.values(), key=lambda row: (row.name, row.worker_id))
