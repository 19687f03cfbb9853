"""Workspace files: jobs that share a name, a directory and variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobs_grpc.jobfile import Defaults, LoadedJob, ProblemsError, load_path, load_text

FILE = """\
name: my-app
namespace: ops
description: An application
variables: {region: eu}
jobs:
  - name: check
    command: ./check.sh
    environment: {WORKSPACE_NAME: "{{workspace_name}}"}
  - {name: setup, script: "echo", enabled: false, workspace: my-app}
"""


def load(text: str, **keys: Any) -> list[LoadedJob]:
    return load_text(text, origin="app.yaml", **keys)


def refusals(text: str) -> list[str]:
    with pytest.raises(ProblemsError) as caught:
        load(text)
    return [str(problem) for problem in caught.value.problems]


def test_jobs_belong_to_their_workspace() -> None:
    check, setup = load(FILE)

    assert check.key == ("ops", "my-app", "check")
    assert check.document.variables == {"region": "eu"}
    assert (check.line, setup.line) == (6, 9)
    assert not setup.document.enabled


def test_the_variables_are_part_of_the_canonical_form() -> None:
    check, _ = load(FILE)

    assert check.document.canonical()["variables"] == {"region": "eu"}


def test_the_name_of_the_file_is_the_name_of_the_workspace(tmp_path: Path) -> None:
    path = tmp_path / "my-app.json"
    path.write_text('{"jobs": [{"name": "a", "command": "x"}]}')

    [job] = load_path(path, defaults=Defaults(namespace="ops"))

    assert job.key == ("ops", "my-app", "a")


def test_a_disabled_workspace_disables_its_jobs() -> None:
    text = "enabled: false\njobs: [{name: a, command: x, enabled: true}]\n"

    [job] = load(text)

    assert not job.document.enabled


def test_a_workspace_may_have_no_jobs() -> None:
    assert load("name: x\njobs: []\n") == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("deploy_schedule: 0 9 * * *", "1:18: deploy_schedule: is not supported yet"),
        ("destroy_schedule: false", "1:19: destroy_schedule: is not supported yet"),
        ("custom_deploy: {}", "1:16: custom_deploy: is not supported yet"),
        ("mode_schedules: {}", "1:17: mode_schedules: is not supported yet"),
        ("template: x", "1:11: template: is not supported yet"),
        ("nam: x", '1:1: nam: unknown key; did you mean "name"?'),
        ("name: ../x", "1:7: name: must be 1 to 128 letters"),
        ("enabled: yes", '1:10: enabled: must be true or false, got "yes"'),
        ("variables: {a: 1}", "1:16: variables.a: must be text, got 1"),
        ("variables: {job_name: x}", "1:23: variables.job_name: is built in"),
        ("variables: []", "1:12: variables: must be an object, got []"),
        ("namespace: 5", "1:12: namespace: must be text, got 5"),
    ],
)
def test_a_wrong_key_is_reported_once(line: str, expected: str) -> None:
    text = f"{line}\njobs: [{{name: a, command: x}}, {{name: b, command: x}}]\n"

    [problem] = refusals(text)

    assert problem.startswith(f"app.yaml:{expected}")


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        ("{name: a, command: x, workspace: other}", "jobs[0].workspace: must be that"),
        ("{name: a, command: x, namespace: other}", "jobs[0].namespace: must be that"),
        ("{name: a, command: x, variables: {}}", "jobs[0].variables: belongs to the"),
        ("{name: a, command: x, schedul: x}", "jobs[0].schedul: unknown key; did you"),
        ("{name: a}", "jobs[0]: a job needs one of"),
        ("{command: x}", "jobs[0].name: is required"),
        ("text", "jobs[0]: must be an object"),
        ("{name: a, command: x}, {name: a, command: y}", 'name: "default/app/a" is'),
    ],
)
def test_a_wrong_job_is_reported_at_its_place(job: str, expected: str) -> None:
    [problem] = refusals(f"jobs: [{job}]\n")

    assert expected in problem
    assert problem.startswith("app.yaml:1:")


def test_jobs_must_be_a_list() -> None:
    assert refusals("jobs: {a: b}\n") == [
        'app.yaml:1:7: jobs: must be a list, got {"a": "b"}'
    ]


def test_a_workspace_and_its_jobs_are_checked_together() -> None:
    found = refusals("name: ../x\njobs: [{name: a}, {name: b, command: x, zzz: 1}]\n")

    assert len(found) == 3
