"""The canonical form: one for all spellings of the same job, and a job itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs_grpc.jobfile import JobDocument

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,12}", fullmatch=True)
IDENTIFIERS = st.from_regex(r"p_[a-z0-9]{0,8}", fullmatch=True)
# No NUL and no surrogates: those no job may hold.
TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30
)
STATED = TEXTS.filter(str.strip)
DURATIONS = st.one_of(
    st.sampled_from(["500ms", "30s", "90s", "1m30s", "1h30m", "2d", "1w"]),
    st.integers(1, 100_000),
)
SCHEDULES = st.one_of(
    st.sampled_from(["0 2 * * *", " */5 * * * *", "@hourly", "every 90s", "H H * * *"]),
    st.fixed_dictionaries(
        {"cron": st.sampled_from(["30 2 * * MON-SAT", "@daily"])},
        optional={
            "timezone": st.sampled_from(["UTC", "Europe/Berlin"]),
            "enabled": st.booleans(),
        },
    ),
    st.fixed_dictionaries(
        {"every": st.sampled_from(["90s", 90, "1h30m", "2d"])},
        optional={"anchor": st.just("2026-01-01T00:00:00Z")},
    ),
)
DEFAULTS = st.one_of(
    TEXTS,
    st.booleans(),
    st.integers(-(10**17), 10**17),
    st.floats(-1e9, 1e9),
    st.lists(st.integers(0, 9) | TEXTS, max_size=3),
)
BODIES = st.one_of(
    st.fixed_dictionaries({"command": STATED | st.lists(STATED, min_size=1)}),
    st.fixed_dictionaries({"type": st.just("command"), "command": STATED}),
    st.fixed_dictionaries(
        {"script": STATED}, optional={"interpreter": st.sampled_from(["sh", "/bin/sh"])}
    ),
)
OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    "namespace": NAMES,
    "workspace": NAMES,
    "description": TEXTS,
    "labels": st.dictionaries(NAMES, st.sampled_from(["", "a", "b c"]), max_size=3),
    "enabled": st.booleans(),
    "stdin": TEXTS,
    "environment": st.dictionaries(
        TEXTS.filter(lambda name: name and "=" not in name and "JOB" not in name),
        TEXTS,
        max_size=3,
    ),
    "working_dir": TEXTS,
    "params": st.dictionaries(
        IDENTIFIERS,
        DEFAULTS | st.fixed_dictionaries({"default": DEFAULTS}),
        max_size=3,
    ),
    "schedule": SCHEDULES | st.lists(SCHEDULES, max_size=3),
    "timezone": st.sampled_from(["UTC", "America/New_York"]),
    "overlap": st.sampled_from(
        [
            "skip",
            "allow",
            "queue",
            "replace",
            {"policy": "skip"},
            {"policy": "allow", "max": 2},
            {"policy": "queue", "max": 2},
        ]
    ),
    "catch_up": st.sampled_from(
        ["none", "latest", "all", {"mode": "all", "max": 10}, {"window": "60m"}]
    ),
    "queue": NAMES,
    "quarantine": st.sampled_from([False, 1, 3, 100]),
    "priority": st.integers(1, 5),
    "timeout": DURATIONS,
    "retry": st.sampled_from(
        [
            0,
            {"max_retries": 0},
            "0 times",
            "3 times",
            5,
            {},
            {"delays": ["1m", 300]},
            {"max_retries": 9, "delays": [0], "jitter": "full"},
            {"backoff": "fixed", "initial": 5, "jitter": "none"},
            {"max": "1h", "on": ["timeout", "exit_code"], "exit_codes": [75, 1, 75]},
        ]
    ),
    "delivery": st.sampled_from(["at_most_once", "at_least_once"]),
    "idempotent": st.booleans(),
    "cancel": st.fixed_dictionaries(
        {}, optional={"signal": st.sampled_from(["TERM", "sigint"]), "grace": DURATIONS}
    ),
    "limits": st.fixed_dictionaries(
        {}, optional={"output": st.sampled_from(["1MiB", "1024KiB", 1_000_000, "5 GB"])}
    ),
    "targets": st.fixed_dictionaries(
        {},
        optional={
            "selector": st.dictionaries(NAMES, NAMES, max_size=2),
            "if_none": st.sampled_from(["wait", "skip"]),
        },
    ),
}
JOBS = st.builds(
    lambda name, body, keys: {"name": name, **body, **keys},
    NAMES,
    BODIES,
    st.fixed_dictionaries({}, optional=OPTIONAL),
)


@settings(max_examples=150, deadline=None)
@given(JOBS)
def test_the_canonical_form_reads_back_as_the_same_job(job: dict[str, Any]) -> None:
    document = JobDocument.model_validate(job)
    text = document.canonical_json()

    again = JobDocument.model_validate(json.loads(text))

    assert again == document
    assert again.canonical_json() == text
    assert again.schedules == document.schedules


@settings(max_examples=50, deadline=None)
@given(JOBS)
def test_pydantics_own_json_reader_agrees(job: dict[str, Any]) -> None:
    document = JobDocument.model_validate(job)

    assert JobDocument.model_validate_json(document.canonical_json()) == document


def canonical(**keys: Any) -> str:
    return JobDocument.model_validate(
        {"name": "a", "command": "true", **keys}
    ).canonical_json()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"type": "command"}),
        ({}, {"enabled": True, "priority": 3, "queue": "default", "timezone": "UTC"}),
        ({}, {"namespace": "default", "workspace": "_standalone_", "labels": {}}),
        ({}, {"timeout": "30m"}),
        ({}, {"timeout": 1800}),
        ({}, {"delivery": "at_most_once"}),
        ({}, {"retry": 0}),
        ({"retry": 3}, {"retry": "3 times with exponential_backoff"}),
        ({"retry": 3}, {"retry": {"backoff": "exponential", "jitter": "full"}}),
        ({"retry": 3}, {"retry": 3, "delivery": "at_least_once"}),
        (
            {"retry": {"delays": ["60s", "5m"]}},
            {"retry": {"max_retries": 2, "delays": [60, 300], "jitter": "none"}},
        ),
        (
            {"retry": {"on": ["signal", "lost", "timeout", "exit_code"]}},
            {"retry": {"max_retries": 3}},
        ),
        ({}, {"overlap": "skip", "catch_up": {"mode": "latest", "window": 3600}}),
        ({}, {"limits": {"output": 67_108_864}, "cancel": {"signal": "SIGTERM"}}),
        ({}, {"targets": {"strategy": "any", "selector": {}}}),
        ({}, {"schedule": [], "tags": [], "environment": {}}),
        ({"timeout": "90s"}, {"timeout": "1m30s"}),
        ({"tags": ["b", "a", "b"]}, {"labels": {"a": "", "b": ""}}),
        ({"tags": ["a"], "labels": {"b": "c"}}, {"labels": {"b": "c", "a": ""}}),
        ({"labels": {"a": "1", "b": "2"}}, {"labels": {"b": "2", "a": "1"}}),
        ({"schedule": "@daily"}, {"schedule": ["@daily"]}),
        ({"schedule": "@daily"}, {"schedule": " @daily "}),
        (
            {"schedule": {"cron": "@daily", "name": "x"}},
            {"schedule": [{"name": "x", "cron": "@daily"}]},
        ),
        ({"overlap": "allow"}, {"overlap": {"policy": "allow"}}),
        ({"overlap": "queue"}, {"overlap": {"policy": "queue", "max": 10}}),
        ({"catch_up": "all"}, {"catch_up": {"mode": "all", "max": 10, "window": "1h"}}),
        ({"catch_up": "none"}, {"catch_up": {"mode": "none"}}),
        ({"idempotent": True}, {"idempotent": True, "delivery": "at_least_once"}),
        ({"params": {"n": 5}}, {"params": {"n": {"type": "integer", "default": 5}}}),
        (
            {"params": {"n": {"type": "number", "default": 5}}},
            {"params": {"n": 5.0}},
        ),
        (
            {"params": {"n": {"enum": ["a"], "required": True}}},
            {"params": {"n": {"options": ["a"], "type": "string"}}},
        ),
        (
            {"params": {"n": {"default": "a", "required": False}}},
            {"params": {"n": "a"}},
        ),
    ],
)
def test_spellings_of_the_same_job_have_one_form(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert canonical(**one) == canonical(**other)


def test_the_form_is_short_and_keeps_the_words_of_the_schedule() -> None:
    assert json.loads(
        canonical(
            schedule=["30 2 * * MON-SAT", {"cron": "@daily", "timezone": "UTC"}],
            timeout="60m",
            tags=["nightly"],
            overlap={"policy": "allow", "max": 2},
            limits={"output": "2048KiB"},
        )
    ) == {
        "name": "a",
        "type": "command",
        "command": "true",
        "labels": {"nightly": ""},
        "schedule": ["30 2 * * MON-SAT", {"cron": "@daily", "timezone": "UTC"}],
        "timeout": "1h",
        "overlap": {"policy": "allow", "max": 2},
        "limits": {"output": "2MiB"},
    }


def test_a_changed_job_has_another_form() -> None:
    assert canonical(delivery="at_least_once") != canonical()
    assert canonical(command=["true"]) != canonical(command="true")
