"""Why an execution is where it is: what it waits for, who holds that, how far back it is.

Read from the live state and nothing else, so it says what the next free slot will be given
by. It comes to the core as an input that changes nothing: its answer is released in the
order of the journal, so nobody is told of a step that is not committed yet.

Places in a line are counted by looking at everybody in it. That is for people who ask,
not for programs that poll.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from jobs_grpc.controlplane.core.executions.overlap import OVERLAP
from jobs_grpc.controlplane.core.rows.changes import ExecutionRow
from jobs_grpc.controlplane.core.state.execution import Execution
from jobs_grpc.controlplane.core.state.gates import Entry, waits
from jobs_grpc.controlplane.core.state.live import Live, Session
from jobs_grpc.controlplane.core.state.pauses import PauseKind, Pauses, Scope
from jobs_grpc.controlplane.core.state.reasons import NAMED, Cause, Reason, ids, listed
from jobs_grpc.controlplane.core.state.states import Phase, State
from jobs_grpc.controlplane.core.waiting.holding import Holds
from jobs_grpc.controlplane.core.waiting.limits import Key
from jobs_grpc.controlplane.core.waiting.lines import Waiting, is_eligible
from jobs_grpc.controlplane.core.waiting.quarantine import Ward
from jobs_grpc.schedule import format_instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The answer for one execution."""

    execution_id: str
    state: str
    summary: str
    reasons: tuple[Reason, ...]
    # What it waits in line for, its place there (1 is next) and how many wait; "" and 0
    # where there is no line.
    line: str = ""
    place: int = 0
    waiting: int = 0


class Explainer:
    """Explains the executions of a term."""

    def __init__(
        self, live: Live, waiting: Waiting, holds: Holds, pauses: Pauses
    ) -> None:
        self._live = live
        self._pauses = pauses
        self._waiting = waiting
        self._holds = holds

    def explain(self, execution: Execution) -> Explanation:
        """Say why a live execution is where it is."""
        line, place, of = "", 0, 0
        if execution.is_leased:
            reasons = [_on_worker(execution)]
        elif execution.state is not State.PENDING:
            reasons = [_later(execution)]
            reasons += [
                gate.explain(execution)
                for gate in execution.gates
                if isinstance(gate, Ward) and gate.is_shut(execution)
            ]
        elif execution.hold is not None:
            reasons = [self._held(execution)]
            held = self._holds.waiting_for(*execution.hold.place)
            line, of = "the runs that are held for the same reason", len(held)
            place = 1 + sum(one.seq < execution.seq for one in held)
        else:
            reasons, line, entries = self._waits(execution)
            mine = (execution.order, execution.seq, execution)
            others = [one for one in entries if one[2] is not execution]
            place, of = 1 + sum(one < mine for one in others), 1 + len(others)
        summary = "; ".join(one.text for one in reasons)
        if of > 1:
            summary += f". It is number {place} of {of} in {line}"
        return Explanation(
            execution_id=execution.id,
            state=execution.state.value,
            summary=summary[:1].upper() + summary[1:] + ".",
            reasons=tuple(reasons),
            line=line if of else "",
            place=place,
            waiting=of,
        )

    def why_waiting(self, execution: Execution) -> Reason:
        """Return what keeps an execution that stands in a waiting line."""
        return self._waits(execution)[0][0]

    def _held(self, execution: Execution) -> Reason:
        hold = execution.hold
        assert hold is not None
        if hold.reason != OVERLAP:
            subject = f" ({hold.subject})" if hold.subject else ""
            return Reason(
                cause=Cause.HELD, text=f"it is held back: {hold.reason}{subject}"
            )
        job = self._live.job_of(execution)
        active = job.active.values() if job else ()
        ahead = [
            one
            for one in active
            if one.hold is None and one.state is not State.SCHEDULED
        ]
        return Reason(
            cause=Cause.HELD,
            text=f"it waits for the end of {listed(ahead)} of its job"
            f" (overlap: {execution.spec.overlap.value})",
            holders=ids(ahead),
        )

    def _waits(self, execution: Execution) -> tuple[list[Reason], str, Iterable[Entry]]:
        gates = [gate for gate in execution.gates if gate.is_shut(execution)]
        if gates:
            reasons = [gate.explain(execution) for gate in gates]
            return reasons, f"the line for {gates[0].title}", gates[0].waiting()
        queue = self._waiting.queues[execution.queue]
        entries = (
            entry
            for one in queue.classes.values()
            for entry in one.heap
            if waits(entry[2])
        )
        line = f'the queue "{queue.name}"'
        if queue.is_paused:
            return [self._paused(queue.name)], line, entries
        return [self._for_worker(execution)], line, entries

    def _paused(self, queue: str) -> Reason:
        pauses = self._pauses.of(Scope(PauseKind.QUEUE, queue=queue))
        text, until = f'the queue "{queue}" is paused', None
        if pauses:
            text += f" by {pauses[0].who} since {format_instant(pauses[0].since)}"
            if pauses[0].note:
                text += f' ("{pauses[0].note}")'
            ends = [one.until for one in pauses]
            # It goes on when the last of them ends.
            until = None if None in ends else max(one for one in ends if one)
        return Reason(cause=Cause.HELD, text=text, until=until)

    def _for_worker(self, execution: Execution) -> Reason:
        """Say why no worker has taken it, though nothing else is in its way."""
        place = execution.spec.place
        sessions = self._live.sessions.values()
        fitting = [one for one in sessions if is_eligible(one, place)]
        if not fitting:
            return Reason(cause=Cause.NO_WORKER, text=_lacking(execution, sessions))
        ready = [one for one in fitting if one.refusal is None]
        if not ready:
            said = "; ".join(f"{one.worker} {one.refusal}" for one in fitting[:NAMED])
            return Reason(
                cause=Cause.WORKER_UNAVAILABLE,
                text=f"no worker that could run it takes work: {said}",
                workers=_names(fitting),
            )
        slots = execution.spec.slots
        most = max(one.slots for one in ready)
        if most < slots:
            return Reason(
                cause=Cause.TOO_FEW_SLOTS,
                text=f"it takes {slots} slots, and no worker that could run it has more"
                f" than {most}",
                workers=_names(ready),
            )
        free = [one for one in ready if one.free_slots >= slots]
        if not free:
            total, used = sum(o.slots for o in ready), sum(o.slots_used for o in ready)
            needs = f" (it takes {slots} at once)" if slots > 1 else ""
            return Reason(
                cause=Cause.SLOTS_BUSY,
                text=f"{used} of the {total} slots of {_workers(ready)} that could run"
                f" it are taken{needs}",
                holders=ids(lease for one in ready for lease in one.leases.values()),
                workers=_names(ready),
            )
        limits = self._waiting.limits
        if not any(limits.admits(one, execution) for one in free):
            return self._refused_by_all(execution, free)
        return Reason(
            cause=Cause.NEXT,
            text="it waits for its turn: a slot is free",
            workers=_names(free),
        )

    def _refused_by_all(
        self, execution: Execution, sessions: Sequence[Session]
    ) -> Reason:
        """Say what is counted for each worker, and speaks against each of these."""
        breakers = [
            breaker
            for one in sessions
            for breaker in self._waiting.limits.breakers.on_worker(
                execution.spec, one.worker
            )
            if breaker.is_shut(execution)
        ]
        if breakers:
            return Reason(
                cause=Cause.BREAKER,
                text="; ".join(one.describe().text for one in breakers[:NAMED]),
                workers=_names(sessions),
                until=min((o.until for o in breakers if o.until), default=None),
            )
        key = next(one for one in execution.gates if isinstance(one, Key))
        return Reason(
            cause=Cause.CONCURRENCY,
            text=f"every worker that has a free slot has as many runs of {key.title} as"
            " one worker may have",
            holders=ids(
                lease
                for one in sessions
                for lease in one.leases.values()
                if lease.scope == execution.scope
            ),
            workers=_names(sessions),
        )


