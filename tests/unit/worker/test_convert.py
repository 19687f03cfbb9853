from __future__ import annotations

from jobs_grpc.v1 import worker_service_pb2 as wire
from jobs_grpc.worker.attempts.attempt import Attempt
from jobs_grpc.worker.attempts.outbox import News
from jobs_grpc.worker.attempts.table import State
from jobs_grpc.worker.connection import convert
from jobs_grpc.worker.keeper.record import ExitRecord, Survivor
from jobs_grpc.worker.keeper.record import Outcome as Ending
from jobs_grpc.worker.keeper.record import Receipt as Proof
from jobs_grpc.worker.keeper.record import SignalSent as Sent
from jobs_grpc.worker.processes.result import OUTCOMES, result_of
from jobs_grpc.worker.work import (
    Command,
    Delivery,
    FunctionCall,
    Lease,
    Outcome,
    Progress,
    ReportKind,
    Script,
    Verdict,
)
from unit.worker.stand_ins import a_lease, a_result


def test_a_full_lease_is_read_in_every_detail() -> None:
    message = wire.Lease(
        fence=1,
        execution_id="e",
        attempt=2,
        namespace="n",
        workspace="w",
        job="j",
        delivery=wire.DELIVERY_AT_LEAST_ONCE,
        work=wire.Work(
            script=wire.ScriptWork(text="t", interpreter="bash"),
            environment={"A": "b"},
            working_dir="d",
            stdin=b"in",
            params={"p": "q"},
        ),
        output_limit=5,
        traceparent="00",
    )
    message.scheduled_for.FromMicroseconds(1_500_000)
    message.timeout.FromMilliseconds(1_500)
    message.cancel.signal = "INT"
    message.cancel.grace.FromMilliseconds(250)
    assert convert.lease(message) == Lease(
        fence=1,
        execution_id="e",
        attempt=2,
        namespace="n",
        workspace="w",
        job="j",
        delivery=Delivery.AT_LEAST_ONCE,
        call=Script("t", "bash"),
        scheduled_for=1_500_000,
        timeout_seconds=1.5,
        signal="INT",
        grace_seconds=0.25,
        output_limit=5,
        traceparent="00",
        environment={"A": "b"},
        working_dir="d",
        stdin=b"in",
        params={"p": "q"},
    )


def test_an_empty_lease_has_careful_defaults() -> None:
    lease = convert.lease(wire.Lease(fence=1))
    assert lease.delivery is Delivery.AT_MOST_ONCE
    assert lease.call is None
    assert lease.timeout_seconds is None
    assert (lease.signal, lease.grace_seconds) == ("TERM", 10.0)
    assert lease.output_limit == 64 << 20


def test_every_kind_of_work_is_known() -> None:
    kinds = {
        "command": wire.Work(command=wire.CommandWork(argv=["a", "b"])),
        "script": wire.Work(script=wire.ScriptWork(text="t")),
        "function": wire.Work(function=wire.FunctionWork(name="f")),
    }
    calls = {
        kind: convert.lease(wire.Lease(work=work)).call for kind, work in kinds.items()
    }
    assert calls == {
        "command": Command(argv=("a", "b")),
        "script": Script("t"),
        "function": FunctionCall("f"),
    }
    oneof = wire.Work.DESCRIPTOR.oneofs_by_name["kind"]
    assert {field.name for field in oneof.fields} == set(kinds)


def test_every_word_of_the_contract_is_mapped() -> None:
    assert set(convert.OUTCOMES) == set(Outcome)
    assert set(convert.OUTCOMES.values()) == set(wire.AttemptOutcome.values()) - {0}
    assert set(convert.VERDICTS) == set(wire.InventoryVerdict.values()) - {0}
    assert set(convert.VERDICTS.values()) == set(Verdict)
    assert set(convert.PHASES.values()) == set(wire.AttemptPhase.values()) - {0}
    assert set(OUTCOMES) == set(Ending)


def test_a_hello_carries_the_inventory() -> None:
    attempts = [Attempt.of_lease(a_lease(fence)) for fence in (1, 2)]
    attempts[1].state = State.RUNNING
    attempts[1].started_at = 1_500_000
    introduction = convert.Introduction("id", "name", {"a": "b"}, 3, ("f",), "1.0")
    hello = convert.hello(
        introduction, session_id="s", highest_term=4, inventory=attempts
    ).hello
    assert (hello.worker_id, hello.worker_name, hello.session_id) == ("id", "name", "s")
    assert (hello.slots, hello.highest_term, hello.version) == (3, 4, "1.0")
    assert (list(hello.functions), dict(hello.labels)) == (["f"], {"a": "b"})
    assert (hello.protocol_min, hello.protocol_max) == (1, 1)
    one, two = hello.inventory
    assert (one.fence, one.execution_id, one.attempt) == (1, "execution-1", 1)
    assert one.phase == wire.ATTEMPT_PHASE_LEASED
    assert not one.HasField("started_at")
    assert two.phase == wire.ATTEMPT_PHASE_RUNNING
    assert two.started_at.ToMicroseconds() == 1_500_000


