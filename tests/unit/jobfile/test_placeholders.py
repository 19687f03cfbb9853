"""`{{name}}`, and what is left alone."""

from __future__ import annotations

import pytest

from jobs_grpc.jobfile import (
    UnresolvedPlaceholder,
    parse_document,
    placeholders,
    render,
    validate_params,
)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        ("plain {text}", []),
        ("{{a}}-{{b_2}}-{{a}}", ["a", "b_2"]),
        ("{{ a }}", ["a"]),
        ("{{.Names}}", []),
        ("{{ x.y }}", []),
        ("{{x|upper}}", []),
        ("{{1a}}", []),
        ("{{}}", []),
        ("{{{a}}}", ["a"]),
    ],
)
def test_only_simple_names_are_placeholders(text: str, names: list[str]) -> None:
    assert placeholders(text) == names


def test_values_are_put_in_once() -> None:
    assert render("{{a}} {{ b }} {{.C}}", {"a": "{{b}}", "b": "2"}) == "{{b}} 2 {{.C}}"


def test_a_name_without_a_value_is_an_error() -> None:
    with pytest.raises(UnresolvedPlaceholder, match=r"\{\{secret\}\}") as caught:
        render("x {{secret}}", {})

    assert caught.value.name == "secret"


def test_a_document_knows_its_placeholders() -> None:
    document = parse_document(
        {
            "name": "a",
            "command": ["{{one}}", "b"],
            "stdin": "{{two}}",
            "working_dir": "{{three}}",
            "environment": {"X": "{{four}}{{one}}", "Y": "{{.Go}}"},
        }
    )

    assert sorted(document.placeholders) == ["four", "one", "three", "two"]


def test_a_shell_is_never_given_a_value_in_its_code() -> None:
    assert parse_document({"name": "a", "command": "echo {{x}}"}).placeholders == ()
    assert parse_document({"name": "a", "script": "echo {{x}}"}).placeholders == ()


def test_built_in_names_win_over_parameters_and_these_over_variables() -> None:
    document = parse_document(
        {
            "name": "a",
            "namespace": "ops",
            "workspace": "my-app",
            "command": "true",
            "variables": {"region": "eu", "zone": "1"},
            "params": {"region": "us", "size": 5},
        }
    )

    values = document.placeholder_values(validate_params(document, {}))

    assert values == {
        "region": "us",
        "zone": "1",
        "size": "5",
        "workspace_name": "my-app",
        "job_name": "a",
        "namespace": "ops",
    }