def _on_worker(execution: Execution) -> Reason:
    workers = (execution.worker,)
    if execution.state is State.CANCELLING:
        why = f" ({execution.cancel_reason})" if execution.cancel_reason else ""
        text = f"it is being ended on worker {execution.worker}{why}"
        return Reason(cause=Cause.CANCELLING, text=text, workers=workers)
    if execution.phase is Phase.LEASED:
        text = f"it has been given to worker {execution.worker}, which begins it"
        return Reason(cause=Cause.LEASED, text=text, workers=workers)
    text = f"it waits for nothing: it runs on worker {execution.worker}"
    if execution.attempt > 1:
        text += f" (attempt {execution.attempt})"
    return Reason(cause=Cause.RUNNING, text=text, workers=workers)


def _later(execution: Execution) -> Reason:
    until = execution.scheduled_for
    if execution.state is State.RETRYING:
        if execution.retry is not None:
            until = execution.retry.due_at
        text = f"it is tried again at {format_instant(until)}"
        if execution.attempt:
            text += f", after attempt {execution.attempt}"
        return Reason(cause=Cause.RETRY, text=text, until=until)
    text = f"it is to start at {format_instant(until)}"
    return Reason(cause=Cause.SCHEDULED, text=text, until=until)


def _lacking(execution: Execution, sessions: Collection[Session]) -> str:
    """Say what no worker has."""
    if not sessions:
        return "no worker is connected"
    selector, function = execution.spec.place
    lacking = [
        f"label {key}={value}"
        for key, value in selector
        if not any(one.labels.get(key) == value for one in sessions)
    ]
    if function and not any(function in one.functions for one in sessions):
        lacking.append(f'function "{function}"')
    if lacking:
        return f"no worker has the {' and the '.join(lacking)}"
    wanted = [f"label {key}={value}" for key, value in selector]
    wanted += [f'function "{function}"'] if function else []
    return f"no single worker has all of: {', '.join(wanted)}"


def _names(sessions: Iterable[Session]) -> tuple[str, ...]:
    return tuple(sorted(one.worker for one in sessions))[:NAMED]


def _workers(sessions: Sequence[Session]) -> str:
    if len(sessions) == 1:
        return f"worker {sessions[0].worker}"
    return f"the {len(sessions)} workers"


def explain_ended(row: ExecutionRow) -> Explanation:
    """Say of a final execution that it waits for nothing."""
    words = row.state.replace("_", " ")
    text = f"it waits for nothing: it has ended, {words}"
    if row.worker:
        text += f" on worker {row.worker}"
    if row.finished_at is not None:
        text += f" at {format_instant(row.finished_at)}"
    if row.error and row.state != State.SUCCEEDED:
        text += f" ({row.error})"
    workers = (row.worker,) if row.worker else ()
    return Explanation(
        execution_id=row.id,
        state=row.state,
        summary=f"{text[:1].upper()}{text[1:]}.",
        reasons=(Reason(cause=Cause.ENDED, text=text, workers=workers),),
    )
