"""The examples that a newcomer runs first."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jobs_grpc.jobfile import load_path, load_text, load_tree

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"


@pytest.mark.parametrize("folder", ["jobs", "workspaces"])
def test_all_examples_load(folder: str) -> None:
    jobs, problems = load_tree(EXAMPLES / folder)

    assert problems == []
    assert jobs


@pytest.mark.parametrize(
    ("name", "tags", "timeout_us", "schedules"),
    [
        ("cleanup-temp", {"maintenance", "cleanup"}, 600_000_000, 1),
        ("system-health", {"monitoring", "health"}, 300_000_000, 2),
        ("backup-configs", {"backup", "maintenance"}, 1_800_000_000, 1),
    ],
)
def test_plain_json_jobs_load_unchanged(
    name: str, tags: set[str], timeout_us: int, schedules: int
) -> None:
    [job] = load_path(EXAMPLES / "jobs" / f"{name}.json")

    document = job.document
    assert document.name == name
    assert document.type == "script"
    assert document.enabled
    assert document.description
    assert document.workspace == "_standalone_"
    assert document.labels == dict.fromkeys(tags, "")
    assert document.timeout_us == timeout_us
    assert len(document.schedules) == schedules
    assert document.script.startswith("#!/bin/bash\n")


def test_the_complete_example_of_the_documentation_loads() -> None:
    text = (ROOT / "docs" / "job-file.md").read_text()
    blocks = re.findall(
        r"^```(yaml|json|toml)\n(.*?)^```", text, re.MULTILINE | re.DOTALL
    )

    assert blocks
    for language, block in blocks:
        if "name" in block:
            load_text(block, origin=f"job-file.md.{language}", format=language)
