"""`schedule create|list|delete`: what is sent for what is written, and what is shown."""

from __future__ import annotations

import json

import pytest

from jobs_grpc.v1.job_pb2 import Schedule
from jobs_grpc.v1.schedule_service_pb2 import (
    CreateScheduleResponse,
    DeleteScheduleResponse,
)
from support.cli import jobs_grpc
from support.fake_control_plane import FakeControlPlane


def made(name: str = "weekly") -> Schedule:
    return Schedule(id="s1", name=name, job="report", rule="every 1h", enabled=True)


def test_parameters_are_text_or_json_as_for_run() -> None:
    with FakeControlPlane() as server:
        server.expect("CreateSchedule", CreateScheduleResponse(schedule=made()))
        ended = jobs_grpc(
            "schedule", "create", "report", "weekly", "--every", "1h",
            "-p", "size:=3", "--param", "text=a=b", "--entry", '{"params": {"old": "1"}}',
            addr=server.address,
        )  # fmt: skip
    assert ended.code == 0, ended.err
    assert json.loads(server.requests[0].entry_json) == {
        "every": "1h",
        "params": {"old": "1", "size": 3, "text": "a=b"},
    }


@pytest.mark.parametrize("command", [("schedule", "create", "a", "b"), ("run", "a")])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "--param takes KEY=VALUE, got 'x'"),
        ("=1", "--param takes KEY=VALUE"),
        (":=1", "--param takes KEY=VALUE"),
        ("n:={", "--param n:={: not JSON"),
    ],
)
def test_what_is_no_parameter_is_said_alike_by_all(
    command: tuple[str, ...], text: str, words: str
) -> None:
    ended = jobs_grpc(*command, "-p", text)
    assert ended.code == 2
    assert ended.err.startswith(f"error: {words}")
    assert "hint: see jobs-grpc " in ended.err


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("{", "--entry is not JSON: "),
        ("[1]", "--entry must be a JSON object, got [1]"),
        ('{"params": 1}', "--entry: params must be an object"),
    ],
)
def test_an_entry_that_is_none_says_what_one_looks_like(entry: str, words: str) -> None:
    ended = jobs_grpc("schedule", "create", "a", "b", "-p", "n=1", "--entry", entry)
    assert ended.code == 2
    assert ended.err.startswith(f"error: {words}")
    assert "hint: an entry looks like " in ended.err


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("backfill", "create", "a", "--to", "x", "--from", "soon"), "--from"),
        (("schedule", "disable", "a", "b", "--until", "soon"), "--until"),
        (("schedule", "decisions", "--since", "2027-13"), "--since"),
        (("run", "a", "--at", "soon"), "--at"),
        (("pause", "a", "--until", "soon"), "--until"),
        (("schedule", "preview", "@daily", "--from", "soon"), "--from"),
        (("job", "next", "a", "--from", "soon"), "--from"),
    ],
)
def test_what_is_no_instant_is_said_with_its_option_and_where_to_read_on(
    words: tuple[str, ...], option: str
) -> None:
    ended = jobs_grpc(*words)
    assert ended.code == 2
    assert ended.err.startswith(f"error: {option}: ")
    assert "hint: see jobs-grpc " in ended.err


def test_a_deletion_is_said_in_the_form_that_is_asked_for() -> None:
    with FakeControlPlane() as server:
        said = {}
        for output in ("table", "json", "name"):
            server.expect("DeleteSchedule", DeleteScheduleResponse())
            said[output] = jobs_grpc(
                "schedule", "delete", "report", "weekly", "-y", "-o", output,
                addr=server.address,
            )  # fmt: skip
    assert said["table"].out == "deleted   report/weekly\n"
    assert said["json"].json() == {
        "namespace": "default",
        "workspace": "_standalone_",
        "job": "report",
        "schedule": "weekly",
        "outcome": "deleted",
    }
    assert said["name"].out == "weekly\n"
