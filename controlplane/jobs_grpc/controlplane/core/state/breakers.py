"""Circuit breakers: what keeps failing is left alone for a while.

A breaker stands for a job, for a dependency that several jobs name (a database, a port),
or for either on one worker. Attempts say how it is; an open breaker makes work wait, or go
to another worker, and never fails it.

| state | lets through | is left |
|---|---|---|
| closed | everything | when it trips: n failures in a row, or x % of the last n, in a window |
| open | nothing | after `open_for`, or by hand |
| half-open | one attempt, the probe | after enough probes succeeded, or when one failed |

Each job has its own numbers for a breaker that it shares; an attempt is judged by those of
its job. What says nothing (a cancel, a lease that was given back) changes nothing, and a
probe that ends so makes way for another. Attempts that began while it was closed do not
count when it is not any more.

A row is written when the state changes, when a failure is counted and when a success ends
a row of failures, so healthy work costs nothing.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from jobs_grpc.controlplane.core.rows.fleet import BreakerRow
from jobs_grpc.schedule import format_instant

from .gates import Gate
from .job import STANDALONE, BreakerPolicy
from .reasons import Cause, Reason
from .states import Move

if TYPE_CHECKING:
    from .execution import Execution, Result


class BreakerState(StrEnum):
    """What a breaker lets through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class BreakerMove(StrEnum):
    """What can happen to a breaker."""

    # Too many failures, a failed probe, or somebody said so.
    TRIP = "trip"
    # It was open for long enough.
    TRY = "try"
    # Enough probes succeeded.
    RECOVER = "recover"
    # Somebody said so.
    RESET = "reset"


TRANSITIONS: Final[Mapping[BreakerState, Mapping[BreakerMove, BreakerState]]] = {
    BreakerState.CLOSED: {
        BreakerMove.TRIP: BreakerState.OPEN,
        BreakerMove.RESET: BreakerState.CLOSED,
    },
    BreakerState.OPEN: {
        BreakerMove.TRY: BreakerState.HALF_OPEN,
        BreakerMove.TRIP: BreakerState.OPEN,
        BreakerMove.RESET: BreakerState.CLOSED,
    },
    BreakerState.HALF_OPEN: {
        BreakerMove.TRIP: BreakerState.OPEN,
        BreakerMove.RECOVER: BreakerState.CLOSED,
        BreakerMove.RESET: BreakerState.CLOSED,
    },
}

# How attempts end that say something; everything else says nothing.
_FAILURES: Final = frozenset({Move.FAIL, Move.TIME_OUT, Move.LOSE})


class BreakerKey(NamedTuple):
    """Which breaker: exactly one of `job` and `dependency` is set, or neither of both.

    Neither: the worker itself, whatever it runs.
    """

    namespace: str
    # "workspace/name" of a job.
    job: str = ""
    dependency: str = ""
    # On this worker only; "" for everywhere.
    worker: str = ""

    @property
    def kind(self) -> str:
        if self.job:
            return "job"
        return "dependency" if self.dependency else "worker"

    @property
    def name(self) -> str:
        """Return the name that people use: `job:backup`, `orders-db`, `worker:w1`.

        One that is for a worker only has the worker behind it: `orders-db@w1`.
        """
        if self.kind == "worker":
            return f"worker:{self.worker}"
        job = self.job.removeprefix(f"{STANDALONE}/")
        subject = f"job:{job}" if self.job else self.dependency
        return f"{subject}@{self.worker}" if self.worker else subject


def verdict(key: BreakerKey, policy: BreakerPolicy, result: Result) -> bool | None:
    """Return whether a result is a success, a failure, or (`None`) says nothing.

    Of a dependency only what the job itself says counts: that a worker was lost is not the
    database's fault. With `exit_codes` only these are failures, and others say nothing.
    """
    if result.never_began:
        return None
    if result.move is Move.SUCCEED:
        return True
    if result.move not in _FAILURES:
        return None
    if result.move is Move.LOSE:
        return None if key.dependency else False
    if policy.exit_codes and result.exit_code not in policy.exit_codes:
        return None
    return False


