"""Named calendars: in the job, and in the workspace file for all its jobs."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from jobs_grpc.jobfile import JobDocument
from jobs_grpc.jobfile.workspace import job_in_workspace
from jobs_grpc.schedule import format_instant, parse_instant

BUSINESS = {"monthly": "last-business-day", "calendar": "holidays"}


def job(**keys: Any) -> JobDocument:
    return JobDocument.model_validate({"name": "report", "command": "true", **keys})


def first_due(document: JobDocument, after: str) -> str:
    due = document.schedules[0].rule.next_after(parse_instant(after))
    assert due is not None
    return format_instant(due)


def test_a_schedule_speaks_of_a_calendar_by_its_name() -> None:
    document = job(schedule=BUSINESS, calendars={"holidays": ["2026-12-31", "12-30"]})
    assert first_due(document, "2026-12-01T00:00:00Z") == "2026-12-29T00:00:00Z"


def test_calendars_are_part_of_the_canonical_document() -> None:
    document = job(schedule=BUSINESS, calendars={"holidays": "2026-12-31"})
    form = document.canonical()
    assert form["calendars"] == {"holidays": ["2026-12-31"]}
    again = JobDocument.model_validate(form)
    assert again.canonical() == form
    assert again.schedules == document.schedules


def test_a_job_gets_the_calendars_of_its_workspace_that_it_names() -> None:
    workspace = {
        "name": "shop",
        "calendars": {"holidays": ["2026-12-31"], "unused": ["sun"]},
    }
    raw = {"name": "report", "command": "true", "schedule": BUSINESS}
    made, found = job_in_workspace(raw, workspace=workspace)
    assert found == []
    assert made["calendars"] == {"holidays": ["2026-12-31"]}
    document = JobDocument.model_validate(made)
    assert first_due(document, "2026-12-01T00:00:00Z") == "2026-12-30T00:00:00Z"


def test_the_calendar_of_a_job_wins_over_that_of_its_workspace() -> None:
    workspace = {"name": "shop", "calendars": {"holidays": ["2026-12-31"]}}
    raw = {"name": "report", "schedule": BUSINESS, "calendars": {"holidays": ["sun"]}}
    made, _ = job_in_workspace(raw, workspace=workspace)
    assert made["calendars"] == {"holidays": ["sun"]}


@pytest.mark.parametrize(
    ("keys", "where", "message"),
    [
        (
            {"calendars": {"holidays": ["2026-02-30"]}},
            ("calendars", "holidays"),
            'there is no day "2026-02-30"',
        ),
        ({"calendars": ["sun"]}, ("calendars",), "calendars must be an object"),
        (
            {"schedule": BUSINESS},
            ("schedule", "calendar"),
            'unknown calendar "holidays"',
        ),
        (
            {"schedule": ["@daily", {"cron": "@daily", "blackout": "weekend"}]},
            ("schedule", 1, "blackout"),
            'did you mean "weekends"?',
        ),
    ],
)
def test_what_is_wrong_is_said_at_its_key(
    keys: dict[str, Any], where: tuple[object, ...], message: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        job(**keys)
    (error,) = caught.value.errors()
    assert error["loc"] == where
    assert message in error["msg"]


def test_two_kinds_in_one_object_are_refused() -> None:
    with pytest.raises(ValidationError) as caught:
        job(schedule=[{"cron": "@daily"}, {"cron": "@daily", "every": "5m"}])
    (error,) = caught.value.errors()
    assert error["loc"] == ("schedule", 1, "every")
    assert "one kind of rule, got cron and every" in error["msg"]
