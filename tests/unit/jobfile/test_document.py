"""Every key of a job: what it accepts, what it refuses, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from jobs_grpc.jobfile import JobDocument, ProblemsError, parse_document


def job(**keys: Any) -> dict[str, Any]:
    return {"name": "backup", "command": "true", **keys}


def without_body(**keys: Any) -> dict[str, Any]:
    return {"name": "backup", **keys}


def refusals(data: dict[str, Any]) -> list[str]:
    with pytest.raises(ProblemsError) as caught:
        parse_document(data)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    "keys",
    [
        {"name": "a"},
        {"name": "Nightly_backup.2-b"},
        {"name": "x" * 128},
        {"namespace": "ops"},
        {"workspace": "my-app"},
        {"workspace": "_standalone_"},
        {"description": "Zwölf\nZeilen"},
        {"labels": {"team": "dba", "example.com/tier": "gold", "büro": ""}},
        {"tags": ["maintenance", "backup"]},
        {"tags": {"deployment_id": "d-17"}},
        {"enabled": False},
        {"type": "command"},
        {"command": ["ls", "-l", "with space", ""]},
        {"command": "false || echo recovered"},
        {"stdin": "a\nb\n"},
        {"environment": {"PATH": "/bin", "A": "", "B": "{{name}}"}},
        {"environment": {"BIG": "x" * (128 * 1024 - 5)}},
        {"working_dir": "data"},
        {"working_dir": "/var/lib/{{workspace_name}}"},
        {"params": {"database": {"type": "string", "default": "orders"}}},
        {"params": {"size": 5, "verbose": False, "names": ["a"], "ratio": 0.5}},
        {"schedule": "0 2 * * *"},
        {"schedule": ["0 8 * * 1-5", "0 20 * * 1-5"]},
        {"schedule": {"cron": "30 2 * * MON-SAT", "timezone": "Europe/Berlin"}},
        {"schedule": [{"every": "30m"}, {"at": "2027-01-15T10:00:00Z"}]},
        {"schedule": []},
        {"timezone": "America/New_York"},
        {"overlap": "skip"},
        {"overlap": "allow"},
        {"overlap": {"policy": "allow", "max": 3}},
        {"overlap": "queue"},
        {"overlap": {"policy": "queue", "max": 3}},
        {"overlap": "replace"},
        {"catch_up": "none"},
        {"catch_up": "latest"},
        {"catch_up": "all"},
        {"catch_up": {"mode": "latest", "window": "2h"}},
        {"catch_up": {"mode": "all", "max": 50, "window": 90}},
        {"depends_on": "other"},
        {"depends_on": ["b", "a"], "schedule": "every 1h"},
        {"queue": "bulk"},
        {"priority": 1},
        {"priority": 5},
        {"quarantine": False},
        {"quarantine": 100},
        {"timeout": "90s"},
        {"timeout": 3600},
        {"timeout": 0.5},
        {"retry": 0},
        {"retry": {"max_retries": 0}},
        {"retry": 3},
        {"retry": "3 times"},
        {"retry": "3 times with exponential_backoff"},
        {"retry": {"delays": ["1m", 300, "2h"]}},
        {"retry": {"max_retries": 5, "backoff": "fixed", "initial": 300}},
        {"retry": {"backoff": "linear", "initial": "1s", "max": "1m"}},
        {"retry": {"factor": 1.5, "jitter": "none", "on": ["timeout", "signal"]}},
        {"retry": {"on": ["exit_code"], "exit_codes": [75, 1]}},
        {"retry": {"on": ["exit_code"]}, "delivery": "at_most_once"},
        {"delivery": "at_least_once"},
        {"idempotent": True},
        {"cancel": {"signal": "INT", "grace": "1m"}},
        {"cancel": {"signal": "sigterm", "grace": 0}},
        {"limits": {"output": "1MiB"}},
        {"limits": {"output": 1000}},
        {"targets": {"selector": {"role": "db"}, "strategy": "any"}},
    ],
)
def test_a_good_value_is_accepted(keys: dict[str, Any]) -> None:
    parse_document(job(**keys))


@pytest.mark.parametrize(
    ("keys", "field", "message"),
    [
        ({"name": "../x"}, "name", "must be 1 to 128 letters"),
        ({"name": ""}, "name", "must be 1 to 128 letters"),
        ({"name": "x" * 129}, "name", "must be 1 to 128 letters"),
        ({"name": "a/b"}, "name", "must be 1 to 128 letters"),
        ({"name": "a\n"}, "name", "must be 1 to 128 letters"),
        ({"name": "_standalone_"}, "name", "must be 1 to 128 letters"),
        ({"name": 7}, "name", "must be text, got 7; put it in quotes"),
        ({"name": None}, "name", "must be text, got null"),
        ({"description": None}, "description", "has no value; leave the key out"),
        ({"namespace": ".."}, "namespace", "must be 1 to 128 letters"),
        ({"workspace": "_x"}, "workspace", "must be 1 to 128 letters"),
        ({"description": 5}, "description", "must be text, got 5"),
        ({"description": "\0"}, "description", "must not hold a NUL"),
        ({"labels": ["a"]}, "labels", 'must be an object, got ["a"]'),
        ({"labels": {"tier": 1}}, "labels.tier", "must be text, got 1; put it in q"),
        ({"labels": {"a b": ""}}, "labels.a b", "must be 1 to 128 letters"),
        ({"labels": {"a": "\n"}}, "labels.a", "must be at most 256 printable"),
        ({"tags": "backup"}, "tags", "must be a list of texts"),
        ({"tags": ["a", 1]}, "tags[1]", "must be text, got 1"),
        ({"tags": ["a", "b=c"]}, "tags[1]", "must be 1 to 128 letters"),
        ({"tags": ["a"], "labels": {"a": "b"}}, "tags", '"a" is also a label'),
        ({"enabled": "no"}, "enabled", 'must be true or false, got "no"'),
        ({"enabled": 1}, "enabled", "must be true or false, got 1"),
        ({"type": "shell"}, "type", "must be one of command, script, function"),
        ({"command": ""}, "command", "must not be empty"),
        ({"command": []}, "command", "must name a program, got an empty list"),
        ({"command": [""]}, "command[0]", "must name a program"),
        ({"command": ["ls", 1]}, "command[1]", "must be text, got 1; put it in q"),
        ({"command": ["ls", "a\0"]}, "command[1]", "must not hold a NUL"),
        ({"command": "x" * 131_072}, "command", "must be at most 128 KiB"),
        ({"command": {"a": "b"}}, "command", "must be text or a list of texts"),
        ({"stdin": "\0"}, "stdin", "must not hold a NUL"),
        ({"environment": {"": "x"}}, "environment.", "must have a name"),
        ({"environment": {"A=B": "x"}}, "environment.A=B", 'must not have "="'),
        ({"environment": {"A\0": "x"}}, "environment.A\0", "must not hold a NUL"),
        ({"environment": {"A": "\0"}}, "environment.A", "must not hold a NUL"),
        ({"environment": {"A": "x" * 131_072}}, "environment.A", "at most 128 KiB"),
        ({"environment": {"A": 8080}}, "environment.A", "must be text, got 8080; put"),
        ({"environment": {"A": True}}, "environment.A", "must be text, got true; put"),
        ({"environment": {"JOB_NAME": "x"}}, "environment.JOB_NAME", "is set for eve"),
        ({"environment": {"WORKSPACE_ID": ""}}, "environment.WORKSPACE_ID", "is set"),
        ({"environment": {"JOBS_X": "x"}}, "environment.JOBS_X", "is set for every"),
        ({"working_dir": "\0"}, "working_dir", "must not hold a NUL"),
        ({"variables": {"a": "b"}}, "variables", "are those of a workspace"),
        ({"schedule": 5}, "schedule", "must be text or an object, got 5"),
        ({"schedule": ["@daily", 5]}, "schedule[1]", "must be text or an object"),
        ({"schedule": "0 25 * * *"}, "schedule", 'got "25" (at position 2)'),
        ({"schedule": "@reboot"}, "schedule", "@reboot"),
        ({"schedule": ["@daily", "x"]}, "schedule[1]", ""),
        (
            {"schedule": {"cron": "@daily", "every": "5m"}},
            "schedule.every",
            "one kind of rule",
        ),
        (
            {"schedule": {"cron": "@daily", "jitter": "5x"}},
            "schedule.jitter",
            "the unit of a duration is",
        ),
        (
            {"schedule": [{"every": "1m", "name": "a"}, {"every": "2m", "name": "a"}]},
            "schedule[1].name",
            "is also the name of an earlier schedule",
        ),
        ({"schedule": ["@daily"] * 101}, "schedule", "must be at most 100 schedules"),
        ({"timezone": "Europe/Berlim"}, "timezone", 'did you mean "Europe/Berlin"?'),
        ({"timezone": "../etc"}, "timezone", "unknown time zone"),
        ({"timezone": 5}, "timezone", "must be text, got 5"),
        ({"overlap": "never"}, "overlap.policy", "must be one of skip, queue, allow"),
        ({"overlap": {"policy": "replace", "max": 2}}, "overlap.max", "has no meaning"),
        ({"overlap": {"policy": "queue", "max": 0}}, "overlap.max", "at least 1"),
        ({"overlap": {"max": 2}}, "overlap.max", "has no meaning"),
        ({"overlap": {"policy": "allow", "max": 0}}, "overlap.max", "at least 1"),
        ({"overlap": {"polcy": "allow"}}, "overlap.polcy", 'did you mean "policy"?'),
        ({"catch_up": "some"}, "catch_up.mode", "must be one of none, latest, all"),
        ({"catch_up": {"mode": "latest", "max": 2}}, "catch_up.max", "has no meaning"),
        ({"catch_up": {"mode": "none", "window": 1}}, "catch_up.window", "has no mea"),
        ({"catch_up": {"window": 0}}, "catch_up.window", "must be longer than zero"),
        ({"catch_up": 3}, "catch_up", "must be an object, got 3"),
        ({"queue": "a b"}, "queue", "must be 1 to 128 letters"),
        ({"priority": 0}, "priority", "must be at least 1, got 0"),
        ({"priority": 6}, "priority", "must be at most 5, got 6"),
        ({"priority": "3"}, "priority", 'must be a whole number, got "3"'),
        ({"priority": True}, "priority", "must be a whole number, got true"),
        ({"timeout": -1}, "timeout", "must be longer than zero, got -1"),
        ({"timeout": 0}, "timeout", "must be longer than zero, got 0"),
        ({"timeout": "0s"}, "timeout", 'must be longer than zero, got "0s"'),
        ({"timeout": "5 parsecs"}, "timeout", ""),
        ({"timeout": True}, "timeout", 'must be a duration such as "30s"'),
        ({"timeout": float("inf")}, "timeout", "finite"),
        ({"timeout": 10**30}, "timeout", ""),
        ({"retry": -1}, "retry.max_retries", "must be at least 0"),
        ({"retry": 1001}, "retry.max_retries", "must be at most 1000"),
        ({"retry": True}, "retry", "must be"),
        ({"retry": {"factor": 0.5}}, "retry.factor", "must be a number of at least 1"),
        ({"retry": {"initial": 0}}, "retry.initial", "must be longer than zero"),
        ({"retry": {"on": ["always"]}}, "retry.on[0]", "must be one of exit_code"),
        ({"retry": {"exit_codes": [0]}}, "retry.exit_codes[0]", "must be at least 1"),
        (
            {"retry": {"on": ["timeout"], "exit_codes": [1]}},
            "retry.exit_codes",
            'have no meaning while "on" leaves out exit_code',
        ),
        (
            {"retry": {"delays": [1], "initial": 1}},
            "retry.initial",
            'has no meaning beside "delays"',
        ),
        (
            {"retry": {"backoff": "fixed", "factor": 3}},
            "retry.factor",
            'has no meaning with the backoff "fixed"',
        ),
        (
            {"retry": {"on": ["lost"]}, "delivery": "at_most_once"},
            "retry.on",
            "tries lost runs again, which at_most_once forbids",
        ),
        ({"retry": "sometimes"}, "retry", 'must be a number or "3 times"'),
        ({"retry": {"max_retrys": 3}}, "retry.max_retrys", '"max_retries"?'),
        ({"delivery": "twice"}, "delivery", "must be one of at_most_once, at_least"),
        ({"idempotent": "yes"}, "idempotent", "must be true or false"),
        ({"cancel": {"signal": "STOP"}}, "cancel.signal", "must be one of TERM, INT"),
        ({"cancel": {"signal": 15}}, "cancel.signal", 'got 15; write "TERM"'),
        ({"cancel": {"grace": -1}}, "cancel.grace", "cannot be negative"),
        ({"cancel": "TERM"}, "cancel", 'must be an object, got "TERM"'),
        ({"limits": {"output": 0}}, "limits.output", "must be larger than zero"),
        ({"limits": {"output": "64M"}}, "limits.output", "must be a size such as"),
        ({"limits": {"output": "9999999TB"}}, "limits.output", "must be at most"),
        ({"limits": {"memory": "2GiB"}}, "limits.memory", "is not supported yet"),
        ({"limits": {"cpu": 1.5}}, "limits.cpu", "is not supported yet"),
        ({"limits": {"cpu": "x"}}, "limits.cpu", "must be a number larger than zero"),
        ({"targets": ["a"]}, "targets", "a list of targets is not supported yet"),
        ({"targets": {"strategy": "all"}}, "targets.strategy", "not supported yet"),
        ({"targets": {"waves": [1]}}, "targets.waves", "is not supported yet"),
        ({"targets": {"parallel": 2}}, "targets.parallel", "is not supported yet"),
        ({"targets": {"hold_offline": "1d"}}, "targets.hold_offline", "not supported"),
        ({"user": "root"}, "user", "is not supported yet"),
        ({"timeouts": {"connect": "1h"}}, "timeouts.connect", "is not supported yet"),
        ({"timeouts": {"queue": 0}}, "timeouts.queue", "must be longer than zero"),
        ({"timeouts": {"que": "1h"}}, "timeouts.que", 'did you mean "queue"?'),
        ({"concurrency": {"max": 0}}, "concurrency.max", "must be at least 1, got 0"),
        ({"concurrency": 0}, "concurrency.max", "must be at least 1, got 0"),
        ({"concurrency": {"key": " "}}, "concurrency.key", "must not be empty"),
        ({"concurrency": {"per_wroker": 1}}, "concurrency.per_wroker", "per_worker"),
        ({"concurrency": "one"}, "concurrency", 'must be an object, got "one"'),
        (
            {"quarantine": 0},
            "quarantine",
            "must be false or a number from 1 to 100, got 0",
        ),
        (
            {"quarantine": True},
            "quarantine",
            "must be false or a number from 1 to 100, got true",
        ),
        ({"slots": 0}, "slots", "must be at least 1, got 0"),
        ({"slots": 1001}, "slots", "must be at most 1000"),
        ({"breaker": {"failures": 0}}, "breaker.failures", "must be at least 1, got 0"),
        ({"breaker": {"failurs": 3}}, "breaker.failurs", 'did you mean "failures"?'),
        ({"breaker": [{"name": "a b"}]}, "breaker[0].name", "must be 1 to 128 letters"),
        ({"breaker": {"percent": 101}}, "breaker.percent", "must be at most 100"),
        ({"breaker": {"of": 5}}, "breaker.of", "has no meaning without percent"),
        ({"breaker": {"open_for": 0}}, "breaker.open_for", "must be longer than zero"),
        ({"breaker": {"exit_codes": [0]}}, "breaker.exit_codes[0]", "at least 1"),
        ({"breaker": [{}, {}]}, "breaker[1]", "is given twice"),
        ({"breaker": 5}, "breaker", "must be an object or a list of objects, got 5"),
        ({"depends_on": "a b"}, "depends_on", "must be 1 to 128 letters"),
        ({"depends_on": ["a", "a b"]}, "depends_on[1]", "must be 1 to 128 letters"),
        ({"depends_on": ["a", "b", "a"]}, "depends_on[2]", "is given twice"),
        ({"depends_on": {"job": "a"}}, "depends_on", "must be the name of a job or a"),
        ({"depends_on": ["a"] * 101}, "depends_on", "is at most 100 jobs, got 101"),
        (
            {"depends_on": "a", "schedule": {"name": "depends_on", "every": "1h"}},
            "schedule.name",
            "is what the schedule of the key depends_on is called",
        ),
        (
            {"depends_on": "a", "params": {"p": {"type": "string"}}},
            "depends_on",
            "starts runs without parameters, and p is required",
        ),
        ({"artifacts": {"paths": "*.dump"}}, "artifacts", "is not supported yet"),
        ({"notifications": {"on_failure": "a@b"}}, "notifications", "not supported"),
        ({"retention": {"executions": "30d"}}, "retention", "is not supported yet"),
        ({"schedul": "@daily"}, "schedul", 'unknown key; did you mean "schedule"?'),
        ({"env": {}}, "env", 'unknown key; did you mean "environment"?'),
        ({"run_at": ""}, "run_at", 'did you mean "schedule: {at: ...}"?'),
        ({"zzz": 1}, "zzz", "unknown key"),
    ],
)
def test_a_bad_value_is_refused_with_its_field(
    keys: dict[str, Any], field: str, message: str
) -> None:
    found = refusals(job(**keys))

    assert len(found) == 1, found
    assert found[0].startswith(f"{field}: ")
    assert message in found[0]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, "a job needs one of `command`, `script` or `function`"),
        ({"type": "command"}, "command: a command job needs `command`"),
        ({"type": "script"}, "script: a script job needs `script`"),
        ({"type": "function"}, "function: a function job needs `function`"),
        (
            {"script": "a", "command": "b"},
            "command: `script` and `command` are both given; a job has one of them",
        ),
        (
            {"type": "script", "script": "a", "function": "b"},
            "function: `script` and `function` are both given; a job has one of them",
        ),
        (
            {"command": "a", "interpreter": "bash"},
            "interpreter: is only for script jobs",
        ),
        ({"template": "x"}, "template: is not supported yet"),
        ({"steps": {"a": {}}}, "steps: is not supported yet"),
        ({"type": "transfer"}, 'type: "transfer" is not supported yet'),
        ({"type": "template"}, 'type: "template" is not supported yet'),
        ({"type": "workflow"}, 'type: "workflow" is not supported yet'),
    ],
)
def test_a_job_has_exactly_the_body_of_its_type(
    keys: dict[str, Any], expected: str
) -> None:
    assert refusals(without_body(**keys)) == [expected]


def test_a_body_of_another_type_is_named_with_the_missing_one() -> None:
    assert refusals(without_body(type="command", script="a")) == [
        "script: a command job has no `script`; remove it, or change the type",
        "command: a command job needs `command`",
    ]


@pytest.mark.parametrize("key", ["stdin", "environment", "working_dir"])
def test_a_function_job_is_given_its_values_as_parameters(key: str) -> None:
    value: object = {} if key == "environment" else "x"

    [refusal] = refusals(without_body(function="greet", **{key: value}))

    assert refusal.startswith(f"{key}: is not for function jobs")


@pytest.mark.parametrize("kind", ["command", "script", "function"])
def test_the_type_follows_from_the_body(kind: str) -> None:
    document = parse_document(without_body(**{kind: "greet"}))

    assert document.type == kind


def test_all_problems_are_said_at_once() -> None:
    found = refusals(
        without_body(
            name="../x",
            command="true",
            script="true",
            schedule="61 * * * *",
            timezone="Nowhere",
            timeout=-1,
            environment={"A=B": "", "C": 1},
            params={"job_name": "", "size": {"type": "integer", "default": "x"}},
            comand="",
            user="root",
        )
    )

    fields = [refusal.partition(": ")[0] for refusal in found]
    assert sorted(fields) == [
        "comand",
        "environment.A=B",
        "environment.C",
        "name",
        "params.job_name",
        "params.size.default",
        "schedule",
        "script",
        "timeout",
        "timezone",
        "user",
    ]


def test_a_required_parameter_needs_a_value_from_each_schedule() -> None:
    params = {"size": {"type": "integer"}}

    assert refusals(job(params=params, schedule="@daily")) == [
        "schedule.params.size: the parameter is required"
    ]
    assert refusals(
        job(params=params, schedule=[{"cron": "@daily", "params": {"size": "big"}}])
    ) == [
        'schedule[0].params.size: the parameter must be a whole number, got "big"',
    ]
    parse_document(
        job(params=params, schedule={"cron": "@daily", "params": {"size": 3}})
    )
    parse_document(job(params=params))


def test_a_definition_is_at_most_256_kib() -> None:
    parse_document(without_body(script="x" * 250_000))

    [refusal] = refusals(without_body(script="x" * 262_144))

    assert "a definition is at most 256 KiB" in refusal


def test_typed_values_are_at_hand() -> None:
    document = parse_document(
        job(
            timeout="1m30s",
            cancel={"grace": "500ms"},
            limits={"output": "2kB"},
            catch_up={"mode": "all", "window": "2h"},
            schedule=["every 90s", {"cron": "H H * * *"}],
        )
    )

    assert document.timeout_us == 90_000_000
    assert document.grace_us == 500_000
    assert document.output_limit_bytes == 2_000
    assert document.catch_up.window == "2h"
    assert document.catch_up.limit == 10
    assert len(document.schedules) == 2


def test_defaults_are_those_of_the_documentation() -> None:
    document = parse_document(job())

    assert document.namespace == "default"
    assert document.workspace == "_standalone_"
    assert document.enabled
    assert document.timeout_us == 1_800_000_000
    assert document.grace_us == 10_000_000
    assert document.output_limit_bytes == 64 * 1024 * 1024
    assert document.priority == 3
    assert document.queue == "default"
    assert document.overlap.policy == "skip"
    assert document.catch_up.mode == "latest"
    assert document.catch_up.limit == 1
    assert document.catch_up.window == "1h"
    assert document.effective_delivery == "at_most_once"
    assert document.schedules == ()


def test_an_idempotent_job_may_be_started_again() -> None:
    assert parse_document(job(idempotent=True)).effective_delivery == "at_least_once"
    assert (
        parse_document(job(idempotent=True, delivery="at_most_once")).effective_delivery
        == "at_most_once"
    )


def test_equal_jobs_of_different_names_spread_their_hashed_schedules() -> None:
    one = parse_document(job(name="a", schedule="H H * * *"))
    other = parse_document(job(name="b", schedule="H H * * *"))

    assert one.schedules[0].rule != other.schedules[0].rule


def test_a_document_is_frozen() -> None:
    document = JobDocument.model_validate(job())

    with pytest.raises(ValueError, match="frozen"):
        document.name = "other"
