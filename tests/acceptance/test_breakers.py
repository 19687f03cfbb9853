"""A target that refuses is left alone, tried once, and used again."""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

import pytest

from support.installed import Installed, free_port, until

pytestmark = pytest.mark.acceptance

# Counts its own attempts, then does what a job does: it connects.
ATTEMPT = """
import pathlib, socket, sys
port, counter = int(sys.argv[1]), pathlib.Path(sys.argv[2])
with counter.open("a") as file:
    file.write("x")
socket.create_connection(("127.0.0.1", port), timeout=5).close()
"""


def define(system: Installed, name: str, target: str, port: int) -> None:
    job = {
        "name": name,
        "command": [
            *(sys.executable, "-c", ATTEMPT),
            *(str(port), str(system.root / f"{name}.count")),
        ],
        "breaker": {"name": target, "failures": 3, "open_for": "2s", "successes": 1},
    }
    text = json.dumps(job)
    system.cli("apply", "-f", "-", "--format", "json", stdin=text)


def attempts(system: Installed, name: str) -> int:
    counter = system.root / f"{name}.count"
    return len(counter.read_text()) if counter.exists() else 0


def run(system: Installed, job: str) -> str:
    return system.cli("run", job, "-o", "name").stdout.strip()


def breaker(system: Installed, name: str) -> dict[str, Any]:
    found: dict[str, Any] = system.json("breaker", "get", name)
    return found


def test_a_target_that_refuses(system: Installed) -> None:
    closed = free_port()
    with socket.create_server(("127.0.0.1", 0)) as healthy:
        define(system, "orders", "orders-db", closed)
        define(system, "users", "users-db", healthy.getsockname()[1])
        for _ in range(3):
            system.cli("run", "orders", "--wait", code=20)
        assert attempts(system, "orders") == 3
        # By hand, so that the rest of this test is not a race against two seconds.
        system.cli("breaker", "trip", "orders-db", "--reason", "as it is")
        assert breaker(system, "orders-db")["trips"] == 2

        waiting = [run(system, "orders") for _ in range(2)]
        system.cli("run", "users", "--wait")
        for id_ in waiting:
            assert system.execution(id_)["state"] == "pending"
            found = system.json("execution", "explain", id_)
            assert [one["cause"] for one in found["reasons"]] == ["breaker"]
            assert "breaker orders-db is open until" in found["summary"]
        assert attempts(system, "orders") == 3
        states = {
            one["name"]: one["state"] for one in system.json("breaker", "list")["data"]
        }
        assert states == {"orders-db": "open", "users-db": "closed"}

        # One probe, which fails: it is open again, and nothing else has tried.
        system.cli("breaker", "trip", "orders-db", "--for", "100ms")
        system.cli("execution", "wait", waiting[0], code=20)
        assert breaker(system, "orders-db")["state"] == "open"
        assert breaker(system, "orders-db")["reason"] == "the probe failed"
        assert attempts(system, "orders") == 4

        with socket.create_server(("127.0.0.1", closed)):
            # The next probe comes by itself, succeeds, and closes it.
            system.cli("execution", "wait", waiting[1])
            assert breaker(system, "orders-db")["state"] == "closed"
            assert attempts(system, "orders") == 5
            system.cli("run", "orders", "--wait")
    log = system.log("server.log")
    assert "breaker orders-db: open: 3 failures in a row" in log
    assert "breaker orders-db: closed: the probes succeeded" in log


def test_a_breaker_is_reset_by_hand_and_an_unknown_one_is_refused(
    system: Installed,
) -> None:
    system.cli("breaker", "trip", "worker:w1", "--reason", "smoke")
    id_ = system.cli("run", "-o", "name", "--", "true").stdout.strip()
    found = system.json("execution", "explain", id_)
    assert "w1 is left alone" in found["summary"]
    assert "smoke" in found["summary"]
    system.cli("breaker", "reset", "worker:w1")
    system.cli("execution", "wait", id_)
    refused = system.cli("breaker", "reset", "no-such", code=3)
    assert 'no circuit breaker "no-such"' in refused.stderr
    until(lambda: "w1" in system.online(), "the worker")
