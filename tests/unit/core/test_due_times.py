"""Any instant can be asked about, and the answer is one sentence."""

from __future__ import annotations

import pytest

from jobs_grpc.controlplane.core.answers.due_times import (
    Answer,
    DueTimeKind,
    Recorded,
    answer,
)
from jobs_grpc.controlplane.core.schedules.meant_times import ask
from jobs_grpc.controlplane.core.state.errors import InvalidError
from jobs_grpc.controlplane.core.state.inputs import (
    BeginPause,
    EndPauses,
    SetJobEnabled,
)
from jobs_grpc.controlplane.core.state.pauses import Meanwhile, PauseKind, Scope
from jobs_grpc.controlplane.core.state.states import Move
from jobs_grpc.controlplane.storage.memory import MemoryStore
from jobs_grpc.schedule import format_instant, parse_instant
from support.jobs import MINUTE, NOON, SECOND, key
from support.stage import Stage, finish

JOB = Scope(PauseKind.JOB, *key())


def explain(stage: Stage, at: str, name: str = "backup") -> Answer:
    """Ask as the service does: mean, look up, answer."""
    job = stage.job(name)
    meant = ask(job, at)
    record = {}
    for one in meant:
        for instant in one.to_look_up:
            schedule = one.schedule.spec.id
            decision = finish(stage.store.decision_at(schedule, instant))
            if decision is None:
                continue
            rows = {row.id: row for row in stage.rows()}
            record[(schedule, instant)] = Recorded(
                decision=decision,
                execution=rows.get(decision.execution_id),
                holder=rows.get(decision.holder),
                pause=finish(stage.store.pause(decision.holder)),
            )
    return answer(job, meant, record, stage.core.pauses, stage.now)


def minute(n: float) -> str:
    return format_instant(NOON + round(n * MINUTE))


def pause(stage: Stage, seconds: int | None = None, **fields: Meanwhile) -> None:
    until = None if seconds is None else stage.now + seconds * SECOND
    request = BeginPause(
        id="p1",
        scope=JOB,
        note="upgrade",
        who="alice",
        until=until,
        meanwhile=fields.get("meanwhile", Meanwhile.DROP),
    )
    stage.ask(request)


def test_a_run_that_started_is_named_with_its_end(stage: Stage) -> None:
    stage.apply(schedule="every 1m")
    session = stage.connect()
    stage.wait(60)
    (fence,) = session.leases
    stage.start(session, fence)
    stage.now += 3 * SECOND
    stage.end(session, fence, Move.FAIL)
    found = explain(stage, minute(1))
    id_ = stage.rows()[0].id
    assert found.kind is DueTimeKind.STARTED
    assert found.sentence == (
        '"backup" was due at 2026-03-02 12:01:00 UTC by its schedule "every 1m from'
        f' 1970-01-01T00:00:00Z" and started execution {id_[:8]}, which failed after 3s'
        " (Command failed: exit status 1)."
    )
    assert found.recorded is not None
    assert found.recorded.execution == stage.rows()[0]


def test_one_skipped_for_overlap_names_the_holder(stage: Stage) -> None:
    stage.apply(schedule="every 1m")
    stage.live_through(120)
    found = explain(stage, minute(2))
    holder = stage.rows()[0].id
    assert found.kind is DueTimeKind.SKIPPED
    because = f"because execution {holder[:8]} (now pending) was still active."
    assert found.sentence.endswith(f"and was skipped, {because}")
    assert found.recorded is not None
    assert found.recorded.decision.holder == holder


def test_one_that_waits_behind_another_says_so(stage: Stage) -> None:
    stage.apply(schedule="every 1m", overlap="queue")
    stage.live_through(120)
    first, second = stage.rows()
    told = explain(stage, minute(2)).sentence
    assert told.endswith(
        f"and started execution {second.id[:8]}, which is pending; it had to wait for"
        f" execution {first.id[:8]} to end."
    )


def test_one_that_replaced_another_says_so(stage: Stage) -> None:
    stage.apply(schedule="every 1m", overlap="replace")
    stage.live_through(120)
    first, second = stage.rows()
    assert explain(stage, minute(2)).sentence.endswith(
        f"and started execution {second.id[:8]}, which is pending; it replaced execution"
        f" {first.id[:8]}."
    )


