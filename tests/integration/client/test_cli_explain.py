"""`explain`, and `schedule decisions` with its filters."""

from __future__ import annotations

import pytest

from jobs_grpc.v1 import execution_service_pb2 as executions
from jobs_grpc.v1 import schedule_service_pb2 as pb
from jobs_grpc.wire.time import timestamp
from support.cli import jobs_grpc
from support.client_messages import ID, NOON
from support.fake_control_plane import FakeControlPlane, refusal

ROW = pb.Decision(
    schedule_id="s1",
    job="backup",
    due_at=timestamp(NOON),
    decided_at=timestamp(NOON),
    outcome=pb.DECISION_OUTCOME_SKIPPED,
    reason=pb.SKIP_REASON_PAUSED,
    holder="p1",
    until=timestamp(NOON + 3_600_000_000),
    due_times=3_601,
)


def test_the_answer_is_a_sentence_and_json_has_what_it_rests_on() -> None:
    answer = pb.ExplainDueTimeResponse(
        kind=pb.DUE_TIME_KIND_SKIPPED,
        sentence="it was skipped.",
        due_at=timestamp(NOON),
        decision=ROW,
    )
    with FakeControlPlane() as server:
        for _ in range(2):
            server.expect("ExplainDueTime", answer)
        arguments = ("explain", "backup", "--at", "2027-01-15T12:00")
        plain = jobs_grpc(*arguments, addr=server.address)
        data = jobs_grpc(*arguments, "-o", "json", addr=server.address)
    assert (plain.code, plain.out) == (0, "it was skipped.\n")
    assert server.requests[0].job.name == "backup"
    assert server.requests[0].at == "2027-01-15T12:00"
    told = data.json()
    assert (told["kind"], told["due_at"]) == ("skipped", "2027-01-15T12:00:00Z")
    assert told["decision"]["reason"] == "paused"
    assert told["decision"]["due_times"] == 3_601
    assert told["execution"] is None


def test_a_bad_time_is_wrong_usage() -> None:
    with FakeControlPlane() as server:
        server.expect(
            "ExplainDueTime", refusal("INVALID_ARGUMENT", "an instant looks like so")
        )
        ended = jobs_grpc("explain", "backup", "--at", "soon", addr=server.address)
    assert ended.code == 2
    assert "error: an instant looks like so" in ended.err


def test_decisions_are_filtered_by_time_and_reason() -> None:
    with FakeControlPlane() as server:
        for _ in range(2):
            server.expect("ListDecisions", pb.ListDecisionsResponse(decisions=[ROW]))
        reasons = ("--reason", "paused", "--reason", "overlap")
        since = ("--since", "2027-01-15T12:00:00Z")
        table = jobs_grpc(
            *("schedule", "decisions", "backup"), *reasons, *since, addr=server.address
        )
        jobs_grpc("schedule", "decisions", "--since", "2h", addr=server.address)
    first, second = server.requests
    assert list(first.reasons) == [pb.SKIP_REASON_PAUSED, pb.SKIP_REASON_OVERLAP]
    assert getattr(first, "from") == timestamp(NOON)
    assert second.HasField("from")
    assert "paused (3601 times until 2027-01-15 13:00:00)" in table.out
    assert "p1" in table.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("explain", "backup"), "Missing option '--at'"),
        (("schedule", "decisions", "--since", "soon"), "--since: a duration looks"),
        (("schedule", "decisions", "--reason", "mood"), "'mood' is not one of"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_sent(
    arguments: tuple[str, ...], message: str
) -> None:
    with FakeControlPlane() as server:
        ended = jobs_grpc(*arguments, addr=server.address)
    assert ended.code == 2
    assert message in ended.err


@pytest.mark.parametrize(
    ("reasons", "held"),
    [
        ([], ""),
        (
            [["aaaaaaaa-1", "bbbbbbbb-2"], ["bbbbbbbb-2"]],
            "Held By: aaaaaaaa, bbbbbbbb\n",
        ),
    ],
)
def test_who_holds_what_a_run_waits_for_is_named(
    reasons: list[list[str]], held: str
) -> None:
    answer = executions.ExplainExecutionResponse(
        execution_id=ID,
        summary="6 of the 6 slots are taken.",
        reasons=[executions.WaitReason(holder_ids=ids) for ids in reasons],
    )
    with FakeControlPlane() as server:
        server.expect("ExplainExecution", answer)
        ended = jobs_grpc("execution", "explain", ID, addr=server.address)
    assert ended.out.endswith(f"Why: 6 of the 6 slots are taken.\n{held}")
