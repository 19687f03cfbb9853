"""What operators say about workers: cordon, drain, labels.

What was said outlives sessions, workers and leaders; it is undone by saying the opposite.

| word | what happens |
|---|---|
| cordon | the worker is given no new work; what it has goes on |
| drain | the same, what it has not begun is given back, and after the deadline what still runs is ended |
| uncordon | it is given work again; of a drain, what was not ended yet goes on |
| label | labels of the server go over those the worker says it has |

Work that a drain ends costs its job nothing: what may run twice waits again for another
worker, the attempt is not counted as a failure; what must not is cancelled, and says why.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from jobs_grpc.controlplane.core.executions.lifecycle import Executions
from jobs_grpc.controlplane.core.rows.fleet import OrderRow
from jobs_grpc.controlplane.core.state.draft import Draft
from jobs_grpc.controlplane.core.state.effects import (
    CancelWanted,
    DrainWanted,
    WorkerTended,
)
from jobs_grpc.controlplane.core.state.inputs import (
    CordonWorker,
    DrainWorker,
    LabelWorker,
    UncordonWorker,
)
from jobs_grpc.controlplane.core.state.live import Live, Session
from jobs_grpc.controlplane.core.state.states import State
from jobs_grpc.controlplane.core.state.story import Event


@dataclass(slots=True, eq=False, kw_only=True)
class Order:
    """What was said about one worker. Instants are microseconds."""

    worker_id: str
    is_cordoned: bool = False
    reason: str = ""
    since: int = 0
    # Set by a drain: when what still runs is ended.
    drain_until: int | None = None
    # Labels that go over the worker's own; `None` takes one away.
    labels: dict[str, str | None] = field(default_factory=dict)
    # What the drain ends has been told to end, on the current stream.
    is_enforced: bool = False

    def over(self, labels: Mapping[str, str]) -> Mapping[str, str]:
        """Return the labels of a worker with these over its own."""
        if not self.labels:
            return labels
        merged = {**labels, **self.labels}
        return {key: value for key, value in merged.items() if value is not None}

    def row(self) -> OrderRow:
        return OrderRow(
            self.worker_id,
            int(self.is_cordoned),
            self.reason,
            self.since,
            self.drain_until,
            json.dumps(self.labels),
        )

    @classmethod
    def of_row(cls, row: OrderRow) -> Order:
        return cls(
            worker_id=row.worker_id,
            is_cordoned=bool(row.cordoned),
            reason=row.reason,
            since=row.since,
            drain_until=row.drain_until,
            labels=json.loads(row.labels_json),
        )


class Tending:
    """The orders of a term, and what follows from them."""

    def __init__(self, live: Live, executions: Executions) -> None:
        self._live = live
        self._executions = executions
        self._orders: dict[str, Order] = {}
        executions.is_drained = self._is_drained

    def restore(self, row: OrderRow) -> None:
        """Take over an order of an earlier term, before the first step."""
        self._orders[row.worker_id] = Order.of_row(row)

    def cordon(self, draft: Draft, request: CordonWorker) -> OrderRow:
        """Give a worker no new work."""
        order = self._order(request.worker_id)
        if not order.is_cordoned:
            order.since = draft.now
        order.is_cordoned, order.reason = True, request.reason
        return self._note(draft, order, request.worker, "cordoned")

    def drain(self, draft: Draft, request: DrainWorker) -> OrderRow:
        """Give a worker no new work, and end what it has after a deadline."""
        order = self._order(request.worker_id)
        if not order.is_cordoned:
            order.since = draft.now
        order.is_cordoned, order.reason = True, request.reason
        order.drain_until = draft.now + request.deadline
        order.is_enforced = False
        row = self._note(draft, order, request.worker, "draining")
        session = self._live.sessions_by_worker.get(request.worker_id)
        if session is not None and session.stream is not None:
            draft.messages.append(DrainWanted(session.id, request.deadline))
        return row

    def uncordon(self, draft: Draft, request: UncordonWorker) -> OrderRow:
        """Give a worker work again."""
        order = self._order(request.worker_id)
        order.is_cordoned, order.reason, order.since = False, "", draft.now
        order.drain_until = None
        return self._note(draft, order, request.worker, "uncordoned")

    def label(self, draft: Draft, request: LabelWorker) -> OrderRow:
        """Put labels over those that a worker says it has; `None` takes one away.

        A label that is given back to the worker is neither.
        """
        order = self._order(request.worker_id)
        for key, value in request.labels.items():
            order.labels[key] = value
        for key in request.given_back:
            order.labels.pop(key, None)
        return self._note(draft, order, request.worker, "labeled")

    def attach(self, draft: Draft, session: Session) -> None:
        """Let a session that was opened follow what was said about its worker."""
        order = self._orders.get(session.worker_id)
        if order is None:
            return
        self._apply(order, session)
        order.is_enforced = False
        if order.drain_until is not None:
            left = max(0, order.drain_until - draft.now)
            draft.messages.append(DrainWanted(session.id, left))

    def come_due(self, draft: Draft) -> None:
        """End what runs on workers whose drain has come to its deadline."""
        for order in self._orders.values():
            until = order.drain_until
            if until is None or order.is_enforced or draft.now < until:
                continue
            session = self._live.sessions_by_worker.get(order.worker_id)
            if session is None or session.stream is None:
                continue
            order.is_enforced = True
            for execution in tuple(session.leases.values()):
                reason = f"worker {session.worker} was drained"
                if execution.state is State.CANCELLING:
                    continue
                draft.note_event(execution, Event.DRAINED, worker=session.worker)
                if execution.may_run_twice:
                    # Its state stays: the end of the attempt is not that of the execution.
                    draft.messages.append(
                        CancelWanted(session.id, execution.fence, reason)
                    )
                else:
                    self._executions.cancel(draft, execution, reason)

    def next_due(self) -> int | None:
        """Return when the next drain comes to its deadline."""
        times = [
            order.drain_until
            for order in self._orders.values()
            if order.drain_until is not None
            and not order.is_enforced
            and self._is_connected(order.worker_id)
        ]
        return min(times, default=None)

    def _is_connected(self, worker_id: str) -> bool:
        session = self._live.sessions_by_worker.get(worker_id)
        return session is not None and session.stream is not None

    def _is_drained(self, worker_id: str) -> bool:
        order = self._orders.get(worker_id)
        return order is not None and order.drain_until is not None

    def _order(self, worker_id: str) -> Order:
        order = self._orders.get(worker_id)
        if order is None:
            order = self._orders[worker_id] = Order(worker_id=worker_id)
        return order

    def _note(self, draft: Draft, order: Order, worker: str, what: str) -> OrderRow:
        session = self._live.sessions_by_worker.get(order.worker_id)
        if session is not None:
            self._apply(order, session)
        row = order.row()
        draft.orders[order.worker_id] = row
        draft.facts.append(WorkerTended(worker, what, order.reason))
        return row

    def _apply(self, order: Order, session: Session) -> None:
        session.labels = order.over(session.own_labels)
        session.eligible = {}
        session.cordon = ""
        if order.is_cordoned:
            session.cordon = (
                "drains" if order.drain_until is not None else "is cordoned"
            )
            if order.reason:
                session.cordon += f" ({order.reason})"
            if session.saving_for is not None:
                # Another worker may save its slots instead.
                session.saving_for.saver = None
                session.saving_for = None
