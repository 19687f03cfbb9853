from __future__ import annotations

import io
import json
import logging
import re
from dataclasses import replace
from typing import Any, get_args

import pytest

from jobs_grpc.controlplane.core.state.effects import (
    BackfillMoved,
    BreakerMoved,
    DueTimeSkipped,
    ExecutionFinished,
    ExecutionLeased,
    ExecutionReleased,
    ExecutionRetried,
    ExecutionStarted,
    Fact,
    JobApplied,
    JobDeleted,
    PauseBegan,
    PauseEnded,
    ReportRefused,
    SessionClosed,
    SessionDisconnected,
    SessionEnded,
    SessionOpened,
    TimeZonesChanged,
    WorkerTended,
)
from jobs_grpc.controlplane.core.state.execution import Execution
from jobs_grpc.controlplane.core.state.pauses import Meanwhile, Pause, PauseKind, Scope
from jobs_grpc.controlplane.core.state.states import Move, State
from jobs_grpc.controlplane.telemetry import EventLog, configure_logging
from jobs_grpc.controlplane.telemetry.lines import DESCRIPTIONS, SILENT
from jobs_grpc.schedule import format_instant
from support.jobs import NOON, SECOND, key, result
from support.stage import Stage


def execution(**keys: Any) -> Execution:
    stage = Stage()
    (id_,) = stage.submit_ad_hoc(**{"name": "backup", **keys})
    return stage.core.live.executions[id_]


RUN = execution()
ID = RUN.id
PAUSE = Pause(
    id="p1",
    scope=Scope(PauseKind.WORKSPACE, "default", "shop"),
    note="upgrade",
    who="alice",
    since=NOON,
    until=None,
    meanwhile=Meanwhile.DROP,
)
FACTS: list[Fact] = [
    ExecutionLeased(RUN, "w1", 1, 5),
    ExecutionStarted(RUN, "w1", 1),
    ExecutionFinished(
        RUN,
        State.FAILED,
        "w1",
        1,
        NOON,
        result(Move.FAIL, at=NOON + 1_500_000, exit_code=3, error="exit status 3"),
    ),
    ExecutionReleased(RUN, "w1", "worker w1 is gone"),
    ExecutionRetried(RUN, "w1", 2, "exit status 3", 1_500_000),
    DueTimeSkipped(key(), NOON, "overlap", ID),
    JobApplied(key(), "created", 1),
    JobDeleted(key()),
    BackfillMoved(key(), "b1", "completed"),
    SessionOpened("s1", "w1", 4, resumed=False),
    SessionDisconnected("s1", "w1"),
    SessionEnded("s1", "w1", "silence", 2),
    SessionClosed("s1", "w1", "its disk is full"),
    SessionClosed("s1", "w1", ""),
    ReportRefused("s1", 77, "finished"),
    TimeZonesChanged("2026a", "2026b", 7),
    PauseBegan(PAUSE),
    PauseEnded(PAUSE, "bob"),
    WorkerTended("w1", "draining", "alice: kernel"),
    BreakerMoved("default", "orders-db", "open", "5 failures in a row", NOON),
    BreakerMoved("", "worker:w1", "half_open", "5 failures in a row", None),
]


def written(*facts: Fact, json_lines: bool, level: int = logging.DEBUG) -> list[str]:
    to = io.StringIO()
    EventLog(json_lines=json_lines, level=level, to=to).write(facts)
    return to.getvalue().splitlines()


def test_the_pause_of_a_job_is_part_of_its_story() -> None:
    of_job = replace(PAUSE, scope=Scope(PauseKind.JOB, *key()), note="")
    (began,) = written(PauseBegan(of_job), json_lines=True)
    assert json.loads(began)["message"] == "JOB backup: paused by alice"
    (ended,) = written(PauseEnded(of_job, ""), json_lines=True)
    assert json.loads(ended)["message"] == "JOB backup: resumed (its time is up)"
    (other,) = written(PauseBegan(PAUSE), json_lines=True)
    assert json.loads(other)["message"] == 'workspace "shop": paused by alice: upgrade'


def test_every_fact_is_described_or_listed_as_silent() -> None:
    facts = set(get_args(Fact))
    assert set(DESCRIPTIONS) | SILENT == facts
    assert not set(DESCRIPTIONS) & SILENT
    assert {type(fact) for fact in FACTS} == facts


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: type(fact).__name__)
@pytest.mark.parametrize("json_lines", [True, False])
def test_a_fact_is_one_line_or_silent(fact: Fact, json_lines: bool) -> None:
    lines = written(fact, json_lines=json_lines)
    assert len(lines) == (0 if type(fact) in SILENT else 1)


@pytest.mark.parametrize(
    "fact",
    [fact for fact in FACTS if "Execution" in type(fact).__name__][1:],
    ids=lambda fact: type(fact).__name__,
)
def test_a_line_of_a_run_begins_with_its_job_and_carries_its_id(fact: Fact) -> None:
    (line,) = written(fact, json_lines=False)
    assert re.match(r"\S+Z (INFO|WARNING) +JOB backup: ", line)
    assert f"execution={ID}" in line
    (line,) = written(fact, json_lines=True)
    record = json.loads(line)
    assert record["message"].startswith("JOB backup: ")
    assert record["execution"] == ID


