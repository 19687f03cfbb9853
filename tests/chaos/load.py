"""Work for the system: submissions, schedules, now and then a cancel."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any, Final

from chaos.history import History, Submitted, Ticking
from chaos.system import HERE, System
from jobs_grpc.client import Client, JobsError, Submission

# Per second; the machine also has to bear the faults and the judge.
RATE: Final = 4.0
_TICKS: Final = (2, 3, 5, 10)


def documents(system: System) -> list[dict[str, Any]]:
    """Return the jobs of the load."""
    environment = {
        "CHAOS_WITNESS": str(system.witness),
        "CHAOS_LINES": "{{lines}}",
        "CHAOS_CODE": "{{code}}",
    }
    work = {
        "command": ["/bin/bash", str(HERE / "work.sh")],
        "params": {
            "lines": {"type": "integer", "default": 0},
            "code": {"type": "integer", "default": 0},
        },
        "environment": environment,
        "cancel": {"grace": "1s"},
        # Workers are lost on purpose here.
        "quarantine": False,
    }
    found: list[dict[str, Any]] = [
        {"name": "once", **work},
        {"name": "twice", "idempotent": True, **work},
        {
            "name": "function",
            "function": "witnessed",
            "idempotent": True,
            "quarantine": False,
            "params": {"witness": {"type": "string", "default": str(system.witness)}},
        },
    ]
    for every in _TICKS:
        tick = {"name": f"tick-{every}", "schedule": f"*/{every} * * * * *", **work}
        found.append(tick)
    for name in system.workers:
        probe = {"name": f"probe-{name}", "command": ["/bin/true"], "quarantine": False}
        found.append({**probe, "targets": {"selector": {"host": name}}})
        long = {"name": f"long-{name}", "timeout": "10m", **work}
        found.append({**long, "targets": {"selector": {"host": name}}})
    return found


class Load:
    """Submits until told to stop, and keeps what was acknowledged."""

    def __init__(self, system: System, history: History, seed: int) -> None:
        self._system = system
        self._history = history
        self._random = random.Random(seed)
        self._is_over = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def apply(self, client: Client) -> None:
        """Define the jobs, and remember from when on they are due."""
        await client.jobs.apply(documents(self._system))
        now = time.time()
        self._history.ticking += [
            Ticking(job=f"tick-{every}", every=every, since=now) for every in _TICKS
        ]

    async def run(self) -> None:
        """Submit, in batches now and then; each wait is drawn."""
        while not self._is_over:
            task = asyncio.create_task(self._submit())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            await asyncio.sleep(self._random.expovariate(RATE))
        await asyncio.gather(*self._tasks)

    def stop(self) -> None:
        self._is_over = True

    async def _submit(self) -> None:
        job = self._random.choice(("once", "twice", "once", "twice", "function"))
        lines = self._random.choice((0, 0, 0, 5, 20, 40))
        code = self._random.choice((0, 0, 0, 7))
        params: dict[str, Any] = {"lines": lines, "code": code}
        if job == "function":
            lines, code, params = 0, 0, {}
        wants_cancel = lines >= 20 and self._random.random() < 0.2
        wait = self._random.uniform(0, 3)
        try:
            # A client of its own: each call meets the fault of its moment.
            async with Client(self._system.address, patience=60) as client:
                (id_,) = await client.submit([Submission.stored(job, params=params)])
                self._history.submitted.append(
                    Submitted(
                        id=id_,
                        job=job,
                        at=time.time(),
                        lines=lines,
                        code=code,
                        may_run_twice=job != "once",
                    )
                )
                if wants_cancel:
                    await asyncio.sleep(wait)
                    # Before the call: without an answer it may have happened.
                    self._history.cancelled.add(id_)
                    await client.executions.cancel(id_)
        except JobsError:
            if not wants_cancel:
                self._history.unanswered += 1