@pytest.mark.parametrize(
    ("overlap", "due", "because"),
    [
        (
            {"policy": "allow", "max": 2},
            3,
            (
                "its overlap lets at most 2 runs be active at once, and execution {} (now"
                " pending) was one of them."
            ),
        ),
        (
            {"policy": "queue", "max": 1},
            3,
            (
                "its overlap lets at most 1 run wait, and as many waited for execution {}"
                " (now pending) to end."
            ),
        ),
    ],
)
def test_one_beyond_a_number_names_the_number(
    stage: Stage, overlap: dict[str, object], due: int, because: str
) -> None:
    stage.apply(schedule="every 1m", overlap=overlap)
    stage.live_through(due * 60)
    first = stage.rows()[0].id[:8]
    assert explain(stage, minute(due)).sentence.endswith(
        f"and was skipped, because {because.format(first)}"
    )


def test_one_in_a_blackout_names_the_calendar(stage: Stage) -> None:
    stage.apply(
        calendars={"freeze": "2026-03-02"},
        schedule={"every": "1m", "blackout": ["weekends", "freeze"]},
    )
    stage.live_through(60)
    calendar = 'it falls into the blackout calendar "freeze".'
    assert explain(stage, minute(1)).sentence.endswith(f"because {calendar}")
    assert explain(stage, minute(2)).sentence.endswith(
        f"it will be skipped, because {calendar}"
    )


def test_one_that_nobody_could_run_names_the_labels(stage: Stage) -> None:
    stage.apply(
        schedule="every 1m",
        targets={"selector": {"role": "db", "gpu": ""}, "if_none": "skip"},
        slots=2,
    )
    stage.live_through(60)
    assert explain(stage, minute(1)).sentence.endswith(
        "because there was no worker with the labels gpu and role=db and 2 slots."
    )


@pytest.mark.parametrize(("most", "runs"), [(1, "the one run"), (2, "all 2 runs")])
def test_one_after_the_last_run_counts_them(stage: Stage, most: int, runs: str) -> None:
    stage.apply(schedule={"every": "1m", "max_runs": most}, overlap="allow", name="few")
    stage.live_through((most + 1) * 60)
    why = f"because the schedule has started {runs} that max_runs allows."
    assert explain(stage, minute(most + 1), "few").sentence.endswith(why)
    assert explain(stage, minute(most + 2), "few").sentence.endswith(why)


def test_a_missed_one_tells_of_the_outage_and_the_rule(stage: Stage) -> None:
    stage.apply(schedule="every 10m")
    stage.restart(after=25 * 60)
    found = explain(stage, minute(10))
    assert found.kind is DueTimeKind.SKIPPED
    assert found.sentence.endswith(
        "and was skipped, because it was missed: no control plane was there to decide it"
        ' until 2026-03-02 12:25:00 UTC, and catch_up is "latest" within 1h.'
    )
    made_up = explain(stage, minute(20))
    assert made_up.kind is DueTimeKind.STARTED
    assert ", 5m late, which is pending." in made_up.sentence


def test_one_of_many_missed_is_found_in_their_record(stage: Stage) -> None:
    stage.apply(schedule="every 1s", catch_up="none")
    stage.restart(after=600)
    found = explain(stage, minute(5))
    assert found.kind is DueTimeKind.SKIPPED
    assert (
        "(recorded as one: 600 due times from 2026-03-02 12:00:01 UTC to"
        " 2026-03-02 12:10:00 UTC)" in found.sentence
    )


def test_a_paused_one_tells_who_why_and_until_when(stage: Stage) -> None:
    stage.apply(schedule="every 1m")
    pause(stage, 150)
    stage.live_through(60)
    found = explain(stage, minute(1))
    assert found.sentence.endswith(
        'and was skipped, because job "backup" is paused by alice (upgrade) since'
        " 2026-03-02 12:00:00 UTC until 2026-03-02 12:02:30 UTC."
    )
    assert found.pause is not None
    coming = explain(stage, minute(2))
    assert coming.kind is DueTimeKind.COMING
    assert "in 1m; it will be skipped, because job" in coming.sentence
    after = explain(stage, minute(3))
    assert after.sentence.endswith("in 2m.")
    stage.ask(EndPauses(pause_id="p1", who="bob"))
    past = explain(stage, minute(1))
    assert 'job "backup" was paused by alice (upgrade) since' in past.sentence
    assert past.sentence.endswith("until 2026-03-02 12:01:00 UTC.")


