from __future__ import annotations

from typing import Any

import grpc
import pytest

from jobs_grpc.v1 import job_service_pb2 as pb
from jobs_grpc.v1 import schedule_service_pb2 as schedules
from jobs_grpc.wire.channel import MAX_DOCUMENTS
from support.calls import Calls, fields_of, refused
from support.plane import Plane

JOB = {"name": "backup", "command": "true"}


def outcomes(answer: pb.ApplyJobsResponse) -> list[str]:
    return [
        pb.ApplyOutcome.Name(one.outcome).removeprefix("APPLY_OUTCOME_").lower()
        for one in answer.results
    ]


async def listed(calls: Calls, **fields: Any) -> tuple[list[str], str]:
    answer = await calls.jobs.ListJobs(pb.ListJobsRequest(**fields))
    return [job.name for job in answer.jobs], answer.next_page_token


async def test_a_definition_is_applied_read_back_and_deleted(calls: Calls) -> None:
    document = {**JOB, "schedule": "0 0 1 1 *", "labels": {"team": "dba"}}
    assert outcomes(await calls.apply(document)) == ["created"]
    assert outcomes(await calls.apply(document)) == ["unchanged"]
    assert outcomes(await calls.apply({**document, "command": "x"})) == ["updated"]
    job = await calls.job("backup")
    assert (job.namespace, job.workspace) == ("default", "_standalone_")
    assert (job.revision, job.type, job.source) == (2, "command", "api")
    assert job.enabled
    (schedule,) = job.schedules
    assert schedule.rule == "cron 0 0 1 1 *"
    assert job.next_run_at == schedule.next_due_at
    assert job.next_run_at.seconds > job.created_at.seconds
    assert job.statistics.run_count == 0
    await calls.jobs.DeleteJob(pb.DeleteJobRequest(job=pb.JobRef(name="backup")))
    await refused(calls.job("backup"), "JOB_NOT_FOUND", code=grpc.StatusCode.NOT_FOUND)


async def test_a_request_reports_every_problem_and_changes_nothing(
    calls: Calls,
) -> None:
    refusal = await refused(
        calls.apply(
            {"name": "good", "command": "x"},
            {"name": "a/b", "command": "x"},
            {"name": "c", "comand": "x", "schedule": "61 * * * *"},
            "{",
        ),
        "JOB_INVALID",
        code=grpc.StatusCode.INVALID_ARGUMENT,
    )
    assert len(refusal.violations) >= 4
    text = "\n".join(
        f"{violation.field}: {violation.description}"
        for violation in refusal.violations
    )
    assert "comand" in text
    assert "schedule" in text
    assert await listed(calls) == ([], "")


async def test_an_unknown_queue_is_refused_with_the_known_ones(calls: Calls) -> None:
    refusal = await refused(
        calls.apply(JOB, {"name": "b", "command": "x", "queue": "nowhere"}),
        "QUEUE_NOT_FOUND",
    )
    assert fields_of(refusal) == ["queue"]
    assert "critical, default, low" in refusal.hint
    assert 'job "default/b"' in refusal.message
    assert await listed(calls) == ([], "")


async def test_one_name_twice_in_a_request_is_refused(calls: Calls) -> None:
    refusal = await refused(calls.apply(JOB, JOB), "INVALID_ARGUMENT")
    assert "defined twice" in refusal.message
    assert fields_of(refusal) == ["name"]


async def test_text_that_no_database_takes_is_refused(calls: Calls) -> None:
    strange = '{"name":"x","command":"y","description":"\\ud800"}'
    await refused(calls.apply(strange), "JOB_INVALID")
    assert (await calls.info()).term == 1


async def test_too_many_documents_are_refused(calls: Calls) -> None:
    refusal = await refused(
        calls.apply(*["{}"] * (MAX_DOCUMENTS + 1)), "INVALID_ARGUMENT"
    )
    assert f"at most {MAX_DOCUMENTS}" in refusal.hint


async def test_a_workspace_is_no_single_document(calls: Calls) -> None:
    workspace = {"name": "shop", "jobs": [JOB, {**JOB, "name": "other"}]}
    refusal = await refused(calls.apply(workspace), "JOB_INVALID")
    assert "must be one job" in str(refusal)


async def test_validation_alone_changes_nothing(calls: Calls) -> None:
    assert outcomes(await calls.apply(JOB, validate_only=True)) == ["created"]
    assert await listed(calls) == ([], "")


async def test_a_job_is_switched_off_and_on(calls: Calls) -> None:
    await calls.apply({**JOB, "schedule": "every 1h"})
    for enabled in (False, True):
        request = pb.SetJobEnabledRequest(job=pb.JobRef(name="backup"), enabled=enabled)
        answer = await calls.jobs.SetJobEnabled(request)
        assert answer.job.enabled is enabled
        assert answer.job.HasField("next_run_at") is enabled
    missing = pb.SetJobEnabledRequest(job=pb.JobRef(name="nobody"), enabled=True)
    await refused(calls.jobs.SetJobEnabled(missing), "JOB_NOT_FOUND")


