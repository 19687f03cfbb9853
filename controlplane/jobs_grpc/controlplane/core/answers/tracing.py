"""The story of one execution, from its rows.

Nothing is remembered for this alone: the decision, the row, superseded attempts and
events are put in one order. Instants of attempts are the worker's, the others the
leader's; on hosts whose clocks differ, neighbors may change places.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from jobs_grpc.controlplane.core.rows.changes import DecisionRow, ExecutionRow
from jobs_grpc.controlplane.core.rows.story import AttemptRow, EventRow, LinkRow
from jobs_grpc.controlplane.core.state.states import FINAL
from jobs_grpc.controlplane.core.state.story import Event
from jobs_grpc.schedule import format_instant

from .telling import length

# Shorter waits for a slot are not worth a line, in microseconds.
_WORTH_TELLING: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened. `at` is `None` where nobody knows when."""

    at: int | None
    kind: str
    text: str
    detail: dict[str, Any] = field(default_factory=dict)


def attempts_of(row: ExecutionRow, earlier: Sequence[AttemptRow]) -> list[AttemptRow]:
    """Return all attempts in order; the last may still run (`outcome` "")."""
    if row.fence == 0 or (earlier and earlier[-1].fence == row.fence):
        return list(earlier)
    is_over = row.state in FINAL
    current = AttemptRow(
        row.seq,
        row.fence,
        row.attempt,
        row.worker_id,
        row.worker,
        None,
        row.started_at,
        row.finished_at or 0,
        row.state if is_over else "",
        row.exit_code,
        row.signal,
        row.error,
        row.output_bytes,
        row.output_dropped,
        row.cpu_user,
        row.cpu_system,
        row.peak_memory,
        row.receipt_json,
    )
    return [*earlier, current]


def trace(
    row: ExecutionRow,
    *,
    decision: DecisionRow | None,
    attempts: Sequence[AttemptRow],
    events: Sequence[EventRow],
    links: Sequence[LinkRow],
) -> list[Entry]:
    """Return what happened, in order."""
    found = [*_beginning(row, decision, links)]
    told = [(one, json.loads(one.detail_json)) for one in events]
    leased = {
        detail["attempt"] for one, detail in told if one.kind == Event.LEASED.value
    }
    # Attempt to reason. That event says all there is to say of such an end.
    lost = {
        detail.get("attempt"): detail.get("reason", "")
        for one, detail in told
        if one.kind == Event.LOST.value
    }
    for attempt in attempts_of(row, attempts):
        found += [
            one
            for one in _attempt(attempt, is_told=attempt.attempt in leased)
            if one.kind != "ended"
            or attempt.outcome != "lost"
            or attempt.attempt not in lost
        ]
    found += [_event(one, detail) for one, detail in told]
    found += _slot_wait(row, attempts, told)
    if row.state in FINAL:
        found.append(_outcome(row, told=lost.values()))
    found = _in_order(found)
    found += [
        Entry(
            at=None,
            kind=link.kind,
            text=f"{_KINDS.get(link.kind, link.kind)} as execution {link.id}",
            detail={"execution_id": link.id},
        )
        for link in links
        if link.seq != row.seq and link.kind != "fallback"
    ]
    return found


def _slot_wait(
    row: ExecutionRow,
    attempts: Sequence[AttemptRow],
    told: Sequence[tuple[EventRow, dict[str, Any]]],
) -> Iterator[Entry]:
    """Tell how long it waited before its first start, beyond what events tell.

    That is the wait for a slot, of which there is no event: most executions have one.
    """
    first = attempts[0].started_at if attempts else row.started_at
    if first is None:
        return
    waited = first - max(row.created_at, row.scheduled_for)
    waited -= sum(
        min(detail["until"], first) - detail["from"]
        for one, detail in told
        if one.kind == Event.WAITED.value and detail["from"] < first
    )
    if waited >= _WORTH_TELLING:
        text = f"waited {length(waited)} for a free slot"
        yield Entry(at=first, kind="waited", text=text)


_KINDS = {"retry": "run again", "requeue": "taken from the dead letters and run again"}


def _beginning(
    row: ExecutionRow, decision: DecisionRow | None, links: Sequence[LinkRow]
) -> Iterator[Entry]:
    if decision is not None:
        yield Entry(
            at=decision.decided_at,
            kind="decided",
            text=f"{row.requested_by} was due {format_instant(decision.due_at)}: started",
            detail={
                "schedule_id": decision.schedule_id,
                "due_at": format_instant(decision.due_at),
                "outcome": decision.outcome,
            },
        )
    origin = next((link for link in links if link.seq == row.seq), None)
    text = f"created by {row.requested_by} ({row.trigger})"
    detail: dict[str, Any] = {"trigger": row.trigger, "requested_by": row.requested_by}
    if origin is not None:
        text = f"created as {origin.kind} of execution {origin.origin_id}"
        detail |= {"kind": origin.kind, "origin_id": origin.origin_id}
    text += f", for queue {row.queue}, priority {row.priority}"
    yield Entry(at=row.created_at, kind="created", text=text, detail=detail)
    if row.scheduled_for > row.created_at:
        yield Entry(at=row.scheduled_for, kind="due", text="due")


def _attempt(row: AttemptRow, *, is_told: bool) -> Iterator[Entry]:
    about = {"attempt": row.attempt, "fence": row.fence, "worker": row.worker}
    name = f"attempt {row.attempt}"
    if not is_told and row.worker:
        yield Entry(
            at=row.leased_at,
            kind="leased",
            text=f"{name} leased to {row.worker} (fence {row.fence})",
            detail=about,
        )
    if row.started_at is not None:
        text = f"{name} started on {row.worker}"
        yield Entry(at=row.started_at, kind="started", text=text, detail=about)
    if row.receipt_json:
        yield from _signals(row, about)
    if row.outcome and row.outcome != Event.RELEASED.value and row.worker:
        yield Entry(
            at=row.finished_at,
            kind="ended",
            text=_ended(row),
            detail={
                **about,
                "outcome": row.outcome,
                "exit_code": row.exit_code,
                "signal": row.signal or None,
                "output_bytes": row.output_bytes,
            },
        )


