from __future__ import annotations

from typing import Any

import pytest

from jobs_grpc.schedule import EventRule, RuleError, parse_schedule


@pytest.mark.parametrize(
    ("job", "canonical"),
    [
        ("load", "on job.succeeded load"),
        ("shop/load", "on job.succeeded shop/load"),
        ("_standalone_/load", "on job.succeeded _standalone_/load"),
    ],
)
def test_an_event_is_a_rule_without_due_times(job: str, canonical: str) -> None:
    parsed = parse_schedule({"on": {"event": "job.succeeded", "job": job}})
    assert isinstance(parsed.rule, EventRule)
    assert parsed.rule.canonical == canonical
    assert parsed.rule.next_after(0) is None
    assert list(parsed.rule.between(0, 10**18)) == []
    again = parse_schedule({"on": {"job": job, "event": "job.succeeded"}})
    assert again.rule is parsed.rule


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"on": "job.succeeded"}, "must be an object"),
        ({"on": {"event": "job.success", "job": "a"}}, "did you mean"),
        ({"on": {"event": "job.failed"}}, "must be the name of a job"),
        ({"on": {"event": "job.failed", "job": "a b"}}, "must be the name of a job"),
        ({"on": {"event": "job.failed", "job": "a/b/c"}}, "must be the name of a job"),
        ({"on": {"event": "job.failed", "job": "a", "x": 1}}, "unknown key"),
        ({"on": {"event": "job.failed", "job": "a"}, "cron": "* * * * *"}, "one kind"),
        ({"on": {"event": "job.failed", "job": "a"}, "jitter": "5s"}, "does not go"),
        (
            {"on": {"event": "job.failed", "job": "a"}, "start": "2027-01-01"},
            "goes with",
        ),
    ],
)
def test_what_is_no_event_is_refused(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(RuleError, match=message):
        parse_schedule(entry)
