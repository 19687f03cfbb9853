"""What failed is tried again, and what failed for good is dealt with."""

from __future__ import annotations

import signal
from datetime import datetime

import pytest

from support.installed import Installed, kill, until

pytestmark = pytest.mark.acceptance


def test_attempts_go_on_over_a_crash_and_end_among_the_dead_letters(
    installed: Installed,
) -> None:
    server = installed.start_server()
    installed.start_worker()
    job = """
name: flaky
command: echo attempt $JOBS_ATTEMPT; exit 3
retry: {delays: [1s, 3s]}
"""
    installed.cli("apply", "-f", "-", "--format", "yaml", stdin=job)
    id_ = installed.cli("run", "flaky", "-o", "name").stdout.strip()
    until(lambda: len(installed.execution(id_)["attempts"]) == 2, "the second attempt")
    until(lambda: installed.execution(id_)["state"] == "retrying", "its end")
    kill(server)
    installed.start_server()
    installed.cli("execution", "wait", id_, code=20)

    ended = installed.execution(id_)
    assert [one["outcome"] for one in ended["attempts"]] == ["failed"] * 3
    starts = [datetime.fromisoformat(one["started_at"]) for one in ended["attempts"]]
    delays = [(later - starts[0]).total_seconds() for later in starts]
    # Not before its time; how soon after depends on how busy this computer is.
    assert delays[1] >= 1
    assert delays[2] >= 4
    entries = installed.json("execution", "trace", id_)["entries"]
    scheduled = [one for one in entries if one["kind"] == "retry_scheduled"]
    assert [one["detail"]["delay"] for one in scheduled] == [1_000_000, 3_000_000]
    for number in (1, 2, 3):
        logged = installed.cli("logs", id_, "--attempt", str(number)).stdout
        assert logged == f"attempt {number}\n"

    (letter,) = installed.json("dead-letter", "list")["data"]
    assert (letter["execution_id"], letter["attempts"]) == (id_, 3)
    assert letter["reason"] == "retries exhausted"
    installed.cli(
        *("apply", "-f", "-", "--format", "yaml"),
        stdin="name: flaky\ncommand: echo mended\n",
    )
    (requeued,) = installed.json("dead-letter", "requeue", id_)["data"]
    made = requeued["execution_id"]
    installed.cli("execution", "wait", made)
    assert installed.cli("logs", made).stdout == "mended\n"
    assert installed.execution(made)["links"][0]["origin_id"] == id_
    assert installed.json("dead-letter", "list")["data"] == []
    again = installed.cli("execution", "retry", made, code=5)
    assert "succeeded" in again.stderr
    story = installed.cli("execution", "trace", id_).stdout
    for part in (
        "attempt 1 leased to w1",
        "retry 1 of 2 in 1s, because exited with code 3",
        "retry 2 of 2 in 3s",
        "attempt 3 failed, exit code 3",
        "put among the dead letters: retries exhausted",
        f"taken from the dead letters and run again as execution {made}",
    ):
        assert part in story, story


def test_a_fallback_runs_once_and_both_results_are_shown(system: Installed) -> None:
    jobs = """
name: primary
command: echo primary; exit 1
params: {size: 1}
fallback: {job: secondary}
---
name: secondary
command: echo "secondary $SIZE"
environment: {SIZE: "{{size}}"}
params: {size: 2}
"""
    system.cli("apply", "-f", "-", "--format", "yaml", stdin=jobs)
    id_ = system.cli("run", "primary", "-p", "size=7", "-o", "name").stdout.strip()
    system.cli("execution", "wait", id_, code=20)
    failed = system.execution(id_)
    (link,) = failed["links"]
    assert (failed["state"], link["kind"]) == ("failed", "fallback")
    system.cli("execution", "wait", link["execution_id"])
    assert system.cli("logs", link["execution_id"]).stdout == "secondary 7\n"
    shown = system.cli("execution", "get", id_).stdout
    assert f"Fallback: {link['execution_id']}" in shown


def test_a_frozen_worker_does_not_get_its_work_back(installed: Installed) -> None:
    installed.start_server("--session-ttl", "3s")
    frozen = installed.start_worker(name="w1", slots=1)
    gate = installed.root / "gate"
    job = f"""
name: patient
command: echo "attempt $JOBS_ATTEMPT"; while [ ! -e {gate} ]; do sleep 0.1; done
idempotent: true
"""
    installed.cli("apply", "-f", "-", "--format", "yaml", stdin=job)
    id_ = installed.cli("run", "patient", "-o", "name").stdout.strip()
    until(lambda: installed.running(id_), "the first attempt")
    installed.start_worker(name="w2", slots=1)
    frozen.send_signal(signal.SIGSTOP)
    try:
        until(lambda: installed.execution(id_)["worker"] == "w2", "the second attempt")
        # Its keeper goes on: the old attempt ends beside the new one.
        gate.touch()
        installed.cli("execution", "wait", id_)
    finally:
        frozen.send_signal(signal.SIGCONT)

    def refused() -> list[str]:
        entries = installed.json("execution", "trace", id_)["entries"]
        return [one["text"] for one in entries if one["kind"] == "report_refused"]

    until(refused, "the late word of the old fence")
    assert "from w1 refused" in refused()[0]
    ended = installed.execution(id_)
    assert (ended["state"], ended["worker"], ended["attempt"]) == (
        "succeeded",
        "w2",
        2,
    )
    assert [one["outcome"] for one in ended["attempts"]] == ["released", "succeeded"]
    assert installed.cli("logs", id_).stdout == "attempt 2\n"


def test_a_silent_job_is_ended_and_the_record_says_which_limit_it_was(
    system: Installed,
) -> None:
    job = """
name: mute
command: echo hello; sleep 1000
timeouts: {silence: 1s}
"""
    system.cli("apply", "-f", "-", "--format", "yaml", stdin=job)
    id_ = system.cli("run", "mute", "-o", "name").stdout.strip()
    system.cli("execution", "wait", id_, code=21)
    ended = system.execution(id_)
    assert ended["error"] == "no output for 1s (timeouts.silence)"
    assert ended["timed_out_by"] == "silence"
    assert ended["receipt"]["signals"][0]["signal"] == "TERM"
    shown = system.cli("execution", "get", id_).stdout
    assert "Signals Sent: TERM to" in shown
    assert "Timed Out By: silence" in shown
