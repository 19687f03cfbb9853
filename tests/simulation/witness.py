"""The witness: what was seen from outside, and what must hold of it.

Nothing here asks the product how it is. Processes say themselves that they begin and end;
commits, replies and acknowledgements are noted where they leave; due times are counted by
arithmetic of its own. Each of the methods that note something is called at the step in
which it happens and complains at once where one can tell at once; `conclude` judges what
can only be judged when everything has come to rest.

| | must hold |
|---|---|
| I1 | one execution for each due time of a schedule |
| I2 | every due time has an execution or a recorded reason |
| I3 | decided in its window, or a fault explains it |
| I4 | at most once: one process; and none after its lease was given up |
| I5 | at least once: a completed attempt, or a dead letter |
| I6 | the verdict is what the process did; what is final stays |
| I7 | what is acknowledged is durable: before it leaves, and for ever |
| I8 | the output stored is the output printed |
| I9 | no more processes at once than slots and the job's limit |
| I10 | no commit of an older term after a newer; no result of a stale fence |
| I11 | no process outlives its attempt by more than half a minute |
| I12 | all is final once everything works again |
| I15 | nothing runs that no due time and no submission explains |
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from jobs_grpc.controlplane.core.rows.changes import Changes, EndedRow

from .kernel import SECOND, Kernel

FINAL: Final = frozenset(
    {"succeeded", "failed", "timed_out", "cancelled", "lost", "skipped"}
)
COMPLETED: Final = frozenset({"succeeded", "failed", "timed_out"})
# A due time may be decided so much later than it names, without any fault.
WINDOW: Final = 2 * SECOND
# So long after a fault its traces are still explained by it.
RECOVERY: Final = 20 * SECOND
# So long may a process live on whose attempt is over, once its host can be reached.
ORPHAN: Final = 30 * SECOND


class Violation(NamedTuple):
    """One broken promise. `at` is true time."""

    invariant: str
    at: int
    text: str

    def __str__(self) -> str:
        return f"{self.at / SECOND:10.6f}  {self.invariant}  {self.text}"


@dataclass(slots=True)
class Rule:
    """A schedule as people were told that it stands. Instants are the leader's."""

    schedule_id: str
    period: int
    since: int
    # Due times from here on are no longer promised; None while they are.
    until: int | None = None


@dataclass(slots=True)
class Seen:
    """An execution as it was committed, and when."""

    id: str
    job: str
    delivery: str
    schedule_id: str
    due: int
    state: str
    created_at: int
    fence: int = 0
    phase: str = "none"
    attempt: int = 0
    token: str = ""
    exit_code: int | None = None
    output_bytes: int = 0
    # When its current fence was last given up: by an end or by a release.
    over_at: int | None = None
    is_dead_letter: bool = False
    cancel_wanted: bool = False


@dataclass(slots=True)
class Spawn:
    """A process, as it says itself."""

    execution_id: str
    job: str
    attempt: int
    fence: int
    host: str
    started_at: int
    # When its worker decided that it may begin.
    ordered_at: int = 0
    # "exit", "signal", "timeout", "cancel"; "swept" by a later keeper, "gone" with its host.
    how: str = ""
    code: int = 0
    ended_at: int | None = None
    printed: bytearray = field(default_factory=bytearray)
    # The record of its end is on its host's disk, and that disk lives.
    is_recorded: bool = False
    # A power cut came before the leader had its output: what is missing was declared.
    is_cut_short: bool = False

    @property
    def has_failed(self) -> bool:
        """It has ended by itself or by its timeout, and not well."""
        return self.how in {"signal", "timeout"} or (
            self.how == "exit" and self.code > 0
        )


