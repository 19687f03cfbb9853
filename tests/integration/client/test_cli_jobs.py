"""Definitions on the command line."""

from __future__ import annotations

import json
from pathlib import Path

from jobs_grpc.v1 import execution_pb2
from jobs_grpc.v1.execution_service_pb2 import ListExecutionsResponse
from jobs_grpc.v1.job_pb2 import JobStatistics, Schedule
from jobs_grpc.v1.job_service_pb2 import (
    APPLY_OUTCOME_CREATED,
    APPLY_OUTCOME_UNCHANGED,
    ApplyJobsResponse,
    DeleteJobResponse,
    JobRef,
    ListJobsResponse,
    SetJobEnabledResponse,
)
from jobs_grpc.wire.refusal import Violation
from jobs_grpc.wire.time import timestamp
from support.cli import jobs_grpc
from support.client_messages import NOON, execution, got_job, job
from support.fake_control_plane import FakeControlPlane, refusal

MINUTE = 60_000_000


def result(name: str, outcome: int = APPLY_OUTCOME_CREATED) -> ApplyJobsResponse.Result:
    return ApplyJobsResponse.Result(
        job=JobRef(namespace="default", workspace="_standalone_", name=name),
        outcome=outcome,  # type: ignore[arg-type]
        revision=1,
    )


def test_list_shows_what_a_person_looks_for() -> None:
    backup = job(
        "backup",
        description="Nightly dump",
        schedules=[
            Schedule(rule="cron 30 2 * * *", timezone="Europe/Berlin", enabled=True)
        ],
    )
    with FakeControlPlane() as server:
        server.expect("ListJobs", ListJobsResponse(jobs=[backup]))
        ended = jobs_grpc("list", addr=server.address)
    assert ended.code == 0
    titles, row = ended.out.splitlines()
    assert titles.split()[:2] == ["NAME", "WORKSPACE"]
    for word in ("backup", "_standalone_", "command", "yes", "Nightly dump"):
        assert word in row
    assert "30 2 * * * Europe/Berlin" in row


def test_flags_may_stand_before_or_after_the_command() -> None:
    with FakeControlPlane() as server:
        for arguments in (
            ("--workspace", "my-app", "list"),
            ("list", "--workspace", "my-app"),
            ("job", "list", "--workspace", "my-app", "-l", "tier=gold"),
        ):
            server.expect("ListJobs", ListJobsResponse(jobs=[job()]))
            ended = jobs_grpc(*arguments, "-o", "name", addr=server.address)
            assert (ended.code, ended.out) == (0, "backup\n")
    assert {request.workspace for request in server.requests} == {"my-app"}
    assert list(server.requests[2].labels) == ["tier=gold"]


def test_flags_win_over_the_environment() -> None:
    with FakeControlPlane() as server:
        server.expect("ListJobs", ListJobsResponse())
        env = {"JOBS_GRPC_NAMESPACE": "env", "JOBS_GRPC_OUTPUT": "json"}
        ended = jobs_grpc("list", "-n", "flag", addr=server.address, env=env)
    assert server.requests[0].namespace == "flag"
    assert ended.json() == {"data": [], "next_page_token": None}


def test_a_long_list_is_read_to_its_end() -> None:
    with FakeControlPlane() as server:
        server.expect(
            "ListJobs", ListJobsResponse(jobs=[job("a")], next_page_token="more")
        )
        server.expect("ListJobs", ListJobsResponse(jobs=[job("b")]))
        ended = jobs_grpc("list", "-o", "json", addr=server.address)
    assert [one["name"] for one in ended.json()["data"]] == ["a", "b"]
    assert server.requests[1].page_token == "more"


def test_status_of_a_job_has_every_line() -> None:
    statistics = JobStatistics(
        run_count=15,
        success_count=14,
        failure_count=1,
        last_run_at=timestamp(NOON),
        last_success_at=timestamp(NOON),
        last_failure_at=timestamp(NOON - 1440 * MINUTE),
        last_error="Command failed: exit status 1",
        last_state=execution_pb2.EXECUTION_STATE_SUCCEEDED,
    )
    found = got_job(
        "system-health",
        statistics=statistics,
        next_run_at=timestamp(NOON + 360 * MINUTE),
    )
    with FakeControlPlane() as server:
        server.expect("GetJob", found)
        ended = jobs_grpc("status", "system-health", addr=server.address)
    lines = ended.out.splitlines()
    for line in (
        "Job: system-health",
        "Type: standalone",
        "Status: succeeded",
        "Run Count: 15",
        "Success Count: 14",
        "Failure Count: 1",
        "Last Run: 2027-01-15 12:00:00",
        "Last Success: 2027-01-15 12:00:00",
        "Last Failure: 2027-01-14 12:00:00",
        "Last Error: Command failed: exit status 1",
        "Next Run: 2027-01-15 18:00:00",
        "Enabled: yes",
    ):
        assert line in lines


