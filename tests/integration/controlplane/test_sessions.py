from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from jobs_grpc.controlplane.core.fleet import session_time
from jobs_grpc.controlplane.core.fleet.sessions import SESSION_TTL
from jobs_grpc.controlplane.rpc import worker_service
from jobs_grpc.v1 import (
    breaker_service_pb2,
    execution_pb2,
    fleet_service_pb2,
    queue_service_pb2,
)
from jobs_grpc.v1 import execution_service_pb2 as executions
from jobs_grpc.v1 import worker_service_pb2 as pb
from jobs_grpc.wire.states import STATE_WORDS
from jobs_grpc.wire.time import duration, microseconds, timestamp
from support.calls import Calls, fields_of, refused
from support.jobs import NOON, SECOND
from support.plane import Plane
from support.scripted_worker import ScriptedWorker, entry
from support.until import until

AT_LEAST_ONCE = json.dumps({"name": "twice", "command": "true", "idempotent": True})


async def fleet(calls: Calls) -> dict[str, fleet_service_pb2.Worker]:
    answer = await calls.fleet.ListWorkers(fleet_service_pb2.ListWorkersRequest())
    return {worker.name: worker for worker in answer.workers}


async def until_state(calls: Calls, id_: str, state: str) -> None:
    async def is_so() -> bool:
        return await calls.state(id_) == state

    await until(is_so)


async def until_listed_with(calls: Calls, reason: str) -> None:
    async def is_so() -> bool:
        return (await fleet(calls))["w1"].no_work_reason == reason

    await until(is_so)


async def until_listed(
    calls: Calls, state: fleet_service_pb2.WorkerState.ValueType
) -> None:
    async def is_so() -> bool:
        return (await fleet(calls))["w1"].state == state

    await until(is_so)


@pytest.fixture(autouse=True)
async def backup(calls: Calls) -> None:
    await calls.apply({"name": "backup", "command": "true", "timeout": "90s"})


async def test_an_execution_goes_from_lease_to_end(calls: Calls) -> None:
    id_ = await calls.run(params={})
    async with ScriptedWorker(calls) as worker:
        assert worker.welcome.term == 1
        assert worker.welcome.protocol == 1
        assert microseconds(worker.welcome.session_ttl) == SESSION_TTL
        assert microseconds(worker.welcome.heartbeat_every) * 3 == SESSION_TTL
        lease = await worker.lease()
        assert (lease.execution_id, lease.attempt, lease.job) == (id_, 1, "backup")
        assert lease.delivery == pb.Delivery.DELIVERY_AT_MOST_ONCE
        assert lease.work.command.line == "true"
        assert microseconds(lease.timeout) == 90 * SECOND
        assert (lease.cancel.signal, microseconds(lease.cancel.grace)) == (
            "TERM",
            10 * SECOND,
        )
        assert lease.output_limit == 64 * 1024 * 1024
        await worker.start(lease.fence)
        assert await calls.state(id_) == "running"
        await worker.finish(
            lease.fence,
            "failed",
            exit_code=3,
            output_bytes=12,
            output_dropped=5,
            usage=execution_pb2.Usage(
                cpu_user=duration(1_500), cpu_system=duration(20), peak_memory_bytes=4
            ),
            receipt=execution_pb2.KillReceipt(
                signals=[
                    execution_pb2.KillReceipt.SignalSent(
                        signal="TERM", sent_at=timestamp(NOON), processes=2
                    )
                ],
                survivors=["sleep 7"],
                output_leaked=True,
            ),
        )
    execution = await calls.execution(id_)
    assert STATE_WORDS[execution.state] == "failed"
    assert (execution.exit_code, execution.output_bytes) == (3, 12)
    assert (execution.output_dropped, execution.worker) == (5, "w1")
    assert execution.started_at == timestamp(NOON)
    assert execution.finished_at == timestamp(NOON + SECOND)
    assert microseconds(execution.usage.cpu_user) == 1_500
    assert execution.usage.peak_memory_bytes == 4
    assert list(execution.receipt.survivors) == ["sleep 7"]
    assert execution.receipt.output_leaked
    assert execution.receipt.signals[0].signal == "TERM"
    statistics = (await calls.job("backup")).statistics
    assert (statistics.run_count, statistics.failure_count) == (1, 1)
    assert statistics.last_error == "Command failed: exit status 3"


