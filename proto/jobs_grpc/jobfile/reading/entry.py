"""One schedule on its own, as the command line takes it: `{monthly: last-day}`."""

from __future__ import annotations

from typing import Any

from jobs_grpc.jobfile.problem import ProblemsError
from jobs_grpc.jobfile.reading.source import Source
from jobs_grpc.jobfile.reading.yaml_text import read_yaml


def read_entry(text: str) -> dict[str, Any]:
    """Return the object that a YAML (or JSON) text holds, or raise `ProblemsError`."""
    source = Source("schedule", text)
    parsed, problems = read_yaml(source)
    if problems:
        raise ProblemsError(problems)
    if len(parsed) != 1 or not isinstance(parsed[0].value, dict):
        raise ProblemsError(
            [source.problem("must be one object, such as {daily: true}")]
        )
    return parsed[0].value
