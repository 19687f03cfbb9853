"""Due times to come on the command line: lists and months."""

from __future__ import annotations

from jobs_grpc.v1.schedule_service_pb2 import (
    SKIP_REASON_BLACKOUT,
    DueTime,
    ListDueTimesResponse,
)
from jobs_grpc.wire.time import timestamp
from support.cli import jobs_grpc
from support.client_messages import NOON
from support.fake_control_plane import FakeControlPlane

SECOND = 1_000_000


def test_a_month_marks_days_and_clock_changes() -> None:
    ended = jobs_grpc(
        "schedule", "preview", "30 1 * * *", "{weekly: sat, time: '12:00'}",
        "{cron: 0 12 8 * *, blackout: weekends}", "--tz", "America/New_York",
        "--from", "2026-11-01T04:00:00Z", "--calendar", "--count", "20",
    )  # fmt: skip
    assert ended.out.splitlines() == [
        "November 2026 (America/New_York)",
        "Mo  Tu  We  Th  Fr  Sa  Su",
        "                         1*",
        " 2*  3*  4*  5*  6*  7#  8#",
        " 9* 10* 11* 12* 13* 14# 15*",
        "16* 17* 18  19  20  21  22",
        "23  24  25  26  27  28  29",
        "30",
        "2026-11-01: clocks go back by 60 minutes",
        "more may follow after 2026-11-17: --count says how many are looked at",
    ]


def test_a_day_on_which_all_is_skipped_is_marked_so() -> None:
    ended = jobs_grpc(
        "schedule", "preview", "{daily: '12:00', blackout: weekends, end: 2026-11-11}",
        "--from", "2026-11-06T00:00:00Z", "--calendar",
    )  # fmt: skip
    assert " 2   3   4   5   6*  7-  8-" in ended.out
    assert " 9* 10* 11  12" in ended.out
    assert "more may follow" not in ended.out


def test_objects_have_a_zone_of_their_own() -> None:
    ended = jobs_grpc(
        "schedule", "preview", "{monthly: last-day, time: 18:00, timezone: Asia/Tokyo}",
        "--from", "2027-02-01T00:00:00Z", "--count", "1",
    )  # fmt: skip
    assert ended.out == "Sun 2027-02-28 18:00:00 JST\n"


def test_what_is_wrong_with_an_object_is_said() -> None:
    for text, why in (
        ("{monthly: last-dey}", 'did you mean "last-day"?'),
        ("{monthly: ", "not valid YAML"),
        ("{cron: '@daily', every: 5m}", "one kind of rule, got cron and every"),
    ):
        ended = jobs_grpc("schedule", "preview", text)
        assert ended.code == 2
        assert why in ended.err
    assert jobs_grpc("schedule", "preview", "@daily", "--tz", "Rigga").code == 2


def test_a_period_from_the_end_has_no_due_time_of_its_own() -> None:
    ended = jobs_grpc("schedule", "preview", "every 10m from end")
    assert (ended.code, ended.out) == (0, "")
    assert "no due time to come" in ended.err


def test_the_next_due_times_of_a_job_name_its_schedules() -> None:
    answer = ListDueTimesResponse(
        due_times=[
            DueTime(
                due_at=timestamp(NOON),
                starts_at=timestamp(NOON + 90 * SECOND),
                schedules=["nightly", "cron 0 12 * * *"],
            ),
            DueTime(
                due_at=timestamp(NOON + 3_600 * SECOND),
                starts_at=timestamp(NOON + 3_600 * SECOND),
                schedules=["hourly"],
                skip=SKIP_REASON_BLACKOUT,
            ),
        ],
        timezone="Europe/Berlin",
    )
    with FakeControlPlane() as server:
        server.expect("ListDueTimes", answer)
        text = jobs_grpc("job", "next", "backup", addr=server.address).out
        server.expect("ListDueTimes", answer)
        found = jobs_grpc(
            "job", "next", "backup", "--from", "2027-01-01T00:00:00Z",
            "--count", "2", "-o", "json", addr=server.address,
        )  # fmt: skip
    first, second = text.splitlines()
    assert first.endswith("CET  starts 90s later  nightly, cron 0 12 * * *")
    assert second.endswith("CET  hourly  skipped: blackout")
    document = found.json()
    assert document["timezone"] == "Europe/Berlin"
    assert [one["skip"] for one in document["data"]] == [None, "blackout"]