async def test_params_reach_the_work(calls: Calls) -> None:
    await calls.apply(
        {
            "name": "greet",
            "command": ["echo", "{{who}}"],
            "environment": {"WHO": "{{who}}"},
            "params": {"who": "nobody", "count": 3},
        },
        {"name": "call", "function": "report", "params": {"count": 3}},
    )
    await calls.run("greet", params={"who": "alice"})
    await calls.run("call")
    async with ScriptedWorker(calls, slots=2, functions=["report"]) as worker:
        leases = {lease.job: lease.work for lease in await worker.leases(2)}
    assert list(leases["greet"].command.argv) == ["echo", "alice"]
    assert leases["greet"].environment == {"WHO": "alice"}
    assert leases["greet"].params == {"who": "alice", "count": "3"}
    assert leases["call"].function.name == "report"
    assert json.loads(leases["call"].function.arguments_json) == {"count": 3}


async def test_a_worker_gets_no_more_than_its_slots(calls: Calls) -> None:
    ids = await calls.submit(*[executions.Submission(job="backup")] * 5)
    async with ScriptedWorker(calls, slots=2) as worker:
        leases = await worker.leases(2)
        assert await worker.quiet() == []
        await worker.start(leases[0].fence)
        await worker.finish(leases[0].fence)
        third = await worker.lease()
        assert [one.execution_id for one in (*leases, third)] == ids[:3]
        answer = await calls.queues.ListQueues(queue_service_pb2.ListQueuesRequest())
        assert (answer.slots_total, answer.slots_used) == (2, 2)
        assert (answer.workers_total, answer.workers_active) == (1, 1)


async def test_many_leases_arrive_in_order_and_once(calls: Calls) -> None:
    async with ScriptedWorker(calls, slots=1_000) as worker:
        ids = await calls.submit(*[executions.Submission(job="backup")] * 1_000)
        leases = await worker.leases(1_000)
        assert [lease.execution_id for lease in leases] == ids
        fences = [lease.fence for lease in leases]
        assert fences == sorted(set(fences))


async def test_a_start_that_was_cancelled_is_refused(calls: Calls) -> None:
    id_ = await calls.run()
    async with ScriptedWorker(calls) as worker:
        lease = await worker.lease()
        await calls.cancel(execution_id=id_)
        await worker.start_in_vain(lease.fence)
        assert await calls.state(id_) == "cancelled"


async def test_a_cancel_reaches_the_worker_and_its_end_is_awaited(
    calls: Calls,
) -> None:
    id_ = await calls.run()
    async with ScriptedWorker(calls) as worker:
        lease = await worker.lease()
        await worker.start(lease.fence)
        await calls.cancel(job="backup")
        message = await worker.hear()
        (cancel,) = message.cancels.cancels
        assert (cancel.fence, cancel.reason) == (
            lease.fence,
            "cancelled by anonymous",
        )
        assert await calls.state(id_) == "cancelling"
        await worker.finish(lease.fence, "cancelled")
    assert await calls.state(id_) == "cancelled"


async def test_a_repeated_result_is_acknowledged_again(calls: Calls) -> None:
    id_ = await calls.run()
    async with ScriptedWorker(calls) as worker:
        lease = await worker.run()
        await worker.finish(lease.fence, "failed")
    assert await calls.state(id_) == "succeeded"


async def test_an_attempt_that_was_never_begun_is_leased_again(calls: Calls) -> None:
    await calls.run()
    async with ScriptedWorker(calls) as worker:
        first = await worker.lease()
        await worker.finish(first.fence, "not_started")
        second = await worker.lease()
        assert (second.execution_id, second.attempt) == (first.execution_id, 2)
        assert second.fence > first.fence