def test_a_verdict_of_a_newer_leader_is_left_out() -> None:
    answers = [
        wire.Welcome.Answer(fence=1, verdict=wire.INVENTORY_VERDICT_ADOPT),
        wire.Welcome.Answer(fence=2, verdict=99),  # type: ignore[arg-type]
    ]
    message = wire.Welcome(session_id="s", term=2, protocol=1, answers=answers)
    message.heartbeat_every.seconds = 10
    message.session_ttl.seconds = 30
    welcome = convert.welcome(message)
    assert welcome.verdicts == {1: Verdict.ADOPT}
    assert (welcome.heartbeat_seconds, welcome.ttl_seconds) == (10, 30)


def test_reports_carry_what_is_known() -> None:
    attempt = Attempt.of_lease(a_lease(7))
    attempt.started_at, attempt.pid = 1_500_000, 17
    attempt.progress = Progress(2_000_000, 0.5, "half")
    attempt.result = result_of(
        ExitRecord(
            fence=7,
            outcome=Ending.TIMED_OUT,
            exit_code=0,
            signal="KILL",
            started_at_us=1_000_000,
            finished_at_us=3_000_000,
            cpu_user_us=11,
            cpu_system_us=12,
            peak_memory_bytes=13,
            output_bytes=14,
            output_dropped=15,
            receipt=Proof(
                signals=(Sent(signal="TERM", sent_at_us=2_500_000, processes=3),),
                survivors=(Survivor(pid=9, name="nfs"),),
                output_leaked=True,
            ),
        ),
        timeout_seconds=2,
    )
    batch = [News(kind, attempt) for kind in ReportKind]
    starting, started, progress, finished = convert.reports(batch).reports.reports
    assert starting.WhichOneof("report") == "starting"
    assert (started.started.pid, started.started.at.ToMicroseconds()) == (17, 1_500_000)
    assert (progress.progress.fraction, progress.progress.message) == (0.5, "half")
    end = finished.finished
    assert {one.fence for one in (starting, started, progress, finished)} == {7}
    assert end.outcome == wire.ATTEMPT_OUTCOME_TIMED_OUT
    assert end.HasField("exit_code")
    assert (end.exit_code, end.signal) == (0, "KILL")
    assert end.error == "timed out after 2s"
    assert end.finished_at.ToMicroseconds() == 3_000_000
    assert end.usage.cpu_user.ToMicroseconds() == 11
    assert end.usage.cpu_system.ToMicroseconds() == 12
    assert end.usage.peak_memory_bytes == 13
    assert (end.output_bytes, end.output_dropped) == (14, 15)
    assert end.receipt.signals[0].sent_at.ToMicroseconds() == 2_500_000
    assert list(end.receipt.survivors) == ["nfs (9)"]
    assert end.receipt.output_leaked


def test_absent_things_stay_absent() -> None:
    attempt = Attempt.of_lease(a_lease(7))
    attempt.result = a_result(Outcome.NOT_STARTED)._replace(started_at=0)
    (report,) = convert.reports([News(ReportKind.FINISHED, attempt)]).reports.reports
    end = report.finished
    for name in ("started_at", "exit_code", "usage", "receipt"):
        assert not end.HasField(name)


def a_record(outcome: Ending, **fields: object) -> ExitRecord:
    return ExitRecord(fence=1, outcome=outcome, finished_at_us=1, **fields)  # type: ignore[arg-type]


def test_an_exit_record_is_put_into_words() -> None:
    told = {
        record: (result_of(record).outcome, result_of(record).error)
        for record in (
            a_record(Ending.EXITED, exit_code=0),
            a_record(Ending.EXITED, exit_code=3),
            a_record(Ending.SIGNALED, signal="SEGV"),
            a_record(Ending.CANCELLED, reason="by alice"),
            a_record(Ending.START_FAILED, error="no \udcff such file"),
            a_record(Ending.LOST),
        )
    }
    assert list(told.values()) == [
        (Outcome.SUCCEEDED, ""),
        (Outcome.FAILED, "exited with code 3"),
        (Outcome.FAILED, "ended by signal SEGV"),
        (Outcome.CANCELLED, "by alice"),
        (Outcome.FAILED, "no \\udcff such file"),
        (Outcome.LOST, "the keeper of the process was lost"),
    ]
