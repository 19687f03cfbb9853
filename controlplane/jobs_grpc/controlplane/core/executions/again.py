"""Attempts that others follow: failed and tried again, or taken back and given again.

The attempt gets a row of its own, its fence is remembered as one that is over, and the
execution waits: in its waiting line, or as `retrying` for an instant. How often and how
long is in `retrying`; this is where it happens.
"""

from __future__ import annotations

from collections.abc import Callable

from jobs_grpc.controlplane.core.state.draft import Draft
from jobs_grpc.controlplane.core.state.effects import (
    ExecutionReleased,
    ExecutionRetried,
)
from jobs_grpc.controlplane.core.state.execution import Execution, Result
from jobs_grpc.controlplane.core.state.live import Live
from jobs_grpc.controlplane.core.state.retrying import (
    LOSSES,
    Cause,
    RetryState,
    pause_after,
)
from jobs_grpc.controlplane.core.state.states import Move, Phase, State
from jobs_grpc.controlplane.core.state.story import Event
from jobs_grpc.controlplane.core.waiting.later import Later
from jobs_grpc.controlplane.core.waiting.lines import Waiting


def cause_of(result: Result) -> Cause:
    """Return why an attempt failed, in the words of the job file."""
    if result.move is Move.TIME_OUT:
        return Cause.TIMEOUT
    return Cause.SIGNAL if result.signal else Cause.EXIT_CODE


class Again:
    """Lets executions go on without their current attempt."""

    def __init__(
        self,
        live: Live,
        waiting: Waiting,
        later: Later,
        begin_to_wait: Callable[[Execution], None],
    ) -> None:
        self._begin_to_wait = begin_to_wait
        self._live = live
        self._waiting = waiting
        self._later = later

    def retry(self, draft: Draft, execution: Execution, result: Result) -> bool:
        """Try a failed execution again, if its job says so; else change nothing."""
        policy = execution.spec.retry
        if policy is None or not policy.covers(cause_of(result), result.exit_code):
            return False
        state = execution.retry or RetryState()
        if state.retries >= policy.max_retries:
            return False
        state.retries += 1
        execution.retry = state
        delay = policy.delay(execution.id, state.retries)
        worker, attempt = execution.worker, execution.attempt
        draft.note_attempt(execution, _OUTCOMES[result.move], result)
        # Not from the end that the worker tells: its clock may be another one.
        state.due_at = draft.now + delay
        draft.note_event(
            execution,
            Event.RETRY_SCHEDULED,
            attempt=attempt,
            reason=result.error,
            retry=state.retries,
            of=policy.max_retries,
            delay=delay,
            due_at=state.due_at,
        )
        self._leave_attempt(draft, execution)
        execution.move(Move.RETRY)
        self._later.add(execution)
        self._watch(execution)
        draft.facts.append(
            ExecutionRetried(execution, worker, attempt, result.error, delay)
        )
        return True

    def release(
        self,
        draft: Draft,
        execution: Execution,
        reason: str,
        *,
        may_have_begun: bool,
        was_refused: bool = False,
        result: Result | None = None,
    ) -> bool:
        """Take the lease back and let the execution wait again.

        Only where the attempt never began, or where it may run twice. `result` is what
        its worker told of the attempt, if anything. Who refuses to begin again and again
        is asked less and less often. Returns False, and changes nothing, if it has been
        lost too often to be given once more.
        """
        state = execution.retry or RetryState()
        if may_have_begun:
            if state.losses + 1 >= LOSSES:
                return False
            state.losses += 1
            pause = pause_after(state.losses)
        elif was_refused:
            state.refusals += 1
            pause = pause_after(state.refusals)
        else:
            pause = 0
        execution.retry = state
        state.due_at = draft.now + pause
        worker = execution.worker
        ended = result or Result(move=Move.LOSE, finished_at=draft.now, error=reason)
        draft.note_attempt(execution, Event.RELEASED.value, ended)
        draft.note_event(
            execution,
            Event.RELEASED,
            attempt=execution.attempt,
            fence=execution.fence,
            worker=worker,
            reason=reason,
            pause=pause or None,
        )
        self._leave_attempt(draft, execution)
        if pause:
            execution.move(Move.RETRY)
            self._later.add(execution)
        else:
            execution.move(Move.RELEASE)
            self._waiting.add(execution)
        self._watch(execution)
        draft.facts.append(ExecutionReleased(execution, worker, reason))
        return True

    def drop_lease(self, execution: Execution) -> None:
        """Take the current attempt of an execution, if any, out of its worker's slots."""
        self._live.by_fence.pop(execution.fence, None)
        session = self._live.sessions.get(execution.session_id)
        if session is not None and not session.let_go(execution):
            session = None
        if execution.spec.is_gated:
            self._waiting.limits.leave(execution, session)

    def _watch(self, execution: Execution) -> None:
        if execution.spec.timeouts is not None:
            self._begin_to_wait(execution)

    def _leave_attempt(self, draft: Draft, execution: Execution) -> None:
        self._live.supersede(execution, execution.fence)
        self.drop_lease(execution)
        execution.phase = Phase.NONE
        execution.session_id = execution.worker_id = execution.worker = ""
        execution.leased_at = execution.started_at = None
        draft.note_moved(execution)
        draft.note_retry(execution)


_OUTCOMES = {
    Move.FAIL: State.FAILED.value,
    Move.TIME_OUT: State.TIMED_OUT.value,
}