async def test_a_session_outlives_its_stream(calls: Calls) -> None:
    id_ = await calls.run()
    async with ScriptedWorker(calls) as worker:
        lease = await worker.lease()
        await worker.start(lease.fence)
    await until_listed(calls, fleet_service_pb2.WORKER_STATE_DISCONNECTED)
    assert await calls.state(id_) == "running"
    held = entry(lease.fence, "running", started_at=timestamp(NOON))
    async with ScriptedWorker(calls, inventory=[held]) as again:
        assert again.welcome.session_id == worker.welcome.session_id
        assert again.verdicts() == {lease.fence: "adopt"}
        await again.finish(lease.fence)
    assert await calls.state(id_) == "succeeded"
    assert (await calls.execution(id_)).attempt == 1


async def test_a_lease_that_was_lost_with_its_stream_is_given_again(
    calls: Calls,
) -> None:
    id_ = await calls.run()
    async with ScriptedWorker(calls) as worker:
        first = await worker.lease()
    async with ScriptedWorker(calls) as again:
        second = await again.lease()
        assert second.execution_id == id_
        assert second.fence > first.fence
        await again.start_in_vain(first.fence)
        assert await again.quiet() == []


async def test_a_newer_stream_sends_the_older_one_away(calls: Calls) -> None:
    async with ScriptedWorker(calls) as old, ScriptedWorker(calls) as new:
        message = await old.hear()
        assert "another stream" in message.go_away.reason
        await old.hear_the_end()
        await calls.run()
        assert (await new.lease()).job == "backup"
        assert (await fleet(calls))["w1"].state == (
            fleet_service_pb2.WORKER_STATE_ONLINE
        )


async def test_a_goodbye_ends_the_session(calls: Calls) -> None:
    async with ScriptedWorker(calls) as worker:
        await worker.say(goodbye=pb.Goodbye(reason="stop"))
        await until_listed(calls, fleet_service_pb2.WORKER_STATE_OFFLINE)
        # Whoever goes on talking is sent away, to say hello again.
        await worker.say(heartbeat=pb.Heartbeat(sequence=1))
        while not (message := await worker.hear()).HasField("go_away"):
            pass
        assert message.go_away.reason


async def test_beats_are_echoed(calls: Calls) -> None:
    async with ScriptedWorker(calls) as worker:
        for sequence in (1, 2, 3):
            await worker.say(heartbeat=pb.Heartbeat(sequence=sequence))
            assert (await worker.hear()).heartbeat_ack.sequence == sequence


async def test_beside_many_others_a_worker_is_told_to_speak_less_often(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One beat in ten seconds, so that one worker is as many as the usual time allows.
    monkeypatch.setattr(session_time, "RATE", 1)
    monkeypatch.setattr(session_time, "_SECOND", 10 * SECOND)
    async with ScriptedWorker(calls, "first") as first:
        assert microseconds(first.welcome.session_ttl) == SESSION_TTL
        async with ScriptedWorker(calls, "second") as second:
            assert microseconds(second.welcome.session_ttl) == 2 * SESSION_TTL
            assert microseconds(second.welcome.heartbeat_every) == 20 * SECOND
            await first.say(heartbeat=pb.Heartbeat(sequence=1))
            ack = (await first.hear()).heartbeat_ack
            assert microseconds(ack.session_ttl) == 2 * SESSION_TTL
            assert microseconds(ack.heartbeat_every) == 20 * SECOND


async def test_a_worker_is_listed_with_what_it_has(calls: Calls) -> None:
    await calls.run()
    async with ScriptedWorker(
        calls, "builder", slots=4, labels={"role": "db"}, functions=["f"]
    ) as worker:
        await worker.lease()
        found = (await fleet(calls))["builder"]
    assert (found.id, found.slots, found.slots_used) == ("id-of-builder", 4, 1)
    assert (dict(found.labels), list(found.functions)) == ({"role": "db"}, ["f"])
    assert found.state == fleet_service_pb2.WORKER_STATE_ONLINE
    assert found.last_heartbeat_at.seconds >= found.connected_at.seconds > 0


async def test_a_worker_that_takes_no_work_is_listed_with_the_reason(
    calls: Calls,
) -> None:
    async with ScriptedWorker(calls) as worker:
        await until_listed_with(calls, "")
        await worker.say(heartbeat=pb.Heartbeat(closed="its disk is full"))
        await until_listed_with(calls, "its disk is full")
        assert (await fleet(calls))["w1"].state == fleet_service_pb2.WORKER_STATE_ONLINE
        await worker.say(heartbeat=pb.Heartbeat())
        await until_listed_with(calls, "")
        await worker.say(heartbeat=pb.Heartbeat(closed="its disk is full"))
        await until_listed_with(calls, "its disk is full")
    # Its state says enough then.
    await until_listed_with(calls, "")


async def test_a_worker_whose_breaker_is_open_is_listed_with_the_reason(
    calls: Calls,
) -> None:
    async with ScriptedWorker(calls):
        await calls.breakers.TripBreaker(
            breaker_service_pb2.TripBreakerRequest(name="worker:w1", reason="smells")
        )
        found = (await fleet(calls))["w1"]
    assert "worker:w1" in found.no_work_reason
    assert "smells" in found.no_work_reason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"protocol_min": 2, "protocol_max": 3}, "PROTOCOL_MISMATCH"),
        ({"protocol_min": 0, "protocol_max": 0}, "PROTOCOL_MISMATCH"),
        ({"slots": 0}, "INVALID_ARGUMENT"),
        ({"slots": -1}, "INVALID_ARGUMENT"),
        ({"worker_id": ""}, "INVALID_ARGUMENT"),
    ],
)
async def test_a_hello_that_makes_no_sense_is_refused(
    calls: Calls, fields: dict[str, Any], reason: str
) -> None:
    async def connect() -> None:
        stream = calls.workers.Connect()
        await stream.write(
            pb.WorkerMessage(hello=ScriptedWorker(calls, **fields).hello)
        )
        await stream.read()
        raise await _error_of(stream)

    refusal = await refused(connect(), reason)
    assert refusal.message
    assert await fleet(calls) == {}


