"""Why a due time was skipped, as a clause that people read.

Numbers are those of the job as it is now; a decision keeps none. Pauses are not told
here: what they say depends on when they ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from jobs_grpc.controlplane.core.rows.changes import DecisionRow, ExecutionRow
from jobs_grpc.controlplane.core.state.job import (
    CatchUp,
    JobSpec,
    Overlap,
    ScheduleSpec,
)
from jobs_grpc.schedule import format_duration


def because(
    spec: JobSpec,
    decision: DecisionRow,
    holder: ExecutionRow | None,
    tell: Callable[[int], str],
) -> str:
    """Return the reason of a decision: `because it was disabled`."""
    match decision.reason:
        case "overlap":
            return f"because {_named(decision, holder)} was still active"
        case "paused":
            return f"because of the pause {decision.holder}"
        case "missed_window":
            rule = f'catch_up is "{spec.catch_up.value}"'
            if spec.catch_up is not CatchUp.NONE:
                rule += f" within {format_duration(spec.catch_up_window)}"
            return (
                "because it was missed: no control plane was there to decide it"
                f" until {tell(decision.decided_at)}, and {rule}"
            )
        case "disabled":
            return "because it was disabled"
        case "duplicate":
            return "because another schedule of the job starts it at that instant"
        case "limit":
            return f"because {_limited(spec, decision, holder)}"
        case "no_target":
            return f"because there was no worker {_wanted(spec)}"
    return f"because of: {decision.reason}"


def bound(spec: ScheduleSpec, reason: str, at: int) -> str:
    """Return what of a schedule's own bounds keeps a due time from starting anything."""
    if reason == "exhausted":
        # A number that has been taken away since is not known any more.
        runs = "all" if spec.max_runs is None else f"all {spec.max_runs}"
        runs = "the one run" if spec.max_runs == 1 else f"{runs} runs"
        return f"the schedule has started {runs} that max_runs allows"
    calendar = spec.blackout.covers(at) if spec.blackout is not None else ""
    # It may have been edited since.
    name = f' calendar "{calendar}"' if calendar else ""
    return f"it falls into {'the' if name else 'a'} blackout{name}"


def _limited(spec: JobSpec, decision: DecisionRow, holder: ExecutionRow | None) -> str:
    if not decision.holder:
        return f"catch_up makes up for the latest {spec.catch_up_max} only"
    named = _named(decision, holder)
    match spec.overlap:
        case Overlap.QUEUE:
            return (
                f"its overlap lets at most {_runs(spec.max_queued)} wait, and as many"
                f" waited for {named} to end"
            )
        case Overlap.ALLOW:
            return (
                f"its overlap lets at most {_runs(spec.max_active)} be active at once,"
                f" and {named} was one of them"
            )
        case Overlap.SKIP | Overlap.REPLACE:
            # The policy was edited since; the number went with it.
            return f"as many runs were active as its overlap let be, {named} among them"
        case _:
            assert_never(spec.overlap)


def _named(decision: DecisionRow, holder: ExecutionRow | None) -> str:
    state = f" (now {holder.state})" if holder is not None and holder.state else ""
    return f"execution {decision.holder[:8]}{state}"


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"


def _wanted(spec: JobSpec) -> str:
    """Return what a worker must have to run a job: `with the label role=db`."""
    labels = [
        f"{key}={value}" if value else key
        for key, value in sorted(spec.selector.items())
    ]
    wants = []
    if labels:
        noun = "label" if len(labels) == 1 else "labels"
        wants.append(f"the {noun} {' and '.join(labels)}")
    if spec.work.function:
        wants.append(f'the function "{spec.work.function}"')
    if spec.slots > 1:
        wants.append(f"{spec.slots} slots")
    return f"with {' and '.join(wants)}" if wants else "that could run it"
