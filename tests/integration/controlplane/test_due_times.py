"""What became of due times, over the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from jobs_grpc.v1 import schedule_service_pb2 as pb
from jobs_grpc.v1.job_service_pb2 import JobRef
from support.calls import fields_of, refused
from support.plane import Plane
from support.until import until

JOB = {"name": "backup", "command": "true", "schedule": "every 1s"}


async def decisions(plane: Plane, **fields: object) -> list[pb.Decision]:
    request = pb.ListDecisionsRequest(job="backup", **fields)  # type: ignore[arg-type]
    answer: pb.ListDecisionsResponse = await plane.calls.schedules.ListDecisions(
        request
    )
    return list(answer.decisions)


async def explain(plane: Plane, at: str, job: str = "backup") -> object:
    request = pb.ExplainDueTimeRequest(job=JobRef(name=job), at=at)
    return await plane.calls.schedules.ExplainDueTime(request)


async def test_due_times_are_listed_by_reason_and_each_is_explained(
    plane: Plane,
) -> None:
    await plane.calls.apply(JOB)

    async def some() -> bool:
        return len(await decisions(plane)) >= 2

    await until(some)
    first, second = (await decisions(plane))[-2:][::-1]
    overlaps = await decisions(plane, reasons=[pb.SKIP_REASON_OVERLAP])
    assert first not in overlaps
    assert second in overlaps
    assert await decisions(plane, reasons=[pb.SKIP_REASON_LIMIT]) == []
    told = await plane.calls.schedules.ExplainDueTime(
        pb.ExplainDueTimeRequest(
            job=JobRef(name="backup"), at=first.due_at.ToJsonString()
        )
    )
    assert told.kind == pb.DUE_TIME_KIND_STARTED
    assert told.execution.id == first.execution_id
    assert told.decision == first
    skipped = await plane.calls.schedules.ExplainDueTime(
        pb.ExplainDueTimeRequest(
            job=JobRef(name="backup"), at=second.due_at.ToJsonString()
        )
    )
    assert skipped.kind == pb.DUE_TIME_KIND_SKIPPED
    assert skipped.holder.id == first.execution_id
    assert first.execution_id[:8] in skipped.sentence


async def test_what_comes_and_what_never_was_are_told(plane: Plane) -> None:
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    await plane.calls.apply({**JOB, "schedule": "0 12 * * *"})
    coming = await explain(plane, f"{tomorrow}T12:00:00Z")
    assert isinstance(coming, pb.ExplainDueTimeResponse)
    assert coming.kind == pb.DUE_TIME_KIND_COMING
    never = await explain(plane, f"{tomorrow}T13:00")
    assert isinstance(never, pb.ExplainDueTimeResponse)
    assert never.kind == pb.DUE_TIME_KIND_NEVER_DUE
    assert never.before == coming.due_at
    assert never.after.seconds - never.before.seconds == 86_400


async def test_bad_questions_are_refused(plane: Plane) -> None:
    await plane.calls.apply(JOB)
    refusal = await refused(explain(plane, "soon"), "INVALID_ARGUMENT")
    assert fields_of(refusal) == ["at"]
    await refused(explain(plane, "2027-01-15T12:00", "nobody"), "JOB_NOT_FOUND")
    listing = decisions(plane, reasons=[77])
    refusal = await refused(listing, "INVALID_ARGUMENT")
    assert fields_of(refusal) == ["reasons"]
