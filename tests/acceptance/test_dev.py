"""`jobs-grpc dev`: one command, and nothing left when it ends."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from support.installed import Installed, processes_with, until

pytestmark = pytest.mark.acceptance

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_dev_starts_says_what_to_try_and_ends_at_once(installed: Installed) -> None:
    dev = installed.start(
        *("dev", "--addr", installed.address, "--data", "dev"),
        *(
            "--jobs",
            str(EXAMPLES),
            "--functions",
            str(EXAMPLES / "functions/greetings.py"),
        ),
        log="dev.log",
    )
    until(
        lambda: "run --follow -- echo hello" in installed.log("dev.log"), "the advice"
    )
    hello = installed.cli("run", "--follow", "--", "echo", "hello")
    assert hello.stdout == "hello\n"
    until(
        lambda: "succeeded" in installed.cli("status", "greet").stdout, "the function"
    )
    until(
        lambda: "Status: succeeded" in installed.cli("status", "heartbeat").stdout,
        "the heartbeat",
    )
    out = installed.cli("--workspace", "my-app", "status", "post-deploy-check").stdout
    assert "Type: workspace" in out
    for sample in ("cleanup-temp", "system-health", "backup-configs"):
        assert sample in installed.cli("list").stdout
    before = time.monotonic()
    dev.send_signal(signal.SIGINT)
    dev.wait(timeout=10)
    # The promise is one second; the clock here also counts this machine's load.
    assert time.monotonic() - before < 2
    assert processes_with(str(installed.root)) == []
