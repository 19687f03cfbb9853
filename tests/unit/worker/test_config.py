from __future__ import annotations

import dataclasses
import json
import logging
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from jobs_grpc.worker import SettingsError, WorkerSettings, log
from jobs_grpc.worker.attempts.attempt import Attempt
from jobs_grpc.worker.config import SETTINGS, default_data, parser, read_settings
from jobs_grpc.worker.work import Outcome
from unit.worker.stand_ins import a_lease, a_result


def test_every_setting_has_a_field_a_flag_and_a_variable() -> None:
    fields = {field.name for field in dataclasses.fields(WorkerSettings)}
    assert {setting.name for setting in SETTINGS} == fields
    text = parser().format_help()
    for setting in SETTINGS:
        assert setting.flag in text
        assert setting.variable.startswith("JOBS_GRPC_")
    assert len({setting.variable for setting in SETTINGS}) == len(SETTINGS)


def test_every_setting_is_in_the_documents() -> None:
    page = (Path(__file__).parents[3] / "docs" / "worker.md").read_text()
    for setting in SETTINGS:
        assert f"`{setting.flag}" in page
        assert f"`{setting.variable}`" in page


def test_a_flag_wins_over_its_variable_and_that_over_the_default() -> None:
    environment = {
        "JOBS_GRPC_ADDR": "host:1",
        "JOBS_GRPC_WORKER_SLOTS": "5",
        "JOBS_GRPC_WORKER_LABELS": "a=1, b=2",
        "JOBS_GRPC_WORKER_FUNCTIONS": "x.py,y",
        "JOBS_GRPC_WORKER_EPHEMERAL": "true",
        "JOBS_GRPC_WORKER_LOG_FORMAT": "",
    }
    settings = read_settings(["--slots", "7", "--data", "/d"], environment)
    assert settings.addr == "host:1"
    assert settings.slots == 7
    assert settings.labels == {"a": "1", "b": "2"}
    assert settings.functions == ("x.py", "y")
    assert settings.data == Path("/d")
    assert settings.ephemeral
    assert settings.log_format == "console"


def test_lists_may_be_given_in_one_flag_or_in_several() -> None:
    settings = read_settings(
        ["--label", "a=1", "b=2=3", "--label", "c=", "--functions", "x", "y"], {}
    )
    assert settings.labels == {"a": "1", "b": "2=3", "c": ""}
    assert settings.functions == ("x", "y")


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        read_settings(
            ["--addr", "nowhere", "--slots", "0", "--label", "x"],
            {"JOBS_GRPC_WORKER_LOG_LEVEL": "loud"},
        )
    lines = str(refused.value).splitlines()
    assert lines[0] == "--addr: must be HOST:PORT, like 127.0.0.1:7420, not 'nowhere'"
    assert lines[1] == "--slots: must be a number from 1 to 10000, not '0'"
    assert lines[2].startswith("--label: must be NAME=VALUE")
    assert lines[3].startswith("JOBS_GRPC_WORKER_LOG_LEVEL: must be one of")


def test_a_label_that_no_job_could_ask_for_is_refused() -> None:
    settings = read_settings(["--label", "team:a=1", "höhe=8", "_x=", "a@b=c"], {})
    assert settings.labels == {"team:a": "1", "höhe": "8", "_x": "", "a@b": "c"}
    with pytest.raises(SettingsError, match="begin with a letter") as refused:
        read_settings(["--label", "a b=1"], {})
    assert str(refused.value).startswith("--label: must be 1 to 128 letters")


def test_the_default_directory_is_in_the_state_directory(tmp_path: Path) -> None:
    assert default_data({"XDG_STATE_HOME": "/s"}) == Path("/s/jobs-grpc/worker")
    home = {"HOME": str(tmp_path)}
    assert default_data(home) == Path("jobs-grpc-worker")
    (tmp_path / ".local").mkdir()
    assert default_data(home) == tmp_path / ".local/state/jobs-grpc/worker"


def test_importing_the_package_loads_neither_grpc_nor_asyncio() -> None:
    """The keeper is a package in it, and has to be small."""
    code = "import jobs_grpc.worker, sys; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert not {"grpc", "asyncio", "google.protobuf"} & set(loaded)


def an_attempt() -> Attempt:
    attempt = Attempt.of_lease(a_lease(7, job="backup"))
    attempt.result = a_result(Outcome.FAILED, exit_code=3, error="exited with code 3")
    return attempt


@pytest.fixture
def lines() -> StringIO:
    return StringIO()


def test_a_line_names_the_job_and_the_execution(
    lines: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", root.handlers[:])
    monkeypatch.setattr(root, "level", root.level)
    log.setup("console", "info", lines)
    log.attempt_ended(an_attempt())
    assert lines.getvalue().split(" ", 1)[1] == (
        "INFO JOB backup execution=execution-7 attempt=1 failed seconds=1.0 "
        'exit_code=3 error="exited with code 3"\n'
    )


def test_a_line_may_be_json(lines: StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", root.handlers[:])
    monkeypatch.setattr(root, "level", root.level)
    log.setup("json", "info", lines)
    log.attempt_ended(an_attempt())
    line = json.loads(lines.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "jobs_grpc.worker.attempt",
        "message": "JOB backup failed",
        "job": "backup",
        "execution_id": "execution-7",
        "attempt": 1,
        "seconds": 1.0,
        "exit_code": 3,
        "error": "exited with code 3",
    }
