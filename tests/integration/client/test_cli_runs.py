"""Runs on the command line: starting, following, waiting, ending, and the exit codes."""

from __future__ import annotations

import json
import threading

import pytest

from jobs_grpc.v1.execution_pb2 import KillReceipt, Usage
from jobs_grpc.v1.execution_service_pb2 import (
    CancelExecutionsResponse,
    ListExecutionsResponse,
    RetryExecutionResponse,
    SubmitExecutionsResponse,
)
from jobs_grpc.v1.job_service_pb2 import ListJobsResponse
from jobs_grpc.wire.time import duration, timestamp
from support.cli import Cli, jobs_grpc
from support.client_messages import (
    ID,
    end,
    execution,
    gap,
    got,
    got_job,
    job,
    lagged,
    piece,
    waited,
)
from support.fake_control_plane import CUT, FakeControlPlane, refusal

SUBMITTED = SubmitExecutionsResponse(execution_ids=[ID])


def test_run_prints_the_id_alone_and_goes_on() -> None:
    with FakeControlPlane() as server:
        server.expect("SubmitExecutions", SUBMITTED)
        ended = jobs_grpc(
            "run", "backup", "-p", "n=1", "--request-id", "r", addr=server.address
        )
    assert (ended.code, ended.out) == (0, f"{ID}\n")
    submission = server.requests[0].submissions[0]
    assert (submission.job, submission.request_id) == ("backup", "r")
    assert dict(submission.params) == {"n": "1"}
    assert submission.trigger == 2


def test_run_of_a_command_line_keeps_its_words_apart() -> None:
    with FakeControlPlane() as server:
        server.expect("SubmitExecutions", SUBMITTED)
        ended = jobs_grpc(
            "run", "-o", "name", "--env", "A=1", "--timeout", "5m", "--priority", "2",
            "--", "sh", "-c", "echo --follow; exit 3", "--", "x",
            addr=server.address,
        )  # fmt: skip
    assert ended.code == 0, ended.err
    document = json.loads(server.requests[0].submissions[0].document_json)
    assert document.pop("name").startswith("adhoc-")
    assert document == {
        "command": ["sh", "-c", "echo --follow; exit 3", "--", "x"],
        "environment": {"A": "1"},
        "timeout": "5m",
        "priority": 2,
    }


def test_run_of_a_function_sends_typed_arguments() -> None:
    with FakeControlPlane() as server:
        server.expect("SubmitExecutions", SUBMITTED)
        jobs_grpc(
            "run", "--function", "resize", "-p", "name=x", "-p", "width:=3",
            addr=server.address,
        )  # fmt: skip
    submission = server.requests[0].submissions[0]
    document = json.loads(submission.document_json)
    assert document["params"] == {
        "name": {"type": "string"},
        "width": {"type": "integer"},
    }
    assert dict(submission.params) == {"name": "x", "width": "3"}


async def test_follow_prints_each_line_as_it_comes_and_exits_as_the_job_ended() -> None:
    second = threading.Event()
    failed = end(12, "failed", exit_code=3, error="exit status 3")
    with FakeControlPlane() as server:
        server.expect("SubmitExecutions", SUBMITTED)
        server.expect("GetExecution", got())
        server.expect(
            "FollowOutput",
            piece(0, b"one\n"),
            second,
            piece(4, b"oops\n", "STDERR"),
            gap(9, 1_200_000),
            piece(1_200_009, b"\xff\x00\n"),
            failed,
        )
        async with Cli("run", "--follow", "backup", addr=server.address) as command:
            assert await command.line() == b"one\n"
            second.set()
            assert await command.line() == b"\xff\x00\n"
            ended = await command.ended()
    assert ended.code == 20
    assert "oops\n" in ended.err
    assert "1.2 MB missing" in ended.err
    assert "failed: exit status 3" in ended.err


def test_follow_survives_a_cut_stream_without_a_doubled_byte() -> None:
    with FakeControlPlane() as server:
        server.expect("SubmitExecutions", SUBMITTED)
        server.expect("GetExecution", got())
        server.expect("FollowOutput", piece(0, b"one\ntw"), CUT)
        server.expect("FollowOutput", piece(4, b"two\n"), end(8))
        ended = jobs_grpc("run", "--follow", "backup", addr=server.address)
    assert (ended.code, ended.out) == (0, "one\ntwo\n")


