"""`diff` and `apply --plan` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from jobs_grpc.v1 import job_service_pb2 as pb
from jobs_grpc.wire.time import timestamp
from support.cli import jobs_grpc
from support.fake_control_plane import FakeControlPlane

# 2027-03-28T00:00:00Z
NIGHT = 1_806_192_000_000_000
HOUR = 3_600_000_000


def answer(
    outcome: int = pb.APPLY_OUTCOME_UPDATED, **fields: object
) -> pb.PlanJobsResponse:
    plan = pb.JobPlan(
        job=pb.JobRef(namespace="default", workspace="_standalone_", name="backup"),
        outcome=outcome,  # type: ignore[arg-type]
        revision=3,
        overlap="skip",
        **fields,  # type: ignore[arg-type]
    )
    return pb.PlanJobsResponse(
        plans=[plan], planned_at=timestamp(NIGHT), workers_connected=3
    )


FULL = answer(
    changes=[
        pb.KeyChange(key="timeout", before_json='"30m"', after_json='"1h"'),
        pb.KeyChange(key="overlap.policy", after_json='"allow"'),
        pb.KeyChange(key="stdin", before_json='"x"'),
    ],
    due_times=[
        pb.PlannedDueTime(due_at=timestamp(NIGHT), change=pb.DUE_TIME_CHANGE_KEPT),
        pb.PlannedDueTime(
            due_at=timestamp(NIGHT + HOUR), change=pb.DUE_TIME_CHANGE_REMOVED
        ),
        pb.PlannedDueTime(
            due_at=timestamp(NIGHT + 2 * HOUR),
            change=pb.DUE_TIME_CHANGE_ADDED,
            blackout="holidays",
        ),
    ],
    clock_changes=[
        pb.ClockChange(
            at=timestamp(NIGHT + HOUR),
            timezone="Europe/Berlin",
            shift=Duration(seconds=3_600),
        )
    ],
    expected_duration=Duration(seconds=312),
    measured=20,
    collisions=[timestamp(NIGHT + 2 * HOUR)],
    workers=["db-1", "db-2"],
)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "backup.yaml"
    path.write_text("name: backup\ncommand: 'true'\n")
    return str(path)


@pytest.mark.parametrize("words", [("diff",), ("apply", "--plan")])
def test_a_change_is_shown_and_the_code_says_that_there_is_one(
    file: str, words: tuple[str, ...]
) -> None:
    with FakeControlPlane() as server:
        server.expect("PlanJobs", FULL)
        ended = jobs_grpc(*words, "-f", file, addr=server.address)
    assert ended.code == 8
    assert ended.out.splitlines() == [
        "updated     default/_standalone_/backup",
        '  ~ timeout: "30m" -> "1h"',
        '  + overlap.policy: "allow"',
        '  - stdin: "x"',
        "  due times until 2027-03-28 02:00:00: 1 come, 1 go, 1 stay",
        "    - 2027-03-28 01:00:00",
        "    + 2027-03-28 02:00:00  blackout: holidays",
        "  clocks of Europe/Berlin go forward 60m at 2027-03-28 01:00:00",
        (
            "  collisions: 1, overlap skip (a run lasts 5m12s by the last 20 runs):"
            " 2027-03-28 02:00:00"
        ),
        "  workers now: 2 of 3 (db-1, db-2)",
    ]
    assert "1 updated (nothing was changed)" in ended.err


def test_without_a_change_the_code_is_0(file: str) -> None:
    with FakeControlPlane() as server:
        server.expect("PlanJobs", answer(pb.APPLY_OUTCOME_UNCHANGED))
        ended = jobs_grpc("diff", "-f", file, addr=server.address)
    assert ended.code == 0
    assert ended.out == "unchanged   default/_standalone_/backup\n"


def test_what_is_not_known_is_said(file: str) -> None:
    with FakeControlPlane() as server:
        server.expect("PlanJobs", answer(follows_ends=True))
        ended = jobs_grpc("diff", "-f", file, addr=server.address)
    assert "collisions: unknown, for no run has succeeded" in ended.out
    assert "due times: those that follow the end of a run are not known" in ended.out
    assert "workers now: 0 of 3\n" in ended.out


def test_a_long_list_is_cut_unless_it_is_asked_for(file: str) -> None:
    many = [
        pb.PlannedDueTime(
            due_at=timestamp(NIGHT + n * HOUR), change=pb.DUE_TIME_CHANGE_ADDED
        )
        for n in range(12)
    ]
    with FakeControlPlane() as server:
        server.expect("PlanJobs", answer(due_times=many))
        ended = jobs_grpc("diff", "-f", file, addr=server.address)
        assert ended.out.count("    + ") == 10
        assert "... and 2 more (-o wide names them)" in ended.out
        server.expect("PlanJobs", answer(due_times=many))
        ended = jobs_grpc("diff", "-f", file, "-o", "wide", addr=server.address)
        assert ended.out.count("    + ") == 12


def test_json_has_all_of_it(file: str) -> None:
    with FakeControlPlane() as server:
        server.expect("PlanJobs", FULL)
        ended = jobs_grpc("diff", "-f", file, "-o", "json", addr=server.address)
    whole = json.loads(ended.out)
    assert whole["workers_connected"] == 3
    (job,) = whole["data"]
    assert job["changes"][1] == {
        "key": "overlap.policy", "before": None, "after": "allow"
    }  # fmt: skip
    assert job["due_times"][2] == {
        "due_at": "2027-03-28T02:00:00Z", "change": "added", "blackout": "holidays"
    }  # fmt: skip
    assert job["expected_duration_ms"] == 312_000
    assert job["collisions"] == ["2027-03-28T02:00:00Z"]
    assert job["clock_changes"][0]["shift_ms"] == 3_600_000


def test_a_bad_file_is_refused_before_the_server_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("name: backup\n")
    ended = jobs_grpc("diff", "-f", str(path), addr="127.0.0.1:1")
    assert ended.code == 7
    assert "a job needs one of" in ended.err