class Witness:
    """Sees, and complains."""

    def __init__(self, kernel: Kernel) -> None:
        """Only the true time is taken from the world, and the trace given back."""
        self._kernel = kernel
        self.violations: list[Violation] = []
        self.term = 0
        # When a process last ended.
        self.progress_at = 0
        self.rules: dict[str, Rule] = {}
        self.decided: dict[tuple[str, int], str] = {}
        self.ranges: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self.executions: dict[str, Seen] = {}
        self.by_seq: dict[int, Seen] = {}
        self.by_fence: dict[int, Seen] = {}
        self.given_up: dict[int, int] = {}
        self.submitted: set[str] = set()
        self.requests: dict[str, str] = {}
        self.acked: dict[str, int] = {}
        self.defined: set[str] = set()
        self.spawns: dict[int, list[Spawn]] = defaultdict(list)
        self.living: dict[str, list[Spawn]] = defaultdict(list)
        self.processes_of: dict[str, list[Spawn]] = defaultdict(list)
        # Jobs that retry, and how often.
        self.retries: dict[str, int] = {}
        self.stored: dict[int, bytearray] = {}
        self.kept: dict[int, int] = {}
        # A full disk took the note of their start: their output may be left behind.
        self.unnoted: set[int] = set()
        self.slots: dict[str, int] = {}
        self.limits: dict[str, int] = {}
        self.deliveries: dict[str, str] = {}
        self.faults: list[tuple[int, int]] = []

    @property
    def now(self) -> int:
        return self._kernel.now

    def complain(self, invariant: str, text: str) -> None:
        self._kernel.tell("VIOLATION", invariant, text)
        self.violations.append(Violation(invariant, self.now, text))

    # What people did --------------------------------------------------------------------

    def promised(self, schedule_id: str, period: int, since: int) -> None:
        """A schedule is acknowledged: later due times are promised."""
        self.rules[schedule_id] = Rule(schedule_id, period, since)

    def withdrawn(self, schedule_id: str, until: int) -> None:
        """Somebody may have removed the schedule from this instant on."""
        rule = self.rules.get(schedule_id)
        if rule is not None and rule.until is None:
            rule.until = until

    def asked(self, request_id: str) -> None:
        """A client tries to submit an execution; it may come to be."""
        self.submitted.add(request_id)

    def answered(self, request_id: str, execution_id: str) -> None:
        """A client was told the execution of its request."""
        known = self.requests.setdefault(request_id, execution_id)
        if known != execution_id:
            self.complain("I7", f"request {request_id} is {known} and {execution_id}")
        self.acked[execution_id] = self.now
        if execution_id not in self.executions:
            self.complain(
                "I7", f"execution {execution_id} was acknowledged, not stored"
            )

    def cancel_asked(self, execution_id: str) -> None:
        seen = self.executions.get(execution_id)
        if seen is not None:
            seen.cancel_wanted = True

    def defined_job(self, name: str, is_stored: bool) -> None:
        """A definition was acknowledged."""
        if not is_stored:
            self.complain("I7", f"job {name} was acknowledged, not stored")

    # What the leader did ----------------------------------------------------------------

    def committed(self, term: int, changes: Changes) -> None:
        """A transaction is durable."""
        if term < self.term:
            self.complain("I10", f"term {term} has written after term {self.term}")
        self.term = max(self.term, term)
        for decision in changes.decisions:
            self._decided(
                decision.schedule_id,
                decision.due_at,
                decision.execution_id,
                decision.decided_at,
                decision.until,
            )
        for extended in changes.extended:
            self.extended(extended.schedule_id, extended.due_at, extended.until)
        for row in changes.created:
            delivery = self.deliveries.get(row.job, "")
            seen = Seen(
                row.id,
                row.job,
                delivery,
                row.schedule_id,
                row.scheduled_for,
                row.state,
                self.now,
            )
            self.created(row.seq, seen, row.request_id or "")
            self._lease(seen, row.fence, row.attempt, row.phase)
        for moved in changes.moved:
            self.moved(moved.seq, moved.state, moved.fence, moved.attempt, moved.phase)
        for ended in changes.ended:
            self.ended(ended)

    def _decided(
        self, schedule_id: str, due: int, execution_id: str, at: int, until: int | None
    ) -> None:
        known = self.decided.get((schedule_id, due))
        if known is not None:
            self.complain("I1", f"{schedule_id} at {due} was decided twice")
        self.decided[(schedule_id, due)] = execution_id
        if until is not None:
            self.ranges[schedule_id].append((due, until))
        if due > at:
            self.complain("I3", f"{schedule_id} at {due} was decided before it was due")
        elif at - due > WINDOW and not self._is_explained(at - due):
            late = (at - due) / SECOND
            self.complain("I3", f"{schedule_id} at {due} was decided {late:.1f} s late")

    def decided_one(
        self, schedule_id: str, due: int, execution_id: str = "", *, late: int = 0
    ) -> None:
        """A decision became durable `late` after its due time."""
        self._decided(schedule_id, due, execution_id, due + late, None)

    def extended(self, schedule_id: str, due: int, until: int) -> None:
        """A record of due times that start nothing speaks of more of them."""
        if self.decided.get((schedule_id, due)) != "":
            self.complain("I2", f"{schedule_id} at {due} has no record to extend")
        self.ranges[schedule_id].append((due, until))

    def created(self, seq: int, seen: Seen, request_id: str = "") -> None:
        """An execution became durable."""
        self.by_seq[seq] = seen
        if seen.id in self.executions:
            self.complain("I1", f"execution {seen.id} was created twice")
        self.executions[seen.id] = seen
        if seen.schedule_id:
            if self.decided.get((seen.schedule_id, seen.due)) != seen.id:
                self.complain("I15", f"no decision started execution {seen.id}")
        elif request_id not in self.submitted:
            self.complain("I15", f"nobody has submitted execution {seen.id}")
        elif self.requests.setdefault(request_id, seen.id) != seen.id:
            self.complain("I1", f"request {request_id} has made {seen.id} too")

    def moved(self, seq: int, state: str, fence: int, attempt: int, phase: str) -> None:
        """A step of an execution became durable."""
        seen = self.by_seq[seq]
        if seen.state in FINAL and seen.state != state:
            self.complain("I6", f"{seen.id} was {seen.state} and is {state} now")
        seen.state = state
        self._lease(seen, fence, attempt, phase)

    def _lease(self, seen: Seen, fence: int, attempt: int, phase: str) -> None:
        if fence != seen.fence:
            if fence < seen.fence:
                self.complain("I10", f"{seen.id}: fence {fence} after {seen.fence}")
            if seen.fence:
                self.given_up.setdefault(seen.fence, self.now)
            seen.fence, seen.attempt = fence, attempt
            self.by_fence[fence] = seen
        if phase == "none" and seen.fence:
            self.given_up.setdefault(seen.fence, self.now)
        seen.phase = phase

    def ended(self, row: EndedRow) -> None:
        """The end of an execution became durable."""
        seen = self.by_seq[row.seq]
        self.ended_as(seen, row.state, row.result_json, row.exit_code, row.output_bytes)

    def ended_as(
        self,
        seen: Seen,
        state: str,
        token: str = "",
        exit_code: int | None = None,
        output_bytes: int | None = None,
    ) -> None:
        """`token` names the fence whose process gave the result."""
        if seen.state in FINAL and seen.state != "lost":
            self.complain("I6", f"{seen.id} was {seen.state} and is {state} now")
        if token and token != str(seen.fence):
            self.complain("I10", f"{seen.id}: a result of {token}, not of {seen.fence}")
        seen.state, seen.token, seen.exit_code = state, token, exit_code
        seen.output_bytes = output_bytes or 0
        seen.over_at = self.now
        if seen.fence:
            self.given_up.setdefault(seen.fence, self.now)

    def leased(self, fence: int) -> None:
        """A lease leaves the leader."""
        if fence not in self.by_fence:
            self.complain("I7", f"lease {fence} was sent before it was durable")

    def granted(self, fence: int) -> None:
        """The grant of a start leaves the leader."""
        seen = self.by_fence.get(fence)
        if seen is None or seen.fence != fence:
            if fence not in self.given_up:
                self.complain("I7", f"start {fence} was granted before it was durable")
        elif seen.phase != "started" and seen.over_at is None:
            self.complain("I7", f"start {fence} was granted before it was durable")

    def result_kept(self, fence: int) -> None:
        """The acknowledgement of a result leaves the leader."""
        seen = self.by_fence.get(fence)
        if fence in self.given_up:
            return
        if seen is None or (seen.fence == fence and seen.over_at is None):
            self.complain(
                "I7", f"result {fence} was acknowledged before it was durable"
            )

    def output_kept(self, fence: int, offset: int) -> None:
        """An acknowledgement of output leaves the leader."""
        self.kept[fence] = max(offset, self.kept.get(fence, 0))
        if offset > len(self.stored.get(fence, b"")):
            self.complain("I7", f"output of {fence} to {offset} is not stored")

    def output_stored(self, fence: int, offset: int, data: bytes) -> None:
        """A piece of output became durable."""
        log = self.stored.setdefault(fence, bytearray())
        if offset != len(log):
            self.complain("I8", f"output of {fence}: {offset} stored after {len(log)}")
        log += data

    # What processes say -----------------------------------------------------------------

    def began(self, spawn: Spawn) -> None:
        """A process begins."""
        seen = self.executions.get(spawn.execution_id)
        if seen is None or self.by_fence.get(spawn.fence) is not seen:
            self.complain("I15", f"process {spawn.fence} runs, nothing explains it")
        self.spawns[spawn.fence].append(spawn)
        if len(self.spawns[spawn.fence]) > 1:
            self.complain("I4", f"fence {spawn.fence} was started twice")
        if seen is not None and seen.delivery == "at_most_once":
            self._begin_once(spawn)
        self.processes_of[spawn.execution_id].append(spawn)
        given_up = self.given_up.get(spawn.fence)
        # What was decided in time may be late (its host was frozen in between).
        if given_up is not None and given_up < spawn.ordered_at:
            self.complain("I4", f"fence {spawn.fence} was begun after it was given up")
        self._crowd(spawn)

    def _begin_once(self, spawn: Spawn) -> None:
        """Only a job that retries begins again, and only after a failure that is known."""
        earlier = self.processes_of[spawn.execution_id]
        may_retry = spawn.job in self.retries
        if any(not (may_retry and one.has_failed) for one in earlier):
            self.complain("I4", f"{spawn.execution_id} was started again")

    def _crowd(self, spawn: Spawn) -> None:
        here = self.living[spawn.host]
        here.append(spawn)
        slots = self.slots.get(spawn.host)
        if slots is not None and len(here) > slots:
            self.complain("I9", f"{len(here)} processes on {spawn.host}")
        limit = self.limits.get(spawn.job)
        if limit is None:
            return
        crowd = [
            one
            for each in self.living.values()
            for one in each
            if one.job == spawn.job and one.fence not in self.given_up
        ]
        if len(crowd) > limit:
            self.complain("I9", f"{len(crowd)} processes of job {spawn.job}")

    def printed(self, spawn: Spawn, data: bytes) -> None:
        spawn.printed += data

    def finished(self, spawn: Spawn, how: str, code: int = 0) -> None:
        """A process ends, by itself or not."""
        spawn.how, spawn.code, spawn.ended_at = how, code, self.now
        self.living[spawn.host].remove(spawn)
        self.progress_at = self.now

    def crashed(self, host: str) -> None:
        """The power of a host is cut: pages of its disk may be lost."""
        for spawns in self.spawns.values():
            for spawn in spawns:
                if spawn.host == host:
                    kept = self.kept.get(spawn.fence, 0)
                    spawn.is_cut_short |= kept < len(spawn.printed)

    # In the end -------------------------------------------------------------------------

    def fault(self, start: int, end: int) -> None:
        """Something was broken meanwhile."""
        self.faults.append((start, end))

    def _is_explained(self, late: int) -> bool:
        since = self.now - late
        return any(
            start <= self.now and end + RECOVERY >= since for start, end in self.faults
        )

    def conclude(self, *, leader_now: int, healed_at: int) -> None:
        """Judge what has come to rest."""
        for rule in self.rules.values():
            self._conclude_rule(rule, leader_now)
        for execution_id in self.acked:
            if execution_id not in self.executions:
                self.complain("I7", f"execution {execution_id} is gone")
        for seen in self.executions.values():
            self._conclude_execution(seen)
        for fence, spawns in self.spawns.items():
            for spawn in spawns:
                self._conclude_spawn(fence, spawn, healed_at)

    def _conclude_rule(self, rule: Rule, leader_now: int) -> None:
        until = leader_now - WINDOW if rule.until is None else rule.until
        due = rule.since - rule.since % rule.period + rule.period
        # Of an extended record the last word counts.
        ranges = tuple(dict(self.ranges[rule.schedule_id]).items())
        missed = 0
        first = due
        while due < until:
            decided = self.decided.get((rule.schedule_id, due))
            if not decided:
                is_recorded = any(start <= due <= end for start, end in ranges)
                if decided is None and not is_recorded:
                    first = first if missed else due
                    missed += 1
            elif any(start <= due <= end for start, end in ranges):
                self.complain("I1", f"{rule.schedule_id} at {due} started and skipped")
            due += rule.period
        if missed:
            words = f"{rule.schedule_id}: {missed} due times undecided from {first} on"
            self.complain("I2", words)

    def _conclude_execution(self, seen: Seen) -> None:
        name = f"{seen.id} ({seen.job})"
        if seen.state not in FINAL:
            self.complain("I12", f"{name} is {seen.state} still")
            return
        spawns = self.spawns.get(seen.fence, [])
        last = spawns[-1] if spawns else None
        self._verdict(name, seen, last)
        self._completed(name, seen)
        if last is not None and seen.state in COMPLETED:
            stored = bytes(self.stored.get(seen.fence, b""))
            printed = bytes(last.printed)
            if last.is_cut_short or seen.fence in self.unnoted:
                printed = printed[: len(stored)]
            if stored != printed:
                words = f"{name}: {len(stored)} of {len(last.printed)} bytes of output"
                self.complain("I8", words)

    def _completed(self, name: str, seen: Seen) -> None:
        if seen.cancel_wanted or seen.is_dead_letter:
            return
        if seen.delivery == "at_least_once" and seen.state not in COMPLETED:
            self.complain("I5", f"{name} is {seen.state}, never completed")
        failures = sum(one.has_failed for one in self.processes_of[seen.id])
        has_begun = bool(self.spawns.get(seen.fence))
        is_failure = seen.state in {"failed", "timed_out"} and has_begun
        if is_failure and failures <= self.retries.get(seen.job, 0):
            self.complain("I5", f"{name} is {seen.state} after {failures} failures")

    def _verdict(self, name: str, seen: Seen, last: Spawn | None) -> None:
        did = "nothing" if last is None else last.how
        if did == "exit":
            did = "succeeded" if last is not None and last.code == 0 else "failed"
        fits = {
            "succeeded": {"succeeded"},
            "failed": {"failed", "signal", *(() if seen.token else {"nothing"})},
            "timed_out": {"timeout"},
            "cancelled": {"cancel", "nothing"},
            "skipped": {"nothing"},
            "lost": {"swept", "gone", "nothing", *({did} if last else ())},
        }[seen.state]
        if seen.state == "cancelled" and seen.job in self.retries:
            fits |= {"failed", "signal", "timeout"}  # it waited for its next attempt
        if seen.state == "cancelled" and not seen.cancel_wanted:
            self.complain("I6", f"{name} is cancelled, and nobody asked for it")
        if did not in fits:
            self.complain("I6", f"{name} is {seen.state}, its process: {did}")
        if (
            seen.state == "lost"
            and last is not None
            and last.is_recorded
            and did not in {"swept", "gone"}
        ):
            self.complain("I6", f"{name} is lost, but its host knows that it {did}")
        code = last.code if last is not None and did == "failed" else seen.exit_code
        if seen.state == "failed" and seen.exit_code != code:
            self.complain("I6", f"{name}: exit {seen.exit_code}, not {code}")

    def _conclude_spawn(self, fence: int, spawn: Spawn, healed_at: int) -> None:
        over = self.given_up.get(fence)
        if over is None:
            return
        limit = max(over, healed_at) + 2 * ORPHAN
        ended = self.now if spawn.ended_at is None else spawn.ended_at
        seen = self.executions.get(spawn.execution_id)
        is_lost = seen is not None and seen.fence == fence and seen.state == "lost"
        if is_lost and spawn.ended_at is not None:
            return  # a lost one may run to its end: its result still counts
        if ended > limit or spawn.ended_at is None:
            self.complain("I11", f"process {fence} outlived its attempt")
