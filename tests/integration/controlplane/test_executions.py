from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from jobs_grpc.controlplane.rpc import execution_service
from jobs_grpc.v1 import execution_pb2, queue_service_pb2
from jobs_grpc.v1 import execution_service_pb2 as pb
from jobs_grpc.wire.channel import MAX_SUBMISSIONS
from jobs_grpc.wire.states import STATE_WORDS
from jobs_grpc.wire.time import duration, timestamp
from support.calls import Calls, fields_of, refused
from support.jobs import HOUR, SECOND
from support.plane import Plane
from support.scripted_worker import ScriptedWorker

AD_HOC = json.dumps({"name": "ad-hoc", "command": "echo hi"})


def now() -> int:
    return time.time_ns() // 1_000


def submission(**fields: Any) -> pb.Submission:
    return pb.Submission(**{"job": "backup", **fields})


async def listed(calls: Calls, **fields: Any) -> tuple[list[str], str]:
    answer = await calls.executions.ListExecutions(pb.ListExecutionsRequest(**fields))
    return [one.id for one in answer.executions], answer.next_page_token


@pytest.fixture
async def backup(calls: Calls) -> None:
    await calls.apply({"name": "backup", "command": "true"})


# Submitting.


async def test_a_batch_is_answered_in_its_order(calls: Calls, backup: None) -> None:
    ids = await calls.submit(
        submission(),
        pb.Submission(document_json=AD_HOC),
        submission(not_before=timestamp(now() + HOUR)),
    )
    found = [await calls.execution(id_) for id_ in ids]
    assert [(one.job, STATE_WORDS[one.state]) for one in found] == [
        ("backup", "pending"),
        ("ad-hoc", "pending"),
        ("backup", "scheduled"),
    ]
    assert [one.job_revision for one in found] == [1, 0, 1]


async def test_who_asked_and_why_is_kept(calls: Calls, backup: None) -> None:
    request = pb.SubmitExecutionsRequest(
        submissions=[submission(trigger=execution_pb2.TRIGGER_MANUAL)]
    )
    answer = await calls.executions.SubmitExecutions(
        request, metadata=(("x-jobs-grpc-user", "alice"),)
    )
    execution = await calls.execution(answer.execution_ids[0])
    assert execution.requested_by == "alice"
    assert execution.trigger == execution_pb2.TRIGGER_MANUAL
    other = await calls.execution(await calls.run())
    assert (other.requested_by, other.trigger) == (
        "anonymous",
        execution_pb2.TRIGGER_API,
    )


async def test_a_repeated_request_id_creates_nothing_new(
    calls: Calls, backup: None
) -> None:
    first = await calls.run(request_id="r1")
    assert await calls.run(request_id="r1") == first
    ids = await calls.submit(
        submission(request_id="r1"), submission(request_id="r2"), submission()
    )
    assert ids[0] == first
    assert len({*ids}) == 3
    await calls.cancel(execution_id=first)
    assert await calls.run(request_id="r1") == first
    assert len((await listed(calls))[0]) == 3


async def test_the_same_request_sent_many_times_at_once_creates_one_execution(
    calls: Calls, backup: None
) -> None:
    ids = await asyncio.gather(*(calls.run(request_id="r") for _ in range(20)))
    assert len(set(ids)) == 1
    assert len((await listed(calls))[0]) == 1


@pytest.mark.parametrize("count", [0, MAX_SUBMISSIONS + 1])
async def test_a_batch_has_one_to_a_thousand_submissions(
    calls: Calls, backup: None, count: int
) -> None:
    refusal = await refused(calls.submit(*[submission()] * count), "INVALID_ARGUMENT")
    assert fields_of(refusal) == ["submissions"]


async def test_a_thousand_are_accepted_at_once(calls: Calls, backup: None) -> None:
    ids = await calls.submit(*[submission()] * MAX_SUBMISSIONS)
    assert len(set(ids)) == MAX_SUBMISSIONS


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (pb.Submission(job="nobody"), "JOB_NOT_FOUND"),
        (pb.Submission(), "INVALID_ARGUMENT"),
        (pb.Submission(document_json="{"), "JOB_INVALID"),
        (pb.Submission(document_json='{"name":"x"}'), "JOB_INVALID"),
        (
            pb.Submission(document_json='{"name":"x","command":"y","queue":"z"}'),
            "QUEUE_NOT_FOUND",
        ),
        (
            pb.Submission(document_json='{"name":"x","command":"y","namespace":"ops"}'),
            "INVALID_ARGUMENT",
        ),
        (submission(not_before=Timestamp(seconds=2**60)), "INVALID_ARGUMENT"),
        (submission(not_before=Timestamp(seconds=-(2**60))), "INVALID_ARGUMENT"),
        (submission(trigger=99), "INVALID_ARGUMENT"),
    ],
)
async def test_a_batch_with_one_bad_submission_creates_nothing(
    calls: Calls, backup: None, wrong: pb.Submission, reason: str
) -> None:
    await refused(calls.submit(wrong, submission()), reason)
    assert await listed(calls) == ([], "")
    # And nobody else is disturbed.
    assert (await calls.info()).term == 1
    await calls.run()


