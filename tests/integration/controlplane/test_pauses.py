"""Pauses over the wire."""

from __future__ import annotations

from typing import Any

import pytest

from jobs_grpc.v1 import pause_pb2
from jobs_grpc.v1 import pause_service_pb2 as pb
from jobs_grpc.v1.job_service_pb2 import JobRef
from jobs_grpc.v1.pause_pb2 import PauseKind, PauseMeanwhile, PauseSubject
from jobs_grpc.v1.schedule_service_pb2 import ListDueTimesRequest, SkipReason
from jobs_grpc.wire.time import duration, microseconds, timestamp
from support.calls import fields_of, refused
from support.plane import Plane

JOB = {"name": "backup", "command": "true", "schedule": "0 0 1 1 *"}


async def begin(plane: Plane, kind: str, **fields: Any) -> pause_pb2.Pause:
    subject = PauseSubject(
        kind=PauseKind.Value(f"PAUSE_KIND_{kind}"), **fields.pop("subject", {})
    )
    request = pb.BeginPauseRequest(subject=subject, **fields)
    answer: pb.BeginPauseResponse = await plane.calls.pauses.BeginPause(request)
    return answer.pause


async def listed(plane: Plane, **fields: Any) -> list[str]:
    answer = await plane.calls.pauses.ListPauses(pb.ListPausesRequest(**fields))
    return [one.id for one in answer.pauses]


async def test_a_pause_is_told_as_it_was_asked_for_and_shown_with_its_job(
    plane: Plane,
) -> None:
    await plane.calls.apply(JOB)
    made = await begin(
        plane,
        "JOB",
        subject={"job": "backup"},
        note="upgrade",
        lasting=duration(3_600_000_000),
        meanwhile=PauseMeanwhile.PAUSE_MEANWHILE_LATEST,
    )
    assert made.subject.workspace == "_standalone_"
    assert microseconds(made.until) - microseconds(made.since) == pytest.approx(
        3_600_000_000, abs=60_000_000
    )
    assert (await plane.calls.job("backup")).pause == made
    assert await listed(plane) == [made.id]
    request = pb.EndPausesRequest(subject=made.subject)
    (ended,) = (await plane.calls.pauses.EndPauses(request)).pauses
    assert ended.ended_by == made.who != ""
    assert ended.HasField("ended_at")
    assert not (await plane.calls.job("backup")).HasField("pause")
    assert await listed(plane) == []
    assert await listed(plane, with_ended=True) == [made.id]


async def test_a_paused_job_has_no_next_run_and_its_due_times_are_skipped(
    plane: Plane,
) -> None:
    await plane.calls.apply(JOB)
    assert (await plane.calls.job("backup")).HasField("next_run_at")
    await begin(plane, "JOB", subject={"job": "backup"})
    assert not (await plane.calls.job("backup")).HasField("next_run_at")
    request = ListDueTimesRequest(job=JobRef(name="backup"), count=1)
    (coming,) = (await plane.calls.schedules.ListDueTimes(request)).due_times
    assert coming.skip == SkipReason.SKIP_REASON_PAUSED


async def test_pages_of_pauses_meet(plane: Plane) -> None:
    made = [(await begin(plane, "ALL")).id for _ in range(3)]
    first = await plane.calls.pauses.ListPauses(pb.ListPausesRequest(page_size=2))
    rest = await listed(plane, page_size=2, page_token=first.next_page_token)
    assert [*(one.id for one in first.pauses), *rest] == made[::-1]


async def test_bad_requests_are_refused_by_what_is_wrong_in_them(plane: Plane) -> None:
    call = plane.calls.pauses
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("JOB", {}, "subject.job"),
        ("SCHEDULE", {}, "subject.schedule"),
        ("QUEUE", {}, "subject.queue"),
        ("WORKSPACE", {}, "subject.workspace"),
        ("UNSPECIFIED", {}, "subject.kind"),
        ("ALL", {"note": "x" * 1_001}, "note"),
        ("ALL", {"until": timestamp(0)}, "until"),
        ("ALL", {"until": timestamp(1), "lasting": duration(1)}, "lasting"),
        ("ALL", {"meanwhile": 77}, "meanwhile"),
        ("NAMESPACE", {"subject": {"namespace": "nobody"}}, "namespace"),
    ]
    for kind, fields, field in cases:
        refusal = await refused(begin(plane, kind, **fields), "INVALID_ARGUMENT")
        assert fields_of(refusal) == [field]
    await refused(begin(plane, "JOB", subject={"job": "nobody"}), "JOB_NOT_FOUND")
    await refused(begin(plane, "QUEUE", subject={"queue": "no"}), "QUEUE_NOT_FOUND")
    nothing = pb.EndPausesRequest(pause_id="nobody")
    await refused(call.EndPauses(nothing), "PAUSE_NOT_FOUND")
    token = pb.ListPausesRequest(page_token="nonsense")
    await refused(call.ListPauses(token), "INVALID_ARGUMENT")
    assert await listed(plane, with_ended=True) == []