async def test_namespaces_and_workspaces_keep_jobs_apart(calls: Calls) -> None:
    await calls.apply(JOB, {**JOB, "workspace": "shop"}, {**JOB, "namespace": "ops"})
    await calls.apply({**JOB, "name": "theirs"}, namespace="ops")
    assert await listed(calls) == (["backup", "backup"], "")
    assert await listed(calls, workspace="shop") == (["backup"], "")
    assert await listed(calls, namespace="ops") == (["backup", "theirs"], "")
    assert (await calls.job("backup", namespace="ops")).namespace == "ops"
    await refused(calls.job("theirs"), "JOB_NOT_FOUND")


async def test_jobs_are_listed_in_pages_and_by_labels(calls: Calls) -> None:
    await calls.apply(
        *(
            {
                "name": f"job-{number:02}",
                "command": "x",
                "labels": {"even": "yes" if number % 2 == 0 else "no"},
                "tags": ["third"] if number % 3 == 0 else [],
            }
            for number in range(25)
        )
    )
    names: list[str] = []
    token = ""
    for _ in range(4):
        page, token = await listed(calls, page_size=10, page_token=token)
        names += page
        if not token:
            break
    assert names == [f"job-{number:02}" for number in range(25)]

    sixth = [f"job-{number:02}" for number in range(0, 25, 6)]
    assert (await listed(calls, labels=["even=yes", "third"]))[0] == sixth
    page, token = await listed(calls, labels=["even=yes", "third"], page_size=3)
    rest, end = await listed(
        calls, labels=["even=yes", "third"], page_size=3, page_token=token
    )
    assert (page + rest, end) == (sixth, "")


@pytest.mark.parametrize(
    "token",
    [
        *("x", "7", "[]", '["a"]', '["a","b","c"]', "{}", "[" * 5_000, "null"),
        *("[1e999, 1]", "[[], {}]", '["\\ud800", "a"]', f"[{10**30}, {10**30}]"),
    ],
    ids=lambda token: token[:8],
)
async def test_a_page_token_that_is_not_ours_is_refused(
    calls: Calls, token: str
) -> None:
    refusal = await refused(
        calls.jobs.ListJobs(pb.ListJobsRequest(page_token=token)), "INVALID_ARGUMENT"
    )
    assert fields_of(refusal) == ["page_token"]
    wanted = schedules.ListDecisionsRequest(page_token=token)
    refusal = await refused(calls.schedules.ListDecisions(wanted), "INVALID_ARGUMENT")
    assert fields_of(refusal) == ["page_token"]


async def test_every_refusal_names_its_request(calls: Calls) -> None:
    request = pb.GetJobRequest(job=pb.JobRef(name="nobody"))
    call = calls.jobs.GetJob(request, metadata=(("x-request-id", "mine-1"),))
    refusal = await refused(call, "JOB_NOT_FOUND")
    assert refusal.request_id == "mine-1"
    assert 'job "nobody" not found in namespace "default"' in refusal.message


async def test_decisions_are_listed_with_what_became_of_them(calls: Calls) -> None:
    await calls.apply({**JOB, "schedule": "every 1s"})
    wanted = schedules.ListDecisionsRequest(job="backup")
    found: list[schedules.Decision] = []
    while len(found) < 2:
        answer = await calls.schedules.ListDecisions(wanted)
        found = list(answer.decisions)
    skipped, started = found[-2], found[-1]
    assert started.outcome == schedules.DECISION_OUTCOME_STARTED
    assert skipped.outcome == schedules.DECISION_OUTCOME_SKIPPED
    assert skipped.reason == schedules.SKIP_REASON_OVERLAP
    assert skipped.holder == started.execution_id
    execution = await calls.execution(started.execution_id)
    assert execution.scheduled_for == started.due_at
    bounds: dict[str, Any] = {"from": started.due_at, "to": skipped.due_at}
    page = await calls.schedules.ListDecisions(
        schedules.ListDecisionsRequest(job="backup", page_size=1, **bounds)
    )
    assert [one.due_at for one in page.decisions] == [started.due_at]
    older = await calls.schedules.ListDecisions(
        schedules.ListDecisionsRequest(
            job="backup", page_size=1, page_token=page.next_page_token
        )
    )
    assert list(older.decisions) == []


async def test_a_definition_that_cannot_be_read_does_not_hide_the_others(
    plane: Plane, calls: Calls
) -> None:
    await calls.apply(JOB, {**JOB, "name": "other"})

    def spoil() -> None:
        connection = plane.store._writer._connection
        assert connection is not None
        connection.execute(
            "update jobs set document_json = '{\"name\":1}' where name = 'backup'"
        )

    await plane.store._writer._run(spoil)
    assert await listed(calls) == (["backup", "other"], "")
    job = await calls.job("backup")
    assert (job.name, job.enabled, job.document_json) == ("backup", False, '{"name":1}')
