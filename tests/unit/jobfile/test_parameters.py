"""Declared inputs, and what a run is given."""

from __future__ import annotations

from typing import Any

import pytest

from jobs_grpc.jobfile import (
    JobDocument,
    ProblemsError,
    parse_document,
    validate_params,
)


def document(**params: Any) -> JobDocument:
    return parse_document({"name": "a", "command": "true", "params": params})


def refusals(job: JobDocument, given: dict[str, str]) -> list[str]:
    with pytest.raises(ProblemsError) as caught:
        validate_params(job, given)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("declaration", "text", "value"),
    [
        ({"type": "string"}, "x y", "x y"),
        ({"type": "string"}, "", ""),
        ({"type": "integer"}, "-7", -7),
        ({"type": "number"}, "1.5", 1.5),
        ({"type": "number"}, "2", 2.0),
        ({"type": "boolean"}, "true", True),
        ({"type": "boolean"}, "false", False),
        ({"type": "json"}, '{"a": [1]}', {"a": [1]}),
        ({"pattern": "[a-z]+"}, "orders", "orders"),
        ({"options": ["a", "b"]}, "b", "b"),
        ({"type": "integer", "enum": [1, 2]}, "2", 2),
        (5, "6", 6),
        (["security"], '["all"]', ["all"]),
    ],
)
def test_a_text_becomes_a_value_of_the_declared_type(
    declaration: object, text: str, value: object
) -> None:
    values = validate_params(document(p=declaration), {"p": text})

    assert values == {"p": value}
    assert type(values["p"]) is type(value)


@pytest.mark.parametrize(
    ("declaration", "text", "message"),
    [
        ({"type": "integer"}, "1.5", 'must be a whole number, got "1.5"'),
        ({"type": "integer"}, "", "must be a whole number"),
        ({"type": "integer"}, "9" * 30, "must be a whole number"),
        ({"type": "number"}, "many", 'must be a number, got "many"'),
        ({"type": "number"}, "nan", "must be a number"),
        ({"type": "number"}, "inf", "must be a number"),
        ({"type": "boolean"}, "yes", 'must be true or false, got "yes"'),
        ({"type": "json"}, "{", "must be a JSON value"),
        ({"type": "json"}, "null", "must be a JSON value"),
        ({"type": "json"}, "[" * 10_000, "must be a JSON value"),
        ({"pattern": "^[a-z]+$"}, "Orders", "must match ^[a-z]+$"),
        ({"pattern": "^[a-z]+$"}, "orders\n", "must match"),
        ({"pattern": "a|b"}, "ab", "must match"),
        ({"options": ["a", "b"]}, "c", 'must be one of "a", "b"; got "c"'),
        ({"type": "string"}, "a\0b", "must not hold a NUL"),
    ],
)
def test_a_text_that_does_not_fit_is_refused(
    declaration: object, text: str, message: str
) -> None:
    [refusal] = refusals(document(p=declaration), {"p": text})

    assert refusal.startswith("params.p: ")
    assert message in refusal


def test_defaults_fill_what_is_not_given() -> None:
    job = document(size=5, name={"default": "x"}, note={"required": False})

    assert validate_params(job, {"name": "y"}) == {"size": 5, "name": "y"}


def test_unknown_and_missing_parameters_are_named_together() -> None:
    job = document(database={"type": "string"}, size=5)

    assert sorted(refusals(job, {"databse": "x", "size": "x"})) == [
        "params.database: is required",
        "params.databse: is unknown; the job declares database, size",
        'params.size: must be a whole number, got "x"',
    ]
    assert refusals(document(), {"x": "y"}) == [
        "params.x: is unknown; the job declares no parameters"
    ]


def test_parameters_of_a_run_are_at_most_64_kib() -> None:
    [refusal] = refusals(document(p="x"), {"p": "x" * 65_536})

    assert refusal == "params: must be at most 64 KiB, got 65537 bytes"


@pytest.mark.parametrize(
    ("declaration", "field", "message"),
    [
        ({"type": "text"}, "params.p.type", "must be one of string, integer"),
        ({"typ": "string"}, "params.p.typ", 'did you mean "type"?'),
        ({"type": "integer", "default": "5"}, "params.p.default", "whole number"),
        ({"default": None}, "params.p.default", "must be text, got null"),
        ({"pattern": "("}, "params.p.pattern", "is not a regular expression: unclosed"),
        ({"pattern": "a)(b"}, "params.p.pattern", "is not a regular expression"),
        ({"pattern": "(?=x)"}, "params.p.pattern", "look-around"),
        ({"pattern": "a{99999}{99999}"}, "params.p.pattern", "is not a regular"),
        ({"type": "integer", "pattern": "."}, "params.p.pattern", "is only for"),
        ({"pattern": "a", "default": "b"}, "params.p.default", "must match a"),
        ({"options": ["a"], "default": "b"}, "params.p.default", "must be one of"),
        ({"options": []}, "params.p.options", "must offer a value"),
        ({"type": "integer", "options": ["a"]}, "params.p.options[0]", "whole number"),
        ({"default": "a", "required": True}, "params.p.required", "must be false"),
        (None, "params.p", "has no value"),
        ({"default": float("nan")}, "params.p.default", "must be a number"),
        ({"type": "json", "default": [float("nan")]}, "params.p.default", "JSON value"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(
    declaration: object, field: str, message: str
) -> None:
    with pytest.raises(ProblemsError) as caught:
        document(p=declaration)

    [problem] = caught.value.problems
    assert problem.field == field
    assert message in problem.message


def test_a_hostile_pattern_takes_no_time() -> None:
    job = document(p={"pattern": "(a+)+(a+)+(a+)+b"})

    [refusal] = refusals(job, {"p": "a" * 5_000})

    assert "must match" in refusal


@pytest.mark.parametrize("name", ["job_name", "namespace", "1a", "a-b", "", "a" * 65])
def test_a_parameter_is_named_like_a_placeholder(name: str) -> None:
    with pytest.raises(ProblemsError) as caught:
        document(**{name: "x"})

    assert caught.value.problems[0].field == f"params.{name}"