def test_one_that_a_pause_keeps_undecided_says_what_will_be(stage: Stage) -> None:
    stage.apply(schedule="every 1m")
    pause(stage, meanwhile=Meanwhile.LATEST)
    stage.live_through(60)
    found = explain(stage, minute(1))
    assert found.kind is DueTimeKind.UNDECIDED
    assert found.sentence.endswith(
        "until somebody resumes it; when the pause ends, the latest due time is started."
    )


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"cron": "30 2 * * *"}, "and it is due right after instead;"),
        (
            {"cron": "30 2 * * *", "dst": "skip"},
            (
                "and nothing is due in its place; the nearest due times are 2026-03-07"
                " 02:30:00 EST and 2026-03-09 02:30:00 EDT."
            ),
        ),
    ],
)
def test_one_in_a_coming_gap_says_where_the_clocks_leap(
    stage: Stage, entry: dict[str, str], words: str
) -> None:
    stage.apply(schedule={**entry, "timezone": "America/New_York"})
    found = explain(stage, "2026-03-08T02:30")
    assert found.kind is DueTimeKind.IN_GAP
    assert (
        "that time does not exist in America/New_York: clocks go from 02:00:00 to"
        f" 03:00:00, {words}" in found.sentence
    )


@pytest.mark.parametrize(
    ("entry", "at", "nearest"),
    [
        # The time that the gap swallows is 02:30, and nobody asks for it.
        (
            {"cron": "30 2 * * *"},
            "2026-03-08T02:15",
            "2026-03-07 02:30:00 EST and 2026-03-08 03:00:00 EDT",
        ),
        # 03:00 is an ordinary due time here.
        (
            {"cron": "*/15 * * * *"},
            "2026-03-08T02:15",
            "2026-03-08 01:45:00 EST and 2026-03-08 03:00:00 EDT",
        ),
        (
            {"every": "1h", "exclude": "* 12 * * *"},
            "2026-03-08T02:30",
            "2026-03-08 01:00:00 EST and 2026-03-08 03:00:00 EDT",
        ),
    ],
)
def test_a_time_of_a_gap_that_no_schedule_names_is_not_due_after_it(
    stage: Stage, entry: dict[str, str], at: str, nearest: str
) -> None:
    stage.apply(schedule={**entry, "timezone": "America/New_York"})
    found = explain(stage, at)
    assert found.kind is DueTimeKind.IN_GAP
    assert found.at is None
    assert found.sentence.endswith(
        f"and nothing is due in its place; the nearest due times are {nearest}."
    )


def test_a_bounded_schedule_moves_out_of_a_gap_too(stage: Stage) -> None:
    stage.apply(
        schedule={
            "cron": "30 2 * * *",
            "timezone": "America/New_York",
            "start": "2026-01-01",
            "exclude": "sat",
        }
    )
    assert (
        "it is due right after instead;" in explain(stage, "2026-03-08T02:30").sentence
    )


def test_the_run_of_a_gap_is_told_when_it_has_come(stage: Stage) -> None:
    stage.now = parse_instant("2026-03-08T06:00:00Z")
    stage.apply(schedule={"cron": "30 2 * * *", "timezone": "America/New_York"})
    stage.live_through(2 * 3_600)
    found = explain(stage, "2026-03-08 02:30:00")
    assert found.at == parse_instant("2026-03-08T07:00:00Z")
    assert "was due at 2026-03-08 03:00:00 EDT" in found.sentence
    assert f"started execution {stage.rows()[0].id[:8]}" in found.sentence


def test_a_local_time_that_comes_twice_means_the_one_that_is_due(stage: Stage) -> None:
    stage.apply(schedule={"cron": "30 1 * * *", "timezone": "America/New_York"})
    found = explain(stage, "2026-11-01T01:30")
    assert found.at == parse_instant("2026-11-01T05:30:00Z")
    assert found.kind is DueTimeKind.COMING


def test_one_that_never_was_due_names_the_nearest(stage: Stage) -> None:
    stage.apply(schedule="0 3 * * *")
    stage.live_through(60)
    found = explain(stage, minute(0.5))
    assert found.kind is DueTimeKind.NEVER_DUE
    assert found.sentence == (
        '"backup" was never due at 2026-03-02 12:00:30 UTC by its schedule'
        ' "cron 0 3 * * *"; the nearest due times are 2026-03-02 03:00:00 UTC and'
        " 2026-03-03 03:00:00 UTC."
    )
    assert (found.before, found.after) == (
        parse_instant("2026-03-02T03:00:00Z"),
        parse_instant("2026-03-03T03:00:00Z"),
    )
    assert "is not due at" in explain(stage, "2030-01-01T00:00:01Z").sentence