@pytest.mark.parametrize("fact", FACTS[4:7], ids=lambda fact: type(fact).__name__)
def test_a_line_of_a_job_begins_with_its_name(fact: Fact) -> None:
    (line,) = written(fact, json_lines=True)
    assert json.loads(line)["message"].startswith("JOB backup: ")


def test_a_fact_that_cannot_be_told_costs_its_own_line_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    beyond = BreakerMoved("default", "orders-db", "open", "by hand", 2**62)
    before, after = written(JobDeleted(key()), beyond, FACTS[-1], json_lines=False)
    assert "JOB backup: deleted" in before
    assert "breaker worker:w1: half open" in after
    assert "a BreakerMoved cannot be told" in caplog.text


def test_a_job_of_a_workspace_is_named_with_it() -> None:
    run = execution(name="sync", workspace="shop")
    (line,) = written(ExecutionStarted(run, "w1", 1), json_lines=False)
    assert "JOB shop/sync: started on w1" in line


def test_a_failure_says_how_long_it_took_and_why() -> None:
    (line,) = written(FACTS[2], json_lines=False)
    assert "WARNING" in line
    assert "failed in 1.500s: exit status 3" in line
    assert "exit_code=3" in line


def test_a_success_is_no_warning() -> None:
    fact = ExecutionFinished(
        RUN, State.SUCCEEDED, "w1", 1, NOON, result(at=NOON + SECOND)
    )
    (line,) = written(fact, json_lines=True)
    record = json.loads(line)
    assert (record["level"], record["exit_code"]) == ("info", 0)
    assert record["message"] == "JOB backup: succeeded in 1.000s"


def test_a_run_that_never_began_has_no_duration() -> None:
    fact = ExecutionFinished(RUN, State.CANCELLED, "", 0, None, result(Move.CANCEL))
    (line,) = written(fact, json_lines=True)
    assert json.loads(line)["message"] == "JOB backup: cancelled"


def test_a_line_has_a_time_in_utc() -> None:
    (line,) = written(FACTS[5], json_lines=True)
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", json.loads(line)["time"]
    )


def test_instants_are_written_for_people_and_absent_things_not_at_all() -> None:
    (line,) = written(FACTS[5], json_lines=False)
    assert f"due_at={format_instant(NOON)}" in line
    (line,) = written(PauseBegan(replace(PAUSE, until=NOON)), json_lines=False)
    assert f"until={format_instant(NOON)}" in line
    (line,) = written(ReportRefused("", 77, "output"), json_lines=False)
    assert line.endswith("fence=77")


def test_an_error_of_several_lines_stays_on_one_line() -> None:
    ended = result(Move.FAIL, error="first\nJOB other: succeeded\r\nlast")
    fact = ExecutionFinished(RUN, State.FAILED, "w1", 1, NOON, ended)
    for json_lines in (True, False):
        (line,) = written(fact, json_lines=json_lines)
        assert "first\\nJOB other" in line


def test_lines_below_the_level_are_not_written() -> None:
    assert written(*FACTS, json_lines=False, level=logging.ERROR) == []
    warnings = written(*FACTS, json_lines=False, level=logging.WARNING)
    assert len(warnings) == 8
    quiet = DueTimeSkipped(key(), NOON, "disabled", "")
    assert written(quiet, json_lines=False, level=logging.INFO) == []


def test_the_lines_of_a_step_are_written_at_once() -> None:
    class Counted(io.StringIO):
        writes = 0

        def write(self, text: str, /) -> int:
            self.writes += 1
            return super().write(text)

    to = Counted()
    EventLog(json_lines=False, level=logging.INFO, to=to).write(FACTS)
    assert to.writes == 1


def test_a_log_that_cannot_be_written_disturbs_nobody() -> None:
    class Full(io.StringIO):
        def write(self, text: str, /) -> int:
            raise OSError(28, "No space left on device")

    EventLog(json_lines=False, level=logging.INFO, to=Full()).write(FACTS)


@pytest.mark.parametrize("json_lines", [True, False])
def test_what_is_logged_beside_facts_looks_the_same(
    json_lines: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        configure_logging(json_lines=json_lines, level=logging.INFO)
        logging.getLogger("x").info("hello %s", "there")
        try:
            raise ValueError("bad")
        except ValueError:
            logging.getLogger("x").exception("failed")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    text = capsys.readouterr().err
    if json_lines:
        first, second = map(json.loads, text.splitlines())
        assert (first["level"], first["message"]) == ("info", "hello there")
        assert "ValueError: bad" in second["exception"]
    else:
        assert re.match(r"\S+Z INFO    hello there\n", text)
        assert "ValueError: bad" in text
