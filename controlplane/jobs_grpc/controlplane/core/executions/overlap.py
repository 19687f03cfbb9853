"""What becomes of a due time while executions of its job are still active.

Judged on every active execution of the job, however it came to be, in the step that
creates the new one, so that there is no instant at which two could pass:

| policy | while others are active |
|---|---|
| `skip` | the due time is skipped: `overlap` |
| `allow(n)` | it starts beside them while fewer than n are active; else skipped: `limit` |
| `queue(n)` | its execution is held until the others have ended; n are held: `limit` |
| `replace` | the others are ended, its execution is held until they are final |

Executions that wait for a later instant do not count: they have not begun to matter.
Neither do those of a backfill, which has its own limit: else it would starve the schedule.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from jobs_grpc.controlplane.core.state.draft import Draft
from jobs_grpc.controlplane.core.state.execution import Execution, Hold
from jobs_grpc.controlplane.core.state.job import Overlap
from jobs_grpc.controlplane.core.state.live import Job
from jobs_grpc.controlplane.core.state.states import State
from jobs_grpc.controlplane.core.waiting.holding import Holds

OVERLAP: Final = "overlap"
LIMIT: Final = "limit"


class Verdict(NamedTuple):
    """May the due time start, and who stands in the way (if anybody does).

    With a hold the execution is to be created and held; `ends_others` beforehand, if so.
    """

    may_start: bool
    holder: Execution | None = None
    hold: Hold | None = None
    ends_others: bool = False
    # Why it may not: something runs, or as many as the policy allows do.
    reason: str = ""


_CLEAR: Final = Verdict(may_start=True)


def judge(job: Job, now: int) -> Verdict:
    """Judge one more execution of a job."""
    spec = job.spec
    # The usual case, and it must cost nothing: fewer executions than may be active.
    if len(job.active) < spec.max_active:
        return _CLEAR
    active = [one for one in job.active.values() if _counts(one)]
    if len(active) < spec.max_active:
        return _CLEAR
    held = sum(one.hold is not None for one in active)
    holder = next((one for one in active if one.hold is None), active[0])
    if spec.overlap is Overlap.REPLACE:
        return Verdict(True, holder, _hold(job, now), ends_others=True)
    if spec.overlap is Overlap.QUEUE and held < spec.max_queued:
        return Verdict(True, holder, _hold(job, now))
    reason = OVERLAP if spec.overlap is Overlap.SKIP else LIMIT
    return Verdict(False, holder, reason=reason)


def in_turn(job: Job, now: int) -> Verdict | None:
    """Return how one of several due times that are made up for waits for its turn.

    Nobody asks for all of them to have the second skipped because of the first, or the
    first ended by the second. `None` where nothing is in the way.
    """
    verdict = judge(job, now)
    if verdict.holder is None:
        return None
    return Verdict(True, verdict.holder, _hold(job, now))


def _hold(job: Job, now: int) -> Hold:
    return Hold(OVERLAP, str(job.job_id), now)


def in_the_way(job: Job) -> Iterator[Execution]:
    """Yield what a due time of a job with `replace` ends, the youngest first.

    In this order none of those that are held is let go only to be ended at once.
    """
    active = [one for one in job.active.values() if _counts(one)]
    yield from reversed(active)


def settle(draft: Draft, holds: Holds, job: Job) -> None:
    """Let go what is held of a job, as far as its policy has room for it now.

    `queue` and `replace` run one at a time. A policy that was edited meanwhile counts as
    it is now; what it would skip goes on one at a time, for it was promised to start.
    """
    held = holds.waiting_for(OVERLAP, str(job.job_id))
    if not held:
        return
    room = job.spec.max_active - sum(
        one.hold is None and _counts(one) for one in job.active.values()
    )
    for execution in held[: max(0, room)]:
        holds.let_go(draft, execution)


def _counts(one: Execution) -> bool:
    return one.state is not State.SCHEDULED and one.trigger != "backfill"
