"""One run: load, faults in three lanes, peace, and everything that is to be known after."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from chaos.faults import MisfireError, Plan, plans
from chaos.history import Decided, Fault, History, Told, Witnessed
from chaos.load import Load
from chaos.system import System, running
from jobs_grpc.client import Client, Execution, JobsError, OutputPiece

# Peace after the last fault: sessions of workers that do not come back must time out.
_SETTLE_SECONDS: Final = 120.0
# A target that does not work again after this long has not recovered.
_RECOVERY_SECONDS: Final = 75.0
_PAGE: Final = 500


async def run(
    root: Path, *, seed: int, minutes: float, times: int, only: str
) -> History:
    """Return the history of a run, ready to be judged."""
    draw = random.Random(seed)
    history = History(seed=seed, began=time.time())
    async with running(root) as system:
        async with await system.connect() as client:
            load = Load(system, history, seed)
            await load.apply(client)
            await _until_working(system, list(system.workers))
        work = asyncio.create_task(load.run(), name="load")
        seconds = minutes * 60
        lanes = plans(system, draw, times=times)
        if not system.has_far:
            history.misfires.append(
                "no network namespaces here: the far worker is left out"
            )
        chosen = {
            lane: [plan for plan in found if only in f"{plan.name} {plan.target}"]
            for lane, found in lanes.items()
        }
        await asyncio.gather(
            *(_lane(system, history, found, seconds) for found in chosen.values())
        )
        load.stop()
        await work
        await _judge_time(system, history)
    return history


async def _lane(
    system: System, history: History, found: Sequence[Plan], seconds: float
) -> None:
    """Bring about one after another, spread evenly; what finds no time is left out."""
    begun = time.monotonic()
    for number, plan in enumerate(found):
        wait = begun + number * seconds / len(found) - time.monotonic()
        if wait < -seconds:
            history.misfires.append(f"{plan.name} of {plan.target}: no time was left")
            continue
        await asyncio.sleep(max(0.0, wait))
        began = time.time()
        name = f"{plan.name} of {plan.target}"
        try:
            async with plan.act(system, history):
                healed = time.time()
        except MisfireError as error:
            history.misfires.append(f"{name}: {error}")
            continue
        who = list(system.workers) if plan.target == "server" else [plan.target]
        recovered: float | None = None
        with contextlib.suppress(TimeoutError):
            await _until_working(system, who)
            recovered = time.time() - healed
        history.faults.append(
            Fault(
                name=plan.name,
                target=plan.target,
                began=began,
                healed=healed,
                recovered=recovered,
            )
        )
        took = "never" if recovered is None else f"{recovered:.1f} s"
        print(
            f"{time.time() - history.began:5.0f} s  {name}: works again: {took}",
            file=sys.stderr,
        )


async def _until_working(system: System, workers: Iterable[str]) -> None:
    """Return when one of these workers has run something that was asked for now."""

    async def probe(worker: str) -> None:
        while True:
            try:
                async with Client(system.address, patience=_RECOVERY_SECONDS) as client:
                    handle = await client.jobs.run(f"probe-{worker}")
                    await handle.wait(timeout=_RECOVERY_SECONDS)
                    return
            except JobsError:
                await asyncio.sleep(0.1)

    tasks = [asyncio.create_task(probe(worker)) for worker in workers]
    try:
        async with asyncio.timeout(_RECOVERY_SECONDS):
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _judge_time(system: System, history: History) -> None:
    """Wait for everything to end, then write down what is told and what was witnessed."""
    async with await system.connect() as client:
        for ticking in history.ticking:
            await client.jobs.disable(ticking.job)
        history.ended = time.time()
        deadline = time.monotonic() + _SETTLE_SECONDS
        first: list[Execution] = []
        while True:
            first = await _all_executions(client)
            # A lost one is final, and may still run to an end that resolves it.
            is_quiet = not system.job_processes()
            is_settled = is_quiet and all(one.is_final for one in first)
            if is_settled or time.monotonic() > deadline:
                break
            await asyncio.sleep(2)
        history.told_before = {one.id: one.state.value for one in first}
        await asyncio.sleep(2)
        lines = {one.id: one.lines for one in history.submitted}
        known = {one.id for one in history.submitted}
        for one in await _all_executions(client):
            if one.job.startswith("probe-"):
                continue
            wants_output = one.id in known and lines[one.id] > 0
            output = await _output(client, one.id) if wants_output else None
            history.told.append(_told(one, output))
        history.decided = await _all_decisions(client)
    history.witnessed = [
        _witnessed(line) for line in system.witness.read_text().splitlines()
    ]
    history.leftovers = system.job_processes()


async def _all_executions(client: Client) -> list[Execution]:
    found: list[Execution] = []
    token = ""
    while True:
        page = await client.executions.list_page(page_size=_PAGE, page_token=token)
        found += page.data
        token = page.next_page_token
        if not token:
            return found


async def _all_decisions(client: Client) -> list[Decided]:
    found: list[Decided] = []
    token = ""
    while True:
        page = await client.schedules.decisions(page_size=_PAGE, page_token=token)
        for one in page.data:
            until = getattr(one, "until", None)
            found.append(
                Decided(
                    job=one.job,
                    due_at=_seconds(one.due_at) or 0.0,
                    outcome=one.outcome.value,
                    reason=one.reason.value if one.reason else "",
                    execution=one.execution_id,
                    until=_seconds(until),
                )
            )
        token = page.next_page_token
        if not token:
            return found


async def _output(client: Client, execution_id: str) -> str:
    pieces = [
        event.data
        async for event in client.executions.output(execution_id, follow=False)
        if isinstance(event, OutputPiece)
    ]
    return b"".join(pieces).decode(errors="replace")


def _told(one: Execution, output: str | None) -> Told:
    return Told(
        id=one.id,
        job=one.job,
        trigger=one.trigger.value,
        state=one.state.value,
        attempt=one.attempt,
        fence=one.fence,
        exit_code=one.exit_code,
        signal=one.signal,
        scheduled_for=_seconds(one.scheduled_for) or 0.0,
        started_at=_seconds(one.started_at),
        finished_at=_seconds(one.finished_at),
        dropped=one.output_dropped,
        output=output,
    )


def _witnessed(line: str) -> Witnessed:
    event, execution, attempt, fence, pid, at = line.split()
    return Witnessed(
        event=event,
        execution=execution,
        attempt=int(attempt),
        fence=int(fence),
        pid=int(pid),
        at=float(at),
    )


def _seconds(instant: datetime | None) -> float | None:
    return None if instant is None else instant.timestamp()
