"""How much may run at once, and why something waits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.installed import Installed, until

pytestmark = pytest.mark.acceptance


def define(installed: Installed, **keys: Any) -> None:
    text = json.dumps(keys)
    installed.cli("apply", "-f", "-", "--format", "json", stdin=text)


def run(installed: Installed, job: str, *arguments: str) -> str:
    return installed.cli("run", job, "-o", "name", *arguments).stdout.strip()


def test_a_key_is_shared_by_jobs_and_explain_names_its_holder(
    system: Installed,
) -> None:
    wait = "until test -e go; do sleep 0.05; done"
    key = {"key": "backup-{{database}}", "max": 1}
    for name in ("dump", "copy"):
        define(
            system,
            name=name,
            command=wait,
            working_dir=str(system.root),
            params={"database": "orders"},
            concurrency=key,
        )
    holder = run(system, "dump")
    until(lambda: system.running(holder), "the holder to run")
    waiting = run(system, "copy")
    other = run(system, "copy", "-p", "database=users")
    until(lambda: system.running(other), "the other key to run")
    assert system.execution(waiting)["state"] == "pending"

    found = system.json("execution", "explain", waiting)
    assert [one["cause"] for one in found["reasons"]] == ["concurrency"]
    assert found["reasons"][0]["holders"] == [holder]
    assert found["reasons"][0]["workers"] == ["w1"]
    assert (found["place"], found["waiting"]) == (1, 1)
    text = system.cli("execution", "explain", waiting).stdout
    assert f'concurrency key "backup-orders" is held by execution {holder[:8]}' in (
        text.replace("Concurrency", "concurrency")
    )
    running = system.cli("execution", "explain", holder).stdout
    assert "It waits for nothing: it runs on worker w1." in running

    (system.root / "go").touch()
    for id_ in (holder, waiting, other):
        system.cli("execution", "wait", id_)
    ended = system.json("execution", "explain", waiting)
    assert [one["cause"] for one in ended["reasons"]] == ["ended"]


def test_explain_says_what_no_worker_has(system: Installed) -> None:
    define(system, name="db", command="true", targets={"selector": {"role": "db"}})
    id_ = run(system, "db")
    found = system.json("execution", "explain", id_)
    assert found["summary"] == "No worker has the label role=db."
    system.cli("execution", "explain", "ffffffff", code=3)
