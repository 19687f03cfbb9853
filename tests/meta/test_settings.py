"""Every setting of the server is a flag, a variable, a help text and a line of its page."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from jobs_grpc.controlplane.config import Settings, parser

PAGE = Path(__file__).resolve().parents[2] / "docs" / "server.md"
SETTINGS = fields(Settings)


def flag_of(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_setting_has_a_flag_with_help(setting: object) -> None:
    name = setting.name  # type: ignore[attr-defined]
    metadata = setting.metadata  # type: ignore[attr-defined]
    (action,) = [one for one in parser()._actions if one.dest == name]
    assert flag_of(name) in action.option_strings
    assert metadata["help"]
    # The parser says it, of every setting in the same words.
    assert "default" not in metadata["help"]
    assert metadata["env"].startswith("JOBS_GRPC_")
    assert metadata["help"] in str(action.help)
    assert metadata["env"] in str(action.help)
    assert action.metavar


def test_no_flag_is_without_a_setting() -> None:
    known = {setting.name for setting in SETTINGS}
    assert {one.dest for one in parser()._actions} - {"help"} == known


def test_no_two_settings_share_a_variable() -> None:
    variables = [setting.metadata["env"] for setting in SETTINGS]
    assert len(set(variables)) == len(variables)


def test_the_page_has_a_line_for_each_setting_and_none_besides() -> None:
    rows = re.findall(
        r"^\| `(--[a-z-]+)[^`]*`[^|]*\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$",
        PAGE.read_text(),
        re.MULTILINE,
    )
    assert {(flag, variable) for flag, variable, _, _ in rows} == {
        (flag_of(setting.name), setting.metadata["env"]) for setting in SETTINGS
    }
    defaults = {flag: default.strip(" `") for flag, _, default, _ in rows}
    for setting in SETTINGS:
        assert defaults[flag_of(setting.name)] == (setting.default or "none")
    assert all(text.strip() for *_, text in rows)


def test_the_page_names_every_metric() -> None:
    from jobs_grpc.controlplane.telemetry import metrics

    assert metrics.__doc__ is not None
    named = set(re.findall(r"^\| `([\w.]+)`", metrics.__doc__, re.MULTILINE))
    source = Path(metrics.__file__).read_text()
    made = set(re.findall(r'"(job_executions|jobs_grpc\.[\w.]+)"', source))
    assert named == made
    page = PAGE.read_text()
    assert [name for name in named if f"`{name}`" not in page] == []