@dataclass(slots=True, eq=False)
class Breaker(Gate):
    """One breaker, as the table above says. Instants are microseconds."""

    key: BreakerKey = field(kw_only=True)
    state: BreakerState = BreakerState.CLOSED
    # Failures in a row, and when the first of them was.
    failures: int = 0
    failing_since: int = 0
    # Successful probes since it is half-open.
    successes: int = 0
    # The latest results, for the policy of a rate: instant, and whether it failed.
    recent: deque[tuple[int, bool]] = field(default_factory=lambda: deque(maxlen=1000))
    # When it is tried again; `None` while it is not open, or open until somebody resets it.
    until: int | None = None
    reason: str = ""
    changed_at: int = 0
    trips: int = 0
    # Execution that is let through while it is half-open.
    probe: str = ""
    # The last failure and whose it was; of a worker's breaker only.
    failed_at: int = 0
    failed_by: str = ""
    # Where it says that it has changed, and whether its state has.
    changed: dict[Breaker, bool] = field(default_factory=dict, repr=False)

    @property
    def is_pristine(self) -> bool:
        """Whether nothing worth remembering has happened to it."""
        closed = self.state is BreakerState.CLOSED
        return closed and not (self.failures or self.trips or self.recent)

    # As a gate.

    @property
    def title(self) -> str:
        return f"circuit breaker {self.key.name}"

    def is_shut(self, execution: Execution) -> bool:
        if self.state is BreakerState.CLOSED:
            return False
        return self.state is BreakerState.OPEN or bool(self.probe)

    def lets_all_out(self) -> bool:
        return self.state is BreakerState.CLOSED

    def enter(self, execution: Execution) -> None:
        if self.state is BreakerState.HALF_OPEN and not self.probe:
            self.probe = execution.id
            self._note()

    def leave(self, execution: Execution) -> None:
        if self.probe == execution.id:
            self.drop_probe()

    def drop_probe(self) -> None:
        """Let another probe through."""
        self.probe = ""
        self._note()

    def describe(self) -> Reason:
        """Say why it is shut."""
        if self.state is BreakerState.HALF_OPEN:
            text = f"{self.title} is half open and waits for its probe"
            holders = (self.probe,) if self.probe else ()
            if self.probe:
                text += f", execution {self.probe[:8]}"
            return Reason(cause=Cause.BREAKER, text=text, holders=holders)
        until = "until it is reset"
        if self.until is not None:
            until = f"until {format_instant(self.until)}"
        text = f"{self.title} is open {until} ({self.reason})"
        return Reason(cause=Cause.BREAKER, text=text, until=self.until)

    def explain(self, execution: Execution) -> Reason:
        return self.describe()

    # As a state machine.

    def judge(
        self, execution_id: str, policy: BreakerPolicy, *, success: bool, now: int
    ) -> None:
        """Take the end of an attempt into account."""
        if self.state is BreakerState.CLOSED:
            self._count(policy, success=success, now=now)
        elif self.state is BreakerState.HALF_OPEN and self.probe == execution_id:
            self._note()
            if not success:
                self.trip(now, now + policy.open_for, "the probe failed")
                return
            self.successes += 1
            if self.successes >= policy.successes:
                self._move(BreakerMove.RECOVER, now, "the probes succeeded")

    def trip(self, now: int, until: int | None, reason: str) -> None:
        """Open it until an instant, or until it is reset."""
        self._move(BreakerMove.TRIP, now, reason)
        self.until = until
        self.trips += 1

    def reset(self, now: int, reason: str) -> None:
        """Close it, and forget what it has counted."""
        self._move(BreakerMove.RESET, now, reason)

    def come_due(self, now: int) -> bool:
        """Let a probe through, if it was open for long enough."""
        if (
            self.state is not BreakerState.OPEN
            or self.until is None
            or now < self.until
        ):
            return False
        self._move(BreakerMove.TRY, now, self.reason)
        return True

    def _count(self, policy: BreakerPolicy, *, success: bool, now: int) -> None:
        if policy.percent:
            self.recent.append((now, not success))
        if success:
            if self.failures:
                self.failures = 0
                self._note()
            return
        self._note()
        if not self.failures or now - self.failing_since > policy.window:
            self.failures, self.failing_since = 0, now
        self.failures += 1
        reason = ""
        if self.failures >= policy.failures:
            reason = f"{self.failures} failures in a row"
        elif policy.percent:
            latest = [
                failed
                for at, failed in tuple(self.recent)[-policy.of :]
                if at > now - policy.window
            ]
            bad = sum(latest)
            if len(latest) >= policy.of and bad * 100 >= policy.percent * policy.of:
                reason = f"{bad} of the last {policy.of} attempts failed"
        if reason:
            self.trip(now, now + policy.open_for, reason)

    def _move(self, move: BreakerMove, now: int, reason: str) -> None:
        self.state = TRANSITIONS[self.state][move]
        self.reason = reason
        self.changed_at = now
        self.until = None
        self.failures = self.successes = 0
        self.probe = ""
        self.recent.clear()
        self.changed[self] = True

    def _note(self) -> None:
        self.changed.setdefault(self, False)

    # As a row.

    def row(self) -> BreakerRow:
        return BreakerRow(
            *self.key,
            self.state.value,
            self.failures,
            self.failing_since,
            self.successes,
            json.dumps(tuple(self.recent)),
            self.until,
            self.reason,
            self.changed_at,
            self.trips,
            self.probe,
        )

    @classmethod
    def of_row(cls, row: BreakerRow) -> Breaker:
        """Return the breaker that a row describes."""
        breaker = cls(
            key=BreakerKey(*row[:4]),
            state=BreakerState(row.state),
            failures=row.failures,
            failing_since=row.failing_since,
            successes=row.successes,
            until=row.until,
            reason=row.reason,
            changed_at=row.changed_at,
            trips=row.trips,
            probe=row.probe,
        )
        for at, failed in json.loads(row.recent_json):
            breaker.recent.append((at, failed))
        return breaker