async def test_the_first_message_must_be_hello(calls: Calls) -> None:
    async def connect() -> None:
        stream = calls.workers.Connect()
        await stream.write(pb.WorkerMessage(heartbeat=pb.Heartbeat(sequence=1)))
        await stream.read()
        raise await _error_of(stream)

    await refused(connect(), "INVALID_ARGUMENT")


async def _error_of(stream: Any) -> grpc.RpcError:
    """Return how a stream ended, as an error of a call."""
    try:
        async for _ in stream:
            pass
    except grpc.RpcError as error:
        return error
    raise AssertionError("the stream ended without an error")


async def test_nonsense_of_a_worker_disturbs_nobody(plane: Plane, calls: Calls) -> None:
    id_ = await calls.run()
    far = Timestamp(seconds=2**60)
    async with ScriptedWorker(calls) as worker:
        lease = await worker.lease()
        await worker.say()  # a message of a kind that is not known here
        await worker.say(
            reports=pb.Reports(
                reports=[
                    pb.Report(),
                    pb.Report(fence=-1, starting=pb.Starting()),
                    pb.Report(fence=2**62, finished=pb.Finished(outcome=99)),  # type: ignore[arg-type]
                    pb.Report(fence=lease.fence, started=pb.Started(at=far)),
                    pb.Report(
                        fence=lease.fence, progress=pb.Progress(fraction=float("nan"))
                    ),
                ]
            )
        )
        assert await worker.kept() == 2**62
        usage = execution_pb2.Usage(peak_memory_bytes=2**62)
        usage.cpu_user.seconds = 2**60
        await worker.finish(
            lease.fence, started_at=far, finished_at=far, exit_code=-1, usage=usage
        )
        assert (await calls.info()).term == 1
    execution = await calls.execution(id_)
    assert STATE_WORDS[execution.state] == "succeeded"
    assert execution.finished_at.ToDatetime().year == 9999
    assert plane.leader.core.live.executions == {}


async def test_work_that_may_run_twice_needs_no_grant(calls: Calls) -> None:
    (id_,) = await calls.submit(executions.Submission(document_json=AT_LEAST_ONCE))
    async with ScriptedWorker(calls) as worker:
        lease = await worker.lease()
        assert lease.delivery == pb.Delivery.DELIVERY_AT_LEAST_ONCE
        await worker.report(lease.fence, started=pb.Started(at=timestamp(NOON)))
        await until_state(calls, id_, "running")
    # Its worker lost it: it runs again.
    async with ScriptedWorker(calls) as again:
        assert (await again.lease()).attempt == 2