def _ended(row: AttemptRow) -> str:
    text = f"attempt {row.attempt} {row.outcome.replace('_', ' ')}"
    if row.exit_code is not None:
        text += f", exit code {row.exit_code}"
    elif row.signal:
        text += f", by signal {row.signal}"
    if row.output_bytes:
        text += f", {row.output_bytes} bytes of output"
    return text


def _signals(row: AttemptRow, about: dict[str, Any]) -> Iterator[Entry]:
    receipt = json.loads(row.receipt_json)
    for signal, at, processes in receipt["signals"]:
        many = "process" if processes == 1 else "processes"
        yield Entry(
            at=at,
            kind="signalled",
            text=f"{signal} sent to {processes} {many} of attempt {row.attempt}",
            detail={**about, "signal": signal, "processes": processes},
        )
    if receipt["survivors"]:
        left = ", ".join(receipt["survivors"])
        yield Entry(
            at=row.finished_at,
            kind="survived",
            text=f"still alive after the last signal: {left}",
            detail={**about, "survivors": receipt["survivors"]},
        )


def _outcome(row: ExecutionRow, *, told: Iterable[str]) -> Entry:
    """Say how it ended, without the reasons that were told already."""
    text, error = row.state.replace("_", " "), row.error
    for reason in told:
        error = error.removesuffix(f": {reason}")
    if error:
        text += f": {error}"
    detail = {"state": row.state, "error": row.error or None}
    return Entry(at=row.finished_at, kind="outcome", text=text, detail=detail)


def _event(row: EventRow, detail: dict[str, Any]) -> Entry:
    return Entry(at=row.at, kind=row.kind, text=_words(row.kind, detail), detail=detail)


# Events of which there is nothing to say but why.
_REASONED = {
    Event.CANCEL_ASKED.value: "its end was asked for",
    Event.DEAD_LETTERED.value: "put among the dead letters",
    Event.FALLBACK_FAILED.value: "fallback not started",
}


def _words(kind: str, detail: dict[str, Any]) -> str:
    """Say an event in a line; one of a kind that nobody taught us is said plainly."""
    name = f"attempt {detail.get('attempt', '?')}"
    reason = detail.get("reason", "")
    match kind:
        case Event.LEASED:
            return f"{name} leased to {detail['worker']} (fence {detail['fence']})"
        case Event.RELEASED:
            pause = detail.get("pause")
            when = f", after {length(pause)}" if pause else ""
            return f"{name} taken back, to be given again{when}: {reason}"
        case Event.LOST:
            return f"{name} lost: {reason}"
        case Event.RESOLVED:
            return f"resolved by the late result of {name}: {detail['state']}"
        case Event.RETRY_SCHEDULED:
            return (
                f"retry {detail['retry']} of {detail['of']} in {length(detail['delay'])},"
                f" because {reason}"
            )
        case Event.REPORT_REFUSED:
            return (
                f"late report ({detail['report']}) of the old fence {detail['fence']}"
                f" from {detail['worker']} refused"
            )
        case Event.WAITED:
            return f"waited {length(detail['until'] - detail['from'])} {reason}"
        case Event.TIMED_OUT:
            return f"limit reached ({detail['which']})" + (
                f": {reason}" if reason else ""
            )
        case Event.FALLBACK_STARTED:
            return f"fallback started: execution {detail['id']}"
        case _ if kind in _REASONED:
            return f"{_REASONED[kind]}: {reason}"
        case _:
            rest = ", ".join(f"{key} {value}" for key, value in detail.items())
            return f"{kind.replace('_', ' ')}: {rest}" if rest else kind


# Things of one instant in the order in which they must have happened.
_RANKS = {
    kind: rank
    for rank, kind in enumerate(
        (
            "decided",
            "created",
            "due",
            "waited",
            "leased",
            "started",
            "cancel_asked",
            "timed_out",
            "signalled",
            "survived",
            "lost",
            "ended",
            "resolved",
            "released",
            "retry_scheduled",
            "outcome",
            "dead_lettered",
        )
    )
}


_OUTCOME = _RANKS["outcome"]
# After every attempt.
_LAST = 1_000_000


def _attempt_at(instant: int, entries: list[Entry]) -> int:
    """Return the attempt that an execution had at an instant; 0 before the first."""
    leased = (one for one in entries if one.kind == "leased")
    return max(
        (one.detail["attempt"] for one in leased if (one.at or 0) <= instant), default=0
    )


def _in_order(entries: list[Entry]) -> list[Entry]:
    """Sort by instant; what has none goes right before what follows it in its own list.

    Of one instant, an attempt's end comes before the next attempt's lease.
    """
    known: int | None = None
    keyed: list[tuple[int, int, int, int, Entry]] = []
    last = max((one.at for one in entries if one.at is not None), default=0)
    for number in range(len(entries) - 1, -1, -1):
        entry = entries[number]
        known = entry.at if entry.at is not None else known
        at = last if known is None else known
        rank = _RANKS.get(entry.kind, len(_RANKS))
        attempt = entry.detail.get("attempt")
        if attempt is None:
            attempt = _attempt_at(at, entries) if rank < _OUTCOME else _LAST
        keyed.append((at, attempt, rank, number, entry))
    keyed.sort(key=lambda one: one[:4])
    return [one[4] for one in keyed]