def test_status_of_a_job_that_never_ran_is_pending() -> None:
    with FakeControlPlane() as server:
        server.expect("GetJob", got_job())
        ended = jobs_grpc("status", "backup", addr=server.address)
    assert "Status: pending" in ended.out
    assert "Last Run: Never" in ended.out
    assert "Last Error: -" in ended.out


def test_status_of_a_job_that_runs_is_running() -> None:
    with FakeControlPlane() as server:
        server.expect("GetJob", got_job(active=1))
        server.expect(
            "ListExecutions", ListExecutionsResponse(executions=[execution("running")])
        )
        ended = jobs_grpc("status", "backup", addr=server.address)
    assert "Status: running" in ended.out


def test_an_unknown_job_is_named_with_the_one_that_was_meant() -> None:
    missing = refusal("JOB_NOT_FOUND", 'job "default/_standalone_/bakup" not found')
    with FakeControlPlane() as server:
        server.expect("GetJob", missing)
        server.expect("ListJobs", ListJobsResponse(jobs=[job("backup"), job("other")]))
        ended = jobs_grpc("status", "bakup", addr=server.address)
    assert ended.code == 3
    assert ended.out == ""
    assert ended.err.splitlines() == [
        'error: job "default/_standalone_/bakup" not found',
        'hint: did you mean "backup"?',
    ]


def test_a_job_of_another_workspace_is_pointed_at() -> None:
    with FakeControlPlane() as server:
        server.expect("GetJob", refusal("JOB_NOT_FOUND", "not found"))
        server.expect(
            "ListJobs", ListJobsResponse(jobs=[job("backup", workspace="my-app")])
        )
        ended = jobs_grpc("status", "backup", addr=server.address)
    assert "--workspace my-app" in ended.err


def test_get_shows_the_definition() -> None:
    with FakeControlPlane() as server:
        server.expect("GetJob", got_job())
        ended = jobs_grpc("job", "get", "backup", addr=server.address)
        assert "Revision: 1" in ended.out
        assert "  command: 'true'" in ended.out
        server.expect("GetJob", got_job())
        ended = jobs_grpc("job", "get", "backup", "-o", "json", addr=server.address)
    assert ended.json()["document"] == {"name": "backup", "command": "true"}


def test_delete_asks_unless_told_not_to() -> None:
    with FakeControlPlane() as server:
        ended = jobs_grpc("job", "delete", "backup", addr=server.address)
        assert ended.code == 2
        assert "-y" in ended.err
        server.expect("DeleteJob", DeleteJobResponse())
        ended = jobs_grpc("job", "delete", "backup", "-y", addr=server.address)
    assert (ended.code, ended.out) == (0, "deleted   default/_standalone_/backup\n")


def test_a_deletion_is_said_in_the_form_that_is_asked_for() -> None:
    with FakeControlPlane() as server:
        said = {}
        for output in ("json", "yaml", "name"):
            server.expect("DeleteJob", DeleteJobResponse())
            said[output] = jobs_grpc(
                *("job", "delete", "backup", "-y", "-o", output, "--workspace", "shop"),
                addr=server.address,
            )
    assert said["json"].json() == {
        "namespace": "default",
        "workspace": "shop",
        "name": "backup",
        "outcome": "deleted",
    }
    assert said["yaml"].out.endswith("outcome: deleted\n")
    assert said["name"].out == "backup\n"


def test_a_job_can_be_switched_off() -> None:
    off = SetJobEnabledResponse(job=job("backup", enabled=False))
    with FakeControlPlane() as server:
        server.expect("SetJobEnabled", off)
        ended = jobs_grpc("job", "disable", "backup", addr=server.address)
    assert ended.out == "disabled   default/_standalone_/backup\n"
    assert server.requests[0].enabled is False


