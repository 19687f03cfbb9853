from __future__ import annotations

from typing import Any

import pytest

from jobs_grpc.controlplane.core.state.job import (
    BreakerPolicy,
    CatchUp,
    Concurrency,
    Delivery,
    Fallback,
    Overlap,
    Timeouts,
    Work,
)
from jobs_grpc.controlplane.core.state.retrying import Backoff, RetryPolicy
from jobs_grpc.controlplane.leader.specs import document_from_json, spec_from_json
from jobs_grpc.jobfile import JobDocument
from jobs_grpc.jobfile.keys import JobKeys
from support.jobs import DAY, HOUR, MINUTE, SECOND, document, spec


def test_a_plain_job_has_the_defaults() -> None:
    made = spec()
    assert made.key == ("default", "_standalone_", "backup")
    assert made.work == Work(type="command", line="true")
    assert (made.queue, made.priority, made.timeout) == ("default", 3, 30 * MINUTE)
    assert (made.max_active, made.delivery) == (1, Delivery.AT_MOST_ONCE)
    assert (made.catch_up, made.catch_up_window) == (CatchUp.LATEST, HOUR)
    assert (made.cancel_signal, made.cancel_grace) == ("TERM", 10 * SECOND)
    assert made.output_limit == 64 * 1024 * 1024
    assert (made.selector, made.labels, made.params) == ({}, {}, {})
    assert made.enabled
    assert not made.is_templated
    assert not made.has_declared_params
    assert made.schedules == ()