@pytest.mark.parametrize(
    ("state", "arguments", "code"),
    [
        ("succeeded", ("--wait",), 0),
        ("failed", ("--wait",), 20),
        ("failed", ("--exit-status",), 3),
        ("timed_out", ("--wait",), 21),
        ("cancelled", ("--wait",), 22),
        ("lost", ("--wait",), 23),
    ],
)
def test_wait_exits_as_the_job_ended(
    state: str, arguments: tuple[str, ...], code: int
) -> None:
    with FakeControlPlane() as server:
        server.expect("SubmitExecutions", SUBMITTED)
        server.expect("WaitExecution", waited(state, exit_code=3))
        ended = jobs_grpc("run", "backup", *arguments, addr=server.address)
    assert ended.code == code
    assert ended.out.startswith(f"{state}   {ID[:8]}")


async def test_an_interrupt_leaves_the_run_alone_and_says_how_to_come_back() -> None:
    with FakeControlPlane() as server:
        server.expect("SubmitExecutions", SUBMITTED)
        server.expect("GetExecution", got())
        server.expect("FollowOutput", piece(0, b"one\n"), threading.Event())
        async with Cli("run", "--follow", "backup", addr=server.address) as command:
            assert await command.line() == b"one\n"
            command.interrupt()
            ended = await command.ended()
    assert ended.code == 130
    assert f"jobs-grpc logs -f {ID[:8]} --from 4" in ended.err
    assert "Traceback" not in ended.err


def test_logs_of_a_job_are_those_of_its_latest_run() -> None:
    with FakeControlPlane() as server:
        server.expect(
            "ListExecutions", ListExecutionsResponse(executions=[execution()])
        )
        server.expect("GetExecution", got())
        server.expect(
            "FollowOutput",
            piece(5, b"err\n", "STDERR"),
            end(9, "running", complete=False),
        )
        ended = jobs_grpc(
            "logs", "backup", "--stream", "stderr", "--from", "5", "--timestamps",
            addr=server.address,
        )  # fmt: skip
    assert (ended.code, ended.out) == (0, "2027-01-15T12:00:00.000Z err\n")
    assert (server.requests[2].from_offset, server.requests[2].follow) == (5, False)


def test_logs_of_an_execution_work_by_prefix() -> None:
    with FakeControlPlane() as server:
        server.expect("ListExecutions", ListExecutionsResponse())
        server.expect("GetExecution", got("succeeded"))
        server.expect("GetExecution", got("succeeded"))
        server.expect("FollowOutput", piece(0, b"x"), end(1))
        ended = jobs_grpc("logs", "-f", ID[:8], addr=server.address)
    assert (ended.code, ended.out) == (0, "x")
    assert server.requests[1].id == ID[:8]


def test_logs_say_once_that_following_lagged_and_print_every_byte() -> None:
    with FakeControlPlane() as server:
        server.expect("ListExecutions", ListExecutionsResponse())
        server.expect("GetExecution", got("succeeded"))
        server.expect("GetExecution", got("succeeded"))
        server.expect(
            *("FollowOutput", piece(0, b"one\n"), lagged(4), piece(4, b"two\n")),
            *(lagged(8), piece(8, b"three\n"), end(14)),
        )
        ended = jobs_grpc("logs", "-f", ID[:8], addr=server.address)
    assert (ended.code, ended.out) == (0, "one\ntwo\nthree\n")
    said = (
        "following lagged behind; reading on from the log at byte 4, nothing is missing"
    )
    assert [one for one in ended.err.splitlines() if "lag" in one] == [said]


def test_logs_of_a_job_that_never_ran_say_so() -> None:
    with FakeControlPlane() as server:
        server.expect("ListExecutions", ListExecutionsResponse())
        server.expect("GetJob", got_job())
        ended = jobs_grpc("logs", "backup", addr=server.address)
    assert ended.code == 3
    assert 'job "backup" has not run yet' in ended.err


def test_kill_waits_for_the_end_and_prints_it() -> None:
    with FakeControlPlane() as server:
        server.expect("CancelExecutions", CancelExecutionsResponse(execution_ids=[ID]))
        server.expect("WaitExecution", waited("cancelled", error="cancelled by alice"))
        ended = jobs_grpc("kill", "backup", addr=server.address)
    assert ended.code == 0
    assert "cancelled" in ended.out
    assert server.requests[0].job == "backup"


