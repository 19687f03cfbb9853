"""Workers are taken out of service and put back."""

from __future__ import annotations

import json

import pytest

from support.installed import Installed, until

pytestmark = pytest.mark.acceptance


def test_a_drained_worker_ends_its_work_and_another_goes_on(system: Installed) -> None:
    # Ends at once where it is run again.
    script = "echo x >> tries; test $(wc -l < tries) -gt 1 || sleep 60"
    job = {
        "name": "twice",
        "command": script,
        "idempotent": True,
        "working_dir": str(system.root),
    }
    text = json.dumps(job)
    system.cli("apply", "-f", "-", "--format", "json", stdin=text)
    id_ = system.cli("run", "twice", "-o", "name").stdout.strip()
    once = system.cli("run", "-o", "name", "--", "sleep", "60").stdout.strip()
    until((system.root / "tries").exists, "the job to begin")
    until(lambda: system.running(once), "the other to begin")

    system.cli("worker", "drain", "w1", "--deadline", "500ms", "--wait")
    assert system.json("worker", "get", "w1")["state"] == "drained"
    assert system.execution(id_)["state"] == "pending"
    system.cli("execution", "wait", once, code=22)
    assert "worker w1 was drained" in system.execution(once)["error"]
    text = system.cli("execution", "explain", id_).stdout
    assert "w1 drains" in text

    # It stands over a restart of the server.
    server = system.started[0]
    server.terminate()
    server.wait(timeout=10)
    system.start_server()
    assert system.json("worker", "get", "w1")["cordoned"] is True
    system.cli("worker", "uncordon", "w1")
    system.cli("execution", "wait", id_)
    assert (system.root / "tries").read_text() == "x\nx\n"


def test_a_label_is_put_on_from_outside(system: Installed) -> None:
    job = {
        "name": "db",
        "command": "true",
        "targets": {"selector": {"role": "db"}},
    }
    text = json.dumps(job)
    system.cli("apply", "-f", "-", "--format", "json", stdin=text)
    id_ = system.cli("run", "db", "-o", "name").stdout.strip()
    assert "No worker has the label role=db" in (
        system.cli("execution", "explain", id_).stdout
    )
    assert system.json("worker", "label", "w1", "role=db")["labels"] == {"role": "db"}
    system.cli("execution", "wait", id_)
    refused = system.cli("worker", "cordon", "w9", code=3)
    assert 'worker "w9" not found' in refused.stderr
    system.cli("worker", "label", "w1", "role", code=2)
