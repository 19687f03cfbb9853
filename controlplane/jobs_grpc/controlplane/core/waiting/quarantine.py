"""Quarantine: a job that takes its workers down with it is paused until somebody looks.

What counts is an attempt that may have begun and whose worker (or its keeper) was lost. A
lease that never reached its worker, a drain and a goodbye do not. What is lost at about
the same time as others of the job is one event: a host, a rack or a network that fails is
not the fault of the job, however many executions it had there. An execution that is lost
again is always another one. A loss that turns out to have been none is taken back.

The pause is an object like any other, durable, and ended by `resume`. While it lasts the
due times are dropped, as it says, and what waits is kept at a gate; it is not stored, for
the pause brings it back. The losses themselves are kept in memory only: a new leader
starts counting anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from jobs_grpc.controlplane.core.state.draft import Draft
from jobs_grpc.controlplane.core.state.execution import Execution
from jobs_grpc.controlplane.core.state.gates import Gate
from jobs_grpc.controlplane.core.state.job import STANDALONE, JobKey
from jobs_grpc.controlplane.core.state.live import Job, Live
from jobs_grpc.controlplane.core.state.pauses import Meanwhile, Pause, PauseKind, Scope
from jobs_grpc.controlplane.core.state.reasons import NAMED, Cause, Reason
from jobs_grpc.schedule import format_instant

from .limits import Limits

WHO: Final = "jobs-grpc"
# No id of a pause that somebody asks for begins so: those are hexadecimal numbers.
_PREFIX: Final = "quarantine-"
# Only losses within this time count together: reliability, "Poison".
WINDOW: Final = 3_600_000_000
# What is lost within this time of a loss that counts is part of it.
_BURST: Final = 10_000_000


class Loss(NamedTuple):
    """An attempt that ended with its worker."""

    at: int
    execution_id: str
    worker: str


@dataclass(slots=True, eq=False)
class Ward(Gate):
    """Where the executions of a quarantined job wait."""

    # `None` once it is over.
    pause: Pause | None = field(kw_only=True)
    job: str = field(kw_only=True)

    @property
    def title(self) -> str:
        return f'the quarantine of job "{self.job}"'

    def is_shut(self, execution: Execution) -> bool:
        return self.pause is not None

    def lets_all_out(self) -> bool:
        return True

    def explain(self, execution: Execution) -> Reason:
        pause = self.pause
        assert pause is not None
        since = format_instant(pause.since)
        return Reason(
            cause=Cause.HELD,
            text=f'its job "{self.job}" is paused since {since}: {pause.note}',
        )


class Quarantine:
    """Counts losses, and keeps what waits of the jobs that had too many."""

    def __init__(self, live: Live, limits: Limits) -> None:
        self._live = live
        self._limits = limits
        # Of each job, the earliest first; the job that lost last is the last.
        self._losses: dict[int, list[Loss]] = {}
        self._wards: dict[JobKey, Ward] = {}
        # Puts a pause into force.
        self.begin: Callable[[Draft, Pause], None] = lambda _draft, _pause: None

    def __bool__(self) -> bool:
        return bool(self._wards)

    def note_loss(self, draft: Draft, execution: Execution) -> bool:
        """Count a loss of the current attempt; say whether the job is paused for it."""
        job = self._live.job_of(execution)
        if job is None or not job.spec.quarantine or job.spec.key in self._wards:
            return False
        self._forget_old(draft.now)
        losses = [
            one
            for one in self._losses.pop(job.job_id, ())
            if one.at > draft.now - WINDOW
        ]
        if not _is_part_of(losses, execution, draft.now):
            losses.append(Loss(draft.now, execution.id, execution.worker))
        if len(losses) < job.spec.quarantine:
            self._losses[job.job_id] = losses
            return False
        self.begin(draft, _pause(job, execution, losses, draft.now))
        return True

    def forgive(self, execution: Execution) -> None:
        """Take the losses of an execution back: its worker was only silent."""
        losses = self._losses.get(execution.job_id)
        if losses:
            losses[:] = [one for one in losses if one.execution_id != execution.id]

    def is_cause(self, execution: Execution) -> bool:
        """Whether the job is in quarantine because of this execution."""
        ward = self._wards.get(execution.spec.key)
        pause = None if ward is None else ward.pause
        return pause is not None and pause.id == _PREFIX + execution.id

    def introduce(self, execution: Execution, job: Job | None) -> None:
        """Give an execution of a quarantined job the gate that it has to pass."""
        ward = None if job is None else self._wards.get(job.spec.key)
        if ward is not None:
            ward.members += 1
            execution.gates = (*execution.gates, ward)

    def keeps(self, execution: Execution) -> bool:
        """Whether an execution waits for the end of a quarantine."""
        return not execution.is_leased and any(
            isinstance(gate, Ward) and gate.pause is not None
            for gate in execution.gates
        )

    def follow(self, key: JobKey, pauses: Iterable[Pause]) -> None:
        """Begin or end the quarantine of a job, as the pauses of it now say."""
        pause = next((one for one in pauses if one.id.startswith(_PREFIX)), None)
        ward = self._wards.get(key)
        if pause is None and ward is not None:
            del self._wards[key]
            ward.pause = None
            self._limits.open(ward)
        elif pause is not None and ward is None:
            _, workspace, name = key
            title = name if workspace == STANDALONE else f"{workspace}/{name}"
            self._wards[key] = Ward(pause=pause, job=title)
            job = self._live.jobs.get(key)
            for execution in tuple(job.active.values()) if job else ():
                self.introduce(execution, job)

    def _forget_old(self, now: int) -> None:
        for job_id, losses in tuple(self._losses.items()):
            if losses and losses[-1].at > now - WINDOW:
                return
            del self._losses[job_id]


def _is_part_of(losses: list[Loss], execution: Execution, now: int) -> bool:
    if any(one.execution_id == execution.id for one in losses):
        return False
    return any(one.at > now - _BURST for one in losses)


def _pause(job: Job, execution: Execution, losses: list[Loss], now: int) -> Pause:
    workers = ", ".join(one.worker for one in losses[-NAMED:])
    times = f"{len(losses)} times" if len(losses) > 1 else "once"
    _, workspace, name = job.spec.key
    where = "" if workspace == STANDALONE else f" --workspace {workspace}"
    return Pause(
        id=_PREFIX + execution.id,
        scope=Scope(PauseKind.JOB, *job.spec.key),
        note=f"quarantined: lost its worker {times} within an hour ({workers});"
        f" look at the job, then: jobs-grpc resume {name}{where}",
        who=WHO,
        since=now,
        until=None,
        meanwhile=Meanwhile.DROP,
    )