CONVERSIONS: list[tuple[dict[str, Any], str, Any]] = [
    ({"name": "other"}, "name", "other"),
    ({"namespace": "ops"}, "namespace", "ops"),
    ({"workspace": "shop"}, "workspace", "shop"),
    ({"description": "words"}, "description", "words"),
    ({"labels": {"a": "b"}}, "labels", {"a": "b"}),
    ({"slots": 3}, "slots", 3),
    ({"concurrency": 2}, "concurrency", Concurrency(max=2)),
    ({"concurrency": {}}, "concurrency", Concurrency(max=1)),
    (
        {"concurrency": {"key": "a-{{job_name}}", "per_worker": 2}},
        "concurrency",
        Concurrency(key="a-{{job_name}}", per_worker=2),
    ),
    (
        {"breaker": {}},
        "breakers",
        (BreakerPolicy(failures=5, window=5 * MINUTE, open_for=MINUTE, successes=3),),
    ),
    (
        {"breaker": [{"name": "db", "exit_codes": [75]}, {"percent": 40, "of": 9}]},
        "breakers",
        (
            BreakerPolicy(name="db", exit_codes=frozenset({75})),
            BreakerPolicy(percent=40, of=9),
        ),
    ),
    (
        {"breaker": {"failures": 1, "successes": 1, "scope": "worker"}},
        "breakers",
        (BreakerPolicy(failures=1, successes=1, per_worker=True),),
    ),
    ({"tags": ["x"]}, "labels", {"x": ""}),
    ({"enabled": False}, "enabled", False),
    (
        {"type": "script", "script": "x"},
        "work",
        Work(type="script", script="x"),
    ),
    ({"command": "a | b"}, "work", Work(type="command", line="a | b")),
    ({"command": ["a", "b"]}, "work", Work(type="command", argv=("a", "b"))),
    ({"script": "x"}, "work", Work(type="script", script="x")),
    (
        {"script": "x", "interpreter": "python"},
        "work",
        Work(type="script", script="x", interpreter="python"),
    ),
    ({"function": "f"}, "work", Work(type="function", function="f")),
    ({"stdin": "in"}, "work", Work(type="command", line="true", stdin="in")),
    (
        {"environment": {"A": "b"}},
        "work",
        Work(type="command", line="true", environment={"A": "b"}),
    ),
    ({"working_dir": "d"}, "work", Work(type="command", line="true", working_dir="d")),
    (
        {"params": {"n": 1, "s": {"type": "string", "required": False}}},
        "params",
        {"n": 1},
    ),
    ({"workspace": "w", "variables": {"a": "b"}}, "variables", {"a": "b"}),
    ({"overlap": "skip"}, "max_active", 1),
    ({"overlap": "allow"}, "max_active", 1_000_000_000),
    ({"overlap": {"policy": "allow", "max": 3}}, "max_active", 3),
    ({"overlap": "allow"}, "max_queued", 0),
    ({"overlap": "queue"}, "max_active", 1),
    ({"overlap": "queue"}, "max_queued", 10),
    ({"overlap": {"policy": "queue", "max": 3}}, "max_queued", 3),
    ({"overlap": "replace"}, "overlap", Overlap.REPLACE),
    ({"overlap": "replace"}, "max_active", 1),
    ({"pause_after_failures": 5}, "pause_after_failures", 5),
    ({}, "quarantine", 3),
    ({"quarantine": 5}, "quarantine", 5),
    ({"quarantine": False}, "quarantine", 0),
    ({"catch_up": "none"}, "catch_up", CatchUp.NONE),
    ({"catch_up": {"mode": "all", "max": 7}}, "catch_up_max", 7),
    ({"catch_up": {"mode": "latest", "window": "2d"}}, "catch_up_window", 2 * DAY),
    ({"queue": "low"}, "queue", "low"),
    ({"priority": 5}, "priority", 5),
    ({"timeout": "90s"}, "timeout", 90 * SECOND),
    ({"retry": 0}, "delivery", Delivery.AT_MOST_ONCE),
    ({"retry": 0}, "retry", None),
    ({"slots": 3}, "slots", 3),
    ({"concurrency": 2}, "concurrency", Concurrency(max=2)),
    ({"breaker": {"failures": 5}}, "is_gated", True),
    ({"timeouts": {}}, "timeouts", None),
    (
        {"timeouts": {"queue": "1h", "total": 90, "silence": "5m"}},
        "timeouts",
        Timeouts(HOUR, 90 * SECOND, 5 * MINUTE),
    ),
    ({"fallback": {"job": "other"}}, "fallback", Fallback(job="other")),
    ({"retry": 2}, "delivery", Delivery.AT_LEAST_ONCE),
    ({"retry": {"on": ["exit_code"]}}, "delivery", Delivery.AT_MOST_ONCE),
    (
        {"retry": {"delays": ["1s", 3]}},
        "retry",
        RetryPolicy(
            max_retries=2,
            backoff=Backoff.EXPONENTIAL,
            initial=30 * SECOND,
            factor=2,
            longest=600 * SECOND,
            has_full_jitter=False,
            on=frozenset({"exit_code", "timeout", "lost", "signal"}),
            exit_codes=frozenset(),
            delays=(1 * SECOND, 3 * SECOND),
        ),
    ),
    ({"delivery": "at_least_once"}, "delivery", Delivery.AT_LEAST_ONCE),
    ({"idempotent": True}, "delivery", Delivery.AT_LEAST_ONCE),
    (
        {"idempotent": True, "delivery": "at_most_once"},
        "delivery",
        Delivery.AT_MOST_ONCE,
    ),
    ({"cancel": {"signal": "INT"}}, "cancel_signal", "INT"),
    ({"cancel": {"grace": "3s"}}, "cancel_grace", 3 * SECOND),
    ({"limits": {"output": "1MiB"}}, "output_limit", 1024 * 1024),
    ({"targets": {"selector": {"role": "db"}}}, "selector", {"role": "db"}),
]


@pytest.mark.parametrize(("keys", "field", "expected"), CONVERSIONS)
def test_a_key_of_the_file_is_what_the_core_runs_by(
    keys: dict[str, Any], field: str, expected: Any
) -> None:
    assert getattr(spec(**keys), field) == expected