def test_of_several_schedules_the_nearest_of_all_are_named(stage: Stage) -> None:
    stage.apply(schedule=["0 3 * * *", "0 18 * * *", {"at": "2026-03-02T12:00:20Z"}])
    stage.live_through(60)
    found = explain(stage, minute(5))
    assert found.sentence.endswith(
        "by any of its 3 schedules; the nearest due times are 2026-03-02 12:00:20 UTC"
        " and 2026-03-02 18:00:00 UTC."
    )


def test_a_start_tells_more_than_the_duplicate_beside_it(stage: Stage) -> None:
    stage.apply(schedule=[{"name": n, "every": "1m"} for n in ("a", "b")])
    stage.live_through(60)
    assert explain(stage, minute(1)).kind is DueTimeKind.STARTED


def test_an_end_and_a_beginning_are_said(stage: Stage) -> None:
    stage.apply(schedule={"at": "2026-03-02T12:01:00Z"})
    assert (
        "; its first due time is 2026-03-02 12:01" in explain(stage, minute(0)).sentence
    )
    stage.live_through(120)
    assert (
        "; its last due time was 2026-03-02 12:01" in explain(stage, minute(2)).sentence
    )


def test_a_time_before_the_schedule_was_made_has_no_record(stage: Stage) -> None:
    stage.apply(schedule="every 1m")
    found = explain(stage, minute(-5))
    assert found.kind is DueTimeKind.UNRECORDED
    assert found.sentence.endswith(
        "but the job was not there yet: it was made at 2026-03-02 12:00:00 UTC."
    )


def test_a_time_before_an_edit_says_so(stage: Stage) -> None:
    stage.apply(schedule="every 2m")
    stage.live_through(90)
    stage.apply(schedule="every 1m")
    found = explain(stage, minute(1))
    assert found.kind is DueTimeKind.UNRECORDED
    assert found.sentence.endswith(
        "but there is no record of it: the job was changed at 2026-03-02 12:01:30 UTC,"
        " and may have had other due times before."
    )


def test_a_time_whose_record_was_removed_says_so(stage: Stage) -> None:
    stage.apply(schedule="every 1m")
    stage.live_through(60)
    stage.store = MemoryStore()
    assert explain(stage, minute(1)).sentence.endswith(
        "but there is no record of it any more: the server removes old records."
    )


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize(
    "at", ["0001-01-01T00:00:00Z", "0001-01-01T00:00", "9999-12-31T23:59:59Z"]
)
def test_a_time_that_no_calendar_reaches_is_refused(
    stage: Stage, zone: str, at: str
) -> None:
    stage.apply(schedule={"cron": "0 3 * * *", "timezone": zone})
    with pytest.raises(InvalidError, match="in the years 1900 to 9900") as error:
        explain(stage, at)
    assert error.value.field == "at"


def test_a_disabled_job_says_so_before_and_after(stage: Stage) -> None:
    stage.apply(schedule="every 1m")
    stage.ask(SetJobEnabled(key(), False))
    stage.live_through(60)
    assert explain(stage, minute(1)).sentence.endswith("because it was disabled.")
    assert explain(stage, minute(2)).sentence.endswith("because it is disabled.")


def test_a_job_without_schedules_is_never_due(stage: Stage) -> None:
    stage.apply()
    assert explain(stage, minute(1)).sentence == (
        '"backup" has no schedule, so it is never due.'
    )


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01T00:00", "2026-03-02"])
def test_what_is_no_time_is_refused(stage: Stage, text: str) -> None:
    stage.apply(schedule="every 1m")
    with pytest.raises(InvalidError) as error:
        explain(stage, text)
    assert error.value.field == "at"
    assert error.value.hint


def test_far_from_any_due_time_the_answer_is_quick(stage: Stage) -> None:
    stage.apply(schedule="0 0 29 2 *")
    found = explain(stage, "2027-06-01T00:00:00Z")
    assert found.before == parse_instant("2024-02-29T00:00:00Z")
    assert found.after == parse_instant("2028-02-29T00:00:00Z")
