"""`{{name}}`, and what is left alone."""

from __future__ import annotations

import pytest

from jobs_grpc.jobfile import placeholders


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        ("plain {text}", []),
        ("{{a}}-{{b_2}}-{{a}}", ["a", "b_2"]),
        ("{{ a }}", ["a"]),
        ("{{\ta\n}}", ["a"]),
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