def test_every_key_that_is_supported_is_converted() -> None:
    tried = {name for keys, _, _ in CONVERSIONS for name in keys}
    schedules = {"schedule", "depends_on", "timezone", "calendars"}  # below
    pending = {
        name
        for name, field in JobKeys.model_fields.items()
        if field.description == "Not supported yet."
    }
    assert tried | schedules | pending == set(JobKeys.model_fields)


def test_a_spec_comes_back_from_the_stored_document_as_it_was() -> None:
    for keys, _, _ in CONVERSIONS:
        made = spec(**keys, schedule=["*/5 * * * *", {"name": "x", "every": "1h"}])
        assert spec_from_json(made.document_json) == made
        assert document_from_json(made.document_json) == document(
            **keys, schedule=["*/5 * * * *", {"name": "x", "every": "1h"}]
        )


def test_dependencies_are_a_schedule_of_their_own() -> None:
    made = spec(depends_on=["b", "a"], schedule="@hourly")
    _, join = made.schedules
    assert (join.name, join.rule.canonical) == ("depends_on", "after a, b")
    assert join.rule.next_after(0) is None
    assert list(join.rule.between(0, 10**18)) == []
    assert spec(depends_on=["a", "b"], schedule="@hourly") == made
    assert spec_from_json(made.document_json) == made
    assert '"depends_on":"a"' in spec(depends_on=["a"]).document_json


def test_what_is_stored_is_the_canonical_document() -> None:
    assert spec().document_json == document().canonical_json()


def test_schedules_are_named_by_what_they_mean() -> None:
    one = spec(schedule="30 2 * * *")
    assert one.schedules == spec(schedule=["30 02 * * *"], command="x").schedules
    others = [
        spec(schedule="31 2 * * *"),
        spec(schedule="30 2 * * *", timezone="Europe/Berlin"),
        spec(schedule="30 2 * * *", name="other"),
        spec(schedule="30 2 * * *", workspace="shop"),
        spec(schedule="30 2 * * *", namespace="ops"),
        spec(schedule={"cron": "30 2 * * *", "dst": "both"}),
        spec(schedule={"cron": "30 2 * * *", "name": "named"}),
    ]
    ids = {one.schedules[0].id, *(other.schedules[0].id for other in others)}
    assert len(ids) == 8


def test_a_named_schedule_keeps_its_id_when_its_rule_changes() -> None:
    ids = {
        spec(schedule={"name": "nightly", "cron": text}).schedules[0].id
        for text in ("30 2 * * *", "0 4 * * *")
    }
    assert len(ids) == 1


def test_a_schedule_brings_its_params_its_zone_and_its_switch() -> None:
    (schedule,) = spec(
        params={"who": "nobody"},
        timezone="Europe/Berlin",
        schedule={"cron": "0 8 * * *", "params": {"who": "alice"}, "enabled": False},
    ).schedules
    assert schedule.params == {"who": "alice"}
    assert schedule.rule.timezone == "Europe/Berlin"
    assert not schedule.enabled


@pytest.mark.parametrize(
    ("keys", "is_templated"),
    [
        ({"command": "echo {{a}}"}, False),  # a shell's text is never filled in
        ({"script": "echo {{a}}"}, False),
        ({"command": ["echo", "{{job_name}}"]}, True),
        ({"stdin": "{{job_name}}"}, True),
        ({"environment": {"A": "{{job_name}}"}}, True),
        ({"working_dir": "{{job_name}}"}, True),
    ],
)
def test_placeholders_are_looked_for_where_they_count(
    keys: dict[str, Any], is_templated: bool
) -> None:
    assert spec(**keys).is_templated is is_templated


@pytest.mark.parametrize("text", ["{", "[]", '{"name":"x"}', '{"name":"x","a":1}'])
def test_a_text_that_is_no_document_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        spec_from_json(text)


def test_a_spec_is_told_apart_by_its_document() -> None:
    assert spec(command="a") != spec(command="b")
    assert isinstance(document(), JobDocument)
