from __future__ import annotations

import json
from typing import Any

import pytest

from jobs_grpc.controlplane.core.state.errors import InvalidError
from jobs_grpc.controlplane.leader.schedule_entries import made, merged, read_entry
from jobs_grpc.controlplane.leader.specs import schedule_of
from support.jobs import document, key


def test_an_entry_is_kept_with_its_name_and_the_zone_of_the_job() -> None:
    spec, text = made(
        document(timezone="Europe/Berlin"), "morning", {"cron": "0 8 * * *"}
    )
    assert json.loads(text) == {
        "timezone": "Europe/Berlin",
        "cron": "0 8 * * *",
        "name": "morning",
    }
    assert spec.rule.timezone == "Europe/Berlin"
    assert schedule_of(key(), json.loads(text)) == spec


@pytest.mark.parametrize(
    ("entry", "patch", "whole"),
    [
        ({"cron": "x", "dst": "skip"}, {"cron": "y"}, {"cron": "y", "dst": "skip"}),
        ({"every": "1h", "anchor": "a"}, {"cron": "y"}, {"cron": "y"}),
        ({"every": "1h", "anchor": "a"}, {"anchor": None}, {"every": "1h"}),
        ({"at": "t"}, {"enabled": False}, {"at": "t", "enabled": False}),
        (
            {"at": "t", "params": {"a": "1", "b": "2"}},
            {"params": {"b": "3", "a": None}},
            {"at": "t", "params": {"b": "3"}},
        ),
        # Params may be called what kinds of rules are called.
        (
            {"at": "t", "params": {"at": "1"}},
            {"params": {"every": "2"}},
            {"at": "t", "params": {"at": "1", "every": "2"}},
        ),
        (
            {"on": {"event": "job.failed", "job": "a"}},
            {"on": {"job": "b"}},
            {"on": {"event": "job.failed", "job": "b"}},
        ),
        ({"on": {"event": "job.failed", "job": "a"}}, {"at": "t"}, {"at": "t"}),
        ({"cron": "x", "timezone": "Z"}, {"on": {"job": "a"}}, {"on": {"job": "a"}}),
    ],
)
def test_a_patch_replaces_what_it_names(
    entry: dict[str, Any], patch: dict[str, Any], whole: dict[str, Any]
) -> None:
    assert merged(entry, patch) == whole


@pytest.mark.parametrize(
    ("name", "entry", "message"),
    [
        ("", {"every": "1h"}, "needs a name"),
        ("a b", {"every": "1h"}, "a name has"),
        ("a", {"every": "1h", "name": "b"}, "cannot be renamed"),
        ("a", {"cron": "0 0 31 2 *"}, "31"),
        ("a", {"cron": "60 * * * *"}, "60"),
        ("a", {}, "needs one of"),
        ("a", {"every": "1h", "params": {"x": "1"}}, '"x"'),
    ],
)
def test_what_is_no_schedule_of_the_job_is_refused(
    name: str, entry: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidError, match=message):
        made(document(), name, entry)


@pytest.mark.parametrize("text", ["[]", "1", "{", "[" * 70_000, "[" * 60_000])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(InvalidError, match="entry_json"):
        read_entry(text, field="entry_json")


def test_an_event_has_no_zone_though_the_job_has_one() -> None:
    entry = {"on": {"event": "job.failed", "job": "a"}}
    _, text = made(document(timezone="Europe/Berlin"), "after", entry)
    assert json.loads(text) == {**entry, "name": "after"}
