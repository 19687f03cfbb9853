from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from jobs_grpc.controlplane.core.schedules.timeline import Timeline
from jobs_grpc.controlplane.core.state.live import Schedule
from jobs_grpc.schedule import Rule
from jobs_grpc.schedule.rule import walk
from support.jobs import DAY, HOUR, MINUTE, NOON, spec
from support.stage import Stage


def schedules(*rules: object, name: str = "backup") -> list[Schedule]:
    stage = Stage()
    job = stage.apply(name=name, schedule=list(rules))
    return list(job.schedules.values())


@dataclass(frozen=True, slots=True)
class CountedRule:
    """Every hour; counts how often it is computed."""

    calls: list[int] = field(default_factory=list, compare=False, hash=False)
    canonical: str = "every hour"
    timezone: str = "UTC"

    def next_after(self, after: int) -> int:
        self.calls.append(after)
        return (after // HOUR + 1) * HOUR

    def between(self, start: int, end: int, limit: int | None = None) -> Iterator[int]:
        return walk(self, start, end, limit)


def counted(rule: Rule, count: int) -> list[Schedule]:
    (template,) = schedules("every 1h")
    made = []
    for number in range(count):
        one = template.spec
        made.append(
            Schedule(
                job=template.job,
                spec=type(one)(
                    id=f"s{number}",
                    name=one.name,
                    rule=rule,
                    params=one.params,
                    enabled=True,
                ),
                cursor=NOON,
            )
        )
    return made


def test_equal_rules_share_a_group_and_a_computation() -> None:
    timeline = Timeline()
    rule = CountedRule()
    for one in counted(rule, 1_000):
        timeline.add(one, NOON)
    assert len(timeline) == 1_000
    assert len(rule.calls) == 1
    (group,) = timeline.due(NOON + HOUR)
    assert len(group.schedules) == 1_000
    assert len(rule.calls) == 2


def test_rules_come_due_in_their_order_and_move_on() -> None:
    timeline = Timeline()
    for one in schedules("every 10m", "every 15m", "0 0 * * *"):
        timeline.add(one, NOON)
    assert timeline.next_due() == NOON + 10 * MINUTE
    due = [group.rule.canonical for group in timeline.due(NOON + 15 * MINUTE)]
    assert due == [
        "every 10m from 1970-01-01T00:00:00Z",
        "every 15m from 1970-01-01T00:00:00Z",
    ]
    assert timeline.next_due() == NOON + 20 * MINUTE


def test_nothing_is_due_before_its_time() -> None:
    timeline = Timeline()
    for one in schedules("every 10m"):
        timeline.add(one, NOON)
    assert list(timeline.due(NOON + 10 * MINUTE - 1)) == []


def test_what_is_removed_is_not_due() -> None:
    timeline = Timeline()
    ten, fifteen = schedules("every 10m", "every 15m")
    timeline.add(ten, NOON)
    timeline.add(fifteen, NOON)
    timeline.remove(ten)
    assert timeline.next_due() == NOON + 15 * MINUTE
    timeline.remove(fifteen)
    assert timeline.next_due() is None
    assert len(timeline) == 0
    assert list(timeline.due(NOON + DAY)) == []


def test_one_of_a_group_can_leave_it() -> None:
    timeline = Timeline()
    first, second = counted(CountedRule(), 2)
    timeline.add(first, NOON)
    timeline.add(second, NOON)
    timeline.remove(first)
    (group,) = timeline.due(NOON + HOUR)
    assert list(group.schedules) == [second.spec.id]


def test_a_rule_that_left_can_come_back() -> None:
    timeline = Timeline()
    (one,) = schedules("every 10m")
    timeline.add(one, NOON)
    timeline.remove(one)
    timeline.add(one, NOON + 11 * MINUTE)
    assert timeline.next_due() == NOON + 20 * MINUTE
    assert len(list(timeline.due(NOON + 20 * MINUTE))) == 1
    assert timeline.next_due() == NOON + 30 * MINUTE


def test_a_rule_that_runs_out_is_due_no_more() -> None:
    timeline = Timeline()
    for one in schedules({"at": "2026-03-02T12:10:00Z"}):
        timeline.add(one, NOON)
    assert len(list(timeline.due(NOON + HOUR))) == 1
    assert timeline.next_due() is None
    assert len(timeline) == 1


def test_a_schedule_added_after_the_clock_stepped_back_brings_its_rule_forward() -> (
    None
):
    timeline = Timeline()
    first, second = counted(CountedRule(), 2)
    timeline.add(first, NOON)
    timeline.add(second, NOON - 3 * HOUR)
    assert timeline.next_due() == NOON - 2 * HOUR


def test_a_tick_costs_what_is_due_and_not_what_exists() -> None:
    timeline = Timeline()
    daily = spec(schedule=[f"{n % 60} {n // 60} * * *" for n in range(100)])
    job = Stage().apply()
    for number, one in enumerate(daily.schedules):
        timeline.add(Schedule(job=job, spec=one, cursor=NOON), NOON)
        assert len(timeline) == number + 1
    assert timeline.next_due() == NOON + 12 * HOUR
    assert len(list(timeline.due(NOON + 12 * HOUR + 9 * MINUTE))) == 10
