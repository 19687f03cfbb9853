"""PlanJobs over the wire."""

from __future__ import annotations

import json
from typing import Any

from jobs_grpc.v1 import job_service_pb2 as pb
from jobs_grpc.wire.time import timestamp
from support.calls import Calls, refused
from support.jobs import NOON, SECOND
from support.scripted_worker import ScriptedWorker

JOB = {"name": "backup", "command": "true"}


async def planned(calls: Calls, *documents: Any, **fields: Any) -> pb.PlanJobsResponse:
    answer: pb.PlanJobsResponse = await calls.jobs.PlanJobs(
        pb.PlanJobsRequest(
            documents=[pb.JobDocument(json=json.dumps(one)) for one in documents],
            **fields,
        )
    )
    return answer


async def test_a_plan_says_what_would_change_and_changes_nothing(calls: Calls) -> None:
    await calls.apply({**JOB, "schedule": "0 0 1 1 *"})
    wanted = {**JOB, "schedule": "0 0 1 1,7 *", "timeout": "1h"}
    answer = await planned(calls, wanted, {**JOB, "name": "other"}, count=4)
    backup, other = answer.plans
    assert backup.outcome == pb.APPLY_OUTCOME_UPDATED
    assert backup.revision == 2
    assert {one.key: one.after_json for one in backup.changes} == {
        "schedule": '"0 0 1 1,7 *"',
        "timeout": '"1h"',
    }
    changes = [pb.DueTimeChange.Name(one.change)[16:] for one in backup.due_times]
    assert sorted(changes) == ["ADDED", "ADDED", "KEPT", "KEPT"]
    assert not backup.HasField("expected_duration")
    assert backup.overlap == "skip"
    assert other.outcome == pb.APPLY_OUTCOME_CREATED
    assert not other.due_times
    assert answer.workers_connected == 0
    job = await calls.job("backup")
    assert (job.revision, len(job.schedules)) == (1, 1)
    again = await planned(calls, {**JOB, "schedule": "0 0 1 1 *"})
    assert again.plans[0].outcome == pb.APPLY_OUTCOME_UNCHANGED
    assert not again.plans[0].changes


async def test_a_plan_refuses_what_an_apply_would_refuse(calls: Calls) -> None:
    await refused(planned(calls, {"name": "a/b", "command": "x"}), "JOB_INVALID")
    await refused(planned(calls, {**JOB, "queue": "nowhere"}), "QUEUE_NOT_FOUND")
    await refused(
        planned(calls, *({**JOB, "name": f"j{n}"} for n in range(300)), count=200),
        "INVALID_ARGUMENT",
    )


async def test_runs_that_succeeded_tell_what_will_collide(calls: Calls) -> None:
    await calls.apply({**JOB, "timeout": "2h"})
    async with ScriptedWorker(calls, "db-1", labels={"role": "db"}) as worker:
        # The one that failed is no measure.
        for minutes, outcome in ((90, "succeeded"), (80, "succeeded"), (1, "failed")):
            await calls.run()
            await worker.run(
                outcome, finished_at=timestamp(NOON + minutes * 60 * SECOND)
            )
        wanted = {
            **JOB,
            "timeout": "2h",
            "schedule": "@hourly",
            "targets": {"selector": {"role": "db"}},
        }
        answer = await planned(calls, wanted, {**JOB, "name": "new"}, count=4)
    plan, new = answer.plans
    assert (plan.measured, plan.expected_duration.seconds) == (2, 80 * 60)
    due = [one.due_at.seconds for one in plan.due_times]
    assert [one.seconds for one in plan.collisions] == [due[1], due[3]]
    assert list(plan.workers) == ["db-1"]
    assert answer.workers_connected == 1
    assert not new.HasField("expected_duration")