def test_apply_reports_each_job(tmp_path: Path) -> None:
    for name in ("a", "b"):
        text = json.dumps({"name": name, "command": "true"})
        (tmp_path / f"{name}.json").write_text(text)
    answer = ApplyJobsResponse(
        results=[result("a"), result("b", APPLY_OUTCOME_UNCHANGED)]
    )
    with FakeControlPlane() as server:
        server.expect("ApplyJobs", answer)
        ended = jobs_grpc("apply", "-f", str(tmp_path), addr=server.address)
    assert ended.code == 0
    assert ended.out.splitlines() == [
        "created     default/_standalone_/a",
        "unchanged   default/_standalone_/b",
    ]
    assert ended.err == "1 created, 1 unchanged\n"
    assert server.requests[0].documents[0].origin.endswith("a.json")


def test_apply_reads_standard_input_and_can_rehearse() -> None:
    with FakeControlPlane() as server:
        server.expect("ApplyJobs", ApplyJobsResponse(results=[result("x")]))
        ended = jobs_grpc(
            "apply", "-f", "-", "--format", "yaml", "--dry-run", "--workspace", "my-app",
            addr=server.address,
            stdin=b"name: x\ncommand: 'true'\n",
        )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "nothing was changed" in ended.err
    request = server.requests[0]
    assert request.validate_only
    assert json.loads(request.documents[0].json)["workspace"] == "my-app"


def test_apply_with_one_bad_file_says_every_problem_and_sends_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / "good.json").write_text('{"name": "good", "command": "true"}')
    (tmp_path / "bad.yaml").write_text("name: bad\ncommandd: 'true'\ntimeout: -1\n")
    with FakeControlPlane() as server:
        ended = jobs_grpc("apply", "-f", str(tmp_path), addr=server.address)
    assert ended.code == 7
    assert ended.out == ""
    assert "bad.yaml:2:1: commandd: " in ended.err
    assert "bad.yaml:3:" in ended.err
    assert "nothing was changed" in ended.err.splitlines()[-1]


def test_apply_shows_what_the_server_finds_at_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"name": "a", "command": "true", "queue": "nope"}')
    said = refusal(
        "JOB_INVALID",
        "1 document is not valid",
        violations=(Violation("documents[0].queue", 'there is no queue "nope"'),),
    )
    with FakeControlPlane() as server:
        server.expect("ApplyJobs", said)
        ended = jobs_grpc("apply", "-f", str(path), addr=server.address)
    assert ended.code == 7
    assert f'{path}: queue: there is no queue "nope"' in ended.err


def test_two_files_with_the_same_job_are_refused(tmp_path: Path) -> None:
    paths = []
    for folder in ("one", "two"):
        path = tmp_path / folder / "job.json"
        path.parent.mkdir()
        path.write_text('{"name": "same", "command": "true"}')
        paths += ["-f", str(path)]
    with FakeControlPlane() as server:
        ended = jobs_grpc("apply", *paths, addr=server.address)
    assert ended.code == 7
    assert "is defined already in" in ended.err


def test_an_empty_folder_is_no_success(tmp_path: Path) -> None:
    ended = jobs_grpc("job", "validate", "-f", str(tmp_path))
    assert ended.code == 7
    assert "there are no job files here" in ended.err


def test_validate_needs_no_server(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"name": "a", "command": "true"}')
    ended = jobs_grpc("job", "validate", "-f", str(path), addr="127.0.0.1:1")
    assert (ended.code, ended.out) == (0, "valid   default/_standalone_/a\n")


def test_validate_finds_circles_of_several_files_and_what_is_over(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.json").write_text(
        '{"name": "a", "command": "true", "depends_on": "b"}'
    )
    (tmp_path / "b.json").write_text(
        '{"name": "b", "command": "true", "depends_on": "a",\n'
        ' "schedule": {"at": "2020-01-01T00:00:00Z"}}'
    )
    paths = ("-f", str(tmp_path / "a.json"), "-f", str(tmp_path / "b.json"))
    ended = jobs_grpc("job", "validate", *paths, addr="127.0.0.1:1")
    assert ended.code == 7
    assert (
        "a.json:1:48: depends_on: jobs would cause each other in a circle" in ended.err
    )
    assert "b.json:2:21: schedule.at: is in the past" in ended.err
    # Only a server knows whether it has had the schedule before; a circle is one anyway.
    ended = jobs_grpc("apply", *paths, addr="127.0.0.1:1")
    assert ended.code == 7
    assert "in a circle" in ended.err
    assert "in the past" not in ended.err