async def test_params_are_checked_against_their_declarations(calls: Calls) -> None:
    await calls.apply(
        {
            "name": "backup",
            "command": ["echo", "{{who}}", "{{count}}"],
            "params": {
                "who": {"type": "string", "pattern": "[a-z]+"},
                "count": 1,
            },
        }
    )
    refusal = await refused(calls.run(), "JOB_INVALID")
    assert "who" in str(refusal.violations)
    await refused(calls.run(params={"who": "ALICE"}), "JOB_INVALID")
    await refused(calls.run(params={"who": "alice", "count": "x"}), "JOB_INVALID")
    await refused(calls.run(params={"who": "alice", "unknown": "x"}), "JOB_INVALID")
    id_ = await calls.run(params={"who": "alice", "count": "2"})
    assert (await calls.execution(id_)).params == {"who": "alice", "count": "2"}


async def test_an_execution_waits_in_the_queue_of_its_job(calls: Calls) -> None:
    for queue, count in (("critical", 1), ("low", 2)):
        document = json.dumps({"name": "x", "command": "y", "queue": queue})
        await calls.submit(*[pb.Submission(document_json=document)] * count)
    await calls.submit(
        pb.Submission(document_json=AD_HOC, not_before=timestamp(now() + HOUR))
    )
    answer = await calls.queues.ListQueues(queue_service_pb2.ListQueuesRequest())
    found = {
        queue.name: (queue.weight, queue.pending, queue.scheduled, queue.active)
        for queue in answer.queues
    }
    assert found == {
        "critical": (6, 1, 0, 0),
        "default": (3, 0, 1, 0),
        "low": (1, 2, 0, 0),
    }


# Reading.


async def test_an_execution_is_found_by_the_beginning_of_its_id(
    plane: Plane, calls: Calls
) -> None:
    ids = await calls.submit(*[pb.Submission(document_json=AD_HOC)] * 3)
    found = await calls.execution(ids[0][:13].upper())
    assert found.id == ids[0]
    await refused(calls.execution("ffff-none"), "EXECUTION_NOT_FOUND")
    await refused(calls.execution(ids[0], namespace="ops"), "EXECUTION_NOT_FOUND")
    refusal = await refused(calls.execution(ids[0][:3]), "INVALID_ARGUMENT")
    assert fields_of(refusal) == ["execution_id"]

    def make_alike() -> None:
        connection = plane.store._writer._connection
        assert connection is not None
        connection.execute("update executions set id = 'beef-' || seq")

    await plane.store._writer._run(make_alike)
    refusal = await refused(calls.execution("beef"), "AMBIGUOUS_ID")
    assert refusal.hint.count("beef-") == 3


async def test_executions_are_listed_newest_first_in_pages(
    calls: Calls, backup: None
) -> None:
    ids = await calls.submit(*[submission()] * 25)
    seen: list[str] = []
    token = ""
    for _ in range(4):
        page, token = await listed(calls, page_size=10, page_token=token)
        seen += page
        if not token:
            break
        await calls.run()
    assert seen == ids[::-1]


async def test_executions_are_listed_by_job_state_and_workspace(
    calls: Calls, backup: None
) -> None:
    await calls.apply({"name": "sync", "command": "x", "workspace": "shop"})
    (theirs,) = await calls.submit(pb.Submission(job="sync"), workspace="shop")
    mine, cancelled = await calls.submit(submission(), submission())
    await calls.cancel(execution_id=cancelled)
    assert await listed(calls, workspace="shop") == ([theirs], "")
    assert await listed(calls, job="backup") == ([cancelled, mine], "")
    states = execution_pb2.ExecutionState
    assert await listed(calls, states=[states.EXECUTION_STATE_CANCELLED]) == (
        [cancelled],
        "",
    )
    pending = [states.EXECUTION_STATE_PENDING, states.EXECUTION_STATE_RUNNING]
    assert await listed(calls, states=pending) == ([mine, theirs], "")
    assert await listed(calls, namespace="ops") == ([], "")
    await refused(listed(calls, states=[99]), "INVALID_ARGUMENT")


