"""How the program behaves when something is wrong, and what needs no server."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from jobs_grpc.client.cli.main import ENTRIES
from jobs_grpc.v1.dead_letter_service_pb2 import PurgeDeadLettersResponse
from jobs_grpc.v1.fleet_service_pb2 import ListWorkersResponse, Worker
from jobs_grpc.v1.job_service_pb2 import ListJobsResponse
from jobs_grpc.v1.queue_service_pb2 import ListQueuesResponse, Queue
from jobs_grpc.v1.schedule_service_pb2 import Decision, ListDecisionsResponse
from jobs_grpc.v1.system_service_pb2 import GetInfoResponse
from jobs_grpc.wire.refusal import Violation
from support.cli import Cli, jobs_grpc
from support.client_messages import job
from support.fake_control_plane import HANG, FakeControlPlane, refusal
from support.web_server import web_server


def test_an_unreachable_server_is_one_clear_line() -> None:
    ended = jobs_grpc("list", addr="127.0.0.1:1")
    assert ended.code == 6
    assert ended.out == ""
    first, second = ended.err.splitlines()
    assert first == (
        "error: cannot reach the server at 127.0.0.1:1: connection refused"
    )
    assert second.startswith("hint: ")


def test_a_web_server_is_recognized() -> None:
    with web_server() as port:
        ended = jobs_grpc("list", addr=f"127.0.0.1:{port}")
    assert ended.code == 6
    assert f"127.0.0.1:{port} does not speak gRPC" in ended.err


def test_a_server_that_never_answers_is_given_up() -> None:
    with FakeControlPlane() as server:
        server.expect("ListJobs", HANG)
        ended = jobs_grpc("list", "--timeout", "0.2", addr=server.address)
    assert ended.code == 6
    assert "no answer" in ended.err


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("PERMISSION_DENIED", 4),
        ("UNAUTHENTICATED", 4),
        ("INTERNAL", 1),
        ("NOT_SUPPORTED", 1),
    ],
)
def test_refusals_have_their_exit_codes(reason: str, code: int) -> None:
    said = refusal(reason, "no", request_id="req-1")
    with FakeControlPlane() as server:
        server.expect("ListJobs", said)
        ended = jobs_grpc("list", "--verbose", addr=server.address)
    assert ended.code == code
    assert ended.err.startswith("error: no\n")
    assert "request id: req-1" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lst",), 'did you mean "list"?'),
        (("run",), "name one thing to run"),
        (("run", "backup", "--", "true"), "name one thing to run"),
        (("run", "backup", "--queue", "q"), "--queue is for ad hoc runs"),
        (("run", "backup", "-p", "x"), "--param takes KEY=VALUE"),
        (("run", "backup", "--at", "noon"), "--at: "),
        (("list", "-o", "xml"), "xml"),
        (("list", "--timeout", "soon"), "a duration looks like"),
        (("list", "--timeout", "36501d"), "a duration is at most 36500d"),
        (("list", "--timeout", "300000000000"), "a duration is at most 36500d"),
        (("list", "--addr", "http://localhost:7420"), "has a scheme"),
        (("execution", "list", "--state", "nix"), "the states are"),
        (("schedule", "preview", "*/5 61 * * *"), "hour must be 0-23"),
    ],
)
def test_wrong_usage_is_said_in_a_line(arguments: tuple[str, ...], words: str) -> None:
    ended = jobs_grpc(*arguments)
    assert ended.code == 2
    assert words in ended.err
    assert ended.err.startswith("error: ")
    assert "Traceback" not in ended.err


def test_a_bad_variable_is_named() -> None:
    ended = jobs_grpc("list", env={"JOBS_GRPC_OUTPUT": "xml"})
    assert ended.code == 2
    assert "JOBS_GRPC_OUTPUT" in ended.err


async def test_a_closed_pipe_ends_it_quietly() -> None:
    many = ListJobsResponse(
        jobs=[job(f"job-{n}", description="x" * 500) for n in range(900)]
    )
    with FakeControlPlane() as server:
        server.expect("ListJobs", many)
        async with Cli("list", addr=server.address) as command:
            assert await command.line()
            # The reader has seen enough.
            command.process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
            assert command.process.stderr is not None
            assert await command.process.stderr.read() == b""
            await command.process.wait()


def test_preview_needs_no_server() -> None:
    ended = jobs_grpc(
        "schedule", "preview", "15 9-17/2 * * 1-5", "--from", "2027-01-15T12:00:00Z",
        "--count", "3", "-o", "json",
    )  # fmt: skip
    assert [one["due_at"] for one in ended.json()["data"]] == [
        "2027-01-15T13:15:00Z",
        "2027-01-15T15:15:00Z",
        "2027-01-15T17:15:00Z",
    ]


def test_preview_shows_local_times_of_the_zone() -> None:
    ended = jobs_grpc(
        "schedule", "preview", "30 2 * * *", "--tz", "Europe/Berlin",
        "--from", "2027-07-01T00:00:00Z", "--count", "1",
    )  # fmt: skip
    assert ended.out == "Thu 2027-07-01 02:30:00 CEST\n"


def test_decisions_say_why_a_time_was_skipped() -> None:
    skipped = Decision(job="backup", outcome=2, reason=1, holder="0b5c3f0e-8a3c")  # type: ignore[arg-type]
    with FakeControlPlane() as server:
        server.expect("ListDecisions", ListDecisionsResponse(decisions=[skipped]))
        ended = jobs_grpc("schedule", "decisions", "backup", addr=server.address)
    assert "skipped" in ended.out
    assert "overlap" in ended.out
    assert "0b5c3f0e" in ended.out


def test_queues_and_workers_are_shown() -> None:
    with FakeControlPlane() as server:
        server.expect(
            "ListQueues",
            ListQueuesResponse(
                queues=[Queue(name="critical", weight=6)],
                workers_total=1,
                slots_total=4,
            ),
        )
        ended = jobs_grpc("queue", "status", "-o", "json", addr=server.address)
        assert ended.json()["data"][0]["name"] == "critical"
        assert ended.json()["slots"] == {"total": 4, "used": 0}
        server.expect(
            "ListWorkers",
            ListWorkersResponse(
                workers=[Worker(name="w1", slots=4, labels={"a": "b"})]
            ),
        )
        ended = jobs_grpc("worker", "list", addr=server.address)
    assert "w1" in ended.out
    assert "0/4" in ended.out
    assert "a=b" in ended.out


def test_the_load_of_the_fleet_is_data() -> None:
    status = ListQueuesResponse(
        queues=[Queue(name="critical")], workers_total=1, slots_total=4, slots_used=2
    )
    with FakeControlPlane() as server:
        server.expect("ListQueues", status)
        ended = jobs_grpc("queue", "status", addr=server.address)
    assert ended.out.endswith("workers: 1 (0 active, 0 idle); slots: 2 of 4 used\n")
    assert ended.err == ""


def test_labels_are_in_the_same_order_whoever_asks() -> None:
    names = [f"l{number}" for number in range(20)]
    shown = ",".join(f"{name}=x" for name in sorted(names))
    for order in (names, names[::-1]):
        labels = dict.fromkeys(order, "x")
        found = Worker(name="w1", labels=labels, own_labels=labels)
        with FakeControlPlane() as server:
            server.expect("ListWorkers", ListWorkersResponse(workers=[found]))
            listed = jobs_grpc("worker", "list", addr=server.address)
            server.expect("ListWorkers", ListWorkersResponse(workers=[found]))
            data = jobs_grpc("worker", "list", "-o", "json", addr=server.address)
        assert shown in listed.out
        assert list(data.json()["data"][0]["labels"]) == sorted(names)
        assert list(data.json()["data"][0]["own_labels"]) == sorted(names)


@pytest.mark.parametrize(
    ("count", "said"), [(1, "1 dead letter put aside"), (3, "3 dead letters put aside")]
)
def test_what_was_purged_is_named(count: int, said: str) -> None:
    with FakeControlPlane() as server:
        server.expect("PurgeDeadLetters", PurgeDeadLettersResponse(purged=count))
        ended = jobs_grpc("dead-letter", "purge", "--all", "-y", addr=server.address)
    assert ended.out == f"{said}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "there are no decisions yet\n"),
        (("backup",), "there are no decisions yet\n"),
        (
            ("backup", "--reason", "limit"),
            "no decision matches --reason; without it the list has all\n",
        ),
        (
            ("--reason", "limit", "--since", "1h"),
            "no decision matches --since and --reason; without them the list has all\n",
        ),
        (("--page-token", "x"), "there are no more decisions\n"),
    ],
)
def test_no_decisions_is_not_said_of_those_that_a_filter_leaves_out(
    arguments: tuple[str, ...], said: str
) -> None:
    with FakeControlPlane() as server:
        server.expect("ListDecisions", ListDecisionsResponse())
        ended = jobs_grpc("schedule", "decisions", *arguments, addr=server.address)
    assert ended.err == said


def test_the_version_of_the_server_can_be_asked() -> None:
    with FakeControlPlane() as server:
        info = GetInfoResponse(version="9.9.9", term=4, store="sqlite 3.40.1")
        server.expect("GetInfo", info)
        ended = jobs_grpc("version", "--server", addr=server.address)
    assert "server 9.9.9 (term 4, sqlite 3.40.1)" in ended.out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell: str) -> None:
    ended = jobs_grpc("completion", shell)
    assert ended.code == 0
    assert "_JOBS_GRPC_COMPLETE" in ended.out


async def test_commands_are_completed() -> None:
    env = {
        "_JOBS_GRPC_COMPLETE": "bash_complete",
        "COMP_WORDS": "jobs-grpc st",
        "COMP_CWORD": "1",
    }
    async with Cli(env=env) as command:
        ended = await command.ended()
    assert ended.out.split() == ["plain,status"]


def test_every_command_has_help() -> None:
    ended = jobs_grpc("--help")
    assert ended.code == 0
    for name, entry in ENTRIES.items():
        assert entry.is_hidden or f"  {name} " in ended.out


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize(
    "command", ["list", "get", "cordon", "uncordon", "drain", "label"]
)
def test_what_operators_do_with_workers_has_help(command: str, flag: str) -> None:
    ended = jobs_grpc("worker", command, flag)
    assert ended.code == 0, ended.err
    assert ended.out.startswith(f"Usage: jobs-grpc worker {command} ")
    assert "Options of every command" in ended.out


@pytest.mark.parametrize("flag", ["-h", "--help"])
async def test_the_help_of_worker_has_its_commands_and_the_daemon_s_options(
    flag: str,
) -> None:
    # A process of its own, for it becomes the daemon.
    async with Cli("worker", flag) as command_line:
        ended = await command_line.ended()
    assert ended.code == 0, ended.err
    for command in ("list", "get", "cordon", "uncordon", "drain", "label"):
        assert f"\n  {command} " in ended.out
    assert ended.out.index("  drain ") < ended.out.index("--slots")


async def test_a_worker_command_that_is_none_is_said_as_any_other() -> None:
    async with Cli("worker", "lst") as command:
        ended = await command.ended()
    assert ended.code == 2
    assert ended.err == (
        'error: no such command "lst"; did you mean "list"?\n'
        "hint: see jobs-grpc worker --help\n"
    )


@pytest.mark.parametrize(
    ("violations", "printed"),
    [
        ([Violation("at", "no instant")], ["error: no instant"]),
        ([Violation("", "no instant")], ["error: no instant"]),
        (
            [Violation("a", "is bad"), Violation("b", "no instant")],
            ["a: is bad", "error: no instant"],
        ),
        (
            [Violation("at", "something else")],
            ["at: something else", "error: no instant"],
        ),
    ],
)
def test_what_a_refusal_says_itself_is_not_said_of_its_fields_again(
    violations: list[Violation], printed: list[str]
) -> None:
    said = refusal("INVALID_ARGUMENT", "no instant", violations=tuple(violations))
    with FakeControlPlane() as server:
        server.expect("ListJobs", said)
        ended = jobs_grpc("list", addr=server.address)
    assert ended.err.splitlines() == printed


async def test_a_missing_extra_says_what_to_install(tmp_path: Path) -> None:
    # A program that hides one of the extra's packages, then runs the command.
    program = tmp_path / "without.py"
    program.write_text(
        "import importlib.util, sys\n"
        "real = importlib.util.find_spec\n"
        "importlib.util.find_spec = (\n"
        "    lambda name, *a: None if name == 'aiosqlite' else real(name, *a))\n"
        "from jobs_grpc.client.cli.main import run\n"
        "sys.exit(run(['server']))\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(program),
        stderr=asyncio.subprocess.PIPE,
        env=dict(os.environ),
    )
    _, err = await process.communicate()
    assert process.returncode == 1
    assert err.decode() == (
        'error: the server needs the extra "server": '
        "pip install 'jobs-grpc[server]'\n"
    )


def test_the_schema_is_json() -> None:
    ended = jobs_grpc("job", "schema")
    assert json.loads(ended.out)["$schema"].startswith("https://json-schema.org")
