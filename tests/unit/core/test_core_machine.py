"""Whatever happens, in whatever order: the promises of the core hold.

The machine plays users, a clock, leaders that are killed between any two steps (and
between a step and its commit), and hosts that lose streams, messages, or their disk, and
that talk about attempts which are not theirs. After each thing that happens it compares
everything the core believes with everything the store has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jobs_grpc.controlplane.core.rows.changes import ExecutionRow
from jobs_grpc.controlplane.core.state.draft import Step
from jobs_grpc.controlplane.core.state.effects import (
    CancelWanted,
    LeaseGranted,
    Message,
    ResultKept,
    SessionGone,
    SessionWelcomed,
    StartGranted,
    StartRefused,
)
from jobs_grpc.controlplane.core.state.inputs import (
    Beat,
    BeginPause,
    Cancel,
    CloseSession,
    DeleteJob,
    EndPauses,
    Finished,
    Held,
    Input,
    Reports,
    SetJobEnabled,
    Started,
    Starting,
    StreamClosed,
)
from jobs_grpc.controlplane.core.state.pauses import Meanwhile, PauseKind, Scope
from jobs_grpc.controlplane.core.state.states import FAILURES, FINAL, Move, State
from jobs_grpc.controlplane.storage.store import StoreFailedError
from support.jobs import (
    NAMESPACE,
    SECOND,
    apply,
    hello,
    key,
    result,
    spec,
    submission,
    submit,
)
from support.stage import Stage, finish

JOBS = ("a", "b")
HOSTS = ("w0", "w1", "w2")
SLOTS = {"w0": 1, "w1": 2, "w2": 3}
ENDS = (Move.SUCCEED, Move.FAIL, Move.TIME_OUT, Move.LOSE)

jobs = st.sampled_from(JOBS)
hosts = st.sampled_from(HOSTS)
schedules = st.sampled_from(
    ["every 1s", ["every 2s", {"name": "other", "every": "3s"}], "every 10s", []]
)
overlaps = st.sampled_from(
    [
        "skip",
        "allow",
        {"policy": "allow", "max": 2},
        {"policy": "queue", "max": 2},
        "replace",
    ]
)
catch_ups = st.sampled_from(["none", "latest", {"mode": "all", "max": 3}])
retries = st.sampled_from([0, 2, {"delays": [1, 3]}, {"delays": [0], "on": ["lost"]}])
picks = st.integers(0, 1_000)
pause_scopes = st.sampled_from(
    [
        *(Scope(PauseKind.JOB, *key(name)) for name in JOBS),
        Scope(PauseKind.NAMESPACE, NAMESPACE),
        Scope(PauseKind.ALL),
    ]
)


@dataclass(slots=True)
class Attempt:
    execution_id: str
    needs_grant: bool
    # leased, starting, running, finished
    phase: str = "leased"
    move: Move = Move.SUCCEED
    never_began: bool = False


@dataclass(slots=True)
class Host:
    """An honest worker: it starts nothing twice, and forgets nothing by itself."""

    name: str
    session_id: str = ""
    stream: int = 0
    attempts: dict[int, Attempt] = field(default_factory=dict)

    def begin(self, fence: int, starts: Counter[str]) -> None:
        attempt = self.attempts[fence]
        attempt.phase = "running"
        starts[attempt.execution_id] += 1

    def obey(self, verdicts: Iterable[tuple[int, str]]) -> None:
        for fence, verdict in verdicts:
            if verdict == "cancel":
                self.stop(fence)
            elif verdict == "forget":
                del self.attempts[fence]

    def stop(self, fence: int) -> None:
        attempt = self.attempts[fence]
        if attempt.phase != "finished":
            attempt.never_began = attempt.phase != "running"
            attempt.phase, attempt.move = "finished", Move.CANCEL


class CoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()
        self.hosts = {name: Host(name) for name in HOSTS}
        self.was_set_back = False
        self.starts: Counter[str] = Counter()
        # Executions that must not be started twice.
        self.once: set[str] = set()
        self.fences: list[int] = []
        self.pauses = 0
        self.final: dict[str, ExecutionRow] = {}

    # The wire.

    def send(self, *inputs: Input) -> Step:
        try:
            step = self.stage.step(*inputs)
        except StoreFailedError as error:
            # A schedule was dropped and made anew while the clock was set back. The
            # unique key holds, and the next term stands past what was decided.
            if not self.was_set_back or "decided already" not in str(error):
                raise
            return self.begin_term(after=0)
        for message in step.messages:
            self.deliver(message)
        return step

    def deliver(self, message: Message) -> None:
        if isinstance(message, LeaseGranted):
            self.fences.append(message.fence)
            if not message.execution.may_run_twice:
                self.once.add(message.execution.id)
        for host in self.hosts.values():
            if isinstance(message, SessionWelcomed):
                if host.stream == message.stream:
                    host.session_id = message.session_id
                    self.hear(host, message)
            elif host.stream and host.session_id == message.session_id:
                self.hear(host, message)

    def hear(self, host: Host, message: Message) -> None:
        match message:
            case SessionWelcomed():
                host.obey(message.verdicts)
            case LeaseGranted():
                assert message.fence not in host.attempts
                host.attempts[message.fence] = Attempt(
                    message.execution.id,
                    needs_grant=not message.execution.may_run_twice,
                )
            case StartGranted():
                if host.attempts[message.fence].phase == "starting":
                    host.begin(message.fence, self.starts)
            case StartRefused() | ResultKept():
                host.attempts.pop(message.fence, None)
            case CancelWanted():
                if message.fence in host.attempts:
                    host.stop(message.fence)
            case SessionGone():
                host.session_id, host.stream = "", 0

    # What users do.

    @rule(
        name=jobs,
        schedule=schedules,
        overlap=overlaps,
        catch_up=catch_ups,
        idempotent=st.booleans(),
        retry=retries,
        quarantine=st.sampled_from([False, 1, 3]),
        queue=st.sampled_from(["default", "low", "critical"]),
    )
    def define(self, name: str, **keys: Any) -> None:
        self.send(apply(spec(name=name, **keys)))

    @rule(name=jobs)
    def delete(self, name: str) -> None:
        self.send(DeleteJob(key(name)))

    @rule(name=jobs, enabled=st.booleans())
    def switch(self, name: str, enabled: bool) -> None:
        self.send(SetJobEnabled(key(name), enabled))

    @rule(
        name=jobs,
        count=st.integers(1, 3),
        later=st.sampled_from([None, None, 0, 1, 20]),
        request_id=st.sampled_from([None, None, "r1", "r2"]),
    )
    def submit(
        self, name: str, count: int, later: int | None, request_id: str | None
    ) -> None:
        known = finish(
            self.stage.store.executions_of_requests(
                namespace=NAMESPACE, request_ids=[request_id or ""]
            )
        )
        if known:
            return
        not_before = None if later is None else self.stage.now + later * SECOND
        self.send(
            submit(
                *(
                    submission(name, not_before=not_before, request_id=one)
                    for one in [request_id, *[None] * (count - 1)]
                )
            )
        )

    @rule(
        count=st.integers(1, 4),
        idempotent=st.booleans(),
        retry=retries,
        priority=st.integers(1, 5),
        command=st.sampled_from(["true", "true", ["echo", "{{nobody}}"]]),
    )
    def submit_ad_hoc(self, count: int, **keys: Any) -> None:
        self.send(submit(*(submission(spec=spec(**keys)) for _ in range(count))))

    @precondition(lambda self: self.stage.core.live.executions)
    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        live = list(self.stage.core.live.executions)
        id_ = live[pick % len(live)]
        self.send(Cancel(namespace=NAMESPACE, execution_id=id_, reason="enough"))

    @rule(name=jobs)
    def cancel_job(self, name: str) -> None:
        self.send(Cancel(namespace=NAMESPACE, job=key(name), reason="enough"))

    @rule(
        scope=pause_scopes,
        meanwhile=st.sampled_from(list(Meanwhile)),
        seconds=st.sampled_from([None, 1, 7, 90]),
    )
    def pause(self, scope: Scope, meanwhile: Meanwhile, seconds: int | None) -> None:
        until = None if seconds is None else self.stage.now + seconds * SECOND
        self.pauses += 1
        self.send(
            BeginPause(
                id=f"p{self.pauses}",
                scope=scope,
                note="",
                who="alice",
                until=until,
                meanwhile=meanwhile,
            )
        )

    @rule(scope=pause_scopes)
    def resume(self, scope: Scope) -> None:
        self.send(EndPauses(scope=scope, who="bob"))

    @rule(name=jobs, other=jobs)
    def do_many_things_in_one_step(self, name: str, other: str) -> None:
        self.send(
            apply(spec(name=name, command="one", schedule="every 2s")),
            submit(submission(name)),
            DeleteJob(key(other)),
            apply(spec(name=other, command="two", schedule="every 2s")),
            submit(submission(other)),
            apply(spec(name=name, command="three")),
        )

    # Time and leaders.

    @rule(seconds=st.integers(0, 5))
    def tick(self, seconds: int) -> None:
        for _ in range(seconds):
            self.stage.now += SECOND
            self.send(
                *(Beat(one.session_id) for one in self.hosts.values() if one.stream)
            )

    @rule(seconds=st.sampled_from([-3_600, -10, 30, 61, 600, 90_000]))
    def set_the_clock(self, seconds: int) -> None:
        self.was_set_back |= seconds < 0
        self.stage.now += seconds * SECOND
        self.send()

    @rule(seconds=st.sampled_from([10, 40]))
    def be_silent(self, seconds: int) -> None:
        """Nobody beats: sessions may end."""
        for _ in range(seconds):
            self.stage.now += SECOND
            self.send()

    @rule(after=st.sampled_from([0, 1, 40, 300]), lose_a_step=st.booleans())
    def kill_the_leader(self, after: int, lose_a_step: bool) -> None:
        stage = self.stage
        if lose_a_step:
            # Decided, and killed before the commit: nobody has heard of it.
            stage.now += SECOND
            stage.core.step([submit(submission(spec=spec()))], stage.now)
        self.begin_term(after=after)

    def begin_term(self, *, after: int) -> Step:
        for host in self.hosts.values():
            host.stream = 0
        return self.stage.restart(after=after)

    # What hosts do.

    @rule(name=hosts)
    def connect(self, name: str) -> None:
        host = self.hosts[name]
        self.stage.streams += 1
        host.stream = self.stage.streams
        held = tuple(
            Held(
                fence=fence,
                phase=attempt.phase,
                started_at=self.stage.now if attempt.phase == "running" else None,
            )
            for fence, attempt in host.attempts.items()
        )
        self.send(hello(name, stream=host.stream, slots=SLOTS[name], held=held))

    @rule(name=hosts, is_noticed=st.booleans())
    def cut(self, name: str, is_noticed: bool) -> None:
        host = self.hosts[name]
        stream, host.stream = host.stream, 0
        if stream and is_noticed:
            self.send(StreamClosed(host.session_id, stream))

    @rule(name=hosts)
    def say_goodbye(self, name: str) -> None:
        host = self.hosts[name]
        if host.stream:
            self.send(CloseSession(host.session_id, host.stream))
            host.stream = 0

    @rule(name=hosts, keeps_what_runs=st.booleans())
    def lose_memory(self, name: str, keeps_what_runs: bool) -> None:
        """The program restarts without what it had not written, or with a new disk."""
        host = self.hosts[name]
        host.stream = 0
        host.attempts = {
            fence: attempt
            for fence, attempt in host.attempts.items()
            if keeps_what_runs and attempt.phase != "leased"
        }

    @rule(name=hosts, pick=picks, move=st.sampled_from(ENDS))
    def work(self, name: str, pick: int, move: Move) -> None:
        """One attempt of a host goes on by one phase, and says so if it can."""
        host = self.hosts[name]
        if not host.attempts:
            return
        fence = list(host.attempts)[pick % len(host.attempts)]
        attempt = host.attempts[fence]
        if attempt.phase == "leased" and attempt.needs_grant:
            attempt.phase = "starting"
        elif attempt.phase == "leased":
            host.begin(fence, self.starts)
        elif attempt.phase == "running":
            attempt.phase, attempt.move = "finished", move
        self.tell(host, fence)

    def tell(self, host: Host, fence: int) -> None:
        if not host.stream:
            return
        attempt, now = host.attempts[fence], self.stage.now
        report: Starting | Started | Finished
        if attempt.phase == "starting":
            report = Starting(fence)
        elif attempt.phase == "running":
            report = Started(fence, now)
        else:
            ended = result(attempt.move, at=now, never_began=attempt.never_began)
            report = Finished(fence, ended)
        self.send(Reports(host.session_id, (report,)))

    @precondition(lambda self: self.fences)
    @rule(name=hosts, pick=picks, kind=st.integers(0, 2))
    def lie(self, name: str, pick: int, kind: int) -> None:
        """A host speaks of an attempt that it does not have."""
        host = self.hosts[name]
        fence = [*self.fences, 1][pick % (len(self.fences) + 1)]
        execution = self.stage.core.live.by_fence.get(fence)
        lost = self.stage.core.live.lost.get(fence)
        if any(
            one is not None and one.worker == name for one in (execution, lost)
        ) or any(fence in one.attempts for one in [host]):
            return
        now = self.stage.now
        report = (Starting(fence), Started(fence, now), Finished(fence, result(at=now)))
        if host.stream:
            step = self.send(Reports(host.session_id, (report[kind],)))
            assert not [row for row in step.changes.ended if row.state != "lost"]

    # What must hold.

    @invariant()
    def a_due_time_is_decided_once(self) -> None:
        decided = {(row.schedule_id, row.due_at): row for row in self.stage.decisions()}
        scheduled = [row for row in self.stage.rows() if row.schedule_id]
        starts = Counter((row.schedule_id, row.scheduled_for) for row in scheduled)
        assert set(starts.values()) <= {1}
        assert {row.id for row in scheduled} == {
            row.execution_id for row in decided.values() if row.outcome == "started"
        }
        # Two schedules of one job that name an instant start it once.
        runs = Counter((row.job_id, row.scheduled_for) for row in scheduled)
        assert set(runs.values()) <= {1}

    @invariant()
    def no_slot_is_given_twice(self) -> None:
        for session in self.stage.core.live.sessions.values():
            assert len(session.leases) <= SLOTS[session.worker]

    @invariant()
    def fences_grow(self) -> None:
        assert self.fences == sorted(set(self.fences))

    @invariant()
    def what_is_over_stays_as_it_is(self) -> None:
        rows = {row.id: row for row in self.stage.rows()}
        for id_, row in self.final.items():
            assert rows[id_] == row or row.state == "lost"
        self.final = {
            id_: row for id_, row in rows.items() if State(row.state) in FINAL
        }

    @invariant()
    def the_core_is_what_is_written(self) -> None:
        live = self.stage.core.live
        unfinished = {
            row.id: row for row in self.stage.rows() if State(row.state) not in FINAL
        }
        assert set(live.executions) == set(unfinished)
        for id_, execution in live.executions.items():
            row, moved = unfinished[id_], execution.moved_row()
            if moved.phase == "started":
                # The worker's own instant of the start is written with the end.
                moved = moved._replace(started_at=row.started_at)
            assert moved == tuple(getattr(row, name) for name in moved._fields)

    @invariant()
    def every_execution_waits_or_is_leased(self) -> None:
        core = self.stage.core
        heaps = [
            execution.id
            for queue in core.waiting.queues.values()
            for waiting_class in queue.classes.values()
            for *_, execution in waiting_class.heap
            if execution.state is State.PENDING and not execution.is_leased
        ]
        later = [
            execution.id
            for at, _, execution in core._executions._later._heap
            if (
                execution.state is State.SCHEDULED
                or (
                    execution.state is State.RETRYING
                    and execution.retry is not None
                    and execution.retry.due_at == at
                )
            )
        ]
        leased = [
            execution.id
            for session in core.live.sessions.values()
            for fence, execution in session.leases.items()
            if execution.fence == fence and core.live.by_fence[fence] is execution
        ]
        held = [id_ for id_, one in core.live.executions.items() if one.hold]
        assert sorted([*heaps, *later, *leased, *held]) == sorted(core.live.executions)
        assert len(leased) == len(core.live.by_fence)

    @invariant()
    def nothing_waits_while_a_slot_is_free(self) -> None:
        core = self.stage.core
        if any(session.free_slots > 0 for session in core.live.sessions.values()):
            assert not [
                one
                for one in core.live.executions.values()
                if one.state is State.PENDING and not one.is_leased and not one.hold
            ]

    @invariant()
    def pauses_in_force_are_those_that_are_written(self) -> None:
        rows = finish(self.stage.store.load_active()).pauses
        in_force = {one.id: one.row() for one in self.stage.core.pauses}
        assert in_force == {row.pause_id: row for row in rows}
        latest = self.stage.core.pauses.next_end()
        assert latest is None or latest > self.stage.now

    @invariant()
    def what_is_held_is_written_and_waits_for_another_of_its_job(self) -> None:
        live = self.stage.core.live
        held = [one for one in live.executions.values() if one.hold]
        rows = finish(self.stage.store.load_active()).holds
        assert sorted(rows) == sorted((one.seq, *one.hold) for one in held if one.hold)
        for execution in held:
            job = live.job_of(execution)
            assert job is not None
            assert any(
                other.hold is None and other.state is not State.SCHEDULED
                for other in job.active.values()
            )

    @invariant()
    def what_was_tried_again_is_written_as_it_is_counted(self) -> None:
        rows = finish(self.stage.store.load_active()).retries
        assert sorted(rows) == sorted(
            one.retry.row(one.seq)
            for one in self.stage.core.live.executions.values()
            if one.retry is not None
        )
        for execution in self.stage.core.live.executions.values():
            policy = execution.spec.retry
            if execution.retry is not None and execution.retry.retries:
                assert policy is not None
                assert execution.retry.retries <= policy.max_retries

    @invariant()
    def what_may_run_once_is_started_once(self) -> None:
        assert not [id_ for id_ in self.once if self.starts[id_] > 1]

    @invariant()
    def counters_agree_with_the_history(self) -> None:
        rows = [row for row in self.stage.rows() if State(row.state) in FINAL]
        for job in self.stage.core.live.jobs.values():
            states = Counter(
                State(row.state) for row in rows if row.job_id == job.job_id
            )
            assert job.run_count == states.total()
            assert job.success_count == states[State.SUCCEEDED]
            assert job.failure_count == sum(states[state] for state in FAILURES)
        for queue in self.stage.core.waiting.queues.values():
            states = Counter(
                State(row.state) for row in rows if row.queue == queue.name
            )
            assert queue.completed == states[State.SUCCEEDED]
            assert queue.failed == sum(states[state] for state in FAILURES)

    def teardown(self) -> None:
        """With every host back and honest, everything ends."""
        for name in JOBS:
            self.send(SetJobEnabled(key(name), False))
        live = self.stage.core.live.executions.values()
        latest = max(
            (
                max(one.scheduled_for, one.retry.due_at if one.retry else 0)
                for one in live
            ),
            default=0,
        )
        self.stage.now = max(self.stage.now, latest) + 61 * SECOND
        for _ in range(1_000):
            for name in HOSTS:
                if not self.hosts[name].stream:
                    self.connect(name)
            self.tick(1)
            for host in self.hosts.values():
                for fence in tuple(host.attempts):
                    if fence in host.attempts:
                        self.work_off(host, fence)
            if not self.stage.core.live.executions:
                break
        assert not self.stage.core.live.executions
        for check in (
            self.what_is_over_stays_as_it_is,
            self.counters_agree_with_the_history,
            self.what_may_run_once_is_started_once,
        ):
            check()

    def work_off(self, host: Host, fence: int) -> None:
        attempt = host.attempts[fence]
        if attempt.phase == "leased":
            attempt.phase = "starting" if attempt.needs_grant else "running"
            if attempt.phase == "running":
                self.starts[attempt.execution_id] += 1
        elif attempt.phase == "running":
            attempt.phase = "finished"
        self.tell(host, fence)


TestCore = CoreMachine.TestCase
TestCore.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, database=None
)