@pytest.mark.parametrize("token", ["x", '["a"]', "[1, 2]", "[null]", f"[{10**30}]"])
async def test_a_page_token_that_is_not_ours_is_refused(
    calls: Calls, token: str
) -> None:
    refusal = await refused(listed(calls, page_token=token), "INVALID_ARGUMENT")
    assert fields_of(refusal) == ["page_token"]


# Waiting and cancelling.


async def test_waiting_ends_with_the_execution(calls: Calls, backup: None) -> None:
    id_ = await calls.run()
    waiting = asyncio.create_task(calls.wait(id_))
    async with ScriptedWorker(calls) as worker:
        await worker.run("failed", exit_code=3)
    ended = await waiting
    assert STATE_WORDS[ended.state] == "failed"
    assert ended.exit_code == 3
    assert ended.error == "Command failed: exit status 3"
    assert (await calls.wait(id_)) == ended


async def test_waiting_ends_after_its_time_with_the_state_as_it_is(
    calls: Calls, backup: None
) -> None:
    id_ = await calls.run()
    for seconds in (0.0, 0.05, -1.0):
        assert STATE_WORDS[(await calls.wait(id_, seconds)).state] == "pending"
    await refused(calls.wait("ffff-none"), "EXECUTION_NOT_FOUND")


async def test_what_waits_is_cancelled_and_cannot_be_cancelled_again(
    calls: Calls, backup: None
) -> None:
    id_ = await calls.run()
    assert await calls.cancel(execution_id=id_[:13]) == [id_]
    execution = await calls.execution(id_)
    assert STATE_WORDS[execution.state] == "cancelled"
    assert execution.error == "cancelled by anonymous"
    await refused(
        calls.cancel(execution_id=id_),
        "NOT_RUNNING",
        code=grpc.StatusCode.FAILED_PRECONDITION,
    )
    await refused(calls.cancel(job="backup"), "NOT_RUNNING")
    await refused(calls.cancel(job="nobody"), "JOB_NOT_FOUND")
    await refused(calls.cancel(execution_id="ffff-none"), "EXECUTION_NOT_FOUND")
    await refused(
        calls.cancel(execution_id=id_, namespace="ops"), "EXECUTION_NOT_FOUND"
    )


async def test_all_executions_of_a_job_are_cancelled_together(
    calls: Calls, backup: None
) -> None:
    ids = await calls.submit(*[submission()] * 3)
    other = (await calls.submit(pb.Submission(document_json=AD_HOC)))[0]
    assert sorted(await calls.cancel(job="backup")) == sorted(ids)
    assert await calls.state(other) == "pending"


async def test_the_server_says_what_it_is_and_has(calls: Calls, backup: None) -> None:
    await calls.run()
    info = await calls.info()
    assert (info.term, info.jobs, info.schedules, info.active_executions) == (
        1,
        1,
        0,
        1,
    )
    assert info.store.startswith("sqlite ")
    assert info.version
    assert info.timezone_data
    assert abs(info.started_at.ToMicroseconds() - now()) < 60 * SECOND


async def test_without_a_leader_everything_is_refused_for_now(plane: Plane) -> None:
    calls = plane.calls
    plane.leader._step_down()
    refusal = await refused(
        calls.submit(pb.Submission(document_json=AD_HOC)),
        "NOT_LEADING",
        code=grpc.StatusCode.UNAVAILABLE,
    )
    assert refusal.hint == "try again in a few seconds"
    await refused(calls.apply({"name": "x", "command": "y"}), "NOT_LEADING")
    await refused(calls.info(), "NOT_LEADING")
    # What is committed can still be read.
    assert await listed(calls) == ([], "")


async def test_a_wait_for_years_is_cut_to_the_longest_allowed(
    calls: Calls, backup: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution_service, "LONGEST_WAIT", 0.05)
    request = pb.WaitExecutionRequest(
        id=await calls.run(), timeout=duration(10**9 * SECOND)
    )
    answer = await calls.executions.WaitExecution(request, timeout=10)
    assert STATE_WORDS[answer.execution.state] == "pending"