async def test_when_the_leader_changes_workers_come_back_and_go_on(
    plane: Plane, calls: Calls
) -> None:
    id_ = await calls.run()
    async with ScriptedWorker(calls) as worker:
        lease = await worker.lease()
        await worker.start(lease.fence)
        # Somebody else takes the term: the next commit ends this one.
        await plane.store.acquire_term(holder="other", address="b", now=0)
        await refused(calls.run(), "NOT_LEADING")
        while not (message := await worker.hear()).HasField("go_away"):
            pass
        assert microseconds(message.go_away.reconnect_after) == SECOND // 2
        await worker.hear_the_end()
    await until(lambda: plane.leader.term >= 3)
    held = entry(lease.fence, "running", started_at=timestamp(NOON))
    async with ScriptedWorker(calls, inventory=[held], highest_term=1) as again:
        assert again.welcome.term == 3
        assert again.verdicts() == {lease.fence: "adopt"}
        await again.finish(lease.fence)
    assert await calls.state(id_) == "succeeded"


async def test_a_herd_of_workers_is_shed(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_service, "MOST_GREETINGS", 0)
    call = calls.workers.Connect()
    hello = pb.Hello(
        worker_id="w", worker_name="w", slots=1, protocol_min=1, protocol_max=1
    )
    await call.write(pb.WorkerMessage(hello=hello))
    message = await call.read()
    assert message.WhichOneof("message") == "go_away"
    assert message.go_away.reason == "too many workers come at once"
    assert 0.5 <= microseconds(message.go_away.reconnect_after) / 1e6 <= 5
    call.cancel()


LEGAL_LABELS = ("team:a", "_x", "a+b", "höhe", "a@b", "zone/1")


async def test_whatever_a_selector_may_ask_for_can_be_put_on_a_worker(
    calls: Calls,
) -> None:
    for number, name in enumerate(LEGAL_LABELS):
        selector = {"selector": {name: "1"}}
        await calls.apply(
            {"name": f"j{number}", "command": "true", "targets": selector}
        )
    async with ScriptedWorker(calls, labels=dict.fromkeys(LEGAL_LABELS, "1")):
        request = fleet_service_pb2.LabelWorkerRequest(
            worker="w1", labels=dict.fromkeys(LEGAL_LABELS, "2")
        )
        labeled = (await calls.fleet.LabelWorker(request)).worker
        assert dict(labeled.labels) == dict.fromkeys(LEGAL_LABELS, "2")


@pytest.mark.parametrize(
    ("labels", "rule"),
    [
        ({"a b": "1"}, "must be 1 to 128 letters, digits or characters of"),
        ({"-a": "1"}, "must be 1 to 128 letters, digits or characters of"),
        ({"role": "a\nb"}, "must be at most 256 printable characters"),
    ],
)
async def test_a_label_that_no_selector_may_ask_for_is_refused_with_the_rule(
    calls: Calls, labels: dict[str, str], rule: str
) -> None:
    async with ScriptedWorker(calls):
        request = fleet_service_pb2.LabelWorkerRequest(worker="w1", labels=labels)
        refusal = await refused(calls.fleet.LabelWorker(request), "INVALID_ARGUMENT")
        assert rule in refusal.message
        assert fields_of(refusal) == ["labels"]
    stream = calls.workers.Connect()
    hello = ScriptedWorker(calls, "w2", labels=labels).hello
    await stream.write(pb.WorkerMessage(hello=hello))
    refusal = await refused(stream.read(), "INVALID_ARGUMENT")
    assert rule in refusal.message


async def test_a_label_is_taken_away_by_a_name_that_is_one(calls: Calls) -> None:
    async with ScriptedWorker(calls):
        for field in ("removed", "given_back"):
            request = fleet_service_pb2.LabelWorkerRequest(worker="w1")
            getattr(request, field).append("a b")
            answer = calls.fleet.LabelWorker(request)
            refusal = await refused(answer, "INVALID_ARGUMENT")
            assert fields_of(refusal) == ["labels"]
