"""Lengths and instants that nobody means: refused by their field, and no term ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from jobs_grpc.v1 import (
    backfill_pb2,
    breaker_service_pb2,
    dead_letter_service_pb2,
    execution_service_pb2,
    fleet_service_pb2,
    pause_pb2,
    pause_service_pb2,
    schedule_service_pb2,
)
from jobs_grpc.v1.job_service_pb2 import JobRef
from jobs_grpc.wire.time import duration
from support.calls import Calls, fields_of, refused
from support.plane import Plane
from support.scripted_worker import ScriptedWorker

DAY = 86_400_000_000
JOB = {"name": "backup", "command": "true", "schedule": "0 0 1 1 *"}
EVERYTHING = pause_pb2.PauseSubject(kind=pause_pb2.PauseKind.PAUSE_KIND_ALL)


def trip(calls: Calls, length: Duration) -> Awaitable[Any]:
    request = breaker_service_pb2.TripBreakerRequest(name="job:backup", open_for=length)
    answer: Awaitable[Any] = calls.breakers.TripBreaker(request)
    return answer


def pause(calls: Calls, length: Duration) -> Awaitable[Any]:
    request = pause_service_pb2.BeginPauseRequest(subject=EVERYTHING, lasting=length)
    answer: Awaitable[Any] = calls.pauses.BeginPause(request)
    return answer


def drain(calls: Calls, length: Duration) -> Awaitable[Any]:
    request = fleet_service_pb2.DrainWorkerRequest(worker="w1", deadline=length)
    answer: Awaitable[Any] = calls.fleet.DrainWorker(request)
    return answer


Call = Callable[[Calls, Duration], Awaitable[Any]]
LENGTHS = [(trip, "open_for"), (pause, "lasting"), (drain, "deadline")]


@pytest.mark.parametrize(("call", "field"), LENGTHS)
@pytest.mark.parametrize(
    "length",
    [
        Duration(seconds=8_000 * 365 * 86_400),
        Duration(seconds=2**62),
        Duration(seconds=36_500 * 86_400, nanos=1_000),
    ],
    ids=["years", "endless", "a microsecond too much"],
)
async def test_a_length_beyond_all_reason_is_refused_and_the_term_goes_on(
    plane: Plane, call: Call, field: str, length: Duration
) -> None:
    term = plane.leader.term
    refusal = await refused(call(plane.calls, length), "INVALID_ARGUMENT")
    assert fields_of(refusal) == [field]
    assert refusal.message == f"{field} must be at most 36500 days"
    assert (await plane.calls.info()).term == term


@pytest.mark.parametrize(
    ("call", "field", "length", "rule"),
    [
        (trip, "open_for", duration(0), "longer than zero"),
        (trip, "open_for", duration(-DAY), "longer than zero"),
        (pause, "lasting", duration(0), "longer than zero"),
        (pause, "lasting", Duration(seconds=-(2**62)), "longer than zero"),
        (drain, "deadline", duration(-1), "not negative"),
    ],
)
async def test_a_length_that_is_none_is_refused(
    calls: Calls, call: Call, field: str, length: Duration, rule: str
) -> None:
    refusal = await refused(call(calls, length), "INVALID_ARGUMENT")
    assert (refusal.message, fields_of(refusal)) == (f"{field} must be {rule}", [field])


async def test_the_longest_length_is_kept(plane: Plane) -> None:
    calls, longest, term = plane.calls, duration(36_500 * DAY), plane.leader.term
    await calls.apply({**JOB, "breaker": {}})
    tripped = (await trip(calls, longest)).breaker
    paused = (await pause(calls, longest)).pause
    async with ScriptedWorker(calls):
        drained = (await drain(calls, longest)).worker
    for until in (tripped.until, paused.until, drained.drain_until):
        assert until.ToDatetime().year > 2100
    assert (await calls.info()).term == term


def ask_for_decisions(calls: Calls, **bound: Any) -> Awaitable[Any]:
    request = schedule_service_pb2.ListDecisionsRequest(**bound)
    answer: Awaitable[Any] = calls.schedules.ListDecisions(request)
    return answer


def ask_for_due_times(calls: Calls, **bound: Any) -> Awaitable[Any]:
    request = schedule_service_pb2.ListDueTimesRequest(
        job=JobRef(name="backup"), **bound
    )
    answer: Awaitable[Any] = calls.schedules.ListDueTimes(request)
    return answer


def backfill(calls: Calls, **bound: Any) -> Awaitable[Any]:
    bounds: dict[str, Any] = {
        "from": Timestamp(),
        "to": Timestamp(seconds=86_400),
        **bound,
    }
    request = backfill_pb2.CreateBackfillRequest(job=JobRef(name="backup"), **bounds)
    answer: Awaitable[Any] = calls.schedules.CreateBackfill(request)
    return answer


def purge(calls: Calls, **bound: Any) -> Awaitable[Any]:
    selection = dead_letter_service_pb2.DeadLetterSelection(**bound)
    request = dead_letter_service_pb2.PurgeDeadLettersRequest(selection=selection)
    answer: Awaitable[Any] = calls.dead_letters.PurgeDeadLetters(request)
    return answer


def submit(calls: Calls, **bound: Any) -> Awaitable[Any]:
    submission = execution_service_pb2.Submission(job="backup", **bound)
    return calls.submit(submission)


def disable(calls: Calls, **bound: Any) -> Awaitable[Any]:
    request = schedule_service_pb2.SetScheduleEnabledRequest(
        schedule=schedule_service_pb2.ScheduleRef(
            job=JobRef(name="backup"), schedule="main"
        ),
        **bound,
    )
    answer: Awaitable[Any] = calls.schedules.SetScheduleEnabled(request)
    return answer


def pause_until(calls: Calls, **bound: Any) -> Awaitable[Any]:
    request = pause_service_pb2.BeginPauseRequest(subject=EVERYTHING, **bound)
    answer: Awaitable[Any] = calls.pauses.BeginPause(request)
    return answer


@pytest.mark.parametrize(
    "given",
    [
        Timestamp(seconds=2**62),
        Timestamp(seconds=-(2**62)),
        Timestamp(seconds=253_402_300_799, nanos=2_000_000_000),
    ],
    ids=["after", "before", "just after"],
)
@pytest.mark.parametrize(
    ("call", "field"),
    [
        (ask_for_decisions, "from"),
        (ask_for_decisions, "to"),
        (ask_for_due_times, "from"),
        (backfill, "from"),
        (backfill, "to"),
        (purge, "failed_before"),
        (submit, "not_before"),
        (disable, "until"),
        (pause_until, "until"),
    ],
)
async def test_what_is_no_instant_is_refused_in_the_same_words_everywhere(
    calls: Calls, call: Callable[..., Awaitable[Any]], field: str, given: Timestamp
) -> None:
    await calls.apply(JOB)
    refusal = await refused(call(calls, **{field: given}), "INVALID_ARGUMENT")
    assert refusal.message == f"{field} is no instant of the years 1 to 9999"
    assert fields_of(refusal) == [field]
