"""What follows an execution that failed for good.

| what | when | link |
|---|---|---|
| a dead letter | its job has retries, or it lost its workers too often | none: a mark on it |
| the same | its loss is what put its job in quarantine | the same |
| its job's fallback, once | it failed, timed out, or was lost and may run twice | `fallback` |
| a run again | somebody asks | `retry`, or `requeue` for a dead letter |

What somebody cancelled was to end; nothing follows it by itself. An execution that is a
fallback has none of its own, so that two jobs cannot call each other for ever.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from jobs_grpc.controlplane.core.rows.story import DeadLetterRow, LinkRow
from jobs_grpc.controlplane.core.state.draft import Draft
from jobs_grpc.controlplane.core.state.errors import NotRetryableError
from jobs_grpc.controlplane.core.state.execution import Execution, Origin, Result
from jobs_grpc.controlplane.core.state.inputs import PurgeDeadLetters, RunAgain
from jobs_grpc.controlplane.core.state.job import execution_id
from jobs_grpc.controlplane.core.state.states import FAILURES, State
from jobs_grpc.controlplane.core.state.story import Event

from .deadlines import is_overdue

if TYPE_CHECKING:
    from jobs_grpc.controlplane.core.state.live import Live

    from .lifecycle import Executions

FALLBACK: Final = "fallback"


class FollowUps:
    """Makes what follows."""

    def __init__(self, live: Live, executions: Executions) -> None:
        self._live = live
        self._executions = executions

    def after(
        self, draft: Draft, execution: Execution, result: Result, *, was_lost: bool
    ) -> None:
        """Mark and answer the end of an execution, if there is something to do."""
        if execution.state not in FAILURES:
            if was_lost:
                draft.drop_dead_letter(execution.seq)
            return
        was_cancelled = execution.cancel_reason and not is_overdue(execution)
        if was_cancelled or was_lost:
            return
        was_given_up = execution.state is State.LOST and execution.may_run_twice
        is_poison = self._executions.quarantine.is_cause(execution)
        if is_poison or was_given_up or execution.spec.retry is not None:
            reason = "lost too often" if was_given_up else _reason(execution)
            self._bury(draft, execution, result, "quarantined" if is_poison else reason)
        is_over = execution.state is not State.LOST or was_given_up
        if is_over and execution.trigger != FALLBACK:
            self._fall_back(draft, execution)

    def run_again(self, draft: Draft, request: RunAgain) -> str:
        """Create a new execution like one that has ended; return its id.

        It is of the job as it is defined now, where there still is one, with the params
        of the old one.
        """
        if request.origin_id in self._live.executions:
            raise NotRetryableError(
                f"execution {request.origin_id} has not ended",
                hint="wait for its end, or cancel it first",
            )
        spec, params = request.spec, request.params
        job = self._live.jobs.get(spec.key) if request.is_of_job else None
        if job is not None:
            spec, params = job.spec, {**job.spec.params, **params}
        self._executions.require_queue(spec.queue)
        known = self._live.requests.get((spec.namespace, request.request_id))
        if known is not None:
            return known
        made = self._executions.create(
            draft,
            spec,
            job,
            params,
            Origin(
                id=request.id,
                trigger="retry",
                requested_by=request.requested_by,
                scheduled_for=draft.now,
                request_id=request.request_id or None,
            ),
        )
        if request.request_id:
            self._live.requests[(spec.namespace, request.request_id)] = made.id
        draft.links.append(
            LinkRow(
                made.seq, made.id, request.kind, request.origin_seq, request.origin_id
            )
        )
        if request.kind == "requeue":
            draft.drop_dead_letter(request.origin_seq)
        return made.id

    def purge(self, draft: Draft, request: PurgeDeadLetters) -> None:
        """Take the marks off executions; their records stay."""
        for seq in request.seqs:
            draft.drop_dead_letter(seq)

    def _bury(
        self, draft: Draft, execution: Execution, result: Result, reason: str
    ) -> None:
        draft.note_dead_letter(
            DeadLetterRow(
                execution.seq,
                execution.id,
                *execution.spec.key,
                draft.now,
                execution.state.value,
                reason,
                result.error,
                execution.attempt,
            )
        )
        draft.note_event(execution, Event.DEAD_LETTERED, reason=reason)

    def _fall_back(self, draft: Draft, execution: Execution) -> None:
        fallback = execution.spec.fallback
        if fallback is None:
            return
        namespace, workspace, _ = execution.spec.key
        params = execution.params
        if fallback.spec is not None:
            job, spec = None, fallback.spec
        else:
            job = self._live.jobs.get((namespace, workspace, fallback.job))
            if job is None:
                draft.note_event(
                    execution,
                    Event.FALLBACK_FAILED,
                    reason=f'the job "{fallback.job}" does not exist',
                )
                return
            spec = job.spec
            params = {**spec.params, **_declared(spec.document_json, params)}
        made = self._executions.create(
            draft,
            spec,
            job,
            params,
            Origin(
                id=execution_id(f"{FALLBACK}\x1f{execution.id}", 0),
                trigger=FALLBACK,
                requested_by=f"execution:{execution.id}",
                scheduled_for=draft.now,
            ),
        )
        draft.links.append(
            LinkRow(made.seq, made.id, FALLBACK, execution.seq, execution.id)
        )
        draft.note_event(execution, Event.FALLBACK_STARTED, id=made.id)


def _reason(execution: Execution) -> str:
    policy, state = execution.spec.retry, execution.retry
    done = 0 if state is None else state.retries
    if policy is not None and done >= policy.max_retries:
        return "retries exhausted"
    return "not to be retried"


def _declared(document_json: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return those of the params that a job declares."""
    declared = json.loads(document_json).get("params", {})
    return {name: value for name, value in params.items() if name in declared}
