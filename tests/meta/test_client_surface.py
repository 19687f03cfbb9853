"""The public face of the client: names, errors, words, commands, settings."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import grpc
import pytest

import jobs_grpc.client
from jobs_grpc.client import _convert, _errors
from jobs_grpc.client._version import VERSION
from jobs_grpc.client.cli import exits
from jobs_grpc.client.cli.main import ENTRIES, cli
from jobs_grpc.client.cli.options import SETTINGS
from jobs_grpc.client.records.backfill import BackfillOrder, BackfillState
from jobs_grpc.client.records.breaker import BreakerKind, BreakerState
from jobs_grpc.client.records.decision import DecisionOutcome, DueTimeKind, SkipReason
from jobs_grpc.client.records.execution import (
    FINAL_STATES,
    ExecutionState,
    Trigger,
)
from jobs_grpc.client.records.explanation import WaitCause
from jobs_grpc.client.records.fleet import WorkerState
from jobs_grpc.client.records.job import ApplyOutcome, ScheduleOwner
from jobs_grpc.client.records.output import OutputStream
from jobs_grpc.client.records.pause import PauseKind, PauseMeanwhile
from jobs_grpc.client.records.plan import DueTimeChange
from jobs_grpc.client.records.word import Word
from jobs_grpc.v1 import (
    backfill_pb2,
    breaker_service_pb2,
    execution_pb2,
    execution_service_pb2,
    fleet_service_pb2,
    job_pb2,
    job_service_pb2,
    pause_pb2,
    schedule_service_pb2,
)
from jobs_grpc.v1.error_pb2 import ErrorReason
from jobs_grpc.wire import states

ROOT = Path(__file__).parents[2]

EXPORTED = {
    "Backfill", "BackfillOrder", "BackfillState",
    "Attempt", "DeadLetter", "ExecutionLink", "Requeued", "Trace", "TraceEntry",
    "Applied", "ApplyOutcome", "Client", "Conflict", "DeadlineExceeded", "Decision",
    "DecisionOutcome", "DueTime", "DueTimeAnswer", "DueTimeKind", "DueTimes", "Execution",
    "ExecutionFailed", "ExecutionHandle",
    "ExecutionState", "Gap", "InvalidArgument", "Job", "JobStatistics", "JobsError",
    "KillReceipt", "Lagged", "NotFound", "NotRunning", "NotSupported", "OutputEnd", "OutputPiece",
    "OutputStream", "Overloaded", "Page", "Pause", "PauseKind", "PauseMeanwhile",
    "PauseSubject", "PermissionDenied", "Queue", "QueueStatus",
    "Schedule", "ScheduleOwner", "ServerError", "ServerInfo", "SignalSent", "SkipReason", "Submission",
    "Trigger", "Unauthenticated", "Unavailable", "Usage", "Violation", "Worker",
    "WorkerState", "Breaker", "BreakerKind", "BreakerState", "Explanation", "WaitCause", "WaitReason",
    "ClockChange", "DueTimeChange", "JobPlan", "KeyChange", "Plan", "PlannedDueTime",
}  # fmt: skip


def test_the_exported_names_are_these_and_load() -> None:
    assert set(jobs_grpc.client.__all__) == EXPORTED
    for name in EXPORTED:
        assert getattr(jobs_grpc.client, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = jobs_grpc.client.Nonsense  # type: ignore[attr-defined]


def test_every_exception_of_the_tree_is_exported_and_has_an_exit_code() -> None:
    tree = {
        value
        for value in vars(_errors).values()
        if isinstance(value, type) and issubclass(value, _errors.JobsError)
    }
    assert {one.__name__ for one in tree} <= EXPORTED
    assert tree == set(exits.OF_ERROR)


def test_every_reason_has_an_exception_and_every_entry_a_reason() -> None:
    reasons = {
        name.removeprefix("ERROR_REASON_")
        for name, number in ErrorReason.items()
        if number
    }
    assert set(_errors.BY_REASON) == reasons


def test_every_status_code_has_an_exception_for_unknown_reasons() -> None:
    codes = {code.name for code in grpc.StatusCode} - {"OK"}
    assert set(_errors.BY_CODE) == codes
    assert _errors.error_class("FROM_THE_FUTURE", "NOT_FOUND") is _errors.NotFound


def test_every_final_state_has_an_exit_code() -> None:
    assert set(exits.OF_STATE) == FINAL_STATES
    contract = {states.STATE_WORDS[state] for state in states.FINAL_STATES}
    assert {state.value for state in FINAL_STATES} == contract


@pytest.mark.parametrize(
    ("words", "enum"),
    [
        (ExecutionState, execution_pb2.ExecutionState),
        (Trigger, execution_pb2.Trigger),
        (OutputStream, execution_pb2.OutputStream),
        (ApplyOutcome, job_service_pb2.ApplyOutcome),
        (DueTimeChange, job_service_pb2.DueTimeChange),
        (BackfillState, backfill_pb2.BackfillState),
        (BackfillOrder, backfill_pb2.BackfillOrder),
        (ScheduleOwner, job_pb2.ScheduleOwner),
        (WorkerState, fleet_service_pb2.WorkerState),
        (DecisionOutcome, schedule_service_pb2.DecisionOutcome),
        (SkipReason, schedule_service_pb2.SkipReason),
        (DueTimeKind, schedule_service_pb2.DueTimeKind),
        (PauseKind, pause_pb2.PauseKind),
        (PauseMeanwhile, pause_pb2.PauseMeanwhile),
        (WaitCause, execution_service_pb2.WaitCause),
        (BreakerState, breaker_service_pb2.BreakerState),
        (BreakerKind, breaker_service_pb2.BreakerKind),
    ],
)
def test_every_word_of_the_contract_has_a_member(words: type[Word], enum: Any) -> None:
    numbers = _convert._words(words, enum.items())
    assert set(words) - {words("unrecognized")} == set(numbers.values())
    assert words("unrecognized") not in numbers.values()


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION


def commands(
    command: click.Command = cli, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Command]]:
    """Yield every command with the words that call it."""
    yield " ".join(path), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands(inner, (*path, name))


COMMANDS = dict(commands())


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_option_has_help(path: str) -> None:
    command = COMMANDS[path]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{path} {parameter.opts}"


@pytest.mark.parametrize("name", ENTRIES)
def test_the_line_in_the_help_is_the_command_s_own(name: str) -> None:
    entry = ENTRIES[name]
    assert entry.summary == entry.load().get_short_help_str(limit=100)


def test_the_command_line_is_documented_whole() -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    missing = [path for path in COMMANDS if f"jobs-grpc {path}" not in page]
    for path, command in COMMANDS.items():
        shared = getattr(command, "shared", [])
        missing += [
            f"{path} {flag}"
            for parameter in command.params
            if isinstance(parameter, click.Option) and parameter not in shared
            for flag in parameter.opts
            if f"`{flag}" not in page
        ]
    assert not missing


def test_every_setting_has_a_flag_a_variable_and_a_line_in_the_docs() -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    for setting in SETTINGS:
        assert setting.summary.endswith(".")
        assert any(flag.startswith("--") for flag in setting.flags)
        row = rf"\| .*`{setting.flags[-1]}.*`{setting.variable}`"
        assert re.search(row, page), f"docs/cli.md has no row for {setting.name}"


def test_every_exit_code_is_documented() -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    for code in exits.Exit:
        assert f"| {code.value} |" in page