def test_kill_of_what_does_not_run_is_a_clear_error() -> None:
    with FakeControlPlane() as server:
        server.expect(
            "CancelExecutions", refusal("NOT_RUNNING", "backup is not running")
        )
        ended = jobs_grpc("kill", "backup", addr=server.address)
    assert ended.code == 5
    assert ended.err == "error: backup is not running\n"


def test_kill_takes_an_id_where_no_job_has_that_name() -> None:
    with FakeControlPlane() as server:
        server.expect("CancelExecutions", refusal("JOB_NOT_FOUND", "no job"))
        server.expect("CancelExecutions", CancelExecutionsResponse(execution_ids=[ID]))
        server.expect("GetExecution", got("cancelling"))
        ended = jobs_grpc("kill", ID[:8], "--no-wait", addr=server.address)
    assert ended.code == 0
    assert "cancelling" in ended.out
    assert server.requests[1].execution_id == ID[:8]


def test_execution_json_has_all_that_scripts_read() -> None:
    full = got(
        "failed",
        scheduled_for=timestamp(1_000_000),
        started_at=timestamp(2_000_000),
        finished_at=timestamp(3_500_000),
        exit_code=1,
        error="exit status 1",
        worker="w1",
        usage=Usage(cpu_user=duration(40_000), peak_memory_bytes=1_000),
        receipt=KillReceipt(
            signals=[KillReceipt.SignalSent(signal="TERM", processes=2)]
        ),
    )
    with FakeControlPlane() as server:
        server.expect("GetExecution", full)
        ended = jobs_grpc("ex", "get", ID[:4], "-o", "json", addr=server.address)
    answer = ended.json()
    assert answer["id"] == ID
    assert answer["state"] == "failed"
    assert answer["trigger"] == "manual"
    assert answer["started_at"] == "1970-01-01T00:00:02Z"
    assert answer["duration_ms"] == 1500
    assert answer["usage"]["cpu_user_ms"] == 40
    assert answer["receipt"]["signals"][0]["signal"] == "TERM"
    for key in ("job", "namespace", "workspace", "scheduled_for", "created_at"):
        assert answer[key]
    for key in ("finished_at", "exit_code", "error", "worker", "attempt"):
        assert answer[key]


def test_a_retry_prints_the_new_id_in_the_form_that_is_asked_for() -> None:
    with FakeControlPlane() as server:
        said = {}
        for output in ("table", "name", "json"):
            server.expect("RetryExecution", RetryExecutionResponse(execution_id=ID))
            said[output] = jobs_grpc(
                "execution", "retry", ID[:8], "-o", output, addr=server.address
            )
    assert said["table"].out == said["name"].out == f"{ID}\n"
    assert said["json"].json() == {"execution_id": ID}


def test_kill_of_what_has_ended_says_where_to_look() -> None:
    with FakeControlPlane() as server:
        for words in (("kill", "backup"), ("execution", "cancel", ID[:8])):
            server.expect("CancelExecutions", CancelExecutionsResponse())
            ended = jobs_grpc(*words, addr=server.address)
            assert ended.code == 5
            *_, hint = ended.err.splitlines()
            if "execution" in words:
                assert hint == (
                    f"hint: `jobs-grpc execution get {ID[:8]}` shows how it ended"
                )
            else:
                assert hint == "hint: `jobs-grpc status backup` shows how it has fared"


def test_execution_list_takes_the_words_of_other_systems() -> None:
    listing = ListExecutionsResponse(executions=[execution("succeeded")])
    with FakeControlPlane() as server:
        server.expect("ListExecutions", listing)
        ended = jobs_grpc(
            "execution", "list", "--state", "COMPLETED,timeout", addr=server.address
        )
    assert ended.code == 0, ended.err
    assert ID[:8] in ended.out
    assert list(server.requests[0].states) == [6, 8]


def test_execution_wait_gives_up_when_told_to() -> None:
    with FakeControlPlane() as server:
        server.expect("GetExecution", got())
        server.expect("WaitExecution", waited("running"))
        ended = jobs_grpc(
            "execution", "wait", ID[:8], "--timeout", "0", addr=server.address
        )
    assert ended.code == 6
    assert "still running" in ended.err


def test_an_unknown_job_is_not_run() -> None:
    with FakeControlPlane() as server:
        server.expect("SubmitExecutions", refusal("JOB_NOT_FOUND", "no such job"))
        server.expect("ListJobs", ListJobsResponse(jobs=[job("backup")]))
        ended = jobs_grpc("run", "bakcup", addr=server.address)
    assert ended.code == 3
    assert 'did you mean "backup"?' in ended.err
